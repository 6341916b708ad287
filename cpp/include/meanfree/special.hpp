// Elementary and error functions as branch-free scalar code: arithmetic, selects and bit casts
// only, so that the compiler vectorises every plain loop that calls them, on any instruction set.
// Relative error at most 2e-15 where the result is a normal number, half a subnormal step more
// below; NaN propagates, the sign of zero is kept. The bits of a value depend on the instruction
// set only, never on where it stands in an array.
// Coefficients: minimax fits made by cpp/tools/special_coefficients.py.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__GNUC__) || defined(__clang__)
#define MEANFREE_INLINE inline __attribute__((always_inline))
#else
#define MEANFREE_INLINE inline
#endif

namespace meanfree {
namespace special {

namespace detail {

/// a b + c: one rounding where the instruction set has it, two elsewhere.
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

/// c0 + c1 x + c2 x^2 + ...
MEANFREE_INLINE double horner(double, double c) { return c; }
template <class... C>
MEANFREE_INLINE double horner(double x, double c, C... more) {
  return fma(horner(x, more...), x, c);
}

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double shifter = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
constexpr std::uint64_t one = 0x3ff0000000000000;
constexpr double log2_e = 1.4426950408889634;
constexpr double ln2_high = 0x1.62e42fefa2p-1, ln2_low = 0x1.9ef35793c7673p-41;

MEANFREE_INLINE double at_least(double x, double low) { return x < low ? low : x; }
MEANFREE_INLINE double at_most(double x, double high) { return x > high ? high : x; }

/// exp(x) = 2^k (1 + fraction), |fraction| < 0.42; shifted holds k in its low bits.
struct Exponential {
  double shifted;
  double fraction;
};

/// Of x + low, where low is a small correction; |x| < 2^20.
MEANFREE_INLINE Exponential exponential(double x, double low = 0.0) {
  const double shifted = fma(x, log2_e, shifter);
  const double k = shifted - shifter;
  const double r = fma(-k, ln2_low, fma(-k, ln2_high, x)) + low;
  const double p =
      horner(r, 0.5000000000000001, 0.16666666666666669, 0.04166666666662413, 0.008333333333330062,
             0.0013888888917213717, 0.00019841269863053618, 2.4801521295954376e-05,
             2.7557268459997064e-06, 2.7620088445409746e-07, 2.510038549551032e-08);
  return {shifted, fma(r * r, p, r)};
}

/// 2^k for k in [-1022, 1023].
MEANFREE_INLINE double power_of_two(double shifted) {
  return from_bits((bits(shifted) << 52) + one);
}

/// 2^k (1 + fraction) for every k in [-2000, 2000]: scaled in two steps, since 2^k may be subnormal
/// or beyond the range.
MEANFREE_INLINE double scaled(const Exponential& e) {
  const std::uint64_t k = bits(e.shifted) << 52;
  const std::uint64_t half = (bits(e.shifted) << 51) & 0xfff0000000000000;
  return (1.0 + e.fraction) * from_bits(half + one) * from_bits(k - half + one);
}

/// x^2 = high + low, both exact to 2^-78 relative.
struct Square {
  double high;
  double low;
};

MEANFREE_INLINE Square square(double x) {
  const double head = from_bits(bits(x) & 0xfffffffff8000000);
  const double tail = x - head;
  return {head * head, tail * (x + head)};
}

/// log(m (1 + c)) = k ln 2 + ..., x normal, positive, finite; correction is relative.
MEANFREE_INLINE double log_normal(double x, double k_offset, double correction) {
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd;
  const std::uint64_t u = bits(x) - root_half + one;  // exponent of x / sqrt(1/2), biased
  const double k = from_bits((u >> 52) | 0x4330000000000000) - (4503599627370496.0 + 1023.0);
  const double m = from_bits((u & 0x000fffffffffffff) + root_half);
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double p =
      horner(z, 0.6666666666666666, 0.4000000000000088, 0.2857142857080323, 0.2222222239180047,
             0.18181795630884753, 0.15386240205813478, 0.13268759668560612, 0.13086767009948175);
  const double exponent = k + k_offset;
  return fma(exponent, ln2_high, fma(s, fma(z, p, 2.0), fma(exponent, ln2_low, correction)));
}

/// log(1 + x) for x in [0, 1].
MEANFREE_INLINE double log1p_unit(double x) {
  const double s = x / (2.0 + x);
  const double z = s * s;
  const double p =
      horner(z, 0.6666666666666666, 0.40000000000014585, 0.2857142856710876, 0.22222222717427864,
             0.18181789436132859, 0.15385570064958623, 0.13314144209654935, 0.12001072809590713,
             0.08800738486144674, 0.1616404561194353);
  return s * fma(z, p, 2.0);
}

/// exp(x^2) erfc(x) for x in [0, 28].
MEANFREE_INLINE double erfcx_positive(double x) {
  const double w = 1.0 / (x + 4.0);
  const double t = (x - 4.0) * w;
  return w * horner(t, 1.095995661000491, -0.976548729080882, 0.7732087022652463,
                    -0.540853831313232, 0.3308515878775732, -0.17401093724020053,
                    0.07638151491851647, -0.026370053333114825, 0.006112055557500744,
                    -0.0002809589581115879, -0.0004550520850287462, 0.00017681347792436317,
                    -3.637368094617784e-06, -1.88636825726794e-05, 4.699262077965546e-06,
                    1.4314173217233973e-06, -8.522279909356253e-07, -8.667466799943592e-08,
                    1.2738540695049036e-07, 1.0296397494415425e-08, -1.490396715699329e-08,
                    -3.227131784144005e-09);
}

/// erf(x) for |x| <= 1.
MEANFREE_INLINE double erf_small(double x) {
  const double z = x * x;
  return x * horner(z, 1.1283791670955126, -0.37612638903183543, 0.11283791670945006,
                    -0.02686617064323777, 0.0052239776071164225, -0.0008548325975389692,
                    0.00012055294904839707, -1.492473690741966e-05, 1.6447424703317362e-06,
                    -1.6208483801871705e-07, 1.3720064546777686e-08, -7.795898827002142e-10);
}

/// sin(r) for |r| <= pi/2.
MEANFREE_INLINE double sin_half(double r) {
  const double u = r * r;
  const double p = horner(u, -0.16666666666666666, 0.008333333333333316, -0.00019841269841254966,
                          2.7557319219160833e-06, -2.505210761669045e-08, 1.6058977292642743e-10,
                          -7.643969663988074e-13, 2.7314368769379893e-15);
  return r * fma(u, p, 1.0);
}

/// x - k pi with the relative error of one rounding for |k| < 2^16, 2 k an integer.
MEANFREE_INLINE double minus_pi_times(double x, double k) {
  constexpr double high = 0x1.921fb5444p+1, middle = 0x1.68c234c4cp-38, low = 0x1.98a2e03707345p-76;
  return fma(-k, low, fma(-k, middle, fma(-k, high, x)));
}

}  // namespace detail

/// exp(x).
MEANFREE_INLINE double exp(double x) {
  return detail::scaled(detail::exponential(detail::at_most(detail::at_least(x, -746.0), 710.0)));
}

/// exp(x) - 1, accurate near 0.
MEANFREE_INLINE double expm1(double x) {
  const auto e = detail::exponential(detail::at_most(detail::at_least(x, -40.0), 710.0));
  // half of 2^k, as 2^k itself is out of range when k is 1024
  const double half =
      detail::from_bits((detail::bits(e.shifted) << 52) + detail::one - (1ULL << 52));
  const double sum = detail::fma(half, e.fraction, half - 0.5);
  return x == 0.0 ? x : sum + sum;
}

/// log(x); -inf at 0, NaN below.
MEANFREE_INLINE double log(double x) {
  const bool subnormal = x < std::numeric_limits<double>::min();
  const double y = detail::log_normal(subnormal ? x * 0x1p54 : x, subnormal ? -54.0 : 0.0, 0.0);
  const double positive = x < detail::infinity ? y : x;  // +inf, NaN
  return x > 0.0 ? positive : (x == 0.0 ? -detail::infinity : detail::nan);
}

/// log(x) for normal, positive, finite x: no special cases.
MEANFREE_INLINE double log_normal(double x) { return detail::log_normal(x, 0.0, 0.0); }

/// log(1 + x), accurate near 0; -inf at -1, NaN below.
MEANFREE_INLINE double log1p(double x) {
  const double y = 1.0 + x;
  const double lost = x > 1.0 ? 1.0 - (y - x) : x - (y - 1.0);
  const double z = detail::log_normal(y, 0.0, 0.0) + lost / y;
  const double finite = x == 0.0 ? x : z;
  const double positive = x < detail::infinity ? finite : x;
  return x > -1.0 ? positive : (x == -1.0 ? -detail::infinity : detail::nan);
}

/// tanh(x) = -expm1(-2|x|) / (2 + expm1(-2|x|)).
MEANFREE_INLINE double tanh(double x) {
  const auto e = detail::exponential(detail::at_least(-2.0 * std::fabs(x), -40.0));
  const double scale = detail::power_of_two(e.shifted);
  const double t = detail::fma(scale, e.fraction, scale - 1.0);
  return std::copysign(t / (2.0 + t), x);
}

/// 1 - tanh(x)^2 = 4 e / (1 + e)^2, e = exp(-2|x|), accurate in the tails.
MEANFREE_INLINE double sech_squared(double x) {
  const double e =
      detail::scaled(detail::exponential(detail::at_least(-2.0 * std::fabs(x), -748.0)));
  const double d = 1.0 + e;
  return 4.0 * e / (d * d);
}

/// 1 / (1 + exp(-x)).
MEANFREE_INLINE double sigmoid(double x) {
  const double e = detail::scaled(detail::exponential(detail::at_least(-std::fabs(x), -746.0)));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

/// log(1 + exp(x)).
MEANFREE_INLINE double softplus(double x) {
  const double e = detail::scaled(detail::exponential(detail::at_least(-std::fabs(x), -746.0)));
  return (x < 0.0 ? 0.0 : x) + detail::log1p_unit(e);
}

/// exp(-x^2), accurate in the tails.
MEANFREE_INLINE double gaussian(double x) {
  const auto s = detail::square(detail::at_most(std::fabs(x), 28.0));
  return detail::scaled(detail::exponential(-s.high, -s.low));
}

/// 1 - erf(x), accurate in the tail.
MEANFREE_INLINE double erfc(double x) {
  const double a = detail::at_most(std::fabs(x), 28.0);
  const double tail = gaussian(a) * detail::erfcx_positive(a);
  return x < 0.0 ? 2.0 - tail : tail;
}

/// 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.
MEANFREE_INLINE double erf(double x) {
  const double a = detail::at_most(std::fabs(x), 6.0);
  const auto e = detail::exponential(-a * a);
  const double scale = detail::power_of_two(e.shifted);
  const double tail = detail::fma(scale, e.fraction, scale) * detail::erfcx_positive(a);
  return a < 1.0 ? detail::erf_small(x) : std::copysign(1.0 - tail, x);
}

/// P(z <= x), z ~ N(0, 1), accurate in the lower tail.
MEANFREE_INLINE double normal_cdf(double x) {
  const double a = detail::at_most(std::fabs(x), 40.0);
  const auto s = detail::square(a);
  const auto e = detail::exponential(-0.5 * s.high, -0.5 * s.low);
  const double tail = detail::scaled(e) * (0.5 * detail::erfcx_positive(a * 0.7071067811865476));
  return x < 0.0 ? tail : 1.0 - tail;
}

/// exp(-x^2/2) / sqrt(2 pi).
MEANFREE_INLINE double normal_pdf(double x) {
  const auto s = detail::square(detail::at_most(std::fabs(x), 40.0));
  const auto e = detail::exponential(-0.5 * s.high, -0.5 * s.low);
  return detail::scaled(
      {e.shifted, detail::fma(e.fraction, 0.3989422804014327, 0.3989422804014327 - 1.0)});
}

constexpr double largest_angle = 131072.0;  // of the scalar sin and cos

/// sin(x) for |x| <= largest_angle (the array function has no limit).
MEANFREE_INLINE double sin(double x) {
  const double shifted = detail::fma(x, 0.3183098861837907, detail::shifter);
  const double r = detail::minus_pi_times(x, shifted - detail::shifter);
  const double s = detail::sin_half(r);
  return detail::from_bits(detail::bits(s) ^ (detail::bits(shifted) << 63));
}

/// cos(x) for |x| <= largest_angle (the array function has no limit).
MEANFREE_INLINE double cos(double x) {
  // cos(x) = sin((n + 1/2) pi - x) (-1)^n
  const double shifted = detail::fma(x, 0.3183098861837907, -0.5) + detail::shifter;
  const double r = detail::minus_pi_times(x, (shifted - detail::shifter) + 0.5);
  const double s = detail::sin_half(r);
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
  const double s = r * detail::horner(z, 6.283185307179586, -41.341702240399634, 81.60524927594804,
                                      -76.70585970427454, 42.058685020160894, -15.093804209987114,
                                      3.7808689593022957);
  const double c = detail::horner(z, 1.0, -19.73920880217842, 64.93939402236538, -85.45681709034115,
                                  60.24462008593029, -26.42425703488269, 7.810290968144191);
  const std::uint64_t quadrant = detail::bits(shifted);
  // an odd quadrant swaps sine and cosine
  const std::uint64_t swap = (detail::bits(s) ^ detail::bits(c)) & (0 - (quadrant & 1));
  const std::uint64_t sine = detail::bits(s) ^ swap, cosine = detail::bits(c) ^ swap;
  constexpr std::uint64_t sign = 0x8000000000000000;
  return {detail::from_bits(sine ^ ((quadrant << 62) & sign)),
          detail::from_bits(cosine ^ (((quadrant + 1) << 62) & sign))};
}

/// arcsin(x); NaN outside [-1, 1].
MEANFREE_INLINE double asin(double x) {
  const double a = std::fabs(x);
  const bool inner = a <= 0.5;
  const double z = inner ? a * a : 0.5 * (1.0 - a);
  const double s = inner ? a : std::sqrt(z);
  const double p = detail::horner(z, 0.1666666666666665, 0.07500000000020764, 0.044642857103423646,
                                  0.03038194736709848, 0.02237204763174451, 0.017355259955786323,
                                  0.013929652902326633, 0.011875494382636922, 0.0078029494773533175,
                                  0.01603551434914882, -0.010749050339697808, 0.028169218060881414);
  const double y = detail::fma(s * z, p, s);
  const double outer = 0x1.921fb54442d18p+0 - (2.0 * y - 0x1.1a62633145c07p-54);
  return std::copysign(inner ? y : outer, x);
}

/// arctan(x).
MEANFREE_INLINE double atan(double x) {
  const double a = std::fabs(x);
  const bool large = a > 2.414213562373095, middle = a > 0.41421356237309503;
  const double numerator = large ? -1.0 : (middle ? a - 1.0 : a);
  const double denominator = large ? a : (middle ? a + 1.0 : 1.0);
  const double base = large ? 0x1.921fb54442d18p+0 : (middle ? 0x1.921fb54442d18p-1 : 0.0);
  const double t = numerator / denominator;
  const double z = t * t;
  const double p = detail::horner(z, -0.3333333333333333, 0.19999999999995516, -0.14285714284665682,
                                  0.11111111015187018, -0.0909090457530649, 0.07692183125376892,
                                  -0.06664510525508936, 0.05858140904866328, -0.050854078345894844,
                                  0.03923044778479309, -0.019175404711104935);
  return std::copysign(base + detail::fma(t * z, p, t), x);
}

/// sin of n values, of any size.
inline void sin(const double* x, std::ptrdiff_t n, double* y) {
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = sin(x[i]);
  for (std::ptrdiff_t i = 0; i < n; ++i)
    if (std::fabs(x[i]) > largest_angle) y[i] = std::sin(x[i]);
}

/// cos of n values, of any size.
inline void cos(const double* x, std::ptrdiff_t n, double* y) {
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = cos(x[i]);
  for (std::ptrdiff_t i = 0; i < n; ++i)
    if (std::fabs(x[i]) > largest_angle) y[i] = std::cos(x[i]);
}

}  // namespace special
}  // namespace meanfree
