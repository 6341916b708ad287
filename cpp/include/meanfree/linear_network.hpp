// Gradient of a deep linear network, W = W_L ... W_1 of any chain of shapes:
//
//     slope_l = (W_L .. W_{l+1})^T (S_yx - W S_xx) (W_{l-1} .. W_1)^T
//
// is minus the gradient of E = 1/2 tr(W S_xx W^T) - tr(W S_yx^T). One sweep forward, for the
// products up to each layer, and one backward, for the error as each layer sees it: 3 L - 3
// products of two matrices. The products are taken from the side that has fewer units. Nothing is
// allocated in a sweep.
#pragma once
#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {

/// What is learned: sizes n_0 .. n_L of the layers of units, sigma_yx (n_L, n_0), and sigma_xx
/// (n_0, n_0) or null for white inputs; matrices by rows. Borrows them.
struct LinearTask {
  std::vector<std::int64_t> sizes;
  const double* sigma_yx = nullptr;
  const double* sigma_xx = nullptr;

  std::size_t depth() const { return sizes.size() - 1; }
  std::int64_t n_weights() const {
    std::int64_t n = 0;
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) n += sizes[l] * sizes[l + 1];
    return n;
  }
  std::int64_t n_total() const { return sizes.front() * sizes.back(); }
};

namespace detail {

/// |W_{l+1}^T W_{l+1} - W_l W_l^T|, Frobenius, for l = 1 .. L - 1.
class Balancedness {
 public:
  void measure(const LinearTask& task, const double* weights, double* out, Pause& pause) {
    for (std::size_t l = 0; l + 1 < task.depth(); ++l) {
      const Index before = task.sizes[l], n = task.sizes[l + 1], after = task.sizes[l + 2];
      const Eigen::Map<const Matrix> w(weights, before, n), next(weights + before * n, n, after);
      Eigen::Map<Matrix> difference = difference_.resize(n, n);
      product_.multiply_transposed(w, w, difference, pause);
      difference *= -1.0;
      product_.add_by_transposed(next, next, 1.0, difference, pause);
      out[l] = difference.norm();
      weights += before * n;
    }
  }

 private:
  Workspace difference_;
  Product product_;
};

/// Any sizes, by Eigen's products. The state is W_1, .., W_L, each by rows: as columns, w_l =
/// W_l^T.
class LinearNetwork {
 public:
  using Task = LinearTask;

  explicit LinearNetwork(const LinearTask& task)
      : task_(task), from_inputs_(task.sizes.front() <= task.sizes.back()) {
    std::int64_t at = 0;
    for (std::size_t l = 0; l < depth(); ++l) {
      start_.push_back(at);
      at += size(l) * size(l + 1);
    }
    products_.resize(depth());
    for (std::size_t l = 0; l < depth(); ++l) {
      products_[l].resize(from_inputs_ ? size(0) : size(l),
                          from_inputs_ ? size(l + 1) : size(depth()));
    }
    Index widest = 0;
    for (const std::int64_t n : task.sizes) widest = std::max<Index>(widest, n);
    for (Workspace& error : errors_) error.resize(narrow(), widest);
    error_.resize(size(0), size(depth()));
  }

  std::int64_t state_size() const { return task_.n_weights(); }
  void pack(const double* weights, double* state) const {
    std::copy_n(weights, state_size(), state);
  }
  void unpack(const double* state, double* weights) const {
    std::copy_n(state, state_size(), weights);
  }

  /// W, (n_L, n_0) by rows, into `out`; afterwards backward() may be called with the same state.
  void forward(const double* state, double* out, Pause& pause) {
    sweep_forward(state, pause);
    if (out != nullptr) std::copy_n(total(state).data(), task_.n_total(), out);
  }

  /// |W_{l+1}^T W_{l+1} - W_l W_l^T| for l = 1 .. L - 1.
  void balancedness(const double* weights, double* out, Pause& pause) {
    balancedness_.measure(task_, weights, out, pause);
  }

  /// target += rate slope, for the state of forward(). The target may be the state itself.
  void backward(const double* state, double* target, double rate, Pause& pause) {
    Eigen::Map<Matrix> e = error_.map();
    const Eigen::Map<const Matrix> s(task_.sigma_yx, size(0), size(depth()));
    if (task_.sigma_xx == nullptr) {
      e = s - total(state);
    } else {
      const Eigen::Map<const Matrix> xx(task_.sigma_xx, size(0), size(0));
      e = s;
      product_.subtract(xx, total(state), e, pause);
    }
    if (from_inputs_) {
      toward_inputs(state, target, rate, pause);
    } else {
      toward_outputs(state, target, rate, pause);
    }
  }

 private:
  using ConstMap = Eigen::Map<const Matrix>;

  std::size_t depth() const { return task_.depth(); }
  Index size(std::size_t l) const { return task_.sizes[l]; }
  Index narrow() const { return from_inputs_ ? size(0) : size(depth()); }
  ConstMap weight(const double* state, std::size_t l) const {
    return {state + start_[l], size(l), size(l + 1)};
  }
  Eigen::Map<Matrix> weight(double* state, std::size_t l) const {
    return {state + start_[l], size(l), size(l + 1)};
  }

  /// From the inputs: w_1 .. w_l for each l; else w_l .. w_L.
  ConstMap part(const double* state, std::size_t l) const {
    if (l == (from_inputs_ ? 0 : depth() - 1)) return weight(state, l);
    return products_[l].map();
  }
  ConstMap total(const double* state) const { return part(state, from_inputs_ ? depth() - 1 : 0); }

  void sweep_forward(const double* state, Pause& pause) {
    for (std::size_t i = 1; i < depth(); ++i) {
      if (from_inputs_) {
        product_.multiply(part(state, i - 1), weight(state, i), products_[i].map(), pause);
      } else {
        const std::size_t l = depth() - 1 - i;
        product_.multiply(weight(state, l), part(state, l + 1), products_[l].map(), pause);
      }
    }
  }

  void toward_inputs(const double* state, double* target, double rate, Pause& pause) {
    const double* error = error_.map().data();
    for (std::size_t l = depth() - 1; l > 0; --l) {
      const ConstMap d(error, size(0), size(l + 1));
      Eigen::Map<Matrix> next = errors_[l % 2].resize(size(0), size(l));
      product_.multiply_by_transposed(d, weight(state, l), next, pause);
      product_.add_transposed(part(state, l - 1), d, rate, weight(target, l), pause);
      error = next.data();
    }
    weight(target, 0) += rate * ConstMap(error, size(0), size(1));
  }

  void toward_outputs(const double* state, double* target, double rate, Pause& pause) {
    const double* error = error_.map().data();
    for (std::size_t l = 0; l + 1 < depth(); ++l) {
      const ConstMap d(error, size(l), size(depth()));
      Eigen::Map<Matrix> next = errors_[l % 2].resize(size(l + 1), size(depth()));
      product_.multiply_transposed(weight(state, l), d, next, pause);
      product_.add_by_transposed(d, part(state, l + 1), rate, weight(target, l), pause);
      error = next.data();
    }
    const std::size_t last = depth() - 1;
    weight(target, last) += rate * ConstMap(error, size(last), size(depth()));
  }

  const LinearTask& task_;
  bool from_inputs_;
  std::vector<std::int64_t> start_;
  std::vector<Workspace> products_;
  Workspace errors_[2], error_;
  Product product_;
  Balancedness balancedness_;
};

}  // namespace detail
}  // namespace meanfree
