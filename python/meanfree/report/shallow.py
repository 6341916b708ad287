"""What one hidden layer can do: lengths against their bound, fits of the saw-tooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf
from meanfree.manifold import ReluNetwork, curve_length, sawtooth, shallow_length_bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# --- length ---------------------------------------------------------------------------------------

REACH = 6.0
"""Corners of the polygons follow each unit to the pre-activations -6 ... 6."""

RANGES = {"tanh": 2.0, "erf": 2.0, "hard_tanh": 2.0, "sigmoid": 1.0}
"""R = sup phi - inf phi of monotone activations."""


@dataclass(frozen=True)
class Curve:
    """Inputs for t from 0 to 1; no projection of the tangent changes sign more than s times."""

    name: str
    sign_changes: int
    supremum: float  # of length over bound: how often a unit can go up or down, over s + 1
    points: Callable[[Array], Array]  # (n,) -> (n, 2)


def _arc(turns: float) -> Callable[[Array], Array]:
    def points(t: Array) -> Array:
        theta = 2.0 * np.pi * turns * t
        return np.stack([np.cos(theta), np.sin(theta)], axis=-1)

    return points


SEGMENT = Curve("segment", 0, 1.0, lambda t: np.stack([2.0 * t - 1.0, 0.0 * t], axis=-1))
CIRCLE = Curve("circle", 2, 2.0 / 3.0, _arc(1.0))
SPIRAL = Curve("circle, 5 turns", 10, 10.0 / 11.0, _arc(5.0))


def length_ratio(curve: Curve, name: str, weights: Array, biases: Array) -> Array:
    """Return the length after one layer over its bound, for layers (..., n, 2) and (..., n).

    The length is that of a polygon with corners where the units change most: never too long.
    """
    phi = mf.activation(name)
    width = weights.shape[-2]
    ratios = np.empty(weights.shape[:-2])
    for index in np.ndindex(ratios.shape):
        t = _places(curve, weights[index], biases[index])
        outputs = phi(curve.points(t) @ weights[index].T + biases[index])
        ratios[index] = curve_length(np.asarray(outputs))
    bound = shallow_length_bound(width, curve.sign_changes, RANGES[name])
    return ratios / bound


def _places(curve: Curve, weight: Array, bias: Array) -> Array:
    """Return places along the curve, dense where a pre-activation is small."""
    t = np.linspace(0.0, 1.0, 801)
    h = curve.points(t) @ weight.T + bias
    before, unit = np.nonzero((h[:-1] > 0) != (h[1:] > 0))
    step = h[before + 1, unit] - h[before, unit]
    zero = t[before] - h[before, unit] / step / 800.0
    width = 1.0 / np.maximum(800.0 * np.abs(step), 1e-9)  # of a change of h by 1
    around = zero[:, None] + width[:, None] * np.linspace(-REACH, REACH, 13)
    places: Array = np.unique(np.concatenate([t, np.clip(around, 0.0, 1.0).ravel()]))
    return places


def attack(
    curve: Curve, name: str, random: np.random.Generator, n_layers: int, n_steps: int
) -> float:
    """Return the largest ratio to the bound among random small layers, improved step by step."""
    n = 3
    scale = 10.0 ** random.uniform(-1.0, 4.0, size=(n_layers, 1, 1))
    layers = scale * random.standard_normal((n_layers, n, 3))  # weights and, last, biases
    ratios = length_ratio(curve, name, layers[..., :2], layers[..., 2])
    best, found = layers[np.argmax(ratios)], float(np.max(ratios))
    for _ in range(n_steps):
        trial = best * np.exp(0.3 * random.standard_normal((n, 1)))
        trial = trial + 0.1 * np.abs(trial) * random.standard_normal((n, 3))
        ratio = float(length_ratio(curve, name, trial[:, :2], trial[:, 2]))
        if ratio > found:
            best, found = trial, ratio
    return found


# --- the saw-tooth --------------------------------------------------------------------------------

CONSTANT = np.sqrt(1.0 / 12.0)
"""RMS distance of the saw-tooth from 1/2."""


def least_error(depth: int) -> float:
    """Return a lower bound on the RMS error of 2 * depth units in one layer, by counting.

    A tooth is symmetric: on one without a kink of the fit, the best line is 1/2 with mean square
    1/12. There are 2**(depth - 1) teeth and 2 * depth kinks.
    """
    return float(np.sqrt(max(0.0, 1.0 - 4.0 * depth / 2.0**depth) / 12.0))


def partial_sawtooth(depth: int) -> ReluNetwork:
    """Return one layer of n = 2 * depth units: exact on n - 1/2 pieces, then 1/2.

    Its mean squared error is ``(1 - (n - 1/2) / 2**depth) / 12``.
    """
    n = 2 * depth
    slopes = 2.0**depth * np.where(np.arange(n) % 2, -1.0, 1.0)
    kinks = np.append(np.arange(1, n), n - 0.5) / 2.0**depth
    # all units are active to the left of their kink, so that the right end is flat
    readout = np.append(np.diff(slopes), -slopes[-1])
    return ReluNetwork((-np.ones((n, 1)), readout[None, :]), (kinks, np.array([0.5])))


def rms_error(network: ReluNetwork, depth: int) -> float:
    """Return the RMS distance of a network from the saw-tooth; exact for kinks at half pieces."""
    t = np.arange(2 ** (depth + 1) + 1) / 2.0 ** (depth + 1)
    middle = 0.5 * (t[1:] + t[:-1])
    ends, middles = (
        (network(x[:, None]) - sawtooth(depth)(x[:, None]))[:, 0] ** 2 for x in (t, middle)
    )
    return float(np.sqrt(np.mean((ends[1:] + ends[:-1] + 4.0 * middles) / 6.0)))  # Simpson


def fitted_sawtooth(depth: int, random: np.random.Generator, n_starts: int) -> tuple[float, Array]:
    """Fit 2 * depth kinks at free places by descent from `n_starts` places.

    Returns
    -------
    error : float
        The smallest RMS error found.
    values : (n,) array
        The fit at equally spaced points from 0 to 1.
    """
    from scipy.optimize import minimize

    n, pieces = 2 * depth, 2**depth
    x = (np.arange(24 * pieces) + 0.5) / (24 * pieces)
    target = sawtooth(depth)(x[:, None])[:, 0]

    def columns(places: Array, kinks: Array) -> Array:
        ramps = [np.maximum(places - kink, 0.0) for kink in kinks]
        return np.stack([np.ones_like(places), places, *ramps], axis=1)

    def fit(kinks: Array, places: Array) -> Array:
        readout = np.linalg.lstsq(columns(x, kinks), target, rcond=None)[0]
        values: Array = columns(places, kinks) @ readout
        return values

    best, found = np.inf, np.zeros(n)
    for start in range(n_starts):
        kinks = np.append(np.arange(1, n), n - 0.5) / pieces
        kinks = np.sort(random.uniform(size=n)) if start else kinks
        result = minimize(lambda k: np.mean((fit(k, x) - target) ** 2), kinks, method="L-BFGS-B")
        if result.fun < best:
            best, found = float(result.fun), result.x
    return float(np.sqrt(best)), fit(found, np.linspace(0.0, 1.0, 24 * pieces + 1))
