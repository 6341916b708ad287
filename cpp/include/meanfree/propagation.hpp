// Two inputs through random networks of finite width, h^{l+1} = W x + b, x = phi(h^l) (with dropout
// m phi(h^l) / keep), simulated in one of two ways:
//
//   weights  W is drawn and applied, one row (Gaussian) or one reflector (Haar) at a time.
//   gram     Given x, the rows of W x are independent N(0, K), K = sigma_w^2 X^T X / N, with
//            X = [x_a x_b]; a fresh W in each layer makes this a Markov chain, exact in law, at
//            O(N) a layer. Haar weights: W X = sigma_w U R with X = Q R and U uniform on the frames
//            of two vectors.
//
// Carried are h_a and d = h_b - s h_a with s = +-1, whichever is the nearer one: d = 0 stays 0, and
// 1 - |c| = delta loses no digits but those of phi(h_b) - s phi(h_a), 1e-16 / sqrt(delta) relative,
// at random in each unit. h^1 is Gaussian with variance q and correlation c, for both kinds of
// weights.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "meanfree/activation.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/random.hpp"
#include "meanfree/sums.hpp"

namespace meanfree {

enum class Weights { gaussian, orthogonal };
enum class Method { gram, weights };

/// The law of the networks, and the two inputs.
struct Propagation {
  double sigma_w = 1.0, sigma_b = 0.0, keep = 1.0;
  Weights weights = Weights::gaussian;
  Method method = Method::gram;
  std::int64_t width = 1, depth = 1;
  double q = 1.0, c = 0.0;
  std::uint64_t seed = 0;
};

namespace detail {

/// One network after another, for one thread.
class PairOfInputs {
 public:
  PairOfInputs(const Activation& phi, const Propagation& law)
      : phi_(phi),
        law_(law),
        n_(law.width),
        padded_((law.width + tile_normals - 1) / tile_normals * tile_normals),
        h_a_(n_),
        h_b_(n_),
        d_(n_),
        x_a_(n_),
        e_(n_),
        z_(3 * padded_) {}

  /// q, c and 1 - c of h^1 .. h^depth of one network.
  void run(std::uint64_t sample, double* q, double* c, double* delta, Pause& pause) {
    sample_ = sample;
    start();
    for (std::int64_t layer = 0;; ++layer) {
      measure(q + layer, c + layer, delta + layer);
      if (layer + 1 == law_.depth) return;
      activate(static_cast<std::uint64_t>(layer), pause);
      const double length = gain() * (aa_ + ee_);
      if (!std::isfinite(length)) {  // beyond the range of a double, or phi gave NaN
        const double nan = std::nan(""), rest = std::isnan(length) ? nan : HUGE_VAL;
        std::fill(q + layer + 1, q + law_.depth, rest);
        std::fill(c + layer + 1, c + law_.depth, nan);
        std::fill(delta + layer + 1, delta + law_.depth, nan);
        return;
      }
      layer_ = static_cast<std::uint64_t>(layer) + 1;
      if (law_.method == Method::gram) {
        law_.weights == Weights::gaussian ? gaussian_rows() : orthogonal_frame();
      } else {
        law_.weights == Weights::gaussian ? gaussian_weights(pause) : orthogonal_weights(pause);
      }
      pause.check();
    }
  }

 private:
  void draw(std::uint64_t first, std::int64_t n, double* z) const {
    normals(law_.seed, sample_, layer_, first, n, z);
  }

  void start() {
    layer_ = 0;
    draw(0, 2 * padded_, z_.data());
    sign_ = law_.c < 0.0 ? -1.0 : 1.0;
    const double along = law_.c - sign_, scale = std::sqrt(law_.q);
    const double across = std::sqrt(-along * (1.0 + sign_ * law_.c) * sign_);
    const double *z1 = z_.data(), *z2 = z1 + padded_;
    double *a = h_a_.data(), *d = d_.data();
    for (std::int64_t i = 0; i < n_; ++i) {
      a[i] = scale * z1[i];
      d[i] = scale * (along * z1[i] + across * z2[i]);
    }
  }

  /// c = cos of the angle, 1 - |c| = sin^2 / (1 + |cos|) with sin from the part of d across h_a.
  void measure(double* q, double* c, double* delta) {
    const double *a = h_a_.data(), *d = d_.data(), s = sign_;
    double* b = h_b_.data();
    for (std::int64_t i = 0; i < n_; ++i) b[i] = s * a[i] + d[i];
    const auto [aa, ab, bb, ad] = sums<4>(n_, [=](auto at, auto* y) {
      y[0] = at(a) * at(a);
      y[1] = at(a) * at(b);
      y[2] = at(b) * at(b);
      y[3] = at(a) * at(d);
    });
    *q = (aa + bb) / (2.0 * static_cast<double>(n_));
    if (!(aa > 0.0 && bb > 0.0)) {
      *c = *delta = std::nan("");
      return;
    }
    const double cosine = std::min(std::fabs(ab) / (std::sqrt(aa) * std::sqrt(bb)), 1.0);
    const double sine_squared = squared_distance(d, a, ad / aa, n_) / bb;
    const double gap = std::min(sine_squared / (1.0 + cosine), 1.0);
    *delta = ab < 0.0 ? 2.0 - gap : gap;
    *c = ab < 0.0 ? gap - 1.0 : 1.0 - gap;
  }

  /// x_a, e = x_b - s x_a and their products; s = sign of x_a . x_b.
  void activate(std::uint64_t layer, Pause& pause) {
    constexpr std::int64_t block = 4096;
    double *x = x_a_.data(), *e = e_.data();
    for (std::int64_t i = 0; i < n_; i += block) {
      const std::int64_t size = std::min(block, n_ - i);
      phi_.value(h_a_.data() + i, size, x + i);
      phi_.value(h_b_.data() + i, size, e + i);
      pause.check();
    }
    if (law_.keep < 1.0) {
      double* u = z_.data();
      uniforms(law_.seed, sample_, layer, 0, 2 * padded_, u);
      for (std::int64_t i = 0; i < n_; ++i) {
        x[i] = u[i] < law_.keep ? x[i] / law_.keep : 0.0;
        e[i] = u[padded_ + i] < law_.keep ? e[i] / law_.keep : 0.0;
      }
    }
    const double ab = sums<1>(n_, [=](auto at, auto* y) { y[0] = at(x) * at(e); })[0];
    const double s = ab < 0.0 ? -1.0 : 1.0;
    for (std::int64_t i = 0; i < n_; ++i) e[i] -= s * x[i];
    const auto [aa, ae, ee] = sums<3>(n_, [=](auto at, auto* y) {
      y[0] = at(x) * at(x);
      y[1] = at(x) * at(e);
      y[2] = at(e) * at(e);
    });
    std::tie(sign_, aa_, ae_, ee_) = std::tie(s, aa, ae, ee);
  }

  /// The factor of a rank-revealing 2 x 2 Cholesky decomposition: (first, second) = first_scale
  /// z_1, ratio first + second_scale z_2, first being the longer of (x_a, e), here with a bias.
  struct Factor {
    bool swapped;
    double first_scale, ratio, second_scale;
  };
  Factor factor(double bias_a, double bias_d) {
    double first = gain() * aa_ + bias_a * bias_a, second = gain() * ee_ + bias_d * bias_d;
    const double product = gain() * ae_ + bias_a * bias_d;
    const double *p = x_a_.data(), *o = e_.data();
    const bool swapped = first < second;
    if (swapped) {
      std::swap(first, second);
      std::swap(p, o);
      std::swap(bias_a, bias_d);
    }
    const double ratio = first > 0.0 ? product / first : 0.0;
    const double bias = bias_d - ratio * bias_a;
    const double rest = gain() * squared_distance(o, p, ratio, n_) + bias * bias;
    return {swapped, std::sqrt(first), ratio, std::sqrt(rest)};
  }

  double gain() const { return law_.sigma_w * law_.sigma_w / static_cast<double>(n_); }
  double bias_of_difference() const { return (1.0 - sign_) * law_.sigma_b; }

  void gaussian_rows() {
    draw(0, 2 * padded_, z_.data());
    const Factor f = factor(law_.sigma_b, bias_of_difference());
    const double *z1 = z_.data(), *z2 = z1 + padded_;
    double *first = h_a_.data(), *second = d_.data();
    if (f.swapped) std::swap(first, second);
    for (std::int64_t i = 0; i < n_; ++i) {
      const double y = f.first_scale * z1[i];
      first[i] = y;
      second[i] = f.ratio * y + f.second_scale * z2[i];
    }
  }

  void orthogonal_frame() {
    draw(0, (law_.sigma_b > 0.0 ? 3 : 2) * padded_, z_.data());
    const Factor f = factor(0.0, 0.0);
    const double *z1 = z_.data(), *z2 = z1 + padded_;
    const auto [square, product] = sums<2>(n_, [=](auto at, auto* y) {
      y[0] = at(z1) * at(z1);
      y[1] = at(z1) * at(z2);
    });
    const double slope = product / square, root_n = std::sqrt(static_cast<double>(n_));
    const double across = squared_distance(z2, z1, slope, n_);
    const double scale_1 = root_n * f.first_scale / std::sqrt(square);
    const double scale_2 = across > 0.0 ? root_n * f.second_scale / std::sqrt(across) : 0.0;
    double *first = h_a_.data(), *second = d_.data();
    if (f.swapped) std::swap(first, second);
    for (std::int64_t i = 0; i < n_; ++i) {
      const double y = scale_1 * z1[i];
      first[i] = y;
      second[i] = f.ratio * y + scale_2 * (z2[i] - slope * z1[i]);
    }
    add_bias(z2 + padded_);
  }

  void add_bias(const double* z) {
    if (law_.sigma_b == 0.0) return;
    const double scale_a = law_.sigma_b, scale_d = bias_of_difference();
    double *a = h_a_.data(), *d = d_.data();
    for (std::int64_t i = 0; i < n_; ++i) {
      a[i] += scale_a * z[i];
      d[i] += scale_d * z[i];
    }
  }

  void gaussian_weights(Pause& pause) {
    constexpr std::int64_t chunk = 64 * tile_normals;
    alignas(64) double w[chunk];
    double *h_a = h_a_.data(), *h_d = d_.data();
    std::fill(h_a, h_a + n_, 0.0);
    std::fill(h_d, h_d + n_, 0.0);
    const std::int64_t total = n_ * n_;
    std::int64_t row = 0, column = 0;
    for (std::int64_t first = 0; first < total; first += chunk) {
      const std::int64_t size = std::min(chunk, total - first);
      draw(static_cast<std::uint64_t>(first), chunk, w);
      for (std::int64_t at = 0; at < size;) {
        const std::int64_t length = std::min(n_ - column, size - at);
        const double *v = w + at, *x = x_a_.data() + column, *e = e_.data() + column;
        const auto [a, d] = sums<2>(length, [=](auto at, auto* y) {
          y[0] = at(v) * at(x);
          y[1] = at(v) * at(e);
        });
        h_a[row] += a;
        h_d[row] += d;
        at += length;
        column += length;
        if (column == n_) {
          column = 0;
          ++row;
        }
      }
      pause.check();
    }
    const double scale = law_.sigma_w / std::sqrt(static_cast<double>(n_));
    for (std::int64_t i = 0; i < n_; ++i) {
      h_a[i] *= scale;
      h_d[i] *= scale;
    }
    draw_bias((total + tile_normals - 1) / tile_normals * tile_normals);
  }

  /// Stewart (1980): the product of the reflectors that take Gaussian vectors of length N .. 1 to
  /// the first axis, each row with the sign that makes it the normalised vector itself.
  void orthogonal_weights(Pause& pause) {
    double *z = z_.data(), *h_a = h_a_.data(), *h_d = d_.data();
    for (std::int64_t k = 0; k < n_; ++k) {
      const std::int64_t length = n_ - k;
      draw(static_cast<std::uint64_t>(k * padded_), length, z);
      double *x = x_a_.data() + k, *e = e_.data() + k;
      const auto [square, along_x, along_e] = sums<3>(length, [=](auto at, auto* y) {
        y[0] = at(z) * at(z);
        y[1] = at(z) * at(x);
        y[2] = at(z) * at(e);
      });
      const double norm = std::copysign(std::sqrt(square), z[0]);
      const double half = square + norm * z[0];
      const double factor_x = (along_x + norm * x[0]) / half;
      const double factor_e = (along_e + norm * e[0]) / half;
      for (std::int64_t i = 1; i < length; ++i) {
        x[i] -= factor_x * z[i];
        e[i] -= factor_e * z[i];
      }
      h_a[k] = law_.sigma_w * along_x / std::fabs(norm);
      h_d[k] = law_.sigma_w * along_e / std::fabs(norm);
      if (k % 64 == 0) pause.check();
    }
    draw_bias(n_ * padded_);
  }

  void draw_bias(std::int64_t first) {
    if (law_.sigma_b == 0.0) return;
    draw(static_cast<std::uint64_t>(first), n_, z_.data());
    add_bias(z_.data());
  }

  const Activation& phi_;
  const Propagation law_;
  const std::int64_t n_, padded_;
  std::uint64_t sample_ = 0, layer_ = 0;
  double sign_ = 1.0, aa_ = 0.0, ae_ = 0.0, ee_ = 0.0;
  Buffer h_a_, h_b_, d_, x_a_, e_, z_;
};

}  // namespace detail

/// q = (|h_a|^2 + |h_b|^2) / 2N, c and 1 - c of each network and layer into `out`, of shape
/// (3, n_samples, depth); network i has draws of its own, whatever n_samples and n_threads are.
/// poll is given the number of networks done. c is NaN where an input is 0; from the layer on whose
/// lengths overflow, q is inf and c NaN.
template <class Poll>
void simulate_propagation(const Activation& phi, const Propagation& law, std::int64_t n_samples,
                          int n_threads, double* out, Poll&& poll) {
  if (law.width < 1 || law.depth < 1 || n_samples < 1) {
    throw std::invalid_argument("width, depth and n_samples must be >= 1");
  }
  if (law.depth > static_cast<std::int64_t>(largest_layer)) {
    throw std::invalid_argument("depth must be < 2^24");
  }
  const std::int64_t work = law.depth * (law.width + detail::tile_normals);
  const std::int64_t group = std::max<std::int64_t>(1, 32768 / work);  // networks of a block
  const std::int64_t rows = n_samples * law.depth;
  for_each_block((n_samples + group - 1) / group, n_threads,
                 [&](std::int64_t block, Pause& pause) {
                   detail::PairOfInputs pair(phi, law);
                   const std::int64_t end = std::min(n_samples, (block + 1) * group);
                   for (std::int64_t sample = block * group; sample < end; ++sample) {
                     double* q = out + sample * law.depth;
                     pair.run(static_cast<std::uint64_t>(sample), q, q + rows, q + 2 * rows, pause);
                   }
                 },
                 [&](std::int64_t done) { poll(std::min(done * group, n_samples)); });
}

}  // namespace meanfree
