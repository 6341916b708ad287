// Updates of a matrix by outer products, and products of the new matrix with a vector, in one pass
// over it: what the reductions to bidiagonal and tridiagonal form consist of. They are bound by the
// cache, not by arithmetic.
//
// Columns begin at multiples of a register and have zeros below the matrix up to one
// (PaddedMatrix); vectors are as long as the columns, and 0 in rows that take no part.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <vector>

#include "meanfree/product.hpp"
#include "meanfree/random.hpp"

namespace meanfree {
namespace detail {

typedef double Register __attribute__((vector_size(lane_bytes), may_alias));

constexpr Index register_size = lane_bytes / 8;

/// Memory of columns on cache lines.
class PaddedMatrix {
 public:
  void resize(Index rows, Index columns) {
    stride_ = (rows + 7) / 8 * 8;
    lines_.assign(static_cast<std::size_t>(stride_ / 8 * columns), Line{});
  }
  Index stride() const { return stride_; }
  double* column(Index j) { return lines_[static_cast<std::size_t>(j * (stride_ / 8))].value; }

 private:
  struct alignas(64) Line {
    double value[8] = {};
  };
  Index stride_ = 0;
  std::vector<Line> lines_;
};

/// A vector for such columns.
class PaddedVector {
 public:
  void resize(Index n) { column_.resize(n, 1); }
  double* data() { return column_.column(0); }
  double& operator[](Index i) { return column_.column(0)[i]; }

 private:
  PaddedMatrix column_;
};

inline double sum_of(Register x) {
  double sum = 0.0;
  for (Index lane = 0; lane < register_size; ++lane) sum += x[lane];
  return sum;
}

/// Columns [first, last) of a, rows from `row` on: a_j -= u x_j + v y_j; dots_j = a_j . w of the
/// new a.
inline void update_and_multiply(PaddedMatrix& a, Index row, Index first, Index last,
                                const double* u, const double* x, const double* v, const double* y,
                                const double* w, double* dots) {
  constexpr Index n = 4;
  const Index begin = row / register_size * register_size, end = a.stride();
  const auto at = [](const double* p) { return *reinterpret_cast<const Register*>(p); };
  Index j = first;
  for (; j + n <= last; j += n) {
    double* columns[n];
    for (Index c = 0; c < n; ++c) columns[c] = a.column(j + c);
    Register sum[n] = {};
    for (Index i = begin; i < end; i += register_size) {
      const Register ui = at(u + i), vi = at(v + i), wi = at(w + i);
#pragma GCC unroll 4
      for (Index c = 0; c < n; ++c) {
        const Register value = at(columns[c] + i) - ui * x[j + c] - vi * y[j + c];
        *reinterpret_cast<Register*>(columns[c] + i) = value;
        sum[c] += value * wi;
      }
    }
    for (Index c = 0; c < n; ++c) dots[j + c] = sum_of(sum[c]);
  }
  for (; j < last; ++j) {
    double* column = a.column(j);
    Register sum = {};
    for (Index i = begin; i < end; i += register_size) {
      const Register value = at(column + i) - at(u + i) * x[j] - at(v + i) * y[j];
      *reinterpret_cast<Register*>(column + i) = value;
      sum += value * at(w + i);
    }
    dots[j] = sum_of(sum);
  }
}

/// out = sum over columns [first, last) of a_j x_j, rows from `row` on.
inline void combine_columns(PaddedMatrix& a, Index row, Index first, Index last, const double* x,
                            double* out) {
  constexpr Index n = 8;
  const Index begin = row / register_size * register_size, end = a.stride();
  const auto at = [](const double* p) { return *reinterpret_cast<const Register*>(p); };
  std::fill(out + begin, out + end, 0.0);
  Index j = first;
  for (; j + n <= last; j += n) {
    const double* columns[n];
    for (Index c = 0; c < n; ++c) columns[c] = a.column(j + c);
    for (Index i = begin; i < end; i += register_size) {
      Register even = at(out + i), odd = {};
#pragma GCC unroll 8
      for (Index c = 0; c < n; c += 2) {
        even += at(columns[c] + i) * x[j + c];
        odd += at(columns[c + 1] + i) * x[j + c + 1];
      }
      *reinterpret_cast<Register*>(out + i) = even + odd;
    }
  }
  for (; j < last; ++j) {
    const double* column = a.column(j);
    for (Index i = begin; i < end; i += register_size) {
      *reinterpret_cast<Register*>(out + i) = at(out + i) + at(column + i) * x[j];
    }
  }
}

}  // namespace detail
}  // namespace meanfree
