// Level sets of networks at one point, one thread: microseconds a point beside the goal. A layer of
// N units costs 3 N^3 flops for its Hessian, here at 50 GFLOP/s, and a reduction to tridiagonal
// form and QL steps for its curvatures, 800 us at N = 200.
#include "meanfree/boundary.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "report.hpp"

namespace {

using namespace meanfree::detail;
using meanfree::Pause;

const std::atomic<bool> never{false};

void level_set(benchmark::State& state, Index width, std::int64_t depth, bool curvatures,
               double goal) {
  meanfree::BoundaryLaw law;
  law.sigma_w = 1.3;
  law.sigma_b = 0.3;
  law.width = width;
  law.depth = depth;
  const meanfree::Activation phi = meanfree::built_in_activation("tanh", 0.0);
  Pause pause(&never);
  BoundaryDraw draw;
  GivenNetwork net;
  draw.network(law, 0, net, pause);
  LevelSet set(phi, net);
  CurvatureSolver solver;
  VectorXd values(width - 1), point(width);
  draw.input(law, 0, 0, point, pause);
  for (auto _ : state) {
    set.value(point, pause);
    set.gradient(pause);
    set.hessians(
        0,
        [&](Index k, const ConstMatrixView& hessian, bool zero) {
          if (curvatures && !zero) solver.solve(hessian, set.normal(k), values.data(), pause);
          benchmark::DoNotOptimize(hessian.data());
        },
        pause);
  }
  report(state, 1, "us", goal);
}

void random(benchmark::State& state, bool orthogonal, std::int64_t width, std::int64_t depth,
            double goal) {
  meanfree::BoundaryLaw law;
  law.sigma_w = 1.3;
  law.sigma_b = 0.3;
  law.orthogonal = orthogonal;
  law.width = width;
  law.depth = depth;
  law.level = std::nan("");
  const meanfree::Activation phi = meanfree::built_in_activation("tanh", 0.0);
  const auto size = static_cast<std::size_t>(width);
  std::vector<double> point(size), one(2), norm(static_cast<std::size_t>(depth)),
      principal(norm.size() * size);
  const meanfree::BoundaryResult out{point.data(), &one[0], &one[1], norm.data(), principal.data()};
  for (auto _ : state) {
    random_boundaries(phi, law, 1, 1, out, [](std::int64_t) {});
    benchmark::DoNotOptimize(principal.data());
  }
  report(state, 1, "us", goal);
}

void values_of_any_sign(benchmark::State& state, Index n, double goal) {
  Pause pause(&never);
  Matrix a(n, n);
  meanfree::normals(1, 2, 3, 0, a.size(), a.data());
  a += Matrix(a.transpose());
  std::vector<double> values(static_cast<std::size_t>(n));
  SymmetricSolver solver;
  for (auto _ : state) {
    solver.signed_eigenvalues(a, values.data(), pause);
    benchmark::DoNotOptimize(values.data());
  }
  report(state, 1, "us", goal);
}

BENCHMARK_CAPTURE(level_set, hessians_200_10, 200, 10, false, 3700.0);
BENCHMARK_CAPTURE(level_set, curvatures_200_10, 200, 10, true, 11000.0);
BENCHMARK_CAPTURE(random, gaussian_200_10, false, 200, 10, 14000.0);
BENCHMARK_CAPTURE(random, haar_200_10, true, 200, 10, 18000.0);
BENCHMARK_CAPTURE(values_of_any_sign, n200, 200, 800.0);

}  // namespace
