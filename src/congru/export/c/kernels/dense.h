/* needs: normal copy fill */
/* y = W x + b: every output is one chain over the columns that begins with its bias, so its bits depend on nothing else. W lies in
   panels of 32 rows (the last may have fewer), column by column. bias may be 0. */
#if defined(__GNUC__) && (defined(__SSE__) || defined(__aarch64__) || defined(__wasm_simd128__))
/* Sums are vectors by name: loops over small arrays take a compiler up to ten times as long, from one level of optimisation to the
   next. */
typedef float four_floats __attribute__((vector_size(16)));
typedef float any_four_floats __attribute__((vector_size(16), aligned(4), may_alias));
#define FOUR(address) (*(any_four_floats *)(address))
#define WEIGHTS(address) (*(const any_four_floats *)(address))
static inline void panel_32(float *y, const float *w, const float *x, int columns) {
  four_floats a = FOUR(y), b = FOUR(y + 4), c = FOUR(y + 8), d = FOUR(y + 12);
  four_floats e = FOUR(y + 16), f = FOUR(y + 20), g = FOUR(y + 24), h = FOUR(y + 28);
  int k;
  for (k = 0; k < columns; k++, w += 32) {
    four_floats v = {x[k], x[k], x[k], x[k]};
    a += WEIGHTS(w) * v, b += WEIGHTS(w + 4) * v, c += WEIGHTS(w + 8) * v, d += WEIGHTS(w + 12) * v;
    e += WEIGHTS(w + 16) * v, f += WEIGHTS(w + 20) * v, g += WEIGHTS(w + 24) * v, h += WEIGHTS(w + 28) * v;
  }
  FOUR(y) = a, FOUR(y + 4) = b, FOUR(y + 8) = c, FOUR(y + 12) = d;
  FOUR(y + 16) = e, FOUR(y + 20) = f, FOUR(y + 24) = g, FOUR(y + 28) = h;
}
static inline void panel_16(float *y, const float *w, const float *x, int columns, int width) {
  four_floats a = FOUR(y), b = FOUR(y + 4), c = FOUR(y + 8), d = FOUR(y + 12);
  int k;
  for (k = 0; k < columns; k++, w += width) {
    four_floats v = {x[k], x[k], x[k], x[k]};
    a += WEIGHTS(w) * v, b += WEIGHTS(w + 4) * v, c += WEIGHTS(w + 8) * v, d += WEIGHTS(w + 12) * v;
  }
  FOUR(y) = a, FOUR(y + 4) = b, FOUR(y + 8) = c, FOUR(y + 12) = d;
}
static inline void panel_4(float *y, const float *w, const float *x, int columns, int width) {
  four_floats a = FOUR(y);
  int k;
  for (k = 0; k < columns; k++, w += width) a += WEIGHTS(w) * (four_floats){x[k], x[k], x[k], x[k]};
  FOUR(y) = a;
}
#else
static inline void panel_4(float *y, const float *w, const float *x, int columns, int width) {
  float a = y[0], b = y[1], c = y[2], d = y[3];
  int k;
  for (k = 0; k < columns; k++, w += width) a += w[0] * x[k], b += w[1] * x[k], c += w[2] * x[k], d += w[3] * x[k];
  y[0] = a, y[1] = b, y[2] = c, y[3] = d;
}
static inline void panel_16(float *y, const float *w, const float *x, int columns, int width) {
  int i;
  for (i = 0; i < 16; i += 4) panel_4(y + i, w + i, x, columns, width);
}
static inline void panel_32(float *y, const float *w, const float *x, int columns) {
  panel_16(y, w, x, columns, 32);
  panel_16(y + 16, w + 16, x, columns, 32);
}
#endif
static void dense(float *y, const float *weight, const float *bias, const float *x, int rows, int columns) {
  int i = 0, k, width = rows % 32;
  if (bias) copy(y, bias, rows);
  else fill(y, 0.0f, rows);
  for (; i + 32 <= rows; i += 32, weight += 32 * columns) panel_32(y + i, weight, x, columns);
  if (width >= 16) panel_16(y + i, weight, x, columns, width), i += 16, weight += 16;
  for (; i + 4 <= rows; i += 4, weight += 4) panel_4(y + i, weight, x, columns, width);
  for (; i < rows; i++, weight++) {
    float sum = y[i];
    for (k = 0; k < columns; k++) sum += weight[k * width] * x[k];
    y[i] = sum;
  }
  for (i = 0; i < rows; i++) y[i] = normal(y[i]);
}
