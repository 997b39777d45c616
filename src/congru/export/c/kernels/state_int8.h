/* needs: */
/* A state in 2^-15 to whole numbers of 1/127, half away from zero. */
static void state_int8(int8_t *y, const int16_t *h, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = (int8_t)(h[i] < 0 ? -((-h[i] * 127 + 16384) >> 15) : (h[i] * 127 + 16384) >> 15);
}
