// Gradient flow of deep linear networks, tau dW_l/dt = slope_l, by the explicit Runge-Kutta method
// of order 8 of Dormand and Prince with twelve stages, whose error is estimated by the embedded
// methods of orders 5 and 3 (Hairer, Norsett, Wanner 1993, section II.10). Steps end exactly at the
// times that are asked for.
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
constexpr int n_stages = 12;
constexpr double stage_weights[n_stages][n_stages - 1] = {
    {0},
    {0.05260015195876773},
    {0.0197250569845379, 0.0591751709536137},
    {0.02958758547680685, 0, 0.08876275643042054},
    {0.2413651341592667, 0, -0.8845494793282861, 0.924834003261792},
    {0.037037037037037035, 0, 0, 0.17082860872947386, 0.12546768756682242},
    {0.037109375, 0, 0, 0.17025221101954405, 0.06021653898045596, -0.017578125},
    {0.03709200011850479, 0, 0, 0.17038392571223998, 0.10726203044637328, -0.015319437748624402,
     0.008273789163814023},
    {0.6241109587160757, 0, 0, -3.3608926294469414, -0.868219346841726, 27.59209969944671,
     20.154067550477894, -43.48988418106996},
    {0.47766253643826434, 0, 0, -2.4881146199716677, -0.590290826836843, 21.230051448181193,
     15.279233632882423, -33.28821096898486, -0.020331201708508627},
    {-0.9371424300859873, 0, 0, 5.186372428844064, 1.0914373489967295, -8.149787010746927,
     -18.52006565999696, 22.739487099350505, 2.4936055526796523, -3.0467644718982196},
    {2.273310147516538, 0, 0, -10.53449546673725, -2.0008720582248625, -17.9589318631188,
     27.94888452941996, -2.8589982771350235, -8.87285693353063, 12.360567175794303,
     0.6433927460157636},
};
constexpr double step_weights[n_stages] = {0.054293734116568765,
                                           0,
                                           0,
                                           0,
                                           0,
                                           4.450312892752409,
                                           1.8915178993145003,
                                           -5.801203960010585,
                                           0.3111643669578199,
                                           -0.1521609496625161,
                                           0.20136540080403034,
                                           0.04471061572777259};
constexpr double error_5[n_stages] = {0.01312004499419488,
                                      0,
                                      0,
                                      0,
                                      0,
                                      -1.2251564463762044,
                                      -0.4957589496572502,
                                      1.6643771824549864,
                                      -0.35032884874997366,
                                      0.3341791187130175,
                                      0.08192320648511571,
                                      -0.022355307863886294};
constexpr double error_3[n_stages] = {-0.18980075407240762,
                                      0,
                                      0,
                                      0,
                                      0,
                                      4.450312892752409,
                                      1.8915178993145003,
                                      -5.801203960010585,
                                      -0.4226823213237919,
                                      -0.1521609496625161,
                                      0.20136540080403034,
                                      0.02265179219836082};

/// One step after another of w' = slope(w) / tau, on any arrays.
template <class Network>
class LinearIntegrator {
 public:
  LinearIntegrator(Network& network, const FlowOptions& options, const AlignedNumbers& start,
                   std::int64_t n_weights)
      : network_(network),
        options_(options),
        n_weights_(n_weights),
        w_(start),
        next_(start.size()),
        stage_(start.size()) {
    for (auto& k : slope_) k.resize(start.size());
    double largest = 0.0;
    for (const double w : start) largest = std::max(largest, std::fabs(w));
    floor_ = 1e-3 * options.tol * largest + 1e-300;
  }

  const AlignedNumbers& state() const { return w_; }

  /// Move on to the time `end`.
  void advance(double end, Pause& pause) {
    if (!started_) start(pause);
    while (time_ < end) {
      if (n_steps_++ == options_.max_steps) {
        throw NotConverged("gradient flow needs more than " + std::to_string(options_.max_steps) +
                           " steps, and has come to t = " + std::to_string(time_) +
                           ": ask for earlier times, or a larger tol");
      }
      const double left = end - time_;
      const bool last = step_ >= left;
      const double h = last ? left : step_;
      const double error = attempt(h, pause);
      const bool good = error < 1.0;  // false for nan
      double factor = good ? largest_factor : smallest_factor;
      if (error > 0.0 && std::isfinite(error)) {
        factor = std::clamp(0.9 * std::pow(error, -1.0 / 8.0), smallest_factor,
                            good && !rejected_ ? largest_factor : 1.0);
      }
      rejected_ = !good;
      if (good) {
        time_ = last ? end : time_ + h;
        w_.swap(next_);
        evaluate(w_, slope_[0], pause);
        step_ = last ? std::max(step_, factor * h) : factor * h;
      } else {
        step_ = factor * h;
        if (time_ + 0.1 * step_ == time_) {
          throw NotConverged("gradient flow cannot go on at t = " + std::to_string(time_) +
                             ": the step became too small; use a larger tol");
        }
      }
      pause.check();
    }
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
    evaluate(w_, slope_[0], pause);
    double ratio = infinite;
    double size = 0.0, speed = 0.0;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      size += w_[i] * w_[i];
      speed += slope_[0][i] * slope_[0][i];
    }
    if (speed > 0.0) ratio = std::sqrt(size / speed);
    step_ = std::min(ratio > 0.0 ? ratio : 1.0, 1e6) * std::pow(options_.tol, 1.0 / 8.0) * 0.1;
    started_ = true;
  }

  /// out = w + h sum_j weight_j slope_j.
  void combine(const double* weights, int n, double h, AlignedNumbers& out) const {
    constexpr std::size_t block = 512;
    for (std::size_t first = 0; first < w_.size(); first += block) {
      const std::size_t size = std::min(block, w_.size() - first);
      double sum[block];
      std::fill_n(sum, size, 0.0);
      for (int j = 0; j < n; ++j) {
        if (weights[j] == 0.0) continue;
        const double* k = slope_[j].data() + first;
        for (std::size_t i = 0; i < size; ++i) sum[i] += weights[j] * k[i];
      }
      for (std::size_t i = 0; i < size; ++i) out[first + i] = w_[first + i] + h * sum[i];
    }
  }

  /// Try a step of length h into next_; return its error over what is allowed.
  double attempt(double h, Pause& pause) {
    for (int i = 1; i < n_stages; ++i) {
      combine(stage_weights[i], i, h, stage_);
      evaluate(stage_, slope_[i], pause);
    }
    combine(step_weights, n_stages, h, next_);
    double fifth = 0.0, third = 0.0;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      double e5 = 0.0, e3 = 0.0;
      for (int j = 0; j < n_stages; ++j) {
        e5 += error_5[j] * slope_[j][i];
        e3 += error_3[j] * slope_[j][i];
      }
      const double allowed =
          floor_ + options_.tol * std::max(std::fabs(w_[i]), std::fabs(next_[i]));
      fifth += e5 / allowed * (e5 / allowed);
      third += e3 / allowed * (e3 / allowed);
    }
    if (fifth == 0.0 && third == 0.0) return 0.0;
    const auto n = static_cast<double>(n_weights_);
    return h * fifth / std::sqrt((fifth + 0.01 * third) * n);
  }

  Network& network_;
  const FlowOptions& options_;
  std::int64_t n_weights_;  // without padding, which is 0
  AlignedNumbers w_, next_, stage_, slope_[n_stages];
  double floor_ = 0.0, time_ = 0.0, step_ = 0.0;
  std::int64_t n_steps_ = 0;
  bool started_ = false, rejected_ = false;
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
  LinearIntegrator<Network> integrator(network, options, state, task.n_weights());
  std::int64_t reported = 0;
  for (std::int64_t i = 0; i < records.n_records; ++i) {
    integrator.advance(times[i], pause);
    network.forward(integrator.state().data(), recorder.total(), pause);
    if (!recorder.record(network, integrator.state().data(), pause)) break;
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
