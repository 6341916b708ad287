#include "meanfree/propagation.hpp"

#include "activation.hpp"
#include "bindings.hpp"

namespace meanfree {

namespace {

Array simulate(const py::tuple& phi, double sigma_w, double sigma_b, double keep, int weights,
               std::int64_t width, std::int64_t depth, double q, double c, std::int64_t n_samples,
               std::uint64_t seed, int method, int n_threads, const py::object& progress) {
  if (weights < 0 || weights > 1 || method < 0 || method > 1) {
    throw std::invalid_argument("weights and method must be 0 or 1");
  }
  const Activation activation = to_activation(phi);
  Propagation law;
  law.sigma_w = sigma_w;
  law.sigma_b = sigma_b;
  law.keep = keep;
  law.weights = weights == 0 ? Weights::gaussian : Weights::orthogonal;
  law.method = method == 0 ? Method::gram : Method::weights;
  law.width = width;
  law.depth = depth;
  law.q = q;
  law.c = c;
  law.seed = seed;
  Array result = new_array({3, n_samples, depth});
  double* out = result.mutable_data();
  const PythonPoll poll{progress};
  const py::gil_scoped_release release;
  simulate_propagation(activation, law, n_samples, n_threads, out, poll);
  return result;
}

}  // namespace

void bind_propagation(py::module_& m) {
  m.def("simulate_propagation", &simulate, py::arg("phi"), py::arg("sigma_w"), py::arg("sigma_b"),
        py::arg("keep"), py::arg("weights"), py::arg("width"), py::arg("depth"), py::arg("q"),
        py::arg("c"), py::arg("n_samples"), py::arg("seed"), py::arg("method"),
        py::arg("n_threads"), py::arg("progress"));
}

}  // namespace meanfree
