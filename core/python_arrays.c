/* Arrays of Python: making them, looking into them, and the errors that name them. */
#include "python.h"

#include <string.h>

PyObject *raise_error(const char *kind, const char *format, ...) {
  PyObject *errors = PyImport_ImportModule("congru.errors"), *type = errors ? PyObject_GetAttrString(errors, kind) : NULL;
  va_list arguments;
  PyErr_Clear();
  va_start(arguments, format);
  PyErr_FormatV(type ? type : PyExc_ValueError, format, arguments);
  va_end(arguments);
  Py_XDECREF(errors);
  Py_XDECREF(type);
  return NULL;
}

PyObject *make_array(const module_state *state, int64_t dtype, Py_ssize_t rank, const Py_ssize_t *sizes) {
  PyObject *shape = PyTuple_New(rank), *made = NULL;
  for (Py_ssize_t i = 0; shape && i < rank; i++) {
    PyObject *size = PyLong_FromSsize_t(sizes[i]);
    if (!size) Py_CLEAR(shape);
    if (size) PyTuple_SetItem(shape, i, size);
  }
  if (shape) made = PyObject_Vectorcall(state->empty, (PyObject *[]){shape, state->dtypes[dtype]}, 2, NULL);
  Py_XDECREF(shape);
  return made;
}

int holds_reals(const Py_buffer *buffer, int64_t dtype) {
  return buffer->format && buffer->format[0] == (dtype ? 'd' : 'f') && !buffer->format[1] &&
         ((uintptr_t)buffer->buf & (dtype ? 7 : 3)) == 0;
}

int learn_array_layout(module_state *state) {
  Py_ssize_t sizes[] = {2, 3};
  PyObject *made = make_array(state, 0, 2, sizes);
  Py_buffer buffer;
  if (!made || PyObject_GetBuffer(made, &buffer, PyBUF_STRIDES)) return -1;
  const numpy_array *array = (const numpy_array *)made;
  if (array->data == buffer.buf && array->rank == 2 && array->sizes[0] == 2 && array->sizes[1] == 3 && array->strides[0] == 12 &&
      array->strides[1] == 4 && array->dtype == state->dtypes[0])
    state->array = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(made));
  PyBuffer_Release(&buffer);
  Py_DECREF(made);
  return 0;
}

float *floats_of(const module_state *state, PyObject *x, Py_ssize_t n) {
  const numpy_array *array = (const numpy_array *)x;
  if (!Py_IS_TYPE(x, state->array) || array->dtype != state->dtypes[0] || array->rank != 1) return NULL;
  if (array->sizes[0] != n || array->strides[0] != sizeof(float) || ((uintptr_t)array->data & 3)) return NULL;
  return (float *)array->data;
}

/* The exponent of an infinite number, or of none, is all ones: one more overflows into the sign. Four at a time: comparing reals one
 * by one would take a tenth of a small step. */
int are_finite(const float *x, Py_ssize_t n) {
  typedef uint32_t four __attribute__((vector_size(16), aligned(1), may_alias));
  four sign = {0};
  uint32_t last[4] = {0};
  Py_ssize_t i = 0;
  for (; i + 4 <= n; i += 4) sign |= (*(const four *)(x + i) & 0x7FFFFFFF) + 0x800000;
  memcpy(last, x + i, (size_t)(n - i) * sizeof(float));
  for (int k = 0; k < 4; k++) sign[k] |= (last[k] & 0x7FFFFFFF) + 0x800000;
  return !((sign[0] | sign[1] | sign[2] | sign[3]) >> 31);
}

int view_matrix(PyObject *array, Py_buffer *buffer, int flags, int64_t dtype, int64_t rows, int64_t columns, const char *what,
                const char *fix) {
  if (PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags)) {
    PyErr_Clear();
  } else {
    if (buffer->ndim == 2 && buffer->shape[0] == rows && buffer->shape[1] == columns && holds_reals(buffer, dtype)) return 0;
    PyBuffer_Release(buffer);
  }
  PyObject *shape = PyObject_GetAttrString(array, "shape"), *kind = PyObject_GetAttrString(array, "dtype");
  PyErr_Clear();
  if (shape && kind)
    raise_error("ShapeError", "%s has shape %S and dtype %S, expected a contiguous float%d array (%lld, %lld): %s", what, shape,
                kind, dtype ? 64 : 32, (long long)rows, (long long)columns, fix);
  else
    raise_error("ShapeError", "%s is %.80R, expected a contiguous float%d array (%lld, %lld): %s", what,
                (PyObject *)Py_TYPE(array), dtype ? 64 : 32, (long long)rows, (long long)columns, fix);
  Py_XDECREF(shape);
  Py_XDECREF(kind);
  return -1;
}

module_state *state_of(PyObject *self) { return PyType_GetModuleState(Py_TYPE(self)); }
