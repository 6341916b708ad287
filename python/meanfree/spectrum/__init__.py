"""Singular values of Jacobians: theory at infinite width, and Monte Carlo."""

from __future__ import annotations

from meanfree.spectrum._parts import Atom, SpectrumDiagnostics
from meanfree.spectrum._result import JacobianSpectrum
from meanfree.spectrum._sample import JacobianSample, log_singular_values, simulate_jacobian
from meanfree.spectrum._theory import (
    jacobian_spectrum,
    rectangular_spectrum,
    residual_spectrum,
    universal_spectrum,
)
from meanfree.spectrum._tune import tune_critical

__all__ = [
    "Atom",
    "JacobianSample",
    "JacobianSpectrum",
    "SpectrumDiagnostics",
    "jacobian_spectrum",
    "log_singular_values",
    "rectangular_spectrum",
    "residual_spectrum",
    "simulate_jacobian",
    "tune_critical",
    "universal_spectrum",
]
