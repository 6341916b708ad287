// Deep linear networks, one thread: microseconds a step of gradient descent (depth 5) beside the
// goal (AVX2 or AVX-512 at 52 GFLOP/s, 24 n^3 flops), by either way to form products, and of modes.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/compact_network.hpp"
#include "meanfree/linear_descent.hpp"
#include "meanfree/linear_modes.hpp"
#include "meanfree/random.hpp"
#include "report.hpp"

namespace {

constexpr std::int64_t depth = 5, steps = 100;

template <class Network>
void descend(benchmark::State& state, const typename Network::Task& task, double scale,
             double goal) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  std::vector<double> start(size(task.n_weights())), total(size(2 * task.n_total()));
  std::vector<double> weights(start.size()), balancedness(2 * (depth - 1));
  meanfree::normals(1, 1, 0, 0, task.n_weights(), start.data());
  for (double& w : start) w *= scale;
  const double eta = 1e-3;
  for (auto _ : state) {
    weights = start;
    meanfree::descend_linear<Network>(task, &eta, 1, steps, steps, 1,
                                      {2, total.data(), balancedness.data()}, weights.data(),
                                      [](std::int64_t) {});
    benchmark::DoNotOptimize(weights.data());
  }
  report(state, steps, "us", goal);
}

template <class Network>
void network(benchmark::State& state, std::int64_t width, double goal) {
  std::vector<double> outputs(static_cast<std::size_t>(width * width));
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  meanfree::normals(1, 0, 0, 0, width * width, outputs.data());
  for (double& y : outputs) y *= scale;
  meanfree::LinearTask task;
  task.sizes.assign(depth + 1, width);
  task.sigma_yx = outputs.data();
  descend<Network>(state, task, scale, goal);
}

void direct(benchmark::State& state, std::int64_t width, double goal) {
  network<meanfree::detail::CompactNetwork>(state, width, goal);
}

void eigen(benchmark::State& state, std::int64_t width, double goal) {
  network<meanfree::detail::LinearNetwork>(state, width, goal);
}

void modes(benchmark::State& state, std::int64_t n, double goal) {
  const std::vector<double> s(static_cast<std::size_t>(n), 1.0);
  meanfree::ModeTask task;
  task.n_layers = depth;
  task.n_modes = n;
  task.s = s.data();
  descend<meanfree::detail::ModeNetwork>(state, task, 0.5, goal);
}

BENCHMARK_CAPTURE(direct, n10, 10, 2.0);
BENCHMARK_CAPTURE(direct, n30, 30, 15.0);
BENCHMARK_CAPTURE(direct, n100, 100, 460.0);
BENCHMARK_CAPTURE(direct, n300, 300, 13000.0);
BENCHMARK_CAPTURE(eigen, n100, 100, 510.0);
BENCHMARK_CAPTURE(eigen, n300, 300, 14000.0);
BENCHMARK_CAPTURE(modes, n100, 100, 1.0);

}  // namespace
