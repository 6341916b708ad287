"""Figures of landscapes of which every critical point is found: planes, and small spheres."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.landscape import PSpin
from meanfree.report import plane_points
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.field_points import KINDS, Kind, ratio
from meanfree.report.style import BLACK, BLUE, GREEN, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from meanfree.landscape import FieldSample


def compare_planes(kind: Kind, planes: list[plane_points.Plane]) -> list[Comparison]:
    """Compare all critical points of planes with their exact means."""
    points = plane_points.together(planes)
    both, count, field = points.folded, len(planes), kind.field
    area = np.full(count, kind.side**2)
    number = np.array([len(plane.index) for plane in planes], dtype=float)
    numbers = [
        ("points per area", plane_points.density(field), ratio(number, area)),
        ("share of minima", 0.25, points.mean(1.0 * (points.index == 0))),
        (
            "mean energy of minima",
            plane_points.mean_energy_of_minima(field),
            both.mean(both.energy, both.index == 0),
        ),
        (
            "mean squared energy of saddles",
            plane_points.energy_variance_of_saddles(field),
            points.mean(points.energy**2, points.index == 1),
        ),
    ]
    missed = sum(abs(plane.surplus) for plane in planes)
    return [
        Comparison(f"extrema less saddles less turns, {kind.name}", 0.0, float(missed), 0.0),
        *(
            Comparison(f"{name}, {kind.name}", theory, *found, n_samples=count)
            for name, theory, found in numbers
        ),
    ]


def planes(settings: Settings) -> Figure:
    """Draw a field of two variables, and the energies of all critical points of several."""
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(11.0, 4.0), layout="constrained")
    chart, *others = figure.subplots(1, 3, width_ratios=(1.15, 1.0, 1.0))
    comparisons: list[Comparison] = []
    kinds = (("minima", BLUE, "v"), ("saddles", BLACK, "x"), ("maxima", VERMILLION, "^"))
    for kind, ax in zip(KINDS, others, strict=True):
        samples = kind.samples(settings, 2, settings.size(24, 16), more=2)
        planes = [plane_points.every_point(sample, kind.side) for sample in samples]
        comparisons += compare_planes(kind, planes)
        if ax is others[0]:
            _chart(chart, samples[0], planes[0], kinds)
        points = plane_points.together(planes)
        fine = np.linspace(-3.0, 3.0, 301)
        edges = np.linspace(-3.0, 3.0, 25)
        for index, (density, (name, color, _)) in enumerate(
            zip(plane_points.energy_densities(kind.field, fine), kinds, strict=True)
        ):
            chosen = (points.weight > 0.0) & (points.index == index)
            weight = np.full(int(chosen.sum()), 1.0 / (points.weight.sum() * (edges[1] - edges[0])))
            ax.hist(points.energy[chosen], edges, weights=weight, color=color, alpha=0.3)
            ax.plot(fine, density, color=color, label=name)
        ax.set(xlabel=r"energy $\varepsilon = \phi / 2$", ylabel="density", title=kind.name)
        ax.set(xlim=(-3.0, 3.0))
        ax.legend(fontsize=8)
    return Figure(
        key="c",
        title="Every critical point in the plane",
        drawing=figure,
        caption=(
            "In two dimensions all can be found: searches from a grid go on until extrema less "
            "saddles is how often the gradient turns round along the boundary (Poincaré and "
            "Hopf). Left, one RBF field. Bars, energies of all critical points of "
            f"{settings.size(24, 16)} fields of each kind; lines, their exact densities."
        ),
        description="A landscape with its minima, saddles and maxima; their energies.",
        comparisons=comparisons,
        wide=True,
    )


def _chart(ax: Axes, sample: FieldSample, plane: plane_points.Plane, kinds: Any) -> None:
    """Draw a field and its critical points."""
    side = KINDS[0].side
    ticks = np.linspace(0.0, side, 120)
    values = sample.energy(np.stack(np.meshgrid(ticks, ticks), axis=-1))
    picture = ax.contourf(ticks, ticks, values, levels=14, cmap="Greys", alpha=0.6)
    ax.figure.colorbar(picture, ax=ax, label=r"energy $\varepsilon$", shrink=0.85)
    for index, (_, color, marker) in enumerate(kinds):
        w = plane.w[plane.index == index]
        ax.plot(w[:, 0], w[:, 1], marker, color=color, markersize=5.0)
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$", title="One RBF field")


# --- polynomials on a sphere ---------------------------------------------------------------------


def polynomials(settings: Settings) -> Figure:
    """Draw how many critical points random polynomials on a sphere have."""
    figure, ax = canvas(6.4, 3.8)
    model, comparisons, rows = PSpin(3), [], []
    for n, many, color in ((2, 300, SKY), (3, 240, BLUE), (4, 90, GREEN)):
        n_draws = settings.size(many, 60)
        seed = settings.seed_for(f"17 p-spin {n}")
        drawn = [model.enumerate(n, seed=seed + k) for k in range(n_draws)]
        counts = np.array([len(item.energy) for item in drawn])
        euler = np.array([((-1) ** item.index).sum() for item in drawn])
        exact = exp(model.log_mean_count(n))
        error = float(counts.std(ddof=1) / sqrt(n_draws))
        comparisons += [
            Comparison(f"mean number, N = {n}", exact, float(counts.mean()), error,
                       n_samples=n_draws),
            Comparison(f"Euler characteristic, N = {n}", 1.0 + (-1) ** (n - 1),
                       float(euler.mean()), float(euler.std())),
        ]  # fmt: skip
        rows.append((str(n), f"{exact:.4f}", with_error(float(counts.mean()), error),
                     f"{counts.max()}", str(2 * (2**n - 1))))  # fmt: skip
        values = np.arange(2, 2 * 2**n, 4)
        shares = [np.mean(counts == value) for value in values]
        ax.bar(values + 0.9 * (n - 3), shares, 0.9, color=color, label=f"$N = {n}$")
        ax.axvline(exact, color=color, linestyle="--", linewidth=1.2)
    ax.set_xticks(np.arange(2, 31, 4))
    ax.set(xlabel="number of critical points", ylabel="share of polynomials")
    ax.legend()
    return Figure(
        key="d",
        title="Cubic polynomials on a sphere",
        drawing=figure,
        caption=(
            "All critical points of random homogeneous polynomials of degree 3 on the sphere "
            "|x|² = N (the spherical 3-spin model), by linear algebra. Dashed, exact means."
        ),
        description="Numbers of critical points from 2 to 30 and their means.",
        comparisons=comparisons,
        tables=[Table("Number of points", ("N", "exact mean", "found", "largest", "bound"), rows)],
    )
