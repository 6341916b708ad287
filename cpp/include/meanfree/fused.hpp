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

/// Columns of length n, `stride` apart: each loses tau (v . column) v.
inline void reflect_columns(const double* v, Index n, double tau, double* columns, Index stride,
                            Index count) {
  typedef double Loose __attribute__((vector_size(lane_bytes), may_alias, aligned(8)));
  constexpr Index group = 4;
  const Index whole = n / register_size * register_size;
  for (Index j = 0; j < count; j += group) {
    const Index width = std::min(group, count - j);
    double* column[group];
    for (Index c = 0; c < group; ++c) column[c] = columns + (j + std::min(c, width - 1)) * stride;
    Register sum[group] = {};
    for (Index i = 0; i < whole; i += register_size) {
      const Register vi = *reinterpret_cast<const Loose*>(v + i);
#pragma GCC unroll 4
      for (Index c = 0; c < group; ++c) {
        sum[c] += vi * *reinterpret_cast<const Loose*>(column[c] + i);
      }
    }
    double factor[group];
    for (Index c = 0; c < group; ++c) {
      double along = sum_of(sum[c]);
      for (Index i = whole; i < n; ++i) along += v[i] * column[c][i];
      factor[c] = tau * along;
    }
    if (width == group) {
      for (Index i = 0; i < whole; i += register_size) {
        const Register vi = *reinterpret_cast<const Loose*>(v + i);
#pragma GCC unroll 4
        for (Index c = 0; c < group; ++c) {
          Loose* out = reinterpret_cast<Loose*>(column[c] + i);
          *out = *out - factor[c] * vi;
        }
      }
    } else {
      for (Index c = 0; c < width; ++c) {
        for (Index i = 0; i < whole; i += register_size) {
          Loose* out = reinterpret_cast<Loose*>(column[c] + i);
          *out = *out - factor[c] * *reinterpret_cast<const Loose*>(v + i);
        }
      }
    }
    for (Index c = 0; c < width; ++c) {
      for (Index i = whole; i < n; ++i) column[c][i] -= factor[c] * v[i];
    }
  }
}

}  // namespace detail
}  // namespace meanfree
