/* The table of this instruction set's kernels. */
#include "scan.h"

int NAME(forward)(const congru_call *call, const congru_packed *packed, int64_t threads);
int NAME(backward)(const congru_call *call, int64_t threads);
congru_packed *NAME(packed_new)(const congru_call *call);
int NAME(step)(congru_stepper *stepper, const void *x, void *y);
int NAME(advance)(const congru_rows *rows, int64_t threads);
congru_dense *NAME(dense_new)(int64_t O, int64_t F, const void *weight, const void *bias);
int NAME(dense_run)(const congru_product *product, int64_t threads);
void NAME(activation)(int64_t kind, int64_t n, const void *x, void *y);
void NAME(layer_norm)(int64_t N, int64_t F, const void *x, const void *gain, const void *bias, double epsilon, void *y);
void NAME(softmax)(int64_t logarithm, int64_t N, int64_t F, const void *x, void *y);
#if defined(__AVX512F__) && !defined(CONGRU_F64)
void NAME(gru_step)(const congru_gru_forward_step *forward, const congru_gru_backward_step *backward, int64_t B, int64_t threads);
#define GRU_STEP NAME(gru_step)
#else
#define GRU_STEP NULL
#endif
extern const congru_kernels NAME(kernels);

const congru_kernels NAME(kernels) = {
    NAME(useful_threads), NAME(forward),   NAME(backward),   NAME(packed_new), NAME(step),    NAME(advance),
    NAME(dense_new),      NAME(dense_run), NAME(activation), NAME(layer_norm), NAME(softmax),
    GRU_STEP,
};
