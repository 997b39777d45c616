/* needs: */
static void fill(float *y, float value, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = value;
}
