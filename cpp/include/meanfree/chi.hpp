// chi_k, the length of a Gaussian vector of k components: sqrt(2 Gamma(k / 2)) by Marsaglia and
// Tsang (2000), d (1 + c z)^3 with d = k/2 - 1/3, c = 1 / sqrt(9 d), accepted where log u < z^2/2 +
// d - d v + d log v, v = (1 + c z)^3. They are the diagonal of the triangular factor of a Gaussian
// matrix.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/random.hpp"

namespace meanfree {
namespace detail {

/// chi_n, chi_{n-1}, ..., chi_{n-count+1}; the stream is used for nothing else.
inline void chi_variables(const Stream& stream, std::int64_t n, std::int64_t count, double* out) {
  constexpr std::int64_t block = tile_normals;
  constexpr std::uint64_t uniforms_begin = std::uint64_t{1} << 40,
                          attempt_size = std::uint64_t{1} << 33;
  double z[block], u[block];
  for (std::int64_t i = 0; i < count; i += block) {
    const std::int64_t size = std::min(block, count - i);
    bool done[block] = {};
    std::int64_t left = size;
    for (std::uint64_t attempt = 0; left > 0; ++attempt) {
      const std::uint64_t at = attempt * attempt_size + static_cast<std::uint64_t>(i);
      draw<tile_normals>(stream, at, block, z, box_muller);
      draw<tile_words>(stream, uniforms_begin * 1024 + at, block, u, uniform_tile);
      for (std::int64_t j = 0; j < size; ++j) {
        if (done[j]) continue;
        const auto k = static_cast<double>(n - i - j);
        if (k < 2.0) {
          out[i + j] = std::fabs(z[j]);
        } else {
          const double d = 0.5 * k - 1.0 / 3.0, root = 1.0 + z[j] / std::sqrt(9.0 * d);
          if (root <= 0.0) continue;
          const double v = root * root * root;
          if (std::log(1.0 - u[j]) >= 0.5 * z[j] * z[j] + d * (1.0 - v + std::log(v))) continue;
          out[i + j] = std::sqrt(2.0 * d * v);
        }
        done[j] = true;
        --left;
      }
    }
  }
}

/// The triangular factor of an n x n Gaussian matrix, or the first `size` rows and columns of it:
/// independent chi_n, chi_{n-1}, ... on the diagonal of a, normals on the side `lower`; the other
/// side is not touched.
inline void draw_triangle(const Stream& normals, const Stream& lengths, bool lower, Index n,
                          MatrixView a, std::vector<double>& draws, Pause& pause) {
  constexpr Index block = 64;
  const Index size = std::min(a.rows(), a.cols());
  std::uint64_t first = 0;
  for (Index j = 0; j < size; j += block) {
    const Index width = std::min(block, size - j), height = lower ? a.rows() - j : j + width;
    const std::int64_t count = (height * width + tile_normals - 1) / tile_normals * tile_normals;
    draws.resize(static_cast<std::size_t>(count));
    draw<tile_normals>(normals, first, count, draws.data(), box_muller);
    first += static_cast<std::uint64_t>(count);
    const double* z = draws.data();
    for (Index c = j; c < j + width; ++c, z += height) {
      if (lower) {
        std::copy_n(z, a.rows() - c - 1, &a(c, c) + 1);
      } else {
        std::copy_n(z, c, &a(0, c));
      }
    }
    pause.check();
  }
  draws.resize(static_cast<std::size_t>(size));
  chi_variables(lengths, n, size, draws.data());
  for (Index i = 0; i < size; ++i) a(i, i) = draws[static_cast<std::size_t>(i)];
}

}  // namespace detail
}  // namespace meanfree
