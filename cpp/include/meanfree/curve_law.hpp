// The law of random networks that a curve goes through, and the curve.
#pragma once
#include <cstdint>
#include <stdexcept>

#include "meanfree/propagation.hpp"
#include "meanfree/random.hpp"

namespace meanfree {

enum class CurveMethod { automatic, gram, weights };

/// The law of the networks, and the curve.
struct CurveLaw {
  double sigma_w = 1.0, sigma_b = 0.0;
  Weights weights = Weights::gaussian;
  CurveMethod method = CurveMethod::automatic;
  std::int64_t width = 1, depth = 1;
  std::uint64_t seed = 0;
  int parts = 3;  // h alone, h and v, or all three

  const double* start = nullptr;  // rank rows, parts * n_points columns, column by column
  std::int64_t rank = 0;
  std::int64_t frame = 0;  // dimension of the frames; 0: normal entries
  double scale = 1.0, start_bias = 0.0;

  const double* weight = nullptr;  // of each point in the averages and integrals
  std::int64_t n_points = 0;
  bool closed = true;
};

namespace detail {

inline void check(const CurveLaw& law) {
  if (law.width < 1 || law.depth < 1 || law.n_points < 1 || law.rank < 0) {
    throw std::invalid_argument("width, depth and the number of points must be >= 1");
  }
  if (law.parts < 1 || law.parts > 3) throw std::invalid_argument("parts must be 1, 2 or 3");
  if (law.depth > static_cast<std::int64_t>(largest_layer)) {
    throw std::invalid_argument("depth must be < 2^24");
  }
  if (law.frame != 0 && (law.frame < law.rank || law.frame < law.width)) {
    throw std::invalid_argument(
        "a frame must have as many dimensions as columns, and as the width");
  }
}

}  // namespace detail
}  // namespace meanfree
