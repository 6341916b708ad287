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
#include <limits>
#include <vector>

#include "meanfree/correlation_search.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/length_roots.hpp"

namespace meanfree {

enum class Status : std::int8_t {
  converged = 0,
  marginal = 1,
  diverges = 2,
  collapsed_to_zero = 3
};

enum class Phase : std::int8_t { ordered = 0, critical = 1, chaotic = 2, undefined = 3 };

/// Arrays of n values.
struct FixedPoints {
  static constexpr int n_rows = 11;
  double *q, *c, *delta, *chi_1, *chi_2, *chi_c, *length_slope, *xi_q, *xi_c, *xi_gradient,
      *q_error;
  std::int8_t *phase, *status;

  /// In the rows of an (n_rows, n) array, in this order.
  static FixedPoints in(double* rows, std::int64_t n, std::int8_t* phase, std::int8_t* status) {
    const auto row = [=](int k) { return rows + k * n; };
    return {row(0), row(1), row(2), row(3),  row(4), row(5), row(6),
            row(7), row(8), row(9), row(10), phase,  status};
  }

  FixedPoints from(std::int64_t i) const {
    return {
        q + i,    c + i,    delta + i,       chi_1 + i,   chi_2 + i, chi_c + i, length_slope + i,
        xi_q + i, xi_c + i, xi_gradient + i, q_error + i, phase + i, status + i};
  }
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
        with_correlations_(correlations),
        dear_(phi.family == Family::analytic || average.lanes() == 1) {
    average_.expect_search();
  }

  /// n at most lanes().
  void solve(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    if (phi_.family == Family::homogeneous && with_correlations_ &&
        std::all_of(scale, scale + n, [](const Scale& s) { return s.keep == 1.0; })) {
      homogeneous(scale, n, out);
      return;
    }
    lengths(scale, n, out);
    slopes(scale, n, out);
    correlations(scale, n, out);
    depth_scales(scale, n, out);
  }

 private:
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  static void set(const FixedPoints& out, std::int64_t i, double q, Status status) {
    out.q[i] = q;
    out.status[i] = static_cast<std::int8_t>(status);
  }

  void lengths(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    brackets_.clear();
    scales_.clear();
    where_.clear();
    for (std::int64_t i = 0; i < n; ++i) {
      if (phi_.family == Family::homogeneous) {
        homogeneous_length(scale[i], i, out);
        continue;
      }
      Bracket bracket;
      switch (roots_.from_one(scale[i], bracket)) {
        case LengthRoots::End::root:
          brackets_.push_back(bracket);
          scales_.push_back(scale[i]);
          where_.push_back(i);
          break;
        case LengthRoots::End::zero:
          set(out, i, 0.0, Status::collapsed_to_zero);
          break;
        case LengthRoots::End::infinity:
          set(out, i, detail::infinity, Status::diverges);
      }
    }
    q_.resize(where_.size());
    slope_.resize(where_.size());
    roots_.polish(scales_.data(), brackets_.data(), static_cast<std::int64_t>(where_.size()),
                  q_.data(), slope_.data());
    for (std::size_t k = 0; k < where_.size(); ++k) {
      if (slope_[k] < -1.0 - 1e-6)
        throw NotConverged("the length map oscillates: its slope at the fixed point q = " +
                           std::to_string(q_[k]) + " is " + std::to_string(slope_[k]));
      set(out, where_[k], q_[k], Status::converged);
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

  /// A straight V without dropout: everything in closed form, and no c* but 1 where q* is finite.
  /// Several short loops, since g++ vectorises none that decides too much.
  void homogeneous(const Scale* scale, std::int64_t n, const FixedPoints& to) {
    const FixedPoints out = to;  // a copy, which nothing that is written can change
    weight_.resize(n);
    bias_.resize(n);
    for (std::int64_t i = 0; i < n; ++i) {
      weight_[i] = scale[i].weight;
      bias_[i] = scale[i].bias;
    }
    const double *weight = weight_.data(), *bias = bias_.data();
    const double s = phi_.final_slope_squared;
    const double bend = phi_.slope_jumps ? detail::infinity : 0.0;
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double slope = weight[i] * s, room = 1.0 - slope, straight = bias[i] / room;
      const bool critical = std::fabs(room) <= critical_tolerance;
      const double limit = bias[i] > 0.0 ? detail::infinity : 1.0;
      const double below = room < 0.0 ? detail::infinity : straight;
      const double decay = -1.0 / special::log(slope);
      out.q[i] = critical ? limit : below;
      out.chi_1[i] = slope;
      out.length_slope[i] = slope;
      out.xi_q[i] = critical ? detail::infinity : decay + 0.0;
    }
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double q = out.q[i], slope = out.chi_1[i], xi = out.xi_q[i];
      const double distance = std::fabs(1.0 - slope);
      const double one = (q > 0.0) & (q < detail::infinity) ? 1.0 : nan;  // where c* exists
      const double error = q * (8e-16 / distance);
      const double isolated = distance > critical_tolerance ? error : 0.0;
      out.c[i] = one;
      out.delta[i] = one - 1.0;
      out.chi_2[i] = slope > 0.0 ? bend : 0.0;
      out.chi_c[i] = slope * one;
      out.xi_c[i] = distance > critical_tolerance ? xi * one : xi;
      out.xi_gradient[i] = xi;
      out.q_error[i] = q < detail::infinity ? isolated : 0.0;
    }
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double room = 1.0 - out.chi_1[i];
      const bool critical = std::fabs(room) <= critical_tolerance;
      const Phase side = room < 0.0 ? Phase::chaotic : Phase::ordered;
      const Status rest = out.q[i] > 0.0 ? Status::converged : Status::collapsed_to_zero;
      const Status bounded = critical ? Status::marginal : rest;
      out.phase[i] = static_cast<std::int8_t>(critical ? Phase::critical : side);
      out.status[i] =
          static_cast<std::int8_t>(out.q[i] < detail::infinity ? bounded : Status::diverges);
    }
  }

  void slopes(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    for (auto* column : {&q_, &error_, &second_, &mean_, &mean_slope_}) column->resize(n);
    for (std::int64_t i = 0; i < n; ++i)  // in place of infinity anything; overwritten below
      q_[i] = std::isfinite(out.q[i]) ? out.q[i] : 1.0;
    Moments m;
    if (with_correlations_ && !dear_) {
      m.mean = mean_.data();
      m.mean_slope = mean_slope_.data();
    }
    m.second = second_.data();
    m.slope_squared = out.chi_1;
    m.curvature_squared = with_correlations_ ? out.chi_2 : nullptr;
    if (!with_correlations_) std::fill(out.chi_2, out.chi_2 + n, nan);
    m.length_slope = out.length_slope;
    m.error = error_.data();
    average_.moments(q_.data(), n, m);
    for (std::int64_t i = 0; i < n; ++i) {
      out.chi_1[i] *= scale[i].weight;
      out.chi_2[i] = scale[i].weight > 0.0 ? out.chi_2[i] * scale[i].weight : 0.0;
      out.length_slope[i] *= scale[i].gain();
      if (!std::isfinite(out.q[i])) at_infinity(scale[i], i, out);
      const double distance = std::fabs(1.0 - out.length_slope[i]);
      if (std::isfinite(out.q[i]) && distance <= critical_tolerance)
        out.status[i] = static_cast<std::int8_t>(Status::marginal);
      const bool isolated = out.q[i] > 0.0 && std::isfinite(out.q[i]);
      out.q_error[i] = isolated ? out.q[i] * (error_[i] + 4e-16) / std::max(distance, 1e-16) : 0.0;
      if (phi_.family == Family::homogeneous && distance <= critical_tolerance)
        out.q_error[i] = 0.0;
    }
  }

  void at_infinity(const Scale& s, std::int64_t i, const FixedPoints& out) const {
    out.chi_1[i] = s.weight * table_.final_slope_squared();
    out.length_slope[i] = s.gain() * table_.final_length_slope();
    out.chi_2[i] = s.weight * table_.final_curvature_squared();
  }

  /// c* for all inputs that need it.
  void correlations(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    CorrelationSearch& s = search_;
    s.cell.clear();
    for (std::int64_t i = 0; i < n; ++i) {
      out.c[i] = out.delta[i] = out.chi_c[i] = nan;
      if (!with_correlations_ || !(out.q[i] > 0.0) || !std::isfinite(out.q[i])) continue;
      const bool ordered = scale[i].weight == 0.0 ||
                           (scale[i].keep == 1.0 && out.chi_1[i] <= 1.0 + critical_tolerance);
      if (ordered) {
        out.c[i] = 1.0;
        out.delta[i] = 0.0;
        out.chi_c[i] = out.chi_1[i];
      } else {
        s.cell.push_back(i);
      }
    }
    std::int64_t open = static_cast<std::int64_t>(s.cell.size());
    if (open == 0) return;
    first_guesses(scale, n, out);
    for (auto& column : s.column) column.resize(open);
    for (std::int64_t k = 0; k < open; ++k) {
      const std::int64_t i = s.cell[k];
      const bool centred = phi_.odd && scale[i].bias == 0.0;  // c* = 0 exactly
      s[CorrelationSearch::q][k] = out.q[i];
      s[CorrelationSearch::weight][k] = scale[i].weight;
      s[CorrelationSearch::dropped][k] = (1.0 / scale[i].keep - 1.0) * scale[i].weight * second_[i];
      s[CorrelationSearch::top][k] = scale[i].keep == 1.0 && !dear_ ? out.chi_1[i] - 1.0 : 0.0;
      s[CorrelationSearch::delta][k] = centred ? 1.0 : guess_[i];
      s[CorrelationSearch::low][k] = centred ? 1.0 : 0.0;
      s[CorrelationSearch::high][k] = 1.0;
      s[CorrelationSearch::previous][k] = detail::infinity;
      s[CorrelationSearch::close][k] = s[CorrelationSearch::done][k] = 0.0;
    }
    for (int step = 0; step < 100 && open > 0; ++step) {
      average_.pair(s[CorrelationSearch::q], s[CorrelationSearch::delta], open,
                    {s[CorrelationSearch::product], s[CorrelationSearch::deficit],
                     s[CorrelationSearch::slope]});
      s.step(open, dear_);
      double done = 0.0;
      for (std::int64_t k = 0; k < open; ++k) done += s[CorrelationSearch::done][k];
      // moving the searches that go on costs about as much as a cheap step of those that do not
      if (step < 99 && (done == 0.0 || (!dear_ && 2.0 * done < open))) continue;
      open = take_done(open, step == 99, out);
    }
  }

  /// Write the results of the searches that are done, or of all, and close their gaps.
  std::int64_t take_done(std::int64_t open, bool all, const FixedPoints& out) {
    CorrelationSearch& s = search_;
    std::int64_t kept = 0;
    for (std::int64_t k = 0; k < open; ++k) {
      if (all || s[CorrelationSearch::done][k] > 0.0) {
        const std::int64_t i = s.cell[k];
        out.delta[i] = s[CorrelationSearch::delta][k];
        out.c[i] = 1.0 - out.delta[i];
        out.chi_c[i] = s[CorrelationSearch::chi][k];
        continue;
      }
      if (kept < k) {
        s.cell[kept] = s.cell[k];
        for (int name = 0; name < CorrelationSearch::product; ++name)
          s.column[name][kept] = s.column[name][k];
      }
      ++kept;
    }
    return kept;
  }

  /// xi = -1 / log |slope|: infinite at slope 1 (to 1e-12), 0 at slope 0, NaN where it is.
  static void depth_scale(const double* slope, std::int64_t n, double* xi) {
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double size = std::fabs(slope[i]), scale = -1.0 / special::log(size);
      xi[i] = std::fabs(size - 1.0) <= critical_tolerance ? detail::infinity : scale + 0.0;
    }
  }

  static void depth_scales(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    for (std::int64_t i = 0; i < n; ++i) out.xi_gradient[i] = out.chi_1[i] / scale[i].keep;
    depth_scale(out.xi_gradient, n, out.xi_gradient);
    depth_scale(out.length_slope, n, out.xi_q);
    depth_scale(out.chi_c, n, out.xi_c);
    for (std::int64_t i = 0; i < n; ++i) {
      const double chi_1 = out.chi_1[i];
      const bool critical = std::fabs(chi_1 - 1.0) <= critical_tolerance;
      // where c* is undefined differences of correlation still last for ever at chi_1 = 1
      if (critical && scale[i].keep == 1.0 && std::isnan(out.chi_c[i]))
        out.xi_c[i] = detail::infinity;
      const Phase side = chi_1 > 1.0 ? Phase::chaotic : Phase::ordered;
      const Phase phase = std::isnan(chi_1) ? Phase::undefined : side;
      out.phase[i] = static_cast<std::int8_t>(critical ? Phase::critical : phase);
    }
  }

  /// Where the search for delta starts, for every input.
  void first_guesses(const Scale* scale, std::int64_t n, const FixedPoints& out) {
    using special::detail::fma;
    guess_.resize(n);
    const double *q = out.q, *chi_1 = out.chi_1, *chi_2 = out.chi_2, *second = second_.data();
    const double *mean = mean_.data(), *mean_slope = mean_slope_.data();
    double* guess = guess_.data();
    const bool dear = dear_;
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double weight = scale[i].weight, keep = scale[i].keep, top = chi_1[i] - 1.0;
      const double dropped = (1.0 / keep - 1.0) * weight * second[i];
      // dropout against contraction; or the curvature of C at c = 1
      const double near = dropped > 0.0 ? dropped / (-top * q[i]) : 2.0 * top / (q[i] * chi_2[i]);
      // the step from delta = 1, where the averages are products: C(0), C'(0) (see
      // CorrelationSearch::step)
      const double over = -fma(weight * mean[i], mean[i], scale[i].bias) / q[i];
      const double line = over / (fma(weight * mean_slope[i], mean_slope[i], -1.0) - over);
      const double bent = top / fma(top - over, line, top);
      // from delta = 1 the first steps cost little: few terms of Mehler's series count there
      const double far = !dear & (keep == 1.0) & (bent > 0.0) & (bent <= 1.0) ? bent : 1.0;
      // far from chi_1 = 1 the expansion says nothing, small as it may be for long q
      guess[i] = (near > 0.0) & (near < 0.02) & (chi_1[i] < 1.5) ? near : far;
    }
  }

  const Activation& phi_;
  const LengthTable& table_;
  Expectation& average_;
  LengthRoots roots_;
  bool with_correlations_;
  bool dear_;  // is `pair` dear where c is large?
  std::vector<Bracket> brackets_;
  std::vector<Scale> scales_;
  std::vector<std::int64_t> where_;
  std::vector<double> weight_, bias_, q_, slope_, error_, second_, mean_, mean_slope_, guess_;
  CorrelationSearch search_;
};

}  // namespace meanfree
