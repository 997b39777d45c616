/* needs: exp_parts */
static float sigmoid(float x) {
  float p, s = exp_parts(x > 87.0f ? -87.0f : x < -87.0f ? 87.0f : -x, &p);
  return 1.0f / ((s * p + 1.0f) + s);
}
