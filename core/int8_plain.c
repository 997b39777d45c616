/* The integer kernel in plain C: rows of weights as they came, every sum in its own loop, which the compiler makes vectors of.
 *
 * It runs everywhere (on ARM the compiler writes it for NEON), and is what the other kernels are compared with, bit for bit.
 */
#include "int8.h"

/* Elsewhere than in this loop vectors would only be larger. */
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("tree-vectorize")))
#endif
static int32_t product(const int8_t *weight, const int16_t *x, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (int16_t)weight[i] * x[i];
  return sum;
}

/* What row `row` of a matrix and of its state or input comes to. */
static int32_t sum_of(const int8_matrix *matrix, int64_t row, const int16_t *x) {
  return int8_scaled(product(matrix->weight + row * matrix->columns, x, matrix->columns), matrix->factors[row], matrix->shift);
}

static void step_row(const congru_int8 *net, const float *x, int16_t *h, float *y, char *scratch) {
  int64_t H = net->H;
  int32_t *z = (int32_t *)scratch;
  int16_t *x8 = (int16_t *)(z + H), *h8 = x8 + net->I, *rh = h8 + H;
  for (int64_t i = 0; i < net->I; i++) { /* half away from zero */
    float v = x[i] * net->inverse;
    v = v < -127.0f ? -127.0f : v > 127.0f ? 127.0f : v;
    x8[i] = (int16_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
  }
  for (int64_t j = 0; j < H; j++) h8[j] = (int16_t)int8_eighths(h[j]);
  for (int64_t j = 0; j < H; j++) {
    int32_t r = int8_gate(sum_of(&net->W, j, x8) + net->bias[j] + sum_of(&net->U, j, h8), net->table);
    z[j] = int8_gate(sum_of(&net->W, H + j, x8) + net->bias[H + j] + sum_of(&net->U, H + j, h8), net->table);
    if (net->before) {
      rh[j] = (int16_t)int8_eighths((r * h[j] + 16384) >> 15);
      continue;
    }
    int32_t u = sum_of(&net->U, 2 * H + j, h8) + net->b_n[j];
    int32_t n = int8_tanh(sum_of(&net->W, 2 * H + j, x8) + net->bias[2 * H + j] + (int32_t)(((int64_t)r * u + 16384) >> 15),
                          net->table);
    h[j] = (int16_t)(n + ((z[j] * (h[j] - n) + 16384) >> 15));
  }
  for (int64_t j = 0; net->before && j < H; j++) {
    int32_t n = int8_tanh(sum_of(&net->W, 2 * H + j, x8) + net->bias[2 * H + j] + sum_of(&net->U_n, j, rh), net->table);
    h[j] = (int16_t)(n + ((z[j] * (h[j] - n) + 16384) >> 15));
  }
  for (int64_t j = 0; y && j < H; j++) y[j] = (float)h[j] * (1.0f / 32768.0f);
}

static void step(const congru_int8 *net, int64_t n, const float *const *x, int16_t *const *h, float *const *y, char *scratch) {
  for (int64_t row = 0; row < n; row++) step_row(net, x[row], h[row], y[row], scratch);
}

const int8_kernel congru_int8_plain = {"plain", 1, 0, 1, step};
