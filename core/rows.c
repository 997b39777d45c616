/* Functions of the last axis of [N, F], one row at a time: layer norm and softmax; and sigmoid and tanh of every value.
 *
 *   layer norm:   (x - mean) / sqrt(variance + eps) * gain + bias
 *   softmax:      exp(x - m) / s    log: x - m - log(s)    m = max(x)   s = sum(exp(x - m))
 *
 * Sums are taken over 64 bytes of lanes whatever the instruction set: lane by lane along the row, then of lanes half as far
 * apart each time. So they depend on no other row, and AVX2 gives the bits of AVX-512. A row may be replaced by its result.
 */
#include <math.h>

#include "activations.h"
#include "scan.h"

/* Vectors of a block of 64 bytes, and the reals in it. */
#define WIDE (64 / VEC_BYTES)
#define BLOCK (WIDE * VL)

/* exp(u) of u <= 0: zero where it is below any normal number; NaN to NaN. */
INLINE vec vexp(vec u) {
  vec s, p = exp_parts(vmax(splat((real)-SIGMOID_LIMIT), u), &s);
  wholes vanishes = (wholes)(u < splat((real)-SIGMOID_LIMIT));
  return (vec)(~vanishes & (wholes)vfma(s, p, s));
}

INLINE vec total(vec *sum) {
  UNROLL for (int half = WIDE / 2; half > 0; half /= 2) {
    UNROLL for (int i = 0; i < half; i++) sum[i] += sum[i + half];
  }
  return lane_sum(sum[0]);
}

/* term of every vector of the row, added up; lanes beyond the end count as zero. `at` and `lanes` are in its sight. */
#define SUM_OVER_ROW(result, F, term)                                                                                 \
  do {                                                                                                                \
    vec sum_[WIDE];                                                                                                   \
    UNROLL for (int i_ = 0; i_ < WIDE; i_++) sum_[i_] = splat(0);                                                     \
    for (int64_t block_ = 0; block_ < (F); block_ += BLOCK) {                                                         \
      UNROLL for (int i_ = 0; i_ < WIDE; i_++) {                                                                      \
        int64_t at = block_ + i_ * VL, lanes = (F) - at;                                                              \
        if (lanes > 0) sum_[i_] += first_lanes(term, lanes);                                                          \
      }                                                                                                               \
    }                                                                                                                 \
    result = total(sum_);                                                                                             \
  } while (0)

static void norm_row(int64_t F, const real *x, const real *gain, const real *bias, real epsilon, real *y) {
  vec sum, squares;
  SUM_OVER_ROW(sum, F, load_block(x + at, lanes));
  vec mean = sum / splat((real)F);
  SUM_OVER_ROW(squares, F, (load_block(x + at, lanes) - mean) * (load_block(x + at, lanes) - mean));
  vec scale = splat(1 / (real)sqrt(squares[0] / (real)F + epsilon));
  for (int64_t at = 0; at < F; at += VL) {
    int64_t lanes = F - at;
    vec hat = (load_block(x + at, lanes) - mean) * scale, zero = splat(0);
    if (gain || bias) hat = vfma(gain ? load_block(gain + at, lanes) : splat(1), hat, bias ? load_block(bias + at, lanes) : zero);
    store_block(y + at, hat, lanes);
  }
}

void NAME(layer_norm)(int64_t N, int64_t F, const void *x, const void *gain, const void *bias, double epsilon, void *y) {
  for (int64_t i = 0; i < N; i++) norm_row(F, (const real *)x + i * F, gain, bias, (real)epsilon, (real *)y + i * F);
}

/* The largest of a row; a NaN may be passed over: it comes back in the sum. */
static real row_max(int64_t F, const real *x) {
  vec most = splat((real)-INFINITY);
  int64_t at = 0;
  for (; at + VL <= F; at += VL) most = vmax(load(x + at), most);
  real max = most[0];
  for (int64_t i = 1; i < VL; i++) max = most[i] > max ? most[i] : max;
  for (; at < F; at++) max = x[at] > max ? x[at] : max;
  return max;
}

static void softmax_row(int64_t logarithm, int64_t F, const real *x, real *y) {
  vec sum, max = splat(row_max(F, x));
  SUM_OVER_ROW(sum, F, vexp(load_block(x + at, lanes) - max));
  vec shift = splat((real)log((double)sum[0]));
  for (int64_t at = 0; at < F; at += VL) {
    vec u = load_block(x + at, F - at) - max;
    store_block(y + at, logarithm ? u - shift : vexp(u) / sum, F - at);
  }
}

void NAME(softmax)(int64_t logarithm, int64_t N, int64_t F, const void *x, void *y) {
  for (int64_t i = 0; i < N; i++) softmax_row(logarithm, F, (const real *)x + i * F, (real *)y + i * F);
}

void NAME(activation)(int64_t kind, int64_t n, const void *x, void *y) {
  for (int64_t i = 0; i < n; i += VL) {
    vec v = load_block((const real *)x + i, n - i);
    wholes none = (wholes)(v == splat((real)-INFINITY)); /* inside, gates stop at the smallest normal number */
    store_block((real *)y + i, kind ? vtanh(v) : (vec)(~none & (wholes)vsigmoid(v)), n - i);
  }
}
