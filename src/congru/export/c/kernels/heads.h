/* needs: dot */
/* y = U h + b of block-diagonal U: the units of a head, `columns` of them, see their own head alone. */
static void heads(float *y, const float *weight, const float *bias, const float *h, int rows, int columns, int units) {
  int i;
  for (i = 0; i < rows; i++) {
    y[i] = dot(weight + i * columns, h + i % units / columns * columns, columns) + (bias ? bias[i] : 0.0f);
  }
}
