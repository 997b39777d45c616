/* Weights laid out as the tiles read them: a column is VL hidden units of one gate for every k, and the columns of one unit
 * block stand side by side, column = block * gates + gate. Lanes beyond the last unit are zero. Paired panels hold the weights
 * rounded to bfloat16: to the nearest, ties to even; what is no number stays none.
 */
#include "scan.h"

static void pack_column(real *to, int64_t step, const real *from, int64_t K, int64_t lanes) {
  for (int64_t k = 0; k < K; k++) {
    for (int64_t lane = 0; lane < lanes; lane++) to[k * step + lane] = from[lane * K + k];
    for (int64_t lane = lanes; lane < VL; lane++) to[k * step + lane] = 0;
  }
}

#if !defined(CONGRU_F64)
static uint32_t bfloat16_of(real x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  if (x != x) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

static void pack_paired_column(real *to, int64_t step, const real *from, int64_t K, int64_t lanes) {
  for (int64_t k = 0; k < K; k += 2, to += step) {
    uint32_t words[VEC_BYTES / sizeof(real)] = {0};
    for (int64_t lane = 0; lane < lanes; lane++) {
      words[lane] = bfloat16_of(from[lane * K + k]);
      if (k + 1 < K) words[lane] |= bfloat16_of(from[lane * K + k + 1]) << 16;
    }
    memcpy(to, words, sizeof(words));
  }
}
#endif

void NAME(pack)(const panels *packed, const real *weights, int64_t H, int64_t gates, int64_t first_gate, int64_t block0,
                int64_t block1) {
  int64_t K = packed->K, step = packed->width * VL;
  void (*pack_one)(real *, int64_t, const real *, int64_t, int64_t) = pack_column;
#if !defined(CONGRU_F64)
  if (packed->paired) pack_one = pack_paired_column;
#endif
  for (int64_t block = block0; block < block1; block++) {
    int64_t lanes = H - block * VL < VL ? H - block * VL : VL;
    for (int64_t gate = 0; gate < gates; gate++) {
      const real *from = weights + ((first_gate + gate) * H + block * VL) * K;
      pack_one(packed->at + panel_column(packed, block * gates + gate), step, from, K, lanes);
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
