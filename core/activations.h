/* sigmoid and tanh of a vector, finite everywhere, NaN to NaN.
 *
 *   exp(u)     = s (1 + p)   with u = n ln 2 + v, |v| <= ln 2 / 2, s = 2^n, p = exp(v) - 1 = v + v^2 q(v)
 *   sigmoid(x) = 1 / (1 + exp(-x))   = 1 / ((s p + 1) + s)
 *   tanh(x)    = e / (e + 2)         e = exp(2 x) - 1 = s p + (s - 1): no cancellation near zero
 *
 * The argument is held where 2^n stays a normal number and the result no longer changes (or, for sigmoid, is below
 * 2^-125): 87 and 10 for float, 708 and 20 for double. Error of float, held by tests/core/test_activations.c: below 2 units
 * in the last place. n comes out of the low bits of u / ln 2 + 1.5 * 2^(mantissa bits): no conversion instruction.
 */
#ifndef CONGRU_ACTIVATIONS_H
#define CONGRU_ACTIVATIONS_H

#include "vec.h"

#if defined(CONGRU_F64)
#define MANTISSA_BITS 52
#define ONE_BITS 0x3FF0000000000000LL
#define ROUND_MAGIC 6755399441055744.0
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define SIGMOID_LIMIT 708.0
#define TANH_LIMIT 20.0
/* q(v) = sum v^k / (k + 2)!, highest power first. */
#define EXP_TERMS                                                                                                     \
  {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0,           \
   1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,      1.0 / 2.0}
#define NUM_EXP_TERMS 12
#else
#define MANTISSA_BITS 23
#define ONE_BITS 0x3F800000
#define ROUND_MAGIC 12582912.0f
#define LN2_HIGH 0.693145751953125f
#define LN2_LOW 1.42860682030941723212e-6f
#define SIGMOID_LIMIT 87.0f
#define TANH_LIMIT 10.0f
#define EXP_TERMS {1.0f / 5040.0f, 1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 1.0f / 2.0f}
#define NUM_EXP_TERMS 6
#endif
#define INV_LN2 ((real)1.44269504088896340736)

/* s and p of exp(u), |u| within the limits above. */
INLINE vec exp_parts(vec u, vec *s) {
  static const real terms[NUM_EXP_TERMS] = EXP_TERMS;
  vec shifted = vfma(u, splat(INV_LN2), splat((real)ROUND_MAGIC));
  vec n = shifted - splat((real)ROUND_MAGIC);
  vec v = vfma(n, splat((real)-LN2_HIGH), u);
  v = vfma(n, splat((real)-LN2_LOW), v);
  *s = (vec)(((wholes)shifted << MANTISSA_BITS) + ONE_BITS);
  vec q = splat(terms[0]);
  UNROLL for (int k = 1; k < NUM_EXP_TERMS; k++) q = vfma(q, v, splat(terms[k]));
  return vfma(v * v, q, v);
}

INLINE vec vsigmoid(vec x) {
  vec s, u = vmax(splat((real)-SIGMOID_LIMIT), vmin(splat((real)SIGMOID_LIMIT), -x));
  vec p = exp_parts(u, &s);
  return splat(1) / (vfma(s, p, splat(1)) + s);
}

/* e / (e + 2), rounded almost once: the error of a quotient is e - y (e + 2), and e - 2 y is exact up to e = 2. */
INLINE vec tanh_of(vec e) {
#if !defined(CONGRU_F64) && !defined(__FMA__) && !defined(__ARM_NEON)
  typedef double wide __attribute__((vector_size(2 * VEC_BYTES)));
  wide exact = __builtin_convertvector(e, wide);
  return __builtin_convertvector(exact / (exact + 2), vec);
#else
  vec inverse = splat(1) / (e + splat(2)), y = e * inverse;
  return vfma(vfma(-y, e, vfma(splat(-2), y, e)), inverse, y);
#endif
}

INLINE vec vtanh(vec x) {
  vec s, u = vmax(splat((real)-TANH_LIMIT), vmin(splat((real)TANH_LIMIT), x));
  vec p = exp_parts(u + u, &s);
  return tanh_of(vfma(s, p, s - splat(1)));
}

#endif
