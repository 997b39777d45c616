/* needs: dot running_softmax */
/* y = sum_s softmax_s(q . m_s) m_s over the `count` vectors of a memory; zeros where there is none. */
static void attend(float *y, const float *query, const float *memory, int count, int size) {
  float largest = -3.402823466e38f, total = 0.0f;
  int s, i;
  for (i = 0; i < size; i++) y[i] = 0.0f;
  for (s = 0; s < count; s++) {
    const float *m = memory + s * size;
    running_softmax(y, &largest, &total, m, dot(query, m, size), size);
  }
  for (i = 0; i < size && count > 0; i++) y[i] /= total;
}
