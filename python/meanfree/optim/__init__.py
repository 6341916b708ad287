"""Optimisers that know the curvature: Newton, damped Newton, saddle-free Newton, and a rival."""

from __future__ import annotations

from meanfree.optim._methods import damped_newton, gradient_descent, newton, saddle_free_newton
from meanfree.optim._path import Cost, Optimization
from meanfree.optim._steps import krylov_saddle_free_step, saddle_free_step

__all__ = [
    "Cost",
    "Optimization",
    "damped_newton",
    "gradient_descent",
    "krylov_saddle_free_step",
    "newton",
    "saddle_free_newton",
    "saddle_free_step",
]
