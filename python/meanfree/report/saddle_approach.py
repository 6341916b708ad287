"""Figure of chapter 20 that measures the order at which Newton's method approaches saddles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree.optim import newton, saddle_free_newton
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings
from meanfree.report.saddle_learners import (
    DATA,
    OneComponent,
    covariance,
    direction,
    network_on_digits,
)
from meanfree.report.style import BLUE, GREEN, VERMILLION, canvas

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meanfree.report.saddle_learners import WeightsOnly

    Array = NDArray[np.float64]

_NEAR = {2: np.array([1e-2, 1e-3, 1e-4, 1e-5, 1e-6]), 3: np.array([1e-1, 3e-2, 1e-2, 3e-3, 1e-3])}


def draw_approach(settings: Settings, key: str) -> Figure:
    """Draw the distance from a saddle after one step against that before, and its order."""
    figure, ax = canvas(6.4, 4.4)
    comparisons: list[Comparison] = []
    for saddle, color, marker in zip((_third_component(), _origin()), (BLUE, VERMILLION), "os",
                                     strict=True):  # fmt: skip
        e = direction(settings, f"20 order {saddle.order}", saddle.at.size)
        leading = np.linalg.solve(saddle.problem.hessian(saddle.at), saddle.term(e))
        before = _NEAR[saddle.order]
        after = np.stack(
            [newton(saddle.problem, saddle.at + d * e, steps=1).points[1] - saddle.at
             for d in before]
        )  # fmt: skip
        found = np.linalg.norm(after, axis=1)
        fine = np.geomspace(before[0], before[-1], 30)
        theory = np.linalg.norm(leading) * fine**saddle.order
        ax.plot(fine, theory, color=color, linewidth=1.2)
        ax.plot(before, found, marker, color=color, label=f"Newton, {saddle.name}")
        # the next term of the series, from where it is largest
        next_term = np.linalg.norm(after[0] / before[0] ** saddle.order - leading)
        share = 2.0 * float(next_term / np.linalg.norm(leading))
        ratio = before[3] / before[0]
        vector = after[3] / before[3] ** saddle.order
        comparisons += [
            Comparison(
                f"deviation of the point after a step from {before[3]:.0e}, {saddle.name}",
                0.0,
                float(np.linalg.norm(vector - leading) / np.linalg.norm(leading)),
                0.0,
                float(share * ratio ** (saddle.order - 1)),
                _NEXT,
            ),
            Comparison(
                f"order of the approach, {saddle.name}",
                float(saddle.order),
                float(np.log(found[3] / found[0]) / np.log(ratio)),
                0.0,
                float(share / abs(np.log(ratio))),
                _NEXT,
            ),
        ]
    away = _third_component()
    sizes, vectors = np.linalg.eigh(away.problem.hessian(away.at))
    doubled = []
    for d in _NEAR[2]:
        start = away.at + d * vectors[:, 0]
        path = saddle_free_newton(away.problem, start, steps=1, dampings=[0.0])
        doubled.append(np.linalg.norm(path.points[1] - away.at))
    comparisons.append(
        Comparison(
            f"distance after a step of saddle-free Newton from {_NEAR[2][3]:.0e}, over it",
            2.0,
            float(doubled[3] / _NEAR[2][3]),
            0.0,
            float(10.0 * _NEAR[2][3] / abs(sizes[0])),
            "terms of higher order, 10 times the distance over |λ|",
        )
    )
    ax.plot(_NEAR[2], 2.0 * _NEAR[2], color=GREEN, linewidth=1.2)
    ax.plot(_NEAR[2], doubled, "^", color=GREEN, label="saddle-free Newton, third component")
    ax.set(xlabel="distance from the saddle", ylabel="distance after one step")
    ax.set(xscale="log", yscale="log")
    ax.legend(fontsize=8)
    return Figure(
        key=key,
        title="Newton's order of approach",
        drawing=figure,
        caption=(
            "Distance from a saddle after one step against that before. Marks, steps from random "
            "points at each distance (saddle-free: in the direction of the most negative "
            "eigenvalue); lines, the first term of the series, of order 2, 3 and 1. Blue and "
            "green, one linear unit that writes with the weights w by which it reads, loss |S - w "
            f"w^T|^2 / 2, S the covariance of the 64 pixels of {DATA}, at the saddle where w is "
            "the third component. Red, a tanh network with three hidden units (task of figure a) "
            "at its saddle of weights 0: its loss is even, so that the second order is absent."
        ),
        description="Lines of slope 2 and 3 for Newton, of slope 1 for saddle-free Newton.",
        comparisons=comparisons,
    )


_NEXT = "terms of the next order, by their size at the largest distance, twice"


@dataclass(frozen=True)
class _Saddle:
    """A saddle, and what H times the distance after a step of Newton's begins with."""

    name: str
    order: int
    problem: OneComponent | WeightsOnly
    at: Array
    term: Callable[[Array], Array]


def _third_component() -> _Saddle:
    problem = OneComponent(covariance())
    sizes, vectors = np.linalg.eigh(covariance())
    at = np.sqrt(sizes[-3]) * vectors[:, -3]
    return _Saddle("third component", 2, problem, at, lambda e: problem.second_order(at, e))


def _origin() -> _Saddle:
    problem = network_on_digits(3, [], "tanh")
    at, h = problem.start, 1e-3
    middle = problem.hessian(at)

    def term(e: Array) -> Array:
        bent = (problem.hessian(at + h * e) + problem.hessian(at - h * e) - 2.0 * middle) / h**2
        return np.asarray(bent @ e / 3.0)

    return _Saddle("tanh network, weights 0", 3, problem, at, term)
