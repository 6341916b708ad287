// Averages over the law of t = phi'(sqrt(q) z)^2 at complex x, Im x > 0, also close to the cut:
//     m(x) = E[t / (x - t)],   1 + m(x) = E[x / (x - t)],   m'(x) = -E[t / (x - t)^2],
//     E(x) = E[log(1 - t / x)].
// Gauss-Legendre panels in z, and for every root P of t(P) = x (phi' = +-sqrt(x)) near a panel [a,
// b] the difference between the integral of r / (z - P) and its quadrature, r = -g(P) x / t'(P) the
// residue of g x / (x - t):
//     r [log((b - P) / (a - P)) - sum_j w_j / (z_j - P)],
// which leaves an integrand without poles nearby. E(x) goes by parts first where a root is near:
//     int_a^b g log(1 - t/x) = G(b) log(1 - t(b)/x) + int_a^b G t' / (x - t),   G' = g, G(a) = 0.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "meanfree/complex.hpp"
#include "meanfree/slope_panels.hpp"
#include "meanfree/slope_roots.hpp"

namespace meanfree {

/// m, P(t > 0) + m = E[x / (x - t); t > 0], m' and E[t^2 / (x - t)] = x m - E t at n points.
template <int n>
struct LawValues {
  Lanes<n> m, rank_plus_m, slope, second;
};
struct LawValue {
  Complex m, one_plus_m, slope;
};

class SlopeLaw {
 public:
  explicit SlopeLaw(const SlopePanels& law) {
    for (const SlopeAtom& atom : law.atoms) {
      if (atom.t == 0.0) {
        at_zero_ = atom.mass;
      } else {
        t_.push_back(atom.t);
        w_.push_back(atom.mass);
      }
    }
    n_atoms_ = static_cast<int>(t_.size());
    for (std::size_t k = 0; k < law.panels.size(); ++k) add(law.panels, k);
    for (std::size_t j = 0; j < t_.size(); ++j) mean_ += w_[j] * t_[j];
  }

  double at_zero() const { return at_zero_; }
  double mean() const { return mean_; }
  bool has_panels() const { return !roots_.panels.empty(); }
  /// Those at t > 0.
  std::vector<SlopeAtom> atoms() const {
    std::vector<SlopeAtom> all;
    for (int j = 0; j < n_atoms_; ++j) all.push_back({t_[j], w_[j]});
    return all;
  }

  /// An interval of t that panels cover, the mass in it, and whether an end is only that of the
  /// normal's tail.
  struct Range {
    double low, high, mass;
    bool low_is_tail, high_is_tail;
  };
  std::vector<Range> ranges() const {
    std::vector<Range> all;
    for (const Panel& panel : roots_.panels) {
      // the extremes of |phi'| on a panel: ends, and stationary points from a fine grid
      Range range{detail::infinity, 0.0, panel.mass, false, false};
      constexpr int n = 64;
      for (int k = 0; k <= n; ++k) {
        double s = -1.0 + 2.0 * k / n;
        Complex f, df, d2f;
        detail::clenshaw(panel.a, panel.degree, {s, 0.0}, f, df, d2f);
        if (k > 0 && k < n && std::fabs(df.re) < 0.1 * std::fabs(d2f.re)) {
          for (int i = 0; i < 4 && d2f.re != 0.0; ++i) {
            s = std::max(-1.0, std::min(1.0, s - df.re / d2f.re));
            detail::clenshaw(panel.a, panel.degree, {s, 0.0}, f, df, d2f);
          }
        }
        const double t = f.re * f.re;
        const double z = panel.middle + panel.half * s;
        const bool tail = std::fabs(z) >= z_max;
        if (t < range.low) range.low = t, range.low_is_tail = tail;
        if (t > range.high) range.high = t, range.high_is_tail = tail;
      }
      if (panel.a[0] != 0.0 && changes_sign(panel)) range.low = 0.0, range.low_is_tail = false;
      all.push_back(range);
    }
    std::sort(all.begin(), all.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
    std::vector<Range> merged;
    for (const Range& range : all) {
      if (merged.empty() || range.low > merged.back().high * (1.0 + 1e-10)) {
        merged.push_back(range);
        continue;
      }
      Range& last = merged.back();
      last.mass += range.mass;
      if (range.high > last.high) last.high = range.high, last.high_is_tail = range.high_is_tail;
    }
    return merged;
  }

  /// x moved off nodes and ends of panels by what does not change the averages but lets them be
  /// computed: at an end it must be clear on which panel the root lies.
  double off_nodes(double x) const {
    const auto moved = [x](double t) { return t < x ? t * (1.0 + 1e-13) : t * (1.0 - 1e-13); };
    for (const double t : t_)
      if (std::fabs(x - t) < 1e-13 * x) return moved(t);
    for (const Panel& panel : roots_.panels)
      if (std::fabs(x - panel.t_end) < 1e-13 * x) return moved(panel.t_end);
    return x;
  }

  /// E t^k.
  double moment(int k) const {
    double sum = 0.0;
    for (std::size_t j = 0; j < t_.size(); ++j) sum += w_[j] * std::pow(t_[j], k);
    return sum;
  }

  /// Standard deviation of t over its mean.
  double relative_spread() const {
    double sum = at_zero_;
    for (std::size_t j = 0; j < t_.size(); ++j)
      sum += w_[j] * (t_[j] / mean_ - 1.0) * (t_[j] / mean_ - 1.0);
    return std::sqrt(sum);
  }

  /// E t^k / (E t)^k.
  long double scaled_moment(int k) const {
    long double sum = 0.0L, mean = 0.0L;
    for (std::size_t j = 0; j < t_.size(); ++j) mean += static_cast<long double>(w_[j]) * t_[j];
    for (std::size_t j = 0; j < t_.size(); ++j) sum += w_[j] * std::pow(t_[j] / mean, k);
    return sum;
  }

  /// At n points.
  template <int n>
  void evaluate(const Lanes<n>& x, LawValues<n>& out, RootCache* cache) const {
    if constexpr (n == 1) {
      sums(x[0], out);
      if (has_panels()) add_poles(x, out, cache);
      return;
    }
    double a_re[n] = {}, a_im[n] = {}, b_re[n] = {}, b_im[n] = {}, d_re[n] = {}, d_im[n] = {},
           c_re[n] = {}, c_im[n] = {};
    for (std::size_t j = 0; j < t_.size(); ++j) {
      const double t = t_[j], w = w_[j], wt = w * t, wtt = wt * t;
      for (int l = 0; l < n; ++l) {
        const double dx = x.re[l] - t, dy = x.im[l];
        const double f = 1.0 / (dx * dx + dy * dy), u = dx * f, v = -dy * f;
        a_re[l] += w * u, a_im[l] += w * v;
        b_re[l] += wt * u, b_im[l] += wt * v;
        c_re[l] += wtt * u, c_im[l] += wtt * v;
        d_re[l] += wt * (u * u - v * v), d_im[l] += 2.0 * wt * (u * v);
      }
    }
    fill<n>(out.rank_plus_m,
            [&](int l) MEANFREE_INLINED { return x[l] * Complex{a_re[l], a_im[l]}; });
    fill<n>(out.m, [&](int l) MEANFREE_INLINED { return Complex{b_re[l], b_im[l]}; });
    fill<n>(out.slope, [&](int l) MEANFREE_INLINED { return Complex{-d_re[l], -d_im[l]}; });
    fill<n>(out.second, [&](int l) MEANFREE_INLINED { return Complex{c_re[l], c_im[l]}; });
    if (has_panels()) add_poles(x, out, cache);
  }

  LawValue operator()(Complex x) const {
    LawValues<1> out;
    RootCache cache;
    evaluate<1>({{x.re}, {x.im}}, out, &cache);
    return {out.m[0], at_zero_ + out.rank_plus_m[0], out.slope[0]};
  }

  /// Im E[log(1 - t / x)] at n points.
  template <int n>
  void log_integral(const Lanes<n>& x, double* out, RootCache* cache) const {
    Lanes<n> over_x;
    fill<n>(over_x, [&](int i) MEANFREE_INLINED { return inverse(x[i]); });
    double total[n] = {};
    for (int j = 0; j < n_atoms_; ++j) {
      const double t = t_[j], w = w_[j];
      MEANFREE_INDEPENDENT
      for (int i = 0; i < n; ++i) total[i] += w * arg(1.0 - t * over_x[i]);
    }
    for (int i = 0; i < n; ++i) out[i] = total[i];
    if (has_panels())
      for (int i = 0; i < n; ++i) out[i] += panel_log_integral(x[i], over_x[i], cache[i]);
  }

 private:
  using Panel = LawPanel;
  using Root = LawRoot;

  static bool changes_sign(const Panel& panel) {
    double low = panel.slope[0], high = panel.slope[0];
    for (const double a : panel.slope) low = std::min(low, a), high = std::max(high, a);
    return low < 0.0 && high > 0.0;
  }

  void add(const std::vector<SlopePanel>& all, std::size_t k) {
    const auto& [nodes, weights] = gauss_legendre<panel_order>();
    const SlopePanel& from = all[k];
    Panel panel{};
    panel.from = from.from, panel.to = from.to;
    panel.middle = 0.5 * (from.from + from.to), panel.half = 0.5 * (from.to - from.from);
    panel.segment = from.segment, panel.factor = from.factor;
    panel.first = static_cast<int>(t_.size());
    panel.opens = k == 0 || all[k - 1].segment != from.segment || all[k - 1].to != from.from;
    panel.closes =
        k + 1 == all.size() || all[k + 1].segment != from.segment || all[k + 1].from != from.to;
    chebyshev_fit()(from.slope.data(), panel.a);
    double density[panel_order], g[panel_order + 1] = {}, largest = 0.0;
    for (int j = 0; j < panel_order; ++j) {
      density[j] =
          panel.factor * panel.half * special::normal_pdf(panel.middle + panel.half * nodes[j]);
      panel.slope[j] = from.slope[j];
      t_.push_back(from.slope[j] * from.slope[j]);
      w_.push_back(weights[j] * density[j]);
      panel.mass += w_.back();
      panel.density = std::max(panel.density, density[j]);
      largest = std::max(largest, std::fabs(from.slope[j]));
    }
    panel.degree = panel_order;
    while (panel.degree > 2 && std::fabs(panel.a[panel.degree - 1]) < 1e-17 * largest)
      --panel.degree;
    double power = 1.0;
    for (int n = 1; n < panel.degree; ++n) panel.radius += (power *= 3.5) * std::fabs(panel.a[n]);
    panel.radius = std::min(panel.radius, 1e3 * largest);
    // G by integrating the series of g term by term
    chebyshev_fit()(density, g);
    double* big = panel.distribution;
    big[1] = g[0] - 0.5 * g[2];
    for (int n = 2; n <= panel_order; ++n)
      big[n] = (g[n - 1] - (n + 1 <= panel_order ? g[n + 1] : 0.0)) / (2.0 * n);
    for (int n = 1; n <= panel_order; ++n) big[0] -= (n % 2 == 0 ? 1.0 : -1.0) * big[n];
    for (int j = 0; j < panel_order; ++j) {
      Complex value, slope, curvature;
      detail::clenshaw(panel.a, panel_order, {nodes[j], 0.0}, value, slope, curvature);
      panel.by_parts[j] = weights[j] * 2.0 * from.slope[j] * slope.re *
                          detail::clenshaw(big, panel_order + 1, {nodes[j], 0.0}).re;
    }
    for (int n = 0; n < panel_order; ++n) panel.end += panel.a[n];
    panel.t_end = panel.end * panel.end;
    Complex value, rate, second;
    detail::clenshaw(panel.a, panel_order, {1.0, 0.0}, value, rate, second);
    panel.steep = panel.closes &&
                  std::fabs(2.0 * panel.end * rate.re * panel.to) > 4.0 * panel.half * panel.t_end;
    roots_.panels.push_back(panel);
  }

  double panel_log_integral(Complex x, Complex over_x, RootCache& cache) const {
    const std::vector<Root>& roots = roots_.at(x, cache);
    double total = 0.0;
    for (const Panel& panel : roots_.panels) {
      const double* t = t_.data() + panel.first;
      const double* w = w_.data() + panel.first;
      Complex correction;
      bool near = false;
      for (const Root& root : roots) {
        Complex s;
        if (root.segment != panel.segment || !SlopeRoots::reaches(panel, root.z, s)) continue;
        near = true;
        correction += detail::clenshaw(panel.distribution, panel_order + 1, s) *
                      missing(panel, root.z, x, root.a, nullptr);
      }
      if (near) {
        Complex sum;
        for (int j = 0; j < panel_order; ++j) sum += panel.by_parts[j] * inverse(x - t[j]);
        const Complex last = 1.0 - panel.t_end * over_x;
        total += sum.im - correction.im + panel.mass * arg(last);
      } else {
        double angle[panel_order];
        for (int j = 0; j < panel_order; ++j) angle[j] = w[j] * arg(1.0 - t[j] * over_x);
        for (int j = 0; j < panel_order; ++j) total += angle[j];
      }
    }
    return total;
  }

  /// log((b - P) / (a - P)) - sum_j w_j / (z_j - P), and its derivative in P.
  Complex missing(const Panel& panel, Complex P, Complex x, Complex a_root, Complex* slope) const {
    const auto& [nodes, weights] = gauss_legendre<panel_order>();
    double re = 0.0, im = 0.0, d_re = 0.0, d_im = 0.0;
    int nearest = 0;
    double distance = 1e300, gap_re[panel_order], gap_im[panel_order];
    for (int j = 0; j < panel_order; ++j) {
      gap_re[j] = panel.middle + panel.half * nodes[j] - P.re, gap_im[j] = -P.im;
      const double d = std::fabs(gap_re[j]);
      nearest = d < distance ? j : nearest;
      distance = d < distance ? d : distance;
    }
    if (distance + std::fabs(P.im) < 0.1 * panel.half) {
      const Complex gap = exact_gap(panel, P, x, a_root, nearest);
      gap_re[nearest] = gap.re, gap_im[nearest] = gap.im;
    }
    for (int j = 0; j < panel_order; ++j) {
      const double dx = gap_re[j], dy = gap_im[j], w = panel.half * weights[j];
      const double f = 1.0 / (dx * dx + dy * dy), u = dx * f, v = -dy * f;
      re += w * u, im += w * v;
      d_re += w * (u * u - v * v), d_im += 2.0 * w * (u * v);
    }
    const double tiny = 1e-30 * panel.half;
    Complex a = panel.from - P, b = panel.to - P;
    // log(b - P) of E(x) cancels against log(1 - t(b)/x); nothing cancels that of m where phi' ends
    if ((slope == nullptr || panel.steep) && size(b) < 0.1 * panel.half)
      b = gap_at_end(panel, P, x, a_root);
    if (size(a) < tiny) a.re = -tiny;
    if (size(b) < tiny) b.re = tiny;
    if (slope != nullptr) *slope = inverse(a) - inverse(b) - Complex{d_re, d_im};
    return Complex{log_abs(b) - log_abs(a) - re, arg(b) - arg(a) - im};
  }

  /// z_j - P, relatively as accurate as t_j - x: (phi'(z_j) - phi'(P)) / (z_j - P) is a sum over
  /// Clenshaw's numbers b_k at P. Next to a node the two terms of `missing` and of the quadrature
  /// cancel.
  Complex exact_gap(const Panel& panel, Complex P, Complex x, Complex a_root, int j) const {
    const ChebyshevFit& fit = chebyshev_fit();
    const auto polynomial = [&](int k) { return fit.polynomial(k, j); };
    const Complex sum = detail::quotient(panel, P, polynomial) * (panel.slope[j] + a_root);
    return panel.half * ((t_[panel.first + j] - x) / sum);
  }

  /// b - P, as accurate as t(b) - x.
  static Complex gap_at_end(const Panel& panel, Complex P, Complex x, Complex a_root) {
    const Complex secant = detail::quotient(panel, P, [](int) { return 1.0; });
    const Complex sum = panel.end + a_root, difference = panel.end - a_root;
    return panel.half *
           ((size(sum) > size(difference) ? (panel.t_end - x) / sum : difference) / secant);
  }

  template <int n>
  void add_poles(const Lanes<n>& x, LawValues<n>& out, RootCache* cache) const {
    for (int l = 0; l < n; ++l) {
      const LawValue poles = pole_terms(x[l], cache[l]);
      out.m.set(l, out.m[l] + poles.m);
      out.rank_plus_m.set(l, out.rank_plus_m[l] + poles.m);
      out.slope.set(l, out.slope[l] + poles.slope);
      out.second.set(l, out.second[l] + x[l] * poles.m);
    }
  }

  /// The sums over nodes at one point, several nodes side by side.
  void sums(Complex x, LawValues<1>& out) const {
    constexpr int width = 8;
    double part[8][width] = {};
    const std::size_t size = t_.size(), whole = size / width * width;
    const double *t = t_.data(), *w = w_.data();
    const auto add = [&](std::size_t j, int k) MEANFREE_INLINED {
      const double dx = x.re - t[j], wt = w[j] * t[j], wtt = wt * t[j];
      const double f = 1.0 / (dx * dx + x.im * x.im), u = dx * f, v = -x.im * f;
      part[0][k] += w[j] * u, part[1][k] += w[j] * v;
      part[2][k] += wt * u, part[3][k] += wt * v;
      part[4][k] += wt * (u * u - v * v), part[5][k] += 2.0 * wt * (u * v);
      part[6][k] += wtt * u, part[7][k] += wtt * v;
    };
    for (std::size_t j = 0; j < whole; j += width)
      for (int k = 0; k < width; ++k) add(j + k, k);
    for (std::size_t j = whole; j < size; ++j) add(j, 0);
    double total[8];
    for (int i = 0; i < 8; ++i) {
      total[i] = 0.0;
      for (int k = 0; k < width; ++k) total[i] += part[i][k];
    }
    out.rank_plus_m.set(0, x * Complex{total[0], total[1]});
    out.m.set(0, {total[2], total[3]});
    out.slope.set(0, {-total[4], -total[5]});
    out.second.set(0, {total[6], total[7]});
  }

  /// What poles near the panels add to m (and 1 + m) and to m'.
  LawValue pole_terms(Complex x, RootCache& cache) const {
    LawValue out;
    const std::vector<Root>& roots = roots_.at(x, cache);
    for (const Root& root : roots) {
      Complex sum, d_sum;
      const auto visit = [&](std::size_t k) {
        Complex s, d;
        if (roots_.panels[k].segment != root.segment ||
            !SlopeRoots::reaches(roots_.panels[k], root.z, s))
          return false;
        sum += missing(roots_.panels[k], root.z, x, root.a, &d);
        d_sum += d;
        return true;
      };
      visit(root.home);
      for (std::size_t k = root.home; k > 0 && visit(k - 1);) --k;
      for (std::size_t k = root.home + 1; k < roots_.panels.size() && visit(k);) ++k;
      const Complex density = (root.factor * 0.3989422804014327) * exp(-0.5 * (root.z * root.z));
      const Complex over_slope = inverse(root.slope), g = density * over_slope;
      const Complex residue = -(g * x);
      // d/dx of the residue, z' = 1 / t'
      const Complex change =
          -(g + x * over_slope * (-(root.z * g) - g * root.curvature * over_slope));
      const Complex value = residue * sum;
      out.m += value;
      out.slope += change * sum + residue * d_sum * over_slope;
    }
    return out;
  }

  std::vector<double> t_, w_;  // atoms first, then the panels' nodes
  SlopeRoots roots_;
  double at_zero_ = 0.0, mean_ = 0.0;
  int n_atoms_ = 0;
};

}  // namespace meanfree
