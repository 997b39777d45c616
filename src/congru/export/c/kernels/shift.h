/* needs: */
/* The last inputs, oldest first: the first leaves, x comes to the end. */
static void shift(float *past, const float *x, int kept, int size) {
  int i;
  for (i = 0; i < (kept - 1) * size; i++) past[i] = past[i + size];
  for (i = 0; i < size; i++) past[(kept - 1) * size + i] = x[i];
}
