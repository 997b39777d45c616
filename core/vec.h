/* One vector of VL reals, in the compiler's own vector types, for whichever instruction set this file is built for.
 *
 * Every kernel is compiled once per instruction set and element type; CONGRU_F64 chooses double, CONGRU_SUFFIX names the
 * copy (avx512_f32). vfma is one rounding where the machine has fused multiply-add and two elsewhere; the compiler is told
 * never to fuse by itself, so that every copy of a formula gives the same bits. vmax and vmin hand a NaN in x through.
 */
#ifndef CONGRU_VEC_H
#define CONGRU_VEC_H

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(CONGRU_F64)
typedef double real;
typedef uint64_t whole;
#else
typedef float real;
typedef uint32_t whole;
#endif

/* VEC_BYTES per vector; ACCUMULATORS registers of a product tile (the rest hold weights and one broadcast). */
#if defined(__AVX512F__)
#define VEC_BYTES 64
#define ACCUMULATORS 24
#elif defined(__AVX2__) && defined(__FMA__)
#define VEC_BYTES 32
#define ACCUMULATORS 12
#elif defined(__ARM_NEON)
#define VEC_BYTES 16
#define ACCUMULATORS 24
#else
#define VEC_BYTES 16
#define ACCUMULATORS 12
#endif

#define VL ((int64_t)(VEC_BYTES / sizeof(real)))

typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef whole wholes __attribute__((vector_size(VEC_BYTES)));
typedef real vec_unaligned __attribute__((vector_size(VEC_BYTES), aligned(sizeof(real)), may_alias));

#define CONGRU_PASTE2(a, b, c) a##b##_##c
#define CONGRU_PASTE(a, b, c) CONGRU_PASTE2(a, b, c)
#define NAME(stem) CONGRU_PASTE(congru_, stem, CONGRU_SUFFIX)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

/* Denormals count as zero, with their sign. Processors are told so (pool.c); WebAssembly has no such switch, so there every load,
 * store and vfma does it.
 */
#if defined(__SSE2__) || defined(__ARM_NEON)
INLINE vec as_normal(vec v) { return v; }
#else
#if defined(CONGRU_F64)
#define EXPONENT 0x7FF0000000000000ULL
#else
#define EXPONENT 0x7F800000U
#endif
INLINE vec as_normal(vec v) {
  wholes sign = (wholes)v & ~(~(wholes){0} >> 1), normal = (wholes)(((wholes)v & EXPONENT) != 0);
  return (vec)(((wholes)v & normal) | sign);
}
#endif

INLINE vec load(const real *p) { return as_normal(*(const vec_unaligned *)p); }
INLINE void store(real *p, vec v) { *(vec_unaligned *)p = as_normal(v); }

/* REALS(f) is the intrinsic f of this width and element type. */
#if defined(CONGRU_F64)
#define REALS(stem) stem##pd
#else
#define REALS(stem) stem##ps
#endif

#if defined(__AVX512F__)
INLINE vec splat(real x) { return (vec)REALS(_mm512_set1_)(x); }
INLINE vec vfma(vec a, vec b, vec c) { return (vec)REALS(_mm512_fmadd_)(a, b, c); }
INLINE vec vmin(vec limit, vec x) { return (vec)REALS(_mm512_min_)(limit, x); }
INLINE vec vmax(vec limit, vec x) { return (vec)REALS(_mm512_max_)(limit, x); }
#if defined(CONGRU_F64)
#define LANES(n) ((__mmask8)((1u << (n)) - 1u))
#else
#define LANES(n) ((__mmask16)((1u << (n)) - 1u))
#endif
INLINE vec load_lanes(const real *p, int64_t n) { return (vec)REALS(_mm512_maskz_loadu_)(LANES(n), p); }
INLINE void store_lanes(real *p, vec v, int64_t n) { REALS(_mm512_mask_storeu_)(p, LANES(n), v); }
#else
#if defined(__AVX2__) && defined(__FMA__)
INLINE vec splat(real x) { return (vec)REALS(_mm256_set1_)(x); }
INLINE vec vfma(vec a, vec b, vec c) { return (vec)REALS(_mm256_fmadd_)(a, b, c); }
INLINE vec vmin(vec limit, vec x) { return (vec)REALS(_mm256_min_)(limit, x); }
INLINE vec vmax(vec limit, vec x) { return (vec)REALS(_mm256_max_)(limit, x); }
#elif defined(__SSE2__)
INLINE vec splat(real x) { return (vec)REALS(_mm_set1_)(x); }
INLINE vec vfma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec vmin(vec limit, vec x) { return (vec)REALS(_mm_min_)(limit, x); }
INLINE vec vmax(vec limit, vec x) { return (vec)REALS(_mm_max_)(limit, x); }
#elif defined(__ARM_NEON)
#if defined(CONGRU_F64)
#define NEON(stem) stem##_f64
#else
#define NEON(stem) stem##_f32
#endif
INLINE vec splat(real x) { return (vec)NEON(vdupq_n)(x); }
INLINE vec vfma(vec a, vec b, vec c) { return (vec)NEON(vfmaq)(c, a, b); }
INLINE vec vmin(vec limit, vec x) { return (vec)NEON(vminq)(limit, x); }
INLINE vec vmax(vec limit, vec x) { return (vec)NEON(vmaxq)(limit, x); }
#else
INLINE vec splat(real x) { return as_normal(x - (vec){0}); }
INLINE vec vfma(vec a, vec b, vec c) { return as_normal(as_normal(as_normal(a) * as_normal(b)) + as_normal(c)); }
INLINE vec vmin(vec limit, vec x) {
  wholes keep = (wholes)(limit < x);
  return (vec)((keep & (wholes)limit) | (~keep & (wholes)x));
}
INLINE vec vmax(vec limit, vec x) {
  wholes keep = (wholes)(limit > x);
  return (vec)((keep & (wholes)limit) | (~keep & (wholes)x));
}
#endif
/* The first n of VL lanes, 0 < n < VL; the others read as zero and are not written. */
INLINE vec load_lanes(const real *p, int64_t n) {
  vec v = {0};
  memcpy(&v, p, (size_t)n * sizeof(real));
  return as_normal(v);
}
INLINE void store_lanes(real *p, vec v, int64_t n) {
  v = as_normal(v);
  memcpy(p, &v, (size_t)n * sizeof(real));
}
#endif

/* Lanes beyond the n first become zero. */
INLINE vec first_lanes(vec v, int64_t n) {
  real lanes[VEC_BYTES / sizeof(real)] __attribute__((aligned(VEC_BYTES)));
  if (n >= VL) return v;
  store(lanes, v);
  return load_lanes(lanes, n);
}

/* Ask for the n reals from p on, to read or to write them soon: what lies in rows far apart the processor does not guess. */
#define ASK_FOR(p, n, to_write)                                                                                       \
  for (int64_t at_ = 0, n_ = (n); at_ < n_; at_ += 64 / (int64_t)sizeof(real)) __builtin_prefetch((p) + at_, to_write)

/* SHUFFLED_2(a, b, ..): the lanes of these numbers, those of b behind those of a. SWAPPED(v, k): lane i of v ^ k. */
#if defined(__clang__)
#define SHUFFLED_2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLED(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)
#else
#define SHUFFLED_2(a, b, ...) __builtin_shuffle(a, b, (wholes){__VA_ARGS__})
#define SHUFFLED(v, ...) __builtin_shuffle(v, (wholes){__VA_ARGS__})
#endif
#if defined(CONGRU_F64)
#define LANE_COUNT (VEC_BYTES / 8)
#else
#define LANE_COUNT (VEC_BYTES / 4)
#endif
#define LANES_2(from, k) (from) ^ (k), (from + 1) ^ (k)
#define LANES_4(from, k) LANES_2(from, k), LANES_2(from + 2, k)
#define LANES_8(from, k) LANES_4(from, k), LANES_4(from + 4, k)
#if LANE_COUNT == 16
#define SWAPPED(v, k) SHUFFLED(v, LANES_8(0, k), LANES_8(8, k))
#elif LANE_COUNT == 8
#define SWAPPED(v, k) SHUFFLED(v, LANES_8(0, k))
#elif LANE_COUNT == 4
#define SWAPPED(v, k) SHUFFLED(v, LANES_4(0, k))
#else
#define SWAPPED(v, k) SHUFFLED(v, LANES_2(0, k))
#endif

/* The sum of all lanes in every lane: of i and i + VL / 2, then of those half as far apart. */
INLINE vec lane_sum(vec v) {
#if LANE_COUNT >= 16
  v += SWAPPED(v, 8);
#endif
#if LANE_COUNT >= 8
  v += SWAPPED(v, 4);
#endif
#if LANE_COUNT >= 4
  v += SWAPPED(v, 2);
#endif
  return v + SWAPPED(v, 1);
}

#if !defined(CONGRU_F64)
/* bfloat16 is the upper half of a float. Rounded to the nearest, ties to even, it lies in the upper half of each lane, with
 * whatever below it; what is no number stays none. */
INLINE wholes bfloat16_above(vec x) {
  wholes bits = (wholes)x, none = (wholes)(x != x);
  return (~none & (bits + 0x7fffu + (bits >> 16 & 1))) | (none & (bits | 0x400000u));
}
#endif

/* A block of up to VL lanes: whole, or the first n. */
INLINE vec load_block(const real *p, int64_t n) { return n >= VL ? load(p) : load_lanes(p, n); }
INLINE void store_block(real *p, vec v, int64_t n) {
  if (n >= VL)
    store(p, v);
  else
    store_lanes(p, v, n);
}

#endif
