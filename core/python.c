/* The extension module congru.kernels._core: the calls of congru.h for Python.
 *
 * forward and backward take the fields of congru_call as keywords (integers: sizes, flags, addresses); the arrays behind the
 * addresses are checked, and kept alive, by congru/kernels/native.py. A Stepper is made for call cost: it holds packed
 * weights, state and its output array, and its step takes one buffer by position.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "congru.h"

/* Every field of congru_call is eight bytes wide: a name and a place. */
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
#define NUM_FIELDS (sizeof(fields) / sizeof(fields[0]))
_Static_assert(sizeof(void *) == 8, "a field of congru_call is eight bytes");
_Static_assert(sizeof(congru_call) == 8 * NUM_FIELDS, "every field of congru_call has its keyword");

static int set_field(congru_call *call, PyObject *key, PyObject *value) {
  for (size_t i = 0; i < NUM_FIELDS; i++) {
    if (PyUnicode_CompareWithASCIIString(key, fields[i].name)) continue;
    long long number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred()) return -1;
    int64_t word = number;
    memcpy((char *)call + fields[i].offset, &word, sizeof(word));
    return 0;
  }
  PyErr_Format(PyExc_TypeError, "%U is no field of a call", key);
  return -1;
}

static int read_call(congru_call *call, PyObject *const *values, PyObject *names) {
  Py_ssize_t n = names ? PyTuple_GET_SIZE(names) : 0;
  memset(call, 0, sizeof(*call));
  for (Py_ssize_t i = 0; i < n; i++) {
    if (set_field(call, PyTuple_GET_ITEM(names, i), values[i])) return -1;
  }
  return 0;
}

static PyObject *run(int (*function)(const congru_call *), PyObject *const *values, Py_ssize_t n, PyObject *names) {
  congru_call call;
  int status;
  if (n) return PyErr_Format(PyExc_TypeError, "a call takes keywords only");
  if (read_call(&call, values, names)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  status = function(&call);
  Py_END_ALLOW_THREADS;
  if (status) return PyErr_NoMemory();
  Py_RETURN_NONE;
}

static PyObject *py_forward(PyObject *self, PyObject *const *values, Py_ssize_t n, PyObject *names) {
  (void)self;
  return run(congru_forward, values, n, names);
}

static PyObject *py_backward(PyObject *self, PyObject *const *values, Py_ssize_t n, PyObject *names) {
  (void)self;
  return run(congru_backward, values, n, names);
}

static PyObject *py_isas(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  PyObject *list = PyList_New(0);
  for (const char *const *name = congru_isas(); list && *name; name++) {
    PyObject *text = PyUnicode_FromString(*name);
    if (!text || PyList_Append(list, text)) Py_CLEAR(list);
    Py_XDECREF(text);
  }
  return list;
}

static PyObject *py_isa(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  return Py_BuildValue("z", congru_isa());
}

static PyObject *py_set_isa(PyObject *self, PyObject *name) {
  (void)self;
  const char *text = PyUnicode_AsUTF8(name);
  return text ? PyBool_FromLong(congru_set_isa(text) == 0) : NULL;
}

static PyObject *py_set_threads(PyObject *self, PyObject *number) {
  (void)self;
  long long threads = PyLong_AsLongLong(number);
  if (threads == -1 && PyErr_Occurred()) return NULL;
  congru_set_threads(threads);
  Py_RETURN_NONE;
}

static PyObject *py_get_threads(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  return PyLong_FromLongLong(congru_get_threads());
}

static PyObject *py_set_team(PyObject *self, PyObject *arguments) {
  (void)self;
  unsigned long long at[4];
  if (!PyArg_ParseTuple(arguments, "KKKK", &at[0], &at[1], &at[2], &at[3])) return NULL;
  congru_team team;
  void *functions[] = {&team.parallel, &team.get_thread_num, &team.get_num_threads, &team.in_parallel};
  for (int i = 0; i < 4; i++) memcpy(functions[i], &(uintptr_t){(uintptr_t)at[i]}, sizeof(uintptr_t));
  congru_set_team(&team);
  Py_RETURN_NONE;
}

static PyObject *py_activation(PyObject *self, PyObject *arguments) {
  (void)self;
  long long kind, dtype, n, x, y;
  if (!PyArg_ParseTuple(arguments, "LLLLL", &kind, &dtype, &n, &x, &y)) return NULL;
  congru_activation(kind, dtype, n, (const void *)(intptr_t)x, (void *)(intptr_t)y);
  Py_RETURN_NONE;
}

/* is_row(x, size): one call in place of the five checks of Python that a step would wait for. */
static PyObject *py_is_row(PyObject *self, PyObject *const *arguments, Py_ssize_t n) {
  (void)self;
  Py_buffer buffer;
  if (n != 2) return PyErr_Format(PyExc_TypeError, "is_row takes 2 arguments");
  Py_ssize_t size = PyLong_AsSsize_t(arguments[1]);
  if (size == -1 && PyErr_Occurred()) return NULL;
  if (PyObject_GetBuffer(arguments[0], &buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    PyErr_Clear();
    Py_RETURN_FALSE;
  }
  int fits = buffer.ndim == 1 && buffer.shape[0] == size && buffer.format && !strcmp(buffer.format, "f");
  for (Py_ssize_t i = 0; fits && i < size; i++) fits = isfinite(((const float *)buffer.buf)[i]);
  PyBuffer_Release(&buffer);
  return PyBool_FromLong(fits);
}

typedef struct {
  PyObject_HEAD
  congru_stepper *stepper;
  PyObject *y;        /* the output array, returned by every step */
  Py_buffer y_buffer;
  Py_ssize_t x_bytes, state_bytes;
  int64_t lstm, rows, inputs, hidden;
  char format;
} Stepper;

/* congru.errors.ShapeError, or what prevented its import. */
static void raise_shape(const char *what, PyObject *got, const char *fix, const Stepper *self) {
  PyObject *errors = PyImport_ImportModule("congru.errors"), *kind = NULL;
  if (errors) kind = PyObject_GetAttrString(errors, "ShapeError");
  PyErr_Clear();
  PyErr_Format(kind ? kind : PyExc_ValueError,
               "%s is %.80R, expected a contiguous float%d array of %lld x %lld values: %s", what, (PyObject *)Py_TYPE(got),
               self->format == 'd' ? 64 : 32, (long long)self->rows,
               (long long)(what[0] == 'x' ? self->inputs : self->hidden), fix);
  Py_XDECREF(errors);
  Py_XDECREF(kind);
}

/* A view of `array`, which must hold `bytes` of this stepper's element type. */
static int view(Stepper *self, PyObject *array, Py_buffer *buffer, int flags, Py_ssize_t bytes, const char *what,
                const char *fix) {
  if (PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags)) {
    PyErr_Clear();
    raise_shape(what, array, fix, self);
    return -1;
  }
  if (buffer->len == bytes && buffer->format && buffer->format[0] == self->format && !buffer->format[1]) return 0;
  PyBuffer_Release(buffer);
  raise_shape(what, array, fix, self);
  return -1;
}

static PyObject *Stepper_step(Stepper *self, PyObject *x) {
  Py_buffer buffer;
  if (view(self, x, &buffer, 0, self->x_bytes, "x", "pass np.ascontiguousarray(x, dtype)")) return NULL;
  congru_stepper_step(self->stepper, buffer.buf, self->y_buffer.buf);
  PyBuffer_Release(&buffer);
  return Py_NewRef(self->y);
}

/* read(h[, c]) copies the state out, write(h[, c]) in. */
static PyObject *copy_state(Stepper *self, PyObject *const *arrays, Py_ssize_t n, int out) {
  Py_buffer buffer[2] = {{0}};
  if (n != 1 + self->lstm) return PyErr_Format(PyExc_TypeError, "expected %lld arrays", (long long)(1 + self->lstm));
  Py_ssize_t held = 0;
  while (held < n && !view(self, arrays[held], &buffer[held], out ? PyBUF_WRITABLE : 0, self->state_bytes,
                           held ? "c" : "h", "pass a writable, contiguous array of the state's shape"))
    held++;
  if (held == n && out) congru_stepper_get(self->stepper, buffer[0].buf, buffer[1].buf);
  if (held == n && !out) congru_stepper_set(self->stepper, buffer[0].buf, buffer[1].buf);
  for (Py_ssize_t i = 0; i < held; i++) PyBuffer_Release(&buffer[i]);
  return held == n ? Py_NewRef(Py_None) : NULL;
}

static PyObject *Stepper_read(Stepper *self, PyObject *const *arrays, Py_ssize_t n) { return copy_state(self, arrays, n, 1); }
static PyObject *Stepper_write(Stepper *self, PyObject *const *arrays, Py_ssize_t n) { return copy_state(self, arrays, n, 0); }

static void Stepper_dealloc(Stepper *self) {
  if (self->stepper) congru_stepper_free(self->stepper);
  if (self->y) {
    PyBuffer_Release(&self->y_buffer);
    Py_DECREF(self->y);
  }
  PyTypeObject *type = Py_TYPE(self);
  type->tp_free((PyObject *)self);
  Py_DECREF(type);
}

/* Stepper(y, **fields of a call): y [B, H] is written and returned by every step. */
static PyObject *Stepper_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *y, *key, *value;
  congru_call call = {0};
  Py_ssize_t position = 0;
  if (!PyArg_ParseTuple(arguments, "O", &y)) return NULL;
  while (keywords && PyDict_Next(keywords, &position, &key, &value)) {
    if (set_field(&call, key, value)) return NULL;
  }
  Stepper *self = (Stepper *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  Py_ssize_t size = call.dtype ? 8 : 4;
  self->format = call.dtype ? 'd' : 'f', self->lstm = call.cell == CONGRU_LSTM;
  self->rows = call.B, self->inputs = call.I, self->hidden = call.H;
  self->x_bytes = (Py_ssize_t)(call.B * call.I) * size, self->state_bytes = (Py_ssize_t)(call.B * call.H) * size;
  if (!view(self, y, &self->y_buffer, PyBUF_WRITABLE, self->state_bytes, "y", "pass np.empty((B, H), dtype)")) {
    self->y = Py_NewRef(y);
    self->stepper = congru_stepper_new(&call);
    if (self->stepper) return (PyObject *)self;
    PyErr_NoMemory();
  }
  Py_DECREF(self);
  return NULL;
}

static PyMethodDef Stepper_methods[] = {
    {"step", (PyCFunction)(void (*)(void))Stepper_step, METH_O, "step(x [B, I]) -> y [B, H], the same array every time"},
    {"read", (PyCFunction)(void (*)(void))Stepper_read, METH_FASTCALL, "read(h[, c]): copy the state out"},
    {"write", (PyCFunction)(void (*)(void))Stepper_write, METH_FASTCALL, "write(h[, c]): copy a state in"},
    {NULL, NULL, 0, NULL}};
static PyType_Slot Stepper_slots[] = {{Py_tp_new, Stepper_new},
                                      {Py_tp_dealloc, Stepper_dealloc},
                                      {Py_tp_methods, Stepper_methods},
                                      {Py_tp_doc, "One layer, packed for one step at a time."},
                                      {0, NULL}};
static PyType_Spec Stepper_spec = {"congru.kernels._core.Stepper", sizeof(Stepper), 0, Py_TPFLAGS_DEFAULT, Stepper_slots};

static PyMethodDef methods[] = {
    {"forward", (PyCFunction)(void (*)(void))py_forward, METH_FASTCALL | METH_KEYWORDS, "forward(**fields of a call)"},
    {"backward", (PyCFunction)(void (*)(void))py_backward, METH_FASTCALL | METH_KEYWORDS, "backward(**fields of a call)"},
    {"isas", py_isas, METH_NOARGS, "instruction sets that can run here, best first"},
    {"isa", py_isa, METH_NOARGS, "the one in use; None when CONGRU_ISA names none of isas()"},
    {"set_isa", py_set_isa, METH_O, "set_isa(name) -> whether it can run here"},
    {"set_threads", py_set_threads, METH_O, "set_threads(n)"},
    {"get_threads", py_get_threads, METH_NOARGS, "threads of a call that leaves it open"},
    {"is_row", (PyCFunction)(void (*)(void))py_is_row, METH_FASTCALL, "is_row(x, n): n finite float32 in one piece, no other axis"},
    {"set_team", py_set_team, METH_VARARGS, "set_team(GOMP_parallel, omp_get_thread_num, omp_get_num_threads, omp_in_parallel), addresses"},
    {"activation", py_activation, METH_VARARGS, "activation(kind, dtype, n, x, y), addresses"},
    {NULL, NULL, 0, NULL}};

static int fill_module(PyObject *module) {
  PyObject *type = PyType_FromModuleAndSpec(module, &Stepper_spec, NULL);
  int status = type ? PyModule_AddObjectRef(module, "Stepper", type) : -1;
  Py_XDECREF(type);
  return status;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_core", "GRU, LSTM and RNN on the CPU; see core/congru.h.", 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&module); }
