/* needs: norm */
/* gain a / sqrt(mean square + epsilon) + bias, one norm of three parts of `size`, whose mean is zero. */
static void norm_of_all(float *y, const float *a, const float *gain, const float *bias, int size, float epsilon) {
  float squares[3][4] = {{0.0f}}, scale;
  int p, i;
  for (p = 0; p < 3; p++) {
    for (i = 0; i < size; i++) squares[p][i % 4] += a[p * size + i] * a[p * size + i];
  }
  for (i = 0; i < 4; i++) squares[0][i] = squares[0][i] + squares[1][i] + squares[2][i];
  scale = 1.0f / root(lane_sum(squares[0], 4) / (float)(3 * size) + epsilon);
  for (i = 0; i < 3 * size; i++) y[i] = gain[i] * (a[i] * scale) + bias[i];
}
