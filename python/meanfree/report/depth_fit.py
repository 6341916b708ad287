"""Depth scales measured on simulated networks, by a straight line through a logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf
from meanfree.report.finite_width import SAFETY, finite_width
from meanfree.report.simulation import simulate_pair, theory_of_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.report.engine import Settings

    Array = NDArray[np.float64]

_CLEAR = 8.0  # standard deviations of a batch's mean


@dataclass(frozen=True)
class Fit:
    """A depth scale from a straight line through the logarithm of a distance."""

    first: int
    last: int
    theory: float  # the same fit to the theory's trajectory
    estimate: float
    standard_error: float
    bound: float
    n_batches: int


def _slope_weights(n: int) -> Array:
    """Return w such that w @ y is the least-squares slope of y over n layers."""
    centred = np.arange(n) - 0.5 * (n - 1)
    weights: Array = centred / (centred @ centred)
    return weights


def fit_depth_scale(settings: Settings, ensemble: Ensemble, quantity: str) -> Fit:
    """Fit xi of `quantity` "q" or "c" on the layers where the distance is well above the noise.

    The fit starts at h^1 and ends where the distance falls below 8 standard deviations of the mean
    over one batch of networks, at layer 13 at the latest.
    """
    width = settings.size(4000, 1000)
    n_batch, n_batches = settings.size(192, 16), settings.size(16, 6)
    depth = 13
    point = mf.fixed_point(ensemble)
    ordered = point.c == 1.0
    if quantity == "q":
        q, delta, goal = 1.1 * point.q, 1.0, point.q
    else:
        q, goal = point.q, 0.0 if ordered else 1.0 - point.c
        delta = 1e-4 if ordered else 1.0 - (point.c + 0.1 * (1.0 - point.c))
    path_q, path_delta = theory_of_pair(ensemble, depth, q=q, delta=delta)
    finite = finite_width(ensemble, width, depth, q=q, delta=delta)
    distance = (path_q if quantity == "q" else path_delta) - goal
    deviation = finite.q_deviation if quantity == "q" else finite.c_deviation
    bias = finite.q_bias if quantity == "q" else -finite.c_bias
    clear = np.abs(distance) >= _CLEAR * deviation / np.sqrt(n_batch)
    last = max(3, depth if clear.all() else int(np.argmin(clear)))
    weights = _slope_weights(last)

    def scale(values: Array) -> float:
        return float(-1.0 / (weights @ np.log(np.abs(values[:last]))))

    batches = []
    for batch in range(n_batches):
        sample = simulate_pair(
            settings,
            f"xi_{quantity} {ensemble.sigma_w} {batch}",
            ensemble,
            width,
            last,
            q=q,
            delta=delta,
            n_samples=n_batch,
        )
        batches.append(scale((sample.q if quantity == "q" else sample.delta) - goal))
    theory = scale(distance)
    relative = bias[:last] / distance[:last]
    curved = 0.5 * (deviation[:last] / distance[:last]) ** 2 / n_batch
    return Fit(
        1,
        last,
        theory,
        float(np.mean(batches)),
        float(np.std(batches, ddof=1) / np.sqrt(n_batches)),
        theory**2 * SAFETY * float(abs(weights @ (relative - curved))),
        n_batches,
    )
