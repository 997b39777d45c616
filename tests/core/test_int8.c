/* Every integer kernel that runs here gives the integers of the equations as written, in 64 bits and one unit at a time; a step
 * neither allocates nor locks.
 */
#include <math.h>
#include <string.h>

#include "cases.h"
#include "hooks.h"
#include "platform.h"

#define MOST 200 /* inputs or units */
#define ROWS 7
#define STEPS 12

static uint64_t seed = 88172645463325252u;
static int draw(int n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (int)(seed % (uint64_t)n);
}

typedef struct {
  congru_int8_weights w;
  int8_t W[3 * MOST * MOST], U[3 * MOST * MOST];
  int32_t W_factors[3 * MOST], U_factors[3 * MOST], bias[3 * MOST], b_n[MOST];
  int16_t table[353];
} layer;

static void make_layer(layer *l, int64_t I, int64_t H, int before) {
  for (int64_t i = 0; i < 3 * H * I; i++) l->W[i] = (int8_t)(draw(255) - 127);
  for (int64_t i = 0; i < 3 * H * H; i++) l->U[i] = (int8_t)(draw(255) - 127);
  for (int64_t i = 0; i < 3 * H; i++) {
    l->W_factors[i] = (1 << 30) + draw(1 << 30), l->U_factors[i] = draw(1 << 30) + (1 << 30);
    l->bias[i] = draw(1 << 18) - (1 << 17);
  }
  for (int64_t i = 0; i < H; i++) l->b_n[i] = draw(1 << 18) - (1 << 17);
  l->W_factors[0] = INT32_MAX, l->bias[0] = (1 << 29) - 1, l->bias[H] = 1 - (1 << 29); /* the largest */
  for (int k = 0; k < 353; k++) l->table[k] = (int16_t)fmin(round(32768 / (1 + exp(-k / 32.0))), 32767);
  l->w = (congru_int8_weights){I,       H,         before,  l->W,   l->U,     l->W_factors, l->U_factors, draw(20) + 20,
                               31 + draw(3), l->bias, before ? NULL : l->b_n, l->table, 12.7f};
}

static int64_t gate(const layer *l, int64_t a) {
  int64_t size = llabs(a) < (11 << 16) - 1 ? llabs(a) : (11 << 16) - 1, k = size >> 11;
  int64_t y = l->table[k] + (((l->table[k + 1] - l->table[k]) * (size & 2047) + 1024) >> 11);
  return a < 0 ? 32768 - y : y;
}

static int64_t product(const int8_t *row, const int64_t *x, int64_t n, int64_t factor, int64_t shift) {
  int64_t sum = 0;
  for (int64_t i = 0; i < n; i++) sum += row[i] * x[i];
  sum = (sum * factor + ((int64_t)1 << (shift - 1))) >> shift;
  return sum < -(1 << 28) ? -(1 << 28) : sum > 1 << 28 ? 1 << 28 : sum;
}

static int64_t small(int64_t h) { return h < 0 ? -((-h * 127 + 16384) >> 15) : (h * 127 + 16384) >> 15; }

/* One step of one row as the equations say it. */
static void naive(const layer *l, const float *x, int64_t *h) {
  const congru_int8_weights *w = &l->w;
  int64_t x8[MOST], h8[MOST], rh[MOST], r[MOST], z[MOST], I = w->I, H = w->H;
  for (int64_t i = 0; i < I; i++) {
    float v = x[i] * w->inverse;
    v = truncf(v + copysignf(0.5f, v));
    x8[i] = (int64_t)(v < -127 ? -127 : v > 127 ? 127 : v);
  }
  for (int64_t j = 0; j < H; j++) h8[j] = small(h[j]);
#define OF_X(row) (product(w->W + (row) * I, x8, I, w->W_factors[row], w->W_shift) + w->bias[row])
#define OF_H(row, from) product(w->U + (row) * H, from, H, w->U_factors[row], w->U_shift)
  for (int64_t j = 0; j < H; j++) {
    r[j] = gate(l, OF_X(j) + OF_H(j, h8)), z[j] = gate(l, OF_X(H + j) + OF_H(H + j, h8));
    rh[j] = small((r[j] * h[j] + 16384) >> 15);
  }
  for (int64_t j = 0; j < H; j++) {
    int64_t row = 2 * H + j, n = OF_X(row);
    n += w->before ? OF_H(row, rh) : (r[j] * (OF_H(row, h8) + l->b_n[j]) + 16384) >> 15;
    n = 2 * gate(l, 2 * n) - 32768;
    h[j] = n + ((z[j] * (h[j] - n) + 16384) >> 15);
  }
}

static void check(layer *l, const char *kernel) {
  static int64_t expected[ROWS][MOST];
  static float x[ROWS][MOST], y[ROWS][MOST];
  congru_int8 *net = congru_int8_new(&l->w, kernel);
  CHECK(net && !strcmp(congru_int8_name(net), kernel), "%s cannot be made", kernel);
  size_t size = (size_t)congru_int8_state_size(net) * sizeof(int16_t);
  char *scratch = aligned_memory(64, (congru_int8_scratch(net) + 63) / 64 * 64);
  int16_t *h[ROWS];
  const float *xs[ROWS];
  float *ys[ROWS];
  for (int b = 0; b < ROWS; b++) {
    h[b] = malloc(size), xs[b] = x[b], ys[b] = b == 2 ? NULL : y[b];
    memset(h[b], 0, size);
    for (int64_t j = 0; j < l->w.H; j++) expected[b][j] = h[b][j] = (int16_t)(draw(65535) - 32767);
  }
  long memory = num_memory, locks = num_locks;
  for (int t = 0; t < STEPS; t++) {
    for (int b = 0; b < ROWS; b++)
      for (int64_t i = 0; i < l->w.I; i++) x[b][i] = (float)(draw(4001) - 2000) * (t % 3 ? 0.01f : 5.0f);
    congru_int8_step(net, t % 2 ? ROWS : 1, xs, h, ys, scratch);
    for (int b = 0; b < (t % 2 ? ROWS : 1); b++) {
      naive(l, x[b], expected[b]);
      for (int64_t j = 0; j < l->w.H; j++) {
        CHECK(h[b][j] == expected[b][j] && (b == 2 || y[b][j] == (float)h[b][j] / 32768),
              "%s, I %d, H %d, before %d, step %d, row %d: unit %d is %d, expected %d", kernel, (int)l->w.I, (int)l->w.H,
              (int)l->w.before, t, b, (int)j, h[b][j], (int)expected[b][j]);
      }
    }
  }
  CHECK(num_memory == memory && num_locks == locks, "%s: steps touched the allocator or a lock", kernel);
  for (int b = 0; b < ROWS; b++) free(h[b]);
  free_aligned(scratch);
  congru_int8_free(congru_int8_keep(net));
  congru_int8_free(net);
}

int main(void) {
  static const int sizes[][2] = {{1, 1}, {3, 5}, {4, 8}, {16, 16}, {17, 31}, {64, 33}, {130, 65}, {7, 200}};
  layer *l = malloc(sizeof(*l));
  CHECK(!congru_int8_new(&(congru_int8_weights){0}, "mmx"), "a kernel that nobody has can be made");
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    for (int before = 0; before < 2; before++) {
      make_layer(l, sizes[i][0], sizes[i][1], before);
      for (int k = 0; congru_int8_kernel(k); k++) check(l, congru_int8_kernel(k));
    }
  }
  free(l);
  return 0;
}
