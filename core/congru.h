/* The contract of the native core: GRU (both reset forms), LSTM and tanh RNN over a sequence, forward and backward.
 *
 *   r = sigmoid(W_r x + b_ir + U_r h + b_hr)      z = sigmoid(W_z x + b_iz + U_z h + b_hz)
 *   n = tanh(W_n x + b_in + r * (U_n h + b_hn))   reset after;  n = tanh(W_n x + b_in + U_n (r * h) + b_hn)  reset before
 *   h' = (1 - z) n + z h
 *   LSTM: i, f, o sigmoid, g tanh of W x + b_i + U h + b_h;  c' = f c + i g;  h' = o tanh(c')
 *   RNN:  h' = tanh(W x + b_i + U h + b_h)
 *   Options: U may see h_mask * h; h' may be d h + (1 - d) h' with d = zoneout, and so c' with zoneout_c. Layer norm, with
 *   norm(a) = (a - mean(a)) / sqrt(variance(a) + 1e-5) over the H units of a gate (of c'):
 *   g_i and g_h: W x and U h (reset before: U_n (r * h) apart) become g_i norm(W x) and g_h norm(U h);
 *   LSTM: h' = o tanh(g_c norm(c') + b_c)
 *   g_i alone, "dreamer": a = g_i norm(W x + U h + b_h) + b_i over the 3H units of all gates, with 1e-3;
 *   r = sigmoid(a_r)   z = sigmoid(a_z + 1)   n = tanh(r * a_n)
 *
 * Sizes: B batch, T time, I input, H hidden, G blocks of rows in W: 3 (r, z, n), 4 (i, f, g, o) or 1. All reals of one call
 * are float (dtype 0) or double (dtype 1). Strides are counted in elements; the last axis of every array is contiguous;
 * arrays without strides are contiguous. No array may overlap another. B, T and I may be 0.
 *
 * Results do not depend on B, T, chunking or the number of threads: each output is one ordered chain over its inputs. So it
 * is of sequences, steppers, dense layers and the functions of rows. Denormals count as zero inside; the caller's
 * floating-point state is restored.
 */
#ifndef CONGRU_H
#define CONGRU_H

#include <stddef.h>
#include <stdint.h>

typedef enum { CONGRU_GRU = 0, CONGRU_GRU_BEFORE = 1, CONGRU_LSTM = 2, CONGRU_RNN = 3 } congru_cell;

typedef struct {
  int64_t batch, time; /* elements between rows of the batch, and between steps */
} congru_strides;

typedef struct {
  int64_t cell, dtype, reverse;
  int64_t weight_dtype; /* 0: as dtype. 1: W and U are rounded to bfloat16, all else stays float: forward and steppers, dtype 0,
                           no layer norm */
  int64_t threads; /* at most, as far as they pay; 0 = as set by congru_set_threads; -n = exactly n, for tests */
  int64_t B, T, I, H;

  const void *x; /* [B, T, I]; where a row is padding it is not used, but must be readable */
  congru_strides x_strides;
  const void *W, *U;     /* [G*H, I], [G*H, H] */
  const void *b_i, *b_h; /* [G*H] or NULL = zeros */
  const void *h0, *c0;   /* [B, H] or NULL = zeros; c0 only LSTM */
  const int64_t *lengths; /* [B], 0 .. T, or NULL = T */
  const uint8_t *reset;   /* [B, T], not 0 where a new sequence begins, or NULL */
  const void *h_reset, *c_reset; /* [H], what the state becomes there, or NULL = zeros */
  const void *g_i, *g_h; /* [G*H]: layer norm, not RNN; g_h NULL: "dreamer", reset after only. No gates are computed again */
  const void *g_c, *b_c; /* [H]: LSTM with layer norm; b_c may be NULL = zeros */
  const void *h_mask;    /* [B, H] or NULL = ones */
  const void *zoneout;   /* [B, T, H] or NULL = zeros */
  const void *zoneout_c; /* LSTM: the same for c, with the strides of zoneout */
  congru_strides zoneout_strides;

  void *y; /* [B, T, H] */
  congru_strides y_strides;
  void *h, *c;  /* [B, H] final state; c only LSTM */
  void *gates;  /* [B, T, G, H] or NULL = not wanted (forward) / to be computed again (backward); RNN: n, which is
                   y without zoneout and must be kept with it */
  congru_strides gates_strides;
  void *extra; /* [B, T, H], strides of y: reset after without layer norm: U_n h + b_hn; LSTM: c', before its norm, as it is
                  handed on. Forward: NULL = not wanted. Backward: needed for LSTM, and for reset after where gates is given */
  void *norms; /* [B, T, N], contiguous, with layer norm: norm(W x) [G*H], norm(U h) [G*H], LSTM: norm(c') [H], then the
                  1 / sqrt(..) of each in this order: N = 6H + 6 for the GRU, 9H + 9 for the LSTM. "dreamer": the norm and its
                  1 / sqrt(..), N = 3H + 1. Forward: NULL = not wanted. Backward: needed */

  /* Backward only: y, gates, extra and norms are then inputs. Gradients of the results, each NULL = zeros: */
  const void *dy;
  congru_strides dy_strides;
  const void *dh, *dc;
  const void *dgates; /* [B, T, G, H] */
  congru_strides dgates_strides;
  /* Gradients wanted, each NULL = not wanted; all are overwritten: */
  void *dx; /* [B, T, I] */
  congru_strides dx_strides;
  void *dh0, *dc0, *dW, *dU, *db_i, *db_h, *dh_reset, *dc_reset, *dg_i, *dg_h, *dg_c, *db_c;
} congru_call;

/* 0, or -1 when memory ran out, or 1 when the question of congru_set_question ended the call: its results are then undefined.
 * Any thread may call; concurrent calls share the pool or run on one thread each. */
int congru_forward(const congru_call *call);
int congru_backward(const congru_call *call);

/* The weights of one layer in one direction, packed: copied, never changed, and read by any number of threads at once. Counted:
 * it lives until every reference is given back, those of its steppers too. Of the options it has layer norm and zoneout, here
 * [H], the same at every step. */
typedef struct congru_packed congru_packed;
/* Reads cell, dtype, weight_dtype, I, H, W, U, b_i, b_h, the gains, b_c, zoneout, zoneout_c; NULL: no memory. */
congru_packed *congru_packed_new(const congru_call *call);
congru_packed *congru_packed_keep(congru_packed *packed); /* one more reference */
void congru_packed_free(congru_packed *packed);           /* one less */
/* congru_forward on these weights: what packed_new read is not read again, the zoneouts only where the packed has none. */
int congru_packed_forward(const congru_packed *packed, const congru_call *call);

/* B states that step on packed weights: B * H reals (LSTM: twice as many) and a few fields. One thread at a time. Neither step
 * nor get nor set allocates or locks while B * H is a few thousand; larger steps use a workspace and, where they pay, threads. */
typedef struct congru_stepper congru_stepper;
congru_stepper *congru_stepper_new(congru_packed *packed, int64_t B); /* states of zeros; NULL: no memory */
congru_stepper *congru_stepper_copy(const congru_stepper *stepper);
void congru_stepper_free(congru_stepper *stepper);
int congru_stepper_step(congru_stepper *stepper, const void *x, void *y);             /* x [B, I], y [B, H] or NULL; as forward */
void congru_stepper_get(const congru_stepper *stepper, void *h, void *c);             /* [B, H], c NULL unless LSTM */
void congru_stepper_set(congru_stepper *stepper, const void *h, const void *c);       /* NULL = zeros */
/* One step of n steppers of the same packed weights, each with B = 1 and each once: x [n, I], y [n, H]. 0, or -1: no memory. */
int congru_advance(int64_t n, congru_stepper *const *steppers, const void *x, void *y);

/* y = W x + b, W [O, F], b [O] or NULL = zeros; copied and counted as packed weights are. x [B, T, F], y [B, T, O] contiguous.
 * Rows of x may overlap: a causal convolution is a dense layer over the last K inputs as one row. */
typedef struct congru_dense congru_dense;
congru_dense *congru_dense_new(int64_t dtype, int64_t O, int64_t F, const void *weight, const void *bias);
congru_dense *congru_dense_keep(congru_dense *dense);
void congru_dense_free(congru_dense *dense);
int congru_dense_run(const congru_dense *dense, int64_t B, int64_t T, const void *x, congru_strides x_strides, void *y);

/* One step of the GRU, reset after, whose matrix products another library makes in bfloat16 (here uint16_t); states, gates and
 * their gradients are float. Arrays are contiguous, none may be NULL but `product`. 0, or -1: only AVX-512 has it. */
typedef struct {
  int64_t threads, B, H;
  float *rz, *n, *m;     /* [B, 2H], [B, H], [B, H]: r and z; n; U_n h + b_hn. Forward writes them, backward reads them */
  const float *h;        /* [B, H] before the step */
  const uint16_t *x_product, *h_product; /* [B, 3H]: W x; U h */
  const float *b, *b_hn; /* [3H]: b_i, and in it b_hr and b_hz; [H] */
  float *h_new;          /* [B, H] */
  uint16_t *h_low;       /* the same rounded */
} congru_gru_forward_step;
typedef struct {
  int64_t threads, B, H;
  const float *rz, *n, *m, *h;
  const float *dy;          /* [B, H]: of the state behind the step */
  const uint16_t *product;  /* [B, H]: a_h U of the step behind; NULL = zeros */
  float *dh;                /* [B, H]: in: what else reaches the state behind the step; out: the same of the state before it */
  uint16_t *a_h, *a_n;      /* [B, 3H]: what reaches U h; [B, H]: what reaches W_n x. The other two parts of W x are those of U h */
} congru_gru_backward_step;
int congru_gru_step_forward(const congru_gru_forward_step *step);
int congru_gru_step_backward(const congru_gru_backward_step *step);

/* A GRU in integers: int8 weights with one factor a row, the state in 2^-15, one exact result whatever kernel computes it. */
typedef struct {
  int64_t I, H, before;                 /* before: reset before the product */
  const int8_t *W, *U;                  /* [3H, I], [3H, H], within -127..127; I and H at most 60,000 */
  const int32_t *W_factors, *U_factors; /* [3H], M of M / 2^shift; below 2^31 */
  int64_t W_shift, U_shift;             /* 1 .. 62 */
  const int32_t *bias, *b_n;            /* [3H], [H], in 2^-16, below 2^29; b_n stands inside the reset: NULL where before */
  const int16_t *table;                 /* [353]: sigmoid(k / 32) in 2^-15 */
  float inverse;                        /* 1 / the scale of the input */
} congru_int8_weights;
typedef struct congru_int8 congru_int8;
/* Copied and counted as packed weights are. `kernel`: a name of congru_int8_kernel; NULL = the best for the instruction set in
 * use. NULL: no memory, or no such kernel here. */
congru_int8 *congru_int8_new(const congru_int8_weights *weights, const char *kernel);
congru_int8 *congru_int8_keep(congru_int8 *net);
void congru_int8_free(congru_int8 *net);
const char *congru_int8_name(const congru_int8 *net);     /* of its kernel */
const char *congru_int8_kernel(int64_t index);             /* those that can run here, best first, then NULL */
int64_t congru_int8_state_size(const congru_int8 *net);    /* int16 of a state: H and what fills up vectors, 0 at first */
size_t congru_int8_scratch(const congru_int8 *net);        /* bytes of working memory of a step, at a multiple of 64 */
/* One step of n rows: x [I], h, y [H] or NULL each. Neither allocates nor locks. */
void congru_int8_step(const congru_int8 *net, int64_t n, const float *const *x, int16_t *const *h, float *const *y, void *scratch);

/* Over the last axis of x [N, F], contiguous; y [N, F] may be x. */
/* (x - mean) / sqrt(variance + epsilon) * gain + bias; gain [F] or NULL = ones, bias [F] or NULL = zeros. */
void congru_layer_norm(int64_t dtype, int64_t N, int64_t F, const void *x, const void *gain, const void *bias, double epsilon,
                       void *y);
/* exp(x - max) / sum(exp(x - max)), or its logarithm; a row with a NaN, +inf or nothing but -inf becomes NaN. */
void congru_softmax(int64_t logarithm, int64_t dtype, int64_t N, int64_t F, const void *x, void *y);
/* sigmoid (kind 0) or tanh (kind 1) of n values, as computed inside, but 0 for the sigmoid of -inf; y may be x. */
void congru_activation(int64_t kind, int64_t dtype, int64_t n, const void *x, void *y);

/* Instruction sets compiled in and supported here, best first, NULL after the last. */
const char *const *congru_isas(void);
/* The one in use: CONGRU_ISA's, else the best. NULL when CONGRU_ISA names none of congru_isas(). */
const char *congru_isa(void);
/* 0, or -1 when `name` is none of congru_isas(). */
int congru_set_isa(const char *name);

/* A function that a long call (forward, backward, a dense layer) asks about every 20 ms on the thread that called it, between
 * two steps: not 0 ends the call. To be called before any other thread calls. */
void congru_set_question(int (*should_stop)(void));

/* Threads of a call that leaves it open, as its field; starts at 1. Workers are started on first use. */
void congru_set_threads(int64_t threads);
int64_t congru_get_threads(void);

/* The threads of another library's OpenMP, instead of own ones: that library's threads spin for a while after each of its
 * calls, and would share their cores with ours. `parallel` is GOMP_parallel, the others the omp_ functions of that name, all
 * of one OpenMP runtime. Calls from inside a parallel region run on own threads. To be called before any other thread calls. */
typedef struct {
  void (*parallel)(void (*work)(void *), void *data, unsigned threads, unsigned flags);
  int (*get_thread_num)(void), (*get_num_threads)(void), (*in_parallel)(void);
} congru_team;
void congru_set_team(const congru_team *team);

#endif
