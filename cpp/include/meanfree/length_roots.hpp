// Fixed points of the length map V(q) = (sigma_w^2 / keep) E phi^2 + sigma_b^2 (Poole et al. 2016).
// E phi^2 depends on q alone: one table over log q brackets the roots for every sigma_w, sigma_b,
// and its cubic interpolation is the start of Newton's method on the averages themselves.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/graded.hpp"
#include "meanfree/special.hpp"

namespace meanfree {

/// One network ensemble: sigma_w^2, sigma_b^2 and the keep probability of dropout.
struct Scale {
  double weight, bias, keep;
  double gain() const { return keep == 1.0 ? weight : weight / keep; }  // of the length map
};

namespace detail {

/// About the root of the cubic with these values and slopes at 0 and 1, f0 f1 <= 0: two steps of
/// Newton's method.
MEANFREE_INLINE double cubic_root(double f0, double f1, double d0, double d1) {
  using special::detail::fma;
  using special::detail::horner;
  const double chord = f0 / (f0 - f1), start = (chord >= 0.0) & (chord <= 1.0) ? chord : 0.5;
  const double c3 = fma(-2.0, f1 - f0, d0 + d1), c2 = f1 - f0 - d0 - c3;
  double t = start;
  for (int step = 0; step < 2; ++step) {
    const double next = t - horner(t, f0, d0, c2, c3) / horner(t, d0, 2.0 * c2, 3.0 * c3);
    t = (next >= 0.0) & (next <= 1.0) ? next : t;
  }
  return t;
}

}  // namespace detail

/// E phi^2 and its slope on a grid of q, equal steps of log q; q = 1 is on it.
class LengthTable {
 public:
  LengthTable(const Activation& phi, Expectation& average) {
    const bool straight = phi.family == Family::homogeneous;  // needs no table
    const int below = straight ? 0 : (phi.user_defined ? 12 : 18) * per_decade,
              above = straight ? 1 : (phi.user_defined ? 6 : 12) * per_decade;
    for (int j = -below; j <= above; ++j)
      q_.push_back(std::pow(10.0, static_cast<double>(j) / per_decade));
    one_ = below;
    const double zero = 0.0;
    average.length(&zero, 1, &second_at_zero_, &slope_at_zero_);
    final_slope_squared_ = final_length_slope_ = phi.final_slope_squared;
    final_curvature_squared_ = phi.slope_jumps ? detail::infinity : 0.0;
    if (phi.user_defined) {
      fill_while_possible(average);
      final_slopes(phi, average);
    } else {
      second_.resize(q_.size());
      slope_.resize(q_.size());
      average.length(q_.data(), static_cast<std::int64_t>(q_.size()), second_.data(),
                     slope_.data());
    }
    least_slope_ = *std::min_element(slope_.begin() + one_, slope_.end());
  }

  int size() const { return static_cast<int>(q_.size()); }
  int one() const { return one_; }  // index of q = 1
  static constexpr int per_decade = 6;
  double q(int j) const { return q_[j]; }
  double second_at_zero() const { return second_at_zero_; }
  double slope_at_zero() const { return slope_at_zero_; }
  /// Limits of E phi'^2, E phi''^2 and dE phi^2/dq as q -> inf, NaN where they are not known.
  double final_slope_squared() const { return final_slope_squared_; }
  double final_curvature_squared() const { return final_curvature_squared_; }
  double final_length_slope() const { return final_length_slope_; }
  /// Does the table end early, where the function cannot be averaged any more?
  bool cut_short() const { return cut_short_; }

  /// About the root between the grid points j and j + 1: that of the cubic through V and V' there.
  MEANFREE_INLINE double root_between(double gain, double bias, std::int64_t j) const {
    using special::detail::fma;
    const double *q = q_.data() + j, *second = second_.data() + j, *slope = slope_.data() + j;
    const double width = q[1] - q[0];
    const double f0 = fma(gain, second[0], bias) - q[0], f1 = fma(gain, second[1], bias) - q[1];
    const double d0 = fma(gain, slope[0], -1.0), d1 = fma(gain, slope[1], -1.0);
    return fma(detail::cubic_root(f0, f1, width * d0, width * d1), width, q[0]);
  }

  /// V(q) - q and its derivative at grid point j.
  double excess(const Scale& s, int j) const { return s.gain() * second_[j] + s.bias - q_[j]; }
  double excess_slope(const Scale& s, int j) const { return s.gain() * slope_[j] - 1.0; }

  /// Does V(q) - q increase from q = 1 on?
  bool rises(const Scale& s) const { return s.gain() * least_slope_ > 1.0; }

  /// The last grid point from q = 1 on with V(q) > q, where E phi^2 / q falls and V(1) > 1: then
  /// they come before all others.
  int last_above(const Scale& s) const {
    constexpr int stretch = 8;  // one instruction or a few
    const double gain = s.gain(), bias = s.bias;
    int j = one_ + 1;
    for (; j + stretch <= size(); j += stretch) {
      const double *q = q_.data() + j, *second = second_.data() + j;
      double above = 0.0;
      for (int k = 0; k < stretch; ++k) above += gain * second[k] + bias > q[k] ? 1.0 : 0.0;
      if (above < stretch) return j - 1 + static_cast<int>(above);
    }
    while (j < size() && gain * second_[j] + bias > q_[j]) ++j;
    return j - 1;
  }

  /// Do neither V(q) - q nor its derivative change sign at the grid points [first, last]?
  bool monotonic(const Scale& s, int first, int last) const {
    const double gain = s.gain(), bias = s.bias;
    const double *q = q_.data(), *second = second_.data(), *slope = slope_.data();
    int above = 0, rising = 0;
    for (int j = first; j <= last; ++j) {
      above += gain * second[j] + bias - q[j] > 0.0 ? 1 : 0;
      rising += gain * slope[j] - 1.0 > 0.0 ? 1 : 0;
    }
    const int n = last - first + 1;
    return (above == 0 || above == n) && (rising == 0 || rising == n);
  }

 private:
  void fill_while_possible(Expectation& average) {
    second_.assign(q_.size(), 0.0);
    slope_.assign(q_.size(), 0.0);
    for (std::size_t j = 0; j < q_.size(); ++j) {
      try {
        average.length(&q_[j], 1, &second_[j], &slope_[j]);
      } catch (const NotConverged&) {
        if (static_cast<int>(j) <= one_) throw;
        cut_short_ = true;
      }
      if (cut_short_) {
        q_.resize(j);
        return;
      }
    }
  }

  /// A user's function: what the slopes have settled to at the end of the table, infinite if they
  /// still grow there; E phi''^2 of a function that settles to straight lines falls like q^(-1/2).
  void final_slopes(const Activation& phi, Expectation& average) {
    const double top[2] = {0.1 * q_.back(), q_.back()};
    double squared[2], curvature[2], length[2];
    Moments m;
    m.slope_squared = squared;
    m.curvature_squared = curvature;
    m.length_slope = length;
    average.moments(top, 2, m);
    const auto limit = [&](const double* at) {
      if (at[1] > 2.0 * at[0]) return detail::infinity;
      return !cut_short_ && std::fabs(at[1] - at[0]) <= 1e-3 * std::fabs(at[1]) + 1e-6
                 ? at[1]
                 : std::nan("");
    };
    final_slope_squared_ = limit(squared);
    final_length_slope_ = limit(length);
    const bool straightens = !cut_short_ && curvature[1] < 0.5 * curvature[0];
    if (!phi.slope_jumps) final_curvature_squared_ = straightens ? 0.0 : limit(curvature);
  }

  std::vector<double> q_, second_, slope_;
  int one_ = 0;
  bool cut_short_ = false;
  double second_at_zero_ = 0.0, slope_at_zero_ = 0.0, final_slope_squared_ = 0.0,
         final_length_slope_ = 0.0, final_curvature_squared_ = 0.0, least_slope_ = 0.0;
};

/// An interval in which V(q) - q changes sign, and a first guess of the root.
struct Bracket {
  double left, right, guess;
  bool falling;            // V(q) - q goes from + to -: a stable root if V' > -1
  std::int64_t index = 0;  // of `left` in the table where the guess is NaN: to be made from there
};

/// Finds and polishes the fixed points of one activation; one per thread.
class LengthRoots {
 public:
  LengthRoots(const LengthTable& table, Expectation& average, bool concave)
      : table_(table), average_(average), concave_(concave) {}

  enum class End { root, zero, infinity };

  /// Where iteration from q = 1 leads; fills `bracket` if to a root. V is taken to increase.
  End from_one(const Scale& s, Bracket& bracket) {
    const double start = table_.excess(s, table_.one());
    return start > 0.0 ? upwards(s, bracket) : downwards(s, bracket);
  }

  /// Brackets of all roots q > 0, ascending.
  std::vector<Bracket> all(const Scale& s) {
    std::vector<Bracket> found;
    Bracket bracket;
    if (below_table(s, bracket)) found.push_back(bracket);
    for (int j = first(s); j + 1 < table_.size(); ++j) interval(s, j, found);
    if (above_table(s, bracket)) found.push_back(bracket);
    return found;
  }

  /// Newton's method inside the brackets, all of them together. Returns q and V'(q).
  void polish(const Scale* s, const Bracket* brackets, std::int64_t n, double* q, double* slope) {
    using special::detail::fma;
    for (auto& column : columns_) column.resize(n);
    index_.resize(n);
    double *gain = column(0), *bias = column(1), *left = column(2), *right = column(3);
    double *falling = column(4), *previous = column(5), *done = column(6);
    double *second = column(7), *derivative = column(8);
    for (std::int64_t i = 0; i < n; ++i) {
      gain[i] = s[i].gain();
      bias[i] = s[i].bias;
      left[i] = brackets[i].left;
      right[i] = brackets[i].right;
      falling[i] = brackets[i].falling ? 1.0 : 0.0;
      previous[i] = detail::infinity;
      done[i] = 0.0;
      q[i] = brackets[i].guess;
      index_[i] = brackets[i].index;
    }
    MEANFREE_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const double root = table_.root_between(gain[i], bias[i], index_[i]);
      q[i] = q[i] == q[i] ? q[i] : root;
    }
    for (int step = 0; step < 100; ++step) {
      average_.length(q, n, second, derivative);
      MEANFREE_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) {
        const double at = q[i], f = fma(gain[i], second[i], bias[i]) - at;
        const double d = fma(gain[i], derivative[i], -1.0);
        const bool below = (f > 0.0 ? 1.0 : 0.0) == falling[i], open = done[i] == 0.0;
        const double low = below ? at : left[i], high = below ? right[i] : at;
        const double newton = at - f / d;
        const double next = (newton >= low) & (newton <= high) ? newton : 0.5 * (low + high);
        const double move = std::fabs(next - at);
        // done where the next step, about move^2 / |d q|, is at rounding level, or where noise
        // stops the steps from shrinking
        const bool settled = (f == 0.0) | (move * move <= 1e-17 * std::fabs(d) * at * at) |
                             ((move < 1e-9 * at) & (move >= 0.5 * previous[i]));
        left[i] = low;
        right[i] = high;
        previous[i] = move;
        slope[i] = open ? d + 1.0 : slope[i];
        q[i] = open ? next : at;
        done[i] = open & !settled ? 0.0 : 1.0;
      }
      double open = 0.0;
      for (std::int64_t i = 0; i < n; ++i) open += done[i] == 0.0 ? 1.0 : 0.0;
      if (open == 0.0) return;
    }
  }

 private:
  double excess(const Scale& s, double q, double& slope) {
    double second, derivative;
    average_.length(&q, 1, &second, &derivative);
    slope = s.gain() * derivative - 1.0;
    return s.gain() * second + s.bias - q;
  }

  /// Where to start looking. If V(0) = 0, the sign of V(q) - q is rounding noise for the smallest
  /// q.
  int first(const Scale& s) const {
    if (s.gain() * table_.second_at_zero() + s.bias > 0.0) return 0;
    int j = 0;
    while (table_.q(j) < 1e-15) ++j;
    return j;
  }

  /// Its guess is left to `polish`.
  Bracket between(const Scale& s, int j) const {
    return {table_.q(j), table_.q(j + 1), std::nan(""), table_.excess(s, j) > 0.0, j};
  }

  /// Roots between grid points j and j + 1: one where the sign changes, two where an extremum
  /// reaches across zero.
  void interval(const Scale& s, int j, std::vector<Bracket>& found) {
    const double f0 = table_.excess(s, j), f1 = table_.excess(s, j + 1);
    if ((f0 > 0.0) != (f1 > 0.0)) {
      found.push_back(between(s, j));
      return;
    }
    const double d0 = table_.excess_slope(s, j), d1 = table_.excess_slope(s, j + 1);
    const bool dips = f0 > 0.0 && d0 < 0.0 && d1 > 0.0, rises = f0 < 0.0 && d0 > 0.0 && d1 < 0.0;
    if (!dips && !rises) return;
    // far from zero against what the slopes allow: nothing to look for
    const double width = table_.q(j + 1) - table_.q(j);
    if (std::fabs(f0) > std::fabs(d0) * width && std::fabs(f1) > std::fabs(d1) * width) return;
    double left = table_.q(j), right = table_.q(j + 1), slope;
    for (int step = 0; step < 60; ++step) {
      const double middle = 0.5 * (left + right), f = excess(s, middle, slope);
      if ((f > 0.0) != (f0 > 0.0)) {
        found.push_back({table_.q(j), middle, 0.5 * (table_.q(j) + middle), f0 > 0.0});
        found.push_back({middle, table_.q(j + 1), 0.5 * (middle + table_.q(j + 1)), f0 <= 0.0});
        return;
      }
      ((slope > 0.0) == (d0 > 0.0) ? left : right) = middle;
    }
  }

  End upwards(const Scale& s, Bracket& bracket) {
    if (concave_) {
      const int j = table_.last_above(s);
      if (j + 1 < table_.size()) {
        bracket = between(s, j);
        return End::root;
      }
    } else if (!table_.rises(s)) {
      std::vector<Bracket> found;
      for (int j = table_.one(); j + 1 < table_.size(); ++j) {
        if ((j - table_.one()) % stretch == 0)
          while (j + stretch < table_.size() && table_.monotonic(s, j, j + stretch)) j += stretch;
        if (j + 1 == table_.size()) break;
        interval(s, j, found);
        if (!found.empty()) {
          bracket = found.front();
          return End::root;
        }
      }
    }
    if (above_table(s, bracket)) return End::root;
    const int last = table_.size() - 1;
    if (table_.cut_short() && table_.excess_slope(s, last) < 0.0)
      throw NotConverged("no fixed point below q = " + std::to_string(table_.q(last)) +
                         ", and beyond it the function is too rough to average");
    return End::infinity;
  }

  End downwards(const Scale& s, Bracket& bracket) {
    if (concave_) {
      int low = first(s), high = table_.one();
      if (table_.excess(s, low) > 1e-15 * table_.q(low)) {
        while (high - low > 1) {
          const int middle = (low + high) / 2;
          (table_.excess(s, middle) > 0.0 ? low : high) = middle;
        }
        bracket = between(s, low);
        return End::root;
      }
    } else {
      std::vector<Bracket> found;
      const int lowest = first(s);
      for (int j = table_.one() - 1; j >= lowest; --j) {
        if ((table_.one() - 1 - j) % stretch == 0)
          while (j + 1 - stretch >= lowest && table_.monotonic(s, j + 1 - stretch, j + 1))
            j -= stretch;
        if (j < lowest) break;
        interval(s, j, found);
        if (!found.empty()) {
          bracket = found.back();
          return End::root;
        }
      }
    }
    return below_table(s, bracket) ? End::root : End::zero;
  }

  /// A root below the table: V(0) > 0 there, however small.
  bool below_table(const Scale& s, Bracket& bracket) {
    const double at_zero = s.gain() * table_.second_at_zero() + s.bias;
    if (table_.excess(s, 0) > 0.0 || !(at_zero > 0.0)) return false;
    double right = table_.q(0), left = 0.1 * right, slope;
    while (left > 1e-300 && excess(s, left, slope) <= 0.0) {
      right = left;
      left *= 0.1;
    }
    bracket = {left, right, std::sqrt(left) * std::sqrt(right), true};
    return left > 1e-300;
  }

  /// A root beyond the table, where E phi^2 grows like q: only if it grows slower than q / gain.
  bool above_table(const Scale& s, Bracket& bracket) {
    const int last = table_.size() - 1;
    if (table_.excess(s, last) <= 0.0 || table_.cut_short()) return false;
    if (!(s.gain() * table_.final_length_slope() <= 1.0 - 1e-12)) return false;
    double left = table_.q(last), right = 10.0 * left, slope;
    while (right < 1e100 && excess(s, right, slope) > 0.0) {
      left = right;
      right *= 10.0;
    }
    bracket = {left, right, std::sqrt(left) * std::sqrt(right), true};
    return right < 1e100;
  }

  double* column(int k) { return columns_[k].data(); }

  static constexpr int stretch = 16;  // intervals that are looked at together

  const LengthTable& table_;
  Expectation& average_;
  bool concave_;
  std::vector<double> columns_[9];
  std::vector<std::int64_t> index_;
};

}  // namespace meanfree
