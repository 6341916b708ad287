// Hot loops of the mean-field theory, one thread: nanoseconds a cell beside the goal. The goals are
// for AVX-512 at about 3.5 GHz; AVX2 takes about 1.5 times, SSE2 4 times that. A goal is the number
// of nodes or terms times the time of the function there (special.cpp) or of a fused
// multiply-add: see each.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "meanfree/averages.hpp"
#include "meanfree/fixed_point.hpp"
#include "report.hpp"

namespace {

using namespace meanfree;

/// Lengths around q, as the cells of a grid have them.
std::vector<double> around(double q, std::int64_t n) {
  std::vector<double> lengths(n);
  for (std::int64_t i = 0; i < n; ++i)
    lengths[i] = q * (1.0 + 0.1 * static_cast<double>(i) / static_cast<double>(n));
  return lengths;
}

/// E phi^2 and its slope: one step of Newton's method for q*.
void length(benchmark::State& state, const std::string& name, double q, double goal) {
  const Activation phi = built_in_activation(name, 0.0);
  const auto average = averages(phi);
  const std::int64_t n = 64;
  const std::vector<double> at = around(q, n);
  std::vector<double> second(n), slope(n);
  for (auto _ : state) {
    average->length(at.data(), n, second.data(), slope.data());
    benchmark::DoNotOptimize(second.data());
    benchmark::ClobberMemory();
  }
  report(state, n, "ns", goal, "cells/s");
}

/// Averages over two inputs, new q each time: nothing can be kept from call to call.
void pair(benchmark::State& state, const std::string& name, double q, double delta, double goal) {
  const Activation phi = built_in_activation(name, 0.0);
  const auto average = averages(phi);
  const std::int64_t n = 64;
  const std::vector<double> at = around(q, n), deltas(n, delta);
  std::vector<double> product(n), deficit(n), slope(n);
  for (auto _ : state) {
    average->pair(at.data(), deltas.data(), n, {product.data(), deficit.data(), slope.data()});
    benchmark::DoNotOptimize(product.data());
    benchmark::ClobberMemory();
  }
  report(state, n, "ns", goal, "cells/s");
}

/// The same at one q: a further step of Newton's method for c*.
void pair_again(benchmark::State& state, const std::string& name, double q, double delta,
                double goal) {
  const Activation phi = built_in_activation(name, 0.0);
  const auto average = averages(phi);
  double product, deficit, slope;
  for (auto _ : state) {
    average->pair(&q, &delta, 1, {&product, &deficit, &slope});
    benchmark::DoNotOptimize(product);
    benchmark::DoNotOptimize(deficit);
    benchmark::DoNotOptimize(slope);
  }
  report(state, 1, "ns", goal, "cells/s");
}

/// Everything of the phase diagram at the cells of one sigma_w, sigma_b from 0.3.
void fixed_point(benchmark::State& state, const std::string& name, double sigma_w, double goal) {
  const Activation phi = built_in_activation(name, 0.0);
  const auto average = averages(phi);
  const LengthTable table(phi, *average);
  FixedPointSolver solver(phi, table, *average);
  const std::int64_t n = average->lanes();
  std::vector<Scale> scales(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const double sigma_b = 0.3 + 0.01 * static_cast<double>(i);
    scales[i] = {sigma_w * sigma_w, sigma_b * sigma_b, 1.0};
  }
  std::vector<double> out(FixedPoints::n_rows * n);
  std::vector<std::int8_t> phase(n), status(n);
  for (auto _ : state) {
    solver.solve(scales.data(), n, FixedPoints::in(out.data(), n, phase.data(), status.data()));
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report(state, n, "ns", goal, "cells/s");
}

[[maybe_unused]] const bool registered = [] {
  using benchmark::RegisterBenchmark;
  // tanh: z_max / step nodes (48, 144 and 224) at 1.1 ns
  RegisterBenchmark("length/tanh/q=1", length, "tanh", 1.0, 55.0);
  RegisterBenchmark("length/tanh/q=16", length, "tanh", 16.0, 160.0);
  RegisterBenchmark("length/tanh/q=36", length, "tanh", 36.0, 250.0);
  RegisterBenchmark("length/erf", length, "erf", 4.0, 4.0);
  RegisterBenchmark("length/gelu", length, "gelu", 4.0, 4.0);
  // Mehler's series: nodes times terms, a matrix product at 40 GFLOP/s
  RegisterBenchmark("series/tanh/q=1", pair, "tanh", 1.0, 0.5, 500.0);
  RegisterBenchmark("series/tanh/q=16", pair, "tanh", 16.0, 0.5, 1200.0);
  RegisterBenchmark("series again/tanh/q=16", pair_again, "tanh", 16.0, 0.5, 60.0);
  // near c = 1
  RegisterBenchmark("close pair/tanh/q=1", pair, "tanh", 1.0, 0.01, 500.0);
  RegisterBenchmark("close pair/tanh/q=16", pair, "tanh", 16.0, 0.01, 20000.0);
  RegisterBenchmark("close pair again/tanh/q=16", pair_again, "tanh", 16.0, 0.01, 800.0);
  // closed forms: two or three elementary functions
  RegisterBenchmark("pair/relu", pair, "relu", 2.0, 0.5, 4.0);
  RegisterBenchmark("pair/erf", pair, "erf", 2.0, 0.5, 5.0);
  RegisterBenchmark("pair/sin", pair, "sin", 2.0, 0.5, 5.0);
  RegisterBenchmark("pair/gelu", pair, "gelu", 2.0, 0.5, 6.0);
  // ordered: lengths only; chaotic: correlations as well
  RegisterBenchmark("fixed point/tanh/ordered", fixed_point, "tanh", 1.0, 500.0);
  RegisterBenchmark("fixed point/tanh/chaotic", fixed_point, "tanh", 4.0, 3000.0);
  RegisterBenchmark("fixed point/erf/chaotic", fixed_point, "erf", 4.0, 100.0);
  RegisterBenchmark("fixed point/sin/chaotic", fixed_point, "sin", 4.0, 100.0);
  RegisterBenchmark("fixed point/relu/ordered", fixed_point, "relu", 1.0, 20.0);
  return true;
}();

}  // namespace
