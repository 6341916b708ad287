// Gaussian averages of phi(h) = min(max(h, low), high): hard_tanh and shifted_relu. Kinks k = low
// (slope jumps by d = +1) and high (d = -1); a = k / sqrt(q). Averages over one input are closed;
// over two, by Price's theorem,
//     E phi'phi' = m1^2 + (1/2pi) sum_ij d_i d_j Int_0^asin(c) w_ij(t) dt,                      m1
//     = E phi' E phi phi  = m0^2 + c g m1^2 + (g/2pi) sum_ij d_i d_j Int_0^asin(c) (c - sin t)
//     w_ij(t) dt, m0 = E phi,
// g = sqrt(q1 q2). With tau = pi/2 - t the weight is w_ij = exp(-(a_i - b_j)^2 / (2 sin^2 tau) -
// a_i b_j / (1 + cos tau)), and a negative c is a positive one with b -> -b. Panels in tau double
// away from 0, where the weight can be steep.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/quadrature.hpp"
#include "meanfree/special.hpp"

namespace meanfree {

class Clip final : public Expectation {
 public:
  Clip(double low, double high) : kink_{low, high}, n_kinks_(high < detail::infinity ? 2 : 1) {}

  void length(const double* q, std::int64_t n, double* second, double* length_slope) override {
    Moments out;
    out.second = second;
    out.length_slope = length_slope;
    moments(q, n, out);
  }

  void moments(const double* q, std::int64_t n, const Moments& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const Law at = law(q[i]);
      if (out.mean != nullptr) out.mean[i] = at.mean;
      if (out.mean_slope != nullptr) out.mean_slope[i] = at.inside;
      if (out.second != nullptr) out.second[i] = at.second;
      if (out.slope_squared != nullptr) out.slope_squared[i] = at.inside;
      if (out.curvature_squared != nullptr) out.curvature_squared[i] = detail::infinity;
      if (out.length_slope != nullptr) out.length_slope[i] = at.inside_square;
      if (out.error != nullptr) out.error[i] = 1e-15;
    }
  }

  void pair(const double* q, const double* delta, std::int64_t n,
            const PairAverages& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const Law at = law(q[i]);
      const double c = 1.0 - delta[i];
      const Integrals integral = integrate(q[i], q[i], c, delta[i]);
      out.product[i] =
          at.mean * at.mean + q[i] * c * at.inside * at.inside + q[i] * integral.product;
      out.slope_product[i] = at.inside * at.inside + integral.slope;
      // E phi^2 is the same formula at c = 1: the difference of the integrals has one sign at each
      // kink
      out.deficit[i] = c > 0.0 ? q[i] * (delta[i] * at.inside * at.inside +
                                         delta[i] * integral.slope + integral.rest)
                               : at.second - out.product[i];
    }
  }

  void covariance(const double* q1, const double* q2, const double* c, std::int64_t n,
                  double* product, double* slope_product) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const Law one = law(q1[i]), two = law(q2[i]);
      const double scale = std::sqrt(q1[i]) * std::sqrt(q2[i]);
      const Integrals integral = integrate(q1[i], q2[i], c[i], 1.0 - c[i]);
      product[i] =
          one.mean * two.mean + scale * (c[i] * one.inside * two.inside + integral.product);
      slope_product[i] = one.inside * two.inside + integral.slope;
    }
  }

 private:
  struct Law {
    double mean, second, inside,
        inside_square;  // inside: P(low < u < high); inside_square: E[z^2; inside]
  };
  struct Integrals {
    double product = 0.0, slope = 0.0, rest = 0.0;  // rest: Int_asin(c)^(pi/2) (1 - sin t) w dt
  };

  Law law(double q) const {
    if (q == 0.0) {
      const double at = std::min(std::max(0.0, kink_[0]), kink_[1]);
      const double inside =
          0.5 * ((kink_[0] < 0.0 && kink_[1] >= 0.0) + (kink_[0] <= 0.0 && kink_[1] > 0.0));
      return {at, at * at, inside, inside};
    }
    const double root = std::sqrt(q), a = kink_[0] / root, b = kink_[1] / root;
    const double below = special::normal_cdf(a), above = special::normal_cdf(-b);
    const double density_a = special::normal_pdf(a),
                 density_b = n_kinks_ == 2 ? special::normal_pdf(b) : 0.0;
    const double inside =
        n_kinks_ == 2 ? 0.5 * (special::erf(b / std::sqrt(2.0)) - special::erf(a / std::sqrt(2.0)))
                      : special::normal_cdf(-a);
    const double edge = (n_kinks_ == 2 ? b * density_b : 0.0) - a * density_a;
    double inside_square = inside - edge;
    if (n_kinks_ == 2 && std::max(-a, b) < 0.5) inside_square = narrow_square(a, b);
    const double high_part = n_kinks_ == 2 ? kink_[1] * above : 0.0;
    const double high_square = n_kinks_ == 2 ? kink_[1] * kink_[1] * above : 0.0;
    return {root * (density_a - density_b) + kink_[0] * below + high_part,
            q * inside_square + kink_[0] * kink_[0] * below + high_square, inside, inside_square};
  }

  /// E[z^2; a < z < b] for a narrow interval, without the cancellation of P - (b n(b) - a n(a)).
  static double narrow_square(double a, double b) {
    const auto& [nodes, weights] = gauss_legendre<24>();
    const double half = 0.5 * (b - a), middle = 0.5 * (b + a);
    double total = 0.0;
    for (int i = 0; i < 24; ++i) {
      const double z = middle + half * nodes[i];
      total += half * weights[i] * z * z * special::normal_pdf(z);
    }
    return total;
  }

  Integrals integrate(double q1, double q2, double c, double delta) const {
    Integrals total;
    if (q1 == 0.0 || q2 == 0.0 || c == 0.0) return total;
    const double sign = c < 0.0 ? -1.0 : 1.0;
    // tau at |c|: 1 - |c| is delta, or 2 - delta
    const double gap = c < 0.0 ? 2.0 - delta : delta;
    const double start = 2.0 * special::asin(std::sqrt(0.5 * std::min(gap, 1.0)));
    for (int i = 0; i < n_kinks_; ++i) {
      for (int j = 0; j < n_kinks_; ++j) {
        const double a = kink_[i] / std::sqrt(q1), b = sign * kink_[j] / std::sqrt(q2);
        const double jump = (i == j ? 1.0 : -1.0) / (2.0 * pi);
        double product, slope, rest;
        panels(a, b, start, 0.5 * pi, gap, product, slope, rest);
        total.product += jump * product;
        total.slope += sign * jump * slope;
        if (sign > 0.0) {
          double unused_product, unused_slope;
          panels(a, b, 0.0, start, gap, unused_product, unused_slope, rest);
          total.rest += jump * rest;
        }
      }
    }
    return total;
  }

  /// Integrals of (|c| - sin t) w, w and (1 - sin t) w over tau in [from, to], 1 - |c| = gap.
  static void panels(double a, double b, double from, double to, double gap, double& product,
                     double& slope, double& rest) {
    constexpr int n = 24;
    const auto& [nodes, weights] = gauss_legendre<n>();
    product = slope = rest = 0.0;
    if (std::max(a * a, b * b) > 160.0) return;  // w <= exp(-max(a^2, b^2) / 2)
    const double distance = std::fabs(a - b), square = 0.5 * distance * distance, twist = a * b;
    // below a ninth of |a - b| the weight is under e^-40; where a = b it is smooth down to 0
    const double lowest = std::max(from, distance / 9.0);
    const double longest = 12.0 / (8.0 + std::fabs(twist));
    double product_terms[n], slope_terms[n], rest_terms[n];
    for (double right = to; right > lowest;) {
      double left = distance > 0.0 ? std::max(0.5 * right, right - longest) : right - longest;
      if (left < lowest) left = lowest;
      const double half = 0.5 * (right - left), middle = 0.5 * (right + left);
      for (int i = 0; i < n; ++i) {
        const double sine = special::sin(0.5 * (middle + half * nodes[i]));
        const double versine = 2.0 * sine * sine;               // 1 - sin t = 1 - cos tau
        const double sine_squared = versine * (2.0 - versine);  // sin^2 tau
        const double w = half * weights[i] *
                         special::exp(-square / (sine_squared < 1e-300 ? 1e-300 : sine_squared) -
                                      twist / (2.0 - versine));
        product_terms[i] = (versine - gap) * w;
        slope_terms[i] = w;
        rest_terms[i] = versine * w;
      }
      for (int i = 0; i < n; ++i) {
        product += product_terms[i];
        slope += slope_terms[i];
        rest += rest_terms[i];
      }
      right = left;
    }
  }

  double kink_[2];
  int n_kinks_;
};

}  // namespace meanfree
