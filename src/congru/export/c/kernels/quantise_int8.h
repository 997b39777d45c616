/* needs: */
/* x / scale to whole numbers of -127 to 127, half away from zero; inverse = 1 / scale. */
static void quantise_int8(int8_t *y, const float *x, float inverse, int size) {
  int i;
  for (i = 0; i < size; i++) {
    float v = x[i] * inverse;
    v = v < -127.0f ? -127.0f : v > 127.0f ? 127.0f : v;
    y[i] = (int8_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
  }
}
