#include <stdexcept>

#include "activation.hpp"
#include "bindings.hpp"
#include "meanfree/random_curve.hpp"

namespace meanfree {

namespace {

/// `start` is (parts * n_points, rank): a column of the start is a row here.
CurveLaw curve_law(double sigma_w, double sigma_b, int weights, std::int64_t width,
                   std::int64_t depth, const Array& start, std::int64_t frame, double scale,
                   double start_bias, const Array& weight, bool closed, std::uint64_t seed,
                   int method) {
  if (weights < 0 || weights > 1 || method < 0 || method > 2) {
    throw std::invalid_argument("weights must be 0 or 1, method 0, 1 or 2");
  }
  if (start.ndim() != 2 || weight.ndim() != 1 || weight.size() == 0 ||
      start.shape(0) % weight.size() != 0) {
    throw std::invalid_argument("start must have a row for each part of each point");
  }
  CurveLaw law;
  law.sigma_w = sigma_w;
  law.sigma_b = sigma_b;
  law.weights = weights == 0 ? Weights::gaussian : Weights::orthogonal;
  law.method = method == 0   ? CurveMethod::automatic
               : method == 1 ? CurveMethod::gram
                             : CurveMethod::weights;
  law.width = width;
  law.depth = depth;
  law.seed = seed;
  law.parts = static_cast<int>(start.shape(0) / weight.size());
  law.start = start.data();
  law.rank = start.shape(1);
  law.frame = frame;
  law.scale = scale;
  law.start_bias = start_bias;
  law.weight = weight.data();
  law.n_points = weight.size();
  law.closed = closed;
  return law;
}

Array curve_samples(const py::tuple& phi, double sigma_w, double sigma_b, int weights,
                    std::int64_t width, std::int64_t depth, const Array& start, std::int64_t frame,
                    double scale, double start_bias, const Array& weight, bool closed,
                    std::int64_t n_samples, std::uint64_t seed, int method, bool single,
                    int n_threads, const py::object& progress) {
  const CurveLaw law = curve_law(sigma_w, sigma_b, weights, width, depth, start, frame, scale,
                                 start_bias, weight, closed, seed, method);
  const Activation activation = to_activation(phi);
  Array result = new_array({curve_fields + 1, n_samples, depth});
  double* out = result.mutable_data();
  const PythonPoll poll{progress};
  const py::gil_scoped_release release;
  if (single) {
    simulate_curve<float>(activation, law, n_samples, n_threads, out, poll);
  } else {
    simulate_curve<double>(activation, law, n_samples, n_threads, out, poll);
  }
  return result;
}

Array curve_of_network(const py::tuple& phi, double sigma_w, double sigma_b, int weights,
                       std::int64_t width, std::int64_t depth, const Array& start,
                       std::int64_t frame, double scale, double start_bias, const Array& weight,
                       bool closed, std::uint64_t sample, std::uint64_t seed, int method,
                       bool single) {
  const CurveLaw law = curve_law(sigma_w, sigma_b, weights, width, depth, start, frame, scale,
                                 start_bias, weight, closed, seed, method);
  const Activation activation = to_activation(phi);
  Array result = new_array({depth, law.parts, law.n_points, width});
  double* out = result.mutable_data();
  const PythonPoll poll{py::none()};
  const py::gil_scoped_release release;
  if (single) {
    propagate_curve<float>(activation, law, sample, out, poll);
  } else {
    propagate_curve<double>(activation, law, sample, out, poll);
  }
  return result;
}

}  // namespace

void bind_curve(py::module_& m) {
  m.def("simulate_curve", &curve_samples, py::arg("phi"), py::arg("sigma_w"), py::arg("sigma_b"),
        py::arg("weights"), py::arg("width"), py::arg("depth"), py::arg("start").noconvert(),
        py::arg("frame"), py::arg("scale"), py::arg("start_bias"), py::arg("weight").noconvert(),
        py::arg("closed"), py::arg("n_samples"), py::arg("seed"), py::arg("method"),
        py::arg("single"), py::arg("n_threads"), py::arg("progress"));
  m.def("propagate_curve", &curve_of_network, py::arg("phi"), py::arg("sigma_w"),
        py::arg("sigma_b"), py::arg("weights"), py::arg("width"), py::arg("depth"),
        py::arg("start").noconvert(), py::arg("frame"), py::arg("scale"), py::arg("start_bias"),
        py::arg("weight").noconvert(), py::arg("closed"), py::arg("sample"), py::arg("seed"),
        py::arg("method"), py::arg("single"));
}

}  // namespace meanfree
