"""Critical points of a small network that tells odd from even digits: search, verdicts, checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree.landscape import critical_points
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.handwriting import mnist
from meanfree.report.hidden_layer import SURE, HiddenLayer, is_sure, signs
from meanfree.report.linear_learners import rank_correlation
from meanfree.report.region_figures import canvases
from meanfree.report.style import BLACK, BLUE, GREY, ORANGE, PURPLE, VERMILLION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.landscape import CriticalPoints

    Array = NDArray[np.float64]

_TOL = 1e-8
_SATURATED = 1e-3
_IDLE = 1e-12
_VERDICTS = {
    "accepted": BLUE,
    "saturated": PURPLE,
    "gradient-flat": ORANGE,
    "far": VERMILLION,
    "not converged": GREY,
    "not finite": BLACK,
}


@dataclass(frozen=True, eq=False)
class Points:
    """Accepted critical points."""

    w: Array
    value: Array
    index: NDArray[np.int64]
    n_zero: NDArray[np.int64]


def components(every: int, n: int) -> tuple[Array, NDArray[np.int64]]:
    """Return the first n white principal components of some digits of MNIST, and their labels."""
    pixels, labels = (part[::every] for part in mnist())
    u = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)[0][:, :n]
    return np.asarray(np.sqrt(len(pixels)) * u * np.sign(u[0])), np.asarray(labels, dtype=np.int64)


def odd_or_even(n_hidden: int) -> HiddenLayer:
    """Return the network that tells odd from even digits, with its data."""
    x, labels = components(20, 4)
    return HiddenLayer(x, np.where(labels % 2, 1.0, -1.0), n_hidden)


def search(settings: Settings, net: HiddenLayer) -> dict[str, CriticalPoints]:
    """Search from random weights by two methods."""
    random = np.random.default_rng(settings.seed_for("19 starts"))
    problem, n = net.problem, settings.size(300, 60)

    def starts() -> Array:
        scales = np.exp(random.uniform(np.log(0.5), np.log(2.5), (n, 1)))
        return np.asarray(scales * random.standard_normal((n, problem.dimension)))

    return {
        "gradient_norm": critical_points(
            problem, starts(), method="gradient_norm", max_steps=120, progress=False
        ),
        "newton": critical_points(problem, starts(), method="newton", max_steps=60, progress=False),
    }


def verdicts(net: HiddenLayer, found: CriticalPoints) -> list[str]:
    """Return what became of each search; accepted points with a saturated unit are set apart."""
    words = [str(text).partition(":")[0] or "accepted" for text in found.reason]
    for k in np.flatnonzero(found.accepted):
        if np.any(net.slopes(found.w[k]).max(axis=0) < _SATURATED):
            words[k] = "saturated"
    return words


def distinct(net: HiddenLayer, searches: dict[str, CriticalPoints]) -> Points:
    """Return accepted points that are not saturated, one of each loss."""
    parts = []
    for found in searches.values():
        here = np.array(verdicts(net, found)) == "accepted"
        parts.append((found.w[here], found.value[here], found.index[here], found.n_zero[here]))
    w, value, index, n_zero = (np.concatenate(item) for item in zip(*parts, strict=True))
    first = np.unique(np.round(value, 8), return_index=True)[1]
    return Points(w[first], value[first], index[first], n_zero[first])


def draw_accepted(net: HiddenLayer, searches: dict[str, CriticalPoints], points: Points) -> Figure:
    """Draw index against loss of accepted points, and how many candidates are none."""
    figure, (left, right) = canvases(9.6, 4.2)
    rows, bottom = [], np.zeros(len(searches))
    words = [verdicts(net, found) for found in searches.values()]
    for kind, color in _VERDICTS.items():
        counts = np.array([items.count(kind) for items in words])
        if not counts.any():
            continue
        right.barh(list(searches), counts, left=bottom, color=color, label=kind, height=0.5)
        for y, (count, start) in enumerate(zip(counts, bottom, strict=True)):
            if count >= 0.04 * len(words[0]):
                at = (start + count / 2, y)
                right.text(*at, str(count), ha="center", va="center", color="white", fontsize=9)
        bottom = bottom + counts
        rows.append((kind, *(str(count) for count in counts)))
    right.set(xlabel="searches", title="All candidates", ylim=(-0.6, 2.1))
    right.legend(fontsize=8, ncols=3, loc="upper center")

    idle = np.array([np.count_nonzero(np.abs(net.readout(p)) < _IDLE) for p in points.w])
    names = ("both units at work", "one unit idle", "both idle")
    for k, (name, color) in enumerate(zip(names, (VERMILLION, BLUE, BLACK), strict=True)):
        here = idle == k
        left.plot(points.value[here], points.index[here], "o", color=color, alpha=0.7, label=name)
    left.axvline(0.5 * float(np.mean(net.y**2)), color=GREY, linestyle=":", linewidth=1.0)
    left.set(xlabel="loss", ylabel="index", title="Accepted, one of each loss", ylim=(-0.4, 7.5))
    left.legend(fontsize=8, ncols=3, loc="upper center", columnspacing=1.0)
    n = len(points.value)
    ranks = rank_correlation(points.value, points.index.astype(float))
    return Figure(
        key="b",
        title="Index and loss of accepted points",
        drawing=figure,
        caption=(
            f"Network 4-2-1 (tanh, squared error, {net.problem.dimension} parameters) that tells "
            f"odd from even digits, ±1: {len(net.x)} of MNIST, their first 4 principal components, "
            f"whitened. Left: the {n} accepted points of different loss; a unit is idle if its "
            "output weight is 0; dotted, the loss of the output 0. Right: what became of "
            f"{bottom[0]:.0f} random starts by each method; only accepted ones are drawn on the "
            "left. Saturated: accepted by the search, but a unit has the same size on all digits "
            f"(slope < {_SATURATED:g}): the loss may flatten out towards infinity. How often a "
            "point is found says nothing of how many there are. Sure eigenvalues are 0 but for "
            f"rounding or above {SURE:g} of the largest: what is near 1e-7 may count as 0."
        ),
        description=(
            "Index against loss of accepted critical points, scattered without a clear curve; bars "
            "of accepted and rejected candidates by reason."
        ),
        comparisons=_checks(net, points, idle),
        tables=[
            Table("Candidates", ("verdict", *searches), rows),
            Table(
                "For information",
                ("", "value"),
                [
                    (
                        "rank correlation of index and loss, accepted points of different loss",
                        with_error(ranks, 1.0 / np.sqrt(n - 1)),
                    ),
                ],
            ),
        ],
        wide=True,
    )


def _checks(net: HiddenLayer, points: Points, idle: NDArray[np.int64]) -> list[Comparison]:
    """Compare accepted points with derivatives by numpy and with what is known of all of them."""
    n = float(len(points.value))
    exact = [net.derivatives(point) for point in points.w]
    small = sum(float(np.linalg.norm(g)) <= _TOL for g, _ in exact)
    spectra = np.array([np.linalg.eigvalsh(h) for _, h in exact])
    ours = np.linalg.eigvalsh(net.problem.hessian(points.w))
    scale = np.abs(ours).max(axis=1)
    same = [
        signs(values, 1e-7 * size)[0] == k
        for values, size, k in zip(spectra, scale, points.index, strict=True)
    ]
    law = [0.5 * np.mean(net.y**2 - net.outputs(point) ** 2) for point in points.w]
    outer = max(float(np.linalg.norm(np.append(net.readout(p), p[-1]))) for p in points.w)
    lone = np.flatnonzero((idle == 1) & np.array([is_sure(values) for values in ours]))
    narrow = [
        np.linalg.eigvalsh(net.narrower.derivatives(net.without(points.w[k]))[1]) for k in lone
    ]
    below = np.array([signs(values, 1e-7 * np.abs(values).max())[0] for values in narrow])
    return [
        Comparison("accepted points with |g| <= 1e-8 by numpy", n, float(small), 0.0),
        Comparison("accepted points with the same index by numpy", n, float(sum(same)), 0.0),
        Comparison(
            "largest error of an eigenvalue, in units of the largest",
            0.0,
            float(np.max(np.abs(spectra - ours).max(axis=1) / scale)),
            0.0,
            1e-12,
            "1e-12, rounding",
        ),
        Comparison(
            "largest |E - (mean y² - mean z²)/2| at accepted points",
            0.0,
            float(np.abs(points.value - law).max()),
            0.0,
            _TOL * outer,
            "|g| times the weights to the output",
        ),
        Comparison(
            "points with an idle unit, index that of the other alone + 1 (all eigenvalues sure)",
            float(lone.size),
            float(np.sum(points.index[lone] == below + 1)),
            0.0,
        ),
    ]
