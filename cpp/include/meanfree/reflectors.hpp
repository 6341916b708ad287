// Householder reflectors H = I - tau v v^T in blocks: H_1 H_2 ... H_k = I - V S V^T with S upper
// triangular (compact WY form, Schreiber and Van Loan 1989), so that nearly all of the work is
// matrix products; and the decomposition A = Q R by them.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "meanfree/fused.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

constexpr Index reflector_columns = 32;

/// I - V S V^T for a panel of reflectors; V holds zeros above its diagonal.
template <class Scalar>
class BlockReflectorOf {
  using ConstView = ConstViewOf<Scalar>;

 public:
  /// V as it is; tau of each column.
  void set(const ConstView& v, const Scalar* tau) {
    const Index k = v.cols();
    gram_.resize(k, k);
    gram_.noalias() = v.transpose() * v;
    s_.setZero(k, k);
    for (Index j = 0; j < k; ++j) {
      for (Index i = 0; i < j; ++i) {
        Scalar sum{};
        for (Index l = i; l < j; ++l) sum += s_(i, l) * gram_(l, j);
        s_(i, j) = -tau[j] * sum;
      }
      s_(j, j) = tau[j];
    }
  }

  /// x <- H_k ... H_1 x, or, not reversed, H_1 ... H_k x.
  void apply(const ConstView& v, ViewOf<Scalar> x, bool reversed, Pause& pause) {
    const Eigen::Map<MatrixOf<Scalar>> along = along_.resize(v.cols(), x.cols());
    const Eigen::Map<MatrixOf<Scalar>> scaled = scaled_.resize(v.cols(), x.cols());
    product_.multiply_transposed(v, x, along, pause);
    if (reversed) {
      product_.multiply_transposed(s_, along, scaled, pause);
    } else {
      product_.multiply(s_, along, scaled, pause);
    }
    product_.subtract(v, scaled, x, pause);
  }

 private:
  MatrixOf<Scalar> gram_, s_;
  WorkspaceOf<Scalar> along_, scaled_;
  ProductOf<Scalar> product_;
};

using BlockReflector = BlockReflectorOf<double>;

/// Turn column x of length n into the v of a reflector with H x = beta e_1, v_1 = 1; returns tau
/// and leaves beta in x_1, v_2 ... in the rest.
inline double reflect_column(double* x, Index n, double& beta) {
  Eigen::Map<Eigen::VectorXd> tail(x + 1, n - 1);
  double rest = n > 1 ? tail.squaredNorm() : 0.0;
  if (rest < 1e-250) {  // 0, or the squares underflow
    const double largest = n > 1 ? tail.cwiseAbs().maxCoeff() : 0.0;
    if (largest == 0.0) {
      beta = x[0];
      return 0.0;
    }
    if (std::fabs(x[0]) < 1e-100) {
      Eigen::Map<Eigen::VectorXd> all(x, n);
      constexpr double up = 0x1p600;
      all *= up;
      const double tau = reflect_column(x, n, beta);
      beta /= up;
      return tau;
    }
  }
  const double norm = std::sqrt(x[0] * x[0] + rest);
  beta = x[0] >= 0.0 ? -norm : norm;
  const double tau = (beta - x[0]) / beta;
  tail *= 1.0 / (x[0] - beta);
  return tau;
}

/// Q R of columns scaled so that their squares neither over- nor underflow.
class QrDecomposition {
 public:
  /// a <- R in its first `columns` columns' upper triangle (zeros below) and Q^T a in the further
  /// ones.
  void decompose(MatrixView a, Index columns, Pause& pause) {
    const Index rows = a.rows(), rank = std::min(rows, columns);
    v_.resize(rows, rank);
    tau_.resize(rank);
    for (Index k = 0; k < rank; k += reflector_columns) {
      const Index width = std::min(reflector_columns, rank - k);
      for (Index j = 0; j < width; ++j) {
        const Index at = k + j, length = rows - at;
        double* x = &a(at, at);
        double beta;
        tau_[at] = reflect_column(x, length, beta);
        auto v = v_.col(at).tail(rows - k);
        v.head(j).setZero();
        v[j] = 1.0;
        v.segment(j + 1, length - 1) = a.col(at).tail(length - 1);
        a(at, at) = beta;
        a.col(at).tail(length - 1).setZero();
        if (tau_[at] != 0.0 && j + 1 < width) {
          reflect_columns(&v[j], length, tau_[at], &a(at, at + 1), a.outerStride(), width - j - 1);
        }
      }
      if (k + width < a.cols()) {
        const auto v = v_.block(k, k, rows - k, width);
        block_.set(v, tau_.data() + k);
        block_.apply(v, a.bottomRightCorner(rows - k, a.cols() - k - width), true, pause);
      }
      pause.check();
    }
  }

  /// b Q without the columns that meet zeros below R.
  Matrix times_q(const ConstMatrixView& b, Pause& pause) {
    Matrix c = b.transpose();
    for (Index k = 0; k < v_.cols(); k += reflector_columns) {
      const Index width = std::min(reflector_columns, v_.cols() - k);
      const auto v = v_.block(k, k, v_.rows() - k, width);
      block_.set(v, tau_.data() + k);
      block_.apply(v, c.bottomRows(v.rows()), true, pause);
    }
    return c.topRows(v_.cols()).transpose();
  }

 private:
  Matrix v_;
  Eigen::VectorXd tau_;
  BlockReflector block_;
};

}  // namespace detail
}  // namespace meanfree
