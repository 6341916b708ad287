// Deep linear networks that start in the singular vectors of what they learn, and stay there: each
// mode has one weight in each layer,
//
//     slope_l = (prod_{k != l} w_k) (s - prod_k w_k)
//
// so that a step costs as much as there are modes and layers.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meanfree/direct_product.hpp"
#include "meanfree/parallel.hpp"

namespace meanfree {

/// Singular values s (n_modes), white inputs. Borrows them.
struct ModeTask {
  std::int64_t n_layers = 1, n_modes = 0;
  const double* s = nullptr;

  std::size_t depth() const { return static_cast<std::size_t>(n_layers); }
  std::int64_t n_weights() const { return n_layers * n_modes; }
  std::int64_t n_total() const { return n_modes; }
};

namespace detail {

/// Same functions as LinearNetwork; the state and the weights are (depth, n_modes), the total is
/// the strength of each mode.
class ModeNetwork {
 public:
  using Task = ModeTask;

  explicit ModeNetwork(const ModeTask& task)
      : task_(task),
        before_(static_cast<std::size_t>(task.n_weights())),
        after_(static_cast<std::size_t>(task.n_modes)) {}

  std::int64_t state_size() const { return task_.n_weights(); }
  void pack(const double* weights, double* state) const {
    std::copy_n(weights, state_size(), state);
  }
  void unpack(const double* state, double* weights) const {
    std::copy_n(state, state_size(), weights);
  }

  void forward(const double* state, double* out, Pause&) {
    const std::int64_t n = task_.n_modes;
    double* product = before_.data();  // of layers up to each
    std::copy_n(state, n, product);
    for (std::int64_t l = 1; l < task_.n_layers; ++l) {
      for (std::int64_t k = 0; k < n; ++k)
        product[l * n + k] = product[(l - 1) * n + k] * state[l * n + k];
    }
    if (out != nullptr) std::copy_n(product + (task_.n_layers - 1) * n, n, out);
  }

  void backward(const double* state, double* target, double rate, Pause&) {
    const std::int64_t n = task_.n_modes;
    const double* total = before_.data() + (task_.n_layers - 1) * n;
    double* after = after_.data();
    for (std::int64_t k = 0; k < n; ++k) after[k] = rate * (task_.s[k] - total[k]);
    for (std::int64_t l = task_.n_layers - 1; l > 0; --l) {
      const double* before = before_.data() + (l - 1) * n;
      for (std::int64_t k = 0; k < n; ++k) {
        const double w = state[l * n + k];
        target[l * n + k] += before[k] * after[k];
        after[k] *= w;
      }
    }
    for (std::int64_t k = 0; k < n; ++k) target[k] += after[k];
  }

  /// |W_{l+1}^T W_{l+1} - W_l W_l^T| for l = 1 .. L - 1.
  void balancedness(const double* weights, double* out, Pause&) {
    const std::int64_t n = task_.n_modes;
    for (std::int64_t l = 0; l + 1 < task_.n_layers; ++l) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < n; ++k) {
        const double w = weights[l * n + k], next = weights[(l + 1) * n + k];
        const double difference = (next - w) * (next + w);
        sum += difference * difference;
      }
      out[l] = std::sqrt(sum);
    }
  }

 private:
  const ModeTask& task_;
  AlignedNumbers before_, after_;
};

}  // namespace detail
}  // namespace meanfree
