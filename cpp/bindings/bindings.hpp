// What all bindings share: array types, allocation, and the poll of long calls.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace meanfree {
namespace py = pybind11;

/// A C-contiguous float64 array. As an argument it is bound with .noconvert(): the Python layer
/// has made the one copy that may be needed.
using Array = py::array_t<double, py::array::c_style>;

/// A new array of the given shape, not initialised.
inline Array new_array(std::initializer_list<std::int64_t> shape) {
  return Array(std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

/// Poll of for_each_block: lets Ctrl-C through and reports progress. Holds a borrowed reference,
/// so it must not outlive the call that was given `progress` (a callable or None).
struct PythonPoll {
  py::handle progress;

  void operator()(std::int64_t done) const {
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!progress.is_none()) progress(done);
  }
};

}  // namespace meanfree
