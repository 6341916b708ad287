// A curve through random networks of finite width, h^{l+1}(t) = W x(t) + b, x = phi(h^l), with its
// derivatives v = h' and a = h'':
//
//     x' = phi'(h) v      x'' = phi''(h) v^2 + phi'(h) a      [h v a] <- W [x x' x''] + [b 0 0]
//
//   weights    W is drawn and multiplied, a block of angles after another (with the same draws).
//   gram       W X from its law given X = [x x' x''], see curve_factor.hpp; a fresh W in each
//              layer makes this a Markov chain.
//   automatic  layer by layer what costs less; X by its Fourier coefficients where the points
//              resolve the curve, see curve_modes.hpp.
//
// h^1 = scale M B + start_bias z, B the given start (points, then derivatives, as columns), M with
// normal entries or uniform on the frames of as many columns.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/curve_factor.hpp"
#include "meanfree/curve_geometry.hpp"
#include "meanfree/curve_law.hpp"
#include "meanfree/curve_modes.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/random.hpp"

namespace meanfree {

namespace detail {

/// One network after another, for one thread.
template <class Scalar>
class CurveNetwork {
  using Matrix = MatrixOf<Scalar>;

 public:
  CurveNetwork(const Activation& phi, const CurveLaw& law)
      : phi_(phi),
        law_(law),
        n_(law.width),
        bias_(n_),
        column_(3 * n_),
        table_(3 * block_size),
        start_(law.rank, law.parts * law.n_points) {
    start_ =
        (Eigen::Map<const MatrixOf<double>>(law.start, start_.rows(), start_.cols()) * law.scale)
            .template cast<Scalar>();
    if (law.method == CurveMethod::automatic && law.closed && law.n_points >= 32) start_modes();
  }

  /// The fields of each layer, `stride` apart, and after them the rank of what made the layer. If
  /// `raw` is not null, h, v, a of each layer: (depth, parts, n_points, width).
  void run(std::uint64_t sample, double* out, std::int64_t stride, double* raw, Pause& pause) {
    sample_ = sample;
    raw_ = raw;
    dear_ = false;
    walks_.assign(static_cast<std::size_t>(law_.depth), CurveWalk(n_));
    carried_.assign(static_cast<std::size_t>(law_.n_points), 0.0);
    ranks_.assign(static_cast<std::size_t>(law_.depth), law_.rank);
    const Index points = law_.n_points;
    const Index block = law_.method == CurveMethod::gram ? points : block_of_points();
    std::int64_t layer = modes_ ? run_modes(block >= points, pause) : 0;
    if (layer < law_.depth && block < points) layer = 0;  // the same network again, by blocks
    for (first_ = 0; layer < law_.depth && first_ < points; first_ += block) {
      count_ = std::min(block, points - first_);
      if (layer == 0) begin(pause);
      for (std::int64_t l = layer;; ++l) {
        const bool last = l + 1 == law_.depth;
        through(l, last, pause);
        if (last) break;
        advance(l + 1, pause);
      }
    }
    for (std::size_t layer = 0; layer < walks_.size(); ++layer) {
      walks_[layer].finish(law_.closed, carried_.data());
      walks_[layer].totals.write(out + layer, stride);
      out[curve_fields * stride + static_cast<std::int64_t>(layer)] =
          static_cast<double>(ranks_[layer]);
    }
  }

 private:
  /// As many layers as are resolved by the points, by their Fourier coefficients. The number of
  /// layers done; of the next one h_ is there if everything is one block.
  std::int64_t run_modes(bool whole, Pause& pause) {
    frame(stream(0, Purpose::normals), law_.frame, start_modes_, h_modes_, pause);
    draw_bias(0, law_.start_bias);
    for (std::int64_t layer = 0;; ++layer) {
      const bool last = layer + 1 == law_.depth;
      CurveTotals totals(n_);
      double* raw = raw_ == nullptr ? nullptr : raw_ + layer * law_.parts * law_.n_points * n_;
      const bool resolved = modes_->through(h_modes_, bias_.data(), law_.weight, gain(), last,
                                            totals, x_modes_, raw, pause);
      if (!resolved) {
        if (!whole) {
          walks_.assign(walks_.size(), CurveWalk(n_));
        } else {
          dear_ = law_.n_points > largest_rank(law_.parts * law_.n_points);  // what they span
          modes_->expand(h_modes_, bias_.data(), h_, pause);
          std::fill_n(bias_.data(), n_, 0.0);
          rounding_ = start_rounding;
        }
        return layer;
      }
      walks_[static_cast<std::size_t>(layer)].totals = totals;
      if (!totals.finite()) fail(layer);
      if (last) return law_.depth;
      const Index columns = x_modes_.cols();
      multiply(layer + 1, x_modes_, h_modes_, whole && columns <= largest_rank(columns), pause);
    }
  }

  static constexpr Index block_size = 1024;  // units whose activations are computed together

  /// Make use of Fourier coefficients if the start is resolved by equally spaced points, and its
  /// derivatives are those after the angle.
  void start_modes() {
    const Index points = law_.n_points;
    if (!phi_.kinks.empty()) return;
    const Index largest = std::max<Index>(64, (Index{1} << 24) / n_ / 2);
    modes_ = std::make_unique<CurveModes<Scalar>>(phi_, n_, points, law_.parts, largest);
    const Eigen::Map<const MatrixOf<double>> start(law_.start, law_.rank, law_.parts * points);
    WorkspaceOf<double> modes, expanded;
    bool good = modes_->analyse(start.leftCols(points), modes);
    if (good) {
      CurveModes<double> check(phi_, law_.rank, points, law_.parts, largest);
      const Buffer zeros(law_.rank);
      std::atomic<bool> never{false};
      Pause pause(&never);
      check.expand(modes, zeros.data(), expanded, pause);
      for (int p = 0; p < law_.parts; ++p) {
        const auto given = start.middleCols(p * points, points);
        const auto made = expanded.map().middleCols(p * points, points);
        good = good && (given - made).norm() <= 1e-9 * given.norm();
      }
    }
    if (good) {
      start_modes_.resize(law_.rank, modes.cols()) =
          (modes.map() * law_.scale).template cast<Scalar>();
    } else {
      modes_.reset();
    }
  }

  /// So many that the arrays of h and x take 32 MiB each.
  Index block_of_points() const {
    const Index most = (Index{1} << 25) / static_cast<Index>(sizeof(Scalar)) / (n_ * law_.parts);
    return std::clamp<Index>(most, 64, law_.n_points < 64 ? 64 : law_.n_points);
  }

  Stream stream(std::int64_t layer, Purpose purpose) const {
    return Stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), purpose);
  }

  void draw_bias(std::int64_t layer, double scale) {
    if (scale == 0.0) {
      std::fill_n(bias_.data(), n_, 0.0);
      return;
    }
    draw_normals(stream(layer, Purpose::pre_activations), 0, n_, bias_.data());
    for (Index i = 0; i < n_; ++i) bias_.data()[i] *= scale;
  }

  void begin(Pause& pause) {
    Eigen::Map<Matrix> part = factor_.resize(law_.rank, law_.parts * count_);
    for (int p = 0; p < law_.parts; ++p) {
      part.middleCols(p * count_, count_) = start_.middleCols(p * law_.n_points + first_, count_);
    }
    frame(stream(0, Purpose::normals), law_.frame, factor_, h_, pause);
    draw_bias(0, law_.start_bias);
    rounding_ = start_rounding;
  }

  /// out <- Z r, or U r with U a frame in so many dimensions.
  void frame(const Stream& draws, Index dimension, const WorkspaceOf<Scalar>& r,
             WorkspaceOf<Scalar>& out, Pause& pause) {
    out.resize(n_, r.cols());
    if (dimension == 0) {
      frame_.gaussian(draws, r.map(), out.map(), pause);
    } else {
      frame_.orthogonal(draws, dimension, r.map(), out.map(), pause);
    }
  }

  /// h_ + bias_ is measured and turned into x_, with the standard deviation of the weights.
  void through(std::int64_t layer, bool last, Pause& pause) {
    Eigen::Map<Matrix> h = h_.map();
    CurveWalk& walk = walks_[static_cast<std::size_t>(layer)];
    if (!last) x_.resize(n_, h.cols());
    for (Index j = 0; j < count_; ++j) {
      const double* part[3] = {nullptr, nullptr, nullptr};
      for (int p = 0; p < law_.parts; ++p) {
        part[p] = in_double(h, p, j);
        if (raw_ != nullptr) {
          const Index to = ((layer * law_.parts + p) * law_.n_points + first_ + j) * n_;
          std::copy_n(part[p], n_, raw_ + to);
        }
      }
      const double noise = rounding<Scalar>(part[0], bias_.data(), rounding_, n_);
      walk.add(law_.weight[first_ + j], part[0], part[1], part[2], noise, carried_.data());
      if (!last) activate(part, j);
      pause.check();
    }
    if (!walk.totals.finite()) fail(layer);
  }

  /// Column j of a part; h with its bias.
  const double* in_double(Eigen::Map<Matrix> h, int part, Index j) {
    const Scalar* from = h.data() + (part * count_ + j) * n_;
    double* to = column_.data() + part * n_;
    if (part == 0) {
      const double* b = bias_.data();
      for (Index i = 0; i < n_; ++i) to[i] = static_cast<double>(from[i]) + b[i];
    } else {
      for (Index i = 0; i < n_; ++i) to[i] = static_cast<double>(from[i]);
    }
    return to;
  }

  void activate(const double* const* part, Index j) {
    Scalar* x = x_.map().data() + j * n_;
    Scalar *dx = x + count_ * n_, *ddx = dx + count_ * n_;
    double *value = table_.data(), *slope = value + block_size, *second = slope + block_size;
    const double scale = gain();
    for (Index first = 0; first < n_; first += block_size) {
      const Index size = std::min(block_size, n_ - first);
      const double* h = part[0] + first;
      phi_.value(h, size, value);
      for (Index i = 0; i < size; ++i) x[first + i] = static_cast<Scalar>(scale * value[i]);
      if (law_.parts == 1) continue;
      const double* v = part[1] + first;
      phi_.derivative(h, size, slope);
      for (Index i = 0; i < size; ++i) {
        slope[i] *= scale;
        dx[first + i] = static_cast<Scalar>(slope[i] * v[i]);
      }
      if (law_.parts == 2) continue;
      const double* a = part[2] + first;
      phi_.second_derivative(h, size, second);
      for (Index i = 0; i < size; ++i) {
        const double bend = scale * second[i] * v[i] * v[i];
        ddx[first + i] = static_cast<Scalar>(bend + slope[i] * a[i]);
      }
    }
  }

  /// What W X is multiplied by: sigma_w / sqrt(N), or sigma_w for orthogonal weights.
  double gain() const {
    const bool orthogonal = law_.weights == Weights::orthogonal;
    return orthogonal ? law_.sigma_w : law_.sigma_w / std::sqrt(static_cast<double>(n_));
  }

  /// h_ <- W x_ of the next layer, and its biases.
  void advance(std::int64_t layer, Pause& pause) {
    multiply(layer, x_, h_,
             law_.method != CurveMethod::weights && count_ == law_.n_points && !dear_, pause);
  }

  /// h <- W x, by a factor of x if it may be and is cheaper; x is lost. Then the biases.
  void multiply(std::int64_t layer, WorkspaceOf<Scalar>& x, WorkspaceOf<Scalar>& h, bool factored,
                Pause& pause) {
    Index rank = -1;
    if (factored) {
      rank = decomposition_.decompose(x.map(), largest_rank(x.cols()), factor_, pause);
      if (rank == RankFactor<Scalar>::overflow) fail(layer);
      dear_ = rank < 0;
    }
    if (rank < 0) {
      rank = x.cols();
      multiply_by_weights(layer, x, h, pause);
      const double terms = std::sqrt(static_cast<double>(std::min<Index>(n_, 1000)));
      rounding_ = law_.weights == Weights::orthogonal ? 0.5 + 0.25 * terms : 0.5 + 0.1 * terms;
    } else {
      const bool orthogonal = law_.weights == Weights::orthogonal;
      frame(stream(layer, Purpose::normals), orthogonal ? n_ : 0, factor_, h, pause);
      rounding_ = 0.5 * RankFactor<Scalar>::tolerance / std::numeric_limits<Scalar>::epsilon();
    }
    ranks_[static_cast<std::size_t>(layer)] = rank;
    draw_bias(layer, law_.sigma_b);
  }

  /// Up to which the factor is cheaper than the weights, in flops: a draw counts 60, and the thin
  /// products of the reflectors count double. If that is known beforehand to be exceeded, 0.
  Index largest_rank(Index columns) const {
    if (law_.method == CurveMethod::gram) return n_;
    const double n = static_cast<double>(n_), m = static_cast<double>(columns);
    return static_cast<Index>(n * (2.0 * m + 60.0) / (10.0 * m + 60.0));
  }

  void multiply_by_weights(std::int64_t layer, WorkspaceOf<Scalar>& x, WorkspaceOf<Scalar>& h,
                           Pause& pause) {
    const Stream draws = stream(layer, Purpose::weights);
    if (law_.weights == Weights::orthogonal) {
      haar_.apply(draws, x.map(), pause);
      h.swap(x);
      return;
    }
    h.resize(n_, x.cols());
    // rows of W that take 32 MiB
    constexpr Index numbers = (Index{1} << 25) / static_cast<Index>(sizeof(Scalar));
    const Index most = std::max<Index>(64, numbers / n_);
    std::uint64_t drawn = 0;
    for (Index row = 0; row < n_; row += most) {
      const Index rows = std::min(most, n_ - row);
      Eigen::Map<Matrix> w = w_.resize(rows, n_);
      fill_normals(draws, drawn, w.data(), w.size(), pause);
      drawn +=
          static_cast<std::uint64_t>((w.size() + tile_normals - 1) / tile_normals * tile_normals);
      product_.multiply(w, x.map(), h.map().middleRows(row, rows), pause);
    }
  }

  [[noreturn]] static void fail(std::int64_t layer) {
    throw std::invalid_argument(
        "the curve must stay within the range of floating-point numbers, but overflows in layer " +
        std::to_string(layer + 1));
  }

  const Activation& phi_;
  const CurveLaw law_;
  const Index n_;
  Index first_ = 0, count_ = 0;  // the points at hand
  std::uint64_t sample_ = 0;
  double* raw_ = nullptr;
  double rounding_ = start_rounding;  // of the points at hand, in units in the last place
  bool dear_ = false;                 // the rank of a layer was too large for the factor to pay
  Buffer bias_, column_, table_;
  Matrix start_;
  WorkspaceOf<Scalar> h_, x_, w_, factor_, start_modes_, h_modes_, x_modes_;
  std::unique_ptr<CurveModes<Scalar>> modes_;  // where they are of use
  ProductOf<Scalar> product_;
  HaarMatrixOf<Scalar> haar_;
  RankFactor<Scalar> decomposition_;
  RandomFrame<Scalar> frame_;
  std::vector<CurveWalk> walks_;
  std::vector<double> carried_;  // see CurveWalk::add
  std::vector<std::int64_t> ranks_;
};

}  // namespace detail

/// The fields of each network and layer into `out`, (curve_fields + 1, n_samples, depth), the last
/// one the rank of what made the layer. Network i has draws of its own, whatever n_samples and
/// n_threads are; poll is given the number of networks done.
template <class Scalar, class Poll>
void simulate_curve(const Activation& phi, const CurveLaw& law, std::int64_t n_samples,
                    int n_threads, double* out, Poll&& poll) {
  detail::check(law);
  if (n_samples < 1) throw std::invalid_argument("n_samples must be >= 1");
  const double work = static_cast<double>(law.width) * static_cast<double>(law.n_points) *
                      static_cast<double>(law.depth);
  const auto group = static_cast<std::int64_t>(std::clamp(1e5 / work, 1.0, 64.0));
  for_each_block((n_samples + group - 1) / group, n_threads,
                 [&](std::int64_t block, Pause& pause) {
                   detail::CurveNetwork<Scalar> network(phi, law);
                   const std::int64_t end = std::min(n_samples, (block + 1) * group);
                   for (std::int64_t sample = block * group; sample < end; ++sample) {
                     network.run(static_cast<std::uint64_t>(sample), out + sample * law.depth,
                                 n_samples * law.depth, nullptr, pause);
                   }
                 },
                 [&](std::int64_t done) { poll(std::min(done * group, n_samples)); });
}

/// h, v, a of network `sample` into `out`, (depth, parts, n_points, width).
template <class Scalar, class Poll>
void propagate_curve(const Activation& phi, const CurveLaw& law, std::uint64_t sample, double* out,
                     Poll&& poll) {
  detail::check(law);
  std::vector<double> fields(static_cast<std::size_t>((curve_fields + 1) * law.depth));
  for_each_block(
      1, 1,
      [&](std::int64_t, Pause& pause) {
        detail::CurveNetwork<Scalar>(phi, law).run(sample, fields.data(), law.depth, out, pause);
      },
      poll);
}

}  // namespace meanfree
