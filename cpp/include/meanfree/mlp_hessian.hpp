// The Hessian of a network (mlp.hpp) with respect to its parameters, block by block, from the K and
// J of mlp_curvature.hpp and h~ = (h, 1):
//
//     H[(l,a,i), (m,b,j)] = mean( h~^{l-1}_i Q ),  Q = K^{lm}_ab h~^{m-1}_j + d^m_b J^{l,m-1}_ja
//
// where J is absent for l = m and for the bias j. Without J and phi'' this is the Gauss-Newton
// matrix. A block is a product of matrices whose inner index runs over samples: for l < m the
// columns Q with h~, for l = m the K_ab, a <= b, with the products h~_i h~_j, i <= j.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "meanfree/mlp_curvature.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

/// Adds up the lower triangle of the Hessian, stored by columns, in pieces that threads may share.
class HessianBlocks {
 public:
  HessianBlocks(const Mlp& net, const TapeLayout& layout, const double* tape, bool full,
                const Curvatures& curvatures, double* hessian)
      : net_(net),
        layout_(layout),
        tape_(tape),
        full_(full),
        curvatures_(curvatures),
        hessian_(hessian, net.n_parameters(), net.n_parameters()) {
    for (Index l = 1; l <= net.depth(); ++l) {
      const std::vector<Index> units = cut(net.size(l)), inputs = cut(net.size(l - 1) + 1);
      for (std::size_t u = 0; u + 1 < units.size(); ++u) {
        for (std::size_t i = 0; i + 1 < inputs.size(); ++i) {
          pieces_.push_back(
              {l, l, units[u], units[u + 1] - units[u], inputs[i], inputs[i + 1] - inputs[i]});
        }
      }
      for (Index m = l + 1; m <= net.depth(); ++m) {
        const Index step = std::max<Index>(1, tile / net.size(m - 1));
        for (Index a = 0; a < net.size(l); ++a) {
          for (Index b = 0; b < net.size(m); b += step) {
            pieces_.push_back({l, m, a, 1, b, std::min(step, net.size(m) - b)});
          }
        }
      }
    }
  }

  Index n_pieces() const { return static_cast<Index>(pieces_.size()); }

  struct Scratch {
    Workspace columns, sums, of_biases;
    Product product;
  };

  void add(Index piece, Scratch& scratch, Pause& pause) {
    const Piece& p = pieces_[static_cast<std::size_t>(piece)];
    if (p.l == p.m) {
      add_own(p, scratch, pause);
    } else {
      add_cross(p, scratch, pause);
    }
  }

 private:
  static constexpr Index tile = 1024;  // columns of a factor

  /// l == m: units a and inputs i, with those that follow them; l < m: one unit a, units b of m.
  struct Piece {
    Index l, m, first, count, first_other, count_other;
  };

  /// Borders of groups of rows of the upper triangle, a tile of pairs or one row in each.
  static std::vector<Index> cut(Index n) {
    std::vector<Index> borders{0};
    Index pairs = 0;
    for (Index i = 0; i < n; ++i) {
      if (pairs > 0 && pairs + n - i > tile) {
        borders.push_back(i);
        pairs = 0;
      }
      pairs += n - i;
    }
    borders.push_back(n);
    return borders;
  }

  void add_own(const Piece& p, Scratch& scratch, Pause& pause) {
    const Index n_in = net_.size(p.l - 1), n = net_.size(p.l);
    const Index i_last = p.first_other + p.count_other, a_last = p.first + p.count;
    const auto pairs = [](Index size, Index first, Index last) {
      return Curvatures::triangle(size, last) - Curvatures::triangle(size, first);
    };
    const Index n_inputs = pairs(n_in + 1, p.first_other, i_last);
    Eigen::Map<Matrix> sums = scratch.sums.resize(n_inputs, pairs(n, p.first, a_last));
    sums.setZero();
    for (Index c = curvatures_.first(); c < curvatures_.last(); ++c) {
      const auto h = layout_.input(tape_, c, p.l);
      Eigen::Map<Matrix> both = scratch.columns.resize(layout_.rows(c), n_inputs);
      Index t = 0;
      for (Index i = p.first_other; i < i_last; ++i) {
        for (Index j = i; j <= n_in; ++j) both.col(t++) = h.col(i).cwiseProduct(h.col(j));
      }
      scratch.product.add_transposed(both, curvatures_.own(c, p.l, p.first, p.count), 1.0, sums,
                                     pause);
    }
    const Index weights = net_.offset(p.l), biases = net_.bias_offset(p.l);
    Index t = 0;
    for (Index a = p.first; a < a_last; ++a) {
      for (Index b = a; b < n; ++b, ++t) {
        const double* from = sums.col(t).data();
        const Index row = weights + b * n_in;
        for (Index i = p.first_other; i < i_last; from += n_in + 1 - i, ++i) {
          if (i == n_in) {
            hessian_(biases + b, biases + a) += from[0];
            break;
          }
          const Index column = weights + a * n_in + i, count = n_in - i;
          double* to = &hessian_(row + i, column);
          for (Index j = 0; j < count; ++j) to[j] += from[j];
          hessian_(biases + b, column) += from[count];
          if (a == b) continue;
          for (Index j = 1; j < count; ++j) hessian_(row + i, column + j) += from[j];
          hessian_(biases + a, row + i) += from[count];
        }
      }
      pause.check();
    }
  }

  void add_cross(const Piece& p, Scratch& scratch, Pause& pause) {
    const Index n_l = net_.size(p.l - 1), n_m = net_.size(p.m - 1), a = p.first;
    const Index b_first = p.first_other, count = p.count_other;
    const Index column = net_.offset(p.l) + a * n_l, bias = net_.bias_offset(p.l) + a;
    const Index row = net_.offset(p.m) + b_first * n_m, biases = net_.bias_offset(p.m) + b_first;
    Eigen::Map<Matrix> sums = scratch.sums.resize(count * n_m, n_l + 1),
                       of_biases = scratch.of_biases.resize(count, n_l + 1);
    sums.setZero();
    of_biases.setZero();
    for (Index c = curvatures_.first(); c < curvatures_.last(); ++c) {
      const auto input = layout_.input(tape_, c, p.l), h = layout_.input(tape_, c, p.m);
      const auto delta = layout_.delta(tape_, c, p.m);
      const ConstMap pair = curvatures_.cross(c, p.l, p.m, a);
      Eigen::Map<Matrix> q = scratch.columns.resize(layout_.rows(c), count * n_m);
      for (Index b = 0; b < count; ++b) {
        const auto k = pair.col(b_first + b), d = delta.col(b_first + b);
        for (Index i = 0; i < n_m; ++i) q.col(b * n_m + i) = k.cwiseProduct(h.col(i));
        if (full_ && p.m > p.l + 1) {
          const ConstMap j = curvatures_.jacobian(c, p.l, p.m - 1, a);
          for (Index i = 0; i < n_m; ++i) q.col(b * n_m + i) += d.cwiseProduct(j.col(i));
        } else if (full_) {
          q.col(b * n_m + a) += d.cwiseProduct(layout_.slope(tape_, c, p.l).col(a));
        }
      }
      scratch.product.add_transposed(q, input, 1.0, sums, pause);
      scratch.product.add_transposed(pair.middleCols(b_first, count), input, 1.0, of_biases, pause);
    }
    hessian_.block(row, column, sums.rows(), n_l) += sums.leftCols(n_l);
    hessian_.block(biases, column, count, n_l) += of_biases.leftCols(n_l);
    hessian_.col(bias).segment(row, sums.rows()) += sums.col(n_l);
    hessian_.col(bias).segment(biases, count) += of_biases.col(n_l);
  }

  const Mlp& net_;
  const TapeLayout& layout_;
  const double* tape_;
  const bool full_;
  const Curvatures& curvatures_;
  Eigen::Map<Matrix> hessian_;
  std::vector<Piece> pieces_;
};

/// Scratch memory for as many threads as ask at a time; kept, since to allocate it takes long.
template <class Scratch>
class ScratchPool {
 public:
  template <class Use>
  void lend(const Use& use) {
    std::unique_ptr<Scratch> scratch;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        scratch = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (!scratch) scratch = std::make_unique<Scratch>();
    use(*scratch);
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

/// The upper triangle from the lower, for the rows of a block.
inline void mirror(Eigen::Map<Matrix>& hessian, Index first, Index count) {
  constexpr Index step = 32;
  const Index n = hessian.rows();
  for (Index i = first; i < n; i += step) {
    const Index height = std::min(step, n - i);
    if (i > first) {
      hessian.block(first, i, count, height) = hessian.block(i, first, height, count).transpose();
      continue;
    }
    for (Index j = 0; j < count; ++j) {
      for (Index k = j + 1; k < count; ++k)
        hessian(first + j, first + k) = hessian(first + k, first + j);
    }
  }
}

}  // namespace detail

/// The Hessian, or (full = false) the Gauss-Newton matrix, at the point of a tape. poll is given
/// how much is done, in thousandths. The same bits for any number of threads.
template <class Poll>
void mlp_hessian(const detail::Mlp& net, const detail::TapeLayout& layout, const double* tape,
                 bool full, int n_threads, double* hessian, Poll&& poll) {
  using detail::Index;
  const Index n = net.n_parameters();
  std::int64_t done = 0;
  const auto quietly = [&](std::int64_t) { poll(done); };
  detail::Curvatures curvatures(net, layout, tape, full);
  detail::HessianBlocks blocks(net, layout, tape, full, curvatures, hessian);
  detail::ScratchPool<detail::Curvatures::Scratch> of_chunks;
  detail::ScratchPool<detail::HessianBlocks::Scratch> of_pieces;
  constexpr Index columns = 32;
  const Index n_columns = (n + columns - 1) / columns;
  for_each_block(
      n_columns, n_threads,
      [&](std::int64_t k, Pause&) {
        const Index first = k * columns;
        std::fill_n(hessian + first * n, std::min(columns, n - first) * n, 0.0);
      },
      quietly);
  for (Index first = 0; first < layout.n_chunks();) {
    const Index last = curvatures.begin(first);
    for_each_block(
        last - first, n_threads,
        [&](std::int64_t c, Pause& pause) {
          of_chunks.lend([&](auto& scratch) { curvatures.compute(first + c, scratch, pause); });
        },
        quietly);
    const std::int64_t before = done, share = 1000 * last / layout.n_chunks() - before;
    for_each_block(
        blocks.n_pieces(), n_threads,
        [&](std::int64_t k, Pause& pause) {
          of_pieces.lend([&](auto& scratch) { blocks.add(k, scratch, pause); });
        },
        [&](std::int64_t pieces) { poll(done = before + pieces * share / blocks.n_pieces()); });
    first = last;
  }
  Eigen::Map<detail::Matrix> all(hessian, n, n);
  for_each_block(
      n_columns, n_threads,
      [&](std::int64_t k, Pause&) {
        const Index first = k * columns;
        detail::mirror(all, first, std::min(columns, n - first));
      },
      quietly);
}

}  // namespace meanfree
