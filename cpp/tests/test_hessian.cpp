// What Python cannot see of Hessians of networks: sanitizers over every way in which the work is
// cut, and the end of a call in the middle.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <atomic>
#include <stdexcept>
#include <vector>

#include "meanfree/mlp_hessian.hpp"
#include "meanfree/random.hpp"

namespace {

using namespace meanfree;
using namespace meanfree::detail;

/// A network with its samples and tape.
struct Recorded {
  Mlp net;
  std::vector<double> parameters, x, y, tape, gradient;
  Activation phi = built_in_activation("tanh", 0.0);

  Recorded(std::vector<Index> sizes, Index n_samples, Objective objective) {
    net.sizes = std::move(sizes);
    net.objective = objective;
    parameters.resize(static_cast<std::size_t>(net.n_parameters()));
    x.resize(static_cast<std::size_t>(n_samples * net.sizes.front()));
    y.resize(static_cast<std::size_t>(n_samples * net.sizes.back()), 1.0 / net.sizes.back());
    normals(1, 0, 0, 0, net.n_parameters(), parameters.data());
    normals(1, 1, 0, 0, static_cast<std::int64_t>(x.size()), x.data());
    for (double& w : parameters) w *= 0.3;
    net.parameters = parameters.data();
    MlpPasses passes(phi, net, n_samples, x.data(), y.data());
    tape.resize(static_cast<std::size_t>(passes.layout().size()));
    gradient.resize(parameters.size());
    auto nothing = [] {};
    Pause pause(nothing);
    const double value = passes.record(tape.data(), gradient.data(), pause);
    CHECK(passes.value(pause) == doctest::Approx(value).epsilon(1e-13));
  }
};

void check(const std::vector<Index>& sizes, Index n_samples, Objective objective, bool full) {
  const Recorded at(sizes, n_samples, objective);
  const TapeLayout layout(at.net, n_samples);
  const Index n = at.net.n_parameters();
  Matrix hessian = Matrix::Constant(n, n, 7.0);
  mlp_hessian(at.net, layout, at.tape.data(), full, 2, hessian.data(), [](std::int64_t) {});
  const Eigen::VectorXd v = Eigen::VectorXd::LinSpaced(n, -1.0, 2.0);
  Eigen::VectorXd product(n);
  auto nothing = [] {};
  Pause pause(nothing);
  HessianProduct::Scratch scratch;
  HessianProduct(at.net, layout, at.tape.data(), full)
      .multiply(v.data(), product.data(), scratch, pause);
  CHECK((hessian * v - product).norm() <= 1e-12 * product.norm());
}

TEST_CASE("the Hessian is that of the products, however the work is cut") {
  for (const bool full : {true, false}) {
    for (const Objective objective : {Objective::mse, Objective::cross_entropy}) {
      check({3, 2}, 5, objective, full);
      check({3, 4, 2, 5, 3}, 300, objective, full);
    }
  }
  check({50, 3, 46, 3}, 3, Objective::mse, true);       // tiles of pairs
  check({2, 30, 40, 2}, 3, Objective::mse, true);       // tiles of units
  check({1, 16, 16, 1}, 12000, Objective::mse, false);  // groups of samples
}

TEST_CASE("samples of wide networks are taken few at a time, unless no Hessian fits anyway") {
  Mlp net;
  const auto rows = [&](std::vector<Index> sizes) {
    net.sizes = std::move(sizes);
    return TapeLayout(net, 1200).rows(0);
  };
  CHECK(rows({64, 20, 10}) == 400);
  CHECK(rows({1, 600, 1}) <= 48);  // 600 * 601 / 2 numbers for each, of 2^23
  CHECK(rows({1, 20000, 1}) == 8);
  CHECK(rows({800, 600, 10}) == 400);
  check({1, 300, 1}, 400, Objective::mse, true);
}

TEST_CASE("passes and products end between chunks, also of networks without large products") {
  Recorded at({3, 2, 1}, 1200, Objective::mse);
  MlpPasses passes(at.phi, at.net, 1200, at.x.data(), at.y.data());
  const std::atomic<bool> stop{true};
  Pause pause(&stop);
  HessianProduct::Scratch scratch;
  const HessianProduct product(at.net, passes.layout(), at.tape.data(), true);
  CHECK_THROWS_AS(passes.value(pause), Interrupted);
  CHECK_THROWS_AS(passes.record(at.tape.data(), at.gradient.data(), pause), Interrupted);
  CHECK_THROWS_AS(product.multiply(at.x.data(), at.gradient.data(), scratch, pause), Interrupted);
}

TEST_CASE("a Hessian can be interrupted") {
  const Recorded at({6, 5, 4}, 600, Objective::mse);
  const TapeLayout layout(at.net, 600);
  Matrix hessian(at.net.n_parameters(), at.net.n_parameters());
  for (const int n_threads : {1, 2}) {
    CHECK_THROWS_AS(mlp_hessian(at.net, layout, at.tape.data(), true, n_threads, hessian.data(),
                                [](std::int64_t) { throw std::runtime_error("enough"); }),
                    std::runtime_error);
  }
}

}  // namespace
