// An activation as it crosses the border: (name, parameter) for a built-in one, (value, derivative,
// second_derivative, kinks) for a user's, the first three being callables on one-dimensional
// float64 arrays.
#pragma once
#include <memory>

#include "bindings.hpp"
#include "meanfree/activation.hpp"
#include "meanfree/expectation.hpp"

namespace meanfree {

/// Borrows the callables of `spec`, which must stay alive as long as the result.
Activation to_activation(const py::tuple& spec);

/// averages(phi) of averages.hpp, here so that it is compiled once and not in every binding.
std::unique_ptr<Expectation> averages_of(const Activation& phi);

}  // namespace meanfree
