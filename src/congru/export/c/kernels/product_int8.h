/* needs: */
/* The exact sum of the products of two rows of bytes, none below -127. */
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
static int32_t product_int8(const int8_t *a, const int8_t *b, int size) {
  int32_t sum = 0;
  int i = 0;
#if defined(__wasm_simd128__)
  v128_t four = wasm_i32x4_splat(0);
  for (; i + 16 <= size; i += 16) {
    v128_t x = wasm_v128_load(a + i), y = wasm_v128_load(b + i);
    v128_t pairs = wasm_i16x8_add(wasm_i16x8_extmul_low_i8x16(x, y), wasm_i16x8_extmul_high_i8x16(x, y));
    four = wasm_i32x4_add(four, wasm_i32x4_extadd_pairwise_i16x8(pairs));
  }
  sum = wasm_i32x4_extract_lane(four, 0) + wasm_i32x4_extract_lane(four, 1) + wasm_i32x4_extract_lane(four, 2) +
        wasm_i32x4_extract_lane(four, 3);
#elif defined(__ARM_NEON)
  int32x4_t four = vdupq_n_s32(0);
  for (; i + 16 <= size; i += 16) {
    int8x16_t x = vld1q_s8(a + i), y = vld1q_s8(b + i);
    int16x8_t pairs = vmlal_s8(vmull_s8(vget_low_s8(x), vget_low_s8(y)), vget_high_s8(x), vget_high_s8(y));
    four = vpadalq_s16(four, pairs);
  }
  sum = vgetq_lane_s32(four, 0) + vgetq_lane_s32(four, 1) + vgetq_lane_s32(four, 2) + vgetq_lane_s32(four, 3);
#endif
  for (; i < size; i++) sum += a[i] * b[i];
  return sum;
}
