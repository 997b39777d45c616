/* needs: */
static void copy_int16(int16_t *y, const int16_t *x, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = x[i];
}
