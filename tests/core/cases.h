/* What every C test of the core shares: checks, random calls, and the worst errors for the runner.
 *
 * A promise that holds or does not is a CHECK. An error of arithmetic is a `report`: the program prints the worst of each row
 * when it ends, and tests/core/test_core.py compares it with tests/tolerances.py.
 */
#ifndef CONGRU_TESTS_CASES_H
#define CONGRU_TESTS_CASES_H

#include <stdio.h>
#include <stdlib.h>

#include "congru.h"

#define CHECK(holds, ...)                                                                                                   \
  do {                                                                                                                      \
    if (!(holds)) {                                                                                                         \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #holds);                                                           \
      fprintf(stderr, __VA_ARGS__);                                                                                         \
      fputc('\n', stderr);                                                                                                  \
      exit(1);                                                                                                              \
    }                                                                                                                       \
  } while (0)

/* What a random call is to be; every combination of options is allowed. */
typedef struct {
  int64_t cell, dtype, B, T, I, H, threads;
  unsigned options; /* of the enum below */
} spec;
enum {
  REVERSE = 1,
  LENGTHS = 2,
  RESET = 4,
  BARE = 8,
  TIME_MAJOR = 16,
  RECOMPUTE = 32,
  MASK = 64,
  ZONEOUT = 128,
  NORM = 256,
  DREAMER = 512,
  NUM_OPTIONS = 10
};

/* "lstm float32 B2 T3 I4 H5 reverse lengths threads -2, avx512", valid until the next call. */
const char *name_of(const spec *s);

/* A random call with all arrays in place: its results and gradients are NaN until somebody writes them. Two problems of one
 * seed hold the same values whatever their dtype. BARE: no bias, no state, no h_reset. TIME_MAJOR: strides of x and y.
 * RECOMPUTE: neither gates nor extra is kept (LSTM: only extra). NORM and DREAMER are dropped where the cell has none of them,
 * NORM beside DREAMER, RECOMPUTE where another option forbids it: see `spec` of the problem. */
typedef struct {
  congru_call call;
  spec spec;
  void *owned[56];
  int num_owned;
} problem;
problem make_problem(const spec *s, uint64_t seed);
void free_problem(problem *p);

/* A stepper on weights packed for it, in the state h0, c0 of the call. */
congru_stepper *make_stepper(const congru_call *call);

int64_t num_gates(int64_t cell);
double value_at(const void *array, int64_t dtype, int64_t i);
/* max |a - b| / max(1, max |b|) over n values; infinite where one is NaN or infinite. */
double relative_error(const void *a, int64_t dtype, const double *b, int64_t n);

/* Keep the worst error of a row; print them all. */
void report(const char *row, double error, const char *where);
void print_reports(void);

/* Uniform in [0, 1); a generator of its own per seed. */
double uniform(uint64_t *state);

#define FOR_EACH_ISA(isa) \
  for (const char *const *isa = congru_isas(); *isa && congru_set_isa(*isa) == 0; isa++)

#endif
