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

namespace meanfree {

/// m, 1 + m, m' and E[t^2 / (x - t)] = x m - E t at n points.
template <int n>
struct LawValues {
  Lanes<n> m, one_plus_m, slope, second;
};
struct LawValue {
  Complex m, one_plus_m, slope;
};

namespace detail {

/// Value and two derivatives of a Chebyshev series of n terms at s.
inline void clenshaw(const double* c, int n, Complex s, Complex& f, Complex& df, Complex& d2f) {
  const Complex y = 2.0 * s;
  Complex b1, b2, d1, d2, e1, e2;
  for (int k = n - 1; k > 0; --k) {
    const Complex e = y * e1 - e2 + 4.0 * d1;
    const Complex d = y * d1 - d2 + 2.0 * b1;
    const Complex b = c[k] + (y * b1 - b2);
    e2 = e1, e1 = e, d2 = d1, d1 = d, b2 = b1, b1 = b;
  }
  f = c[0] + (s * b1 - b2);
  df = b1 + s * d1 - d2;
  d2f = 2.0 * d1 + s * e1 - e2;
}

inline Complex clenshaw(const double* c, int n, Complex s) {
  const Complex y = 2.0 * s;
  Complex b1, b2;
  for (int k = n - 1; k > 0; --k) {
    const Complex b = c[k] + (y * b1 - b2);
    b2 = b1, b1 = b;
  }
  return c[0] + (s * b1 - b2);
}

}  // namespace detail

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
    mean_ = 0.0;
    for (std::size_t j = 0; j < t_.size(); ++j) mean_ += w_[j] * t_[j];
  }

  double at_zero() const { return at_zero_; }
  double mean() const { return mean_; }
  bool has_panels() const { return !panels_.empty(); }

  /// An interval of t that panels cover, the mass in it, and whether an end is only that of the
  /// normal's tail.
  struct Range {
    double low, high, mass;
    bool low_is_tail, high_is_tail;
  };
  std::vector<Range> ranges() const {
    std::vector<Range> all;
    for (const Panel& panel : panels_) {
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

  /// x moved off a node by what does not change the averages but lets them be computed.
  double off_nodes(double x) const {
    for (const double t : t_)
      if (std::fabs(x - t) < 1e-13 * x) return t < x ? t * (1.0 + 1e-13) : t * (1.0 - 1e-13);
    return x;
  }

  /// E t^k.
  double moment(int k) const {
    double sum = 0.0;
    for (std::size_t j = 0; j < t_.size(); ++j) sum += w_[j] * std::pow(t_[j], k);
    return sum;
  }

  /// E t^k / (E t)^k.
  long double scaled_moment(int k) const {
    long double sum = 0.0L, mean = 0.0L;
    for (std::size_t j = 0; j < t_.size(); ++j) mean += static_cast<long double>(w_[j]) * t_[j];
    for (std::size_t j = 0; j < t_.size(); ++j) sum += w_[j] * std::pow(t_[j] / mean, k);
    return sum;
  }

  /// m, 1 + m, m' at n points.
  template <int n>
  void evaluate(const Lanes<n>& x, LawValues<n>& out) const {
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
    fill<n>(out.one_plus_m, [&](int l) { return at_zero_ + x[l] * Complex{a_re[l], a_im[l]}; });
    fill<n>(out.m, [&](int l) { return Complex{b_re[l], b_im[l]}; });
    fill<n>(out.slope, [&](int l) { return Complex{-d_re[l], -d_im[l]}; });
    fill<n>(out.second, [&](int l) { return Complex{c_re[l], c_im[l]}; });
    if (has_panels()) {
      for (int l = 0; l < n; ++l) {
        const LawValue poles = pole_terms(x[l]);
        out.m.set(l, out.m[l] + poles.m);
        out.one_plus_m.set(l, out.one_plus_m[l] + poles.m);
        out.slope.set(l, out.slope[l] + poles.slope);
        out.second.set(l, out.second[l] + x[l] * poles.m);
      }
    }
  }

  LawValue operator()(Complex x) const {
    LawValues<1> out;
    evaluate<1>({{x.re}, {x.im}}, out);
    return {out.m[0], out.one_plus_m[0], out.slope[0]};
  }

  /// Im E[log(1 - t / x)] at n points.
  template <int n>
  void log_integral(const Lanes<n>& x, double* out) const {
    Lanes<n> over_x;
    fill<n>(over_x, [&](int i) { return inverse(x[i]); });
    double total[n] = {};
    for (int j = 0; j < n_atoms_; ++j) {
      const double t = t_[j], w = w_[j];
      MEANFREE_INDEPENDENT
      for (int i = 0; i < n; ++i) total[i] += w * arg(1.0 - t * over_x[i]);
    }
    for (int i = 0; i < n; ++i) out[i] = total[i];
    if (has_panels())
      for (int i = 0; i < n; ++i) out[i] += panel_log_integral(x[i], over_x[i]);
  }

 private:
  struct Panel {
    double from, to, middle, half, segment, factor, radius, density;
    int first, degree;
    bool opens, closes;                    // first and last panel of its segment
    double a[panel_order];                 // Chebyshev coefficients of phi'
    double slope[panel_order];             // phi' at the nodes
    double distribution[panel_order + 1];  // of factor G
    double by_parts[panel_order];          // factor w_j G(z_j) t'(z_j)
    double mass, t_end;
  };
  /// A solution of phi'(sqrt(q) z) = a, a = sqrt(x) or -sqrt(x).
  struct Root {
    Complex z, a, slope, curvature;  // of t at z: t', t''
    double segment, factor;
    std::size_t home;
  };
  static constexpr double reach = 3.2;  // parameter of the Bernstein ellipse: 3.2^-33 = 2e-17

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
    double end = 0.0;
    for (int n = 0; n < panel_order; ++n) end += panel.a[n];
    panel.t_end = end * end;
    panels_.push_back(panel);
  }

  /// Is P inside the ellipse in which the panel's quadrature needs help? s is P in its coordinate.
  static bool reaches(const Panel& panel, Complex P, Complex& s) {
    s = (1.0 / panel.half) * (P - panel.middle);
    const double y = s.im * s.im, left = s.re - 1.0, right = s.re + 1.0;
    return std::sqrt(left * left + y) + std::sqrt(right * right + y) < reach + 1.0 / reach;
  }

  double panel_log_integral(Complex x, Complex over_x) const {
    thread_local std::vector<Root> roots;
    roots.clear();
    find_roots(x, roots);
    double total = 0.0;
    for (const Panel& panel : panels_) {
      const double* t = t_.data() + panel.first;
      const double* w = w_.data() + panel.first;
      Complex correction;
      bool near = false;
      for (const Root& root : roots) {
        Complex s;
        if (root.segment != panel.segment || !reaches(panel, root.z, s)) continue;
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
    const Complex s = (1.0 / panel.half) * (P - panel.middle), y = 2.0 * s;
    Complex b1, b2, quotient;
    for (int k = panel.degree - 1; k > 0; --k) {
      const Complex b = panel.a[k] + (y * b1 - b2);
      quotient += ((k == 1 ? 1.0 : 2.0) * fit.polynomial(k - 1, j)) * b;
      b2 = b1, b1 = b;
    }
    return panel.half * ((t_[panel.first + j] - x) / (quotient * (panel.slope[j] + a_root)));
  }

  /// What poles near the panels add to m (and 1 + m) and to m'.
  LawValue pole_terms(Complex x) const {
    LawValue out;
    thread_local std::vector<Root> roots;
    roots.clear();
    find_roots(x, roots);
    for (const Root& root : roots) {
      Complex sum, d_sum;
      const auto visit = [&](std::size_t k) {
        Complex s, d;
        if (panels_[k].segment != root.segment || !reaches(panels_[k], root.z, s)) return false;
        sum += missing(panels_[k], root.z, x, root.a, &d);
        d_sum += d;
        return true;
      };
      visit(root.home);
      for (std::size_t k = root.home; k > 0 && visit(k - 1);) --k;
      for (std::size_t k = root.home + 1; k < panels_.size() && visit(k);) ++k;
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

  /// Every root of t(z) = x that a panel's ellipse may hold.
  void find_roots(Complex x, std::vector<Root>& roots) const {
    const Complex root_x = sqrt(x);
    for (std::size_t k = 0; k < panels_.size(); ++k) {
      const Panel& panel = panels_[k];
      if (panel.density < 1e-24) continue;
      for (const Complex a : {root_x, -root_x}) {
        if (size(a - panel.a[0]) > 1.5 * panel.radius) continue;
        Complex found[2], slope[2], curvature[2];
        const int n = solve(panel, a, found, slope, curvature);
        for (int i = 0; i < n; ++i) {
          Complex s = found[i];
          // on the real axis the side decides, which rounding must not
          if (std::fabs(a.im) < 1e-100 * std::fabs(a.re) && std::fabs(s.im) < 1e-9)
            s.im = a.im / slope[i].re;
          const double low = panel.opens ? -2.5 : -1.0 - 1e-6,
                       high = panel.closes ? 2.5 : 1.0 + 1e-6;
          if (s.re < low || s.re > high || std::fabs(s.im) > 3.0) continue;
          Root root;
          root.z = {panel.middle + panel.half * s.re, panel.half * s.im};
          root.a = a;
          const Complex da = (1.0 / panel.half) * slope[i];
          root.slope = 2.0 * (a * da);
          root.curvature = 2.0 * (da * da + (1.0 / (panel.half * panel.half)) * (a * curvature[i]));
          root.segment = panel.segment, root.factor = panel.factor, root.home = k;
          bool known = false;
          for (const Root& other : roots)
            known =
                known || (other.home + 1 == k && other.segment == root.segment &&
                          size(other.z - root.z) < 3e-6 * panel.half && size(other.a - a) == 0.0);
          if (!known) roots.push_back(root);
        }
      }
    }
  }

  /// Up to two roots s of phi' = x on a panel, nearest to it, with the derivatives in s there.
  static int solve(const Panel& panel, Complex x, Complex* found, Complex* slope,
                   Complex* curvature) {
    // of the quadratic part A s^2 + B s + C
    const double a = 2.0 * panel.a[2], b = panel.a[1];
    const Complex c = panel.a[0] - panel.a[2] - x;
    const Complex root = sqrt(b * b - 4.0 * a * c);
    const Complex big =
        -0.5 * Complex{b + std::copysign(root.re, b), std::copysign(1.0, b) * root.im};
    if (size(big) == 0.0) return 0;
    Complex s = c / big;
    const double wide = panel.opens || panel.closes ? 3.5 : 2.0;
    if (std::fabs(s.re) > 2.0 * wide || std::fabs(s.im) > 6.0) return 0;
    Complex f, df, d2f;
    bool settled = false;
    for (int i = 0; i < 12 && !settled; ++i) {
      detail::clenshaw(panel.a, panel.degree, s, f, df, d2f);
      f = f - x;
      // the nearer root of the local parabola: of third order, and good next to a double root
      Complex radical = sqrt(df * df - 2.0 * (f * d2f));
      if (df.re * radical.re + df.im * radical.im < 0.0) radical = -radical;
      const Complex denominator = df + radical;
      if (size(denominator) == 0.0) return 0;
      const Complex step = 2.0 * (f / denominator);
      s = s - step;
      if (std::fabs(s.re) > 1.5 * wide || std::fabs(s.im) > 4.5) return 0;
      settled = size(step) < 1e-5;
      if (settled) df = df - step * d2f;
    }
    if (!settled) return 0;
    found[0] = s, slope[0] = df, curvature[0] = d2f;
    if (size(d2f) == 0.0) return 1;
    // the other root of the parabola, then Newton's method with the first one divided out
    Complex s2 = s - 2.0 * (df / d2f);
    if (std::fabs(s2.re) > wide || std::fabs(s2.im) > 3.5 || size(s2 - s) < 1e-14) return 1;
    double before = 2.0;
    for (int i = 0; i < 20; ++i) {
      detail::clenshaw(panel.a, panel.degree, s2, f, df, d2f);
      f = f - x;
      const Complex gap = s2 - s;
      if (size(gap) == 0.0) return 1;
      if (size(f) == 0.0) break;
      const Complex denominator = df / f - inverse(gap);
      if (size(denominator) == 0.0) return 1;
      const Complex step = inverse(denominator);
      const double length = size(step);
      s2 = s2 - step;
      // where there is no other root the steps do not shrink
      if (length > 0.8 * before || std::fabs(s2.re) > 1.5 * wide || std::fabs(s2.im) > 4.5)
        return 1;
      before = length;
      if (length < 1e-9 * std::min(1.0, size(gap))) {
        df = df - step * d2f;
        break;
      }
      if (i == 19) return 1;
    }
    found[1] = s2, slope[1] = df, curvature[1] = d2f;
    return 2;
  }

  std::vector<double> t_, w_;  // atoms first, then the panels' nodes
  std::vector<Panel> panels_;
  double at_zero_ = 0.0, mean_ = 0.0;
  int n_atoms_ = 0;
};

}  // namespace meanfree
