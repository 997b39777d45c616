/* needs: dot_int8 */
/* y = scale (Q [past x]) + b, `columns` of them past. */
static void causal_int8(float *y, const int8_t *weight, const float *scale, const float *bias, const float *past, const float *x,
                        int rows, int columns, int size) {
  int i;
  for (i = 0; i < rows; i++) {
    const int8_t *w = weight + i * (columns + size);
    y[i] = (dot_int8(w, past, columns) + dot_int8(w + columns, x, size)) * scale[i] + (bias ? bias[i] : 0.0f);
  }
}
