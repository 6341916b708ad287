#include "meanfree/special.hpp"

#include <map>
#include <string>

#include "bindings.hpp"

namespace meanfree {

namespace {

using Kernel = void (*)(const double*, std::int64_t, double*);

template <double (*f)(double)>
void each(const double* x, std::int64_t n, double* y) {
  MEANFREE_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) y[i] = f(x[i]);
}

Kernel special_function(const std::string& name) {
  static const std::map<std::string, Kernel> functions = {
      {"asin", each<special::asin>},
      {"atan", each<special::atan>},
      {"cos", special::cos},
      {"erf", each<special::erf>},
      {"erfc", each<special::erfc>},
      {"exp", each<special::exp>},
      {"expm1", each<special::expm1>},
      {"log", each<special::log>},
      {"log1p", each<special::log1p>},
      {"normal_cdf", each<special::normal_cdf>},
      {"normal_pdf", each<special::normal_pdf>},
      {"sech_squared", each<special::sech_squared>},
      {"sigmoid", each<special::sigmoid>},
      {"sin", special::sin},
      {"softplus", each<special::softplus>},
      {"tanh", each<special::tanh>},
  };
  const auto found = functions.find(name);
  if (found == functions.end()) throw std::invalid_argument("no special function " + name);
  return found->second;
}

}  // namespace

void bind_special(py::module_& m) {
  m.def(
      "special",
      [](const std::string& name, const Array& x) {
        const Kernel f = special_function(name);
        Array y = new_array({x.size()});
        f(x.data(), x.size(), y.mutable_data());
        return y;
      },
      py::arg("name"), py::arg("x").noconvert());
}

}  // namespace meanfree
