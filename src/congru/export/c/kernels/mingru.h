/* needs: sigmoid normal */
/* h' = (1 - z) g(a_n) + z h, g(a) = a + 0.5 where a >= 0, else sigmoid(a); a = W x + b [2 units]: z, n. */
static void mingru(float *h, const float *a, int units) {
  int j;
  for (j = 0; j < units; j++) {
    float n = a[units + j] >= 0.0f ? a[units + j] + 0.5f : sigmoid(a[units + j]);
    h[j] = n + (h[j] - n) * sigmoid(a[j]);
  }
}
