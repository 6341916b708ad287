// Special functions on arrays that stay in the first cache, one thread: nanoseconds a value beside
// the goal (AVX-512 at about 3.5 GHz with one 512-bit product a cycle; AVX2 takes about 1.5 times,
// SSE2 4 times that), and the C library's scalar functions on the same points for comparison. A
// further goal: tanh at least 8 times faster than std::tanh.
#include "meanfree/special.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "report.hpp"

namespace {

constexpr std::int64_t n_values = 2048;

/// Points that fill [low, high] in no order, so that branches are not predicted.
std::vector<double> points(double low, double high) {
  std::vector<double> x(n_values);
  double u = 0.0;
  for (double& value : x) {
    u = std::fmod(u + 0.6180339887498949, 1.0);
    value = low + (high - low) * u;
  }
  return x;
}

template <double (*f)(double)>
void evaluate(benchmark::State& state, double low, double high, double goal) {
  const std::vector<double> x = points(low, high);
  std::vector<double> y(n_values);
  for (auto _ : state) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n_values; ++i) y[i] = f(x[i]);
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  report(state, n_values, "ns", goal);
}

struct Case {
  const char* name;
  void (*run)(benchmark::State&, double low, double high, double goal);
  double low, high;
  double goal = 0.0;  // nanoseconds a value
};

namespace special = meanfree::special;

const Case cases[] = {
    {"asin", evaluate<special::asin>, -1.0, 1.0, 0.9},
    {"atan", evaluate<special::atan>, -6.0, 6.0, 1.1},
    {"cos", evaluate<special::cos>, -6.0, 6.0, 0.7},
    {"erf", evaluate<special::erf>, -6.0, 6.0, 1.8},
    {"erfc", evaluate<special::erfc>, -6.0, 6.0, 2.3},
    {"exp", evaluate<special::exp>, -6.0, 6.0, 0.9},
    {"expm1", evaluate<special::expm1>, -6.0, 6.0, 0.9},
    {"log", evaluate<special::log>, 0.0, 6.0, 0.9},
    {"log1p", evaluate<special::log1p>, 0.0, 6.0, 1.1},
    {"normal_cdf", evaluate<special::normal_cdf>, -6.0, 6.0, 2.3},
    {"normal_pdf", evaluate<special::normal_pdf>, -6.0, 6.0, 1.0},
    {"sech_squared", evaluate<special::sech_squared>, -6.0, 6.0, 1.0},
    {"sigmoid", evaluate<special::sigmoid>, -6.0, 6.0, 1.0},
    {"sin", evaluate<special::sin>, -6.0, 6.0, 0.6},
    {"softplus", evaluate<special::softplus>, -6.0, 6.0, 1.3},
    {"tanh", evaluate<special::tanh>, -6.0, 6.0, 0.9},
    {"std::erf", evaluate<std::erf>, -6.0, 6.0},
    {"std::exp", evaluate<std::exp>, -6.0, 6.0},
    {"std::log", evaluate<std::log>, 0.0, 6.0},
    {"std::sin", evaluate<std::sin>, -6.0, 6.0},
    {"std::tanh", evaluate<std::tanh>, -6.0, 6.0},
};

[[maybe_unused]] const bool registered = [] {
  for (const Case& c : cases) benchmark::RegisterBenchmark(c.name, c.run, c.low, c.high, c.goal);
  return true;
}();

}  // namespace
