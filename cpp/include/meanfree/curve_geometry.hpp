// Lengths, curvature and turning of a curve h(t) in R^N, point by point: v = h', a = h'' and the
// part of a across v, a_ = a - (v.a / v.v) v, give
//
//     metric  v.v / N      curvature  N kappa^2 = N a_.a_ / (v.v)^2      Gauss map  a_.a_ / v.v
//
// and their averages and integrals over t. From the points alone: the chords d_i = h_{i+1} - h_i,
// and the angle from one to the next, atan2(|d_i x e|, d_i.d_i + d_i.e) with e = d_{i+1} - d_i, so
// that small angles keep their digits.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "meanfree/sums.hpp"

namespace meanfree {

/// What is measured of a curve, in this order.
constexpr int curve_fields = 8;

namespace detail {

/// The sums of one curve.
class CurveTotals {
 public:
  explicit CurveTotals(std::int64_t width) : n_(static_cast<double>(width)) {}

  void point(double weight, double hh) {
    weight_ += weight;
    q_ += weight * hh / n_;
  }
  void velocity(double weight, double vv) {
    metric_ += weight * vv / n_;
    euclidean_length_ += weight * std::sqrt(vv / n_);
  }
  /// `across` is |a_|^2. Where the curve stands still the curvature is infinite, as that of a
  /// circle shrunk to a point, and the direction undefined.
  void acceleration(double weight, double vv, double across) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const double gauss = vv > 0.0 ? across / vv : std::numeric_limits<double>::quiet_NaN();
    gauss_metric_ += weight * gauss;
    grassmannian_length_ += weight * std::sqrt(gauss);
    curvature_squared_ += weight * (vv > 0.0 ? gauss / (vv / n_) : infinity);
    largest_ = std::max(largest_, across);
  }
  void chord(double dd) { chord_length_ += std::sqrt(dd / n_); }
  /// d.d, d.e and |d|^2 |e|^2 - (d.e)^2.
  void turn(double dd, double de, double cross_squared) {
    turning_angle_ += std::atan2(std::sqrt(std::max(0.0, cross_squared)), dd + de);
  }

  bool finite() const { return std::isfinite(q_ + metric_ + chord_length_ + largest_); }

  void write(double* out, std::int64_t stride) const {
    const double values[curve_fields] = {q_ / weight_,
                                         metric_ / weight_,
                                         curvature_squared_ / weight_,
                                         gauss_metric_ / weight_,
                                         euclidean_length_,
                                         grassmannian_length_,
                                         chord_length_,
                                         turning_angle_};
    for (int field = 0; field < curve_fields; ++field) out[field * stride] = values[field];
  }

 private:
  double n_;
  double weight_ = 0.0, q_ = 0.0, metric_ = 0.0, curvature_squared_ = 0.0, gauss_metric_ = 0.0;
  double euclidean_length_ = 0.0, grassmannian_length_ = 0.0;
  double chord_length_ = 0.0, turning_angle_ = 0.0, largest_ = 0.0;
};

/// A curve whose points arrive one after another.
class CurveWalk {
 public:
  explicit CurveWalk(std::int64_t width)
      : totals(width),
        n_(width),
        first_(width),
        first_step_(width),
        last_(width),
        step_(width),
        next_(width) {}

  CurveTotals totals;

  /// h, and where not null v and a.
  void add(double weight, const double* h, const double* v, const double* a) {
    totals.point(weight, sums<1>(n_, [=](auto at, auto* y) { y[0] = at(h) * at(h); })[0]);
    if (v != nullptr && a == nullptr) {
      totals.velocity(weight, sums<1>(n_, [=](auto at, auto* y) { y[0] = at(v) * at(v); })[0]);
    } else if (v != nullptr) {
      const auto [vv, va] = sums<2>(n_, [=](auto at, auto* y) {
        y[0] = at(v) * at(v);
        y[1] = at(v) * at(a);
      });
      totals.velocity(weight, vv);
      totals.acceleration(weight, vv, vv > 0.0 ? squared_distance(a, v, va / vv, n_) : 0.0);
    }
    if (count_++ == 0) {
      std::copy_n(h, n_, first_.data());
    } else {
      go_to(h);
    }
    std::copy_n(h, n_, last_.data());
  }

  /// After the last point: the way back to the first one, if the curve is closed.
  void finish(bool closed) {
    if (!closed || count_ < 2) return;
    go_to(first_.data());
    if (moved_) turn_to(first_step_.data());
  }

 private:
  /// A point that repeats the one before adds nothing.
  void go_to(const double* h) {
    double* d = next_.data();
    const double* last = last_.data();
    for (std::int64_t i = 0; i < n_; ++i) d[i] = h[i] - last[i];
    const double dd = sums<1>(n_, [=](auto at, auto* y) { y[0] = at(d) * at(d); })[0];
    if (dd == 0.0) return;
    totals.chord(dd);
    if (moved_) {
      turn_to(d);
    } else {
      std::copy_n(d, n_, first_step_.data());
    }
    moved_ = true;
    std::swap(step_, next_);
  }

  void turn_to(const double* next) {
    const double* d = step_.data();
    const auto [dd, de] = sums<2>(n_, [=](auto at, auto* y) {
      y[0] = at(d) * at(d);
      y[1] = at(d) * (at(next) - at(d));
    });
    const double ratio = de / dd;
    const double across = sums<1>(n_, [=](auto at, auto* y) {
      const auto e = (at(next) - at(d)) - ratio * at(d);
      y[0] = e * e;
    })[0];
    totals.turn(dd, de, dd * across);
  }

  std::int64_t n_, count_ = 0;
  bool moved_ = false;
  Buffer first_, first_step_, last_, step_, next_;
};

}  // namespace detail
}  // namespace meanfree
