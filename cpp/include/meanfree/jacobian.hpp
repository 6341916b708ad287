// Singular values of J = D_L W_L ... D_1 W_1 in random networks of finite width, D_l = diag
// phi'(h^l) at the network's own pre-activations h^{l+1} = W_{l+1} phi(h^l) + b. h^1 is Gaussian
// with variance q: W_1 acts on an input of the length that leaves the biases their variance; where
// sigma_b^2 > q those of layer 1 have variance q.
//
// All of it is exact in law:
//   - W Q has the law of W for any orthogonal Q that depends on earlier layers alone. So where a
//     product is split as A = Q R, a new W meets R, and Q^T x is what the network goes on with.
//   - A row of D that is 0 is left out, with its row of W. Where phi' vanishes on an interval the
//     Gaussian h are drawn first, and then the rows of W that are needed given h: g + (h - h')
//     cov(g, h') / var(h'), (g, h') being an independent draw of row and pre-activation.
//   - Of units that D leaves out only their length enters the next pre-activations.
//   - Linear Gaussian networks need the triangular factors alone: chi variables on the diagonal.
//   - O_1 changes no singular value of an orthogonal network.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/chi.hpp"
#include "meanfree/graded_product.hpp"
#include "meanfree/haar.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/random.hpp"
#include "meanfree/tridiagonal.hpp"

namespace meanfree {

/// The law of the networks. `accurate`: each singular value right, however small; otherwise those
/// below about 1e-8 of the largest are noise.
struct JacobianLaw {
  double sigma_w = 1.0, sigma_b = 0.0;
  bool orthogonal = false, accurate = true;
  std::int64_t width = 1, depth = 1;
  double q = 1.0;
  std::uint64_t seed = 0;
};

namespace detail {

/// One network after another, for one thread.
class RandomJacobian {
 public:
  RandomJacobian(const Activation& phi, const JacobianLaw& law)
      : phi_(phi), law_(law), n_(law.width), h_(n_), value_(n_), slope_(n_), noise_(n_) {
    const bool straight = phi.family == Family::homogeneous;
    linear_ = straight && phi.gain == 1.0;
    vanishes_ = (straight && phi.gain == 0.0) || phi.family == Family::clip || phi.user_defined;
    rescales_ = straight;
    gain_ = law.orthogonal ? law.sigma_w : law.sigma_w / std::sqrt(static_cast<double>(n_));
  }

  /// The logarithms of all `width` singular values, falling.
  void run(std::uint64_t sample, double* logs, Pause& pause) {
    sample_ = sample;
    std::fill_n(logs, n_, -std::numeric_limits<double>::infinity());
    if (gain_ == 0.0) return;
    rank_ = n_;
    if (linear_) {
      run_linear(logs, pause);
    } else {
      start();
      law_.accurate ? run_accurate(logs, pause) : run_fast(logs, pause);
    }
    const double scale = static_cast<double>(law_.depth) * std::log(gain_);
    for (Index i = 0; i < n_; ++i) logs[i] += scale;
  }

 private:
  // ---- the network, layer by layer: a_ maps the block's start to the units that are left

  /// Before layer 0. For Gaussian weights the input points along the first axis.
  void start() {
    const double n = static_cast<double>(n_), of_input = law_.q - law_.sigma_b * law_.sigma_b;
    x_.setZero(n_);
    if (!law_.orthogonal && of_input > 0.0) x_[0] = std::sqrt(n * of_input) / law_.sigma_w;
    rest_ = 0.0;
    unit_ = 0;
    start_block();
  }

  void start_block() {
    identity_ = true;
    exponent_ = 0;
  }

  Index block_columns() const { return identity_ ? x_.size() : a_.cols(); }

  void draw_normals(std::int64_t layer, Purpose purpose, std::int64_t first, std::int64_t n,
                    double* z) const {
    const Stream stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), purpose);
    draw<tile_normals>(stream, static_cast<std::uint64_t>(first), n, z, box_muller);
  }

  double bias(std::int64_t layer) const {
    const double b = layer == 0 ? std::min(law_.sigma_b, std::sqrt(law_.q)) : law_.sigma_b;
    return unit_ == 0
               ? b
               : std::ldexp(b, static_cast<int>(std::clamp<std::int64_t>(-unit_, -3000, 3000)));
  }

  void advance(std::int64_t layer, Pause& pause) {
    law_.orthogonal ? advance_orthogonal(layer, pause) : advance_gaussian(layer, pause);
    const double squares = x_.squaredNorm() + rest_;
    if (!(squares < 1e300)) {
      throw std::invalid_argument("the pre-activations overflow in layer " +
                                  std::to_string(layer + 2));
    }
    if (rescales_ && squares > 0.0 && (squares > 1e100 || squares < 1e-100)) {
      const std::int64_t e = exponent_of(squares) / 2;
      const double factor = std::ldexp(1.0, static_cast<int>(-e));
      x_ *= factor;
      rest_ *= factor * factor;
      unit_ += e;
    }
    rank_ = std::min(rank_, a_.rows());
    const double largest = a_.size() == 0 ? 0.0 : a_.cwiseAbs().maxCoeff();
    if (largest > 0.0 && (largest > 0x1p60 || largest < 0x1p-60)) {
      const std::int64_t e = exponent_of(largest);
      a_ *= std::ldexp(1.0, static_cast<int>(-e));
      exponent_ += e;
    }
  }

  /// phi and phi' of h_, the units with phi' != 0, and what the others add to the length.
  void activate(std::int64_t layer, Pause& pause) {
    constexpr Index block = 4096;
    for (Index i = 0; i < n_; i += block) {
      const Index size = std::min(block, n_ - i);
      if (phi_.user_defined) {
        phi_.value(h_.data() + i, size, value_.data() + i);
        phi_.derivative(h_.data() + i, size, slope_.data() + i);
      } else {
        phi_.value(h_.data() + i, size, value_.data() + i);
        phi_.derivative(h_.data() + i, size, slope_.data() + i);
      }
      pause.check();
    }
    active_.clear();
    double rest = 0.0;
    least_ = std::numeric_limits<double>::infinity();
    most_ = 0.0;
    for (Index i = 0; i < n_; ++i) {
      const double d = std::fabs(slope_[i]);
      if (!(d < std::numeric_limits<double>::infinity())) {
        throw std::invalid_argument("phi' is not finite at a pre-activation in layer " +
                                    std::to_string(layer + 1));
      }
      if (d != 0.0) {
        active_.push_back(i);
        least_ = std::min(least_, d);
        most_ = std::max(most_, d);
      } else {
        rest += value_[i] * value_[i];
      }
    }
    rest_ = rest;
  }

  void advance_gaussian(std::int64_t layer, Pause& pause) {
    const Index columns = x_.size();
    const double b = bias(layer), noise = std::sqrt(gain_ * gain_ * rest_ + b * b);
    const std::int64_t padded = (n_ + tile_normals - 1) / tile_normals * tile_normals;
    Index k = n_;
    double variance = 0.0;
    if (vanishes_) {  // h first
      variance = gain_ * gain_ * (x_.squaredNorm() + rest_) + b * b;
      draw_normals(layer, Purpose::pre_activations, padded, n_, h_.data());
      h_ *= std::sqrt(variance);
      activate(layer, pause);
      k = static_cast<Index>(active_.size());
    }
    w_.resize(k, columns);
    draw_normals(layer, Purpose::weights, 0, w_.size(), w_.data());
    draw_normals(layer, Purpose::pre_activations, 0, n_, noise_.data());
    trial_.resize(k);
    trial_.noalias() = gain_ * (w_ * x_);
    trial_ += noise * noise_.head(k);
    if (vanishes_) {
      if (variance > 0.0) {
        for (Index i = 0; i < k; ++i)
          trial_[i] = h_[active_[static_cast<std::size_t>(i)]] - trial_[i];
        w_.noalias() += trial_ * (gain_ / variance * x_).transpose();
      }
    } else {
      h_ = trial_;
      activate(layer, pause);
    }
    pause.check();
    keep_active(vanishes_, pause);
  }

  /// a_ <- D W a_ of the active units, x_ <- their values. `selected`: w_ has their rows only.
  void keep_active(bool selected, Pause& pause) {
    const Index k = static_cast<Index>(active_.size());
    if (!selected && k < n_) {
      for (Index i = 0; i < k; ++i) w_.row(i) = w_.row(active_[static_cast<std::size_t>(i)]);
      w_.conservativeResize(k, Eigen::NoChange);
    }
    if (identity_) {
      a_.swap(w_);
    } else {
      product_.resize(k, a_.cols());
      meanfree::detail::multiply(w_, a_, product_, pause);
      a_.swap(product_);
    }
    identity_ = false;
    take_active();
  }

  void take_active() {
    const Index k = static_cast<Index>(active_.size());
    trial_.resize(k);
    x_.resize(k);
    for (Index i = 0; i < k; ++i) {
      const Index from = active_[static_cast<std::size_t>(i)];
      trial_[i] = slope_[from];
      x_[i] = value_[from];
    }
    a_.array().colwise() *= trial_.array();
  }

  void advance_orthogonal(std::int64_t layer, Pause& pause) {
    if (layer == 0) {
      draw_normals(layer, Purpose::pre_activations, 0, n_, h_.data());
      h_ *= std::sqrt(law_.q);
      activate(layer, pause);
      const Index k = static_cast<Index>(active_.size());
      a_.setIdentity(k, k);
      identity_ = false;
      take_active();
      return;
    }
    const Index k = x_.size(), columns = block_columns();
    w_.setZero(n_, columns + 1);
    w_.col(columns).head(k) = x_;
    if (k < n_) w_(k, columns) = std::sqrt(rest_);
    if (identity_) {
      w_.topLeftCorner(k, k).setIdentity();
    } else {
      w_.topLeftCorner(k, columns) = a_;
    }
    haar_.apply(Stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), Purpose::weights), w_,
                pause);
    h_ = gain_ * w_.col(columns);
    const double b = bias(layer);
    if (b > 0.0) {
      draw_normals(layer, Purpose::pre_activations, 0, n_, noise_.data());
      h_ += b * noise_;
    }
    activate(layer, pause);
    const Index left = static_cast<Index>(active_.size());
    a_.resize(left, columns);
    for (Index j = 0; j < columns; ++j) {
      for (Index i = 0; i < left; ++i) a_(i, j) = w_(active_[static_cast<std::size_t>(i)], j);
    }
    identity_ = false;
    take_active();
  }

  // ---- singular values

  void run_fast(double* logs, Pause& pause) {
    for (std::int64_t layer = 0; layer < law_.depth && rank_ > 0; ++layer) advance(layer, pause);
    if (rank_ > 0) from_gram(a_, exponent_, logs, pause);
  }

  void from_gram(const Matrix& a, std::int64_t exponent, double* logs, Pause& pause) {
    const bool wide = a.rows() <= a.cols();
    const Index n = std::min(a.rows(), a.cols());
    const double largest = a.cwiseAbs().maxCoeff();
    if (largest == 0.0) return;
    const std::int64_t e = exponent_of(largest);
    product_ = a * std::ldexp(1.0, static_cast<int>(-e));
    w_.setZero(n, n);
    if (wide) {
      w_.selfadjointView<Eigen::Lower>().rankUpdate(product_);
    } else {
      w_.selfadjointView<Eigen::Lower>().rankUpdate(product_.transpose());
    }
    pause.check();
    values_.resize(static_cast<std::size_t>(n));
    symmetric_.eigenvalues(w_, values_.data(), pause);
    for (Index i = 0; i < std::min(n, rank_); ++i) {
      logs[i] = 0.5 * std::log(values_[static_cast<std::size_t>(i)]) +
                log_of_two * static_cast<double>(e + exponent);
    }
  }

  void run_accurate(double* logs, Pause& pause) {
    constexpr double largest_condition = 1e6, largest_grade = 1e4;
    const double of_layer = law_.orthogonal ? 10.0 : 4.0 * static_cast<double>(n_);
    std::int64_t wanted = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::log(largest_condition) / std::log(of_layer)));
    std::int64_t most = law_.depth;  // layers of a block, from blocks that had too many
    bool started = false;
    for (std::int64_t layer = 0; layer < law_.depth;) {
      const Eigen::VectorXd x = x_;
      const double rest = rest_;
      const std::int64_t unit = unit_;
      const Index rank = rank_;
      start_block();
      std::int64_t end = layer;
      Index columns = 0;
      do {
        advance(end++, pause);
        if (rank_ == 0) return;
        columns = block_columns();
      } while (end < law_.depth && end - layer < wanted && a_.rows() >= columns);
      const std::int64_t size = end - layer;
      if (!started) graded_.start(columns);
      started = true;
      const Index k = a_.rows(), left = std::min(k, columns);
      if (size == 1 && most_ > largest_grade * least_) {
        graded_.multiply(a_, x_.data(), pause);
        graded_.scale(exponent_);
        split_off(x_, graded_.rows());
      } else {
        product_.resize(k, columns + 1);
        product_.leftCols(columns) = a_;
        product_.col(columns) = x_;
        qr_.decompose(product_, columns, pause);
        const double condition =
            size == 1 ? 1.0 : condition_estimate(product_.topLeftCorner(left, left));
        if (!(condition <= largest_condition)) {
          most = std::max<std::int64_t>(1, size - 1);
          wanted = std::clamp<std::int64_t>(
              static_cast<std::int64_t>(static_cast<double>(size) * std::log(largest_condition) /
                                        std::log(condition)),
              1, most);
          x_ = x;
          rest_ = rest;
          unit_ = unit;
          rank_ = rank;
          continue;
        }
        graded_.multiply_triangle(product_.topLeftCorner(left, columns), pause);
        graded_.scale(exponent_);
        x_ = product_.col(columns);
        split_off(x_, left);
        if (size > 1 && size == wanted && wanted < most) {
          const double each = std::log(condition) / static_cast<double>(size);
          if (std::log(condition) + 1.5 * each < std::log(largest_condition)) ++wanted;
        }
      }
      layer = end;
    }
    values_.resize(static_cast<std::size_t>(graded_.rows()));
    graded_.log_singular_values(values_.data(), pause);
    std::copy(values_.begin(), values_.end(), logs);
  }

  /// Keep the first k components of x; the others count by their length.
  void split_off(Eigen::VectorXd& x, Index k) {
    rest_ += x.tail(x.size() - k).squaredNorm();
    x.conservativeResize(k);
  }

  /// |R^-1| from two solutions, times |R|; within a small factor.
  double condition_estimate(const ConstMatrixView& r) {
    const Index n = r.rows();
    Eigen::VectorXd v(n);
    for (Index i = 0; i < n; ++i) {
      if (r(i, i) == 0.0) return std::numeric_limits<double>::infinity();
      v[i] = (i * 7919 % 13) % 2 == 0 ? 1.0 : -1.0;
    }
    r.transpose().triangularView<Eigen::Lower>().solveInPlace(v);
    const double norm = v.norm();
    v /= norm;
    r.triangularView<Eigen::Upper>().solveInPlace(v);
    return v.norm() * r.norm() / std::sqrt(static_cast<double>(n)) * 2.0;
  }

  /// T = R_L ... R_1 with fresh triangular factors.
  void run_linear(double* logs, Pause& pause) {
    const double scale = static_cast<double>(law_.depth) * std::log(std::fabs(phi_.scale));
    if (law_.orthogonal) {
      std::fill_n(logs, n_, scale);
      return;
    }
    graded_.start(n_);
    for (std::int64_t layer = 0; layer < law_.depth; ++layer) {
      triangle(layer, pause);
      graded_.multiply_triangle(a_, pause);
    }
    graded_.log_singular_values(logs, pause);
    for (Index i = 0; i < n_; ++i) logs[i] += scale;
  }

  /// a_ <- the triangular factor of a Gaussian matrix: chi_n, ..., chi_1 on the diagonal.
  void triangle(std::int64_t layer, Pause& pause) {
    a_.setZero(n_, n_);
    std::uint64_t first = 0;
    const Stream stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), Purpose::weights);
    constexpr Index block = 64;
    for (Index j = 0; j < n_; j += block) {
      const Index width = std::min(block, n_ - j), height = j + width;
      const std::int64_t count = (height * width + tile_normals - 1) / tile_normals * tile_normals;
      draws_.resize(static_cast<std::size_t>(count));
      draw<tile_normals>(stream, first, count, draws_.data(), box_muller);
      first += static_cast<std::uint64_t>(count);
      for (Index c = 0; c < width; ++c) {
        std::copy_n(draws_.data() + c * height, j + c, &a_(0, j + c));
      }
      pause.check();
    }
    chi_variables(Stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), Purpose::lengths),
                  n_, noise_.data());
    a_.diagonal() = noise_;
  }

  const Activation& phi_;
  const JacobianLaw law_;
  const Index n_;
  bool linear_ = false, vanishes_ = false, rescales_ = false, identity_ = true;
  double gain_ = 0.0, rest_ = 0.0, least_ = 0.0, most_ = 0.0;
  std::uint64_t sample_ = 0;
  std::int64_t exponent_ = 0, unit_ = 0;  // a_ is in units of 2^exponent_, h of 2^unit_
  Index rank_ = 0;
  Eigen::VectorXd h_, value_, slope_, noise_, x_, trial_;
  std::vector<Index> active_;
  std::vector<double> values_, draws_;
  Matrix a_, w_, product_;
  HaarMatrix haar_;
  QrDecomposition qr_;
  GradedProduct graded_;
  SymmetricSolver symmetric_;
};

}  // namespace detail

/// The logarithms of the singular values of each network into `out`, (n_samples, width), falling in
/// each row, -inf where a singular value is 0. Network i has draws of its own, whatever n_samples
/// and n_threads are; poll is given the number of networks done.
template <class Poll>
void simulate_jacobian(const Activation& phi, const JacobianLaw& law, std::int64_t n_samples,
                       int n_threads, double* out, Poll&& poll) {
  if (law.width < 1 || law.depth < 1 || n_samples < 1) {
    throw std::invalid_argument("width, depth and n_samples must be >= 1");
  }
  if (law.depth > static_cast<std::int64_t>(largest_layer)) {
    throw std::invalid_argument("depth must be < 2^24");
  }
  const double work = static_cast<double>(law.width) * static_cast<double>(law.width) *
                      static_cast<double>(law.depth);
  const auto group = static_cast<std::int64_t>(std::max(1.0, std::min(64.0, 1e5 / work)));
  for_each_block((n_samples + group - 1) / group, n_threads,
                 [&](std::int64_t block, Pause& pause) {
                   detail::RandomJacobian jacobian(phi, law);
                   const std::int64_t end = std::min(n_samples, (block + 1) * group);
                   for (std::int64_t sample = block * group; sample < end; ++sample) {
                     jacobian.run(static_cast<std::uint64_t>(sample), out + sample * law.width,
                                  pause);
                     pause.check();
                   }
                 },
                 [&](std::int64_t done) { poll(std::min(done * group, n_samples)); });
}

}  // namespace meanfree
