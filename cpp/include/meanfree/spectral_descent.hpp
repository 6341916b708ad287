// Solutions x of the equation of a spectrum at one log lambda: Newton's method, and vertical
// continuation, from far above the real axis, where x is known, down to it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/spectral_equation.hpp"
#include "meanfree/spectral_table.hpp"

namespace meanfree {

class SpectralDescent {
 public:
  /// `pause` is asked now and then whether to go on; null: not.
  explicit SpectralDescent(const SpectralEquation& equation, Pause* pause = nullptr)
      : equation_(equation),
        pause_(pause),
        n_(equation.n_laws()),
        lowest_tau_(equation.narrow() < 1.0 ? -32.0 + std::log(equation.narrow()) : -32.0),
        has_panels_(equation.has_panels()),
        at_(n_),
        move_(n_),
        next_(n_) {}

  /// Newton's method from x at complex log lambda; false if it does not converge within the upper
  /// half plane.
  bool solve(Complex log_lambda, std::vector<Complex>& x, int max_steps = 30,
             double largest_move = 1.0, double tolerance = 1e-9) {
    double before = std::numeric_limits<double>::infinity(), moved = 0.0;
    Lanes<1> dm;
    if (pause_ != nullptr) pause_->check();
    for (int i = 0; i < max_steps; ++i) {
      evaluate(x);
      ++steps;
      equation_.step<1>(state_, {{log_lambda.re}, {log_lambda.im}}, move_.data(), dm);
      double size_of_move = 0.0, lowest = 1.0;
      for (std::size_t l = 0; l < n_; ++l) {
        size_of_move = std::max(size_of_move, size(move_[l][0]));
        lowest = std::min(lowest, height(x[l]));
      }
      if (!(size_of_move < 1e3)) return false;
      double factor = std::min(1.0, 0.7 / size_of_move);
      bool inside = false;
      for (int halving = 0; halving < 40 && !inside; ++halving) {
        inside = true;
        for (std::size_t l = 0; l < n_; ++l) {
          next_[l] = advanced(x[l], factor * move_[l][0]);
          inside = inside && next_[l].im > 0.0;
        }
        if (!inside) factor *= 0.5;
      }
      if (!inside) return false;
      x.swap(next_);
      moved += factor * size_of_move;
      if (moved > largest_move) return false;
      // no better than the rounding errors of the equation allow
      const double noise = 1e-15 * equation_.weight() * equation_.use(0).r *
                           size(state_.growth[0][0] / state_.slope[0]);
      if (factor == 1.0 && (size_of_move <= std::max(tolerance * std::min(1.0, lowest), noise) ||
                            (size_of_move < 1e-10 && size_of_move >= 0.3 * before)))
        return true;
      before = factor == 1.0 ? size_of_move : std::numeric_limits<double>::infinity();
    }
    return false;
  }

  /// x at log lambda = y by vertical continuation; false outside the bulk.
  bool continue_down(double y, std::vector<Complex>& x) {
    double survival;
    return descend(y, x, survival) == Landing::bulk;
  }

  /// Where vertical continuation ends: in the bulk with x, in a gap with 1 - CDF there, or nowhere.
  enum class Landing { bulk, gap, nowhere };
  Landing descend(double y, std::vector<Complex>& x, double& survival_there) {
    x.resize(n_);
    double tau =
        std::log(1e4 * std::max(1.0, equation_.weight())) + std::max(0.0, equation_.log_mean() - y);
    for (std::size_t l = 0; l < n_; ++l) x[l] = equation_.start(l, raised(y, tau));
    if (!solve(raised(y, tau), x, 30, 1.0, 1e-3)) return Landing::nowhere;
    double step = 3.0, try_at = -1.0;
    std::vector<Complex> trial, rates(n_);
    Complex slope;
    const auto keep_rates = [&] {
      for (std::size_t l = 0; l < n_; ++l) rates[l] = state_.growth[l][0];
      slope = state_.slope[0];
    };
    keep_rates();
    bool landed = false;
    while (tau > lowest_tau_) {
      // well inside a bulk that is not narrow the rest is one step
      if (tau < try_at && min_height(x) > 0.02) {
        trial = x;
        landed = solve({y, 0.0}, trial, 30, 0.6);
        if (landed) break;
        try_at = tau - 1.0;
      }
      const double next = std::max(lowest_tau_, tau - step);
      trial = x;
      const Complex change = raised(y, next) - raised(y, tau);
      for (std::size_t l = 0; l < n_; ++l) {
        const Complex rate = equation_.use(l).r * (rates[l] / slope);
        const Complex guess = x[l] * exp(rate * change);
        if (guess.im > 0.0 && size(rate * change) < 5.0) trial[l] = guess;
      }
      if (solve(raised(y, next), trial, 8, 0.6, 1e-3)) {
        x.swap(trial);
        keep_rates();
        tau = next;
        step *= 1.6;
      } else {
        step *= 0.4;
        if (step < 1e-4) return Landing::nowhere;
      }
      if (tau < -25.0 && -density(x) < 1e-15) return in_gap(y, survival_there);
    }
    if (!landed) {
      trial = x;
      if (!solve({y, 0.0}, trial, 30, 0.6)) {
        evaluate(x);
        return -state_.m.im[0] < 1e-9 ? in_gap(y, survival_there) : Landing::nowhere;
      }
    }
    x.swap(trial);
    evaluate(x);
    // in a gap x is real to rounding
    const bool inside = -state_.m.im[0] > 1e-15 && min_height(x) > 1e-13 * equation_.weight();
    return inside ? Landing::bulk : in_gap(y, survival_there);
  }

  static double min_height(const std::vector<Complex>& x) {
    double lowest = 1.0;
    for (const Complex& z : x) lowest = std::min(lowest, height(z));
    return lowest;
  }

  std::int64_t steps = 0;  // evaluations of the equation

 protected:
  /// The equation at x, in state_.
  void evaluate(const std::vector<Complex>& x) {
    for (std::size_t l = 0; l < n_; ++l) at_[l].set(0, x[l]);
    equation_.evaluate<1>(at_.data(), state_);
  }

  /// 1 - CDF where the equation was evaluated last.
  double survival(double y) {
    double out;
    equation_.survival<1>(at_.data(), state_, {{y}, {0.0}}, &out);
    return out;
  }

  Landing in_gap(double y, double& survival_there) {
    survival_there = survival(y);
    return Landing::gap;
  }

  /// log(e^y (1 + i e^tau)).
  static Complex raised(double y, double tau) {
    const double up = tau > 0.0 ? tau : 0.0, small = std::exp(-std::fabs(tau));
    const double angle = std::atan(small);
    return {y + up + 0.5 * std::log1p(small * small), tau > 0.0 ? 0.5 * pi - angle : angle};
  }

  double density(const std::vector<Complex>& x) {
    evaluate(x);
    return state_.m.im[0];
  }

  const SpectralEquation& equation_;
  Pause* const pause_;
  const std::size_t n_;
  const double lowest_tau_;  // of vertical continuation
  const bool has_panels_;
  SpectralState<1> state_;
  std::vector<Lanes<1>> at_, move_;
  std::vector<Complex> next_;
};

}  // namespace meanfree
