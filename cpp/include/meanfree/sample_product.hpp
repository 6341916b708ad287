// Products of tall matrices, a row for each sample, with small ones, or of two tall ones: by tiles
// that stay in registers, straight from where the matrices lie. To pack them for Eigen's kernel
// takes as long as the products themselves where a network has tens of units; large ones go there.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <type_traits>

#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

class SampleProduct {
 public:
  /// c = a b, or c += a b.
  void multiply(const ConstMatrixView& a, const ConstMatrixView& b, MatrixView c, Pause& pause) {
    c.setZero();
    add(a, b, c, pause);
  }
  void add(const ConstMatrixView& a, const ConstMatrixView& b, MatrixView c, Pause& pause) {
    if (!is_small(b.size())) return product_.add(a, b, c, pause);
    times({b.data(), 1, b.outerStride()}, a, c);
  }

  /// c = a b^T, or c += a b^T.
  void multiply_by_transposed(const ConstMatrixView& a, const ConstMatrixView& b, MatrixView c,
                              Pause& pause) {
    c.setZero();
    add_by_transposed(a, b, c, pause);
  }
  void add_by_transposed(const ConstMatrixView& a, const ConstMatrixView& b, MatrixView c,
                         Pause& pause) {
    if (!is_small(b.size())) return product_.add_by_transposed(a, b, 1.0, c, pause);
    times({b.data(), b.outerStride(), 1}, a, c);
  }

  /// c += a^T b
  void add_transposed(const ConstMatrixView& a, const ConstMatrixView& b, MatrixView c,
                      Pause& pause) {
    if (!is_small(c.size())) return product_.add_transposed(a, b, 1.0, c, pause);
    in_tiles<dots>(a.cols(), [&](auto height, Index i) {
      in_tiles<dots>(b.cols(), [&](auto width, Index j) {
        dot<height, width>(a.rows(), at(a, 0, i), a.outerStride(), at(b, 0, j), b.outerStride(),
                           &c(i, j), c.outerStride());
      });
    });
  }

 private:
  using Packet = Eigen::internal::packet_traits<double>::type;
  static constexpr Index lanes = Eigen::internal::packet_traits<double>::size;
  static constexpr int columns = 4, dots = lanes == 8 ? 4 : 3;  // 32 or 16 registers
  static bool is_small(Index size) { return size <= 2048; }

  static const double* at(const ConstMatrixView& a, Index i, Index j) {
    return a.data() + i + j * a.outerStride();
  }

  template <int n>
  using Count = std::integral_constant<int, n>;

  /// use(size, first) for tiles of nearly the same size, at most `most`.
  template <int most, class Use>
  static void in_tiles(Index n, const Use& use) {
    const Index tiles = (n + most - 1) / most;
    for (Index t = 0; t < tiles; ++t) {
      const Index first = n * t / tiles;
      with_size<most>(n * (t + 1) / tiles - first, [&](auto size) { use(size, first); });
    }
  }
  template <int most, class Use>
  static void with_size(Index size, const Use& use) {
    if constexpr (most > 1) {
      if (size < most) return with_size<most - 1>(size, use);
    }
    use(Count<most>());
  }

  struct Small {
    const double* data;
    Index row, column;  // strides
  };

  static void times(const Small& b, const ConstMatrixView& a, MatrixView& c) {
    in_tiles<columns>(c.cols(), [&](auto width, Index j) {
      const Small part{b.data + j * b.column, b.row, b.column};
      Index s = 0;
      const auto rows = [&](auto count, auto packet) {
        tile<count, width, decltype(packet)>(a.cols(), at(a, s, 0), a.outerStride(), part, &c(s, j),
                                             c.outerStride());
      };
      for (; s + 3 * lanes <= c.rows(); s += 3 * lanes) rows(Count<3>(), Packet());
      if (s + 2 * lanes <= c.rows()) {
        rows(Count<2>(), Packet());
        s += 2 * lanes;
      }
      for (; s + lanes <= c.rows(); s += lanes) rows(Count<1>(), Packet());
      for (; s < c.rows(); ++s) rows(Count<1>(), double());
    });
  }

  /// c += a b for `height` packets of rows and `width` columns.
  template <int height, int width, class P>
  static void tile(Index inner, const double* a, Index a_stride, const Small& b, double* c,
                   Index c_stride) {
    using namespace Eigen::internal;
    constexpr Index size = unpacket_traits<P>::size;
    P sums[width][height];
    for (int j = 0; j < width; ++j) {
      for (int i = 0; i < height; ++i) sums[j][i] = ploadu<P>(c + j * c_stride + i * size);
    }
    for (Index k = 0; k < inner; ++k) {
      P left[height];
      for (int i = 0; i < height; ++i) left[i] = ploadu<P>(a + k * a_stride + i * size);
      for (int j = 0; j < width; ++j) {
        const P right = pset1<P>(b.data[k * b.row + j * b.column]);
        for (int i = 0; i < height; ++i) sums[j][i] = pmadd(left[i], right, sums[j][i]);
      }
    }
    for (int j = 0; j < width; ++j) {
      for (int i = 0; i < height; ++i) pstoreu(c + j * c_stride + i * size, sums[j][i]);
    }
  }

  /// c += a^T b for `height` columns of a and `width` of b.
  template <int height, int width>
  static void dot(Index rows, const double* a, Index a_stride, const double* b, Index b_stride,
                  double* c, Index c_stride) {
    using namespace Eigen::internal;
    Packet sums[width][height];
    for (auto& column : sums) {
      for (Packet& sum : column) sum = pset1<Packet>(0.0);
    }
    Index s = 0;
    for (; s + lanes <= rows; s += lanes) {
      Packet left[height];
      for (int i = 0; i < height; ++i) left[i] = ploadu<Packet>(a + i * a_stride + s);
      for (int j = 0; j < width; ++j) {
        const Packet right = ploadu<Packet>(b + j * b_stride + s);
        for (int i = 0; i < height; ++i) sums[j][i] = pmadd(left[i], right, sums[j][i]);
      }
    }
    for (int j = 0; j < width; ++j) {
      for (int i = 0; i < height; ++i) {
        double parts[lanes], sum = 0.0;
        pstoreu(parts, sums[j][i]);
        for (double part : parts) sum += part;
        for (Index k = s; k < rows; ++k) sum += a[i * a_stride + k] * b[j * b_stride + k];
        c[j * c_stride + i] += sum;
      }
    }
  }

  Product product_;
};

}  // namespace detail
}  // namespace meanfree
