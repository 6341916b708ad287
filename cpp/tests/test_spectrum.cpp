// The law of squared slopes at complex x, which Python cannot call, against sums over panels so
// small that no pole is near; and what the spectrum promises of its bits.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "meanfree/quadrature.hpp"
#include "meanfree/spectrum.hpp"

using namespace meanfree;

namespace {

using Number = std::complex<double>;

struct Averages {
  Number m{}, one_plus_m{}, log_integral{};
};

/// Gauss-Legendre on [from, to], halved until t varies less than its distance from x.
void add_refined(const Activation& phi, double root, Number x, double from, double to, int depth,
                 Averages& sum) {
  const auto& [nodes, weights] = gauss_legendre<16>();
  double h[18], slope[18], low = 1e300, high = 0.0, distance = 1e300;
  for (int j = 0; j < 16; ++j) h[j] = root * (0.5 * (from + to) + 0.5 * (to - from) * nodes[j]);
  h[16] = root * (from + 1e-9 * (to - from)), h[17] = root * (to - 1e-9 * (to - from));
  phi.derivative(h, 18, slope);
  for (const double s : slope) {
    low = std::min(low, s * s), high = std::max(high, s * s);
    distance = std::min(distance, std::abs(x - s * s));
  }
  if (depth < 50 && (high - low > distance || (to - from) * root > 0.7 || depth == 0)) {
    const double middle = 0.5 * (from + to);
    add_refined(phi, root, x, from, middle, depth + 1, sum);
    add_refined(phi, root, x, middle, to, depth + 1, sum);
    return;
  }
  for (int j = 0; j < 16; ++j) {
    const double z = h[j] / root, t = slope[j] * slope[j],
                 w = 0.5 * (to - from) * weights[j] * special::normal_pdf(z);
    sum.m += w * t / (x - t);
    sum.one_plus_m += w * x / (x - t);
    sum.log_integral += w * std::log(1.0 - t / x);
  }
}

Averages refined(const Activation& phi, double q, Number x) {
  const double root = std::sqrt(q);
  std::vector<double> edges{-z_max, z_max};
  for (double z = -9.0; z < z_max; z += 1.0) edges.push_back(z);
  for (const double kink : phi.kinks)
    if (std::fabs(kink / root) < z_max) edges.push_back(kink / root);
  std::sort(edges.begin(), edges.end());
  Averages sum;
  for (std::size_t i = 0; i + 1 < edges.size(); ++i)
    if (edges[i + 1] > edges[i]) add_refined(phi, root, x, edges[i], edges[i + 1], 0, sum);
  return sum;
}

double distance(Complex a, Number b) { return std::abs(Number(a.re, a.im) - b); }

struct Case {
  const char* name;
  double parameter, q;
};

}  // namespace

TEST_CASE("averages over a law are right next to its cut") {
  std::mt19937_64 bits(7);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (const Case& c :
       {Case{"tanh", 0, 0.005}, Case{"tanh", 0, 0.3}, Case{"tanh", 0, 30.0}, Case{"erf", 0, 2.0},
        Case{"gelu", 0, 0.5}, Case{"gelu", 0, 20.0}, Case{"silu", 0, 1.0}, Case{"elu", 1, 1.0},
        Case{"selu", 0, 5.0}, Case{"sigmoid", 0, 2.0}, Case{"softplus", 0, 10.0},
        Case{"sin", 0, 0.5}, Case{"sin", 0, 50.0}, Case{"arctan", 0, 3.0}}) {
    CAPTURE(c.name);
    CAPTURE(c.q);
    const Activation phi = built_in_activation(c.name, c.parameter);
    const SlopeLaw law(slope_panels(phi, c.q));
    for (const double height : {0.3, 1e-2, 1e-4, 1e-6}) {
      for (int i = 0; i < 4; ++i) {
        const double h = std::sqrt(c.q) * 6.0 * (uniform(bits) - 0.5);
        double slope;
        phi.derivative(&h, 1, &slope);
        const Complex x{slope * slope, height * (0.2 + uniform(bits))};
        const LawValue value = law(x);
        const Averages expected = refined(phi, c.q, {x.re, x.im});
        RootCache cache;
        double log_integral;
        law.log_integral<1>({{x.re}, {x.im}}, &log_integral, &cache);
        // a change of t by its rounding error moves m by this
        const double rounding = 1e-12 + 1e-14 / height;
        const double scale = std::abs(expected.m) + std::abs(expected.one_plus_m);
        CHECK(distance(value.m, expected.m) < rounding * scale);
        CHECK(distance(value.one_plus_m, expected.one_plus_m) < rounding * scale);
        CHECK(std::fabs(log_integral - expected.log_integral.imag()) < rounding);
      }
    }
  }
}

TEST_CASE("roots that follow x are those that are found afresh") {
  const SlopeLaw law(slope_panels(built_in_activation("gelu", 0.0), 0.7));
  RootCache cache;
  for (int i = 0; i < 200; ++i) {
    const Lanes<1> x{{0.2 + 0.004 * i}, {0.03 + 0.01 * std::sin(0.1 * i)}};
    LawValues<1> followed;
    law.evaluate<1>(x, followed, &cache);
    const LawValue afresh = law(x[0]);
    CHECK(size(followed.m[0] - afresh.m) < 1e-12 * size(afresh.m));
    // the slope only steers Newton's method
    CHECK(size(followed.slope[0] - afresh.slope) < 1e-8 * size(afresh.slope));
  }
}

TEST_CASE("a point of a spectrum has the same bits in any company") {
  for (const char* name : {"linear", "tanh"}) {
    const SlopeLaw law(slope_panels(built_in_activation(name, 0.0), 0.2));
    const SpectralEquation equation({law}, {{5.0, 1.0}}, {{1.0, 1.0, 1.0}, {4.0, 0.0, 1.0}}, 0.0,
                                    0.0, 0.0);
    const std::vector<SpectralAtom> atoms;
    const SpectralCurve curve = SpectralCurveBuilder(equation, atoms).build();
    Spectrum spectrum(equation, curve, atoms), other(equation, curve, atoms);
    double y[n_lanes];
    for (int i = 0; i < n_lanes; ++i) y[i] = curve.bulks[0].high - 0.01 - 0.4 * i;
    SpectralPoint together[n_lanes], alone;
    spectrum.evaluate(y, n_lanes, together);
    for (int i = n_lanes - 1; i >= 0; --i) {
      other.evaluate(y + i, 1, &alone);
      CHECK(std::memcmp(&alone, &together[i], sizeof alone) == 0);
    }
  }
}

TEST_CASE("logarithms and exponentials of complex numbers") {
  std::mt19937_64 bits(3);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (int i = 0; i < 2000; ++i) {
    const double size = std::exp2(std::floor(800.0 * uniform(bits)));
    const Complex z{size * uniform(bits), size * uniform(bits)};
    const Number expected = std::log(Number(z.re, z.im));
    CHECK(distance(log(z), expected) < 4e-16 * (1.0 + std::abs(expected)));
    const double small = std::exp2(-40.0 * (1.0 + uniform(bits)));
    const Complex w{small * uniform(bits), small * uniform(bits)};
    const long double re = w.re, im = w.im;
    const Number exact(static_cast<double>(0.5L * std::log1p(2.0L * re + re * re + im * im)),
                       static_cast<double>(std::atan2(im, 1.0L + re)));
    CHECK(distance(log_one_plus(w, 1.0 + w), exact) < 4e-16 * std::abs(exact));
    const Complex u{5.0 * uniform(bits), 3.0 * uniform(bits)};
    const Number power = std::exp(Number(u.re, u.im));
    CHECK(distance(exp(u), power) < 4e-15 * std::abs(power));
  }
}
