#include "cases.h"

#include <math.h>
#include <string.h>

static const char *const CELL_NAMES[] = {"gru", "gru-before", "lstm", "rnn"};
static const char *const OPTION_NAMES[] = {"reverse", "lengths", "reset", "bare", "time-major", "recompute", "mask",
                                          "zoneout", "norm",    "dreamer"};

const char *name_of(const spec *s) {
  static char text[256];
  int used = snprintf(text, sizeof text, "%s float%d B%d T%d I%d H%d", CELL_NAMES[s->cell], s->dtype ? 64 : 32, (int)s->B,
                      (int)s->T, (int)s->I, (int)s->H);
  for (int i = 0; i < NUM_OPTIONS; i++) {
    if (s->options >> i & 1) used += snprintf(text + used, sizeof text - (size_t)used, " %s", OPTION_NAMES[i]);
  }
  snprintf(text + used, sizeof text - (size_t)used, " threads %d, %s", (int)s->threads, congru_isa());
  return text;
}

double uniform(uint64_t *state) { /* splitmix64 (Steele, Lea & Flood 2014) */
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

int64_t num_gates(int64_t cell) { return cell == CONGRU_LSTM ? 4 : cell == CONGRU_RNN ? 1 : 3; }

double value_at(const void *array, int64_t dtype, int64_t i) {
  return dtype ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static void put(void *array, int64_t dtype, int64_t i, double value) {
  if (dtype)
    ((double *)array)[i] = value;
  else
    ((float *)array)[i] = (float)value;
}

static void *own(problem *p, int64_t bytes) {
  void *array = malloc((size_t)bytes);
  CHECK(array || !bytes, "no memory");
  return p->owned[p->num_owned++] = array;
}

/* n values that float holds exactly, uniform in [-scale, scale]. */
static void *draw(problem *p, int64_t n, double scale, uint64_t *random) {
  int64_t dtype = p->spec.dtype;
  void *array = own(p, n * (dtype ? 8 : 4));
  for (int64_t i = 0; i < n; i++) put(array, dtype, i, (float)(scale * (2 * uniform(random) - 1)));
  return array;
}

static void *unset(problem *p, int64_t n) {
  int64_t dtype = p->spec.dtype;
  void *array = own(p, n * (dtype ? 8 : 4));
  for (int64_t i = 0; i < n; i++) put(array, dtype, i, NAN);
  return array;
}

static congru_strides strides_of(const spec *s, int64_t width) {
  return s->options & TIME_MAJOR ? (congru_strides){width, s->B * width} : (congru_strides){s->T * width, width};
}

static void draw_inputs(problem *p, uint64_t *random) {
  const spec *s = &p->spec;
  congru_call *call = &p->call;
  int64_t G = num_gates(s->cell), B = s->B, T = s->T, H = s->H;
  int bare = s->options & BARE, lstm = s->cell == CONGRU_LSTM;
  call->x = draw(p, B * T * s->I, 1, random);
  call->W = draw(p, G * H * s->I, 1, random);
  call->U = draw(p, G * H * H, fmin(1, 1.5 / sqrt((double)H)), random); /* a step forgets: errors do not grow with T */
  call->b_i = bare ? NULL : draw(p, G * H, 1, random);
  call->b_h = bare ? NULL : draw(p, G * H, 1, random);
  call->h0 = bare ? NULL : draw(p, B * H, 1, random);
  call->c0 = bare || !lstm ? NULL : draw(p, B * H, 1, random);
  call->h_reset = bare ? NULL : draw(p, H, 1, random);
  call->c_reset = bare || !lstm ? NULL : draw(p, H, 1, random);
  call->g_i = s->options & (NORM | DREAMER) ? draw(p, G * H, 1, random) : NULL;
  call->g_h = s->options & NORM ? draw(p, G * H, 1, random) : NULL;
  call->h_mask = s->options & MASK ? draw(p, B * H, 1.5, random) : NULL;
  call->g_c = s->options & NORM && lstm ? draw(p, H, 1, random) : NULL;
  call->b_c = call->g_c && !bare ? draw(p, H, 1, random) : NULL;
  call->zoneout = s->options & ZONEOUT ? draw(p, B * T * H, 0.5, random) : NULL;
  call->zoneout_c = call->zoneout && lstm ? draw(p, B * T * H, 0.5, random) : NULL;
  if (s->options & LENGTHS) { /* whole, empty, and between */
    int64_t *lengths = own(p, B * 8);
    for (int64_t b = 0; b < B; b++) lengths[b] = b == 0 ? T : b == 1 ? 0 : (int64_t)(uniform(random) * (double)(T + 1));
    call->lengths = lengths;
  }
  if (s->options & RESET) {
    uint8_t *reset = own(p, B * T);
    for (int64_t i = 0; i < B * T; i++) reset[i] = uniform(random) < 0.4;
    call->reset = reset;
  }
}

static void draw_gradients(problem *p, uint64_t *random) {
  const spec *s = &p->spec;
  congru_call *call = &p->call;
  int64_t G = num_gates(s->cell), B = s->B, T = s->T, H = s->H;
  int lstm = s->cell == CONGRU_LSTM;
  call->dy = draw(p, B * T * H, 1, random);
  call->dh = draw(p, B * H, 1, random);
  call->dc = lstm ? draw(p, B * H, 1, random) : NULL;
  call->dgates = draw(p, B * T * G * H, 1, random);
  call->dx = unset(p, B * T * s->I);
  call->dW = unset(p, G * H * s->I), call->dU = unset(p, G * H * H);
  call->db_i = unset(p, G * H), call->db_h = unset(p, G * H);
  call->dh0 = unset(p, B * H), call->dc0 = lstm ? unset(p, B * H) : NULL;
  call->dh_reset = unset(p, H), call->dc_reset = lstm ? unset(p, H) : NULL;
  if (call->g_i) call->dg_i = unset(p, G * H);
  if (call->g_h) call->dg_h = unset(p, G * H);
  if (call->g_c) call->dg_c = unset(p, H), call->db_c = unset(p, H);
}

/* The options that the cell has, and that go together. */
static unsigned possible(const spec *s) {
  unsigned options = s->options;
  if (s->cell == CONGRU_RNN) options &= ~(unsigned)NORM;
  if (s->cell != CONGRU_GRU) options &= ~(unsigned)DREAMER;
  if (options & DREAMER) options &= ~(unsigned)NORM;
  if (options & (NORM | DREAMER) || (s->cell == CONGRU_RNN && options & ZONEOUT)) options &= ~(unsigned)RECOMPUTE;
  return options;
}

problem make_problem(const spec *wanted, uint64_t seed) {
  problem p = {.spec = *wanted};
  const spec *s = &p.spec;
  congru_call *call = &p.call;
  p.spec.options = possible(wanted);
  int64_t G = num_gates(s->cell), B = s->B, T = s->T, H = s->H;
  uint64_t random = seed;
  call->cell = s->cell, call->dtype = s->dtype, call->reverse = !!(s->options & REVERSE), call->threads = s->threads;
  call->B = B, call->T = T, call->I = s->I, call->H = H;
  call->x_strides = call->dx_strides = strides_of(s, s->I);
  call->y_strides = call->dy_strides = strides_of(s, H);
  call->gates_strides = call->dgates_strides = strides_of(s, G * H);
  call->zoneout_strides = strides_of(s, H);
  draw_inputs(&p, &random);
  call->y = unset(&p, B * T * H);
  call->h = unset(&p, B * H);
  int keep = !(s->options & RECOMPUTE), normed = !!(s->options & (NORM | DREAMER));
  if (s->cell == CONGRU_LSTM) call->c = unset(&p, B * H);
  if (keep) call->gates = unset(&p, B * T * G * H);
  if (s->cell == CONGRU_LSTM || (s->cell == CONGRU_GRU && keep && !normed)) call->extra = unset(&p, B * T * H);
  int64_t norms = s->options & DREAMER ? 3 * H + 1 : (2 * G + (s->cell == CONGRU_LSTM)) * (H + 1);
  if (normed) call->norms = unset(&p, B * T * norms);
  draw_gradients(&p, &random);
  return p;
}

congru_stepper *make_stepper(const congru_call *call) {
  congru_packed *packed = congru_packed_new(call);
  CHECK(packed, "no memory");
  congru_stepper *stepper = congru_stepper_new(packed, call->B);
  CHECK(stepper, "no memory");
  congru_packed_free(packed); /* the stepper has a reference of its own */
  congru_stepper_set(stepper, call->h0, call->c0);
  return stepper;
}

void free_problem(problem *p) {
  for (int i = 0; i < p->num_owned; i++) free(p->owned[i]);
}

double relative_error(const void *a, int64_t dtype, const double *b, int64_t n) {
  double worst = 0, size = 1;
  for (int64_t i = 0; i < n; i++) {
    double difference = fabs(value_at(a, dtype, i) - b[i]);
    if (!isfinite(difference)) return INFINITY;
    if (difference > worst) worst = difference;
    if (fabs(b[i]) > size) size = fabs(b[i]);
  }
  return worst / size;
}

#define MAX_ROWS 16
static struct {
  const char *row;
  double error;
  char where[256];
} rows[MAX_ROWS];

void report(const char *row, double error, const char *where) {
  int i = 0;
  while (i < MAX_ROWS && rows[i].row && strcmp(rows[i].row, row)) i++;
  CHECK(i < MAX_ROWS, "more than %d rows", MAX_ROWS);
  if (rows[i].row && error <= rows[i].error) return;
  rows[i].row = row, rows[i].error = error;
  snprintf(rows[i].where, sizeof rows[i].where, "%s", where);
}

void print_reports(void) {
  for (int i = 0; i < MAX_ROWS && rows[i].row; i++) printf("%s\t%.4g\t%s\n", rows[i].row, rows[i].error, rows[i].where);
}
