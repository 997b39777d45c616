/* needs: sigmoid tanh */
/* a [3 units]: the norm of all sums; r = s(a_r), z = s(a_z + 1), n = tanh(r a_n). */
static void gru_dreamer(float *h, const float *a, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) {
    float r = sigmoid(a[j]), z = sigmoid(a[units + j] + 1.0f), n = hyperbolic_tangent(r * a[2 * units + j]);
    h[j] = keep * h[j] + (1.0f - keep) * (n + z * (h[j] - n));
  }
}
