/* Weights laid out as the tiles read them: a column is VL hidden units of one gate for every k, and the columns of one unit
 * block stand side by side, column = block * gates + gate. Lanes beyond the last unit are zero. Paired panels hold the weights
 * rounded to bfloat16: to the nearest, ties to even; what is no number stays none.
 *
 * W and U are stored the other way round, k side by side: VL x VL of them at a time are transposed in registers, so that
 * every load and every store is a whole vector.
 */
#include "scan.h"

/* Lanes of a pair of vectors, taken in turn from the first and the second: those of their lower or their upper halves. */
#if VEC_BYTES == 64 && !defined(CONGRU_F64)
#define LOWER 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VEC_BYTES == 64 || (VEC_BYTES == 32 && !defined(CONGRU_F64))
#define LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER 4, 12, 5, 13, 6, 14, 7, 15
#elif VEC_BYTES == 32 || !defined(CONGRU_F64)
#define LOWER 0, 4, 1, 5
#define UPPER 2, 6, 3, 7
#else
#define LOWER 0, 2
#define UPPER 1, 3
#endif

/* Swap rows and columns: interleaving row i with row i + VL / 2 moves the top bit of a row's number to the bottom of its
 * lane's, and the lane's top bit to the bottom of the row's; after log2(VL) rounds both numbers have changed places. */
INLINE void transpose(vec *row) {
  vec next[VEC_BYTES / sizeof(real)];
  UNROLL for (int64_t round = 1; round < VL; round *= 2) {
    UNROLL for (int64_t i = 0; i < VL / 2; i++) {
      next[2 * i] = SHUFFLED_2(row[i], row[i + VL / 2], LOWER);
      next[2 * i + 1] = SHUFFLED_2(row[i], row[i + VL / 2], UPPER);
    }
    UNROLL for (int64_t i = 0; i < VL; i++) row[i] = next[i];
  }
}

/* Rows k and k + 1 as one row of a panel's words: two bfloat16 each. */
INLINE vec pair(vec low, vec high) {
#if defined(CONGRU_F64)
  (void)high;
  return low;
#else
  return (vec)(bfloat16_above(low) >> 16 | (bfloat16_above(high) & 0xffff0000u));
#endif
}

/* One column: row k of it at to + k * step has from[lane * K + k] in each lane, zero from `lanes` on; paired, rows of two k. */
INLINE void pack_block(const int paired, real *to, int64_t step, const real *from, int64_t K, int64_t lanes) {
  vec row[VEC_BYTES / sizeof(real)];
  for (int64_t k = 0; k < K; k += VL) {
    int64_t rows = K - k < VL ? K - k : VL;
    if (lanes >= VL && rows == VL) {
      UNROLL for (int64_t lane = 0; lane < VL; lane++) row[lane] = load(from + lane * K + k);
    } else {
      for (int64_t lane = 0; lane < VL; lane++) row[lane] = lane < lanes ? load_block(from + lane * K + k, rows) : splat(0);
    }
    transpose(row);
    if (paired) {
      for (int64_t i = 0; i < rows; i += 2, to += step) store(to, pair(row[i], row[i + 1]));
    } else {
      for (int64_t i = 0; i < rows; i++, to += step) store(to, row[i]);
    }
  }
}

void NAME(pack)(const panels *packed, const real *weights, int64_t H, int64_t gates, int64_t first_gate, int64_t block0,
                int64_t block1) {
  int64_t K = packed->K, step = packed->width * VL;
  for (int64_t block = block0; block < block1; block++) {
    for (int64_t gate = 0; gate < gates; gate++) {
      real *to = packed->at + panel_column(packed, block * gates + gate);
      const real *from = weights + ((first_gate + gate) * H + block * VL) * K;
      if (packed->paired)
        pack_block(1, to, step, from, K, H - block * VL);
      else
        pack_block(0, to, step, from, K, H - block * VL);
    }
  }
}

void NAME(pack_transposed)(const panels *packed, const real *const *row, int64_t N, int64_t block0, int64_t block1) {
  for (int64_t block = block0; block < block1; block++) {
    real *to = packed->at + panel_column(packed, block);
    for (int64_t k = 0; k < packed->K; k++, to += packed->width * VL)
      store(to, load_block(row[k] + block * VL, N - block * VL));
  }
}

void NAME(pack_bias)(real *packed, const real *first, const real *second, int64_t H, int64_t gates, int64_t first_gate,
                     int64_t stride) {
  for (int64_t block = 0; block * VL < H; block++) {
    for (int64_t gate = 0; gate < gates; gate++) {
      for (int64_t lane = 0; lane < VL; lane++) {
        int64_t unit = block * VL + lane, at = (first_gate + gate) * H + unit;
        real a = first && unit < H ? first[at] : 0, b = second && unit < H ? second[at] : 0;
        packed[(block * stride + gate) * VL + lane] = a + b;
      }
    }
  }
}
