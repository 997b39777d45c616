/* needs: */
/* Zero in place of a number below 2^-126. */
static float normal(float x) { return x < 1.17549435e-38f && x > -1.17549435e-38f ? 0.0f : x; }
