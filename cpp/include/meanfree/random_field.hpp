// A Gaussian random field of n variables as a sum of plane waves, with its derivatives:
//
//     phi(x)      =  A sum_m cos(k_m.x + b_m)              A = sqrt(2 n C(0) / M)
//     d phi       = -A sum_m sin(k_m.x + b_m) k_m
//     d d phi     = -A sum_m cos(k_m.x + b_m) k_m k_m^T    = K^T diag(.) K
//
// E phi(x) phi(y) = n C(|x - y|^2 / n) for b uniform on a circle and k = sqrt(kappa / n) normals,
// where C(s) = C(0) E exp(-kappa s / 2) (Schoenberg 1938; Rahimi and Recht 2007): kappa = 1 / l^2
// for the RBF, of a gamma distribution for the rational quadratic.
//
// A wave is a row, padded by zeros to a multiple of 8 numbers. The waves are taken in chunks that
// stay in the cache, for several points in turn; what is computed for a point depends neither on
// the other points nor on the threads.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/random.hpp"
#include "meanfree/trigonometric.hpp"

namespace meanfree {

/// M waves of n numbers, `padded` apart, with their phases.
struct Waves {
  std::int64_t n_waves = 0, n = 0, padded = 0;
  const double* k = nullptr;
  const double* phase = nullptr;
  double amplitude = 0.0;
};

/// The scale kappa of a wave: `mean` times a gamma variable of mean 1 and the given shape, which is
/// inf where all are the same.
struct WaveScale {
  double mean = 1.0, shape = 0.0;
};

constexpr std::int64_t padded_wave(std::int64_t n) { return (n + 7) / 8 * 8; }

namespace detail {

enum class WavePart : std::uint64_t { direction, phase, normal, uniform };

inline Stream wave_stream(std::uint64_t seed, std::int64_t wave, WavePart part) {
  return {seed, static_cast<std::uint64_t>(wave), static_cast<std::uint64_t>(part), Purpose::waves};
}

/// A gamma variable of mean 1, by rejection (Marsaglia and Tsang 2000); the trials of a wave are
/// its own.
inline double gamma_of_mean_one(std::uint64_t seed, std::int64_t wave, double shape) {
  const Stream normal = wave_stream(seed, wave, WavePart::normal);
  const Stream uniform = wave_stream(seed, wave, WavePart::uniform);
  const bool small = shape < 1.0;
  const double d = (small ? shape + 1.0 : shape) - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  double z[tile_normals], u[tile_words];
  for (std::uint64_t tile = 0;; ++tile) {
    draw_normals(normal, tile * tile_normals, tile_normals, z);
    draw<tile_words>(uniform, tile * tile_words, tile_words, u, uniform_tile);
    for (int i = 1; i < tile_words; ++i) {
      const double root = 1.0 + c * z[i], v = root * root * root;
      if (root <= 0.0) continue;
      if (std::log(1.0 - u[i]) < 0.5 * z[i] * z[i] + d * (1.0 - v + std::log(v))) {
        return small ? d * v / shape * std::pow(1.0 - u[0], 1.0 / shape) : d * v / shape;
      }
    }
  }
}

inline void draw_wave(std::uint64_t seed, std::int64_t wave, const WaveScale& scale, std::int64_t n,
                      double* k, double* phase) {
  draw_normals(wave_stream(seed, wave, WavePart::direction), 0, n, k);
  double turn;
  draw<tile_words>(wave_stream(seed, wave, WavePart::phase), 0, 1, &turn, uniform_tile);
  *phase = 6.283185307179586 * turn;
  const double spread = std::isinf(scale.shape) ? 1.0 : gamma_of_mean_one(seed, wave, scale.shape);
  const double factor = std::sqrt(scale.mean * spread / static_cast<double>(n));
  for (std::int64_t i = 0; i < n; ++i) k[i] *= factor;
  std::fill(k + n, k + padded_wave(n), 0.0);
}

/// A register of numbers, and one that may lie anywhere.
typedef double Numbers __attribute__((vector_size(lane_bytes)));
typedef double NumbersAnywhere __attribute__((vector_size(lane_bytes), aligned(8), may_alias));

constexpr int tile_rows = 3;  // registers
constexpr int tile_columns = lane_bytes == 64 ? 8 : 4;

/// h += a^T b for `rows` registers of columns of a and a tile of columns of b; h by columns.
template <int rows>
MEANFREE_INLINE void add_tile(const double* a, const double* b, std::int64_t stride,
                              std::int64_t n_waves, double* h) {
  Numbers sum[rows][tile_columns] = {};
  for (std::int64_t m = 0; m < n_waves; ++m, a += stride, b += stride) {
    Numbers left[rows];
    for (int r = 0; r < rows; ++r) {
      left[r] = *reinterpret_cast<const NumbersAnywhere*>(a + r * n_lanes);
    }
    for (int j = 0; j < tile_columns; ++j) {
      for (int r = 0; r < rows; ++r) sum[r][j] += left[r] * b[j];
    }
  }
  for (int j = 0; j < tile_columns; ++j) {
    for (int r = 0; r < rows; ++r) {
      *reinterpret_cast<NumbersAnywhere*>(h + j * stride + r * n_lanes) += sum[r][j];
    }
  }
}

/// The lower triangle of h += a^T b, which is symmetric.
inline void add_symmetric(const double* a, const double* b, std::int64_t stride,
                          std::int64_t n_waves, double* h, Pause& pause) {
  for (std::int64_t j = 0; j < stride; j += tile_columns, h += tile_columns * stride) {
    pause.check();
    std::int64_t i = j / n_lanes * n_lanes;
    for (; i + tile_rows * n_lanes <= stride; i += tile_rows * n_lanes) {
      add_tile<tile_rows>(a + i, b + j, stride, n_waves, h + i);
    }
    for (; i < stride; i += n_lanes) add_tile<1>(a + i, b + j, stride, n_waves, h + i);
  }
}

/// Waves that are taken at a time.
inline std::int64_t wave_chunk(const Waves& waves) {
  return std::clamp<std::int64_t>(8192 / waves.padded / 8 * 8, 16, 512);
}

/// What a thread needs: padded points, results, and numbers of a chunk.
struct WaveWork {
  Workspace point, result, angle, scaled;
};

using WaveMatrix =
    Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
// Vectors by their type: Eigen sums a product of small matrices in an order that goes with where
// they lie.
using NumbersMap = Eigen::Map<Eigen::VectorXd>;
using ConstNumbersMap = Eigen::Map<const Eigen::VectorXd>;

/// Call each(chunk as a matrix, its first wave, point in the group, angles) for the points of a
/// group.
template <class Each>
void for_each_chunk(const Waves& waves, const double* w, std::int64_t n_points, WaveWork& work,
                    Pause& pause, Each&& each) {
  const std::int64_t chunk = wave_chunk(waves), padded = waves.padded;
  auto points = work.point.resize(padded, n_points);
  points.setZero();
  for (std::int64_t p = 0; p < n_points; ++p) {
    std::copy_n(w + p * waves.n, waves.n, points.data() + p * padded);
  }
  for (std::int64_t first = 0; first < waves.n_waves; first += chunk) {
    const std::int64_t count = std::min(chunk, waves.n_waves - first);
    const WaveMatrix k(waves.k + first * padded, count, padded);
    const ConstNumbersMap phase(waves.phase + first, count);
    for (std::int64_t p = 0; p < n_points; ++p) {
      pause.check();
      NumbersMap angle(work.angle.resize(count, 1).data(), count);
      angle = phase;
      angle.noalias() += k * ConstNumbersMap(points.data() + p * padded, padded);
      each(k, p, angle.data());
    }
  }
}

/// Points in groups, so that a chunk of waves serves several; `flops` for one point.
template <class Work, class Poll>
void for_each_group(std::int64_t n_points, double flops, int n_threads, Work&& run, Poll&& poll) {
  constexpr double worth_a_thread = 2e6;
  const double most = flops * static_cast<double>(n_points) / worth_a_thread;
  const int threads = std::max(1, static_cast<int>(std::min<double>(n_threads, most)));
  const std::int64_t group = std::clamp<std::int64_t>(n_points / (4 * threads), 1, 8);
  for_each_block((n_points + group - 1) / group, threads,
                 [&](std::int64_t block, Pause& pause) {
                   WaveWork work;
                   const std::int64_t first = block * group;
                   run(first, std::min(group, n_points - first), work, pause);
                 },
                 std::forward<Poll>(poll));
}

inline double wave_numbers(const Waves& waves) {
  return static_cast<double>(waves.n_waves) * static_cast<double>(waves.padded);
}

}  // namespace detail

/// Draw waves: k (n_waves, padded_wave(n)) and phase (n_waves). Wave m depends on its number and n
/// alone.
template <class Poll>
void draw_waves(std::uint64_t seed, const WaveScale& scale, std::int64_t n_waves, std::int64_t n,
                int n_threads, double* k, double* phase, Poll&& poll) {
  const std::int64_t padded = padded_wave(n), block = std::max<std::int64_t>(1, 65536 / padded);
  for_each_block((n_waves + block - 1) / block, n_threads,
                 [&](std::int64_t b, Pause&) {
                   for (std::int64_t m = b * block; m < std::min(n_waves, (b + 1) * block); ++m) {
                     detail::draw_wave(seed, m, scale, n, k + m * padded, phase + m);
                   }
                 },
                 std::forward<Poll>(poll));
}

/// phi at n_points points w (n_points, n).
template <class Poll>
void field_values(const Waves& waves, const double* w, std::int64_t n_points, int n_threads,
                  double* out, Poll&& poll) {
  detail::for_each_group(
      n_points, 4.0 * detail::wave_numbers(waves), n_threads,
      [&](std::int64_t first, std::int64_t count, detail::WaveWork& work, Pause& pause) {
        std::fill_n(out + first, count, 0.0);
        detail::for_each_chunk(waves, w + first * waves.n, count, work, pause,
                               [&](const auto& k, std::int64_t p, double* angle) {
                                 special::cos(angle, k.rows(), angle);
                                 double sum = 0.0;
                                 for (std::int64_t m = 0; m < k.rows(); ++m) sum += angle[m];
                                 out[first + p] += sum;
                               });
        for (std::int64_t p = first; p < first + count; ++p) out[p] *= waves.amplitude;
      },
      std::forward<Poll>(poll));
}

/// The gradients of phi, (n_points, n).
template <class Poll>
void field_gradients(const Waves& waves, const double* w, std::int64_t n_points, int n_threads,
                     double* out, Poll&& poll) {
  detail::for_each_group(
      n_points, 8.0 * detail::wave_numbers(waves), n_threads,
      [&](std::int64_t first, std::int64_t count, detail::WaveWork& work, Pause& pause) {
        auto sums = work.result.resize(waves.padded, count);
        sums.setZero();
        detail::for_each_chunk(waves, w + first * waves.n, count, work, pause,
                               [&](const auto& k, std::int64_t p, double* angle) {
                                 special::sin(angle, k.rows(), angle);
                                 sums.col(p).noalias() +=
                                     k.transpose() * detail::ConstNumbersMap(angle, k.rows());
                               });
        for (std::int64_t p = 0; p < count; ++p) {
          detail::NumbersMap(out + (first + p) * waves.n, waves.n) =
              -waves.amplitude * sums.col(p).head(waves.n);
        }
      },
      std::forward<Poll>(poll));
}

/// The Hessians of phi times v, (n_points, n).
template <class Poll>
void field_products(const Waves& waves, const double* w, const double* v, std::int64_t n_points,
                    int n_threads, double* out, Poll&& poll) {
  const std::int64_t n = waves.n;
  detail::for_each_group(
      n_points, 12.0 * detail::wave_numbers(waves), n_threads,
      [&](std::int64_t first, std::int64_t count, detail::WaveWork& work, Pause& pause) {
        auto sums = work.result.resize(waves.padded, count);
        sums.setZero();
        detail::for_each_chunk(
            waves, w + first * n, count, work, pause,
            [&](const auto& k, std::int64_t p, double* angle) {
              special::cos(angle, k.rows(), angle);
              detail::NumbersMap along(work.scaled.resize(k.rows(), 1).data(), k.rows());
              along.noalias() = k.leftCols(n) * detail::ConstNumbersMap(v + (first + p) * n, n);
              along.array() *= detail::ConstNumbersMap(angle, k.rows()).array();
              sums.col(p).noalias() += k.transpose() * along;
            });
        for (std::int64_t p = 0; p < count; ++p) {
          detail::NumbersMap(out + (first + p) * n, n) = -waves.amplitude * sums.col(p).head(n);
        }
      },
      std::forward<Poll>(poll));
}

/// The Hessians of phi, (n_points, n, n), symmetric to the last bit.
template <class Poll>
void field_hessians(const Waves& waves, const double* w, std::int64_t n_points, int n_threads,
                    double* out, Poll&& poll) {
  const std::int64_t n = waves.n, padded = waves.padded;
  detail::for_each_group(
      n_points, detail::wave_numbers(waves) * static_cast<double>(padded), n_threads,
      [&](std::int64_t first, std::int64_t count, detail::WaveWork& work, Pause& pause) {
        double* sums = work.result.resize(padded * padded, count).data();
        std::fill_n(sums, padded * padded * count, 0.0);
        detail::for_each_chunk(waves, w + first * n, count, work, pause,
                               [&](const auto& k, std::int64_t p, double* angle) {
                                 special::cos(angle, k.rows(), angle);
                                 double* scaled = work.scaled.resize(padded, k.rows()).data();
                                 for (std::int64_t m = 0; m < k.rows(); ++m) {
                                   for (std::int64_t i = 0; i < padded; ++i) {
                                     scaled[m * padded + i] = angle[m] * k.data()[m * padded + i];
                                   }
                                 }
                                 detail::add_symmetric(k.data(), scaled, padded, k.rows(),
                                                       sums + p * padded * padded, pause);
                               });
        for (std::int64_t p = 0; p < count; ++p) {
          const double* lower = sums + p * padded * padded;
          double* h = out + (first + p) * n * n;
          for (std::int64_t j = 0; j < n; ++j) {
            for (std::int64_t i = j; i < n; ++i) {
              h[i * n + j] = h[j * n + i] = -waves.amplitude * lower[j * padded + i];
            }
          }
        }
      },
      std::forward<Poll>(poll));
}

}  // namespace meanfree
