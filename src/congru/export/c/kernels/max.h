/* needs: */
static void running_max(float *y, const float *x, float *most, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = most[i] = most[i] > x[i] ? most[i] : x[i];
}
