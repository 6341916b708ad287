// A = Q R P^T for a matrix of rows and columns of any size, A_ij = 2^(x_i + y_j) a_ij with |a_ij| <
// 1: rows sorted by their size, columns pivoted by what is left of them (Cox and Higham 1998: then
// the error of each row is small beside this row, and that of each column beside this column). Each
// row keeps its exponent, as in bidiagonal.hpp.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "meanfree/bidiagonal.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {
namespace detail {

using Exponents = std::vector<std::int64_t>;

/// Below any other exponent, and so far below that sums with it stay there.
constexpr std::int64_t exponent_of_zero = -(std::int64_t{1} << 60);

/// e with |x| in [2^(e-1), 2^e).
inline std::int64_t exponent_of(double x) {
  if (x == 0.0) return exponent_of_zero;
  int e;
  std::frexp(x, &e);
  return e;
}

/// x 2^n for any n.
inline double scaled(double x, std::int64_t n) {
  if (x == 0.0 || n < -3000) return 0.0;
  return std::ldexp(x, static_cast<int>(std::min<std::int64_t>(n, 3000)));
}

class GradedQr {
 public:
  Matrix r;                  // upper triangular or trapezoidal, row i in units of 2^row[i]
  Exponents row, column;     // R_ij = 2^(row_i + column_j) r_ij
  std::vector<Index> order;  // column j of R is column order[j] of A

  /// A with columns times 2^column_exponents; zero rows and columns are left out. `x`, if given, of
  /// as many rows as A, is replaced by Q^T x, as long as before.
  void decompose(const ConstMatrixView& a, const Exponents& column_exponents, double* x,
                 Pause& pause) {
    prepare(a, column_exponents, x);
    const Index m = r.rows(), n = r.cols(), rank = std::min(m, n);
    Eigen::VectorXd weights(m), v(m), weighted(m);
    reflectors_.setZero(m, rank);
    factors_.setZero(rank);
    Index k = 0;
    for (; k < rank; ++k) {
      const Index length = m - k;
      for (Index i = 0; i < length; ++i) weights[i] = power_of_two(row_at(k + i) - row_at(k));
      const Index pivot = pivot_column(k, weights);
      if (pivot < 0) break;  // nothing is left
      if (pivot != k) {      // the columns between move up, so that the order changes little
        for (Index j = pivot; j > k; --j) {
          r.col(j).swap(r.col(j - 1));
          std::swap(column[static_cast<std::size_t>(j)], column[static_cast<std::size_t>(j - 1)]);
          std::swap(order[static_cast<std::size_t>(j)], order[static_cast<std::size_t>(j - 1)]);
        }
      }
      v.head(length) = r.col(k).tail(length);
      weighted.head(length) = v.head(length).cwiseProduct(weights.head(length));
      // the largest to 1: a row may have become small beside its exponent
      const double largest = weighted.head(length).cwiseAbs().maxCoeff();
      v.head(length) /= largest;
      weighted.head(length) /= largest;
      // rows may change, in their own units, although they add nothing to the length
      if ((v.segment(1, length - 1).array() != 0.0).any()) {
        const double tail = weighted.segment(1, length - 1).squaredNorm();
        const double norm = std::sqrt(v[0] * v[0] + tail), beta = v[0] >= 0.0 ? -norm : norm;
        const double first = v[0] - beta, tau = -1.0 / (first * beta);
        v[0] = weighted[0] = first;
        if (x != nullptr) {
          Eigen::Map<Eigen::VectorXd> part(x + k, length);
          const double along = tau * weighted.head(length).dot(part);
          part -= along * weighted.head(length);
        }
        reflectors_.col(k).tail(length) = weighted.head(length);
        factors_[k] = tau;
        weighted.head(length).array() *= weights.head(length).array();
        for (Index j = k + 1; j < n; ++j) {
          auto part = r.col(j).tail(length);
          const double along = tau * weighted.head(length).dot(part);
          part -= along * v.head(length);
        }
        r(k, k) = beta * largest;
        r.col(k).tail(length - 1).setZero();
      }
      pause.check();
    }
    r.conservativeResize(k, Eigen::NoChange);
    row.resize(static_cast<std::size_t>(k));
  }

  /// b Q without the columns of b that meet zeros only.
  Matrix times_q(const ConstMatrixView& b, Pause& pause) const {
    Matrix c(b.rows(), reflectors_.rows());
    for (Index i = 0; i < c.cols(); ++i) c.col(i) = b.col(rows_[static_cast<std::size_t>(i)]);
    Eigen::VectorXd along(b.rows());
    for (Index k = 0; k < r.rows(); ++k) {
      const Index length = c.cols() - k;
      const auto v = reflectors_.col(k).tail(length);
      along.noalias() = factors_[k] * (c.rightCols(length) * v);
      c.rightCols(length).noalias() -= along * v.transpose();
      pause.check();
    }
    c.conservativeResize(Eigen::NoChange, r.rows());
    return c;
  }

 private:
  std::int64_t row_at(Index i) const { return row[static_cast<std::size_t>(i)]; }

  void prepare(const ConstMatrixView& a, const Exponents& y, double* x) {
    const Index m = a.rows(), n = a.cols();
    Exponents sizes(static_cast<std::size_t>(m), exponent_of_zero),
        left(static_cast<std::size_t>(n), exponent_of_zero);
    for (Index j = 0; j < n; ++j) {
      for (Index i = 0; i < m; ++i) {
        if (a(i, j) == 0.0) continue;
        auto& size = sizes[static_cast<std::size_t>(i)];
        size = std::max(size, exponent_of(a(i, j)) + y[static_cast<std::size_t>(j)]);
      }
    }
    for (Index j = 0; j < n; ++j) {
      for (Index i = 0; i < m; ++i) {
        if (a(i, j) == 0.0) continue;
        auto& size = left[static_cast<std::size_t>(j)];
        size = std::max(size, exponent_of(a(i, j)) + y[static_cast<std::size_t>(j)] -
                                  sizes[static_cast<std::size_t>(i)]);
      }
    }
    std::vector<Index>& rows = rows_;
    rows.resize(static_cast<std::size_t>(m));
    std::iota(rows.begin(), rows.end(), Index{0});
    std::stable_sort(rows.begin(), rows.end(), [&](Index i, Index j) {
      return sizes[static_cast<std::size_t>(i)] > sizes[static_cast<std::size_t>(j)];
    });
    if (x != nullptr) {
      const std::vector<double> old(x, x + m);
      for (Index i = 0; i < m; ++i)
        x[i] = old[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)])];
    }
    while (!rows.empty() && sizes[static_cast<std::size_t>(rows.back())] == exponent_of_zero)
      rows.pop_back();
    order.clear();
    for (Index j = 0; j < n; ++j) {
      if (left[static_cast<std::size_t>(j)] != exponent_of_zero) order.push_back(j);
    }
    r.resize(static_cast<Index>(rows.size()), static_cast<Index>(order.size()));
    row.clear();
    column.clear();
    for (const Index i : rows) row.push_back(sizes[static_cast<std::size_t>(i)]);
    for (const Index j : order) column.push_back(left[static_cast<std::size_t>(j)]);
    for (Index j = 0; j < r.cols(); ++j) {
      const Index from = order[static_cast<std::size_t>(j)];
      for (Index i = 0; i < r.rows(); ++i) {
        r(i, j) = scaled(
            a(rows[static_cast<std::size_t>(i)], from),
            y[static_cast<std::size_t>(from)] - row_at(i) - column[static_cast<std::size_t>(j)]);
      }
    }
  }

  Matrix reflectors_;
  Eigen::VectorXd factors_;
  std::vector<Index> rows_;  // row i of R comes from row rows_[i] of A

  /// The largest of what is left of the columns; the first one if none is four times as large.
  Index pivot_column(Index k, const Eigen::VectorXd& weights) const {
    constexpr double clearly = 2.0;
    const double none = -std::numeric_limits<double>::infinity();
    Index best = -1;
    double most = none;
    for (Index j = k; j < r.cols(); ++j) {
      const double size = r.col(j)
                              .tail(r.rows() - k)
                              .cwiseProduct(weights.head(r.rows() - k))
                              .cwiseAbs()
                              .maxCoeff();
      if (size == 0.0) continue;
      const double length =
          std::log2(size) + static_cast<double>(column[static_cast<std::size_t>(j)]);
      if (best < 0 || length > most + (best == k ? clearly : 0.0)) {
        best = j;
        most = length;
      }
    }
    return best;
  }
};

}  // namespace detail
}  // namespace meanfree
