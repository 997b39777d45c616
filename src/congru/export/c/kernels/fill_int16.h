/* needs: */
static void fill_int16(int16_t *y, int16_t value, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = value;
}
