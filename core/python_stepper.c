/* Packed and Stepper for Python: made for call cost.
 *
 * A Packed holds one layer's weights. Its Steppers share them and own their states; step takes one buffer by position and
 * answers in an array of the stepper's own, made by the first step. Larger steps, and those of many steppers, run without the
 * interpreter's lock: a stepper then says of itself that it is in use.
 */
#include <string.h>

#include "python.h"

/* Multiply-adds from which a step lets other threads of Python run. */
#define WORTH_UNLOCKING 500000

typedef struct {
  PyObject_HEAD
  Packed *packed;
  congru_stepper *stepper;
  PyObject *y; /* [B, H], returned by every step; NULL before the first */
  Py_buffer y_buffer;
  int64_t rows;
  int in_use;
} Stepper;

static int64_t work_of(const Packed *packed) {
  int64_t gates = packed->cell == CONGRU_LSTM ? 4 : packed->cell == CONGRU_RNN ? 1 : 3;
  return gates * packed->hidden * (packed->hidden + packed->inputs);
}

static int is_in_use(const Stepper *self) {
  if (self->in_use)
    raise_error("CongruError", "the stepper is in use by another thread, expected one call at a time: give that thread a copy()");
  return self->in_use;
}

static int make_y(Stepper *self) {
  const Py_ssize_t sizes[] = {(Py_ssize_t)self->rows, (Py_ssize_t)self->packed->hidden};
  self->y = make_array(state_of((PyObject *)self), self->packed->dtype, 2, sizes);
  if (self->y && PyObject_GetBuffer(self->y, &self->y_buffer, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) Py_CLEAR(self->y);
  return self->y ? 0 : -1;
}

static PyObject *Stepper_step(Stepper *self, PyObject *x) {
  const Packed *packed = self->packed;
  Py_buffer buffer;
  int status;
  if (is_in_use(self) || (!self->y && make_y(self))) return NULL;
  if (view_matrix(x, &buffer, 0, packed->dtype, self->rows, packed->inputs, "x", "pass np.require(x, dtype, 'CA') of [B, I]"))
    return NULL;
  if (self->rows * work_of(packed) < WORTH_UNLOCKING) {
    status = congru_stepper_step(self->stepper, buffer.buf, self->y_buffer.buf);
  } else {
    self->in_use = 1;
    Py_BEGIN_ALLOW_THREADS;
    status = congru_stepper_step(self->stepper, buffer.buf, self->y_buffer.buf);
    Py_END_ALLOW_THREADS;
    self->in_use = 0;
  }
  PyBuffer_Release(&buffer);
  return status ? PyErr_NoMemory() : Py_NewRef(self->y);
}

static int run_stage(const chain_stage *stage, const float *x) {
  return congru_stepper_step(((Stepper *)stage->object)->stepper, x, stage->y);
}

int stage_of_stepper(PyObject *object, chain_stage *stage) {
  Stepper *self = (Stepper *)object;
  const Packed *packed = self->packed;
  if (self->rows != 1 || packed->dtype) return 0;
  if (!self->y && make_y(self)) return -1;
  *stage = (chain_stage){run_stage, object, self->y_buffer.buf, packed->inputs, packed->hidden, work_of(packed), &self->in_use, 0};
  return 1;
}

/* read(h[, c]) copies the state out, write(h[, c]) in. */
static PyObject *copy_state(Stepper *self, PyObject *const *arrays, Py_ssize_t n, int out) {
  const Packed *packed = self->packed;
  Py_ssize_t states = packed->cell == CONGRU_LSTM ? 2 : 1, held = 0;
  Py_buffer buffer[2] = {{0}};
  if (n != states) return PyErr_Format(PyExc_TypeError, "expected %zd arrays, the state of the cell", states);
  if (is_in_use(self)) return NULL;
  while (held < n && !view_matrix(arrays[held], &buffer[held], out ? PyBUF_WRITABLE : 0, packed->dtype, self->rows, packed->hidden,
                                  held ? "c" : "h", "pass a writable, contiguous array [B, H]"))
    held++;
  if (held == n && out) congru_stepper_get(self->stepper, buffer[0].buf, buffer[1].buf);
  if (held == n && !out) congru_stepper_set(self->stepper, buffer[0].buf, buffer[1].buf);
  for (Py_ssize_t i = 0; i < held; i++) PyBuffer_Release(&buffer[i]);
  return held == n ? Py_NewRef(Py_None) : NULL;
}

static PyObject *Stepper_read(Stepper *self, PyObject *const *arrays, Py_ssize_t n) { return copy_state(self, arrays, n, 1); }
static PyObject *Stepper_write(Stepper *self, PyObject *const *arrays, Py_ssize_t n) { return copy_state(self, arrays, n, 0); }

/* A Stepper around `stepper`, which it owns from here on; NULL: no memory. */
static PyObject *wrap_stepper(PyTypeObject *type, Packed *packed, congru_stepper *stepper, int64_t rows) {
  Stepper *self = stepper ? (Stepper *)PyType_GenericAlloc(type, 0) : NULL;
  if (!self) {
    if (stepper) congru_stepper_free(stepper);
    return PyErr_NoMemory();
  }
  self->packed = (Packed *)Py_NewRef((PyObject *)packed);
  self->stepper = stepper, self->rows = rows;
  return (PyObject *)self;
}

static PyObject *Stepper_copy(Stepper *self, PyObject *unused) {
  (void)unused;
  if (is_in_use(self)) return NULL;
  return wrap_stepper(Py_TYPE((PyObject *)self), self->packed, congru_stepper_copy(self->stepper), self->rows);
}

static void Stepper_dealloc(Stepper *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  if (self->stepper) congru_stepper_free(self->stepper);
  if (self->y) {
    PyBuffer_Release(&self->y_buffer);
    Py_DECREF(self->y);
  }
  Py_XDECREF((PyObject *)self->packed);
  PyObject_Free(self);
  Py_DECREF(type);
}

/* Packed(**fields of a call): what congru_packed_new reads. */
static PyObject *Packed_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *name, *value;
  congru_call call = {0};
  Py_ssize_t position = 0;
  size_t guess = 0;
  if (PyTuple_Size(arguments)) return PyErr_Format(PyExc_TypeError, "Packed takes keywords only");
  while (keywords && PyDict_Next(keywords, &position, &name, &value)) {
    if (read_field(PyType_GetModuleState(type), &call, name, value, &guess)) return NULL;
  }
  Packed *self = (Packed *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  self->dtype = call.dtype != 0, self->cell = call.cell, self->inputs = call.I, self->hidden = call.H;
  Py_BEGIN_ALLOW_THREADS;
  self->packed = congru_packed_new(&call);
  Py_END_ALLOW_THREADS;
  if (self->packed) return (PyObject *)self;
  Py_DECREF(self);
  return PyErr_NoMemory();
}

static void Packed_dealloc(Packed *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  if (self->packed) congru_packed_free(self->packed);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyObject *Packed_stepper(Packed *self, PyObject *batch) {
  long long rows = PyLong_AsLongLong(batch);
  if (rows == -1 && PyErr_Occurred()) return NULL;
  if (rows < 0) return raise_error("SettingsError", "batch is %lld, expected a whole number from 0: pass 1 for one row", rows);
  return wrap_stepper(state_of((PyObject *)self)->stepper, self, congru_stepper_new(self->packed, rows), rows);
}

/* The steppers of a tuple, marked as in use; NULL with an error. */
static congru_stepper **claim_steppers(Packed *self, PyObject *tuple) {
  Py_ssize_t n = PyTuple_Size(tuple), i = 0;
  PyTypeObject *type = state_of((PyObject *)self)->stepper;
  congru_stepper **each = PyMem_Malloc((size_t)(n ? n : 1) * sizeof(*each));
  const char *wrong = NULL;
  for (; each && i < n && !wrong; i++) {
    Stepper *stepper = (Stepper *)PyTuple_GetItem(tuple, i);
    if (!Py_IS_TYPE((PyObject *)stepper, type) || stepper->packed != self)
      wrong = "is none of these packed weights, expected one made by stepper(): pass steppers of one packed";
    else if (stepper->rows != 1)
      wrong = "has another batch, expected batch 1: call its step()";
    else if (stepper->in_use)
      wrong = "is in use, expected each stepper once and in no other call: pass a copy()";
    else
      each[i] = stepper->stepper, stepper->in_use = 1;
  }
  if (each && !wrong) return each;
  Py_ssize_t claimed = wrong ? i - 1 : i;
  for (Py_ssize_t k = 0; k < claimed; k++) ((Stepper *)PyTuple_GetItem(tuple, k))->in_use = 0;
  PyMem_Free(each);
  if (wrong) raise_error("ShapeError", "steppers[%zd] %s", claimed, wrong);
  if (!wrong) PyErr_NoMemory();
  return NULL;
}

/* advance(steppers, x [N, I], y [N, H] = None) -> y */
static PyObject *Packed_advance(Packed *self, PyObject *const *arguments, Py_ssize_t n) {
  int status = -1;
  Py_buffer x, y;
  if (n != 2 && n != 3) return PyErr_Format(PyExc_TypeError, "advance takes steppers, x and perhaps y");
  PyObject *tuple = PySequence_Tuple(arguments[0]); /* holds them while the lock is given up */
  if (!tuple) return NULL;
  Py_ssize_t rows = PyTuple_Size(tuple), sizes[] = {rows, (Py_ssize_t)self->hidden};
  PyObject *out = n == 3 && arguments[2] != Py_None ? Py_NewRef(arguments[2])
                                                    : make_array(state_of((PyObject *)self), self->dtype, 2, sizes);
  if (!out || view_matrix(out, &y, PyBUF_WRITABLE, self->dtype, rows, self->hidden, "y", "pass np.empty((N, H), dtype)")) goto no_y;
  if (view_matrix(arguments[1], &x, 0, self->dtype, rows, self->inputs, "x", "pass np.require(x, dtype, 'CA') of [N, I]"))
    goto no_x;
  congru_stepper **each = claim_steppers(self, tuple);
  if (each) {
    Py_BEGIN_ALLOW_THREADS;
    status = congru_advance(rows, each, x.buf, y.buf);
    Py_END_ALLOW_THREADS;
    for (Py_ssize_t i = 0; i < rows; i++) ((Stepper *)PyTuple_GetItem(tuple, i))->in_use = 0;
    PyMem_Free(each);
    if (status) PyErr_NoMemory();
  }
  PyBuffer_Release(&x);
no_x:
  PyBuffer_Release(&y);
no_y:
  Py_DECREF(tuple);
  if (status) Py_CLEAR(out);
  return out;
}

static PyMethodDef Stepper_methods[] = {
    {"step", (PyCFunction)(void (*)(void))Stepper_step, METH_O, "step(x [B, I]) -> y [B, H], the same array every time"},
    {"read", (PyCFunction)(void (*)(void))Stepper_read, METH_FASTCALL, "read(h[, c]): copy the state [B, H] out"},
    {"write", (PyCFunction)(void (*)(void))Stepper_write, METH_FASTCALL, "write(h[, c]): copy a state [B, H] in"},
    {"copy", (PyCFunction)(void (*)(void))Stepper_copy, METH_NOARGS, "copy() -> a stepper of the same weights and state"},
    {NULL, NULL, 0, NULL}};
static PyType_Slot Stepper_slots[] = {{Py_tp_dealloc, Stepper_dealloc},
                                      {Py_tp_methods, Stepper_methods},
                                      {Py_tp_doc, "States that step on packed weights, one step at a time."},
                                      {0, NULL}};
static PyType_Spec Stepper_spec = {"congru.kernels._core.Stepper", sizeof(Stepper), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, Stepper_slots};

static PyMethodDef Packed_methods[] = {
    {"stepper", (PyCFunction)(void (*)(void))Packed_stepper, METH_O, "stepper(batch) -> Stepper, its state zeros"},
    {"advance", (PyCFunction)(void (*)(void))Packed_advance, METH_FASTCALL,
     "advance(steppers, x [N, I], y=None) -> y [N, H]: one step of N steppers of batch 1"},
    {NULL, NULL, 0, NULL}};
static PyType_Slot Packed_slots[] = {{Py_tp_new, Packed_new},
                                     {Py_tp_dealloc, Packed_dealloc},
                                     {Py_tp_methods, Packed_methods},
                                     {Py_tp_doc, "The weights of one layer, packed: shared by steppers and threads."},
                                     {0, NULL}};
static PyType_Spec Packed_spec = {"congru.kernels._core.Packed", sizeof(Packed), 0, Py_TPFLAGS_DEFAULT, Packed_slots};

int add_stepper_types(PyObject *module, module_state *state) {
  state->packed = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Packed_spec, NULL);
  state->stepper = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Stepper_spec, NULL);
  if (!state->packed || !state->stepper) return -1;
  return PyModule_AddObjectRef(module, "Packed", (PyObject *)state->packed) ||
                 PyModule_AddObjectRef(module, "Stepper", (PyObject *)state->stepper)
             ? -1
             : 0;
}
