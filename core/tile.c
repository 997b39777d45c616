/* Register tiles of a matrix product: R rows by C columns of VL lanes.
 *
 *   acc[m][c] = init[c];   for k: acc[m][c] = fma(a[m][k], b[k][c], acc[m][c])
 *
 * The R * C accumulators stay in registers for the whole chain over k; per k a tile loads C vectors of weights and R
 * broadcast inputs for R * C multiply-adds. With AVX-512 the wide tiles (8 x 3, 6 x 4) run at the multiply-add rate, the
 * flat ones (1 x 12) at the rate at which the level-2 cache delivers weights: bfloat16 ones, two to a word, are half the bytes
 * and widened on the way into their registers. Assumes nothing about alignment.
 * Measurements: bench/cell_speed.py.
 */
#include "tile.h"

#include <stddef.h>

/* A vector of weights: reals, or the low or high halves of words of two bfloat16. */
enum { FULL, LOW, HIGH };
INLINE vec weights_at(const real *b, const int form) {
#if defined(CONGRU_F64)
  (void)form;
  return load(b);
#else
  if (form == FULL) return load(b);
  wholes words = (wholes)load(b);
  return (vec)(form == LOW ? words << 16 : words & 0xffff0000u);
#endif
}

/* acc += a b for one k. */
INLINE void multiply_add(const int R, const int C, vec (*acc)[MAX_COLUMNS], const real *const *row, int64_t ka, const real *b,
                         const int form) {
  vec weight[MAX_COLUMNS];
  UNROLL for (int c = 0; c < C; c++) weight[c] = weights_at(b + c * VL, form);
  UNROLL for (int m = 0; m < R; m++) {
    vec a = splat(row[m][ka]);
    UNROLL for (int c = 0; c < C; c++) acc[m][c] = vfma(a, weight[c], acc[m][c]);
  }
}

INLINE void tile_body(const int R, const int C, const int paired, const real *const *rows, int64_t a_step, int64_t K,
                      const real *b, int64_t b_step, const real *init, real *out, int64_t out_row) {
  vec acc[MAX_ROWS][MAX_COLUMNS];
  const real *row[MAX_ROWS];
  UNROLL for (int m = 0; m < R; m++) row[m] = rows[m];
  UNROLL for (int c = 0; c < C; c++) {
    vec start = init ? load(init + c * VL) : splat(0);
    UNROLL for (int m = 0; m < R; m++) acc[m][c] = start;
  }
  if (paired) {
    int64_t k = 0;
    for (; k + 1 < K; k += 2, b += b_step) {
      multiply_add(R, C, acc, row, k * a_step, b, LOW);
      multiply_add(R, C, acc, row, (k + 1) * a_step, b, HIGH);
    }
    if (k < K) multiply_add(R, C, acc, row, k * a_step, b, LOW);
  } else {
    for (int64_t k = 0, ka = 0; k < K; k++, ka += a_step, b += b_step) multiply_add(R, C, acc, row, ka, b, FULL);
  }
  UNROLL for (int m = 0; m < R; m++) {
    UNROLL for (int c = 0; c < C; c++) store(out + m * out_row + c * VL, acc[m][c]);
  }
}

/* Every tile there is, R by C. */
#if ACCUMULATORS >= 24
#define WIDE_TILES(T)                                                                                                 \
  T(2, 8) T(2, 12) T(3, 6) T(3, 8) T(4, 4) T(4, 6) T(5, 3) T(5, 4) T(6, 3) T(6, 4) T(7, 2) T(7, 3) T(8, 2) T(8, 3)
#else
#define WIDE_TILES(T)
#endif
#define TILES(T)                                                                                                      \
  T(1, 1) T(1, 2) T(1, 3) T(1, 4) T(1, 6) T(1, 8) T(1, 12) T(2, 1) T(2, 2) T(2, 3) T(2, 4) T(2, 6) T(3, 1) T(3, 2)    \
  T(3, 3) T(3, 4) T(4, 1) T(4, 2) T(4, 3) T(5, 1) T(5, 2) T(6, 1) T(6, 2) T(7, 1) T(8, 1) WIDE_TILES(T)

#define DEFINE(name, R, C, paired)                                                                                    \
  static void name##_##R##_##C(const real *const *rows, int64_t a_step, int64_t K, const real *b, int64_t b_step,     \
                               const real *init, real *out, int64_t out_row) {                                        \
    tile_body(R, C, paired, rows, a_step, K, b, b_step, init, out, out_row);                                          \
  }
typedef tile_fn *tile_table[MAX_ROWS + 1][MAX_COLUMNS + 1];

#define DEFINE_PLAIN(R, C) DEFINE(plain, R, C, 0)
#define PLAIN_AT(R, C) [R][C] = plain_##R##_##C,
TILES(DEFINE_PLAIN)
static const tile_table plain_tiles = {TILES(PLAIN_AT)};

#if defined(CONGRU_F64)
#define tiles_of(weights) plain_tiles
#else
#define DEFINE_PAIRED(R, C) DEFINE(paired, R, C, 1)
#define PAIRED_AT(R, C) [R][C] = paired_##R##_##C,
TILES(DEFINE_PAIRED)
static const tile_table paired_tiles = {TILES(PAIRED_AT)};
#define tiles_of(weights) ((weights)->paired ? paired_tiles : plain_tiles)
#endif

tile_fn *NAME(tile)(int64_t R, int64_t C) { return plain_tiles[R][C]; }

/* Columns from c to the end of its panel, or to c1. */
INLINE int64_t left_in_panel(const panels *p, int64_t c, int64_t c1) {
  int64_t end = c - c % p->width + p->width;
  return (end < c1 ? end : c1) - c;
}

/* The tile of R rows and columns c .. c + C - 1. */
INLINE void run_tile(const panels *weights, int64_t R, int64_t C, const real *const *rows, int64_t c, const real *init, real *out,
                     int64_t out_row) {
  const real *start = init ? init + c * VL : NULL;
  if (weights->unpacked)
    NAME(tile_unpacked)(weights, R, C, rows, c, start, out, out_row);
  else
    tiles_of(weights)[R][C](rows, 1, weights->K, weights->at + panel_column(weights, c), weights->width * VL, start, out, out_row);
}

void NAME(product)(const real *const *rows, int64_t n, const panels *weights, int64_t c0, int64_t c1, int64_t unit,
                   const real *init, finish_fn *finish, void *context) {
  real out[ACCUMULATORS * VL] __attribute__((aligned(64)));
  if (n <= 0) return;
  int64_t most = tile_rows(n, unit);
  for (int64_t c = c0, C; c < c1; c += C) {
    C = tile_columns(most, left_in_panel(weights, c, c1), unit);
    for (int64_t i = 0, R; i < n; i += R) {
      R = tile_rows(n - i, unit);
      run_tile(weights, R, C, rows + i, c, init, out, C * VL);
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
    for (int64_t i = 0, R; i < n; i += R) {
      R = tile_rows(n - i, unit);
      run_tile(weights, R, C, rows + i, c, init, out + i * out_row + c * VL, out_row);
    }
  }
}
