/* needs: */
/* The largest value of every row. */
static void row_max(float *y, const float *x, int rows, int columns) {
  int i, j;
  for (i = 0; i < rows; i++) {
    float most = x[i * columns];
    for (j = 1; j < columns; j++) most = x[i * columns + j] > most ? x[i * columns + j] : most;
    y[i] = most;
  }
}
