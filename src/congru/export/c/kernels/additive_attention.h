/* needs: dot tanh running_softmax */
/* y = sum_s softmax_s(v . tanh(q + B m_s)) m_s; `width` is that of q = A query. */
static void attend_additive(float *y, const float *q, const float *keys, const float *v, const float *memory, int count,
                            int size, int width) {
  float largest = -3.402823466e38f, total = 0.0f;
  int s, i;
  for (i = 0; i < size; i++) y[i] = 0.0f;
  for (s = 0; s < count; s++) {
    const float *m = memory + s * size;
    float score = 0.0f;
    for (i = 0; i < width; i++) score += v[i] * hyperbolic_tangent(q[i] + dot(keys + i * size, m, size));
    running_softmax(y, &largest, &total, m, score, size);
  }
  for (i = 0; i < size && count > 0; i++) y[i] /= total;
}
