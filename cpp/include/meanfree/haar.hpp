// Orthogonal matrices of the Haar measure (Stewart 1980): O = H_1 ... H_N S, H_k the reflector that
// takes a Gaussian vector of length N - k + 1 to the first axis, S the signs that make the image of
// that axis the vector's direction itself. O is applied in blocks of reflectors and never formed:
// 2 N^2 flops a column, N^2 / 2 draws.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/random.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {
namespace detail {

template <class Scalar>
class HaarMatrixOf {
 public:
  /// x <- O x, with O = S H_N ... H_1 drawn from the stream: the transpose of the above, of the
  /// same law.
  void apply(const Stream& stream, ViewOf<Scalar> x, Pause& pause) {
    const Index n = x.rows();
    signs_.resize(n);
    std::uint64_t first = 0;
    for (Index k = 0; k < n; k += reflector_columns) {
      const Index width = std::min(reflector_columns, n - k), length = n - k;
      const std::int64_t count = (length * width + tile_normals - 1) / tile_normals * tile_normals;
      draws_.resize(static_cast<std::size_t>(count));
      draw_normals(stream, first, count, draws_.data());
      first += static_cast<std::uint64_t>(count);
      Eigen::Map<MatrixOf<Scalar>> v(draws_.data(), length, width);
      for (Index j = 0; j < width; ++j) {
        v.col(j).head(j).setZero();
        const Scalar z = v(j, j);
        const Scalar norm = v.col(j).tail(length - j).norm();
        // H takes the vector to -sign(z) norm e_1, hence e_1 to -sign(z) times its direction
        signs_[k + j] = z < 0 ? 1 : -1;
        v(j, j) = z + std::copysign(norm, z);
        tau_[j] = 1 / (norm * (norm + std::fabs(z)));
      }
      if (length == width) {  // the last, of length 1, is a sign alone
        signs_[n - 1] = -signs_[n - 1];
        tau_[width - 1] = 0;
      }
      block_.set(v, tau_);
      block_.apply(v, x.bottomRows(length), true, pause);
    }
    x.array().colwise() *= signs_.array();
  }

 private:
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1> signs_;
  std::vector<Scalar> draws_;
  Scalar tau_[reflector_columns] = {};
  BlockReflectorOf<Scalar> block_;
};

using HaarMatrix = HaarMatrixOf<double>;

}  // namespace detail
}  // namespace meanfree
