#include "meanfree/boundary.hpp"

#include <algorithm>
#include <vector>

#include "activation.hpp"
#include "bindings.hpp"

namespace meanfree {

namespace {

BoundaryLaw boundary_law(double sigma_w, double sigma_b, int weights, std::int64_t width,
                         std::int64_t depth, std::uint64_t seed) {
  if (weights < 0 || weights > 1) throw std::invalid_argument("weights must be 0 or 1");
  BoundaryLaw law;
  law.sigma_w = sigma_w;
  law.sigma_b = sigma_b;
  law.orthogonal = weights == 1;
  law.width = width;
  law.depth = depth;
  law.seed = seed;
  return law;
}

py::tuple boundaries(const py::tuple& phi, double sigma_w, double sigma_b, int weights,
                     std::int64_t width, std::int64_t depth, double q, double level,
                     std::int64_t n_inputs, std::int64_t n_points, std::uint64_t seed,
                     int n_threads, const py::object& progress) {
  const Activation activation = to_activation(phi);
  BoundaryLaw law = boundary_law(sigma_w, sigma_b, weights, width, depth, seed);
  law.q = q;
  law.level = level;
  law.n_inputs = n_inputs;
  Array point = new_array({n_points, width}), levels = new_array({n_points}),
        residual = new_array({n_points}), norm = new_array({n_points, depth}),
        principal = new_array({n_points, depth, width - 1});
  const BoundaryResult out{point.mutable_data(), levels.mutable_data(), residual.mutable_data(),
                           norm.mutable_data(), principal.mutable_data()};
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    random_boundaries(activation, law, n_points, n_threads, out, poll);
  }
  return py::make_tuple(point, levels, residual, norm, principal);
}

Array copy_of(const Eigen::Map<const detail::Matrix>& transposed) {
  Array result = new_array({transposed.cols(), transposed.rows()});
  std::copy_n(transposed.data(), transposed.size(), result.mutable_data());
  return result;
}

Array copy_of(const Eigen::VectorXd& a) {
  Array result = new_array({a.size()});
  Eigen::Map<Eigen::VectorXd>(result.mutable_data(), a.size()) = a;
  return result;
}

py::tuple boundary_network(double sigma_w, double sigma_b, int weights, std::int64_t width,
                           std::int64_t depth, std::uint64_t seed, std::uint64_t sample) {
  const BoundaryLaw law = boundary_law(sigma_w, sigma_b, weights, width, depth, seed);
  detail::GivenNetwork net;
  auto nothing = [] {};
  Pause pause(nothing);
  detail::BoundaryDraw draw;
  draw.network(law, sample, net, pause);
  py::list matrices, biases;
  for (const auto& w : net.weights) matrices.append(copy_of(w));
  for (const Eigen::VectorXd& b : net.biases) biases.append(copy_of(b));
  return py::make_tuple(matrices, biases, copy_of(net.readout));
}

Eigen::VectorXd vector_of(const py::handle& item) {
  const Array a = item.cast<Array>();
  return Eigen::Map<const Eigen::VectorXd>(a.data(), a.size());
}

/// The network of a caller, with its arrays of weights.
struct BorrowedNetwork : detail::GivenNetwork {
  std::vector<Array> arrays;
};

BorrowedNetwork given_network(const py::list& weights, const py::list& biases,
                              const Array& readout) {
  BorrowedNetwork net;
  for (const py::handle item : weights) {
    const Array w = item.cast<Array>();
    if (w.ndim() != 2) throw std::invalid_argument("weights must be matrices");
    net.weights.emplace_back(w.data(), w.shape(1), w.shape(0));
    net.arrays.push_back(w);
  }
  for (const py::handle item : biases) net.biases.push_back(vector_of(item));
  net.readout = vector_of(readout);
  bool fits = !net.weights.empty() && net.biases.size() == net.weights.size();
  for (std::size_t k = 0; fits && k < net.weights.size(); ++k) {
    const detail::Index next =
        k + 1 < net.weights.size() ? net.weights[k + 1].rows() : net.readout.size();
    fits = net.weights[k].cols() == next && net.biases[k].size() == next;
  }
  if (!fits) throw std::invalid_argument("weights, biases and readout must fit together");
  return net;
}

/// Value, its rounding error, point, gradient norms and principal curvatures in each space; the
/// last two are empty if the level was not reached.
py::tuple level_set(const py::tuple& phi, const py::list& weights, const py::list& biases,
                    const Array& readout, const Array& point, double level, bool refine) {
  const Activation activation = to_activation(phi);
  const BorrowedNetwork net = given_network(weights, biases, readout);
  Eigen::VectorXd at = vector_of(point);
  if (at.size() != net.weights.front().rows()) throw std::invalid_argument("point must fit");
  double value = 0.0, rounding = 0.0;
  Eigen::VectorXd norms;
  std::vector<Eigen::VectorXd> principal;
  const PythonPoll poll{py::none()};
  {
    const py::gil_scoped_release release;
    for_each_block(
        1, 1,
        [&](std::int64_t, Pause& pause) {
          detail::LevelSet set(activation, net);
          if (refine) {
            value = level + set.refine(at, level, pause);
          } else {
            value = set.value(at, pause);
            set.gradient(pause);
          }
          rounding = 16.0 * set.rounding() + 1e-15 * std::fabs(level);
          if (refine && !(std::fabs(value - level) <= rounding)) return;
          set.require_normals();
          norms.resize(set.last() + 1);
          principal.resize(static_cast<std::size_t>(set.last() + 1));
          detail::CurvatureSolver solver;
          set.hessians(
              0,
              [&](detail::Index k, const detail::ConstMatrixView& hessian, bool zero) {
                Eigen::VectorXd& values = principal[static_cast<std::size_t>(k)];
                values.setZero(hessian.rows() - 1);
                norms[k] = std::exp(set.log_gradient_norm(k));
                if (!zero) solver.solve(hessian, set.normal(k), values.data(), pause);
              },
              pause);
        },
        poll);
  }
  py::list curvatures;
  for (const Eigen::VectorXd& values : principal) curvatures.append(copy_of(values));
  return py::make_tuple(value, rounding, copy_of(at), copy_of(norms), curvatures);
}

/// Value, gradients and Hessians of G with respect to the values in the spaces first ... last.
py::tuple level_set_hessians(const py::tuple& phi, const py::list& weights, const py::list& biases,
                             const Array& readout, const Array& point, std::int64_t first,
                             std::int64_t last) {
  const Activation activation = to_activation(phi);
  const BorrowedNetwork net = given_network(weights, biases, readout);
  const Eigen::VectorXd at = vector_of(point);
  const auto n_spaces = static_cast<std::int64_t>(net.weights.size()) + 1;
  if (at.size() != net.weights.front().rows() || first < 0 || last < first || last >= n_spaces) {
    throw std::invalid_argument("point and spaces must fit");
  }
  py::list gradients, hessians;
  std::vector<double*> gradient, hessian;
  for (std::int64_t k = first; k <= last; ++k) {
    const std::int64_t n = k == 0 ? at.size() : net.biases[k - 1].size();
    Array vector = new_array({n}), matrix = new_array({n, n});
    gradient.push_back(vector.mutable_data());
    hessian.push_back(matrix.mutable_data());
    gradients.append(vector);
    hessians.append(matrix);
  }
  double value = 0.0;
  const PythonPoll poll{py::none()};
  {
    const py::gil_scoped_release release;
    for_each_block(
        1, 1,
        [&](std::int64_t, Pause& pause) {
          detail::LevelSet set(activation, net);
          value = set.value(at, pause);
          set.gradient(pause);
          set.hessians(
              first,
              [&](detail::Index k, const detail::ConstMatrixView& of_unit, bool) {
                if (k > last) return;
                const double norm = std::exp(set.log_gradient_norm(k));
                const detail::Index n = of_unit.rows();
                Eigen::Map<Eigen::VectorXd>(gradient[k - first], n) = norm * set.normal(k);
                Eigen::Map<detail::Matrix>(hessian[k - first], n, n) = norm * of_unit;
              },
              pause);
        },
        poll);
  }
  return py::make_tuple(value, gradients, hessians);
}

}  // namespace

void bind_boundary(py::module_& m) {
  m.def("simulate_boundaries", &boundaries, py::arg("phi"), py::arg("sigma_w"), py::arg("sigma_b"),
        py::arg("weights"), py::arg("width"), py::arg("depth"), py::arg("q"), py::arg("level"),
        py::arg("n_inputs"), py::arg("n_points"), py::arg("seed"), py::arg("n_threads"),
        py::arg("progress"));
  m.def("boundary_network", &boundary_network, py::arg("sigma_w"), py::arg("sigma_b"),
        py::arg("weights"), py::arg("width"), py::arg("depth"), py::arg("seed"), py::arg("sample"));
  m.def("level_set", &level_set, py::arg("phi"), py::arg("weights"), py::arg("biases"),
        py::arg("readout").noconvert(), py::arg("point").noconvert(), py::arg("level"),
        py::arg("refine"));
  m.def("level_set_hessians", &level_set_hessians, py::arg("phi"), py::arg("weights"),
        py::arg("biases"), py::arg("readout").noconvert(), py::arg("point").noconvert(),
        py::arg("first"), py::arg("last"));
}

}  // namespace meanfree
