/* needs: */
/* 1 / sqrt(x) of x > 0 by Newton's method. */
static float inverse_root(float x) {
  union { uint32_t bits; float value; } y;
  int k;
  y.value = x;
  y.bits = 0x5f3759dfu - (y.bits >> 1);
  for (k = 0; k < 4; k++) y.value = y.value * (1.5f - 0.5f * x * y.value * y.value);
  return y.value;
}
