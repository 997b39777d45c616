/* needs: dot_int8 */
/* y = scale (Q x) + b, one scale for each row; bias may be 0. */
static void dense_int8(float *y, const int8_t *weight, const float *scale, const float *bias, const float *x, int rows,
                       int columns) {
  int i;
  for (i = 0; i < rows; i++) y[i] = dot_int8(weight + i * columns, x, columns) * scale[i] + (bias ? bias[i] : 0.0f);
}
