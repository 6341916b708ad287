// Gradient descent of deep linear networks, W_l <- W_l + eta slope_l in all layers at once.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "meanfree/compact_network.hpp"
#include "meanfree/linear_modes.hpp"
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
template <class Network>
class LinearRecorder {
 public:
  using Task = typename Network::Task;

  LinearRecorder(const Task& task, const LinearRecords& records, std::int64_t run, double* weights)
      : task_(task),
        total_(records.total + run * records.n_records * task.n_total()),
        balancedness_(records.balancedness + run * records.n_records * pairs()),
        left_(records.n_records),
        weights_(weights) {}

  /// Where forward() puts W.
  double* total() const { return total_; }

  /// After forward(); false where the run has left the range of floats.
  bool record(Network& network, const double* state, Pause& pause) {
    network.unpack(state, weights_);
    network.balancedness(weights_, balancedness_, pause);
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

  const Task& task_;
  double *total_, *balancedness_;
  std::int64_t left_;
  double* weights_;
};

/// Counts work in a number that threads share, but rarely.
class WorkCounter {
 public:
  explicit WorkCounter(std::atomic<std::int64_t>& shared) : shared_(shared) {}
  void add(std::int64_t n, std::int64_t at_once = 64) {
    own_ += n;
    if (own_ < at_once) return;
    shared_.fetch_add(own_, std::memory_order_relaxed);
    own_ = 0;
  }

 private:
  std::atomic<std::int64_t>& shared_;
  std::int64_t own_ = 0;
};

/// One run: records at 0, every `record_every` steps, and at the end.
template <class Network>
void descend_run(const typename Network::Task& task, double eta, std::int64_t steps,
                 std::int64_t record_every, const LinearRecords& records, std::int64_t run,
                 double* weights, std::atomic<std::int64_t>& done, Pause& pause) {
  Network network(task);
  LinearRecorder<Network> recorder(task, records, run, weights);
  AlignedNumbers state(static_cast<std::size_t>(network.state_size()));
  network.pack(weights, state.data());
  WorkCounter counter(done);
  for (std::int64_t step = 0;; ++step) {
    const bool recorded = step % record_every == 0 || step == steps;
    network.forward(state.data(), recorded ? recorder.total() : nullptr, pause);
    if (recorded && !recorder.record(network, state.data(), pause)) {
      counter.add(steps - step, 0);
      return;
    }
    if (step == steps) break;
    network.backward(state.data(), state.data(), eta, pause);
    counter.add(1);
    pause.check();
  }
  counter.add(0, 0);
}

}  // namespace detail

/// Descend from the weights of n_runs runs, which become those after the last step; eta (n_runs).
/// Records at 0, every `record_every` steps, and at the end. poll(steps done in all runs).
template <class Network, class Poll>
void descend_linear(const typename Network::Task& task, const double* eta, std::int64_t n_runs,
                    std::int64_t steps, std::int64_t record_every, int n_threads,
                    const LinearRecords& records, double* weights, Poll&& poll) {
  std::atomic<std::int64_t> done{0};
  for_each_block(
      n_runs, n_threads,
      [&](std::int64_t run, Pause& pause) {
        detail::descend_run<Network>(task, eta[run], steps, record_every, records, run,
                                     weights + run * task.n_weights(), done, pause);
      },
      [&](std::int64_t) { poll(done.load(std::memory_order_relaxed)); });
}

/// The same with the network that is fastest for these sizes.
template <class Poll>
void descend_linear(const LinearTask& task, const double* eta, std::int64_t n_runs,
                    std::int64_t steps, std::int64_t record_every, int n_threads,
                    const LinearRecords& records, double* weights, Poll&& poll) {
  const auto descend = detail::CompactNetwork::fits(task)
                           ? descend_linear<detail::CompactNetwork, Poll>
                           : descend_linear<detail::LinearNetwork, Poll>;
  descend(task, eta, n_runs, steps, record_every, n_threads, records, weights,
          std::forward<Poll>(poll));
}

}  // namespace meanfree
