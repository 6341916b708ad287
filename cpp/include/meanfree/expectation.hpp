// Gaussian averages over an activation phi: what every mean-field map is made of.
//     u ~ N(0, q);  (u1, u2) jointly normal with variances q and correlation c = 1 - delta.
#pragma once
#include <cstdint>

namespace meanfree {

/// Averages over one input, arrays of n values; null pointers are not computed.
struct Moments {
  double* mean = nullptr;               // E phi
  double* mean_slope = nullptr;         // E phi'
  double* second = nullptr;             // E phi^2
  double* slope_squared = nullptr;      // E phi'^2
  double* curvature_squared = nullptr;  // E phi''^2, infinite iff phi' jumps
  double* length_slope = nullptr;       // d E phi^2 / dq = E[phi'^2 + phi phi'']
  double* error = nullptr;              // estimated relative error of second and slope_squared
};

/// Averages over two inputs of equal length, arrays of n values.
struct PairAverages {
  double* product;  // E phi(u1) phi(u2)
  double*
      deficit;  // E phi^2 - E phi(u1) phi(u2) = E (phi(u1) - phi(u2))^2 / 2, without cancellation
  double* slope_product;  // E phi'(u1) phi'(u2)
};

/// One activation's averages. An object may keep work space between calls: one per thread.
class Expectation {
 public:
  virtual ~Expectation() = default;

  /// E phi^2 and its derivative with respect to q.
  virtual void length(const double* q, std::int64_t n, double* second, double* length_slope) = 0;

  virtual void moments(const double* q, std::int64_t n, const Moments& out) = 0;

  /// delta in [0, 2].
  virtual void pair(const double* q, const double* delta, std::int64_t n,
                    const PairAverages& out) = 0;

  /// E phi(u1) phi(u2) and E phi'(u1) phi'(u2) for any two variances and correlation c.
  virtual void covariance(const double* q1, const double* q2, const double* c, std::int64_t n,
                          double* product, double* slope_product) = 0;

  /// Told before calls of `pair` with many delta at each q.
  virtual void expect_search() {}

  /// How many q are best treated in one call.
  virtual std::int64_t lanes() const { return 1; }
};

}  // namespace meanfree
