"""How random networks bend curves: theory at infinite width, and measurements.

Each part stands in a module of its own and is exported here.
"""

from __future__ import annotations

from meanfree._manifold_boundary import BoundaryCurvature, boundary_curvature
from meanfree._manifold_curve import curve_length, shallow_length_bound, turning_angle
from meanfree._manifold_level_set import (
    LevelSetCurvature,
    LevelSetHessian,
    level_set_curvature,
    level_set_hessian,
    level_set_hessians,
)
from meanfree._manifold_regions import (
    RegionBorders,
    ReluNetwork,
    linear_regions,
    region_borders,
    sawtooth,
)
from meanfree._manifold_regression import FourierFit, fit_fourier, fourier_regression
from meanfree._manifold_result import CircleSample, CurveSample
from meanfree._manifold_sample import propagate_curve, simulate_circle, simulate_curve
from meanfree._manifold_theory import CircleGeometry, circle_autocorrelation, circle_theory

__all__ = [
    "BoundaryCurvature",
    "CircleGeometry",
    "CircleSample",
    "CurveSample",
    "FourierFit",
    "LevelSetCurvature",
    "LevelSetHessian",
    "RegionBorders",
    "ReluNetwork",
    "boundary_curvature",
    "circle_autocorrelation",
    "circle_theory",
    "curve_length",
    "fit_fourier",
    "fourier_regression",
    "level_set_curvature",
    "level_set_hessian",
    "level_set_hessians",
    "linear_regions",
    "propagate_curve",
    "region_borders",
    "sawtooth",
    "shallow_length_bound",
    "simulate_circle",
    "simulate_curve",
    "turning_angle",
]
