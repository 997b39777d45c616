/* Dense layers, layer norm and softmax against double loops: every element type and instruction set, sizes with and without
 * tails, nothing to do; and bit for bit for any number of rows, strides, threads and, with AVX2 beside AVX-512, vector widths.
 */
#include <math.h>
#include <string.h>

#include "cases.h"

enum { MOST = 70 };

static void *values(int64_t dtype, int64_t n, double scale, uint64_t *random) {
  void *array = malloc((size_t)n * 8 + 8);
  CHECK(array, "no memory");
  for (int64_t i = 0; i < n; i++) {
    float value = (float)(scale * (2 * uniform(random) - 1));
    if (dtype)
      ((double *)array)[i] = value;
    else
      ((float *)array)[i] = value;
  }
  return array;
}

static void expect(const char *row, const void *found, int64_t dtype, const double *expected, int64_t n, const char *what) {
  char where[200];
  snprintf(where, sizeof where, "%s, %s", what, congru_isa());
  report(row, relative_error(found, dtype, expected, n), where);
}

static void check_dense(int64_t dtype, int64_t N, int64_t O, int64_t F, int with_bias) {
  uint64_t random = (uint64_t)(N * 1000 + O + F);
  size_t size = dtype ? 8 : 4;
  char what[100];
  snprintf(what, sizeof what, "dense float%d N%d O%d F%d", dtype ? 64 : 32, (int)N, (int)O, (int)F);
  void *W = values(dtype, O * F, 1, &random), *b = values(dtype, O, 1, &random), *x = values(dtype, N * F, 1, &random);
  char *y = malloc((size_t)(N * O) * size + 16), *other = malloc((size_t)(N * O) * size + 16);
  double *expected = malloc((size_t)(N * O) * 8 + 8);
  congru_dense *dense = congru_dense_new(dtype, O, F, W, with_bias ? b : NULL);
  CHECK(dense && y && other && expected, "no memory");
  memset(y, 0x5a, (size_t)(N * O) * size + 16);
  for (int64_t i = 0; i < N; i++) {
    for (int64_t o = 0; o < O; o++) {
      double sum = with_bias ? value_at(b, dtype, o) : 0;
      for (int64_t k = 0; k < F; k++) sum += value_at(W, dtype, o * F + k) * value_at(x, dtype, i * F + k);
      expected[i * O + o] = sum;
    }
  }
  congru_set_threads(1);
  congru_dense_run(dense, 1, N, x, (congru_strides){0, F}, y);
  for (int i = 0; i < 16; i++) CHECK(y[(size_t)(N * O) * size + (size_t)i] == 0x5a, "written beyond the end: %s", what);
  expect(dtype ? "core dense, float64" : "core dense, float32", y, dtype, expected, N * O, what);
  for (int threads = 2; threads <= 3; threads++) {
    congru_set_threads(-threads);
    congru_dense_run(dense, N, 1, x, (congru_strides){F, 0}, other);
    CHECK(!memcmp(y, other, (size_t)(N * O) * size), "%d threads give other bits: %s", threads, what);
  }
  congru_set_threads(1);
  for (int64_t i = 0; i < N; i++)
    congru_dense_run(dense, 1, 1, (char *)x + (size_t)(i * F) * size, (congru_strides){0, 0}, other + (size_t)(i * O) * size);
  CHECK(!memcmp(y, other, (size_t)(N * O) * size), "rows alone have other bits: %s", what);
  for (int64_t i = 0; i < N; i++) { /* every row the first one, by a stride of nothing */
    congru_dense_run(dense, 1, N, x, (congru_strides){0, 0}, other);
    CHECK(!memcmp(y, other + (size_t)(i * O) * size, (size_t)O * size), "row %d depends on its place: %s", (int)i, what);
  }
  congru_dense_free(dense);
  free(W), free(b), free(x), free(y), free(other), free(expected);
}

static void softmax_of(const double *x, int64_t F, int logarithm, double *y) {
  double max = -INFINITY, sum = 0;
  for (int64_t j = 0; j < F; j++) max = fmax(max, x[j]);
  for (int64_t j = 0; j < F; j++) sum += exp(x[j] - max);
  for (int64_t j = 0; j < F; j++) y[j] = logarithm ? x[j] - max - log(sum) : exp(x[j] - max) / sum;
}

static void norm_of(const double *x, int64_t F, const void *gain, const void *bias, int64_t dtype, double *y) {
  double mean = 0, variance = 0;
  for (int64_t j = 0; j < F; j++) mean += x[j] / (double)F;
  for (int64_t j = 0; j < F; j++) variance += (x[j] - mean) * (x[j] - mean) / (double)F;
  for (int64_t j = 0; j < F; j++) {
    y[j] = (x[j] - mean) / sqrt(variance + 1e-5);
    y[j] = (gain ? value_at(gain, dtype, j) : 1) * y[j] + (bias ? value_at(bias, dtype, j) : 0);
  }
}

/* function 0: softmax, 1: its logarithm, 2 .. 5: layer norm with or without gain and bias. */
static void run(int function, int64_t dtype, int64_t N, int64_t F, const void *x, const void *gain, const void *bias, void *y) {
  if (function < 2) congru_softmax(function, dtype, N, F, x, y);
  if (function >= 2) congru_layer_norm(dtype, N, F, x, function & 1 ? gain : NULL, function & 2 ? NULL : bias, 1e-5, y);
}

static void check_rows(int function, int64_t dtype, int64_t N, int64_t F) {
  uint64_t random = (uint64_t)(N + F);
  size_t size = dtype ? 8 : 4, bytes = (size_t)(N * F) * size;
  char what[100];
  snprintf(what, sizeof what, "function %d float%d N%d F%d", function, dtype ? 64 : 32, (int)N, (int)F);
  void *x = values(dtype, N * F, 3, &random), *gain = values(dtype, F, 1, &random), *bias = values(dtype, F, 1, &random);
  char *y = malloc(bytes + 16), *other = malloc(bytes + 16);
  double *wide = malloc((size_t)(N * F) * 8 + 8), *expected = malloc((size_t)(N * F) * 8 + 8);
  CHECK(y && other && wide && expected, "no memory");
  memset(y, 0x5a, bytes + 16);
  for (int64_t i = 0; i < N * F; i++) wide[i] = value_at(x, dtype, i);
  for (int64_t i = 0; i < N; i++) {
    if (function < 2) softmax_of(wide + i * F, F, function, expected + i * F);
    if (function >= 2) norm_of(wide + i * F, F, function & 1 ? gain : NULL, function & 2 ? NULL : bias, dtype, expected + i * F);
  }
  run(function, dtype, N, F, x, gain, bias, y);
  for (int i = 0; i < 16; i++) CHECK(y[bytes + (size_t)i] == 0x5a, "written beyond the end: %s", what);
  expect(function < 2 ? dtype ? "core softmax, float64" : "core softmax, float32"
                      : dtype ? "core row norm, float64" : "core row norm, float32", y, dtype, expected, N * F, what);
  for (int64_t i = 0; i < N; i++) {
    size_t at = (size_t)(i * F) * size;
    run(function, dtype, 1, F, (char *)x + at, gain, bias, other + at);
  }
  CHECK(!memcmp(y, other, bytes), "rows alone have other bits: %s", what);
  run(function, dtype, N, F, x, gain, bias, x);
  CHECK(!memcmp(y, x, bytes), "in place has other bits: %s", what);
  free(x), free(gain), free(bias), free(y), free(other), free(wide), free(expected);
}

static void check_special_values(void) {
  float x[MOST], y[MOST];
  for (int64_t F = 2; F <= MOST; F += 17) {
    for (int64_t i = 0; i < F; i++) x[i] = -INFINITY;
    x[F - 1] = 5;
    congru_softmax(0, 0, 1, F, x, y);
    CHECK(y[F - 1] == 1 && y[0] == 0, "softmax of -inf and 5 is %g and %g", (double)y[0], (double)y[F - 1]);
    congru_softmax(1, 0, 1, F, x, y);
    CHECK(y[F - 1] == 0 && y[0] == -INFINITY, "its logarithm is %g and %g", (double)y[0], (double)y[F - 1]);
    x[0] = 1e30f, x[F - 1] = -1e30f;
    congru_softmax(0, 0, 1, F, x, y);
    CHECK(y[0] == 1 && y[F - 1] == 0, "softmax of 1e30 and -1e30 is %g and %g", (double)y[0], (double)y[F - 1]);
    for (int64_t at = 0; at < F; at++) {
      for (int64_t i = 0; i < F; i++) x[i] = i == at ? NAN : 1;
      congru_softmax(0, 0, 1, F, x, y);
      for (int64_t i = 0; i < F; i++) CHECK(isnan(y[i]), "a NaN at %d of %d is lost at %d", (int)at, (int)F, (int)i);
      congru_layer_norm(0, 1, F, x, NULL, NULL, 1e-5, y);
      for (int64_t i = 0; i < F; i++) CHECK(isnan(y[i]), "layer norm loses a NaN at %d of %d", (int)at, (int)F);
    }
    for (int64_t i = 0; i < F; i++) x[i] = 7;
    congru_layer_norm(0, 1, F, x, NULL, NULL, 1e-5, y);
    for (int64_t i = 0; i < F; i++) CHECK(y[i] == 0, "layer norm of equal values is %g", (double)y[i]);
  }
}

/* What AVX-512 and AVX2 compute, both with fused multiply-adds, has the same bits. */
static void check_widths_agree(void) {
  uint64_t random = 1;
  float *W = values(0, MOST * MOST, 1, &random), *x = values(0, 9 * MOST, 2, &random), y[2][4][9 * MOST];
  int have = 0;
  memset(y, 0, sizeof y);
  FOR_EACH_ISA(isa) {
    if (!strcmp(*isa, "baseline") || have == 2) continue;
    congru_dense *dense = congru_dense_new(0, MOST, MOST, W, x);
    CHECK(dense, "no memory");
    congru_dense_run(dense, 1, 9, x, (congru_strides){0, MOST}, y[have][0]);
    congru_dense_free(dense);
    congru_softmax(0, 0, 9, MOST, x, y[have][1]);
    congru_softmax(1, 0, 9, MOST, x, y[have][2]);
    congru_layer_norm(0, 9, MOST, x, W, W + MOST, 1e-5, y[have][3]);
    have++;
  }
  CHECK(have < 2 || !memcmp(y[0], y[1], sizeof y[0]), "AVX2 gives other bits than AVX-512");
  free(W), free(x);
}

int main(void) {
  static const int64_t SIZES[][3] = {/* N, O, F */
      {1, 65, 128}, {9, 65, 20}, {3, 1, 1}, {1, 1, 5}, {0, 4, 3}, {4, 7, 0}, {2, 0, 3}, {300, 17, 6}, {5, 300, 9}, {1, 33, 7}};
  FOR_EACH_ISA(isa) {
    for (int64_t dtype = 0; dtype < 2; dtype++) {
      for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) check_dense(dtype, SIZES[i][0], SIZES[i][1], SIZES[i][2], i % 2);
      for (int64_t O = 1; O <= 230; O += 19) check_dense(dtype, 1 + O % 11, O, 11, 1);
      for (int function = 0; function < 6; function++) {
        check_rows(function, dtype, 0, 5);
        check_rows(function, dtype, 3, 0);
        for (int64_t F = 1; F <= MOST; F += F < 20 ? 1 : 7) check_rows(function, dtype, 1 + F % 3, F);
      }
    }
    check_special_values();
  }
  check_widths_agree();
  print_reports();
}
