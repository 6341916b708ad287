"""Chapter 10: how curved the decision boundaries of random networks are, layer by layer."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf
from meanfree.manifold import BoundaryCurvature, boundary_curvature
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.spectra import extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble

    Array = NDArray[np.float64]

TITLE = "Curved boundaries become flat"
NEEDS: tuple[str, ...] = ()
TEXT = """
What a linear readout of the last layer separates, G = w·h^L + β, is a plane there, and a curved
boundary in the space of every layer before. Gradient and Hessian of G go back layer by layer,

    δ^l = D t,   H^l = D W^T H^{l+1} W D + diag(φ″(h^l) t),   t = W^T δ^{l+1},  D = diag φ′(h^l),

and the principal curvatures are the eigenvalues of H / |δ| across the normal. For wide layers their
mean square obeys

    k_l² = χ_1 k_{l+1}² + χ_2 / (N χ_1),   k_L = 0.

In the chaotic phase it grows by χ_1 with each layer between the boundary and the readout: a deep
network sees as a plane what is crumpled exponentially at its input. In the ordered phase it stays
below χ_2 / (N χ_1 (1 - χ_1)), however deep the network.

Source: Poole et al. (2016), decision boundaries; the recursion for k² is this project's own.
"""

_SIGMA_B = 0.3


@dataclass(frozen=True)
class _Phase:
    name: str
    ensemble: Ensemble
    color: str
    marker: str

    @property
    def label(self) -> str:
        return rf"{self.name}, $\sigma_w = {self.ensemble.sigma_w:.4g}$"


def _phases() -> tuple[_Phase, ...]:
    return (
        _Phase("ordered", mf.Ensemble("tanh", 0.9, _SIGMA_B), BLUE, "o"),
        _Phase("critical", mf.critical("tanh", _SIGMA_B), GREEN, "^"),
        _Phase("chaotic", mf.Ensemble("tanh", 4.0, _SIGMA_B), VERMILLION, "s"),
    )


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the mean square by layer, all curvatures by layer, and plane sections."""
    yield _mean_square(settings)
    yield _cloud(settings)
    yield _sections(settings)


def _boundaries(
    settings: Settings, label: str, ensemble: Ensemble, width: int, depth: int, n_points: int
) -> BoundaryCurvature:
    return boundary_curvature(
        ensemble,
        width,
        depth,
        n_points=n_points,
        seed=settings.seed_for(f"10 {label} {width}"),
        n_threads=settings.n_threads,
        progress=False,
    )


def _mean_square(settings: Settings) -> Figure:
    width, n_points = settings.size(128, 32), settings.size(128, 16)
    depth = settings.size(9, 4)
    figure, ax = canvas()
    layers = np.arange(1, depth)
    comparisons: list[Comparison] = []
    rows = []
    for phase in _phases():
        both = [
            _boundaries(settings, phase.name, phase.ensemble, n, depth, many)
            for n, many in ((width, n_points), (width // 2, 2 * n_points))
        ]
        theory = both[0].theory[:-1]
        ratios = [
            np.mean(found.principal[:, :-1] ** 2, axis=2) / found.theory[:-1] for found in both
        ]
        found = extrapolated(ratios[0], ratios[1], depth, width)
        ax.plot(layers, np.sqrt(width * theory), color=phase.color, label=phase.label)
        # errors of a root: half of those of the square, relative
        ax.errorbar(
            layers,
            np.sqrt(width * theory * found.value),
            0.5 * found.error / found.value * np.sqrt(width * theory * found.value),
            color=phase.color,
            fmt=phase.marker,
            mec=BLACK,
            mew=0.5,
        )
        for layer in range(1, depth, 2):
            one = extrapolated(ratios[0][:, layer - 1], ratios[1][:, layer - 1], depth, width)
            comparisons.append(
                one.compare(
                    f"mean squared curvature over theory at h^{layer}, "
                    f"σ_w = {phase.ensemble.sigma_w:.4g}",
                    1.0,
                )
            )
        point = mf.fixed_point(phase.ensemble)
        rows.append((phase.name, f"{point.chi_1:.4f}", f"{point.chi_2:.4f}"))
    ax.set(
        xlabel=r"layer $l$ (of $L = " + str(depth) + "$)",
        ylabel=r"$\sqrt{N}\,\times$ root mean square curvature",
        yscale="log",
        title=rf"tanh, Gaussian weights, $\sigma_b = {_SIGMA_B:g}$",
        xticks=layers,
    )
    ax.legend()
    return Figure(
        key="a",
        title="Root mean square curvature by layer",
        drawing=figure,
        caption=(
            "Lines, theory; marks, networks with one standard error, extrapolated to infinite "
            f"width from {n_points} points of width {width} and {2 * n_points} of width "
            f"{width // 2}, each on the boundary of a network of its own. In h^{depth} the "
            "boundary is a plane."
        ),
        description="Curvature falls towards the last layer, steepest in the chaotic phase.",
        comparisons=comparisons,
        tables=[Table("Theory", ("phase", "χ_1", "χ_2"), rows)],
    )


def _cloud(settings: Settings) -> Figure:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    width, depth, n_points = settings.size(200, 32), settings.size(8, 4), settings.size(12, 4)
    figure, ax = canvas()
    chaotic = _phases()[2]
    found = _boundaries(settings, "cloud", chaotic.ensemble, width, depth, n_points)
    levels = (2.5, 16.0, 50.0, 84.0, 97.5)
    pooled = found.principal.transpose(1, 0, 2).reshape(depth, -1)
    shares = np.percentile(pooled, levels, axis=1)
    layers = np.arange(1, depth + 1)
    outer = ax.fill_between(layers, shares[0], shares[4], color=VERMILLION, alpha=0.2, lw=0)
    inner = ax.fill_between(layers, shares[1], shares[3], color=VERMILLION, alpha=0.4, lw=0)
    ends = found.principal[:, :, [0, -1]]
    random = np.random.default_rng(0)
    shift = random.uniform(-0.12, 0.12, ends.shape)
    (marks,) = ax.plot(
        (layers[None, :, None] + shift).ravel(),
        ends.ravel(),
        "o",
        color=BLACK,
        markersize=2.5,
        alpha=0.6,
    )
    rms = np.sqrt(found.theory)
    (line,) = ax.plot(layers, rms, "--", color=BLUE)
    ax.plot(layers, -rms, "--", color=BLUE)
    ticks = [s * t for t in (0.1, 1.0, 10.0, 100.0) for s in (-1, 1) if t < 2 * ends.max()] + [0.0]
    ax.set_yscale("asinh", linear_width=0.05)
    ax.yaxis.set_major_locator(FixedLocator(sorted(ticks)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "\u2212")))
    ax.set(
        xlabel=r"layer $l$",
        ylabel="principal curvature",
        title=rf"tanh, $\sigma_w = 4$, $\sigma_b = {_SIGMA_B:g}$, $N = {width}$",
        xticks=layers,
        ylim=(-3.0 * np.abs(ends).max(), 12.0 * np.abs(ends).max()),
    )
    ax.legend(
        [marks, outer, inner, line],
        ["extremes of a point", "95 % of all", "68 % of all", "± r.m.s., theory"],
        loc="upper right",
        ncols=2,
    )
    rows = [
        (
            f"h^{layer}",
            f"{pooled[layer - 1].min():.3g}",
            f"{pooled[layer - 1].max():.3g}",
            f"{np.sqrt(found.mean_square[layer - 1]):.4g}",
            f"{rms[layer - 1]:.4g}",
        )
        for layer in layers
    ]
    return Figure(
        key="b",
        title="All principal curvatures by layer",
        drawing=figure,
        caption=(
            f"The {width - 1} principal curvatures at each of {n_points} points, in the chaotic "
            "phase; the axis is linear near 0 and logarithmic beyond ±0.05. Unit: 1 / (unit of h). "
            f"The sphere of typical inputs has the curvature {1 / np.sqrt(width * found.q):.3f}."
        ),
        description="A band of curvatures of both signs that shrinks from h^1 to 0 in the last.",
        tables=[Table("Curvatures", ("layer", "least", "largest", "r.m.s.", "theory"), rows)],
    )


def _values(found: BoundaryCurvature, index: int, h: Array) -> Array:
    """Return G - level of the network of a point at inputs h (width, n)."""
    weights, biases, readout = found.network(index)
    for w, b in zip(weights, biases, strict=True):
        h = w @ np.tanh(h) + b[:, None]
    values: Array = readout @ h - found.level[index]
    return values


def _sections(settings: Settings) -> Figure:
    from matplotlib.figure import Figure as Drawing

    width, depth = settings.size(100, 24), settings.size(6, 4)
    figure = Drawing(figsize=(9.6, 3.7), layout="constrained")
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    random = np.random.default_rng(settings.seed_for("10 planes"))
    for ax, phase in zip(figure.subplots(1, 3, sharey=True), _phases(), strict=True):
        found = _boundaries(settings, "section", phase.ensemble, width, depth, 2)
        # the plane of the point and a random direction, in units of the length of the inputs
        first = found.points[0] / np.linalg.norm(found.points[0])
        other = random.standard_normal(width)
        other -= (other @ first) * first
        other /= np.linalg.norm(other)
        size = np.sqrt(width * found.q)
        n = settings.size(281 if phase.name == "chaotic" else 121, 41)
        side = np.linspace(-1.5, 1.5, n)
        x, y = np.meshgrid(side, side)
        plane = size * (np.outer(first, x.ravel()) + np.outer(other, y.ravel()))
        values = _values(found, 0, plane).reshape(n, n)
        low, high = min(values.min(), -1e-9), max(values.max(), 1e-9)
        ax.contourf(side, side, values, [low, 0.0, high], colors=["#dfe9f2", "#fbe3d3"])
        ax.contour(side, side, values, [0.0], colors=[phase.color], linewidths=1.2)
        ax.plot(np.cos(angle), np.sin(angle), ":", color=GREY, linewidth=1.0)
        ax.plot(np.linalg.norm(found.points[0]) / size, 0.0, "o", color=BLACK, markersize=5.0)
        ax.set(
            title=phase.label,
            xlabel=r"along the point / $\sqrt{N q^*}$",
            aspect="equal",
            xticks=[-1, 0, 1],
            yticks=[-1, 0, 1],
        )
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(r"random direction / $\sqrt{N q^*}$")
    return Figure(
        key="c",
        title="Sections of the boundary",
        drawing=figure,
        caption=(
            "The two sides of the boundary of one network in the space of h^1, in the plane of a "
            "point found on it (dot) and a random direction; dotted, the length of typical inputs. "
            f"tanh, N = {width}, L = {depth}."
        ),
        description=(
            "Three plane sections: one smooth line in the ordered phase and at criticality, many "
            "folds and islands in the chaotic phase."
        ),
        wide=True,
    )
