// Singular values of an upper bidiagonal matrix B, each with high relative accuracy: the
// differential qd algorithm with shifts (Fernando and Parlett 1994). With q_k and e_k the squares
// of the diagonal and of the superdiagonal, a step with shift tau below the least eigenvalue of
// B^T B takes them to those of a B' with B'^T B' = B B^T - tau:
//
//     d_1 = q_1 - tau,  q'_k = d_k + e_k,  e'_k = e_k q_{k+1} / q'_k,
//     d_{k+1} = d_k q_{k+1} / q'_k - tau
//
// There are no subtractions but of tau, so that no singular value is lost to a larger one. For tau
// = 0, 1 / d_k is the squared length of column k of B^-1: to drop e_k changes no singular value by
// more than the part sqrt(e_k / d_k) of itself.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "meanfree/parallel.hpp"

namespace meanfree {
namespace detail {

/// Eigenvalues of B^T B, in any order; one solver for each thread.
class BidiagonalSolver {
 public:
  /// `values` receives n numbers; q and e are overwritten.
  void solve(std::int64_t n, double* q, double* e, double* values, Pause& pause) {
    if (static_cast<std::int64_t>(next_q_.size()) < n) {
      next_q_.resize(static_cast<std::size_t>(n));
      next_e_.resize(static_cast<std::size_t>(n));
    }
    segments_.assign(1, {0, n, 0.0, 0.0});
    while (!segments_.empty()) {
      const Segment s = segments_.back();
      segments_.pop_back();
      solve_segment(s, q, e, values, pause);
    }
  }

 private:
  static constexpr double tolerance = 0x1p-46 * 0x1p-46;  // of squares
  static constexpr double second_order = 0x1p-56;

  struct Segment {
    std::int64_t begin, end;
    double sigma;  // what was subtracted from each eigenvalue
    double extra;  // what B B^T has in its last entry beside q
  };

  /// What a step tells beside the new q and e.
  struct Step {
    bool good = true, late = false;  // no d < 0; only the last d < 0
    double last = 0.0, least = 0.0;  // the last d, the least of the others
    std::int64_t split = -1;         // the last k with a negligible e_k
  };

  Step step(const double* q, const double* e, std::int64_t n, double tau, double sigma,
            double extra) {
    double *q_out = next_q_.data(), *e_out = next_e_.data();
    Step result;
    double d = q[0] - tau, least = d;
    const double floor = tolerance * sigma;
    for (std::int64_t k = 0; k + 1 < n; ++k) {
      least = std::min(least, d);
      if (e[k] <= std::max(tolerance * d, floor)) result.split = k;
      const double sum = d + e[k], ratio = q[k + 1] / sum;
      q_out[k] = sum;
      e_out[k] = e[k] * ratio;
      d = d * ratio - tau;
    }
    d += extra;
    q_out[n - 1] = d;
    e_out[n - 1] = 0.0;
    result.last = d;
    result.least = least;
    result.late = least >= 0.0 && d < 0.0;
    result.good = least >= 0.0 && d >= 0.0;  // false for NaN, where sum = 0
    return result;
  }

  /// Below the least eigenvalue, as a rule: Rayleigh quotient and residual of the last two rows
  /// of B B^T; `least` stands for the other eigenvalues.
  static double shift(const double* q, const double* e, std::int64_t n, double least,
                      double extra) {
    const double a = q[n - 2] + e[n - 2], b = q[n - 1] + extra, c2 = q[n - 1] * e[n - 2];
    const double half = 0.5 * (a - b), root = std::sqrt(half * half + c2);
    // theta, the lesser root: no cancellation in either form
    const double larger = half >= 0.0 ? a + c2 / (half + root) : b + c2 / (root - half);
    const double determinant = q[n - 2] * b + e[n - 2] * extra;
    const double theta = larger > 0.0 ? determinant / larger : 0.0;
    if (n == 2) return theta * (1.0 - 0x1p-50);
    const double above = a - theta, part = c2 / (c2 + above * above);
    const double residual2 = part * q[n - 2] * e[n - 3];
    const double gap = std::min(least, larger) - theta;
    if (gap > 0.0 && residual2 < 0.1 * gap * gap) return theta - 1.5 * residual2 / gap;
    return std::max(theta - std::sqrt(residual2), 0.25 * std::min(theta, least));
  }

  void solve_segment(const Segment& segment, double* q_all, double* e_all, double* values,
                     Pause& pause) {
    double *q = q_all + segment.begin, *e = e_all + segment.begin;
    double sigma = segment.sigma, extra = segment.extra;
    std::int64_t n = segment.end - segment.begin;
    double* value = values + segment.begin;
    if (n > 1 && q[0] < q[n - 1] &&
        extra == 0.0) {  // eigenvalues are found from the end: the least first
      std::reverse(q, q + n);
      std::reverse(e, e + n - 1);
    }
    double least = 0.0;  // of the d but the last; 0: not known
    bool fresh = false;  // `least` leaves out the present last one
    std::int64_t steps = 0;
    const std::int64_t limit = 60 * n + 200;
    while (n > 0) {
      if (n == 1 || (extra == 0.0 && e[n - 2] <= tolerance * (sigma + q[n - 1]))) {
        value[n - 1] = sigma + q[n - 1] + extra;
        --n;
        extra = 0.0;
        fresh = false;
        continue;
      }
      // the last two rows of B B^T are bound by sqrt(q e): the eigenvalues move by q e / distance
      const double part = q[n - 1] / (sigma + q[n - 1]);
      if (fresh && least > 0.0 && part * (e[n - 2] / least) <= second_order) {
        extra = e[n - 2];
        value[n - 1] = sigma + q[n - 1];
        --n;
        fresh = false;
        continue;
      }
      if (steps % 64 == 0) pause.check();
      if (++steps > limit) throw std::runtime_error("singular values do not converge");
      double tau = least > 0.0 ? std::max(shift(q, e, n, least, extra), 0.0) : 0.0;
      Step result = step(q, e, n, tau, sigma, extra);
      for (int trial = 0; !result.good && result.split < 0 && trial < 4; ++trial) {
        if (result.late && trial < 2) {  // tau + d is below the least eigenvalue, but for rounding
          tau = (tau + result.last) * (1.0 - 0x1p-50);
        } else {
          tau = trial < 3 ? 0.25 * tau : 0.0;
        }
        tau = std::max(tau, 0.0);
        result = step(q, e, n, tau, sigma, extra);
      }
      if (result.split >= 0) {
        const std::int64_t begin = q - q_all, end = begin + n, middle = begin + result.split + 1;
        segments_.push_back({begin, middle, sigma, 0.0});
        segments_.push_back({middle, end, sigma, extra});
        return;
      }
      sigma += tau;
      std::copy_n(next_q_.data(), n, q);
      std::copy_n(next_e_.data(), n, e);
      least = result.least;
      extra = 0.0;
      fresh = true;
    }
  }

  std::vector<double> next_q_, next_e_;
  std::vector<Segment> segments_;
};

}  // namespace detail
}  // namespace meanfree
