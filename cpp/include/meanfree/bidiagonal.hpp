// A = U B V^T with U, V orthogonal and B upper bidiagonal, for a square A of rows 2^x_i a_i, x_i
// falling: every row keeps its own exponent, so that rows of any size lose nothing to one another,
// nothing over- or underflows, and the error of each row is small beside this row (which is what
// makes all singular values right to the condition number of the scaled rows).
//
// In units of row k the column k below it is v_i = a_ik 2^(x_i - x_k); the reflector I - tau v v^T
// changes row i, in its own units, by -a_ik tau sum_i' 2^(2 (x_i' - x_k)) a_i'k a_i'.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "meanfree/fused.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/reflectors.hpp"
#include "meanfree/special.hpp"

namespace meanfree {
namespace detail {

/// 2^n, 0 for n < -1000.
inline double power_of_two(std::int64_t n) {
  if (n < -1000) return 0.0;
  if (n > 1000) return std::ldexp(1.0, static_cast<int>(std::min<std::int64_t>(n, 2000)));
  return special::detail::from_bits(static_cast<std::uint64_t>(n + 1023) << 52);
}

class Bidiagonalization {
 public:
  /// Where the n x n matrix goes before `reduce`; zeros at first.
  PaddedMatrix& start(Index n) {
    n_ = n;
    a_.resize(n, n);
    for (PaddedVector* v : {&v_, &y_, &z_, &u_, &next_v_, &weighted_, &next_u_, &row_})
      v->resize(n);
    return a_;
  }

  /// Leaves the diagonal and the superdiagonal, row k of both in units of 2^exponents[k].
  void reduce(const std::int64_t* exponents, double* diagonal, double* above, Pause& pause) {
    for (Index k = 0; k < n_; ++k) {
      // a -= v y^T + z u^T of the step before is still to be done; column k first
      double *column = a_.column(k), *v = next_v_.data(), *w = weighted_.data();
      for (Index i = k; i < n_; ++i) {
        v[i] = column[i] - v_[i] * y_[k] - z_[i] * u_[k];
        w[i] = v[i] * power_of_two(exponents[i] - exponents[k]);
      }
      if (k > 0) v[k - 1] = w[k - 1] = 0.0;
      const Eigen::Map<const Eigen::VectorXd> below(v + k + 1, n_ - k - 1);
      double tau = 0.0, beta = v[k];
      // rows may change, in their own units, although they add nothing to the length
      if ((below.array() != 0.0).any()) {
        // far less than rounding of the row, and the length cannot underflow
        if (std::fabs(v[k]) < 0x1p-200) v[k] = w[k] = 0x1p-200;
        const double tail = Eigen::Map<const Eigen::VectorXd>(w + k + 1, n_ - k - 1).squaredNorm();
        beta = std::copysign(std::sqrt(v[k] * v[k] + tail), -v[k]);
        v[k] = w[k] = v[k] - beta;
        tau = -1.0 / (v[k] * beta);  // 2 / |v|^2
        for (Index i = k + 1; i < n_; ++i) w[i] *= power_of_two(exponents[i] - exponents[k]);
      }
      diagonal[k] = beta;
      above[k] = 0.0;
      if (k + 1 == n_) return;
      double* y = row_.data();
      update_and_multiply(a_, k, k + 1, n_, v_.data(), y_.data(), z_.data(), u_.data(), w, y);
      std::swap(v_, next_v_);
      // row k after its reflection, and the reflector of the right side
      double *u = next_u_.data(), *new_y = y_.data();
      for (Index j = k + 1; j < n_; ++j) {
        new_y[j] = tau * y[j];
        u[j] = a_.column(j)[k] - v_[k] * new_y[j];
      }
      const Index rest = n_ - k - 1;
      const double factor = reflect_column(u + k + 1, rest, above[k]);
      u[k] = 0.0;
      if (factor != 0.0) u[k + 1] = 1.0;
      double* z = z_.data();
      if (factor != 0.0) {
        combine_columns(a_, k, k + 1, n_, u, z);
        const double along = Eigen::Map<const Eigen::VectorXd>(u + k + 1, rest)
                                 .dot(Eigen::Map<const Eigen::VectorXd>(new_y + k + 1, rest));
        for (Index i = k; i < n_; ++i) z[i] = factor * (z[i] - v_[i] * along);
      } else {
        std::fill(z + k, z + n_, 0.0);
      }
      std::swap(u_, next_u_);
      if (k % 8 == 0 || n_ > 500) pause.check();
    }
  }

 private:
  Index n_ = 0;
  PaddedMatrix a_;
  PaddedVector v_, y_, z_, u_, next_v_, weighted_, next_u_, row_;
};

}  // namespace detail
}  // namespace meanfree
