// Sine, cosine and their inverses as branch-free scalar code (see special.hpp).
#pragma once
#include <cmath>
#include <cstdint>

#include "meanfree/vectorisable.hpp"

namespace meanfree {
namespace special {

namespace detail {

constexpr double half_pi_high = 0x1.921fb54442d18p+0, half_pi_low = 0x1.1a62633145c07p-54;

/// sin(x - k pi) for 2 k an integer near 2 x / pi, |k| < 2^16: the products with the first two
/// parts of pi (36 bits each) are exact, so the difference keeps its relative accuracy near its
/// zeros.
MEANFREE_INLINE double sin_minus_pi_times(double x, double k) {
  const double r =
      fma(-k, 0x1.98a2e03707345p-76, fma(-k, 0x1.68c234c4cp-38, fma(-k, 0x1.921fb5444p+1, x)));
  const double u = r * r;
  const double p =
      polynomial(u, -0.16666666666666666, 0.008333333333333194, -0.00019841269841209205,
                 2.7557319211134853e-06, -2.505210687256118e-08, 1.6058939692329856e-10,
                 -7.642991092297769e-13, 2.7212179119214735e-15);
  return r * fma(u, p, 1.0);
}

}  // namespace detail

constexpr double largest_angle = 131072.0;

/// sin(x) for |x| <= largest_angle, relatively accurate next to its zeros as well; the array
/// function has no limit.
MEANFREE_INLINE double sin(double x) {
  const double shifted = detail::fma(x, 0.3183098861837907, detail::shifter);
  const double s = detail::sin_minus_pi_times(x, shifted - detail::shifter);
  return detail::from_bits(detail::bits(s) ^ (detail::bits(shifted) << 63));
}

/// cos(x) = -(-1)^n sin(x - (n + 1/2) pi), likewise.
MEANFREE_INLINE double cos(double x) {
  const double shifted = detail::fma(x, 0.3183098861837907, -0.5) + detail::shifter;
  const double s = detail::sin_minus_pi_times(x, (shifted - detail::shifter) + 0.5);
  return detail::from_bits(detail::bits(s) ^ (~detail::bits(shifted) << 63));
}

/// arcsin(x), by pi/2 - 2 arcsin(sqrt((1 - |x|) / 2)) beyond 1/2; NaN outside [-1, 1].
MEANFREE_INLINE double asin(double x) {
  const double a = std::fabs(x);
  const bool inner = a <= 0.5;
  const double z = inner ? a * a : 0.5 * (1.0 - a);
  const double s = inner ? a : std::sqrt(z);
  const double p = detail::polynomial(
      z, 0.16666666666665408, 0.07500000000337041, 0.04464285682830804, 0.030381959137705278,
      0.022371758034917175, 0.01735970496737053, 0.013885233718172551, 0.012169221560461255,
      0.006527938129579985, 0.019528353663486125, -0.01622437440647334, 0.03191234330540023);
  const double y = detail::fma(s * z, p, s);
  const double outer = detail::half_pi_high - detail::fma(2.0, y, -detail::half_pi_low);
  return std::copysign(inner ? y : outer, x);
}

/// arctan(x), by pi/4 + arctan((x - 1) / (x + 1)) beyond tan(pi/8), pi/2 - arctan(1/x) beyond
/// tan(3 pi/8).
MEANFREE_INLINE double atan(double x) {
  const double a = std::fabs(x);
  const bool middle = a > 0.41421356237309503, large = a > 2.414213562373095;
  const double numerator = large ? -1.0 : (middle ? a - 1.0 : a);
  const double denominator = large ? a : (middle ? a + 1.0 : 1.0);
  const double base = large ? detail::half_pi_high : (middle ? 0.5 * detail::half_pi_high : 0.0);
  const double t = numerator / denominator;
  const double z = t * t;
  const double p = detail::polynomial(
      z, -0.3333333333333015, 0.19999999999088308, -0.1428571419520215, 0.11111106651009058,
      -0.09090782349882591, 0.07690067391648371, -0.0664111311208617, 0.05692495931616254,
      -0.043589689780811534, 0.02125827842985464);
  return std::copysign(base + detail::fma(t * z, p, t), x);
}

namespace detail {

/// y = near(x), and far(x) where |x| > largest_angle; y may be x.
template <class Near, class Far>
void by_angle(const double* x, std::int64_t n, double* y, Near near, Far far) {
  constexpr std::int64_t block = 256;
  for (std::int64_t first = 0; first < n; first += block) {
    const std::int64_t last = first + block < n ? first + block : n;
    std::int64_t n_far = 0;
    for (std::int64_t i = first; i < last; ++i) n_far += std::fabs(x[i]) > largest_angle ? 1 : 0;
    if (n_far == 0) {
      MEANFREE_INDEPENDENT
      for (std::int64_t i = first; i < last; ++i) y[i] = near(x[i]);
    } else {
      for (std::int64_t i = first; i < last; ++i)
        y[i] = std::fabs(x[i]) > largest_angle ? far(x[i]) : near(x[i]);
    }
  }
}

}  // namespace detail

/// sin of n values of any size; y may be x.
inline void sin(const double* x, std::int64_t n, double* y) {
  detail::by_angle(x, n, y, [](double v) { return sin(v); }, [](double v) { return std::sin(v); });
}

/// cos of n values of any size; y may be x.
inline void cos(const double* x, std::int64_t n, double* y) {
  detail::by_angle(x, n, y, [](double v) { return cos(v); }, [](double v) { return std::cos(v); });
}

}  // namespace special
}  // namespace meanfree
