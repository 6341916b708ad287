// Building blocks of branch-free scalar code that the compiler vectorises in plain loops.
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

/// c0 + c1 x + c2 x^2 + ..., with the fewest operations.
MEANFREE_INLINE double horner(double, double c0) { return c0; }
template <class... C>
MEANFREE_INLINE double horner(double x, double c0, C... more) {
  return fma(horner(x, more...), x, c0);
}

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

/// The same with a shorter chain of dependent operations.
template <class... C>
MEANFREE_INLINE double polynomial(double x, C... c) {
  const double x2 = x * x;
  return blocks_of_four(x, x2, x2 * x2, c...);
}

}  // namespace detail
}  // namespace special
}  // namespace meanfree
