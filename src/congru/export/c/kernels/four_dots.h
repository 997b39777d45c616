/* needs: dot */
/* y [4] = A x of four rows: the sums of `dot`, kept in vectors by name where the processor has them. Loops over small arrays take a
   compiler up to ten times as long, from one level of optimisation to the next. */
#if defined(__GNUC__) && (defined(__SSE__) || defined(__aarch64__) || defined(__wasm_simd128__))
typedef float four_floats __attribute__((vector_size(16)));
typedef float any_four_floats __attribute__((vector_size(16), aligned(4), may_alias));
#define FOUR(address) (*(const any_four_floats *)(address))
static void four_dots(float *y, const float *a, const float *x, int size) {
  four_floats p0 = {0}, p1 = {0}, q0 = {0}, q1 = {0}, r0 = {0}, r1 = {0}, s0 = {0}, s1 = {0};
  const float *b = a + size, *c = b + size, *d = c + size;
  float p = 0.0f, q = 0.0f, r = 0.0f, s = 0.0f;
  int i = 0;
  for (; i + 8 <= size; i += 8) {
    four_floats low = FOUR(x + i), high = FOUR(x + i + 4);
    p0 += FOUR(a + i) * low, p1 += FOUR(a + i + 4) * high;
    q0 += FOUR(b + i) * low, q1 += FOUR(b + i + 4) * high;
    r0 += FOUR(c + i) * low, r1 += FOUR(c + i + 4) * high;
    s0 += FOUR(d + i) * low, s1 += FOUR(d + i + 4) * high;
  }
  for (; i < size; i++) p += a[i] * x[i], q += b[i] * x[i], r += c[i] * x[i], s += d[i] * x[i];
  p0 += p1, q0 += q1, r0 += r1, s0 += s1;
  y[0] = ((p0[0] + p0[2]) + (p0[1] + p0[3])) + p, y[1] = ((q0[0] + q0[2]) + (q0[1] + q0[3])) + q;
  y[2] = ((r0[0] + r0[2]) + (r0[1] + r0[3])) + r, y[3] = ((s0[0] + s0[2]) + (s0[1] + s0[3])) + s;
}
#else
static void four_dots(float *y, const float *a, const float *x, int size) {
  int k;
  for (k = 0; k < 4; k++) y[k] = dot(a + k * size, x, size);
}
#endif
