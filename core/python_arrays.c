/* Arrays of Python: making them, looking into them, and the errors that name them. */
#include "python.h"

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
