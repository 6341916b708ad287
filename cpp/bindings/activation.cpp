#include "activation.hpp"

#include "bindings.hpp"

namespace meanfree {

void bind_activation(py::module_& m) {
  m.def(
      "evaluate",
      [](const py::tuple& phi, int order, const Array& x) {
        if (order < 0 || order > 2) throw std::invalid_argument("order must be 0, 1 or 2");
        const Activation activation = to_activation(phi);
        Array y = new_array({x.size()});
        const ArrayFunction& f = order == 0   ? activation.value
                                 : order == 1 ? activation.derivative
                                              : activation.second_derivative;
        f(x.data(), x.size(), y.mutable_data());
        return y;
      },
      py::arg("phi"), py::arg("order"), py::arg("x").noconvert());
}

}  // namespace meanfree
