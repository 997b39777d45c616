/* ChainMethod for Python: a method of a class whose instances may hold a Chain.
 *
 * While the instance has one as its attribute of this name, a call with one argument is a call of that chain, without a frame of
 * Python. With none, with other arguments, or where the chain answers None, it is a call of the function. Everything else that is
 * asked of the method (its name, signature, documentation) the function answers.
 */
#include "python.h"

#include <structmember.h>

typedef struct {
  PyObject_HEAD
  PyObject *attribute, *function, *method_type;
  PyTypeObject *chain;
  vectorcallfunc call;
} ChainMethod;

static PyObject *ChainMethod_call(PyObject *object, PyObject *const *arguments, size_t flags, PyObject *names) {
  ChainMethod *self = (ChainMethod *)object;
  if (PyVectorcall_NARGS(flags) == 2 && !names) {
    PyObject *chain = PyObject_GetAttr(arguments[0], self->attribute), *y = Py_None;
    if (!chain) PyErr_Clear();
    if (chain && Py_IS_TYPE(chain, self->chain)) {
      y = chain_step(chain, arguments[1]);
      if (y == Py_None) Py_DECREF(y);
    }
    Py_XDECREF(chain);
    if (y != Py_None) return y;
  }
  return PyObject_Vectorcall(self->function, arguments, flags, names);
}

/* ChainMethod(attribute, function) */
static PyObject *ChainMethod_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *attribute, *function, *types = PyImport_ImportModule("types");
  ChainMethod *self = NULL;
  if (keywords && PyDict_Size(keywords))
    PyErr_Format(PyExc_TypeError, "ChainMethod takes no keywords");
  else if (types && PyArg_ParseTuple(arguments, "UO", &attribute, &function))
    self = (ChainMethod *)PyType_GenericAlloc(type, 0);
  if (self) {
    self->attribute = Py_NewRef(attribute), self->function = Py_NewRef(function), self->call = ChainMethod_call;
    PyUnicode_InternInPlace(&self->attribute);
    self->chain = (PyTypeObject *)Py_NewRef((PyObject *)state_of((PyObject *)self)->chain);
    self->method_type = PyObject_GetAttrString(types, "MethodType");
    if (!self->method_type) Py_CLEAR(self);
  }
  Py_XDECREF(types);
  return (PyObject *)self;
}

static void ChainMethod_dealloc(ChainMethod *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  Py_XDECREF(self->attribute);
  Py_XDECREF(self->function);
  Py_XDECREF(self->method_type);
  Py_XDECREF((PyObject *)self->chain);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyObject *ChainMethod_get(ChainMethod *self, PyObject *instance, PyObject *owner) {
  (void)owner;
  if (!instance || instance == Py_None) return Py_NewRef((PyObject *)self);
  return PyObject_Vectorcall(self->method_type, (PyObject *[]){(PyObject *)self, instance}, 2, NULL);
}

static PyObject *ChainMethod_getattro(ChainMethod *self, PyObject *name) { return PyObject_GetAttr(self->function, name); }

static PyMemberDef ChainMethod_members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(ChainMethod, call), READONLY, NULL},
                                            {NULL, 0, 0, 0, NULL}};
static PyType_Slot ChainMethod_slots[] = {{Py_tp_new, ChainMethod_new},
                                          {Py_tp_dealloc, ChainMethod_dealloc},
                                          {Py_tp_call, PyVectorcall_Call},
                                          {Py_tp_descr_get, ChainMethod_get},
                                          {Py_tp_getattro, ChainMethod_getattro},
                                          {Py_tp_members, ChainMethod_members},
                                          {0, NULL}};
static PyType_Spec ChainMethod_spec = {"congru.kernels._core.ChainMethod", sizeof(ChainMethod), 0,
                                       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
                                       ChainMethod_slots};

int add_method_type(PyObject *module) {
  PyObject *type = PyType_FromModuleAndSpec(module, &ChainMethod_spec, NULL);
  int status = type ? PyModule_AddObjectRef(module, "ChainMethod", type) : -1;
  Py_XDECREF(type);
  return status;
}
