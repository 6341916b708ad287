"""Singular values of Jacobians: theory at infinite width, and Monte Carlo.

Each part stands in a module of its own and is exported here.
"""

from __future__ import annotations

from meanfree._spectrum_result import Atom, JacobianSpectrum, SpectrumDiagnostics
from meanfree._spectrum_theory import (
    jacobian_spectrum,
    rectangular_spectrum,
    residual_spectrum,
    universal_spectrum,
)
from meanfree._spectrum_tune import tune_critical

__all__ = [
    "Atom",
    "JacobianSpectrum",
    "SpectrumDiagnostics",
    "jacobian_spectrum",
    "rectangular_spectrum",
    "residual_spectrum",
    "tune_critical",
    "universal_spectrum",
]
