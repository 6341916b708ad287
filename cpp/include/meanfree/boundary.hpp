// Decision boundaries of random networks, h^{l+1} = W phi(h^l) + b, G = w . h^L with w_i ~ N(0, 1 /
// N): a point of the level set G = level for each network, and the principal curvatures there in
// the space of every layer (level_set.hpp).
//
// Inputs h^1 are Gaussian with variance q. Two of them on different sides of the level are joined
// by the arc h_a cos t + h_b sin t, which keeps q; on it the point is found, by false position with
// every third step a bisection, and ends up where Newton steps along the gradient lead.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/haar.hpp"
#include "meanfree/level_set.hpp"
#include "meanfree/random.hpp"

namespace meanfree {

/// The law of the networks, and where points are looked for.
struct BoundaryLaw {
  double sigma_w = 1.0, sigma_b = 0.0;
  bool orthogonal = false;
  std::int64_t width = 2, depth = 1;
  double q = 1.0;
  double level = 0.0;         // NaN: midway between the values at the first two inputs
  std::int64_t n_inputs = 2;  // that are tried in each network
  std::uint64_t seed = 0;
};

/// Where the results of n_points networks go: (n_points, width); (n_points,); (n_points, depth);
/// (n_points, depth, width - 1).
struct BoundaryResult {
  double *point, *level, *residual, *gradient_norm, *principal;
};

namespace detail {

/// Draws W_2 ... W_L, which it keeps, the biases and w of one network after another.
class BoundaryDraw {
 public:
  void network(const BoundaryLaw& law, std::uint64_t sample, GivenNetwork& net, Pause& pause) {
    const auto n = static_cast<Index>(law.width);
    const auto n_weights = static_cast<std::size_t>(law.depth - 1);
    net.from_input = false;
    net.weights.clear();
    net.biases.resize(n_weights);
    memory_.resize(n_weights);
    const double root_n = std::sqrt(static_cast<double>(n));
    for (std::size_t k = 0; k < n_weights; ++k) {
      const auto layer = static_cast<std::uint64_t>(k) + 1;
      Matrix& w = memory_[k];
      w.resize(n, n);
      if (law.orthogonal) {
        w.setIdentity();
        haar_.apply(Stream(law.seed, sample, layer, Purpose::weights), w, pause);
        w *= law.sigma_w;
      } else {
        vector(law, sample, layer, Purpose::weights, law.sigma_w / root_n, w.size(), w.data(),
               pause);
      }
      net.weights.emplace_back(w.data(), n, n);
      net.biases[k].resize(n);
      vector(law, sample, layer, Purpose::pre_activations, law.sigma_b, n, net.biases[k].data(),
             pause);
    }
    net.readout.resize(n);
    vector(law, sample, 0, Purpose::pre_activations, 1.0 / root_n, n, net.readout.data(), pause);
  }

  void input(const BoundaryLaw& law, std::uint64_t sample, std::int64_t number, VectorXd& h,
             Pause& pause) {
    h.resize(static_cast<Index>(law.width));
    vector(law, sample, static_cast<std::uint64_t>(number), Purpose::normals, std::sqrt(law.q),
           h.size(), h.data(), pause);
  }

 private:
  static void vector(const BoundaryLaw& law, std::uint64_t sample, std::uint64_t layer,
                     Purpose purpose, double scale, std::int64_t n, double* out, Pause& pause) {
    const Stream stream(law.seed, sample, layer, purpose);
    constexpr std::int64_t chunk = tile_normals << 12;
    for (std::int64_t first = 0; first < n; first += chunk) {
      const std::int64_t size = std::min(chunk, n - first);
      draw<tile_normals>(stream, static_cast<std::uint64_t>(first), size, out + first, box_muller);
      for (std::int64_t i = first; i < first + size; ++i) out[i] *= scale;
      pause.check();
    }
  }

  HaarMatrix haar_;
  std::vector<Matrix> memory_;
};

/// One network after another, for one thread.
class RandomBoundary {
 public:
  RandomBoundary(const Activation& phi, const BoundaryLaw& law) : phi_(phi), law_(law) {}

  void run(std::int64_t index, const BoundaryResult& out, Pause& pause) {
    const auto sample = static_cast<std::uint64_t>(index);
    draw_.network(law_, sample, net_, pause);
    LevelSet set(phi_, net_);
    const double level = find(index, set, pause);
    const double off = set.refine(point_, level, pause);
    set.require_normals();
    const Index n = point_.size();
    const std::int64_t first = index * law_.depth;
    out.level[index] = level;
    out.residual[index] = std::fabs(off) * std::exp(-set.log_gradient_norm(0));
    std::copy_n(point_.data(), n, out.point + index * n);
    set.hessians(
        0,
        [&](Index k, const ConstMatrixView& hessian, bool zero) {
          double* values = out.principal + (first + k) * (n - 1);
          out.gradient_norm[first + k] = std::exp(set.log_gradient_norm(k));
          if (zero) {
            std::fill_n(values, n - 1, 0.0);
          } else {
            curvatures_.solve(hessian, set.normal(k), values, pause);
          }
        },
        pause);
  }

 private:
  /// Leaves a point near the level set in point_; returns the level.
  double find(std::int64_t index, LevelSet& set, Pause& pause) {
    const auto sample = static_cast<std::uint64_t>(index);
    double level = law_.level, first = 0.0, low = HUGE_VAL, high = -HUGE_VAL;
    for (std::int64_t number = 0; number < law_.n_inputs; ++number) {
      VectorXd& h = number == 0 ? a_ : b_;
      draw_.input(law_, sample, number, h, pause);
      const double value = set.value(h, pause);
      low = std::min(low, value);
      high = std::max(high, value);
      if (number == 0) {
        first = value;
        continue;
      }
      if (std::isnan(law_.level)) level = 0.5 * first + 0.5 * value;
      if (low < high && low <= level && level <= high) {
        search(first - level, value - level, level, set, pause);
        return level;
      }
    }
    throw std::invalid_argument(no_crossing(index, low, high));
  }

  std::string no_crossing(std::int64_t index, double low, double high) const {
    const auto text = [](double x) {
      char buffer[32];
      std::snprintf(buffer, sizeof buffer, "%.6g", x);
      return std::string(buffer);
    };
    const std::string inputs =
        std::to_string(law_.n_inputs) + " random inputs of network " + std::to_string(index);
    if (std::isnan(law_.level)) {
      return "G must not be the same at all inputs, got " + text(low) + " at " + inputs;
    }
    const std::string found =
        low == high ? "is " + text(low) : "lies in [" + text(low) + ", " + text(high) + "]";
    return "level must lie between the values of G at two inputs, got " + text(law_.level) +
           ": G " + found + " at " + inputs;
  }

  /// A point on the arc from a_ to b_, where G - level is `left` and `right`.
  void search(double left, double right, double level, LevelSet& set, Pause& pause) {
    const double small = 1e-9 * std::fabs(right - left);
    double low = 0.0, high = 1.5707963267948966;
    int side = 0;
    for (int i = 0; i < 200; ++i) {
      double t = low + (high - low) * (left / (left - right));
      if (i % 3 == 2 || !(t > low && t < high)) t = 0.5 * (low + high);
      point_ = std::cos(t) * a_ + std::sin(t) * b_;
      const double value = set.value(point_, pause) - level;
      if (std::fabs(value) <= small || high - low < 1e-15) return;
      // the end that stays a second time counts half (Illinois)
      if ((value < 0.0) == (left < 0.0)) {
        low = t;
        left = value;
        if (side == -1) right *= 0.5;
        side = -1;
      } else {
        high = t;
        right = value;
        if (side == 1) left *= 0.5;
        side = 1;
      }
    }
  }

  const Activation& phi_;
  const BoundaryLaw law_;
  BoundaryDraw draw_;
  GivenNetwork net_;
  VectorXd a_, b_, point_;
  CurvatureSolver curvatures_;
};

}  // namespace detail

/// A point on the boundary of each network, and the curvatures there. Network i has draws of its
/// own, whatever n_points and n_threads are; poll is given the number of networks done.
template <class Poll>
void random_boundaries(const Activation& phi, const BoundaryLaw& law, std::int64_t n_points,
                       int n_threads, const BoundaryResult& out, Poll&& poll) {
  if (law.width < 2 || law.depth < 1 || n_points < 1 || law.n_inputs < 2) {
    throw std::invalid_argument("width and n_inputs must be >= 2, depth and n_points >= 1");
  }
  if (law.depth > static_cast<std::int64_t>(largest_layer) ||
      law.n_inputs > static_cast<std::int64_t>(largest_layer)) {
    throw std::invalid_argument("depth and n_inputs must be < 2^24");
  }
  for_each_block(
      n_points, n_threads,
      [&](std::int64_t block, Pause& pause) {
        detail::RandomBoundary boundary(phi, law);
        boundary.run(block, out, pause);
      },
      poll);
}

}  // namespace meanfree
