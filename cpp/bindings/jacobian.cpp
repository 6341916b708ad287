#include "meanfree/jacobian.hpp"

#include <vector>

#include "activation.hpp"
#include "bindings.hpp"

namespace meanfree {

namespace {

Array jacobian_samples(const py::tuple& phi, double sigma_w, double sigma_b, int weights,
                       std::int64_t width, std::int64_t depth, double q, std::int64_t n_samples,
                       std::uint64_t seed, int method, int n_threads, const py::object& progress) {
  if (weights < 0 || weights > 1 || method < 0 || method > 1) {
    throw std::invalid_argument("weights and method must be 0 or 1");
  }
  const Activation activation = to_activation(phi);
  JacobianLaw law;
  law.sigma_w = sigma_w;
  law.sigma_b = sigma_b;
  law.orthogonal = weights == 1;
  law.accurate = method == 0;
  law.width = width;
  law.depth = depth;
  law.q = q;
  law.seed = seed;
  Array result = new_array({n_samples, width});
  double* out = result.mutable_data();
  const PythonPoll poll{progress};
  const py::gil_scoped_release release;
  simulate_jacobian(activation, law, n_samples, n_threads, out, poll);
  return result;
}

Array values_of_product(const py::list& factors, const py::object& progress) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  std::vector<Array> arrays;
  std::vector<Eigen::Map<const RowMajor>> matrices;
  for (const py::handle item : factors) {
    arrays.push_back(item.cast<Array>());
    const Array& factor = arrays.back();
    if (factor.ndim() != 2 || (!matrices.empty() && factor.shape(1) != matrices.back().rows())) {
      throw std::invalid_argument("factors must be matrices that can be multiplied");
    }
    matrices.emplace_back(factor.data(), factor.shape(0), factor.shape(1));
  }
  if (matrices.empty()) throw std::invalid_argument("factors must not be empty");
  const auto n = std::min(matrices.front().cols(), matrices.back().rows());
  Array result = new_array({n});
  double* out = result.mutable_data();
  const PythonPoll python{progress};
  std::int64_t done = 0;
  auto poll = [&] { python(done); };
  const py::gil_scoped_release release;
  Pause pause(poll);
  detail::log_singular_values(matrices, n, out, pause, done);
  python(static_cast<std::int64_t>(matrices.size()));
  return result;
}

}  // namespace

void bind_jacobian(py::module_& m) {
  m.def("simulate_jacobian", &jacobian_samples, py::arg("phi"), py::arg("sigma_w"),
        py::arg("sigma_b"), py::arg("weights"), py::arg("width"), py::arg("depth"), py::arg("q"),
        py::arg("n_samples"), py::arg("seed"), py::arg("method"), py::arg("n_threads"),
        py::arg("progress"));
  m.def("log_singular_values", &values_of_product, py::arg("factors"), py::arg("progress"));
}

}  // namespace meanfree
