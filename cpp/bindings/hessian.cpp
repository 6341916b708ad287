#include <pybind11/stl.h>

#include <vector>

#include "activation.hpp"
#include "bindings.hpp"
#include "meanfree/mlp_hessian.hpp"

namespace meanfree {

namespace {

/// A network of a caller, with its array of parameters.
detail::Mlp given_mlp(const std::vector<std::int64_t>& sizes, const Array& parameters,
                      bool cross_entropy) {
  detail::Mlp net;
  net.sizes.assign(sizes.begin(), sizes.end());
  net.parameters = parameters.data();
  net.objective = cross_entropy ? Objective::cross_entropy : Objective::mse;
  bool fits = sizes.size() >= 2;
  for (const std::int64_t size : sizes) fits = fits && size >= 1;
  if (!fits || parameters.size() != net.n_parameters()) {
    throw std::invalid_argument("sizes and parameters must fit together");
  }
  return net;
}

std::int64_t check_samples(const detail::Mlp& net, const Array& x, const Array& y) {
  if (x.ndim() != 2 || y.ndim() != 2 || x.shape(0) < 1 || x.shape(0) != y.shape(0) ||
      x.shape(1) != net.sizes.front() || y.shape(1) != net.sizes.back()) {
    throw std::invalid_argument("x and y must have a row for each sample and fit the network");
  }
  return x.shape(0);
}

void check_tape(const detail::TapeLayout& layout, const Array& tape, std::int64_t n_samples) {
  if (n_samples < 1 || tape.size() != layout.size()) {
    throw std::invalid_argument("tape must be that of the network and its samples");
  }
}

double mlp_value(const py::tuple& phi, const std::vector<std::int64_t>& sizes,
                 const Array& parameters, bool cross_entropy, const Array& x, const Array& y) {
  const Activation activation = to_activation(phi);
  const detail::Mlp net = given_mlp(sizes, parameters, cross_entropy);
  detail::MlpPasses passes(activation, net, check_samples(net, x, y), x.data(), y.data());
  double value = 0.0;
  const PythonPoll poll{py::none()};
  {
    const py::gil_scoped_release release;
    for_each_block(1, 1, [&](std::int64_t, Pause& pause) { value = passes.value(pause); }, poll);
  }
  return value;
}

/// Value, gradient, and what products with the Hessian need.
py::tuple mlp_tape(const py::tuple& phi, const std::vector<std::int64_t>& sizes,
                   const Array& parameters, bool cross_entropy, const Array& x, const Array& y) {
  const Activation activation = to_activation(phi);
  const detail::Mlp net = given_mlp(sizes, parameters, cross_entropy);
  detail::MlpPasses passes(activation, net, check_samples(net, x, y), x.data(), y.data());
  Array gradient = new_array({net.n_parameters()}), tape = new_array({passes.layout().size()});
  double *gradient_data = gradient.mutable_data(), *tape_data = tape.mutable_data(), value = 0.0;
  const PythonPoll poll{py::none()};
  {
    const py::gil_scoped_release release;
    for_each_block(
        1, 1,
        [&](std::int64_t, Pause& pause) { value = passes.record(tape_data, gradient_data, pause); },
        poll);
  }
  return py::make_tuple(value, gradient, tape);
}

Array mlp_hvp(const std::vector<std::int64_t>& sizes, const Array& parameters, bool cross_entropy,
              std::int64_t n_samples, const Array& tape, bool full, const Array& v, int n_threads,
              const py::object& progress) {
  const detail::Mlp net = given_mlp(sizes, parameters, cross_entropy);
  const detail::TapeLayout layout(net, n_samples);
  check_tape(layout, tape, n_samples);
  const std::int64_t n = net.n_parameters();
  if (v.ndim() != 2 || v.shape(1) != n) throw std::invalid_argument("v must fit the parameters");
  Array out = new_array({v.shape(0), n});
  const double *from = v.data(), *tape_data = tape.data();
  double* to = out.mutable_data();
  const std::int64_t n_vectors = v.shape(0);
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    detail::ScratchPool<detail::HessianProduct::Scratch> pool;
    const detail::HessianProduct product(net, layout, tape_data, full);
    for_each_block(
        n_vectors, n_threads,
        [&](std::int64_t k, Pause& pause) {
          pool.lend(
              [&](auto& scratch) { product.multiply(from + k * n, to + k * n, scratch, pause); });
        },
        poll);
  }
  return out;
}

Array mlp_hessian_matrix(const std::vector<std::int64_t>& sizes, const Array& parameters,
                         bool cross_entropy, std::int64_t n_samples, const Array& tape, bool full,
                         int n_threads, const py::object& progress) {
  const detail::Mlp net = given_mlp(sizes, parameters, cross_entropy);
  const detail::TapeLayout layout(net, n_samples);
  check_tape(layout, tape, n_samples);
  Array hessian = new_array({net.n_parameters(), net.n_parameters()});
  double* to = hessian.mutable_data();
  const double* tape_data = tape.data();
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    mlp_hessian(net, layout, tape_data, full, n_threads, to, poll);
  }
  return hessian;
}

}  // namespace

void bind_hessian(py::module_& m) {
  m.def("mlp_value", &mlp_value, py::arg("phi"), py::arg("sizes"),
        py::arg("parameters").noconvert(), py::arg("cross_entropy"), py::arg("x").noconvert(),
        py::arg("y").noconvert());
  m.def("mlp_tape", &mlp_tape, py::arg("phi"), py::arg("sizes"), py::arg("parameters").noconvert(),
        py::arg("cross_entropy"), py::arg("x").noconvert(), py::arg("y").noconvert());
  m.def("mlp_hvp", &mlp_hvp, py::arg("sizes"), py::arg("parameters").noconvert(),
        py::arg("cross_entropy"), py::arg("n_samples"), py::arg("tape").noconvert(),
        py::arg("full"), py::arg("v").noconvert(), py::arg("n_threads"), py::arg("progress"));
  m.def("mlp_hessian", &mlp_hessian_matrix, py::arg("sizes"), py::arg("parameters").noconvert(),
        py::arg("cross_entropy"), py::arg("n_samples"), py::arg("tape").noconvert(),
        py::arg("full"), py::arg("n_threads"), py::arg("progress"));
}

}  // namespace meanfree
