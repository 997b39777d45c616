/* needs: sigmoid tanh */
/* h' = keep h + (1 - keep) ((1 - z) n + z h), n = tanh(i_n + r u_n); i = W x + b_i and u = U h + b_h [3 units]: r, z, n. */
static void gru_after(float *h, const float *i, const float *u, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) {
    float r = sigmoid(i[j] + u[j]), z = sigmoid(i[units + j] + u[units + j]);
    float n = hyperbolic_tangent(i[2 * units + j] + r * u[2 * units + j]);
    h[j] = keep * h[j] + (1.0f - keep) * (n + z * (h[j] - n));
  }
}
