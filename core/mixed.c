/* Steps of the GRU (reset after) between matrix products that another library makes in bfloat16: gates and states in float, each
 * row in one pass. The equations are those of gru.c. Threads share out the rows. Only for AVX-512: processors without it multiply
 * bfloat16 no faster than float. Measurements: bench/text_speed.py.
 */
#include "activations.h"
#include "scan.h"

#if defined(__AVX512F__) && !defined(CONGRU_F64)
typedef uint16_t halves __attribute__((vector_size(VEC_BYTES / 2)));
typedef uint16_t halves_unaligned __attribute__((vector_size(VEC_BYTES / 2), aligned(sizeof(uint16_t)), may_alias));

/* Lanes of the block from j on. */
INLINE int64_t lanes_from(int64_t j, int64_t H) { return H - j < VL ? H - j : VL; }

/* The first `lanes` of VL numbers in bfloat16, the others zero; written once, as it is not inlined. */
static __attribute__((noinline)) halves some_low(const uint16_t *p, int64_t lanes) {
  halves v = {0};
  memcpy(&v, p, (size_t)lanes * sizeof(*p));
  return v;
}

INLINE vec load_low(const uint16_t *p, int64_t lanes) {
  halves v;
  if (lanes == VL)
    v = *(const halves_unaligned *)p;
  else
    v = some_low(p, lanes);
  return (vec)(__builtin_convertvector(v, wholes) << 16);
}

static __attribute__((noinline)) void put_some(uint16_t *p, halves v, int64_t lanes) { memcpy(p, &v, (size_t)lanes * sizeof(*p)); }

INLINE void store_low(uint16_t *p, vec x, int64_t lanes) {
  halves v = __builtin_convertvector(bfloat16_above(x) >> 16, halves);
  if (lanes == VL)
    *(halves_unaligned *)p = v;
  else
    put_some(p, v, lanes);
}

static void forward_row(const congru_gru_forward_step *step, int64_t i) {
  int64_t H = step->H;
  const uint16_t *x = step->x_product + 3 * i * H, *u = step->h_product + 3 * i * H;
  for (int64_t j = 0; j < H; j += VL) {
    int64_t lanes = lanes_from(j, H), at = i * H + j;
    vec r = vsigmoid(load_low(x + j, lanes) + load_lanes(step->b + j, lanes) + load_low(u + j, lanes));
    vec z = vsigmoid(load_low(x + H + j, lanes) + load_lanes(step->b + H + j, lanes) + load_low(u + H + j, lanes));
    vec m = load_low(u + 2 * H + j, lanes) + load_lanes(step->b_hn + j, lanes), h = load_lanes(step->h + at, lanes);
    vec n = vtanh(vfma(r, m, load_low(x + 2 * H + j, lanes) + load_lanes(step->b + 2 * H + j, lanes)));
    vec h_new = vfma(z, h, vfma(-z, n, n));
    store_lanes(step->rz + i * H + at, r, lanes);
    store_lanes(step->rz + (i + 1) * H + at, z, lanes);
    store_lanes(step->n + at, n, lanes);
    store_lanes(step->m + at, m, lanes);
    store_lanes(step->h_new + at, h_new, lanes);
    store_low(step->h_low + at, h_new, lanes);
  }
}

static void backward_row(const congru_gru_backward_step *step, int64_t i) {
  int64_t H = step->H;
  const vec one = splat(1);
  for (int64_t j = 0; j < H; j += VL) {
    int64_t lanes = lanes_from(j, H), at = i * H + j;
    vec r = load_lanes(step->rz + i * H + at, lanes), z = load_lanes(step->rz + (i + 1) * H + at, lanes);
    vec n = load_lanes(step->n + at, lanes), dh = load_lanes(step->dh + at, lanes) + load_lanes(step->dy + at, lanes);
    if (step->product) dh += load_low(step->product + at, lanes);
    vec a_n = dh * (one - z) * vfma(-n, n, one);
    vec a_r = a_n * load_lanes(step->m + at, lanes) * vfma(-r, r, r);
    vec a_z = dh * (load_lanes(step->h + at, lanes) - n) * vfma(-z, z, z);
    uint16_t *a_h = step->a_h + 3 * i * H + j;
    store_low(a_h, a_r, lanes);
    store_low(a_h + H, a_z, lanes);
    store_low(a_h + 2 * H, a_n * r, lanes);
    store_low(step->a_n + at, a_n, lanes);
    store_lanes(step->dh + at, dh * z, lanes);
  }
}

typedef struct {
  const congru_gru_forward_step *forward; /* or */
  const congru_gru_backward_step *backward;
  int64_t B, threads;
} rows_of_step;

static void mixed_thread(void *argument, int64_t thread) {
  const rows_of_step *job = argument;
  unsigned state = congru_flush_denormals();
  int64_t i1 = split(job->B, job->threads, thread + 1);
  for (int64_t i = split(job->B, job->threads, thread); i < i1; i++) {
    if (job->forward)
      forward_row(job->forward, i);
    else
      backward_row(job->backward, i);
  }
  congru_restore_denormals(state);
}

void NAME(gru_step)(const congru_gru_forward_step *forward, const congru_gru_backward_step *backward, int64_t B, int64_t threads) {
  rows_of_step job = {forward, backward, B, threads};
  if (!congru_pool_run(threads, mixed_thread, &job)) NAME(gru_step)(forward, backward, B, 1);
}
#endif
