"""Chapter 20: what Newton's method, its damped forms and gradient descent do next to a saddle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from meanfree.optim import newton
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.region_figures import canvases, slope_of
from meanfree.report.saddle_approach import draw_approach
from meanfree.report.saddle_learners import (
    COMPONENTS,
    DATA,
    Method,
    Quadratic,
    crossing,
    direction,
    heavy_ball,
    network_at_saddle,
    network_on_digits,
    plain,
    saddle_free,
    saddle_of,
    shifted_newton,
    whole_newton,
)
from meanfree.report.style import BLACK, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from meanfree.optim import Optimization
    from meanfree.report.saddle_learners import WeightsOnly

    Array = NDArray[np.float64]

TITLE = "Newton against saddle-free Newton near a saddle"
NEEDS: tuple[str, ...] = ("sklearn",)
TEXT = """
Next to a saddle a function is quadratic, and each method multiplies the component in the direction
of an eigenvector with the eigenvalue λ by a factor of its own in every step:

    gradient descent: 1 - η λ; Newton: 0; damped Newton: δ / (λ + δ); saddle-free Newton:
    1 - λ / (|λ| + δ).

Newton's method lands on the saddle. Saddle-free Newton, which divides by |λ| where Newton divides
by λ, removes what is attracted and, without damping, doubles all that escapes, however flat the
saddle is that way: the number of steps that it takes to leave is the logarithm to base 2 of one
over the distance and depends on no eigenvalue. Gradient descent must keep η below 2 over the
largest eigenvalue and leaves a flat saddle slowly. Damped Newton leaves in a direction
with λ < 0 where δ is larger than -λ/2, from side to side below -λ, and fastest of all where it is
close to -λ; where it is smaller than -λ/2, the saddle attracts.

All that is a count of steps. A step of gradient descent costs one gradient; one of Newton's a
Hessian, priced here at 2 gradients for each weight, which is what it takes to make one of products.
The tables give both clocks.

Source: Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio (2014); the saddles of linear networks,
Baldi and Hornik (1989).
"""

_ROUNDING = "rounding"
_CHOSEN = ", ".join(map(str, COMPONENTS))
_NETWORK = (
    f"Data: {DATA}. A linear network without biases reads six principal components (numbers "
    f"{_CHOSEN}), each divided by its standard deviation s, and is to write them as they are; "
    "unit: the largest s"
)


def run(settings: Settings) -> Iterator[Figure]:
    """Yield paths in a plane, components next to a saddle, times of escape, rates of approach."""
    yield _plane(settings)
    yield _components(settings)
    yield _escape(settings)
    yield draw_approach(settings, "d")


# --- paths in a plane -----------------------------------------------------------------------------


def _plane(settings: Settings) -> Figure:
    figure, (left, right) = canvases(9.6, 4.5)
    comparisons = _quadratic_plane(left)
    comparisons += _network_plane(right)
    return Figure(
        key="a",
        title="Paths next to a saddle",
        drawing=figure,
        caption=(
            "Left, paths on the quadratic saddle with eigenvalues 1 and -0.3; marks, the first "
            "steps of the optimisers; lines, closed forms. Right, steps in the network's own "
            f"landscape. {_NETWORK}. One hidden unit reads a times the first component and writes "
            "b times it; shades, loss; cross, the saddle a = b = 0; dotted, the minima a b = 1. No "
            "method leaves this plane. Damped Newton, here with 1.5: with 0.5 its first step goes "
            "over to the other minima."
        ),
        description="Newton jumps onto the saddle, gradient descent and saddle-free Newton leave.",
        comparisons=comparisons,
        wide=True,
    )


def _quadratic_plane(ax: Axes) -> list[Comparison]:
    values, start, steps = np.array([1.0, -0.3]), np.array([0.9, 0.06]), 8
    problem = Quadratic(np.diag(values))
    methods = (
        plain(0.5),
        heavy_ball(0.5, 0.5),
        whole_newton(),
        shifted_newton(0.5),
        saddle_free(),
        saddle_free(0.1),
    )
    _contours(ax, problem, (-1.1, 1.1), (-0.25, 1.3))
    comparisons = []
    for method in methods:
        path = method.run(problem, start, steps=steps)
        theory = method.course(values, np.arange(steps + 1)) * start
        theory = theory[: len(path.points)]
        ax.plot(theory[:, 0], theory[:, 1], color=method.color, linewidth=1.2)
        ax.plot(path.points[:, 0], path.points[:, 1], "o", color=method.color, label=method.name)
        comparisons.append(_largest(f"path of {method.name} in the plane", path.points, theory))
    ax.plot(0, 0, "x", color=BLACK, ms=8, mew=2)
    ax.set(title="Quadratic", xlabel=r"$\lambda = 1$", ylabel=r"$\lambda = -0.3$")
    ax.set(xlim=(-1.1, 1.1), ylim=(-0.25, 1.3))
    ax.legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    return comparisons


def _contours(ax: Axes, problem: Quadratic | _Slice, x: tuple[float, float],
              y: tuple[float, float]) -> None:  # fmt: skip
    across, up = np.linspace(*x, 61), np.linspace(*y, 61)
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    heights = problem.value(grid)
    ax.contourf(across, up, heights, 24, cmap="Greys", alpha=0.45)
    ax.contour(across, up, heights, 24, colors="white", linewidths=0.5)


class _Slice:
    """A network's loss in the plane of one mode: W1 = a v^T, W2 = b u."""

    def __init__(self, problem: WeightsOnly) -> None:
        self.problem = problem
        half = problem.start.size // 2
        self.axes = np.zeros((2, problem.start.size))
        self.axes[0, 0] = self.axes[1, half] = 1.0

    def value(self, w: Array) -> Array:
        """Return the loss at (a, b)."""
        return np.asarray(self.problem.value(w @ self.axes))


def _network_plane(ax: Axes) -> list[Comparison]:
    problem = network_at_saddle(1, [])
    plane = _Slice(problem)
    start, lowest = np.array([0.8, -0.65]), saddle_of(1, [0]).loss
    _contours(ax, plane, (-1.5, 1.5), (-1.5, 1.5))
    comparisons = []
    out = 0.0
    for method, steps in (
        (plain(0.5), 100),
        (heavy_ball(0.5, 0.5), 120),
        (whole_newton(), 8),
        (shifted_newton(1.5), 60),
        (saddle_free(), 40),
        (saddle_free(0.1), 40),
    ):
        path = method.run(problem, start @ plane.axes, steps=steps)
        at = path.points @ plane.axes.T
        ax.plot(at[:, 0], at[:, 1], "o-", color=method.color, ms=3.5, linewidth=1.2)
        out = max(out, float(np.max(np.abs(path.points - at @ plane.axes))))
        stuck = method.name == "Newton"
        end = saddle_of(1, []).loss if stuck else lowest
        where = "at the saddle" if stuck else "at the minimum"
        comparisons.append(
            Comparison(f"loss {where}, {method.name}", end, float(path.values[-1]), 0.0, 1e-12,
                       _ROUNDING)
        )  # fmt: skip
    comparisons.append(Comparison("largest weight out of the plane", 0.0, out, 0.0, 1e-12,
                                  _ROUNDING))  # fmt: skip
    ax.plot(0, 0, "x", color=BLACK, ms=8, mew=2)
    for side in (-1.0, 1.0):
        a = side * np.linspace(0.6, 1.6, 50)
        ax.plot(a, 1.0 / a, ":", color=BLACK, linewidth=1.2)
    ax.set(title="One hidden unit, digits", xlabel="$a$, reads", ylabel="$b$, writes")
    ax.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    return comparisons


def _largest(name: str, found: Array, theory: Array) -> Comparison:
    """Compare courses by the largest deviation, in units of the largest entry of the theory."""
    apart = float(np.max(np.abs(found - theory)) / np.max(np.abs(theory)))
    return Comparison(f"largest deviation, {name}", 0.0, apart, 0.0, 1e-11, _ROUNDING)


# --- the quadratic part at a saddle ---------------------------------------------------------------

_ESCAPE = (plain(0.5), heavy_ball(0.5, 0.9), shifted_newton(0.5), saddle_free(), saddle_free(0.1))


def _components(settings: Settings) -> Figure:
    saddle, problem = saddle_of(4, [0, 1, 2]), network_at_saddle(4, [0, 1, 2])
    matrix = problem.hessian(problem.start)
    values, vectors = np.linalg.eigh(matrix)
    on_digits = network_on_digits(4, [0, 1, 2], "linear")
    comparisons = [
        Comparison(
            "largest deviation of the eigenvalues of the Hessian, all digits",
            0.0,
            float(np.max(np.abs(np.linalg.eigvalsh(on_digits.hessian(on_digits.start))
                                - saddle.eigenvalues))),
            0.0,
            1e-13,
            _ROUNDING,
        )
    ]  # fmt: skip
    form = Quadratic(matrix)
    start = direction(settings, "20 components", values.size)
    steps = 24
    figure, axes = canvases(9.6, 4.0)
    escaping = np.flatnonzero(values < -1e-9)
    attracted = values > 1e-9
    rows = []
    for method in (*_ESCAPE, whole_newton()):
        path = method.run(form, start, steps=steps)
        k = path.steps
        theory = method.course(saddle.eigenvalues, k) * (start @ vectors)
        found = path.points @ vectors
        comparisons.append(_largest(f"48 components, {method.name}", found, theory))
        fine = np.arange(steps + 1)
        drawn = method.course(saddle.eigenvalues, fine) * (start @ vectors)
        flattest = escaping[-1]
        for ax, select in zip(axes, ([flattest], attracted), strict=True):
            line = np.linalg.norm(drawn[:, select], axis=1) / np.linalg.norm(drawn[0, select])
            mark = np.linalg.norm(found[:, select], axis=1) / np.linalg.norm(found[0, select])
            ax.plot(fine, np.maximum(line, 1e-40), color=method.color, linewidth=1.2)
            mark = np.where(line[k] > 0.0, mark, np.nan)  # what is left of 0 is rounding
            ax.plot(k, mark, "o", color=method.color, label=method.name, ms=4)
        rows.append(
            (
                method.name,
                *(f"{growth:.3f}" for growth in _growth(method, saddle.eigenvalues)[escaping]),
                f"{path.gradient_equivalents[1]:.1f}",
            )
        )
    left, right = axes
    left.set(title="Escaping, the flattest", ylabel="component, in units of its start")
    right.set(title="Attracted, all", ylabel="their length, in units of its start")
    left.set(xlabel="steps", yscale="log", ylim=(0.1, 1e4))
    right.set(xlabel="steps", yscale="log", ylim=(1e-12, 5.0))
    left.annotate("Newton: 0", (0.4, 0.15), color=VERMILLION, fontsize=9)
    right.annotate("Newton and\nsaddle-free: 0", (0.6, 3e-12), color=VERMILLION, fontsize=9)
    right.legend(fontsize=8, loc="lower right")
    header = ("method", *(f"λ = {values[i]:.3f}" for i in escaping), "gradients a step")
    return Figure(
        key="b",
        title="Components next to a saddle",
        drawing=figure,
        caption=(
            f"{_NETWORK}. Quadratic part of the loss (exact Hessian) at the saddle where three of "
            "four hidden units have learned the three strongest components: of 48 eigenvalues "
            "three are negative. Left, the component in the direction of the least negative one, "
            f"λ = {values[escaping[-1]]:.3f}; right, length of all components with λ > 0. Marks, "
            "optimisers from one random start; lines, closed forms."
        ),
        description="Saddle-free Newton doubles the flattest component, Newton removes all.",
        comparisons=comparisons,
        tables=[Table("Growth in the end by one step, and its price", header, rows)],
        wide=True,
    )


def _growth(method: Method, values: Array) -> Array:
    """Return what each component is multiplied by in a step, after many."""
    late = method.course(values, np.array([200, 201]))
    return np.asarray(np.divide(late[1], late[0], out=np.zeros_like(values), where=late[0] != 0.0))


# --- times of escape ------------------------------------------------------------------------------

_DISTANCES = np.array([1e-4, 1e-5, 1e-6, 1e-7])
_LEVEL = 1e-6  # of all that the loss is to fall by: the quadratic part still rules


def _escape(settings: Settings) -> Figure:
    modes = [0, 1, 2, 3, 4]
    saddle, problem = saddle_of(6, modes), network_at_saddle(6, modes)
    values, vectors = np.linalg.eigh(problem.hessian(problem.start))
    total = saddle.loss  # all that is left: the weakest component, s**2 / 2
    start = direction(settings, "20 escape", values.size)
    flat = abs(saddle.eigenvalues[0])
    figure, (left, right) = canvases(9.6, 4.2)
    comparisons: list[Comparison] = []
    rows = []
    fine = np.geomspace(3e-8, 3e-4, 30)
    for method in (*_ESCAPE[:2], shifted_newton(0.1), saddle_free(1e-3), saddle_free(0.1)):
        growth = float(_growth(method, saddle.eigenvalues)[0])
        allowed = int(np.log(1e8) / np.log(growth)) + 20
        along = np.arange(allowed + 1)
        course = method.course(saddle.eigenvalues, along) * (start @ vectors)
        falls = -0.5 * (course**2 @ saddle.eigenvalues)  # at distance 1
        wanted = [crossing(falls * d**2, _LEVEL * total) for d in _DISTANCES]
        found, last = [], None
        for distance in _DISTANCES:
            last = method.run(problem, problem.start + distance * start, steps=2 * allowed)
            found.append(crossing(saddle.loss - last.values, _LEVEL * total))
        for distance, time, measured in zip(_DISTANCES, wanted, found, strict=True):
            off = (10.0 * distance / flat + _LEVEL + 1e-15 / (_LEVEL * total)) / np.log(growth)
            comparisons.append(
                Comparison(
                    f"steps to leave from the distance {distance:.0e}, {method.name}",
                    time,
                    measured,
                    0.0,
                    float(off),
                    "terms of higher order in the distance, 10 times it over |λ|; rounding",
                )
            )
        each = -slope_of(np.log10(_DISTANCES), np.array(found))
        rows.append(
            (
                method.name,
                f"{growth:.4f}",
                f"{np.log(10.0) / np.log(growth):.3f}",
                f"{each:.3f}",
                f"{each * last.gradient_equivalents[1]:.0f}" if last is not None else "-",
            )
        )
        line = [crossing(falls * d**2, _LEVEL * total) for d in fine if d < 2e-4]
        right.plot(fine[fine < 2e-4], line, color=method.color, linewidth=1.2)
        right.plot(_DISTANCES, found, "o", color=method.color, label=method.name)
        if last is not None:
            _fall(left, last, saddle.loss, method, falls * _DISTANCES[-1] ** 2)
    stuck = newton(problem, problem.start + _DISTANCES[0] * start, steps=4)
    left.plot(stuck.steps, stuck.values / total, "o", color=VERMILLION, ms=3.5)
    left.annotate("Newton", (0.2, 0.94), color=VERMILLION, fontsize=9)
    left.set(xlabel="steps", ylabel="loss over that of the saddle")
    left.set(xscale="symlog", ylim=(-0.05, 1.1))
    right.set(xlabel="distance from the saddle", ylabel="steps to leave", xscale="log")
    right.set(ylim=(0, None))
    right.legend(fontsize=8)
    return Figure(
        key="c",
        title="How long a saddle holds",
        drawing=figure,
        caption=(
            f"{_NETWORK}. Starts at random points near the saddle where five of six hidden units "
            f"have learned all but the weakest component: one eigenvalue is -{flat:.3f}, the "
            "largest 2. Left, loss from the distance 1e-7. Right, steps until the loss has fallen "
            f"by {_LEVEL:g} of all that it will; lines, closed forms: log(1 / distance) / "
            "log(growth) and a constant. Saddle-free Newton has a damping of 0.001 here: of 72 "
            "eigenvalues 35 are 0 at the saddle and small next to it, and to divide by them would "
            "leave chance steps."
        ),
        description="Steps to leave grow with the logarithm of one over the distance.",
        comparisons=comparisons,
        tables=[
            Table(
                "What a distance ten times as small costs",
                ("method", "growth by a step", "steps, theory", "steps", "gradients"),
                rows,
            )
        ],
        notes=[
            "A whole Hessian costs 2 gradients for each of 72 weights: at that price gradient "
            "descent with momentum leaves at the least cost, in many small steps."
        ],
        wide=True,
    )


def _fall(ax: Axes, path: Optimization, loss: float, method: Method, falls: Array) -> None:
    theory = 1.0 - falls / loss
    shown = theory > 0.9
    ax.plot(np.flatnonzero(shown), theory[shown], color=method.color, linewidth=1.2)
    ax.plot(path.steps, path.values / loss, color=method.color, label=method.name)
