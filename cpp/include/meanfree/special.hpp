// Elementary and error functions as branch-free scalar code: arithmetic, selects and bit casts
// only, so that the compiler vectorises every plain loop that calls them, on any instruction set.
// Relative error at most 2e-15 where the result is a normal number (a few steps of 4.9e-324 below);
// NaN propagates, infinities have their limits, the sign of zero is kept. The bits of a value
// depend on the instruction set only, never on where it stands in an array. Polynomials: minimax
// fits made by cpp/tools/special_coefficients.py.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__GNUC__) || defined(__clang__)
#define MEANFREE_INLINE inline __attribute__((always_inline))
#else
#define MEANFREE_INLINE inline
#endif

// Before a loop whose iterations do not depend on one another although its arrays may be the same.
#if defined(__GNUC__) && !defined(__clang__)
#define MEANFREE_INDEPENDENT _Pragma("GCC ivdep")
#else
#define MEANFREE_INDEPENDENT
#endif

namespace meanfree {
namespace special {

namespace detail {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double half_pi_high = 0x1.921fb54442d18p+0, half_pi_low = 0x1.1a62633145c07p-54;
constexpr double ln2_high = 0x1.62e42fefa2p-1, ln2_low = 0x1.9ef35793c7673p-41;
constexpr double shifter = 0x1.8p52;  // adding it rounds to an integer, held by the low bits
constexpr std::uint64_t sign_bit = 0x8000000000000000;

/// a b + c: one rounding where the instruction set has it, two elsewhere. Written out so that the
/// compiler has no choice which products to fuse.
MEANFREE_INLINE double fma(double a, double b, double c) {
#if defined(__FP_FAST_FMA)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

MEANFREE_INLINE std::uint64_t bits(double x) {
  std::uint64_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}

MEANFREE_INLINE double from_bits(std::uint64_t u) {
  double x;
  std::memcpy(&x, &u, sizeof x);
  return x;
}

// NaN passes both.
MEANFREE_INLINE double at_least(double x, double low) { return x < low ? low : x; }
MEANFREE_INLINE double at_most(double x, double high) { return x > high ? high : x; }

MEANFREE_INLINE double blocks_of_four(double, double, double, double c0) { return c0; }
MEANFREE_INLINE double blocks_of_four(double x, double, double, double c0, double c1) {
  return fma(c1, x, c0);
}
MEANFREE_INLINE double blocks_of_four(double x, double x2, double, double c0, double c1,
                                      double c2) {
  return fma(c2, x2, fma(c1, x, c0));
}
MEANFREE_INLINE double blocks_of_four(double x, double x2, double, double c0, double c1, double c2,
                                      double c3) {
  return fma(fma(c3, x, c2), x2, fma(c1, x, c0));
}
template <class... C>
MEANFREE_INLINE double blocks_of_four(double x, double x2, double x4, double c0, double c1,
                                      double c2, double c3, double c4, C... more) {
  return fma(blocks_of_four(x, x2, x4, c4, more...), x4, blocks_of_four(x, x2, x4, c0, c1, c2, c3));
}

/// c0 + c1 x + c2 x^2 + ..., with a shorter chain of dependent operations than Horner's.
template <class... C>
MEANFREE_INLINE double polynomial(double x, C... c) {
  const double x2 = x * x;
  return blocks_of_four(x, x2, x2 * x2, c...);
}

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
MEANFREE_INLINE double power_of_two(const Exponential& e) { return from_bits(e.biased << 52); }

/// For |k| < 2000: 2^k, which may be subnormal or too large, is the product of two numbers.
constexpr int wide = 2046;
struct TwoPowers {
  double first;
  double second;
};
MEANFREE_INLINE TwoPowers two_powers(const Exponential& e) {
  const std::uint64_t first = (e.biased << 51) & 0x7ff0000000000000;
  return {from_bits(first), from_bits((e.biased << 52) - first)};
}

/// exp(x) factor, rounded once where it is subnormal.
MEANFREE_INLINE double scaled(const Exponential& e, double factor) {
  const TwoPowers power = two_powers(e);
  return fma(e.fraction, factor, factor) * power.first * power.second;
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

/// log(1 + x) for x in [0, 1].
MEANFREE_INLINE double log1p_unit(double x) {
  const double s = x / (2.0 + x);
  const double z = s * s;
  const double p = polynomial(z, 0.6666666666667788, 0.3999999999599792, 0.2857142906316004,
                              0.22222192655848572, 0.18182820704704433, 0.15364192509445418,
                              0.13587242407034003, 0.09898324909769006, 0.17748815176062369);
  return s * fma(z, p, 2.0);
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
                 -7.642991092297769e-13, 2.7211702914413735e-15);
  return r * fma(u, p, 1.0);
}

}  // namespace detail

/// exp(x).
MEANFREE_INLINE double exp(double x) {
  const double clamped = std::copysign(detail::at_most(std::fabs(x), 746.0), x);
  const auto e = detail::exponential<detail::wide>(clamped);
  const auto power = detail::two_powers(e);
  return (1.0 + e.fraction) * power.first * power.second;
}

/// exp(x) - 1, accurate near 0.
MEANFREE_INLINE double expm1(double x) {
  const double below = std::copysign(detail::at_most(std::fabs(x), 710.0), x);
  const auto e = detail::exponential<detail::narrow - 1>(detail::at_least(below, -40.0));
  const double half = detail::power_of_two(e);  // 2^(k - 1), as k may be 1024
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

/// log(x) of a normal, positive, finite number: no special cases, hence faster.
MEANFREE_INLINE double log_normal(double x) { return detail::log_normal(x, 0.0, 0.0); }

/// log(1 + x), accurate near 0; -inf at -1, NaN below.
MEANFREE_INLINE double log1p(double x) {
  const double y = 1.0 + x;
  const double lost = x > 1.0 ? 1.0 - (y - x) : x - (y - 1.0);
  const double z = detail::log_normal(y, 0.0, lost / y);
  const double positive = x < detail::infinity ? (x == 0.0 ? x : z) : x;
  return x > -1.0 ? positive : (x == -1.0 ? -detail::infinity : detail::nan);
}

/// tanh(x).
MEANFREE_INLINE double tanh(double x) {
  const auto e = detail::exponential<detail::narrow>(detail::at_least(-2.0 * std::fabs(x), -40.0));
  const double power = detail::power_of_two(e);
  const double t = detail::fma(power, e.fraction, power - 1.0);  // expm1(-2 |x|)
  return std::copysign(t / (2.0 + t), x);
}

/// 1 - tanh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|), accurate in the tails.
MEANFREE_INLINE double sech_squared(double x) {
  const auto e = detail::exponential<detail::wide>(detail::at_least(-2.0 * std::fabs(x), -750.0));
  const auto power = detail::two_powers(e);
  const double root = (1.0 + e.fraction) * power.first;
  const double d = detail::fma(root, power.second, 1.0);
  return 4.0 / (d * d) * root * power.second;
}

/// 1 / (1 + exp(-x)).
MEANFREE_INLINE double sigmoid(double x) {
  const auto e = detail::exponential<detail::wide>(detail::at_least(-std::fabs(x), -746.0));
  const auto power = detail::two_powers(e);
  const double small = (1.0 + e.fraction) * power.first * power.second;
  return (x < 0.0 ? small : 1.0) / (1.0 + small);
}

/// log(1 + exp(x)).
MEANFREE_INLINE double softplus(double x) {
  const auto e = detail::exponential<detail::wide>(detail::at_least(-std::fabs(x), -746.0));
  const auto power = detail::two_powers(e);
  const double small = (1.0 + e.fraction) * power.first * power.second;
  return (x < 0.0 ? 0.0 : x) + detail::log1p_unit(small);
}

/// exp(-x^2), accurate in the tails.
MEANFREE_INLINE double gaussian(double x) {
  const auto s = detail::square(detail::at_most(std::fabs(x), 28.0), -1.0);
  return detail::scaled(detail::exponential<detail::wide>(s.high, s.low), 1.0);
}

/// erf(x) = -expm1(-|x| erf_exponent(|x|)) sign(x).
MEANFREE_INLINE double erf(double x) {
  const double a = detail::at_most(std::fabs(x), 6.0);
  const auto e = detail::exponential<detail::narrow>(-a * detail::erf_exponent(a));
  const double power = detail::power_of_two(e);
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

constexpr double largest_angle = 131072.0;

/// sin(x) for |x| <= largest_angle; the array function has no limit.
MEANFREE_INLINE double sin(double x) {
  const double shifted = detail::fma(x, 0.3183098861837907, detail::shifter);
  const double s = detail::sin_minus_pi_times(x, shifted - detail::shifter);
  return detail::from_bits(detail::bits(s) ^ (detail::bits(shifted) << 63));
}

/// cos(x) = -(-1)^n sin(x - (n + 1/2) pi) for |x| <= largest_angle; the array function has no
/// limit.
MEANFREE_INLINE double cos(double x) {
  const double shifted = detail::fma(x, 0.3183098861837907, -0.5) + detail::shifter;
  const double s = detail::sin_minus_pi_times(x, (shifted - detail::shifter) + 0.5);
  return detail::from_bits(detail::bits(s) ^ (~detail::bits(shifted) << 63));
}

struct SineCosine {
  double sine;
  double cosine;
};

/// sin(2 pi u) and cos(2 pi u) for u in [0, 1].
MEANFREE_INLINE SineCosine sincos_2pi(double u) {
  const double shifted = detail::fma(u, 4.0, detail::shifter);
  const double r = detail::fma(shifted - detail::shifter, -0.25, u);
  const double z = r * r;
  const double s = r * detail::polynomial(z, 6.283185307179586, -41.341702240399634,
                                          81.60524927594466, -76.70585970335208, 42.058684906298126,
                                          -15.09379772964267, 3.7807306188542373);
  const double c =
      detail::fma(z,
                  detail::polynomial(z, -19.739208802178485, 64.93939402238969, -85.45681709413904,
                                     60.24462035816544, -26.42426537819175, 7.810363267750168),
                  1.0);
  const std::uint64_t quadrant = detail::bits(shifted);  // an odd one swaps sine and cosine
  const std::uint64_t swap = (detail::bits(s) ^ detail::bits(c)) & (0 - (quadrant & 1));
  return {detail::from_bits(detail::bits(s) ^ swap ^ ((quadrant << 62) & detail::sign_bit)),
          detail::from_bits(detail::bits(c) ^ swap ^ (((quadrant + 1) << 62) & detail::sign_bit))};
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
