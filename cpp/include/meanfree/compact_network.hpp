// The gradient of linear_network.hpp for layers of up to a few hundred units, by
// direct_product.hpp.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meanfree/direct_product.hpp"
#include "meanfree/linear_network.hpp"
#include "meanfree/parallel.hpp"

namespace meanfree {
namespace detail {

/// The state is W_1, .., W_L by padded rows; with fewer outputs than inputs the transposed network,
/// W_L^T, .., W_1^T, which is learned from sigma_yx^T. Same functions as LinearNetwork.
///
///     forward:    B_l = W_l B_{l-1}
///     backward:   D_L = S - B_L,  D_{l-1} = W_l^T D_l,  W_l += rate D_l B_{l-1}^T
class CompactNetwork {
 public:
  using Task = LinearTask;
  static constexpr std::int64_t largest = 320;

  /// Whether this is faster than Eigen's products.
  static bool fits(const LinearTask& task) {
    return *std::max_element(task.sizes.begin(), task.sizes.end()) <= largest;
  }

  explicit CompactNetwork(const LinearTask& task)
      : task_(task), turned_(task.sizes.front() > task.sizes.back()), sizes_(task.sizes) {
    if (turned_) std::reverse(sizes_.begin(), sizes_.end());
    const Index inputs = size(0), stride = padded(inputs);
    Index most = 0;
    for (std::size_t l = 0; l < depth(); ++l) {
      start_.push_back(state_size_);
      state_size_ += size(l + 1) * padded(size(l));
      products_.emplace_back(size(l + 1) * stride);
      if (l > 0) most = std::max(most, inputs * padded(size(l)));
    }
    turned_product_.resize(static_cast<std::size_t>(most));
    goal_.resize(static_cast<std::size_t>(size(depth()) * stride));
    fill(task.sigma_yx, size(depth()), inputs, goal_.data());
    if (task.sigma_xx != nullptr) {
      const Index n = task.sizes[0];
      inputs_.resize(static_cast<std::size_t>(n * padded(n)));
      copy_rows(task.sigma_xx, n, n, inputs_.data());
      coloured_.resize(goal_.size());
    }
  }

  std::int64_t state_size() const { return state_size_; }

  void pack(const double* weights, double* state) const {
    std::fill_n(state, state_size_, 0.0);
    for (std::size_t i = 0; i < depth(); ++i) {
      const std::size_t l = turned_ ? depth() - 1 - i : i;
      fill(weights, size(l + 1), size(l), state + start_[l]);
      weights += size(l) * size(l + 1);
    }
  }

  void unpack(const double* state, double* weights) const {
    for (std::size_t i = 0; i < depth(); ++i) {
      const std::size_t l = turned_ ? depth() - 1 - i : i;
      take(state + start_[l], size(l + 1), size(l), weights);
      weights += size(l) * size(l + 1);
    }
  }

  void forward(const double* state, double* out, Pause& pause) {
    const Index inputs = size(0), stride = padded(inputs);
    for (std::size_t l = 1; l < depth(); ++l) {
      direct_product({size(l), state + start_[l], padded(size(l)), 1, part(state, l - 1), stride,
                      products_[l].data(), stride, 1.0, false},
                     size(l + 1), inputs);
      pause.check();
    }
    if (out != nullptr) take(part(state, depth() - 1), size(depth()), inputs, out);
  }

  void balancedness(const double* weights, double* out, Pause& pause) {
    balancedness_.measure(task_, weights, out, pause);
  }

  void backward(const double* state, double* target, double rate, Pause& pause) {
    const Index inputs = size(0), stride = padded(inputs);
    const double* error = first_error(state);
    if (depth() == 1) {
      for (std::int64_t i = 0; i < state_size_; ++i) target[i] += rate * error[i];
      return;
    }
    for (std::size_t l = depth() - 1; l > 0; --l) {
      const double* w = state + start_[l];
      const Index w_stride = padded(size(l));
      double* turned = turned_product_.data();
      transpose(size(l), inputs, part(state, l - 1), stride, turned, w_stride);
      double* next = products_[l - 1].data();  // instead of the product, which has been used
      const bool first = l == 1;
      direct_product({size(l + 1), w, 1, w_stride, error, stride, first ? target : next, stride,
                      first ? rate : 1.0, first},
                     size(l), inputs);
      direct_product(
          {inputs, error, stride, 1, turned, w_stride, target + start_[l], w_stride, rate, true},
          size(l + 1), size(l));
      error = next;
      pause.check();
    }
  }

 private:
  std::size_t depth() const { return task_.depth(); }
  Index size(std::size_t l) const { return sizes_[l]; }

  /// B_{l+1}.
  const double* part(const double* state, std::size_t l) const {
    return l == 0 ? state : products_[l].data();
  }

  /// S - W S_xx, or of the transposed network S^T - S_xx W^T.
  const double* first_error(const double* state) {
    const Index rows = size(depth()), stride = padded(size(0));
    const double* total = part(state, depth() - 1);
    double* out = products_.back().data();
    if (inputs_.empty()) {
      for (Index i = 0; i < rows * stride; ++i)
        out[i] = goal_[static_cast<std::size_t>(i)] - total[i];
      return out;
    }
    out = coloured_.data();
    std::copy_n(goal_.data(), rows * stride, out);
    const Index n = task_.sizes[0];
    if (turned_) {
      direct_product({n, inputs_.data(), padded(n), 1, total, stride, out, stride, -1.0, true},
                     rows, size(0));
    } else {
      direct_product({n, total, stride, 1, inputs_.data(), stride, out, stride, -1.0, true}, rows,
                     size(0));
    }
    return out;
  }

  static void copy_rows(const double* from, Index rows, Index columns, double* to) {
    for (Index i = 0; i < rows; ++i) {
      std::copy_n(from + i * columns, columns, to + i * padded(columns));
    }
  }

  /// Rows x columns of the inner order from those of the task.
  void fill(const double* from, Index rows, Index columns, double* to) const {
    if (!turned_) {
      copy_rows(from, rows, columns, to);
      return;
    }
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < columns; ++j) to[i * padded(columns) + j] = from[j * rows + i];
    }
  }

  void take(const double* from, Index rows, Index columns, double* to) const {
    const Index stride = padded(columns);
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < columns; ++j) {
        to[turned_ ? j * rows + i : i * columns + j] = from[i * stride + j];
      }
    }
  }

  const LinearTask& task_;
  bool turned_;
  std::vector<std::int64_t> sizes_;
  std::vector<std::int64_t> start_;
  std::int64_t state_size_ = 0;
  std::vector<AlignedNumbers> products_;  // B_{l+1}, then D_{l+1}
  AlignedNumbers turned_product_, goal_, inputs_, coloured_;
  Balancedness balancedness_;
};

}  // namespace detail
}  // namespace meanfree
