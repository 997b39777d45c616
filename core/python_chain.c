/* Chain for Python: one step of a whole network, from the row that comes in to the row that goes out, in one call.
 *
 * It looks at the row, runs its stages (steppers of one row, dense layers, which it holds) one after the other and answers in an
 * array of the caller's; `last` has the same numbers until the next call. The functions and their order are those of the stages'
 * own calls, and so are the bits. A row that is not plainly right gives None, and changes nothing.
 */
#include <string.h>

#include "python.h"

#include <structmember.h>

/* Multiply-adds from which a step lets other threads of Python run. */
#define WORTH_UNLOCKING 500000

typedef struct {
  PyObject_HEAD
  chain_stage *stages;
  Py_ssize_t n, inputs, tokens; /* tokens: rows of the table, 0 without one */
  int64_t work;
  PyObject *table, *last, *shape, *copy; /* shape: of the answer; copy: the name of a method */
  const module_state *state;
  Py_buffer table_buffer, last_buffer;
  vectorcallfunc call;
} Chain;

/* The row that enters the first stage; NULL where x is not plainly one. `buffer` is held where `held` becomes 1. */
static const float *enter(const Chain *self, PyObject *x, Py_buffer *buffer, int *held) {
  *held = 0;
  if (self->table) {
    if (!PyLong_CheckExact(x)) return NULL;
    long long token = PyLong_AsLongLong(x);
    if (token == -1 && PyErr_Occurred()) PyErr_Clear();
    return token >= 0 && token < self->tokens ? (const float *)self->table_buffer.buf + token * self->inputs : NULL;
  }
  const float *plain = floats_of(self->state, x, self->inputs);
  if (plain) return are_finite(plain, self->inputs) ? plain : NULL;
  if (PyObject_GetBuffer(x, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    PyErr_Clear();
    return NULL;
  }
  *held = 1;
  if (buffer->ndim != 1 || buffer->shape[0] != self->inputs || !holds_reals(buffer, 0)) return NULL;
  const float *row = buffer->buf;
  return are_finite(row, self->inputs) ? row : NULL;
}

static int run_stages(const Chain *self, const float *row) {
  int status = 0;
  for (Py_ssize_t i = 0; i < self->n && !status; i++) {
    status = self->stages[i].run(&self->stages[i], row);
    row = self->stages[i].y;
  }
  memcpy(self->last_buffer.buf, row, (size_t)self->last_buffer.len);
  return status;
}

static void mark(Chain *self, int in_use) {
  for (Py_ssize_t i = 0; i < self->n; i++)
    if (self->stages[i].in_use) *self->stages[i].in_use = in_use;
}

static int is_free(const Chain *self) {
  for (Py_ssize_t i = 0; i < self->n; i++)
    if (self->stages[i].in_use && *self->stages[i].in_use) return 0;
  return 1;
}

/* numpy.empty takes two thirds of the time of `copy`; what it makes is filled where its floats are known to lie. */
static PyObject *copy_last(const Chain *self) {
  if (!self->state->array) return PyObject_VectorcallMethod(self->copy, (PyObject *[]){self->last}, 1, NULL);
  PyObject *y = PyObject_Vectorcall(self->state->empty, (PyObject *[]){self->shape, self->state->dtypes[0]}, 2, NULL);
  if (y) memcpy(((numpy_array *)y)->data, self->last_buffer.buf, (size_t)self->last_buffer.len);
  return y;
}

PyObject *chain_step(PyObject *chain, PyObject *x) {
  Chain *self = (Chain *)chain;
  Py_buffer buffer;
  int held, status = 0;
  if (!is_free(self))
    return raise_error("CongruError",
                       "the stepper is in use by another thread, expected one call at a time: give that thread a copy()");
  const float *row = enter(self, x, &buffer, &held);
  if (row && self->work < WORTH_UNLOCKING) {
    status = run_stages(self, row);
  } else if (row) {
    mark(self, 1);
    Py_BEGIN_ALLOW_THREADS;
    status = run_stages(self, row);
    Py_END_ALLOW_THREADS;
    mark(self, 0);
  }
  if (held) PyBuffer_Release(&buffer);
  if (!row) Py_RETURN_NONE;
  if (finish_call(status)) return NULL;
  return copy_last(self);
}

/* chain(x) -> y [O] or None */
static PyObject *Chain_call(PyObject *chain, PyObject *const *arguments, size_t flags, PyObject *names) {
  if (PyVectorcall_NARGS(flags) != 1 || names) return PyErr_Format(PyExc_TypeError, "a chain takes one argument");
  return chain_step(chain, arguments[0]);
}

/* The stages of a tuple, each with its rows of the size that the one before gives. 0, or -1 with an error. */
static int read_stages(Chain *self, PyObject *tuple) {
  int64_t size = self->inputs;
  for (; self->n < PyTuple_Size(tuple); self->n++) {
    PyObject *object = PyTuple_GetItem(tuple, self->n);
    chain_stage *stage = &self->stages[self->n];
    const module_state *state = self->state;
    int fits = Py_IS_TYPE(object, state->stepper)        ? stage_of_stepper(object, stage)
               : Py_IS_TYPE(object, state->int8_stepper) ? stage_of_int8(object, stage)
               : Py_IS_TYPE(object, state->dense)        ? stage_of_dense(object, stage)
                                                         : 0;
    if (fits < 0) return -1;
    if (!fits || stage->inputs != size) {
      if (stage->own) PyMem_Free(stage->y);
      raise_error("ShapeError", "stages[%zd] does not fit, expected steppers of one row and dense layers, float32, each of the size"
                  " of the one before: call the stages one by one", self->n);
      return -1;
    }
    Py_INCREF(object);
    self->work += stage->work, size = stage->outputs;
  }
  Py_ssize_t sizes[] = {(Py_ssize_t)size};
  self->last = make_array(self->state, 0, 1, sizes);
  self->shape = Py_BuildValue("(n)", sizes[0]);
  if (!self->shape || !self->last || PyObject_GetBuffer(self->last, &self->last_buffer, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) return -1;
  memset(self->last_buffer.buf, 0, (size_t)self->last_buffer.len);
  return 0;
}

/* Chain(stages, inputs, table=None): table [V, inputs] where the first node is an embedding */
static PyObject *Chain_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *tuple, *table = Py_None;
  Py_ssize_t inputs;
  if (keywords && PyDict_Size(keywords)) return PyErr_Format(PyExc_TypeError, "Chain takes no keywords");
  if (!PyArg_ParseTuple(arguments, "O!n|O", &PyTuple_Type, &tuple, &inputs, &table)) return NULL;
  Chain *self = (Chain *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  self->inputs = inputs, self->call = Chain_call, self->state = state_of((PyObject *)self);
  self->stages = PyMem_Calloc((size_t)PyTuple_Size(tuple) + 1, sizeof(chain_stage));
  self->copy = PyUnicode_InternFromString("copy");
  int fits = self->stages && self->copy;
  if (fits && table != Py_None) {
    Py_buffer *buffer = &self->table_buffer;
    fits = !PyObject_GetBuffer(table, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
    if (fits) self->table = Py_NewRef(table);
    if (fits && (buffer->ndim != 2 || buffer->shape[1] != inputs || !holds_reals(buffer, 0))) {
      raise_error("ShapeError", "table has another shape, expected a contiguous float32 array [V, %zd]: pass that of the embedding",
                  inputs);
      fits = 0;
    }
    if (fits) self->tokens = buffer->shape[0];
  }
  if (fits && !read_stages(self, tuple)) return (PyObject *)self;
  if (!PyErr_Occurred()) PyErr_NoMemory();
  Py_DECREF(self);
  return NULL;
}

static void Chain_dealloc(Chain *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  for (Py_ssize_t i = 0; i < self->n; i++) {
    if (self->stages[i].own) PyMem_Free(self->stages[i].y);
    Py_XDECREF(self->stages[i].object);
  }
  PyMem_Free(self->stages);
  if (self->last_buffer.obj) PyBuffer_Release(&self->last_buffer);
  if (self->table) PyBuffer_Release(&self->table_buffer);
  Py_XDECREF(self->last);
  Py_XDECREF(self->shape);
  Py_XDECREF(self->table);
  Py_XDECREF(self->copy);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyMemberDef Chain_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Chain, call), READONLY, NULL},
    {"last", T_OBJECT, offsetof(Chain, last), READONLY, "y [O] of the last call; the next one writes over it"},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot Chain_slots[] = {{Py_tp_new, Chain_new},
                                    {Py_tp_dealloc, Chain_dealloc},
                                    {Py_tp_call, PyVectorcall_Call},
                                    {Py_tp_members, Chain_members},
                                    {Py_tp_doc, "Stages of one row in one call: chain(x) -> y [O], or None where x is not plainly right."},
                                    {0, NULL}};
static PyType_Spec Chain_spec = {"congru.kernels._core.Chain", sizeof(Chain), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
                                 Chain_slots};

int add_chain_type(PyObject *module, module_state *state) {
  state->chain = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Chain_spec, NULL);
  return state->chain ? PyModule_AddObjectRef(module, "Chain", (PyObject *)state->chain) : -1;
}
