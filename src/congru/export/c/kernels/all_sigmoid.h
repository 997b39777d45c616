/* needs: sigmoid */
static void all_sigmoid(float *y, const float *x, int size) {
  int i;
  for (i = 0; i < size; i++) y[i] = sigmoid(x[i]);
}
