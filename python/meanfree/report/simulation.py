"""Theory and simulation of two inputs side by side, as the chapters use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.report.engine import Settings

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """Length, correlation c and delta = 1 - c, layer by layer, arrays of shape (depth,)."""

    q: Array
    q_error: Array
    c: Array
    c_error: Array
    delta: Array
    delta_error: Array


def simulate_pair(
    settings: Settings,
    label: str,
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    q: float,
    delta: float,
    n_samples: int,
) -> Pair:
    """Simulate `n_samples` networks; `label` names its random numbers."""
    sample = mf.simulate_propagation(
        ensemble,
        width,
        depth,
        q=q,
        c=1.0 - delta,
        n_samples=n_samples,
        seed=settings.seed_for(label),
        n_threads=settings.n_threads,
        progress=False,
    )
    return Pair(
        sample.q,
        sample.q_error,
        np.asarray(sample.c),
        np.asarray(sample.c_error),
        np.asarray(sample.delta),
        np.asarray(sample.delta_error),
    )


def theory_of_pair(
    ensemble: Ensemble, depth: int, *, q: float, delta: float
) -> tuple[Array, Array]:
    """Return q and 1 - c at the layers h^1 .. h^depth of an infinitely wide network."""
    path = mf.propagate(ensemble, depth, q=q, delta=delta)
    return path.q, np.asarray(path.delta)
