/* Int8 and Int8Stepper for Python: a layer in integers, its steps and its sequences, as Packed and Stepper are for reals.
 *
 * Outside a state is float32, a whole number of 2^-15; inside it is int16. Calls on many rows run without the interpreter's lock.
 */
#include <string.h>

#include "platform.h"
#include "python.h"

#define CHUNK 32 /* rows whose addresses are gathered at once */
/* Multiply-adds from which a step lets other threads of Python run: an integer one takes a quarter of the time. */
#define WORTH_UNLOCKING 2000000

typedef struct {
  PyObject_HEAD
  congru_int8 *net;
  int64_t inputs, hidden;
} Int8;

typedef struct {
  PyObject_HEAD
  Int8 *owner;
  int16_t *h; /* [rows, state size], then the working memory of a step */
  char *scratch;
  PyObject *y; /* [B, H], returned by every step; NULL before the first */
  Py_buffer y_buffer;
  int64_t rows;
  int in_use;
} Int8Stepper;

static int64_t state_size(const Int8 *owner) { return congru_int8_state_size(owner->net); }

static size_t rounded_up(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static void to_integers(int16_t *to, const float *from, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double v = (double)from[i] * 32768;
    v = v < -32767 ? -32767 : v > 32767 ? 32767 : v;
    to[i] = (int16_t)(v < 0 ? v - 0.5 : v + 0.5);
  }
}

static void to_reals(float *to, const int16_t *from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = (float)from[i] / 32768;
}

/* A contiguous array of one kind of number; `count` -1: of any size. 0, or -1 with an error. */
static int view_numbers(PyObject *array, Py_buffer *buffer, char kind, int64_t count, const char *what) {
  if (PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    PyErr_Clear();
    raise_error("ShapeError", "%s is no contiguous array, expected one: pass np.ascontiguousarray", what);
    return -1;
  }
  if (buffer->format && buffer->format[0] == kind && !buffer->format[1] && (uintptr_t)buffer->buf % (size_t)buffer->itemsize == 0 &&
      (count < 0 || buffer->len == count * buffer->itemsize))
    return 0;
  PyBuffer_Release(buffer);
  raise_error("ShapeError", "%s has another size or kind of number, expected %lld of kind '%c': pass what integer.py makes", what,
              (long long)count, kind);
  return -1;
}

static PyObject *make_int8(PyTypeObject *type, const congru_int8_weights *weights, const char *kernel) {
  Int8 *self = (Int8 *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  self->inputs = weights->I, self->hidden = weights->H;
  self->net = congru_int8_new(weights, kernel);
  if (self->net) return (PyObject *)self;
  Py_DECREF(self);
  return kernel ? raise_error("SettingsError", "kernel is '%s', expected one of int8_kernels(): pass one that runs here", kernel)
                : PyErr_NoMemory();
}

/* Int8(W, U, W_factors, W_shift, U_factors, U_shift, bias, b_n, table, inverse, kernel=None) */
static PyObject *Int8_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *array[7];
  Py_buffer view[7] = {{0}};
  int W_shift, U_shift, held = 0;
  const char *kernel = NULL;
  congru_int8_weights w = {0};
  static char *names[] = {"W", "U", "W_factors", "W_shift", "U_factors", "U_shift", "bias", "b_n", "table", "inverse", "kernel", NULL};
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOiOiOOOf|z", names, &array[0], &array[1], &array[2], &W_shift, &array[3],
                                   &U_shift, &array[4], &array[5], &array[6], &w.inverse, &kernel))
    return NULL;
  static const char kinds[] = "bbiiiih";
  static const char *const what[] = {"W", "U", "W_factors", "U_factors", "bias", "b_n", "table"};
  int64_t sizes[7] = {-1, -1, -1, -1, -1, -1, 353};
  PyObject *made = NULL;
  w.before = array[5] == Py_None;
  for (; held < 7; held++) {
    if (held == 5 && w.before) continue;
    if (view_numbers(array[held], &view[held], kinds[held], sizes[held], what[held])) goto done;
    if (held == 0 && view[0].ndim == 2) {
      w.H = view[0].shape[0] / 3, w.I = view[0].shape[1];
      sizes[1] = 3 * w.H * w.H, sizes[2] = sizes[3] = sizes[4] = 3 * w.H, sizes[5] = w.H;
    }
  }
  if (view[0].ndim != 2 || view[0].shape[0] % 3 || w.H < 1 || w.H > 60000 || w.I > 60000 || W_shift < 1 || W_shift > 62 || U_shift < 1 ||
      U_shift > 62) {
    raise_error("ShapeError", "W has %d axes or sizes that no layer has, expected [3H, I] with H and I up to 60000", view[0].ndim);
    goto done;
  }
  w.W = view[0].buf, w.U = view[1].buf, w.W_factors = view[2].buf, w.U_factors = view[3].buf, w.bias = view[4].buf;
  w.b_n = view[5].buf, w.table = view[6].buf, w.W_shift = W_shift, w.U_shift = U_shift;
  made = make_int8(type, &w, kernel);
done:
  for (int i = 0; i < held; i++)
    if (view[i].obj) PyBuffer_Release(&view[i]);
  return made;
}

static void Int8_dealloc(Int8 *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  if (self->net) congru_int8_free(self->net);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyObject *Int8_kernel(Int8 *self, PyObject *unused) {
  (void)unused;
  return PyUnicode_FromString(congru_int8_name(self->net));
}

/* A stepper with states of zeros. */
static Int8Stepper *new_stepper(PyTypeObject *type, Int8 *owner, int64_t rows) {
  size_t states = rounded_up((size_t)(rows * state_size(owner)) * sizeof(int16_t)), bytes = states + congru_int8_scratch(owner->net);
  Int8Stepper *self = (Int8Stepper *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  self->owner = (Int8 *)Py_NewRef((PyObject *)owner);
  self->rows = rows;
  self->h = aligned_memory(64, rounded_up(bytes));
  if (!self->h) {
    Py_DECREF(self);
    PyErr_NoMemory();
    return NULL;
  }
  memset(self->h, 0, states);
  self->scratch = (char *)self->h + states;
  return self;
}

static PyObject *Int8_stepper(Int8 *self, PyObject *batch) {
  long long rows = PyLong_AsLongLong(batch);
  if (rows == -1 && PyErr_Occurred()) return NULL;
  if (rows < 0) return raise_error("SettingsError", "batch is %lld, expected a whole number from 0: pass 1 for one row", rows);
  return (PyObject *)new_stepper(state_of((PyObject *)self)->int8_stepper, self, rows);
}

static void Int8Stepper_dealloc(Int8Stepper *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  free_aligned(self->h);
  if (self->y) {
    PyBuffer_Release(&self->y_buffer);
    Py_DECREF(self->y);
  }
  Py_XDECREF((PyObject *)self->owner);
  PyObject_Free(self);
  Py_DECREF(type);
}

static int is_in_use(const Int8Stepper *self) {
  if (self->in_use)
    raise_error("CongruError", "the stepper is in use by another thread, expected one call at a time: give that thread a copy()");
  return self->in_use;
}

static int make_y(Int8Stepper *self) {
  const Py_ssize_t sizes[] = {(Py_ssize_t)self->rows, (Py_ssize_t)self->owner->hidden};
  self->y = make_array(state_of((PyObject *)self), 0, 2, sizes);
  if (self->y && PyObject_GetBuffer(self->y, &self->y_buffer, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) Py_CLEAR(self->y);
  return self->y ? 0 : -1;
}

/* One step of n rows: x [n, I], y [n, H]; the states lie one behind the other, or are those of `each`. */
static void step_rows(const Int8 *owner, int64_t n, const float *x, float *y, int16_t *states, Int8Stepper *const *each, void *scratch) {
  const float *xs[CHUNK];
  float *ys[CHUNK];
  int16_t *hs[CHUNK];
  int64_t size = state_size(owner);
  for (int64_t row = 0; row < n; row += CHUNK) {
    int64_t some = n - row < CHUNK ? n - row : CHUNK;
    for (int64_t i = 0; i < some; i++) {
      xs[i] = x + (row + i) * owner->inputs, ys[i] = y + (row + i) * owner->hidden;
      hs[i] = each ? each[row + i]->h : states + (row + i) * size;
    }
    congru_int8_step(owner->net, some, xs, hs, ys, scratch);
  }
}

static PyObject *Int8Stepper_step(Int8Stepper *self, PyObject *x) {
  const Int8 *owner = self->owner;
  Py_buffer buffer;
  if (is_in_use(self) || (!self->y && make_y(self))) return NULL;
  if (view_matrix(x, &buffer, 0, 0, self->rows, owner->inputs, "x", "pass np.require(x, np.float32, 'CA') of [B, I]")) return NULL;
  if (self->rows * 3 * owner->hidden * (owner->inputs + owner->hidden) < WORTH_UNLOCKING) {
    step_rows(owner, self->rows, buffer.buf, self->y_buffer.buf, self->h, NULL, self->scratch);
  } else {
    self->in_use = 1;
    Py_BEGIN_ALLOW_THREADS;
    step_rows(owner, self->rows, buffer.buf, self->y_buffer.buf, self->h, NULL, self->scratch);
    Py_END_ALLOW_THREADS;
    self->in_use = 0;
  }
  PyBuffer_Release(&buffer);
  return Py_NewRef(self->y);
}

static int run_stage(const chain_stage *stage, const float *x) {
  Int8Stepper *self = (Int8Stepper *)stage->object;
  float *y = stage->y;
  congru_int8_step(self->owner->net, 1, &x, &self->h, &y, self->scratch);
  return 0;
}

int stage_of_int8(PyObject *object, chain_stage *stage) {
  Int8Stepper *self = (Int8Stepper *)object;
  int64_t I = self->owner->inputs, H = self->owner->hidden;
  if (self->rows != 1) return 0;
  if (!self->y && make_y(self)) return -1;
  *stage = (chain_stage){run_stage, object, self->y_buffer.buf, I, H, 3 * H * (I + H) / 4, &self->in_use, 0};
  return 1;
}

static PyObject *copy_state(Int8Stepper *self, PyObject *array, int out) {
  const Int8 *owner = self->owner;
  Py_buffer buffer;
  if (is_in_use(self)) return NULL;
  if (view_matrix(array, &buffer, out ? PyBUF_WRITABLE : 0, 0, self->rows, owner->hidden, "h", "pass a writable, contiguous array [B, H]"))
    return NULL;
  for (int64_t row = 0; row < self->rows; row++) {
    float *reals = (float *)buffer.buf + row * owner->hidden;
    int16_t *h = self->h + row * state_size(owner);
    if (out)
      to_reals(reals, h, owner->hidden);
    else
      to_integers(h, reals, owner->hidden);
  }
  PyBuffer_Release(&buffer);
  Py_RETURN_NONE;
}

static PyObject *Int8Stepper_read(Int8Stepper *self, PyObject *array) { return copy_state(self, array, 1); }
static PyObject *Int8Stepper_write(Int8Stepper *self, PyObject *array) { return copy_state(self, array, 0); }

static PyObject *Int8Stepper_copy(Int8Stepper *self, PyObject *unused) {
  (void)unused;
  if (is_in_use(self)) return NULL;
  Int8Stepper *twin = new_stepper(Py_TYPE((PyObject *)self), self->owner, self->rows);
  if (twin) memcpy(twin->h, self->h, (size_t)(self->rows * state_size(self->owner)) * sizeof(int16_t));
  return (PyObject *)twin;
}

/* The steppers of a tuple, marked as in use; NULL with an error. */
static Int8Stepper **claim_steppers(Int8 *self, PyObject *tuple) {
  Py_ssize_t n = PyTuple_Size(tuple), claimed = 0;
  PyTypeObject *type = state_of((PyObject *)self)->int8_stepper;
  Int8Stepper **each = PyMem_Malloc((size_t)(n ? n : 1) * sizeof(*each));
  if (!each) PyErr_NoMemory();
  for (; each && claimed < n; claimed++) {
    Int8Stepper *stepper = (Int8Stepper *)PyTuple_GetItem(tuple, claimed);
    if (!Py_IS_TYPE((PyObject *)stepper, type) || stepper->owner != self || stepper->rows != 1 || stepper->in_use) break;
    each[claimed] = stepper, stepper->in_use = 1;
  }
  if (each && claimed == n) return each;
  for (Py_ssize_t k = 0; each && k < claimed; k++) each[k]->in_use = 0;
  if (each)
    raise_error("ShapeError", "steppers[%zd] is of other weights, of another batch or in use, expected batch 1 and each once: pass copies",
                claimed);
  PyMem_Free(each);
  return NULL;
}

/* advance(steppers, x [N, I]) -> y [N, H] */
static PyObject *Int8_advance(Int8 *self, PyObject *const *arguments, Py_ssize_t n) {
  Py_buffer x, y;
  if (n != 2) return PyErr_Format(PyExc_TypeError, "advance takes steppers and x");
  PyObject *tuple = PySequence_Tuple(arguments[0]); /* holds them while the lock is given up */
  if (!tuple) return NULL;
  Py_ssize_t rows = PyTuple_Size(tuple), sizes[] = {rows, (Py_ssize_t)self->hidden};
  PyObject *out = make_array(state_of((PyObject *)self), 0, 2, sizes);
  int done = 0;
  if (out && !PyObject_GetBuffer(out, &y, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) {
    if (!view_matrix(arguments[1], &x, 0, 0, rows, self->inputs, "x", "pass np.require(x, np.float32, 'CA') of [N, I]")) {
      Int8Stepper **each = claim_steppers(self, tuple);
      if (each) {
        Py_BEGIN_ALLOW_THREADS;
        if (rows) step_rows(self, rows, x.buf, y.buf, NULL, each, each[0]->scratch);
        Py_END_ALLOW_THREADS;
        for (Py_ssize_t i = 0; i < rows; i++) each[i]->in_use = 0;
        PyMem_Free(each);
        done = 1;
      }
      PyBuffer_Release(&x);
    }
    PyBuffer_Release(&y);
  }
  Py_DECREF(tuple);
  if (!done) Py_CLEAR(out);
  return out;
}

typedef struct {
  int64_t T, B;
  const float *x;
  float *y, *h;
  const int64_t *lengths; /* NULL: all steps */
  int reverse;
} sequence;

/* All steps; rows that are padding stay as they are and give zeros. 0, or -1: no memory. */
static int run_sequence(const Int8 *owner, const sequence *s) {
  int64_t H = owner->hidden, size = state_size(owner), B = s->B;
  size_t states = rounded_up((size_t)(B * size) * sizeof(int16_t));
  int16_t *h = aligned_memory(64, rounded_up(states + congru_int8_scratch(owner->net)));
  if (!h) return -1;
  memset(h, 0, states);
  char *scratch = (char *)h + states;
  for (int64_t b = 0; b < B; b++) to_integers(h + b * size, s->h + b * H, H);
  for (int64_t step = 0; step < s->T; step++) {
    int64_t t = s->reverse ? s->T - 1 - step : step;
    const float *x = s->x + t * B * owner->inputs;
    float *y = s->y + t * B * H;
    if (!s->lengths) step_rows(owner, B, x, y, h, NULL, scratch);
    for (int64_t b = 0; s->lengths && b < B; b++) {
      if (t < s->lengths[b])
        step_rows(owner, 1, x + b * owner->inputs, y + b * H, h + b * size, NULL, scratch);
      else
        memset(y + b * H, 0, (size_t)H * sizeof(float));
    }
  }
  for (int64_t b = 0; b < B; b++) { /* a row without a step keeps what it had, unrounded */
    if (s->T && (!s->lengths || s->lengths[b] > 0)) to_reals(s->h + b * H, h + b * size, H);
  }
  free_aligned(h);
  return 0;
}

/* sequence(x [T, B, I], h [B, H], lengths, reverse) -> y [T, B, H]; h becomes the state after */
static PyObject *Int8_sequence(Int8 *self, PyObject *const *arguments, Py_ssize_t n) {
  Py_buffer x = {0}, h = {0}, lengths = {0}, y = {0};
  PyObject *out = NULL;
  int status = 1;
  if (n != 4) return PyErr_Format(PyExc_TypeError, "sequence takes x, h, lengths and reverse");
  if (view_numbers(arguments[0], &x, 'f', -1, "x")) return NULL;
  int64_t T = x.ndim == 3 ? x.shape[0] : 0, B = x.ndim == 3 ? x.shape[1] : 0;
  Py_ssize_t sizes[] = {(Py_ssize_t)T, (Py_ssize_t)B, (Py_ssize_t)self->hidden};
  if (x.ndim != 3 || x.shape[2] != self->inputs) {
    raise_error("ShapeError", "x has %d axes or another size, expected [T, B, I] with I = %lld", x.ndim, (long long)self->inputs);
  } else if (!view_matrix(arguments[1], &h, PyBUF_WRITABLE, 0, B, self->hidden, "h", "pass a writable, contiguous array [B, H]") &&
             (arguments[2] == Py_None || !view_numbers(arguments[2], &lengths, sizeof(long) == 8 ? 'l' : 'q', B, "lengths")) &&
             (out = make_array(state_of((PyObject *)self), 0, 3, sizes)) &&
             !PyObject_GetBuffer(out, &y, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) {
    sequence s = {T, B, x.buf, y.buf, h.buf, lengths.buf, PyObject_IsTrue(arguments[3])};
    Py_BEGIN_ALLOW_THREADS;
    status = run_sequence(self, &s);
    Py_END_ALLOW_THREADS;
    if (status) PyErr_NoMemory();
  }
  Py_buffer *held[] = {&x, &h, &lengths, &y};
  for (int i = 0; i < 4; i++)
    if (held[i]->obj) PyBuffer_Release(held[i]);
  if (status) Py_CLEAR(out);
  return out;
}

PyObject *py_int8_kernels(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  PyObject *list = PyList_New(0);
  const char *name;
  for (int64_t i = 0; list && (name = congru_int8_kernel(i)); i++) {
    PyObject *text = PyUnicode_FromString(name);
    if (!text || PyList_Append(list, text)) Py_CLEAR(list);
    Py_XDECREF(text);
  }
  return list;
}

static PyMethodDef Int8Stepper_methods[] = {
    {"step", (PyCFunction)(void (*)(void))Int8Stepper_step, METH_O, "step(x [B, I]) -> y [B, H], the same array every time"},
    {"read", (PyCFunction)(void (*)(void))Int8Stepper_read, METH_O, "read(h): copy the state [B, H] out"},
    {"write", (PyCFunction)(void (*)(void))Int8Stepper_write, METH_O, "write(h): round a state [B, H] in"},
    {"copy", (PyCFunction)(void (*)(void))Int8Stepper_copy, METH_NOARGS, "copy() -> a stepper of the same weights and state"},
    {NULL, NULL, 0, NULL}};
static PyType_Slot Int8Stepper_slots[] = {{Py_tp_dealloc, Int8Stepper_dealloc},
                                          {Py_tp_methods, Int8Stepper_methods},
                                          {Py_tp_doc, "States that step in integers, one step at a time."},
                                          {0, NULL}};
static PyType_Spec Int8Stepper_spec = {"congru.kernels._core.Int8Stepper", sizeof(Int8Stepper), 0,
                                       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, Int8Stepper_slots};

static PyMethodDef Int8_methods[] = {
    {"stepper", (PyCFunction)(void (*)(void))Int8_stepper, METH_O, "stepper(batch) -> Int8Stepper, its state zeros"},
    {"advance", (PyCFunction)(void (*)(void))Int8_advance, METH_FASTCALL, "advance(steppers, x [N, I]) -> y [N, H]"},
    {"sequence", (PyCFunction)(void (*)(void))Int8_sequence, METH_FASTCALL,
     "sequence(x [T, B, I], h [B, H], lengths, reverse) -> y [T, B, H]; h becomes the state after"},
    {"kernel", (PyCFunction)(void (*)(void))Int8_kernel, METH_NOARGS, "kernel() -> its name, one of int8_kernels()"},
    {NULL, NULL, 0, NULL}};
static PyType_Slot Int8_slots[] = {{Py_tp_new, Int8_new},
                                   {Py_tp_dealloc, Int8_dealloc},
                                   {Py_tp_methods, Int8_methods},
                                   {Py_tp_doc, "A GRU layer in integers: shared by steppers and threads."},
                                   {0, NULL}};
static PyType_Spec Int8_spec = {"congru.kernels._core.Int8", sizeof(Int8), 0, Py_TPFLAGS_DEFAULT, Int8_slots};

int add_int8_types(PyObject *module, module_state *state) {
  state->int8 = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Int8_spec, NULL);
  state->int8_stepper = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Int8Stepper_spec, NULL);
  if (!state->int8 || !state->int8_stepper) return -1;
  return PyModule_AddObjectRef(module, "Int8", (PyObject *)state->int8) ||
                 PyModule_AddObjectRef(module, "Int8Stepper", (PyObject *)state->int8_stepper)
             ? -1
             : 0;
}
