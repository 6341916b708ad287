"""Chapter 17: critical points of random fields, their index and their energy."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from meanfree.report.comparison import Comparison, with_error
from meanfree.report.complete_figures import planes, polynomials
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.field_points import (
    KINDS,
    Kind,
    Points,
    from_law,
    from_samples,
    from_search,
    ratio,
    search,
)
from meanfree.report.style import BLACK, BLUE, GREY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from meanfree.landscape import CriticalPoints

    Array = NDArray[np.float64]

TITLE = "Index and energy of critical points of random fields"
NEEDS: tuple[str, ...] = ()
TEXT = """
A Gaussian field φ of N variables with the covariance N C(|x - y|²/N) has far more saddles than
minima, and at large N its energy ε = φ/N tells how many eigenvalues of the Hessian are negative at
a critical point. They fill a semicircle of radius R = 4 √C″(0) about -u R, of which the fraction

    α(u) = 1/2 + (u √(1 - u²) + arcsin u)/π

is negative. With ρ = C′(0)²/(C(0) C″(0)) there are two curves, equal only at ρ = 1:

    typical energy at an index:   ε = 2 √(ρ C(0)) u   at α = α(u)

    typical index at an energy:   α = α(u)   with u = √ρ/(1 + ρ) · ε/√C(0)

The field with C(s) = exp(-s/2) (RBF) has ρ = 1, the one with C(s) = 1/(1 + s/2) (rational
quadratic) has ρ = 1/2. What is compared below are fields of few dimensions with the exact law at
their N, to which the formula of Kac and Rice leads by way of random matrices of size N + 1.

Source: Bray and Dean (2007); Fyodorov (2004); Auffinger, Ben Arous and Cerny (2013).
"""

_DIMENSION = 12
_N_POINTS = 100  # of each field


@dataclass(frozen=True, eq=False)
class World:
    """Critical points in N dimensions: by their law, in sampled fields, and as found by searches.

    Points and the opposite ones of the opposite field are taken together.
    """

    kind: Kind
    law: Points
    sampled: Points
    ends: CriticalPoints
    searched: Points

    @property
    def deviation(self) -> float:
        """Standard deviation of the energies of all critical points at large N."""
        field = self.kind.field
        return sqrt(field.variance * (1.0 + field.rho) / _DIMENSION)


def run(settings: Settings) -> Iterator[Figure]:
    """Yield both curves, shares by index, every point of planes, and of small spheres."""
    worlds = [world(settings, kind) for kind in KINDS]
    yield _curves(worlds)
    yield _shares(worlds)
    yield planes(settings)
    yield polynomials(settings)


def world(settings: Settings, kind: Kind) -> World:
    """Sample fields, weight points of them, and search some."""
    samples = kind.samples(settings, _DIMENSION, settings.size(150, 80))
    n_searched = settings.size(12, 4)
    ends = search(samples[:n_searched], 16, settings.seed_for("17 starts"))
    n_draws = settings.size(8000, 4000)
    return World(
        kind,
        from_law(kind.field, _DIMENSION, n_draws, settings.seed_for("17 law")),
        from_samples(kind.field, samples, _N_POINTS, settings.seed_for("17 points")).folded,
        ends,
        from_search(ends, n_searched).folded,
    )


# --- the two curves ------------------------------------------------------------------------------


def groups(points: Points, deviation: float) -> list[tuple[str, tuple[float, float]]]:
    """Return mean energies at two indices, and mean indices in two ranges of energy.

    Of ranges that end: in the tails a few points have most of the weight.
    """
    n, index, energy = points.dimension, points.index, points.energy / deviation
    return [
        *((f"energy at α = {k}/{n}", points.mean(points.energy, index == k)) for k in (4, 5)),
        *(
            (
                f"α at energies from {low:g}σ to {high:g}σ",
                points.mean(index / n, (energy > low) & (energy < high)),
            )
            for low, high in ((-1.6, -0.8), (-0.8, 0.0))
        ),
    ]


def compare_groups(item: World) -> list[Comparison]:
    """Compare the groups of sampled fields with their law."""
    law, found = (groups(points, item.deviation) for points in (item.law, item.sampled))
    return [
        Comparison(
            f"mean {name}, {item.kind.name}",
            theory,
            value,
            float(np.hypot(error, inexact)),
            n_samples=len(item.sampled.index),
        )
        for (name, (theory, inexact)), (_, (value, error)) in zip(law, found, strict=True)
    ]


def _curves(worlds: list[World]) -> Figure:
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(9.6, 5.0), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    comparisons, rows = [], []
    for item, ax in zip(worlds, axes, strict=True):
        _panel(ax, item)
        comparisons += compare_groups(item)
        law, found = (groups(points, item.deviation) for points in (item.law, item.searched))
        for (name, (theory, _)), (_, (value, error)) in zip(law, found, strict=True):
            rows.append((item.kind.name, name, f"{theory:.3f}", with_error(value, error)))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8.5)
    return Figure(
        key="a",
        title="Two curves of energy and index",
        drawing=figure,
        caption=(
            f"Critical points in N = {_DIMENSION} dimensions. Solid lines, large N; dashed, the "
            f"exact law at this N. Marks and numbers: {_N_POINTS} points anywhere in each of "
            f"{len(worlds[0].sampled.index)} sampled fields, weighted by |det H| as Kac and Rice "
            "ask, errors from field to field. Dots: ends of searches, which find points of large "
            "basins more often and are no fair draw: in 400 fields of 20 dimensions their energy "
            "grew with the index by 2.2 ± 0.7 % (RBF) and 13 ± 2 % (rational quadratic) "
            "more than by the law. The table has them for information, without a verdict."
        ),
        description="Critical points about two curves, which differ only in the right panel.",
        comparisons=comparisons,
        tables=[
            Table(
                "Accepted ends of searches, no verdict (σ² = (1 + ρ) C(0) / N)",
                ("field", "mean", "law", "found"),
                rows,
            )
        ],
        wide=True,
    )


def _panel(ax: Axes, item: World) -> None:
    """Draw ends of searches, both curves, and the means of both kinds."""
    field, n = item.kind.field, _DIMENSION
    item.ends.plot(ax, unit=n)
    (dots,) = ax.lines
    found = str(dots.get_label()).replace(", ", ",\n")
    ax.text(0.98, 0.03, found, transform=ax.transAxes, fontsize=8, ha="right")
    dots.set(color=GREY, markersize=3.0, alpha=0.6, markeredgewidth=0.0, label="ends of searches")
    top = 3.2 * item.deviation
    alpha, energy = np.linspace(0.0, 1.0, 201), np.linspace(-top, top, 201)
    edges = np.linspace(-2.25, 2.25, 10) * item.deviation
    middle = 0.5 * (edges[1:] + edges[:-1])
    (at, up, _), (across, _) = (part.T for part in _means(item.law, edges))
    exact = f"the same, exact at $N={n}$"
    curve = field.energy_at_index(alpha)
    ax.plot(alpha, curve, color=BLUE, label="typical energy at an index, large $N$")
    ax.plot(at, up, "--", color=BLUE, lw=1.0, label=exact)
    curve = field.index_at_energy(energy)
    ax.plot(curve, energy, color=VERMILLION, label="typical index at an energy, large $N$")
    ax.plot(across, middle, "--", color=VERMILLION, lw=1.0, label=exact)
    (at, up, error), (across, inexact) = (part.T for part in _means(item.sampled, edges))
    label = "mean energy at an index, sampled"
    ax.errorbar(at, up, error, fmt="o", color=BLUE, label=label)
    label = "mean index at an energy, sampled"
    ax.errorbar(across, middle, xerr=inexact, fmt="s", color=VERMILLION, ms=4.0, label=label)
    ax.set(
        xlim=(0.0, 1.0),
        ylim=(-top, top),
        xlabel=r"index: negative eigenvalues, fraction $\alpha$",
        ylabel=r"energy $\varepsilon = \phi / N$",
    )
    ax.set_title(rf"{item.kind.name}, $\rho = {field.rho:.3g}$")
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()


def _means(points: Points, edges: Array) -> tuple[Array, Array]:
    """Return index, mean energy, error of common indices; mean index, error of bins of energy."""
    n = points.dimension
    shares = points.shares
    each = [k for k in range(n + 1) if shares[k, 0] > max(0.004, 3.0 * shares[k, 1])]
    up = [(k / n, *points.mean(points.energy, points.index == k)) for k in each]
    across = [
        points.mean(points.index / n, (points.energy > low) & (points.energy < high))
        for low, high in pairwise(edges)
    ]
    return np.array(up), np.array(across)


# --- shares by index -----------------------------------------------------------------------------


def compare_shares(item: World) -> list[Comparison]:
    """Compare which share of all critical points has 6 of 12 negative eigenvalues, and so on."""
    law, found = item.law.shares, item.sampled.shares
    return [
        Comparison(
            f"share of α = {k}/{_DIMENSION}, {item.kind.name}",
            law[k, 0],
            found[k, 0],
            float(np.hypot(law[k, 1], found[k, 1])),
            n_samples=len(item.sampled.index),
        )
        for k in (4, 5, 6)
    ]


def _shares(worlds: list[World]) -> Figure:
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    n = _DIMENSION
    sizes = np.unique(np.geomspace(1, 400, 40).round().astype(int))
    alpha = np.arange(n + 1) / n
    comparisons, rows = [], []
    for item, color, marker in zip(worlds, (BLUE, VERMILLION), "os", strict=True):
        field, name = item.kind.field, item.kind.name
        counts = [field.log_mean_count(int(size)) / size for size in sizes]
        left.plot(sizes, counts, color=color, label=f"{name}, exact")
        left.axhline(field.complexity(), color=color, linewidth=0.8, linestyle=":")
        density = item.sampled.weight.mean(axis=1)
        number, error = ratio(density, np.ones(len(density)))
        left.plot([n], [log(number) / n], marker, color=color, label=f"{name}, sampled")
        exact = np.exp(field.log_mean_count(n))
        rows.append((name, with_error(number / exact, error / exact)))
        share = item.sampled.shares
        seen = share[:, 0] > 2.0 * share[:, 1]
        right.errorbar(alpha[seen], share[seen, 0], share[seen, 1], fmt=marker, color=color,
                       label=f"{name}, sampled")  # fmt: skip
        comparisons += compare_shares(item)
    left.set(
        xscale="log",
        xlabel="dimension $N$",
        ylabel=r"$\log($mean number per volume$)\,/\,N$",
        title="All critical points",
    )
    left.legend(fontsize=8)
    field = worlds[0].kind.field
    limit = np.exp(n * (field.complexity(index=alpha) - field.complexity()))
    right.plot(alpha, worlds[0].law.shares[:, 0], "--", color=BLACK, lw=1.0, label="exact law")
    right.plot(alpha, limit / limit.sum(), ":", color=GREY, label=r"$\propto\exp(-N u^2)$")
    right.set(
        yscale="log",
        xlabel=r"index: negative eigenvalues, fraction $\alpha$",
        ylabel="share of all critical points",
        title=rf"By index, $N = {n}$",
    )
    right.legend(fontsize=8, loc="lower center")
    return Figure(
        key="b",
        title="How many critical points of which index",
        drawing=figure,
        caption=(
            "Left: the mean number of critical points per unit volume, exact at every N, and its "
            "limit, the complexity (dotted). Right: which share of them has which index, the same "
            "in every field; minima are a fraction exp(-N) at large N. Marks, sampled fields as "
            "in the figure above. Their number is 1 to 10 % short in 2 to 15 dimensions, since "
            "they are sums of 100 N / ρ waves and not quite Gaussian; four times as many waves "
            "leave a quarter of that."
        ),
        description="Counts approach their limits; shares by index fall off from one half.",
        comparisons=comparisons,
        tables=[
            Table(
                f"Number per volume over its exact mean, N = {n}, no verdict", ("field", ""), rows
            )
        ],
        wide=True,
    )
