/* The table of this instruction set's kernels. */
#include "activations.h"
#include "kernels.h"
#include "scan.h"

int NAME(forward)(const congru_call *call, int64_t threads);
int NAME(backward)(const congru_call *call, int64_t threads);
congru_stepper *NAME(stepper_new)(const congru_call *call);
extern const congru_kernels NAME(kernels);

static void activation(int64_t kind, int64_t n, const void *x, void *y) {
  for (int64_t i = 0; i < n; i += VL) {
    vec v = load_block((const real *)x + i, n - i);
    store_block((real *)y + i, kind ? vtanh(v) : vsigmoid(v), n - i);
  }
}

const congru_kernels NAME(kernels) = {NAME(useful_threads), NAME(forward), NAME(backward), NAME(stepper_new), activation};
