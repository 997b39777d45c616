/* What the files of the extension module share: its state, its errors, views of arrays. */
#ifndef CONGRU_PYTHON_H
#define CONGRU_PYTHON_H

#include "congru.h"
#include "dlpack.h"
#include "python_abi.h"

/* Every field of congru_call is eight bytes wide: a name and a place. */
#define NUM_FIELDS (sizeof(congru_call) / 8)

typedef struct {
  PyObject *names[NUM_FIELDS]; /* of the fields, interned */
  PyObject *empty;             /* numpy.empty */
  PyObject *dtypes[2];         /* float32, float64 */
  PyTypeObject *array;         /* numpy.ndarray; NULL where its fields lie elsewhere than in numpy_array */
  PyTypeObject *packed, *stepper, *dense, *int8, *int8_stepper, *chain;
  const dlpack_exchange *exchange; /* of torch; NULL before set_tensors */
  PyObject *tensor_types[2];       /* Tensor, Parameter */
  PyObject *new_empty, *requires_grad; /* names */
} module_state;
module_state *state_of(PyObject *self); /* of an object of one of the types */

/* The weights of one layer as Python holds them. */
typedef struct {
  PyObject_HEAD
  congru_packed *packed;
  int64_t dtype, cell, inputs, hidden;
} Packed;

/* Fill in the names of the fields. 0, or -1 with an error. */
int intern_fields(module_state *state);
/* Read one field of a call. `guess` is where its name may stand, and then where the next one may. 0, or -1 with an error. */
int read_field(const module_state *state, congru_call *call, PyObject *name, PyObject *value, size_t *guess);

/* Around a long call of the core: give the interpreter's lock up, and take it back with the status of the call. Signals are
 * handled meanwhile. 0, or -1 with an error. */
void give_up_lock(void);
int take_lock_back(int status);
/* The same for a call that kept the lock. */
int finish_call(int status);
void listen_to_signals(void);

/* Raise a class of congru.errors, or ValueError where that cannot be imported; returns NULL. */
PyObject *raise_error(const char *kind, const char *format, ...);

/* numpy.empty of these sizes. */
PyObject *make_array(const module_state *state, int64_t dtype, Py_ssize_t rank, const Py_ssize_t *sizes);

/* Whether a buffer holds aligned reals of this element type. */
int holds_reals(const Py_buffer *buffer, int64_t dtype);
/* How every array begins: PyArrayObject_fields of numpy/ndarraytypes.h, which is a part of NumPy's ABI. */
typedef struct {
  PyObject_HEAD
  char *data;
  int rank;
  Py_ssize_t *sizes, *strides;
  PyObject *base, *dtype;
} numpy_array;
/* Look whether arrays here begin so, and set state->array. 0, or -1 with an error. */
int learn_array_layout(module_state *state);
/* Where the floats of a plain array [n] lie; NULL: x is none, or it takes a buffer to know. A tenth of what a buffer takes. */
float *floats_of(const module_state *state, PyObject *x, Py_ssize_t n);
/* Whether n floats are all finite. */
int are_finite(const float *x, Py_ssize_t n);
/* A view of a contiguous `array` of [rows, columns] reals, or an error that names it. */
int view_matrix(PyObject *array, Py_buffer *buffer, int flags, int64_t dtype, int64_t rows, int64_t columns, const char *what,
                const char *fix);

/* One stage of a Chain: from a row x of `inputs` floats to y, which is `own` memory of the chain or the stage's. */
typedef struct chain_stage chain_stage;
struct chain_stage {
  int (*run)(const chain_stage *stage, const float *x); /* without the interpreter; 0, or what the core returned */
  PyObject *object;
  float *y;
  int64_t inputs, outputs, work; /* work: multiply-adds */
  int *in_use;                   /* set while another thread may run; NULL: shared freely */
  int own;
};
/* 1; 0 where the object is none of one float32 row; -1 with an error. */
int stage_of_stepper(PyObject *object, chain_stage *stage);
int stage_of_int8(PyObject *object, chain_stage *stage);
int stage_of_dense(PyObject *object, chain_stage *stage);

/* One step of a Chain: y [O], or None where x is not plainly right; NULL with an error. */
PyObject *chain_step(PyObject *chain, PyObject *x);

/* The parts of the module: types into the state, and their names into the module. 0, or -1 with an error. */
int add_stepper_types(PyObject *module, module_state *state);
int add_dense_type(PyObject *module, module_state *state);
int add_int8_types(PyObject *module, module_state *state);
int add_chain_type(PyObject *module, module_state *state);
int add_method_type(PyObject *module);
extern PyMethodDef row_functions[];

PyObject *py_int8_kernels(PyObject *module, PyObject *unused);
PyObject *py_set_tensors(PyObject *module, PyObject *const *arguments, Py_ssize_t n);
PyObject *py_plain(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

#endif
