"""Learning dynamics of deep linear networks, mode by mode."""

from __future__ import annotations

from meanfree.linear import spiked
from meanfree.linear._descent import (
    gradient_descent_mode,
    max_learning_rate,
    optimal_learning_rate,
)
from meanfree.linear._student import StudentSample
from meanfree.linear._transfer import transfer_benefit, transfer_error
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
    "ModePair",
    "OptimalStopping",
    "StudentSample",
    "StudentTeacher",
    "detection_front",
    "gradient_descent_mode",
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
