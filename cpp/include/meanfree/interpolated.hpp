// Gaussian averages taken from an Interpolation where it has them (interpolation.hpp).
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/interpolation.hpp"

namespace meanfree {

/// Averages that take what they can from an Interpolation and the rest from `exact`. Not shared
/// between threads.
class Interpolated final : public Expectation {
 public:
  static constexpr int n_lanes = 32;

  Interpolated(const Interpolation& shared, std::unique_ptr<Expectation> exact)
      : shared_(shared), exact_(std::move(exact)) {
    for (Cell& cell : cells_) cell.q = -1.0;
  }

  std::int64_t lanes() const override { return n_lanes; }

  void length(const double* q, std::int64_t n, double* second, double* length_slope) override {
    Moments out;
    out.second = second;
    out.length_slope = length_slope;
    moments(q, n, out);
  }

  void moments(const double* q, std::int64_t n, const Moments& out) override {
    x_.resize(n + block), interval_.resize(n);
    for (std::int64_t i = 0; i < n; ++i) interval_[i] = shared_.locate(q[i], x_[i]);
    for (std::int64_t i = 0; i < n;) {
      std::int64_t end = i + 1;
      while (end < n && interval_[end] == interval_[i]) ++end;
      if (interval_[i] < 0 || out.mean != nullptr || out.mean_slope != nullptr) {
        exact_->moments(q + i, end - i, shift(out, i));
      } else {
        const Interpolation::Lengths& from = shared_.lengths(interval_[i]);
        const auto fill = [&](double* to, Interpolation::Column column) {
          if (to != nullptr) evaluate(from.coefficient[column], x_.data() + i, end - i, to + i);
        };
        fill(out.second, Interpolation::second);
        fill(out.slope_squared, Interpolation::slope_squared);
        fill(out.length_slope, Interpolation::length_slope);
        if (shared_.phi().slope_jumps) {
          if (out.curvature_squared != nullptr)
            std::fill(out.curvature_squared + i, out.curvature_squared + end, detail::infinity);
        } else {
          fill(out.curvature_squared, Interpolation::curvature_squared);
        }
        if (out.error != nullptr) std::fill(out.error + i, out.error + end, 1e-15);
      }
      i = end;
    }
  }

  void pair(const double* q, const double* delta, std::int64_t n,
            const PairAverages& out) override {
    for (std::int64_t i = 0; i < n; ++i) {
      const PairAverages to{out.product + i, out.deficit + i, out.slope_product + i};
      if (!(delta[i] <= 1.0) || !series(q[i], 1.0 - delta[i], delta[i], to))
        exact_->pair(q + i, delta + i, 1, to);
    }
  }

  void covariance(const double* q1, const double* q2, const double* c, std::int64_t n,
                  double* product, double* slope_product) override {
    exact_->covariance(q1, q2, c, n, product, slope_product);
  }

 private:
  static constexpr int block = 16;
  static constexpr int panel = Interpolation::panel;

  /// The tails of one part of the series at one length, as far as they were needed.
  struct Tails {
    std::vector<double> tail;
    std::int64_t n_terms;
  };
  struct Cell {
    double q, second;
    int interval;  // -1: none at this q
    double basis[Interpolation::n_nodes];
    Tails tails[Interpolation::n_parts];
  };

  static Moments shift(const Moments& m, std::int64_t i) {
    const auto at = [i](double* p) { return p == nullptr ? p : p + i; };
    return {at(m.mean),          at(m.mean_slope),        at(m.second),
            at(m.slope_squared), at(m.curvature_squared), at(m.length_slope),
            at(m.error)};
  }

  /// Clenshaw's recurrence for n points; x may be read up to a whole block.
  static void evaluate(const double* coefficient, const double* x, std::int64_t n, double* to) {
    for (std::int64_t i = 0; i < n; i += block) {
      double twice[block], b1[block] = {}, b2[block] = {}, result[block];
      for (int j = 0; j < block; ++j) twice[j] = 2.0 * x[i + j];
      for (int k = Interpolation::n_nodes - 1; k > 0; --k)
        for (int j = 0; j < block; ++j) {
          const double b = twice[j] * b1[j] + (coefficient[k] - b2[j]);
          b2[j] = b1[j];
          b1[j] = b;
        }
      for (int j = 0; j < block; ++j) result[j] = 0.5 * twice[j] * b1[j] + (coefficient[0] - b2[j]);
      std::copy(result, result + std::min<std::int64_t>(block, n - i), to + i);
    }
  }

  Cell& cell(double q) {
    for (int tried = 0; tried < n_lanes; ++tried) {
      if (cells_[next_].q == q) return cells_[next_];
      next_ = (next_ + 1) % n_lanes;
    }
    oldest_ = (oldest_ + 1) % n_lanes;
    next_ = oldest_;
    Cell& fresh = cells_[next_];
    fresh.q = q;
    for (Tails& tails : fresh.tails) tails.n_terms = 0;
    double x;
    fresh.interval = shared_.locate(q, x);
    if (fresh.interval < 0) return fresh;
    double second = 0.0;
    const double* from = shared_.lengths(fresh.interval).coefficient[Interpolation::second];
    for (int k = 0; k < Interpolation::n_nodes; ++k) {
      fresh.basis[k] = k == 0   ? 1.0
                       : k == 1 ? x
                                : 2.0 * x * fresh.basis[k - 1] - fresh.basis[k - 2];
      second += fresh.basis[k] * from[k];
    }
    fresh.second = second;
    return fresh;
  }

  /// False where too many terms would be needed.
  bool series(double q, double c, double delta, const PairAverages& out) {
    Cell& at = cell(q);
    if (at.interval < 0) return false;
    const bool odd = shared_.phi().odd;
    const double y = odd ? c * c : c;
    const double wanted = y > 0.0 ? (y < 1.0 ? 1.0 - 44.0 / std::log(y) : detail::infinity) : 1.0;
    const Interpolation::Part part = shared_.part(at.interval, wanted);
    if (part == Interpolation::neither) return false;
    const Interpolation::Series& from = shared_.series(at.interval, part);
    const auto needed =
        static_cast<std::int64_t>(std::min(wanted, static_cast<double>(from.n_terms)));
    const std::int64_t n = std::min(from.n_terms, (needed + panel) / panel * panel);
    Tails& tails = at.tails[part];
    // P = sum t_i y^i and P' over the first n terms, t_i = T_i or, for odd phi, T_{i+1}
    extend(at.basis, from, std::min(from.n_terms, odd ? n + panel : n), tails);
    double power[block], p[block] = {}, d[block] = {}, index[block], y16 = 1.0;
    for (int j = 0; j < block; ++j) {
      power[j] = y16;
      index[j] = j;
      y16 *= y;
    }
    // odd phi: T_0 + (c + c^2)(t_1 + t_2 y + ...)
    const double* t = tails.tail.data() + (odd ? 1 : 0);
    for (std::int64_t i = 0; i < n; i += block)
      for (int j = 0; j < block; ++j) {
        const double term = t[i + j] * power[j];
        p[j] += term;
        d[j] += index[j] * term;
        power[j] *= y16;
        index[j] += block;
      }
    double value = 0.0, slope = 0.0;  // P and P'
    for (int j = block - 1; j >= 0; --j) {
      value += p[j];
      slope += d[j];
    }
    slope = y > 0.0 ? slope / y : t[1];
    // deficit / delta, and its derivative with respect to c
    const double ratio = odd ? tails.tail[0] + (c + y) * value : value;
    const double ratio_slope = odd ? (1.0 + 2.0 * c) * value + (c + y) * 2.0 * c * slope : slope;
    *out.deficit = delta * ratio;
    *out.product = at.second - *out.deficit;
    *out.slope_product = (ratio - delta * ratio_slope) / q;
    return true;
  }

  /// The first n tails, n a multiple of panel.
  static void extend(const double* basis, const Interpolation::Series& from, std::int64_t n,
                     Tails& to) {
    if (to.n_terms == 0) to.tail.assign(from.n_terms + panel, 0.0);
    for (; to.n_terms < n; to.n_terms += panel) {
      double total[panel] = {};
      for (int k = 0; k < Interpolation::n_nodes; ++k) {
        const double* tail = from.tail.data() + k * from.n_terms + to.n_terms;
        for (int j = 0; j < panel; ++j) total[j] += basis[k] * tail[j];
      }
      std::copy(total, total + panel, to.tail.data() + to.n_terms);
    }
  }

  const Interpolation& shared_;
  std::unique_ptr<Expectation> exact_;
  std::array<Cell, n_lanes> cells_;
  int next_ = 0, oldest_ = -1;
  std::vector<double> x_;
  std::vector<int> interval_;
};

}  // namespace meanfree
