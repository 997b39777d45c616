/* Tiles of a product with weights that are not packed: W [gates * H, K] as it lies, for calls too short to be worth a packing.
 *
 * A panel holds VL units side by side for every k; here those are VL rows. Sixteen bytes of each (QUAD values of k) are loaded
 * into the lanes of their units' group and transposed within the groups, so that every vector of weights holds what a panel
 * would: the chain over k, and so every bit, is the same. That is about three times the arithmetic of a packed tile and none of
 * its memory traffic. In registers: one column of up to MAX_ROWS rows. Assumes H >= VL, nothing about alignment.
 * Measurements: bench/few_steps.py.
 */
#include "tile.h"

/* Values of k in sixteen bytes. */
#if defined(CONGRU_F64)
#define QUAD 2
#else
#define QUAD 4
#endif

/* Sixteen bytes of row 0, of row QUAD, of row 2 * QUAD ..: one group of lanes each. */
INLINE vec load_groups(const real *row, int64_t K) {
#if VEC_BYTES == 64 && defined(CONGRU_F64)
  __m512d groups = _mm512_castpd128_pd512(_mm_loadu_pd(row));
  groups = _mm512_mask_broadcast_f64x2(groups, 0x0c, _mm_loadu_pd(row + QUAD * K));
  groups = _mm512_mask_broadcast_f64x2(groups, 0x30, _mm_loadu_pd(row + 2 * QUAD * K));
  return (vec)_mm512_mask_broadcast_f64x2(groups, 0xc0, _mm_loadu_pd(row + 3 * QUAD * K));
#elif VEC_BYTES == 64
  __m512 groups = _mm512_castps128_ps512(_mm_loadu_ps(row));
  groups = _mm512_mask_broadcast_f32x4(groups, 0x00f0, _mm_loadu_ps(row + QUAD * K));
  groups = _mm512_mask_broadcast_f32x4(groups, 0x0f00, _mm_loadu_ps(row + 2 * QUAD * K));
  return (vec)_mm512_mask_broadcast_f32x4(groups, 0xf000, _mm_loadu_ps(row + 3 * QUAD * K));
#elif VEC_BYTES == 32 && defined(CONGRU_F64)
  return (vec)_mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(row)), _mm_loadu_pd(row + QUAD * K), 1);
#elif VEC_BYTES == 32
  return (vec)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row)), _mm_loadu_ps(row + QUAD * K), 1);
#else
  (void)K;
  return load(row);
#endif
}

/* Within each group of lanes: values of two vectors, or pairs of values, in turn. */
#define OTHER LANE_COUNT
#if defined(CONGRU_F64)
#define ONES_LOW(g) g, g + OTHER
#define ONES_HIGH(g) g + 1, g + 1 + OTHER
#else
#define ONES_LOW(g) g, g + OTHER, g + 1, g + 1 + OTHER
#define ONES_HIGH(g) g + 2, g + 2 + OTHER, g + 3, g + 3 + OTHER
#define PAIRS_LOW(g) g, g + 1, g + OTHER, g + 1 + OTHER
#define PAIRS_HIGH(g) g + 2, g + 3, g + 2 + OTHER, g + 3 + OTHER
#endif
#if VEC_BYTES == 64
#define EVERY_GROUP(lanes) lanes(0), lanes(QUAD), lanes(2 * QUAD), lanes(3 * QUAD)
#elif VEC_BYTES == 32
#define EVERY_GROUP(lanes) lanes(0), lanes(QUAD)
#else
#define EVERY_GROUP(lanes) lanes(0)
#endif

/* weight[i] = value k + i of VL rows, `row` being at value k of the first. */
INLINE void load_quad(vec *weight, const real *row, int64_t K) {
#if defined(CONGRU_F64)
  vec even = load_groups(row, K), odd = load_groups(row + K, K);
  weight[0] = SHUFFLED_2(even, odd, EVERY_GROUP(ONES_LOW));
  weight[1] = SHUFFLED_2(even, odd, EVERY_GROUP(ONES_HIGH));
#else
  vec first = load_groups(row, K), second = load_groups(row + K, K);
  vec third = load_groups(row + 2 * K, K), fourth = load_groups(row + 3 * K, K);
  vec low_12 = SHUFFLED_2(first, second, EVERY_GROUP(ONES_LOW)), high_12 = SHUFFLED_2(first, second, EVERY_GROUP(ONES_HIGH));
  vec low_34 = SHUFFLED_2(third, fourth, EVERY_GROUP(ONES_LOW)), high_34 = SHUFFLED_2(third, fourth, EVERY_GROUP(ONES_HIGH));
  weight[0] = SHUFFLED_2(low_12, low_34, EVERY_GROUP(PAIRS_LOW));
  weight[1] = SHUFFLED_2(low_12, low_34, EVERY_GROUP(PAIRS_HIGH));
  weight[2] = SHUFFLED_2(high_12, high_34, EVERY_GROUP(PAIRS_LOW));
  weight[3] = SHUFFLED_2(high_12, high_34, EVERY_GROUP(PAIRS_HIGH));
#endif
}

/* acc[m] += sum over k of rows[m][k] * (value k of the VL weight rows from `weights` on). Those of the `next` column, one piece
 * of memory, are asked for meanwhile: VL streams at a time are more than the processor follows by itself. */
INLINE void column_body(const int R, vec *acc, const real *const *rows, const real *weights, int64_t K, const real *next) {
  const real *row[MAX_ROWS];
  vec sum[MAX_ROWS];
  int64_t k = 0;
  UNROLL for (int m = 0; m < R; m++) row[m] = rows[m], sum[m] = acc[m];
  for (; k + QUAD <= K; k += QUAD) {
    vec weight[QUAD];
    ASK_FOR(next + k * VL, QUAD * VL, 0);
    load_quad(weight, weights + k, K);
    UNROLL for (int i = 0; i < QUAD; i++) {
      UNROLL for (int m = 0; m < R; m++) sum[m] = vfma(splat(row[m][k + i]), weight[i], sum[m]);
    }
  }
  for (; k < K; k++) {
    real lanes[LANE_COUNT] __attribute__((aligned(VEC_BYTES)));
    UNROLL for (int64_t lane = 0; lane < VL; lane++) lanes[lane] = weights[lane * K + k];
    UNROLL for (int m = 0; m < R; m++) sum[m] = vfma(splat(row[m][k]), load(lanes), sum[m]);
  }
  UNROLL for (int m = 0; m < R; m++) acc[m] = sum[m];
}

typedef void column_fn(vec *acc, const real *const *rows, const real *weights, int64_t K, const real *next);
#define COLUMN(R)                                                                                                     \
  static void column_##R(vec *acc, const real *const *rows, const real *weights, int64_t K, const real *next) {       \
    column_body(R, acc, rows, weights, K, next);                                                                      \
  }
COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4) COLUMN(5) COLUMN(6) COLUMN(7) COLUMN(8)
static column_fn *const columns_of[MAX_ROWS + 1] = {NULL,     column_1, column_2, column_3, column_4,
                                                    column_5, column_6, column_7, column_8};

/* The first row of weights of a column; those of the last block end with the last unit, so its lanes are `beyond` to the right. */
INLINE const real *column_at(const panels *weights, int64_t column, int64_t *beyond) {
  int64_t unit = column / weights->width * VL, gate = column % weights->width;
  *beyond = unit + VL > weights->H ? unit + VL - weights->H : 0;
  return weights->unpacked + (gate * weights->H + unit - *beyond) * weights->K;
}

void NAME(tile_unpacked)(const panels *weights, int64_t R, int64_t C, const real *const *rows, int64_t c, const real *init,
                         real *out, int64_t out_row) {
  vec acc[MAX_ROWS];
  real shifted[2 * LANE_COUNT] __attribute__((aligned(VEC_BYTES))) = {0};
  for (int64_t j = 0; j < C; j++) {
    int64_t beyond, beyond_next;
    const real *column = column_at(weights, c + j, &beyond);
    const real *next = (c + j + 1) / weights->width * VL < weights->H ? column_at(weights, c + j + 1, &beyond_next) : column;
    vec start = init ? load(init + j * VL) : splat(0);
    if (beyond) {
      store(shifted + beyond, start);
      start = load(shifted);
    }
    for (int64_t m = 0; m < R; m++) acc[m] = start;
    columns_of[R](acc, rows, column, weights->K, next);
    for (int64_t m = 0; m < R; m++) {
      if (beyond) {
        store(shifted, acc[m]);
        store(shifted + VL, splat(0));
        acc[m] = load(shifted + beyond);
      }
      store(out + m * out_row + j * VL, acc[m]);
    }
  }
}
