// What the Hessian of a network (mlp.hpp) is made of, sample by sample: with D^l = diag phi'(z^l),
// A_l = D^l W^{l+1}^T and K^{LL} = ell''(z^L), by the chain rule,
//
//     K^{ll} = A_l K^{l+1,l+1} A_l^T + diag(phi''(z^l) W^{l+1}^T d^{l+1}),  K^{lm} = A_l K^{l+1,m}
//     J^{l,l} = D^l,  J^{l,k} = D^k W^k J^{l,k-1}:  d h^k / d z^l
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "meanfree/mlp.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

using Strided = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;
using ConstStrided = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

/// K and J of a group of chunks, laid out like a tape: columns K^{ll} (a, b >= a), K^{lm} (a, b)
/// for l < m, and J^{l,k} (a, j) for l < k < L.
class Curvatures {
 public:
  Curvatures(const Mlp& net, const TapeLayout& layout, const double* tape, bool full)
      : net_(net), layout_(layout), tape_(tape), full_(full) {
    const Index depth = net.depth();
    const auto square = static_cast<std::size_t>((depth + 1) * (depth + 1));
    pair_.assign(square, -1);
    jacobian_.assign(square, -1);
    for (Index l = 1; l <= depth; ++l) {
      for (Index m = l; m <= depth; ++m) {
        pair_[at(l, m)] = columns_;
        columns_ += l == m ? net.size(l) * (net.size(l) + 1) / 2 : net.size(l) * net.size(m);
        if (full && m > l && m < depth) {
          jacobian_[at(l, m)] = columns_;
          columns_ += net.size(l) * net.size(m);
        }
      }
    }
  }

  /// Make room for the chunks [first, last), as many from `first` as fit in the memory, or one.
  Index begin(Index first) {
    constexpr Index most = Index{1} << 23;  // 64 MiB
    first_ = last_ = first;
    Index rows = 0;
    while (last_ < layout_.n_chunks()) {
      const Index more = layout_.rows(last_);
      if (last_ > first && (rows + more) * columns_ > most) break;
      rows += more;
      ++last_;
    }
    const auto size = static_cast<std::size_t>(rows * columns_);
    if (memory_.size() < size) memory_.resize(size);
    return last_;
  }
  Index first() const { return first_; }
  Index last() const { return last_; }

  /// K^{ll}, columns (a, b) from (first, first) on.
  ConstMap own(Index c, Index l, Index first, Index count) const {
    const Index n = net_.size(l);
    return {column(c, pair_[at(l, l)] + triangle(n, first)), layout_.rows(c),
            triangle(n, first + count) - triangle(n, first)};
  }
  /// K^{lm}, l < m, the columns (a, b) of this a.
  ConstMap cross(Index c, Index l, Index m, Index a) const {
    return {column(c, pair_[at(l, m)] + a * net_.size(m)), layout_.rows(c), net_.size(m)};
  }
  /// J^{l,k}, l < k, the columns (a, j) of this a.
  ConstMap jacobian(Index c, Index l, Index k, Index a) const {
    return {column(c, jacobian_[at(l, k)] + a * net_.size(k)), layout_.rows(c), net_.size(k)};
  }
  /// How many (a, b >= a) of n units have a < first.
  static Index triangle(Index n, Index first) { return first * n - first * (first - 1) / 2; }

  /// For one thread: what computing a chunk needs.
  struct Scratch {
    Workspace square, next;
    Product product;
  };

  void compute(Index c, Scratch& scratch, Pause& pause) {
    const Index depth = net_.depth();
    outputs(c, scratch);
    for (Index l = depth - 1; l >= 1; --l) {
      for (Index m = l + 1; m <= depth; ++m) step(c, l, m, scratch, pause);
      close(c, l, scratch, pause);
      if (full_) {
        for (Index k = l + 1; k < depth; ++k) forward(c, l, k, scratch, pause);
      }
    }
  }

 private:
  std::size_t at(Index l, Index m) const {
    return static_cast<std::size_t>(l * (net_.depth() + 1) + m);
  }
  const double* column(Index c, Index j) const {
    return memory_.data() + (layout_.first(c) - layout_.first(first_)) * columns_ +
           layout_.rows(c) * j;
  }
  double* column(Index c, Index j) {
    return const_cast<double*>(static_cast<const Curvatures*>(this)->column(c, j));
  }

  /// The half of the square K^{ll}.
  void keep(Index c, Index l, const Eigen::Map<Matrix>& square) {
    const Index n = net_.size(l), rows = layout_.rows(c);
    double* to = column(c, pair_[at(l, l)]);
    for (Index a = 0; a < n; ++a) {
      const Index count = rows * (n - a);
      std::copy_n(square.data() + rows * (a * n + a), count, to);
      to += count;
    }
  }

  /// K^{LL}.
  void outputs(Index c, Scratch& scratch) {
    const Index n = net_.size(net_.depth()), rows = layout_.rows(c);
    Eigen::Map<Matrix> square = scratch.square.resize(rows, n * n),
                       unit = scratch.next.resize(rows, n);
    for (Index a = 0; a < n; ++a) {
      unit.setZero();
      unit.col(a).setOnes();
      curve_outputs(net_, layout_, tape_, c, unit, {square.data() + rows * a * n, rows, n});
    }
    keep(c, net_.depth(), square);
  }

  /// K^{lm} = A_l K^{l+1,m}, l < m.
  void step(Index c, Index l, Index m, Scratch& scratch, Pause& pause) {
    const Index n = net_.size(l), above = net_.size(l + 1), n_m = net_.size(m);
    const Index rows = layout_.rows(c);
    const auto slope = layout_.slope(tape_, c, l);
    const bool square = m == l + 1;
    const double* from = square ? scratch.square.map().data() : column(c, pair_[at(l + 1, m)]);
    for (Index b = 0; b < n_m; ++b) {
      // the square is symmetric
      const ConstStrided before(from + rows * b * (square ? n_m : 1), rows, above,
                                Eigen::OuterStride<>(square ? rows : n_m * rows));
      Strided out(column(c, pair_[at(l, m)] + b), rows, n, Eigen::OuterStride<>(n_m * rows));
      scratch.product.multiply_by_transposed(before, net_.weights(l + 1), out, pause);
      out.array() *= slope.array();
    }
  }

  /// K^{ll} = K^{l,l+1} A_l^T, and the second derivatives.
  void close(Index c, Index l, Scratch& scratch, Pause& pause) {
    const Index n = net_.size(l), rows = layout_.rows(c);
    const auto slope = layout_.slope(tape_, c, l);
    const auto bend = layout_.bend(tape_, c, l);
    Eigen::Map<Matrix> square = scratch.square.resize(rows, n * n);
    for (Index a = 0; a < n; ++a) {
      Eigen::Map<Matrix> out(square.data() + rows * (a * n + a), rows, n - a);
      scratch.product.multiply_by_transposed(cross(c, l, l + 1, a),
                                             net_.weights(l + 1).bottomRows(n - a), out, pause);
      out.array() *= slope.rightCols(n - a).array();
      if (full_) out.col(0) += bend.col(a);
      for (Index b = a + 1; b < n; ++b) square.col(b * n + a) = square.col(a * n + b);
    }
    keep(c, l, square);
  }

  /// J^{l,k}, l < k.
  void forward(Index c, Index l, Index k, Scratch& scratch, Pause& pause) {
    const Index n = net_.size(l), n_k = net_.size(k), rows = layout_.rows(c);
    const auto slope = layout_.slope(tape_, c, l), next = layout_.slope(tape_, c, k);
    const auto weights = net_.weights(k);
    for (Index a = 0; a < n; ++a) {
      Eigen::Map<Matrix> out(column(c, jacobian_[at(l, k)] + a * n_k), rows, n_k);
      if (k == l + 1) {
        out.noalias() = slope.col(a) * weights.row(a);
      } else {
        scratch.product.multiply(jacobian(c, l, k - 1, a), weights, out, pause);
      }
      out.array() *= next.array();
    }
  }

  const Mlp& net_;
  const TapeLayout& layout_;
  const double* tape_;
  const bool full_;
  Index columns_ = 0, first_ = 0, last_ = 0;
  std::vector<Index> pair_, jacobian_;
  std::vector<double> memory_;
};

}  // namespace detail
}  // namespace meanfree
