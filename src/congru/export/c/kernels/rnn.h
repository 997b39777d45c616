/* needs: tanh keep */
/* h' = tanh(i + u). */
static void rnn(float *h, const float *i, const float *u, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) h[j] = kept(keep, h[j], hyperbolic_tangent(i[j] + u[j]));
}
