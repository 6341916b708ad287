#include "meanfree/averages.hpp"

#include <algorithm>

#include "activation.hpp"
#include "bindings.hpp"
#include "meanfree/parallel.hpp"

namespace meanfree {

namespace {

/// work(averages, first, size) over [0, n) in blocks that suit the activation, in parallel, the GIL
/// released.
template <class Work>
void for_each_point(const Activation& phi, std::int64_t n, int n_threads,
                    const py::object& progress, Work work) {
  const std::int64_t lanes = averages(phi)->lanes(), block = lanes > 1 ? 4 * lanes : 8;
  PythonPoll poll{progress};
  const py::gil_scoped_release release;
  for_each_block((n + block - 1) / block, n_threads,
                 [&](std::int64_t b, Pause& pause) {
                   const auto average = averages(phi);
                   const std::int64_t end = std::min(n, (b + 1) * block);
                   for (std::int64_t first = b * block; first < end; first += lanes) {
                     pause.check();
                     work(*average, first, std::min(lanes, end - first));
                   }
                 },
                 [&](std::int64_t done) { poll(std::min(done * block, n)); });
}

Array gaussian_moments(const py::tuple& spec, const Array& q, int n_threads,
                       const py::object& progress) {
  const Activation phi = to_activation(spec);
  const std::int64_t n = q.size();
  Array result = new_array({7, n});
  double* out = result.mutable_data();
  const double* at = q.data();
  for_each_point(phi, n, n_threads, progress,
                 [=](Expectation& average, std::int64_t i, std::int64_t size) {
                   Moments m;
                   m.mean = out + i;
                   m.mean_slope = out + n + i;
                   m.second = out + 2 * n + i;
                   m.slope_squared = out + 3 * n + i;
                   m.curvature_squared = out + 4 * n + i;
                   m.length_slope = out + 5 * n + i;
                   m.error = out + 6 * n + i;
                   average.moments(at + i, size, m);
                 });
  return result;
}

Array covariance(const py::tuple& spec, const Array& q_aa, const Array& q_bb, const Array& c,
                 int n_threads, const py::object& progress) {
  const Activation phi = to_activation(spec);
  const std::int64_t n = q_aa.size();
  if (q_bb.size() != n || c.size() != n)
    throw std::invalid_argument("q_aa, q_bb and c must have the same length");
  Array result = new_array({2, n});
  double* out = result.mutable_data();
  const double *a = q_aa.data(), *b = q_bb.data(), *r = c.data();
  for_each_point(phi, n, n_threads, progress,
                 [=](Expectation& average, std::int64_t i, std::int64_t size) {
                   average.covariance(a + i, b + i, r + i, size, out + i, out + n + i);
                 });
  return result;
}

Array correlation(const py::tuple& spec, const Array& q, const Array& delta, int n_threads,
                  const py::object& progress) {
  const Activation phi = to_activation(spec);
  const std::int64_t n = q.size();
  if (delta.size() != n) throw std::invalid_argument("q and delta must have the same length");
  Array result = new_array({3, n});
  double* out = result.mutable_data();
  const double *at = q.data(), *d = delta.data();
  for_each_point(phi, n, n_threads, progress,
                 [=](Expectation& average, std::int64_t i, std::int64_t size) {
                   average.pair(at + i, d + i, size, {out + i, out + n + i, out + 2 * n + i});
                 });
  return result;
}

}  // namespace

std::unique_ptr<Expectation> averages_of(const Activation& phi) { return averages(phi); }

void bind_averages(py::module_& m) {
  py::register_local_exception<NotConverged>(m, "ConvergenceError", PyExc_RuntimeError);
  m.def("gaussian_moments", &gaussian_moments, py::arg("phi"), py::arg("q").noconvert(),
        py::arg("n_threads"), py::arg("progress"));
  m.def("covariance", &covariance, py::arg("phi"), py::arg("q_aa").noconvert(),
        py::arg("q_bb").noconvert(), py::arg("c").noconvert(), py::arg("n_threads"),
        py::arg("progress"));
  m.def("correlation", &correlation, py::arg("phi"), py::arg("q").noconvert(),
        py::arg("delta").noconvert(), py::arg("n_threads"), py::arg("progress"));
}

}  // namespace meanfree
