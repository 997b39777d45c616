/* needs: sigmoid tanh */
/* a = W x + U h + b [4 units]: i, f, g, o; becomes f c + i g in its first block, o in its last. */
static void lstm_gates(const float *c, float *a, int units) {
  int j;
  for (j = 0; j < units; j++) {
    float g = hyperbolic_tangent(a[2 * units + j]);
    a[j] = sigmoid(a[units + j]) * c[j] + sigmoid(a[j]) * g;
    a[3 * units + j] = sigmoid(a[3 * units + j]);
  }
}
/* h' = keep h + (1 - keep) o tanh(read), c' = keep c + (1 - keep) new. */
static void lstm_state(float *h, float *c, const float *new_c, const float *read, const float *o, int units, float keep,
                       float keep_c) {
  int j;
  for (j = 0; j < units; j++) {
    h[j] = keep * h[j] + (1.0f - keep) * o[j] * hyperbolic_tangent(read[j]);
    c[j] = keep_c * c[j] + (1.0f - keep_c) * new_c[j];
  }
}
