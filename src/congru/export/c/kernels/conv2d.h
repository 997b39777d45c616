/* needs: */
/* A convolution of pictures [channels][rows][columns] with zeros at the edges; bias may be 0. */
static void conv2d(float *y, const float *weight, const float *bias, const float *x, int outputs, int channels, int rows,
                   int columns, int kernel, int stride, int padding) {
  int o, c, i, j, a, b, down = (rows + 2 * padding - kernel) / stride + 1;
  int across = (columns + 2 * padding - kernel) / stride + 1;
  for (o = 0; o < outputs; o++) {
    for (i = 0; i < down; i++) {
      for (j = 0; j < across; j++) {
        float sum = bias ? bias[o] : 0.0f;
        for (c = 0; c < channels; c++) {
          for (a = 0; a < kernel; a++) {
            int row = i * stride + a - padding;
            if (row < 0 || row >= rows) continue;
            for (b = 0; b < kernel; b++) {
              int column = j * stride + b - padding;
              if (column < 0 || column >= columns) continue;
              sum += weight[((o * channels + c) * kernel + a) * kernel + b] * x[(c * rows + row) * columns + column];
            }
          }
        }
        y[(o * down + i) * across + j] = sum;
      }
    }
  }
}
