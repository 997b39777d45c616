/* One thread's view of a forward call, and what every cell does with a new state. */
#ifndef CONGRU_FORWARD_H
#define CONGRU_FORWARD_H

#include "activations.h"
#include "scan.h"

typedef struct {
  const scan_job *job;
  const congru_call *call;
  packed_weights packed;
  int64_t b0, b1, u0, u1;  /* rows of the group; unit blocks of this part */
  int64_t gates, padded;
  scan_table table;        /* rows of the chunk */
  const real **pointer;    /* one per row of the chunk */
  real *h[2];              /* [b1 - b0, padded]: the state entering this step, and the next */
  real *seen[2];           /* the same as U sees it: h, or h_mask * h */
  real *c;                 /* LSTM, the same; each part touches its own units only */
  real *rh, *z;            /* reset before */
  real *xp;                /* [rows of the chunk, blocks, G, VL]: W x + b */
  real *uh;                /* layer norm: [b1 - b0, blocks, recurrent_unit, VL]: U h of this step; then U_n (r * h) */
  real *normed;            /* layer norm: [blocks, G, VL]: one row of it, normalised; own to the thread */
  real *c_new, *o;         /* LSTM with layer norm: [b1 - b0, padded]: c' before zoneout, and o */
  int64_t now;             /* h[now] enters */
  const scan_row *row;     /* rows of this step */
  const real *xp_of_step;  /* xp of the first of them */
} forward_worker;

INLINE real *state_at(const forward_worker *w, real *state, const scan_row *row) {
  return state + (row->b - w->b0) * w->padded;
}

INLINE real *step_at(const void *array, congru_strides strides, const scan_row *row) {
  return (real *)array + row->b * strides.batch + row->t * strides.time;
}

/* Hand on `value`, or what a new sequence starts with. */
INLINE vec handed_on(const scan_row *row, const void *start, vec value, int64_t block, int64_t lanes) {
  if (!row->restarts_next) return value;
  return start ? load_block((const real *)start + block * VL, lanes) : splat(0);
}

/* h_mask times the state of a row, where there is a mask. */
INLINE vec masked(const congru_call *call, const scan_row *row, int64_t block, vec h, int64_t lanes) {
  if (!call->h_mask) return h;
  return h * load_block((const real *)call->h_mask + row->b * call->H + block * VL, lanes);
}

/* d old + (1 - d) new, where there is a zoneout d: that of h or of c. */
INLINE vec zoned_out(const congru_call *call, const void *zoneout, const scan_row *row, int64_t block, vec old, vec new_,
                     int64_t lanes) {
  if (!zoneout) return new_;
  vec d = load_block(step_at(zoneout, call->zoneout_strides, row) + block * VL, lanes);
  return vfma(d, old, vfma(-d, new_, new_));
}

/* The new h from that of the equations: zoneout, the next state, y. */
INLINE void put_h(const forward_worker *w, const scan_row *row, int64_t block, vec h) {
  const congru_call *call = w->call;
  int64_t at = block * VL, lanes = call->H - at;
  h = zoned_out(call, call->zoneout, row, block, load(state_at(w, w->h[w->now], row) + at), h, lanes);
  vec next = handed_on(row, call->h_reset, h, block, lanes);
  store(state_at(w, w->h[1 - w->now], row) + at, next);
  if (call->h_mask) store(state_at(w, w->seen[1 - w->now], row) + at, masked(call, row, block, next, lanes));
  store_block(step_at(call->y, call->y_strides, row) + at, h, lanes);
  if (row->last) store_block((real *)call->h + row->b * call->H + at, h, lanes);
}

INLINE void put_gate(const forward_worker *w, const scan_row *row, int64_t gate, int64_t block, vec value) {
  const congru_call *call = w->call;
  if (call->gates)
    store_block(step_at(call->gates, call->gates_strides, row) + gate * call->H + block * VL, value, call->H - block * VL);
}

INLINE void put_extra(const forward_worker *w, const scan_row *row, int64_t block, vec value) {
  const congru_call *call = w->call;
  if (call->extra)
    store_block(step_at(call->extra, call->y_strides, row) + block * VL, value, call->H - block * VL);
}

/* Gate arithmetic behind a finished tile of U h: tile columns are (block, gate). */
finish_fn NAME(gru_finish), NAME(gru_before_finish_rz), NAME(gru_before_finish_n), NAME(lstm_finish), NAME(rnn_finish);

/* The gate arithmetic of one row of the step: columns c .. c + C - 1 of W x and of U h begin at xp and at uh. */
void NAME(gru_row)(const forward_worker *w, const scan_row *row, const real *xp, const real *uh, int64_t c, int64_t C);

/* In norm.c: rows [i0, i1) of the chunk's W x become g norm(W x) + b; U h of the n rows of a step likewise, with the gate
 * arithmetic of this part's units behind them; reset before: U_n (r * h); LSTM: c'. All parts are done with what is before. */
void NAME(normalise_inputs)(const forward_worker *w, int64_t i0, int64_t i1);
void NAME(finish_normalised)(forward_worker *w, int64_t n);
void NAME(finish_normalised_n)(forward_worker *w, int64_t n);
void NAME(finish_normalised_c)(forward_worker *w, int64_t n);

/* Room for what the parts of the group of w share, with chunk_rows rows in a chunk; and for what is a worker's own, in a chunk of
 * so many steps. w->packed is there. */
void NAME(take_group)(forward_worker *w, arena *a, int64_t chunk_rows);
void NAME(take_scratch)(forward_worker *w, arena *a, int64_t chunk_rows); /* the same less the states */
void NAME(take_worker)(forward_worker *w, arena *a, int64_t chunk, int64_t chunk_rows);

/* One step on rows w->row[0 .. n) whose inputs are projected; the other parts of the group must do the same step. Returns
 * whether the barrier between them gave up. */
int NAME(forward_step)(forward_worker *w, congru_barrier *barrier, int64_t n);
void NAME(forward_project)(forward_worker *w, int64_t n);

#endif
