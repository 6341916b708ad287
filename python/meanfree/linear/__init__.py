"""Learning dynamics of deep linear networks, mode by mode."""

from __future__ import annotations

from meanfree.linear import spiked
from meanfree.linear._descent import (
    gradient_descent_mode,
    max_learning_rate,
    optimal_learning_rate,
)
from meanfree.linear.modes import (
    ModePair,
    detection_front,
    learning_time,
    mode_pair,
    mode_strength,
    transition_time,
)

__all__ = [
    "ModePair",
    "detection_front",
    "gradient_descent_mode",
    "learning_time",
    "max_learning_rate",
    "mode_pair",
    "mode_strength",
    "optimal_learning_rate",
    "spiked",
    "transition_time",
]
