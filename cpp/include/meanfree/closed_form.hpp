// Closed forms of the Gaussian averages: homogeneous (relu, leaky_relu, linear), erf, sin and gelu.
// Written as scalar functions without branches, so that loops over them are vectorised over q and
// delta. Sources: arc-cosine kernel (Cho, Saul 2009), arc-sine kernel (Williams 1997); the others
// by Price's theorem.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/quadrature.hpp"
#include "meanfree/special.hpp"

namespace meanfree {

/// All averages over one input.
struct Single {
  double mean, mean_slope, second, slope_squared, curvature_squared, length_slope;
};
/// All averages over two inputs of equal length.
struct Pair {
  double product, deficit, slope_product;
};
/// Averages over two inputs of any length.
struct Cross {
  double product, slope_product;
};

namespace detail {

/// asin(x) - asin(y) for y = c x, 0 <= x <= 1, given root = sqrt(1 - x^2), root_y = sqrt(1 - y^2)
/// and turn = 1 - c^2.
MEANFREE_INLINE double angle_between(double x, double root, double y, double root_y, double turn) {
  const double sum = x * root_y + std::fabs(y) * root;
  const double sine =
      y > 0.0 ? x * x * turn / special::detail::at_least(sum, 1e-300) : sum;  // x root_y - y root
  const double cosine = root * root_y + x * y;
  return 2.0 * special::atan(sine / special::detail::at_least(1.0 + cosine, 1e-300));
}

}  // namespace detail

/// phi = a h for h < 0, h for h > 0. With t = arccos c:
/// E phi phi = (1-a)^2 q (sin t + (pi - t) cos t) / (2 pi) + a q c.
struct HomogeneousForm {
  double a, scale = 1.0;  // slopes: scale for h > 0, scale a for h < 0

  MEANFREE_INLINE Single single(double q) const {
    const double s = 0.5 * (1.0 + a * a) * scale * scale, root = std::sqrt(q);
    const double curvature = a == 1.0 ? 0.0 : detail::infinity;
    return {scale * (1.0 - a) * root * 0.39894228040143268,
            scale * 0.5 * (1.0 + a),
            s * q,
            s,
            curvature,
            s};
  }

  MEANFREE_INLINE Pair pair(double q, double delta) const {
    const double b = (1.0 - a) * (1.0 - a), c = 1.0 - delta;
    const double gap = delta < 1.0 ? delta : 2.0 - delta;  // 1 - |c|
    const double small = 2.0 * special::asin(std::sqrt(0.5 * gap)),
                 t = delta < 1.0 ? small : pi - small;
    const double sine = std::sqrt(delta * (2.0 - delta)), square = small * small;
    // sin t - t cos t for the angle t or pi - t below pi / 2, by its series below 0.5
    const double series =
        small * square *
        (1.0 / 3 +
         square * (-1.0 / 30 +
                   square * (1.0 / 840 +
                             square * (-1.0 / 45360 +
                                       square * (1.0 / 3991680 + square * (-1.0 / 518918400))))));
    const double arc = small < 0.5 ? series : sine - small * (1.0 - gap);
    const double near = delta < 1.0 ? arc : sine - t * c,
                 far = delta < 1.0 ? sine + (pi - t) * c : arc;
    const double s = scale * scale;
    return {s * q * (b * far / (2.0 * pi) + a * c),
            s * q * (b * (pi * delta - near) / (2.0 * pi) + a * delta),
            s * (b * (pi - t) / (2.0 * pi) + a)};
  }

  Cross cross(double q1, double q2, double c) const {
    const Pair unit = pair(1.0, 1.0 - c);
    return {std::sqrt(q1) * std::sqrt(q2) * unit.product, unit.slope_product};
  }
};

/// phi = erf(g h), Q = g^2 q: E phi phi = (2/pi) asin(2 Q c / (1 + 2 Q)).
struct ErfForm {
  double g;

  MEANFREE_INLINE Single single(double q) const {
    const double Q = g * g * q, wide = std::sqrt(1.0 + 4.0 * Q), slope = 4.0 / pi * g * g;
    // asin(2Q/(1+2Q)) = atan(2Q/sqrt(1+4Q)): no loss where the argument tends to 1
    return {0.0,
            2.0 * g / std::sqrt(pi * (1.0 + 2.0 * Q)),
            2.0 / pi * special::atan(2.0 * Q / wide),
            slope / wide,
            slope * g * g * 4.0 * Q / (wide * wide * wide),
            slope / ((1.0 + 2.0 * Q) * wide)};
  }

  MEANFREE_INLINE Pair pair(double q, double delta) const {
    const double Q = g * g * q, wide = 1.0 + 2.0 * Q, x = 2.0 * Q / wide,
                 root = std::sqrt(1.0 + 4.0 * Q) / wide;
    const double c = 1.0 - delta, y = x * c;
    const double root_y = std::sqrt(root * root + x * x * delta * (2.0 - delta));
    const double angle = detail::angle_between(x, root, y, root_y, delta * (2.0 - delta));
    return {2.0 / pi * special::atan(y / root_y), 2.0 / pi * angle,
            4.0 / pi * g * g / (wide * root_y)};
  }

  Cross cross(double q1, double q2, double c) const {
    const double a = 1.0 + 2.0 * g * g * q1, b = 1.0 + 2.0 * g * g * q2;
    const double x =
        (2.0 * g * g * std::sqrt(q1) / std::sqrt(a)) * (std::sqrt(q2) / std::sqrt(b)) * c;
    // 1 - x^2 = (1 + 2 Q1 + 2 Q2 + 4 Q1 Q2 (1 - c^2)) / (a b), Q = g^2 q
    const double Q1 = g * g * q1, Q2 = g * g * q2;
    const double rest =
        (1.0 + 2.0 * (Q1 + Q2)) / a / b + (2.0 * Q1 / a) * (2.0 * Q2 / b) * (1.0 - c) * (1.0 + c);
    return {2.0 / pi * special::atan(x / std::sqrt(rest)),
            4.0 / pi * g * g / std::sqrt(a) / std::sqrt(b) / std::sqrt(rest)};
  }
};

/// phi = sin h: E phi phi = exp(-q) sinh(q c).
struct SineForm {
  MEANFREE_INLINE Single single(double q) const {
    const double decay = special::exp(-2.0 * q), second = -0.5 * special::expm1(-2.0 * q);
    return {0.0, special::exp(-0.5 * q), second, 0.5 * (1.0 + decay), second, decay};
  }

  MEANFREE_INLINE Pair pair(double q, double delta) const {
    const double near = special::exp(-q * delta), far = special::exp(-q * (2.0 - delta));
    // sinh q - sinh q c = 2 cosh(q (2 - delta) / 2) sinh(q delta / 2)
    const double c = 1.0 - delta;
    const double small = 0.5 * far * special::expm1(special::detail::at_most(2.0 * q * c, 700.0));
    return {std::fabs(q * c) < 0.5 ? small : 0.5 * (near - far),
            -0.5 * special::expm1(-q * delta) * (1.0 + far), 0.5 * (near + far)};
  }

  Cross cross(double q1, double q2, double c) const {
    const double p = std::sqrt(q1) * std::sqrt(q2) * c, gap = std::sqrt(q1) - std::sqrt(q2);
    const double twist = std::sqrt(q1) * std::sqrt(q2);
    // (q1 + q2)/2 -+ p = (sqrt q1 - sqrt q2)^2 / 2 + sqrt(q1 q2) (1 -+ c)
    const double near = special::exp(-0.5 * gap * gap - twist * (1.0 - c));
    const double far = special::exp(-0.5 * gap * gap - twist * (1.0 + c));
    const double small = 0.5 * far * special::expm1(std::min(2.0 * p, 700.0));
    return {std::fabs(p) < 0.5 ? small : 0.5 * (near - far), 0.5 * (near + far)};
  }
};

/// phi = h Phi(h). With p = q c, A = (1 + q)^2, R^2 = A - p^2, k = (1 - q)/(1 + q):
/// E phi phi = p (1/4 + asin(p / sqrt A) / (2 pi)) + (q^2 + p^2 k) / (2 pi R).
struct GeluForm {
  MEANFREE_INLINE Single single(double q) const {
    const double R = std::sqrt(1.0 + 2.0 * q), wide = 1.0 + q,
                 angle = special::atan(q / R) / (2.0 * pi);
    const double v = q / (1.0 + 2.0 * q), tail = q / (wide * R);
    return {q * 0.39894228040143268 / std::sqrt(wide),
            0.5,
            q * (0.25 + angle) + q * tail / pi,
            slope(q, q, q, R, 2.0 * pi * angle),
            (4.0 - 4.0 * v + 3.0 * v * v) / (2.0 * pi * R),
            0.25 + angle + tail / (2.0 * pi) + tail / pi * (2.0 - q / wide - q / (R * R))};
  }

  MEANFREE_INLINE Pair pair(double q, double delta) const {
    const double wide = 1.0 + q, k = (1.0 - q) / wide, c = 1.0 - delta, p = q * c;
    const double turn = delta * (2.0 - delta);  // 1 - c^2
    const double R0 = std::sqrt(1.0 + 2.0 * q), R1 = std::sqrt(1.0 + 2.0 * q + q * q * turn);
    const double angle1 = special::atan(p / R1);
    const double difference = detail::angle_between(q / wide, R0 / wide, p / wide, R1 / wide, turn);
    const double product =
        p * (0.25 + angle1 / (2.0 * pi)) + q * q * (1.0 + c * c * k) / (2.0 * pi * R1);
    const double deficit =
        0.25 * q * delta + (q * difference + q * delta * angle1 +
                            q * q * turn * (1.0 + k * R0 * R1) / (R0 * R1 * (R0 + R1))) /
                               (2.0 * pi);
    return {product, deficit, slope(q, q, p, R1, angle1)};
  }

  Cross cross(double q1, double q2, double c) const {
    const double p = std::sqrt(q1) * std::sqrt(q2) * c;
    const double R = std::sqrt(1.0 + q1 + q2 + q1 * q2 * (1.0 - c) * (1.0 + c)),
                 angle = special::atan(p / R);
    const double k = 1.0 - q1 / (1.0 + q1) - q2 / (1.0 + q2);
    return {p * (0.25 + angle / (2.0 * pi)) + q1 * q2 * (1.0 + c * c * k) / (2.0 * pi * R),
            slope(q1, q2, p, R, angle)};
  }

 private:
  /// d E phi phi / dp = E phi' phi'.
  MEANFREE_INLINE static double slope(double q1, double q2, double p, double R, double angle) {
    const double rise = (2.0 + q1 + q2) / ((1.0 + q1) * (1.0 + q2));  // 1 + k
    return 0.25 + angle / (2.0 * pi) + p / (2.0 * pi * R) * (rise + 1.0 / (R * R));
  }
};

/// The averages of one of the forms above, vectorised over many q.
template <class Form>
class ClosedForm final : public Expectation {
 public:
  explicit ClosedForm(Form form) : form_(form) {}

  void length(const double* q, std::int64_t n, double* second, double* length_slope) override {
    const Form form = form_;
    double* __restrict to_second = second;
    double* __restrict to_slope = length_slope;
    for (std::int64_t i = 0; i < n; ++i) {
      const Single at = form.single(q[i]);
      to_second[i] = at.second;
      to_slope[i] = at.length_slope;
    }
  }

  void moments(const double* q, std::int64_t n, const Moments& out) override {
    const Form form = form_;
    constexpr std::int64_t block = 64;
    double column[6][block];
    for (std::int64_t first = 0; first < n; first += block) {
      const std::int64_t size = std::min(block, n - first);
      for (std::int64_t i = 0; i < size; ++i) {
        const Single at = form.single(q[first + i]);
        column[0][i] = at.mean;
        column[1][i] = at.mean_slope;
        column[2][i] = at.second;
        column[3][i] = at.slope_squared;
        column[4][i] = at.curvature_squared;
        column[5][i] = at.length_slope;
      }
      double* const to[6] = {out.mean,          out.mean_slope,        out.second,
                             out.slope_squared, out.curvature_squared, out.length_slope};
      for (int k = 0; k < 6; ++k)
        if (to[k] != nullptr) std::copy(column[k], column[k] + size, to[k] + first);
    }
    if (out.error != nullptr) std::fill(out.error, out.error + n, closed_form_error);
  }

  void pair(const double* q, const double* delta, std::int64_t n,
            const PairAverages& out) override {
    const Form form = form_;
    double* __restrict product = out.product;
    double* __restrict deficit = out.deficit;
    double* __restrict slope_product = out.slope_product;
    for (std::int64_t i = 0; i < n; ++i) {
      const Pair at = form.pair(q[i], delta[i]);
      product[i] = at.product;
      deficit[i] = at.deficit;
      slope_product[i] = at.slope_product;
    }
  }

  void covariance(const double* q1, const double* q2, const double* c, std::int64_t n,
                  double* product, double* slope_product) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const Cross at = form_.cross(q1[i], q2[i], c[i]);
      product[i] = at.product;
      slope_product[i] = at.slope_product;
    }
  }

  std::int64_t lanes() const override { return 64; }

 private:
  static constexpr double closed_form_error = 4e-16;
  Form form_;
};

}  // namespace meanfree
