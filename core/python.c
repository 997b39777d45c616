/* The extension module congru.kernels._core: the calls of congru.h for Python.
 *
 * forward and backward take the fields of congru_call as keywords (integers: sizes, flags, addresses), and forward also
 * packed, a Packed; the arrays behind the addresses are checked, and kept alive, by congru/kernels/native.py and packed.py.
 * Packed and Stepper are in python_stepper.c, Int8 and Int8Stepper in python_int8.c, Dense and the functions of rows in python_rows.c, Chain in
 * python_chain.c, ChainMethod in python_method.c, calls on tensors in python_tensors.c; all stand on python_fields.c, python_arrays.c and python_signals.c.
 */
#include "python.h"

#include <string.h>

/* The keyword packed, a Packed, may stand beside the fields. */
static int read_call(const module_state *state, congru_call *call, const congru_packed **packed, PyObject *const *values,
                     PyObject *names) {
  Py_ssize_t n = names ? PyTuple_Size(names) : 0;
  size_t guess = 0;
  memset(call, 0, sizeof(*call));
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *name = PyTuple_GetItem(names, i);
    if (packed && Py_IS_TYPE(values[i], state->packed) && !PyUnicode_CompareWithASCIIString(name, "packed"))
      *packed = ((Packed *)values[i])->packed;
    else if (read_field(state, call, name, values[i], &guess))
      return -1;
  }
  return 0;
}

static PyObject *py_forward(PyObject *module, PyObject *const *values, Py_ssize_t n, PyObject *names) {
  congru_call call;
  const congru_packed *packed = NULL;
  if (n) return PyErr_Format(PyExc_TypeError, "a call takes keywords only");
  if (read_call(PyModule_GetState(module), &call, &packed, values, names)) return NULL;
  give_up_lock();
  if (take_lock_back(packed ? congru_packed_forward(packed, &call) : congru_forward(&call))) return NULL;
  Py_RETURN_NONE;
}

static PyObject *py_backward(PyObject *module, PyObject *const *values, Py_ssize_t n, PyObject *names) {
  congru_call call;
  if (n) return PyErr_Format(PyExc_TypeError, "a call takes keywords only");
  if (read_call(PyModule_GetState(module), &call, NULL, values, names)) return NULL;
  give_up_lock();
  if (take_lock_back(congru_backward(&call))) return NULL;
  Py_RETURN_NONE;
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
  const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
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
  fits = fits && are_finite(buffer.buf, size);
  PyBuffer_Release(&buffer);
  return PyBool_FromLong(fits);
}

/* are_tokens(x, axes, count): in place of NumPy's smallest and largest, each of which takes longer than a step. */
static PyObject *py_are_tokens(PyObject *self, PyObject *const *arguments, Py_ssize_t n) {
  (void)self;
  Py_buffer buffer;
  if (n != 3) return PyErr_Format(PyExc_TypeError, "are_tokens takes 3 arguments");
  Py_ssize_t axes = PyLong_AsSsize_t(arguments[1]), count = PyLong_AsSsize_t(arguments[2]);
  if ((axes == -1 || count == -1) && PyErr_Occurred()) return NULL;
  if (PyObject_GetBuffer(arguments[0], &buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    PyErr_Clear();
    Py_RETURN_FALSE;
  }
  int fits = buffer.ndim == axes && buffer.itemsize == 8 && buffer.format && strchr("lq", buffer.format[0]) && !buffer.format[1];
  const int64_t *tokens = buffer.buf;
  for (Py_ssize_t i = 0; fits && i < buffer.len / 8; i++) fits = tokens[i] >= 0 && tokens[i] < count;
  PyBuffer_Release(&buffer);
  return PyBool_FromLong(fits);
}

/* The fields of a step in their order, each of eight bytes: integers, and addresses that the caller keeps alive. */
static PyObject *gru_step(int backward, PyObject *const *values, Py_ssize_t n) {
  union {
    congru_gru_forward_step forward;
    congru_gru_backward_step backward;
    int64_t words[sizeof(congru_gru_forward_step) / 8];
  } step;
  size_t size = backward ? sizeof(step.backward) : sizeof(step.forward);
  if ((size_t)n != size / 8) return PyErr_Format(PyExc_TypeError, "a step takes %zu numbers", size / 8);
  for (Py_ssize_t i = 0; i < n; i++) {
    long long number = PyLong_AsLongLong(values[i]);
    if (number == -1 && PyErr_Occurred()) return NULL;
    step.words[i] = number;
  }
  if (backward ? congru_gru_step_backward(&step.backward) : congru_gru_step_forward(&step.forward))
    return PyErr_Format(PyExc_RuntimeError, "a step between products needs avx512");
  Py_RETURN_NONE;
}

static PyObject *py_gru_step_forward(PyObject *self, PyObject *const *values, Py_ssize_t n) {
  (void)self;
  return gru_step(0, values, n);
}

static PyObject *py_gru_step_backward(PyObject *self, PyObject *const *values, Py_ssize_t n) {
  (void)self;
  return gru_step(1, values, n);
}

static PyMethodDef methods[] = {
    {"forward", (PyCFunction)(void (*)(void))py_forward, METH_FASTCALL | METH_KEYWORDS, "forward(packed=None, **fields of a call)"},
    {"backward", (PyCFunction)(void (*)(void))py_backward, METH_FASTCALL | METH_KEYWORDS, "backward(**fields of a call)"},
    {"gru_step_forward", (PyCFunction)(void (*)(void))py_gru_step_forward, METH_FASTCALL, "gru_step_forward(*fields of the step)"},
    {"gru_step_backward", (PyCFunction)(void (*)(void))py_gru_step_backward, METH_FASTCALL, "gru_step_backward(*fields of the step)"},
    {"isas", py_isas, METH_NOARGS, "instruction sets that can run here, best first"},
    {"isa", py_isa, METH_NOARGS, "the one in use; None when CONGRU_ISA names none of isas()"},
    {"set_isa", py_set_isa, METH_O, "set_isa(name) -> whether it can run here"},
    {"int8_kernels", py_int8_kernels, METH_NOARGS, "kernels of Int8 that can run here, best first"},
    {"set_threads", py_set_threads, METH_O, "set_threads(n)"},
    {"get_threads", py_get_threads, METH_NOARGS, "threads of a call that leaves it open"},
    {"are_tokens", (PyCFunction)(void (*)(void))py_are_tokens, METH_FASTCALL, "are_tokens(x, n, V): n axes of int64 below V in one piece"},
    {"is_row", (PyCFunction)(void (*)(void))py_is_row, METH_FASTCALL, "is_row(x, n): n finite float32 in one piece, no other axis"},
    {"set_tensors", (PyCFunction)(void (*)(void))py_set_tensors, METH_FASTCALL, "set_tensors(capsule of DLPack's exchange functions, Tensor, Parameter)"},
    {"plain", (PyCFunction)(void (*)(void))py_plain, METH_FASTCALL,
     "plain(cell, reverse, layout, gradient, threads, x, state, weights) -> (y, state) or None"},
    {"set_team", py_set_team, METH_VARARGS, "set_team(GOMP_parallel, omp_get_thread_num, omp_get_num_threads, omp_in_parallel), addresses"},
    {NULL, NULL, 0, NULL}};

static int fill_module(PyObject *module) {
  module_state *state = PyModule_GetState(module);
  PyObject *numpy = PyImport_ImportModule("numpy");
  listen_to_signals();
  if (intern_fields(state)) return -1;
  if (!numpy || !(state->empty = PyObject_GetAttrString(numpy, "empty"))) return -1;
  for (int i = 0; i < 2; i++) {
    if (!(state->dtypes[i] = PyObject_CallMethod(numpy, "dtype", "s", i ? "float64" : "float32"))) return -1;
  }
  Py_DECREF(numpy);
  if (learn_array_layout(state)) return -1;
  if (!(state->new_empty = PyUnicode_InternFromString("new_empty"))) return -1;
  if (!(state->requires_grad = PyUnicode_InternFromString("requires_grad"))) return -1;
  if (PyModule_AddFunctions(module, row_functions)) return -1;
  return add_stepper_types(module, state) || add_dense_type(module, state) || add_int8_types(module, state) ||
                 add_chain_type(module, state) || add_method_type(module)
             ? -1
             : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_core", "GRU, LSTM and RNN on the CPU; see core/congru.h.", sizeof(module_state), methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&module); }
