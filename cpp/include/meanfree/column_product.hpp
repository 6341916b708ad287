// C += A^T B, where a column of A is the elementwise product of two given columns, or the sum of
// two such products. A is formed while it is packed for Eigen's kernel and nowhere stored, which
// saves a tenth of the time of a Hessian.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

/// Columns left * right, by their first elements; with other_left also + other_left * other_right.
struct ColumnPairs {
  std::vector<const double*> left, right, other_left, other_right;

  Index size() const { return static_cast<Index>(left.size()); }
  void clear() {
    for (auto* part : {&left, &right, &other_left, &other_right}) part->clear();
  }
  void add(const double* a, const double* b) {
    left.push_back(a);
    right.push_back(b);
  }
  void add(const double* a, const double* b, const double* c, const double* d) {
    add(a, b);
    other_left.push_back(c);
    other_right.push_back(d);
  }
};

class ColumnProduct {
 public:
  /// c += a^T b, with as many rows in the columns of a as b has.
  void add(const ColumnPairs& a, const ConstMatrixView& b, MatrixView c, Pause& pause) {
    if (a.other_left.empty()) {
      run<Products>(a, b, c, pause);
    } else {
      run<Sums>(a, b, c, pause);
    }
  }

 private:
  /// A as Eigen's packing wants to read it, from a column on.
  struct Products {
    using LinearMapper = int;  // named, but not used
    const double *const *left, *const *right;
    Products(const ColumnPairs& a, Index first)
        : left(a.left.data() + first), right(a.right.data() + first) {}
    double operator()(Index i, Index k) const { return left[i][k] * right[i][k]; }
    template <class Packet>
    Packet loadPacket(Index i, Index k) const {
      using namespace Eigen::internal;
      return pmul(ploadu<Packet>(left[i] + k), ploadu<Packet>(right[i] + k));
    }
  };
  struct Sums : Products {
    const double *const *other_left, *const *other_right;
    Sums(const ColumnPairs& a, Index first)
        : Products(a, first),
          other_left(a.other_left.data() + first),
          other_right(a.other_right.data() + first) {}
    double operator()(Index i, Index k) const {
      return Products::operator()(i, k) + other_left[i][k] * other_right[i][k];
    }
    template <class Packet>
    Packet loadPacket(Index i, Index k) const {
      using namespace Eigen::internal;
      return pmadd(ploadu<Packet>(other_left[i] + k), ploadu<Packet>(other_right[i] + k),
                   Products::template loadPacket<Packet>(i, k));
    }
  };

  template <class Columns>
  void run(const ColumnPairs& a, const ConstMatrixView& b, MatrixView& c, Pause& pause) {
    using Traits = Eigen::internal::gebp_traits<double, double>;
    using Right = Eigen::internal::const_blas_data_mapper<double, Index, Eigen::ColMajor>;
    using Result = Eigen::internal::blas_data_mapper<double, Index, Eigen::ColMajor>;
    constexpr Index height = 96, width = 256;  // of what is packed at a time
    Eigen::internal::gemm_pack_lhs<double, Index, Columns, Traits::mr, Traits::LhsProgress,
                                   typename Traits::LhsPacket4Packing, Eigen::RowMajor>
        pack_left;
    Eigen::internal::gemm_pack_rhs<double, Index, Right, Traits::nr, Eigen::ColMajor> pack_right;
    Eigen::internal::gebp_kernel<double, double, Index, Result, Traits::mr, Traits::nr, false,
                                 false>
        multiply;
    const Index inner = b.rows(), n = b.cols(), rows = a.size();
    double *left = left_.grow(height * inner), *right = right_.grow(width * inner);
    for (Index j = 0; j < n; j += width) {
      const Index columns = std::min(width, n - j);
      pack_right(right, Right(b.data() + j * b.outerStride(), b.outerStride()), inner, columns);
      for (Index i = 0; i < rows; i += height) {
        const Index count = std::min(height, rows - i);
        pack_left(left, Columns(a, i), inner, count);
        multiply(Result(&c(i, j), c.outerStride()), left, right, count, inner, columns, 1.0);
        pause.check();
      }
    }
  }

  AlignedOf<double> left_, right_;
};

}  // namespace detail
}  // namespace meanfree
