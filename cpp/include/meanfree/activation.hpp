// Activations phi: value, first and second derivative as functions on arrays, kinks, and the facts
// about phi that decide how a Gaussian average over it is computed.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/special.hpp"

namespace meanfree {

/// y[i] = f(x[i]) for i < n; called on blocks of 64 values or more wherever speed matters.
using ArrayFunction = std::function<void(const double* x, std::int64_t n, double* y)>;

/// y[i] = f(x[i]) and dy[i] = f'(x[i]) for i < n.
using JetFunction = std::function<void(const double* x, std::int64_t n, double* y, double* dy)>;

/// y[i] = E phi(m[i] + s z) and dy[i] = E phi'(m[i] + s z) for i < n, z ~ N(0, 1), s > 0.
using SmoothFunction =
    std::function<void(const double* m, double s, std::int64_t n, double* y, double* dy)>;

/// How Gaussian averages over phi are computed (expectation.hpp).
enum class Family {
  homogeneous,  // phi(h) = a h for h < 0, h for h > 0: E phi^2 = s q exactly
  erf,          // erf(gain h)
  sine,         // sin h
  gelu,         // h Phi(h)
  clip,         // min(max(h, low), high)
  analytic,     // no kink; poles at distance pole_distance from the real axis
  graded,       // smooth between kinks: panels graded towards them
};

struct Activation {
  std::string name;
  double parameter = 0.0;
  Family family = Family::graded;
  ArrayFunction value, derivative, second_derivative;
  JetFunction jet;               // value and derivative in one pass; empty: call both
  SmoothFunction smoothed;       // graded: in closed form; empty: by quadrature
  std::vector<double> kinks;     // where phi, phi' or phi'' jumps, ascending
  bool odd = false;              // phi(-h) = -phi(h)
  bool slope_jumps = false;      // phi' jumps somewhere: E phi''^2 is infinite
  bool value_jumps = false;      // phi jumps somewhere: E phi'^2 is infinite
  bool user_defined = false;     // the panels are refined until the averages settle
  bool concave_length = false;   // E phi^2 / q falls with q: one fixed point q > 0 at most
  double pole_distance = 0.0;    // analytic: distance of the nearest pole from the real axis
  double low = 0.0, high = 0.0;  // clip: the two bounds
  double gain = 1.0;             // erf: phi = erf(gain h); homogeneous: the slope at h < 0
  double scale = 1.0;  // homogeneous: the slope at h > 0; `gain` is that at h < 0 over this
  /// lim E phi^2 / q as q -> inf, (phi'(inf)^2 + phi'(-inf)^2) / 2; NaN: not known.
  double final_slope_squared = 0.0;

  void value_and_derivative(const double* x, std::int64_t n, double* y, double* dy) const {
    if (jet) {
      jet(x, n, y, dy);
    } else {
      value(x, n, y);
      derivative(x, n, dy);
    }
  }
};

namespace detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double selu_scale = 1.0507009873554804934193349852946;
inline constexpr double selu_alpha = 1.6732632423543772848170429916717;
inline constexpr double half_sqrt_pi = 0.88622692545275801364908374167057;

/// Wrap a scalar function of (x, parameter) as a loop over an array.
template <class F>
ArrayFunction loop(F f, double p = 0.0) {
  return [f, p](const double* x, std::int64_t n, double* y) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(x[i], p);
  };
}

/// Wrap a scalar function of x that sets the value and the derivative. Here 1 - phi may be used for
/// the derivative: exact to rounding of phi, not relative to itself, which is all that an average
/// needs.
template <class F>
JetFunction jet_loop(F f) {
  return [f](const double* x, std::int64_t n, double* y, double* dy) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) f(x[i], y[i], dy[i]);
  };
}

inline double gelu_tanh_argument(double x) {  // 2 sqrt(2/pi) (x + 0.044715 x^3)
  return 1.5957691216057307117597842397375 * x * (1.0 + 0.044715 * x * x);
}
inline double gelu_tanh_argument_slope(double x) {
  const double square = special::detail::at_most(x * x, 1e4);  // beyond, sigma(u) is 0 or 1
  return 1.5957691216057307117597842397375 * (1.0 + 0.134145 * square);
}

inline Activation homogeneous(double negative_slope) {
  Activation phi;
  phi.family = Family::homogeneous;
  phi.gain = negative_slope;
  phi.value = loop([](double x, double a) { return x > 0.0 ? x : a * x; }, negative_slope);
  phi.derivative = loop([](double x, double a) { return x > 0.0 ? 1.0 : a; }, negative_slope);
  phi.second_derivative = loop([](double, double) { return 0.0; });
  phi.slope_jumps = negative_slope != 1.0;
  if (phi.slope_jumps) phi.kinks = {0.0};
  phi.odd = !phi.slope_jumps;
  phi.final_slope_squared = 0.5 * (1.0 + negative_slope * negative_slope);
  return phi;
}

inline Activation clipped(double low, double high) {
  Activation phi;
  phi.family = Family::clip;
  phi.low = low;
  phi.high = high;
  phi.value = [low, high](const double* x, std::int64_t n, double* y) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double raised = x[i] < low ? low : x[i];
      y[i] = raised > high ? high : raised;
    }
  };
  phi.derivative = [low, high](const double* x, std::int64_t n, double* y) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) y[i] = (x[i] > low && x[i] < high) ? 1.0 : 0.0;
  };
  phi.second_derivative = loop([](double, double) { return 0.0; });
  phi.slope_jumps = true;
  phi.kinks = {low};
  if (high < infinity) phi.kinks.push_back(high);
  phi.odd = low == -high;
  phi.final_slope_squared = high < infinity ? 0.0 : 0.5;
  phi.concave_length = low == -high;
  return phi;
}

inline Activation error_function(double gain) {
  Activation phi;
  phi.family = Family::erf;
  phi.gain = gain;
  phi.odd = true;
  phi.value = loop([](double x, double g) { return special::erf(g * x); }, gain);
  phi.derivative = loop(
      [](double x, double g) { return g / half_sqrt_pi * special::exp(-g * g * x * x); }, gain);
  phi.second_derivative = loop(
      [](double x, double g) {
        return -2.0 * g * g * x * (g / half_sqrt_pi) * special::exp(-g * g * x * x);
      },
      gain);
  phi.concave_length = true;
  return phi;
}

inline Activation sine() {
  Activation phi;
  phi.family = Family::sine;
  phi.odd = true;
  phi.value = [](const double* x, std::int64_t n, double* y) { special::sin(x, n, y); };
  phi.derivative = [](const double* x, std::int64_t n, double* y) { special::cos(x, n, y); };
  phi.second_derivative = [](const double* x, std::int64_t n, double* y) {
    special::sin(x, n, y);
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) y[i] = -y[i];
  };
  phi.concave_length = true;
  return phi;
}

inline Activation gelu() {
  Activation phi;
  phi.family = Family::gelu;
  phi.value = loop([](double x, double) { return x * special::normal_cdf(x); });
  phi.derivative =
      loop([](double x, double) { return special::normal_cdf(x) + x * special::normal_pdf(x); });
  phi.second_derivative = loop([](double x, double) {
    return (2.0 - special::detail::at_most(x * x, 1e4)) * special::normal_pdf(x);
  });
  phi.final_slope_squared = 0.5;
  return phi;
}

inline Activation hyperbolic_tangent() {
  Activation phi;
  phi.family = Family::analytic;
  phi.odd = true;
  phi.pole_distance = 1.5707963267948966;
  phi.value = loop([](double x, double) { return special::tanh(x); });
  phi.derivative = loop([](double x, double) { return special::sech_squared(x); });
  phi.second_derivative =
      loop([](double x, double) { return -2.0 * special::tanh(x) * special::sech_squared(x); });
  phi.jet = jet_loop([](double x, double& y, double& dy) {
    y = special::tanh(x);
    dy = 1.0 - y * y;
  });
  phi.concave_length = true;
  return phi;
}

inline Activation sigmoid() {
  Activation phi;
  phi.family = Family::analytic;
  phi.pole_distance = 3.141592653589793;
  phi.value = loop([](double x, double) { return special::sigmoid(x); });
  phi.derivative =
      loop([](double x, double) { return special::sigmoid(x) * special::sigmoid(-x); });
  phi.second_derivative = loop([](double x, double) {
    const double s = special::sigmoid(x), r = special::sigmoid(-x);
    return s * r * (r - s);
  });
  phi.jet = jet_loop([](double x, double& y, double& dy) {
    y = special::sigmoid(x);
    dy = y * (1.0 - y);
  });
  return phi;
}

inline Activation softplus() {
  Activation phi;
  phi.family = Family::analytic;
  phi.pole_distance = 3.141592653589793;
  phi.value = loop([](double x, double) { return special::softplus(x); });
  phi.derivative = loop([](double x, double) { return special::sigmoid(x); });
  phi.second_derivative =
      loop([](double x, double) { return special::sigmoid(x) * special::sigmoid(-x); });
  phi.final_slope_squared = 0.5;
  phi.jet = jet_loop([](double x, double& y, double& dy) {
    y = special::softplus(x);
    dy = special::sigmoid(x);
  });
  return phi;
}

inline Activation silu() {
  Activation phi;
  phi.family = Family::analytic;
  phi.pole_distance = 3.141592653589793;
  phi.value = loop([](double x, double) { return x * special::sigmoid(x); });
  phi.derivative = loop([](double x, double) {
    const double s = special::sigmoid(x);
    return s + x * s * special::sigmoid(-x);
  });
  phi.second_derivative = loop([](double x, double) {
    const double s = special::sigmoid(x), r = special::sigmoid(-x);
    return s * r * (2.0 + x * (r - s));
  });
  phi.final_slope_squared = 0.5;
  phi.jet = jet_loop([](double x, double& y, double& dy) {
    const double s = special::sigmoid(x);
    y = x * s;
    dy = s + y * (1.0 - s);
  });
  return phi;
}

/// x sigma(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3); its nearest poles are at +-0.634 +- 2.755i.
inline Activation gelu_tanh() {
  Activation phi;
  phi.family = Family::analytic;
  phi.pole_distance = 2.7547706;
  phi.value = loop([](double x, double) { return x * special::sigmoid(gelu_tanh_argument(x)); });
  phi.derivative = loop([](double x, double) {
    const double u = gelu_tanh_argument(x), s = special::sigmoid(u), r = special::sigmoid(-u);
    return s + x * (gelu_tanh_argument_slope(x) * (s * r));
  });
  phi.second_derivative = loop([](double far, double) {
    const double x = special::detail::at_most(special::detail::at_least(far, -100.0), 100.0);
    const double u = gelu_tanh_argument(x), s = special::sigmoid(u), r = special::sigmoid(-u);
    const double slope = gelu_tanh_argument_slope(x), curvature = 0.26829 * 1.5957691216057307 * x;
    return s * r * (2.0 * slope + x * ((r - s) * slope * slope + curvature));
  });
  phi.final_slope_squared = 0.5;
  phi.jet = jet_loop([](double x, double& y, double& dy) {
    const double s = special::sigmoid(gelu_tanh_argument(x));
    y = x * s;
    dy = s + y * (1.0 - s) * gelu_tanh_argument_slope(x);
  });
  return phi;
}

inline Activation arctangent() {
  Activation phi;
  phi.family = Family::analytic;
  phi.odd = true;
  phi.pole_distance = 1.0;
  phi.value = loop([](double x, double) { return special::atan(x); });
  phi.derivative = loop([](double x, double) { return 1.0 / (1.0 + x * x); });
  phi.second_derivative = loop([](double x, double) {
    const double d = 1.0 / (1.0 + x * x);
    return -2.0 * x * d * d;
  });
  phi.concave_length = true;
  phi.jet = jet_loop([](double x, double& y, double& dy) {
    y = special::atan(x);
    dy = 1.0 / (1.0 + x * x);
  });
  return phi;
}

/// E[e^u; u < 0] for u ~ N(m, s^2): e^(m + s^2/2) P(z > y), y = (m + s^2) / s. For large y the two
/// factors over- and underflow; there the tail probability is its asymptotic series, and the
/// exponentials combine.
inline double exponential_below(double m, double s) {
  const double y = (m + s * s) / s, bounded = y < 30.0 ? y : 30.0,
               inverse = 1.0 / (y > 30.0 ? y * y : 900.0);
  const double exponent = m + 0.5 * s * s;
  const double near =
      special::exp(exponent < 450.0 ? exponent : 450.0) * special::normal_cdf(-bounded);
  const double series =
      1.0 + inverse * (-1.0 + inverse * (3.0 + inverse * (-15.0 + inverse * 105.0)));
  const double far = special::normal_pdf(m / s) / (y > 30.0 ? y : 30.0) * series;
  return y < 30.0 ? near : far;
}

/// scale h for h > 0, scale alpha (e^h - 1) for h < 0: elu (scale 1) and selu.
inline Activation exponential_linear(double alpha, double scale) {
  Activation phi;
  phi.family = Family::graded;
  phi.kinks = {0.0};
  phi.slope_jumps = alpha != 1.0;
  phi.value = [alpha, scale](const double* x, std::int64_t n, double* y) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double left = alpha * special::expm1(x[i] < 0.0 ? x[i] : 0.0);
      y[i] = scale * (x[i] > 0.0 ? x[i] : left);
    }
  };
  phi.derivative = [alpha, scale](const double* x, std::int64_t n, double* y) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double left = alpha * special::exp(x[i] < 0.0 ? x[i] : 0.0);
      y[i] = scale * (x[i] > 0.0 ? 1.0 : left);
    }
  };
  phi.second_derivative = [alpha, scale](const double* x, std::int64_t n, double* y) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double left = alpha * special::exp(x[i] < 0.0 ? x[i] : 0.0);
      y[i] = scale * (x[i] > 0.0 ? 0.0 : left);
    }
  };
  phi.smoothed = [alpha, scale](const double* m, double s, std::int64_t n, double* y, double* dy) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double ratio = m[i] / s, above = special::normal_cdf(ratio),
                   below = special::normal_cdf(-ratio);
      const double decaying = alpha * exponential_below(m[i], s);
      y[i] = scale * (m[i] * above + s * special::normal_pdf(ratio) + decaying - alpha * below);
      dy[i] = scale * (above + decaying);
    }
  };
  phi.final_slope_squared = 0.5 * scale * scale;
  return phi;
}

}  // namespace detail

/// The built-in activation of this name; parameter is negative_slope, shift or alpha where it has
/// one.
inline Activation built_in_activation(const std::string& name, double parameter) {
  struct Entry {
    const char* name;
    Activation (*make)(double);
  };
  static const Entry table[] = {
      {"linear", [](double) { return detail::homogeneous(1.0); }},
      {"relu", [](double) { return detail::homogeneous(0.0); }},
      {"leaky_relu", [](double slope) { return detail::homogeneous(slope); }},
      {"shifted_relu", [](double shift) { return detail::clipped(-shift, detail::infinity); }},
      {"hard_tanh", [](double) { return detail::clipped(-1.0, 1.0); }},
      {"tanh", [](double) { return detail::hyperbolic_tangent(); }},
      {"erf", [](double) { return detail::error_function(1.0); }},
      {"erf_scaled", [](double) { return detail::error_function(detail::half_sqrt_pi); }},
      {"sigmoid", [](double) { return detail::sigmoid(); }},
      {"gelu", [](double) { return detail::gelu(); }},
      {"gelu_tanh", [](double) { return detail::gelu_tanh(); }},
      {"silu", [](double) { return detail::silu(); }},
      {"elu", [](double alpha) { return detail::exponential_linear(alpha, 1.0); }},
      {"selu",
       [](double) { return detail::exponential_linear(detail::selu_alpha, detail::selu_scale); }},
      {"softplus", [](double) { return detail::softplus(); }},
      {"sin", [](double) { return detail::sine(); }},
      {"arctan", [](double) { return detail::arctangent(); }},
  };
  for (const Entry& entry : table) {
    if (name == entry.name) {
      Activation phi = entry.make(parameter);
      phi.name = name;
      phi.parameter = parameter;
      return phi;
    }
  }
  throw std::invalid_argument("activation: no built-in is called '" + name + "'");
}

}  // namespace meanfree
