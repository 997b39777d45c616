/* needs: tanh */
/* h' = keep h + (1 - keep) tanh(i + u). */
static void rnn(float *h, const float *i, const float *u, int units, float keep) {
  int j;
  for (j = 0; j < units; j++) h[j] = keep * h[j] + (1.0f - keep) * hyperbolic_tangent(i[j] + u[j]);
}
