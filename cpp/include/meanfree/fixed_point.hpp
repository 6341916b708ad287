// The fixed point that iteration of the mean-field maps from q = 1 reaches (Poole et al. 2016;
// Schoenholz et al. 2017):
//     q* = V(q*),   chi_1 = sigma_w^2 E phi'^2,   chi_2 = sigma_w^2 E phi''^2,   c* = C(c*), chi_c
//     = C'(c*).
// c* is found through delta = 1 - c: with D(delta) = E phi^2 - E phi(u1) phi(u2) its map is
//     delta' = (sigma_w^2 D(delta) + (1/keep - 1) sigma_w^2 E phi^2) / q*,
// and delta' / delta falls with delta (C is convex), so that delta' / delta = 1 has one root delta
// > 0 if chi_1 > 1.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/length_roots.hpp"

namespace meanfree {

enum class Status : std::int8_t {
  converged = 0,
  marginal = 1,
  diverges = 2,
  collapsed_to_zero = 3
};

/// Arrays of n values.
struct FixedPoints {
  double *q, *c, *delta, *chi_1, *chi_2, *chi_c, *length_slope, *q_error;
  std::int8_t* status;
};

inline constexpr double critical_tolerance =
    1e-12;  // |slope - 1| that counts as marginal or critical

class FixedPointSolver {
 public:
  /// Without `correlations` c, delta, chi_c and chi_2 are left NaN.
  FixedPointSolver(const Activation& phi, const LengthTable& table, Expectation& average,
                   bool correlations = true)
      : phi_(phi),
        table_(table),
        average_(average),
        roots_(table, average, phi.concave_length),
        with_correlations_(correlations) {
    average_.expect_search();
  }

  /// n at most lanes().
  void solve(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    lengths(scale, n, out);
    slopes(scale, n, out);
    correlations(scale, n, out);
  }

 private:
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  static void set(const FixedPoints& out, std::int64_t i, double q, Status status) {
    out.q[i] = q;
    out.status[i] = static_cast<std::int8_t>(status);
  }

  void lengths(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    std::vector<Bracket> brackets;
    std::vector<Scale> scales;
    std::vector<std::int64_t> where;
    for (std::int64_t i = 0; i < n; ++i) {
      if (phi_.family == Family::homogeneous) {
        homogeneous_length(scale[i], i, out);
        continue;
      }
      Bracket bracket;
      switch (roots_.from_one(scale[i], bracket)) {
        case LengthRoots::End::root:
          brackets.push_back(bracket);
          scales.push_back(scale[i]);
          where.push_back(i);
          break;
        case LengthRoots::End::zero:
          set(out, i, 0.0, Status::collapsed_to_zero);
          break;
        case LengthRoots::End::infinity:
          set(out, i, detail::infinity, Status::diverges);
      }
    }
    std::vector<double> q(where.size()), slope(where.size());
    roots_.polish(scales.data(), brackets.data(), static_cast<std::int64_t>(where.size()), q.data(),
                  slope.data());
    for (std::size_t k = 0; k < where.size(); ++k) {
      if (slope[k] < -1.0 - 1e-6)
        throw NotConverged("the length map oscillates: its slope at the fixed point q = " +
                           std::to_string(q[k]) + " is " + std::to_string(slope[k]));
      set(out, where[k], q[k], Status::converged);
    }
  }

  /// V is a straight line.
  void homogeneous_length(const Scale& s, std::int64_t i, const FixedPoints& out) const {
    const double slope = s.gain() * phi_.final_slope_squared;
    if (std::fabs(slope - 1.0) <= critical_tolerance)
      set(out, i, s.bias > 0.0 ? detail::infinity : 1.0,
          s.bias > 0.0 ? Status::diverges : Status::marginal);
    else if (slope > 1.0)
      set(out, i, detail::infinity, Status::diverges);
    else
      set(out, i, s.bias / (1.0 - slope),
          s.bias > 0.0 ? Status::converged : Status::collapsed_to_zero);
  }

  void slopes(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    std::vector<double> q(out.q, out.q + n), error(n);
    second_.resize(n);
    for (double& value : q)
      if (!std::isfinite(value)) value = 1.0;  // a place holder, overwritten below
    Moments m;
    m.second = second_.data();
    m.slope_squared = out.chi_1;
    m.curvature_squared = with_correlations_ ? out.chi_2 : nullptr;
    if (!with_correlations_) std::fill(out.chi_2, out.chi_2 + n, nan);
    m.length_slope = out.length_slope;
    m.error = error.data();
    average_.moments(q.data(), n, m);
    for (std::int64_t i = 0; i < n; ++i) {
      out.chi_1[i] *= scale[i].weight;
      out.chi_2[i] = scale[i].weight > 0.0 ? out.chi_2[i] * scale[i].weight : 0.0;
      out.length_slope[i] *= scale[i].gain();
      if (!std::isfinite(out.q[i])) at_infinity(scale[i], i, out);
      const double distance = std::fabs(1.0 - out.length_slope[i]);
      if (std::isfinite(out.q[i]) && distance <= critical_tolerance)
        out.status[i] = static_cast<std::int8_t>(Status::marginal);
      const bool isolated = out.q[i] > 0.0 && std::isfinite(out.q[i]);
      out.q_error[i] = isolated ? out.q[i] * (error[i] + 4e-16) / std::max(distance, 1e-16) : 0.0;
      if (phi_.family == Family::homogeneous && distance <= critical_tolerance)
        out.q_error[i] = 0.0;
    }
  }

  void at_infinity(const Scale& s, std::int64_t i, const FixedPoints& out) const {
    out.chi_1[i] = s.weight * table_.final_slope_squared();
    out.length_slope[i] = s.gain() * table_.final_length_slope();
    out.chi_2[i] = phi_.slope_jumps ? detail::infinity : (phi_.user_defined ? nan : 0.0);
  }

  /// c* by safeguarded Newton on P(delta) = delta' / delta - 1 for all inputs that need it.
  void correlations(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    struct Search {
      std::int64_t i;
      double low, high, previous;
      bool close;
    };
    std::vector<Search> open;
    for (std::int64_t i = 0; i < n; ++i) {
      out.c[i] = out.delta[i] = out.chi_c[i] = nan;
      if (!with_correlations_ || !(out.q[i] > 0.0) || !std::isfinite(out.q[i])) continue;
      const bool ordered = scale[i].weight == 0.0 ||
                           (scale[i].keep == 1.0 && out.chi_1[i] <= 1.0 + critical_tolerance);
      if (ordered) {
        out.c[i] = 1.0;
        out.delta[i] = 0.0;
        out.chi_c[i] = out.chi_1[i];
        continue;
      }
      open.push_back({i, 0.0, 1.0, detail::infinity, false});
      out.delta[i] = first_guess(scale[i], i, out);
    }
    std::vector<double> q, delta, product, deficit, slope;
    for (int step = 0; step < 100 && !open.empty(); ++step) {
      const std::size_t m = open.size();
      q.resize(m), delta.resize(m), product.resize(m), deficit.resize(m), slope.resize(m);
      for (std::size_t k = 0; k < m; ++k) {
        q[k] = out.q[open[k].i];
        delta[k] = out.delta[open[k].i];
      }
      average_.pair(q.data(), delta.data(), static_cast<std::int64_t>(m),
                    {product.data(), deficit.data(), slope.data()});
      std::size_t kept = 0;
      for (std::size_t k = 0; k < m; ++k) {
        Search at = open[k];
        const Scale& s = scale[at.i];
        const double dropped = (1.0 / s.keep - 1.0) * s.weight * second_[at.i];
        const double ratio = (s.weight * deficit[k] + dropped) / (q[k] * delta[k]);
        const double chi = s.weight * slope[k];
        out.chi_c[at.i] = chi;
        (ratio > 1.0 ? at.low : at.high) = delta[k];
        // Newton's method on P; where a large c is dear, from c < c* on C(c) - c, which never steps
        // across the root of a convex C
        const double base = average_.lanes() > 1 ? ratio : std::max(ratio, 1.0);
        double next = delta[k] - (ratio - 1.0) * delta[k] / (chi - base);
        if (!(next >= at.low && next <= at.high))
          next = at.low > 0.0 ? std::sqrt(at.low * at.high) : 0.1 * at.high;
        const double move = std::fabs(next - delta[k]);
        const bool done =
            move <= 4e-16 * next || at.close || (move < 1e-6 * next && move >= 0.5 * at.previous);
        at.close = move < 1e-9 * next;  // quadratic convergence: one more step is the last
        at.previous = move;
        out.delta[at.i] = next;
        if (!done) open[kept++] = at;
      }
      open.resize(kept);
    }
    for (std::int64_t i = 0; i < n; ++i)
      if (!std::isnan(out.delta[i])) out.c[i] = 1.0 - out.delta[i];
  }

  double first_guess(const Scale& s, std::int64_t i, const FixedPoints& out) const {
    if (phi_.odd && s.bias == 0.0) return 1.0;  // c* = 0 exactly
    const double dropped = (1.0 / s.keep - 1.0) * s.weight * second_[i] / out.q[i];
    const double near = dropped > 0.0
                            ? dropped / (1.0 - out.chi_1[i])  // dropout against contraction
                            : 2.0 * (out.chi_1[i] - 1.0) / (out.q[i] * out.chi_2[i]);
    // from delta = 1 the first steps cost little: few terms of Mehler's series count there
    return near > 0.0 && near < 0.02 ? near : 1.0;
  }

  const Activation& phi_;
  const LengthTable& table_;
  Expectation& average_;
  LengthRoots roots_;
  bool with_correlations_;
  std::vector<double> second_;
};

}  // namespace meanfree
