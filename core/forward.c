/* The forward scan of any cell.
 *
 *   for each chunk of steps:   xp = W x + b                       one product over all rows of the chunk
 *     for each step:           tile of U h -> gate arithmetic -> h', y, gates
 *
 * In registers: one product tile. In the level-1 cache: the finished tile and the rows' states. In the level-2 cache: xp of
 * the chunk and, where they fit, the packed U (and W). Threads of a group meet once a step (reset before: twice; layer norm:
 * once more before each norm); where that turns out slow, because other programs hold the cores, the first of them goes on
 * alone.
 */
#include "forward.h"

/* Bytes of projected inputs that one group keeps in its level-2 cache. */
#define CHUNK_BYTES (256 * 1024)

/* Weights of so many bytes leave the level-2 cache while they are packed. */
#define LARGE (1024 * 1024)

/* Whether packing the weights would cost more than it saves: they are used once in every step, and every row is slower where
 * they are not packed. Measured by bench/few_steps.py. What a packing computes (a layer norm, rounding) must be packed. */
static int is_short(const congru_call *call) {
  int64_t bytes = gates_of(call->cell) * call->H * (call->H + call->I) * (int64_t)sizeof(real);
  return call->T * (call->B + 4) <= (bytes < LARGE ? 16 : 40) && call->H >= VL && !call->g_i && !call->weight_dtype;
}

void NAME(forward_project)(forward_worker *w, int64_t n) {
  const congru_call *call = w->call;
  for (int64_t i = 0; i < n; i++) w->pointer[i] = step_at(call->x, call->x_strides, w->table.row + i);
  NAME(product_store)(w->pointer, n, &w->packed.W, w->u0 * w->gates, w->u1 * w->gates, w->gates,
                      w->packed.norm == NORM_OF_GATES ? NULL : w->packed.bias_x, w->xp, w->gates * w->padded);
}

int NAME(forward_step)(forward_worker *w, congru_barrier *barrier, int64_t n) {
  static finish_fn *const finish[] = {NAME(gru_finish), NAME(gru_before_finish_rz), NAME(lstm_finish), NAME(rnn_finish)};
  int64_t cell = w->call->cell, unit = recurrent_unit(cell), normed = w->packed.norm != NO_NORM;
  for (int64_t i = 0; i < n; i++) w->pointer[i] = state_at(w, w->seen[w->now], w->row + i);
  if (normed) {
    NAME(product_store)(w->pointer, n, &w->packed.U, w->u0 * unit, w->u1 * unit, unit, NULL, w->uh, unit * w->padded);
    congru_barrier_wait(barrier);
    NAME(finish_normalised)(w, n);
  } else {
    NAME(product)(w->pointer, n, &w->packed.U, w->u0 * unit, w->u1 * unit, unit, w->packed.bias_h, finish[cell], w);
  }
  if (cell == CONGRU_GRU_BEFORE) {
    congru_barrier_wait(barrier);
    for (int64_t i = 0; i < n; i++) w->pointer[i] = state_at(w, w->rh, w->row + i);
    if (normed) {
      NAME(product_store)(w->pointer, n, &w->packed.U_n, w->u0, w->u1, 1, NULL, w->uh, w->padded);
      congru_barrier_wait(barrier);
      NAME(finish_normalised_n)(w, n);
    } else {
      NAME(product)(w->pointer, n, &w->packed.U_n, w->u0, w->u1, 1, NULL, NAME(gru_before_finish_n), w);
    }
  }
  if (cell == CONGRU_LSTM && normed) {
    congru_barrier_wait(barrier);
    NAME(finish_normalised_c)(w, n);
  }
  w->now = 1 - w->now;
  return congru_barrier_wait(barrier);
}

/* The state entering step 0 (h0, or what a reset at the very first step puts there), and the final state of empty rows. */
static void begin_rows(forward_worker *w) {
  const congru_call *call = w->call;
  int64_t H = call->H, lstm = call->cell == CONGRU_LSTM;
  for (int64_t b = w->b0; b < w->b1; b++) {
    int is_first = call->reset && !call->reverse && length_of(call, b) > 0 && call->reset[b * call->T];
    for (int part = 0; part <= lstm; part++) {
      const real *initial = part ? call->c0 : call->h0, *start = part ? call->c_reset : call->h_reset;
      const real *from = is_first ? start : initial ? initial + b * H : NULL;
      real *to = (part ? w->c : w->h[w->now]) + (b - w->b0) * w->padded, *final = (real *)(part ? call->c : call->h) + b * H;
      memset(to, 0, (size_t)w->padded * sizeof(real));
      if (from) memcpy(to, from, (size_t)H * sizeof(real));
      if (part == 0 && call->h_mask) {
        const scan_row row = {.b = b};
        for (int64_t block = 0; block < w->padded / VL; block++)
          store(state_at(w, w->seen[w->now], &row) + block * VL, masked(call, &row, block, load(to + block * VL), H - block * VL));
      }
      if (length_of(call, b) == 0) memcpy(final, to, (size_t)H * sizeof(real));
    }
  }
}

void NAME(take_group)(forward_worker *w, arena *a, int64_t chunk_rows) {
  int64_t rows = w->b1 - w->b0;
  for (int i = 0; i < 2; i++) w->h[i] = w->seen[i] = TAKE(a, real, rows * w->padded);
  for (int i = 0; i < 2 && w->call->h_mask; i++) w->seen[i] = TAKE(a, real, rows * w->padded);
  w->c = TAKE(a, real, w->call->cell == CONGRU_LSTM ? rows * w->padded : 0);
  NAME(take_scratch)(w, a, chunk_rows);
}

void NAME(take_scratch)(forward_worker *w, arena *a, int64_t chunk_rows) {
  int64_t rows = w->b1 - w->b0, cell = w->call->cell;
  w->rh = TAKE(a, real, cell == CONGRU_GRU_BEFORE ? rows * w->padded : 0);
  w->z = TAKE(a, real, cell == CONGRU_GRU_BEFORE ? rows * w->padded : 0);
  w->xp = TAKE(a, real, chunk_rows * w->gates * w->padded);
  int64_t normed = w->packed.norm != NO_NORM, of_c = normed && cell == CONGRU_LSTM;
  w->uh = TAKE(a, real, normed ? rows * recurrent_unit(cell) * w->padded : 0);
  w->c_new = TAKE(a, real, of_c ? rows * w->padded : 0);
  w->o = TAKE(a, real, of_c ? rows * w->padded : 0);
}

void NAME(take_worker)(forward_worker *w, arena *a, int64_t chunk, int64_t chunk_rows) {
  w->table.row = TAKE(a, scan_row, chunk_rows);
  w->table.first = TAKE(a, int64_t, chunk + 1);
  w->pointer = TAKE(a, const real *, chunk_rows);
  w->normed = TAKE(a, real, w->packed.norm ? w->gates * w->padded : 0);
}

/* Lay out the whole workspace; fills in the worker of `thread` (-1: none). */
static void take_all(const scan_job *job, arena *a, forward_worker *worker, int64_t thread) {
  packed_weights packed;
  int64_t most = (job->call->B + job->groups - 1) / job->groups;
  if (job->packed) {
    packed = *job->packed;
  } else {
    if (is_short(job->call))
      NAME(take_unpacked)(&packed, a, job->call);
    else
      NAME(take_weights)(&packed, a, job->call, most * job->chunk, most);
    NAME(take_centred)(&packed, a, job->call);
  }
  for (int64_t group = 0; group < job->groups; group++) {
    forward_worker w = {.job = job, .call = job->call, .packed = packed, .gates = job->gates, .padded = job->padded};
    w.b0 = split(job->call->B, job->groups, group), w.b1 = split(job->call->B, job->groups, group + 1);
    int64_t chunk_rows = (w.b1 - w.b0) * job->chunk;
    NAME(take_group)(&w, a, chunk_rows);
    for (int64_t part = 0; part < job->parts; part++) {
      NAME(take_worker)(&w, a, job->chunk, chunk_rows);
      w.u0 = split(job->blocks, job->parts, part), w.u1 = split(job->blocks, job->parts, part + 1);
      if (group * job->parts + part == thread) *worker = w;
    }
  }
}

static void forward_thread(void *argument, int64_t thread) {
  scan_job *job = argument;
  const congru_call *call = job->call;
  int64_t group = thread / job->parts, threads = job->everyone.members;
  if (thread >= threads) return;
  congru_barrier *barrier = &job->group_barrier[group];
  forward_worker w;
  take_all(job, &(arena){(char *)job->workspace, 0}, &w, thread);
  if (!job->packed)
    NAME(pack_weights)(&w.packed, call, split(job->blocks, threads, thread), split(job->blocks, threads, thread + 1));
  if (thread % job->parts == 0) {
    begin_rows(&w);
    NAME(clear_padding)(call, call->y, call->y_strides, call->H, w.b0, w.b1);
    NAME(clear_padding)(call, call->gates, call->gates_strides, job->gates * call->H, w.b0, w.b1);
    NAME(clear_padding)(call, call->extra, call->y_strides, call->H, w.b0, w.b1);
  }
  congru_barrier_wait(&job->everyone);
  for (int64_t s0 = 0; s0 < call->T; s0 += job->chunk) {
    int64_t s1 = s0 + job->chunk < call->T ? s0 + job->chunk : call->T;
    NAME(fill_table)(&w.table, call, w.b0, w.b1, s0, s1);
    int64_t rows = w.table.first[s1 - s0];
    NAME(forward_project)(&w, rows);
    if (w.packed.norm == NORM_OF_GATES) {
      int64_t part = barrier ? thread % job->parts : 0, parts = barrier ? job->parts : 1;
      congru_barrier_wait(barrier);
      NAME(normalise_inputs)(&w, split(rows, parts, part), split(rows, parts, part + 1));
      congru_barrier_wait(barrier);
    }
    for (int64_t s = 0; s < s1 - s0; s++) {
      w.row = w.table.row + w.table.first[s];
      w.xp_of_step = w.xp + w.table.first[s] * w.gates * w.padded;
      int64_t n = w.table.first[s + 1] - w.table.first[s];
      int given_up = NAME(forward_step)(&w, barrier, n);
      if (congru_stopped(barrier, &job->stop)) return;
      if (thread == 0) congru_ask(&job->stop, n * w.gates * (w.u1 - w.u0) * VL * (call->H + call->I));
      if (!given_up || !barrier) continue;
      if (thread % job->parts) return; /* the first part goes on alone */
      w.u0 = 0, w.u1 = job->blocks, barrier = NULL;
    }
  }
}

int NAME(forward)(const congru_call *call, const congru_packed *packed, int64_t threads) {
  scan_job job = {.call = call, .packed = packed ? &((const packed_layer *)packed)->weights : NULL};
  congru_barrier group_barrier[CONGRU_MAX_THREADS];
  int64_t row_bytes = gates_of(call->cell) * (call->H + VL) * (int64_t)sizeof(real);
  NAME(plan)(&job, threads, threads * CHUNK_BYTES / row_bytes);
  NAME(init_barriers)(&job, group_barrier, job.groups * job.parts);
  arena size = {NULL, 0};
  take_all(&job, &size, NULL, -1);
  job.workspace = congru_memory_get(size.used);
  if (!job.workspace) {
    congru_pool_give_up(threads);
    return -1;
  }
  int64_t steps = call->B * call->T * (int64_t)sizeof(real);
  congru_memory_is_fresh(call->norms, steps * norms_row(call));
  int64_t row = job.gates * call->H;
  if (call->gates_strides.batch == call->T * row) congru_memory_is_fresh(call->gates, steps * row);
  int ran = congru_pool_run(threads, forward_thread, &job);
  congru_memory_put(job.workspace);
  return ran ? atomic_load_explicit(&job.stop.now, memory_order_relaxed) : NAME(forward)(call, packed, 1);
}
