/* One thread's view of a backward call, and the arithmetic of the gates' gradients.
 *
 * dG holds, for every row of a chunk, the gradients of the gates' arguments, each H wide, in an order that makes both products
 * with them contiguous: reset after n, r, z, hn (W uses the first three, U the last three); reset before n, r, z; LSTM
 * i, f, g, o; RNN n. "dreamer": as reset after, where W uses the last three, too.
 */
#ifndef CONGRU_BACKWARD_H
#define CONGRU_BACKWARD_H

#include "activations.h"
#include "scan.h"

typedef struct {
  scan_job *job;
  const congru_call *call;
  packed_weights packed;    /* only where gates are computed again */
  panels U_t, U_n_t, W_t;   /* transposed, packed: dh = dG U, reset before apart for n; dx = dG W */
  int64_t thread, threads;
  int64_t b0, b1, u0, u1;   /* of the scan: rows of the group, unit blocks of this part; b0 = b1 for a thread outside it */
  int64_t gates, padded, input_padded;
  int64_t dG_row, h_row, x_row; /* elements per row of dG, h_before, x */
  scan_table table;         /* all rows of the chunk */
  const real **pointer;     /* one per row of the chunk */
  int64_t *mine;            /* the rows of the group, as indices into the table */
  real *dh, *dc;            /* [B, padded]: what the steps after this one hand back */
  real *dh_reset, *dc_reset;            /* [B, padded], or NULL */
  real *dG, *h_before, *rh_before, *x;  /* one row per row of the chunk */
  real *h_seen;             /* h_before as U sees it, the same or masked */
  real *dG_W, *dG_U;        /* dG as W x and U h see it: the same, or through their norms; laid out as dG. With norms of gates
                               dG_W takes the place of dG when `sums` are done; "dreamer": dG_W is dG_U */
  real *dm;                 /* LSTM with layer norm: the gradient of g_c norm(c') + b_c; one row per row of the chunk */
  real *sums;               /* layer norm: for each part of the chunk of NORM_ROWS rows its sums, sums_row wide */
  int64_t sums_row;
  real *again, *extra_again; /* gates computed again [row, block, G, VL], U_n h + b_hn [row, padded]; NULL where saved */
  const int64_t *step_rows; /* rows of this step (indices), in a tile's finish */
  congru_barrier *barrier;  /* of the parts of the group */
} backward_worker;

/* The saved or recomputed gates of one row: gate g of a block at g * gate_step + block * block_step. */
typedef struct {
  const real *at;
  int64_t gate_step, block_step;
} gate_view;

INLINE const real *row_of(const void *array, congru_strides strides, const scan_row *row) {
  return (const real *)array + row->b * strides.batch + row->t * strides.time;
}

/* What layer norm kept of a row. */
INLINE const real *norms_of(const backward_worker *w, const scan_row *row) {
  return (const real *)w->call->norms + (row->b * w->call->T + row->t) * norms_row(w->call);
}

/* gain * norm + bias, from their beginnings; bias NULL = zeros. */
INLINE vec normalised(const void *gain, const void *bias, const real *norm, int64_t block, int64_t lanes) {
  int64_t at = block * VL;
  vec b = bias ? load_block((const real *)bias + at, lanes) : splat(0);
  return vfma(load_block((const real *)gain + at, lanes), load_block(norm + at, lanes), b);
}

/* The share (1 - d) dh that reaches the cell, d of zoneout or zoneout_c; *by_zone, d dh, goes past it to the state before. */
INLINE vec zoned_in(const congru_call *call, const void *zoneout, const scan_row *row, int64_t block, vec dh, vec *by_zone,
                    int64_t lanes) {
  *by_zone = splat(0);
  if (!zoneout) return dh;
  vec d = load_block(row_of(zoneout, call->zoneout_strides, row) + block * VL, lanes);
  *by_zone = d * dh;
  return dh - *by_zone;
}

/* The gradient of h from that of h_mask * h. */
INLINE vec masked_gradient(const congru_call *call, const scan_row *row, int64_t block, vec d, int64_t lanes) {
  if (!call->h_mask) return d;
  return d * load_block((const real *)call->h_mask + row->b * call->H + block * VL, lanes);
}

INLINE gate_view gates_view(const backward_worker *w, int64_t i) {
  if (w->again) return (gate_view){w->again + i * w->gates * w->padded, VL, w->gates * VL};
  return (gate_view){row_of(w->call->gates, w->call->gates_strides, w->table.row + i), w->call->H, VL};
}

INLINE vec get_gate(gate_view view, int64_t gate, int64_t block, int64_t lanes) {
  return load_block(view.at + gate * view.gate_step + block * view.block_step, lanes);
}

/* What arrives from outside at gate g, or zeros. */
INLINE vec get_dgate(const backward_worker *w, const scan_row *row, int64_t gate, int64_t block, int64_t lanes) {
  if (!w->call->dgates) return splat(0);
  return load_block(row_of(w->call->dgates, w->call->dgates_strides, row) + gate * w->call->H + block * VL, lanes);
}

/* dh of one block of a row: what later steps hand back, and dy. */
INLINE vec get_dh(const backward_worker *w, const scan_row *row, int64_t block, int64_t lanes) {
  vec dh = load(w->dh + row->b * w->padded + block * VL);
  return w->call->dy ? dh + load_block(row_of(w->call->dy, w->call->dy_strides, row) + block * VL, lanes) : dh;
}

INLINE void put_dG(const backward_worker *w, int64_t i, int64_t gate, int64_t block, vec value, int64_t lanes) {
  store_block(w->dG + i * w->dG_row + gate * w->call->H + block * VL, value, lanes);
}

/* Gradients of the gates' arguments of row i from dh (and dc), for the blocks of this part; leaves in dh (and dc) what goes
 * to the state before by other ways than U. */
typedef void gates_backward_fn(const backward_worker *w, int64_t i);
gates_backward_fn NAME(gru_backward), NAME(gru_before_backward_n), NAME(lstm_backward), NAME(rnn_backward);
gates_backward_fn NAME(lstm_backward_c); /* with layer norm, when lstm_backward is done for all units of the row */
finish_fn NAME(gru_before_backward_rz); /* the rest of reset before, behind a tile of dn U_n */

/* Gates computed again behind a tile of U h, over the rows `mine`. */
finish_fn NAME(gru_again), NAME(gru_before_again_rz), NAME(gru_before_again_n), NAME(lstm_again);

/* C[m][n] += sum over k < K of A[k * A_row + m] * X[k * X_row + n], m0 <= m < m1, n < N. */
void NAME(add_outer)(real *C, int64_t C_row, const real *A, int64_t A_row, const real *X, int64_t X_row, int64_t K, int64_t m0,
                     int64_t m1, int64_t N);
/* out[m] += sum over k < K of A[k * A_row + m]. */
void NAME(add_column_sums)(real *out, const real *A, int64_t A_row, int64_t K, int64_t m0, int64_t m1);
/* Which rows of W and U stand where in dG: row block of W and of U whose gradient is in block `place`, -1 = none. */
typedef struct {
  int64_t places;
  int64_t of_W[4], of_U[4];
} dG_order;
const dG_order *NAME(order_of)(const congru_call *call);

/* Layer norm, in norm_backward.c. */
#define NORM_ROWS 32
INLINE int64_t norm_parts(int64_t rows) { return (rows + NORM_ROWS - 1) / NORM_ROWS; }
/* Sums over rows side by side, each H wide: dG by place; dG norm(W x) by gate of W; dG norm(U h) by gate of U ("dreamer": dG_U
 * instead); LSTM: dm norm(c') and dm. */
INLINE int64_t sum_of_W(const dG_order *order, int64_t gate) { return order->places + gate; }
INLINE int64_t sum_of_U(const dG_order *order, int64_t G, int64_t gate) { return order->places + G + gate; }
#define SUM_OF_DM 12
INLINE int64_t num_sums(const dG_order *order, const congru_call *call) {
  return sum_of_U(order, gates_of(call->cell), gates_of(call->cell)) + (call->g_c ? 2 : 0);
}
/* dG_U of row i from dG, in this part's units: all gates, or those that are done first (reset before: r, z without n). */
void NAME(norm_backward_states)(const backward_worker *w, int64_t i);
void NAME(norm_backward_n)(const backward_worker *w, int64_t i);
/* For part `part` of the n rows of the chunk: its sums, and dG_W from dG. */
void NAME(norm_backward_inputs)(const backward_worker *w, int64_t part, int64_t n);
/* The means over H units of e = gain d and of e hat, in every lane. */
void NAME(norm_sums)(const real *d, const real *gain, const real *hat, int64_t H, vec *mean, vec *along);
/* This thread's share of dW, dU and the biases' gradients, for the n rows of the chunk. */
void NAME(weight_gradients)(const backward_worker *w, int64_t n);

#endif
