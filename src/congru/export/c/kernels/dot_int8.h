/* needs: */
/* As dot, of whole numbers and reals. */
static float dot_int8(const int8_t *a, const float *b, int size) {
  float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, rest = 0.0f;
  int i = 0, k;
  for (; i + 8 <= size; i += 8) {
    for (k = 0; k < 8; k++) sum[k] += (float)a[i + k] * b[i + k];
  }
  for (; i < size; i++) rest += (float)a[i] * b[i];
  return (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))) + rest;
}
