// Complex numbers as two plain doubles: the operators of std::complex call a library function for
// the sake of infinities, and its logarithm does not vectorise. Everything here is branch-free.
#pragma once
#include <cmath>
#include <cstdint>

#include "meanfree/special.hpp"

// After the arguments of a lambda that a loop has to vectorise.
#if defined(__GNUC__) || defined(__clang__)
#define MEANFREE_INLINED __attribute__((always_inline))
#else
#define MEANFREE_INLINED
#endif

namespace meanfree {

struct Complex {
  double re = 0.0, im = 0.0;
};

MEANFREE_INLINE Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
MEANFREE_INLINE Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
MEANFREE_INLINE Complex operator-(Complex a) { return {-a.re, -a.im}; }
MEANFREE_INLINE Complex operator*(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
MEANFREE_INLINE Complex operator*(double a, Complex b) { return {a * b.re, a * b.im}; }
MEANFREE_INLINE Complex operator+(double a, Complex b) { return {a + b.re, b.im}; }
MEANFREE_INLINE Complex operator+(Complex a, double b) { return {a.re + b, a.im}; }
MEANFREE_INLINE Complex operator-(double a, Complex b) { return {a - b.re, -b.im}; }
MEANFREE_INLINE Complex operator-(Complex a, double b) { return {a.re - b, a.im}; }
MEANFREE_INLINE Complex& operator+=(Complex& a, Complex b) { return a = a + b; }

/// |z|^2; of use while it neither over- nor underflows.
MEANFREE_INLINE double norm(Complex z) { return z.re * z.re + z.im * z.im; }
MEANFREE_INLINE double size(Complex z) { return std::fabs(z.re) + std::fabs(z.im); }
inline double abs(Complex z) {
  const double n = norm(z);
  return n > 1e-280 && n < 1e280 ? std::sqrt(n) : std::hypot(z.re, z.im);
}

namespace detail {

/// z scale is of order 1 and scale a power of two; `exponent` its biased binary exponent.
MEANFREE_INLINE double unit_scale(Complex z, std::uint64_t& exponent) {
  const double a = std::fabs(z.re), b = std::fabs(z.im);
  const std::uint64_t low = 0x0040000000000000, high = 0x7fb0000000000000;  // 2^-1019, 2^1020
  std::uint64_t e = special::detail::bits(a > b ? a : b) & 0x7ff0000000000000;
  e = e < low ? low : (e > high ? high : e);
  exponent = e;
  return special::detail::from_bits(0x7fe0000000000000 - e);
}

}  // namespace detail

/// 1 / z.
MEANFREE_INLINE Complex inverse(Complex z) {
  std::uint64_t exponent;
  const double scale = detail::unit_scale(z, exponent);
  const Complex y{z.re * scale, z.im * scale};
  const double factor = scale / norm(y);
  return {y.re * factor, -y.im * factor};
}

MEANFREE_INLINE Complex operator/(Complex a, Complex b) { return a * inverse(b); }

/// Principal argument; the sign of a zero imaginary part counts.
MEANFREE_INLINE double arg(Complex z) {
  constexpr double quarter = 1.5707963267948966, half = 3.141592653589793;
  const double a = std::fabs(z.re), b = std::fabs(z.im);
  const bool steep = b > a;
  const double large = steep ? b : a, small = steep ? a : b;
  const double angle = special::atan(small / (large > 0.0 ? large : 1.0));
  const double first = steep ? quarter - angle : angle;
  return std::copysign(z.re < 0.0 ? half - first : first, z.im);
}

/// log |z| for |z| > 0.
MEANFREE_INLINE double log_abs(Complex z) {
  std::uint64_t exponent;
  const double scale = detail::unit_scale(z, exponent);
  const double a = z.re * scale, b = z.im * scale;
  const double k =
      special::detail::from_bits((exponent >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0);
  const double n = a * a + b * b;
  return special::detail::fma(k, 0.6931471805599453,
                              0.5 * special::detail::log_normal(n, 0.0, 0.0));
}

/// Principal logarithm.
MEANFREE_INLINE Complex log(Complex z) { return {log_abs(z), arg(z)}; }

/// log(1 + z), given 1 + z too: it keeps the digits of a small z.
MEANFREE_INLINE Complex log_one_plus(Complex z, Complex one) {
  std::uint64_t exponent;
  const double scale = detail::unit_scale(one, exponent);
  const double a = one.re * scale, b = one.im * scale;
  const double k =
      special::detail::from_bits((exponent >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0);
  const double square = norm(z), extra = z.re + z.re + square, near = 1.0 + extra;
  const bool small = square < 0.25;
  const double y = small ? near : a * a + b * b;
  const double big = 1.0 - (near - extra), little = extra - (near - 1.0);
  const double lost = extra > 1.0 ? big : little;
  const double correction = small ? lost / y : 0.0;
  const double half_log = 0.5 * special::detail::log_normal(y, 0.0, correction);
  return {special::detail::fma(small ? 0.0 : k, 0.6931471805599453, half_log), arg(one)};
}

/// exp(z) for |Im z| <= special::largest_angle.
MEANFREE_INLINE Complex exp(Complex z) {
  const double r = special::exp(z.re);
  return {r * special::cos(z.im), r * special::sin(z.im)};
}

/// The root with a real part >= 0.
inline Complex sqrt(Complex z) {
  const double r = abs(z);
  if (r == 0.0) return {};
  const double large = std::sqrt(0.5 * (r + std::fabs(z.re))), small = 0.5 * z.im / large;
  return z.re >= 0.0 ? Complex{large, small}
                     : Complex{std::fabs(small), std::copysign(large, z.im)};
}

/// n complex numbers side by side; loops over them vectorise.
template <int n>
struct Lanes {
  double re[n], im[n];

  MEANFREE_INLINE Complex operator[](int i) const { return {re[i], im[i]}; }
  MEANFREE_INLINE void set(int i, Complex z) { re[i] = z.re, im[i] = z.im; }
};

/// out[i] = f(i).
template <int n, class F>
MEANFREE_INLINE void fill(Lanes<n>& out, F f) {
  MEANFREE_INDEPENDENT
  for (int i = 0; i < n; ++i) {
    const Complex z = f(i);
    out.re[i] = z.re;
    out.im[i] = z.im;
  }
}

}  // namespace meanfree
