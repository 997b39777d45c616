/* One step at a time on weights packed once: the same tiles and gate arithmetic as a sequence, so the same bits.
 *
 * The stepper owns one block of memory: packed W and U, both states, the projected input of one step, the arrays of its
 * options. A step is one product with W, one with U and the gate arithmetic behind it, on the calling thread.
 */
#include <stdlib.h>

#include "forward.h"
#include "kernels.h"

typedef struct {
  congru_stepper base;
  congru_call call;
  forward_worker worker;
  real *y;          /* where y goes when the caller does not want it */
  real *zoneout[2]; /* of h and c, [H]; NULL in the call where there is none */
} stepper;

static void set(congru_stepper *self, const void *h, const void *c) {
  stepper *s = (stepper *)self;
  forward_worker *w = &s->worker;
  int64_t H = s->call.H;
  for (int64_t b = 0; b < s->call.B; b++) {
    for (int part = 0; part <= (s->call.cell == CONGRU_LSTM); part++) {
      real *to = (part ? w->c : w->h[w->now]) + b * w->padded;
      const real *from = part ? c : h;
      memset(to, 0, (size_t)w->padded * sizeof(real));
      if (from) memcpy(to, from + b * H, (size_t)H * sizeof(real));
    }
  }
}

static void get(const congru_stepper *self, void *h, void *c) {
  const stepper *s = (const stepper *)self;
  const forward_worker *w = &s->worker;
  int64_t H = s->call.H;
  for (int64_t b = 0; b < s->call.B; b++) {
    memcpy((real *)h + b * H, w->h[w->now] + b * w->padded, (size_t)H * sizeof(real));
    if (c) memcpy((real *)c + b * H, w->c + b * w->padded, (size_t)H * sizeof(real));
  }
}

static void step(congru_stepper *self, const void *x, void *y) {
  stepper *s = (stepper *)self;
  unsigned state = congru_flush_denormals();
  s->call.x = x;
  s->call.y = y ? y : s->y;
  NAME(forward_project)(&s->worker, s->call.B);
  if (s->worker.packed.norm == NORM_OF_GATES) NAME(normalise_inputs)(&s->worker, 0, s->call.B);
  NAME(forward_step)(&s->worker, NULL, s->call.B);
  congru_restore_denormals(state);
}

static void take_all(stepper *s, arena *a) {
  forward_worker *w = &s->worker;
  int64_t B = s->call.B, H = s->call.H;
  w->call = &s->call;
  NAME(take_weights)(&w->packed, a, &s->call, B, B);
  NAME(take_group)(w, a, B);
  NAME(take_worker)(w, a, 1, B);
  s->y = TAKE(a, real, B * H);
  for (int i = 0; i < 2; i++) s->zoneout[i] = TAKE(a, real, H);
}

/* Pack the weights of `call`; what only that needs is not kept. Returns 0, or -1 when memory ran out. */
static int pack(stepper *s, const congru_call *call) {
  congru_call weights = s->call;
  weights.W = call->W, weights.U = call->U, weights.b_i = call->b_i, weights.b_h = call->b_h, weights.b_c = call->b_c;
  packed_weights packed = s->worker.packed;
  arena a = {NULL, 0};
  NAME(take_centred)(&packed, &a, call);
  char *centred = a.used ? aligned_alloc(64, a.used) : NULL;
  if (a.used && !centred) return -1;
  a = (arena){centred, 0};
  NAME(take_centred)(&packed, &a, call);
  NAME(pack_weights)(&packed, &weights, 0, s->worker.u1);
  free(centred);
  return 0;
}

congru_stepper *NAME(stepper_new)(const congru_call *call) {
  stepper s = {.base = {step, get, set}, .call = {0}};
  int64_t blocks = (call->H + VL - 1) / VL;
  s.call.cell = call->cell, s.call.dtype = call->dtype, s.call.weight_dtype = call->weight_dtype;
  s.call.B = call->B, s.call.T = 1, s.call.I = call->I, s.call.H = call->H;
  s.call.x_strides.batch = call->I, s.call.y_strides.batch = call->H;
  s.call.g_i = call->g_i, s.call.g_h = call->g_h, s.call.g_c = call->g_c; /* from here on: whether they are there */
  s.call.zoneout = call->zoneout, s.call.zoneout_c = call->zoneout_c;
  s.worker.u1 = blocks, s.worker.b1 = call->B, s.worker.gates = gates_of(call->cell), s.worker.padded = blocks * VL;
  arena a = {NULL, sizeof(stepper)};
  a.used = (a.used + 63) & ~(size_t)63;
  size_t header = a.used;
  take_all(&s, &a);
  stepper *made = aligned_alloc(64, a.used);
  if (!made) return NULL;
  a = (arena){(char *)made, header};
  take_all(&s, &a);
  *made = s;
  made->worker.call = &made->call;
  made->worker.row = made->worker.table.row;
  made->worker.xp_of_step = made->worker.xp;
  for (int64_t b = 0; b < call->B; b++) made->worker.table.row[b] = (scan_row){.b = b};
  const void **zoneout[] = {&made->call.zoneout, &made->call.zoneout_c};
  for (int i = 0; i < 2; i++) {
    if (*zoneout[i]) *zoneout[i] = memcpy(made->zoneout[i], *zoneout[i], (size_t)call->H * sizeof(real));
  }
  if (pack(made, call)) {
    free(made);
    return NULL;
  }
  set(&made->base, call->h0, call->c0);
  return &made->base;
}
