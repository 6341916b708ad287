// Density, distribution function and quantiles of a spectrum whose curve is known
// (spectral_curve.hpp). Each point starts from the table's cubic and takes Newton steps of its own,
// n_lanes points side by side; where that fails, vertical continuation finds it. What is returned
// for a point does not depend on the others that were asked for.
//
//     lambda rho = -Im m / pi,   1 - CDF as in spectral_equation.hpp
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <utility>
#include <vector>

#include "meanfree/spectral_curve.hpp"

namespace meanfree {

struct SpectralPoint {
  double log_density;  // log(lambda rho), -inf outside the bulk
  double cdf, survival;
  double steps;
};

class Spectrum {
 public:
  Spectrum(const SpectralEquation& equation, const SpectralCurve& curve,
           const std::vector<SpectralAtom>& atoms, bool distribution = true)
      : equation_(equation), curve_(curve), atoms_(atoms), distribution_(distribution) {}

  /// n <= n_lanes points.
  void evaluate(const double* y, int n, SpectralPoint* out) {
    if (equation_.is_law_itself()) {
      for (int i = 0; i < n; ++i)
        out[i] = bulk_at(y[i]) == nullptr ? outside(y[i]) : point_of_law(y[i]);
      return;
    }
    int lane[n_lanes], n_inside = 0;
    double at[n_lanes];
    for (int i = 0; i < n; ++i) {
      out[i] = outside(y[i]);
      const SpectralBulk* bulk = bulk_at(y[i]);
      if (bulk == nullptr) continue;
      const bool below = !(y[i] > floor_of(*bulk));
      if (below || !(y[i] < ceiling_of(*bulk))) {
        out[i] = below && bulk->low == -infinity ? below_floor(*bulk, y[i])
                                                 : beside_end(*bulk, y[i], below);
        continue;
      }
      lane[n_inside] = i;
      at[n_inside++] = y[i];
    }
    if (n_inside > 0) solve(at, n_inside, lane, out);
  }

  /// The smallest log lambda with CDF >= p, for n <= n_lanes levels side by side.
  void quantiles(const double* p, int n, double* out) {
    QuantileSearch search[n_lanes];
    int open = 0;
    for (int i = 0; i < n; ++i) {
      const SpectralBulk* bulk = nullptr;
      out[i] = settled_quantile(p[i], bulk);
      if (bulk == nullptr) continue;
      search[open] = bracket(*bulk, 1.0 - p[i]);
      search[open].index = i;
      if (search[open].low < search[open].high)
        ++open;
      else
        out[i] = search[open].high;
    }
    for (int step = 0; step < 80 && open > 0; ++step) {
      double y[n_lanes];
      SpectralPoint point[n_lanes];
      for (int k = 0; k < open; ++k) y[k] = search[k].y;
      evaluate(y, open, point);
      int kept = 0;
      for (int k = 0; k < open; ++k) {
        QuantileSearch at = search[k];
        out[at.index] = at.y;
        if (!at.done(point[k])) search[kept++] = at;
      }
      open = kept;
    }
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  const SpectralBulk* bulk_at(double y) const {
    for (const SpectralBulk& bulk : curve_.bulks)
      if (y > bulk.low && y < bulk.high) return &bulk;
    return nullptr;
  }

  /// Below it, x under- or overflows: the end of the table.
  double floor_of(const SpectralBulk& bulk) const {
    if (equation_.is_law_itself()) return std::max(bulk.low, equation_.constant() - 230.0);
    if (bulk.soft_low || bulk.effective_low) return bulk.low;
    for (int k = bulk.first_piece; k < bulk.first_piece + bulk.n_pieces; ++k) {
      const CurvePiece& piece = curve_.pieces[k];
      if (piece.direction < 0.0) return std::max(bulk.low, piece.log_lambda(piece.nodes.back().v));
    }
    return bulk.low;
  }

  /// Above it, rounding errors hide an atom or a point of infinite density: the end of the table.
  double ceiling_of(const SpectralBulk& bulk) const {
    if (bulk.soft_high || bulk.effective_high) return bulk.high;
    for (int k = bulk.first_piece; k < bulk.first_piece + bulk.n_pieces; ++k) {
      const CurvePiece& piece = curve_.pieces[k];
      if (piece.direction > 0.0 && piece.high == bulk.high)
        return std::min(bulk.high, piece.log_lambda(piece.nodes.back().v));
    }
    return bulk.high;
  }

  SpectralPoint outside(double y) const {
    double below = 0.0, above = 0.0;
    for (const SpectralAtom& atom : atoms_) (atom.log_lambda <= y ? below : above) += atom.mass;
    for (const SpectralBulk& bulk : curve_.bulks) {
      const double mass = bulk.survival_low - bulk.survival_high;
      (bulk.high <= y ? below : above) += mass;
    }
    return {-infinity, std::min(1.0, below), std::min(1.0, above), 0.0};
  }

  /// There the density is a power of lambda.
  SpectralPoint below_floor(const SpectralBulk& bulk, double y) {
    const double floor = floor_of(bulk);
    const double at[2] = {floor + 1e-6 * std::fabs(floor), floor + 0.01 * std::fabs(floor)};
    SpectralPoint end[2];
    evaluate(at, 2, end);
    const double power = (end[1].log_density - end[0].log_density) / (at[1] - at[0]);
    SpectralPoint point = outside(y);
    point.log_density = end[0].log_density + power * (y - at[0]);
    point.survival = 1.0 - point.cdf;
    return point;
  }

  /// Between the end of the table and that of the interval the mass left is a power of the
  /// distance.
  SpectralPoint beside_end(const SpectralBulk& bulk, double y, bool low) {
    const double end = low ? bulk.low : bulk.high, last = low ? floor_of(bulk) : ceiling_of(bulk);
    const double survival = low ? bulk.survival_low : bulk.survival_high,
                 inwards = std::max(1e-6 * std::fabs(last - end), 1e-15 * (1.0 + std::fabs(last))),
                 at = low ? last + inwards : last - inwards;
    SpectralPoint point{-infinity, 1.0 - survival, survival, 0.0};
    if (!(at > floor_of(bulk) && at < ceiling_of(bulk))) return point;
    const bool wanted = std::exchange(distribution_, true);
    evaluate(&at, 1, &point);
    distribution_ = wanted;
    const double density = std::exp(point.log_density), left = std::fabs(survival - point.survival);
    const double closer = std::fabs((end - y) / (end - at));
    double power = 1.0;
    if (std::any_of(atoms_.begin(), atoms_.end(),
                    [end](const SpectralAtom& atom) { return atom.log_lambda == end; })) {
      // beside an atom the density is finite; further off rounding changes it less
      const double further = end + 10.0 * (at - end);
      SpectralPoint there;
      if (further > floor_of(bulk) && further < ceiling_of(bulk))
        evaluate(&further, 1, &there), point.log_density = there.log_density;
    } else if (left > 1e-14) {
      power = std::min(1.5, std::max(0.25, density * std::fabs(end - at) / left));
      point.log_density =
          std::log(power * left / std::fabs(end - at)) + (power - 1.0) * std::log(closer);
    }
    point.survival = survival + (low ? -left : left) * std::pow(closer, power);
    point.cdf = 1.0 - point.survival;
    return point;
  }

  /// At x + i0 on the cut of the law itself.
  SpectralPoint point_of_law(double y) const {
    const SlopeLaw& law = equation_.law(0);
    const double x = law.off_nodes(std::exp(y - equation_.constant()));
    if (x < 1e-100) return outside(y);
    const Complex at{x, 1e-140 * x};
    double angle;
    RootCache cache;
    law.log_integral<1>({{at.re}, {at.im}}, &angle, &cache);
    const double survival = std::min(1.0, std::max(0.0, angle / pi));
    return {std::log(std::max(0.0, -law(at).m.im) / pi), 1.0 - survival, survival, 0.0};
  }

  const CurvePiece& piece_at(const SpectralBulk& bulk, double y) const {
    for (int k = bulk.first_piece; k < bulk.first_piece + bulk.n_pieces; ++k)
      if (y <= curve_.pieces[k].high && y >= curve_.pieces[k].low) return curve_.pieces[k];
    return curve_.pieces[bulk.first_piece];
  }

  /// log x_l from the cubic between the two nodes around y.
  void start(double y, int lane, Lanes<n_lanes>* x) const {
    const CurvePiece& piece = piece_at(*bulk_at(y), y);
    const double v = piece.variable(y);
    const auto after =
        std::upper_bound(piece.nodes.begin() + 1, piece.nodes.end() - 1, v,
                         [](double value, const CurveNode& node) { return value < node.v; });
    const CurveNode &b = *after, &a = *(after - 1);
    const double h = b.v - a.v, s = (v - a.v) / h;
    for (std::size_t l = 0; l < equation_.n_laws(); ++l) {
      const Complex chord = b.u[l] - a.u[l], left = h * a.du[l], right = h * b.du[l];
      Complex u =
          a.u[l] + s * (left + s * ((chord - left) + (s - 1.0) * (left + right - 2.0 * chord)));
      u.im = std::max(u.im, 0.1 * std::min(a.u[l].im, b.u[l].im));
      u.im = std::min(u.im, pi - 0.1 * (pi - std::max(a.u[l].im, b.u[l].im)));
      x[l].set(lane, u);
    }
  }

  void solve(const double* y, int n, const int* lane, SpectralPoint* out) {
    const std::size_t n_laws = equation_.n_laws();
    x_.resize(n_laws), move_.resize(n_laws), next_.resize(n_laws);
    Lanes<n_lanes> target, dm;
    for (int i = 0; i < n_lanes; ++i) target.set(i, {y[i < n ? i : 0], 0.0});
    for (int i = 0; i < n; ++i) start(y[i], i, x_.data());
    for (std::size_t l = 0; l < n_laws; ++l)
      for (int i = n; i < n_lanes; ++i) x_[l].set(i, x_[l][0]);
    for (Lanes<n_lanes>& x : x_)
      fill<n_lanes>(x, [&](int i) MEANFREE_INLINED { return exp(x[i]); });
    state_.forget();
    bool done[n_lanes] = {};
    bool found[n_lanes] = {};
    double imaginary[n_lanes] = {};
    int left = n;
    for (int step = 1; step <= 12 && left > 0; ++step) {
      equation_.evaluate<n_lanes>(x_.data(), state_);
      equation_.step<n_lanes>(state_, target, move_.data(), dm);
      double longest[n_lanes] = {}, lowest[n_lanes], highest[n_lanes];
      for (int i = 0; i < n_lanes; ++i) lowest[i] = highest[i] = 1.0;
      for (std::size_t l = 0; l < n_laws; ++l) {
        const Lanes<n_lanes>&x = x_[l], &move = move_[l];
        Lanes<n_lanes>& next = next_[l];
        fill<n_lanes>(next, [&](int i) MEANFREE_INLINED { return advanced(x[i], move[i]); });
        for (int i = 0; i < n_lanes; ++i) {
          longest[i] = std::max(longest[i], size(move[i]));
          lowest[i] = std::min(lowest[i], x.im[i] / (std::fabs(x.re[i]) + x.im[i]));
          highest[i] = std::min(highest[i], next.im[i]);
        }
      }
      double noise[n_lanes];
      const double rounding = 1e-15 * equation_.weight() * equation_.use(0).r;
      for (int i = 0; i < n_lanes; ++i)
        noise[i] = rounding * size(state_.growth[0][i] * inverse(state_.slope[i]));
      for (int i = 0; i < n; ++i) {
        if (done[i]) continue;
        if (!(longest[i] < 1.0 && highest[i] > 0.0)) {  // to be found by continuation
          done[i] = true;
          --left;
          continue;
        }
        if (longest[i] <= std::max(1e-8 * lowest[i], noise[i])) {
          // the last step only changes m, by less than what it would change next; 1 - CDF is
          // stationary
          done[i] = found[i] = true;
          --left;
          out[lane[i]].steps = step;
          const double rise = longest[i] > noise[i] ? dm.im[i] : 0.0;
          imaginary[i] = state_.m.im[i] + rise;
        }
        // with several laws 1 - CDF is stationary only where they agree on m
        if (!found[i] || n_laws > 1)
          for (std::size_t l = 0; l < n_laws; ++l) x_[l].set(i, next_[l][i]);
      }
    }
    if (n_laws > 1 && distribution_) equation_.evaluate<n_lanes>(x_.data(), state_);
    double survival[n_lanes] = {};
    if (distribution_) equation_.survival<n_lanes>(x_.data(), state_, target, survival);
    double log_density[n_lanes];
    for (int i = 0; i < n_lanes; ++i) log_density[i] = special::log(-imaginary[i] / pi);
    for (int i = 0; i < n; ++i) {
      SpectralPoint& point = out[lane[i]];
      if (found[i] && imaginary[i] < 0.0) {
        point.log_density = log_density[i];
        point.survival = survival[i];
      } else {
        continue_to(y[i], point);
      }
      point.survival = std::min(1.0, std::max(0.0, point.survival));
      point.cdf = 1.0 - point.survival;
    }
  }

  void continue_to(double y, SpectralPoint& point) {
    CurveMarch march(equation_);
    std::vector<Complex> x(equation_.n_laws());
    std::vector<Lanes<n_lanes>> first(equation_.n_laws());
    start(y, 0, first.data());
    for (std::size_t l = 0; l < x.size(); ++l) x[l] = exp(first[l][0]);
    const bool found = march.solve({y, 0.0}, x) && march.node_at(y, x).density > 0.0;
    if (!found && !march.continue_down(y, x)) {
      const SpectralBulk& bulk = *bulk_at(y);
      const double gap = std::min(y - bulk.low, bulk.high - y);
      if (gap > 1e-10 * (1.0 + std::fabs(y))) {
        char text[120];
        std::snprintf(text, sizeof text, "no solution was found at log lambda = %.17g", y);
        throw NotConverged(text);
      }
      const bool low = y - bulk.low < bulk.high - y;
      point = {-infinity, 0.0, low ? bulk.survival_low : bulk.survival_high, 0.0};
      return;
    }
    const CurveNode node = march.node_at(y, x);
    point.log_density = std::log(node.density);
    point.survival = node.survival;
    point.steps = static_cast<double>(march.steps);
  }

  /// Newton's method for one quantile, with bisection behind it.
  struct QuantileSearch {
    double wanted, low, high, y;  // wanted: 1 - p
    double scale;                 // width of a narrow interval, else 1
    int index = 0;

    /// Take what was found at y; true if y is the answer, else y is the next place to look at.
    bool done(const SpectralPoint& point) {
      const double error = point.survival - wanted;  // falls with y
      (error >= 0.0 ? low : high) = y;
      const double move = error / std::exp(point.log_density);
      if (std::fabs(move) <= 1e-15 * (scale + std::fabs(y)) || std::fabs(error) < 1e-16 ||
          high - low <= 2e-16 * std::fabs(high))
        return true;
      y = y + move > low && y + move < high ? y + move : 0.5 * (low + high);
      return false;
    }
  };

  /// Where the level lies: an atom or an end of the support, or else within `bulk`.
  double settled_quantile(double p, const SpectralBulk*& bulk_of_p) const {
    double reached = 0.0;  // CDF below the next piece of the spectrum
    std::size_t next_atom = 0, next_bulk = 0;
    while (next_atom < atoms_.size() || next_bulk < curve_.bulks.size()) {
      const bool atom_first = next_bulk == curve_.bulks.size() ||
                              (next_atom < atoms_.size() &&
                               atoms_[next_atom].log_lambda <= curve_.bulks[next_bulk].low);
      if (atom_first) {
        const SpectralAtom& atom = atoms_[next_atom++];
        reached += atom.mass;
        if (p <= reached || (next_atom == atoms_.size() && next_bulk == curve_.bulks.size()))
          return atom.log_lambda;
      } else {
        const SpectralBulk& bulk = curve_.bulks[next_bulk++];
        const double end = reached + bulk.survival_low - bulk.survival_high;
        const bool last = next_atom == atoms_.size() && next_bulk == curve_.bulks.size();
        if (p <= reached) return bulk.low;
        if (last && p >= 1.0) return bulk.high;
        if (p < end) {
          bulk_of_p = &bulk;
          return 0.0;
        }
        reached = end;
        if (p <= end + 1e-12 || last) return bulk.high;
      }
    }
    return std::numeric_limits<double>::quiet_NaN();
  }

  /// A bracket from the nodes of the table.
  QuantileSearch bracket(const SpectralBulk& bulk, double wanted) const {
    double low = std::isfinite(bulk.low) ? bulk.low : floor_of(bulk), high = bulk.high;
    for (int k = bulk.first_piece; k < bulk.first_piece + bulk.n_pieces; ++k) {
      const CurvePiece& piece = curve_.pieces[k];
      for (const CurveNode& node : piece.nodes) {
        const double y = piece.log_lambda(node.v);
        if (y < piece.low || y > piece.high) continue;
        if (node.survival >= wanted)
          low = std::max(low, y);
        else
          high = std::min(high, y);
      }
    }
    return {wanted, low, high, 0.5 * (low + high), std::min(1.0, bulk.high - bulk.low)};
  }

  const SpectralEquation& equation_;
  const SpectralCurve& curve_;
  const std::vector<SpectralAtom>& atoms_;
  bool distribution_;  // is the CDF wanted?
  SpectralState<n_lanes> state_;
  std::vector<Lanes<n_lanes>> x_, next_, move_;
};

}  // namespace meanfree
