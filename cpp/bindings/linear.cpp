#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bindings.hpp"
#include "meanfree/linear_descent.hpp"
#include "meanfree/linear_flow.hpp"

namespace meanfree {

namespace {

/// The arguments that descent and flow share, checked, and their results.
struct LinearCall {
  LinearTask task;
  std::int64_t n_runs;
  Array total, balancedness, weights;
  LinearRecords records;

  LinearCall(const std::vector<std::int64_t>& sizes, const Array& start, const Array& sigma_yx,
             const py::object& sigma_xx, std::int64_t n_records) {
    task.sizes = sizes;
    if (sizes.size() < 2 || *std::min_element(sizes.begin(), sizes.end()) < 1) {
      throw std::invalid_argument("sizes must be two or more numbers >= 1");
    }
    if (start.ndim() != 2 || start.shape(1) != task.n_weights() ||
        sigma_yx.size() != task.n_total()) {
      throw std::invalid_argument("weights and sigma_yx must have the sizes of the layers");
    }
    n_runs = start.shape(0);
    task.sigma_yx = sigma_yx.data();
    if (!sigma_xx.is_none()) {
      const Array xx = sigma_xx.cast<Array>();
      if (xx.size() != sizes.front() * sizes.front()) {
        throw std::invalid_argument("sigma_xx must have the size of the input");
      }
      task.sigma_xx = xx.data();
    }
    total = new_array({n_runs, n_records, sizes.back(), sizes.front()});
    const auto depth = static_cast<std::int64_t>(task.depth());
    balancedness = new_array({n_runs, n_records, depth - 1});
    weights = new_array({n_runs, task.n_weights()});
    std::copy_n(start.data(), start.size(), weights.mutable_data());
    records = {n_records, total.mutable_data(), balancedness.mutable_data()};
  }

  py::tuple results() const { return py::make_tuple(total, balancedness, weights); }
};

py::tuple descend_weights(const std::vector<std::int64_t>& sizes, const Array& start,
                          const Array& sigma_yx, const py::object& sigma_xx, const Array& eta,
                          std::int64_t steps, std::int64_t record_every, int n_threads,
                          const py::object& progress) {
  if (steps < 0 || record_every < 1) {
    throw std::invalid_argument("steps must be >= 0 and record_every >= 1");
  }
  const std::int64_t n_records = (steps + record_every - 1) / record_every + 1;
  LinearCall call(sizes, start, sigma_yx, sigma_xx, n_records);
  if (eta.size() != call.n_runs) throw std::invalid_argument("eta must have one value for a run");
  double* weights = call.weights.mutable_data();
  const double* rates = eta.data();
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    descend_linear(call.task, rates, call.n_runs, steps, record_every, n_threads, call.records,
                   weights, poll);
  }
  return call.results();
}

py::tuple flow_weights(const std::vector<std::int64_t>& sizes, const Array& start,
                       const Array& sigma_yx, const py::object& sigma_xx, const Array& times,
                       double tau, double tol, std::int64_t max_steps, int n_threads,
                       const py::object& progress) {
  LinearCall call(sizes, start, sigma_yx, sigma_xx, times.size());
  FlowOptions options;
  options.tau = tau;
  options.tol = tol;
  options.max_steps = max_steps;
  double* weights = call.weights.mutable_data();
  const double* at = times.data();
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    flow_linear(call.task, options, at, call.n_runs, n_threads, call.records, weights, poll);
  }
  return call.results();
}

/// Runs of modes: weights (runs, depth, modes), strength (runs, records, modes).
struct ModeCall {
  ModeTask task;
  std::int64_t n_runs;
  Array strength, balancedness, weights;
  LinearRecords records;

  ModeCall(const Array& start, const Array& s, std::int64_t n_records) {
    if (start.ndim() != 3 || start.shape(1) < 1 || start.shape(2) != s.size()) {
      throw std::invalid_argument("weights must be (runs, depth, modes)");
    }
    n_runs = start.shape(0);
    task.n_layers = start.shape(1);
    task.n_modes = start.shape(2);
    task.s = s.data();
    strength = new_array({n_runs, n_records, task.n_modes});
    balancedness = new_array({n_runs, n_records, task.n_layers - 1});
    weights = new_array({n_runs, task.n_layers, task.n_modes});
    std::copy_n(start.data(), start.size(), weights.mutable_data());
    records = {n_records, strength.mutable_data(), balancedness.mutable_data()};
  }

  py::tuple results() const { return py::make_tuple(strength, balancedness, weights); }
};

py::tuple descend_mode_weights(const Array& start, const Array& s, const Array& eta,
                               std::int64_t steps, std::int64_t record_every, int n_threads,
                               const py::object& progress) {
  if (steps < 0 || record_every < 1) {
    throw std::invalid_argument("steps must be >= 0 and record_every >= 1");
  }
  ModeCall call(start, s, (steps + record_every - 1) / record_every + 1);
  if (eta.size() != call.n_runs) throw std::invalid_argument("eta must have one value for a run");
  double* weights = call.weights.mutable_data();
  const double* rates = eta.data();
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    descend_linear<detail::ModeNetwork>(call.task, rates, call.n_runs, steps, record_every,
                                        n_threads, call.records, weights, poll);
  }
  return call.results();
}

py::tuple flow_mode_weights(const Array& start, const Array& s, const Array& times, double tau,
                            double tol, std::int64_t max_steps, int n_threads,
                            const py::object& progress) {
  ModeCall call(start, s, times.size());
  FlowOptions options;
  options.tau = tau;
  options.tol = tol;
  options.max_steps = max_steps;
  double* weights = call.weights.mutable_data();
  const double* at = times.data();
  const PythonPoll poll{progress};
  {
    const py::gil_scoped_release release;
    flow_linear<detail::ModeNetwork>(call.task, options, at, call.n_runs, n_threads, call.records,
                                     weights, poll);
  }
  return call.results();
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def("descend_linear", &descend_weights, py::arg("sizes"), py::arg("weights").noconvert(),
        py::arg("sigma_yx").noconvert(), py::arg("sigma_xx"), py::arg("eta").noconvert(),
        py::arg("steps"), py::arg("record_every"), py::arg("n_threads"), py::arg("progress"));
  m.def("flow_linear", &flow_weights, py::arg("sizes"), py::arg("weights").noconvert(),
        py::arg("sigma_yx").noconvert(), py::arg("sigma_xx"), py::arg("times").noconvert(),
        py::arg("tau"), py::arg("tol"), py::arg("max_steps"), py::arg("n_threads"),
        py::arg("progress"));
  m.def("descend_modes", &descend_mode_weights, py::arg("weights").noconvert(),
        py::arg("s").noconvert(), py::arg("eta").noconvert(), py::arg("steps"),
        py::arg("record_every"), py::arg("n_threads"), py::arg("progress"));
  m.def("flow_modes", &flow_mode_weights, py::arg("weights").noconvert(), py::arg("s").noconvert(),
        py::arg("times").noconvert(), py::arg("tau"), py::arg("tol"), py::arg("max_steps"),
        py::arg("n_threads"), py::arg("progress"));
}

}  // namespace meanfree
