/* needs: sigmoid tanh keep */
/* a = (W x + b) + U h [4 units]: i, f, g, o; becomes f c + i g in its first block, o in its last. */
static void lstm_gates(const float *c, float *a, int units) {
  int j;
  for (j = 0; j < units; j++) {
    float g = hyperbolic_tangent(a[2 * units + j]);
    a[j] = sigmoid(a[units + j]) * c[j] + sigmoid(a[j]) * g;
    a[3 * units + j] = sigmoid(a[3 * units + j]);
  }
}
/* h' = o tanh(read), c' = new_c. */
static void lstm_state(float *h, float *c, const float *new_c, const float *read, const float *o, int units, float keep,
                       float keep_c) {
  int j;
  for (j = 0; j < units; j++) {
    h[j] = kept(keep, h[j], o[j] * hyperbolic_tangent(read[j]));
    c[j] = kept(keep_c, c[j], new_c[j]);
  }
}
