/* The one product kernel of the core: every matrix product, forward and backward, is made of these tiles. */
#ifndef CONGRU_TILE_H
#define CONGRU_TILE_H

#include "vec.h"

#define MAX_ROWS 8
#define MAX_COLUMNS 12

/* out[m][c] = init[c] + sum over k < K of rows[m][k * a_step] * b[k * b_step + c * VL], for m < R rows and c < C columns of VL
 * lanes; out[m] is at out + m * out_row, its columns side by side; init (C * VL, or NULL = zeros) is shared by the rows. Each
 * lane is one ordered chain over k, so no other size changes its bits. */
typedef void tile_fn(const real *const *rows, int64_t a_step, int64_t K, const real *b, int64_t b_step, const real *init,
                     real *out, int64_t out_row);

/* The kernel of R rows and C columns: NULL where it was not compiled. */
tile_fn *NAME(tile)(int64_t R, int64_t C);

/* Rows of the next tile when `left` rows remain and tiles hold `unit` columns or a multiple: near-equal tiles. */
INLINE int64_t tile_rows(int64_t left, int64_t unit) {
  int64_t widest = unit == 1 && ACCUMULATORS < 24 ? 4 : MAX_ROWS;
  int64_t most = ACCUMULATORS / unit < widest ? ACCUMULATORS / unit : widest;
  int64_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

/* Columns of a tile of R rows when `left` remain: a multiple of `unit`. */
INLINE int64_t tile_columns(int64_t R, int64_t left, int64_t unit) {
  static const int64_t widths[] = {12, 8, 6, 4, 3, 2, 1};
  UNROLL for (int i = 0; i < 7; i++) {
    if (widths[i] <= left && widths[i] % unit == 0 && R * widths[i] <= ACCUMULATORS) return widths[i];
  }
  return unit;
}

/* Packed weights: panels of `width` columns, [panel_rows][width][VL] words each, so that a tile as wide as its panel reads it
 * from end to end; a narrower tile reads some of its columns. A word is a real; `paired`, it is two bfloat16, of k = 2 row (its
 * low half) and k = 2 row + 1.
 * Or weights that are not packed: [width * H, K] at `unpacked`, a panel being the `width` gates of a block; H >= VL. */
typedef struct {
  real *at;
  int64_t K, width, paired;
  const real *unpacked; /* NULL: packed */
  int64_t H;
} panels;
INLINE int64_t panel_rows(const panels *p) { return p->paired ? (p->K + 1) / 2 : p->K; }
INLINE int64_t panel_column(const panels *p, int64_t column) {
  return (column / p->width * panel_rows(p) * p->width + column % p->width) * VL;
}
INLINE int64_t panels_size(const panels *p, int64_t columns) {
  return (columns + p->width - 1) / p->width * panel_rows(p) * p->width * VL;
}
/* Width of the panels for tiles over `rows` rows, the columns used in units of `unit`. */
INLINE int64_t panel_width(int64_t rows, int64_t unit) {
  return tile_columns(tile_rows(rows < 1 ? 1 : rows, unit), MAX_COLUMNS, unit);
}

/* A tile of columns c .. c + C - 1 of weights that are not packed, one after the other; else as a tile_fn. */
void NAME(tile_unpacked)(const panels *weights, int64_t R, int64_t C, const real *const *rows, int64_t c, const real *init,
                         real *out, int64_t out_row);

/* What happens to a finished tile: its rows are first .. first + R - 1 of the row list, its columns c .. c + C - 1, and
 * tile[m] is at tile + m * C * VL. */
typedef void finish_fn(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile);

/* All tiles of rows[0 .. n) by columns [c0, c1) of packed weights; c0, c1 and the panels' width are multiples of unit. */
void NAME(product)(const real *const *rows, int64_t n, const panels *weights, int64_t c0, int64_t c1, int64_t unit,
                   const real *init, finish_fn *finish, void *context);

/* The same, stored: row i of the result at out + i * out_row, column c at c * VL in it. */
void NAME(product_store)(const real *const *rows, int64_t n, const panels *weights, int64_t c0, int64_t c1, int64_t unit,
                         const real *init, real *out, int64_t out_row);

#endif
