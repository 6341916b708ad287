// What Python cannot see of the Monte Carlo of curves: Fourier transforms of any length, the factor
// of a matrix of low rank, and frames, in both precisions.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "meanfree/curve_factor.hpp"
#include "meanfree/fourier.hpp"
#include "meanfree/random.hpp"

namespace {

using namespace meanfree;
using namespace meanfree::detail;

const std::atomic<bool> go_on{false};

template <class Scalar>
MatrixOf<Scalar> normal_matrix(std::uint64_t layer, Index rows, Index columns) {
  Matrix a(rows, columns);
  normals(7, 0, layer, 0, a.size(), a.data());
  return a.cast<Scalar>();
}

}  // namespace

TEST_CASE("Fourier coefficients give the points and come back from them") {
  for (const int n : {1, 2, 3, 4, 5, 6, 7, 8, 9, 22, 49, 64, 77, 100, 121, 500}) {
    Fourier fourier(n);
    constexpr int lanes = Fourier::signals;
    const int count = static_cast<int>(fourier.frequencies());
    std::vector<double> a(static_cast<std::size_t>(lanes * count)), b(a), a2(a), b2(a);
    normals(1, 0, 0, 0, lanes * count, a.data());
    normals(1, 1, 0, 0, lanes * count, b.data());
    std::fill_n(b.begin(), lanes, 0.0);
    const double* f = fourier.synthesise(a.data(), b.data(), count);
    double error = 0.0;
    for (int t = 0; t < n; ++t) {
      for (int i = 0; i < lanes; ++i) {
        double sum = 0.0;
        for (int k = 0; k < count; ++k) {
          const double angle = 6.283185307179586 * (k * t % n) / n;
          const auto at = static_cast<std::size_t>(lanes * k + i);
          sum += a[at] * std::cos(angle) + b[at] * std::sin(angle);
        }
        error = std::max(error, std::fabs(sum - f[lanes * t + i]));
      }
    }
    CHECK(error < 1e-14 * n);
    const std::vector<double> points(f, f + lanes * n);
    fourier.analyse(points.data(), a2.data(), b2.data(), count);
    for (std::size_t i = 0; i < a.size(); ++i) {
      CHECK(std::fabs(a2[i] - a[i]) < 1e-14);
      CHECK(std::fabs(b2[i] - b[i]) < 1e-14);
    }
  }
}

TEST_CASE_TEMPLATE("a factor of a matrix of low rank has its products and its rank", Scalar, float,
                   double) {
  Pause pause(&go_on);
  const double epsilon = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  for (const Index n : {3, 40, 200}) {
    for (const Index rank : {Index{1}, Index{2}, n / 2 + 1, n}) {
      const Index columns = 150;
      MatrixOf<Scalar> x =
          normal_matrix<Scalar>(0, n, rank) * normal_matrix<Scalar>(1, rank, columns);
      x.col(columns / 2) *= Scalar(1e-12);  // each column to its own precision
      x.col(columns / 3).setZero();
      RankFactor<Scalar> factor;
      WorkspaceOf<Scalar> r;
      const Index found = factor.decompose(x, n, r, pause);
      CHECK(found >= std::min(rank, columns - 1));
      CHECK(found <= std::min(rank, columns - 1) + 1);  // x itself is of that rank to rounding
      const Matrix exact = x.template cast<double>(), made = r.map().template cast<double>();
      const Matrix error = made.transpose() * made - exact.transpose() * exact;
      const Eigen::VectorXd length = exact.colwise().norm();
      double worst = 0.0;
      for (Index i = 0; i < columns; ++i) {
        for (Index j = 0; j < columns; ++j) {
          if (length[i] * length[j] == 0.0) {
            CHECK(error(i, j) == 0.0);
          } else {
            worst = std::max(worst, std::fabs(error(i, j)) / (length[i] * length[j]));
          }
        }
      }
      CHECK(worst < 200.0 * epsilon);
      if (found > 1) {
        CHECK(factor.decompose(x, found - 1, r, pause) == RankFactor<Scalar>::too_large);
      }
    }
  }
}

TEST_CASE_TEMPLATE("frames are orthonormal, by either way of drawing them", Scalar, float, double) {
  Pause pause(&go_on);
  const double epsilon = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  const Index n = 60;
  for (const Index rank : {1, 2, 30, 45, 46, 60}) {
    RandomFrame<Scalar> frame;
    MatrixOf<Scalar> u(n, rank);
    frame.orthogonal(Stream(3, 1, 2, Purpose::normals), n, MatrixOf<Scalar>::Identity(rank, rank),
                     u, pause);
    const MatrixOf<Scalar> gram = u.transpose() * u;
    const double error =
        static_cast<double>((gram - MatrixOf<Scalar>::Identity(rank, rank)).cwiseAbs().maxCoeff());
    CHECK(error < 2000.0 * epsilon);
  }
}
