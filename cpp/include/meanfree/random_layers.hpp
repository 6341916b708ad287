// Random networks layer by layer, and the Jacobian D_l W_l ... D_k W_k of the last layers: h^{l+1}
// = W_{l+1} phi(h^l) + b, D_l = diag phi'(h^l). h^1 is Gaussian with variance q: W_1 acts on an
// input of the length that leaves the biases their variance; where sigma_b^2 > q those of layer 1
// have variance q.
//
// All of it is exact in law:
//   - A row of D that is 0 is left out, with its row of W. Where phi' vanishes on an interval the
//     Gaussian h are drawn first, and then the rows of W that are needed given h: g + (h - h')
//     cov(g, h') / var(h'), (g, h') being an independent draw of row and pre-activation.
//   - Of units that D leaves out only their length enters the next pre-activations.
//   - O_1 changes no singular value of an orthogonal network, and is left out.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/chi.hpp"
#include "meanfree/graded_qr.hpp"
#include "meanfree/haar.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/random.hpp"
#include "meanfree/reflectors.hpp"

namespace meanfree {

/// The law of the networks. `accurate`: each singular value right, however small; otherwise those
/// below about 1e-8 of the largest are noise.
struct JacobianLaw {
  double sigma_w = 1.0, sigma_b = 0.0;
  bool orthogonal = false, accurate = true;
  std::int64_t width = 1, depth = 1;
  double q = 1.0;
  std::uint64_t seed = 0;

  /// The standard deviation of Gaussian weights, or the factor of orthogonal ones. J is here
  /// without it; the singular values are multiplied by its power at the end.
  double gain() const {
    return orthogonal ? sigma_w : sigma_w / std::sqrt(static_cast<double>(width));
  }
};

namespace detail {

/// One network after another, for one thread.
class RandomLayers {
 public:
  /// Where the network stands: activations of the units with slope (or their components along
  /// orthogonal directions that matter), squared length of the others, both in units of 2^unit.
  struct State {
    Eigen::VectorXd x;
    double rest = 0.0;
    std::int64_t unit = 0;
    Index rank = 0;  // the least number of units with slope in a layer so far
  };

  RandomLayers(const Activation& phi, const JacobianLaw& law)
      : phi_(phi),
        law_(law),
        n_(law.width),
        padded_((law.width + tile_normals - 1) / tile_normals * tile_normals),
        gain_(law.gain()),
        h_(n_),
        value_(n_),
        slope_(n_),
        noise_(n_) {
    rescales_ = phi.family == Family::homogeneous;
    vanishes_ = (rescales_ && phi.gain == 0.0) || phi.family == Family::clip || phi.user_defined;
  }

  State state;
  Workspace jacobian;  // of the layers since start_block, in units of 2^exponent
  std::int64_t exponent = 0;

  /// The largest |phi'| over the least that is not 0, in the last layer.
  double grade() const { return most_ / least_; }

  /// Before layer 0. For Gaussian weights the input points along the first axis.
  void start(std::uint64_t sample) {
    sample_ = sample;
    const double n = static_cast<double>(n_), of_input = law_.q - law_.sigma_b * law_.sigma_b;
    state.x.setZero(n_);
    if (!law_.orthogonal && of_input > 0.0) state.x[0] = std::sqrt(n * of_input) / law_.sigma_w;
    state.rest = 0.0;
    state.unit = 0;
    state.rank = n_;
    start_block();
  }

  /// Let the Jacobian begin here.
  void start_block() {
    identity_ = true;
    exponent = 0;
  }

  /// Columns of the Jacobian.
  Index columns() const { return identity_ ? state.x.size() : jacobian.cols(); }

  /// Through layer + 1.
  void advance(std::int64_t layer, Pause& pause) {
    law_.orthogonal ? advance_orthogonal(layer, pause) : advance_gaussian(layer, pause);
    const double squares = state.x.squaredNorm() + state.rest;
    if (!(squares < 1e300)) {
      throw std::invalid_argument("the pre-activations overflow in layer " +
                                  std::to_string(layer + 2));
    }
    if (rescales_ && squares > 0.0 && (squares > 1e100 || squares < 1e-100)) {
      const std::int64_t e = exponent_of(squares) / 2;
      const double factor = std::ldexp(1.0, static_cast<int>(-e));
      state.x *= factor;
      state.rest *= factor * factor;
      state.unit += e;
    }
    state.rank = std::min(state.rank, jacobian.rows());
    const bool empty = jacobian.rows() == 0 || jacobian.cols() == 0;
    const double largest = empty ? 0.0 : jacobian.map().cwiseAbs().maxCoeff();
    if (largest > 0.0 && (largest > 0x1p60 || largest < 0x1p-60)) {
      const std::int64_t e = exponent_of(largest);
      jacobian.map() *= std::ldexp(1.0, static_cast<int>(-e));
      exponent += e;
    }
  }

 private:
  void draw_normals(std::int64_t layer, Purpose purpose, std::int64_t first, std::int64_t n,
                    double* z) const {
    const Stream stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), purpose);
    draw<tile_normals>(stream, static_cast<std::uint64_t>(first), n, z, box_muller);
  }

  double bias(std::int64_t layer) const {
    const double b = layer == 0 ? std::min(law_.sigma_b, std::sqrt(law_.q)) : law_.sigma_b;
    return state.unit == 0
               ? b
               : std::ldexp(b,
                            static_cast<int>(std::clamp<std::int64_t>(-state.unit, -3000, 3000)));
  }

  /// phi and phi' of h_, the units with phi' != 0, and what the others add to the length.
  void activate(std::int64_t layer, Pause& pause) {
    constexpr Index block = 4096;
    for (Index i = 0; i < n_; i += block) {
      const Index size = std::min(block, n_ - i);
      phi_.value(h_.data() + i, size, value_.data() + i);
      phi_.derivative(h_.data() + i, size, slope_.data() + i);
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
    state.rest = rest;
  }

  void advance_gaussian(std::int64_t layer, Pause& pause) {
    const double b = bias(layer), noise = std::sqrt(gain_ * gain_ * state.rest + b * b);
    Index k = n_;
    double variance = 0.0;
    if (vanishes_) {  // h first
      variance = gain_ * gain_ * (state.x.squaredNorm() + state.rest) + b * b;
      draw_normals(layer, Purpose::pre_activations, padded_, n_, h_.data());
      h_ *= std::sqrt(variance);
      activate(layer, pause);
      k = static_cast<Index>(active_.size());
    }
    draw_weights(layer, k, pause);
    draw_normals(layer, Purpose::pre_activations, 0, n_, noise_.data());
    trial_.resize(k);
    trial_.noalias() = gain_ * (w_.map() * state.x);
    trial_ += noise * noise_.head(k);
    if (vanishes_) {
      if (variance > 0.0) {
        for (Index i = 0; i < k; ++i)
          trial_[i] = h_[active_[static_cast<std::size_t>(i)]] - trial_[i];
        w_.map().noalias() += trial_ * (gain_ / variance * state.x).transpose();
      }
    } else {
      h_ = trial_;
      activate(layer, pause);
    }
    pause.check();
    keep_active(layer, vanishes_, pause);
  }

  /// Rows of W. In layer 0 but for an orthogonal matrix on the right: the column of the input, and
  /// the triangular factor of the others.
  void draw_weights(std::int64_t layer, Index k, Pause& pause) {
    if (layer > 0) {
      Eigen::Map<Matrix> w = w_.resize(k, state.x.size());
      constexpr std::int64_t chunk = tile_normals << 16;
      for (std::int64_t first = 0; first < w.size(); first += chunk) {
        const std::int64_t size = std::min<std::int64_t>(chunk, w.size() - first);
        draw_normals(layer, Purpose::weights, first, size, w.data() + first);
        pause.check();
      }
      return;
    }
    const Index triangle = std::min(k, n_ - 1);
    Eigen::Map<Matrix> w = w_.resize(k, 1 + triangle);
    w.setZero();
    draw_normals(layer, Purpose::pre_activations, 3 * padded_, k, w.data());
    const auto stream = [&](Purpose purpose) {
      return Stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), purpose);
    };
    draw_triangle(stream(Purpose::weights), stream(Purpose::lengths), true, n_ - 1,
                  w.rightCols(triangle), draws_, pause);
    state.x = Eigen::VectorXd(state.x.head(1 + triangle));
  }

  /// jacobian <- D W jacobian of the active units, state.x <- their values. `selected`: w_ has
  /// their rows only.
  void keep_active(std::int64_t layer, bool selected, Pause& pause) {
    const Index k = static_cast<Index>(active_.size());
    if (!selected && k < n_) {
      Eigen::Map<Matrix> w = w_.map();
      for (Index i = 0; i < k; ++i) w.row(i) = w.row(active_[static_cast<std::size_t>(i)]);
      w_.shrink(k);
    }
    const bool was_triangular = triangular_;
    triangular_ = layer == 0 && (selected || k == n_);
    if (identity_) {
      jacobian.swap(w_);
    } else {
      product_.resize(k, jacobian.cols());
      multiply_by_jacobian(was_triangular, pause);
      jacobian.swap(product_);
    }
    identity_ = false;
    take_active();
  }

  /// product_ <- w_ jacobian; that of layer 0 alone has zeros above the diagonal beside its first
  /// column.
  void multiply_by_jacobian(bool triangular, Pause& pause) {
    constexpr Index block = 64;
    const Index n = jacobian.cols();
    if (!triangular) return multiplier_.multiply(w_.map(), jacobian.map(), product_.map(), pause);
    for (Index j = 0; j < n; j += block) {
      const Index width = std::min(block, n - j), row = std::max<Index>(0, j - 1);
      const Index height = j == 0 ? jacobian.rows() : jacobian.rows() - row;
      multiplier_.multiply(w_.map().rightCols(height), jacobian.map().block(row, j, height, width),
                           product_.map().middleCols(j, width), pause);
    }
  }

  void take_active() {
    const Index k = static_cast<Index>(active_.size());
    trial_.resize(k);
    state.x.resize(k);
    for (Index i = 0; i < k; ++i) {
      const Index from = active_[static_cast<std::size_t>(i)];
      trial_[i] = slope_[from];
      state.x[i] = value_[from];
    }
    jacobian.map().array().colwise() *= trial_.array();
  }

  void advance_orthogonal(std::int64_t layer, Pause& pause) {
    if (layer == 0) {
      draw_normals(layer, Purpose::pre_activations, 0, n_, h_.data());
      h_ *= std::sqrt(law_.q);
      activate(layer, pause);
      const Index k = static_cast<Index>(active_.size());
      jacobian.resize(k, k).setIdentity();
      identity_ = false;
      take_active();
      return;
    }
    const Index k = state.x.size(), columns = this->columns();
    Eigen::Map<Matrix> w = w_.resize(n_, columns + 1);
    w.setZero();
    w.col(columns).head(k) = state.x;
    if (k < n_) w(k, columns) = std::sqrt(state.rest);
    if (identity_) {
      w.topLeftCorner(k, k).setIdentity();
    } else {
      w.topLeftCorner(k, columns) = jacobian.map();
    }
    haar_.apply(Stream(law_.seed, sample_, static_cast<std::uint64_t>(layer), Purpose::weights), w,
                pause);
    h_ = gain_ * w.col(columns);
    const double b = bias(layer);
    if (b > 0.0) {
      draw_normals(layer, Purpose::pre_activations, 0, n_, noise_.data());
      h_ += b * noise_;
    }
    activate(layer, pause);
    const Index left = static_cast<Index>(active_.size());
    Eigen::Map<Matrix> out = jacobian.resize(left, columns);
    for (Index j = 0; j < columns; ++j) {
      for (Index i = 0; i < left; ++i) out(i, j) = w(active_[static_cast<std::size_t>(i)], j);
    }
    identity_ = false;
    take_active();
  }

  const Activation& phi_;
  const JacobianLaw law_;
  const Index n_;
  const std::int64_t padded_;
  const double gain_;
  bool triangular_ = false, vanishes_ = false, rescales_ = false, identity_ = true;
  double least_ = 0.0, most_ = 0.0;
  std::uint64_t sample_ = 0;
  Eigen::VectorXd h_, value_, slope_, noise_, trial_;
  std::vector<Index> active_;
  std::vector<double> draws_;
  Workspace w_, product_;
  Product multiplier_;
  HaarMatrix haar_;
};

}  // namespace detail
}  // namespace meanfree
