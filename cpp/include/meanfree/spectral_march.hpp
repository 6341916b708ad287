// The curve x(log lambda) on which the spectrum has a density: from a point inside, steps along the
// curve with Newton's method find the edges and fill a table from which later solutions start.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "meanfree/spectral_descent.hpp"
#include "meanfree/spectral_table.hpp"

namespace meanfree {

class CurveMarch : public SpectralDescent {
 public:
  using SpectralDescent::SpectralDescent;

  /// March from x (a solution at piece.log_lambda(v), or the edge itself at v = 0) along the piece
  /// until `stop`, a soft edge, the floor of what numbers can tell, or nothing is left of the
  /// density. A wall is come close to but not reached, to within `reach` of the way there.
  CurveEdge march(CurvePiece& piece, std::vector<Complex> x, const CurveEdge* from, double stop,
                  double reach = 0.0) {
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
      const double nearest =
          reach == 0.0 || !std::isfinite(stop)
              ? 0.0
              : std::max(reach * std::fabs(stop - piece.anchor), 4e-15 * (1.0 + std::fabs(stop)));
      if (y_left <= nearest) {
        end.kind = EdgeKind::hard;
        end.log_lambda = stop;
        break;
      }
      double next = v + h;
      if (nearest > 0.0)
        next = std::min(
            next, piece.variable(stop - piece.direction * std::max(0.35 * y_left, 0.9 * nearest)));
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
      // first, since the soft edge where the normal's tail was cut has no mass beside it
      const double rounding = has_panels_ ? 3e-16 * equation_.weight() : 0.0;
      if (now < std::max(1e-14, rounding) || (has_panels_ && piece.nodes.back().density < 1e-15)) {
        end.kind = EdgeKind::effective;
        end.log_lambda = y;
        break;
      }
      if (piece.nodes.size() > 3 && now < 0.5 * highest && now < asked) {
        if (find_edge(piece, piece.nodes.back(), end)) break;
        asked = 0.6 * now;
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
                                      (equation_.narrow() + std::fabs(y)));
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

  double residual = 0.0;   // of the nodes, relative to 1 + |log lambda|
  double imaginary = 1.0;  // smallest height of a node

 private:
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
};

}  // namespace meanfree
