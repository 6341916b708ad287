"""Figure of chapter 21 on chains of single units, whose plateau is a saddle of order L."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meanfree.hessian import MLP
from meanfree.optim import gradient_descent, newton, saddle_free_newton
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings
from meanfree.report.region_figures import canvases
from meanfree.report.saddle_learners import DATA, WeightsOnly, crossing, principal_components
from meanfree.report.style import BLUE, GREEN, ORANGE, PURPLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_DEPTHS = (2, 3, 4, 6)
_COLORS = (BLUE, GREEN, ORANGE, PURPLE)
_TARGET = 0.6


def _chain(depth: int, w: float) -> WeightsOnly:
    """Return a linear chain that reads the first component and writes it: s = 1."""
    x = principal_components(1)
    x = x / np.sqrt(np.mean(x**2))
    return WeightsOnly(MLP([[[w]]] * depth, None, "linear"), x, x)


def newton_map(w: Array, depth: int, *, free: bool) -> Array:
    """Return the step on the diagonal of ``(1 - w^L)**2 / 2``, with the sign of F'' or without."""
    slope = -depth * w ** (depth - 1) * (1.0 - w**depth)
    bend = depth**2 * w ** (2 * depth - 2) - depth * (depth - 1) * w ** (depth - 2) * (1 - w**depth)
    return np.asarray(w - slope / (np.abs(bend) if free else bend))


def growth(depth: int, *, free: bool) -> float:
    """Return by what a step of Newton's, or of saddle-free Newton's, multiplies small weights."""
    return 1.0 + (1.0 if free else -1.0) / (depth - 1)


def draw_chains(settings: Settings, key: str) -> Figure:
    """Draw how fast chains leave their plateau."""
    figure, (left, right) = canvases(9.6, 4.2)
    comparisons: list[Comparison] = []
    starts = np.array([0.4, 0.28, 0.2, 0.14, 0.1])
    for depth, color in zip(_DEPTHS, _COLORS, strict=True):
        comparisons += _growths(depth)
        steps = []
        for w in starts:
            problem = _chain(depth, w)
            path = saddle_free_newton(problem, problem.start, steps=40, dampings=[0.0])
            steps.append(crossing(path.points[:, 0], _TARGET))
        fine = np.geomspace(starts[-1], starts[0], 60)
        factor = growth(depth, free=True)
        left.plot(fine, np.log(_TARGET / fine) / np.log(factor), color=color, linewidth=1.2)
        left.plot(starts, steps, "o", color=color, label=f"$L = {depth}$")
        rate = 0.2
        times = []
        for w in starts:
            along = _descent(depth, w, rate, _TARGET)
            times.append(crossing(along, _TARGET))
        right.plot(fine, _flow(fine, depth) / rate, color=color, linewidth=1.2)
        right.plot(starts, times, "o", color=color, label=f"$L = {depth}$")
        comparisons += _paths(depth, rate)
    left.set(xscale="log", xlabel="weights at the start", ylabel="steps of saddle-free Newton")
    right.set(xscale="log", yscale="log", xlabel="weights at the start")
    right.set(ylabel="steps of gradient descent")
    for ax in (left, right):
        ax.set_xticks(starts, [f"{w:g}" for w in starts])
        ax.set_xticks([], minor=True)
        ax.legend()
    return Figure(
        key=key,
        title="Saddles of order L",
        drawing=figure,
        caption=(
            f"Steps until all weights of a linear chain of L single units are {_TARGET:g}, from "
            "equal weights; the chain reads and writes the first principal component of "
            f"{DATA}, in units of its standard deviation. Left, undamped saddle-free Newton; "
            "lines, growth by 1 + 1 / (L-1) in each step, which is the limit of small weights. "
            "Right, gradient descent, η = 0.2; lines, its flow."
        ),
        description="Steps grow with the logarithm for one, like a power for the other.",
        comparisons=comparisons,
        wide=True,
    )


def _flow(w: Array, depth: int) -> Array:
    """Return the time from w to the target under ``dw/dt = w^{L-1} (1 - w^L)``."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = np.log(w)[:, None], np.log(_TARGET)
    at = np.exp(0.5 * (high - low) * nodes + 0.5 * (high + low))
    inside = at / (at ** (depth - 1) * (1.0 - at**depth))
    return np.asarray(0.5 * (high - low[:, 0]) * (inside @ weights))


def _descent(depth: int, w: float, rate: float, end: float) -> Array:
    """Return the weights after each step of the exact map, until they exceed the end."""
    along = [w]
    while along[-1] < end:
        w = along[-1]
        along.append(w + rate * w ** (depth - 1) * (1.0 - w**depth))
    return np.array(along)


def _growths(depth: int) -> list[Comparison]:
    """Compare growth by a step with its limit, at small weights and at half of them."""
    comparisons = []
    undamped = partial(saddle_free_newton, dampings=[0.0])
    for free, run, name in ((True, undamped, "saddle-free"), (False, newton, "Newton")):
        found = []
        for w in (0.2, 0.1):
            problem = _chain(depth, w)
            path = run(problem, problem.start, steps=1)
            found.append(float(path.points[1, 0] / w))
        comparisons.append(
            Comparison(
                f"growth of weights of 0.1 by a step, {name}, L = {depth}",
                growth(depth, free=free),
                found[1],
                0.0,
                abs(found[0] - found[1]) + 1e-12,
                "what halving the weights changes",
            )
        )
    return comparisons


def _paths(depth: int, rate: float) -> list[Comparison]:
    """Compare whole paths, in all L weights, with the maps of one number."""
    w = 0.3
    problem = _chain(depth, w)
    line = [w]
    while line[-1] < _TARGET:
        line.append(float(newton_map(np.array(line[-1]), depth, free=True)))
    free = saddle_free_newton(problem, problem.start, steps=len(line) - 1, dampings=[0.0])
    slow = _descent(depth, w, rate, _TARGET)
    down = gradient_descent(problem, problem.start, steps=slow.size - 1, rate=rate)
    return [
        Comparison(
            f"largest deviation of weights from the map, saddle-free, L = {depth}",
            0.0,
            float(np.max(np.abs(free.points - np.array(line)[:, None]))),
            0.0,
            1e-9,
            "rounding",
        ),
        Comparison(
            f"largest deviation of weights from the map, gradient descent, L = {depth}",
            0.0,
            float(np.max(np.abs(down.points - slow[:, None]))),
            0.0,
            1e-12,
            "rounding",
        ),
    ]
