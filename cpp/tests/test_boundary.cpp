// What Python cannot see of decision boundaries: the eigenvalue solver of symmetric matrices of any
// sign on its own, the end of a call in the middle, and sanitizers over rectangular networks.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "meanfree/boundary.hpp"

namespace {

using namespace meanfree;
using namespace meanfree::detail;

const std::atomic<bool> never{false};

Matrix symmetric(Index n, std::uint64_t sample) {
  Matrix a(n, n);
  normals(7, sample, 0, 0, a.size(), a.data());
  return a + a.transpose();
}

std::vector<double> signed_values(const Matrix& a) {
  Pause pause(&never);
  SymmetricSolver solver;
  std::vector<double> values(static_cast<std::size_t>(a.rows()));
  solver.signed_eigenvalues(a, values.data(), pause);
  return values;
}

}  // namespace

TEST_CASE("eigenvalues of either sign agree with those of Eigen's solver") {
  for (const Index n : {1, 2, 3, 17, 64, 130}) {
    for (const double scale : {1.0, 1e-120, 1e120}) {
      const Matrix a = scale * symmetric(n, static_cast<std::uint64_t>(n));
      const Eigen::SelfAdjointEigenSolver<Matrix> peer(a / scale, Eigen::EigenvaluesOnly);
      const std::vector<double> values = signed_values(a);
      CHECK(std::is_sorted(values.begin(), values.end(), std::greater<double>()));
      const double norm = peer.eigenvalues().cwiseAbs().maxCoeff();
      for (Index i = 0; i < n; ++i) {
        const double error =
            values[static_cast<std::size_t>(i)] / scale - peer.eigenvalues()[n - 1 - i];
        CHECK(std::fabs(error) < 1e-15 * static_cast<double>(n + 10) * norm);
      }
    }
  }
}

TEST_CASE("eigenvalues of special matrices") {
  for (const double value : signed_values(Matrix::Zero(5, 5))) CHECK(value == 0.0);
  // of rank 2: n - 1 times the same pattern; eigenvalues sqrt(n) and -sqrt(n)
  Matrix arrow = Matrix::Zero(10, 10);
  arrow.row(0).tail(9).setOnes();
  arrow.col(0).tail(9).setOnes();
  const std::vector<double> values = signed_values(arrow);
  CHECK(std::fabs(values.front() - 3.0) < 1e-14);
  CHECK(std::fabs(values.back() + 3.0) < 1e-14);
  for (std::size_t i = 1; i < 9; ++i) CHECK(std::fabs(values[i]) < 1e-14);
  Matrix diagonal = Matrix::Zero(4, 4);
  diagonal.diagonal() << -2.0, 5.0, 0.0, -2.0;
  const std::vector<double> sorted{5.0, 0.0, -2.0, -2.0};
  CHECK(signed_values(diagonal) == sorted);
}

TEST_CASE(
    "the Hessian of a rectangular network is symmetric and flat along no layer but the last") {
  const Activation phi = built_in_activation("tanh", 0.0);
  Pause pause(&never);
  std::vector<Matrix> memory;
  GivenNetwork net;
  const std::vector<Index> sizes{3, 60, 1, 50, 2};
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) {
    memory.emplace_back(sizes[k], sizes[k + 1]);
    normals(1, k, 0, 0, memory[k].size(), memory[k].data());
    net.biases.push_back(VectorXd::Zero(sizes[k + 1]));
  }
  for (const Matrix& w : memory) net.weights.emplace_back(w.data(), w.rows(), w.cols());
  net.readout = VectorXd::Ones(2);
  LevelSet set(phi, net);
  set.value(VectorXd::Constant(3, 0.1), pause);
  set.gradient(pause);
  set.require_normals();
  Index expected = 4;
  set.hessians(
      0,
      [&](Index k, const ConstMatrixView& h, bool zero) {
        CHECK(k == expected--);
        CHECK(h.rows() == sizes[static_cast<std::size_t>(k)]);
        CHECK((h - h.transpose()).cwiseAbs().maxCoeff() == 0.0);
        CHECK(zero == (k == 4));
        CHECK(std::fabs(set.normal(k).norm() - 1.0) < 1e-14);
      },
      pause);
  CHECK(expected == -1);
}

TEST_CASE("boundaries do not depend on the number of threads, and end early when asked") {
  BoundaryLaw law;
  law.sigma_w = 2.0;
  law.sigma_b = 0.3;
  law.width = 20;
  law.depth = 4;
  law.level = std::nan("");
  const Activation phi = built_in_activation("tanh", 0.0);
  const std::int64_t n_points = 6;
  const auto all = [&](int n_threads, const std::function<void(std::int64_t)>& poll) {
    std::vector<std::vector<double>> out;
    for (const std::int64_t size : {20, 1, 1, 4, 4 * 19}) {
      out.emplace_back(static_cast<std::size_t>(n_points * size), 0.0);
    }
    const BoundaryResult result{out[0].data(), out[1].data(), out[2].data(), out[3].data(),
                                out[4].data()};
    random_boundaries(phi, law, n_points, n_threads, result, poll);
    return out;
  };
  const auto quiet = [](std::int64_t) {};
  CHECK(all(1, quiet) == all(4, quiet));
  law.orthogonal = true;
  CHECK(all(1, quiet) == all(3, quiet));
  const auto stop = [](std::int64_t) { throw std::runtime_error("enough"); };
  CHECK_THROWS_AS(all(2, stop), std::runtime_error);
  law.level = 1e3;
  CHECK_THROWS_AS(all(2, quiet), std::invalid_argument);
}
