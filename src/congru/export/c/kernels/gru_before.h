/* needs: sigmoid tanh keep */
/* The gates of a GRU with the reset before the product: u [2 units] becomes r h, z. */
static void gru_before_gates(const float *h, const float *i, float *u, int units) {
  int j;
  for (j = 0; j < units; j++) {
    u[j] = sigmoid(i[j] + u[j]) * h[j];
    u[units + j] = sigmoid(i[units + j] + u[units + j]);
  }
}
/* h' = z h + (1 - z) n, n = tanh(i_n + u_n), u_n = U_n (r h). */
static void gru_before_state(float *h, const float *i, const float *z, const float *u, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) {
    float n = hyperbolic_tangent(i[2 * units + j] + u[j]);
    h[j] = kept(keep, h[j], z[j] * h[j] + (n - z[j] * n));
  }
}
