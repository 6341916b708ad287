// The curve x(log lambda) on which the spectrum has a density. Vertical continuation, from far
// above the real axis down to it, finds x at any lambda; steps along the curve with Newton's method
// find the edges and fill a table from which later solutions start.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/spectral_equation.hpp"
#include "meanfree/spectral_table.hpp"

namespace meanfree {

class CurveMarch {
 public:
  /// `pause` is asked now and then whether to go on; null: not.
  explicit CurveMarch(const SpectralEquation& equation, Pause* pause = nullptr)
      : equation_(equation),
        pause_(pause),
        n_(equation.n_laws()),
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
    double tau = std::log(1e4 * equation_.weight()) + std::max(0.0, equation_.log_mean() - y);
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
    while (tau > lowest_tau) {
      // well inside a bulk that is not narrow the rest is one step
      if (tau < try_at && min_height(x) > 0.02) {
        trial = x;
        landed = solve({y, 0.0}, trial, 30, 0.6);
        if (landed) break;
        try_at = tau - 1.0;
      }
      const double next = std::max(lowest_tau, tau - step);
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
    const bool inside =
        -state_.m.im[0] > 1e-15 && min_height(x) > 1e-13 * equation_.weight();
    return inside ? Landing::bulk : in_gap(y, survival_there);
  }

  /// March from x (a solution at piece.log_lambda(v), or the edge itself at v = 0) along the piece
  /// until `stop`, a soft edge, the floor of what numbers can tell, or nothing is left of the
  /// density.
  CurveEdge march(CurvePiece& piece, std::vector<Complex> x, const CurveEdge* from, double stop) {
    piece.nodes.clear();
    CurveEdge end;
    double v = 0.0, h;
    if (from != nullptr) {
      piece.nodes.push_back(edge_node(*from));
      h = 0.05 / std::max(1e-300, size(piece.nodes[0].du[0]));
    } else {
      piece.nodes.push_back(node_at(piece, 0.0, x));
      h = 0.05 * std::min(1.0, min_height(x)) / std::max(1e-300, largest(piece.nodes[0].du));
    }
    double highest = 0.0, asked = 1.0;
    bool coarse = true;  // far from where the curve comes down to the real axis
    for (int count = 0; count < 4000; ++count) {
      CurveNode& last = piece.nodes.back();
      const double y_left = piece.direction * (stop - piece.log_lambda(v));
      if (y_left <= 0.0) {
        end.kind = EdgeKind::hard;
        end.log_lambda = stop;
        break;
      }
      double next = v + h;
      std::vector<Complex> trial(n_), guess(n_);
      bool good = false;
      double error = 0.0;
      predict(piece, next, guess);
      bool upper = true;
      for (std::size_t l = 0; l < n_; ++l) {
        upper = upper && guess[l].im > 0.0 && guess[l].im < pi;
        trial[l] = exp(guess[l]);
        upper = upper && trial[l].im > 0.0 && size(trial[l]) > 1e-250 && size(trial[l]) < 1e250;
      }
      if (upper && solve({piece.log_lambda(next), 0.0}, trial, 12, 1.0, coarse ? 1e-6 : 1e-9)) {
        error = difference(piece, guess, trial);
        good = error < (piece.nodes.size() == 1 ? 0.3 : 0.03) || h < 1e-13 * (v + 1e-3 * h);
      }
      if (!good) {
        coarse = false;
        h *= 0.3;
        if (next == v || h < 1e-14 * v || h < 1e-290) {
          if (find_edge(piece, last, end)) break;
          end.kind = EdgeKind::effective;
          end.log_lambda = piece.log_lambda(v);
          break;
        }
        continue;
      }
      v = next;
      piece.nodes.push_back(node_at(piece, v, trial));
      const double now = min_height(trial);
      highest = std::max(highest, now);
      coarse = now > 0.05 * highest;
      h *= std::min(2.5, std::max(0.3, std::pow(3e-3 / (error + 1e-12), 0.25)));
      const double y = piece.log_lambda(v);
      if (piece.nodes.size() > 3 && now < 0.5 * highest && now < asked) {
        if (find_edge(piece, piece.nodes.back(), end)) break;
        asked = 0.6 * now;
      }
      if (now < 1e-14 || (has_panels_ && piece.nodes.back().density < 3e-16)) {
        end.kind = EdgeKind::effective;
        end.log_lambda = y;
        break;
      }
      bool tiny = std::fabs(y - piece.anchor) > 1e7;
      for (const Complex& z : trial) tiny = tiny || size(z) < 1e-150 || size(z) > 1e150;
      if (tiny) {
        end.kind = EdgeKind::hard;
        end.log_lambda = -std::numeric_limits<double>::infinity();
        break;
      }
    }
    return end;
  }

  /// The node at log lambda = y itself.
  CurveNode node_at(double y, const std::vector<Complex>& x) {
    CurvePiece piece;
    piece.anchor = y, piece.soft = false;
    return node_at(piece, 0.0, x);
  }

  /// The node of the table at x, which solves the equation at v.
  CurveNode node_at(const CurvePiece& piece, double v, const std::vector<Complex>& x) {
    CurveNode node;
    node.v = v;
    evaluate(x);
    const double y = piece.log_lambda(v);
    // what is left of the equation when the x_l are moved such that they agree on m, and how much
    residual = std::max(residual, size(state_.value[0] - state_.excess[0] - Complex{y, 0.0}) /
                                      (1.0 + std::fabs(y)));
    for (std::size_t l = 1; l < n_; ++l)
      residual = std::max(residual, size(state_.error[l][0] * state_.growth[l][0]));
    imaginary = std::min(imaginary, min_height(x));
    for (std::size_t l = 0; l < n_; ++l) {
      node.u.push_back(log(x[l]));
      node.du.push_back((piece.slope(v) * equation_.use(l).r) *
                        (state_.growth[l][0] / state_.slope[0]));
    }
    node.survival = survival(y);
    node.density = -state_.m.im[0] / pi;
    return node;
  }

  CurveNode edge_node(const CurveEdge& edge) {
    CurveNode node;
    const double root = std::sqrt(2.0 / std::fabs(edge.curvature));
    evaluate(edge.x);
    for (std::size_t l = 0; l < n_; ++l) {
      node.u.push_back(log(edge.x[l]));
      // upwards in x, whatever the sign of x
      const double rise = std::fabs(edge.ratio[l].re) * root;
      node.du.push_back({0.0, edge.x[l].re > 0.0 ? rise : -rise});
    }
    node.survival = survival(edge.log_lambda);
    return node;
  }

  static double min_height(const std::vector<Complex>& x) {
    double lowest = 1.0;
    for (const Complex& z : x) lowest = std::min(lowest, height(z));
    return lowest;
  }

  std::int64_t steps = 0;  // evaluations of the equation
  double residual = 0.0;   // of the nodes, relative to 1 + |log lambda|
  double imaginary = 1.0;  // smallest height of a node

 private:
  static constexpr double lowest_tau = -32.0;

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

  static double largest(const std::vector<Complex>& z) {
    double result = 0.0;
    for (const Complex& value : z) result = std::max(result, size(value));
    return result;
  }

  /// On the real axis, but on its upper side: arguments of m and 1 + m are 0 or -pi.
  static Complex on_axis(double x) { return {x, 1e-140 * std::fabs(x)}; }

  /// Extrapolate the last cubic (the first time: the tangent).
  void predict(const CurvePiece& piece, double v, std::vector<Complex>& u) const {
    const CurveNode& b = piece.nodes.back();
    for (std::size_t l = 0; l < n_; ++l) {
      if (piece.nodes.size() == 1) {
        u[l] = b.u[l] + (v - b.v) * b.du[l];
        continue;
      }
      const CurveNode& a = piece.nodes[piece.nodes.size() - 2];
      const double h = b.v - a.v, s = (v - b.v) / h;
      const Complex chord = (1.0 / h) * (b.u[l] - a.u[l]);
      const Complex c2 = b.du[l] - chord, c3 = a.du[l] + b.du[l] - 2.0 * chord;
      // at s = 0 and s = -1 the values and slopes of b and a
      u[l] = b.u[l] + (h * s) * (b.du[l] + s * (c2 + (1.0 + s) * c3));
    }
  }

  /// Relative to the distance from the first node and from the real axis.
  double difference(const CurvePiece& piece, const std::vector<Complex>& guess,
                    const std::vector<Complex>& x) const {
    double error = 0.0;
    for (std::size_t l = 0; l < n_; ++l) {
      const Complex u = log(x[l]), d = u - guess[l], path = u - piece.nodes[0].u[l];
      const double up = std::min(1.0, height(x[l]));
      const double scale = std::max(up, std::min(1.0, size(path)));
      error = std::max(
          {error, std::fabs(d.re) / scale, std::fabs(d.im) / scale, 0.1 * std::fabs(d.im) / up});
    }
    return error;
  }

  /// log lambda and d log lambda / d log x_1 at real x_1, the other x_l solved for.
  bool real_point(std::vector<Complex>& x, double& value, double& slope, double& imaginary_part) {
    for (int i = 0; i < 60; ++i) {
      evaluate(x);
      double moved = 0.0;
      for (std::size_t l = 1; l < n_; ++l) {
        const double move = -(state_.error[l][0] * state_.growth[l][0]).re;
        if (!(std::fabs(move) < 0.5)) return false;
        x[l] = on_axis(x[l].re * std::exp(move));
        moved = std::max(moved, std::fabs(move));
      }
      if (moved < 1e-14) break;
      if (i == 59) return false;
    }
    value = state_.value.re[0];
    imaginary_part = state_.value.im[0];
    slope = state_.slope.re[0] / (equation_.use(0).r * state_.growth[0].re[0]);
    return std::isfinite(value) && std::isfinite(slope);
  }

  /// The real critical point next to a node, if the curve ends there.
  bool find_edge(const CurvePiece& piece, const CurveNode& node, CurveEdge& edge) {
    std::vector<Complex> x(n_), at;
    double scale = 0.0;
    for (std::size_t l = 0; l < n_; ++l) {
      const double r = std::exp(node.u[l].re), angle = node.u[l].im;
      x[l] = on_axis(std::cos(angle) > 0.0 ? r : -r);
      if (l == 0) scale = std::sin(angle);
    }
    if (scale > 0.6) return false;
    // secant steps in log |x_1|; where m has a pole the slope is noisy, but log lambda hardly moves
    double value, slope, before, im;
    at = x;
    if (!real_point(at, value, before, im)) return false;
    double total = 0.0, step = 0.05 * scale, previous = scale;
    bool settled = false;
    for (int i = 0; i < 60 && !settled; ++i) {
      x = at;
      x[0] = on_axis(x[0].re * std::exp(step));
      if (!real_point(x, value, slope, im)) return false;
      total += step;
      if (std::fabs(total) > 3.0 * scale + 1e-15) return false;
      const double next = slope == before ? 0.0 : -step * slope / (slope - before);
      settled = std::fabs(next) <= 1e-14 * scale ||
                (previous < 1e-7 * scale && std::fabs(next) >= 0.5 * previous);
      previous = std::fabs(next);
      before = slope;
      at = x;
      step = std::max(-scale, std::min(scale, next));
    }
    // inside a thin tail of the law m is not real
    if (!settled || std::fabs(im) > 1e-13 * equation_.weight() ||
        std::fabs(state_.m.im[0]) > 1e-13 * std::fabs(state_.m.re[0]))
      return false;
    const double y = piece.log_lambda(node.v);
    edge.log_lambda = value;
    if (piece.direction * (value - y) < -1e-15 * (1.0 + std::fabs(y))) return false;
    // curvature in log x_1 and the slopes of the other unknowns, by central differences of d/dm
    edge.x = at;
    evaluate(at);
    edge.ratio.assign(n_, {1.0, 0.0});
    const Complex first = equation_.use(0).r * state_.growth[0][0];
    for (std::size_t l = 1; l < n_; ++l)
      edge.ratio[l] = (equation_.use(l).r * state_.growth[l][0]) / first;
    double plus, minus;
    const double eps = 1e-3 * scale;
    x = at, x[0] = on_axis(at[0].re * std::exp(eps));
    if (!real_point(x, value, plus, im)) return false;
    x = at, x[0] = on_axis(at[0].re * std::exp(-eps));
    if (!real_point(x, value, minus, im)) return false;
    edge.curvature = (plus - minus) / (2.0 * eps);
    if (!(edge.curvature * piece.direction > 0.0)) return false;
    const double expected =
        std::sqrt(2.0 * std::fabs(edge.log_lambda - y) / std::fabs(edge.curvature));
    const double angle = std::min(node.u[0].im, pi - node.u[0].im);
    if (!(std::fabs(expected - angle) < 0.3 * angle)) return false;
    edge.kind = EdgeKind::soft;
    return true;
  }

  const SpectralEquation& equation_;
  Pause* const pause_;
  const std::size_t n_;
  const bool has_panels_;
  SpectralState<1> state_;
  std::vector<Lanes<1>> at_, move_;
  std::vector<Complex> next_;
};

}  // namespace meanfree
