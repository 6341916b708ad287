// All intervals of the bulk of a spectrum with their tables: from a point inside, found by vertical
// continuation, march to both edges; more intervals are looked for while mass is missing, and the
// mass tells on which side. The result is checked (mass, residual, Im x > 0) or refused.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "meanfree/spectral_itself.hpp"
#include "meanfree/spectral_knots.hpp"
#include "meanfree/spectral_march.hpp"

namespace meanfree {

class SpectralCurveBuilder {
 public:
  SpectralCurveBuilder(const SpectralEquation& equation, const std::vector<SpectralAtom>& atoms,
                       Pause* pause = nullptr)
      : equation_(equation), atoms_(atoms), march_(equation, pause) {}

  SpectralCurve build() {
    if (equation_.is_law_itself()) return law_itself(equation_, atoms_);
    const double infinity = std::numeric_limits<double>::infinity();
    double in_atoms = 0.0, at_zero = 0.0;
    for (const SpectralAtom& atom : atoms_) {
      in_atoms += atom.mass;
      if (atom.log_lambda == -infinity) at_zero = atom.mass;
    }
    if (in_atoms < 1.0 - 1e-12) {
      std::vector<SpectralBulk> found;
      low_ = {-infinity, 1.0 - at_zero};
      for (const SpectralKnot& knot : spectral_knots(equation_, atoms_)) {
        const double reach = reach_of(knot);
        search({knot.log_lambda, knot.below, reach}, found);
        low_ = {knot.log_lambda, knot.above, reach};
        knots_ = true;
      }
      search({infinity, 0.0}, found);
      curve_.bulks = std::move(found);
    }
    double mass = 0.0;
    for (const SpectralBulk& bulk : curve_.bulks) mass += bulk.survival_low - bulk.survival_high;
    curve_.mass = mass;
    curve_.residual = march_.residual;
    curve_.imaginary = march_.imaginary;
    std::size_t n_nodes = 0;
    for (const CurvePiece& piece : curve_.pieces) n_nodes += piece.nodes.size();
    curve_.steps =
        static_cast<double>(march_.steps) / static_cast<double>(std::max<std::size_t>(1, n_nodes));
    // a law whose values differ in their last digits only is known as well as these digits
    const double blur = 1e-14 / (1e-14 + equation_.law(0).relative_spread());
    // log lambda has the rounding errors of its terms, which count by the width of what they shift
    const double width =
        curve_.bulks.empty() ? 1.0 : curve_.bulks.back().high - curve_.bulks.front().low;
    const double rounding = 1e-15 * equation_.weight() / width;
    if (!(std::fabs(mass + in_atoms - 1.0) < accepted + blur + blur_ + rounding))
      fail("the mass of bulk and atoms is not 1 but", mass + in_atoms);
    if (!(curve_.residual < 1e-10)) fail("the equation is left with an error of", curve_.residual);
    return std::move(curve_);
  }

 private:
  static constexpr double accepted = 1e-10;  // of the mass

  /// How close to come to a knot: where the mass of the atom is small or nil, m changes its form
  /// at a distance of the order of mass^2 only; closer by, rounding tells more than m does.
  static double reach_of(const SpectralKnot& knot) {
    const double mass = std::min(1.0, knot.below - knot.above);
    return std::max(1e-12, 1e-5 * mass * mass);
  }

  /// All intervals between low_ and `high`.
  void search(SpectralWall high, std::vector<SpectralBulk>& found) {
    high_ = high;
    if (!(high_.survival < low_.survival - accepted)) return;
    double seed;
    std::vector<Complex> x;
    if (!find_first(seed, x)) fail("no density was found near the mean", seed);
    add_bulk(seed, x);
    for (int round = 0; round < 24; ++round) {
      const double above = missing_above(), below = missing_below();
      if (above > accepted && seed_above(seed, x))
        add_bulk(seed, x);
      else if (below > accepted && seed_below(seed, x))
        add_bulk(seed, x);
      else if (!fill_gap(accepted))
        break;
    }
    found.insert(found.end(), curve_.bulks.begin(), curve_.bulks.end());
    curve_.bulks.clear();
  }

  bool find_first(double& seed, std::vector<Complex>& x) {
    if (!knots_ && !std::isfinite(high_.log_lambda)) return find_seed(seed, x);
    if (find_at_mean(seed, x)) return true;
    if (!std::isfinite(low_.log_lambda))
      return seed_below(high_, 1.0, low_.survival - high_.survival, seed, x);
    return seed_between(low_.log_lambda, high_, low_.survival - high_.survival, seed, x);
  }

  [[noreturn]] static void fail(const char* what, double value) { fail_spectrum(what, value); }

  double atoms_between(double low, double high) const {
    double mass = 0.0;
    for (const SpectralAtom& atom : atoms_)
      if (atom.log_lambda > low && atom.log_lambda < high) mass += atom.mass;
    return mass;
  }

  double missing_above() const {
    const SpectralBulk& last = curve_.bulks.back();
    return last.survival_high - high_.survival - atoms_between(last.high, high_.log_lambda);
  }
  double missing_below() const {
    const SpectralBulk& first = curve_.bulks.front();
    if (first.low == low_.log_lambda) return 0.0;
    return low_.survival - first.survival_low - atoms_between(low_.log_lambda, first.low);
  }

  bool try_seed(double y, double& seed, std::vector<Complex>& x) {
    seed = y;
    return march_.continue_down(y, x);
  }

  /// At the mean of the bulk, unless a gap is there.
  bool find_at_mean(double& seed, std::vector<Complex>& x) {
    double mass = 1.0, mean = 1.0;
    for (const SpectralAtom& atom : atoms_) {
      mass -= atom.mass;
      mean -= atom.mass * std::exp(std::min(700.0, atom.log_lambda - equation_.log_mean()));
    }
    const double y = equation_.log_mean(), at = y + std::log(mean / mass);
    const auto inside = [this](double place) {
      return place > low_.log_lambda && place < high_.log_lambda;
    };
    if (mean > 1e-9 && inside(at) && try_seed(at, seed, x)) return true;
    return inside(y) && try_seed(y, seed, x);
  }

  bool find_seed(double& seed, std::vector<Complex>& x) {
    if (find_at_mean(seed, x)) return true;
    double mass = 1.0;
    for (const SpectralAtom& atom : atoms_) mass -= atom.mass;
    const double y = equation_.log_mean();
    const double high = highest(mass);
    if (bisect(high - 40.0, high, 0.0, mass, seed, x)) return true;
    double offset = 1e-12;
    for (int k = 0; k < 64; ++k, offset *= 1.7) {
      if (try_seed(y - offset, seed, x)) return true;
      if (try_seed(y + offset, seed, x)) return true;
    }
    return scan(y - 30.0, y - std::log(mass) + 1.0, seed, x);
  }

  /// Equidistant points, ever more, strictly between two ends.
  bool scan(double low, double high, double& seed, std::vector<Complex>& x) {
    for (int n = 2; n <= 512; n *= 2)
      for (int k = 1; k < n; k += 2)
        if (try_seed(low + (high - low) * k / n, seed, x)) return true;
    return false;
  }

  /// A point of the bulk between two ends in gaps, by bisection: 1 - CDF is `above` at `high`, and
  /// `missing` and what is in atoms more at `low`. However narrow an interval is, this finds it.
  bool bisect(double low, double high, double above, double missing, double& seed,
              std::vector<Complex>& x) {
    const double end = high;
    for (int step = 0; step < 200; ++step) {
      seed = 0.5 * (low + high);
      if (!(seed > low && seed < high)) return false;
      double survival;
      switch (march_.descend(seed, x, survival)) {
        case CurveMarch::Landing::bulk:
          return true;
        case CurveMarch::Landing::nowhere:
          return false;
        case CurveMarch::Landing::gap:
          const bool is_above = survival - atoms_between(seed, end) > above + 0.5 * missing;
          (is_above ? low : high) = seed;
      }
    }
    return false;
  }

  /// Markov: P(lambda > l) <= mean / l.
  double highest(double mass) const {
    return equation_.log_mean() - std::log(std::max(1e-12, mass)) + 0.1;
  }

  bool seed_between(double low, SpectralWall end, double missing, double& seed,
                    std::vector<Complex>& x) {
    const double high = std::isfinite(end.log_lambda) ? end.log_lambda : highest(missing);
    return high > low &&
           (bisect(low, high, end.survival, missing, seed, x) || scan(low, high, seed, x));
  }

  bool seed_above(double& seed, std::vector<Complex>& x) {
    return seed_between(curve_.bulks.back().high, high_, missing_above(), seed, x);
  }

  bool seed_below(double& seed, std::vector<Complex>& x) {
    const SpectralBulk& first = curve_.bulks.front();
    const SpectralWall end{first.low, first.survival_low};
    if (std::isfinite(low_.log_lambda))
      return seed_between(low_.log_lambda, end, missing_below(), seed, x);
    return seed_below(end, curve_.bulks.back().high - first.low, missing_below(), seed, x);
  }
  bool seed_below(SpectralWall end, double length, double missing, double& seed,
                  std::vector<Complex>& x) {
    const double high = end.log_lambda;
    length = std::max(1e-3, length);
    for (int k = 0; k < 12; ++k, length *= 3.0) {
      double survival;
      if (march_.descend(high - length, x, survival) == CurveMarch::Landing::gap &&
          survival - atoms_between(high - length, high) > end.survival + 0.5 * missing &&
          bisect(high - length, high, end.survival, missing, seed, x))
        return true;
      for (int j = 1; j <= 16; ++j)
        if (try_seed(high - length * j / 16.0, seed, x)) return true;
    }
    return false;
  }

  bool fill_gap(double tolerance) {
    for (std::size_t k = 0; k + 1 < curve_.bulks.size(); ++k) {
      const SpectralBulk &low = curve_.bulks[k], &high = curve_.bulks[k + 1];
      const double missing =
          low.survival_high - high.survival_low - atoms_between(low.high, high.low);
      double seed;
      std::vector<Complex> x;
      if (missing > tolerance && (bisect(low.high, high.low, high.survival_low, missing, seed, x) ||
                                  scan(low.high, high.low, seed, x))) {
        add_bulk(seed, x);
        return true;
      }
    }
    return false;
  }

  /// The mass that lies within the rounding errors of log lambda at the end of a march: there the
  /// density may be infinite.
  static double blurred(const CurvePiece& piece) {
    const CurveNode& end = piece.nodes.back();
    return std::min(1e-6, 1e-13 * (1.0 + std::fabs(piece.log_lambda(end.v))) * end.density);
  }

  static void cut(CurvePiece& piece, double at) {
    // keep one node beyond the cut
    std::size_t keep = 0;
    const double v = piece.variable(at);
    while (keep < piece.nodes.size() && piece.nodes[keep].v < v) ++keep;
    piece.nodes.resize(std::min(piece.nodes.size(), keep + 1));
  }

  static void touch(SpectralBulk& low, SpectralBulk& high) {
    const double near = 1e-7 * std::min(1.0, std::min(low.high - low.low, high.high - high.low));
    if (!(std::fabs(low.high - high.low) < near)) return;
    low.high = high.low = 0.5 * (low.high + high.low);
    if (std::fabs(low.survival_high - high.survival_low) < 1e-6)  // else there is an atom
      low.survival_high = high.survival_low = 0.5 * (low.survival_high + high.survival_low);
  }

  /// An interval that goes on up to a wall ends there: what the march left out must be little, and
  /// no more than the density, at most of the order of distance^(-3/4), allows.
  void end_at(const SpectralWall& wall, const CurvePiece& piece, CurveEdge& edge) const {
    if (edge.kind == EdgeKind::soft || !std::isfinite(wall.log_lambda)) return;
    const CurveNode& end = piece.nodes.back();
    // where m ~ 1 / distance, rounding errors of log lambda count that much more
    const double distance = std::fabs(wall.log_lambda - piece.log_lambda(end.v)),
                 left = std::fabs(wall.survival - end.survival),
                 most = 4.0 * end.density * distance + 0.1 * accepted +
                        std::min(1e-9, 1e-15 * equation_.weight() / distance);
    if (edge.kind == EdgeKind::hard && !(left <= most))
      fail("the distribution function is not as it must be beside log lambda =", wall.log_lambda);
    if (left <= most && left < 1e-5 && end.density > 1e-14)
      edge.kind = EdgeKind::hard, edge.log_lambda = wall.log_lambda;
  }

  /// The interval around a seed; `bound`: one that it touches above.
  void add_bulk(double seed, const std::vector<Complex>& x, const SpectralBulk* bound = nullptr) {
    const double infinity = std::numeric_limits<double>::infinity();
    SpectralBulk bulk{};
    CurvePiece up, down;
    up.anchor = seed, up.direction = 1.0, up.soft = false;
    CurveEdge top = bound != nullptr ? march_.march(up, x, nullptr, bound->low)
                                     : march_.march(up, x, nullptr, high_.log_lambda, high_.reach);
    if (bound == nullptr) end_at(high_, up, top);
    CurveEdge bottom;
    if (top.kind == EdgeKind::soft) {
      down.anchor = top.log_lambda, down.direction = -1.0, down.soft = true;
      bottom = march_.march(down, top.x, &top, low_.log_lambda, low_.reach);
    } else {
      down.anchor = seed, down.direction = -1.0, down.soft = false;
      bottom = march_.march(down, x, nullptr, low_.log_lambda, low_.reach);
    }
    end_at(low_, down, bottom);
    bulk.high = top.log_lambda, bulk.low = bottom.log_lambda;
    bulk.soft_high = top.kind == EdgeKind::soft, bulk.soft_low = bottom.kind == EdgeKind::soft;
    bulk.effective_high = top.kind == EdgeKind::effective;
    if (bulk.effective_high) blur_ += blurred(up);
    bulk.effective_low = bottom.kind == EdgeKind::effective;
    if (bulk.effective_low) blur_ += blurred(down);
    bulk.first_piece = static_cast<int>(curve_.pieces.size());
    bulk.survival_high =
        (bulk.soft_high ? down : up).nodes[bulk.soft_high ? 0 : up.nodes.size() - 1].survival;
    if (top.kind == EdgeKind::hard)
      bulk.survival_high = bound != nullptr ? bound->survival_low : high_.survival;
    double split = seed;
    if (bulk.soft_high) split = -infinity;
    if (bulk.soft_low) {
      split = bulk.soft_high ? 0.5 * (bulk.low + bulk.high) : bulk.low + 0.5 * (seed - bulk.low);
      CurvePiece rise;
      rise.anchor = bulk.low, rise.direction = 1.0, rise.soft = true;
      const CurveEdge end = march_.march(rise, bottom.x, &bottom, split);
      if (end.log_lambda < split) fail("the curve broke off at log lambda =", end.log_lambda);
      bulk.survival_low = rise.nodes[0].survival;
      cut(down, split);
      rise.low = bulk.low, rise.high = split;
      curve_.pieces.push_back(std::move(rise));
      down.low = split;
    } else {
      bulk.survival_low = down.nodes.back().survival;
      if (!bulk.effective_low) bulk.survival_low = low_.survival;
      down.low = bulk.low;
    }
    down.high = bulk.soft_high ? bulk.high : seed;
    curve_.pieces.push_back(std::move(down));
    if (!bulk.soft_high) {
      up.low = seed, up.high = bulk.high;
      curve_.pieces.push_back(std::move(up));
    }
    bulk.n_pieces = static_cast<int>(curve_.pieces.size()) - bulk.first_piece;
    // a march may cross a point of infinite density at which another one stopped
    curve_.bulks.erase(
        std::remove_if(curve_.bulks.begin(), curve_.bulks.end(),
                       [&](const SpectralBulk& other) {
                         const double near = 1e-7 * (other.high - other.low);
                         const bool low = bulk.low < other.low + near ||
                                          (bulk.effective_low && other.effective_low),
                                    high = bulk.high > other.high - near ||
                                           (bulk.effective_high && other.effective_high);
                         return low && high && bulk.low < other.high && bulk.high > other.low;
                       }),
        curve_.bulks.end());
    for (SpectralBulk& other : curve_.bulks) {
      // two that touch, at a point where the density is infinite, are cut there
      touch(other, bulk);
      touch(bulk, other);
      if (bulk.low < other.high && bulk.high > other.low)
        fail("two intervals overlap at log lambda =", seed);
    }
    curve_.bulks.push_back(bulk);
    // upwards it went past a point of infinite density at which it stopped on the way down
    if (bulk.low > seed && bound == nullptr) add_bulk(seed, x, &bulk);
    std::sort(curve_.bulks.begin(), curve_.bulks.end(),
              [](const SpectralBulk& a, const SpectralBulk& b) { return a.low < b.low; });
  }

  const SpectralEquation& equation_;
  const std::vector<SpectralAtom>& atoms_;
  CurveMarch march_;
  SpectralCurve curve_;
  SpectralWall low_{}, high_{};  // what is looked for now lies between them
  bool knots_ = false;
  double blur_ = 0.0;  // of the mass, from the ends of intervals
};

}  // namespace meanfree
