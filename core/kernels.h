/* The kernels of one instruction set and element type, as the dispatcher sees them. */
#ifndef CONGRU_KERNELS_H
#define CONGRU_KERNELS_H

#include "congru.h"

#define CONGRU_MAX_THREADS 64

typedef struct {
  int64_t (*useful_threads)(const congru_call *call);
  int (*forward)(const congru_call *call, int64_t threads);  /* ends the claim on the pool; -1: no memory */
  int (*backward)(const congru_call *call, int64_t threads);
  congru_stepper *(*stepper_new)(const congru_call *call);
  void (*activation)(int64_t kind, int64_t n, const void *x, void *y);
} congru_kernels;

/* What a stepper of any instruction set begins with. */
struct congru_stepper {
  void (*step)(congru_stepper *stepper, const void *x, void *y);
  void (*get)(const congru_stepper *stepper, void *h, void *c);
  void (*set)(congru_stepper *stepper, const void *h, const void *c);
};

/* Denormals to zero on this thread; returns the state to restore. */
unsigned congru_flush_denormals(void);
void congru_restore_denormals(unsigned state);

#endif
