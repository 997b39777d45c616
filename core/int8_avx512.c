/* The integer kernel for AVX-512 with VNNI: sixteen units, four products of bytes each at once. */
#include <immintrin.h>

#include "int8.h"

#define INLINE static inline __attribute__((always_inline))

typedef int32_t ints __attribute__((vector_size(64)));
#define WIDTH 16
#define WAYS 4
#define ROWS 2
#define ROWS_WAYS 2
#define BIASED 1
#define KERNEL congru_int8_avx512vnni
#define NAME_OF_KERNEL "avx512vnni"

INLINE ints smaller(ints a, ints b) { return (ints)_mm512_min_epi32((__m512i)a, (__m512i)b); }
INLINE ints larger(ints a, ints b) { return (ints)_mm512_max_epi32((__m512i)a, (__m512i)b); }

INLINE ints dot(ints sums, ints x, ints weight) {
  return (ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)x, (__m512i)weight);
}

INLINE __m512i shifted(__m512i v, int32_t shift) {
  v = _mm512_srai_epi64(_mm512_add_epi64(v, _mm512_set1_epi64((int64_t)1 << (shift - 1))), (unsigned)shift);
  return _mm512_min_epi64(_mm512_max_epi64(v, _mm512_set1_epi64(-INT8_LARGEST)), _mm512_set1_epi64(INT8_LARGEST));
}

INLINE ints scaled(ints sums, ints factors, int32_t shift) {
  __m512i s = (__m512i)sums, f = (__m512i)factors;
  __m512i even = shifted(_mm512_mul_epi32(s, f), shift);
  __m512i odd = shifted(_mm512_mul_epi32(_mm512_srli_epi64(s, 32), _mm512_srli_epi64(f, 32)), shift);
  return (ints)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

/* Of each lane the values `at` and at + 1, from registers of 32 values each, as a gather takes three times as long: six pairs of
 * them by the low six bits of the index, then the pair by the other three. */
INLINE ints look_up(const congru_int8 *net, ints at) {
  const __m512i *values = (const __m512i *)net->values;
  __m512i index = (__m512i)(at | (at + 1) << 16), pair[INT8_VALUES / 64];
  UNROLL for (int i = 0; i < INT8_VALUES / 64; i++)
    pair[i] = _mm512_permutex2var_epi16(_mm512_load_si512(values + 2 * i), index, _mm512_load_si512(values + 2 * i + 1));
  __mmask32 bit_6 = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64)), bit_7 = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
  UNROLL for (int i = 0; i < INT8_VALUES / 64; i += 2) pair[i] = _mm512_mask_blend_epi16(bit_6, pair[i], pair[i + 1]);
  __m512i low = _mm512_mask_blend_epi16(bit_7, pair[0], pair[2]);
  ints both = (ints)_mm512_mask_blend_epi16(_mm512_test_epi16_mask(index, _mm512_set1_epi16(256)), low, pair[4]);
  return both - (both << 16);
}

#include "int8_panels.h"
