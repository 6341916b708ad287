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

#include "meanfree/graded.hpp"
#include "meanfree/spectral_march.hpp"

namespace meanfree {

/// An atom of the spectrum; log lambda = -inf at 0.
struct SpectralAtom {
  double log_lambda, mass;
};

/// One interval of the bulk: 1 - CDF at its ends, and which pieces of the table serve it.
struct SpectralBulk {
  double low, high;
  double survival_low, survival_high;
  bool soft_low, soft_high, effective_low, effective_high;
  int first_piece, n_pieces;
};

struct SpectralCurve {
  std::vector<SpectralBulk> bulks;  // ascending
  std::vector<CurvePiece> pieces;
  double mass = 0.0, residual = 0.0, imaginary = 0.0, steps = 0.0;
};

class SpectralCurveBuilder {
 public:
  SpectralCurveBuilder(const SpectralEquation& equation, const std::vector<SpectralAtom>& atoms,
                       Pause* pause = nullptr)
      : equation_(equation), atoms_(atoms), march_(equation, pause) {}

  SpectralCurve build() {
    if (equation_.is_law_itself()) return law_itself();
    double in_atoms = 0.0;
    for (const SpectralAtom& atom : atoms_) in_atoms += atom.mass;
    const double tolerance = 1e-9;
    if (in_atoms < 1.0 - 1e-12) {
      double seed;
      std::vector<Complex> x;
      if (!find_seed(seed, x)) fail("no density was found near the mean", seed);
      add_bulk(seed, x);
      for (int round = 0; round < 24; ++round) {
        const double above = missing_above(), below = missing_below();
        if (above > tolerance && seed_above(seed, x))
          add_bulk(seed, x);
        else if (below > tolerance && seed_below(seed, x))
          add_bulk(seed, x);
        else if (!fill_gap(tolerance))
          break;
      }
    }
    split_at_atoms(curve_, [&](double y, double& density) {
      std::vector<Complex> x;
      if (!march_.continue_down(y, x)) fail("no density was found beside the atom at", y);
      const CurveNode node = march_.node_at(y, x);
      density = node.density;
      return node.survival;
    });
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
    if (!(std::fabs(mass + in_atoms - 1.0) < 1e-8 + blur + blur_))
      fail("the mass of bulk and atoms is not 1 but", mass + in_atoms);
    if (!(curve_.residual < 1e-10)) fail("the equation is left with an error of", curve_.residual);
    return std::move(curve_);
  }

 private:
  /// log lambda = C + log t: no equation to solve.
  SpectralCurve law_itself() const {
    const double infinity = std::numeric_limits<double>::infinity();
    SpectralCurve curve;
    double above = 1.0;
    for (const SpectralAtom& atom : atoms_) above -= atom.mass;
    const std::vector<SlopeLaw::Range> ranges = equation_.law(0).ranges();
    for (const SlopeLaw::Range& range : ranges) {
      SpectralBulk bulk{};
      bulk.low = range.low < 1e-100 ? -infinity : equation_.constant() + std::log(range.low);
      bulk.high = equation_.constant() + std::log(range.high);
      bulk.effective_low = range.low_is_tail, bulk.effective_high = range.high_is_tail;
      bulk.survival_low = above;
      for (const SpectralAtom& atom : atoms_)
        if (atom.log_lambda > bulk.low) bulk.survival_low += atom.mass;
      above -= range.mass;
      bulk.survival_high = above;
      for (const SpectralAtom& atom : atoms_)
        if (atom.log_lambda >= bulk.high) bulk.survival_high += atom.mass;
      curve.bulks.push_back(bulk);
      curve.mass += range.mass;
    }
    if (!(std::fabs(above) < 1e-8)) fail("the mass of bulk and atoms is not 1 but", 1.0 - above);
    split_at_atoms(curve, [&](double y, double& density) {
      const Complex x{std::exp(y - equation_.constant()), 0.0};
      const Complex at{x.re, 1e-140 * x.re};
      double angle;
      RootCache cache;
      equation_.law(0).log_integral<1>({{at.re}, {at.im}}, &angle, &cache);
      density = 0.0;
      return angle / pi;
    });
    return curve;
  }

  /// An atom within an interval cuts it in two.
  template <class Survival>
  void split_at_atoms(SpectralCurve& curve, Survival survival) const {
    for (const SpectralAtom& atom : atoms_) {
      for (std::size_t k = 0; k < curve.bulks.size(); ++k) {
        const double y = atom.log_lambda, tiny = 1e-9 * (1.0 + std::fabs(y));
        if (!(curve.bulks[k].low < y - tiny && curve.bulks[k].high > y + tiny)) continue;
        double density = 0.0;
        const double step = 1e-12 * (1.0 + std::fabs(y)), above = survival(y + step, density);
        SpectralBulk low = curve.bulks[k];
        SpectralBulk& high = curve.bulks[k];
        low.high = high.low = y;
        high.survival_low = above + step * density;
        low.survival_high = high.survival_low + atom.mass;
        low.soft_high = low.effective_high = high.soft_low = high.effective_low = false;
        curve.bulks.insert(curve.bulks.begin() + static_cast<std::ptrdiff_t>(k), low);
        break;
      }
    }
  }

  [[noreturn]] static void fail(const char* what, double value) {
    char text[160];
    std::snprintf(text, sizeof text, "the spectrum was not found: %s %.17g", what, value);
    throw NotConverged(text);
  }

  double atoms_between(double low, double high) const {
    double mass = 0.0;
    for (const SpectralAtom& atom : atoms_)
      if (atom.log_lambda > low && atom.log_lambda < high) mass += atom.mass;
    return mass;
  }

  double missing_above() const {
    const SpectralBulk& last = curve_.bulks.back();
    return last.survival_high - atoms_between(last.high, std::numeric_limits<double>::infinity());
  }
  double missing_below() const {
    const SpectralBulk& first = curve_.bulks.front();
    if (first.low == -std::numeric_limits<double>::infinity()) return 0.0;
    double mass = 1.0 - first.survival_low;
    for (const SpectralAtom& atom : atoms_)
      if (atom.log_lambda < first.low) mass -= atom.mass;
    return mass;
  }

  bool try_seed(double y, double& seed, std::vector<Complex>& x) {
    seed = y;
    return march_.continue_down(y, x);
  }

  bool find_seed(double& seed, std::vector<Complex>& x) {
    // at the mean of the bulk, unless a gap is there
    double mass = 1.0, mean = 1.0;
    for (const SpectralAtom& atom : atoms_) {
      mass -= atom.mass;
      mean -= atom.mass * std::exp(std::min(700.0, atom.log_lambda - equation_.log_mean()));
    }
    double y = equation_.log_mean();
    if (mean > 1e-9 && try_seed(y + std::log(mean / mass), seed, x)) return true;
    if (try_seed(y, seed, x)) return true;
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

  bool seed_above(double& seed, std::vector<Complex>& x) {
    const double low = curve_.bulks.back().high, missing = missing_above();
    const double high = highest(missing);
    return high > low && (bisect(low, high, 0.0, missing, seed, x) || scan(low, high, seed, x));
  }

  bool seed_below(double& seed, std::vector<Complex>& x) {
    const SpectralBulk& first = curve_.bulks.front();
    const double high = first.low, missing = missing_below();
    double length = std::max(1e-3, curve_.bulks.back().high - high);
    for (int k = 0; k < 12; ++k, length *= 3.0) {
      double survival;
      if (march_.descend(high - length, x, survival) == CurveMarch::Landing::gap &&
          survival - atoms_between(high - length, high) > first.survival_low + 0.5 * missing &&
          bisect(high - length, high, first.survival_low, missing, seed, x))
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

  /// The interval around a seed; `bound`: one that it touches above.
  void add_bulk(double seed, const std::vector<Complex>& x, const SpectralBulk* bound = nullptr) {
    const double infinity = std::numeric_limits<double>::infinity();
    SpectralBulk bulk{};
    CurvePiece up, down;
    up.anchor = seed, up.direction = 1.0, up.soft = false;
    const CurveEdge top = march_.march(up, x, nullptr, bound != nullptr ? bound->low : infinity);
    CurveEdge bottom;
    if (top.kind == EdgeKind::soft) {
      down.anchor = top.log_lambda, down.direction = -1.0, down.soft = true;
      bottom = march_.march(down, top.x, &top, -infinity);
    } else {
      down.anchor = seed, down.direction = -1.0, down.soft = false;
      bottom = march_.march(down, x, nullptr, -infinity);
    }
    bulk.high = top.log_lambda, bulk.low = bottom.log_lambda;
    bulk.soft_high = top.kind == EdgeKind::soft, bulk.soft_low = bottom.kind == EdgeKind::soft;
    bulk.effective_high = top.kind == EdgeKind::effective;
    if (bulk.effective_high) blur_ += blurred(up);
    bulk.effective_low = bottom.kind == EdgeKind::effective;
    if (bulk.effective_low) blur_ += blurred(down);
    bulk.first_piece = static_cast<int>(curve_.pieces.size());
    bulk.survival_high =
        (bulk.soft_high ? down : up).nodes[bulk.soft_high ? 0 : up.nodes.size() - 1].survival;
    if (bound != nullptr && top.kind == EdgeKind::hard) bulk.survival_high = bound->survival_low;
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
      if (!bulk.effective_low) {  // nothing is left but the atom at 0
        bulk.survival_low = 1.0;
        for (const SpectralAtom& atom : atoms_)
          if (atom.log_lambda == -infinity) bulk.survival_low -= atom.mass;
      }
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
  double blur_ = 0.0;  // of the mass, from the ends of intervals
};

}  // namespace meanfree
