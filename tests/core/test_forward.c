/* congru_forward, packed weights and steppers against the naive double loop: every cell, element type, instruction set and option, sizes
 * with and without tails, nothing to do, several chunks, several threads; and float32 bit for bit where bits are promised:
 * bfloat16 weights give the bits of float weights that were rounded to bfloat16 before.
 *
 *   test_forward [seeds [every]]     every: all combinations of options (1), or every so many, other ones at each size
 */
#include <math.h>
#include <string.h>

#include "cases.h"
#include "naive.h"

static const int64_t SIZES[][4] = {/* B, T, I, H */
    {3, 5, 4, 7}, {1, 3, 5, 3}, {2, 1, 3, 5}, {9, 4, 17, 33}, {5, 6, 1, 16}, {2, 3, 0, 6}, {2, 0, 3, 4}, {0, 3, 2, 4}};

static void compare(const char *what, const void *found, const void *expected, const spec *s, int64_t n) {
  char where[300];
  if (!found) return;
  snprintf(where, sizeof where, "%s, %s", what, name_of(s));
  static const char *const rows[] = {"core forward, float32",    "core forward, float64",     "core layer norm, float32",
                                     "core layer norm, float64", "core nested norm, float32", "core nested norm, float64"};
  int normed = s->options & (NORM | DREAMER) ? 2 : 0;
  report(rows[s->dtype + (normed && s->cell != CONGRU_GRU ? 4 : normed)], relative_error(found, s->dtype, expected, n), where);
}

/* The same bytes, whatever differs. */
static void same_bits(const problem *a, const problem *b, const char *what) {
  size_t size = a->spec.dtype ? 8 : 4, states = (size_t)(a->call.B * a->call.H) * size;
  CHECK(!memcmp(a->call.y, b->call.y, states * (size_t)a->call.T), "y depends on %s: %s", what, name_of(&a->spec));
  CHECK(!memcmp(a->call.h, b->call.h, states), "h depends on %s: %s", what, name_of(&a->spec));
}

/* The stepper's outputs are the bits of the sequence's, for plain sequences; reset, lengths and reverse are its caller's. */
static void check_stepper(const problem *p) {
  const congru_call *call = &p->call;
  if (p->spec.options & ~(unsigned)(BARE | RECOMPUTE | NORM | DREAMER)) return;
  size_t size = call->dtype ? 8 : 4;
  int64_t B = call->B, T = call->T, I = call->I, H = call->H, lstm = call->cell == CONGRU_LSTM;
  size_t state = (size_t)(B * H) * size;
  char *x = malloc((size_t)(B * I) * size + 1), *y = malloc(state + 1), *h = malloc(state + 1), *c = malloc(state + 1);
  congru_stepper *stepper = make_stepper(call), *twin = congru_stepper_copy(stepper);
  CHECK(x && y && h && c && twin, "no memory");
  for (int64_t t = 0; t < T; t++) {
    for (int64_t b = 0; b < B; b++)
      memcpy(x + (size_t)(b * I) * size, (const char *)call->x + (size_t)((b * T + t) * I) * size, (size_t)I * size);
    congru_stepper_get(stepper, h, lstm ? c : NULL); /* the twin goes on from the same state and shows no y */
    congru_stepper_set(twin, h, lstm ? c : NULL);
    congru_stepper_step(stepper, x, y);
    congru_stepper_step(twin, x, NULL);
    congru_stepper_get(twin, h, lstm ? c : NULL);
    CHECK(!memcmp(h, y, state), "the state is not the last output: %s", name_of(&p->spec));
    for (int64_t b = 0; b < B; b++) {
      size_t row = (size_t)(b * H) * size, at = (size_t)((b * T + t) * H) * size;
      CHECK(!memcmp(y + row, (const char *)call->y + at, (size_t)H * size), "step %d: %s", (int)t, name_of(&p->spec));
    }
  }
  congru_stepper_get(stepper, h, lstm ? c : NULL);
  CHECK(!memcmp(h, call->h, state), "final h: %s", name_of(&p->spec));
  CHECK(!lstm || !memcmp(c, call->c, state), "final c: %s", name_of(&p->spec));
  congru_stepper_free(stepper), congru_stepper_free(twin);
  free(x), free(y), free(h), free(c);
}

/* A sequence on packed weights has the bits of one that packs its own, in all it writes. */
static void check_packed(const spec *s, uint64_t seed, int64_t weight_dtype, const problem *expected) {
  problem found = make_problem(s, seed);
  congru_call *call = &found.call, weights = found.call;
  weights.weight_dtype = weight_dtype, weights.zoneout = weights.zoneout_c = NULL; /* drawn step by step: of the call */
  congru_packed *packed = congru_packed_new(&weights);
  CHECK(packed, "no memory");
  call->W = call->U = call->b_i = call->b_h = call->g_i = call->g_h = call->g_c = call->b_c = NULL;
  call->cell = call->dtype = call->I = call->H = -1;
  CHECK(congru_packed_forward(packed, call) == 0, "no memory");
  size_t size = s->dtype ? 8 : 4, steps = (size_t)(s->B * s->T) * size, G = (size_t)num_gates(s->cell), H = (size_t)s->H;
  same_bits(expected, &found, "packing");
  CHECK(!call->c || !memcmp(call->c, expected->call.c, (size_t)s->B * H * size), "c depends on packing: %s", name_of(s));
  CHECK(!call->gates || !memcmp(call->gates, expected->call.gates, steps * G * H), "gates depend on packing: %s", name_of(s));
  congru_packed_free(packed);
  free_problem(&found);
}

/* Steppers of one row each advance together as each of them steps alone: also through several chunks and threads. */
static void check_advance(int64_t cell, int64_t dtype, unsigned options, int64_t n, int64_t I, int64_t H) {
  spec s = {.cell = cell, .dtype = dtype, .B = n, .T = 3, .I = I, .H = H, .threads = 1, .options = options};
  problem p = make_problem(&s, (uint64_t)n);
  congru_packed *packed = congru_packed_new(&p.call);
  congru_stepper **each = malloc((size_t)(n + 1) * sizeof(*each)), *batch = make_stepper(&p.call);
  size_t size = dtype ? 8 : 4, row = (size_t)H * size;
  char *y = malloc((size_t)n * row), *alone = malloc(row), *h = malloc(row), *other = malloc((size_t)n * row);
  CHECK(packed && each && y && alone && h && other, "no memory");
  for (int64_t i = 0; i < n; i++) {
    each[i] = congru_stepper_new(packed, 1);
    CHECK(each[i], "no memory");
    const char *c0 = p.call.c0;
    congru_stepper_set(each[i], (const char *)p.call.h0 + (size_t)i * row, c0 ? c0 + (size_t)i * row : NULL);
  }
  for (int64_t t = 0; t < 3; t++) { /* x is [n, T, I]: any n rows of it */
    const char *x = (const char *)p.call.x + (size_t)(t * n * I) * size;
    congru_stepper *twin[2] = {congru_stepper_copy(each[0]), congru_stepper_copy(each[n - 1])};
    congru_set_threads(t == 2 ? -3 : 1);
    CHECK(congru_advance(n, each, x, y) == 0 && congru_stepper_step(batch, x, other) == 0, "no memory");
    CHECK(!memcmp(y, other, (size_t)n * row), "a batch and %d steppers differ: %s", (int)n, name_of(&p.spec));
    for (int k = 0; k < 2; k++) {
      int64_t i = k ? n - 1 : 0;
      CHECK(congru_stepper_step(twin[k], x + (size_t)(i * I) * size, alone) == 0, "no memory");
      CHECK(!memcmp(alone, y + (size_t)i * row, row), "row %d depends on the others: %s", (int)i, name_of(&p.spec));
      congru_stepper_get(each[i], h, NULL);
      CHECK(!memcmp(h, alone, row), "state %d is not its output: %s", (int)i, name_of(&p.spec));
      congru_stepper_free(twin[k]);
    }
  }
  congru_set_threads(1);
  for (int64_t i = 0; i < n; i++) congru_stepper_free(each[i]);
  congru_stepper_free(batch), congru_packed_free(packed);
  free(each), free(y), free(alone), free(h), free(other);
  free_problem(&p);
}

static void check_case(spec s, uint64_t seed) {
  problem found = make_problem(&s, seed), threads = make_problem(&s, seed);
  s.dtype = 1;
  problem expected = make_problem(&s, seed);
  s = found.spec;
  CHECK(congru_forward(&found.call) == 0, "no memory");
  naive_forward(&expected.call);
  int64_t states = s.B * s.H, steps = states * s.T, G = num_gates(s.cell);
  compare("y", found.call.y, expected.call.y, &s, steps);
  compare("h", found.call.h, expected.call.h, &s, states);
  compare("c", found.call.c, expected.call.c, &s, states);
  compare("gates", found.call.gates, expected.call.gates, &s, steps * G);
  compare("extra", found.call.extra, expected.call.extra, &s, steps);
  threads.call.threads = -3;
  CHECK(congru_forward(&threads.call) == 0, "no memory");
  same_bits(&threads, &found, "threads");
  check_stepper(&found);
  check_packed(&s, seed, 0, &found);
  free_problem(&found), free_problem(&threads), free_problem(&expected);
}

/* x with 8 significant bits, by the definition; ties to even is the rounding of nearbyint. */
static float with_8_bits(float x) {
  int exponent;
  double fraction = frexp(x, &exponent);
  return (float)ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static void check_bfloat16(spec s, uint64_t seed) {
  problem found = make_problem(&s, seed), rounded = make_problem(&s, seed);
  congru_call *call = &rounded.call;
  int64_t rows = num_gates(s.cell) * s.H;
  float *W = (float *)(uintptr_t)call->W, *U = (float *)(uintptr_t)call->U, x = 0, y = 0;
  for (int64_t i = 0; i < rows * s.I; i++) x += fabsf(W[i] - with_8_bits(W[i])), W[i] = with_8_bits(W[i]);
  for (int64_t i = 0; i < rows * s.H; i++) y += fabsf(U[i] - with_8_bits(U[i])), U[i] = with_8_bits(U[i]);
  CHECK((!s.I || x > 0) && y > 0, "rounding changes nothing: %s", name_of(&s));
  found.call.weight_dtype = 1;
  CHECK(congru_forward(&found.call) == 0 && congru_forward(call) == 0, "no memory");
  same_bits(&found, &rounded, "how weights are rounded to bfloat16");
  check_stepper(&found);
  check_packed(&s, seed, 1, &rounded);
  free_problem(&found), free_problem(&rounded);
}

int main(int count, char **arguments) {
  uint64_t seeds = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
  unsigned every = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 10) : 1, turn = 0;
  CHECK(every > 0, "every is %s, expected a whole number from 1", arguments[2]);
  for (uint64_t seed = 0; seed < seeds; seed++) {
    FOR_EACH_ISA(isa) {
      for (int64_t form = 0; form < 8; form++) {
        spec s = {.cell = form / 2, .dtype = form % 2, .threads = -1};
        for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
          s.B = SIZES[i][0], s.T = SIZES[i][1], s.I = SIZES[i][2], s.H = SIZES[i][3];
          for (s.options = turn++ % every; s.options < 1u << NUM_OPTIONS; s.options += every) check_case(s, seed);
          for (s.options = 0; s.options < NORM && !s.dtype; s.options += MASK - 1) check_bfloat16(s, seed);
        }
        for (unsigned options = 0; options <= DREAMER; options += NORM) {
          check_advance(s.cell, s.dtype, options, 21, 5, 37);
          check_advance(s.cell, s.dtype, options, 2, 3, 16);
        }
        check_advance(s.cell, s.dtype, 0, 70, 2, 300);
        spec long_one = {.cell = s.cell, .dtype = s.dtype, .B = 9, .T = 45, .I = 3, .H = 70, .threads = -2};
        for (long_one.options = 0; long_one.options < BARE; long_one.options += 3) check_case(long_one, seed);
      }
    }
  }
  print_reports();
}
