// The extension module: one build of it for each instruction set.
#include <Eigen/Core>
#include <string>

#include "bindings.hpp"

namespace meanfree {

void bind_activation(py::module_& m);
void bind_averages(py::module_& m);
void bind_boundary(py::module_& m);
void bind_curve(py::module_& m);
void bind_field(py::module_& m);
void bind_fixed_point(py::module_& m);
void bind_hessian(py::module_& m);
void bind_jacobian(py::module_& m);
void bind_linear(py::module_& m);
void bind_propagation(py::module_& m);
void bind_random(py::module_& m);
void bind_special(py::module_& m);
void bind_spectrum(py::module_& m);

namespace {
py::dict build_info() {
  py::dict info;
  info["version"] = MEANFREE_VERSION;
  info["isa"] = MEANFREE_ISA;
#ifdef __clang__
  info["compiler"] = "clang " __clang_version__;
#else
  info["compiler"] = "gcc " __VERSION__;
#endif
  info["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) +
                  "." + std::to_string(EIGEN_MINOR_VERSION);
  return info;
}
}  // namespace

PYBIND11_MODULE(MEANFREE_MODULE, m, py::mod_gil_not_used()) {
  // Eigen blocks its products by the size of the caches: pinned, so that results do not depend on
  // the host's.
  Eigen::setCpuCacheSizes(32 * 1024, 1024 * 1024, 4 * 1024 * 1024);
  m.def("build_info", &build_info);
  bind_activation(m);
  bind_averages(m);
  bind_boundary(m);
  bind_curve(m);
  bind_field(m);
  bind_fixed_point(m);
  bind_hessian(m);
  bind_jacobian(m);
  bind_linear(m);
  bind_propagation(m);
  bind_random(m);
  bind_special(m);
  bind_spectrum(m);
}

}  // namespace meanfree
