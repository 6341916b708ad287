// Roots z of phi'(sqrt(q) z) = +-sqrt(x), complex x, on panels where phi' is a polynomial: the
// poles of slope_law.hpp. The quadratic part of the polynomial gives the first guess. When x moves
// a little, as in Newton's method, the roots follow it.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "meanfree/complex.hpp"
#include "meanfree/slope_panels.hpp"

namespace meanfree {

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

struct LawPanel {
  double from, to, middle, half, segment, factor, radius, density;
  int first, degree;
  bool opens, closes;                    // first and last panel of its segment
  bool steep;                            // it closes, and t tells better than z how near P is
  double a[panel_order];                 // Chebyshev coefficients of phi'
  double slope[panel_order];             // phi' at the nodes
  double distribution[panel_order + 1];  // of factor G
  double by_parts[panel_order];          // factor w_j G(z_j) t'(z_j)
  double mass, end, t_end;               // phi' and t at `to`
};

namespace detail {

/// (phi'(z) - phi'(P)) / (z - P) in the panel's coordinate; polynomial(k) is T_k at z.
template <class Polynomial>
Complex quotient(const LawPanel& panel, Complex P, Polynomial polynomial) {
  const Complex s = (1.0 / panel.half) * (P - panel.middle), y = 2.0 * s;
  Complex b1, b2, sum;
  for (int k = panel.degree - 1; k > 0; --k) {
    const Complex b = panel.a[k] + (y * b1 - b2);
    sum += ((k == 1 ? 1.0 : 2.0) * polynomial(k - 1)) * b;
    b2 = b1, b1 = b;
  }
  return sum;
}

}  // namespace detail

/// A solution of phi'(sqrt(q) z) = a, a = sign sqrt(x).
struct LawRoot {
  Complex z, s;              // s: in the coordinate of its panel
  Complex a, a_slope;        // da/ds
  Complex slope, curvature;  // of t at z: t', t''
  double sign, segment, factor;
  std::size_t home;
};

/// The roots at one x, from which those at an x nearby are found.
struct RootCache {
  bool known = false;
  Complex x, origin;  // origin: where all roots were looked for
  std::vector<LawRoot> roots;
};

class SlopeRoots {
 public:
  std::vector<LawPanel> panels;

  /// Is P inside the ellipse in which the panel's quadrature needs help? s is P in its coordinate.
  static bool reaches(const LawPanel& panel, Complex P, Complex& s) {
    s = (1.0 / panel.half) * (P - panel.middle);
    const double y = s.im * s.im, left = s.re - 1.0, right = s.re + 1.0;
    return std::sqrt(left * left + y) + std::sqrt(right * right + y) < reach + 1.0 / reach;
  }

  /// Every root that a panel's ellipse may hold.
  const std::vector<LawRoot>& at(Complex x, RootCache& cache) const {
    if (cache.known && cache.x.re == x.re && cache.x.im == x.im) return cache.roots;
    const bool near =
        cache.known && size(x - cache.origin) < 0.02 * size(x) && x.im > 1e-100 * x.re;
    if (!near || !follow(x, cache.roots)) {
      cache.roots.clear();
      find(x, cache.roots);
      cache.origin = x;
    }
    cache.x = x;
    cache.known = true;
    return cache.roots;
  }

 private:
  static constexpr double reach = 3.2;  // parameter of the Bernstein ellipse: 3.2^-33 = 2e-17

  static void set(const LawPanel& panel, Complex s, Complex a, Complex slope, Complex curvature,
                  LawRoot& root) {
    root.s = s;
    root.z = {panel.middle + panel.half * s.re, panel.half * s.im};
    root.a = a;
    root.a_slope = slope;
    const Complex da = (1.0 / panel.half) * slope;
    root.slope = 2.0 * (a * da);
    root.curvature = 2.0 * (da * da + (1.0 / (panel.half * panel.half)) * (a * curvature));
  }

  /// Newton's method from the roots at a point nearby; false if they move too far.
  bool follow(Complex x, std::vector<LawRoot>& roots) const {
    const Complex root_x = sqrt(x);
    for (LawRoot& root : roots) {
      const LawPanel& panel = panels[root.home];
      const Complex a = root.sign * root_x;
      Complex s = root.s + (a - root.a) / root.a_slope, f, df, d2f;
      if (!(size(s - root.s) < 0.1)) return false;
      bool settled = false;
      for (int i = 0; i < 4 && !settled; ++i) {
        detail::clenshaw(panel.a, panel.degree, s, f, df, d2f);
        const Complex step = (f - a) / df;
        if (!(size(step) < 0.05)) return false;
        s = s - step;
        settled = size(step) < 1e-8;
        df = df - step * d2f;
      }
      if (!settled) return false;
      set(panel, s, a, df, d2f, root);
    }
    return true;
  }

  void find(Complex x, std::vector<LawRoot>& roots) const {
    const Complex root_x = sqrt(x);
    for (std::size_t k = 0; k < panels.size(); ++k) {
      const LawPanel& panel = panels[k];
      if (panel.density < 1e-24) continue;
      for (const double sign : {1.0, -1.0}) {
        const Complex a = sign * root_x;
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
          LawRoot root;
          root.sign = sign, root.segment = panel.segment, root.factor = panel.factor;
          root.home = k;
          set(panel, s, a, slope[i], curvature[i], root);
          bool known = false;
          for (const LawRoot& other : roots)
            known = known || (other.home + 1 == k && other.segment == root.segment &&
                              other.sign == sign && size(other.z - root.z) < 3e-6 * panel.half);
          if (!known) roots.push_back(root);
        }
      }
    }
  }

  /// Up to two roots s of phi' = x on a panel, nearest to it, with the derivatives in s there.
  static int solve(const LawPanel& panel, Complex x, Complex* found, Complex* slope,
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
    if (a != 0.0 && size(-(b / a) - s) < size(s2))
      s2 = -(b / a) - s;  // of the whole panel's parabola
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
};

}  // namespace meanfree
