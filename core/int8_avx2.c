/* The integer kernel for AVX2: eight units, bytes multiplied in pairs; with CONGRU_AVXVNNI four at once by AVX-VNNI.
 *
 * Without VNNI the pairs are |x| times w with the sign of x: two products of at most 127 * 127 stay within 16 bits.
 */
#include <immintrin.h>

#include "int8.h"

#define INLINE static inline __attribute__((always_inline))

typedef int32_t ints __attribute__((vector_size(32)));
#define WIDTH 8
#define WAYS 2
#define ROWS 1
#define ROWS_WAYS 1
#if defined(CONGRU_AVXVNNI)
#define BIASED 1
#define KERNEL congru_int8_avxvnni
#define NAME_OF_KERNEL "avxvnni"
#else
#define BIASED 0
#define KERNEL congru_int8_avx2
#define NAME_OF_KERNEL "avx2"
#endif

INLINE ints smaller(ints a, ints b) { return (ints)_mm256_min_epi32((__m256i)a, (__m256i)b); }
INLINE ints larger(ints a, ints b) { return (ints)_mm256_max_epi32((__m256i)a, (__m256i)b); }

INLINE ints dot(ints sums, ints x, ints weight) {
#if defined(CONGRU_AVXVNNI)
  return (ints)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)x, (__m256i)weight);
#else
  __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)x), _mm256_sign_epi8((__m256i)weight, (__m256i)x));
  return sums + (ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
}

/* Whole numbers of 64 bits shifted right by `shift`, and cut. AVX2 shifts no signs in: a number from zero is shifted instead. */
INLINE __m256i shifted(__m256i v, int32_t shift) {
  const __m256i most = _mm256_set1_epi64x(INT8_LARGEST), least = _mm256_set1_epi64x(-INT8_LARGEST);
  v = _mm256_add_epi64(v, _mm256_set1_epi64x((int64_t)(((uint64_t)1 << 63) + ((uint64_t)1 << (shift - 1)))));
  v = _mm256_sub_epi64(_mm256_srli_epi64(v, shift), _mm256_set1_epi64x((int64_t)1 << (63 - shift)));
  v = _mm256_blendv_epi8(v, most, _mm256_cmpgt_epi64(v, most));
  return _mm256_blendv_epi8(v, least, _mm256_cmpgt_epi64(least, v));
}

INLINE ints scaled(ints sums, ints factors, int32_t shift) {
  __m256i s = (__m256i)sums, f = (__m256i)factors;
  __m256i even = shifted(_mm256_mul_epi32(s, f), shift);
  __m256i odd = shifted(_mm256_mul_epi32(_mm256_srli_epi64(s, 32), _mm256_srli_epi64(f, 32)), shift);
  return (ints)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

INLINE ints look_up(const congru_int8 *net, ints at) {
  return (ints)_mm256_i32gather_epi32((const int *)net->table, (__m256i)at, 4);
}

#include "int8_panels.h"
