// Eigenvalues of a positive semi-definite matrix, right to its norm times 1e-15: tridiagonal form
// by Householder reflectors, L D L^T of it as a bidiagonal matrix, and qd steps with shifts.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/quotient_difference.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {
namespace detail {

class SymmetricSolver {
 public:
  /// Falling; only the lower triangle of g is read, and destroyed. Values at rounding come out as
  /// small positive numbers.
  void eigenvalues(MatrixView g, double* values, Pause& pause) {
    const Index n = g.rows();
    std::vector<double> diagonal(static_cast<std::size_t>(n)), q(diagonal), e(diagonal);
    tridiagonalize(g, diagonal.data(), e.data(), pause);
    double norm = 0.0;
    for (Index i = 0; i < n; ++i) norm = std::max(norm, std::fabs(diagonal[i]) + std::fabs(e[i]));
    if (norm == 0.0) {
      std::fill_n(values, n, 0.0);
      return;
    }
    // q_1 = a_1, l_i = b_i / q_i, q_i+1 = a_i+1 - b_i^2 / q_i; (q_i, l_i^2 q_i) are the squares of
    // a bidiagonal matrix; shifted so that no q is negative
    for (double shift = 16.0 * 0x1p-52 * norm;; shift *= 8.0) {
      bool positive = true;
      double pivot = diagonal[0] + shift;
      for (Index i = 0; i < n && positive; ++i) {
        q[i] = pivot;
        positive = pivot > 0.0;
        if (i + 1 < n) pivot = diagonal[i + 1] + shift - e[i] * e[i] / pivot;
      }
      if (!positive) continue;
      std::vector<double> off(q);
      for (Index i = 0; i < n; ++i) off[i] = i + 1 < n ? e[i] * e[i] / q[i] : 0.0;
      solver_.solve(n, q.data(), off.data(), values);
      for (Index i = 0; i < n; ++i) {
        values[i] = std::max(std::fabs(values[i] - shift), 0x1p-104 * norm);
      }
      break;
    }
    std::sort(values, values + n, std::greater<double>());
  }

 private:
  void tridiagonalize(MatrixView g, double* diagonal, double* off, Pause& pause) {
    const Index n = g.rows();
    v_.resize(n);
    p_.resize(n);
    for (Index k = 0; k < n; ++k) {
      diagonal[k] = g(k, k);
      off[k] = 0.0;
      const Index m = n - k - 1;
      if (m == 0) return;
      auto v = v_.head(m);
      auto p = p_.head(m);
      v = g.col(k).tail(m);
      const double tau = reflect_column(v.data(), m, off[k]);
      if (tau != 0.0) {
        v[0] = 1.0;
        auto rest = g.bottomRightCorner(m, m);
        p.noalias() = tau * (rest.selfadjointView<Eigen::Lower>() * v);
        p -= (0.5 * tau * p.dot(v)) * v;
        rest.selfadjointView<Eigen::Lower>().rankUpdate(v, p, -1.0);
      }
      if (k % 8 == 0 || m > 500) pause.check();
    }
  }

  Eigen::VectorXd v_, p_;
  BidiagonalSolver solver_;
};

}  // namespace detail
}  // namespace meanfree
