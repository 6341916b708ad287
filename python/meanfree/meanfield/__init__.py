"""Mean-field theory of signal propagation: maps, fixed points, phases, critical lines."""

from __future__ import annotations

from meanfree.meanfield._critical import CriticalLine, critical, critical_line
from meanfree.meanfield._fixed_point import FixedPoint, FixedRoot, fixed_point
from meanfree.meanfield._maps import correlation_map, correlation_slope, covariance_map, length_map
from meanfree.meanfield._phase_diagram import PhaseDiagram, phase_diagram
from meanfree.meanfield._propagate import (
    GradientTrajectory,
    Trajectory,
    propagate,
    propagate_gradient,
)
from meanfree.meanfield._simulate import PropagationSample, simulate_propagation

__all__ = [
    "CriticalLine",
    "FixedPoint",
    "FixedRoot",
    "GradientTrajectory",
    "PhaseDiagram",
    "PropagationSample",
    "Trajectory",
    "correlation_map",
    "correlation_slope",
    "covariance_map",
    "critical",
    "critical_line",
    "fixed_point",
    "length_map",
    "phase_diagram",
    "propagate",
    "propagate_gradient",
    "simulate_propagation",
]
