/* needs: exp_parts */
/* e / (e + 2), e = exp(2 x) - 1, rounded once; in single precision for processors that compute in no other. */
static float hyperbolic_tangent(float x) {
  float p, s = exp_parts(x > 10.0f ? 20.0f : x < -10.0f ? -20.0f : x + x, &p), e = s * p + (s - 1.0f);
#if defined(CONGRU_SINGLE)
  return e / (e + 2.0f);
#else
  return (float)((double)e / ((double)e + 2.0));
#endif
}
