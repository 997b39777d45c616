/* needs: sigmoid tanh keep */
/* a [3 units]: the norm of all sums; r = s(a_r), z = s(a_z), n = tanh(r a_n); the 1 that a_z has more is in its bias. */
static void gru_dreamer(float *h, const float *a, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) {
    float r = sigmoid(a[j]), z = sigmoid(a[units + j]), n = hyperbolic_tangent(r * a[2 * units + j]);
    h[j] = kept(keep, h[j], z * h[j] + (n - z * n));
  }
}
