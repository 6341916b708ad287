// The search for c* = 1 - delta of many inputs at once (fixed_point.hpp): the root of
//     P(delta) = delta' / delta - 1,   delta' = (sigma_w^2 D(delta) + (1/keep - 1) sigma_w^2 E
//     phi^2) / q*.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/special.hpp"

namespace meanfree {

/// The searches for c* that go on, as columns, so that a step of all of them is vectorised.
struct CorrelationSearch {
  enum Name {
    q,
    weight,
    dropped,
    top,
    delta,
    low,
    high,
    previous,
    close,
    chi,
    done,
    product,  // what follows is made anew in every step
    deficit,
    slope,
    n_columns
  };
  std::vector<double> column[n_columns];
  std::vector<std::int64_t> cell;

  double* operator[](Name name) { return column[name].data(); }

  /// One step of safeguarded Newton on P(delta) = delta' / delta - 1; `from_below`: where c < c*
  /// on C(c) - c, which never steps across the root of a convex C. Where P(0) is known, `top`
  /// > 0, Newton's straight line is bent to pass there: (a + b delta) / (1 + d delta).
  void step(std::int64_t n, bool from_below) {
    using special::detail::fma;
    const double *q_ = column[q].data(), *weight_ = column[weight].data(),
                 *dropped_ = column[dropped].data(), *top_ = column[top].data();
    const double *deficit_ = column[deficit].data(), *slope_ = column[slope].data();
    double *delta_ = column[delta].data(), *low_ = column[low].data(), *high_ = column[high].data();
    double *previous_ = column[previous].data(), *close_ = column[close].data(),
           *chi_ = column[chi].data();
    double* done_ = column[done].data();
    MEANFREE_INDEPENDENT
    for (std::int64_t k = 0; k < n; ++k) {
      const double at = delta_[k], chi_at = weight_[k] * slope_[k];
      const bool open = done_[k] == 0.0;
      const double ratio = fma(weight_[k], deficit_[k], dropped_[k]) / (q_[k] * at);
      const double left = ratio > 1.0 ? at : low_[k], right = ratio > 1.0 ? high_[k] : at;
      const double base = ratio > 1.0 || !from_below ? ratio : 1.0;
      const double over = ratio - 1.0, line = over / (chi_at - base);
      const double newton = fma(-line, at, at);
      const double bent = at * (top_[k] / fma(top_[k] - over, line, top_[k]));
      const double proposed = top_[k] > 0.0 ? bent : newton;
      const double middle = left > 0.0 ? std::sqrt(left * right) : 0.1 * right;
      const double next = (proposed >= left) & (proposed <= right) ? proposed : middle;
      const double move = std::fabs(next - at);
      const bool stalled = (move < 1e-6 * next) & (move >= 0.5 * previous_[k]);
      const bool settled = (move <= 4e-16 * next) | (close_[k] > 0.0) | stalled;
      done_[k] = open & !settled ? 0.0 : 1.0;
      close_[k] =
          move < 1e-7 * next ? 1.0 : 0.0;  // quadratic convergence: one more step is the last
      previous_[k] = move;
      delta_[k] = open ? next : at;
      low_[k] = left;
      high_[k] = right;
      chi_[k] = open ? chi_at : chi_[k];
    }
  }
};

}  // namespace meanfree
