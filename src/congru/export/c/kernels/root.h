/* needs: */
/* sqrt(x) of x > 0, rounded to the nearest, digit by digit. */
static float root(float x) {
  union { uint32_t bits; float value; } v;
  uint32_t exponent, whole = 0, rest = 0, bits;
  int k;
  v.value = x;
  exponent = (v.bits >> 23) + 127;
  bits = (v.bits & 0x7fffffu) | 0x800000u;
  bits <<= exponent & 1 ? 8 : 7; /* an even power of two */
  for (k = 0; k < 25; k++) {
    uint32_t twice = 4 * whole + 1;
    rest = 4 * rest + (bits >> 30);
    bits <<= 2;
    whole *= 2;
    if (rest >= twice) rest -= twice, whole++;
  }
  v.bits = ((exponent >> 1) << 23) + ((whole + 1) >> 1) - 0x800000u;
  return v.value;
}
