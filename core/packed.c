/* Packed weights, steppers and dense layers as their users hold them: counted, made and copied, whatever the instruction set.
 *
 * A reference is one atomic count. A stepper is one block of memory: its few fields, then h, then c.
 */
#include <string.h>

#include "kernels.h"
#include "platform.h"

congru_packed *congru_packed_keep(congru_packed *packed) {
  atomic_fetch_add_explicit(&packed->references, 1, memory_order_relaxed);
  return packed;
}

void congru_packed_free(congru_packed *packed) {
  if (atomic_fetch_sub_explicit(&packed->references, 1, memory_order_acq_rel) == 1) free_aligned(packed);
}

congru_dense *congru_dense_keep(congru_dense *dense) {
  atomic_fetch_add_explicit(&dense->references, 1, memory_order_relaxed);
  return dense;
}

void congru_dense_free(congru_dense *dense) {
  if (atomic_fetch_sub_explicit(&dense->references, 1, memory_order_acq_rel) == 1) free_aligned(dense);
}

#define HEADER ((sizeof(congru_stepper) + 63) & ~(size_t)63)

static size_t real_bytes(const congru_packed *packed) { return packed->call.dtype ? sizeof(double) : sizeof(float); }

/* Bytes of h, and of c. */
static size_t state_bytes(const congru_packed *packed, int64_t rows) {
  return ((size_t)(rows * packed->padded) * real_bytes(packed) + 63) & ~(size_t)63;
}

/* A stepper whose state is not set yet. */
static congru_stepper *make(congru_packed *packed, int64_t rows) {
  size_t bytes = state_bytes(packed, rows);
  congru_stepper *made = aligned_memory(64, HEADER + (packed->call.cell == CONGRU_LSTM ? 2 : 1) * bytes);
  if (!made) return NULL;
  *made = (congru_stepper){congru_packed_keep(packed), rows, (char *)made + HEADER, (char *)made + HEADER};
  if (packed->call.cell == CONGRU_LSTM) made->c = (char *)made->h + bytes;
  return made;
}

congru_stepper *congru_stepper_new(congru_packed *packed, int64_t B) {
  congru_stepper *made = make(packed, B);
  if (made) congru_stepper_set(made, NULL, NULL);
  return made;
}

congru_stepper *congru_stepper_copy(const congru_stepper *stepper) {
  congru_stepper *made = make(stepper->packed, stepper->rows);
  size_t bytes = state_bytes(stepper->packed, stepper->rows);
  if (made) memcpy(made->h, stepper->h, (stepper->packed->call.cell == CONGRU_LSTM ? 2 : 1) * bytes);
  return made;
}

void congru_stepper_free(congru_stepper *stepper) {
  congru_packed_free(stepper->packed);
  free_aligned(stepper);
}

void congru_stepper_get(const congru_stepper *stepper, void *h, void *c) {
  const congru_packed *packed = stepper->packed;
  size_t size = real_bytes(packed), row = (size_t)packed->call.H * size, padded = (size_t)packed->padded * size;
  for (size_t b = 0; b < (size_t)stepper->rows; b++) {
    memcpy((char *)h + b * row, (const char *)stepper->h + b * padded, row);
    if (c) memcpy((char *)c + b * row, (const char *)stepper->c + b * padded, row);
  }
}

void congru_stepper_set(congru_stepper *stepper, const void *h, const void *c) {
  const congru_packed *packed = stepper->packed;
  size_t size = real_bytes(packed), row = (size_t)packed->call.H * size, padded = (size_t)packed->padded * size;
  size_t parts = packed->call.cell == CONGRU_LSTM ? 2 : 1;
  memset(stepper->h, 0, parts * state_bytes(packed, stepper->rows));
  for (size_t b = 0; b < (size_t)stepper->rows; b++) {
    if (h) memcpy((char *)stepper->h + b * padded, (const char *)h + b * row, row);
    if (c && parts == 2) memcpy((char *)stepper->c + b * padded, (const char *)c + b * row, row);
  }
}
