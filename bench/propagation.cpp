// Two inputs through tanh networks, one thread: microseconds a network beside the goal (AVX-512 at
// about 3.5 GHz; AVX2 takes about 1.4 times that), and of these the parts that no way of writing it
// can avoid: the draws and the activations.
#include "meanfree/propagation.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "report.hpp"

namespace {

using meanfree::Method;
using meanfree::Weights;

void network(benchmark::State& state, Method method, Weights weights, std::int64_t width,
             std::int64_t depth, std::int64_t n_samples, double goal) {
  meanfree::Propagation law;
  law.sigma_w = 1.5;
  law.sigma_b = 0.3;
  law.method = method;
  law.weights = weights;
  law.width = width;
  law.depth = depth;
  law.q = 0.5;
  law.c = 0.6;
  const meanfree::Activation phi = meanfree::built_in_activation("tanh", 0.0);
  std::vector<double> out(static_cast<std::size_t>(3 * n_samples * depth));
  for (auto _ : state) {
    simulate_propagation(phi, law, n_samples, 1, out.data(), [](std::int64_t) {});
    benchmark::DoNotOptimize(out.data());
  }
  report(state, n_samples, "us", goal);
}

void draws(benchmark::State& state, std::int64_t width, std::int64_t depth) {
  std::vector<double> z(static_cast<std::size_t>(2 * width));
  for (auto _ : state) {
    for (std::int64_t layer = 0; layer < depth; ++layer) {
      meanfree::normals(1, 2, static_cast<std::uint64_t>(layer), 0, 2 * width, z.data());
      benchmark::DoNotOptimize(z.data());
    }
  }
  report(state, 1, "us", 0.0);
}

void activations(benchmark::State& state, std::int64_t width, std::int64_t depth) {
  const meanfree::Activation phi = meanfree::built_in_activation("tanh", 0.0);
  std::vector<double> h(static_cast<std::size_t>(2 * width)), x(h.size());
  meanfree::normals(1, 2, 3, 0, 2 * width, h.data());
  for (auto _ : state) {
    for (std::int64_t layer = 1; layer < depth; ++layer) {
      phi.value(h.data(), 2 * width, x.data());
      benchmark::DoNotOptimize(x.data());
    }
  }
  report(state, 1, "us", 0.0);
}

BENCHMARK_CAPTURE(network, gram_1000_20, Method::gram, Weights::gaussian, 1000, 20, 8, 100.0);
BENCHMARK_CAPTURE(draws, gram_1000_20, 1000, 20);
BENCHMARK_CAPTURE(activations, gram_1000_20, 1000, 20);
BENCHMARK_CAPTURE(network, gram_orthogonal_1000_20, Method::gram, Weights::orthogonal, 1000, 20, 8,
                  145.0);
BENCHMARK_CAPTURE(network, gram_10_20, Method::gram, Weights::gaussian, 10, 20, 200, 7.0);
BENCHMARK_CAPTURE(network, weights_1000_20, Method::weights, Weights::gaussian, 1000, 20, 1, 24e3);
BENCHMARK_CAPTURE(network, weights_orthogonal_1000_20, Method::weights, Weights::orthogonal, 1000,
                  20, 1, 17e3);

}  // namespace
