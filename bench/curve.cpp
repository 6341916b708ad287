// A circle through one tanh network, one thread: microseconds beside the goal (products of matrices
// at 50 GFLOP/s), and of these the parts: Fourier transforms, the factor of a matrix of low rank.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/random_curve.hpp"
#include "report.hpp"

namespace {

using meanfree::CurveMethod;
using meanfree::Pause;
using namespace meanfree::detail;

Matrix circle(Index points, int parts) {
  Matrix start(2, parts * points);
  for (Index t = 0; t < points; ++t) {
    const double angle = 6.283185307179586 * static_cast<double>(t) / static_cast<double>(points);
    for (int p = 0; p < parts; ++p) {
      const double turned = angle + 1.5707963267948966 * p;
      start.col(p * points + t) << std::cos(turned), std::sin(turned);
    }
  }
  return start;
}

template <class Scalar>
void network(benchmark::State& state, CurveMethod method, double sigma_w, double q, Index points,
             int parts, double goal) {
  const Matrix start = circle(points, parts);
  const std::vector<double> weight(static_cast<std::size_t>(points),
                                   6.283185307179586 / static_cast<double>(points));
  meanfree::CurveLaw law;
  law.sigma_w = sigma_w;
  law.sigma_b = 0.3;
  law.method = method;
  law.width = 1000;
  law.depth = 15;
  law.parts = parts;
  law.start = start.data();
  law.rank = 2;
  law.frame = law.width;
  law.scale = std::sqrt(1000.0 * q);
  law.weight = weight.data();
  law.n_points = points;
  const meanfree::Activation phi = meanfree::built_in_activation("tanh", 0.0);
  std::vector<double> out(static_cast<std::size_t>((meanfree::curve_fields + 1) * law.depth));
  for (auto _ : state) {
    meanfree::simulate_curve<Scalar>(phi, law, 1, 1, out.data(), [](std::int64_t) {});
    benchmark::DoNotOptimize(out.data());
  }
  report(state, 1, "us", goal);
}

void fourier(benchmark::State& state, Index points) {
  Fourier transform(points);
  const auto count = static_cast<std::size_t>(Fourier::signals * transform.frequencies());
  const std::vector<double> a(count, 1.0), b(count, 0.5);
  for (auto _ : state) {
    benchmark::DoNotOptimize(transform.synthesise(a.data(), b.data(), transform.frequencies()));
  }
  report(state, Fourier::signals, "us", 0.0);
}

const std::atomic<bool> go_on{false};

void factor(benchmark::State& state, Index rank, Index columns) {
  Matrix left(1000, rank), right(rank, columns);
  meanfree::normals(1, 0, 0, 0, left.size(), left.data());
  meanfree::normals(1, 1, 0, 0, right.size(), right.data());
  const Matrix x = left * right;
  RankFactor<double> decomposition;
  Workspace r;
  Pause pause(&go_on);
  for (auto _ : state) {
    benchmark::DoNotOptimize(decomposition.decompose(x, 1000, r, pause));
  }
  report(state, 1, "us", 0.0);
}

constexpr auto network_float64 = network<double>;
constexpr auto network_float32 = network<float>;
BENCHMARK_CAPTURE(network_float64, auto_gain_1_3, CurveMethod::automatic, 1.3, 0.514, 500, 3, 90e3);
BENCHMARK_CAPTURE(network_float64, auto_gain_2_5, CurveMethod::automatic, 2.5, 4.08, 500, 3, 800e3);
BENCHMARK_CAPTURE(network_float64, weights_gain_2_5, CurveMethod::weights, 2.5, 4.08, 500, 3,
                  1000e3);
BENCHMARK_CAPTURE(network_float32, weights_gain_2_5, CurveMethod::weights, 2.5, 4.08, 500, 3,
                  550e3);
BENCHMARK_CAPTURE(network_float64, gram_values_64, CurveMethod::gram, 2.5, 4.08, 64, 1, 9e3);
BENCHMARK_CAPTURE(fourier, 500, 500);
BENCHMARK_CAPTURE(factor, rank_100_of_1500, 100, 1500);
BENCHMARK_CAPTURE(factor, rank_64_of_64, 64, 64);

}  // namespace
