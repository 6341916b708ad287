// Gradient descent of deep linear networks, W_l <- W_l + eta slope_l in all layers at once.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "meanfree/linear_network.hpp"
#include "meanfree/parallel.hpp"

namespace meanfree {

/// Where runs are recorded: at each of n_records points, for each run, W by rows, and the
/// balancedness of each pair of layers. Weights: W_1, .., W_L of each run, each by rows.
struct LinearRecords {
  std::int64_t n_records = 0;
  double* total = nullptr;
  double* balancedness = nullptr;
};

namespace detail {

constexpr double infinite = std::numeric_limits<double>::infinity();

inline bool all_finite(const double* x, std::int64_t n) {
  double sum = 0.0;  // becomes nan where anything is not finite
  for (std::int64_t i = 0; i < n; ++i) sum += 0.0 * x[i];
  return sum == 0.0;
}

/// The records of one run, and what happens where it leaves the range of floats: the rest of them,
/// and the weights, are infinite.
class LinearRecorder {
 public:
  LinearRecorder(const LinearTask& task, const LinearRecords& records, std::int64_t run,
                 double* weights)
      : task_(task),
        total_(records.total + run * records.n_records * task.n_total()),
        balancedness_(records.balancedness + run * records.n_records * pairs()),
        left_(records.n_records),
        weights_(weights) {}

  /// Where forward() puts W.
  double* total() const { return total_; }

  /// After forward(); false where the run has left the range of floats.
  template <class Network>
  bool record(const Network& network, const double* state, Pause& pause) {
    network.unpack(state, weights_);
    measure_.measure(task_, weights_, balancedness_, pause);
    if (!all_finite(total_, task_.n_total()) || !all_finite(balancedness_, pairs()) ||
        !all_finite(weights_, task_.n_weights())) {
      std::fill_n(total_, left_ * task_.n_total(), infinite);
      std::fill_n(balancedness_, left_ * pairs(), infinite);
      std::fill_n(weights_, task_.n_weights(), infinite);
      return false;
    }
    total_ += task_.n_total();
    balancedness_ += pairs();
    --left_;
    return true;
  }

 private:
  std::int64_t pairs() const { return static_cast<std::int64_t>(task_.depth()) - 1; }

  const LinearTask& task_;
  double *total_, *balancedness_;
  std::int64_t left_;
  double* weights_;
  Balancedness measure_;
};

/// One run: records at 0, every `record_every` steps, and at the end.
template <class Network>
void descend_run(const LinearTask& task, double eta, std::int64_t steps, std::int64_t record_every,
                 const LinearRecords& records, std::int64_t run, double* weights,
                 std::atomic<std::int64_t>& done, Pause& pause) {
  Network network(task);
  LinearRecorder recorder(task, records, run, weights);
  std::vector<double> state(static_cast<std::size_t>(network.state_size()));
  network.pack(weights, state.data());
  for (std::int64_t step = 0;; ++step) {
    const bool recorded = step % record_every == 0 || step == steps;
    network.forward(state.data(), recorded ? recorder.total() : nullptr, pause);
    if (recorded && !recorder.record(network, state.data(), pause)) {
      done.fetch_add(steps - step, std::memory_order_relaxed);
      return;
    }
    if (step == steps) return;
    network.backward(state.data(), state.data(), eta, pause);
    done.fetch_add(1, std::memory_order_relaxed);
    pause.check();
  }
}

}  // namespace detail

/// Descend from the weights of n_runs runs, which become those after the last step; eta (n_runs).
/// Records at 0, every `record_every` steps, and at the end. poll(steps done in all runs).
template <class Poll>
void descend_linear(const LinearTask& task, const double* eta, std::int64_t n_runs,
                    std::int64_t steps, std::int64_t record_every, int n_threads,
                    const LinearRecords& records, double* weights, Poll&& poll) {
  std::atomic<std::int64_t> done{0};
  for_each_block(
      n_runs, n_threads,
      [&](std::int64_t run, Pause& pause) {
        detail::descend_run<detail::LinearNetwork>(task, eta[run], steps, record_every, records,
                                                   run, weights + run * task.n_weights(), done,
                                                   pause);
      },
      [&](std::int64_t) { poll(done.load(std::memory_order_relaxed)); });
}

}  // namespace meanfree
