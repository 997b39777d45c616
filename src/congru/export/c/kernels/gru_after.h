/* needs: sigmoid tanh keep */
/* h' = z h + (1 - z) n, n = tanh(i_n + r u_n); i = W x + b_i and u = U h + b_h [3 units]: r, z, n. */
static void gru_after(float *h, const float *i, const float *u, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) {
    float r = sigmoid(i[j] + u[j]), z = sigmoid(i[units + j] + u[units + j]);
    float n = hyperbolic_tangent(r * u[2 * units + j] + i[2 * units + j]);
    h[j] = kept(keep, h[j], z * h[j] + (n - z * n));
  }
}
