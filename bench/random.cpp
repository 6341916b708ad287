// Random numbers, one thread: nanoseconds a value beside the goal (AVX-512 at about 3.5 GHz with
// one 512-bit product a cycle; AVX2 takes about 1.4 times, SSE2 3 times that), and the C++
// library's normals for comparison. Arrays stay in the second cache.
#include "meanfree/random.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "report.hpp"

namespace {

constexpr std::int64_t n_values = 16384;

using Fill = void(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::int64_t,
                  double*);

/// first = 0: whole tiles; else a part of a tile at both ends of each call.
void draws(benchmark::State& state, Fill* fill, std::uint64_t first, std::int64_t size,
           double goal) {
  std::vector<double> out(n_values);
  std::uint64_t sample = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i + size <= n_values; i += size) {
      fill(7, sample, 1, first, size, out.data() + i);
    }
    sample = (sample + 1) & 0xffff;
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report(state, n_values, "ns", goal);
}

void words(benchmark::State& state, double goal) {
  const meanfree::detail::Stream stream(7, 3, 1, meanfree::Purpose::normals);
  std::vector<meanfree::detail::Tile> tiles(n_values / meanfree::detail::tile_words);
  for (auto _ : state) {
    for (std::size_t i = 0; i < tiles.size(); ++i) philox_tile(stream, i, tiles[i]);
    benchmark::DoNotOptimize(tiles.data());
    benchmark::ClobberMemory();
  }
  report(state, n_values, "ns", goal);
}

void standard_library(benchmark::State& state) {
  std::mt19937_64 engine(1);
  std::normal_distribution<double> normal;
  std::vector<double> out(n_values);
  for (auto _ : state) {
    for (double& z : out) z = normal(engine);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report(state, n_values, "ns", 0.0);
}

BENCHMARK_CAPTURE(words, philox, 0.6);
BENCHMARK_CAPTURE(draws, normals, meanfree::normals, 0, n_values, 1.0);
BENCHMARK_CAPTURE(draws, normals_in_short_calls, meanfree::normals, 0, 64, 1.4);
BENCHMARK_CAPTURE(draws, normals_off_the_tiles, meanfree::normals, 5, 1000, 1.3);
BENCHMARK_CAPTURE(draws, uniforms, meanfree::uniforms, 0, n_values, 0.8);
BENCHMARK(standard_library)->Name("std::normal_distribution");

}  // namespace
