/* needs: */
/* One row of a matrix that lies in panels, as dense reads it. */
static void panel_row(float *y, const float *weight, int row, int rows, int columns) {
  int k, panel = row / 32, width = rows - 32 * panel < 32 ? rows - 32 * panel : 32;
  weight += 32 * panel * columns + row % 32;
  for (k = 0; k < columns; k++) y[k] = weight[k * width];
}
