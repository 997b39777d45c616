/* needs: dot four_dots */
/* y = W x + b; bias may be 0. */
static void dense(float *y, const float *weight, const float *bias, const float *x, int rows, int columns) {
  int i, k, fours = rows / 4 * 4;
  for (i = 0; i < fours; i += 4, weight += 4 * columns) {
    four_dots(y + i, weight, x, columns);
    for (k = 0; k < 4 && bias; k++) y[i + k] += bias[i + k];
  }
  for (; i < rows; i++, weight += columns) y[i] = dot(weight, x, columns) + (bias ? bias[i] : 0.0f);
}
