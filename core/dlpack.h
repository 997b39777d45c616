/* The part of DLPack 1.x (github.com/dmlc/dlpack) by which a library shows its tensors to C without a Python call: the layout
 * of a borrowed tensor, and of the functions behind `__dlpack_c_exchange_api__` of its tensor type. Fixed within a major version. */
#ifndef CONGRU_DLPACK_H
#define CONGRU_DLPACK_H

#include <stdint.h>

#define DLPACK_MAJOR 1
enum { DLPACK_CPU = 1, DLPACK_FLOAT = 2 };

typedef struct {
  void *data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t type, bits; /* of one element */
  uint16_t lanes;
  int64_t *shape, *strides; /* in elements */
  uint64_t byte_offset;
} dlpack_tensor;

typedef struct {
  uint32_t major, minor;
  void *older;
  void (*allocate)(void), (*from_object)(void), (*to_object)(void); /* not used here */
  int (*borrow)(void *object, dlpack_tensor *out); /* valid while the object is, and until Python runs again; -1: an exception */
  void (*current_stream)(void);
} dlpack_exchange;

#endif
