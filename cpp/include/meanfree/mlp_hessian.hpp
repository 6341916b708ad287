// The Hessian of a network (mlp.hpp) with respect to its parameters, block by block, from the K and
// J of mlp_curvature.hpp and h~ = (h, 1):
//
//     H[(l,a,i), (m,b,j)] = mean( h~^{l-1}_i Q ),  Q = K^{lm}_ab h~^{m-1}_j + d^m_b J^{l,m-1}_ja
//
// where J is absent for l = m and for the bias j. Without J and phi'' this is the Gauss-Newton
// matrix. A block is a product of matrices whose inner index runs over samples: for l < m the
// columns Q with h~, for l = m the K_ab, a <= b, with the products h~_i h~_j, i <= j. For the
// squared error K^{LL} = 1 / n and K^{L-1,L}_ab = phi'_a W_ba / n, n samples, so that one unit's
// sums give those of all b.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "meanfree/column_product.hpp"
#include "meanfree/mlp_curvature.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

/// Writes the Hessian of the first group of chunks and adds those of the others, in pieces that
/// threads may share.
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
    ColumnPairs pairs;
    Workspace sums, shared, columns, line;
    ColumnProduct product;
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

  /// Is K^{ll} the same for all samples?
  bool is_constant(Index l) const { return net_.objective == Objective::mse && l == net_.depth(); }

  /// Rows from `row` on in one column of the Hessian.
  void put(Index row, Index column, const double* from, Index count) {
    double* to = &hessian_(row, column);
    if (curvatures_.first() == 0) {
      std::copy_n(from, count, to);
    } else {
      for (Index i = 0; i < count; ++i) to[i] += from[i];
    }
  }
  /// Where the weights and the bias of a unit are: place of its input j.
  Index place(Index layer, Index unit, Index j) const {
    const Index n = net_.size(layer - 1);
    return j < n ? net_.offset(layer) + unit * n + j : net_.bias_offset(layer) + unit;
  }

  void add_own(const Piece& p, Scratch& scratch, Pause& pause) {
    const Index n_in = net_.size(p.l - 1), n = net_.size(p.l);
    const Index i_last = p.first_other + p.count_other, a_last = p.first + p.count;
    const auto pairs = [](Index size, Index first, Index last) {
      return Curvatures::triangle(size, last) - Curvatures::triangle(size, first);
    };
    const bool constant = is_constant(p.l);
    const Index n_inputs = pairs(n_in + 1, p.first_other, i_last);
    const Index n_units = constant ? 1 : pairs(n, p.first, a_last);
    Eigen::Map<Matrix> sums = scratch.sums.resize(n_inputs, n_units + 1);  // and a column of 0
    sums.setZero();
    for (Index c = curvatures_.first(); c < curvatures_.last(); ++c) {
      const auto h = layout_.input(tape_, c, p.l);
      scratch.pairs.clear();
      for (Index i = p.first_other; i < i_last; ++i) {
        for (Index j = i; j <= n_in; ++j) scratch.pairs.add(h.col(i).data(), h.col(j).data());
      }
      scratch.product.add(scratch.pairs,
                          curvatures_.own(c, p.l, p.first, p.count).leftCols(n_units),
                          sums.leftCols(n_units), pause);
    }
    Index t = 0;
    for (Index a = p.first; a < a_last; ++a) {
      for (Index b = a; b < n; ++b, ++t) {
        const Index of_pair = constant ? (a == b ? 0 : 1) : t;
        write_own(p, a, b, sums.col(of_pair).data(), scratch);
      }
      pause.check();
    }
  }

  /// The sums over pairs of inputs i, those of a piece, and j >= i: a matrix that is symmetric, to
  /// the block of units a and b and to that of b and a, column by column.
  void write_own(const Piece& p, Index a, Index b, const double* sums, Scratch& scratch) {
    const Index n_in = net_.size(p.l - 1);
    const Index first = p.first_other, last = first + p.count_other;
    double* line = scratch.line.resize(n_in + 1, 1).data();
    for (Index j = first; j <= n_in; ++j) {
      Index t = j - first;  // of (first, j)
      for (Index i = first; i < std::min(j, last); ++i) {
        line[i] = sums[t];
        t += n_in - i;
      }
      if (j < last) std::copy_n(sums + t, n_in + 1 - j, line + j);
      const Index end = j < last ? n_in + 1 : last, n_weights = std::min(end, n_in) - first;
      const auto write = [&](Index of_rows, Index of_column) {
        const Index column = place(p.l, of_column, j);
        put(place(p.l, of_rows, 0) + first, column, line + first, n_weights);
        if (end > n_in) put(place(p.l, of_rows, n_in), column, line + n_in, 1);
      };
      write(b, a);
      if (a != b) write(a, b);
    }
  }

  void add_cross(const Piece& p, Scratch& scratch, Pause& pause) {
    const Index n_l = net_.size(p.l - 1), n_m = net_.size(p.m - 1), count = p.count_other;
    Eigen::Map<Matrix> sums = scratch.sums.resize(count * (n_m + 1), n_l + 1);
    sums.setZero();
    if (p.m == p.l + 1 && is_constant(p.m)) {
      sum_shared(p, sums, scratch, pause);
    } else {
      for (Index c = curvatures_.first(); c < curvatures_.last(); ++c) {
        list_cross(c, p, scratch);
        scratch.product.add(scratch.pairs, layout_.input(tape_, c, p.l), sums, pause);
      }
    }
    const Index row = place(p.m, p.first_other, 0), biases = place(p.m, p.first_other, n_m);
    for (Index i = 0; i <= n_l; ++i) {
      const Index column = place(p.l, p.first, i);
      put(row, column, sums.col(i).data(), count * n_m);
      put(biases, column, sums.col(i).data() + count * n_m, count);
    }
    pause.check();
    Eigen::Map<Matrix> line = scratch.line.resize(1, n_l + 1);
    for (Index r = 0; r < sums.rows(); ++r) {
      const Index column = r < count * n_m ? row + r : biases + r - count * n_m;
      line = sums.row(r);
      put(place(p.l, p.first, 0), column, line.data(), n_l);
      put(place(p.l, p.first, n_l), column, line.data() + n_l, 1);
    }
    pause.check();
  }

  /// The columns Q of a chunk: for the weights of units b one after another, then for their biases.
  void list_cross(Index c, const Piece& p, Scratch& scratch) const {
    const Index n_m = net_.size(p.m - 1), rows = layout_.rows(c), a = p.first;
    const auto h = layout_.input(tape_, c, p.m), delta = layout_.delta(tape_, c, p.m);
    const ConstMap pair = curvatures_.cross(c, p.l, p.m, a);
    const bool deep = full_ && p.m > p.l + 1;
    Eigen::Map<Matrix> extra = scratch.columns.resize(rows, deep ? 1 : p.count_other);
    if (deep) extra.setZero();
    scratch.pairs.clear();
    for (Index k = 0; k < p.count_other; ++k) {
      const Index b = p.first_other + k;
      const double *of_pair = pair.col(b).data(), *d = delta.col(b).data();
      for (Index i = 0; i < n_m; ++i) {
        if (deep) {
          const ConstMap jacobian = curvatures_.jacobian(c, p.l, p.m - 1, a);
          scratch.pairs.add(of_pair, h.col(i).data(), d, jacobian.col(i).data());
        } else if (full_ && i == a) {
          extra.col(k) = pair.col(b).cwiseProduct(h.col(a)) +
                         delta.col(b).cwiseProduct(layout_.slope(tape_, c, p.l).col(a));
          scratch.pairs.add(extra.col(k).data(), h.col(n_m).data());
        } else {
          scratch.pairs.add(of_pair, h.col(i).data());
        }
      }
    }
    for (Index k = 0; k < p.count_other; ++k) {
      const double *of_pair = pair.col(p.first_other + k).data(), *one = h.col(n_m).data();
      if (deep) {
        scratch.pairs.add(of_pair, one, extra.data(), one);
      } else {
        scratch.pairs.add(of_pair, one);
      }
    }
  }

  /// The same sums, from those of phi'_a h~_i and phi'_a d_b.
  void sum_shared(const Piece& p, Eigen::Map<Matrix>& sums, Scratch& scratch, Pause& pause) const {
    const Index n_m = net_.size(p.m - 1), count = p.count_other, a = p.first;
    Eigen::Map<Matrix> shared = scratch.shared.resize(n_m + 1 + (full_ ? count : 0), sums.cols());
    shared.setZero();
    for (Index c = curvatures_.first(); c < curvatures_.last(); ++c) {
      const auto h = layout_.input(tape_, c, p.m), delta = layout_.delta(tape_, c, p.m);
      const double* slope = layout_.slope(tape_, c, p.l).col(a).data();
      scratch.pairs.clear();
      for (Index i = 0; i <= n_m; ++i) scratch.pairs.add(slope, h.col(i).data());
      for (Index k = n_m + 1; k < shared.rows(); ++k) {
        scratch.pairs.add(slope, delta.col(p.first_other + k - n_m - 1).data());
      }
      scratch.product.add(scratch.pairs, layout_.input(tape_, c, p.l), shared, pause);
    }
    const double scale = 1.0 / static_cast<double>(layout_.n_samples());
    for (Index i = 0; i < sums.cols(); ++i) {
      for (Index k = 0; k < count; ++k) {
        const double weight = scale * net_.weights(p.m)(a, p.first_other + k);
        sums.col(i).segment(k * n_m, n_m) = weight * shared.col(i).head(n_m);
        sums(count * n_m + k, i) = weight * shared(n_m, i);
        if (full_) sums(k * n_m + a, i) += shared(n_m + 1 + k, i);
      }
    }
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

}  // namespace detail

/// The Hessian, or (full = false) the Gauss-Newton matrix, at the point of a tape. poll is given
/// how much is done, in thousandths. The same bits for any number of threads.
template <class Poll>
void mlp_hessian(const detail::Mlp& net, const detail::TapeLayout& layout, const double* tape,
                 bool full, int n_threads, double* hessian, Poll&& poll) {
  using detail::Index;
  std::int64_t done = 0;
  const auto quietly = [&](std::int64_t) { poll(done); };
  detail::Curvatures curvatures(net, layout, tape, full);
  detail::HessianBlocks blocks(net, layout, tape, full, curvatures, hessian);
  detail::ScratchPool<detail::Curvatures::Scratch> of_chunks;
  detail::ScratchPool<detail::HessianBlocks::Scratch> of_pieces;
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
}

}  // namespace meanfree
