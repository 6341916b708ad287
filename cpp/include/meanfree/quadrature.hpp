// Rules for averages over one standard normal z:  E g(z) ~ sum_i w_i g(z_i).
//
// The midpoint (trapezoid) rule of step h errs by about exp(-2 pi D / h + D^2 / 2) when the nearest
// pole of g lies at distance D from the real axis, and by exp(-2 pi^2 / h^2) when there is none:
// geometric convergence, where Gauss-Hermite nodes converge like exp(-D sqrt(2 n)) only. Integrands
// with kinks, or with structure much narrower than the Gaussian, use Gauss-Legendre panels that
// halve towards it.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/special.hpp"

namespace meanfree {

inline constexpr int n_lanes =
    16;  // sums run over this many interleaved partial sums: one order on every machine
inline constexpr double z_max = 9.5;  // P(|z| > 9.5) = 2e-21
inline constexpr double pi = 3.14159265358979323846;

/// sum_i term(i) for i < n, n a multiple of n_lanes, in an order fixed by the source.
template <class Term>
double sum(std::int64_t n, Term term) {
  double partial[n_lanes] = {};
  for (std::int64_t i = 0; i < n; i += n_lanes)
    for (int j = 0; j < n_lanes; ++j) partial[j] += term(i + j);
  for (int width = n_lanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) partial[j] += partial[j + width];
  return partial[0];
}

/// Nodes and weights; the length is a multiple of n_lanes (padded with weight 0).
struct Rule {
  std::vector<double> z, w;
  std::int64_t size() const { return static_cast<std::int64_t>(z.size()); }
  void add(double node, double weight) {
    z.push_back(node);
    w.push_back(weight);
  }
  void pad() {
    while (z.size() % n_lanes != 0) add(0.0, 0.0);
  }
};

namespace detail {

inline constexpr int n_midpoint_levels = 30;
inline constexpr double coarsest_step = 0.7;  // exp(-2 pi^2 / h^2) = 3e-18
inline constexpr double accuracy_exponent =
    46.0;  // e^-46 times the prefactor of a sixth-order pole is below 1e-16

inline double midpoint_step(int level) { return coarsest_step * std::exp2(-0.25 * level); }

inline std::array<Rule, n_midpoint_levels> make_midpoint_rules() {
  std::array<Rule, n_midpoint_levels> rules;
  for (int level = 0; level < n_midpoint_levels; ++level) {
    const double h = midpoint_step(level);
    const int n = static_cast<int>(std::ceil(z_max / h));
    for (int i = 0; i < n; ++i) {
      const double z = (i + 0.5) * h;
      rules[level].add(z, 2.0 * h * std::exp(-0.5 * z * z) / std::sqrt(2.0 * pi));
    }
    rules[level].pad();
  }
  return rules;
}

/// Nodes and weights of n-point Gauss-Legendre on [-1, 1], by Newton on the Legendre recurrence.
template <int n>
std::array<std::array<double, n>, 2> make_gauss_legendre() {
  std::array<std::array<double, n>, 2> rule{};
  for (int i = 0; i < n; ++i) {
    long double x = std::cos(static_cast<long double>(pi) * (i + 0.75L) / (n + 0.5L)), slope = 1.0L;
    for (int step = 0; step < 100; ++step) {
      long double p = 1.0L, before = 0.0L;
      for (int k = 0; k < n; ++k) {
        const long double next = ((2 * k + 1) * x * p - k * before) / (k + 1);
        before = p;
        p = next;
      }
      slope = n * (x * p - before) / (x * x - 1.0L);
      const long double move = p / slope;
      x -= move;
      if (std::fabs(move) < 1e-18L) break;
    }
    rule[0][i] = static_cast<double>(x);
    rule[1][i] = static_cast<double>(2.0L / ((1.0L - x * x) * slope * slope));
  }
  return rule;
}

}  // namespace detail

/// Gauss-Legendre nodes [0] and weights [1] on [-1, 1].
template <int n>
const std::array<std::array<double, n>, 2>& gauss_legendre() {
  static const auto rule = detail::make_gauss_legendre<n>();
  return rule;
}

/// The longest step that resolves a pole at distance D from the real axis, as a level of
/// midpoint_rule; n_midpoint_levels when no level is fine enough.
inline int midpoint_level(double pole_distance, double shortest_wave = 0.0) {
  using namespace detail;
  double step = coarsest_step;
  if (pole_distance < 2.0 * pi / coarsest_step)
    step = std::min(
        step, 2.0 * pi * pole_distance / (accuracy_exponent + 0.5 * pole_distance * pole_distance));
  // a factor that oscillates with wave number k shifts the error by k: 2 pi / h must leave room for
  // it
  step = 2.0 * pi / (2.0 * pi / step + shortest_wave);
  const double level = std::ceil(4.0 * std::log2(coarsest_step / step) - 1e-9);
  return level < n_midpoint_levels ? std::max(0, static_cast<int>(level)) : n_midpoint_levels;
}

/// Half of the midpoint rule: nodes z > 0 with the weight of both +-z.
inline const Rule& midpoint_rule(int level) {
  static const auto rules = detail::make_midpoint_rules();
  return rules[level];
}

/// Edges of panels on [-z_max, z_max]: unit steps for the Gaussian and, around each centre,
/// distances that halve down to `finest`.
inline std::vector<double> graded_edges(const std::vector<double>& centres,
                                        const std::vector<double>& finest) {
  std::vector<double> edges{-z_max, z_max};
  for (double z = -9.0; z < z_max; z += 1.0) edges.push_back(z);
  for (std::size_t i = 0; i < centres.size(); ++i) {
    const double c = centres[i];
    if (std::fabs(c) < z_max) edges.push_back(c);
    for (double step = std::max(finest[i], 1e-15 * z_max); step < std::fabs(c) + z_max; step *= 2.0)
      for (const double z : {c - step, c + step})
        if (std::fabs(z) < z_max) edges.push_back(z);
  }
  std::sort(edges.begin(), edges.end());
  std::vector<double> distinct{edges.front()};
  for (const double z : edges)
    if (z > distinct.back()) distinct.push_back(z);
  return distinct;
}

/// Append the n-point Gauss-Legendre rule on [from, to], times the normal density.
template <int n>
void add_panel(double from, double to, Rule& rule) {
  const auto& [nodes, weights] = gauss_legendre<n>();
  const double half = 0.5 * (to - from), middle = 0.5 * (to + from);
  const std::size_t first = rule.z.size();
  rule.z.resize(first + n);
  rule.w.resize(first + n);
  double *z = rule.z.data() + first, *w = rule.w.data() + first;
  for (int i = 0; i < n; ++i) {
    z[i] = middle + half * nodes[i];
    w[i] = half * weights[i] * special::normal_pdf(z[i]);
  }
}

template <int n>
Rule panel_rule(const std::vector<double>& edges) {
  Rule rule;
  rule.z.reserve(n * edges.size() + n_lanes);
  rule.w.reserve(n * edges.size() + n_lanes);
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) add_panel<n>(edges[i], edges[i + 1], rule);
  rule.pad();
  return rule;
}

}  // namespace meanfree
