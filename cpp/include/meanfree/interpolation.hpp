// Averages interpolated in q, for many ensembles of one activation. As functions of log q the
// averages of an analytic phi are analytic in a strip about 2 pi wide, so that over a factor 1.47
// of q a Chebyshev interpolant of 14 nodes is at rounding. Of two inputs, with a_k = E[phi(sqrt(q)
// z) He_k(z)] / sqrt(k!) (Mehler's series) and c = 1 - delta,
//     (E phi^2 - E phi(u1) phi(u2)) / delta = sum_j T_j c^j,     T_j(q) = sum_{k > j} a_k^2,
// has positive terms only: no cancellation for c -> 1. The T_j are what is interpolated.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/quadrature.hpp"
#include "meanfree/special.hpp"

namespace meanfree {

/// Chebyshev coefficients on the intervals of a grid in log q; shared by threads. What an interval
/// needs is filled when it is first asked for, by the thread that comes first, and depends on the
/// interval alone.
class Interpolation {
 public:
  static constexpr int n_nodes = 14;
  static constexpr int panel = 32;  // terms of the series come in panels
  enum Column { second, slope_squared, curvature_squared, length_slope, n_columns };
  enum Part { start, whole, n_parts, neither = -1 };  // of the series

  struct Lengths {
    double coefficient[n_columns][n_nodes] = {};
  };
  struct Series {
    std::vector<double>
        tail;  // (n_nodes, n_terms): Chebyshev coefficients of T_j; odd phi: of T_0, T_1 = T_2, ...
    std::int64_t n_terms = 0;
  };

  /// Intervals [first, first + n) of `per_decade` a decade from q = 1, for analytic phi.
  Interpolation(const Activation& phi, int per_decade, int first, int n,
                std::unique_ptr<Expectation> exact)
      : phi_(phi),
        per_decade_(per_decade),
        first_(first),
        n_(n),
        exact_(std::move(exact)),
        slots_(new Slot[n]) {}

  const Activation& phi() const { return phi_; }

  /// The interval of q, and where q lies in it, in [-1, 1]; -1: none.
  int locate(double q, double& x) const {
    const double position = special::log(q) * per_log();
    const double floor = std::floor(position);
    x = 2.0 * (position - floor) - 1.0;
    const double index = floor - first_;
    return index >= 0.0 && index < n_ ? static_cast<int>(index) : -1;
  }

  const Lengths& lengths(int interval) const {
    Slot& slot = slots_[interval];
    std::call_once(slot.lengths_once, [&] { fill_lengths(interval, slot.lengths); });
    return slot.lengths;
  }

  /// The shorter part of the series that holds `needed` terms (infinite: all that count at c = 1).
  Part part(int interval, double needed) const {
    const double pole = narrowest_pole(interval);
    const auto suffices = [&](Part part) {
      return needed <= static_cast<double>(n_terms(pole, part)) || ends(pole, part);
    };
    if (suffices(start)) return start;
    return pole >= shortest_pole && suffices(whole) ? whole : neither;
  }

  const Series& series(int interval, Part part) const {
    Slot& slot = slots_[interval];
    std::call_once(slot.series_once[part], [&] { fill_series(interval, part, slot.series[part]); });
    return slot.series[part];
  }

 private:
  struct Slot {
    std::once_flag lengths_once, series_once[n_parts];
    Lengths lengths;
    Series series[n_parts];
  };
  using Nodes = std::array<double, n_nodes>;

  // The start is all that most c need; the whole is made where q is short enough for it to be
  // cheap.
  static constexpr double max_order[n_parts] = {512, 3200};  // of the Hermite polynomials
  static constexpr double shortest_pole = 0.1;

  /// Distance of the nearest pole of phi(sqrt(q) z) at the end of the interval.
  double narrowest_pole(int interval) const {
    return phi_.pole_distance * std::exp(-0.5 * (first_ + interval + 1) / per_log());
  }

  int stride() const { return phi_.odd ? 2 : 1; }

  /// a_k falls like exp(-pole sqrt(k)): the order from which nothing counts even at c = 1.
  static double last_order(double pole) { return 30.0 + (18.0 / pole) * (18.0 / pole); }

  std::int64_t n_terms(double pole, Part part) const {
    const auto order = static_cast<std::int64_t>(std::min(last_order(pole), max_order[part]));
    return (order / stride() + panel - 1) / panel * panel;
  }

  bool ends(double pole, Part part) const {
    return last_order(pole) <= static_cast<double>(n_terms(pole, part) * stride());
  }

  double per_log() const { return per_decade_ * 0.43429448190325182765; }

  Nodes lengths_at_nodes(int interval) const {
    Nodes q;
    for (int m = 0; m < n_nodes; ++m) {
      const double x = std::cos(pi * (m + 0.5) / n_nodes);
      q[m] = std::exp((first_ + interval + 0.5 * (x + 1.0)) / per_log());
    }
    return q;
  }

  /// Coefficient k of the interpolant through values at the nodes.
  template <class Value>
  static double coefficient(int k, Value value) {
    double total = 0.0;
    for (int m = 0; m < n_nodes; ++m) total += std::cos(pi * k * (m + 0.5) / n_nodes) * value(m);
    return total * (k == 0 ? 1.0 : 2.0) / n_nodes;
  }

  void fill_lengths(int interval, Lengths& to) const {
    const Nodes q = lengths_at_nodes(interval);
    Nodes value[n_columns];
    Moments m;
    m.second = value[second].data();
    m.slope_squared = value[slope_squared].data();
    m.length_slope = value[length_slope].data();
    if (!phi_.slope_jumps) m.curvature_squared = value[curvature_squared].data();
    const std::lock_guard<std::mutex> lock(exact_mutex_);
    exact_->moments(q.data(), n_nodes, m);
    for (int column = 0; column < n_columns; ++column) {
      if (column == curvature_squared && phi_.slope_jumps) continue;
      for (int k = 0; k < n_nodes; ++k)
        to.coefficient[column][k] = coefficient(k, [&](int node) { return value[column][node]; });
    }
  }

  void fill_series(int interval, Part part_filled, Series& to) const {
    const Nodes q = lengths_at_nodes(interval);
    const double pole = narrowest_pole(interval);
    const std::int64_t n = n_terms(pole, part_filled);
    const int stride = this->stride();
    const Rule rule = half_rule(pole, std::sqrt(static_cast<double>(n * stride)));
    // over z > 0, phi(z) +- phi(-z) for even and odd k
    const std::int64_t size = rule.size();
    std::vector<double> part[2], x(size), y(size), below(size);
    for (auto& p : part) p.resize(n_nodes * size);
    Nodes whole{};
    for (int m = 0; m < n_nodes; ++m) {
      const double root = std::sqrt(q[m]);
      for (std::int64_t i = 0; i < size; ++i) x[i] = root * rule.z[i];
      phi_.value(x.data(), size, y.data());
      for (std::int64_t i = 0; i < size; ++i) x[i] = -x[i];
      phi_.value(x.data(), size, below.data());
      for (std::int64_t i = 0; i < size; ++i) {
        part[0][m * size + i] = 0.5 * rule.w[i] * (y[i] + below[i]);
        part[1][m * size + i] = 0.5 * rule.w[i] * (y[i] - below[i]);
      }
      const double *w = rule.w.data(), *f = y.data(), *g = below.data();
      whole[m] = 0.5 * sum(size, [=](auto i) { return w[i] * (f[i] * f[i] + g[i] * g[i]); });
    }
    // a_k^2 at every node
    std::vector<double> square(n_nodes * n), before(size, 0.0), now(size, 1.0);
    Nodes zeroth{};
    const double* z = rule.z.data();
    for (std::int64_t k = 0; k <= n * stride; ++k) {
      if (!phi_.odd || k % 2 == 1) {
        const double* h = now.data();
        for (int m = 0; m < n_nodes; ++m) {
          const double* f = part[k % 2].data() + m * size;
          const double a = sum(size, [=](auto i) { return f[i] * h[i]; });
          (k == 0 ? zeroth[m] : square[m * n + (k - 1) / stride]) = a * a;
        }
      }
      const double rise = 1.0 / std::sqrt(k + 1.0), fall = std::sqrt(static_cast<double>(k)) * rise;
      double *p = now.data(), *b = before.data();
      for (std::int64_t i = 0; i < size; ++i) {
        const double next = rise * z[i] * p[i] - fall * b[i];
        b[i] = p[i];
        p[i] = next;
      }
    }
    // tails: summed from the end where nothing is left out there, else from the start
    for (int m = 0; m < n_nodes; ++m) {
      double* s = square.data() + m * n;
      double tail = 0.0;
      if (!ends(pole, part_filled)) {
        tail = whole[m] - zeroth[m];
        for (std::int64_t j = 0; j < n; ++j) tail -= s[j];
        tail = std::max(tail, 0.0);
      }
      for (std::int64_t j = n - 1; j >= 0; --j) s[j] = tail += s[j];
    }
    to.tail.resize(n_nodes * n);
    for (int k = 0; k < n_nodes; ++k)
      for (int m = 0; m < n_nodes; ++m) {
        const double factor =
            std::cos(pi * k * (m + 0.5) / n_nodes) * (k == 0 ? 1.0 : 2.0) / n_nodes;
        for (std::int64_t j = 0; j < n; ++j) to.tail[k * n + j] += factor * square[m * n + j];
      }
    to.n_terms = n;
  }

  /// Rule over z > 0, of doubled weights, for phi times a Hermite function of wave number `wave`,
  /// which exp(-z^2/4) bounds: midpoints, or panels that double away from poles close by.
  static Rule half_rule(double pole, double wave) {
    constexpr double end = 12.5;
    Rule rule;
    if (pole < 0.2) {
      for (double left = 0.0, width = 0.3 * pole; left < end; width = std::min(left, 20.0 / wave)) {
        add_panel<24>(left, left + width, rule);
        left += width;
      }
      for (double& w : rule.w) w *= 2.0;
    } else {
      const double step = std::min(
          detail::coarsest_step, 2.0 * pi / (detail::accuracy_exponent / pole + 0.5 * pole + wave));
      for (double z = 0.5 * step; z < end; z += step)
        rule.add(z, 2.0 * step * std::exp(-0.5 * z * z) / std::sqrt(2.0 * pi));
    }
    rule.pad();
    return rule;
  }

  const Activation& phi_;
  int per_decade_, first_, n_;
  mutable std::mutex exact_mutex_;
  std::unique_ptr<Expectation> exact_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace meanfree
