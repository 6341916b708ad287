"""Chapter 8: a circle through the layers: its length, curvature, correlations and shape."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import meanfree as mf
from meanfree.manifold import propagate_curve
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.spectra import SOURCE, Estimate, extrapolated
from meanfree.report.style import BLUE, GREEN, GREY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble

    Array = NDArray[np.float64]

TITLE = "A circle through the layers"
NEEDS: tuple[str, ...] = ()
TEXT = """
A circle h^1(θ) of inputs becomes a closed curve h^l(θ) in the N dimensions of layer l. With the
squared speed N g = |dh/dθ|² and the curvature κ of the curve, in the limit of wide layers

    g^{l+1} = χ_1 g^l,   N κ²_{l+1} = 3 χ_2 / χ_1² + N κ²_l / χ_1,
    χ_1 = σ_w² E[φ′²],   χ_2 = σ_w² E[φ″²].

Every layer stretches the curve by √χ_1 and bends it by its own χ_2; stretching straightens old
bends. So in the chaotic phase the curvature settles while the length grows: the curve turns at a
fixed rate per unit of an exponentially growing length. The angle through which its tangent turns in
total, the Grassmannian length

    L^G = ∫ κ |dh/dθ| dθ,

grows like χ_1^{l/2} with the depth l. In the ordered phase the curve contracts to a point, and the
total angle stays finite, but above the 2π of the circle; on the critical line it grows like √l.

Source: Poole et al. (2016), Riemannian geometry of curves; transient chaos.
"""

_SIGMA_B = 0.3
_DEPTH = 10
_FIELDS = {
    "euclidean_length": (r"length $\mathcal{L}^E / \sqrt{N}$", "L^E / √N"),
    "curvature_squared": (r"squared curvature $N \kappa^2$", "N κ²"),
    "grassmannian_length": (r"Grassmannian length $\mathcal{L}^G$", "L^G"),
    "metric": ("", "g"),
}


@dataclass(frozen=True, eq=False)
class _Phase:
    """An ensemble, and how it is named and drawn."""

    name: str
    ensemble: Ensemble
    color: str
    marker: str

    @property
    def label(self) -> str:
        """For a legend."""
        return rf"{self.name}, $\sigma_w = {self.ensemble.sigma_w:.4g}$"


def run(settings: Settings) -> Iterator[Figure]:
    """Yield lengths and curvature by layer, the autocorrelation, and pictures of the circle."""
    phases = (
        _Phase("ordered", mf.Ensemble("tanh", 0.8, _SIGMA_B), BLUE, "o"),
        _Phase("critical", mf.critical("tanh", _SIGMA_B), GREEN, "^"),
        _Phase("chaotic", mf.Ensemble("tanh", 2.5, _SIGMA_B), VERMILLION, "s"),
    )
    yield _geometry(settings, phases)
    yield _autocorrelation(settings, phases)
    yield _pictures(settings, phases)


def _figure(width: float, height: float) -> Drawing:
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width, height), layout="constrained")


# --- length, curvature, Gauss map ----------------------------------------------------------------


def _simulate(settings: Settings, phase: _Phase) -> dict[str, Estimate]:
    """Return the fields at infinite width, from networks of two widths."""
    width, n_samples = _sizes(settings)
    wide, narrow = (
        mf.simulate_circle(
            phase.ensemble,
            n,
            _DEPTH,
            n_angles=settings.size(48, 32),
            n_samples=many,
            seed=settings.seed_for(f"8a {phase.name} {n}"),
            n_threads=settings.n_threads,
            progress=False,
        )
        for n, many in ((width, n_samples), (width // 2, 2 * n_samples))
    )
    return {
        field: extrapolated(
            getattr(wide, f"{field}_samples"), getattr(narrow, f"{field}_samples"), _DEPTH, width
        )
        for field in _FIELDS
    }


def _sizes(settings: Settings) -> tuple[int, int]:
    """Return width and number of networks of that width; there are twice as many of half of it."""
    return settings.size(600, 160), settings.size(32, 16)


def _drawn(settings: Settings) -> str:
    width, n_samples = _sizes(settings)
    return (
        f"{n_samples} networks of width {width} and {2 * n_samples} of width {width // 2}, "
        "extrapolated to infinite width, with one standard error"
    )


def _geometry(settings: Settings, phases: tuple[_Phase, ...]) -> Figure:
    figure = _figure(9.6, 3.5)
    panels = figure.subplots(1, 3)
    layers = np.arange(1, _DEPTH + 1)
    comparisons, rows = [], []
    for phase in phases:
        theory = mf.circle_theory(phase.ensemble, _DEPTH)
        found = _simulate(settings, phase)
        for ax, (field, (label, _)) in zip(panels, _FIELDS.items(), strict=False):
            estimate = found[field]
            ax.plot(layers, getattr(theory, field), color=phase.color)
            ax.errorbar(
                layers,
                estimate.value,
                estimate.error,
                fmt=phase.marker,
                color=phase.color,
                label=phase.label,
            )
            ax.set(xlabel=r"layer $l$", ylabel=label, yscale="log", xticks=[1, 4, 7, 10])
        for layer in (2, 5, _DEPTH):
            comparisons += [
                _compare(
                    f"{symbol} in layer {layer}, {phase.name}",
                    float(getattr(theory, field)[layer - 1]),
                    found[field],
                    (layer - 1,),
                )
                for field, (_, symbol) in _FIELDS.items()
            ]
        rows.append(_limits(phase))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return Figure(
        key="a",
        title="Length and curvature by layer",
        drawing=figure,
        caption=f"tanh, σ_b = {_SIGMA_B:g}. Lines, theory; marks, {_drawn(settings)}.",
        description=(
            "Length, squared curvature and Grassmannian length of a circle against the layer, in "
            "the ordered, critical and chaotic phase; simulated networks lie on the theory."
        ),
        comparisons=comparisons,
        tables=[
            Table(
                "Theory, deep in the network",
                ("phase", "χ_1", "L^E a layer", "N κ² tends to", "L^G"),
                rows,
            )
        ],
        wide=True,
    )


def _compare(quantity: str, theory: float, found: Estimate, place: tuple[int, ...]) -> Comparison:
    return Comparison(
        quantity,
        theory,
        float(found.value[place]),
        float(found.error[place]),
        float(found.bound[place]),
        SOURCE,
        found.n_samples,
    )


def _limits(phase: _Phase) -> tuple[str, ...]:
    point = mf.fixed_point(phase.ensemble)
    r = point.chi_1
    bend = 3 * point.chi_2 / r
    if point.phase == "chaotic":
        curvature, turn = f"{bend / (r - 1):.4f}", f"grows by {np.sqrt(r):.4f} a layer"
    elif point.phase == "critical":
        curvature, turn = "∞, like l", f"2π √(1 + {bend * point.q:.4f} (l - 1))"
    else:
        top = 2 * np.pi * np.sqrt(1 + bend * point.q / (1 - r))
        curvature, turn = "∞, like χ_1^{-l}", f"tends to {top:.4f}"
    return phase.name, f"{r:.6f}", f"times {np.sqrt(r):.4f}", curvature, turn


# --- the autocorrelation -------------------------------------------------------------------------

_N_ANGLES = 64
_SHOWN = (1, 2, 4, 7, 10)


def _measured(settings: Settings, phase: _Phase, width: int, n_samples: int) -> Array:
    """Return c^l(angle) of each network, averaged around the circle, (n, depth, 1 + angles / 2)."""
    q = mf.fixed_point(phase.ensemble).q
    angle = 2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES
    circle = np.sqrt(width * q) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    index = (np.arange(_N_ANGLES)[:, None] + np.arange(_N_ANGLES // 2 + 1)) % _N_ANGLES

    def one(sample: int) -> Array:
        h = propagate_curve(
            phase.ensemble,
            circle,
            _DEPTH,
            width=width,
            seed=settings.seed_for(f"8b {phase.name} {width} {sample}"),
            start="preactivation",
            method="auto",
        )
        unit = h / np.linalg.norm(h, axis=2, keepdims=True)
        products = unit @ unit.transpose(0, 2, 1)
        mean: Array = products[:, np.arange(_N_ANGLES)[:, None], index].mean(axis=1)
        return mean

    with ThreadPoolExecutor(settings.n_threads) as pool:
        return np.stack(list(pool.map(one, range(n_samples))))


def _autocorrelation(settings: Settings, phases: tuple[_Phase, ...]) -> Figure:
    from matplotlib import colormaps

    figure = _figure(9.6, 3.7)
    width, n_samples = _sizes(settings)
    angle = np.linspace(0, np.pi, 181)
    at = np.pi * np.arange(_N_ANGLES // 2 + 1) / (_N_ANGLES // 2)
    comparisons = []
    for ax, phase in zip(figure.subplots(1, 3, sharey=True), phases, strict=True):
        theory = mf.circle_autocorrelation(phase.ensemble, angle, _DEPTH)
        expected = mf.circle_autocorrelation(phase.ensemble, at, _DEPTH)
        found = extrapolated(
            _measured(settings, phase, width, n_samples),
            _measured(settings, phase, width // 2, 2 * n_samples),
            _DEPTH,
            width,
        )
        for number, layer in enumerate(_SHOWN):
            color = colormaps["viridis"](0.9 * number / (len(_SHOWN) - 1))
            ax.plot(angle / np.pi, theory[layer - 1], color=color, label=f"layer {layer}")
            ax.errorbar(
                at[::4] / np.pi,
                found.value[layer - 1, ::4],
                found.error[layer - 1, ::4],
                fmt="o",
                color=color,
                markersize=3.5,
            )
        ax.axhline(mf.fixed_point(phase.ensemble).c, color=GREY, linewidth=1.0, linestyle=":")
        ax.set(xlabel=r"angle $/\,\pi$", title=phase.label)
        for layer in (2, _DEPTH):
            comparisons += [
                _compare(
                    f"c at angle {name}, layer {layer}, {phase.name}",
                    float(expected[layer - 1, i]),
                    found,
                    (layer - 1, i),
                )
                for name, i in (("π/16", 2), ("π/4", 8), ("π", 32))
            ]
    figure.axes[0].set(ylabel=r"$c^l$ of two points of the circle")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(_SHOWN))
    return Figure(
        key="b",
        title="Correlation along the circle",
        drawing=figure,
        caption=(
            "Correlation of two points against the angle between them on the circle. Lines, the "
            f"correlation map applied l - 1 times to cos; marks, {_drawn(settings)}. Dotted: c*."
        ),
        description=(
            "Autocorrelation of the image of a circle: it goes to 1 everywhere in the ordered "
            "phase, and narrows to a peak at angle 0 above c* in the chaotic one."
        ),
        comparisons=comparisons,
        wide=True,
    )


# --- pictures ------------------------------------------------------------------------------------

_PICTURED = (1, 3, 6, 10)


def _pictures(settings: Settings, phases: tuple[_Phase, ...]) -> Figure:
    width, n_angles = settings.size(500, 100), settings.size(600, 120)
    angle = 2 * np.pi * np.arange(n_angles) / n_angles
    figure = _figure(9.6, 7.4)
    rows = []
    for row, phase in enumerate(phases):
        radius = np.sqrt(width * mf.fixed_point(phase.ensemble).q)
        images = propagate_curve(
            phase.ensemble,
            radius * np.stack([np.cos(angle), np.sin(angle)], axis=1),
            _DEPTH,
            width=width,
            seed=settings.seed_for("8c"),
            start="preactivation",
        )
        shares = []
        for column, layer in enumerate(_PICTURED):
            ax: Any = figure.add_subplot(
                len(phases), len(_PICTURED), row * len(_PICTURED) + column + 1, projection="3d"
            )
            shares.append(_draw(ax, images[layer - 1] / np.sqrt(width), angle))
            if row == 0:
                ax.set_title(f"layer {layer}")
            if column == 0:
                ax.text2D(
                    -0.05, 0.5, phase.label, transform=ax.transAxes, rotation=90, va="center",
                    ha="right", color=phase.color, fontweight="bold",
                )  # fmt: skip
        rows.append((phase.name, *(f"{100 * share:.1f} %" for share in shares)))
    return Figure(
        key="c",
        title="The circle in three principal components",
        drawing=figure,
        caption=(
            f"One network of width {width} for each row, {n_angles} angles, coloured by the angle. "
            "Axes: the first three principal components of the curve over √N, on a scale "
            "of its own in each box, whose half edge is written below it."
        ),
        description=(
            "The circle stays a small ring in the ordered phase and becomes a tangle in the "
            "chaotic one."
        ),
        tables=[
            Table(
                "Share of the variance along the curve in these three components",
                ("phase", *(f"layer {layer}" for layer in _PICTURED)),
                rows,
            )
        ],
        remark="one network a row",
        wide=True,
    )


def _draw(ax: Any, points: Array, angle: Array) -> float:
    """Draw a curve (n, N) in its principal components; return their share of the variance."""
    from matplotlib.colors import hsv_to_rgb
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    centred = points - points.mean(axis=0)
    # a quarter of the points shows the same directions as all of them
    _, size, rows = np.linalg.svd(centred[::4], full_matrices=False)
    axes = rows[:3] * np.sign(rows[np.arange(3), np.argmax(np.abs(rows[:3]), axis=1)])[:, None]
    xyz = centred @ axes.T
    closed = np.concatenate([xyz, xyz[:1]])
    segments = np.stack([closed[:-1], closed[1:]], axis=1)
    turn = angle / (2 * np.pi)
    colors = hsv_to_rgb(np.stack([turn, 0.0 * turn + 0.9, 0.0 * turn + 0.75], axis=1))
    ax.add_collection3d(Line3DCollection(segments, colors=colors, linewidths=1.3))
    half = 1.05 * np.abs(xyz).max()
    ax.set(
        xlim=(-half, half), ylim=(-half, half), zlim=(-half, half),
        xticklabels=[], yticklabels=[], zticklabels=[],
    )  # fmt: skip
    ax.set_box_aspect((1, 1, 1), zoom=1.15)
    ax.text2D(0.3, -0.04, f"± {half:.2g}", transform=ax.transAxes, ha="center", fontsize=9)
    return float(np.sum(size[:3] ** 2) / np.sum(size**2))
