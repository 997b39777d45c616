/* Plain calls on the tensors of torch: no option, no gradient, the arrays in the layout of torch.nn.
 *
 * A step takes the core a few microseconds, and looking at its tensors from Python several times as long. Here they are borrowed
 * through DLPack's functions for C: type, dtype, sizes, place and strides of each are checked in nanoseconds. What does not fit
 * is answered with None, and congru/kernels/native_plain.py goes another way. Nothing is kept between calls.
 */
#include "dlpack.h"
#include "python.h"

/* Multiply-adds from which other threads of Python run meanwhile. */
#define WORTH_UNLOCKING 500000

/* set_tensors(capsule of the exchange functions, Tensor, Parameter) */
PyObject *py_set_tensors(PyObject *module, PyObject *const *arguments, Py_ssize_t n) {
  module_state *state = PyModule_GetState(module);
  if (n != 3) return PyErr_Format(PyExc_TypeError, "set_tensors takes 3 arguments");
  const dlpack_exchange *exchange = PyCapsule_GetPointer(arguments[0], "dlpack_exchange_api");
  if (!exchange) return NULL;
  if (exchange->major != DLPACK_MAJOR) return PyErr_Format(PyExc_ValueError, "DLPack has version %u, expected 1", exchange->major);
  state->exchange = exchange;
  for (int i = 0; i < 2; i++) {
    PyObject *before = state->tensor_types[i];
    state->tensor_types[i] = Py_NewRef(arguments[1 + i]);
    Py_XDECREF(before);
  }
  Py_RETURN_NONE;
}

/* Whether a gradient would have to reach this tensor; -1 with an error. */
static int wants_gradient(const module_state *state, PyObject *object) {
  PyObject *answer = PyObject_GetAttr(object, state->requires_grad);
  int wanted = answer ? PyObject_IsTrue(answer) : -1;
  Py_XDECREF(answer);
  return wanted;
}

/* What the tensors of a call have in common, and whether one did not fit. */
typedef struct {
  const module_state *state;
  int gradient, refused;
  int64_t dtype; /* -1: not known yet */
} reader;

/* A tensor of reals on the CPU whose last axis is contiguous; else the reader has refused. */
static dlpack_tensor borrow(reader *r, PyObject *object, int32_t rank) {
  dlpack_tensor tensor = {0};
  PyTypeObject *type = Py_TYPE(object);
  int ordinary = (PyObject *)type == r->state->tensor_types[0] || (PyObject *)type == r->state->tensor_types[1];
  if (r->refused) return tensor;
  if (!ordinary || (r->gradient && wants_gradient(r->state, object)) || r->state->exchange->borrow(object, &tensor)) {
    PyErr_Clear();
    r->refused = 1;
    return tensor;
  }
  int64_t dtype = tensor.bits == 64;
  int fits = tensor.device_type == DLPACK_CPU && tensor.type == DLPACK_FLOAT && (tensor.bits == 32 || dtype) && tensor.lanes == 1 &&
             tensor.ndim == rank && tensor.data && (r->dtype < 0 || dtype == r->dtype);
  if (fits) fits = tensor.shape[rank - 1] == 1 || tensor.strides[rank - 1] == 1;
  tensor.data = (char *)tensor.data + tensor.byte_offset;
  if (fits) fits = ((uintptr_t)tensor.data & (dtype ? 7 : 3)) == 0;
  r->refused = !fits, r->dtype = dtype;
  return tensor;
}

/* The values of a contiguous tensor [sizes[0], .., sizes[rank - 1]]; NULL for None and where it was refused. */
static const void *values(reader *r, PyObject *object, int32_t rank, const int64_t *sizes) {
  if (object == Py_None) return NULL;
  const dlpack_tensor tensor = borrow(r, object, rank);
  int64_t step = 1;
  for (int32_t i = rank - 1; i >= 0 && !r->refused; i--) {
    r->refused = tensor.shape[i] != sizes[i] || (sizes[i] != 1 && tensor.strides[i] != step);
    step *= sizes[i];
  }
  return tensor.data;
}

/* x.new_empty(sizes), and where it lies. */
static PyObject *make_like(const module_state *state, PyObject *x, int32_t rank, const int64_t *sizes, void **data) {
  PyObject *arguments[4] = {x};
  dlpack_tensor tensor;
  int32_t made = 0;
  while (made < rank && (arguments[1 + made] = PyLong_FromLongLong(sizes[made]))) made++;
  PyObject *result = made == rank ? PyObject_VectorcallMethod(state->new_empty, arguments, (size_t)(1 + rank), NULL) : NULL;
  for (int32_t i = 0; i < made; i++) Py_DECREF(arguments[1 + i]);
  if (result && state->exchange->borrow(result, &tensor)) Py_CLEAR(result);
  if (result) *data = (char *)tensor.data + tensor.byte_offset;
  return result;
}

/* The inputs of a call; `sizes` become those of a part of the state, rank numbers. */
static void read_inputs(reader *r, congru_call *call, int32_t batch_first, PyObject *x, PyObject *start, PyObject *weights, int32_t rank,
                        int64_t *sizes) {
  const int64_t G = call->cell == CONGRU_LSTM ? 4 : call->cell == CONGRU_RNN ? 1 : 3, parts = call->cell == CONGRU_LSTM ? 2 : 1;
  const dlpack_tensor rows = borrow(r, x, rank);
  int rows_axis = rank == 2 || batch_first ? 0 : 1;
  r->refused |= !PyTuple_CheckExact(weights) || PyTuple_Size(weights) != 4;
  r->refused |= start != Py_None && (!PyTuple_CheckExact(start) || PyTuple_Size(start) != parts);
  if (r->refused) return;
  call->B = rows.shape[rows_axis], call->T = rank == 3 ? rows.shape[1 - rows_axis] : 1, call->I = rows.shape[rank - 1];
  call->x = rows.data, call->x_strides.batch = rows.strides[rows_axis];
  call->x_strides.time = rank == 3 ? rows.strides[1 - rows_axis] : 0;
  PyObject *weight[4];
  for (Py_ssize_t i = 0; i < 4; i++) weight[i] = PyTuple_GetItem(weights, i);
  const dlpack_tensor recurrent = borrow(r, weight[1], 2);
  if (r->refused || !call->B || !call->T || !call->I || !recurrent.shape[1]) {
    r->refused = 1;
    return;
  }
  int64_t H = call->H = recurrent.shape[1];
  call->W = values(r, weight[0], 2, (int64_t[]){G * H, call->I});
  call->U = values(r, weight[1], 2, (int64_t[]){G * H, H});
  call->b_i = values(r, weight[2], 1, (int64_t[]){G * H});
  call->b_h = values(r, weight[3], 1, (int64_t[]){G * H});
  r->refused |= !call->W;
  call->dtype = r->dtype;
  int32_t axis = 0;
  if (rank == 3) sizes[axis++] = 1;
  sizes[axis++] = call->B, sizes[axis] = H;
  if (start == Py_None) return;
  call->h0 = values(r, PyTuple_GetItem(start, 0), rank, sizes);
  r->refused |= !call->h0;
  if (parts == 2) {
    call->c0 = values(r, PyTuple_GetItem(start, 1), rank, sizes);
    r->refused |= !call->c0;
  }
}

/* The work of a call whose tensors are all there; 0, or -1 with an error. */
static int run(const congru_call *call) {
  int64_t gates = call->cell == CONGRU_LSTM ? 4 : call->cell == CONGRU_RNN ? 1 : 3;
  int status;
  if (call->B * call->T * gates * call->H * (call->H + call->I) < WORTH_UNLOCKING) {
    status = congru_forward(call);
  } else {
    give_up_lock();
    return take_lock_back(congru_forward(call));
  }
  return finish_call(status);
}

/* plain(cell, reverse, layout, gradient, threads, x, state, weights) -> (y, state), or None. Layout 0: x [T, B, I], 1:
 * [B, T, I], y likewise, parts of the state [1, B, H]. 2: one step, x [B, I], y and parts of the state [B, H]. */
PyObject *py_plain(PyObject *module, PyObject *const *arguments, Py_ssize_t n) {
  const module_state *state = PyModule_GetState(module);
  congru_call call = {0};
  long long numbers[5];
  if (n != 8) return PyErr_Format(PyExc_TypeError, "plain takes 8 arguments");
  for (int i = 0; i < 5; i++) {
    numbers[i] = PyLong_AsLongLong(arguments[i]);
    if (numbers[i] == -1 && PyErr_Occurred()) return NULL;
  }
  call.cell = numbers[0], call.reverse = numbers[1], call.threads = numbers[4];
  int32_t rank = numbers[2] == 2 ? 2 : 3, batch_first = numbers[2] == 1;
  int64_t state_sizes[3] = {0};
  reader r = {.state = state, .gradient = numbers[3] != 0, .refused = !state->exchange, .dtype = -1};
  read_inputs(&r, &call, batch_first, arguments[5], arguments[6], arguments[7], rank, state_sizes);
  if (r.refused) Py_RETURN_NONE;

  int64_t B = call.B, T = call.T, H = call.H;
  const int64_t y_sizes[] = {batch_first || rank == 2 ? B : T, rank == 2 ? H : batch_first ? T : B, H};
  call.y_strides.batch = batch_first ? T * H : H, call.y_strides.time = batch_first ? H : B * H;
  PyObject *x = arguments[5], *c = NULL, *result = NULL;
  PyObject *y = make_like(state, x, rank, y_sizes, &call.y), *h = y ? make_like(state, x, rank, state_sizes, &call.h) : NULL;
  if (h && call.cell == CONGRU_LSTM) c = make_like(state, x, rank, state_sizes, &call.c);
  if (h && (c || call.cell != CONGRU_LSTM) && !run(&call))
    result = c ? Py_BuildValue("(O(OO))", y, h, c) : Py_BuildValue("(O(O))", y, h);
  Py_XDECREF(y);
  Py_XDECREF(h);
  Py_XDECREF(c);
  return result;
}
