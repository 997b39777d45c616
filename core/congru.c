/* The front door of the core: which instruction set, how many threads, and calls with nothing to do. */
#include "congru.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels.h"
#include "platform_threads.h"
#include "pool.h"

typedef struct {
  const char *name;
  const congru_kernels *of[2]; /* float, double */
} instruction_set;

#define DECLARE(isa) extern const congru_kernels congru_kernels_##isa##_f32, congru_kernels_##isa##_f64;
#define ENTRY(isa) {#isa, {&congru_kernels_##isa##_f32, &congru_kernels_##isa##_f64}}
DECLARE(avx512) DECLARE(avx2) DECLARE(baseline)

/* Best first. On ARM the baseline is NEON. */
static const instruction_set compiled[] = {
#if defined(CONGRU_HAS_avx512)
    ENTRY(avx512),
#endif
#if defined(CONGRU_HAS_avx2)
    ENTRY(avx2),
#endif
    ENTRY(baseline)};
#define NUM_COMPILED ((int)(sizeof(compiled) / sizeof(compiled[0])))

static _Atomic(const instruction_set *) chosen;
static atomic_llong set_threads = 1;

/* Asked of the processor itself: __builtin_cpu_supports says no where Zig links its own runtime. */
static int supported(const char *name) {
#if defined(__x86_64__)
  const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 31; /* F, DQ, VL */
  unsigned a, b, c, d, first, kept, high;
  if (!__get_cpuid(1, &a, &b, &first, &d) || !(first & 1u << 27)) return !strcmp(name, "baseline"); /* no OSXSAVE */
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return !strcmp(name, "baseline");
  __asm__ volatile("xgetbv" : "=a"(kept), "=d"(high) : "c"(0)); /* registers that the system keeps */
  if (!strcmp(name, "avx512")) return (b & avx512) == avx512 && (kept & 0xe6) == 0xe6 && (first & 1u << 12);
  if (!strcmp(name, "avx2")) return (b & 1u << 5) && (first & 1u << 12) && (kept & 0x6) == 0x6;
#endif
  return !strcmp(name, "baseline");
}

static const char *names[NUM_COMPILED + 1];

static void find_names(void) {
  int n = 0;
  for (int i = 0; i < NUM_COMPILED; i++) {
    if (supported(compiled[i].name)) names[n++] = compiled[i].name;
  }
}

const char *const *congru_isas(void) {
  static platform_once once = PLATFORM_ONCE;
  call_once_only(&once, find_names);
  return names;
}

int congru_set_isa(const char *name) {
  for (int i = 0; i < NUM_COMPILED; i++) {
    if (strcmp(compiled[i].name, name) || !supported(name)) continue;
    atomic_store(&chosen, &compiled[i]);
    return 0;
  }
  return -1;
}

const char *congru_isa(void) {
  if (!atomic_load(&chosen)) {
    const char *wanted = getenv("CONGRU_ISA");
    if (congru_set_isa(wanted && *wanted ? wanted : congru_isas()[0])) return NULL;
  }
  return atomic_load(&chosen)->name;
}

/* The kernels in use; the baseline where CONGRU_ISA is wrong and nobody asked congru_isa(). */
static const congru_kernels *kernels(int64_t dtype) {
  const instruction_set *isa = atomic_load(&chosen);
  if (!isa) isa = congru_isa() ? atomic_load(&chosen) : &compiled[NUM_COMPILED - 1];
  return isa->of[dtype != 0];
}

void congru_set_threads(int64_t threads) { atomic_store(&set_threads, threads ? threads : 1); }
int64_t congru_get_threads(void) { return atomic_load(&set_threads); }

/* Fill in the threads of a call that leaves them open, and claim as many as it is worth (all, where asked for exactly). */
static int64_t claim(congru_call *call, const congru_kernels *k) {
  if (!call->threads) call->threads = congru_get_threads();
  int64_t useful = k->useful_threads(call);
  return congru_pool_claim(call->threads < 0 ? -call->threads : call->threads < useful ? call->threads : useful);
}

int congru_forward(const congru_call *call) {
  const congru_kernels *k = kernels(call->dtype);
  if (!call->B || !call->H) return 0;
  congru_call own = *call;
  return k->forward(&own, NULL, claim(&own, k));
}

int congru_backward(const congru_call *call) {
  const congru_kernels *k = kernels(call->dtype);
  if (call->H && call->B) {
    congru_call own = *call;
    return k->backward(&own, claim(&own, k));
  }
  size_t size = call->dtype ? sizeof(double) : sizeof(float);
  int64_t G = call->cell == CONGRU_LSTM ? 4 : call->cell == CONGRU_RNN ? 1 : 3, H = call->H;
  const struct {
    void *at;
    int64_t n;
  } none[] = {{call->dW, G * H * call->I}, {call->dU, G * H * H}, {call->db_i, G * H}, {call->db_h, G * H},
              {call->dh_reset, H},         {call->dc_reset, H}, {call->dg_i, G * H}, {call->dg_h, G * H},
              {call->dg_c, H},             {call->db_c, H}};
  for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
    if (none[i].at) memset(none[i].at, 0, (size_t)none[i].n * size);
  }
  return 0;
}

congru_packed *congru_packed_new(const congru_call *call) {
  const congru_kernels *k = kernels(call->dtype);
  congru_packed *made = k->packed_new(call);
  if (!made) return NULL;
  made->kernels = k;
  atomic_init(&made->references, 1);
  return made;
}

int congru_packed_forward(const congru_packed *packed, const congru_call *call) {
  congru_call own = *call;
  const congru_call *kept = &packed->call;
  own.cell = kept->cell, own.dtype = kept->dtype, own.weight_dtype = kept->weight_dtype, own.I = kept->I, own.H = kept->H;
  own.g_i = kept->g_i, own.g_h = kept->g_h;
  if (kept->zoneout)
    own.zoneout = kept->zoneout, own.zoneout_c = kept->zoneout_c, own.zoneout_strides = (congru_strides){0, 0};
  if (!own.B || !own.H) return 0;
  return packed->kernels->forward(&own, packed, claim(&own, packed->kernels));
}

/* The threads that the rows of one step are worth are claimed. */
static int advance(const congru_rows *rows) {
  const congru_kernels *k = rows->packed->kernels;
  congru_call size = {.cell = rows->packed->call.cell, .B = rows->n, .T = 1, .I = rows->packed->call.I, .H = rows->packed->call.H};
  return k->advance(rows, claim(&size, k));
}

int congru_stepper_step(congru_stepper *stepper, const void *x, void *y) {
  congru_packed *packed = stepper->packed;
  if (packed->kernels->step(stepper, x, y)) return 0;
  return advance(&(congru_rows){.packed = packed, .one = stepper, .n = stepper->rows, .x = x, .y = y});
}

int congru_advance(int64_t n, congru_stepper *const *steppers, const void *x, void *y) {
  if (n == 0) return 0;
  if (n == 1) return congru_stepper_step(steppers[0], x, y);
  return advance(&(congru_rows){.packed = steppers[0]->packed, .each = steppers, .n = n, .x = x, .y = y});
}

congru_dense *congru_dense_new(int64_t dtype, int64_t O, int64_t F, const void *weight, const void *bias) {
  const congru_kernels *k = kernels(dtype);
  congru_dense *made = k->dense_new(O, F, weight, bias);
  if (!made) return NULL;
  made->kernels = k;
  atomic_init(&made->references, 1);
  return made;
}

int congru_dense_run(const congru_dense *dense, int64_t B, int64_t T, const void *x, congru_strides x_strides, void *y) {
  const congru_product product = {dense, B, T, x, x_strides, y};
  int64_t threads = congru_get_threads(), useful = B * T * dense->O * dense->F / CONGRU_WORTH_A_THREAD;
  if (!B || !T || !dense->O) return 0;
  return dense->kernels->dense_run(&product, congru_pool_claim(threads < 0 ? -threads : threads < useful ? threads : useful));
}

/* Elements of a step below which a second thread costs more than it saves. */
#define STEP_WORTH_A_THREAD 8192

static int gru_step(const congru_gru_forward_step *forward, const congru_gru_backward_step *backward, int64_t B, int64_t H,
                    int64_t threads) {
  const congru_kernels *k = kernels(0);
  int64_t useful = B * H / STEP_WORTH_A_THREAD;
  if (useful > B) useful = B;
  if (k->gru_step && B && H) k->gru_step(forward, backward, B, congru_pool_claim(threads < useful ? threads : useful));
  return k->gru_step ? 0 : -1;
}

int congru_gru_step_forward(const congru_gru_forward_step *step) { return gru_step(step, NULL, step->B, step->H, step->threads); }

int congru_gru_step_backward(const congru_gru_backward_step *step) { return gru_step(NULL, step, step->B, step->H, step->threads); }

void congru_activation(int64_t kind, int64_t dtype, int64_t n, const void *x, void *y) {
  unsigned state = congru_flush_denormals();
  kernels(dtype)->activation(kind, n, x, y);
  congru_restore_denormals(state);
}

void congru_layer_norm(int64_t dtype, int64_t N, int64_t F, const void *x, const void *gain, const void *bias, double epsilon,
                       void *y) {
  unsigned state = congru_flush_denormals();
  kernels(dtype)->layer_norm(N, F, x, gain, bias, epsilon, y);
  congru_restore_denormals(state);
}

void congru_softmax(int64_t logarithm, int64_t dtype, int64_t N, int64_t F, const void *x, void *y) {
  unsigned state = congru_flush_denormals();
  kernels(dtype)->softmax(logarithm, N, F, x, y);
  congru_restore_denormals(state);
}
