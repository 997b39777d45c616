/* needs: */
/* y = scale (Q [past x]) + b, `columns` of them past. */
static void causal_int8(float *y, const int8_t *weight, const float *scale, const float *bias, const float *past, const float *x,
                        int rows, int columns, int size) {
  int i, k;
  for (i = 0; i < rows; i++) {
    const int8_t *w = weight + i * (columns + size);
    float sum = 0.0f;
    for (k = 0; k < columns; k++) sum += (float)w[k] * past[k];
    for (k = 0; k < size; k++) sum += (float)w[columns + k] * x[k];
    y[i] = sum * scale[i] + (bias ? bias[i] : 0.0f);
  }
}
