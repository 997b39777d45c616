/* needs: */
/* y = scale (Q x) + b, one scale for each row; bias may be 0. */
static void dense_int8(float *y, const int8_t *weight, const float *scale, const float *bias, const float *x, int rows,
                       int columns) {
  int i, k;
  for (i = 0; i < rows; i++) {
    float sum = 0.0f;
    for (k = 0; k < columns; k++) sum += (float)weight[i * columns + k] * x[k];
    y[i] = sum * scale[i] + (bias ? bias[i] : 0.0f);
  }
}
