/* The kernels of one instruction set and element type, as the dispatcher sees them. */
#ifndef CONGRU_KERNELS_H
#define CONGRU_KERNELS_H

#include <stdatomic.h>

#include "congru.h"

#define CONGRU_MAX_THREADS 64
/* Multiply-adds below which a second thread costs more than it saves. */
#define CONGRU_WORTH_A_THREAD 1000000

/* One step of n rows: those of one stepper, or of n steppers of one row each (`one` is NULL). */
typedef struct {
  const congru_packed *packed;
  congru_stepper *one, *const *each;
  int64_t n;
  const void *x; /* [n, I] */
  void *y;       /* [n, H] or NULL */
} congru_rows;

/* A dense layer on rows [B, T, F]. */
typedef struct {
  const congru_dense *dense;
  int64_t B, T;
  const void *x;
  congru_strides x_strides;
  void *y; /* [B, T, O], contiguous */
} congru_product;

/* `threads` are claimed: the call ends the claim on the pool; -1: no memory. */
typedef struct congru_kernels {
  int64_t (*useful_threads)(const congru_call *call);
  int (*forward)(const congru_call *call, const congru_packed *packed, int64_t threads); /* packed NULL: it packs its own */
  int (*backward)(const congru_call *call, int64_t threads);
  congru_packed *(*packed_new)(const congru_call *call);
  int (*step)(congru_stepper *stepper, const void *x, void *y); /* whether it could without memory */
  int (*advance)(const congru_rows *rows, int64_t threads);
  congru_dense *(*dense_new)(int64_t O, int64_t F, const void *weight, const void *bias);
  int (*dense_run)(const congru_product *product, int64_t threads); /* 1: stopped */
  void (*activation)(int64_t kind, int64_t n, const void *x, void *y);
  void (*layer_norm)(int64_t N, int64_t F, const void *x, const void *gain, const void *bias, double epsilon, void *y);
  void (*softmax)(int64_t logarithm, int64_t N, int64_t F, const void *x, void *y);
  /* One of the two, on claimed threads; float with AVX-512 only, else NULL. */
  void (*gru_step)(const congru_gru_forward_step *forward, const congru_gru_backward_step *backward, int64_t B, int64_t threads);
} congru_kernels;

/* What packed weights of any instruction set begin with. */
struct congru_packed {
  const congru_kernels *kernels;
  atomic_llong references;
  congru_call call; /* cell, dtype, weight_dtype, I, H, zoneout [H]; of g_i and g_h, whether they are there */
  int64_t padded;   /* elements between the rows of a state */
  size_t row_bytes; /* at most what a row of a step needs beside its states */
};

struct congru_stepper {
  congru_packed *packed; /* counted */
  int64_t rows;
  void *h, *c; /* [rows, padded], behind the stepper */
};

/* What a dense layer of any instruction set begins with. */
struct congru_dense {
  const congru_kernels *kernels;
  atomic_llong references;
  int64_t O, F;
};

/* Denormals to zero on this thread; returns the state to restore. */
unsigned congru_flush_denormals(void);
void congru_restore_denormals(unsigned state);

#endif
