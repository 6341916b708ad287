"""How random networks bend curves: theory at infinite width, and measurements."""

from __future__ import annotations

from meanfree.manifold._boundary import BoundaryCurvature, boundary_curvature
from meanfree.manifold._curve import curve_length, shallow_length_bound, turning_angle
from meanfree.manifold._level_set import (
    LevelSetCurvature,
    LevelSetHessian,
    level_set_curvature,
    level_set_hessian,
    level_set_hessians,
)
from meanfree.manifold._regions import (
    RegionBorders,
    ReluNetwork,
    linear_regions,
    region_borders,
    sawtooth,
)
from meanfree.manifold._regression import FourierFit, fit_fourier, fourier_regression
from meanfree.manifold._result import CircleSample, CurveSample
from meanfree.manifold._sample import propagate_curve, simulate_circle, simulate_curve
from meanfree.manifold._theory import CircleGeometry, circle_autocorrelation, circle_theory

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
