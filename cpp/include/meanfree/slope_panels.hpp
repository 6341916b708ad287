// The law of t = phi'(sqrt(q) z)^2, z ~ N(0, 1), as atoms (where phi' is constant) and panels of z
// on which s(z) = phi'(sqrt(q) z) is a polynomial to rounding: built here, used in slope_law.hpp.
// Panels end at the kinks of phi and are halved until the last Chebyshev coefficients of s and of
// the normal density vanish; for odd phi, whose phi' is even, they cover z > 0 only. At large q all
// that phi' does may lie between two nodes: probes at fixed h around 0 and the kinks must agree
// too.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/graded.hpp"
#include "meanfree/quadrature.hpp"

namespace meanfree {

inline constexpr int panel_order = 16;

/// Coefficients of the Chebyshev series through values at the Gauss-Legendre nodes of [-1, 1].
class ChebyshevFit {
 public:
  ChebyshevFit() {
    constexpr int n = panel_order;
    const auto& [nodes, weights] = gauss_legendre<n>();
    for (int i = 0; i < n; ++i) {
      const double angle = pi * (i + 0.5) / n, y = std::cos(angle);
      for (int j = 0; j < n; ++j) {
        // the Lagrange polynomial of node j at y, as a Legendre series
        double before_y = 1.0, p_y = y, before = 1.0, p = nodes[j];
        double value = 0.5 * weights[j] + 1.5 * weights[j] * y * nodes[j];
        for (int k = 2; k < n; ++k) {
          const double next_y = ((2 * k - 1) * y * p_y - (k - 1) * before_y) / k;
          const double next = ((2 * k - 1) * nodes[j] * p - (k - 1) * before) / k;
          before_y = p_y, p_y = next_y, before = p, p = next;
          value += 0.5 * (2 * k + 1) * weights[j] * p_y * p;
        }
        for (int k = 0; k < n; ++k)
          matrix_[k][j] += (k == 0 ? 1.0 : 2.0) / n * std::cos(k * angle) * value;
      }
    }
    for (int k = 0; k < n; ++k)
      for (int j = 0; j < n; ++j) polynomial_[k][j] = std::cos(k * std::acos(nodes[j]));
  }

  /// T_k at node j.
  double polynomial(int k, int j) const { return polynomial_[k][j]; }

  void operator()(const double* values, double* coefficients) const {
    for (int k = 0; k < panel_order; ++k) {
      double c = 0.0;
      for (int j = 0; j < panel_order; ++j) c += matrix_[k][j] * values[j];
      coefficients[k] = c;
    }
  }

 private:
  double matrix_[panel_order][panel_order] = {}, polynomial_[panel_order][panel_order] = {};
};

inline const ChebyshevFit& chebyshev_fit() {
  static const ChebyshevFit fit;
  return fit;
}

struct SlopePanel {
  double from, to;
  double segment;  // s is smooth across panels of the same segment
  double factor;   // 2 where the panel stands for -z as well
  double tail;     // the last coefficients of s on the panel that this one is a half of
  std::array<double, panel_order> slope;
};

struct SlopeAtom {
  double t, mass;
};

struct SlopePanels {
  std::vector<SlopeAtom> atoms;    // ascending in t
  std::vector<SlopePanel> panels;  // ascending in z
};

namespace detail {

inline constexpr double smallest_slope = 1e-56;  // s below counts as 0: t^2 must not underflow

/// Atoms at the same place become one.
inline void merge_atoms(std::vector<SlopeAtom>& atoms) {
  std::sort(atoms.begin(), atoms.end(),
            [](const SlopeAtom& a, const SlopeAtom& b) { return a.t < b.t; });
  std::vector<SlopeAtom> merged;
  for (SlopeAtom atom : atoms) {
    if (atom.t < smallest_slope * smallest_slope) atom.t = 0.0;
    if (!merged.empty() && atom.t - merged.back().t <= 4e-16 * atom.t)
      merged.back().mass += atom.mass;
    else if (atom.mass > 1e-18)
      merged.push_back(atom);
  }
  atoms = std::move(merged);
}

class SlopePanelBuilder {
 public:
  SlopePanelBuilder(const Activation& phi, double q)
      : phi_(phi), root_(std::sqrt(q)), far_(std::max(1.0, root_ / 32.0)) {}

  SlopePanels build() {
    start();
    const std::string at = " at q = " + std::to_string(root_ * root_);
    for (int round = 0; !open_.empty(); ++round) {
      evaluate();
      std::vector<SlopePanel> next;
      for (SlopePanel& panel : open_) {
        if (panel.to - panel.from < 1e-13 || is_resolved(panel, round)) {
          done_.push_back(panel);
          continue;
        }
        const double middle = 0.5 * (panel.from + panel.to);
        next.push_back(panel), next.back().to = middle;
        next.push_back(panel), next.back().from = middle;
      }
      if (done_.size() + next.size() > 20000)
        throw NotConverged("phi' is too rough" + at + ": it oscillates or jumps");
      open_ = std::move(next);
    }
    std::sort(done_.begin(), done_.end(),
              [](const SlopePanel& a, const SlopePanel& b) { return a.from < b.from; });
    return collect();
  }

 private:
  struct Probe {
    double z, slope;
  };

  void start() {
    const bool even = phi_.odd;
    const double low = even ? 0.0 : -z_max;
    probe(low);
    std::vector<double> breaks{low};
    for (const double k : phi_.kinks)
      if (k / root_ > low && k / root_ < z_max) breaks.push_back(k / root_);
    breaks.push_back(z_max);
    for (std::size_t i = 0; i + 1 < breaks.size(); ++i) {
      const double length = breaks[i + 1] - breaks[i];
      const int n = static_cast<int>(std::ceil(length / 1.6));
      for (int k = 0; k < n; ++k) {
        SlopePanel panel{};
        panel.from = breaks[i] + length * k / n;
        panel.to = k + 1 == n ? breaks[i + 1] : breaks[i] + length * (k + 1) / n;
        panel.segment = static_cast<double>(i);
        panel.factor = even ? 2.0 : 1.0;
        open_.push_back(panel);
      }
    }
  }

  /// phi' at distances 2^-10 .. 2^10 from 0 and the kinks.
  void probe(double low) {
    std::vector<double> centres = phi_.kinks;
    centres.push_back(0.0);
    x_.clear();
    for (const double c : centres)
      for (int k = -10; k <= 10; ++k)
        for (const double h : {c - std::ldexp(1.0, k), c + std::ldexp(1.0, k)})
          if (h > root_ * low && h < root_ * z_max) x_.push_back(h);
    std::sort(x_.begin(), x_.end());
    const std::int64_t n = static_cast<std::int64_t>(x_.size());
    y_.resize(n);
    if (n > 0) phi_.derivative(x_.data(), n, y_.data());
    for (std::int64_t i = 0; i < n; ++i) probes_.push_back({x_[i] / root_, finite(y_[i], x_[i])});
  }

  static double finite(double slope, double x) {
    if (!std::isfinite(slope)) throw NotConverged("phi'(" + std::to_string(x) + ") is not finite");
    return slope;
  }

  void evaluate() {
    const auto& nodes = gauss_legendre<panel_order>()[0];
    const std::int64_t n = static_cast<std::int64_t>(open_.size()) * panel_order;
    x_.resize(n), y_.resize(n);
    for (std::size_t k = 0; k < open_.size(); ++k) {
      const double half = 0.5 * (open_[k].to - open_[k].from),
                   middle = 0.5 * (open_[k].to + open_[k].from);
      for (int j = 0; j < panel_order; ++j)
        x_[k * panel_order + j] = root_ * (middle + half * nodes[j]);
    }
    phi_.derivative(x_.data(), n, y_.data());
    for (std::size_t k = 0; k < open_.size(); ++k)
      for (int j = 0; j < panel_order; ++j) {
        const double slope = finite(y_[k * panel_order + j], x_[k * panel_order + j]);
        open_[k].slope[j] = slope;
        steepest_ = std::max(steepest_, std::fabs(slope));
      }
  }

  bool is_resolved(SlopePanel& panel, int round) const {
    double c[panel_order], g[panel_order], density[panel_order];
    chebyshev_fit()(panel.slope.data(), c);
    const auto& nodes = gauss_legendre<panel_order>()[0];
    const double half = 0.5 * (panel.to - panel.from), middle = 0.5 * (panel.to + panel.from);
    double largest = 0.0, largest_density = 0.0;
    for (int j = 0; j < panel_order; ++j) {
      density[j] = special::normal_pdf(middle + half * nodes[j]);
      largest = std::max(largest, std::fabs(panel.slope[j]));
      largest_density = std::max(largest_density, density[j]);
    }
    const auto first = std::lower_bound(probes_.begin(), probes_.end(), panel.from,
                                        [](const Probe& a, double z) { return a.z < z; });
    const auto last = std::upper_bound(first, probes_.end(), panel.to,
                                       [](double z, const Probe& a) { return z < a.z; });
    for (auto at = first; at != last; ++at) largest = std::max(largest, std::fabs(at->slope));
    if (largest <= smallest_slope) return true;
    chebyshev_fit()(density, g);
    const double tail = std::max(std::fabs(c[panel_order - 1]), std::fabs(c[panel_order - 2]));
    const double tail_g = std::max(std::fabs(g[panel_order - 1]), std::fabs(g[panel_order - 2]));
    // where next to nothing of the mass is, s need not be known to the last digit
    const double slack = std::min(1e8, 1.0 + 1e-9 / (far_ * largest_density * 2.0 * half + 1e-30));
    double rest = 0.0;
    for (int k = 3; k < panel_order; ++k) rest += k * std::fabs(c[k]);
    // s is known as well as its argument, and a user's phi' as well as the user knows it: then
    // halving does not help
    const double rounding = 4e-16 * (rest + std::fabs(c[1]) + 2.0 * std::fabs(c[2])) *
                            std::max(std::fabs(panel.from), std::fabs(panel.to)) / half;
    const bool noisy = panel.tail > 0.0 && tail > 0.1 * panel.tail && tail < 1e-5 * largest;
    const double known = phi_.user_defined ? 1e-12 * steepest_ : 1e-14 * smallest_slope;
    const double tolerance = std::max({1e-14 * largest * slack, known, rounding});
    panel.tail = tail;
    if ((tail > tolerance && !noisy) || tail_g > 1e-14) return false;
    const double agreed = std::max({1e-9 * largest, 100.0 * tolerance, noisy ? 100.0 * tail : 0.0});
    for (auto at = first; at != last; ++at)
      if (std::fabs(series(c, (at->z - middle) / half) - at->slope) > agreed) return false;
    // roots of s^2 = x are looked for from those of the quadratic part
    const double straight = std::max(std::fabs(c[1]), 4.0 * std::fabs(c[2]));
    // of a user's function the scale in h is not known
    const int rounds = 6 + std::ilogb(far_) + (phi_.user_defined && !noisy ? 7 : 0);
    return round > rounds || slack > 1e3 || rest <= 0.3 * straight + 1e-13 * largest;
  }

  /// The Chebyshev series at y, by Clenshaw's recurrence.
  static double series(const double* c, double y) {
    double b = 0.0, after = 0.0;
    for (int k = panel_order - 1; k > 0; --k) {
      const double next = c[k] + 2.0 * y * b - after;
      after = b, b = next;
    }
    return c[0] + y * b - after;
  }

  SlopePanels collect() const {
    SlopePanels law;
    for (const SlopePanel& panel : done_) {
      const auto [low, high] = std::minmax_element(panel.slope.begin(), panel.slope.end());
      const double largest = std::max(std::fabs(*low), std::fabs(*high));
      if (largest > smallest_slope && *high - *low > 2.3e-16 * largest) {
        law.panels.push_back(panel);
        continue;
      }
      // the mass of whole tails, accurate from the side where it is small
      const double mass = panel.from > 0.0
                              ? special::normal_cdf(-panel.from) - special::normal_cdf(-panel.to)
                              : special::normal_cdf(panel.to) - special::normal_cdf(panel.from);
      const bool low_end = panel.from <= -z_max, high_end = panel.to >= z_max;
      const double tails = (low_end ? special::normal_cdf(panel.from) : 0.0) +
                           (high_end ? special::normal_cdf(-panel.to) : 0.0);
      const double slope = 0.5 * (*low + *high);
      law.atoms.push_back({slope * slope, panel.factor * (mass + tails)});
    }
    merge_atoms(law.atoms);
    collapse(law);
    return law;
  }

  /// A law narrower than what its values can tell (they are exact to 1e-16 only) is one atom.
  static void collapse(SlopePanels& law) {
    const auto& weights = gauss_legendre<panel_order>()[1];
    const auto& nodes = gauss_legendre<panel_order>()[0];
    double mass = 0.0, mean = 0.0, square = 0.0;
    const auto add = [&](double t, double w) {
      const double before = mean;
      mass += w;
      mean += (t - mean) * w / mass;
      square += w * (t - before) * (t - mean);
    };
    for (const SlopeAtom& atom : law.atoms) add(atom.t, atom.mass);
    for (const SlopePanel& panel : law.panels) {
      const double half = 0.5 * (panel.to - panel.from), middle = 0.5 * (panel.to + panel.from);
      for (int j = 0; j < panel_order; ++j)
        add(panel.slope[j] * panel.slope[j],
            panel.factor * half * weights[j] * special::normal_pdf(middle + half * nodes[j]));
    }
    if (std::sqrt(square) > 3e-9 * mean) return;
    law.atoms = {{mean, 1.0}};
    law.panels.clear();
  }

  const Activation& phi_;
  const double root_, far_;  // far_: how many times larger sqrt(q) is than usual
  double steepest_ = 0.0;
  std::vector<Probe> probes_;
  std::vector<SlopePanel> open_, done_;
  std::vector<double> x_, y_;
};

/// phi' on both sides of 0: the limit q -> 0.
inline std::vector<SlopeAtom> slopes_at_zero(const Activation& phi) {
  const bool kink = std::find(phi.kinks.begin(), phi.kinks.end(), 0.0) != phi.kinks.end();
  const double step = kink ? (phi.user_defined ? 1e-7 : 1e-300) : 0.0;
  const double x[2] = {-step, step};
  double y[2];
  phi.derivative(x, 2, y);
  return {{y[0] * y[0], 0.5}, {y[1] * y[1], 0.5}};
}

}  // namespace detail

inline SlopePanels slope_panels(const Activation& phi, double q) {
  SlopePanels law;
  const double root = std::sqrt(q);
  if (phi.family == Family::homogeneous) {
    const double right = phi.scale * phi.scale;
    law.atoms = {{phi.gain * phi.gain * right, 0.5}, {right, 0.5}};
  } else if (q == 0.0) {
    law.atoms = detail::slopes_at_zero(phi);
  } else if (phi.family == Family::clip) {
    const double below = special::normal_cdf(phi.low / root),
                 above = special::normal_cdf(-phi.high / root);
    const double flat = below + above;
    const double inside = flat < 0.5             ? 1.0 - flat
                          : phi.low == -phi.high ? special::erf(phi.high / (root * std::sqrt(2.0)))
                                                 : special::normal_cdf(-phi.low / root) - above;
    law.atoms = {{0.0, flat}, {1.0, inside}};
  } else {
    return detail::SlopePanelBuilder(phi, q).build();
  }
  detail::merge_atoms(law.atoms);
  return law;
}

}  // namespace meanfree
