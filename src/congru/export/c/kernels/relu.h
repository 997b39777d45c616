/* needs: */
static void relu(float *y, const float *x, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}
