/* The keywords of a call: every field of congru_call by its name. */
#include "python.h"

#include <stddef.h>
#include <string.h>

typedef struct {
  const char *name;
  size_t offset;
} field;
#define FIELD(name) {#name, offsetof(congru_call, name)}
#define STRIDES(name)                                                                                                 \
  {#name "_batch", offsetof(congru_call, name##_strides) + offsetof(congru_strides, batch)},                          \
      {#name "_time", offsetof(congru_call, name##_strides) + offsetof(congru_strides, time)}
static const field fields[] = {
    FIELD(cell), FIELD(dtype), FIELD(reverse), FIELD(weight_dtype), FIELD(threads), FIELD(B), FIELD(T), FIELD(I), FIELD(H),
    FIELD(x), STRIDES(x), FIELD(W), FIELD(U), FIELD(b_i), FIELD(b_h), FIELD(h0), FIELD(c0), FIELD(lengths), FIELD(reset),
    FIELD(h_reset), FIELD(c_reset), FIELD(g_i), FIELD(g_h), FIELD(g_c), FIELD(b_c), FIELD(h_mask), FIELD(zoneout), FIELD(zoneout_c),
    STRIDES(zoneout), FIELD(y), STRIDES(y), FIELD(h), FIELD(c), FIELD(gates), STRIDES(gates), FIELD(extra), FIELD(norms),
    FIELD(dy), STRIDES(dy), FIELD(dh), FIELD(dc), FIELD(dgates), STRIDES(dgates), FIELD(dx), STRIDES(dx),
    FIELD(dh0), FIELD(dc0), FIELD(dW), FIELD(dU), FIELD(db_i), FIELD(db_h), FIELD(dh_reset), FIELD(dc_reset), FIELD(dg_i),
    FIELD(dg_h), FIELD(dg_c), FIELD(db_c)};
_Static_assert(sizeof(void *) == 8, "a field of congru_call is eight bytes");
_Static_assert(sizeof(fields) / sizeof(fields[0]) == NUM_FIELDS, "every field of congru_call has its keyword");

int read_field(const module_state *state, congru_call *call, PyObject *name, PyObject *value, size_t *guess) {
  size_t at = *guess % NUM_FIELDS, left = NUM_FIELDS;
  while (left && state->names[at] != name) at = (at + 1) % NUM_FIELDS, left--; /* keywords are interned */
  if (!left) {
    for (at = 0; at < NUM_FIELDS && PyUnicode_Compare(name, state->names[at]); at++) continue;
    if (at == NUM_FIELDS) {
      PyErr_Format(PyExc_TypeError, "%U is no field of a call", name);
      return -1;
    }
  }
  *guess = at + 1;
  long long number = PyLong_AsLongLong(value);
  if (number == -1 && PyErr_Occurred()) return -1;
  int64_t word = number;
  memcpy((char *)call + fields[at].offset, &word, sizeof(word));
  return 0;
}

int intern_fields(module_state *state) {
  for (size_t i = 0; i < NUM_FIELDS; i++) {
    if (!(state->names[i] = PyUnicode_InternFromString(fields[i].name))) return -1;
  }
  return 0;
}
