// Hot loops of the spectra of Jacobians, one thread: nanoseconds a point beside the goal. The goals
// are for AVX-512 at about 3.5 GHz. A point of a density is two evaluations of the equation; one of
// a linear or relu network is three complex logarithms (8 ns) and the arithmetic around them, one
// of a smooth network a sum over 100 to 200 nodes (1 ns each) and some four roots (100 ns each).
#include "meanfree/spectrum.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "report.hpp"

namespace {

using namespace meanfree;

struct Network {
  std::string name;
  double q;
  int depth;
  bool orthogonal;

  SpectralEquation equation() const {
    const double n = depth;
    return SpectralEquation({SlopeLaw(slope_panels(built_in_activation(name, 0.0), q))}, {{n, 1.0}},
                            {{orthogonal ? 1.0 - n : 1.0, 1.0, 1.0}, {n - 1.0, 0.0, 1.0}}, 0.0, 0.0,
                            0.0);
  }
  std::vector<SpectralAtom> atoms() const {
    if (name != "relu") return {};
    return {{-std::numeric_limits<double>::infinity(), 0.5}};
  }
};

/// Edges and table of a spectrum.
void branch(benchmark::State& state, const Network& network, double goal) {
  const SpectralEquation equation = network.equation();
  const std::vector<SpectralAtom> atoms = network.atoms();
  for (auto _ : state) {
    SpectralCurveBuilder builder(equation, atoms);
    benchmark::DoNotOptimize(builder.build().mass);
  }
  report(state, 1, "ns", goal, "points/s");
}

void points(benchmark::State& state, const Network& network, bool distribution, double goal) {
  const SpectralEquation equation = network.equation();
  const std::vector<SpectralAtom> atoms = network.atoms();
  const SpectralCurve curve = SpectralCurveBuilder(equation, atoms).build();
  Spectrum spectrum(equation, curve, atoms, distribution);
  constexpr int n = 64 * n_lanes;
  std::vector<double> y(n);
  const double high = curve.bulks.back().high, low = std::max(curve.bulks[0].low, high - 8.0);
  for (int i = 0; i < n; ++i) y[i] = low + (high - low) * (i + 0.5) / n;
  std::vector<SpectralPoint> out(n);
  for (auto _ : state) {
    for (int i = 0; i < n; i += n_lanes) spectrum.evaluate(y.data() + i, n_lanes, out.data() + i);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report(state, n, "ns", goal, "points/s");
}

void law(benchmark::State& state, const std::string& name, double q, double goal) {
  const Activation phi = built_in_activation(name, 0.0);
  for (auto _ : state) benchmark::DoNotOptimize(slope_panels(phi, q).panels.size());
  report(state, 1, "ns", goal, "points/s");
}

[[maybe_unused]] const bool registered = [] {
  using benchmark::RegisterBenchmark;
  const Network linear{"linear", 1.0, 5, false}, relu{"relu", 1.0, 5, true},
      tanh{"tanh", 0.0193, 100, true}, shallow{"tanh", 0.16, 2, true}, silu{"silu", 1.0, 10, false};
  RegisterBenchmark("spectrum law/tanh", law, "tanh", 0.16, 8e3);
  RegisterBenchmark("spectrum branch/linear", branch, linear, 30e3);
  RegisterBenchmark("spectrum branch/relu", branch, relu, 30e3);
  RegisterBenchmark("spectrum branch/tanh", branch, tanh, 800e3);
  RegisterBenchmark("spectrum branch/silu", branch, silu, 200e3);
  RegisterBenchmark("density/linear", points, linear, false, 60.0);
  RegisterBenchmark("density/relu", points, relu, false, 60.0);
  RegisterBenchmark("density/tanh", points, tanh, false, 1500.0);
  RegisterBenchmark("density/tanh/depth=2", points, shallow, false, 3000.0);
  RegisterBenchmark("density/silu", points, silu, false, 900.0);
  RegisterBenchmark("distribution/linear", points, linear, true, 70.0);
  RegisterBenchmark("distribution/tanh", points, tanh, true, 2000.0);
  return true;
}();

}  // namespace
