// What Python cannot see of the Monte Carlo of Jacobians: products that are split at several
// layers, orthogonal matrices themselves, and eigenvalue solvers on their own.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "meanfree/chi.hpp"
#include "meanfree/graded_product.hpp"
#include "meanfree/haar.hpp"
#include "meanfree/jacobian.hpp"
#include "meanfree/tridiagonal.hpp"

namespace {

using namespace meanfree;
using namespace meanfree::detail;

const std::atomic<bool> never{false};

Matrix gaussian(std::uint64_t sample, std::uint64_t layer, Index rows, Index columns) {
  Matrix a(rows, columns);
  normals(5, sample, layer, 0, a.size(), a.data());
  return a;
}

/// The factors D W of a network with slopes exp(z), one after another.
std::vector<Matrix> factors(Index n, int depth) {
  std::vector<Matrix> result;
  for (int layer = 0; layer < depth; ++layer) {
    const auto at = static_cast<std::uint64_t>(layer);
    Matrix a = gaussian(0, at, n, n);
    const Matrix slopes = gaussian(1, at, n, 1).array().exp();
    a.array().colwise() *= slopes.col(0).array();
    result.push_back(a);
  }
  return result;
}

}  // namespace

TEST_CASE("products of several factors between splits are as good as splits at each") {
  Pause pause(&never);
  for (const auto& [n, depth] :
       std::vector<std::pair<Index, int>>{{5, 60}, {16, 60}, {60, 60}, {12, 500}}) {
    const std::vector<Matrix> all = factors(n, depth);
    std::vector<double> expected(static_cast<std::size_t>(n)), found(expected);
    std::int64_t done = 0;
    log_singular_values(all, n, expected.data(), pause, done);
    CHECK(done == depth);
    for (const double largest : {1e4, 1e6}) {
      GradedProduct t;
      QrDecomposition qr;
      t.start(n);
      for (std::size_t i = 0; i < all.size();) {
        // as many factors as stay below the condition number, one at least
        Matrix a = i == 0 ? all[0] : qr.times_q(all[i], pause);
        ++i;
        while (i < all.size()) {
          const Matrix next = all[i] * a;
          Matrix copy = next;
          QrDecomposition trial;
          trial.decompose(copy, n, pause);
          if (condition_estimate(copy) > largest) break;
          a = next;
          ++i;
        }
        qr.decompose(a, n, pause);
        t.multiply_triangle(a, pause);
      }
      t.log_singular_values(found.data(), pause);
      double error = 0.0;
      for (std::size_t k = 0; k < found.size(); ++k) {
        error = std::max(error, std::fabs(found[k] - expected[k]));
      }
      CHECK(expected.front() - expected.back() > 100.0);
      // rounding times condition number, of each split
      CHECK(error < 1e-16 * largest * 60.0);
    }
  }
}

TEST_CASE("a Haar matrix is orthogonal, and its entries have the variance 1 / n") {
  Pause pause(&never);
  for (const Index n : {1, 2, 31, 32, 33, 70}) {
    double sum = 0.0, squares = 0.0, diagonal = 0.0;
    constexpr int samples = 400;
    HaarMatrix haar;
    for (std::uint64_t sample = 0; sample < samples; ++sample) {
      Matrix o = Matrix::Identity(n, n);
      haar.apply(Stream(3, sample, 0, Purpose::weights), o, pause);
      CHECK((o.transpose() * o - Matrix::Identity(n, n)).cwiseAbs().maxCoeff() < 1e-13);
      sum += o(0, 0) + o(n - 1, n - 1);
      diagonal += o.trace();
      squares += o(n - 1, 0) * o(n - 1, 0);
    }
    // E O_ij = 0, E (tr O)^2 = 1, E O_ij^2 = 1/n
    const double m = samples, size = static_cast<double>(n);
    CHECK(std::fabs(sum) <
          4.5 * std::sqrt(2.0 * m / size) + (n == 1 ? 4.5 * std::sqrt(2.0 * m) : 0.0));
    CHECK(std::fabs(diagonal) < 4.5 * std::sqrt(m));
    CHECK(std::fabs(squares - m / size) < 4.5 * std::sqrt(2.0 * m) / size);
  }
}

TEST_CASE("chi variables have their mean square and never repeat") {
  constexpr std::int64_t n = 300;
  std::vector<double> chi(n), mean(n);
  constexpr int samples = 2000;
  for (std::uint64_t sample = 0; sample < samples; ++sample) {
    chi_variables(Stream(1, sample, 0, Purpose::lengths), n, n, chi.data());
    for (std::size_t i = 0; i < n; ++i) mean[i] += chi[i] * chi[i] / samples;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const double k = static_cast<double>(n) - static_cast<double>(i);
    CHECK(std::fabs(mean[i] - k) < 5.0 * std::sqrt(2.0 * k / samples));
  }
}

TEST_CASE("eigenvalues of matrices with known ones") {
  Pause pause(&never);
  SymmetricSolver solver;
  for (const Index n : {1, 2, 3, 7, 8, 9, 40, 130}) {
    Matrix o = Matrix::Identity(n, n);
    HaarMatrix().apply(Stream(4, 0, 0, Purpose::weights), o, pause);
    for (const int kind : {0, 1, 2}) {
      Eigen::VectorXd known(n);
      for (Index i = 0; i < n; ++i) {
        const double x = static_cast<double>(i + 1);
        known[i] = kind == 0 ? 1.0 : kind == 1 ? x : std::floor(x / 3.0);  // multiple, plain, zeros
      }
      const Matrix g = o.transpose() * known.asDiagonal() * o;
      std::vector<double> found(static_cast<std::size_t>(n));
      solver.eigenvalues(g, found.data(), pause);
      std::sort(found.begin(), found.end());
      for (Index i = 0; i < n; ++i) {
        CHECK(std::fabs(found[static_cast<std::size_t>(i)] - known[i]) <
              1e-13 * (1.0 + known[n - 1]));
      }
    }
  }
}

TEST_CASE("networks are the same on any number of threads") {
  const Activation phi = built_in_activation("hard_tanh", 0.0);
  JacobianLaw law;
  law.width = 20;
  law.depth = 12;
  std::vector<double> one(60 * 20), many(one);
  simulate_jacobian(phi, law, 60, 1, one.data(), [](std::int64_t) {});
  simulate_jacobian(phi, law, 60, 3, many.data(), [](std::int64_t) {});
  CHECK(one == many);
}
