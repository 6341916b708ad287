// Eigenvalues of a symmetric matrix, right to its norm times 1e-15: tridiagonal form by Householder
// reflectors, and then, if it is positive semi-definite, L D L^T of it as a bidiagonal matrix and
// qd steps with shifts; otherwise QL steps with shifts, without square roots (Reinsch 1973).
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "meanfree/fused.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/quotient_difference.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {
namespace detail {

/// Eigenvalues, in any order, of the matrix with the diagonal d and the squares e of what is beside
/// it, e[n - 1] = 0; e is overwritten.
inline void tridiagonal_eigenvalues(Index n, double* d, double* e, Pause& pause) {
  constexpr double tiny = 0x1p-53 * 0x1p-53;
  const auto negligible = [&](Index i) {
    const double sum = std::fabs(d[i]) + std::fabs(d[i + 1]);
    return e[i] <= tiny * sum * sum;
  };
  for (Index first = 0; first < n; ++first) {
    for (int steps = 0;; ++steps) {
      Index last = first;
      while (last + 1 < n && !negligible(last)) ++last;
      if (last == first) break;
      if (steps == 60) throw std::runtime_error("the QL iteration did not converge");
      // Wilkinson's shift, the eigenvalue of the first two rows that is nearer to d_1
      const double root = std::sqrt(e[first]), half = (d[first + 1] - d[first]) / (2.0 * root);
      const double shift = d[first] - root / (half + std::copysign(std::hypot(half, 1.0), half));
      double c = 1.0, s = 0.0, gamma = d[last] - shift, p = gamma * gamma;
      for (Index i = last - 1; i >= first; --i) {
        const double square = e[i], r = p + square, inverse = 1.0 / r;
        if (i + 1 < last) e[i + 1] = s * r;
        const double c_before = c, gamma_before = gamma;
        c = p * inverse;
        s = square * inverse;
        gamma = c * (d[i] - shift) - s * gamma_before;
        d[i + 1] = gamma_before + (d[i] - gamma);
        p = c != 0.0 ? gamma * gamma * (r / p) : c_before * square;
      }
      e[first] = s * p;
      d[first] = shift + gamma;
    }
    if (first % 16 == 0) pause.check();
  }
}

class SymmetricSolver {
 public:
  /// Of any matrix, falling; of g the lower triangle is read.
  void signed_eigenvalues(const ConstMatrixView& g, double* values, Pause& pause) {
    const auto n = static_cast<std::size_t>(g.rows());
    start(g);
    off_.assign(n, 0.0);
    tridiagonalize(values, off_.data(), pause);
    for (double& e : off_) e *= e;
    tridiagonal_eigenvalues(g.rows(), values, off_.data(), pause);
    std::sort(values, values + n, std::greater<double>());
  }

  /// Of a positive semi-definite matrix, falling; of g the lower triangle is read. Values at
  /// rounding come out as small positive numbers.
  void eigenvalues(const ConstMatrixView& g, double* values, Pause& pause) {
    const Index n = g.rows();
    start(g);
    std::vector<double> diagonal(static_cast<std::size_t>(n)), q(diagonal), e(diagonal);
    tridiagonalize(diagonal.data(), e.data(), pause);
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
      solver_.solve(n, q.data(), off.data(), values, pause);
      for (Index i = 0; i < n; ++i) {
        values[i] = std::max(std::fabs(values[i] - shift), 0x1p-104 * norm);
      }
      break;
    }
    std::sort(values, values + n, std::greater<double>());
  }

 private:
  void start(const ConstMatrixView& g) {
    const Index n = n_ = g.rows();
    g_.resize(n, n);
    for (PaddedVector* v : {&v_, &w_, &next_v_, &next_w_}) v->resize(n);
    for (Index j = 0; j < n; ++j) {
      for (Index i = j; i < n; ++i) g_.column(j)[i] = g_.column(i)[j] = g(i, j);
    }
  }

  void tridiagonalize(double* diagonal, double* off, Pause& pause) {
    for (Index k = 0; k < n_; ++k) {
      // g -= v w^T + w v^T of the step before is still to be done; column k first
      double *column = g_.column(k), *v = next_v_.data(), *w = next_w_.data();
      for (Index i = k; i < n_; ++i) v[i] = column[i] - v_[i] * w_[k] - w_[i] * v_[k];
      diagonal[k] = v[k];
      off[k] = 0.0;
      const Index m = n_ - k - 1;
      if (m == 0) return;
      const double tau = reflect_column(v + k + 1, m, off[k]);
      v[k] = 0.0;
      if (k > 0) v[k - 1] = 0.0;  // left by the step before the last
      if (tau != 0.0) {
        v[k + 1] = 1.0;
      } else {
        std::fill(v + k + 1, v + n_, 0.0);
      }
      update_and_multiply(g_, k + 1, k + 1, n_, v_.data(), w_.data(), w_.data(), v_.data(), v, w);
      w[k] = 0.0;
      Eigen::Map<Eigen::VectorXd> p(w + k + 1, m);
      const Eigen::Map<const Eigen::VectorXd> tail(v + k + 1, m);
      p *= tau;
      p -= (0.5 * tau * p.dot(tail)) * tail;
      std::swap(v_, next_v_);
      std::swap(w_, next_w_);
      if (k % 8 == 0 || n_ > 500) pause.check();
    }
  }

  Index n_ = 0;
  std::vector<double> off_;
  PaddedMatrix g_;
  PaddedVector v_, w_, next_v_, next_w_;
  BidiagonalSolver solver_;
};

}  // namespace detail
}  // namespace meanfree
