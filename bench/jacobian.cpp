// Singular values of Jacobians, one thread: microseconds a network beside the goal (AVX2 or AVX-512
// at 60 GFLOP/s; where the second one has twice that, two thirds of it), and of these the parts
// that bound it: matrix products, draws, reductions to narrow form and the eigenvalues of those.
#include "meanfree/jacobian.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "report.hpp"

namespace {

using namespace meanfree::detail;
using meanfree::Pause;

void network(benchmark::State& state, const char* name, bool orthogonal, bool accurate,
             std::int64_t width, std::int64_t depth, double goal) {
  meanfree::JacobianLaw law;
  law.sigma_w = 1.2;
  law.sigma_b = 0.1;
  law.orthogonal = orthogonal;
  law.accurate = accurate;
  law.width = width;
  law.depth = depth;
  const meanfree::Activation phi = meanfree::built_in_activation(name, 0.0);
  std::vector<double> out(static_cast<std::size_t>(4 * width));
  for (auto _ : state) {
    simulate_jacobian(phi, law, 4, 1, out.data(), [](std::int64_t) {});
    benchmark::DoNotOptimize(out.data());
  }
  report(state, 4, "us", goal);
}

const std::atomic<bool> never{false};

Matrix gaussian(Index rows, Index columns) {
  Matrix a(rows, columns);
  meanfree::normals(1, 2, 3, 0, a.size(), a.data());
  return a;
}

void product(benchmark::State& state, Index n, double goal) {
  Pause pause(&never);
  const Matrix a = gaussian(n, n);
  Matrix c(n, n);
  Product multiplier;
  for (auto _ : state) {
    multiplier.multiply(a, a, c, pause);
    benchmark::DoNotOptimize(c.data());
  }
  report(state, 1, "us", goal);
}

void qr(benchmark::State& state, Index n, double goal) {
  Pause pause(&never);
  const Matrix a = gaussian(n, n);
  Matrix copy;
  QrDecomposition decomposition;
  for (auto _ : state) {
    copy = a;
    decomposition.decompose(copy, n, pause);
    benchmark::DoNotOptimize(copy.data());
  }
  report(state, 1, "us", goal);
}

void haar(benchmark::State& state, Index n, double goal) {
  Pause pause(&never);
  Matrix x = gaussian(n, n + 1);
  HaarMatrix matrix;
  for (auto _ : state) {
    matrix.apply(Stream(1, 2, 3, meanfree::Purpose::weights), x, pause);
    benchmark::DoNotOptimize(x.data());
  }
  report(state, 1, "us", goal);
}

void symmetric(benchmark::State& state, Index n, double goal) {
  Pause pause(&never);
  const Matrix a = gaussian(n, n), g = a * a.transpose();
  std::vector<double> values(static_cast<std::size_t>(n));
  SymmetricSolver solver;
  for (auto _ : state) {
    solver.eigenvalues(g, values.data(), pause);
    benchmark::DoNotOptimize(values.data());
  }
  report(state, 1, "us", goal);
}

void graded(benchmark::State& state, Index n, double goal) {
  Pause pause(&never);
  const Matrix a = gaussian(n, n);
  std::vector<double> values(static_cast<std::size_t>(n));
  GradedProduct t;
  for (auto _ : state) {
    t.start(n);
    t.multiply_triangle(a.triangularView<Eigen::Upper>().toDenseMatrix(), pause);
    t.log_singular_values(values.data(), pause);
    benchmark::DoNotOptimize(values.data());
  }
  report(state, 1, "us", goal);
}

BENCHMARK_CAPTURE(network, fast_tanh_200_10, "tanh", false, false, 200, 10, 3600.0);
BENCHMARK_CAPTURE(network, fast_tanh_100_50, "tanh", false, false, 100, 50, 2700.0);
BENCHMARK_CAPTURE(network, fast_haar_200_10, "tanh", true, false, 200, 10, 5000.0);
BENCHMARK_CAPTURE(network, fast_relu_200_10, "relu", false, false, 200, 10, 650.0);
BENCHMARK_CAPTURE(network, accurate_tanh_200_10, "tanh", false, true, 200, 10, 5800.0);
BENCHMARK_CAPTURE(network, accurate_linear_200_10, "linear", false, true, 200, 10, 2300.0);
BENCHMARK_CAPTURE(product, n200, 200, 290.0);
BENCHMARK_CAPTURE(qr, n200, 200, 330.0);
BENCHMARK_CAPTURE(haar, n200, 200, 430.0);
BENCHMARK_CAPTURE(symmetric, n200, 200, 600.0);
BENCHMARK_CAPTURE(graded, n200, 200, 1000.0);

}  // namespace
