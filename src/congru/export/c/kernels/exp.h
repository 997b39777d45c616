/* needs: exp_parts */
/* exp of u <= 0. */
static float exponential(float u) {
  float p, s;
  if (u < -87.0f) return 0.0f;
  s = exp_parts(u, &p);
  return s * p + s;
}
