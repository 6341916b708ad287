// What a microbenchmark prints beside its own time: how long a piece of the work takes, and the
// goal.
#pragma once
#include <benchmark/benchmark.h>

#include <cstdint>

/// The time of a piece in `unit`, "us" or "ns"; each iteration has done `pieces` of them. A goal of
/// 0 is none; with `rate`, their number a second is printed under that name.
inline void report(benchmark::State& state, std::int64_t pieces, const char* unit, double goal,
                   const char* rate = nullptr) {
  const double done = static_cast<double>(state.iterations() * pieces);
  const double seconds = unit[0] == 'u' ? 1e-6 : 1e-9;
  if (rate != nullptr) state.counters[rate] = benchmark::Counter(done, benchmark::Counter::kIsRate);
  state.counters[unit] =
      benchmark::Counter(seconds * done, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  if (goal > 0.0) state.counters["goal"] = goal;
}
