/* needs: */
static void row_int8(float *y, const int8_t *row, float scale, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = (float)row[i] * scale;
}
