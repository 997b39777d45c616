/* needs: */
static void running_mean(float *y, const float *x, float *sum, float *count, int size) {
  int i;
  count[0] += 1.0f;
  for (i = 0; i < size; i++) {
    sum[i] += x[i];
    y[i] = sum[i] / count[0];
  }
}
