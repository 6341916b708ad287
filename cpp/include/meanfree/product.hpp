// Matrix products by Eigen's kernel, with buffers that are kept: allocating and returning them for
// each product costs as much as a sixth of a network of 200 units. A product is cut in pieces of
// less than 50 ms.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "meanfree/parallel.hpp"

namespace meanfree {
namespace detail {

template <class Scalar>
using MatrixOf = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
template <class Scalar>
using ViewOf = Eigen::Ref<MatrixOf<Scalar>, 0, Eigen::OuterStride<>>;
template <class Scalar>
using ConstViewOf = Eigen::Ref<const MatrixOf<Scalar>, 0, Eigen::OuterStride<>>;
using Matrix = MatrixOf<double>;
using MatrixView = ViewOf<double>;
using ConstMatrixView = ConstViewOf<double>;
using Eigen::Index;

/// A matrix whose memory only grows.
template <class Scalar>
class WorkspaceOf {
 public:
  using Matrix = MatrixOf<Scalar>;
  Eigen::Map<Matrix> map() { return {data_.data(), rows_, columns_}; }
  Eigen::Map<const Matrix> map() const { return {data_.data(), rows_, columns_}; }
  Index rows() const { return rows_; }
  Index cols() const { return columns_; }

  /// Contents are lost.
  Eigen::Map<Matrix> resize(Index rows, Index columns) {
    const auto size = static_cast<std::size_t>(rows * columns);
    if (data_.size() < size) data_.resize(size);
    rows_ = rows;
    columns_ = columns;
    return map();
  }

  /// Keep the first rows.
  void shrink(Index rows) {
    for (Index j = 1; j < columns_; ++j) {
      std::copy_n(data_.data() + j * rows_, rows, data_.data() + j * rows);
    }
    rows_ = rows;
  }

  /// Keep the first columns.
  void shrink_columns(Index columns) { columns_ = columns; }

  void swap(WorkspaceOf& other) {
    data_.swap(other.data_);
    std::swap(rows_, other.rows_);
    std::swap(columns_, other.columns_);
  }

 private:
  std::vector<Scalar> data_;
  Index rows_ = 0, columns_ = 0;
};

using Workspace = WorkspaceOf<double>;

/// Memory in cache lines that only grows.
template <class Scalar>
class AlignedOf {
 public:
  Scalar* grow(Index n) {
    const auto size = static_cast<std::size_t>(n / line + 1);
    if (lines_.size() < size) lines_.resize(size);
    return lines_.front().value;
  }

 private:
  static constexpr Index line = 64 / sizeof(Scalar);
  struct alignas(64) Line {
    Scalar value[line];
  };
  std::vector<Line> lines_;
};

template <class Scalar>
class ProductOf {
  using ConstView = ConstViewOf<Scalar>;
  using View = ViewOf<Scalar>;

 public:
  /// c = a b.
  void multiply(const ConstView& a, const ConstView& b, View c, Pause& pause) {
    c.setZero();
    run<Eigen::ColMajor>(a.rows(), a.cols(), a, b, Scalar{1}, c, pause);
  }

  /// c = a b^T.
  void multiply_by_transposed(const ConstView& a, const ConstView& b, View c, Pause& pause) {
    c.setZero();
    run<Eigen::ColMajor, Eigen::RowMajor>(a.rows(), a.cols(), a, b, Scalar{1}, c, pause);
  }

  /// c += a b.
  void add(const ConstView& a, const ConstView& b, View c, Pause& pause) {
    run<Eigen::ColMajor>(a.rows(), a.cols(), a, b, Scalar{1}, c, pause);
  }

  /// c -= a b.
  void subtract(const ConstView& a, const ConstView& b, View c, Pause& pause) {
    run<Eigen::ColMajor>(a.rows(), a.cols(), a, b, Scalar{-1}, c, pause);
  }

  /// c = a^T b.
  void multiply_transposed(const ConstView& a, const ConstView& b, View c, Pause& pause) {
    c.setZero();
    run<Eigen::RowMajor>(a.cols(), a.rows(), a, b, Scalar{1}, c, pause);
  }

  /// c += factor a^T b.
  void add_transposed(const ConstView& a, const ConstView& b, Scalar factor, View c, Pause& pause) {
    run<Eigen::RowMajor>(a.cols(), a.rows(), a, b, factor, c, pause);
  }

  /// c += factor a b^T.
  void add_by_transposed(const ConstView& a, const ConstView& b, Scalar factor, View c,
                         Pause& pause) {
    run<Eigen::ColMajor, Eigen::RowMajor>(a.rows(), a.cols(), a, b, factor, c, pause);
  }

 private:
  /// Memory of the packed blocks of both factors.
  class Blocking : public Eigen::internal::level3_blocking<Scalar, Scalar> {
   public:
    void fit(Index rows, Index columns, Index inner) {
      this->m_mc = rows;
      this->m_nc = columns;
      this->m_kc = inner;
      Eigen::internal::computeProductBlockingSizes<Scalar, Scalar, 1>(this->m_kc, this->m_mc,
                                                                      this->m_nc, Index{1});
      this->m_blockA = a_.grow(this->m_mc * this->m_kc);
      this->m_blockB = b_.grow(this->m_kc * this->m_nc);
    }

   private:
    AlignedOf<Scalar> a_, b_;
  };

  /// Of the factors as they are stored: RowMajor stands for the transpose.
  template <int order, int order_b = Eigen::ColMajor>
  void run(Index rows, Index inner, const ConstView& a, const ConstView& b, Scalar factor, View& c,
           Pause& pause) {
    if (rows == 0 || inner == 0) return;
    constexpr double flops = EIGEN_MAX_ALIGN_BYTES > 16 ? 1.6e9 : 8e8;  // AVX or not
    const double each = 2.0 * static_cast<double>(rows) * static_cast<double>(inner);
    const Index step = std::max<Index>(16, static_cast<Index>(flops / each) / 16 * 16);
    const Index stride = order_b == Eigen::ColMajor ? b.outerStride() : 1;
    for (Index j = 0; j < c.cols(); j += step) {
      const Index columns = std::min(step, c.cols() - j);
      blocking_.fit(rows, columns, inner);
      Eigen::internal::general_matrix_matrix_product<
          Index, Scalar, order, false, Scalar, order_b, false, Eigen::ColMajor,
          1>::run(rows, columns, inner, a.data(), a.outerStride(), b.data() + j * stride,
                  b.outerStride(), c.data() + j * c.outerStride(), 1, c.outerStride(), factor,
                  blocking_, nullptr);
      pause.check();
    }
  }

  Blocking blocking_;
};

using Product = ProductOf<double>;

}  // namespace detail
}  // namespace meanfree
