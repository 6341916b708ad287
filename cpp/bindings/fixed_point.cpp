#include "meanfree/fixed_point.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "activation.hpp"
#include "bindings.hpp"
#include "meanfree/critical_line.hpp"
#include "meanfree/interpolated.hpp"
#include "meanfree/parallel.hpp"

namespace meanfree {

namespace {

/// For pairs of sigma_w and sigma_b, or with `grid` for each of the first with each of the second:
/// then the results have two dimensions. With `interpolate` the averages of an analytic activation
/// are interpolated in q, shared by all. Each result depends on its own sigma_w and sigma_b only.
py::dict fixed_points(const py::tuple& spec, const Array& sigma_w, const Array& sigma_b,
                      double keep, int n_threads, const py::object& progress, bool correlations,
                      bool interpolate, bool grid) {
  const Activation phi = to_activation(spec);
  const std::int64_t n_columns = sigma_b.size(), n = sigma_w.size() * (grid ? n_columns : 1);
  if (!grid && n_columns != n)
    throw std::invalid_argument("sigma_w and sigma_b must have the same length");
  using Shape = std::vector<py::ssize_t>;
  const Shape shape = grid ? Shape{sigma_w.size(), n_columns} : Shape{n};
  py::dict result;
  // one array: a single large block is not handed back to the system after every call
  Array rows = new_array({FixedPoints::n_rows * n});
  int row = 0;
  for (const char* name : {"q", "c", "delta", "chi_1", "chi_2", "chi_c", "length_slope", "xi_q",
                           "xi_c", "xi_gradient", "q_error"})
    result[name] = Array(shape, rows.mutable_data() + n * row++, rows);
  const auto codes = [&](const char* name) {
    py::array_t<std::int8_t> values(shape);
    result[name] = values;
    return values.mutable_data();
  };
  const FixedPoints out = FixedPoints::in(rows.mutable_data(), n, codes("phase"), codes("status"));
  const double *w = sigma_w.data(), *b = sigma_b.data();
  PythonPoll poll{progress};
  const py::gil_scoped_release release;
  const auto average_of_table = averages_of(phi);
  const LengthTable table(phi, *average_of_table);
  std::unique_ptr<Interpolation> shared;
  if (interpolate && phi.family == Family::analytic)
    shared = std::make_unique<Interpolation>(phi, LengthTable::per_decade, -table.one(),
                                             table.size() - 1, averages_of(phi));
  const std::int64_t lanes = shared ? Interpolated::n_lanes : average_of_table->lanes();
  const std::int64_t block = lanes > 1 ? 16 * lanes : 64;
  for_each_block((n + block - 1) / block, n_threads,
                 [&](std::int64_t k, Pause& pause) {
                   auto average = averages_of(phi);
                   if (shared)
                     average = std::make_unique<Interpolated>(*shared, std::move(average));
                   FixedPointSolver solver(phi, table, *average, correlations);
                   std::vector<Scale> scale(lanes);
                   const std::int64_t end = std::min(n, (k + 1) * block);
                   std::int64_t i_w = grid ? k * block / n_columns : k * block;
                   std::int64_t i_b = grid ? k * block % n_columns : k * block;
                   for (std::int64_t i = k * block; i < end; i += lanes) {
                     pause.check();
                     const std::int64_t size = std::min(lanes, end - i);
                     for (std::int64_t j = 0; j < size; ++j) {
                       scale[j] = {w[i_w] * w[i_w], b[i_b] * b[i_b], keep};
                       const bool wraps = ++i_b == n_columns && grid;
                       i_w += wraps || !grid ? 1 : 0;
                       i_b = wraps ? 0 : i_b;
                     }
                     solver.solve(scale.data(), size, out.from(i));
                   }
                 },
                 [&](std::int64_t done) { poll(std::min(done * block, n)); });
  return result;
}

/// (2, k): every isolated fixed point q of the length map, ascending, and V'(q).
Array length_roots(const py::tuple& spec, double sigma_w, double sigma_b, double keep) {
  const Activation phi = to_activation(spec);
  const Scale scale{sigma_w * sigma_w, sigma_b * sigma_b, keep};
  std::vector<double> q, slope;
  {
    const py::gil_scoped_release release;
    const auto average = averages_of(phi);
    const LengthTable table(phi, *average);
    const double slope_at_zero = scale.gain() * table.slope_at_zero();
    if (phi.family == Family::homogeneous) {
      if (std::fabs(slope_at_zero - 1.0) > critical_tolerance &&
          (slope_at_zero < 1.0 || scale.bias == 0.0)) {
        q.push_back(std::fabs(scale.bias / (1.0 - slope_at_zero)));
        slope.push_back(slope_at_zero);
      }
    } else {
      if (scale.gain() * table.second_at_zero() + scale.bias == 0.0) {
        q.push_back(0.0);
        slope.push_back(slope_at_zero);
      }
      LengthRoots roots(table, *average, phi.concave_length);
      const std::vector<Bracket> brackets = roots.all(scale);
      const std::vector<Scale> scales(brackets.size(), scale);
      std::vector<double> at(brackets.size()), slope_at(brackets.size());
      roots.polish(scales.data(), brackets.data(), static_cast<std::int64_t>(brackets.size()),
                   at.data(), slope_at.data());
      q.insert(q.end(), at.begin(), at.end());
      slope.insert(slope.end(), slope_at.begin(), slope_at.end());
    }
  }
  const std::int64_t n = static_cast<std::int64_t>(q.size());
  Array result = new_array({2, n});
  std::copy(q.begin(), q.end(), result.mutable_data());
  std::copy(slope.begin(), slope.end(), result.mutable_data() + n);
  return result;
}

py::dict critical_points(const py::tuple& spec, const Array& sigma_b) {
  const Activation phi = to_activation(spec);
  const std::int64_t n = sigma_b.size();
  Array sigma_w = new_array({n}), q = new_array({n}), length_slope = new_array({n});
  py::array_t<bool> stable(n);
  double *w = sigma_w.mutable_data(), *at = q.mutable_data(), *slope = length_slope.mutable_data();
  bool* const is_stable = stable.mutable_data();
  const double* b = sigma_b.data();
  const py::none no_progress;
  PythonPoll poll{no_progress};
  {
    const py::gil_scoped_release release;
    const auto average = averages_of(phi);
    CriticalLine line(phi, *average);
    for_each_block(
        n, 1,
        [&](std::int64_t i, Pause&) {
          const CriticalPoint point = line.at(b[i]);
          w[i] = point.sigma_w;
          at[i] = point.q;
          slope[i] = point.length_slope;
          is_stable[i] = point.stable;
        },
        poll);
  }
  py::dict result;
  result["sigma_w"] = sigma_w;
  result["q"] = q;
  result["length_slope"] = length_slope;
  result["stable"] = stable;
  return result;
}

}  // namespace

void bind_fixed_point(py::module_& m) {
  m.def("fixed_points", &fixed_points, py::arg("phi"), py::arg("sigma_w").noconvert(),
        py::arg("sigma_b").noconvert(), py::arg("keep"), py::arg("n_threads"), py::arg("progress"),
        py::arg("correlations") = true, py::arg("interpolate") = false, py::arg("grid") = false);
  m.def("length_roots", &length_roots, py::arg("phi"), py::arg("sigma_w"), py::arg("sigma_b"),
        py::arg("keep"));
  m.def("critical_points", &critical_points, py::arg("phi"), py::arg("sigma_b").noconvert());
}

}  // namespace meanfree
