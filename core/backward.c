/* The backward scan of any cell, chunk by chunk from the end, with all gradients of a chunk while it is in cache.
 *
 *   for each chunk of rows:  copy x and the entering h of its rows   (gates again, where they were not saved: two products)
 *     for each step, last first:  dG from dh and the gates;  dh = (what passes by) + dG U
 *     dx = dG W;  dW += dG^T x;  dU += dG^T h;  db += sums of dG
 *
 * With layer norm a step ends in dG U as U sees it, and what W sees is made when the chunk is through: see norm_backward.c.
 *
 * Chunks hold about CHUNK_ROWS rows whatever the number of threads, so gradients do not depend on it. The threads of a group
 * meet once a step (reset before: twice; layer norm: more) as in the forward scan, all threads three times a chunk.
 */
#include "backward.h"

#include "kernels.h"

#define CHUNK_ROWS 512
/* Elements added to long rows, so that the rows of a column do not fall into the same cache set. */
#define ROW_SKEW 16

/* Copy h (or zeros) entering each row of the chunk, and x: rows [i0, i1). */
static void copy_rows(const backward_worker *w, int64_t i0, int64_t i1) {
  const congru_call *call = w->call;
  int64_t H = call->H, I = call->I;
  for (int64_t i = i0; i < i1; i++) {
    const scan_row *row = w->table.row + i;
    int64_t before = call->reverse ? row->t + 1 : row->t - 1;
    const real *from = row->is_first    ? call->h_reset
                       : !row->at_start ? (const real *)call->y + row->b * call->y_strides.batch + before * call->y_strides.time
                       : call->h0       ? (const real *)call->h0 + row->b * H
                                        : NULL;
    real *h = w->h_before + i * w->h_row, *x = w->x + i * w->x_row;
    memset(h, 0, (size_t)w->padded * sizeof(real));
    if (from) memcpy(h, from, (size_t)H * sizeof(real));
    for (int64_t block = 0; block < w->padded / VL && call->h_mask; block++)
      store(w->h_seen + i * w->h_row + block * VL, masked_gradient(call, row, block, load(h + block * VL), H - block * VL));
    if (!call->dW && !w->again) continue;
    memcpy(x, row_of(call->x, call->x_strides, row), (size_t)I * sizeof(real));
    memset(x + I, 0, (size_t)(w->input_padded - I) * sizeof(real));
  }
}

static void store_again(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL)
    memcpy(w->again + w->step_rows[first + m] * w->gates * w->padded + c * VL, tile, (size_t)(C * VL) * sizeof(real));
}

/* Gates of the n rows `mine` again, in one product for W x and one for U h over all of them. */
static void gates_again(backward_worker *w, int64_t n) {
  const congru_call *call = w->call;
  int64_t G = w->gates, unit = recurrent_unit(call->cell);
  w->step_rows = w->mine;
  for (int64_t i = 0; i < n; i++) w->pointer[i] = w->x + w->mine[i] * w->x_row;
  NAME(product)(w->pointer, n, &w->packed.W, w->u0 * G, w->u1 * G, G, w->packed.bias_x, store_again, w);
  static finish_fn *const finish[] = {NAME(gru_again), NAME(gru_before_again_rz), NAME(lstm_again)};
  for (int64_t i = 0; i < n; i++) w->pointer[i] = w->h_seen + w->mine[i] * w->h_row;
  NAME(product)(w->pointer, n, &w->packed.U, w->u0 * unit, w->u1 * unit, unit, w->packed.bias_h, finish[call->cell], w);
  if (call->cell != CONGRU_GRU_BEFORE) return;
  congru_barrier_wait(w->barrier);
  for (int64_t i = 0; i < n; i++) w->pointer[i] = w->rh_before + w->mine[i] * w->h_row;
  NAME(product)(w->pointer, n, &w->packed.U_n, w->u0, w->u1, 1, NULL, NAME(gru_before_again_n), w);
}

/* dh += tile of dG U; where a new sequence began the sum belongs to h_reset and nothing is handed back. */
static void add_to_dh(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    const scan_row *row = w->table.row + w->step_rows[first + m];
    int64_t at = row->b * w->padded + c * VL;
    for (int64_t j = 0; j < C; j++, at += VL) {
      vec dh = load(w->dh + at) + masked_gradient(w->call, row, c + j, load(tile + j * VL), w->call->H - (c + j) * VL);
      if (row->is_first && w->dh_reset) store(w->dh_reset + at, load(w->dh_reset + at) + dh);
      store(w->dh + at, row->is_first ? splat(0) : dh);
    }
  }
}

/* Ask for the norms of the states of the row that the scan comes to after row i. In line: a call with no effect is left out. */
INLINE void ask_for_norms(const backward_worker *w, int64_t i) {
  const congru_call *call = w->call;
  const scan_row *row = w->table.row + i;
  int64_t from = norms_of_states(call), size = norms_row(call);
  if (row->at_start) return;
  const real *next = norms_of(w, row) + (call->reverse ? size : -size);
  ASK_FOR(next + from, size - from, 0);
}

/* One step on its n rows w->step_rows. Returns whether the barrier gave up: then all parts are done with the step. */
static int backward_step(backward_worker *w, int64_t n) {
  static gates_backward_fn *const gates_backward[] = {NAME(gru_backward), NAME(gru_before_backward_n), NAME(lstm_backward),
                                                      NAME(rnn_backward)};
  int64_t H = w->call->H, cell = w->call->cell, first = 0;
  int64_t normed = w->call->g_i != NULL;
  for (int64_t i = 0; i < n; i++) gates_backward[cell](w, w->step_rows[i]);
  if (cell == CONGRU_LSTM && normed) {
    congru_barrier_wait(w->barrier);
    for (int64_t i = 0; i < n; i++) NAME(lstm_backward_c)(w, w->step_rows[i]);
  }
  if (cell == CONGRU_GRU) first = H;
  if (cell == CONGRU_GRU_BEFORE) {
    congru_barrier_wait(w->barrier);
    for (int64_t i = 0; i < n && normed; i++) NAME(norm_backward_n)(w, w->step_rows[i]);
    if (normed) congru_barrier_wait(w->barrier);
    for (int64_t i = 0; i < n; i++) w->pointer[i] = w->dG_U + w->step_rows[i] * w->dG_row;
    NAME(product)(w->pointer, n, &w->U_n_t, w->u0, w->u1, 1, NULL, NAME(gru_before_backward_rz), w);
    first = H;
  }
  if (normed) {
    congru_barrier_wait(w->barrier);
    for (int64_t i = 0; i < n; i++) {
      ask_for_norms(w, w->step_rows[i]);
      NAME(norm_backward_states)(w, w->step_rows[i]);
    }
  }
  int given_up = congru_barrier_wait(w->barrier);
  for (int64_t i = 0; i < n; i++) w->pointer[i] = w->dG_U + w->step_rows[i] * w->dG_row + first;
  NAME(product)(w->pointer, n, &w->U_t, w->u0, w->u1, 1, NULL, add_to_dh, w);
  if (given_up) congru_barrier_wait(w->barrier);
  return given_up;
}

static void store_dx(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++) {
    real *dx = (real *)row_of(w->call->dx, w->call->dx_strides, w->table.row + w->step_rows[first + m]);
    for (int64_t j = 0; j < C; j++, tile += VL) store_block(dx + (c + j) * VL, load(tile), w->call->I - (c + j) * VL);
  }
}

/* dx of rows [i0, i1) of the chunk. */
static void input_gradients(backward_worker *w, int64_t i0, int64_t i1) {
  const congru_call *call = w->call;
  if (!call->dx) return;
  for (int64_t i = i0; i < i1; i++) {
    w->mine[i - i0] = i;
    w->pointer[i - i0] = w->dG_W + i * w->dG_row + (norm_form_of(call) == NORM_OF_ALL ? call->H : 0);
  }
  w->step_rows = w->mine;
  NAME(product)(w->pointer, i1 - i0, &w->W_t, 0, w->input_padded / VL, 1, NULL, store_dx, w);
}

/* The scan of this thread's group over the chunk, last step first. */
static void scan_chunk(backward_worker *w, int64_t steps) {
  int64_t n = 0, start[CHUNK_ROWS + 2];
  for (int64_t s = 0; s < steps; s++) {
    start[s] = n;
    for (int64_t i = w->table.first[s]; i < w->table.first[s + 1]; i++) {
      if (w->table.row[i].b >= w->b0 && w->table.row[i].b < w->b1) w->mine[n++] = i;
    }
  }
  start[steps] = n;
  if (w->again) gates_again(w, n);
  for (int64_t s = steps - 1; s >= 0 && w->b0 < w->b1; s--) {
    w->step_rows = w->mine + start[s];
    int given_up = backward_step(w, start[s + 1] - start[s]);
    if (congru_stopped(w->barrier, &w->job->stop)) return;
    if (w->thread == 0) congru_ask(&w->job->stop, (start[s + 1] - start[s]) * w->gates * (w->u1 - w->u0) * VL * w->call->H);
    if (!given_up || !w->barrier) continue;
    if (w->u0 > 0) w->b1 = w->b0; /* the first part goes on alone */
    w->u0 = 0, w->u1 = w->job->blocks, w->barrier = NULL;
  }
}

/* Whether to go on. */
static int backward_chunk(backward_worker *w, int64_t s0, int64_t s1) {
  congru_barrier *everyone = &w->job->everyone;
  NAME(fill_table)(&w->table, w->call, 0, w->call->B, s0, s1);
  int64_t rows = w->table.first[s1 - s0], i0 = split(rows, w->threads, w->thread), i1 = split(rows, w->threads, w->thread + 1);
  copy_rows(w, i0, i1);
  congru_barrier_wait(everyone);
  if (w->b0 < w->b1) scan_chunk(w, s1 - s0);
  congru_barrier_wait(everyone);
  if (congru_stopped(everyone, &w->job->stop)) return 0;
  if (w->call->g_i) {
    int64_t parts = norm_parts(rows), end = split(parts, w->threads, w->thread + 1);
    for (int64_t part = split(parts, w->threads, w->thread); part < end; part++) NAME(norm_backward_inputs)(w, part, rows);
    congru_barrier_wait(everyone);
  }
  input_gradients(w, i0, i1);
  NAME(weight_gradients)(w, rows);
  if (w->thread == 0) congru_ask(&w->job->stop, rows * w->gates * w->call->H * (w->call->H + 2 * w->call->I) / w->threads);
  congru_barrier_wait(everyone);
  return !congru_stopped(everyone, &w->job->stop);
}

static void clear(void *array, int64_t n) {
  if (array) memset(array, 0, (size_t)n * sizeof(real));
}

/* What starts at zero, or at the gradients of the final state. Thread 0 does it alone: it is little. */
static void begin(const backward_worker *w) {
  const congru_call *call = w->call;
  int64_t B = call->B, H = call->H, I = call->I, G = w->gates;
  for (int64_t b = 0; b < B; b++) {
    for (int part = 0; part <= (call->cell == CONGRU_LSTM); part++) {
      const real *arriving = part ? call->dc : call->dh;
      real *to = (part ? w->dc : w->dh) + b * w->padded;
      clear(to, w->padded);
      if (arriving) memcpy(to, arriving + b * H, (size_t)H * sizeof(real));
    }
  }
  clear(w->dh_reset, B * w->padded);
  clear(w->dc_reset, B * w->padded);
  clear(call->dW, G * H * I);
  clear(call->dU, G * H * H);
  clear(call->db_i, G * H);
  clear(call->db_h, G * H);
  clear(call->dg_i, G * H);
  clear(call->dg_h, G * H);
  clear(call->dg_c, H);
  clear(call->db_c, H);
  NAME(clear_padding)(call, call->dx, call->dx_strides, I, 0, B);
}

static void end(const backward_worker *w) {
  const congru_call *call = w->call;
  const real *rows[] = {w->dh, w->dc, w->dh_reset, w->dc_reset};
  real *out[] = {call->dh0, call->dc0, call->dh_reset, call->dc_reset};
  for (int k = 0; k < 4; k++) {
    if (!out[k]) continue;
    if (k >= 2) clear(out[k], call->H);
    for (int64_t b = 0; rows[k] && b < call->B; b++) {
      for (int64_t j = 0; j < call->H; j++) {
        if (k < 2)
          out[k][b * call->H + j] = rows[k][b * w->padded + j];
        else
          out[k][j] += rows[k][b * w->padded + j];
      }
    }
  }
}

static void take_all(scan_job *job, arena *a, backward_worker *w, int64_t threads) {
  const congru_call *call = job->call;
  int64_t B = call->B, H = call->H, lstm = call->cell == CONGRU_LSTM, before = call->cell == CONGRU_GRU_BEFORE;
  int64_t rows = B * job->chunk, group_rows = (B + job->groups - 1) / job->groups, again = !call->gates && call->cell != CONGRU_RNN;
  w->gates = job->gates, w->padded = job->padded, w->input_padded = (call->I + VL - 1) / VL * VL;
  w->dG_row = (call->cell == CONGRU_GRU ? 4 : job->gates) * H + ROW_SKEW;
  w->h_row = job->padded + ROW_SKEW, w->x_row = w->input_padded + ROW_SKEW;
  if (again) NAME(take_weights)(&w->packed, a, call, rows, rows);
  if (again) NAME(take_centred)(&w->packed, a, call); /* no rows: nobody had gates to keep */
  w->U_t = take_panels(a, job->blocks, (before ? 2 : job->gates) * H, group_rows, 1, 0);
  w->U_n_t = take_panels(a, before ? job->blocks : 0, H, group_rows, 1, 0);
  w->W_t = take_panels(a, w->input_padded / VL, job->gates * H, rows, 1, 0);
  w->dh = TAKE(a, real, B * job->padded);
  w->dc = TAKE(a, real, lstm ? B * job->padded : 0);
  w->dh_reset = call->dh_reset ? TAKE(a, real, B * job->padded) : NULL;
  w->dc_reset = lstm && call->dc_reset ? TAKE(a, real, B * job->padded) : NULL;
  w->dG = w->dG_W = w->dG_U = TAKE(a, real, rows * w->dG_row);
  if (call->g_i) w->dG_U = TAKE(a, real, rows * w->dG_row);
  if (norm_form_of(call) == NORM_OF_ALL) w->dG_W = w->dG_U;
  w->dm = TAKE(a, real, call->g_c ? rows * w->h_row : 0);
  w->sums_row = call->g_i ? num_sums(NAME(order_of)(call), call) * H : 0;
  w->sums = TAKE(a, real, norm_parts(rows) * w->sums_row);
  w->h_before = w->h_seen = TAKE(a, real, rows * w->h_row);
  if (call->h_mask) w->h_seen = TAKE(a, real, rows * w->h_row);
  w->rh_before = TAKE(a, real, before ? rows * w->h_row : 0);
  w->x = TAKE(a, real, rows * w->x_row);
  w->again = again ? TAKE(a, real, rows * job->gates * job->padded) : NULL;
  w->extra_again = again && call->cell == CONGRU_GRU ? TAKE(a, real, rows * job->padded) : NULL;
  int64_t list = rows > job->gates * H ? rows : job->gates * H;
  for (int64_t thread = 0; thread < threads; thread++) {
    scan_row *row = TAKE(a, scan_row, rows);
    int64_t *first = TAKE(a, int64_t, job->chunk + 1), *mine = TAKE(a, int64_t, rows);
    const real **pointer = TAKE(a, const real *, list);
    if (thread != w->thread) continue;
    w->table.row = row, w->table.first = first, w->mine = mine, w->pointer = pointer;
  }
}

/* U^T and W^T with the rows of dG's order: blocks [.., ..) of this thread. */
static void pack_all(const backward_worker *w) {
  const congru_call *call = w->call;
  int64_t H = call->H, I = call->I, G = w->gates, blocks = w->padded / VL, input_blocks = w->input_padded / VL;
  int64_t u0 = split(blocks, w->threads, w->thread), u1 = split(blocks, w->threads, w->thread + 1);
  int64_t in0 = split(input_blocks, w->threads, w->thread), in1 = split(input_blocks, w->threads, w->thread + 1);
  int before = call->cell == CONGRU_GRU_BEFORE, gru = before || call->cell == CONGRU_GRU;
  int turned = gru && norm_form_of(call) != NORM_OF_ALL;
  const real *U = call->U, *W = call->W;
  for (int64_t k = 0; k < G * H; k++) w->pointer[k] = U + k * H;
  NAME(pack_transposed)(&w->U_t, w->pointer, H, u0, u1);
  if (before) NAME(pack_transposed)(&w->U_n_t, w->pointer + 2 * H, H, u0, u1);
  for (int64_t k = 0; k < G * H; k++) w->pointer[k] = W + (turned ? (k + 2 * H) % (3 * H) : k) * I;
  if (call->dx) NAME(pack_transposed)(&w->W_t, w->pointer, I, in0, in1);
  if (w->again) NAME(pack_weights)(&w->packed, call, u0, u1);
}

static void backward_thread(void *argument, int64_t thread) {
  scan_job *job = argument;
  int64_t threads = job->everyone.members, group = thread / job->parts, T = job->call->T;
  backward_worker w = {.job = job, .call = job->call, .thread = thread, .threads = threads};
  take_all(job, &(arena){(char *)job->workspace, 0}, &w, threads);
  if (group < job->groups) {
    w.barrier = &job->group_barrier[group];
    w.b0 = split(job->call->B, job->groups, group), w.b1 = split(job->call->B, job->groups, group + 1);
    w.u0 = split(job->blocks, job->parts, thread % job->parts);
    w.u1 = split(job->blocks, job->parts, thread % job->parts + 1);
  }
  pack_all(&w);
  if (thread == 0) begin(&w);
  congru_barrier_wait(&job->everyone);
  for (int64_t s1 = (T + job->chunk - 1) / job->chunk * job->chunk; s1 > 0; s1 -= job->chunk)
    if (!backward_chunk(&w, s1 - job->chunk, s1 < T ? s1 : T)) return;
  if (thread == 0) end(&w);
}

int NAME(backward)(const congru_call *call, int64_t threads) {
  scan_job job = {.call = call};
  congru_barrier group_barrier[CONGRU_MAX_THREADS];
  NAME(plan)(&job, threads, CHUNK_ROWS);
  NAME(init_barriers)(&job, group_barrier, threads);
  arena size = {NULL, 0};
  backward_worker none = {.thread = -1};
  take_all(&job, &size, &none, threads);
  job.workspace = congru_memory_get(size.used);
  if (!job.workspace) {
    congru_pool_give_up(threads);
    return -1;
  }
  int ran = congru_pool_run(threads, backward_thread, &job);
  congru_memory_put(job.workspace);
  return ran ? atomic_load_explicit(&job.stop.now, memory_order_relaxed) : NAME(backward)(call, 1);
}
