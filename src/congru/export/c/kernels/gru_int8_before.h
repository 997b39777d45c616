/* needs: integers */
/* A GRU in integers, reset before the product: `gates` [units] is working memory, `reset` [units] takes r h in int8. */
static void gru_int8_before(int16_t *h, const int8_t *x, const int8_t *seen, const int8_t *W, const int32_t *W_factors, int W_shift,
                            const int8_t *U, const int32_t *U_factors, int U_shift, const int32_t *bias, const int16_t *table,
                            float *gates, int8_t *reset, int inputs, int units) {
  int j, row;
  for (j = 0; j < units; j++) {
    int32_t r = gate(scaled_product(W + j * inputs, x, inputs, W_factors[j], W_shift) + bias[j] +
                         scaled_product(U + j * units, seen, units, U_factors[j], U_shift), table);
    int32_t rh = (r * h[j] + 16384) >> 15;
    reset[j] = (int8_t)(rh < 0 ? -((-rh * 127 + 16384) >> 15) : (rh * 127 + 16384) >> 15);
    row = units + j;
    gates[j] = (float)gate(scaled_product(W + row * inputs, x, inputs, W_factors[row], W_shift) + bias[row] +
                                 scaled_product(U + row * units, seen, units, U_factors[row], U_shift), table);
  }
  for (j = 0; j < units; j++) {
    int32_t n;
    row = 2 * units + j;
    n = scaled_product(W + row * inputs, x, inputs, W_factors[row], W_shift) + bias[row] +
        scaled_product(U + row * units, reset, units, U_factors[row], U_shift);
    n = 2 * gate(2 * n, table) - 32768;
    h[j] = (int16_t)(n + (((int32_t)gates[j] * (h[j] - n) + 16384) >> 15));
  }
}
