// Which instruction sets this processor supports. Plain C without numpy or pybind11, so that
// asking is cheap and needs nothing of what is being chosen.
//
// The levels are those of the x86-64 psABI; the features of each are asked for one by one, since
// compilers learnt to ask for a whole level only lately.
#if defined(__x86_64__)
static int has_v3(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("movbe") &&
         __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("sse4.2");
}

static int has_v4(void) {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

static const char* const names[] = {"v1", "v3", "v4"};
static int count(void) { return has_v4() ? 3 : has_v3() ? 2 : 1; }
#else
static const char* const names[] = {"generic"};
static int count(void) { return 1; }
#endif

#ifdef MEANFREE_PRINT_LEVEL  // for the build, which asks about the machine it runs on
#include <stdio.h>

int main(void) { return fputs(names[count() - 1], stdout) < 0; }
#else
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject* levels(PyObject* self, PyObject* arguments) {
  (void)self;
  (void)arguments;
  const int n = count();
  PyObject* result = PyTuple_New(n);
  for (int i = 0; result && i < n; ++i) {
    PyObject* name = PyUnicode_FromString(names[i]);
    if (!name) {
      Py_CLEAR(result);
    } else {
      PyTuple_SET_ITEM(result, i, name);
    }
  }
  return result;
}

static PyMethodDef methods[] = {
    {"levels", levels, METH_NOARGS, "Levels this processor supports, lowest first."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_cpu",
    .m_doc = "Instruction sets of this processor.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__cpu(void) { return PyModuleDef_Init(&module); }
#endif
