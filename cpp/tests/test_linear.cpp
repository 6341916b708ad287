// What Python cannot see of deep linear networks: both ways to form products, which sizes choose
// between, against products of Eigen's; transposes and odd sizes of the direct one; threads.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meanfree/compact_network.hpp"
#include "meanfree/linear_descent.hpp"
#include "meanfree/linear_flow.hpp"
#include "meanfree/linear_network.hpp"
#include "meanfree/random.hpp"

namespace {

using namespace meanfree;
using namespace meanfree::detail;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

const std::atomic<bool> never{false};

std::vector<double> normal(std::uint64_t sample, std::int64_t n) {
  std::vector<double> x(static_cast<std::size_t>(n));
  normals(7, sample, 0, 0, n, x.data());
  return x;
}

/// A task with random covariances, which it owns.
struct Case {
  LinearTask task;
  std::vector<double> yx, xx;
  Case(const std::vector<std::int64_t>& sizes, bool coloured) {
    task.sizes = sizes;
    yx = normal(1, task.n_total());
    task.sigma_yx = yx.data();
    if (!coloured) return;
    const Index n = sizes.front();
    xx = normal(2, n * n);
    Eigen::Map<RowMajor> m(xx.data(), n, n);
    m = (m * m.transpose() / static_cast<double>(n) + RowMajor::Identity(n, n)).eval();
    task.sigma_xx = xx.data();
  }
};

/// The slopes of all layers, each product formed anew; after them W.
std::vector<double> plain_slopes(const LinearTask& task, const std::vector<double>& weights) {
  std::vector<RowMajor> w;
  const double* at = weights.data();
  for (std::size_t l = 0; l < task.depth(); ++l) {
    w.emplace_back(Eigen::Map<const RowMajor>(at, task.sizes[l + 1], task.sizes[l]));
    at += w.back().size();
  }
  const Index n_in = task.sizes.front(), n_out = task.sizes.back();
  RowMajor total = RowMajor::Identity(n_in, n_in);
  for (const RowMajor& m : w) total = (m * total).eval();
  RowMajor error = Eigen::Map<const RowMajor>(task.sigma_yx, n_out, n_in);
  if (task.sigma_xx == nullptr) {
    error -= total;
  } else {
    error -= total * Eigen::Map<const RowMajor>(task.sigma_xx, n_in, n_in);
  }
  std::vector<double> out;
  for (std::size_t l = 0; l < w.size(); ++l) {
    RowMajor slope = error;
    for (std::size_t k = w.size() - 1; k > l; --k) slope = (w[k].transpose() * slope).eval();
    RowMajor before = RowMajor::Identity(n_in, n_in);
    for (std::size_t k = 0; k < l; ++k) before = (w[k] * before).eval();
    slope = (slope * before.transpose()).eval();
    out.insert(out.end(), slope.data(), slope.data() + slope.size());
  }
  out.insert(out.end(), total.data(), total.data() + total.size());
  return out;
}

template <class Network>
std::vector<double> swept_slopes(const LinearTask& task, const std::vector<double>& weights) {
  Pause pause(&never);
  Network network(task);
  AlignedNumbers state(static_cast<std::size_t>(network.state_size())), slope(state.size(), 0.0);
  std::vector<double> out(static_cast<std::size_t>(task.n_weights() + task.n_total()));
  network.pack(weights.data(), state.data());
  network.forward(state.data(), out.data() + task.n_weights(), pause);
  network.backward(state.data(), slope.data(), 1.0, pause);
  network.unpack(slope.data(), out.data());
  return out;
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  CHECK(a.size() == b.size());
  double largest = 0.0, scale = 1.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(a[i] - b[i]));
    scale = std::max(scale, std::fabs(b[i]));
  }
  return largest / scale;
}

}  // namespace

TEST_CASE("slopes are those of plain products, for any chain of sizes") {
  for (const std::vector<std::int64_t>& sizes :
       std::vector<std::vector<std::int64_t>>{{1, 1, 1},
                                              {3, 2},
                                              {2, 7, 3},
                                              {9, 8, 8, 17},
                                              {17, 4, 13, 5},
                                              {12, 12, 12, 12},
                                              {33, 40, 25},
                                              {25, 41, 34},
                                              {5, 1, 6}}) {
    for (const bool coloured : {false, true}) {
      const Case given(sizes, coloured);
      std::vector<double> weights = normal(3, given.task.n_weights());
      for (double& w : weights) w *= 0.3;
      const std::vector<double> expected = plain_slopes(given.task, weights);
      // rounding of sums of at most 41 products, in at most five factors
      CHECK(difference(swept_slopes<LinearNetwork>(given.task, weights), expected) < 1e-14);
      CHECK(difference(swept_slopes<CompactNetwork>(given.task, weights), expected) < 1e-14);
    }
  }
}

TEST_CASE("direct products and transposes keep to their sizes and leave zeros in the padding") {
  for (const Index rows : {1, 3, 8, 9, 15, 23}) {
    for (const Index columns : {1, 4, 5, 8, 12, 17, 26, 33}) {
      for (const Index inner : {1, 2, 9}) {
        const Index stride = padded(columns), turned = padded(rows);
        AlignedNumbers a(static_cast<std::size_t>(rows * inner)), b, c, t;
        b.resize(static_cast<std::size_t>(inner * stride), 0.0);
        c.resize(static_cast<std::size_t>(rows * stride), 0.0);
        t.resize(static_cast<std::size_t>(columns * turned), 1.0);
        Eigen::Map<RowMajor> x(a.data(), rows, inner);
        Eigen::Map<RowMajor, 0, Eigen::OuterStride<>> y(b.data(), inner, columns,
                                                        Eigen::OuterStride<>(stride)),
            z(c.data(), rows, columns, Eigen::OuterStride<>(stride)),
            zt(t.data(), columns, rows, Eigen::OuterStride<>(turned));
        x.setRandom();
        y.setRandom();
        const RowMajor product = x * y;
        direct_product({inner, a.data(), inner, 1, b.data(), stride, c.data(), stride, 1.0, false},
                       rows, columns);
        CHECK((z - product).cwiseAbs().maxCoeff() < 1e-14);
        direct_product({inner, a.data(), inner, 1, b.data(), stride, c.data(), stride, 2.0, true},
                       rows, columns);
        CHECK((z - 3.0 * product).cwiseAbs().maxCoeff() < 1e-14);
        for (Index i = 0; i < rows; ++i) {
          for (Index j = columns; j < stride; ++j)
            CHECK(c[static_cast<std::size_t>(i * stride + j)] == 0.0);
        }
        transpose(rows, columns, c.data(), stride, t.data(), turned);
        CHECK((zt - z.transpose()).cwiseAbs().maxCoeff() == 0.0);
      }
    }
  }
}

TEST_CASE("runs are the same on any number of threads, by either product") {
  const Case given({6, 5, 7, 4}, true);
  constexpr std::int64_t runs = 9, records = 4;
  std::vector<double> start = normal(4, runs * given.task.n_weights());
  for (double& w : start) w *= 0.4;
  const std::vector<double> eta(runs, 0.01), times{0.0, 0.5, 1.0, 3.0};
  const auto totals = [&](int n_threads, bool flow, bool compact) {
    std::vector<double> weights = start;
    std::vector<double> total(static_cast<std::size_t>(runs * records * given.task.n_total()));
    std::vector<double> balancedness(static_cast<std::size_t>(runs * records * 2));
    const LinearRecords to{records, total.data(), balancedness.data()};
    const auto poll = [](std::int64_t) {};
    if (flow) {
      const auto run = compact ? flow_linear<CompactNetwork, decltype(poll)>
                               : flow_linear<LinearNetwork, decltype(poll)>;
      run(given.task, FlowOptions(), times.data(), runs, n_threads, to, weights.data(),
          decltype(poll)(poll));
    } else {
      const auto run = compact ? descend_linear<CompactNetwork, decltype(poll)>
                               : descend_linear<LinearNetwork, decltype(poll)>;
      run(given.task, eta.data(), runs, 30, 10, n_threads, to, weights.data(),
          decltype(poll)(poll));
    }
    total.insert(total.end(), balancedness.begin(), balancedness.end());
    total.insert(total.end(), weights.begin(), weights.end());
    return total;
  };
  for (const bool flow : {false, true}) {
    const std::vector<double> one = totals(1, flow, true);
    CHECK(one == totals(3, flow, true));
    CHECK(difference(totals(2, flow, false), one) < 1e-9);
  }
}
