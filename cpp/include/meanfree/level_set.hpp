// The level set G = level of a function G(x) = w . h^L of a network, around one of its points, in
// the space of every layer: h^1 = W_1 x + b_1, h^{l+1} = W_{l+1} phi(h^l) + b_{l+1}. Gradient and
// Hessian of G after h^l by the chain rule, from the last layer back,
//
//     delta^L = w, H^L = 0;  t = W_{l+1}^T delta^{l+1}, D = diag phi'(h^l):
//     delta^l = D t,  H^l = D W_{l+1}^T H^{l+1} W_{l+1} D + diag(phi''(h^l) t)
//
// With n = delta / |delta| and P = I - n n^T the principal curvatures of the level set are the
// eigenvalues of P H P / |delta| other than that along n. Both are carried for a w that makes delta
// a unit vector in each layer, so that nothing over- or underflows.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/tridiagonal.hpp"

namespace meanfree {
namespace detail {

using Eigen::VectorXd;

/// A network with given weights, and w. Matrices are those of somebody else, and transposed: rows
/// one after another in memory.
struct GivenNetwork {
  std::vector<Eigen::Map<const Matrix>> weights;
  std::vector<VectorXd> biases;
  VectorXd readout;
  bool from_input = true;  // the first matrix acts on the point; otherwise on phi(point)
};

/// Principal curvatures of a level set from a Hessian and the unit normal; one for each thread.
class CurvatureSolver {
 public:
  /// n - 1 numbers, falling, in units of |gradient| = 1.
  void solve(const ConstMatrixView& hessian, const VectorXd& normal, double* values, Pause& pause) {
    const Index n = hessian.rows();
    if (n == 1) return;
    if (!hessian.allFinite()) throw std::invalid_argument("the second derivatives overflow");
    // the reflector I - tau u u^T takes the normal to the first axis
    u_ = normal;
    const double first = std::fabs(u_[0]);
    u_[0] += std::copysign(1.0, u_[0]);
    const double tau = 1.0 / (1.0 + first);
    v_.resize(n);
    v_.noalias() = tau * (hessian * u_);
    v_ -= (0.5 * tau * v_.dot(u_)) * u_;
    Eigen::Map<Matrix> a = projected_.resize(n - 1, n - 1);
    for (Index j = 1; j < n; ++j) {
      const Index m = n - j;
      a.col(j - 1).tail(m) = hessian.col(j).tail(m) - v_[j] * u_.tail(m) - u_[j] * v_.tail(m);
    }
    solver_.signed_eigenvalues(a, values, pause);
  }

 private:
  VectorXd u_, v_;
  Workspace projected_;
  SymmetricSolver solver_;
};

/// G around one point after another, for one thread. The spaces are numbered from 0, that of the
/// point, to that of h^L.
class LevelSet {
 public:
  LevelSet(const Activation& phi, const GivenNetwork& network)
      : phi_(phi), net_(network), last_(static_cast<Index>(network.weights.size())) {
    const auto n = static_cast<std::size_t>(last_ + 1);
    for (auto* vectors : {&state_, &slope_, &normal_, &bend_}) vectors->resize(n);
    log_norm_.resize(n);
    stretch_.resize(n);
  }

  Index last() const { return last_; }
  const VectorXd& state(Index k) const { return state_[at(k)]; }
  /// Of value(), gradient(): the direction of the gradient in a space, and log of its length.
  const VectorXd& normal(Index k) const { return normal_[at(k)]; }
  double log_gradient_norm(Index k) const { return log_norm_[at(k)]; }

  double value(const VectorXd& point, Pause& pause) {
    state_[0] = point;
    for (Index k = 0; k < last_; ++k) {
      const VectorXd* x = &state_[at(k)];
      if (bends(k)) {
        active_.resize(x->size());
        phi_.value(x->data(), x->size(), active_.data());
        x = &active_;
      }
      VectorXd& next = state_[at(k + 1)];
      next = net_.biases[at(k)];
      next.noalias() += net_.weights[at(k)].transpose() * *x;
      pause.check();
    }
    const double value = net_.readout.dot(state_[at(last_)]);
    if (!std::isfinite(value)) throw std::invalid_argument("the pre-activations overflow");
    return value;
  }

  /// At the point of value(). Where the gradient is 0 it stays 0, in the unit of the space above.
  void gradient(Pause& pause) {
    normal_[at(last_)] = net_.readout;
    flat_ = -1;
    double log_norm = 0.0;
    for (Index k = last_;; --k) {
      VectorXd& n = normal_[at(k)];
      double norm = n.stableNorm();
      if (!(norm < HUGE_VAL)) throw std::invalid_argument("the gradient of G overflows");
      if (norm == 0.0) {
        norm = 1.0;
        if (flat_ < 0) flat_ = k;
      }
      log_norm_[at(k)] = log_norm += std::log(norm);
      stretch_[at(k)] = norm;
      n /= norm;
      if (k < last_ && bends(k)) bend_[at(k)] /= norm;
      if (k == 0) return;
      VectorXd& before = normal_[at(k - 1)];
      before.resize(net_.weights[at(k - 1)].rows());
      before.noalias() = net_.weights[at(k - 1)] * n;
      if (bends(k - 1)) {
        const VectorXd& h = state_[at(k - 1)];
        VectorXd &slope = slope_[at(k - 1)], &bend = bend_[at(k - 1)];
        slope.resize(h.size());
        bend.resize(h.size());
        phi_.derivative(h.data(), h.size(), slope.data());
        phi_.second_derivative(h.data(), h.size(), bend.data());
        bend.array() *= before.array();
        before.array() *= slope.array();
      }
      pause.check();
    }
  }

  /// An error where the gradient is 0: a level set has no normal there.
  void require_normals() const {
    if (flat_ < 0) return;
    throw std::invalid_argument("the gradient of G is 0 in layer " +
                                std::to_string(net_.from_input ? flat_ : flat_ + 1) +
                                " at the point found");
  }

  /// How far rounding lets G be from its value at the point of value(), gradient().
  double rounding() const {
    double sum = 0.0;
    for (Index k = 0; k <= last_; ++k) sum += std::exp(log_norm_[at(k)]) * state_[at(k)].norm();
    return 4.0 * 0x1p-52 * sum;
  }

  /// Newton steps along the gradient towards G = level, as long as they come nearer; the point is
  /// that of value(), gradient() in the end. Returns G - level.
  double refine(VectorXd& point, double level, Pause& pause) {
    constexpr int most_steps = 100, most_halvings = 40;
    double off = value(point, pause) - level;
    gradient(pause);
    for (int i = 0; i < most_steps && off != 0.0 && flat_ < 0; ++i) {
      const double full = off * std::exp(-log_norm_[0]);
      double size = 1.0, next = off;
      for (int halving = 0; halving < most_halvings; ++halving, size *= 0.5) {
        trial_ = point - size * full * normal_[0];
        next = value(trial_, pause) - level;
        if (std::fabs(next) < (1.0 - 1e-4 * size) * std::fabs(off)) break;
        if (std::fabs(off) <= rounding()) break;
      }
      const bool nearer = std::fabs(next) < std::fabs(off);
      if (nearer) {
        point = trial_;
        off = next;
      } else {
        value(point, pause);
      }
      gradient(pause);
      if (!nearer) break;
    }
    return off;
  }

  /// visit(k, H, zero) from the last space to `first`, at the point of value(), gradient(): the
  /// Hessian in units of the length of the gradient there, and whether it is 0.
  template <class Visit>
  void hessians(Index first, const Visit& visit, Pause& pause) {
    const Index size = net_.readout.size();
    hessian_.resize(size, size).setZero();
    zero_ = diagonal_ = true;
    visit(last_, hessian_.map(), zero_);
    for (Index k = last_ - 1; k >= first; --k) {
      step(k, pause);
      visit(k, hessian_.map(), zero_);
    }
  }

 private:
  static std::size_t at(Index k) { return static_cast<std::size_t>(k); }

  /// Does phi act on the values of this space?
  bool bends(Index k) const { return k > 0 || !net_.from_input; }

  /// From H in space k + 1 to that in space k.
  void step(Index k, Pause& pause) {
    const Eigen::Map<const Matrix>& w = net_.weights[at(k)];
    const Index n = w.rows(), above = w.cols();
    const double scale = 1.0 / stretch_[at(k)];
    if (!zero_) {
      // v = D W^T, y = v H
      Eigen::Map<Matrix> v = scaled_.resize(n, above), y = product_.resize(n, above);
      const Eigen::Map<Matrix> before = hessian_.map();
      if (bends(k)) {
        v.noalias() = slope_[at(k)].asDiagonal() * w;
      } else {
        v = w;
      }
      if (diagonal_) {
        y.noalias() = v * before.diagonal().asDiagonal();
      } else {
        multiplier_.multiply(v, before, y, pause);
      }
      Eigen::Map<Matrix> h = next_.resize(n, n);
      // the half of y v^T below the diagonal, and its mirror image
      constexpr Index block = 48;
      for (Index j = 0; j < n; j += block) {
        const Index width = std::min(block, n - j), height = n - j;
        auto part = h.block(j, j, height, width);
        multiplier_.multiply_by_transposed(y.bottomRows(height), v.middleRows(j, width), part,
                                           pause);
        part *= scale;
        h.block(j, j + width, width, height - width) = part.bottomRows(height - width).transpose();
        for (Index c = 1; c < width; ++c)
          part.row(c - 1).tail(width - c) = part.col(c - 1).segment(c, width - c).transpose();
      }
      hessian_.swap(next_);
      diagonal_ = false;
    } else {
      hessian_.resize(n, n).setZero();
    }
    if (bends(k) && (bend_[at(k)].array() != 0.0).any()) {
      hessian_.map().diagonal() += bend_[at(k)];
      zero_ = false;
    }
  }

  const Activation& phi_;
  const GivenNetwork& net_;
  const Index last_;
  std::vector<VectorXd> state_, slope_, normal_, bend_;
  std::vector<double> log_norm_, stretch_;
  bool zero_ = true, diagonal_ = true;
  Index flat_ = -1;  // the last space with a gradient of 0
  VectorXd active_, trial_;
  Workspace hessian_, next_, scaled_, product_;
  Product multiplier_;
};

}  // namespace detail
}  // namespace meanfree
