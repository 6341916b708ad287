// Lengths, curvature and turning of a curve h(t) in R^N, point by point: v = h', a = h'' and the
// part of a across v, a_ = a - (v.a / v.v) v, give
//
//     metric  v.v / N      curvature  N kappa^2 = N a_.a_ / (v.v)^2      Gauss map  a_.a_ / v.v
//
// and their averages and integrals over t. From the points alone: the chords d_i = h_{i+1} - h_i,
// and the angle from one to the next, atan2(|e_|, |d_i| + d_i.e / |d_i|) with e = d_{i+1} - d_i and
// e_ its part across d_i, so that small angles keep their digits.
//
// Points that are right to a length s (in all directions alike, each for itself) add 2 s^2 to the
// square of a chord, and 6 s^2 / |d|^2 to that of an angle. A sum of which that makes more than
// 1 % is not known.
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
  /// |d|, and s^2 / |d|^2.
  void chord(double length, double noise) {
    const double part = length / std::sqrt(n_);
    chord_length_ += part;
    chord_noise_ += part * (1.0 - std::sqrt(std::max(0.0, 1.0 - 2.0 * noise)));
  }
  /// |d|, d.e and |e_|^2; s^2 / |d|^2 of both chords.
  void turn(double length, double de, double across, double noise, double next_noise) {
    const double angle = std::atan2(std::sqrt(std::max(0.0, across)), length + de / length);
    const double added = std::min(1.0, 3.0 * (noise + next_noise) / (angle * angle));
    turning_angle_ += angle;
    turning_noise_ += angle > 0.0 ? angle * (added / (1.0 + std::sqrt(1.0 - added))) : 0.0;
  }

  bool finite() const { return std::isfinite(q_ + metric_ + chord_length_ + largest_); }

  void write(double* out, std::int64_t stride) const {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const bool chords = chord_noise_ <= largest_noise * chord_length_;
    const bool angles = chords && turning_noise_ <= largest_noise * turning_angle_ + least_angle;
    const double values[curve_fields] = {q_ / weight_,
                                         metric_ / weight_,
                                         curvature_squared_ / weight_,
                                         gauss_metric_ / weight_,
                                         euclidean_length_,
                                         grassmannian_length_,
                                         chords ? chord_length_ : nan,
                                         angles ? turning_angle_ : nan};
    for (int field = 0; field < curve_fields; ++field) out[field * stride] = values[field];
  }

 private:
  static constexpr double largest_noise = 0.01, least_angle = 1e-6;  // of a straight line

  double n_;
  double weight_ = 0.0, q_ = 0.0, metric_ = 0.0, curvature_squared_ = 0.0, gauss_metric_ = 0.0;
  double euclidean_length_ = 0.0, grassmannian_length_ = 0.0;
  double chord_length_ = 0.0, turning_angle_ = 0.0, largest_ = 0.0;
  double chord_noise_ = 0.0, turning_noise_ = 0.0;
};

/// |x|, x.x being given; also where that is beyond the range of a double, or nearly.
inline double norm(const double* x, double square, std::int64_t n) {
  if (square > 1e-200 && square < 1e200) return std::sqrt(square);
  double largest = 0.0, sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  if (!(largest > 0.0) || !std::isfinite(largest)) return largest;
  for (std::int64_t i = 0; i < n; ++i) sum += (x[i] / largest) * (x[i] / largest);
  return largest * std::sqrt(sum);
}

/// Of the points, in units in the last place, if little was added up to make them.
constexpr double start_rounding = 0.5;

/// The length to which a point h is right that is the sum of a bias and of a product, whose
/// rounding is given in units in the last place.
template <class Scalar>
inline double rounding(const double* h, const double* bias, double of_product, std::int64_t n) {
  const auto [hh, pp] = sums<2>(n, [=](auto at, auto* y) {
    const auto product = at(h) - at(bias);
    y[0] = at(h) * at(h);
    y[1] = product * product;
  });
  constexpr double epsilon = std::numeric_limits<Scalar>::epsilon();
  constexpr double least = std::numeric_limits<Scalar>::denorm_min();
  return of_product * epsilon * std::sqrt(pp) + least * std::sqrt(static_cast<double>(n)) +
         start_rounding * std::numeric_limits<double>::epsilon() * norm(h, hh, n);
}

/// A curve whose points arrive one after another.
class CurveWalk {
 public:
  explicit CurveWalk(std::int64_t width)
      : totals(width),
        n_(width),
        first_(width),
        last_(width),
        first_step_(width),
        step_(width),
        next_(width) {}

  CurveTotals totals;

  /// h, right to `noise`, and where not null v and a. `carried`, zeros at first, holds for each
  /// point and the chord that ends there s^2 / |d|^2, which layers pass on: noise grows as chords
  /// do.
  void add(double weight, const double* h, const double* v, const double* a, double noise,
           double* carried) {
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
    if (count_ == 0) {
      std::copy_n(h, n_, first_.data());
      first_noise_ = noise;
    } else {
      go_to(h, noise, carried + count_);
    }
    ++count_;
    std::copy_n(h, n_, last_.data());
    last_noise_ = noise;
  }

  /// After the last point: the way back to the first one, if the curve is closed.
  void finish(bool closed, double* carried) {
    if (!closed || count_ < 2) return;
    go_to(first_.data(), first_noise_, carried);
    if (moved_) turn_to(first_step_);
  }

 private:
  /// A chord times 2^-exponent, its length, and s^2 / |d|^2.
  struct Chord {
    explicit Chord(std::int64_t n) : entries(n) {}
    Buffer entries;
    int exponent = 0;
    double length = 0.0, noise = 0.0;
  };

  /// A point that repeats the one before adds nothing.
  void go_to(const double* h, double noise, double* carried) {
    double* d = next_.entries.data();
    const double* last = last_.data();
    for (std::int64_t i = 0; i < n_; ++i) d[i] = h[i] - last[i];
    const double dd = sums<1>(n_, [=](auto at, auto* y) { y[0] = at(d) * at(d); })[0];
    const double length = norm(d, dd, n_);
    if (length == 0.0) return;
    const double one = noise / length, other = last_noise_ / length;
    *carried += 0.5 * (one * one + other * other);
    next_.noise = *carried;
    totals.chord(length, next_.noise);
    next_.exponent = dd > 1e-200 && dd < 1e200 ? 0 : std::ilogb(length);
    if (next_.exponent != 0) {
      for (std::int64_t i = 0; i < n_; ++i) d[i] = std::scalbn(d[i], -next_.exponent);
    }
    next_.length = std::scalbn(length, -next_.exponent);
    if (moved_) {
      turn_to(next_);
    } else {
      first_step_ = next_;
    }
    moved_ = true;
    std::swap(step_, next_);
  }

  void turn_to(const Chord& chord) {
    const double *d = step_.entries.data(), *next = chord.entries.data();
    const double unit = std::scalbn(1.0, chord.exponent - step_.exponent);
    const double length = step_.length;
    const double de =
        sums<1>(n_, [=](auto at, auto* y) { y[0] = at(d) * (unit * at(next) - at(d)); })[0];
    const double ratio = de / (length * length);
    const double across = sums<1>(n_, [=](auto at, auto* y) {
      const auto e = (unit * at(next) - at(d)) - ratio * at(d);
      y[0] = e * e;
    })[0];
    totals.turn(length, de, across, step_.noise, chord.noise);
  }

  std::int64_t n_, count_ = 0;
  bool moved_ = false;
  double first_noise_ = 0.0, last_noise_ = 0.0;
  Buffer first_, last_;
  Chord first_step_, step_, next_;
};

}  // namespace detail
}  // namespace meanfree
