// Mehler's series: with a_k = E[phi(sqrt(q) z) He_k(z)] / sqrt(k!),
//     E phi(u1) phi(u2) = sum_k a_k^2 c^k,     E phi'(u1) phi'(u2) = (1/q) sum_k k a_k^2 c^(k-1).
// One set of coefficients serves every correlation at one q, so root finding in c costs next to
// nothing.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/quadrature.hpp"

namespace meanfree {

class HermiteSeries {
 public:
  static constexpr double largest_c = 0.9;  // beyond, too many terms
  static constexpr int max_terms = 420;     // 0.9^420 * 420 is below 1e-16

  /// Start the series of the function with these values at the nodes of `rule` (both over all of z,
  /// or over z > 0 with doubled weights for an odd function).
  void start(const Rule& rule, const double* phi, bool odd) {
    n_ = rule.size();
    odd_ = odd;
    square_.clear();
    z_.assign(rule.z.begin(), rule.z.end());
    weighted_.resize(n_);
    before_.assign(n_, 0.0);
    now_.assign(n_, 1.0);
    for (std::int64_t i = 0; i < n_; ++i) weighted_[i] = rule.w[i] * phi[i];
  }

  /// sum a_k^2 c^k and sum k a_k^2 c^(k-1) for |c| <= largest_c.
  void evaluate(double c, double& product, double& slope_times_q) {
    double power = 1.0;  // c^k
    product = 0.0;
    slope_times_q = 0.0;
    double power_before = 0.0, total = 0.0;  // c^(k-1), sum a_k^2
    for (int k = 0; k < max_terms; ++k) {
      while (static_cast<int>(square_.size()) <= k) extend();
      product += square_[k] * power;
      slope_times_q += k * square_[k] * power_before;
      total += square_[k];
      power_before = power;
      power *= c;
      if (std::fabs(power_before) * (k + 1) < 1e-18) break;
      // for a phi with distant poles the coefficients themselves run out
      if (k % 2 == 1 && k > 8 &&
          k * (square_[k] + square_[k - 1] + square_[k - 2] + square_[k - 3]) < 1e-18 * total)
        break;
    }
  }

 private:
  /// The next two coefficients (those of odd functions vanish for even k).
  void extend() {
    square_.push_back(odd_ ? 0.0 : coefficient_squared());
    advance();
    square_.push_back(coefficient_squared());
    advance();
  }

  double coefficient_squared() const {
    const double* w = weighted_.data();
    const double* p = now_.data();
    const double a = sum(n_, [=](std::int64_t i) { return w[i] * p[i]; });
    return a * a;
  }

  /// He_{k+1}/sqrt((k+1)!) from the two before it.
  void advance() {
    const double next_k = static_cast<double>(square_.size());
    const double rise = 1.0 / std::sqrt(next_k), fall = std::sqrt(next_k - 1.0) * rise;
    double* p = now_.data();
    double* b = before_.data();
    const double* z = z_.data();
    for (std::int64_t i = 0; i < n_; ++i) {
      const double next = rise * z[i] * p[i] - fall * b[i];
      b[i] = p[i];
      p[i] = next;
    }
  }

  std::int64_t n_ = 0;
  bool odd_ = false;
  std::vector<double> z_, weighted_, before_, now_, square_;
};

}  // namespace meanfree
