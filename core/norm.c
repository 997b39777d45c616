/* Layer norm, forward.
 *
 *   hat = (a - mean(a)) s   s = 1 / sqrt(mean((a - mean(a))^2) + eps)   over the H units of a gate;   W x + b becomes g hat + b
 *   "dreamer": a = W x + U h + b_h over the 3H units of all gates
 *
 * W and U are centred before they are packed, so that a already has mean zero: one pass over a row sums its squares, a second
 * scales it; c' has a mean. A row's sums are taken in one order whatever stands beside it: lane by lane over the blocks, then
 * lanes in pairs. Measurements: results/options_speed.json.
 */
#include <math.h>

#include "forward.h"

#define EPSILON ((real)1e-5)
#define DREAMER_EPSILON ((real)1e-3)

/* The mean of K-wide rows [row, row + n) at column k. */
INLINE vec mean_row(const real *weights, int64_t K, int64_t row, int64_t n, int64_t k) {
  vec sum = splat(0);
  for (int64_t end = row + n; row < end; row++) sum += load_block(weights + row * K + k, K - k);
  return sum / splat((real)n);
}

void NAME(centre)(real *centred, const real *weights, int64_t K, int64_t H, int64_t gates, norm_form norm, int64_t block0,
                  int64_t block1) {
  int64_t unit1 = block1 * VL < H ? block1 * VL : H, all = norm == NORM_OF_ALL;
  for (int64_t k = 0; k < K; k += VL) {
    vec mean = splat(0);
    for (int64_t gate = 0; gate < gates; gate++) {
      if (gate == 0 || !all) mean = mean_row(weights, K, gate * H, all ? gates * H : H, k);
      for (int64_t unit = block0 * VL; unit < unit1; unit++) {
        int64_t at = (gate * H + unit) * K + k;
        store_block(centred + at, load_block(weights + at, K - k) - mean, K - k);
      }
    }
  }
}

/* 1 / sqrt(mean + eps) of n squares, summed lane by lane. */
INLINE vec scale_of(vec squares, int64_t n, real eps) { return splat(1 / (real)sqrt(lane_sum(squares)[0] / (real)n + eps)); }

/* What a norm of gates reads and keeps, and where. */
typedef struct {
  const real *gain, *bias;
  int64_t H, u0, u1;    /* units of the norm; unit blocks wanted */
  real *hat, *scale;    /* kept, or NULL */
} norm_of_row;

/* Blocks [u0, u1) of out = g hat + b, for one row [block, gate, VL] of centred sums of G gates. */
INLINE void normalise(const int G, real *out, const real *row, const norm_of_row *norm) {
  vec squares[4], scale[4];
  int64_t H = norm->H;
  UNROLL for (int gate = 0; gate < G; gate++) squares[gate] = splat(0);
  for (int64_t block = 0; block * VL < H; block++) {
    UNROLL for (int gate = 0; gate < G; gate++) {
      vec a = load(row + (G * block + gate) * VL);
      squares[gate] = vfma(a, a, squares[gate]);
    }
  }
  UNROLL for (int gate = 0; gate < G; gate++) {
    scale[gate] = scale_of(squares[gate], H, EPSILON);
    if (norm->hat && norm->u0 == 0) norm->scale[gate] = scale[gate][0];
  }
  for (int64_t block = norm->u0; block < norm->u1; block++) {
    UNROLL for (int gate = 0; gate < G; gate++) {
      int64_t at = (G * block + gate) * VL;
      vec hat = load(row + at) * scale[gate];
      if (norm->hat) store_block(norm->hat + gate * H + block * VL, hat, H - block * VL);
      store(out + at, vfma(load(norm->gain + at), hat, load(norm->bias + at)));
    }
  }
}

static void normalise_gates(int64_t G, real *out, const real *row, const norm_of_row *norm) {
  if (G == 4) normalise(4, out, row, norm);
  if (G == 3) normalise(3, out, row, norm);
  if (G == 2) normalise(2, out, row, norm);
  if (G == 1) normalise(1, out, row, norm);
}

/* The same for "dreamer": one norm of the three gates of W x + b_h and U h. */
static void normalise_all(real *out, const real *xp, const real *uh, const norm_of_row *norm) {
  vec squares[3] = {splat(0), splat(0), splat(0)};
  int64_t H = norm->H;
  for (int64_t block = 0; block * VL < H; block++) {
    UNROLL for (int gate = 0; gate < 3; gate++) {
      vec a = load(xp + (3 * block + gate) * VL) + load(uh + (3 * block + gate) * VL);
      squares[gate] = vfma(a, a, squares[gate]);
    }
  }
  vec scale = scale_of(squares[0] + squares[1] + squares[2], 3 * H, DREAMER_EPSILON);
  if (norm->hat && norm->u0 == 0) norm->scale[0] = scale[0];
  for (int64_t block = norm->u0; block < norm->u1; block++) {
    UNROLL for (int gate = 0; gate < 3; gate++) {
      int64_t at = (3 * block + gate) * VL;
      vec hat = (load(xp + at) + load(uh + at)) * scale;
      if (norm->hat) store_block(norm->hat + gate * H + block * VL, hat, H - block * VL);
      store(out + at, vfma(load(norm->gain + at), hat, load(norm->bias + at)));
    }
  }
}

/* The norm that begins with the kept norm number `first` of a row, its scale behind all N norms. */
INLINE norm_of_row norm_of(const forward_worker *w, const scan_row *row, const real *gain, const real *bias, int64_t first) {
  const congru_call *call = w->call;
  int64_t H = call->H, scales = num_norms(call) * H;
  real *kept = call->norms ? (real *)call->norms + (row->b * call->T + row->t) * norms_row(call) : NULL;
  return (norm_of_row){gain, bias, H, w->u0, w->u1, kept ? kept + first * H : NULL, kept ? kept + scales + first : NULL};
}

void NAME(normalise_inputs)(const forward_worker *w, int64_t i0, int64_t i1) {
  int64_t H = w->call->H;
  for (int64_t i = i0; i < i1; i++) {
    norm_of_row norm = norm_of(w, w->table.row + i, w->packed.gain_x, w->packed.bias_x, 0);
    norm.u0 = 0, norm.u1 = w->padded / VL;
    const real *later = i + NORMS_AHEAD < i1 ? norm_of(w, w->table.row + i + NORMS_AHEAD, NULL, NULL, 0).hat : NULL;
    if (later) ASK_FOR(later, w->gates * H, 1);
    real *row = w->xp + i * w->gates * w->padded;
    normalise_gates(w->gates, row, row, &norm);
  }
}

void NAME(finish_normalised)(forward_worker *w, int64_t n) {
  static finish_fn *const finish[] = {NAME(gru_finish), NAME(gru_before_finish_rz), NAME(lstm_finish)};
  int64_t unit = recurrent_unit(w->call->cell), c = unit * w->u0, C = unit * (w->u1 - w->u0);
  int all = w->packed.norm == NORM_OF_ALL;
  int64_t states = norms_row(w->call) - norms_of_states(w->call), next = (w->call->reverse ? -1 : 1) * norms_row(w->call);
  for (int64_t i = 0; i < n; i++) {
    const real *uh = w->uh + i * unit * w->padded;
    norm_of_row norm = norm_of(w, w->row + i, w->packed.gain_h, w->packed.bias_h, all ? 0 : w->gates);
    if (norm.hat && !w->row[i].last) ASK_FOR(norm.hat + next, states, 1);
    if (all) {
      normalise_all(w->normed, w->xp_of_step + i * 3 * w->padded, uh, &norm);
      NAME(gru_row)(w, w->row + i, w->packed.zeros, w->normed + c * VL, c, C);
    } else {
      normalise_gates(unit, w->normed, uh, &norm);
      finish[w->call->cell](w, i, 1, c, C, w->normed + c * VL);
    }
  }
}

void NAME(finish_normalised_n)(forward_worker *w, int64_t n) {
  const real *gain = w->packed.gain_h + 2 * w->padded, *bias = w->packed.bias_h + 2 * w->padded;
  for (int64_t i = 0; i < n; i++) {
    norm_of_row norm = norm_of(w, w->row + i, gain, bias, 5);
    normalise_gates(1, w->normed, w->uh + i * w->padded, &norm);
    NAME(gru_before_finish_n)(w, i, 1, w->u0, w->u1 - w->u0, w->normed + w->u0 * VL);
  }
}

void NAME(finish_normalised_c)(forward_worker *w, int64_t n) {
  int64_t H = w->call->H;
  for (int64_t i = 0; i < n; i++) {
    const scan_row *row = w->row + i;
    const real *c = state_at(w, w->c_new, row), *o = state_at(w, w->o, row);
    norm_of_row norm = norm_of(w, row, w->packed.gain_c, w->packed.bias_c, 8);
    vec sum = splat(0), squares = splat(0);
    for (int64_t at = 0; at < H; at += VL) sum += load(c + at);
    vec mean = lane_sum(sum) / splat((real)H);
    for (int64_t at = 0; at < H; at += VL) {
      vec a = first_lanes(load(c + at) - mean, H - at);
      squares = vfma(a, a, squares);
    }
    vec scale = scale_of(squares, H, EPSILON);
    if (norm.hat && w->u0 == 0) norm.scale[0] = scale[0];
    for (int64_t block = w->u0, at = block * VL; block < w->u1; block++, at += VL) {
      vec hat = (load(c + at) - mean) * scale;
      if (norm.hat) store_block(norm.hat + at, hat, H - at);
      put_h(w, row, block, load(o + at) * vtanh(vfma(load(norm.gain + at), hat, load(norm.bias + at))));
    }
  }
}
