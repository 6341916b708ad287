// Elementary and error functions as branch-free scalar code: arithmetic, selects and bit casts
// only, so that the compiler vectorises every plain loop that calls them, on any instruction set.
// Relative error at most 2e-15 where the result is a normal number (a few steps of 4.9e-324 below);
// NaN propagates, infinities have their limits, the sign of zero is kept. The bits of a value
// depend on the instruction set only, never on where it stands in an array. Polynomials: minimax
// fits made by cpp/tools/special_coefficients.py.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "meanfree/trigonometric.hpp"
#include "meanfree/vectorisable.hpp"

namespace meanfree {
namespace special {

namespace detail {

constexpr double ln2_high = 0x1.62e42fefa2p-1, ln2_low = 0x1.9ef35793c7673p-41;

/// exp(x) = 2^k (1 + fraction), |fraction| < 0.42; the low bits of `biased` are k + bias.
struct Exponential {
  std::uint64_t biased;
  double fraction;
};

/// Of x + low, low a small correction (-0.0 adds nothing, not even an instruction).
template <int bias>
MEANFREE_INLINE Exponential exponential(double x, double low = -0.0) {
  const double shifted = fma(x, 1.4426950408889634, shifter + bias);
  const double k = shifted - (shifter + bias);
  const double r = fma(-k, ln2_low, fma(-k, ln2_high, x)) + low;
  const double p = polynomial(r, 0.5000000000000007, 0.16666666666666696, 0.041666666666562414,
                              0.008333333333293244, 0.0013888888936179546, 0.00019841269986890583,
                              2.4801499752421387e-05, 2.7557116906541284e-06, 2.762823073015771e-07,
                              2.516136993548382e-08);
  return {bits(shifted), fma(r * r, p, r)};
}

/// For |k| < 1022: 2^k is one number.
constexpr int narrow = 1023;
MEANFREE_INLINE double power_of_two(std::uint64_t biased) { return from_bits(biased << 52); }

/// For |k| < 2000: 2^k, which may be subnormal or too large, is the product of two numbers.
constexpr int wide = 2046;
struct TwoPowers {
  double first;
  double second;
};
MEANFREE_INLINE TwoPowers two_powers(std::uint64_t biased) {
  const std::uint64_t first = (biased << 51) & 0x7ff0000000000000;
  return {from_bits(first), from_bits((biased << 52) - first)};
}

/// exp(x) factor, rounded once where it is subnormal.
MEANFREE_INLINE double scaled(const Exponential& e, double factor) {
  const TwoPowers power = two_powers(e.biased);
  return fma(e.fraction, factor, factor) * power.first * power.second;
}

/// exp(x) = 2^k (centre + r) / (centre - r), |r| <= ln 2 / 2, centre = r coth(r / 2), which is even
/// in r: half the operations of `exponential` for what ends in a division anyway.
struct ExponentialRatio {
  std::uint64_t biased;
  double r;
  double centre;
};
template <int bias>
MEANFREE_INLINE ExponentialRatio exponential_ratio(double x) {
  const double shifted = fma(x, 1.4426950408889634, shifter + bias);
  const double k = shifted - (shifter + bias);
  const double r = fma(-k, ln2_low, fma(-k, ln2_high, x));
  const double z = r * r;
  const double p = horner(z, 0.16666666666666602, -0.0027777777777016057, 6.613756321585179e-05,
                          -1.6533902347548595e-06, 4.138141090312382e-08);
  return {bits(shifted), r, fma(z, p, 2.0)};
}

/// factor x^2 = high + low, the factor a power of two.
struct Square {
  double high;
  double low;
};
MEANFREE_INLINE Square square(double x, double factor) {
#if defined(__FP_FAST_FMA)
  const double y = factor * x, high = y * x;
  return {high, fma(y, x, -high)};
#else
  const double head = from_bits(bits(x) & 0xfffffffff8000000), tail = x - head;
  return {(factor * head) * head, (factor * tail) * (x + head)};
#endif
}

/// log(x) + k_offset ln 2 + correction, x normal, positive, finite.
MEANFREE_INLINE double log_normal(double x, double k_offset, double correction) {
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd;
  const std::uint64_t u = bits(x) - root_half + 0x3ff0000000000000;  // x / sqrt(1/2), roughly
  const double k = from_bits((u >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0) + k_offset;
  const double f = from_bits((u & 0x000fffffffffffff) + root_half) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double p =
      polynomial(z, 0.6666666666666734, 0.39999999999414354, 0.28571428742467264,
                 0.2222219856432506, 0.1818356482038324, 0.15314037083808216, 0.14796092333432095);
  return fma(k, ln2_high, fma(s, fma(z, p, 2.0), fma(k, ln2_low, correction)));
}

/// exp(x^2) erfc(x) for x in [0, 28]: a polynomial in (x - 4) / (x + 4), divided by 1 + 2 x.
MEANFREE_INLINE double scaled_erfc(double x) {
  const double a = x + 4.0, b = fma(2.0, x, 1.0), inverse = 1.0 / (a * b);
  const double t = (x - 4.0) * (b * inverse);
  const double p = polynomial(
      t, 1.2329951186255526, -0.13962111684056316, 0.015379652102605907, 0.06809705425476291,
      -0.10103906603555182, 0.0937328349962279, -0.06633036582836488, 0.0371675155654722,
      -0.01619773387858, 0.0050319697891561726, -0.0007577744537030879, -0.00019925602537355813,
      0.0001506263891949891, -2.4400232641897632e-05, -1.1234159315058758e-05, 5.70899948992408e-06,
      3.134567142279886e-07, -8.199774873579248e-07, 5.5609050768744856e-08, 1.0152031728632849e-07,
      -8.219954676869877e-09, -8.44171154648473e-09);
  return p * (a * inverse);
}

/// -log(1 - erf(x)) / x for x in [0, 6], as accurate as erf needs it.
MEANFREE_INLINE double erf_exponent(double x) {
  return polynomial(x, 1.1283791670955126, 0.6366197723676116, 0.10277260330005877,
                    -0.019128446963042424, -0.00020919523049698388, 0.001696210530951405,
                    -0.0005901468163476942, 2.5955214361556745e-05, 6.428999837472009e-05,
                    -2.9323520511964368e-05, 2.7958403863084273e-06, 3.5647101822002833e-06,
                    -2.429818310586015e-06, 8.537281114953608e-07, -1.7409945883388334e-07,
                    8.372897971499502e-09, 7.782225472867519e-09, -3.1531382072933474e-09,
                    6.811089047107971e-10, -9.548539534963133e-11, 8.721427570805565e-12,
                    -4.755108650426136e-13, 1.1800744743390456e-14);
}

}  // namespace detail

/// exp(x).
MEANFREE_INLINE double exp(double x) {
  const double clamped = std::copysign(detail::at_most(std::fabs(x), 746.0), x);
  const auto e = detail::exponential<detail::wide>(clamped);
  const auto power = detail::two_powers(e.biased);
  return (1.0 + e.fraction) * power.first * power.second;
}

/// exp(x) - 1, accurate near 0.
MEANFREE_INLINE double expm1(double x) {
  const double below = std::copysign(detail::at_most(std::fabs(x), 710.0), x);
  const auto e = detail::exponential<detail::narrow - 1>(detail::at_least(below, -40.0));
  const double half = detail::power_of_two(e.biased);  // 2^(k - 1), as k may be 1024
  const double result = 2.0 * detail::fma(half, e.fraction, half - 0.5);
  return std::fabs(x) < 1e-300 ? x : result;
}

/// log(x); -inf at 0, NaN below.
MEANFREE_INLINE double log(double x) {
  const bool subnormal = x < std::numeric_limits<double>::min();
  const double y = detail::log_normal(subnormal ? x * 0x1p54 : x, subnormal ? -54.0 : 0.0, 0.0);
  const double positive = x < detail::infinity ? y : x;
  return x > 0.0 ? positive : (x == 0.0 ? -detail::infinity : detail::nan);
}

/// log(1 + x), accurate near 0; -inf at -1, NaN below.
MEANFREE_INLINE double log1p(double x) {
  const double y = 1.0 + x;
  const double lost = x > 1.0 ? 1.0 - (y - x) : x - (y - 1.0);
  const double z = detail::log_normal(y, 0.0, lost / y);
  const double positive = x < detail::infinity ? (x == 0.0 ? x : z) : x;
  return x > -1.0 ? positive : (x == -1.0 ? -detail::infinity : detail::nan);
}

/// tanh(x) = (1 - e) / (1 + e), e = exp(-2 |x|).
MEANFREE_INLINE double tanh(double x) {
  const double a = std::fabs(x);
  const auto e = detail::exponential_ratio<detail::narrow>(-detail::at_most(a + a, 40.0));
  const double power = detail::power_of_two(e.biased);
  const double below = detail::fma(e.centre, 1.0 - power, -(e.r * (1.0 + power)));
  const double above = detail::fma(power, e.centre + e.r, e.centre - e.r);
  return std::copysign(below / above, x);
}

/// 1 - tanh(x)^2 = 4 e / (1 + e)^2, e = exp(-2 |x|), accurate in the tails.
MEANFREE_INLINE double sech_squared(double x) {
  const double a = std::fabs(x);
  const auto e = detail::exponential_ratio<detail::wide>(-detail::at_most(a + a, 750.0));
  const auto power = detail::two_powers(e.biased);
  const double small = (e.centre + e.r) * power.first, large = e.centre - e.r;
  const double sum = detail::fma(small, power.second, large);
  return (4.0 * small) * large / (sum * sum) * power.second;
}

/// 1 / (1 + exp(-x)).
MEANFREE_INLINE double sigmoid(double x) {
  const auto e = detail::exponential_ratio<detail::wide>(-detail::at_most(std::fabs(x), 746.0));
  const auto power = detail::two_powers(e.biased);
  const double small = (e.centre + e.r) * power.first, large = e.centre - e.r;
  const double sum = detail::fma(small, power.second, large);
  return (x < 0.0 ? small : large) / sum * (x < 0.0 ? power.second : 1.0);
}

/// log(1 + exp(x)) = max(x, 0) + 2 artanh(e / (2 + e)), e = exp(-|x|).
MEANFREE_INLINE double softplus(double x) {
  const auto e = detail::exponential_ratio<detail::wide>(-detail::at_most(std::fabs(x), 746.0));
  const auto power = detail::two_powers(e.biased);
  const double small = (e.centre + e.r) * power.first, large = e.centre - e.r;
  const double ratio = small / detail::fma(small, power.second, large + large);
  const double s = ratio * power.second;
  const double z = s * s;
  const double p =
      detail::polynomial(z, 0.6666666666667788, 0.3999999999599792, 0.2857142906316004,
                         0.22222192655848572, 0.18182820704704433, 0.15364192509445418,
                         0.13587242407034003, 0.09898324909769006, 0.17748815176062369);
  return detail::fma(ratio * detail::fma(z, p, 2.0), power.second, x < 0.0 ? 0.0 : x);
}

/// erf(x) = -expm1(-|x| erf_exponent(|x|)) sign(x).
MEANFREE_INLINE double erf(double x) {
  const double a = detail::at_most(std::fabs(x), 6.0);
  const auto e = detail::exponential<detail::narrow>(-a * detail::erf_exponent(a));
  const double power = detail::power_of_two(e.biased);
  return std::copysign(detail::fma(power, e.fraction, power - 1.0), x);
}

/// 1 - erf(x), accurate in the upper tail.
MEANFREE_INLINE double erfc(double x) {
  const double a = detail::at_most(std::fabs(x), 28.0);
  const auto s = detail::square(a, -1.0);
  const auto e = detail::exponential<detail::wide>(s.high, s.low);
  const double tail = detail::scaled(e, detail::scaled_erfc(a));
  return x < 0.0 ? 2.0 - tail : tail;
}

/// P(z <= x), z ~ N(0, 1), accurate in the lower tail.
MEANFREE_INLINE double normal_cdf(double x) {
  const double a = detail::at_most(std::fabs(x), 39.0);
  const auto s = detail::square(a, -0.5);
  const auto e = detail::exponential<detail::wide>(s.high, s.low);
  const double tail = detail::scaled(e, 0.5 * detail::scaled_erfc(a * 0.7071067811865476));
  return x < 0.0 ? tail : 1.0 - tail;
}

/// exp(-x^2 / 2) / sqrt(2 pi), accurate in the tails.
MEANFREE_INLINE double normal_pdf(double x) {
  const auto s = detail::square(detail::at_most(std::fabs(x), 39.0), -0.5);
  return detail::scaled(detail::exponential<detail::wide>(s.high, s.low), 0.3989422804014327);
}

}  // namespace special
}  // namespace meanfree
