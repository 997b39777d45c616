/* A GRU in integers, as its kernels see it: packed once, one exact result whatever packs and multiplies it.
 *
 *   x8 = round(x / s_x), h8 = round(127 h)        int8
 *   a  = m_W (W8 x8) + b     u = m_U (U8 h8)      whole numbers of 2^-16; m = M / 2^shift for each row
 *   r, z = sigmoid(a + u)    n = tanh(a_n + r (u_n + b_n));  reset before: n = tanh(a_n + m_U (U8 round(127 r h)))
 *   h' = n + z (h - n)                            whole numbers of 2^-15, as r, z, n
 *
 * The equations stand in congru/runtime/integer.py. Sums of int8 products are exact in int32, so their order is free; all that
 * rounds is written out here once (INT8_.. below) and by the vectors of int8_panels.h.
 */
#ifndef CONGRU_INT8_H
#define CONGRU_INT8_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "congru.h"

#define INT8_LARGEST (1 << 28)               /* sums beyond it are cut */
#define INT8_TABLE_END ((11 << 16) - 1)      /* the table of sigmoid ends below 11 */
#define INT8_TABLE 353                       /* its entries, 1/32 apart */
#define INT8_VALUES 384                      /* and what holds them in whole vectors */

/* A matrix [gates * units, columns] as panels: the units of a vector, then of each group of four columns and each gate four
 * bytes for each unit. The plain kernel keeps rows. Units and columns beyond the matrix are zeros. */
typedef struct {
  int8_t *weight;
  int32_t *factors, *offsets; /* [panels][gates][width]: M, and what the products of biased inputs have too much */
  int64_t gates, columns, groups;
  int32_t shift;
} int8_matrix;

struct congru_int8 {
  const struct int8_kernel *kernel;
  atomic_llong references;
  int64_t I, H, padded;    /* padded: units of whole panels */
  int before;
  float inverse;
  int8_matrix W, U, U_n; /* U_n: the candidate's rows apart, reset before */
  int32_t *bias, *b_n;   /* [panels][3][width], [padded] */
  int32_t *table;        /* sigmoid(k / 32) below, and its distance to the next above 16 bits */
  uint16_t *values;      /* the same without the distances */
  size_t row_bytes;      /* of working memory for a row */
};

typedef struct int8_kernel {
  const char *name;
  int64_t width; /* units of a panel; 1: rows of a plain matrix */
  int biased;    /* inputs are x + 128, unsigned */
  int64_t rows;  /* taken at once */
  /* One step of n rows, at most `rows`: x [I], h [padded], y [H] each. */
  void (*step)(const congru_int8 *net, int64_t n, const float *const *x, int16_t *const *h, float *const *y, char *scratch);
} int8_kernel;

#define UNROLL _Pragma("GCC unroll 32")

/* Four columns of a row in a group. */
#define INT8_GROUP 4

static inline __attribute__((always_inline)) int32_t int8_gate(int32_t a, const int32_t *table) {
  int32_t size = a < 0 ? -a : a;
  if (size > INT8_TABLE_END) size = INT8_TABLE_END;
  int32_t entry = table[size >> 11];
  int32_t y = (entry & 0xffff) + (((entry >> 16) * (size & 2047) + 1024) >> 11);
  return a < 0 ? 32768 - y : y;
}

/* tanh of a sum, as 2 sigmoid(2 a) - 1. */
static inline __attribute__((always_inline)) int32_t int8_tanh(int32_t a, const int32_t *table) {
  int32_t end = INT8_TABLE_END;
  a = a > end ? end : a < -end ? -end : a;
  return 2 * int8_gate(2 * a, table) - 32768;
}

static inline __attribute__((always_inline)) int32_t int8_scaled(int32_t sum, int32_t factor, int32_t shift) {
  int64_t whole = ((int64_t)sum * factor + ((int64_t)1 << (shift - 1))) >> shift;
  return (int32_t)(whole < -INT8_LARGEST ? -INT8_LARGEST : whole > INT8_LARGEST ? INT8_LARGEST : whole);
}

/* round(127 h / 2^15), half away from zero. */
static inline __attribute__((always_inline)) int32_t int8_eighths(int32_t h) {
  int32_t size = ((h < 0 ? -h : h) * 127 + 16384) >> 15;
  return h < 0 ? -size : size;
}

extern const int8_kernel congru_int8_plain;
#if defined(CONGRU_HAS_avx2)
extern const int8_kernel congru_int8_avx2;
#endif
#if defined(CONGRU_HAS_avxvnni)
extern const int8_kernel congru_int8_avxvnni;
#endif
#if defined(CONGRU_HAS_avx512)
extern const int8_kernel congru_int8_avx512vnni;
#endif

#endif
