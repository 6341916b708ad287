// Singular values of J = D_L W_L ... D_1 W_1 in random networks of finite width
// (random_layers.hpp).
//
//   fast       J as a product, scaled now and then; eigenvalues of J J^T.
//   accurate   A product is split as A = Q R where its condition number comes near 1e6, and T <- R
//   T
//              (graded_product.hpp). W Q has the law of W for any orthogonal Q that depends on
//              earlier layers alone: so a new W meets T, and Q^T x is what the network goes on
//              with. Whether to split must not depend on the W that follows; where a product turns
//              out to be worse than foreseen, the same W are multiplied by the Q of each layer
//              instead.
//   linear     Gaussian networks need the triangular factors of W alone: chi variables on the
//              diagonal.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/chi.hpp"
#include "meanfree/graded_product.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/random.hpp"
#include "meanfree/random_layers.hpp"
#include "meanfree/tridiagonal.hpp"

namespace meanfree {
namespace detail {

/// |R^-1| from two solutions, times |R|; within a small factor.
inline double condition_estimate(const ConstMatrixView& r) {
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
  const double condition = v.norm() * r.norm() / std::sqrt(static_cast<double>(n)) * 2.0;
  return std::isnan(condition) ? std::numeric_limits<double>::infinity() : condition;
}

/// One network after another, for one thread.
class RandomJacobian {
 public:
  RandomJacobian(const Activation& phi, const JacobianLaw& law)
      : phi_(phi),
        law_(law),
        n_(law.width),
        linear_(phi.family == Family::homogeneous && phi.gain == 1.0),
        layers_(phi, law) {}

  /// The logarithms of all `width` singular values, falling.
  void run(std::uint64_t sample, double* logs, Pause& pause) {
    std::fill_n(logs, n_, -std::numeric_limits<double>::infinity());
    if (law_.sigma_w == 0.0) return;
    if (linear_) {
      run_linear(sample, logs, pause);
    } else {
      layers_.start(sample);
      law_.accurate ? run_accurate(logs, pause) : run_fast(logs, pause);
    }
    const double scale = static_cast<double>(law_.depth) * std::log(law_.gain());
    for (Index i = 0; i < n_; ++i) logs[i] += scale;
  }

 private:
  void run_fast(double* logs, Pause& pause) {
    for (std::int64_t layer = 0; layer < law_.depth; ++layer) {
      layers_.advance(layer, pause);
      if (layers_.state.rank == 0) return;
    }
    Eigen::Map<Matrix> a = layers_.jacobian.map();
    const double largest = a.cwiseAbs().maxCoeff();
    if (largest == 0.0) return;
    const std::int64_t e = exponent_of(largest);
    a *= std::ldexp(1.0, static_cast<int>(-e));
    const Index n = std::min(a.rows(), a.cols());
    // the lower triangle of the smaller one of J^T J and J J^T
    const bool wide = a.rows() < a.cols();
    if (wide) work_.resize(a.cols(), a.rows()) = a.transpose();
    const Eigen::Map<Matrix> tall = wide ? work_.map() : a;
    Eigen::Map<Matrix> gram = gram_.resize(n, n);
    constexpr Index block = 48;
    for (Index j = 0; j < n; j += block) {
      const Index width = std::min(block, n - j);
      multiplier_.multiply_transposed(tall.rightCols(n - j), tall.middleCols(j, width),
                                      gram.block(j, j, n - j, width), pause);
    }
    values_.resize(static_cast<std::size_t>(n));
    symmetric_.eigenvalues(gram, values_.data(), pause);
    const double scale = log_of_two * static_cast<double>(e + layers_.exponent);
    for (Index i = 0; i < std::min(n, layers_.state.rank); ++i) {
      logs[i] = 0.5 * std::log(values_[static_cast<std::size_t>(i)]) + scale;
    }
  }

  static constexpr double largest_condition = 1e6;

  void run_accurate(double* logs, Pause& pause) {
    const double limit = std::log(largest_condition);
    // the logarithm of the condition number that a layer adds, as far as is known
    double of_layer = law_.orthogonal ? std::log(10.0) : std::log(4.0 * static_cast<double>(n_));
    for (std::int64_t layer = 0; layer < law_.depth;) {
      const auto wanted = std::max<std::int64_t>(1, static_cast<std::int64_t>(limit / of_layer));
      const std::int64_t most = std::min(law_.depth, layer + wanted);
      if (most == layer + 1) {
        layer_by_layer(layer, layer + 1, pause);
        layer = most;
      } else {
        const RandomLayers::State before = layers_.state;
        layers_.start_block();
        std::int64_t end = layer;
        do {  // a product of lower rank than its last factor is not to be split
          layers_.advance(end++, pause);
        } while (end < most && layers_.state.rank > 0 &&
                 layers_.jacobian.rows() >= layers_.columns());
        const double added =
            layers_.state.rank == 0 ? 0.0 : split(layer == 0, end == layer + 1, pause);
        if (added > limit) {
          layers_.state = before;
          layer_by_layer(layer, end, pause);
        }
        if (end > layer + 1) {
          const double each = std::min(added, 2.0 * limit) / static_cast<double>(end - layer);
          of_layer = added > limit ? std::max(each, 1.1 * of_layer) : 0.7 * of_layer + 0.3 * each;
        }
        layer = end;
      }
      if (layers_.state.rank == 0) return;
    }
    values_.resize(static_cast<std::size_t>(graded_.rows()));
    graded_.log_singular_values(values_.data(), pause);
    std::copy(values_.begin(), values_.end(), logs);
  }

  /// T <- R T with J of the last layers = Q R, x <- Q^T x, unless the condition number of J is too
  /// large; its logarithm is returned.
  double split(bool first, bool always, Pause& pause) {
    const Eigen::Map<Matrix> a = layers_.jacobian.map();
    const Index columns = a.cols(), left = std::min(a.rows(), columns);
    if (first) graded_.start(columns);
    Eigen::Map<Matrix> work = work_.resize(a.rows(), columns + 1);
    work.leftCols(columns) = a;
    work.col(columns) = layers_.state.x;
    qr_.decompose(work, columns, pause);
    const double condition = always ? 1.0 : condition_estimate(work.topLeftCorner(left, left));
    if (condition > largest_condition) return std::log(condition);
    graded_.multiply_triangle(work.topLeftCorner(left, columns), pause);
    graded_.scale(layers_.exponent);
    rotate(work.col(columns), left);
    return std::log(condition);
  }

  /// Q^T x: the first k components, and the length of the others.
  void rotate(const Eigen::VectorXd& x, Index k) {
    layers_.state.x = x.head(k);
    layers_.state.rest += x.tail(x.size() - k).squaredNorm();
  }

  /// The network goes on in its own coordinates; each factor D W is multiplied by the Q before.
  void layer_by_layer(std::int64_t begin, std::int64_t end, Pause& pause) {
    constexpr double largest_grade = 1e4;
    bool pivoted = false;
    for (std::int64_t layer = begin; layer < end; ++layer) {
      layers_.start_block();
      layers_.advance(layer, pause);
      if (layers_.state.rank == 0) return;
      Matrix a = layers_.jacobian.map();
      if (layer > begin) a = pivoted ? graded_.times_q(a, pause) : qr_.times_q(a, pause);
      pivoted = layers_.grade() > largest_grade;
      if (layer == 0) graded_.start(a.cols());
      Eigen::VectorXd x = layers_.state.x;
      if (pivoted) {
        graded_.multiply(a, x.data(), pause);
      } else {
        Eigen::Map<Matrix> work = work_.resize(a.rows(), a.cols() + 1);
        work.leftCols(a.cols()) = a;
        work.col(a.cols()) = x;
        qr_.decompose(work, a.cols(), pause);
        x = work.col(a.cols());
        graded_.multiply_triangle(work.topLeftCorner(std::min(a.rows(), a.cols()), a.cols()),
                                  pause);
      }
      graded_.scale(layers_.exponent);
      if (layer + 1 == end) rotate(x, graded_.rows());
    }
  }

  /// T = R_L ... R_1 with fresh triangular factors.
  void run_linear(std::uint64_t sample, double* logs, Pause& pause) {
    const double scale = static_cast<double>(law_.depth) * std::log(std::fabs(phi_.scale));
    if (law_.orthogonal) {
      std::fill_n(logs, n_, scale);
      return;
    }
    graded_.start(n_);
    for (std::int64_t layer = 0; layer < law_.depth; ++layer) {
      const auto stream = [&](Purpose purpose) {
        return Stream(law_.seed, sample, static_cast<std::uint64_t>(layer), purpose);
      };
      Eigen::Map<Matrix> work = work_.resize(n_, n_);
      work.setZero();
      draw_triangle(stream(Purpose::weights), stream(Purpose::lengths), false, n_, work, values_,
                    pause);
      graded_.multiply_triangle(work, pause);
    }
    graded_.log_singular_values(logs, pause);
    for (Index i = 0; i < n_; ++i) logs[i] += scale;
  }

  const Activation& phi_;
  const JacobianLaw law_;
  const Index n_;
  const bool linear_;
  RandomLayers layers_;
  Workspace work_, gram_;
  Product multiplier_;
  std::vector<double> values_;
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
