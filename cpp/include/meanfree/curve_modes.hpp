// A closed curve by its Fourier coefficients in the parameter, h(t) = sum_k a_k cos k t + b_k sin k
// t: if the curve is smooth on the scale of its points, a layer takes one product with the few
// coefficients of phi(h), and the derivatives follow from them.
//
// phi(h) is resolved by the points if it has a frequency M, beyond which the second derivative
// loses no more than a small fraction of its mean square: 1e-8 in double precision (of the curve
// itself, about M^2 times less), 1e-5 in single.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/curve_geometry.hpp"
#include "meanfree/fourier.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"

namespace meanfree {
namespace detail {

/// One layer after another of a network; the columns of coefficients are a_0, a_1, b_1, a_2, ...
template <class Scalar>
class CurveModes {
  using Matrix = MatrixOf<Scalar>;

 public:
  static constexpr double tolerance = sizeof(Scalar) == 8 ? 1e-8 : 1e-5;

  /// At most `largest` frequencies are kept.
  CurveModes(const Activation& phi, std::int64_t width, std::int64_t n_points, int parts,
             std::int64_t largest)
      : phi_(phi),
        n_(width),
        points_(n_points),
        parts_(parts),
        fourier_(n_points),
        kept_(std::min(fourier_.frequencies(), largest)),
        cosine_(lanes * fourier_.frequencies()),
        sine_(lanes * fourier_.frequencies()),
        image_(lanes * n_points),
        energy_(static_cast<std::size_t>(fourier_.frequencies())),
        sums_(kinds * Fourier::half * n_points) {
    for (int p = 0; p < 3; ++p) value_.emplace_back(p < parts ? lanes * n_points : 1);
  }

  /// The coefficients of rows of points, `rows` x n_points, into `modes`; false if they are not
  /// resolved.
  bool analyse(const ConstViewOf<double>& curve, WorkspaceOf<double>& modes) {
    std::fill(energy_.begin(), energy_.end(), 0.0);
    modes.resize(curve.rows(), 2 * kept_ - 1);
    for (Index row = 0; row < curve.rows(); row += lanes) {
      const Index rows = std::min<Index>(lanes, curve.rows() - row);
      std::fill_n(image_.data(), lanes * points_, 0.0);
      for (Index t = 0; t < points_; ++t) {
        for (Index i = 0; i < rows; ++i) image_.data()[lanes * t + i] = curve(row + i, t);
      }
      keep(image_.data(), row, rows, modes);
    }
    return resolve(modes);
  }

  /// The curve of `modes` and `bias` is measured; x <- the coefficients of scale phi(h). False if
  /// they are not resolved. `raw`, if not null, gets h, v, a: (parts, n_points, width).
  bool through(const WorkspaceOf<Scalar>& modes, const double* bias, const double* weight,
               double scale, bool last, CurveTotals& totals, WorkspaceOf<Scalar>& x, double* raw,
               Pause& pause) {
    std::fill_n(sums_.data(), kinds * Fourier::half * points_, 0.0);
    std::fill(energy_.begin(), energy_.end(), 0.0);
    if (!last) x.resize(n_, 2 * kept_ - 1);
    for (Index row = 0; row < n_; row += lanes) {
      const Index rows = std::min<Index>(lanes, n_ - row);
      synthesise(modes, bias, row, rows);
      if (raw != nullptr) copy(row, rows, raw, points_ * n_, n_, 1);
      measure();
      if (!last) {
        double *h = value_[0].data(), *y = image_.data();
        constexpr Index block = 4096;
        for (Index i = 0; i < lanes * points_; i += block) {
          phi_.value(h + i, std::min(block, lanes * points_ - i), y + i);
        }
        for (Index i = 0; i < lanes * points_; ++i) y[i] *= scale;
        keep(y, row, rows, x);
      }
      pause.check();
    }
    total(weight, totals);
    return last || resolve(x);
  }

  /// h, v, a at all points, side by side: width x parts n_points.
  void expand(const WorkspaceOf<Scalar>& modes, const double* bias, WorkspaceOf<Scalar>& h,
              Pause& pause) {
    h.resize(n_, parts_ * points_);
    for (Index row = 0; row < n_; row += lanes) {
      const Index rows = std::min<Index>(lanes, n_ - row);
      synthesise(modes, bias, row, rows);
      copy(row, rows, h.map().data(), points_ * n_, n_, 1);
      pause.check();
    }
  }

 private:
  static constexpr int lanes = Fourier::signals;
  enum Kind { hh, vv, va, aa, dd, de, ee, kinds };

  /// value_ <- h, v, a of some rows.
  void synthesise(const WorkspaceOf<Scalar>& modes, const double* bias, Index row, Index rows) {
    const Index count = (modes.cols() + 1) / 2;
    const Eigen::Map<const Matrix> c = modes.map();
    double *a = cosine_.data(), *b = sine_.data();
    std::fill_n(a, lanes * count, 0.0);
    std::fill_n(b, lanes * count, 0.0);
    for (Index i = 0; i < rows; ++i) a[i] = static_cast<double>(c(row + i, 0)) + bias[row + i];
    for (Index k = 1; k < count; ++k) {
      for (Index i = 0; i < rows; ++i) {
        a[lanes * k + i] = static_cast<double>(c(row + i, 2 * k - 1));
        b[lanes * k + i] = static_cast<double>(c(row + i, 2 * k));
      }
    }
    for (int p = 0; p < parts_; ++p) {
      if (p > 0) {
        for (Index k = 0; k < count; ++k) {
          const double f = static_cast<double>(k);
          for (Index i = lanes * k; i < lanes * (k + 1); ++i) {
            const double before = a[i];
            a[i] = f * b[i];
            b[i] = -f * before;
          }
        }
      }
      std::copy_n(fourier_.synthesise(a, b, count), lanes * points_, value_[p].data());
    }
  }

  template <class To>
  void copy(Index row, Index rows, To* out, Index part, Index point, Index unit) {
    for (int p = 0; p < parts_; ++p) {
      const double* from = value_[p].data();
      for (Index t = 0; t < points_; ++t) {
        To* to = out + p * part + t * point + row * unit;
        for (Index i = 0; i < rows; ++i) to[i * unit] = static_cast<To>(from[lanes * t + i]);
      }
    }
  }

  void measure() {
    constexpr int half = Fourier::half;
    const auto at = [](Buffer& x, Index t, int side) {
      return Fourier::load(x.data() + lanes * t + half * side);
    };
    for (Index t = 0; t < points_; ++t) {
      double* sum = sums_.data() + kinds * half * t;
      const Index next = t + 1 < points_ ? t + 1 : 0, second = next + 1 < points_ ? next + 1 : 0;
      Vector terms[kinds];
      for (int kind = 0; kind < kinds; ++kind) terms[kind] = Fourier::load(sum + half * kind);
      for (int side = 0; side < 2; ++side) {
        const Vector h = at(value_[0], t, side), d = at(value_[0], next, side) - h;
        const Vector e = (at(value_[0], second, side) - at(value_[0], next, side)) - d;
        terms[hh] += h * h;
        terms[dd] += d * d;
        terms[de] += d * e;
        terms[ee] += e * e;
        if (parts_ == 1) continue;
        const Vector v = at(value_[1], t, side);
        terms[vv] += v * v;
        if (parts_ == 2) continue;
        const Vector a = at(value_[2], t, side);
        terms[va] += v * a;
        terms[aa] += a * a;
      }
      for (int kind = 0; kind < kinds; ++kind) Fourier::store(sum + half * kind, terms[kind]);
    }
  }

  void total(const double* weight, CurveTotals& totals) {
    constexpr int half = Fourier::half;
    constexpr double epsilon = std::numeric_limits<double>::epsilon();  // of the points
    double first_noise = 0.0, noise = 0.0;                              // of the chord from t on
    double before[kinds] = {};
    for (Index t = 0; t < points_; ++t) {
      double s[kinds] = {};
      const double* sum = sums_.data() + kinds * half * t;
      for (int kind = 0; kind < kinds; ++kind) {
        for (int i = 0; i < half; ++i) s[kind] += sum[half * kind + i];
      }
      totals.point(weight[t], s[hh]);
      if (parts_ > 1) totals.velocity(weight[t], s[vv]);
      if (parts_ > 2) {
        const double along = s[vv] > 0.0 ? s[va] / s[vv] * s[va] : 0.0;
        totals.acceleration(weight[t], s[vv], std::max(0.0, s[aa] - along));
      }
      const double next_noise = epsilon * epsilon * s[hh] / s[dd];
      if (t == 0) first_noise = next_noise;
      turn(before, noise, next_noise, totals);
      if (s[dd] > 0.0) totals.chord(std::sqrt(s[dd]), next_noise);
      std::copy_n(s, +kinds, before);
      noise = next_noise;
    }
    turn(before, noise, first_noise, totals);
  }

  static void turn(const double* s, double noise, double next_noise, CurveTotals& totals) {
    if (!(s[dd] > 0.0)) return;
    totals.turn(std::sqrt(s[dd]), s[de], s[ee] - s[de] / s[dd] * s[de], noise, next_noise);
  }

  template <class To>
  void keep(const double* f, Index row, Index rows, WorkspaceOf<To>& modes) {
    const Index all = fourier_.frequencies();
    double *a = cosine_.data(), *b = sine_.data();
    fourier_.analyse(f, a, b, all);
    for (Index k = 0; k < all; ++k) {
      double sum = 0.0;
      for (Index i = lanes * k; i < lanes * k + rows; ++i) sum += a[i] * a[i] + b[i] * b[i];
      energy_[static_cast<std::size_t>(k)] += sum;
    }
    Eigen::Map<MatrixOf<To>> c = modes.map();
    for (Index i = 0; i < rows; ++i) c(row + i, 0) = static_cast<To>(a[i]);
    for (Index k = 1; k < kept_; ++k) {
      for (Index i = 0; i < rows; ++i) {
        c(row + i, 2 * k - 1) = static_cast<To>(a[lanes * k + i]);
        c(row + i, 2 * k) = static_cast<To>(b[lanes * k + i]);
      }
    }
  }

  /// Drop the columns that do not matter, unless that is none: the next frequencies, a few and an
  /// eighth, must hold less than the tolerance, and so must the rounding of those that are kept.
  template <class To>
  bool resolve(WorkspaceOf<To>& modes) {
    const Index all = fourier_.frequencies();
    const auto power = [this](Index k) {
      const double f = static_cast<double>(k);
      return energy_[static_cast<std::size_t>(k)] * (f * f) * (f * f);
    };
    double whole = 0.0, below = 0.0;
    for (const double e : energy_) whole += e;
    // squares that overflow, or that rounding to subnormal numbers may have changed
    constexpr double least = sizeof(Scalar) == 8 ? 1e-200 : 1e-50;
    if (!std::isfinite(whole) || (whole < least && whole > 0.0)) return false;
    Index counted = 0;
    for (Index k = 0; k < kept_; k += 1 + k / 64) {
      while (counted <= k) below += power(counted++);
      const Index end = k + 17 + k / 8;
      if (end > all) return false;
      double window = 0.0;
      for (Index j = k + 1; j < end; ++j) window += power(j);
      if (!(window <= tolerance * tolerance * below)) continue;
      const double f = static_cast<double>(k), epsilon = std::numeric_limits<double>::epsilon();
      const double noise =
          epsilon * epsilon * whole * (f * f * f * f * f) / static_cast<double>(points_);
      if (noise > tolerance * tolerance * below) return false;
      modes.shrink_columns(2 * k + 1);
      return true;
    }
    return false;
  }

  const Activation& phi_;
  const Index n_, points_;
  const int parts_;
  Fourier fourier_;
  const Index kept_;
  Buffer cosine_, sine_, image_;
  std::vector<double> energy_;
  std::vector<Buffer> value_;  // h, v, a
  Buffer sums_;
};

}  // namespace detail
}  // namespace meanfree
