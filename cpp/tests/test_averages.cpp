// Gaussian averages and fixed points of every built-in activation: run here under the sanitizers;
// their values are tested in Python.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "meanfree/averages.hpp"
#include "meanfree/critical_line.hpp"
#include "meanfree/fixed_point.hpp"
#include "meanfree/interpolated.hpp"
#include "meanfree/parallel.hpp"

using namespace meanfree;

namespace {

const std::vector<std::pair<std::string, double>> names{
    {"linear", 0.0},    {"relu", 0.0}, {"leaky_relu", 0.01}, {"shifted_relu", 1.0},
    {"hard_tanh", 0.0}, {"tanh", 0.0}, {"erf", 0.0},         {"erf_scaled", 0.0},
    {"sigmoid", 0.0},   {"gelu", 0.0}, {"silu", 0.0},        {"gelu_tanh", 0.0},
    {"elu", 1.0},       {"selu", 0.0}, {"softplus", 0.0},    {"sin", 0.0},
    {"arctan", 0.0}};

}  // namespace

TEST_CASE("averages of two inputs tend to those of one as c tends to 1") {
  for (const auto& [name, parameter] : names) {
    CAPTURE(name);
    const Activation phi = built_in_activation(name, parameter);
    const auto average = averages(phi);
    for (const double q : {0.0, 1e-8, 0.3, 5.0, 3e4}) {
      double second, length_slope, product, deficit, slope_product;
      const double delta = 1e-14;
      average->length(&q, 1, &second, &length_slope);
      average->pair(&q, &delta, 1, {&product, &deficit, &slope_product});
      CHECK(std::fabs(product - second) <= 1e-11 * (1.0 + second) + q * delta);
      CHECK(deficit >= 0.0);
      CHECK(deficit <= 1e-13 * (1.0 + q));
    }
  }
}

TEST_CASE("a covariance at equal lengths is the average of a pair") {
  for (const auto& [name, parameter] : names) {
    CAPTURE(name);
    const Activation phi = built_in_activation(name, parameter);
    const auto average = averages(phi);
    const double q = 2.0;
    for (const double c : {-1.0, -0.95, -0.3, 0.0, 0.5, 0.97, 1.0}) {
      double product, deficit, slope_product, other, other_slope;
      const double delta = 1.0 - c;
      average->pair(&q, &delta, 1, {&product, &deficit, &slope_product});
      average->covariance(&q, &q, &c, 1, &other, &other_slope);
      CHECK(std::fabs(product - other) <= 1e-12);
      CHECK(std::fabs(slope_product - other_slope) <= 1e-12);
    }
  }
}

TEST_CASE("fixed points do not depend on threads and solve their equations") {
  constexpr std::int64_t n = 6;
  const Scale scale[n] = {{0.5, 0.01, 1.0}, {1.2, 0.0, 1.0}, {1.9, 0.3, 1.0},
                          {3.0, 1.0, 0.9},  {0.0, 0.2, 1.0}, {16.0, 0.1, 1.0}};
  for (const auto& [name, parameter] : names) {
    CAPTURE(name);
    const Activation phi = built_in_activation(name, parameter);
    const auto exact = averages(phi);
    const LengthTable table(phi, *exact);
    for (const bool interpolate : {false, true}) {
      if (interpolate && phi.family != Family::analytic) continue;
      CAPTURE(interpolate);
      std::vector<std::vector<double>> runs;
      for (const int n_threads : {1, 3}) {
        const Interpolation shared(phi, LengthTable::per_decade, -table.one(), table.size() - 1,
                                   averages(phi));
        std::vector<double> values(FixedPoints::n_rows * n);
        std::vector<std::int8_t> phase(n), status(n);
        const FixedPoints out = FixedPoints::in(values.data(), n, phase.data(), status.data());
        for_each_block(
            n, n_threads,
            [&](std::int64_t i, Pause&) {
              auto average = averages(phi);
              if (interpolate) average = std::make_unique<Interpolated>(shared, std::move(average));
              FixedPointSolver solver(phi, table, *average);
              solver.solve(scale + i, 1, out.from(i));
            },
            [](std::int64_t) {});
        for (std::int64_t i = 0; i < n; ++i) {
          const double q = out.q[i];
          if (!std::isfinite(q)) continue;
          double second, length_slope;
          exact->length(&q, 1, &second, &length_slope);
          CHECK(std::fabs(scale[i].gain() * second + scale[i].bias - q) <= 1e-13 * q);
        }
        runs.push_back(values);
      }
      for (std::size_t i = 0; i < runs[0].size(); ++i)
        CHECK((runs[0][i] == runs[1][i] || (std::isnan(runs[0][i]) && std::isnan(runs[1][i]))));
    }
  }
}

TEST_CASE("points of the critical line have chi_1 = 1") {
  for (const std::string name : {"tanh", "hard_tanh", "gelu", "sin"}) {
    CAPTURE(name);
    const Activation phi = built_in_activation(name, 0.0);
    const auto average = averages(phi);
    CriticalLine line(phi, *average);
    const CriticalPoint point = line.at(0.8);
    double slope;
    Moments m;
    m.slope_squared = &slope;
    average->moments(&point.q, 1, m);
    CHECK(point.stable);
    CHECK(point.sigma_w * point.sigma_w * slope == doctest::Approx(1.0).epsilon(1e-14));
  }
}
