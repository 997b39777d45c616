/* needs: inverse_root */
/* gain (x - mean) / sqrt(variance + epsilon) + bias of each of the equal parts of x; bias may be 0. */
static void norm(float *y, const float *x, const float *gain, const float *bias, int parts, int size, float epsilon) {
  int p, i;
  for (p = 0; p < parts; p++) {
    float mean = 0.0f, variance = 0.0f, scale;
    for (i = p * size; i < (p + 1) * size; i++) mean += x[i];
    mean /= (float)size;
    for (i = p * size; i < (p + 1) * size; i++) variance += (x[i] - mean) * (x[i] - mean);
    scale = inverse_root(variance / (float)size + epsilon);
    for (i = p * size; i < (p + 1) * size; i++) y[i] = (x[i] - mean) * scale * gain[i] + (bias ? bias[i] : 0.0f);
  }
}
