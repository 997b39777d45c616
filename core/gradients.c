/* Weight gradients: sums over rows of outer products, dW = dG^T x, dU = dG^T h, db = column sums of dG.
 *
 *   C[m][n] += sum over k of A[k][m] X[k][n]
 *
 * A tile is R rows of C (consecutive m: broadcasts from one row of A) by a few columns of VL consecutive n; the sum over
 * the rows k of a chunk stays in registers and is added to C once. The chunk's x and h are copies padded to whole vectors.
 */
#include "backward.h"

static void add_tile(real *C, int64_t C_row, const real *tile, int64_t R, int64_t columns, int64_t lanes) {
  for (int64_t m = 0; m < R; m++, C += C_row) {
    for (int64_t c = 0; c < columns; c++, tile += VL) {
      int64_t left = lanes - c * VL;
      store_block(C + c * VL, load_block(C + c * VL, left) + load(tile), left);
    }
  }
}

void NAME(add_outer)(real *C, int64_t C_row, const real *A, int64_t A_row, const real *X, int64_t X_row, int64_t K, int64_t m0,
                     int64_t m1, int64_t N) {
  real tile[ACCUMULATORS * VL] __attribute__((aligned(64)));
  int64_t columns = (N + VL - 1) / VL;
  if (m1 <= m0) return;
  int64_t most = tile_rows(m1 - m0, 1);
  for (int64_t c = 0, wide; c < columns; c += wide) {
    wide = tile_columns(most, columns - c, 1);
    for (int64_t m = m0, R; m < m1; m += R) {
      const real *rows[MAX_ROWS];
      R = tile_rows(m1 - m, 1);
      for (int64_t i = 0; i < R; i++) rows[i] = A + m + i;
      NAME(tile)(R, wide)(rows, A_row, K, X + c * VL, X_row, NULL, tile, wide * VL);
      add_tile(C + m * C_row + c * VL, C_row, tile, R, wide, N - c * VL);
    }
  }
}

void NAME(add_column_sums)(real *out, const real *A, int64_t A_row, int64_t K, int64_t m0, int64_t m1) {
  for (int64_t m = m0; m < m1; m += VL) {
    int64_t lanes = m1 - m;
    vec sum = load_block(out + m, lanes);
    for (int64_t k = 0; k < K; k++) sum += load_block(A + k * A_row + m, lanes);
    store_block(out + m, sum, lanes);
  }
}

const dG_order *NAME(order_of)(const congru_call *call) {
  static const dG_order orders[] = {[CONGRU_GRU] = {4, {2, 0, 1, -1}, {-1, 0, 1, 2}},
                                    [CONGRU_GRU_BEFORE] = {3, {2, 0, 1, -1}, {2, 0, 1, -1}},
                                    [CONGRU_LSTM] = {4, {0, 1, 2, 3}, {0, 1, 2, 3}},
                                    [CONGRU_RNN] = {1, {0, -1, -1, -1}, {0, -1, -1, -1}}};
  static const dG_order dreamer = {4, {-1, 0, 1, 2}, {-1, 0, 1, 2}};
  return norm_form_of(call) == NORM_OF_ALL ? &dreamer : &orders[call->cell];
}

/* Column sums of H-wide block `place`, or with layer norm of the sums over parts of the chunk; out may be NULL. */
static void add_bias(void *out, const backward_worker *w, int64_t row_block, int64_t place, int64_t sum, int64_t n, int64_t m0,
                     int64_t m1) {
  int64_t H = w->call->H;
  if (!out) return;
  if (w->sums_row)
    NAME(add_column_sums)((real *)out + row_block * H, w->sums + sum * H, w->sums_row, norm_parts(n), m0, m1);
  else
    NAME(add_column_sums)((real *)out + row_block * H, w->dG + place * H, w->dG_row, n, m0, m1);
}

/* Rows [m0, m1) of the row blocks of W and U that stand in block `place`. */
static void place_gradients(const backward_worker *w, const dG_order *order, int64_t place, int64_t n, int64_t m0, int64_t m1) {
  const congru_call *call = w->call;
  int64_t H = call->H, I = call->I, of_W = order->of_W[place], of_U = order->of_U[place];
  int64_t all = norm_form_of(call) == NORM_OF_ALL, sum_U = of_U < 0 ? 0 : sum_of_U(order, w->gates, of_U);
  const real *h = call->cell == CONGRU_GRU_BEFORE && place == 0 ? w->rh_before : w->h_seen;
  if (of_W >= 0) {
    real *dW = call->dW ? (real *)call->dW + of_W * H * I : NULL;
    if (dW) NAME(add_outer)(dW, I, w->dG_W + place * H, w->dG_row, w->x, w->x_row, n, m0, m1, I);
    add_bias(call->db_i, w, of_W, place, place, n, m0, m1);
    add_bias(call->dg_i, w, of_W, place, sum_of_W(order, of_W), n, m0, m1);
  }
  if (of_U >= 0) {
    real *dU = call->dU ? (real *)call->dU + of_U * H * H : NULL;
    if (dU) NAME(add_outer)(dU, H, w->dG_U + place * H, w->dG_row, h, w->h_row, n, m0, m1, H);
    add_bias(call->db_h, w, of_U, place, all ? sum_U : place, n, m0, m1);
    add_bias(call->dg_h, w, of_U, place, sum_U, n, m0, m1);
  }
}

void NAME(weight_gradients)(const backward_worker *w, int64_t n) {
  const congru_call *call = w->call;
  const dG_order *order = NAME(order_of)(call);
  int64_t H = call->H, total = order->places * H;
  int64_t from = split(total, w->threads, w->thread), to = split(total, w->threads, w->thread + 1);
  for (int64_t place = 0; place < order->places; place++) {
    int64_t m0 = from - place * H, m1 = to - place * H;
    if (m0 < 0) m0 = 0;
    if (m1 > H) m1 = H;
    if (m0 >= m1) continue;
    place_gradients(w, order, place, n, m0, m1);
    if (place == 0 && call->g_c) add_bias(call->dg_c, w, 0, 0, SUM_OF_DM, n, m0, m1);
    if (place == 0 && call->g_c) add_bias(call->db_c, w, 0, 0, SUM_OF_DM + 1, n, m0, m1);
  }
}
