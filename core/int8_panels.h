/* The integer kernel on panels of WIDTH units, for the instruction set that includes this file; see int8.h.
 *
 * A vector holds one int32 for each unit of a panel. A group of four columns is multiplied at once: `dot` adds to every unit the
 * four products of its bytes with the four of the input, which are the same for all units. Sums are exact, so each gate has
 * several of them (WAYS for a row alone, ROWS_WAYS for each of ROWS) to keep the multipliers busy. The including file defines
 * `ints`, WIDTH, WAYS, ROWS, ROWS_WAYS, BIASED, NAME_OF_KERNEL and KERNEL, and the functions
 *
 *   ints dot(ints sums, ints x, ints weight);   ints scaled(ints sums, ints factors, int32_t shift);
 *   ints look_up(const congru_int8 *, ints);    ints smaller(ints, ints), larger(ints, ints)
 */
#include <string.h>

#define PANEL_BYTES (WIDTH * INT8_GROUP)
#define MORE (BIASED ? 128 : 0)

typedef ints ints_unaligned __attribute__((aligned(1), may_alias));
typedef float reals __attribute__((vector_size(WIDTH * 4)));
typedef int16_t shorts __attribute__((vector_size(WIDTH * 2)));
typedef uint8_t bytes __attribute__((vector_size(WIDTH)));

INLINE ints load(const void *from) { return *(const ints_unaligned *)from; }
INLINE void store(void *to, ints v) { *(ints_unaligned *)to = v; }
INLINE ints all(int32_t value) { return value - (ints){0}; }
/* v with the sign of `of`. */
INLINE ints with_sign(ints v, ints of) { return (v ^ (of >> 31)) - (of >> 31); }

/* (r v + 2^14) >> 15 for 0 <= r <= 2^15, without 64 bits: v in two parts. */
INLINE ints scaled_by_gate(ints r, ints v) { return r * (v >> 15) + ((r * (v & all(32767)) + all(16384)) >> 15); }

INLINE ints gate_of(ints a, const congru_int8 *net) {
  ints size = smaller(larger(a, -a), all(INT8_TABLE_END)), entry = look_up(net, size >> 11);
  ints y = (entry & all(0xffff)) + (((entry >> 16) * (size & all(2047)) + all(1024)) >> 11);
  return with_sign(y, a) + ((a >> 31) & all(32768));
}

INLINE ints tanh_of(ints a, const congru_int8 *net) {
  a = larger(smaller(a, all(INT8_TABLE_END)), all(-INT8_TABLE_END));
  ints y = gate_of(a + a, net);
  return y + y - all(32768);
}

/* Add the products of one group of columns to sums [gates][rows][ways]. */
INLINE void add_group(ints *sums, const int8_t *weight, const uint8_t *const *x, int64_t group, int gates, int rows, int ways, int way) {
  ints inputs[ROWS];
  UNROLL for (int row = 0; row < rows; row++) {
    int32_t four;
    memcpy(&four, x[row] + group * INT8_GROUP, sizeof(four));
    inputs[row] = all(four);
  }
  weight += group * gates * PANEL_BYTES;
  UNROLL for (int gate = 0; gate < gates; gate++) {
    ints w = load(weight + gate * PANEL_BYTES);
    UNROLL for (int row = 0; row < rows; row++) {
      ints *sum = &sums[(gate * rows + row) * ways + way];
      *sum = dot(*sum, inputs[row], w);
    }
  }
}

/* The scaled sums of one panel, [gates][rows]. */
INLINE void products(const int8_matrix *matrix, int64_t panel, int gates, int rows, const uint8_t *const *x, ints *out) {
  const int ways = rows == 1 ? WAYS : ROWS_WAYS;
  const int8_t *weight = matrix->weight + panel * matrix->groups * gates * PANEL_BYTES;
  ints sums[3 * (ROWS * ROWS_WAYS > WAYS ? ROWS * ROWS_WAYS : WAYS)];
  int64_t group = 0, groups = matrix->groups;
  UNROLL for (int i = 0; i < gates * rows * ways; i++) sums[i] = all(0);
  for (; group + ways <= groups; group += ways) {
    UNROLL for (int way = 0; way < ways; way++) add_group(sums, weight, x, group + way, gates, rows, ways, way);
  }
  for (; group < groups; group++) add_group(sums, weight, x, group, gates, rows, ways, 0);
  UNROLL for (int gate = 0; gate < gates; gate++) {
    int64_t at = (panel * gates + gate) * WIDTH;
    ints factors = load(matrix->factors + at), offsets = load(matrix->offsets + at);
    UNROLL for (int row = 0; row < rows; row++) {
      ints sum = sums[(gate * rows + row) * ways];
      UNROLL for (int way = 1; way < ways; way++) sum += sums[(gate * rows + row) * ways + way];
      out[gate * rows + row] = scaled(sum - offsets, factors, matrix->shift);
    }
  }
}

/* 16-bit states as a vector, and back. */
INLINE ints load_state(const int16_t *h) {
  shorts v;
  memcpy(&v, h, sizeof(v));
  return __builtin_convertvector(v, ints);
}
INLINE void store_state(int16_t *h, ints v) {
  shorts narrow = __builtin_convertvector(v, shorts);
  memcpy(h, &narrow, sizeof(narrow));
}
INLINE void store_bytes(uint8_t *to, ints v) {
  bytes narrow = __builtin_convertvector(v, bytes);
  memcpy(to, &narrow, sizeof(narrow));
}

/* x / scale to -127..127, half away from zero, biased; n of at most WIDTH. */
INLINE ints quantised(const float *x, int64_t n, float inverse) {
  reals v = {0};
  if (n >= WIDTH)
    memcpy(&v, x, sizeof(v));
  else
    memcpy(&v, x, (size_t)n * sizeof(float));
  v *= inverse;
  ints sign = (ints)v & all(INT32_MIN), size = (ints)v & all(INT32_MAX); /* bits of reals from zero on are in their order */
  size = smaller(size, (ints)(127.0f - (reals){0}));
  return __builtin_convertvector((reals)(sign | size) + (reals)(sign | (ints)(0.5f - (reals){0})), ints) + all(MORE);
}

/* round(127 h / 2^15), half away from zero. */
INLINE ints eighths(ints h) { return with_sign((larger(h, -h) * all(127) + all(16384)) >> 15, h) + all(MORE); }

/* Bytes of an input and of a state; beyond them zeros, biased, which meet weights of zero. */
static __attribute__((noinline)) void read_row(const congru_int8 *net, const float *x, const int16_t *h, uint8_t *x8, uint8_t *h8) {
  for (int64_t i = 0; i < net->I; i += WIDTH) store_bytes(x8 + i, quantised(x + i, net->I - i, net->inverse));
  for (int64_t j = 0; j < net->H; j += WIDTH) store_bytes(h8 + j, eighths(load_state(h + j)));
}

static __attribute__((noinline)) void write_row(float *y, const int16_t *h, int64_t n) {
  for (int64_t j = 0; j < n; j += WIDTH) {
    reals v = __builtin_convertvector(load_state(h + j), reals) * (1.0f / 32768.0f);
    if (n - j >= WIDTH)
      memcpy(y + j, &v, sizeof(v));
    else
      memcpy(y + j, &v, (size_t)(n - j) * sizeof(float));
  }
}

INLINE void mix(int16_t *h, ints before, ints z, ints n) {
  store_state(h, n + ((z * (before - n) + all(16384)) >> 15));
}

/* Where the working memory of a row lies. */
typedef struct {
  uint8_t *x[ROWS], *h[ROWS], *rh[ROWS];
  int32_t *z[ROWS], *n[ROWS];
} memory;

INLINE void finish_before(const congru_int8 *net, int rows, memory *m, int16_t *const *h) {
  for (int64_t panel = 0; panel * WIDTH < net->H; panel++) {
    ints u[ROWS];
    products(&net->U_n, panel, 1, rows, (const uint8_t *const *)m->rh, u);
    UNROLL for (int row = 0; row < rows; row++) {
      ints n = tanh_of(load(m->n[row] + panel * WIDTH) + u[row], net);
      int16_t *at = h[row] + panel * WIDTH;
      mix(at, load_state(at), load(m->z[row] + panel * WIDTH), n);
    }
  }
}

INLINE void step_rows(const congru_int8 *net, int rows, const float *const *x, int16_t *const *h, float *const *y, char *scratch) {
  const int before = net->before;
  memory m;
  UNROLL for (int row = 0; row < rows; row++) {
    char *own = scratch + (size_t)row * net->row_bytes;
    m.n[row] = (int32_t *)own, m.z[row] = m.n[row] + net->padded;
    m.rh[row] = (uint8_t *)(m.z[row] + net->padded), m.h[row] = m.rh[row] + net->padded, m.x[row] = m.h[row] + net->padded;
    read_row(net, x[row], h[row], m.x[row], m.h[row]);
  }
  for (int64_t panel = 0; panel * WIDTH < net->H; panel++) {
    ints a[3 * ROWS], u[3 * ROWS];
    products(&net->W, panel, 3, rows, (const uint8_t *const *)m.x, a);
    if (before)
      products(&net->U, panel, 2, rows, (const uint8_t *const *)m.h, u);
    else
      products(&net->U, panel, 3, rows, (const uint8_t *const *)m.h, u);
    const int32_t *bias = net->bias + panel * 3 * WIDTH;
    UNROLL for (int row = 0; row < rows; row++) {
      int16_t *at = h[row] + panel * WIDTH;
      ints seen = load_state(at), r = gate_of(a[row] + load(bias) + u[row], net);
      ints z = gate_of(a[rows + row] + load(bias + WIDTH) + u[rows + row], net);
      ints n = a[2 * rows + row] + load(bias + 2 * WIDTH);
      if (before) {
        store_bytes(m.rh[row] + panel * WIDTH, eighths((r * seen + all(16384)) >> 15));
        store(m.z[row] + panel * WIDTH, z);
        store(m.n[row] + panel * WIDTH, n);
      } else {
        n += scaled_by_gate(r, u[2 * rows + row] + load(net->b_n + panel * WIDTH));
        mix(at, seen, z, tanh_of(n, net));
      }
    }
  }
  if (before) finish_before(net, rows, &m, h);
  UNROLL for (int row = 0; row < rows; row++)
    if (y[row]) write_row(y[row], h[row], net->H);
}

static void step(const congru_int8 *net, int64_t n, const float *const *x, int16_t *const *h, float *const *y, char *scratch) {
  int64_t row = 0;
  for (; row + ROWS <= n; row += ROWS) step_rows(net, ROWS, x + row, h + row, y + row, scratch);
  for (; row < n; row++) step_rows(net, 1, x + row, h + row, y + row, scratch);
}

const int8_kernel KERNEL = {NAME_OF_KERNEL, WIDTH, BIASED, ROWS, step};
