/* needs: */
/* exp(u) = s (1 + p): u = n ln 2 + v, s = 2^n, p = exp(v) - 1; |u| at most 87. n lies in the low bits of u / ln 2 + 1.5 * 2^23. */
static float exp_parts(float u, float *p) {
  union { uint32_t bits; float value; } shifted, s;
  float n, v, q = 1.0f / 5040.0f;
  shifted.value = u * 1.44269504088896340736f + 12582912.0f;
  n = shifted.value - 12582912.0f;
  v = n * -0.693145751953125f + u;
  v = n * -1.42860682030941723212e-6f + v;
  q = q * v + 1.0f / 720.0f;
  q = q * v + 1.0f / 120.0f;
  q = q * v + 1.0f / 24.0f;
  q = q * v + 1.0f / 6.0f;
  q = q * v + 0.5f;
  *p = v * v * q + v;
  s.bits = (shifted.bits << 23) + 0x3f800000u;
  return s.value;
}
