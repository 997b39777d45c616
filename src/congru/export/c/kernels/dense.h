/* needs: dot */
/* y = W x + b; bias may be 0. */
static void dense(float *y, const float *weight, const float *bias, const float *x, int rows, int columns) {
  int i;
  for (i = 0; i < rows; i++) y[i] = dot(weight + i * columns, x, columns) + (bias ? bias[i] : 0.0f);
}
