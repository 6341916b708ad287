#include <cstdint>
#include <limits>
#include <new>

#include "bindings.hpp"
#include "meanfree/random_field.hpp"

namespace meanfree {

namespace {

/// A new array of rows that begins where a register may be loaded at once.
Array aligned_rows(std::int64_t rows, std::int64_t columns) {
  constexpr std::align_val_t line{64};
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 16;
  if (rows > most / columns) throw std::bad_alloc();
  const auto size = static_cast<std::size_t>(rows * columns) * sizeof(double);
  auto* data = static_cast<double*>(::operator new(size, line));
  const py::capsule owner(data, [](void* p) { ::operator delete(p, line); });
  return Array(std::vector<py::ssize_t>{rows, columns}, data, owner);
}

py::tuple waves_of_field(std::uint64_t seed, double mean, double shape, std::int64_t n_waves,
                         std::int64_t n, int n_threads) {
  if (n_waves < 1 || n < 1) throw std::invalid_argument("n_waves and n must be >= 1");
  Array k = aligned_rows(n_waves, padded_wave(n)), phase = new_array({n_waves});
  double *rows = k.mutable_data(), *phases = phase.mutable_data();
  {
    const py::gil_scoped_release release;
    draw_waves(seed, {mean, shape}, n_waves, n, n_threads, rows, phases, PythonPoll{py::none()});
  }
  return py::make_tuple(k, phase);
}

/// Waves and points (points, n) of a call, checked.
struct FieldCall {
  Waves waves;
  const double* w;
  std::int64_t n_points;

  FieldCall(const Array& k, const Array& phase, double amplitude, const Array& points) {
    if (points.ndim() != 2 || points.shape(1) < 1 || k.ndim() != 2 || phase.ndim() != 1 ||
        k.shape(0) != phase.shape(0) || k.shape(1) != padded_wave(points.shape(1))) {
      throw std::invalid_argument("waves, phases and points must have the same sizes");
    }
    waves = {k.shape(0), points.shape(1), k.shape(1), k.data(), phase.data(), amplitude};
    w = points.data();
    n_points = points.shape(0);
  }

  /// Fill a new array by compute(out, poll).
  template <class Compute>
  static Array filled(Array result, Compute&& compute) {
    double* out = result.mutable_data();
    {
      const py::gil_scoped_release release;
      compute(out, PythonPoll{py::none()});
    }
    return result;
  }
};

Array values_of_field(const Array& k, const Array& phase, double amplitude, const Array& w,
                      int n_threads) {
  const FieldCall call(k, phase, amplitude, w);
  return FieldCall::filled(new_array({call.n_points}), [&](double* out, const PythonPoll& poll) {
    field_values(call.waves, call.w, call.n_points, n_threads, out, poll);
  });
}

Array gradients_of_field(const Array& k, const Array& phase, double amplitude, const Array& w,
                         int n_threads) {
  const FieldCall call(k, phase, amplitude, w);
  return FieldCall::filled(
      new_array({call.n_points, call.waves.n}), [&](double* out, const PythonPoll& poll) {
        field_gradients(call.waves, call.w, call.n_points, n_threads, out, poll);
      });
}

Array products_of_field(const Array& k, const Array& phase, double amplitude, const Array& w,
                        const Array& v, int n_threads) {
  const FieldCall call(k, phase, amplitude, w);
  if (v.ndim() != 2 || v.shape(0) != w.shape(0) || v.shape(1) != w.shape(1)) {
    throw std::invalid_argument("w and v must have the same shape");
  }
  const double* vectors = v.data();
  return FieldCall::filled(
      new_array({call.n_points, call.waves.n}), [&](double* out, const PythonPoll& poll) {
        field_products(call.waves, call.w, vectors, call.n_points, n_threads, out, poll);
      });
}

Array hessians_of_field(const Array& k, const Array& phase, double amplitude, const Array& w,
                        int n_threads) {
  const FieldCall call(k, phase, amplitude, w);
  const std::int64_t n = call.waves.n;
  return FieldCall::filled(
      new_array({call.n_points, n, n}), [&](double* out, const PythonPoll& poll) {
        field_hessians(call.waves, call.w, call.n_points, n_threads, out, poll);
      });
}

}  // namespace

void bind_field(py::module_& m) {
  m.def("field_waves", &waves_of_field, py::arg("seed"), py::arg("mean"), py::arg("shape"),
        py::arg("n_waves"), py::arg("n"), py::arg("n_threads"));
  m.def("field_values", &values_of_field, py::arg("waves").noconvert(),
        py::arg("phases").noconvert(), py::arg("amplitude"), py::arg("w").noconvert(),
        py::arg("n_threads"));
  m.def("field_gradients", &gradients_of_field, py::arg("waves").noconvert(),
        py::arg("phases").noconvert(), py::arg("amplitude"), py::arg("w").noconvert(),
        py::arg("n_threads"));
  m.def("field_products", &products_of_field, py::arg("waves").noconvert(),
        py::arg("phases").noconvert(), py::arg("amplitude"), py::arg("w").noconvert(),
        py::arg("v").noconvert(), py::arg("n_threads"));
  m.def("field_hessians", &hessians_of_field, py::arg("waves").noconvert(),
        py::arg("phases").noconvert(), py::arg("amplitude"), py::arg("w").noconvert(),
        py::arg("n_threads"));
}

}  // namespace meanfree
