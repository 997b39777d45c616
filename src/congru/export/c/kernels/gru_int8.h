/* needs: integers */
/* A GRU in integers, reset after the product: x, seen [units] in int8, the state h in 2^-15; b_n [units] stands inside the reset. */
static void gru_int8(int16_t *h, const int8_t *x, const int8_t *seen, const int8_t *W, const int32_t *W_factors, int W_shift,
                     const int8_t *U, const int32_t *U_factors, int U_shift, const int32_t *bias, const int32_t *b_n,
                     const int16_t *table, int inputs, int units) {
  int j, k;
  for (j = 0; j < units; j++) {
    int32_t a[3], u[3], r, z, n;
    for (k = 0; k < 3; k++) {
      int row = k * units + j;
      a[k] = scaled_product(W + row * inputs, x, inputs, W_factors[row], W_shift) + bias[row];
      u[k] = scaled_product(U + row * units, seen, units, U_factors[row], U_shift);
    }
    r = gate(a[0] + u[0], table);
    z = gate(a[1] + u[1], table);
    n = a[2] + (int32_t)(((int64_t)r * (u[2] + b_n[j]) + 16384) >> 15);
    n = 2 * gate(2 * n, table) - 32768;
    h[j] = (int16_t)(n + ((z * (h[j] - n) + 16384) >> 15));
  }
}
