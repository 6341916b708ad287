// Where m is infinite at a finite lambda > 0: atoms, and points where the masses of the factors'
// own atoms just add up to one, so that the density is infinite. As m grows the equation tends to
//     log lambda = C + sum_j c_j log rho_j + sum_l n_l log a_l,   sum_j c_j = 0,
// a_l an atom of law l, w_l its mass, and 1 - CDF to
//     sum_l n_l / r_l P_l(t > a_l)   above,
//     sum_j c_j a_j / rho_j + sum_l n_l w_l / r_l   more below, the mass of the atom.
// So the mass of the bulk between two such points is known before it is looked for.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "meanfree/spectral_equation.hpp"

namespace meanfree {

/// An atom of the spectrum; log lambda = -inf at 0.
struct SpectralAtom {
  double log_lambda, mass;
};

/// An end of a part of the spectrum that is looked for on its own, and 1 - CDF next to it there.
struct SpectralWall {
  double log_lambda, survival;
  double reach = 0.0;  // how close a march comes to it, as a part of the way there
};

struct SpectralKnot {
  double log_lambda, above, below;  // 1 - CDF on either side
};

namespace detail {

constexpr double no_mass = 1e-12;  // rounding of masses

/// P(t > a), a one of the law's atoms, from a bit above it.
inline double mass_above(const SlopeLaw& law, double a) {
  constexpr double step = 1e-11;
  const auto beyond = [&](double distance) {
    const double x = law.off_nodes(a * (1.0 + distance));
    double angle;
    RootCache cache;
    law.log_integral<1>({{x}, {1e-140 * x}}, &angle, &cache);
    return angle / pi;
  };
  return std::max(0.0, 2.0 * beyond(step) - beyond(2.0 * step));
}

inline void add_knots(const SpectralEquation& equation, std::size_t l, double mass,
                      const SpectralKnot& so_far, std::vector<SpectralKnot>& knots) {
  if (mass < -no_mass) return;
  if (l == equation.n_laws()) {
    knots.push_back({so_far.log_lambda, so_far.above, so_far.above + std::max(0.0, mass)});
    return;
  }
  const LawUse use = equation.use(l);
  if (use.n == 0.0) return add_knots(equation, l + 1, mass, so_far, knots);
  const double share = use.n / use.r;
  for (const SlopeAtom& atom : equation.law(l).atoms()) {
    const double left = mass - share * (1.0 - atom.mass);
    if (left < -no_mass) continue;
    SpectralKnot knot = so_far;
    knot.log_lambda += use.n * std::log(atom.t);
    knot.above += share * mass_above(equation.law(l), atom.t);
    add_knots(equation, l + 1, left, knot, knots);
  }
}

}  // namespace detail

/// In ascending order, with the masses of `atoms`.
inline std::vector<SpectralKnot> spectral_knots(const SpectralEquation& equation,
                                                const std::vector<SpectralAtom>& atoms) {
  std::vector<SpectralKnot> knots;
  if (equation.linear() != 0.0 || equation.fractional() != 0.0) return knots;
  double power = 0.0, mass = 0.0, place = equation.constant();
  for (const LogTerm& term : equation.terms()) {
    power += term.c;
    mass += term.c * term.a / term.rho;
    place += term.c * std::log(term.rho);
  }
  if (std::fabs(power) > detail::no_mass) return knots;
  for (std::size_t l = 0; l < equation.n_laws(); ++l) mass += equation.use(l).n / equation.use(l).r;
  detail::add_knots(equation, 0, mass, {place, 0.0, 0.0}, knots);
  for (SpectralKnot& knot : knots)
    for (const SpectralAtom& atom : atoms)
      if (std::fabs(atom.log_lambda - knot.log_lambda) < 1e-9 * (1.0 + std::fabs(knot.log_lambda)))
        knot.log_lambda = atom.log_lambda, knot.below = knot.above + atom.mass;
  std::sort(knots.begin(), knots.end(), [](const SpectralKnot& a, const SpectralKnot& b) {
    return a.log_lambda < b.log_lambda;
  });
  return knots;
}

}  // namespace meanfree
