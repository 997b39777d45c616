/* Register tiles of a matrix product: R rows by C columns of VL lanes.
 *
 *   acc[m][c] = init[c];   for k: acc[m][c] = fma(a[m][k], b[k][c], acc[m][c])
 *
 * The R * C accumulators stay in registers for the whole chain over k; per k a tile loads C vectors of weights and R
 * broadcast inputs for R * C multiply-adds. With AVX-512 the wide tiles (8 x 3, 6 x 4) run at the multiply-add rate, the
 * flat ones (1 x 12) at the rate at which the level-2 cache delivers weights. Assumes nothing about alignment.
 * Measurements: bench/cell_speed.py.
 */
#include "tile.h"

#include <stddef.h>

INLINE void tile_body(const int R, const int C, const real *const *rows, int64_t a_step, int64_t K, const real *b,
                      int64_t b_step, const real *init, real *out, int64_t out_row) {
  vec acc[MAX_ROWS][MAX_COLUMNS], weight[MAX_COLUMNS];
  const real *row[MAX_ROWS];
  UNROLL for (int m = 0; m < R; m++) row[m] = rows[m];
  UNROLL for (int c = 0; c < C; c++) {
    vec start = init ? load(init + c * VL) : splat(0);
    UNROLL for (int m = 0; m < R; m++) acc[m][c] = start;
  }
  for (int64_t k = 0, ka = 0; k < K; k++, ka += a_step, b += b_step) {
    UNROLL for (int c = 0; c < C; c++) weight[c] = load(b + c * VL);
    UNROLL for (int m = 0; m < R; m++) {
      vec a = splat(row[m][ka]);
      UNROLL for (int c = 0; c < C; c++) acc[m][c] = vfma(a, weight[c], acc[m][c]);
    }
  }
  UNROLL for (int m = 0; m < R; m++) {
    UNROLL for (int c = 0; c < C; c++) store(out + m * out_row + c * VL, acc[m][c]);
  }
}

#define TILE(R, C)                                                                                                    \
  static void tile_##R##_##C(const real *const *rows, int64_t a_step, int64_t K, const real *b, int64_t b_step,       \
                             const real *init, real *out, int64_t out_row) {                                          \
    tile_body(R, C, rows, a_step, K, b, b_step, init, out, out_row);                                                  \
  }
TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 6) TILE(1, 8) TILE(1, 12)
TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(2, 4) TILE(2, 6)
TILE(3, 1) TILE(3, 2) TILE(3, 3) TILE(3, 4)
TILE(4, 1) TILE(4, 2) TILE(4, 3)
TILE(5, 1) TILE(5, 2) TILE(6, 1) TILE(6, 2) TILE(7, 1) TILE(8, 1)
#if ACCUMULATORS >= 24
TILE(2, 8) TILE(2, 12) TILE(3, 6) TILE(3, 8) TILE(4, 4) TILE(4, 6) TILE(5, 3) TILE(5, 4) TILE(6, 3) TILE(6, 4)
TILE(7, 2) TILE(7, 3) TILE(8, 2) TILE(8, 3)
#endif

#define AT(R, C) [R][C] = tile_##R##_##C
static tile_fn *const tiles[MAX_ROWS + 1][MAX_COLUMNS + 1] = {
    AT(1, 1), AT(1, 2), AT(1, 3), AT(1, 4), AT(1, 6), AT(1, 8), AT(1, 12), AT(2, 1), AT(2, 2), AT(2, 3), AT(2, 4), AT(2, 6),
    AT(3, 1), AT(3, 2), AT(3, 3), AT(3, 4), AT(4, 1), AT(4, 2), AT(4, 3),  AT(5, 1), AT(5, 2), AT(6, 1), AT(6, 2), AT(7, 1),
    AT(8, 1),
#if ACCUMULATORS >= 24
    AT(2, 8), AT(2, 12), AT(3, 6), AT(3, 8), AT(4, 4), AT(4, 6), AT(5, 3), AT(5, 4), AT(6, 3), AT(6, 4), AT(7, 2), AT(7, 3),
    AT(8, 2), AT(8, 3),
#endif
};

tile_fn *NAME(tile)(int64_t R, int64_t C) { return tiles[R][C]; }

/* Columns from c to the end of its panel, or to c1. */
INLINE int64_t left_in_panel(const panels *p, int64_t c, int64_t c1) {
  int64_t end = c - c % p->width + p->width;
  return (end < c1 ? end : c1) - c;
}

void NAME(product)(const real *const *rows, int64_t n, const panels *weights, int64_t c0, int64_t c1, int64_t unit,
                   const real *init, finish_fn *finish, void *context) {
  real out[ACCUMULATORS * VL] __attribute__((aligned(64)));
  if (n <= 0) return;
  int64_t most = tile_rows(n, unit);
  for (int64_t c = c0, C; c < c1; c += C) {
    C = tile_columns(most, left_in_panel(weights, c, c1), unit);
    const real *b = weights->at + panel_column(weights, c), *start = init ? init + c * VL : NULL;
    for (int64_t i = 0, R; i < n; i += R) {
      R = tile_rows(n - i, unit);
      tiles[R][C](rows + i, 1, weights->K, b, weights->width * VL, start, out, C * VL);
      finish(context, i, R, c, C, out);
    }
  }
}

void NAME(product_store)(const real *const *rows, int64_t n, const panels *weights, int64_t c0, int64_t c1, int64_t unit,
                         const real *init, real *out, int64_t out_row) {
  if (n <= 0) return;
  int64_t most = tile_rows(n, unit);
  for (int64_t c = c0, C; c < c1; c += C) {
    C = tile_columns(most, left_in_panel(weights, c, c1), unit);
    const real *b = weights->at + panel_column(weights, c), *start = init ? init + c * VL : NULL;
    for (int64_t i = 0, R; i < n; i += R) {
      R = tile_rows(n - i, unit);
      tiles[R][C](rows + i, 1, weights->K, b, weights->width * VL, start, out + i * out_row + c * VL, out_row);
    }
  }
}
