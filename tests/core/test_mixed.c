/* Steps between products in bfloat16 against the equations in double: with AVX-512, refused without; sizes with and without
 * tails, arrays of their exact size (the sanitizers see beyond), the same bits for any number of threads, and what is no number
 * stays none.
 */
#include <math.h>
#include <string.h>

#include "cases.h"

enum { RZ, N_, M, H_, H_NEW, DY, DH, B_ALL, B_HN, NUM_FLOATS };
enum { X, U_, LOW, PRODUCT, A_H, A_N, NUM_LOWS };

typedef struct {
  int64_t B, H;
  float *f[NUM_FLOATS];
  uint16_t *l[NUM_LOWS];
} arrays;

static const int FLOAT_WIDTH[NUM_FLOATS] = {2, 1, 1, 1, 1, 1, 1, 3, 1}, LOW_WIDTH[NUM_LOWS] = {3, 3, 1, 1, 3, 1};

static int64_t floats(const arrays *a, int k) { return (k >= B_ALL ? 1 : a->B) * FLOAT_WIDTH[k] * a->H; }
static int64_t lows(const arrays *a, int k) { return a->B * LOW_WIDTH[k] * a->H; }

static double low_value(uint16_t low) {
  uint32_t bits = (uint32_t)low << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static uint16_t rounded(double value) {
  float x = (float)value;
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static arrays make_arrays(int64_t B, int64_t H) {
  arrays a = {.B = B, .H = H};
  uint64_t random = (uint64_t)(100 * B + H);
  for (int k = 0; k < NUM_FLOATS; k++) {
    a.f[k] = malloc((size_t)floats(&a, k) * sizeof(float));
    CHECK(a.f[k], "no memory");
    for (int64_t i = 0; i < floats(&a, k); i++) a.f[k][i] = (float)(4 * uniform(&random) - 2);
  }
  for (int k = 0; k < NUM_LOWS; k++) {
    a.l[k] = malloc((size_t)lows(&a, k) * sizeof(uint16_t));
    CHECK(a.l[k], "no memory");
    for (int64_t i = 0; i < lows(&a, k); i++) a.l[k][i] = rounded(4 * uniform(&random) - 2);
  }
  return a;
}

static void free_arrays(arrays *a) {
  for (int k = 0; k < NUM_FLOATS; k++) free(a->f[k]);
  for (int k = 0; k < NUM_LOWS; k++) free(a->l[k]);
}

static void forward(const arrays *a, int64_t threads) {
  congru_gru_step_forward(&(congru_gru_forward_step){threads, a->B, a->H, a->f[RZ], a->f[N_], a->f[M], a->f[H_], a->l[X], a->l[U_],
                                                     a->f[B_ALL], a->f[B_HN], a->f[H_NEW], a->l[LOW]});
}

static void backward(const arrays *a, int with_product, int64_t threads) {
  congru_gru_step_backward(&(congru_gru_backward_step){threads, a->B, a->H, a->f[RZ], a->f[N_], a->f[M], a->f[H_], a->f[DY],
                                                       with_product ? a->l[PRODUCT] : NULL, a->f[DH], a->l[A_H], a->l[A_N]});
}

static void near(const char *row, double found, double expected, const arrays *a, const char *what) {
  char where[100];
  snprintf(where, sizeof where, "%s B%d H%d, %s", what, (int)a->B, (int)a->H, congru_isa());
  double error = fabs(found - expected) / fmax(1, fabs(expected));
  report(row, error >= 0 ? error : INFINITY, where);
}

#define EXACT "core mixed step, float32"
#define LOW_ROW "core mixed step, bfloat16"

static void check_step(int64_t B, int64_t H) {
  arrays a = make_arrays(B, H), before = make_arrays(B, H), other = make_arrays(B, H);
  forward(&a, 1);
  for (int64_t i = 0; i < B; i++) {
    for (int64_t j = 0; j < H; j++) {
      int64_t at = i * H + j;
      double x[3], u[3], h = a.f[H_][at];
      for (int g = 0; g < 3; g++) {
        x[g] = low_value(a.l[X][(3 * i + g) * H + j]) + (double)a.f[B_ALL][g * H + j];
        u[g] = low_value(a.l[U_][(3 * i + g) * H + j]);
      }
      double r = 1 / (1 + exp(-x[0] - u[0])), z = 1 / (1 + exp(-x[1] - u[1])), m = u[2] + (double)a.f[B_HN][j];
      double n = tanh(x[2] + r * m);
      near(EXACT, a.f[RZ][2 * i * H + j], r, &a, "r");
      near(EXACT, a.f[RZ][(2 * i + 1) * H + j], z, &a, "z");
      near(EXACT, a.f[M][at], m, &a, "m");
      near(EXACT, a.f[N_][at], n, &a, "n");
      near(EXACT, a.f[H_NEW][at], n + z * (h - n), &a, "h");
      CHECK(a.l[LOW][at] == rounded(a.f[H_NEW][at]), "h_low is not h_new rounded");
    }
  }
  for (int with_product = 0; with_product < 2; with_product++) {
    memcpy(a.f[DH], before.f[DH], (size_t)floats(&a, DH) * sizeof(float));
    backward(&a, with_product, 1);
    for (int64_t i = 0; i < B; i++) {
      for (int64_t j = 0; j < H; j++) {
        int64_t at = i * H + j;
        double r = a.f[RZ][2 * i * H + j], z = a.f[RZ][(2 * i + 1) * H + j], n = a.f[N_][at];
        double dh = (double)before.f[DH][at] + (double)a.f[DY][at] + (with_product ? low_value(a.l[PRODUCT][at]) : 0);
        double a_n = dh * (1 - z) * (1 - n * n), a_z = dh * ((double)a.f[H_][at] - n) * z * (1 - z);
        near(EXACT, a.f[DH][at], dh * z, &a, "dh");
        near(LOW_ROW, low_value(a.l[A_H][3 * i * H + j]), a_n * a.f[M][at] * r * (1 - r), &a, "a_r");
        near(LOW_ROW, low_value(a.l[A_H][(3 * i + 1) * H + j]), a_z, &a, "a_z");
        near(LOW_ROW, low_value(a.l[A_H][(3 * i + 2) * H + j]), a_n * r, &a, "a_n r");
        near(LOW_ROW, low_value(a.l[A_N][at]), a_n, &a, "a_n");
      }
    }
  }
  for (int64_t threads = 2; threads <= 3; threads++) {
    memcpy(other.f[DH], before.f[DH], (size_t)floats(&a, DH) * sizeof(float));
    forward(&other, threads);
    backward(&other, 1, threads);
    for (int k = 0; k < NUM_FLOATS; k++)
      CHECK(!memcmp(a.f[k], other.f[k], (size_t)floats(&a, k) * sizeof(float)), "%d threads give other bits", (int)threads);
    for (int k = 0; k < NUM_LOWS; k++)
      CHECK(!memcmp(a.l[k], other.l[k], (size_t)lows(&a, k) * sizeof(uint16_t)), "%d threads give other bits", (int)threads);
  }
  a.l[U_][0] = 0x7fc0; /* no number, in r of the first unit */
  forward(&a, 1);
  CHECK(isnan(a.f[H_NEW][0]) && isnan(low_value(a.l[LOW][0])), "what is no number became one");
  free_arrays(&a), free_arrays(&before), free_arrays(&other);
}

int main(void) {
  FOR_EACH_ISA(isa) {
    if (strcmp(*isa, "avx512")) {
      CHECK(congru_gru_step_forward(&(congru_gru_forward_step){0}) == -1, "%s has a step", *isa);
      CHECK(congru_gru_step_backward(&(congru_gru_backward_step){0}) == -1, "%s has a step", *isa);
      continue;
    }
    static const int64_t sizes[] = {1, 3, 4, 8, 15, 16, 17, 33, 64};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
      check_step(1, sizes[k]);
      check_step(3, sizes[k]);
    }
    check_step(70, 400); /* worth three threads */
  }
  print_reports();
  return 0;
}
