"""Steps of gradient descent to a criterion against depth, each at the best of several rates.

The rule: rates c / L on a grid of c spaced by sqrt(2); the steps of a network are those of the
rate that gets there first. A best rate at the end of the grid is a failure of the grid, not a
result, and a network that does not get there within the steps allowed is censored: it counts as
"more than".
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfree.linear import descend, gradient_descent_mode, initial_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Weights = Literal["aligned", "orthogonal", "gaussian"]


@dataclass(frozen=True)
class Start:
    """How networks start: a name, the kind of weights, and the product of their scales."""

    name: str
    weights: Weights
    strength: float = 1.0


@dataclass(frozen=True, eq=False)
class Rule:
    """When a network has learned, and which rates are tried.

    Parameters
    ----------
    criterion : float
        Excess of the loss over the optimum, over that of a network whose output is 0.
    grid : array
        c, the rate times the depth, rising.
    """

    criterion: float
    grid: Array


RULE = Rule(0.01, np.sqrt(2.0) ** np.arange(-2, 5))
RULE_FOR_GAUSSIAN = Rule(0.01, np.sqrt(2.0) ** np.arange(-7, 4))
"""For targets in units in which the largest singular value is 1."""

SMALL = Rule(0.05, np.sqrt(2.0) ** np.arange(0, 11))
SMALL_FOR_GAUSSIAN = Rule(0.05, np.sqrt(2.0) ** np.arange(-4, 5))
"""For one-hot targets as they are, whose singular values are about 1/4."""

STAYS = 3
"""Consecutive losses that must meet it."""

_N_RESAMPLED = 400
_ROUNDING = 1e-12
_ALIGNED_STEPS = 40


def first_met(excess: Array, criterion: float) -> int | None:
    """Return the first step from which `STAYS` losses in a row meet the criterion, or None."""
    met = excess <= criterion
    run = np.ones(met.size - STAYS + 1, dtype=bool)
    for i in range(STAYS):
        run &= met[i : i + run.size]
    return int(np.argmax(run)) if run.any() else None


@dataclass(frozen=True, eq=False)
class Scan:
    """Networks of one kind and depth.

    Parameters
    ----------
    start : Start
    depth : int
        Number of weight matrices.
    allowed : int
        Steps after which a network is given up.
    steps : (n_networks,) array
        Steps of the best rate; nan for those given up.
    best : (n_networks,) array of int
        Its index in the grid; -1 for those given up, -2 where every rate
        diverged.
    excess : (steps + 1,) array
        Loss of the first network with its best rate (the lowest loss in the end if given up).
    """

    start: Start
    depth: int
    allowed: int
    steps: Array
    best: NDArray[np.int64]
    excess: Array
    rule: Rule

    @property
    def n_censored(self) -> int:
        """Networks that were given up."""
        return int(np.sum(self.best == -1))

    @property
    def n_at_edge(self) -> int:
        """Networks whose best rate is the first or last of the grid, or beyond it."""
        return int(
            np.sum((self.best == -2) | (self.best == 0) | (self.best == self.rule.grid.size - 1))
        )

    @property
    def c(self) -> Array:
        """Best rate times depth; nan where there is none or it is at the edge."""
        inner = (self.best > 0) & (self.best < self.rule.grid.size - 1)
        return np.where(inner, self.rule.grid[np.clip(self.best, 0, None)], np.nan)


def scan(
    start: Start,
    depth: int,
    sigma_yx: Array,
    *,
    n_networks: int,
    allowed: int,
    seed: int,
    n_threads: int | None,
    rule: Rule = RULE,
) -> Scan:
    """Train `n_networks` networks of `depth` layers with all rates until one meets the criterion.

    Hidden layers are as wide as the input. Runs that diverge are taken out.
    """
    n_out, width = sigma_yx.shape
    grid = rule.grid
    sizes = [width] * depth + [n_out]
    scale_of_layer = start.strength ** (1.0 / depth)
    first = initial_weights(
        sizes,
        start.weights,
        scale=scale_of_layer,
        sigma_yx=sigma_yx,
        seed=seed,
        n_runs=n_networks,
    )
    network = np.repeat(np.arange(n_networks), grid.size)
    rate = np.tile(np.arange(grid.size), n_networks)
    weights = [w[network] for w in first]
    scale = 0.5 * float(np.sum(sigma_yx**2))
    curves: dict[tuple[int, int], list[Array]] = {
        (i, k): [] for i in range(n_networks) for k in range(grid.size)
    }
    steps, best = np.full(n_networks, np.nan), np.full(n_networks, -1)
    done = 0
    while done < allowed and network.size:
        chunk = min(max(6, done // 4), allowed - done)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # rates beyond the bound are tried too
            found = descend(
                weights,
                sigma_yx,
                np.eye(sigma_yx.shape[1]),  # given, so that aligned weights too are trained whole
                eta=grid[rate] / depth,
                steps=chunk,
                n_threads=n_threads,
                progress=False,
            )
        for run, (i, k) in enumerate(zip(network.tolist(), rate.tolist(), strict=True)):
            curves[i, k].append(found.loss[run, min(done, 1) :] / scale)
        done += chunk
        for i in np.unique(network).tolist():
            met = [
                first_met(np.concatenate(curves[i, k]), rule.criterion) for k in range(grid.size)
            ]
            hits = [(n, k) for k, n in enumerate(met) if n is not None]
            if hits:
                steps[i], best[i] = min(hits)
        keep = (best[network] < 0) & (found.loss[:, -1] < 1e6 * scale)
        network, rate = network[keep], rate[keep]
        weights = [w[keep] for w in found.weights]
        best[(best == -1) & ~np.isin(np.arange(n_networks), network)] = -2
    every = [np.concatenate(curves[0, k]) for k in range(grid.size)]
    longest = max(curve.size for curve in every)
    lasts = [curve[-1] if curve.size == longest else np.inf for curve in every]
    excess = every[int(best[0]) if best[0] >= 0 else int(np.argmin(lasts))]
    return Scan(start, depth, allowed, steps, best, excess, rule)


def aligned_excess(s: Array, strength: float, depth: int, n_steps: int) -> Array:
    """Return the loss of each rate of the grid after 0 .. n_steps steps, (rates, n_steps + 1).

    By the map of modes, all of which start at one strength.
    """
    steps, c = np.arange(n_steps + 1)[:, None], RULE.grid[:, None, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        w0 = strength ** (1.0 / depth)
        reached = gradient_descent_mode(steps, s, w0, c / depth, depth=depth)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sum((reached - s) ** 2, axis=2) / np.sum(s**2))


def aligned_theory(s: Array, strength: float, depth: int) -> tuple[int, int]:
    """Return the steps that theory predicts for aligned weights, and the index of the best rate."""
    curves = aligned_excess(s, strength, depth, _ALIGNED_STEPS)
    met = [first_met(curve, RULE.criterion) for curve in curves]
    return min((n, k) for k, n in enumerate(met) if n is not None)


@dataclass(frozen=True)
class Power:
    """Exponent of a power law of depth, its standard error from both sources, and their count."""

    exponent: float
    error: float
    n_points: int


def fit_power(scans: list[Scan], values: list[Array], seed: int) -> Power:
    """Fit ln(value) to ln(depth) over all networks; nan are left out.

    The error is the larger one of the least squares' and of a bootstrap over networks within each
    depth.
    """
    parts = [
        (np.log(item.depth), np.log(v[np.isfinite(v)]))
        for item, v in zip(scans, values, strict=True)
    ]
    parts = [(x, y) for x, y in parts if y.size]

    def slope(chosen: list[Array]) -> tuple[float, float]:
        x = np.concatenate([np.full(y.size, p[0]) for p, y in zip(parts, chosen, strict=True)])
        y = np.concatenate(chosen)
        away = x - x.mean()
        b = float(away @ y / (away @ away))
        rest = y - y.mean() - b * away
        return b, float(np.sqrt(rest @ rest / max(y.size - 2, 1) / (away @ away)))

    b, error = slope([y for _, y in parts])
    random = np.random.default_rng(seed)
    again = [slope([random.choice(y, y.size) for _, y in parts])[0] for _ in range(_N_RESAMPLED)]
    error = max(error, float(np.std(again)))
    return Power(b, error if error > _ROUNDING else 0.0, sum(y.size for _, y in parts))
