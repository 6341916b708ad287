"""Random error landscapes: how many critical points, of which index, at which energy."""

from __future__ import annotations

from meanfree._problem import Problem
from meanfree.landscape._critical import CriticalPoints, critical_points
from meanfree.landscape._field import GaussianField
from meanfree.landscape._pspin import PSpin, SpinPoints
from meanfree.landscape._saddle import LinearSaddle, linear_saddle
from meanfree.landscape._sample import FieldSample

__all__ = [
    "CriticalPoints",
    "FieldSample",
    "GaussianField",
    "LinearSaddle",
    "PSpin",
    "Problem",
    "SpinPoints",
    "critical_points",
    "linear_saddle",
]
