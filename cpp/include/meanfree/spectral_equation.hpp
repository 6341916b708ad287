// The equation of the spectrum of a product of free matrices, lambda as a function of m =
// M(lambda):
//     log lambda = C + sum_j c_j log(a_j + rho_j m) + sum_l n_l log x_l + s_1 m + s_2 m / (1 + m),
//     M_l(x_l) = r_l m,   M_l(x) = E[t / (x - t)] under law l,
// principal logarithms, Im m < 0 < Im x_l. The unknowns are the x_l, m = M_1(x_1) / r_1; Newton's
// method moves log x_l and needs one evaluation of each law a step. The distribution function in
// closed form:
//     1 - CDF = (1 / pi) Im[sum_j c_j (m - (a_j / rho_j) log(a_j + rho_j m)) + sum_l n_l E_l / r_l
//               + s_1 m^2 / 2 + s_2 (log(1 + m) - m / (1 + m)) + m (log lambda - F)],
//     E_l = E[log(1 - t / x_l)],  F the right side of the equation: the last term makes it
//     stationary.
#pragma once
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "meanfree/complex.hpp"
#include "meanfree/slope_law.hpp"

namespace meanfree {

struct LawUse {
  double n, r;
};

struct LogTerm {
  double c, a, rho;
  int law = -1;         // a + rho m = rho / r_l (offset + P(t > 0) + M_l), which does not cancel
  double offset = 0.0;  // where it vanishes with lambda
};

/// Add x to a sum; what rounding takes from it is returned (Knuth).
MEANFREE_INLINE double add_to(double& sum, double x) {
  const double next = sum + x, added = next - sum;
  const double lost = (sum - (next - added)) + (x - added);
  sum = next;
  return lost;
}

/// The equation and its first derivatives at n points.
template <int n>
struct SpectralState {
  Lanes<n> m, one_plus_m, value;
  Lanes<n> slope;                 // d value / dm along M_l(x_l) = r_l m
  Lanes<n> excess;                // what the errors of M_l(x_l) = r_l m add to `value`
  std::vector<LawValues<n>> law;  // for each law
  std::vector<Lanes<n>> growth;   // d log x_l / d M_l
  std::vector<Lanes<n>> error;    // M_l(x_l) - r_l m
  std::vector<RootCache> roots;   // [l n + lane]

  /// Begin at points that have nothing to do with the last ones.
  void forget() {
    for (RootCache& cache : roots) cache.known = false;
  }
};

class SpectralEquation {
 public:
  SpectralEquation(std::vector<SlopeLaw> laws, std::vector<LawUse> uses, std::vector<LogTerm> terms,
                   double constant, double linear, double fractional)
      : laws_(std::move(laws)),
        uses_(std::move(uses)),
        constant_(constant),
        linear_(linear),
        fractional_(fractional) {
    if (laws_.empty()) {  // any law serves: this one has x = (1 + r m) / (r m)
      SlopePanels unit;
      unit.atoms = {{1.0, 1.0}};
      laws_.emplace_back(unit);
      // at the edges of a narrow bulk, linear << 1, is m = +-linear^-1/2
      explicit_ = true;
      uses_ = {{0.0, linear > 0.0 && linear < 1e-3 ? 0.5 * std::sqrt(linear) : 1.0}};
    }
    for (LogTerm term : terms) {
      if (term.c == 0.0) continue;
      for (std::size_t l = 0; l < uses_.size() && term.law < 0; ++l) {
        const double at_zero = laws_[l].at_zero();
        const double whole = term.a * uses_[l].r / term.rho, offset = (whole - 1.0) + at_zero;
        if (std::fabs(whole - 1.0) <= 1e-14)
          term.law = static_cast<int>(l), term.offset = at_zero;
        else if (l == 0 && std::fabs(offset) < 0.1 * (1.0 - at_zero))
          term.law = 0, term.offset = std::fabs(offset) > 1e-14 ? offset : 0.0;
      }
      terms_.push_back(term);
    }
    for (std::size_t l = 0; l < uses_.size() && unit_law_ < 0; ++l)
      if (uses_[l].r == 1.0) unit_law_ = static_cast<int>(l);
    log_mean_ = constant_;
    weight_ += std::fabs(linear_) + std::fabs(fractional_);
    for (const LogTerm& term : terms_) weight_ += std::fabs(term.c);
    for (const LawUse& use : uses_) weight_ += std::fabs(use.n);
    // log lambda = log_mean + power log m + logarithms of what tends to 1 as m tends to 0
    for (const LogTerm& term : terms_) {
      log_mean_ += term.c * std::log(term.a == 0.0 ? term.rho : term.a);
      if (term.a == 0.0) power_ += term.c;
    }
    for (std::size_t l = 0; l < uses_.size(); ++l) {
      if (uses_[l].n == 0.0) continue;
      log_mean_ += uses_[l].n * std::log(laws_[l].mean() / uses_[l].r);
      power_ -= uses_[l].n;
    }
  }

  std::size_t n_laws() const { return laws_.size(); }
  const SlopeLaw& law(std::size_t l) const { return laws_[l]; }
  const LawUse& use(std::size_t l) const { return uses_[l]; }
  double linear() const { return linear_; }
  double fractional() const { return fractional_; }
  const std::vector<LogTerm>& terms() const { return terms_; }
  double log_mean() const { return log_mean_; }
  bool has_panels() const {
    for (const SlopeLaw& law : laws_)
      if (law.has_panels()) return true;
    return false;
  }
  /// log lambda = C + log x: the law of t itself, up to a factor.
  bool is_law_itself() const {
    return terms_.empty() && laws_.size() == 1 && uses_[0].n == 1.0 && uses_[0].r == 1.0 &&
           linear_ == 0.0 && fractional_ == 0.0;
  }
  double constant() const { return constant_; }
  /// Of the order of the width of a limit's bulk where that is narrow, else 1.
  double narrow() const { return explicit_ ? uses_[0].r : 1.0; }
  /// The sum of what multiplies a logarithm, the size of its rounding errors.
  double weight() const { return weight_ * narrow(); }

  /// x_l for large lambda: log lambda = log_mean - log m, m = E t / (r x).
  Complex start(std::size_t l, Complex log_lambda) const {
    return exp(log_lambda - log_mean_ + std::log(laws_[l].mean() / uses_[l].r));
  }

  template <int n>
  void evaluate(const Lanes<n>* x, SpectralState<n>& state) const {
    const std::size_t size = laws_.size();
    if (state.law.size() != size)
      state.law.resize(size), state.growth.resize(size), state.error.resize(size),
          state.roots.resize(size * n);
    for (std::size_t l = 0; l < size; ++l)
      laws_[l].template evaluate<n>(x[l], state.law[l], state.roots.data() + l * n);
    const double over_r = 1.0 / uses_[0].r;
    // the logarithms of thousands of laws, -10 and pi each, cancel against n log(1 + m): `lost` is
    // what rounding takes from their sum; of a few, it is no more than that of the logarithms
    const bool many = size > few_laws;
    Lanes<n> m, value, slope, added, lost;
    const Lanes<n>& first = state.law[0].m;
    fill<n>(m, [&](int i) MEANFREE_INLINED { return over_r * first[i]; });
    state.m = m;
    if (unit_law_ >= 0)
      fill<n>(state.one_plus_m, [&](int i) MEANFREE_INLINED {
        return laws_[unit_law_].at_zero() + state.law[unit_law_].rank_plus_m[i];
      });
    else
      fill<n>(state.one_plus_m, [&](int i) MEANFREE_INLINED { return 1.0 + m[i]; });
    if (explicit_) {
      limit<n>(x[0], state);
      return;
    }
    fill<n>(value, [&](int i) MEANFREE_INLINED { return log_mean_ + power_ * log(m[i]); });
    fill<n>(slope, [&](int) MEANFREE_INLINED { return Complex{}; });
    fill<n>(lost, [&](int) MEANFREE_INLINED { return Complex{}; });
    fill<n>(state.excess, [&](int) MEANFREE_INLINED { return Complex{}; });
    for (std::size_t l = 0; l < size; ++l) {
      const LawUse use = uses_[l];
      const LawValues<n>& law = state.law[l];
      const Lanes<n>& y = x[l];
      Lanes<n>& growth = state.growth[l];
      fill<n>(growth, [&](int i) MEANFREE_INLINED { return inverse(y[i] * law.slope[i]); });
      // log(x_l M_l / E t), which keeps its digits where M_l is small
      const double over_mean = 1.0 / laws_[l].mean();
      if (use.n != 0.0) {
        fill<n>(added, [&](int i) MEANFREE_INLINED {
          return use.n * log_one_plus(over_mean * law.second[i], over_mean * (y[i] * law.m[i]));
        });
        MEANFREE_INDEPENDENT
        for (int i = 0; i < n; ++i) {
          const double re = add_to(value.re[i], added.re[i]), im = add_to(value.im[i], added.im[i]);
          lost.re[i] += many ? re : 0.0, lost.im[i] += many ? im : 0.0;
        }
      }
      fill<n>(slope,
              [&](int i) MEANFREE_INLINED { return slope[i] + (use.n * use.r) * growth[i]; });
      if (l == 0) {
        fill<n>(state.error[0], [&](int) MEANFREE_INLINED { return Complex{}; });
      } else {
        Lanes<n>& error = state.error[l];
        // both laws with P(t > 0) added, which matters where m is close to its end at lambda = 0
        const double ratio = use.r * over_r;
        const double gap = (ratio - 1.0) + (laws_[l].at_zero() - ratio * laws_[0].at_zero());
        const Lanes<n>& rest = state.law[0].rank_plus_m;
        fill<n>(error, [&](int i) MEANFREE_INLINED {
          const Complex far = law.m[i] - use.r * m[i];
          const Complex near = (law.rank_plus_m[i] - ratio * rest[i]) + gap;
          const bool at_end = norm(rest[i]) < norm(first[i]);
          return Complex{at_end ? near.re : far.re, at_end ? near.im : far.im};
        });
        fill<n>(state.excess, [&](int i) MEANFREE_INLINED {
          return state.excess[i] + use.n * (error[i] * (growth[i] + inverse(law.m[i])));
        });
      }
    }
    for (const LogTerm& term : terms_) {
      Lanes<n> u;
      argument<n>(term, state, u);
      if (term.a != 0.0) {
        const double ratio = term.rho / term.a, over_a = 1.0 / term.a;
        const Lanes<n>& z = term.law > 0 ? state.law[term.law].m : m;
        const double factor = term.law > 0 ? ratio / uses_[term.law].r : ratio;
        fill<n>(value, [&](int i) MEANFREE_INLINED {
          return value[i] + term.c * log_one_plus(factor * z[i], over_a * u[i]);
        });
      }
      fill<n>(slope, [&](int i) MEANFREE_INLINED {
        return slope[i] + (term.c * term.rho) * inverse(u[i]);
      });
      if (term.law > 0) {
        const Lanes<n>& error = state.error[term.law];
        const double factor = term.c * term.rho / uses_[term.law].r;
        fill<n>(state.excess, [&](int i) MEANFREE_INLINED {
          return state.excess[i] + factor * (error[i] * inverse(u[i]));
        });
      }
    }
    fill<n>(state.value, [&](int i) MEANFREE_INLINED { return value[i] + lost[i]; });
    state.slope = slope;
  }

  /// Newton's step of every log x_l towards log lambda, of m too.
  template <int n>
  void step(const SpectralState<n>& state, const Lanes<n>& log_lambda, Lanes<n>* move,
            Lanes<n>& dm) const {
    fill<n>(dm, [&](int i) MEANFREE_INLINED {
      return (log_lambda[i] - state.value[i] + state.excess[i]) / state.slope[i];
    });
    for (std::size_t l = 0; l < laws_.size(); ++l) {
      const double r = uses_[l].r;
      fill<n>(move[l], [&](int i) MEANFREE_INLINED {
        return (r * dm[i] - state.error[l][i]) * state.growth[l][i];
      });
    }
  }

  /// 1 - CDF, log lambda real; also a bit away from the solution.
  template <int n>
  void survival(const Lanes<n>* x, SpectralState<n>& state, const Lanes<n>& log_lambda,
                double* out) const {
    Lanes<n> sum;
    const Lanes<n>& m = state.m;
    fill<n>(sum, [&](int i) MEANFREE_INLINED {
      return m[i] * (log_lambda[i] - (state.value[i] - state.excess[i]));
    });
    if (explicit_) {
      fill<n>(sum, [&](int i) MEANFREE_INLINED {
        const Complex one = state.one_plus_m[i];
        return sum[i] + (0.5 * linear_) * (m[i] * m[i]) +
               fractional_ * (log(one) - m[i] * inverse(one)) - log(one);
      });
      for (int i = 0; i < n; ++i) out[i] = sum.im[i] / pi;
      return;
    }
    for (const LogTerm& term : terms_) {
      const double factor = -term.c * term.a / term.rho;
      fill<n>(sum, [&](int i) MEANFREE_INLINED { return sum[i] + term.c * m[i]; });
      if (term.a == 0.0) continue;
      Lanes<n> u;
      argument<n>(term, state, u);
      for (int i = 0; i < n; ++i) sum.im[i] += factor * arg(u[i]);
    }
    double lost[n] = {};
    for (std::size_t l = 0; l < laws_.size(); ++l) {
      if (uses_[l].n == 0.0) continue;
      double integral[n];
      laws_[l].template log_integral<n>(x[l], integral, state.roots.data() + l * n);
      for (int i = 0; i < n; ++i)
        lost[i] += add_to(sum.im[i], (uses_[l].n / uses_[l].r) * integral[i]);
    }
    for (int i = 0; i < n; ++i) out[i] = (sum.im[i] + lost[i]) / pi;
  }

 private:
  static constexpr std::size_t few_laws = 16;

  template <int n>
  MEANFREE_INLINE void argument(const LogTerm& term, const SpectralState<n>& state,
                                Lanes<n>& out) const {
    if (term.law >= 0) {
      const Lanes<n>& rest = state.law[term.law].rank_plus_m;
      const double scale = term.rho / uses_[term.law].r, offset = term.offset;
      fill<n>(out, [&](int i) MEANFREE_INLINED { return scale * (offset + rest[i]); });
    } else {
      fill<n>(out, [&](int i) MEANFREE_INLINED { return term.a + term.rho * state.m[i]; });
    }
  }

  /// log lambda = C + log((1 + m) / m) + s_1 m + s_2 m / (1 + m).
  template <int n>
  void limit(const Lanes<n>& x, SpectralState<n>& state) const {
    const Lanes<n>& law_slope = state.law[0].slope;
    fill<n>(state.growth[0], [&](int i) MEANFREE_INLINED { return inverse(x[i] * law_slope[i]); });
    const Lanes<n>& m = state.m;
    const Lanes<n>& one = state.one_plus_m;
    Lanes<n> over_m, over;
    fill<n>(over_m, [&](int i) MEANFREE_INLINED { return inverse(m[i]); });
    fill<n>(over, [&](int i) MEANFREE_INLINED { return inverse(one[i]); });
    fill<n>(state.value, [&](int i) MEANFREE_INLINED {
      // 1 + 1 / m, with all its digits
      const Complex far = 1.0 + over_m[i], near = one[i] * over_m[i];
      const bool is_far = norm(m[i]) > 4.0;
      const Complex u{is_far ? far.re : near.re, is_far ? far.im : near.im};
      return constant_ + log_one_plus(over_m[i], u) + linear_ * m[i] +
             fractional_ * (m[i] * over[i]);
    });
    fill<n>(state.slope, [&](int i) MEANFREE_INLINED {
      return linear_ - over[i] * over_m[i] + fractional_ * (over[i] * over[i]);
    });
    fill<n>(state.excess, [&](int) MEANFREE_INLINED { return Complex{}; });
    fill<n>(state.error[0], [&](int) MEANFREE_INLINED { return Complex{}; });
  }

  std::vector<SlopeLaw> laws_;
  std::vector<LawUse> uses_;
  std::vector<LogTerm> terms_;
  double constant_, linear_, fractional_, log_mean_ = 0.0, power_ = 0.0, weight_ = 1.0;
  int unit_law_ = -1;
  bool explicit_ = false;  // a limit, without laws
};

/// x exp(move), to the third order in the step of Newton's method.
MEANFREE_INLINE Complex advanced(Complex x, Complex move) {
  return x * ((1.0 + 0.5 * move) / (1.0 - 0.5 * move));
}

}  // namespace meanfree
