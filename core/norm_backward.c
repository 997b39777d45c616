/* Layer norm, backward, from the hat and s that the forward kept in `norms`.
 *
 *   da = s (e - mean(e) - hat mean(e hat)),   e = g dG   over the H units of a gate; "dreamer": over the 3H of all gates
 *   dg = sum of dG hat   db = sum of dG
 *
 * dG_U is made step by step, as the scan needs it; dG_W and the sums when the scan is through with the chunk, NORM_ROWS rows at
 * a time, whatever the number of threads: sums over fixed parts of the chunk are added in order, so no bit depends on it.
 * Measurements: results/options_speed.json.
 */
#include "backward.h"

void NAME(norm_sums)(const real *d, const real *gain, const real *hat, int64_t H, vec *mean, vec *along) {
  vec sum = splat(0), product = splat(0), share = splat(1 / (real)H);
  for (int64_t j = 0; j < H; j += VL) {
    vec e = load_block(d + j, H - j) * load_block(gain + j, H - j);
    sum += e;
    product = vfma(e, load_block(hat + j, H - j), product);
  }
  *mean = lane_sum(sum) * share, *along = lane_sum(product) * share;
}

/* One row of G gates side by side: gate g of `gain` and `hat` stands in block (g + rotate) % G of dG and da. */
typedef struct {
  real *da;
  const real *dG, *gain, *hat, *scale;
  int64_t H, j0, j1; /* units of a gate; units wanted */
} norm_row;

INLINE void norm_backward(const int G, const int rotate, const int all, const norm_row *row) {
  vec mean[4], along[4], scale[4];
  int64_t H = row->H;
  vec share = splat(1 / (real)(all ? G * H : H));
  UNROLL for (int gate = 0; gate < G; gate++) mean[gate] = along[gate] = splat(0);
  for (int64_t j = 0; j < H; j += VL) {
    UNROLL for (int gate = 0; gate < G; gate++) {
      vec e = load_block(row->dG + (gate + rotate) % G * H + j, H - j) * load_block(row->gain + gate * H + j, H - j);
      mean[gate] += e;
      along[gate] = vfma(e, load_block(row->hat + gate * H + j, H - j), along[gate]);
    }
  }
  UNROLL for (int gate = 1; gate < G && all; gate++) mean[0] += mean[gate], along[0] += along[gate];
  UNROLL for (int gate = 0; gate < G; gate++) {
    mean[gate] = gate && all ? mean[0] : lane_sum(mean[gate]) * share;
    along[gate] = gate && all ? along[0] : lane_sum(along[gate]) * share;
    scale[gate] = splat(row->scale[all ? 0 : gate]);
  }
  for (int64_t j = row->j0; j < row->j1; j += VL) {
    UNROLL for (int gate = 0; gate < G; gate++) {
      int64_t at = (gate + rotate) % G * H + j;
      vec e = load_block(row->dG + at, H - j) * load_block(row->gain + gate * H + j, H - j) - mean[gate];
      store_block(row->da + at, vfma(-along[gate], load_block(row->hat + gate * H + j, H - j), e) * scale[gate], H - j);
    }
  }
}

/* U h: the row from block `place` of dG on, the norms from number `first` on. */
INLINE norm_row states_row(const backward_worker *w, int64_t i, const void *gain, int64_t place, int64_t first) {
  const real *norms = norms_of(w, w->table.row + i);
  int64_t H = w->call->H, at = i * w->dG_row + place * H, scales = num_norms(w->call) * H;
  return (norm_row){w->dG_U + at, w->dG + at, gain, norms + first * H, norms + scales + first, H, w->u0 * VL,
                    w->u1 * VL < H ? w->u1 * VL : H};
}

void NAME(norm_backward_states)(const backward_worker *w, int64_t i) {
  const congru_call *call = w->call;
  if (!call->g_h) {
    norm_row row = states_row(w, i, call->g_i, 1, 0);
    norm_backward(3, 0, 1, &row);
  } else if (call->cell == CONGRU_LSTM) {
    norm_row row = states_row(w, i, call->g_h, 0, 4);
    norm_backward(4, 0, 0, &row);
  } else if (call->cell == CONGRU_GRU) {
    norm_row row = states_row(w, i, call->g_h, 1, 3);
    norm_backward(3, 0, 0, &row);
  } else {
    norm_row row = states_row(w, i, call->g_h, 1, 3);
    norm_backward(2, 0, 0, &row);
  }
}

void NAME(norm_backward_n)(const backward_worker *w, int64_t i) {
  norm_row row = states_row(w, i, (const real *)w->call->g_h + 2 * w->call->H, 0, 5);
  norm_backward(1, 0, 0, &row);
}

INLINE void add(real *sum, vec a, vec b, int64_t lanes) { store_block(sum, vfma(a, b, load_block(sum, lanes)), lanes); }

/* Row i's share of the sums, see backward.h. */
static void add_sums(const backward_worker *w, const dG_order *order, int64_t i, const real *norms, real *sums) {
  const congru_call *call = w->call;
  int64_t H = call->H, G = w->gates, all = !call->g_h;
  const real *dG = w->dG + i * w->dG_row, *dG_U = w->dG_U + i * w->dG_row, *dm = w->dm + i * w->h_row;
  for (int64_t place = all; place < order->places; place++) {
    int64_t of_W = order->of_W[place], of_U = order->of_U[place];
    for (int64_t j = 0; j < H; j += VL) {
      int64_t lanes = H - j;
      vec d = load_block(dG + place * H + j, lanes);
      add(sums + place * H + j, d, splat(1), lanes);
      if (of_W >= 0) add(sums + sum_of_W(order, of_W) * H + j, d, load_block(norms + of_W * H + j, lanes), lanes);
      if (all)
        add(sums + sum_of_U(order, G, of_U) * H + j, load_block(dG_U + place * H + j, lanes), splat(1), lanes);
      else if (of_U >= 0)
        add(sums + sum_of_U(order, G, of_U) * H + j, d, load_block(norms + (G + of_U) * H + j, lanes), lanes);
    }
  }
  for (int64_t j = 0; call->g_c && j < H; j += VL) {
    vec d = load_block(dm + j, H - j);
    add(sums + SUM_OF_DM * H + j, d, load_block(norms + 8 * H + j, H - j), H - j);
    add(sums + (SUM_OF_DM + 1) * H + j, d, splat(1), H - j);
  }
}

void NAME(norm_backward_inputs)(const backward_worker *w, int64_t part, int64_t n) {
  const congru_call *call = w->call;
  const dG_order *order = NAME(order_of)(call);
  int64_t H = call->H, end = (part + 1) * NORM_ROWS < n ? (part + 1) * NORM_ROWS : n;
  int64_t scales = num_norms(call) * H;
  real *sums = w->sums + part * w->sums_row;
  memset(sums, 0, (size_t)w->sums_row * sizeof(real));
  for (int64_t i = part * NORM_ROWS; i < end; i++) {
    const real *norms = norms_of(w, w->table.row + i);
    if (i + NORMS_AHEAD < end) ASK_FOR(norms_of(w, w->table.row + i + NORMS_AHEAD), norms_row(call), 0);
    real *dG = w->dG_W + i * w->dG_row;
    add_sums(w, order, i, norms, sums);
    const norm_row row = {dG, dG, call->g_i, norms, norms + scales, H, 0, H};
    if (!call->g_h) continue;
    if (call->cell == CONGRU_LSTM)
      norm_backward(4, 0, 0, &row);
    else
      norm_backward(3, 1, 0, &row);
  }
}
