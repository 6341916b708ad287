"""Singular values of Jacobians: theory at infinite width, and Monte Carlo.

Each part stands in a module of its own and is exported here.
"""

from __future__ import annotations

from meanfree._spectrum_parts import Atom, SpectrumDiagnostics
from meanfree._spectrum_result import JacobianSpectrum
from meanfree._spectrum_sample import JacobianSample, log_singular_values, simulate_jacobian
from meanfree._spectrum_theory import (
    jacobian_spectrum,
    rectangular_spectrum,
    residual_spectrum,
    universal_spectrum,
)
from meanfree._spectrum_tune import tune_critical

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
