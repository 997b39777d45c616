/* congru_forward and the stepper against the naive double loop: every cell, element type, instruction set and option, sizes
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
  congru_stepper *stepper = congru_stepper_new(call), *twin = congru_stepper_new(call);
  CHECK(x && y && h && c && stepper && twin, "no memory");
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
        spec long_one = {.cell = s.cell, .dtype = s.dtype, .B = 9, .T = 45, .I = 3, .H = 70, .threads = -2};
        for (long_one.options = 0; long_one.options < BARE; long_one.options += 3) check_case(long_one, seed);
      }
    }
  }
  print_reports();
}
