// Gaussian averages of a phi that is smooth between known kinks: Gauss-Legendre panels whose width
// halves towards the kinks (or towards 0 when there are none), so that the cost grows like log q.
// Over two inputs the inner average runs over u2 given u1; it is smooth in u1 on the scale of the
// spread of u2, towards which the outer panels halve. For a user's function the panels of the
// averages over one input are halved until these settle.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/hermite.hpp"
#include "meanfree/quadrature.hpp"

namespace meanfree {

/// Thrown when a user's function cannot be averaged to the accuracy that is promised.
struct NotConverged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Graded final : public Expectation {
 public:
  explicit Graded(const Activation& phi)
      : phi_(phi), centres_(phi.kinks.empty() ? std::vector<double>{0.0} : phi.kinks) {}

  void length(const double* q, std::int64_t n, double* second, double* length_slope) override {
    Moments out;
    out.second = second;
    out.length_slope = length_slope;
    moments(q, n, out);
  }

  void moments(const double* q, std::int64_t n, const Moments& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const Single at = q[i] == 0.0 ? at_origin() : single(q[i], out.curvature_squared != nullptr);
      if (out.mean != nullptr) out.mean[i] = at.mean;
      if (out.mean_slope != nullptr) out.mean_slope[i] = at.mean_slope;
      if (out.second != nullptr) out.second[i] = at.second;
      if (out.slope_squared != nullptr)
        out.slope_squared[i] = phi_.value_jumps ? detail::infinity : at.slope_squared;
      if (out.curvature_squared != nullptr)
        out.curvature_squared[i] = phi_.slope_jumps ? detail::infinity : at.curvature_squared;
      if (out.length_slope != nullptr) out.length_slope[i] = at.length_slope;
      if (out.error != nullptr) out.error[i] = at.error;
    }
  }

  void pair(const double* q, const double* delta, std::int64_t n,
            const PairAverages& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const double c = 1.0 - delta[i];
      if (q[i] == 0.0 || delta[i] == 0.0) {
        const Single at = q[i] == 0.0 ? at_origin() : single(q[i]);
        out.product[i] = at.second;
        out.deficit[i] = 0.0;
        out.slope_product[i] = phi_.value_jumps && q[i] > 0.0 ? detail::infinity : at.slope_squared;
      } else if (std::fabs(c) <= HermiteSeries::largest_c) {
        series_pair(q[i], c, out.product[i], out.deficit[i], out.slope_product[i]);
      } else if (phi_.smoothed) {
        const Nested at = smoothed(q[i], q[i], c, delta[i]);
        const double second = single(q[i]).second;
        out.product[i] = at.product;
        out.deficit[i] = delta[i] < 1e-3 ? smoothed_deficit(q[i], delta[i]) : second - at.product;
        out.slope_product[i] = at.slope_product;
      } else {
        const Nested at = nested(q[i], q[i], c, delta[i]);
        out.product[i] = at.product;
        out.deficit[i] = at.deficit;
        out.slope_product[i] =
            phi_.value_jumps ? slope_of_product(q[i], c, delta[i]) : at.slope_product;
      }
    }
  }

  void covariance(const double* q1, const double* q2, const double* c, std::int64_t n,
                  double* product, double* slope_product) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const bool closed = phi_.smoothed && std::fabs(c[i]) < 1.0 && q2[i] > 0.0;
      const Nested at = closed ? smoothed(q1[i], q2[i], c[i], 1.0 - c[i])
                               : nested(q1[i], q2[i], c[i], 1.0 - c[i]);
      product[i] = at.product;
      slope_product[i] = at.slope_product;
    }
  }

 private:
  struct Single {
    double mean, mean_slope, second, slope_squared, curvature_squared, length_slope, error;
  };
  struct Nested {
    double product = 0.0, deficit = 0.0, slope_product = 0.0;
  };
  static constexpr int order = 24;              // nodes in a panel, one input
  static constexpr int pair_order = 16;         // two inputs
  static constexpr std::int64_t chunk = 65536;  // pairs evaluated in one call of phi

  /// Limits as q -> 0+: a kink at 0 is seen from both sides.
  Single at_origin() const {
    const bool kink = std::find(phi_.kinks.begin(), phi_.kinks.end(), 0.0) != phi_.kinks.end();
    const double step = kink ? (phi_.user_defined ? 1e-7 : 1e-300) : 0.0;
    const double x[3] = {0.0, -step, step};
    double f[3], g[3], h[3];
    phi_.value(x, 3, f);
    phi_.derivative(x, 3, g);
    phi_.second_derivative(x, 3, h);
    const double slope_squared = 0.5 * (g[1] * g[1] + g[2] * g[2]);
    const double curvature = 0.5 * (h[1] * h[1] + h[2] * h[2]);
    // dE phi^2/dq = E[phi'^2 + phi phi'']: a jump d of phi' at 0 adds phi(0) d n(0) / sqrt(q)
    const double bend = f[0] == 0.0 ? 0.0 : f[0] * 0.5 * (h[1] + h[2]);
    const double jump = g[2] - g[1];
    const double length_slope = f[0] != 0.0 && phi_.slope_jumps && jump != 0.0
                                    ? std::copysign(detail::infinity, f[0] * jump)
                                    : slope_squared + bend;
    return {f[0], 0.5 * (g[1] + g[2]), f[0] * f[0], slope_squared, curvature, length_slope, 1e-15};
  }

  Single single(double q, bool curvature = false) {
    return phi_.user_defined ? refine(q) : average(q, panel_rule<order>(edges_at(q)), curvature);
  }

  std::vector<double> edges_at(double q) const {
    const double root = std::sqrt(q);
    std::vector<double> centres, finest;
    for (const double k : centres_) {
      centres.push_back(k / root);
      finest.push_back(0.5 / root);
    }
    return graded_edges(centres, finest);
  }

  Single average(double q, const Rule& rule, bool curvature) {
    const std::int64_t n = rule.size();
    const double root = std::sqrt(q);
    x_.resize(n), f_.resize(n), g_.resize(n), h_.resize(n);
    for (std::int64_t i = 0; i < n; ++i) x_[i] = root * rule.z[i];
    phi_.value_and_derivative(x_.data(), n, f_.data(), g_.data());
    if (curvature) phi_.second_derivative(x_.data(), n, h_.data());
    const double *w = rule.w.data(), *z = rule.z.data(), *f = f_.data(), *g = g_.data(),
                 *h = h_.data();
    return {sum(n, [=](auto i) { return w[i] * f[i]; }),
            sum(n, [=](auto i) { return w[i] * g[i]; }),
            sum(n, [=](auto i) { return w[i] * f[i] * f[i]; }),
            sum(n, [=](auto i) { return w[i] * g[i] * g[i]; }),
            curvature ? sum(n, [=](auto i) { return w[i] * h[i] * h[i]; }) : 0.0,
            sum(n, [=](auto i) { return w[i] * z[i] * f[i] * g[i]; }) / root,
            1e-15};
  }

  /// Halve the panels in which phi^2 or phi'^2 has not settled. Each round evaluates all new panels
  /// in one call.
  Single refine(double q) {
    constexpr int max_rounds = 45;
    constexpr double tolerance = 1e-12;
    if (q == refined_q_) return refined_;
    const std::vector<double> edges = edges_at(q);
    std::vector<double> settled, panels;  // (left, right), one after the other
    for (std::size_t i = 0; i + 1 < edges.size(); ++i)
      panels.insert(panels.end(), {edges[i], edges[i + 1]});
    double left_over = 0.0;
    const Single whole = average(q, panel_rule<order>(edges), false);
    require_light_tails(q, edges, whole.second);
    const double scale_f = std::max(whole.second, 1e-6 * q),
                 scale_g = std::max({whole.slope_squared, 1e-6 * whole.second / q, 1e-9});
    for (int round = 0; !panels.empty(); ++round) {
      const std::vector<double> coarse = squares(q, panels), halves = halved(panels);
      const std::vector<double> fine = squares(q, halves);
      std::vector<double> next;
      for (std::size_t i = 0; i < panels.size() / 2; ++i) {
        const double error =
            std::max(std::fabs(fine[4 * i] + fine[4 * i + 2] - coarse[2 * i]) / scale_f,
                     std::fabs(fine[4 * i + 1] + fine[4 * i + 3] - coarse[2 * i + 1]) / scale_g);
        if (error <= tolerance || round == max_rounds) {
          left_over += error;
          settled.insert(settled.end(), {panels[2 * i], panels[2 * i + 1]});
        } else {
          next.insert(next.end(), halves.begin() + 4 * i, halves.begin() + 4 * i + 4);
        }
      }
      if (next.size() > 4096 || !std::isfinite(left_over))
        throw NotConverged("function is too rough to average at q = " + std::to_string(q) +
                           ": it oscillates, jumps or overflows");
      panels = std::move(next);
    }
    refined_rule_ = Rule();
    for (std::size_t i = 0; i < settled.size(); i += 2)
      add_panel<order>(settled[i], settled[i + 1], refined_rule_);
    refined_rule_.pad();
    refined_ = average(q, refined_rule_, true);
    refined_.error = std::max(left_over, 1e-14);
    refined_q_ = q;
    return refined_;
  }

  /// A function that grows like exp(h) carries its average beyond z_max once q is large.
  void require_light_tails(double q, const std::vector<double>& edges, double second) {
    const std::size_t n = edges.size();
    const std::vector<double> tails = squares(q, {edges[0], edges[1], edges[n - 2], edges[n - 1]});
    if (!(tails[0] + tails[2] <= 1e-11 * second + 1e-17))
      throw NotConverged("function grows too fast to average at q = " + std::to_string(q));
  }

  /// Integrals of phi^2 and phi'^2 over each panel (left, right), interleaved.
  std::vector<double> squares(double q, const std::vector<double>& panels) {
    Rule rule;
    for (std::size_t i = 0; i < panels.size(); i += 2)
      add_panel<order>(panels[i], panels[i + 1], rule);
    const std::int64_t n = rule.size();
    x_.resize(n), f_.resize(n), g_.resize(n);
    for (std::int64_t i = 0; i < n; ++i) x_[i] = std::sqrt(q) * rule.z[i];
    phi_.value(x_.data(), n, f_.data());
    phi_.derivative(x_.data(), n, g_.data());
    std::vector<double> result(panels.size());
    for (std::size_t i = 0; i < panels.size() / 2; ++i) {
      double second = 0.0, slope = 0.0;
      for (std::size_t k = i * order; k < (i + 1) * order; ++k) {
        second += rule.w[k] * f_[k] * f_[k];
        slope += rule.w[k] * g_[k] * g_[k];
      }
      result[2 * i] = second;
      result[2 * i + 1] = slope;
    }
    return result;
  }

  static std::vector<double> halved(const std::vector<double>& panels) {
    std::vector<double> halves;
    for (std::size_t i = 0; i < panels.size(); i += 2) {
      const double middle = 0.5 * (panels[i] + panels[i + 1]);
      halves.insert(halves.end(), {panels[i], middle, middle, panels[i + 1]});
    }
    return halves;
  }

  void series_pair(double q, double c, double& product, double& deficit, double& slope_product) {
    if (q != series_q_) {
      if (phi_.user_defined) refine(q);
      const Rule rule = phi_.user_defined ? refined_rule_ : panel_rule<order>(edges_at(q));
      const double second = average(q, rule, false).second;  // leaves phi at the nodes in f_
      table_.start(rule, false);
      series_.start(table_, f_.data(), second, HermiteSeries::max_terms, 0.0);
      series_q_ = q;
    }
    double slope;
    series_.evaluate(c, product, slope);
    deficit = series_.second() - product;
    slope_product = slope / q;
  }

  /// E phi'(u1) phi'(u2) = (1/q) d/dc E phi(u1) phi(u2) where phi jumps, by central differences of
  /// fourth order.
  double slope_of_product(double q, double c, double delta) {
    const double h = 0.02 * std::min(delta, 2.0 - delta);
    const auto product = [&](double step) { return nested(q, q, c + step, delta - step).product; };
    return (8.0 * (product(h) - product(-h)) - (product(2.0 * h) - product(-2.0 * h))) /
           (12.0 * h * q);
  }

  /// Panels in s for averages over u1 = sqrt(q1) s and u2 = sqrt(q2) (c s + spread d), d averaged
  /// already: they halve towards the kinks of phi(u1) and, down to the spread, towards where u2
  /// passes one on average.
  std::vector<double> outer_edges(double q1, double q2, double c, double spread) const {
    const double root1 = std::sqrt(q1), root2 = std::fabs(c) * std::sqrt(q2);
    std::vector<double> centres, finest;
    for (const double k : centres_) {
      if (root1 > 0.0) {
        centres.push_back(k / root1);
        finest.push_back(0.5 / root1);
      }
      if (root2 > 0.0) {
        centres.push_back(std::copysign(k / root2, k * c));
        finest.push_back(std::min(0.5 / root2, 0.25 * std::max(spread, 1e-9) / std::fabs(c)));
      }
    }
    return graded_edges(centres, finest);
  }

  static double spread_of(double delta) { return std::sqrt(std::max(0.0, delta * (2.0 - delta))); }

  /// The average over u2 given u1 in closed form; no deficit.
  Nested smoothed(double q1, double q2, double c, double delta) {
    const double spread = spread_of(delta);
    const Rule rule = panel_rule<pair_order>(outer_edges(q1, q2, c, spread));
    const std::int64_t n = rule.size();
    x_.resize(n), f_.resize(n), g_.resize(n), h_.resize(n), h2_.resize(n);
    for (std::int64_t i = 0; i < n; ++i) x_[i] = std::sqrt(q1) * rule.z[i];
    phi_.value_and_derivative(x_.data(), n, f_.data(), g_.data());
    for (std::int64_t i = 0; i < n; ++i) x_[i] = c * std::sqrt(q2) * rule.z[i];
    phi_.smoothed(x_.data(), std::sqrt(q2) * spread, n, h_.data(), h2_.data());
    const double *w = rule.w.data(), *f = f_.data(), *g = g_.data(), *h = h_.data(),
                 *h2 = h2_.data();
    return {sum(n, [=](auto i) { return w[i] * f[i] * h[i]; }), 0.0,
            sum(n, [=](auto i) { return w[i] * g[i] * h2[i]; })};
  }

  /// D(delta) = q Int_0^delta E phi'phi' dt without cancellation; t = delta r^2, since a kink
  /// enters as sqrt(t).
  double smoothed_deficit(double q, double delta) {
    const auto& [nodes, weights] = gauss_legendre<pair_order>();
    double total = 0.0;
    for (int k = 0; k < pair_order; ++k) {
      const double r = 0.5 * (1.0 + nodes[k]), t = delta * r * r;
      total += weights[k] * r * smoothed(q, q, 1.0 - t, t).slope_product;
    }
    return q * delta * total;
  }

  /// u1 = sqrt(q1) s, u2 = sqrt(q2) (c s + spread d).
  Nested nested(double q1, double q2, double c, double delta) {
    const double root1 = std::sqrt(q1), root2 = std::sqrt(q2), spread = spread_of(delta);
    const Rule outer = panel_rule<pair_order>(outer_edges(q1, q2, c, spread));
    const std::int64_t n = outer.size();
    std::vector<double> u1(n), f1(n), g1(n);
    for (std::int64_t i = 0; i < n; ++i) u1[i] = root1 * outer.z[i];
    phi_.value(u1.data(), n, f1.data());
    phi_.derivative(u1.data(), n, g1.data());

    Nested total;
    Rule inner;
    std::vector<std::int64_t> owner;  // node of the outer rule
    const auto flush = [&] {
      const std::int64_t m = inner.size();
      x_.resize(m), f_.resize(m), g_.resize(m);
      for (std::int64_t i = 0; i < m; ++i)
        x_[i] = root2 * (c * outer.z[owner[i]] + spread * inner.z[i]);
      phi_.value_and_derivative(x_.data(), m, f_.data(), g_.data());
      Nested part;
      for (std::int64_t i = 0; i < m; ++i) {
        const double w = inner.w[i] * outer.w[owner[i]], gap = f1[owner[i]] - f_[i];
        part.product += w * f1[owner[i]] * f_[i];
        part.slope_product += w * g1[owner[i]] * g_[i];
        part.deficit += 0.5 * w * gap * gap;
      }
      total.product += part.product;
      total.slope_product += part.slope_product;
      total.deficit += part.deficit;
      inner.z.clear(), inner.w.clear(), owner.clear();
    };
    std::vector<double> centres, finest;
    for (std::int64_t i = 0; i < n; ++i) {
      if (outer.w[i] < 1e-19) continue;
      const double width = root2 * std::max(spread, 1e-9);
      centres.clear(), finest.clear();
      for (const double k : centres_) {
        centres.push_back((k - c * root2 * outer.z[i]) / std::max(width, 1e-300));
        finest.push_back(0.5 / std::max(width, 1e-300));
      }
      const std::vector<double> edges = graded_edges(centres, finest);
      for (std::size_t j = 0; j + 1 < edges.size(); ++j)
        add_panel<pair_order>(edges[j], edges[j + 1], inner);
      owner.resize(inner.z.size(), i);
      if (inner.size() >= chunk) flush();
    }
    flush();
    return total;
  }

  const Activation& phi_;
  std::vector<double> centres_;
  HermiteTable table_;
  HermiteSeries series_;
  double series_q_ = -1.0, refined_q_ = -1.0;
  Single refined_{};
  Rule refined_rule_;
  std::vector<double> x_, f_, g_, h_, h2_;
};

}  // namespace meanfree
