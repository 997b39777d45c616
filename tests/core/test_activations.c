/* sigmoid and tanh against long double: error in units in the last place, over floats spread evenly through all of
 * them: at most 2 for float, 3 for double.
 *
 *   test_activations [stride]     every stride-th of the 2^32 floats, and as many random doubles as that makes, up to 2^20
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "cases.h"

enum { SIGMOID = 0, TANH = 1, BLOCK = 4096 };

static long double exact(int64_t kind, double x) { return kind == TANH ? tanhl(x) : 1 / (1 + expl(-(long double)x)); }

/* |found - expected| in units in the last place of expected; results below the smallest normal number, times two, may
 * differ by that much: denormals count as zero, and sigmoid stops there. */
static double ulps(double found, long double expected, int64_t dtype) {
  int digits = dtype ? DBL_MANT_DIG : FLT_MANT_DIG, least = dtype ? DBL_MIN_EXP : FLT_MIN_EXP, exponent;
  if (fabsl(expected) < ldexpl(1, least)) return fabsl((long double)found - expected) <= ldexpl(1, least) ? 0 : INFINITY;
  (void)frexpl(expected, &exponent);
  return (double)(fabsl((long double)found - expected) / ldexpl(1, exponent - digits));
}

/* The worst error of n values on every instruction set. */
static void check_block(const void *x, int64_t dtype, int64_t n) {
  static union {
    float narrow[BLOCK];
    double wide[BLOCK];
  } y;
  static long double expected[BLOCK];
  for (int64_t kind = SIGMOID; kind <= TANH; kind++) {
    for (int64_t i = 0; i < n; i++) expected[i] = exact(kind, value_at(x, dtype, i));
    FOR_EACH_ISA(isa) {
      congru_activation(kind, dtype, n, x, &y);
      for (int64_t i = 0; i < n; i++) {
        double at = value_at(x, dtype, i), found = value_at(&y, dtype, i), error;
        if (isnan(at)) {
          CHECK(isnan(found), "%s gives %g for NaN (%s)", kind ? "tanh" : "sigmoid", found, *isa);
          continue;
        }
        error = ulps(found, expected[i], dtype);
        CHECK(error <= (dtype ? 3 : 2), "%s(%.9g) is %.9g, expected %.9Lg: %.2f ulp (%s)", kind ? "tanh" : "sigmoid", at, found, expected[i],
              error, *isa);
        report(dtype ? "core activation, float64, ulp" : "core activation, float32, ulp", error, *isa);
      }
    }
  }
}

static void sweep_floats(uint64_t stride) {
  static float x[BLOCK];
  int64_t n = 0;
  for (uint64_t bits = 0; bits < (1ull << 32); bits += stride) {
    uint32_t word = (uint32_t)bits;
    memcpy(&x[n++], &word, sizeof word);
    if (n == BLOCK) check_block(x, 0, n), n = 0;
  }
  check_block(x, 0, n);
}

static void random_doubles(int64_t count) {
  static double x[BLOCK];
  uint64_t random = 1;
  for (int64_t done = 0; done < count; done += BLOCK) {
    for (int64_t i = 0; i < BLOCK; i++)
      x[i] = i % 2 ? 80 * (uniform(&random) - 0.5) : ldexp(uniform(&random) - 0.5, (int)(40 * uniform(&random)) - 30);
    check_block(x, 1, BLOCK);
  }
}

/* Where floating point ends, and lengths that are no multiple of a vector. */
static void edges(void) {
  const double at[] = {0, -0.0, 1, -1, 87, -87, 87.5, 88.8, -88.8, 100, -100, 104, -104, 708, -708, 745, -745, 1e30, -1e30,
                       INFINITY, -INFINITY, NAN, FLT_MIN, -FLT_MIN, 1e-45, DBL_MIN, 5e-324};
  enum { N = sizeof at / sizeof at[0] };
  float narrow[N];
  for (int i = 0; i < N; i++) narrow[i] = (float)at[i];
  for (int64_t n = 0; n <= N; n++) {
    check_block(narrow + N - n, 0, n);
    check_block(at + N - n, 1, n);
  }
  FOR_EACH_ISA(isa) {
    float x[] = {-100, 100, -INFINITY, INFINITY}, y[4];
    congru_activation(SIGMOID, 0, 4, x, y);
    CHECK(y[0] >= 0 && y[0] < 1e-37f && y[1] == 1 && y[2] >= 0 && y[2] < 1e-37f && y[3] == 1, "sigmoid at 100 (%s)", *isa);
    congru_activation(TANH, 0, 4, x, y);
    CHECK(y[0] == -1 && y[1] == 1 && y[2] == -1 && y[3] == 1, "tanh at 100 (%s)", *isa);
  }
}

int main(int count, char **arguments) {
  uint64_t stride = count > 1 ? strtoull(arguments[1], NULL, 10) : 1021;
  CHECK(stride > 0, "stride is %s, expected a whole number from 1", arguments[1]);
  edges();
  sweep_floats(stride);
  int64_t doubles = (int64_t)((1ull << 32) / stride);
  random_doubles(doubles < 1 << 20 ? doubles : 1 << 20);
  print_reports();
}
