/* needs: */
/* exp(u) = s (1 + p): u = n ln 2 + v, s = 2^n, p = exp(v) - 1; |u| at most 87. No function of math.h. */
static float exp_parts(float u, float *p) {
  union { int32_t bits; float value; } s;
  int32_t n = (int32_t)(u * 1.44269504f + (u < 0.0f ? -0.5f : 0.5f));
  float v = (u - (float)n * 0.693145751953125f) - (float)n * 1.42860682030941723212e-6f, q = 1.0f / 5040.0f;
  q = q * v + 1.0f / 720.0f;
  q = q * v + 1.0f / 120.0f;
  q = q * v + 1.0f / 24.0f;
  q = q * v + 1.0f / 6.0f;
  q = q * v + 0.5f;
  *p = v * v * q + v;
  s.bits = (int32_t)((uint32_t)(n + 127) << 23);
  return s.value;
}
