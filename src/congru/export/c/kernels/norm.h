/* needs: root */
/* gain (x - mean) / sqrt(variance + epsilon) + bias of each of the equal parts of x; bias may be 0. Sums are taken in so many lanes,
   which are then added in pairs; the mean of centred parts is zero. */
static float lane_sum(float *sum, int lanes) {
  int i;
  for (lanes /= 2; lanes > 0; lanes /= 2) {
    for (i = 0; i < lanes; i++) sum[i] += sum[i + lanes];
  }
  return sum[0];
}
static void norm(float *y, const float *x, const float *gain, const float *bias, int parts, int size, float epsilon, int lanes,
                 int centred) {
  int p, i;
  for (p = 0; p < parts; p++, x += size, y += size, gain += size) {
    float sum[16] = {0.0f}, squares[16] = {0.0f}, mean = 0.0f, scale;
    for (i = 0; i < size && !centred; i++) sum[i % lanes] += x[i];
    if (!centred) mean = lane_sum(sum, lanes) / (float)size;
    for (i = 0; i < size; i++) squares[i % lanes] += (x[i] - mean) * (x[i] - mean);
    scale = 1.0f / root(lane_sum(squares, lanes) / (float)size + epsilon);
    for (i = 0; i < size; i++) y[i] = gain[i] * ((x[i] - mean) * scale) + (bias ? bias[p * size + i] : 0.0f);
  }
}
