/* needs: */
static void divide(float *y, const float *x, float by, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = x[i] / by;
}
