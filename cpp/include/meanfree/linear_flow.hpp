// Gradient flow of deep linear networks, tau dW_l/dt = slope_l, by the explicit Runge-Kutta method
// of order 8 of Dormand and Prince. Steps are as long as their error allows; between their ends the
// state is that of the method's own polynomial.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "meanfree/compact_network.hpp"
#include "meanfree/dormand_prince.hpp"
#include "meanfree/graded.hpp"
#include "meanfree/linear_descent.hpp"
#include "meanfree/linear_network.hpp"
#include "meanfree/parallel.hpp"

namespace meanfree {

/// How a flow is integrated: local errors are held below tol |w| + 1e-3 tol scale for each weight
/// w, in the root mean square, with the largest weight of the start as scale.
struct FlowOptions {
  double tau = 1.0, tol = 1e-12;
  std::int64_t max_steps = 10'000'000;
};

namespace detail {
/// One step after another of w' = slope(w) / tau, on any arrays, up to the time `end`.
template <class Network>
class LinearIntegrator {
 public:
  LinearIntegrator(Network& network, const FlowOptions& options, const AlignedNumbers& start,
                   std::int64_t n_weights, double end)
      : network_(network),
        options_(options),
        n_weights_(n_weights),
        end_(end),
        w_(start),
        other_(start.size()),
        between_(start.size()) {
    for (auto& k : slope_) k.resize(start.size());
    double largest = 0.0;
    for (const double w : start) largest = std::max(largest, std::fabs(w));
    floor_ = 1e-3 * options.tol * largest + 1e-300;
  }

  /// The state at `time`; times ascend from 0 to the end.
  const AlignedNumbers& at(double time, Pause& pause) {
    if (!started_) start(pause);
    while (time_ < time) step(time, pause);
    if (time == time_) return w_;
    follow_course((time - before_) / length_);
    return between_;
  }

 private:
  static constexpr double smallest_factor = 0.2, largest_factor = 8.0;

  void evaluate(const AlignedNumbers& w, AlignedNumbers& out, Pause& pause) {
    std::fill(out.begin(), out.end(), 0.0);
    network_.forward(w.data(), nullptr, pause);
    network_.backward(w.data(), out.data(), 1.0 / options_.tau, pause);
  }

  /// A first step over which the weights move by little; the steps find their length soon.
  void start(Pause& pause) {
    evaluate(w_, slope_[n_stages], pause);
    double ratio = infinite;
    double size = 0.0, speed = 0.0;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      size += w_[i] * w_[i];
      speed += slope_[n_stages][i] * slope_[n_stages][i];
    }
    if (speed > 0.0) ratio = std::sqrt(size / speed);
    step_ = std::min(ratio > 0.0 ? ratio : 1.0, 1e6) * std::pow(options_.tol, 1.0 / 8.0) * 0.1;
    started_ = true;
  }

  /// Move on by one step, however often it has to be shortened. If it leads beyond the time `next`,
  /// its course has to be right as well.
  void step(double next, Pause& pause) {
    slope_[0].swap(slope_[n_stages]);
    for (bool good = false, rejected = false; !good; rejected = true) {
      if (n_steps_++ == options_.max_steps) {
        throw NotConverged("gradient flow needs more than " + std::to_string(options_.max_steps) +
                           " steps, and has come to t = " + std::to_string(time_) +
                           ": ask for earlier times, or a larger tol");
      }
      const bool last = step_ >= end_ - time_;
      before_ = time_;
      length_ = last ? end_ - time_ : step_;
      double error = attempt(pause);
      const double end = last ? end_ : time_ + length_;
      if (error < 1.0) {
        evaluate(other_, slope_[n_stages], pause);
        if (end > next) error = std::max(error, find_course(pause));
      }
      good = error < 1.0;  // false for nan
      double factor = good ? largest_factor : smallest_factor;
      if (error > 0.0 && std::isfinite(error)) {
        factor = std::clamp(0.9 * std::pow(error, -1.0 / 8.0), smallest_factor,
                            good && !rejected ? largest_factor : 1.0);
      }
      step_ = factor * length_;
      if (good) {
        time_ = end;
        w_.swap(other_);
      } else if (time_ + 0.1 * step_ == time_) {
        throw NotConverged("gradient flow cannot go on at t = " + std::to_string(time_) +
                           ": the step became too small; use a larger tol");
      }
      pause.check();
    }
  }

  /// out = w + h sum_j weight_j slope_j.
  void combine(const AlignedNumbers& w, const double* weights, int n, double h,
               AlignedNumbers& out) const {
    constexpr std::size_t block = 512;
    for (std::size_t first = 0; first < w.size(); first += block) {
      const std::size_t size = std::min(block, w.size() - first);
      double sum[block];
      std::fill_n(sum, size, 0.0);
      for (int j = 0; j < n; ++j) {
        if (weights[j] == 0.0) continue;
        const double* k = slope_[j].data() + first;
        for (std::size_t i = 0; i < size; ++i) sum[i] += weights[j] * k[i];
      }
      for (std::size_t i = 0; i < size; ++i) out[first + i] = w[first + i] + h * sum[i];
    }
  }

  /// Try a step into other_; return its error over what is allowed.
  double attempt(Pause& pause) {
    const double h = length_;
    for (int i = 1; i < n_stages; ++i) {
      combine(w_, stage_weights[i], i, h, between_);
      evaluate(between_, slope_[i], pause);
    }
    combine(w_, step_weights, n_stages, h, other_);
    double fifth = 0.0, third = 0.0;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      double e5 = 0.0, e3 = 0.0;
      for (int j = 0; j < n_stages; ++j) {
        e5 += error_5[j] * slope_[j][i];
        e3 += error_3[j] * slope_[j][i];
      }
      fifth += e5 / allowed(i) * (e5 / allowed(i));
      third += e3 / allowed(i) * (e3 / allowed(i));
    }
    if (fifth == 0.0 && third == 0.0) return 0.0;
    const auto n = static_cast<double>(n_weights_);
    return h * fifth / std::sqrt((fifth + 0.01 * third) * n);
  }

  double allowed(std::size_t i) const {
    return floor_ + options_.tol * std::max(std::fabs(w_[i]), std::fabs(other_[i]));
  }

  /// The last coefficients of the polynomial within the step from w_ to other_, in place of stages
  /// 1 to 4, which are not needed any more; its error over ten times what steps are allowed. That
  /// is a small part of its last term: 1 / 8 or less of the term's largest value, 0.0084 of the
  /// coefficient, wherever it was measured.
  double find_course(Pause& pause) {
    for (int i = n_stages + 1; i < all_stages; ++i) {
      combine(w_, late_weights[i - n_stages - 1], i, length_, between_);
      evaluate(between_, slope_[i], pause);
    }
    double error = 0.0;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      double sum[4] = {};
      for (int j = 0; j < all_stages; ++j) {
        for (int k = 0; k < 4; ++k) sum[k] += course_weights[k][j] * slope_[j][i];
      }
      for (int k = 0; k < 4; ++k) slope_[1 + k][i] = length_ * sum[k];
      const double part = 0.0084 / 8.0 * slope_[4][i] / (10.0 * allowed(i));
      error += part * part;
    }
    return std::sqrt(error / static_cast<double>(n_weights_));
  }

  /// The state at the part x of the step that led from other_ to w_, into between_.
  void follow_course(double x) {
    const double h = length_, y = 1.0 - x;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      const double rise = w_[i] - other_[i], first = h * slope_[0][i] - rise;
      const double second = rise - first - h * slope_[n_stages][i];
      const double high = (slope_[4][i] * x + slope_[3][i]) * y + slope_[2][i];
      const double low = (high * x + slope_[1][i]) * y + second;
      between_[i] = other_[i] + ((low * x + first) * y + rise) * x;
    }
  }

  Network& network_;
  const FlowOptions& options_;
  std::int64_t n_weights_;  // without padding, which is 0
  double end_;
  // the state at the end of the step; that at its begin, or at the end of one that is tried
  AlignedNumbers w_, other_, between_;
  AlignedNumbers slope_[all_stages];  // the one at w_ is number n_stages
  double floor_ = 0.0, time_ = 0.0, step_ = 0.0;
  double before_ = 0.0, length_ = 0.0;  // of the step that led to time_, or is tried
  std::int64_t n_steps_ = 0;
  bool started_ = false;
};

constexpr std::int64_t flow_parts = 1000;  // of each run, in reports of progress

template <class Network>
void flow_run(const typename Network::Task& task, const FlowOptions& options, const double* times,
              const LinearRecords& records, std::int64_t run, double* weights,
              std::atomic<std::int64_t>& done, Pause& pause) {
  Network network(task);
  LinearRecorder<Network> recorder(task, records, run, weights);
  AlignedNumbers state(static_cast<std::size_t>(network.state_size()));
  network.pack(weights, state.data());
  const double end = records.n_records > 0 ? times[records.n_records - 1] : 0.0;
  LinearIntegrator<Network> integrator(network, options, state, task.n_weights(), end);
  std::int64_t reported = 0;
  for (std::int64_t i = 0; i < records.n_records; ++i) {
    const AlignedNumbers& now = integrator.at(times[i], pause);
    network.forward(now.data(), recorder.total(), pause);
    if (!recorder.record(network, now.data(), pause)) break;
    const std::int64_t reached = flow_parts * (i + 1) / records.n_records;
    done.fetch_add(reached - reported, std::memory_order_relaxed);
    reported = reached;
  }
}

}  // namespace detail

/// Flow from the weights of n_runs runs, which become those at the last time; times ascend from 0
/// on. poll(thousandths of all runs).
template <class Network, class Poll>
void flow_linear(const typename Network::Task& task, const FlowOptions& options,
                 const double* times, std::int64_t n_runs, int n_threads,
                 const LinearRecords& records, double* weights, Poll&& poll) {
  std::atomic<std::int64_t> done{0};
  for_each_block(
      n_runs, n_threads,
      [&](std::int64_t run, Pause& pause) {
        detail::flow_run<Network>(task, options, times, records, run,
                                  weights + run * task.n_weights(), done, pause);
      },
      [&](std::int64_t) { poll(done.load(std::memory_order_relaxed)); });
}

/// The same with the network that is fastest for these sizes.
template <class Poll>
void flow_linear(const LinearTask& task, const FlowOptions& options, const double* times,
                 std::int64_t n_runs, int n_threads, const LinearRecords& records, double* weights,
                 Poll&& poll) {
  const auto flow = detail::CompactNetwork::fits(task) ? flow_linear<detail::CompactNetwork, Poll>
                                                       : flow_linear<detail::LinearNetwork, Poll>;
  flow(task, options, times, n_runs, n_threads, records, weights, std::forward<Poll>(poll));
}

}  // namespace meanfree
