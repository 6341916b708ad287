// A = U B V^T with U, V orthogonal and B upper bidiagonal, for a square A of rows 2^x_i a_i, x_i
// falling: every row keeps its own exponent, so that rows of any size lose nothing to one another,
// nothing over- or underflows, and the error of each row is small beside this row (which is what
// makes all singular values right to the condition number of the scaled rows).
//
// In units of row k the column k below it is v_i = a_ik 2^(x_i - x_k); the reflector I - tau v v^T
// changes row i, in its own units, by -a_ik tau sum_i' 2^(2 (x_i' - x_k)) a_i'k a_i'.
#pragma once
#include <Eigen/Core>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {
namespace detail {

/// 2^n, 0 where that underflows.
inline double power_of_two(std::int64_t n) {
  return n < -1000 ? 0.0 : std::ldexp(1.0, static_cast<int>(n));
}

/// Reduces a, n x n, and leaves the diagonal and the superdiagonal, row k of both in units of
/// 2^exponents[k].
class Bidiagonalization {
 public:
  void reduce(MatrixView a, const std::int64_t* exponents, double* diagonal, double* above,
              Pause& pause) {
    const Index n = a.rows();
    weights_.resize(n);
    v_.resize(n);
    weighted_.resize(n);
    y_.resize(n);
    z_.resize(n);
    u_.resize(n);
    for (Index k = 0; k < n; ++k) {
      const Index m = n - k, rest = m - 1;
      // left: column k
      for (Index i = 0; i < m; ++i) weights_[i] = power_of_two(exponents[k + i] - exponents[k]);
      v_.head(m) = a.col(k).tail(m);
      weighted_.head(m) = v_.head(m).cwiseProduct(weights_.head(m));
      const double tail = weighted_.segment(1, rest).squaredNorm();
      double tau = 0.0, beta = v_[0];
      if (tail > 0.0) {
        const double norm = std::sqrt(v_[0] * v_[0] + tail);
        beta = v_[0] >= 0.0 ? -norm : norm;
        const double first = v_[0] - beta;
        v_[0] = weighted_[0] = first;
        tau = -1.0 / (first * beta);
        // 2 / |v|^2, |v|^2 = -2 first beta
      }
      diagonal[k] = beta;
      above[k] = 0.0;
      if (rest == 0) return;
      weighted_.head(m).array() *= weights_.head(m).array();
      auto trailing = a.bottomRightCorner(m, rest);
      if (tau != 0.0) {
        y_.head(rest).noalias() = tau * (trailing.transpose() * weighted_.head(m));
        trailing.noalias() -= v_.head(m) * y_.head(rest).transpose();
      }
      // right: row k
      u_.head(rest) = a.row(k).tail(rest).transpose();
      double end;
      const double factor = reflect_column(u_.data(), rest, end);
      above[k] = end;
      if (factor != 0.0) {
        u_[0] = 1.0;
        auto below = a.bottomRightCorner(rest, rest);
        z_.head(rest).noalias() = factor * (below * u_.head(rest));
        below.noalias() -= z_.head(rest) * u_.head(rest).transpose();
      }
      if (k % 8 == 0 || m > 500) pause.check();
    }
  }

 private:
  Eigen::VectorXd weights_, v_, weighted_, y_, z_, u_;
};

}  // namespace detail
}  // namespace meanfree
