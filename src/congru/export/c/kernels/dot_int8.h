/* needs: */
/* As dot, of whole numbers and reals. */
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif
static float dot_int8(const int8_t *a, const float *b, int size) {
  float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, rest = 0.0f;
  int i = 0;
#if defined(__wasm_simd128__)
  v128_t low = wasm_f32x4_splat(0.0f), high = low;
  for (; i + 8 <= size; i += 8) {
    v128_t w = wasm_i16x8_load8x8(a + i);
    v128_t w_low = wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(w));
    v128_t w_high = wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(w));
    low = wasm_f32x4_add(low, wasm_f32x4_mul(w_low, wasm_v128_load(b + i)));
    high = wasm_f32x4_add(high, wasm_f32x4_mul(w_high, wasm_v128_load(b + i + 4)));
  }
  wasm_v128_store(sum, low);
  wasm_v128_store(sum + 4, high);
#else
  int k;
  for (; i + 8 <= size; i += 8) {
    for (k = 0; k < 8; k++) sum[k] += (float)a[i + k] * b[i + k];
  }
#endif
  for (; i < size; i++) rest += (float)a[i] * b[i];
  return (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))) + rest;
}
