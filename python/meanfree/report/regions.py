"""Linear regions of random networks along a circle: infinite width, and counts in finite ones.

A pre-activation of an infinitely wide network, seen along a circle of inputs, is a stationary
Gaussian process of variance q^l and slope variance g^l. By Rice's formula it crosses the level u

    2 sqrt(g^l / q^l) exp(-u^2 / 2 q^l)

times on one turn, u = 0 for relu, +-1 for hard_tanh: each crossing is the border of two regions.
For relu without biases g = q in every layer, whatever sigma_w: two borders for each unit, N L
units, 2 N L regions. For hard_tanh g grows with the rate chi_1.

hard_tanh(h) = relu(h + 1) - relu(h - 1) - 1 makes a network of hard_tanh one of relu with twice as
many units, so that its regions can be counted too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf
from meanfree.manifold import region_borders

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.report.engine import Settings

    Array = NDArray[np.float64]

N_CORNERS = 512
"""Of the polygon that stands for the circle: its radius varies by 2e-5."""

_LEVELS = {"relu": (0.0,), "hard_tanh": (-1.0, 1.0)}


def borders_of_theory(ensemble: Ensemble, depth: int, *, q: float) -> Array:
    """Return the borders along the circle for each unit of layers 1 .. depth, (depth,).

    Parameters
    ----------
    ensemble : Ensemble
        relu or hard_tanh.
    depth : int
    q : float
        Variance of h^1, of which sigma_b**2 comes from the biases.
    """
    circle = mf.circle_theory(ensemble, depth, q=q, start="input")
    levels = np.asarray(_LEVELS[ensemble.activation.name])
    shares = np.exp(-(levels**2) / (2.0 * circle.q[:, None])).sum(axis=1)
    borders: Array = 2.0 * np.sqrt(circle.metric / circle.q) * shares
    return borders


def count_borders(
    settings: Settings,
    label: str,
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    q: float,
    n_samples: int,
) -> Array:
    """Count the borders of each layer in random networks, divided by the width.

    Returns
    -------
    (n_samples, depth) array
    """
    counts = np.empty((n_samples, depth))
    theta = 2.0 * np.pi * np.arange(N_CORNERS) / N_CORNERS
    circle = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    random = np.random.default_rng([settings.seed_for(f"{label} {width}")])
    for count in counts:
        weights, biases = _relu_network(random, ensemble, width, depth, q)
        borders = region_borders(
            weights, biases, circle, closed=True, n_threads=settings.n_threads, progress=False
        )
        count[:] = np.bincount(borders.layer, minlength=depth + 1)[1:] / width
    return counts


def _relu_network(
    random: np.random.Generator, ensemble: Ensemble, width: int, depth: int, q: float
) -> tuple[list[Array], list[Array]]:
    """Draw a network whose inputs are the unit circle in the plane; as one of relu."""
    sigma_w, sigma_b = ensemble.sigma_w, ensemble.sigma_b
    scales = [np.sqrt(q - sigma_b**2), *([sigma_w / np.sqrt(width)] * (depth - 1))]
    weights = [
        scale * random.standard_normal((width, width if layer else 2))
        for layer, scale in enumerate(scales)
    ]
    biases = [sigma_b * random.standard_normal(width) for _ in range(depth)]
    if ensemble.activation.name == "hard_tanh":
        for layer in range(depth):
            if layer:  # before they are doubled
                biases[layer] = biases[layer] - weights[layer].sum(axis=1)
                weights[layer] = np.concatenate([weights[layer], -weights[layer]], axis=1)
        weights = [np.concatenate([weight, weight]) for weight in weights]
        biases = [np.concatenate([bias + 1.0, bias - 1.0]) for bias in biases]
    n_units = weights[-1].shape[0]
    return [*weights, np.ones((1, n_units))], [*biases, np.zeros(1)]
