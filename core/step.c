/* Weights packed once, and steps on them: the same tiles and gate arithmetic as a sequence, so the same bits.
 *
 * A step of n rows is one product with W, one with U and the gate arithmetic behind it. Weights are only read. What a step
 * needs beside the states (projected inputs, the new state, the arrays of the options) lies on the stack where it is little,
 * else in a workspace; many rows are shared out over threads, and each thread goes through its rows in chunks whose projected
 * inputs stay in the level-2 cache. Measurements: bench/step_speed.py, bench/sessions.py.
 */
#include "forward.h"
#include "platform.h"

#define STACK_BYTES ((size_t)64 * 1024)
#define CHUNK_BYTES (256 * 1024)
/* Rows below which a chunk's product is slower a row, and a thread is not worth waking. */
#define FEWEST_ROWS 8

static void take_packed(packed_layer *layer, arena *a, const congru_call *call) {
  NAME(take_weights)(&layer->weights, a, call, 1, 1); /* a step of one row reads whole panels, other products parts of them */
  layer->base.call.zoneout = TAKE(a, real, call->zoneout ? call->H : 0);
  layer->base.call.zoneout_c = TAKE(a, real, call->zoneout_c ? call->H : 0);
}

/* What only the packing needs is not kept. Returns 0, or -1 when memory ran out. */
static int pack(const packed_layer *layer, const congru_call *call) {
  packed_weights packed = layer->weights;
  arena a = {NULL, 0};
  NAME(take_centred)(&packed, &a, call);
  char *centred = a.used ? aligned_memory(64, a.used) : NULL;
  if (a.used && !centred) return -1;
  a = (arena){centred, 0};
  NAME(take_centred)(&packed, &a, call);
  NAME(pack_weights)(&packed, call, 0, (call->H + VL - 1) / VL);
  free_aligned(centred);
  return 0;
}

static forward_worker worker_of(const packed_layer *layer, const congru_call *call, int64_t n) {
  int64_t padded = layer->base.padded;
  return (forward_worker){.call = call, .packed = layer->weights, .b1 = n, .u1 = padded / VL, .gates = gates_of(call->cell),
                          .padded = padded};
}

/* Where the arrays of a step of n rows lie; returns their bytes. Without base it only counts. */
static size_t take_step(forward_worker *w, char *base, int64_t n, real **y) {
  arena a = {base, 0};
  w->h[1] = w->seen[1] = TAKE(&a, real, n * w->padded);
  if (!*y) *y = TAKE(&a, real, n * w->call->H);
  NAME(take_scratch)(w, &a, n);
  NAME(take_worker)(w, &a, 1, n);
  return a.used;
}

congru_packed *NAME(packed_new)(const congru_call *call) {
  packed_layer layer = {.base = {.padded = (call->H + VL - 1) / VL * VL}};
  arena a = {NULL, (sizeof(layer) + 63) & ~(size_t)63};
  size_t header = a.used;
  take_packed(&layer, &a, call);
  packed_layer *made = aligned_memory(64, a.used);
  if (!made) return NULL;
  a = (arena){(char *)made, header};
  take_packed(&layer, &a, call);
  if (pack(&layer, call)) {
    free_aligned(made);
    return NULL;
  }
  congru_call *kept = &layer.base.call;
  kept->cell = call->cell, kept->dtype = call->dtype, kept->weight_dtype = call->weight_dtype;
  kept->I = call->I, kept->H = call->H;
  kept->g_i = call->g_i ? layer.weights.gain_x : NULL, kept->g_h = call->g_h ? layer.weights.gain_h : NULL;
  const void *zoneout[] = {call->zoneout, call->zoneout_c}, **copy[] = {&kept->zoneout, &kept->zoneout_c};
  for (int i = 0; i < 2; i++) {
    if (zoneout[i])
      memcpy((void *)(uintptr_t)*copy[i], zoneout[i], (size_t)call->H * sizeof(real));
    else
      *copy[i] = NULL;
  }
  forward_worker one = worker_of(&layer, kept, 1);
  real *unseen = NULL;
  layer.base.row_bytes = take_step(&one, NULL, 1, &unseen);
  *made = layer;
  return &made->base;
}

/* Step n rows x [n, I]; h and c [n, padded] are replaced, y [n, H] may be NULL. */
static void step_rows(const packed_layer *layer, char *scratch, int64_t n, const real *x, real *h, real *c, real *y) {
  congru_call call = layer->base.call;
  forward_worker w = worker_of(layer, &call, n);
  w.h[0] = w.seen[0] = h, w.c = c;
  (void)take_step(&w, scratch, n, &y);
  call.x = x, call.x_strides.batch = call.I, call.y = y, call.y_strides.batch = call.H;
  w.row = w.table.row, w.xp_of_step = w.xp;
  for (int64_t b = 0; b < n; b++) w.table.row[b] = (scan_row){.b = b};
  NAME(forward_project)(&w, n);
  if (w.packed.norm == NORM_OF_GATES) NAME(normalise_inputs)(&w, 0, n);
  (void)NAME(forward_step)(&w, NULL, n);
  memcpy(h, w.h[1], (size_t)(n * w.padded) * sizeof(real));
}

int NAME(step)(congru_stepper *stepper, const void *x, void *y) {
  const packed_layer *layer = (const packed_layer *)stepper->packed;
  _Alignas(64) char scratch[STACK_BYTES];
  if ((size_t)stepper->rows * layer->base.row_bytes > STACK_BYTES) return 0;
  unsigned state = congru_flush_denormals();
  step_rows(layer, scratch, stepper->rows, x, stepper->h, stepper->c, y);
  congru_restore_denormals(state);
  return 1;
}

typedef struct {
  const congru_rows *rows;
  int64_t threads, chunk;
  size_t state_bytes, bytes; /* of a thread: gathered h or c; all of its workspace */
  char *workspace;
} rows_job;

/* Copy the states of rows [i, i + n) to h and c, or back. */
static void move_states(const congru_rows *rows, int64_t i, int64_t n, real *h, real *c, int back) {
  int64_t padded = rows->packed->padded;
  size_t bytes = (size_t)padded * sizeof(real);
  int lstm = rows->packed->call.cell == CONGRU_LSTM;
  for (int64_t k = 0; k < n; k++, h += padded, c += padded) {
    const congru_stepper *stepper = rows->each[i + k];
    memcpy(back ? stepper->h : h, back ? h : stepper->h, bytes);
    if (lstm) memcpy(back ? stepper->c : c, back ? c : stepper->c, bytes);
  }
}

static void rows_thread(void *argument, int64_t thread) {
  const rows_job *job = argument;
  const congru_rows *rows = job->rows;
  const packed_layer *layer = (const packed_layer *)rows->packed;
  int64_t I = layer->base.call.I, H = layer->base.call.H, padded = layer->base.padded;
  if (thread >= job->threads) return;
  char *scratch = job->workspace + (size_t)thread * job->bytes;
  real *h = (real *)scratch, *c = (real *)(scratch + job->state_bytes);
  int64_t i0 = split(rows->n, job->threads, thread), i1 = split(rows->n, job->threads, thread + 1);
  for (int64_t i = i0; i < i1; i += job->chunk) {
    int64_t n = i1 - i < job->chunk ? i1 - i : job->chunk;
    real *y = rows->y ? (real *)rows->y + i * H : NULL;
    if (rows->one)
      h = (real *)rows->one->h + i * padded, c = (real *)rows->one->c + i * padded;
    else
      move_states(rows, i, n, h, c, 0);
    step_rows(layer, scratch + 2 * job->state_bytes, n, (const real *)rows->x + i * I, h, c, y);
    if (!rows->one) move_states(rows, i, n, h, c, 1);
  }
}

int NAME(advance)(const congru_rows *rows, int64_t threads) {
  const packed_layer *layer = (const packed_layer *)rows->packed;
  int64_t row = gates_of(layer->base.call.cell) * layer->base.padded * (int64_t)sizeof(real);
  int64_t used = rows->n / FEWEST_ROWS < threads ? rows->n / FEWEST_ROWS : threads;
  rows_job job = {.rows = rows, .threads = used < 1 ? 1 : used, .chunk = CHUNK_BYTES / (row ? row : 1) / FEWEST_ROWS * FEWEST_ROWS};
  int64_t most = (rows->n + job.threads - 1) / job.threads;
  if (job.chunk < FEWEST_ROWS) job.chunk = FEWEST_ROWS;
  if (job.chunk > most) job.chunk = most;
  job.state_bytes = rows->one ? 0 : (size_t)(job.chunk * layer->base.padded) * sizeof(real);
  job.state_bytes = (job.state_bytes + 63) & ~(size_t)63;
  job.bytes = 2 * job.state_bytes + (size_t)job.chunk * layer->base.row_bytes;
  job.workspace = congru_memory_get((size_t)job.threads * job.bytes);
  if (!job.workspace) {
    congru_pool_give_up(threads);
    return -1;
  }
  int ran = congru_pool_run(threads, rows_thread, &job);
  congru_memory_put(job.workspace);
  return ran ? 0 : NAME(advance)(rows, 1);
}
