// The critical line chi_1 = 1, parametrised by the length q of its fixed point:
//     sigma_w^2(q) = 1 / E phi'^2,   sigma_b^2(q) = q - E phi^2 / E phi'^2,
// so that a given sigma_b is one equation in q. A point is reached by the length map only if V'(q)
// < 1 there.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"

namespace meanfree {

struct CriticalPoint {
  double sigma_w, q, length_slope;
  bool stable;
};

class CriticalLine {
 public:
  CriticalLine(const Activation& phi, Expectation& average) : phi_(phi), average_(average) {
    const int above = phi.user_defined ? 6 : 20;  // decades
    for (int j = -8 * per_decade; j <= above * per_decade; ++j)
      q_.push_back(std::pow(10.0, static_cast<double>(j) / per_decade));
    const std::int64_t n = static_cast<std::int64_t>(q_.size());
    std::vector<double> second(n), slope(n);
    Moments m;
    m.second = second.data();
    m.slope_squared = slope.data();
    average_.moments(q_.data(), n, m);
    for (std::int64_t j = 0; j < n; ++j) bias_.push_back(q_[j] - second[j] / slope[j]);
  }

  /// The stable point at this sigma_b if there is one, else an unstable one, else all NaN.
  CriticalPoint at(double sigma_b) {
    if (phi_.value_jumps) return none();
    if (phi_.family == Family::homogeneous) {
      const double sigma_w = std::sqrt(1.0 / phi_.final_slope_squared);
      return sigma_b == 0.0 ? CriticalPoint{sigma_w, 1.0, 1.0, true} : none();
    }
    CriticalPoint found = sigma_b == 0.0 ? at_zero() : none();
    const double bias = sigma_b * sigma_b;
    for (std::size_t j = 0; j + 1 < q_.size() && !found.stable; ++j) {
      if ((bias_[j] < bias) == (bias_[j + 1] < bias)) continue;
      const CriticalPoint point = refine(bias, q_[j], q_[j + 1], bias_[j] < bias);
      if (std::isnan(found.q) || point.stable) found = point;
    }
    return found;
  }

 private:
  static constexpr int per_decade = 12;

  static CriticalPoint none() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, nan, nan, false};
  }

  /// E phi^2, E phi'^2 and dE phi^2/dq at one q.
  struct At {
    double second, slope, length_slope;
  };
  At averages_at(double q) {
    At at;
    Moments m;
    m.second = &at.second;
    m.slope_squared = &at.slope;
    m.length_slope = &at.length_slope;
    average_.moments(&q, 1, m);
    return at;
  }

  /// The end q = 0 of the line, for phi(0) = 0. V' = 1 there: what counts is the side from which V'
  /// comes.
  CriticalPoint at_zero() {
    const At zero = averages_at(0.0);
    if (zero.second != 0.0 || !(zero.slope > 0.0)) return none();
    const At near = averages_at(1e-6);
    return {std::sqrt(1.0 / zero.slope), 0.0, zero.length_slope / zero.slope,
            near.length_slope / near.slope <= 1.0 + 1e-9};
  }

  /// Root of sigma_b^2(q) = bias in [left, right] by bisection and secant steps in turn.
  CriticalPoint refine(double bias, double left, double right, bool rises) {
    double f_left = 0.0, f_right = 0.0;
    At at{};
    for (int step = 0; step < 200 && right - left > 4e-16 * right; ++step) {
      double q = 0.5 * (left + right);
      if (step % 3 != 0 && f_left * f_right < 0.0)
        q = left - f_left * (right - left) / (f_right - f_left);
      if (!(q > left && q < right)) q = 0.5 * (left + right);
      if (!(q > left && q < right)) break;
      at = averages_at(q);
      const double f = q - at.second / at.slope - bias;
      if (f == 0.0)
        left = right = q;
      else if ((f < 0.0) == rises)
        left = q, f_left = f;
      else
        right = q, f_right = f;
    }
    const double q = 0.5 * (left + right);
    at = averages_at(q);
    const double length_slope = at.length_slope / at.slope;
    return {std::sqrt(1.0 / at.slope), q, length_slope, length_slope < 1.0};
  }

  const Activation& phi_;
  Expectation& average_;
  std::vector<double> q_, bias_;
};

}  // namespace meanfree
