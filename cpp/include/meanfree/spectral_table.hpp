// The table of a spectrum's curve: log x_l and its slope at nodes along log lambda.
//
// A soft edge is a real critical point of log lambda(x); there
//     x - x_e ~ i sqrt(|log lambda - log lambda_e|),
// hence the table's variable v = sqrt(|log lambda - anchor|).
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "meanfree/complex.hpp"

namespace meanfree {

/// How far a point is from the real axis, roughly Im x / |x|.
inline double height(Complex x) { return x.im / size(x); }

/// One point of the curve: log x_l and its derivative in v for every law.
struct CurveNode {
  double v = 0.0, survival = 0.0, density = 0.0;  // density: lambda rho
  std::vector<Complex> u, du;
};

/// Nodes along v, log lambda = anchor + direction v^2 (soft) or anchor + direction v, in use for
/// log lambda in [low, high].
struct CurvePiece {
  double anchor = 0.0, direction = -1.0;
  bool soft = true;
  double low = 0.0, high = 0.0;
  std::vector<CurveNode> nodes;

  double variable(double y) const {
    const double d = std::max(0.0, direction * (y - anchor));
    return soft ? std::sqrt(d) : d;
  }
  double log_lambda(double v) const { return anchor + direction * (soft ? v * v : v); }
  double slope(double v) const { return direction * (soft ? 2.0 * v : 1.0); }
};

enum class EdgeKind { soft, hard, effective };

struct CurveEdge {
  EdgeKind kind = EdgeKind::hard;
  double log_lambda = 0.0;
  double curvature = 0.0;         // d^2 log lambda / d(log x_1)^2 at a soft edge
  std::vector<Complex> x, ratio;  // there; d log x_l / d log x_1
};

}  // namespace meanfree
