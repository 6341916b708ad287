// Moments of the spectrum by Lagrange's inversion: with lambda(m) = A(m) / m,
//     m_k = (1 / k) [m^(k - 1)] A(m)^k,
// on power series scaled such that m_1 = 1.
#pragma once
#include <cmath>
#include <vector>

#include "meanfree/spectral_equation.hpp"

namespace meanfree {

namespace detail {

using Series = std::vector<long double>;

/// log of a series that begins with 1.
inline Series log_series(const Series& a) {
  Series b(a.size(), 0.0L);
  for (std::size_t n = 1; n < a.size(); ++n) {
    b[n] = a[n] * n;
    for (std::size_t j = 1; j < n; ++j) b[n] -= j * b[j] * a[n - j];
    b[n] /= n;
  }
  return b;
}

/// exp(k a) of a series that begins with 0.
inline Series exp_series(const Series& a, long double k) {
  Series b(a.size(), 0.0L);
  b[0] = 1.0L;
  for (std::size_t n = 1; n < a.size(); ++n) {
    for (std::size_t j = 1; j <= n; ++j) b[n] += j * k * a[j] * b[n - j];
    b[n] /= n;
  }
  return b;
}

/// log(x mu_1^-1 y) as a series in y / 1, where E[t / (x - t)] = y: Lagrange's inversion of
/// y = w f(w), w = mu_1 / x, f = sum mu_(k+1) / mu_1^(k+1) w^k; log(y / w) = log f(w(y)), whose
/// coefficients are [y^n] log(y / w) = (1 / n) [w^n] (1 - ... ) by the same formula.
inline Series log_inverse(const SlopeLaw& law, std::size_t size) {
  Series f(size, 0.0L);
  const long double mean = law.mean();
  for (std::size_t k = 0; k < size; ++k) f[k] = law.scaled_moment(static_cast<int>(k) + 1);
  (void)mean;
  const Series log_f = log_series(f);
  // H = log f: [y^n] H(w(y)) = (1 / n) [w^(n - 1)] H'(w) f(w)^-n
  Series h(size, 0.0L);
  for (std::size_t n = 1; n < size; ++n) {
    const Series power = exp_series(log_f, -static_cast<long double>(n));
    for (std::size_t j = 1; j <= n; ++j) h[n] += j * log_f[j] * power[n - j];
    h[n] /= n;
  }
  return h;
}

}  // namespace detail

/// log m_k and m_k / m_1^k for k = 1, ..., n.
inline void spectral_moments(const SpectralEquation& equation, int n, double* log_moment,
                             double* relative) {
  using detail::Series;
  const std::size_t size = static_cast<std::size_t>(n);
  Series a(size, 0.0L);  // log A(m) - log m_1
  for (const LogTerm& term : equation.terms()) {
    if (term.a == 0.0) continue;
    const long double ratio = static_cast<long double>(term.rho) / term.a;
    long double power = 1.0L;
    for (std::size_t k = 1; k < size; ++k) {
      power *= -ratio;
      a[k] -= term.c * power / k;
    }
  }
  for (std::size_t l = 0; l < equation.n_laws(); ++l) {
    if (equation.use(l).n == 0.0) continue;
    const Series h = detail::log_inverse(equation.law(l), size);
    long double power = 1.0L;
    for (std::size_t k = 1; k < size; ++k) {
      power *= equation.use(l).r;
      a[k] += equation.use(l).n * h[k] * power;
    }
  }
  if (size > 1) a[1] += equation.linear();
  for (std::size_t k = 1; k < size; ++k)
    a[k] += (k % 2 == 1 ? 1.0L : -1.0L) * equation.fractional();
  for (int k = 1; k <= n; ++k) {
    const long double ratio = detail::exp_series(a, k)[k - 1] / k;
    relative[k - 1] = static_cast<double>(ratio);
    log_moment[k - 1] = k * equation.log_mean() + static_cast<double>(std::log(ratio));
  }
}

}  // namespace meanfree
