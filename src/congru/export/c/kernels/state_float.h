/* needs: */
static void state_float(float *y, const int16_t *h, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = (float)h[i] / 32768.0f;
}
