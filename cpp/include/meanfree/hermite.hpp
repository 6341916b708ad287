// Mehler's series: with a_k = E[phi(sqrt(q) z) He_k(z)] / sqrt(k!),
//     E phi(u1) phi(u2) = sum_k a_k^2 c^k,     E phi'(u1) phi'(u2) = (1/q) sum_k k a_k^2 c^(k-1).
// One set of coefficients serves every correlation at one q, so root finding in c costs next to
// nothing; the Hermite polynomials at the nodes of a rule serve every q that uses this rule.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/quadrature.hpp"

namespace meanfree {

/// w_i He_k(z_i) / sqrt(k!) at the nodes of a rule: rows k = 0, 1, 2, ..., or k = 1, 3, 5, ... for
/// odd functions on the half rule of z > 0. Rows are made when they are asked for.
class HermiteTable {
 public:
  void start(const Rule& rule, bool odd) {
    n_ = rule.size();
    step_ = odd ? 2 : 1;
    z_ = rule.z;
    w_ = rule.w;
    before_.assign(n_, 0.0);
    now_.assign(n_, 1.0);
    degree_ = 0;
    rows_.clear();
    if (odd) advance();
  }

  std::int64_t nodes() const { return n_; }
  int first_degree() const { return step_ - 1; }
  int degree_step() const { return step_; }

  const double* row(int r) {
    while (static_cast<std::int64_t>(rows_.size()) <= r * n_) {
      const std::size_t end = rows_.size();
      rows_.resize(end + n_);
      for (std::int64_t i = 0; i < n_; ++i) rows_[end + i] = w_[i] * now_[i];
      for (int k = 0; k < step_; ++k) advance();
    }
    return rows_.data() + r * n_;
  }

 private:
  /// He_{k+1} / sqrt((k+1)!) from the two before it.
  void advance() {
    ++degree_;
    const double rise = 1.0 / std::sqrt(1.0 * degree_), fall = std::sqrt(degree_ - 1.0) * rise;
    double* p = now_.data();
    double* b = before_.data();
    const double* z = z_.data();
    for (std::int64_t i = 0; i < n_; ++i) {
      const double next = rise * z[i] * p[i] - fall * b[i];
      b[i] = p[i];
      p[i] = next;
    }
  }

  std::int64_t n_ = 0;
  int step_ = 1, degree_ = 0;
  std::vector<double> z_, w_, before_, now_, rows_;
};

class HermiteSeries {
 public:
  static constexpr double largest_c = 0.9;  // beyond, only where the coefficients run out
  static constexpr int max_terms = 840;

  /// How many terms count at correlation c: a_k^2 c^k falls like exp(-2 d sqrt(k) - k log(1/c)), d
  /// the distance of the nearest pole of phi(sqrt(q) z) from the real axis (0 for a function with
  /// kinks).
  static double terms_at(double c, double pole_distance) {
    const double rate = -std::log(std::min(std::max(std::fabs(c), 1e-30), 1.0)),
                 d = 0.95 * pole_distance;
    const double root =
        rate > 0.0 ? (std::sqrt(d * d + exponent * rate) - d) / rate : 0.5 * exponent / d;
    return root * root + 8.0;
  }

  /// Start the series of the function with these values at the nodes of `table`, which resolve the
  /// first `terms` terms; E phi^2 is `second`.
  void start(HermiteTable& table, const double* phi, double second, int terms,
             double pole_distance) {
    table_ = &table;
    terms_ = terms;
    pole_distance_ = pole_distance;
    phi_.assign(phi, phi + table.nodes());
    second_ = second;
    square_.clear();
    slope_.clear();
    tail_.clear();
  }

  /// E phi phi and its derivative in c, where terms_at(c) is at most the number of resolved terms.
  void evaluate(double c, double& product, double& slope) {
    const double terms = std::min(1.0 * terms_, terms_at(c, pole_distance_));
    polynomials(c, extend(static_cast<int>(terms)), product, slope);
  }

  /// For 0 < c < 1 and coefficients that run out within the resolved terms: E phi^2 - E phi phi
  /// without cancellation, by 1 - c^k = (1 - c)(1 + c + ... + c^(k-1)), and the derivative of E phi
  /// phi in c.
  void evaluate_all(double delta, double& deficit, double& slope) {
    const std::size_t n = extend(terms_);
    if (tail_.empty()) {
      tail_.assign(n + lanes, 0.0);
      for (std::size_t r = n; r-- > 0;) tail_[r] = tail_[r + 1] + square_[r];
    }
    const double c = 1.0 - delta, x = table_->degree_step() == 2 ? c * c : c;
    const double rest = power_sum(tail_.data() + 1, n, x);
    deficit = table_->degree_step() == 2 ? delta * (tail_[0] + (c + x) * rest) : delta * rest;
    double product;
    polynomials(c, n, product, slope);
  }

  double second() const { return second_; }

 private:
  static constexpr int lanes = 8;
  static constexpr double exponent = 46.0;  // e^-46 = 1e-20: room for the factor k of the slope

  /// Has at least this many terms; returns how many rows hold them, whatever was asked for before.
  std::size_t extend(int terms) {
    const int step = table_->degree_step();
    const int rows = (terms / step + lanes) / lanes * lanes;
    const double* f = phi_.data();
    const std::int64_t n = table_->nodes();
    square_.reserve(rows);
    slope_.reserve(rows);
    for (int r = static_cast<int>(square_.size()); r < rows; ++r) {
      const double* row = table_->row(r);
      const double a = sum(n, [=](std::int64_t i) { return row[i] * f[i]; });
      square_.push_back(a * a);
      slope_.push_back((table_->first_degree() + r * step) * a * a);
    }
    return static_cast<std::size_t>(rows);
  }

  void polynomials(double c, std::size_t n, double& product, double& slope) const {
    if (table_->degree_step() == 2) {
      product = c * power_sum(square_.data(), n, c * c);
      slope = power_sum(slope_.data(), n, c * c);
    } else {
      product = power_sum(square_.data(), n, c);
      slope = c == 0.0 ? slope_[1] : power_sum(slope_.data(), n, c) / c;  // the term of k = 0 is 0
    }
  }

  /// sum_r a_r x^r over n terms, n a multiple of lanes, in interleaved partial sums.
  static double power_sum(const double* a, std::size_t n, double x) {
    double power[lanes], partial[lanes] = {};
    power[0] = 1.0;
    for (int j = 1; j < lanes; ++j) power[j] = power[j - 1] * x;
    const double stride = power[lanes - 1] * x;
    for (std::size_t r = 0; r < n; r += lanes) {
      for (int j = 0; j < lanes; ++j) {
        partial[j] += a[r + j] * power[j];
        power[j] *= stride;
      }
    }
    return ((partial[0] + partial[4]) + (partial[1] + partial[5])) +
           ((partial[2] + partial[6]) + (partial[3] + partial[7]));
  }

  HermiteTable* table_ = nullptr;
  double second_ = 0.0;
  double pole_distance_ = 0.0;
  int terms_ = 0;
  std::vector<double> phi_, square_, slope_, tail_;
};

}  // namespace meanfree
