// Sums of products over the units of a layer, in registers and in a fixed order.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "meanfree/random.hpp"

namespace meanfree {
namespace detail {

/// A register of doubles.
typedef double Vector __attribute__((vector_size(lane_bytes)));

/// Reads of arrays from `i` on: one value, or a register.
template <class T>
struct At {
  std::int64_t i;
  T operator()(const double* array) const {
    T value;
    std::memcpy(&value, array + i, sizeof value);
    return value;
  }
};

/// Sums over n units of `count` products: term(at, product) writes them, at(array) being the values
/// of an array. Partial sums in registers, added in a fixed order.
template <int count, class Term>
inline std::array<double, count> sums(std::int64_t n, const Term& term) {
  constexpr int width = sizeof(Vector) / sizeof(double), chains = count > 2 ? 2 : 4;
  Vector partial[chains][count] = {};
  std::int64_t i = 0;
  for (; i + chains * width <= n; i += chains * width) {
    for (int chain = 0; chain < chains; ++chain) {
      Vector product[count];
      term(At<Vector>{i + chain * width}, product);
      for (int k = 0; k < count; ++k) partial[chain][k] += product[k];
    }
  }
  std::array<double, count> result{};
  for (; i < n; ++i) {
    double product[count];
    term(At<double>{i}, product);
    for (int k = 0; k < count; ++k) result[k] += product[k];
  }
  for (int k = 0; k < count; ++k) {
    Vector total = partial[0][k];
    for (int chain = 1; chain < chains; ++chain) total += partial[chain][k];
    for (int lane = 0; lane < width; ++lane) result[k] += total[lane];
  }
  return result;
}

/// |o - factor p|^2.
inline double squared_distance(const double* o, const double* p, double factor, std::int64_t n) {
  return sums<1>(n, [=](auto at, auto* y) {
    const auto r = at(o) - factor * at(p);
    y[0] = r * r;
  })[0];
}

/// An array whose registers do not straddle cache lines.
class Buffer {
 public:
  explicit Buffer(std::int64_t n) : lines_(static_cast<std::size_t>(n / 8 + 1)) {}
  double* data() { return lines_.front().value; }
  const double* data() const { return lines_.front().value; }

 private:
  struct alignas(64) Line {
    double value[8];
  };
  std::vector<Line> lines_;
};

}  // namespace detail
}  // namespace meanfree
