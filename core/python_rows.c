/* Dense layers and the functions of the last axis for Python.
 *
 * Arrays may have any leading axes. Dense takes rows that lie anywhere, even across one another; the functions take contiguous
 * arrays. Larger calls run without the interpreter's lock.
 */
#include "python.h"

#include <structmember.h>

/* Multiply-adds, and values of a function, from which other threads of Python run. */
#define WORTH_UNLOCKING 500000
#define WORTH_UNLOCKING_VALUES 50000
#define MAX_AXES 32

typedef struct {
  PyObject_HEAD
  congru_dense *dense;
  int64_t dtype, outputs, inputs;
  vectorcallfunc call;
} Dense;

/* What a function was given that it cannot take. */
static PyObject *refuse(PyObject *array, const char *what, int64_t dtype, const char *expected, long long size) {
  PyObject *shape = PyObject_GetAttrString(array, "shape"), *kind = PyObject_GetAttrString(array, "dtype");
  PyErr_Clear();
  raise_error("ShapeError", "%s has shape %S and dtype %S, expected %s = %lld, in float%d: pass np.require(%s, dtype, 'CA')",
              what, shape ? shape : Py_None, kind ? kind : Py_None, expected, size, dtype ? 64 : 32, what);
  Py_XDECREF(shape);
  Py_XDECREF(kind);
  return NULL;
}

/* The leading axes of a buffer as two, with strides in elements: 0, or -1 where there are more that do not join. */
static int two_axes(const Py_buffer *buffer, Py_ssize_t size, int64_t *n, congru_strides *strides) {
  int64_t sizes[2] = {1, 1}, steps[2] = {0, 0};
  int axis = 1;
  for (int i = buffer->ndim - 2; i >= 0; i--) {
    if (buffer->strides[i] % size) return -1;
    int64_t step = buffer->strides[i] / size;
    if (buffer->shape[i] == 1) continue;
    if (sizes[axis] > 1 && step != steps[axis] * sizes[axis]) axis--;
    if (axis < 0) return -1;
    if (sizes[axis] == 1) steps[axis] = step;
    sizes[axis] *= buffer->shape[i];
  }
  n[0] = sizes[0], n[1] = sizes[1];
  *strides = (congru_strides){steps[0], steps[1]};
  return 0;
}

/* An array for the result, or `out` where that is one: of the shape of x but for its last axis. */
static PyObject *result_for(const module_state *state, const Py_buffer *x, PyObject *out, int64_t dtype, Py_ssize_t last,
                            Py_buffer *buffer) {
  Py_ssize_t sizes[MAX_AXES];
  for (int i = 0; i < x->ndim - 1; i++) sizes[i] = x->shape[i];
  sizes[x->ndim - 1] = last;
  PyObject *y = out ? Py_NewRef(out) : make_array(state, dtype, x->ndim, sizes);
  if (!y) return NULL;
  int held = !PyObject_GetBuffer(y, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE);
  int fits = held && buffer->ndim == x->ndim && holds_reals(buffer, dtype);
  for (int i = 0; fits && i < x->ndim; i++) fits = buffer->shape[i] == sizes[i];
  if (fits) return y;
  PyErr_Clear();
  if (held) PyBuffer_Release(buffer);
  refuse(y, "out", dtype, "a writable, contiguous array of the result, its last axis", last);
  Py_DECREF(y);
  return NULL;
}

/* The keyword out of a call of one positional argument: NULL where there is none; -1 with an error. */
static int read_out(PyObject *const *arguments, Py_ssize_t n, PyObject *names, Py_ssize_t positional, PyObject **out) {
  *out = NULL;
  if (n != positional) {
    PyErr_Format(PyExc_TypeError, "expected %zd arguments", positional);
    return -1;
  }
  for (Py_ssize_t i = 0; names && i < PyTuple_Size(names); i++) {
    if (PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, i), "out")) {
      PyErr_Format(PyExc_TypeError, "%U is no argument, expected out", PyTuple_GetItem(names, i));
      return -1;
    }
    if (arguments[n + i] != Py_None) *out = arguments[n + i];
  }
  return 0;
}

/* dense(x [.., F], out=None) -> [.., O] */
static PyObject *Dense_call(PyObject *object, PyObject *const *arguments, size_t flags, PyObject *names) {
  Dense *self = (Dense *)object;
  Py_buffer x, y;
  PyObject *out;
  int64_t n[2];
  congru_strides strides;
  Py_ssize_t size = self->dtype ? 8 : 4;
  if (read_out(arguments, PyVectorcall_NARGS(flags), names, 1, &out)) return NULL;
  int held = !PyObject_GetBuffer(arguments[0], &x, PyBUF_STRIDES | PyBUF_FORMAT);
  int fits = held && x.ndim >= 1 && x.ndim <= MAX_AXES && holds_reals(&x, self->dtype) && x.shape[x.ndim - 1] == self->inputs;
  if (fits) fits = (x.strides[x.ndim - 1] == size || self->inputs <= 1) && !two_axes(&x, size, n, &strides);
  PyObject *result = NULL;
  int status = 0;
  if (!fits) {
    PyErr_Clear();
    refuse(arguments[0], "x", self->dtype, "a last axis of F", (long long)self->inputs);
  } else if ((result = result_for(state_of(object), &x, out, self->dtype, (Py_ssize_t)self->outputs, &y))) {
    if (n[0] * n[1] * self->outputs * self->inputs < WORTH_UNLOCKING) {
      status = finish_call(congru_dense_run(self->dense, n[0], n[1], x.buf, strides, y.buf));
    } else {
      give_up_lock();
      status = take_lock_back(congru_dense_run(self->dense, n[0], n[1], x.buf, strides, y.buf));
    }
    if (status) Py_CLEAR(result);
    PyBuffer_Release(&y);
  }
  if (held) PyBuffer_Release(&x);
  return result;
}

static int run_stage(const chain_stage *stage, const float *x) {
  return congru_dense_run(((Dense *)stage->object)->dense, 1, 1, x, (congru_strides){0, 0}, stage->y);
}

int stage_of_dense(PyObject *object, chain_stage *stage) {
  const Dense *self = (const Dense *)object;
  if (self->dtype) return 0;
  float *y = PyMem_Malloc((size_t)(self->outputs ? self->outputs : 1) * sizeof(float));
  if (!y) {
    PyErr_NoMemory();
    return -1;
  }
  *stage = (chain_stage){run_stage, object, y, self->inputs, self->outputs, self->inputs * self->outputs, NULL, 1};
  return 1;
}

/* Dense(dtype, O, F, weight, bias): addresses, bias 0 for none. */
static PyObject *Dense_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  long long dtype, O, F, weight, bias;
  if (keywords && PyDict_Size(keywords)) return PyErr_Format(PyExc_TypeError, "Dense takes no keywords");
  if (!PyArg_ParseTuple(arguments, "LLLLL", &dtype, &O, &F, &weight, &bias)) return NULL;
  Dense *self = (Dense *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  self->dtype = dtype != 0, self->outputs = O, self->inputs = F, self->call = Dense_call;
  self->dense = congru_dense_new(dtype, O, F, (const void *)(intptr_t)weight, (const void *)(intptr_t)bias);
  if (self->dense) return (PyObject *)self;
  Py_DECREF(self);
  return PyErr_NoMemory();
}

static void Dense_dealloc(Dense *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  if (self->dense) congru_dense_free(self->dense);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyMemberDef Dense_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Dense, call), READONLY, NULL},
    {"outputs", T_LONGLONG, offsetof(Dense, outputs), READONLY, "O"},
    {"inputs", T_LONGLONG, offsetof(Dense, inputs), READONLY, "F"},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot Dense_slots[] = {{Py_tp_new, Dense_new},
                                    {Py_tp_dealloc, Dense_dealloc},
                                    {Py_tp_call, PyVectorcall_Call},
                                    {Py_tp_members, Dense_members},
                                    {Py_tp_doc, "Dense layer, packed: dense(x [.., F], out=None) -> [.., O]."},
                                    {0, NULL}};
static PyType_Spec Dense_spec = {"congru.kernels._core.Dense", sizeof(Dense), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, Dense_slots};

int add_dense_type(PyObject *module, module_state *state) {
  state->dense = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Dense_spec, NULL);
  return state->dense ? PyModule_AddObjectRef(module, "Dense", (PyObject *)state->dense) : -1;
}

/* A function of the last axis of x. */
typedef struct {
  enum { SIGMOID, TANH, SOFTMAX, LOG_SOFTMAX, LAYER_NORM } kind;
  const void *gain, *bias;
  double epsilon;
} row_function;

static void run_function(const row_function *function, int64_t dtype, int64_t N, int64_t F, const void *x, void *y) {
  switch (function->kind) {
    case SIGMOID: congru_activation(0, dtype, N * F, x, y); break;
    case TANH: congru_activation(1, dtype, N * F, x, y); break;
    case SOFTMAX: congru_softmax(0, dtype, N, F, x, y); break;
    case LOG_SOFTMAX: congru_softmax(1, dtype, N, F, x, y); break;
    case LAYER_NORM: congru_layer_norm(dtype, N, F, x, function->gain, function->bias, function->epsilon, y);
  }
}

/* `size`: of the last axis, or -1 for any. dtype -1: of x. */
static PyObject *apply(PyObject *module, const row_function *function, PyObject *array, PyObject *out, int64_t dtype,
                       Py_ssize_t size) {
  Py_buffer x, y;
  PyObject *result = NULL;
  int held = !PyObject_GetBuffer(array, &x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
  if (held && dtype < 0) dtype = x.format && x.format[0] == 'd';
  int fits = held && x.ndim >= 1 && x.ndim <= MAX_AXES && holds_reals(&x, dtype) && (size < 0 || x.shape[x.ndim - 1] == size);
  if (!fits) {
    PyErr_Clear();
    refuse(array, "x", dtype == 1, size < 0 ? "a contiguous array of at least one axis, its rank" : "a contiguous last axis of F",
           size < 0 ? 1 : (long long)size);
  } else if ((result = result_for(PyModule_GetState(module), &x, out, dtype, x.shape[x.ndim - 1], &y))) {
    int64_t F = x.shape[x.ndim - 1], values = x.len / (dtype ? 8 : 4);
    if (values < WORTH_UNLOCKING_VALUES) {
      run_function(function, dtype, F ? values / F : 0, F, x.buf, y.buf);
    } else {
      Py_BEGIN_ALLOW_THREADS;
      run_function(function, dtype, values / F, F, x.buf, y.buf);
      Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&y);
  }
  if (held) PyBuffer_Release(&x);
  return result;
}

#define FUNCTION(name, kind)                                                                                          \
  static PyObject *py_##name(PyObject *module, PyObject *const *arguments, Py_ssize_t n, PyObject *names) {           \
    PyObject *out;                                                                                                    \
    if (read_out(arguments, n, names, 1, &out)) return NULL;                                                          \
    return apply(module, &(row_function){kind, NULL, NULL, 0}, arguments[0], out, -1, -1);                            \
  }
FUNCTION(sigmoid, SIGMOID)
FUNCTION(tanh, TANH)
FUNCTION(softmax, SOFTMAX)
FUNCTION(log_softmax, LOG_SOFTMAX)

/* layer_norm(x [.., F], gain [F] | None, bias [F] | None, epsilon, out=None) */
static PyObject *py_layer_norm(PyObject *module, PyObject *const *arguments, Py_ssize_t n, PyObject *names) {
  PyObject *out, *result = NULL;
  Py_buffer vector[2];
  int held[2] = {0, 0}, fits = 1;
  if (read_out(arguments, n, names, 4, &out)) return NULL;
  row_function function = {LAYER_NORM, NULL, NULL, PyFloat_AsDouble(arguments[3])};
  if (PyErr_Occurred()) return NULL;
  Py_ssize_t size = -1;
  int64_t dtype = -1;
  for (int i = 0; i < 2 && fits; i++) {
    if (arguments[1 + i] == Py_None) continue;
    held[i] = !PyObject_GetBuffer(arguments[1 + i], &vector[i], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
    if (held[i] && dtype < 0) dtype = vector[i].format && vector[i].format[0] == 'd', size = vector[i].ndim == 1 ? vector[i].shape[0] : -2;
    fits = held[i] && vector[i].ndim == 1 && vector[i].shape[0] == size && holds_reals(&vector[i], dtype);
    PyErr_Clear();
    if (!fits) refuse(arguments[1 + i], i ? "bias" : "gain", dtype == 1, "a contiguous vector, its rank", 1);
    *(i ? &function.bias : &function.gain) = held[i] ? vector[i].buf : NULL;
  }
  if (fits) result = apply(module, &function, arguments[0], out, dtype, size);
  for (int i = 0; i < 2; i++) {
    if (held[i]) PyBuffer_Release(&vector[i]);
  }
  return result;
}

#define METHOD(name, doc) {#name, (PyCFunction)(void (*)(void))py_##name, METH_FASTCALL | METH_KEYWORDS, doc}
PyMethodDef row_functions[] = {
    METHOD(sigmoid, "sigmoid(x, out=None)"),
    METHOD(tanh, "tanh(x, out=None)"),
    METHOD(softmax, "softmax(x [.., F], out=None)"),
    METHOD(log_softmax, "log_softmax(x [.., F], out=None)"),
    METHOD(layer_norm, "layer_norm(x [.., F], gain [F] | None, bias [F] | None, epsilon, out=None)"),
    {NULL, NULL, 0, NULL}};
