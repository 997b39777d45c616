/* Layer norm of both projections of the GRU (reset after), forward and backward.
 *
 *   hat = (a - mean(a)) s   s = 1 / sqrt(mean((a - mean(a))^2) + eps)   over the H units of a gate;   W x + b becomes g hat + b
 *   da = s (e - mean(e) - hat mean(e hat)),   e = g dG
 *
 * W and U are centred before they are packed, so that a already has mean zero: one pass over a row sums its squares, a second scales it. A
 * row's sums are taken in one order whatever stands beside it: lane by lane over the blocks, then lanes in pairs. The backward
 * reads hat and s from `norms`. Measurements: results/options_speed.json.
 */
#include <math.h>

#include "backward.h"
#include "forward.h"

#define EPSILON ((real)1e-5)

INLINE real lane_sum(vec v) {
  real lane[VEC_BYTES / sizeof(real)] __attribute__((aligned(VEC_BYTES)));
  store(lane, v);
  UNROLL for (int half = VEC_BYTES / sizeof(real) / 2; half; half /= 2) {
    UNROLL for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  }
  return lane[0];
}

void NAME(centre)(real *centred, const real *weights, int64_t K, int64_t H, int64_t gates, int64_t block0, int64_t block1) {
  int64_t unit1 = block1 * VL < H ? block1 * VL : H;
  for (int64_t gate = 0; gate < gates; gate++) {
    for (int64_t k = 0; k < K; k += VL) {
      vec sum = splat(0);
      for (int64_t unit = 0; unit < H; unit++) sum += load_block(weights + (gate * H + unit) * K + k, K - k);
      vec mean = sum / splat((real)H);
      for (int64_t unit = block0 * VL; unit < unit1; unit++) {
        int64_t at = (gate * H + unit) * K + k;
        store_block(centred + at, load_block(weights + at, K - k) - mean, K - k);
      }
    }
  }
}

/* Blocks [u0, u1) of out = g hat + b, for one row [block, gate, VL] of centred sums; hat and s go to `kept` + gate * H and
 * `scales`, where given. */
static void normalise(real *out, const real *row, const real *gain, const real *bias, int64_t H, int64_t u0, int64_t u1,
                      real *kept, real *scales) {
  vec squares[3] = {splat(0), splat(0), splat(0)}, scale[3];
  for (int64_t block = 0; block * VL < H; block++) {
    UNROLL for (int gate = 0; gate < 3; gate++) {
      vec a = load(row + (3 * block + gate) * VL);
      squares[gate] = vfma(a, a, squares[gate]);
    }
  }
  UNROLL for (int gate = 0; gate < 3; gate++) {
    real s = 1 / (real)sqrt(lane_sum(squares[gate]) / (real)H + EPSILON);
    if (scales && u0 == 0) scales[gate] = s;
    scale[gate] = splat(s);
  }
  for (int64_t block = u0; block < u1; block++) {
    UNROLL for (int gate = 0; gate < 3; gate++) {
      int64_t at = (3 * block + gate) * VL;
      vec hat = load(row + at) * scale[gate];
      if (kept) store_block(kept + gate * H + block * VL, hat, H - block * VL);
      store(out + at, vfma(load(gain + at), hat, load(bias + at)));
    }
  }
}

/* Where a row's norms are kept, or NULL. */
INLINE real *kept_of(const congru_call *call, const scan_row *row) {
  return call->norms ? (real *)call->norms + (row->b * call->T + row->t) * (6 * call->H + 6) : NULL;
}

void NAME(normalise_inputs)(const forward_worker *w, int64_t i0, int64_t i1) {
  int64_t H = w->call->H;
  for (int64_t i = i0; i < i1; i++) {
    real *kept = kept_of(w->call, w->table.row + i), *row = w->xp + i * 3 * w->padded;
    normalise(row, row, w->packed.gain_x, w->packed.bias_x, H, 0, w->padded / VL, kept, kept ? kept + 6 * H : NULL);
  }
}

void NAME(finish_normalised)(forward_worker *w, int64_t n) {
  int64_t H = w->call->H, from = 3 * w->u0 * VL;
  for (int64_t i = 0; i < n; i++) {
    real *kept = kept_of(w->call, w->row + i);
    normalise(w->normed, w->uh + i * 3 * w->padded, w->packed.gain_h, w->packed.bias_h, H, w->u0, w->u1,
              kept ? kept + 3 * H : NULL, kept ? kept + 6 * H + 3 : NULL);
    NAME(gru_finish)(w, i, 1, 3 * w->u0, 3 * (w->u1 - w->u0), w->normed + from);
  }
}

/* Units [j0, j1) of da from dG, for the three gates of a row side by side: gate g stands in block (g + rotate) % 3. */
INLINE void norm_backward(real *da, const real *dG, const int rotate, const real *gain, const real *hat, const real *scale,
                          int64_t H, int64_t j0, int64_t j1) {
  vec sum[3] = {splat(0), splat(0), splat(0)}, along[3] = {splat(0), splat(0), splat(0)};
  for (int64_t j = 0; j < H; j += VL) {
    UNROLL for (int gate = 0; gate < 3; gate++) {
      vec e = load_block(dG + (gate + rotate) % 3 * H + j, H - j) * load_block(gain + gate * H + j, H - j);
      sum[gate] += e;
      along[gate] = vfma(e, load_block(hat + gate * H + j, H - j), along[gate]);
    }
  }
  vec mean[3], slope[3];
  UNROLL for (int gate = 0; gate < 3; gate++) {
    mean[gate] = splat(lane_sum(sum[gate]) / (real)H);
    slope[gate] = splat(lane_sum(along[gate]) / (real)H);
  }
  for (int64_t j = j0; j < j1; j += VL) {
    UNROLL for (int gate = 0; gate < 3; gate++) {
      int64_t at = (gate + rotate) % 3 * H + j;
      vec e = load_block(dG + at, H - j) * load_block(gain + gate * H + j, H - j) - mean[gate];
      store_block(da + at, vfma(-slope[gate], load_block(hat + gate * H + j, H - j), e) * splat(scale[gate]), H - j);
    }
  }
}

/* Places of the gates in dG: n, r, z for W, then r, z, hn for U. */
void NAME(norm_backward_states)(const backward_worker *w, int64_t i) {
  const real *norms = norms_of(w, w->table.row + i);
  int64_t H = w->call->H, at = i * w->dG_row + H;
  norm_backward(w->dG_U + at, w->dG + at, 0, w->call->g_h, norms + 3 * H, norms + 6 * H + 3, H, w->u0 * VL,
                w->u1 * VL < H ? w->u1 * VL : H);
}

void NAME(norm_backward_inputs)(const backward_worker *w, int64_t i0, int64_t i1) {
  int64_t H = w->call->H;
  for (int64_t i = i0; i < i1; i++) {
    const real *norms = norms_of(w, w->table.row + i);
    norm_backward(w->dG_W + i * w->dG_row, w->dG + i * w->dG_row, 1, w->call->g_i, norms, norms + 6 * H, H, 0, H);
  }
}

void NAME(add_gain_sums)(real *out, const backward_worker *w, int64_t place, int64_t norm, int64_t n, int64_t m0, int64_t m1) {
  int64_t H = w->call->H;
  for (int64_t m = m0; m < m1; m += VL) {
    int64_t lanes = m1 - m;
    vec sum = load_block(out + m, lanes);
    for (int64_t i = 0; i < n; i++) {
      const real *hat = norms_of(w, w->table.row + i) + norm * H;
      sum = vfma(load_block(w->dG + i * w->dG_row + place * H + m, lanes), load_block(hat + m, lanes), sum);
    }
    store_block(out + m, sum, lanes);
  }
}
