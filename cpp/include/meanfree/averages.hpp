// Chooses how the Gaussian averages of an activation are computed.
#pragma once
#include <memory>

#include "meanfree/activation.hpp"
#include "meanfree/analytic.hpp"
#include "meanfree/clip.hpp"
#include "meanfree/closed_form.hpp"
#include "meanfree/expectation.hpp"
#include "meanfree/graded.hpp"

namespace meanfree {

/// The averages of phi, which must outlive them. Not shared between threads.
inline std::unique_ptr<Expectation> averages(const Activation& phi) {
  switch (phi.family) {
    case Family::homogeneous:
      return std::make_unique<ClosedForm<HomogeneousForm>>(HomogeneousForm{phi.gain, phi.scale});
    case Family::erf:
      return std::make_unique<ClosedForm<ErfForm>>(ErfForm{phi.gain});
    case Family::sine:
      return std::make_unique<ClosedForm<SineForm>>(SineForm{});
    case Family::gelu:
      return std::make_unique<ClosedForm<GeluForm>>(GeluForm{});
    case Family::clip:
      return std::make_unique<Clip>(phi.low, phi.high);
    case Family::analytic:
      return std::make_unique<Analytic>(phi);
    case Family::graded:
      break;
  }
  return std::make_unique<Graded>(phi);
}

}  // namespace meanfree
