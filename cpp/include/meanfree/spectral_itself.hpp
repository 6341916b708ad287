// What a spectrum's solver finds, and the spectrum that needs no solver: that of the law of t
// itself.
#pragma once
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "meanfree/graded.hpp"
#include "meanfree/spectral_equation.hpp"
#include "meanfree/spectral_knots.hpp"
#include "meanfree/spectral_table.hpp"

namespace meanfree {

/// One interval of the bulk: 1 - CDF at its ends, and which pieces of the table serve it.
struct SpectralBulk {
  double low, high;
  double survival_low, survival_high;
  bool soft_low, soft_high, effective_low, effective_high;
  int first_piece, n_pieces;
};

struct SpectralCurve {
  std::vector<SpectralBulk> bulks;  // ascending
  std::vector<CurvePiece> pieces;
  double mass = 0.0, residual = 0.0, imaginary = 0.0, steps = 0.0;
};

[[noreturn]] inline void fail_spectrum(const char* what, double value) {
  char text[160];
  std::snprintf(text, sizeof text, "the spectrum was not found: %s %.17g", what, value);
  throw NotConverged(text);
}

namespace detail {

/// An atom within an interval cuts it in two.
template <class Survival>
void split_at_atoms(SpectralCurve& curve, const std::vector<SpectralAtom>& atoms,
                    Survival survival) {
  for (const SpectralAtom& atom : atoms) {
    for (std::size_t k = 0; k < curve.bulks.size(); ++k) {
      const double y = atom.log_lambda, tiny = 1e-9 * (1.0 + std::fabs(y));
      if (!(curve.bulks[k].low < y - tiny && curve.bulks[k].high > y + tiny)) continue;
      double density = 0.0;
      const double step = 1e-12 * (1.0 + std::fabs(y)), above = survival(y + step, density);
      SpectralBulk low = curve.bulks[k];
      SpectralBulk& high = curve.bulks[k];
      low.high = high.low = y;
      high.survival_low = above + step * density;
      low.survival_high = high.survival_low + atom.mass;
      low.soft_high = low.effective_high = high.soft_low = high.effective_low = false;
      curve.bulks.insert(curve.bulks.begin() + static_cast<std::ptrdiff_t>(k), low);
      break;
    }
  }
}

}  // namespace detail

/// log lambda = C + log t: no equation to solve.
inline SpectralCurve law_itself(const SpectralEquation& equation,
                                const std::vector<SpectralAtom>& atoms) {
  const double infinity = std::numeric_limits<double>::infinity();
  SpectralCurve curve;
  double above = 1.0;
  for (const SpectralAtom& atom : atoms) above -= atom.mass;
  const std::vector<SlopeLaw::Range> ranges = equation.law(0).ranges();
  for (const SlopeLaw::Range& range : ranges) {
    SpectralBulk bulk{};
    bulk.low = range.low < 1e-100 ? -infinity : equation.constant() + std::log(range.low);
    bulk.high = equation.constant() + std::log(range.high);
    bulk.effective_low = range.low_is_tail, bulk.effective_high = range.high_is_tail;
    bulk.survival_low = above;
    for (const SpectralAtom& atom : atoms)
      if (atom.log_lambda > bulk.low) bulk.survival_low += atom.mass;
    above -= range.mass;
    bulk.survival_high = above;
    for (const SpectralAtom& atom : atoms)
      if (atom.log_lambda >= bulk.high) bulk.survival_high += atom.mass;
    curve.bulks.push_back(bulk);
    curve.mass += range.mass;
  }
  if (!(std::fabs(above) < 1e-8))
    fail_spectrum("the mass of bulk and atoms is not 1 but", 1.0 - above);
  detail::split_at_atoms(curve, atoms, [&](double y, double& density) {
    const Complex x{std::exp(y - equation.constant()), 0.0};
    const Complex at{x.re, 1e-140 * x.re};
    double angle;
    RootCache cache;
    equation.law(0).log_integral<1>({{at.re}, {at.im}}, &angle, &cache);
    density = 0.0;
    return angle / pi;
  });
  return curve;
}

}  // namespace meanfree
