// Random matrices times a matrix X of low rank, exact in law. The rows of W X, W with independent
// entries N(0, 1), are N(0, X^T X): with X = Q R of rank r the law of W X is that of Z R, Z having
// r columns of such entries. For W of the Haar measure it is that of U R, U uniform on the frames
// of r orthonormal columns: U = Z L^-T, Z^T Z = L L^T.
//
// R is found by Householder reflectors in panels. The columns of a panel are those least explained
// so far, one from each of as many stretches of the curve as the panel is wide: neighbours along a
// curve are nearly parallel. It ends when nothing is left of any column but rounding.
#pragma once
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "meanfree/haar.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/random.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {
namespace detail {

template <class Scalar>
inline void fill_normals(const Stream& stream, std::uint64_t first, Scalar* out, std::int64_t n,
                         Pause& pause) {
  constexpr std::int64_t chunk = tile_normals << 14;
  for (std::int64_t done = 0; done < n; done += chunk) {
    draw_normals(stream, first + static_cast<std::uint64_t>(done), std::min(chunk, n - done),
                 out + done);
    pause.check();
  }
}

/// R of X = Q R, with as many rows as X has rank.
template <class Scalar>
class RankFactor {
  using Matrix = MatrixOf<Scalar>;
  using View = ViewOf<Scalar>;

 public:
  /// The length of what a column may lose, relative to its own.
  static constexpr double tolerance = 64.0 * std::numeric_limits<Scalar>::epsilon();

  static constexpr Index too_large = -1, overflow = -2;

  /// r, and R in `r_factor`, its columns in the order of those of x; too_large if r > largest,
  /// overflow if the square of a length is.
  Index decompose(const ConstViewOf<Scalar>& x, Index largest, WorkspaceOf<Scalar>& r_factor,
                  Pause& pause) {
    if (x.cols() <= largest && by_products(x, r_factor, pause)) return x.cols();
    Eigen::Map<Matrix> a = a_.resize(x.rows(), x.cols());
    a = x;
    const Scalar largest_entry = a.size() == 0 ? Scalar(0) : a.cwiseAbs().maxCoeff();
    // squares of what is left of columns may underflow
    constexpr Scalar small = sizeof(Scalar) == 8 ? Scalar(1e-120) : Scalar(1e-9);
    const int exponent = largest_entry > 0 && largest_entry < small ? std::ilogb(largest_entry) : 0;
    if (exponent != 0) a = a.unaryExpr([=](Scalar y) { return std::scalbn(y, -exponent); });
    if (!start(a)) return overflow;
    const Index most = std::min(a.rows(), a.cols());
    Index rank = 0;
    while (rank < most) {
      Index width = choose(a, rank, std::min(reflector_columns, most - rank));
      if (width == 0) break;
      width = reflect(a, rank, width, pause);
      if (rank + width > largest) return too_large;
      rank += width;
      shorten(a, rank, width);
      pause.check();
    }
    Eigen::Map<Matrix> r = r_factor.resize(rank, a.cols());
    for (Index j = 0; j < a.cols(); ++j) {
      const Index kept = std::min(rank, j + 1);
      auto column = r.col(origin_[static_cast<std::size_t>(j)]);
      column.head(kept) = a.col(j).head(kept);
      column.tail(rank - kept).setZero();
    }
    if (exponent != 0) r = r.unaryExpr([=](Scalar y) { return std::scalbn(y, exponent); });
    return rank;
  }

 private:
  /// R^T = L of X^T X = L L^T, if none of a few columns is nearly explained by the others: the
  /// products lose no more than two digits then, and cost a fraction.
  bool by_products(const ConstViewOf<Scalar>& x, WorkspaceOf<Scalar>& r_factor, Pause& pause) {
    if (4 * x.cols() > x.rows()) return false;
    const Index n = x.cols(), half = n / 2;
    gram_.resize(n, n);
    product_.multiply_transposed(x, x.leftCols(half), gram_.leftCols(half), pause);
    product_.multiply_transposed(x.rightCols(n - half), x.rightCols(n - half),
                                 gram_.bottomRightCorner(n - half, n - half), pause);
    gram_.topRightCorner(half, n - half) = gram_.bottomLeftCorner(n - half, half).transpose();
    const Eigen::Matrix<Scalar, Eigen::Dynamic, 1> length = gram_.diagonal().cwiseSqrt();
    const Scalar least = length.minCoeff(), most = length.maxCoeff();
    if (!(least > 0 && most < std::numeric_limits<Scalar>::max())) return false;
    gram_.array().colwise() /= length.array();
    gram_.array().rowwise() /= length.transpose().array();
    cholesky_.compute(gram_);
    if (cholesky_.info() != Eigen::Success) return false;
    if (!(cholesky_.matrixLLT().diagonal().minCoeff() > Scalar(0.1))) return false;
    Eigen::Map<Matrix> r = r_factor.resize(x.cols(), x.cols());
    r = cholesky_.matrixU();
    r.array().rowwise() *= length.transpose().array();
    return true;
  }

  /// Whether all is finite.
  bool start(const View& a) {
    const auto n = static_cast<std::size_t>(a.cols());
    origin_.resize(n);
    place_.resize(n);
    whole_.resize(n);
    for (std::size_t j = 0; j < n; ++j) {
      origin_[j] = place_[j] = static_cast<Index>(j);
      whole_[j] = a.col(static_cast<Index>(j)).template cast<double>().squaredNorm();
    }
    left_ = known_ = whole_;
    return std::all_of(whole_.begin(), whole_.end(), [](double w) { return std::isfinite(w); });
  }

  /// Bring the next columns to `rank` and on; their number.
  Index choose(View a, Index rank, Index width) {
    const Index n = a.cols(), remaining = n - rank;
    candidates_.clear();
    for (Index from = 0; from < n; ++from) {
      if (place_[static_cast<std::size_t>(from)] >= rank) candidates_.push_back(from);
    }
    chosen_.clear();
    for (Index k = 0; k < width; ++k) {
      const Index begin = remaining * k / width, end = remaining * (k + 1) / width;
      Index best = -1;
      double most = tolerance * tolerance;
      for (Index i = begin; i < end; ++i) {
        const auto from = static_cast<std::size_t>(candidates_[static_cast<std::size_t>(i)]);
        const double part = left_[from] / whole_[from];  // NaN for a column of zeros: no candidate
        if (part > most) {
          most = part;
          best = static_cast<Index>(from);
        }
      }
      if (best >= 0) chosen_.push_back(best);
    }
    for (std::size_t k = 0; k < chosen_.size(); ++k) {
      exchange(a, rank + static_cast<Index>(k), place_[static_cast<std::size_t>(chosen_[k])]);
    }
    return static_cast<Index>(chosen_.size());
  }

  void exchange(View a, Index one, Index other) {
    if (one == other) return;
    a.col(one).swap(a.col(other));
    Index &from = origin_[static_cast<std::size_t>(one)],
          &to = origin_[static_cast<std::size_t>(other)];
    std::swap(from, to);
    place_[static_cast<std::size_t>(from)] = one;
    place_[static_cast<std::size_t>(to)] = other;
  }

  /// The number of columns used: those of which the others leave nothing go back.
  Index reflect(View a, Index rank, Index width, Pause& pause) {
    const Index rows = a.rows() - rank, chosen = width;
    Eigen::Map<Matrix> v = v_.resize(rows, width);
    v.setZero();
    for (Index j = 0; j < width;) {
      const Index length = rows - j;
      auto x = a.col(rank + j).tail(length);
      const Scalar norm = x.norm(), beta = x[0] >= 0 ? -norm : norm;
      const auto from = static_cast<std::size_t>(origin_[static_cast<std::size_t>(rank + j)]);
      if (!(static_cast<double>(norm) > tolerance * std::sqrt(whole_[from]))) {
        exchange(a, rank + j, rank + --width);
        continue;
      }
      auto direction = v.col(j).tail(length);
      tau_[j] = (beta - x[0]) / beta;
      direction = x / (x[0] - beta);
      direction[0] = 1;
      x[0] = beta;
      x.tail(length - 1).setZero();
      if (j + 1 < width) {
        auto rest = a.block(rank + j, rank + j + 1, length, width - j - 1);
        along_.noalias() = tau_[j] * (rest.transpose() * direction);
        rest.noalias() -= direction * along_.transpose();
      }
      ++j;
    }
    // of columns that went back, nothing but rounding is left
    const Index next = rank + chosen;
    if (width > 0 && next < a.cols()) {
      block_.set(v.leftCols(width), tau_);
      block_.apply(v.leftCols(width), a.bottomRightCorner(rows, a.cols() - next), true, pause);
    }
    return width;
  }

  /// What the new rows of R leave of the squared lengths; anew where nearly all is gone.
  void shorten(const View& a, Index rank, Index width) {
    constexpr double nearly = sizeof(Scalar) == 8 ? 1e-8 : 1e-3;
    for (Index j = rank; j < a.cols(); ++j) {
      const auto from = static_cast<std::size_t>(origin_[static_cast<std::size_t>(j)]);
      left_[from] -= a.col(j).segment(rank - width, width).template cast<double>().squaredNorm();
      if (left_[from] > nearly * known_[from]) continue;
      left_[from] = known_[from] =
          a.col(j).tail(a.rows() - rank).template cast<double>().squaredNorm();
    }
  }

  WorkspaceOf<Scalar> a_, v_;
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1> along_;
  std::vector<Index> origin_, place_, candidates_, chosen_;
  std::vector<double> whole_, left_, known_;  // squared lengths: all, left, when last computed
  Scalar tau_[reflector_columns] = {};
  BlockReflectorOf<Scalar> block_;
  Matrix gram_;
  Eigen::LLT<Matrix> cholesky_;
  ProductOf<Scalar> product_;
};

/// The first rows of Z R or of U R.
template <class Scalar>
class RandomFrame {
  using Matrix = MatrixOf<Scalar>;

 public:
  /// out <- Z r, Z with normal entries.
  void gaussian(const Stream& stream, const ConstViewOf<Scalar>& r, ViewOf<Scalar> out,
                Pause& pause) {
    const Eigen::Map<Matrix> z = draw(stream, out.rows(), r.rows(), pause);
    const Index rows = r.rows() / 2, columns = rows;
    if (rows == 0 || !r.bottomLeftCorner(r.rows() - rows, columns).isZero(0)) {
      product_.multiply(z, r, out, pause);
      return;
    }
    // a triangle, or nearly: a quarter of it is 0
    product_.multiply(z.leftCols(rows), r.topLeftCorner(rows, columns), out.leftCols(columns),
                      pause);
    product_.multiply(z, r.rightCols(r.cols() - columns), out.rightCols(r.cols() - columns), pause);
  }

  /// out <- U r, U the first rows of a frame in `rows` dimensions.
  void orthogonal(const Stream& stream, Index rows, const ConstViewOf<Scalar>& r,
                  ViewOf<Scalar> out, Pause& pause) {
    if (4 * r.rows() > 3 * rows) {  // Z^T Z may be nearly singular
      Eigen::Map<Matrix> all = z_.resize(rows, r.cols());
      all.topRows(r.rows()) = r;
      all.bottomRows(rows - r.rows()).setZero();
      haar_.apply(stream, all, pause);
      out = all.topRows(out.rows());
      return;
    }
    const Eigen::Map<Matrix> z = draw(stream, rows, r.rows(), pause);
    gram_.resize(r.rows(), r.rows());
    product_.multiply_transposed(z, z, gram_, pause);
    cholesky_.compute(gram_);
    Eigen::Map<Matrix> scaled = scaled_.resize(r.rows(), r.cols());
    scaled = r;
    cholesky_.matrixU().solveInPlace(scaled);
    product_.multiply(z.topRows(out.rows()), scaled, out, pause);
  }

 private:
  Eigen::Map<Matrix> draw(const Stream& stream, Index rows, Index columns, Pause& pause) {
    Eigen::Map<Matrix> z = z_.resize(rows, columns);
    fill_normals(stream, 0, z.data(), z.size(), pause);
    return z;
  }

  WorkspaceOf<Scalar> z_, scaled_;
  Matrix gram_;
  Eigen::LLT<Matrix> cholesky_;
  ProductOf<Scalar> product_;
  HaarMatrixOf<Scalar> haar_;
};

}  // namespace detail
}  // namespace meanfree
