// An activation as it crosses the border: (name, parameter) for a built-in one, (value, derivative,
// second_derivative, kinks) for a user's, the first three being callables on one-dimensional
// float64 arrays.
#pragma once
#include "bindings.hpp"
#include "meanfree/activation.hpp"

namespace meanfree {

/// Borrows the callables of `spec`, which must stay alive as long as the result.
Activation to_activation(const py::tuple& spec);

}  // namespace meanfree
