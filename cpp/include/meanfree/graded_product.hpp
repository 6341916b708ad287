// A product of matrices J = A_L ... A_1 as J = Q T, Q orthogonal and dropped, T with rows of any
// size: row i is 2^x_i b_i with max |b_i| in [1/2, 1). Singular values of T are determined by the
// rows b_i and the exponents to about the rounding of the b_i times the condition number of B,
// however large that of T is, since right multiplications and errors relative to a row change each
// of them by a factor near 1.
//
//   a factor A:   A 2^x = Q R (columns with exponents, pivoted by their lengths; rows sorted), then
//                 T <- R T
//   at the end:   rows sorted; B^T = Q R and R^T for B, unless B is triangular; bidiagonal form
//                 with the row exponents; steps of qd in scaled numbers until pieces fit the range
//                 of a double, then qd with shifts
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "meanfree/bidiagonal.hpp"
#include "meanfree/graded_qr.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/quotient_difference.hpp"
#include "meanfree/reflectors.hpp"
#include "meanfree/special.hpp"

namespace meanfree {
namespace detail {

/// exponent_of without its branches: of 0 and of denormal numbers something far below the others.
MEANFREE_INLINE std::int64_t exponent_bound(double x) {
  const auto field = static_cast<std::int64_t>(special::detail::bits(x) >> 52 & 0x7ff);
  return field - 1022 - (field == 0 ? std::int64_t{1} << 40 : 0);
}

/// 2^n for n in [-1022, 1023]; below that 0, above it the largest.
MEANFREE_INLINE double clamped_power_of_two(std::int64_t n) {
  const std::int64_t low = n < -1023 ? -1023 : n, inside = low > 1023 ? 1023 : low;
  return special::detail::from_bits(static_cast<std::uint64_t>(inside + 1023) << 52);
}

constexpr double log_of_two = 0.69314718055994530942;

/// Logarithms of the singular values of a bidiagonal matrix, row k of which is 2^x_k (d_k, f_k), x
/// falling; -inf for 0.
class ScaledBidiagonalSolver {
 public:
  void solve(std::vector<double>& q, std::vector<double>& e,
             const std::vector<std::int64_t>& exponents, double* logs, Pause& pause) {
    const std::size_t n = q.size();
    for (std::size_t k = 0; k < n; ++k) {
      q[k] *= q[k];
      e[k] = k + 1 < n ? e[k] * e[k] : 0.0;
    }
    values_.resize(n);
    while (!fits(exponents, e)) {
      scaled_step(q, e, exponents);
      pause.check();
    }
    for (std::size_t begin = 0; begin < n;) {
      std::size_t end = begin + 1;
      while (end < n && e[end - 1] > 0.0) ++end;
      for (std::size_t k = begin; k < end; ++k) {
        const double unit = power_of_two(2 * (exponents[k] - exponents[begin]));
        q[k] *= unit;
        e[k] *= unit;
      }
      solver_.solve(static_cast<std::int64_t>(end - begin), q.data() + begin, e.data() + begin,
                    values_.data() + begin, pause);
      for (std::size_t k = begin; k < end; ++k) {
        logs[k] = 0.5 * std::log(values_[k]) + log_of_two * static_cast<double>(exponents[begin]);
      }
      begin = end;
      pause.check();
    }
    std::sort(logs, logs + n, std::greater<double>());
  }

 private:
  static constexpr std::int64_t range = 300;  // of exponents within a piece

  static bool fits(const std::vector<std::int64_t>& exponents, const std::vector<double>& e) {
    std::size_t begin = 0;
    for (std::size_t k = 0; k < e.size(); ++k) {
      if (exponents[begin] - exponents[k] > range) return false;
      if (e[k] == 0.0) begin = k + 1;
    }
    return true;
  }

  /// A step without shift; e'_k comes out in units of row k + 1.
  static void scaled_step(std::vector<double>& q, std::vector<double>& e,
                          const std::vector<std::int64_t>& exponents) {
    constexpr double negligible = 0x1p-104;
    double d = q[0];
    for (std::size_t k = 0; k + 1 < q.size(); ++k) {
      if (e[k] <= negligible * d) {
        e[k] = 0.0;
        q[k] = d;
        d = q[k + 1];
        continue;
      }
      const double sum = d + e[k], next = q[k + 1];
      e[k] = e[k] / sum * next * power_of_two(2 * (exponents[k + 1] - exponents[k]));
      d = d / sum * next;
      q[k] = sum;
    }
    q.back() = d;
  }

  BidiagonalSolver solver_;
  std::vector<double> values_;
};

class GradedProduct {
 public:
  /// T = I of size n.
  void start(Index n) {
    b_.setIdentity(n, n);
    exponents_.assign(static_cast<std::size_t>(n), 0);
    identity_ = upper_ = true;
  }

  Index rows() const { return b_.rows(); }

  /// T <- R T, R upper triangular or trapezoidal.
  void multiply_triangle(const ConstMatrixView& r, Pause& pause) {
    scaled_ = r;
    scale_rows();
    if (identity_) {
      b_.swap(scaled_);
    } else {
      product_.resize(r.rows(), b_.cols());
      triangle_product(pause);
      b_.swap(product_);
    }
    exponents_.swap(new_exponents_);
    identity_ = false;
    normalize();
  }

  /// T <- 2^n T.
  void scale(std::int64_t n) {
    for (std::int64_t& exponent : exponents_) exponent += n;
  }

  /// T <- R T for any A = Q R, zeros and rows and columns of any size included. `x`, if given,
  /// becomes Q^T x.
  void multiply(const ConstMatrixView& a, double* x, Pause& pause) {
    graded_.decompose(a, exponents_, x, pause);
    const Index k = graded_.r.rows(), r = graded_.r.cols();
    permuted_.resize(r, b_.cols());
    for (Index j = 0; j < r; ++j) {
      const Index from = graded_.order[static_cast<std::size_t>(j)];
      permuted_.row(j) = b_.row(from);
      upper_ = upper_ && from >= j;
    }
    b_.swap(permuted_);
    scaled_ = graded_.r;
    exponents_ = graded_.column;
    scale_rows();
    product_.resize(k, b_.cols());
    triangle_product(pause);
    b_.swap(product_);
    exponents_.swap(new_exponents_);
    for (Index i = 0; i < k; ++i) {
      exponents_[static_cast<std::size_t>(i)] += graded_.row[static_cast<std::size_t>(i)];
    }
    identity_ = false;
    normalize();
  }

  /// b Q with the Q of the last `multiply`, whose rows of zeros in T are left out.
  Matrix times_q(const ConstMatrixView& b, Pause& pause) const { return graded_.times_q(b, pause); }

  /// Logarithms of the nonzero singular values, falling; their number is rows().
  void log_singular_values(double* logs, Pause& pause) {
    const Index k = rows(), n = b_.cols();
    if (k == 0) return;
    const std::vector<Index> order = sorted_rows();
    Exponents exponents;
    for (const Index i : order) exponents.push_back(exponents_[static_cast<std::size_t>(i)]);
    PaddedMatrix& square = bidiagonalization_.start(k);
    if (upper_ && k == n) {
      for (Index j = 0; j < k; ++j) {
        double* column = square.column(j);
        for (Index i = 0; i < k; ++i) column[i] = b_(order[static_cast<std::size_t>(i)], j);
      }
    } else {  // rows of B as columns; then R^T has their lengths
      Matrix columns(n, k);
      for (Index i = 0; i < k; ++i) {
        columns.col(i) = b_.row(order[static_cast<std::size_t>(i)]).transpose();
      }
      qr_.decompose(columns, k, pause);
      for (Index j = 0; j < k; ++j) {
        for (Index i = j; i < k; ++i) square.column(j)[i] = columns(j, i);
      }
    }
    std::vector<double> diagonal(static_cast<std::size_t>(k)), above(diagonal);
    bidiagonalization_.reduce(exponents.data(), diagonal.data(), above.data(), pause);
    solver_.solve(diagonal, above, exponents, logs, pause);
  }

 private:
  std::vector<Index> sorted_rows() const {
    std::vector<Index> order(static_cast<std::size_t>(rows()));
    std::iota(order.begin(), order.end(), Index{0});
    std::stable_sort(order.begin(), order.end(), [&](Index i, Index j) {
      return exponents_[static_cast<std::size_t>(i)] > exponents_[static_cast<std::size_t>(j)];
    });
    return order;
  }

  /// Take the exponents of the columns of scaled_, those of T, into its rows.
  void scale_rows() {
    const Index k = scaled_.rows();
    new_exponents_.assign(static_cast<std::size_t>(k), exponent_of_zero);
    std::int64_t* of_row = new_exponents_.data();
    for (Index j = 0; j < scaled_.cols(); ++j) {
      const std::int64_t x = exponents_[static_cast<std::size_t>(j)];
      const double* column = scaled_.data() + j * k;
      const Index end = std::min(j + 1, k);
      MEANFREE_INDEPENDENT
      for (Index i = 0; i < end; ++i) {
        const std::int64_t e = exponent_bound(column[i]) + x;
        of_row[i] = e > of_row[i] ? e : of_row[i];
      }
    }
    for (Index j = 0; j < scaled_.cols(); ++j) {
      const std::int64_t x = exponents_[static_cast<std::size_t>(j)];
      double* column = scaled_.data() + j * k;
      const Index end = std::min(j + 1, k);
      MEANFREE_INDEPENDENT
      for (Index i = 0; i < end; ++i) column[i] *= clamped_power_of_two(x - of_row[i]);
    }
  }

  void triangle_product(Pause& pause) {
    constexpr Index block = 64;
    const Index k = scaled_.rows(), r = scaled_.cols(), n = b_.cols();
    for (Index i = 0; i < k; i += block) {
      const Index height = std::min(block, k - i);
      const Index first = upper_ ? i : 0;
      product_.block(i, 0, height, first).setZero();
      multiplier_.multiply(scaled_.block(i, i, height, r - i), b_.block(i, first, r - i, n - first),
                           product_.block(i, first, height, n - first), pause);
    }
  }

  /// Rows to max |b| in [1/2, 1); rows of zeros go.
  void normalize() {
    const Index k = rows(), n = b_.cols();
    factors_.setZero(k);
    for (Index j = 0; j < n; ++j) factors_ = factors_.cwiseMax(b_.col(j).cwiseAbs());
    Index kept = 0;
    for (Index i = 0; i < k; ++i) {
      if (factors_[i] == 0.0) continue;
      const std::int64_t e = exponent_of(factors_[i]);
      if (kept != i) b_.row(kept) = b_.row(i);
      factors_[kept] = std::ldexp(1.0, static_cast<int>(-e));
      exponents_[static_cast<std::size_t>(kept)] = exponents_[static_cast<std::size_t>(i)] + e;
      ++kept;
    }
    if (kept < k) {
      b_.conservativeResize(kept, Eigen::NoChange);
      factors_.conservativeResize(kept);
      exponents_.resize(static_cast<std::size_t>(kept));
    }
    b_.array().colwise() *= factors_.array();
  }

  Matrix b_, scaled_, product_, permuted_;
  Eigen::VectorXd factors_;
  Exponents exponents_, new_exponents_;
  GradedQr graded_;
  bool identity_ = true, upper_ = true;  // B is I, or upper triangular or trapezoidal
  Product multiplier_;
  QrDecomposition qr_;
  Bidiagonalization bidiagonalization_;
  ScaledBidiagonalSolver solver_;
};

/// The first n logarithms of the singular values of factors.back() ... factors.front(), falling,
/// -inf for 0. The factors are matrices or maps of any storage order; `done` counts them.
template <class Factor>
void log_singular_values(const std::vector<Factor>& factors, Index n, double* logs, Pause& pause,
                         std::int64_t& done) {
  GradedProduct product;
  product.start(factors.front().cols());
  bool first = true;
  for (const Factor& factor : factors) {
    // Columns of zeros lower the rank: they go by a projection, which has no rounding errors that
    // could fill them.
    std::vector<Index> kept;
    for (Index j = 0; j < factor.cols(); ++j) {
      if (!factor.col(j).isZero(0.0)) kept.push_back(j);
    }
    Matrix a = factor;
    if (static_cast<Index>(kept.size()) < factor.cols()) {
      const auto size = static_cast<Index>(kept.size());
      Matrix projection = Matrix::Zero(size, factor.cols());
      a.resize(factor.rows(), size);
      for (Index i = 0; i < size; ++i) {
        projection(i, kept[static_cast<std::size_t>(i)]) = 1.0;
        a.col(i) = factor.col(kept[static_cast<std::size_t>(i)]);
      }
      product.multiply(first ? projection : product.times_q(projection, pause), nullptr, pause);
      first = false;
    }
    product.multiply(first ? a : product.times_q(a, pause), nullptr, pause);
    first = false;
    ++done;
    if (product.rows() == 0) break;
  }
  std::vector<double> values(static_cast<std::size_t>(product.rows()));
  product.log_singular_values(values.data(), pause);
  std::fill_n(logs, n, -std::numeric_limits<double>::infinity());
  std::copy_n(values.data(), std::min<Index>(n, product.rows()), logs);
}

}  // namespace detail
}  // namespace meanfree
