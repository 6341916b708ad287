"""Learning dynamics of deep linear networks, mode by mode and with whole matrices."""

from __future__ import annotations

from meanfree.linear import spiked
from meanfree.linear._descent import (
    gradient_descent_mode,
    max_learning_rate,
    optimal_learning_rate,
)
from meanfree.linear._initial import initial_weights
from meanfree.linear._student import StudentSample
from meanfree.linear._trajectory import LinearTrajectory
from meanfree.linear._transfer import transfer_benefit, transfer_error
from meanfree.linear.flow import descend, exact_solution, gradient_flow
from meanfree.linear.modes import (
    ModePair,
    detection_front,
    learning_time,
    mode_pair,
    mode_strength,
    transition_time,
)
from meanfree.linear.teacher import OptimalStopping, StudentTeacher

__all__ = [
    "LinearTrajectory",
    "ModePair",
    "OptimalStopping",
    "StudentSample",
    "StudentTeacher",
    "descend",
    "detection_front",
    "exact_solution",
    "gradient_descent_mode",
    "gradient_flow",
    "initial_weights",
    "learning_time",
    "max_learning_rate",
    "mode_pair",
    "mode_strength",
    "optimal_learning_rate",
    "spiked",
    "transfer_benefit",
    "transfer_error",
    "transition_time",
]
