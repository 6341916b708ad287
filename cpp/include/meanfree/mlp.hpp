// Networks z^l = W^l h^{l-1} + b^l, h^l = phi(z^l), z^L the output, with a mean over samples of a
// loss ell(z^L, y): value, gradient by the backward pass, and products with the Hessian by the
// R-operator (Pearlmutter, 1994). With d^l = d ell / d z^l, g^l = W^{l+1}^T d^{l+1} and a direction
// (V, v):
//
//     R z^l = V^l h^{l-1} + v^l + W^l R h^{l-1},       R h^l = phi' R z^l
//     R d^L = ell'' R z^L,                             R g^l = W^{l+1}^T R d^{l+1} + V^{l+1}^T
//     d^{l+1} R d^l = phi' R g^l + phi'' g^l R z^l,            R dW^l = R d^l h^{l-1}^T + d^l R
//     h^{l-1}^T
//
// Without the terms in V^T d, phi'' and d R h^T these are products with the Gauss-Newton matrix.
// What a point gives is kept in a tape, chunk by chunk of the samples, samples along columns.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "meanfree/activation.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/product.hpp"
#include "meanfree/sample_product.hpp"

namespace meanfree {

/// 0.5 |z - y|^2, or the cross-entropy of softmax(z) against y >= 0, sum y = 1.
enum class Objective { mse, cross_entropy };

namespace detail {

using ConstMap = Eigen::Map<const Matrix>;

/// A network, whose parameters are somebody else's: W^1 (rows one after another), b^1, W^2, ...
/// Layers are numbered from 1.
struct Mlp {
  std::vector<Index> sizes;
  const double* parameters = nullptr;
  Objective objective = Objective::mse;

  Index depth() const { return static_cast<Index>(sizes.size()) - 1; }
  Index size(Index layer) const { return sizes[static_cast<std::size_t>(layer)]; }
  Index n_layer(Index layer) const { return size(layer) * (size(layer - 1) + 1); }
  /// Where W^l begins, and b^l.
  Index offset(Index layer) const {
    Index sum = 0;
    for (Index l = 1; l < layer; ++l) sum += n_layer(l);
    return sum;
  }
  Index bias_offset(Index layer) const { return offset(layer) + size(layer) * size(layer - 1); }
  Index n_parameters() const { return offset(depth() + 1); }

  /// W^l of a vector that is ordered like the parameters, transposed; and b^l.
  template <class Scalar>
  auto weights(Scalar* vector, Index layer) const {
    using Type = std::conditional_t<std::is_const_v<Scalar>, const Matrix, Matrix>;
    return Eigen::Map<Type>(vector + offset(layer), size(layer - 1), size(layer));
  }
  template <class Scalar>
  auto bias(Scalar* vector, Index layer) const {
    using Type =
        std::conditional_t<std::is_const_v<Scalar>, const Eigen::VectorXd, Eigen::VectorXd>;
    return Eigen::Map<Type>(vector + bias_offset(layer), size(layer));
  }
  ConstMap weights(Index layer) const { return weights(parameters, layer); }
};

/// Where the parts of a tape lie. Each chunk of samples is a matrix with a row for each of them and
/// columns for h^{l-1} and a constant 1 (l = 1 ... L); phi'(z^l), phi''(z^l) g^l (l < L); d^l over
/// the number of samples; softmax(z^L) if the loss wants it.
class TapeLayout {
 public:
  TapeLayout(const Mlp& net, Index n_samples) : net_(net), n_samples_(n_samples) {
    const Index depth = net.depth(), chunk = chunk_of(net);
    n_chunks_ = n_samples / chunk + (n_samples % chunk != 0);
    Index next = 0;
    const auto place = [&](std::vector<Index>& starts, Index first, Index last, Index more) {
      starts.assign(static_cast<std::size_t>(depth) + 1, -1);
      for (Index l = first; l <= last; ++l) {
        starts[static_cast<std::size_t>(l)] = next;
        next += net.size(l) + more;
      }
    };
    place(input_, 0, depth - 1, 1);
    place(slope_, 1, depth - 1, 0);
    place(bend_, 1, depth - 1, 0);
    place(delta_, 1, depth, 0);
    probability_ = next;
    if (net.objective == Objective::cross_entropy) next += net.size(depth);
    columns_ = next;
  }

  Index n_samples() const { return n_samples_; }
  Index n_chunks() const { return n_chunks_; }
  Index size() const { return n_samples_ * columns_; }
  Index first(Index c) const {
    return c == n_chunks_ ? n_samples_ : n_samples_ * c / n_chunks_ / 8 * 8;
  }
  Index rows(Index c) const { return first(c + 1) - first(c); }

  /// h^{l-1} and, in the last column, 1.
  template <class Scalar>
  auto input(Scalar* tape, Index c, Index layer) const {
    return part(tape, c, input_, layer - 1, net_.size(layer - 1) + 1);
  }
  template <class Scalar>
  auto slope(Scalar* tape, Index c, Index layer) const {
    return part(tape, c, slope_, layer, net_.size(layer));
  }
  template <class Scalar>
  auto bend(Scalar* tape, Index c, Index layer) const {
    return part(tape, c, bend_, layer, net_.size(layer));
  }
  template <class Scalar>
  auto delta(Scalar* tape, Index c, Index layer) const {
    return part(tape, c, delta_, layer, net_.size(layer));
  }
  template <class Scalar>
  auto probability(Scalar* tape, Index c) const {
    return map(tape, c, probability_, net_.size(net_.depth()));
  }

 private:
  /// How many samples a chunk has: 512, or fewer, at least 8, where what the Hessian is made of
  /// (mlp_curvature.hpp) would take more than 64 MiB; not where nobody could hold the Hessian.
  static Index chunk_of(const Mlp& net) {
    constexpr Index most = 512, least = 8, room = Index{1} << 23, large = Index{1} << 17;
    if (net.n_parameters() > large) return most;
    Index columns = 0;
    for (Index l = 1; l <= net.depth(); ++l) {
      columns += net.size(l) * (net.size(l) + 1) / 2;
      for (Index m = l + 1; m <= net.depth(); ++m) columns += 2 * net.size(l) * net.size(m);
    }
    return std::clamp(room / columns / least * least, least, most);
  }

  template <class Scalar>
  auto part(Scalar* tape, Index c, const std::vector<Index>& starts, Index l, Index n) const {
    return map(tape, c, starts[static_cast<std::size_t>(l)], n);
  }
  template <class Scalar>
  auto map(Scalar* tape, Index c, Index column, Index n) const {
    using Type = std::conditional_t<std::is_const_v<Scalar>, const Matrix, Matrix>;
    return Eigen::Map<Type>(tape + first(c) * columns_ + rows(c) * column, rows(c), n);
  }

  Mlp net_;
  Index n_samples_, n_chunks_ = 0, columns_ = 0, probability_ = 0;
  std::vector<Index> input_, slope_, bend_, delta_;
};

/// to += the sums of the columns of a, by a product with the constant 1 beside the inputs: what
/// Eigen's own sums round to depends on where the matrix lies in memory.
template <class Input, class Columns>
void add_sums(SampleProduct& product, const Input& input, const Columns& a, double* to,
              Pause& pause) {
  product.add_transposed(input.rightCols(1), a, Eigen::Map<Matrix>(to, 1, a.cols()), pause);
}

/// Value and gradient at a point, chunk by chunk.
class MlpPasses {
 public:
  MlpPasses(const Activation& phi, const Mlp& net, Index n_samples, const double* x,
            const double* y)
      : phi_(phi), net_(net), layout_(net, n_samples), x_(x), y_(y) {}

  const TapeLayout& layout() const { return layout_; }

  /// The loss alone; not finite where the outputs overflow.
  double value(Pause& pause) {
    Workspace active, next;
    double sum = 0.0;
    for (Index c = 0; c < layout_.n_chunks(); ++c) {
      pause.check();
      const Index rows = layout_.rows(c);
      active.resize(rows, net_.size(0)) = inputs(c).transpose();
      for (Index l = 1; l <= net_.depth(); ++l) {
        Eigen::Map<Matrix> z = next.resize(rows, net_.size(l));
        product_.multiply(active.map(), net_.weights(l), z, pause);
        add_bias(l, z);
        if (l < net_.depth()) phi_.value(z.data(), z.size(), active.resize(rows, z.cols()).data());
      }
      sum += loss(c, next.map(), nullptr, nullptr);
    }
    return mean(sum);
  }

  /// Fills the tape and the gradient; returns the loss.
  double record(double* tape, double* gradient, Pause& pause) {
    std::fill_n(gradient, net_.n_parameters(), 0.0);
    double sum = 0.0;
    for (Index c = 0; c < layout_.n_chunks(); ++c) sum += record(c, tape, gradient, pause);
    return mean(sum);
  }

 private:
  ConstMap inputs(Index c) const {
    return {x_ + layout_.first(c) * net_.size(0), net_.size(0), layout_.rows(c)};
  }

  void add_bias(Index layer, Eigen::Map<Matrix>& z) const {
    const auto bias = net_.bias(net_.parameters, layer);
    for (Index j = 0; j < z.cols(); ++j) z.col(j).array() += bias[j];
  }

  double mean(double sum) const { return sum / static_cast<double>(layout_.n_samples()); }

  double record(Index c, double* tape, double* gradient, Pause& pause) {
    pause.check();
    const Index depth = net_.depth(), rows = layout_.rows(c);
    layout_.input(tape, c, 1).leftCols(net_.size(0)) = inputs(c).transpose();
    double sum = 0.0;
    for (Index l = 1; l <= depth; ++l) {
      auto input = layout_.input(tape, c, l);
      input.col(input.cols() - 1).setOnes();
      Eigen::Map<Matrix> z = state_.resize(rows, net_.size(l));
      product_.multiply(input.leftCols(net_.size(l - 1)), net_.weights(l), z, pause);
      add_bias(l, z);
      if (l < depth) {
        phi_.value(z.data(), z.size(), layout_.input(tape, c, l + 1).data());
        phi_.derivative(z.data(), z.size(), layout_.slope(tape, c, l).data());
        phi_.second_derivative(z.data(), z.size(), layout_.bend(tape, c, l).data());
      } else {
        const bool wants = net_.objective == Objective::cross_entropy;
        sum = loss(c, z, layout_.delta(tape, c, depth).data(),
                   wants ? layout_.probability(tape, c).data() : nullptr);
      }
    }
    for (Index l = depth; l >= 1; --l) {
      const auto delta = layout_.delta(tape, c, l);
      const auto input = layout_.input(tape, c, l);
      product_.add_transposed(input.leftCols(net_.size(l - 1)), delta, net_.weights(gradient, l),
                              pause);
      add_sums(product_, input, delta, gradient + net_.bias_offset(l), pause);
      if (l == 1) break;
      auto below = layout_.delta(tape, c, l - 1);
      product_.multiply_by_transposed(delta, net_.weights(l), below, pause);
      layout_.bend(tape, c, l - 1).array() *= below.array();
      below.array() *= layout_.slope(tape, c, l - 1).array();
    }
    return sum;
  }

  /// Sum of the losses of a chunk; their derivatives over the number of samples.
  double loss(Index c, const Eigen::Map<Matrix>& z, double* delta, double* probability) {
    const Index rows = z.rows(), n = z.cols();
    const ConstMap y(y_ + layout_.first(c) * n, n, rows);
    const double scale = 1.0 / static_cast<double>(layout_.n_samples());
    if (net_.objective == Objective::mse) {
      error_ = z - y.transpose();
      if (delta != nullptr) Eigen::Map<Matrix>(delta, rows, n) = scale * error_;
      return 0.5 * error_.squaredNorm();
    }
    // by columns, so that the loops vectorise; sum y = 1, so that the largest output is taken off
    error_ = z;
    top_ = z.col(0);
    for (Index j = 1; j < n; ++j) top_ = top_.cwiseMax(z.col(j));
    total_.setZero(rows);
    double sum = 0.0;
    for (Index j = 0; j < n; ++j) {
      error_.col(j) -= top_;
      sum -= error_.col(j).dot(y.row(j));
      exponentials(error_.col(j).data(), rows);
      total_ += error_.col(j);
    }
    for (Index i = 0; i < rows; ++i) sum += special::log(total_[i]);
    if (delta == nullptr) return sum;
    Eigen::Map<Matrix> p(probability, rows, n);
    p = error_.array().colwise() / total_.array();
    Eigen::Map<Matrix>(delta, rows, n) = scale * (p - y.transpose());
    return sum;
  }

  static void exponentials(double* x, Index n) {
    MEANFREE_INDEPENDENT
    for (Index i = 0; i < n; ++i) x[i] = special::exp(x[i]);
  }

  const Activation& phi_;
  const Mlp& net_;
  const TapeLayout layout_;
  const double *x_, *y_;
  Workspace state_;
  Matrix error_;
  Eigen::VectorXd top_, total_;
  SampleProduct product_;
};

/// out = (second derivative of the loss with respect to z^L) r, over the number of samples.
inline void curve_outputs(const Mlp& net, const TapeLayout& layout, const double* tape, Index c,
                          const Eigen::Map<Matrix>& r, Eigen::Map<Matrix> out) {
  const double scale = 1.0 / static_cast<double>(layout.n_samples());
  out = scale * r;
  if (net.objective == Objective::mse) return;
  const auto p = layout.probability(tape, c);
  Eigen::VectorXd mean = out.col(0).cwiseProduct(p.col(0));
  for (Index j = 1; j < out.cols(); ++j) mean += out.col(j).cwiseProduct(p.col(j));
  out = p.array() * (out.colwise() - mean).array();
}

/// Products of the Hessian at the point of a tape with vectors.
class HessianProduct {
 public:
  HessianProduct(const Mlp& net, const TapeLayout& layout, const double* tape, bool full)
      : net_(net), layout_(layout), tape_(tape), full_(full) {}

  /// For one thread: memory of R z^l, R h^l (l < L), R d^l and R d^{l-1}, in one piece.
  struct Scratch {
    std::vector<double> memory;
    std::vector<double*> state, active;
    double *delta, *below;
    SampleProduct product;
  };

  void multiply(const double* v, double* out, Scratch& scratch, Pause& pause) const {
    reserve(scratch);
    std::fill_n(out, net_.n_parameters(), 0.0);
    for (Index c = 0; c < layout_.n_chunks(); ++c) add(c, v, out, scratch, pause);
  }

 private:
  void reserve(Scratch& s) const {
    const Index depth = net_.depth();
    Index rows = 0, widest = 0, columns = 0;
    for (Index c = 0; c < layout_.n_chunks(); ++c) rows = std::max(rows, layout_.rows(c));
    for (Index l = 1; l <= depth; ++l) {
      widest = std::max(widest, net_.size(l));
      columns += net_.size(l) * (l < depth ? 2 : 1);
    }
    const auto size = static_cast<std::size_t>(rows * (columns + 2 * widest));
    if (s.memory.size() < size) s.memory.resize(size);
    double* next = s.memory.data();
    const auto take = [&](Index n) { return std::exchange(next, next + rows * n); };
    s.state.assign(static_cast<std::size_t>(depth) + 1, nullptr);
    s.active = s.state;
    for (std::size_t l = 1; l < s.state.size(); ++l) {
      s.state[l] = take(net_.sizes[l]);
      if (l + 1 < s.state.size()) s.active[l] = take(net_.sizes[l]);
    }
    s.delta = take(widest);
    s.below = take(widest);
  }

  void add(Index c, const double* v, double* out, Scratch& s, Pause& pause) const {
    pause.check();
    const Index depth = net_.depth(), rows = layout_.rows(c);
    const auto map = [&](double* data, Index l) {
      return Eigen::Map<Matrix>(data, rows, net_.size(l));
    };
    const auto state = [&](Index l) { return map(s.state[static_cast<std::size_t>(l)], l); };
    const auto active = [&](Index l) { return map(s.active[static_cast<std::size_t>(l)], l); };
    for (Index l = 1; l <= depth; ++l) {
      Eigen::Map<Matrix> r = state(l);
      const auto bias = net_.bias(v, l);
      for (Index j = 0; j < r.cols(); ++j) r.col(j).setConstant(bias[j]);
      s.product.add(left(c, l), net_.weights(v, l), r, pause);
      if (l > 1) s.product.add(active(l - 1), net_.weights(l), r, pause);
      if (l < depth) active(l) = layout_.slope(tape_, c, l).cwiseProduct(r);
    }
    curve_outputs(net_, layout_, tape_, c, state(depth), map(s.delta, depth));
    for (Index l = depth; l >= 1; --l) {
      const Eigen::Map<Matrix> r = map(s.delta, l);
      const auto delta = layout_.delta(tape_, c, l);
      auto weights = net_.weights(out, l);
      s.product.add_transposed(left(c, l), r, weights, pause);
      add_sums(s.product, layout_.input(tape_, c, l), r, out + net_.bias_offset(l), pause);
      if (l == 1) break;
      if (full_) s.product.add_transposed(active(l - 1), delta, weights, pause);
      Eigen::Map<Matrix> below = map(s.below, l - 1);
      s.product.multiply_by_transposed(r, net_.weights(l), below, pause);
      if (full_) s.product.add_by_transposed(delta, net_.weights(v, l), below, pause);
      below.array() *= layout_.slope(tape_, c, l - 1).array();
      if (full_) below += layout_.bend(tape_, c, l - 1).cwiseProduct(state(l - 1));
      std::swap(s.delta, s.below);
    }
  }

  /// h^{l-1}
  ConstMap left(Index c, Index layer) const {
    const auto input = layout_.input(tape_, c, layer);
    return {input.data(), input.rows(), input.cols() - 1};
  }

  const Mlp& net_;
  const TapeLayout& layout_;
  const double* tape_;
  const bool full_;
};

}  // namespace detail
}  // namespace meanfree
