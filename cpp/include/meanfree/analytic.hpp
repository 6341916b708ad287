// Gaussian averages of an analytic phi (tanh, sigmoid, silu, softplus, gelu_tanh, arctan): midpoint
// rules whose step follows from the distance of the nearest pole, Mehler's series for |c| <= 0.9,
// and near c = 1 the rotated pair
//     u = m +- e,  m = sqrt(q (1 - delta/2)) s,  e = sqrt(q delta/2) d,   s, d independent standard
//     normals,
// where e is known without cancellation. Very long inputs (q > 1e3 or so) go to graded panels.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/graded.hpp"
#include "meanfree/hermite.hpp"
#include "meanfree/quadrature.hpp"

namespace meanfree {

class Analytic final : public Expectation {
 public:
  explicit Analytic(const Activation& phi) : phi_(phi), graded_(phi) {}

  void length(const double* q, std::int64_t n, double* second, double* length_slope) override {
    Moments out;
    out.second = second;
    out.length_slope = length_slope;
    moments(q, n, out);
  }

  void moments(const double* q, std::int64_t n, const Moments& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const int level = level_of(std::sqrt(q[i]));
      if (level < detail::n_midpoint_levels && q[i] > 0.0)
        moments_at(q[i], level, shift(out, i));
      else
        graded_.moments(q + i, 1, shift(out, i));
    }
  }

  void pair(const double* q, const double* delta, std::int64_t n,
            const PairAverages& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const PairAverages to{out.product + i, out.deficit + i, out.slope_product + i};
      const double c = 1.0 - delta[i];
      if (q[i] == 0.0 || level_of(std::sqrt(q[i])) >= detail::n_midpoint_levels)
        graded_.pair(q + i, delta + i, 1, to);
      else if (std::fabs(c) <= HermiteSeries::largest_c ||
               (searching_ && delta[i] > 0.0 && series_suffices(q[i], c)))
        series_pair(q[i], delta[i], to);
      else
        rotated_pair(q[i], delta[i], to);
    }
  }

  /// Use the series near c = 1 too where it ends: dear for one correlation, cheap for the next
  /// ones.
  void expect_search() override { searching_ = true; }

  void covariance(const double* q1, const double* q2, const double* c, std::int64_t n,
                  double* product, double* slope_product) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const double spread = std::sqrt(std::max(0.0, (1.0 - c[i]) * (1.0 + c[i])));
      const int outer = level_of(std::max(std::sqrt(q1[i]), std::fabs(c[i]) * std::sqrt(q2[i])));
      const int inner = level_of(std::sqrt(q2[i]) * spread);
      if (std::max(outer, inner) < detail::n_midpoint_levels)
        tensor(q1[i], q2[i], c[i], spread, outer, inner, product[i], slope_product[i]);
      else
        graded_.covariance(q1 + i, q2 + i, c + i, 1, product + i, slope_product + i);
    }
  }

 private:
  static Moments shift(const Moments& m, std::int64_t i) {
    const auto at = [i](double* p) { return p == nullptr ? p : p + i; };
    return {at(m.mean),          at(m.mean_slope),        at(m.second),
            at(m.slope_squared), at(m.curvature_squared), at(m.length_slope),
            at(m.error)};
  }

  /// The level of the midpoint rule for phi(scale z).
  int level_of(double scale, double wave = 0.0) const {
    return midpoint_level(phi_.pole_distance / std::max(scale, 1e-3), wave);
  }

  /// The rule over all z, or over z > 0 for an odd phi, whose averages here are all of even
  /// functions.
  const Rule& nodes(int level) {
    if (phi_.odd) return midpoint_rule(level);
    if (level != level_) {
      const Rule& half = midpoint_rule(level);
      both_ = Rule();
      for (std::int64_t i = 0; i < half.size(); ++i) both_.add(half.z[i], 0.5 * half.w[i]);
      for (std::int64_t i = 0; i < half.size(); ++i) both_.add(-half.z[i], 0.5 * half.w[i]);
      level_ = level;
    }
    return both_;
  }

  void moments_at(double q, int level, const Moments& out) {
    const Rule& rule = nodes(level);
    const std::int64_t n = rule.size();
    const double root = std::sqrt(q);
    x_.resize(n), f_.resize(n), g_.resize(n);
    const double* w = rule.w.data();
    const double* z = rule.z.data();
    for (std::int64_t i = 0; i < n; ++i) x_[i] = root * z[i];
    const double* f = f_.data();
    const double* g = g_.data();
    const bool slopes =
        out.mean_slope != nullptr || out.slope_squared != nullptr || out.length_slope != nullptr;
    if (slopes)
      phi_.value_and_derivative(x_.data(), n, f_.data(), g_.data());
    else
      phi_.value(x_.data(), n, f_.data());
    if (out.mean != nullptr)
      *out.mean = phi_.odd ? 0.0 : sum(n, [=](auto i) { return w[i] * f[i]; });
    if (out.second != nullptr) *out.second = sum(n, [=](auto i) { return w[i] * f[i] * f[i]; });
    if (out.error != nullptr) *out.error = 1e-15;
    if (slopes) {
      if (out.mean_slope != nullptr) *out.mean_slope = sum(n, [=](auto i) { return w[i] * g[i]; });
      if (out.slope_squared != nullptr)
        *out.slope_squared = sum(n, [=](auto i) { return w[i] * g[i] * g[i]; });
      if (out.length_slope != nullptr)
        *out.length_slope = sum(n, [=](auto i) { return w[i] * z[i] * f[i] * g[i]; }) / root;
    }
    if (out.curvature_squared != nullptr) {
      phi_.second_derivative(x_.data(), n, g_.data());
      *out.curvature_squared = sum(n, [=](auto i) { return w[i] * g[i] * g[i]; });
    }
  }

  double scaled_pole_distance(double q) const { return phi_.pole_distance / std::sqrt(q); }

  /// Do all terms of Mehler's series that count even at c = 1 fit?
  bool series_ends(double q) const {
    return HermiteSeries::terms_at(1.0, scaled_pole_distance(q)) <= HermiteSeries::max_terms;
  }

  bool series_suffices(double q, double c) const {
    if (c > 0.0 && series_ends(q)) return true;
    return c < 0.99 &&
           HermiteSeries::terms_at(c, scaled_pole_distance(q)) <= HermiteSeries::max_terms;
  }

  void series_pair(double q, double delta, const PairAverages& out) {
    if (q != series_q_) {
      // He_k oscillates with wave number sqrt(k)
      const double pole = scaled_pole_distance(q);
      const double terms =
          std::min(HermiteSeries::terms_at(1.0, pole), 1.0 * HermiteSeries::max_terms);
      const int level =
          std::min(level_of(std::sqrt(q), std::sqrt(terms)), detail::n_midpoint_levels - 1);
      const Rule& rule = nodes(level);
      if (level != table_level_) table_.start(rule, phi_.odd);
      table_level_ = level;
      const std::int64_t n = rule.size();
      x_.resize(n), f_.resize(n);
      for (std::int64_t i = 0; i < n; ++i) x_[i] = std::sqrt(q) * rule.z[i];
      phi_.value(x_.data(), n, f_.data());
      const double* w = rule.w.data();
      const double* f = f_.data();
      series_.start(table_, f, sum(n, [=](auto i) { return w[i] * f[i] * f[i]; }),
                    static_cast<int>(terms), pole);
      series_q_ = q;
    }
    double slope;
    if (1.0 - delta > HermiteSeries::largest_c && series_ends(q)) {
      series_.evaluate_all(delta, *out.deficit, slope);
      *out.product = series_.second() - *out.deficit;
    } else {
      series_.evaluate(1.0 - delta, *out.product, slope);
      *out.deficit = series_.second() - *out.product;
    }
    *out.slope_product = slope / q;
  }

  /// Near c = 1 and, with the roles of s and d exchanged, near c = -1.
  void rotated_pair(double q, double delta, const PairAverages& out) {
    const double root = std::sqrt(q), scale_m = root * std::sqrt(1.0 - 0.5 * delta),
                 scale_e = root * std::sqrt(0.5 * delta);
    // an integrand even in s and d for odd phi, even in d for any phi
    const Rule& rule_m = nodes(level_of(scale_m));
    const Rule& rule_e = midpoint_rule(level_of(scale_e));
    const std::int64_t n = rule_m.size();
    // in a narrow pair the difference is an integral of phi' over three nodes: no cancellation
    const bool narrow = scale_e * z_max < 0.005 * phi_.pole_distance;
    resize(n);
    const double* w = rule_m.w.data();
    const double *f = f_.data(), *g = g_.data(), *f2 = f2_.data(), *g2 = g2_.data();
    double deficit = 0.0, slope = 0.0;
    for (std::int64_t j = 0; j < rule_e.size() && rule_e.w[j] > 0.0; ++j) {
      const double e = scale_e * rule_e.z[j];
      evaluate_at(rule_m, scale_m, e, f_, g_);
      evaluate_at(rule_m, scale_m, -e, f2_, g2_);
      slope += rule_e.w[j] * sum(n, [=](auto i) { return w[i] * g[i] * g2[i]; });
      if (narrow) {
        mean_slope(rule_m, scale_m, e);
        deficit += rule_e.w[j] * 2.0 * e * e * sum(n, [=](auto i) { return w[i] * f2[i] * f2[i]; });
      } else {
        deficit += rule_e.w[j] * 0.5 *
                   sum(n, [=](auto i) { return w[i] * (f[i] - f2[i]) * (f[i] - f2[i]); });
      }
    }
    if (q != second_q_) {
      double unused;
      length(&q, 1, &second_, &unused);
      second_q_ = q;
    }
    *out.product = second_ - deficit;
    *out.deficit = deficit;
    *out.slope_product = slope;
  }

  void resize(std::int64_t n) {
    x_.resize(n), f_.resize(n), g_.resize(n), f2_.resize(n), g2_.resize(n);
  }

  void evaluate_at(const Rule& rule, double scale, double offset, std::vector<double>& value,
                   std::vector<double>& derivative) {
    const std::int64_t n = rule.size();
    double* x = x_.data();
    const double* z = rule.z.data();
    for (std::int64_t i = 0; i < n; ++i) x[i] = scale * z[i] + offset;
    phi_.value_and_derivative(x, n, value.data(), derivative.data());
  }

  /// f2_ = (phi(m + e) - phi(m - e)) / (2 e) as the mean of phi' between the two.
  void mean_slope(const Rule& rule, double scale, double e) {
    const auto& [nodes, weights] = gauss_legendre<3>();
    const std::int64_t n = rule.size();
    std::fill(f2_.begin(), f2_.end(), 0.0);
    for (int k = 0; k < 3; ++k) {
      for (std::int64_t i = 0; i < n; ++i) x_[i] = scale * rule.z[i] + e * nodes[k];
      phi_.derivative(x_.data(), n, g2_.data());
      for (std::int64_t i = 0; i < n; ++i) f2_[i] += 0.5 * weights[k] * g2_[i];
    }
  }

  /// u1 = sqrt(q1) s, u2 = sqrt(q2) (c s + spread d).
  void tensor(double q1, double q2, double c, double spread, int outer, int inner, double& product,
              double& slope_product) {
    const Rule& rule = nodes(outer);
    const Rule& rule_d = midpoint_rule(inner);
    const std::int64_t n = rule.size();
    resize(n);
    evaluate_at(rule, std::sqrt(q1), 0.0, f_, g_);
    const double* w = rule.w.data();
    const double *f = f_.data(), *g = g_.data(), *f2 = f2_.data(), *g2 = g2_.data();
    product = slope_product = 0.0;
    for (std::int64_t j = 0; j < rule_d.size() && rule_d.w[j] > 0.0; ++j) {
      for (const double sign : {-1.0, 1.0}) {
        evaluate_at(rule, c * std::sqrt(q2), sign * std::sqrt(q2) * spread * rule_d.z[j], f2_, g2_);
        product += 0.5 * rule_d.w[j] * sum(n, [=](auto i) { return w[i] * f[i] * f2[i]; });
        slope_product += 0.5 * rule_d.w[j] * sum(n, [=](auto i) { return w[i] * g[i] * g2[i]; });
      }
    }
  }

  const Activation& phi_;
  Graded graded_;
  HermiteTable table_;
  HermiteSeries series_;
  bool searching_ = false;
  double series_q_ = -1.0, second_q_ = -1.0, second_ = 0.0;
  int level_ = -1, table_level_ = -1;
  Rule both_;
  std::vector<double> x_, f_, g_, f2_, g2_;
};

}  // namespace meanfree
