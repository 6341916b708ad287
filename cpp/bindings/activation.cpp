#include "activation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "bindings.hpp"

namespace meanfree {

namespace {

/// A Python callable as a function on arrays. Borrows the callable; takes the GIL for each call.
ArrayFunction array_function(py::handle function) {
  return [function](const double* x, std::int64_t n, double* y) {
    const py::gil_scoped_acquire gil;
    Array argument = new_array({n});
    std::copy(x, x + n, argument.mutable_data());
    const Array result = function(argument).cast<Array>();
    if (result.size() != n)
      throw std::invalid_argument("function must return an array of the shape of its argument");
    std::copy(result.data(), result.data() + n, y);
  };
}

/// Does f jump at k by more than a smooth function can change over the step?
bool jumps(const ArrayFunction& f, double k) {
  const double step = 1e-7 * std::max(1.0, std::fabs(k)),
               x[4] = {k - 2 * step, k - step, k + step, k + 2 * step};
  double y[4];
  f(x, 4, y);
  const double scale = std::max({1.0, std::fabs(y[1]), std::fabs(y[2])});
  const double smooth = std::fabs(y[1] - y[0]) + std::fabs(y[3] - y[2]);
  return std::fabs(y[2] - y[1]) > 1e-5 * scale + 4.0 * smooth;
}

/// Is f(x) = right x for x > 0 and left x for x < 0, to rounding?
bool is_homogeneous(const ArrayFunction& f, double& left, double& right) {
  // small arguments first: a function that grows fast is not asked for large ones
  for (const double size : {1.0, 200.0, 2e5}) {
    double x[6] = {0.01, 0.7, 5.0, -0.01, -0.7, -5.0}, y[6];
    for (double& value : x) value *= size;
    f(x, 6, y);
    if (size == 1.0) {
      right = y[1] / x[1];
      left = y[4] / x[4];
    }
    for (int i = 0; i < 6; ++i) {
      const double expected = (x[i] > 0.0 ? right : left) * x[i];
      if (!(std::fabs(y[i] - expected) <= 1e-15 * std::fabs(expected))) return false;
    }
  }
  return true;
}

}  // namespace

Activation to_activation(const py::tuple& spec) {
  if (spec.size() == 2)
    return built_in_activation(spec[0].cast<std::string>(), spec[1].cast<double>());
  if (spec.size() != 4) throw std::invalid_argument("an activation is a tuple of 2 or 4 items");
  Activation phi;
  phi.name = "user";
  phi.family = Family::graded;
  phi.user_defined = true;
  phi.value = array_function(spec[0]);
  phi.derivative = array_function(spec[1]);
  phi.second_derivative = array_function(spec[2]);
  const Array kinks = spec[3].cast<Array>();
  phi.kinks.assign(kinks.data(), kinks.data() + kinks.size());
  for (const double k : phi.kinks) {
    phi.value_jumps = phi.value_jumps || jumps(phi.value, k);
    phi.slope_jumps = phi.slope_jumps || phi.value_jumps || jumps(phi.derivative, k);
  }
  phi.final_slope_squared = std::nan("");
  double left = 0.0, right = 0.0;
  if (is_homogeneous(phi.value, left, right) && right != 0.0) {
    // a straight length map: quadrature could not tell a marginal one from its rounding
    phi.family = Family::homogeneous;
    phi.user_defined = false;
    phi.gain = left / right;
    phi.scale = right;
    phi.slope_jumps = left != right;
    phi.final_slope_squared = 0.5 * (left * left + right * right);
  }
  return phi;
}

void bind_activation(py::module_& m) {
  m.def(
      "evaluate",
      [](const py::tuple& phi, int order, const Array& x) {
        if (order < 0 || order > 2) throw std::invalid_argument("order must be 0, 1 or 2");
        const Activation activation = to_activation(phi);
        Array y = new_array({x.size()});
        const ArrayFunction& f = order == 0   ? activation.value
                                 : order == 1 ? activation.derivative
                                              : activation.second_derivative;
        f(x.data(), x.size(), y.mutable_data());
        return y;
      },
      py::arg("phi"), py::arg("order"), py::arg("x").noconvert());
}

}  // namespace meanfree
