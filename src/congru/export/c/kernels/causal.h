/* needs: dot */
/* y = W [past x] + b, `columns` of them past. */
static void causal(float *y, const float *weight, const float *bias, const float *past, const float *x, int rows, int columns,
                   int size) {
  int i;
  for (i = 0; i < rows; i++) {
    const float *w = weight + i * (columns + size);
    y[i] = dot(w, past, columns) + dot(w + columns, x, size) + (bias ? bias[i] : 0.0f);
  }
}
