/* congru_backward against central differences of the naive double loop, (loss(w + e) - loss(w - e)) / 2 e, at entries drawn
 * from every array: every cell, element type, instruction set and option, gates saved and computed again.
 *
 *   test_backward [seeds [every]]     every: all combinations of options (1), or every so many, other ones at each size
 */
#include <math.h>

#include "cases.h"
#include "naive.h"

#define STEP 1e-5
#define PROBES 2

static const int64_t SIZES[][4] = {/* B, T, I, H */
    {3, 5, 4, 7}, {1, 3, 5, 3}, {2, 1, 3, 5}, {5, 4, 3, 33}, {2, 3, 0, 6}};

/* Gradient `found` of an input `at` of the float64 call, n values each. */
static void probe(const char *what, const spec *s, congru_call *exact, const void *at, const void *found, int64_t n,
                  uint64_t *random) {
  double expected[PROBES], values[PROBES], worst = 0, size = 1, *entry = (double *)at;
  char where[300];
  if (!at || !found) return;
  int64_t probes = n < PROBES ? n : PROBES;
  for (int64_t k = 0; k < probes; k++) {
    int64_t i = (int64_t)(uniform(random) * (double)n);
    double held = entry[i];
    entry[i] = held + STEP;
    double above = naive_loss(exact);
    entry[i] = held - STEP;
    expected[k] = (above - naive_loss(exact)) / (2 * STEP);
    entry[i] = held;
    values[k] = value_at(found, s->dtype, i);
  }
  for (int64_t i = 0; i < n; i++) {
    double value = value_at(found, s->dtype, i);
    CHECK(isfinite(value), "d%s[%d] is not finite: %s", what, (int)i, name_of(s));
    size = fmax(size, fabs(value));
  }
  for (int64_t k = 0; k < probes; k++) worst = fmax(worst, fabs(values[k] - expected[k]) / size);
  snprintf(where, sizeof where, "d%s, %s", what, name_of(s));
  static const char *const rows[] = {"core gradients, float32",            "core gradients, float64",
                                     "core layer norm gradients, float32", "core layer norm gradients, float64",
                                     "core nested norm gradients, float32", "core nested norm gradients, float64"};
  int normed = s->options & (NORM | DREAMER) ? 2 : 0;
  report(rows[s->dtype + (normed && s->cell != CONGRU_GRU ? 4 : normed)], worst, where);
}

static void check_case(spec s, uint64_t seed) {
  problem p = make_problem(&s, seed);
  s.dtype = 1, s.options &= ~(unsigned)RECOMPUTE;
  problem twin = make_problem(&s, seed);
  s = p.spec;
  congru_call *exact = &twin.call, *call = &p.call;
  int64_t B = s.B, H = s.H, GH = num_gates(s.cell) * H;
  uint64_t random = seed;
  CHECK(congru_forward(call) == 0 && congru_backward(call) == 0, "no memory");
  probe("x", &s, exact, exact->x, call->dx, B * s.T * s.I, &random);
  probe("W", &s, exact, exact->W, call->dW, GH * s.I, &random);
  probe("U", &s, exact, exact->U, call->dU, GH * H, &random);
  probe("b_i", &s, exact, exact->b_i, call->db_i, GH, &random);
  probe("b_h", &s, exact, exact->b_h, call->db_h, GH, &random);
  probe("h0", &s, exact, exact->h0, call->dh0, B * H, &random);
  probe("c0", &s, exact, exact->c0, call->dc0, B * H, &random);
  probe("g_i", &s, exact, exact->g_i, call->dg_i, GH, &random);
  probe("g_h", &s, exact, exact->g_h, call->dg_h, GH, &random);
  probe("g_c", &s, exact, exact->g_c, call->dg_c, H, &random);
  probe("b_c", &s, exact, exact->b_c, call->db_c, H, &random);
  probe("h_reset", &s, exact, exact->h_reset, call->dh_reset, H, &random);
  probe("c_reset", &s, exact, exact->c_reset, call->dc_reset, H, &random);
  free_problem(&p), free_problem(&twin);
}

/* Nothing to do: gradients of the weights are zeros, those of the state are what came in. */
static void check_empty(spec s) {
  problem p = make_problem(&s, 0);
  const congru_call *call = &p.call;
  int64_t GH = num_gates(s.cell) * s.H, states = s.B * s.H;
  CHECK(congru_forward(call) == 0 && congru_backward(call) == 0, "no memory");
  for (int64_t i = 0; i < GH * s.I; i++) CHECK(value_at(call->dW, s.dtype, i) == 0, "dW: %s", name_of(&s));
  for (int64_t i = 0; i < GH * s.H; i++) CHECK(value_at(call->dU, s.dtype, i) == 0, "dU: %s", name_of(&s));
  const void *const of_gates[] = {call->db_i, call->db_h, call->dg_i, call->dg_h}, *const of_c[] = {call->dg_c, call->db_c};
  for (int64_t i = 0; i < 4 * GH; i++)
    CHECK(!of_gates[i / GH] || value_at(of_gates[i / GH], s.dtype, i % GH) == 0, "bias or gain: %s", name_of(&s));
  for (int64_t i = 0; i < 2 * s.H; i++)
    CHECK(!of_c[i / s.H] || value_at(of_c[i / s.H], s.dtype, i % s.H) == 0, "dg_c or db_c: %s", name_of(&s));
  for (int64_t i = 0; i < states; i++)
    CHECK(value_at(call->dh0, s.dtype, i) == value_at(call->dh, s.dtype, i), "dh0: %s", name_of(&s));
  free_problem(&p);
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
          for (s.options = turn++ % every; s.options < 1u << NUM_OPTIONS; s.options += every) {
            s.threads = s.options % 3 ? -1 : -2;
            check_case(s, seed);
          }
        }
        for (s.options = 0; s.options <= NORM; s.options += NORM) {
          check_empty((spec){s.cell, s.dtype, .B = 2, .T = 0, .I = 3, .H = 4, .threads = -1, .options = s.options});
          check_empty((spec){s.cell, s.dtype, .B = 0, .T = 3, .I = 3, .H = 4, .threads = -1, .options = s.options});
        }
      }
    }
  }
  print_reports();
}
