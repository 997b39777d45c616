/* needs: exp */
/* One more vector x with its score in a mean weighted by the softmax of the scores; largest starts at -FLT_MAX. */
static void running_softmax(float *sum, float *largest, float *total, const float *x, float score, int size) {
  float higher = *largest > score ? *largest : score, fade = exponential(*largest - higher), w = exponential(score - higher);
  int i;
  *largest = higher;
  *total = *total * fade + w;
  for (i = 0; i < size; i++) sum[i] = sum[i] * fade + w * x[i];
}
