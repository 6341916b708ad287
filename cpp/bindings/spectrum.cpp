#include "meanfree/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "activation.hpp"
#include "bindings.hpp"
#include "meanfree/parallel.hpp"
#include "meanfree/spectral_moments.hpp"

namespace meanfree {

namespace {

// A law is (atoms (2, n), panels (n, 4): from, to, segment, factor, slopes (n, panel_order)).
py::tuple to_tuple(const SlopePanels& law) {
  const std::int64_t n_atoms = static_cast<std::int64_t>(law.atoms.size()),
                     n = static_cast<std::int64_t>(law.panels.size());
  Array atoms = new_array({2, n_atoms}), panels = new_array({n, 4}),
        slopes = new_array({n, panel_order});
  for (std::int64_t i = 0; i < n_atoms; ++i) {
    atoms.mutable_data()[i] = law.atoms[i].t;
    atoms.mutable_data()[n_atoms + i] = law.atoms[i].mass;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const SlopePanel& panel = law.panels[i];
    double* row = panels.mutable_data() + 4 * i;
    row[0] = panel.from, row[1] = panel.to, row[2] = panel.segment, row[3] = panel.factor;
    std::copy(panel.slope.begin(), panel.slope.end(), slopes.mutable_data() + panel_order * i);
  }
  return py::make_tuple(atoms, panels, slopes);
}

SlopePanels to_panels(const py::tuple& law) {
  const Array atoms = law[0].cast<Array>(), panels = law[1].cast<Array>(),
              slopes = law[2].cast<Array>();
  SlopePanels result;
  const std::int64_t n_atoms = atoms.size() / 2, n = panels.size() / 4;
  for (std::int64_t i = 0; i < n_atoms; ++i)
    result.atoms.push_back({atoms.data()[i], atoms.data()[n_atoms + i]});
  for (std::int64_t i = 0; i < n; ++i) {
    SlopePanel panel{};
    const double* row = panels.data() + 4 * i;
    panel.from = row[0], panel.to = row[1], panel.segment = row[2], panel.factor = row[3];
    std::copy(slopes.data() + panel_order * i, slopes.data() + panel_order * (i + 1),
              panel.slope.begin());
    result.panels.push_back(panel);
  }
  return result;
}

SpectralEquation to_equation(const py::tuple& spec) {
  std::vector<SlopeLaw> laws;
  for (const py::handle law : spec[0].cast<py::list>())
    laws.emplace_back(to_panels(law.cast<py::tuple>()));
  const Array uses = spec[1].cast<Array>(), terms = spec[2].cast<Array>(),
              constants = spec[3].cast<Array>();
  if (uses.size() != 2 * static_cast<std::int64_t>(laws.size()) || constants.size() != 3)
    throw std::invalid_argument("equation: two numbers for each law and three constants");
  std::vector<LawUse> law_uses;
  for (std::size_t l = 0; l < laws.size(); ++l)
    law_uses.push_back({uses.data()[2 * l], uses.data()[2 * l + 1]});
  std::vector<LogTerm> log_terms;
  for (std::int64_t j = 0; j < terms.size() / 3; ++j)
    log_terms.push_back({terms.data()[3 * j], terms.data()[3 * j + 1], terms.data()[3 * j + 2]});
  return SpectralEquation(std::move(laws), std::move(law_uses), std::move(log_terms),
                          constants.data()[0], constants.data()[1], constants.data()[2]);
}

std::vector<SpectralAtom> to_atoms(const Array& atoms) {
  const std::int64_t n = atoms.size() / 2;
  std::vector<SpectralAtom> result;
  for (std::int64_t i = 0; i < n; ++i) result.push_back({atoms.data()[i], atoms.data()[n + i]});
  std::sort(result.begin(), result.end(), [](const SpectralAtom& a, const SpectralAtom& b) {
    return a.log_lambda < b.log_lambda;
  });
  return result;
}

Array to_array(const std::vector<double>& values, std::int64_t columns) {
  Array result = new_array({static_cast<std::int64_t>(values.size()) / columns, columns});
  std::copy(values.begin(), values.end(), result.mutable_data());
  return result;
}

// A table is (bulks (n, 10), pieces (n, 7), nodes (n, 2 + 4 n_laws), atoms (n, 2)).
py::tuple to_tuple(const SpectralCurve& curve, const std::vector<SpectralAtom>& atoms,
                   std::size_t n_laws) {
  std::vector<double> bulks, pieces, nodes, points;
  for (const SpectralBulk& bulk : curve.bulks)
    bulks.insert(bulks.end(),
                 {bulk.low, bulk.high, bulk.survival_low, bulk.survival_high, 1.0 * bulk.soft_low,
                  1.0 * bulk.soft_high, 1.0 * bulk.effective_low, 1.0 * bulk.effective_high,
                  1.0 * bulk.first_piece, 1.0 * bulk.n_pieces});
  for (const CurvePiece& piece : curve.pieces) {
    pieces.insert(pieces.end(), {piece.anchor, piece.direction, 1.0 * piece.soft, piece.low,
                                 piece.high, static_cast<double>(piece.nodes.size())});
    for (const CurveNode& node : piece.nodes) {
      nodes.insert(nodes.end(), {node.v, node.survival});
      for (std::size_t l = 0; l < n_laws; ++l)
        nodes.insert(nodes.end(), {node.u[l].re, node.u[l].im, node.du[l].re, node.du[l].im});
    }
  }
  for (const SpectralAtom& atom : atoms) points.insert(points.end(), {atom.log_lambda, atom.mass});
  return py::make_tuple(to_array(bulks, 10), to_array(pieces, 6),
                        to_array(nodes, 2 + 4 * static_cast<std::int64_t>(n_laws)),
                        to_array(points, 2));
}

SpectralCurve to_curve(const py::tuple& table, std::size_t n_laws,
                       std::vector<SpectralAtom>& atoms) {
  SpectralCurve curve;
  const Array bulks = table[0].cast<Array>(), pieces = table[1].cast<Array>(),
              nodes = table[2].cast<Array>(), points = table[3].cast<Array>();
  for (const double* b = bulks.data(); b < bulks.data() + bulks.size(); b += 10)
    curve.bulks.push_back({b[0], b[1], b[2], b[3], b[4] != 0.0, b[5] != 0.0, b[6] != 0.0,
                           b[7] != 0.0, static_cast<int>(b[8]), static_cast<int>(b[9])});
  const double* node = nodes.data();
  for (const double* p = pieces.data(); p < pieces.data() + pieces.size(); p += 6) {
    CurvePiece piece;
    piece.anchor = p[0], piece.direction = p[1], piece.soft = p[2] != 0.0;
    piece.low = p[3], piece.high = p[4];
    for (int k = 0; k < static_cast<int>(p[5]); ++k) {
      CurveNode at;
      at.v = *node++, at.survival = *node++;
      for (std::size_t l = 0; l < n_laws; ++l, node += 4) {
        at.u.push_back({node[0], node[1]});
        at.du.push_back({node[2], node[3]});
      }
      piece.nodes.push_back(std::move(at));
    }
    curve.pieces.push_back(std::move(piece));
  }
  for (const double* a = points.data(); a < points.data() + points.size(); a += 2)
    atoms.push_back({a[0], a[1]});
  return curve;
}

py::dict spectral_branch(const py::tuple& spec, const Array& atom_array,
                         const py::object& progress) {
  const SpectralEquation equation = to_equation(spec);
  const std::vector<SpectralAtom> atoms = to_atoms(atom_array);
  SpectralCurve curve;
  const PythonPoll python{progress};  // how much is left is not known
  auto poll = [&python] { python(0); };
  {
    const py::gil_scoped_release release;
    Pause pause(poll);
    curve = SpectralCurveBuilder(equation, atoms, &pause).build();
  }
  py::dict result;
  const std::int64_t n = static_cast<std::int64_t>(curve.bulks.size());
  Array bulks = new_array({n, 2});
  for (std::int64_t i = 0; i < n; ++i) {
    bulks.mutable_data()[2 * i] = curve.bulks[i].low;
    bulks.mutable_data()[2 * i + 1] = curve.bulks[i].high;
  }
  py::array_t<bool> effective(2);
  effective.mutable_data()[0] = n > 0 && curve.bulks.front().effective_low;
  effective.mutable_data()[1] = n > 0 && curve.bulks.back().effective_high;
  result["bulks"] = bulks;
  result["effective"] = effective;
  result["mass"] = curve.mass;
  result["residual"] = curve.residual;
  result["imaginary_part"] = curve.imaginary;
  result["newton_steps"] = curve.steps;
  result["table"] = to_tuple(curve, atoms, equation.n_laws());
  return result;
}

constexpr std::int64_t spectral_block = 16 * n_lanes;

Array spectral_values(const py::tuple& spec, const py::tuple& table, const Array& log_lambda,
                      int n_threads, const py::object& progress, bool distribution) {
  const SpectralEquation equation = to_equation(spec);
  std::vector<SpectralAtom> atoms;
  const SpectralCurve curve = to_curve(table, equation.n_laws(), atoms);
  const std::int64_t n = log_lambda.size();
  Array result = new_array({4, n});
  double* const out = result.mutable_data();
  const double* const y = log_lambda.data();
  PythonPoll poll{progress};
  const py::gil_scoped_release release;
  for_each_block((n + spectral_block - 1) / spectral_block, n_threads,
                 [&](std::int64_t block, Pause& pause) {
                   Spectrum spectrum(equation, curve, atoms, distribution);
                   SpectralPoint points[n_lanes];
                   const std::int64_t end = std::min(n, (block + 1) * spectral_block);
                   for (std::int64_t i = block * spectral_block; i < end; i += n_lanes) {
                     pause.check();
                     const int size = static_cast<int>(std::min<std::int64_t>(n_lanes, end - i));
                     spectrum.evaluate(y + i, size, points);
                     for (int k = 0; k < size; ++k) {
                       out[i + k] = points[k].log_density;
                       out[n + i + k] = points[k].cdf;
                       out[2 * n + i + k] = points[k].survival;
                       out[3 * n + i + k] = points[k].steps;
                     }
                   }
                 },
                 [&](std::int64_t done) { poll(std::min(done * spectral_block, n)); });
  return result;
}

Array spectral_quantiles(const py::tuple& spec, const py::tuple& table, const Array& p,
                         int n_threads, const py::object& progress) {
  const SpectralEquation equation = to_equation(spec);
  std::vector<SpectralAtom> atoms;
  const SpectralCurve curve = to_curve(table, equation.n_laws(), atoms);
  const std::int64_t n = p.size();
  Array result = new_array({n});
  double* const out = result.mutable_data();
  const double* const level = p.data();
  PythonPoll poll{progress};
  const py::gil_scoped_release release;
  for_each_block((n + n_lanes - 1) / n_lanes, n_threads,
                 [&](std::int64_t block, Pause& pause) {
                   Spectrum spectrum(equation, curve, atoms);
                   pause.check();
                   const std::int64_t first = block * n_lanes;
                   spectrum.quantiles(level + first,
                                      static_cast<int>(std::min<std::int64_t>(n_lanes, n - first)),
                                      out + first);
                 },
                 [&](std::int64_t done) { poll(std::min(done * n_lanes, n)); });
  return result;
}

}  // namespace

void bind_spectrum(py::module_& m) {
  m.def(
      "slope_law",
      [](const py::tuple& phi, double q) {
        const Activation activation = to_activation(phi);
        SlopePanels law;
        {
          const py::gil_scoped_release release;
          law = slope_panels(activation, q);
        }
        return to_tuple(law);
      },
      py::arg("phi"), py::arg("q"));
  m.def(
      "slope_law_moments",
      [](const py::tuple& law, int k_max) {
        const SlopeLaw slope_law(to_panels(law));
        Array moments = new_array({k_max});
        for (int k = 1; k <= k_max; ++k) moments.mutable_data()[k - 1] = slope_law.moment(k);
        return moments;
      },
      py::arg("law"), py::arg("k_max"));
  m.def("spectral_branch", &spectral_branch, py::arg("equation"), py::arg("atoms").noconvert(),
        py::arg("progress"));
  m.def("spectral_values", &spectral_values, py::arg("equation"), py::arg("table"),
        py::arg("log_lambda").noconvert(), py::arg("n_threads"), py::arg("progress"),
        py::arg("distribution") = true);
  m.def("spectral_quantiles", &spectral_quantiles, py::arg("equation"), py::arg("table"),
        py::arg("p").noconvert(), py::arg("n_threads"), py::arg("progress"));
  m.def(
      "spectral_moments",
      [](const py::tuple& equation, int k_max) {
        Array result = new_array({2, k_max});
        spectral_moments(to_equation(equation), k_max, result.mutable_data(),
                         result.mutable_data() + k_max);
        return result;
      },
      py::arg("equation"), py::arg("k_max"));
}

}  // namespace meanfree
