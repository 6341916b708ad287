"""Chapter 1: the phases of tanh, erf, ReLU and GELU, with Monte Carlo on the critical line."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import meanfree as mf
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.finite_width import SAFETY, SOURCE, finite_width
from meanfree.report.simulation import simulate_pair
from meanfree.report.style import BLACK, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "Two phases and the line between them"
NEEDS: tuple[str, ...] = ()
TEXT = """
A random network with weights W_{ij} ~ N(0, σ_w²/N) and biases b_i ~ N(0, σ_b²) carries the mean
squared pre-activation q from layer to layer by the length map

    q^{l+1} = V(q^l) = σ_w² E[φ(√q^l z)²] + σ_b²,   z ~ N(0, 1),

which settles at its fixed point q*. There two nearby inputs move apart, or together, by

    χ_1 = σ_w² E[φ′(√q* z)²]

per layer (the squared distance), and squared gradients grow, or shrink, by the same factor
backwards. χ_1 < 1 is the ordered phase, χ_1 > 1 the chaotic one; deep networks train near the line
χ_1 = 1. The line is drawn from its exact parametrisation by q,

    σ_w² = 1 / E[φ′²],   σ_b² = q - E[φ²] / E[φ′²],

and counts only where V′(q) < 1, since an unstable q is never reached.

Source: Poole et al. (2016), length map and χ_1; Schoenholz et al. (2017), order to chaos.
"""


@dataclass(frozen=True)
class Panel:
    """What one figure shows: ranges of the map, points of the simulation."""

    key: str
    activation: str
    name: str
    sigma_w: tuple[float, float]
    sigma_b: float  # upper end; the lower one is 0
    points: tuple[tuple[float, float], ...]  # q* is measured here
    critical: tuple[float, ...]  # sigma_b of the points on the critical line
    labels: tuple[tuple[str, float, float], ...]


PANELS = (
    Panel(
        "a",
        "tanh",
        "tanh",
        (0.5, 3.0),
        1.5,
        ((0.9, 0.9), (1.3, 0.3), (2.5, 0.6)),
        (0.1, 0.5, 1.0),
        (("ordered", 0.95, 1.25), ("chaotic", 2.3, 0.2)),
    ),
    Panel(
        "b",
        "erf",
        "erf",
        (0.5, 3.0),
        1.5,
        ((0.8, 0.9), (1.1, 0.3), (2.3, 0.6)),
        (0.1, 0.5, 1.0),
        (("ordered", 0.95, 1.25), ("chaotic", 2.2, 0.2)),
    ),
    Panel(
        "c",
        "relu",
        "ReLU",
        (0.5, 2.0),
        1.5,
        ((0.7, 1.0), (1.0, 0.5), (1.2, 0.8)),
        (0.0,),
        (("ordered", 0.72, 0.12), ("q diverges", 1.72, 0.75)),
    ),
    Panel(
        "d",
        "gelu",
        "GELU",
        (0.5, 2.0),
        1.5,
        ((0.8, 0.9), (1.2, 0.4), (1.35, 0.2)),
        (0.6, 0.9, 1.2),
        (("ordered", 0.72, 0.12), ("q diverges", 1.72, 0.75)),
    ),
)

_DELTA = 1e-8  # 1 - c of the two inputs that measure chi_1
# The factor of a small 1 - c falls below chi_1, by the most where phi has a kink: for critical ReLU
# by (2 sqrt(2) / 3 pi) sqrt(1 - c) a layer.
_CURVED = 2 * 2**0.5 / (3 * np.pi) * _DELTA**0.5
_LAYERS = 5  # h^1 .. h^5: four steps of the distance


def run(settings: Settings) -> Iterator[Figure]:
    """Yield one figure an activation."""
    for panel in PANELS:
        yield _figure(panel, settings)


def _figure(panel: Panel, settings: Settings) -> Figure:
    lengths = [_length(panel, point, settings) for point in panel.points]
    on_line = [mf.critical(panel.activation, sigma_b) for sigma_b in panel.critical]
    slopes = [_slope(panel, ensemble, settings) for ensemble in on_line]
    width, n_samples = _sizes(settings)
    return Figure(
        key=panel.key,
        title=f"Phase diagram of {panel.name}",
        drawing=_draw(panel, on_line, settings),
        caption=(
            "χ_1 at the fixed point, the critical line, and where networks were drawn "
            f"({n_samples} of width {width} each). Discs: q of the last of many layers against q*. "
            f"Diamonds: two inputs with 1 - c = 10^{{-8}} followed for {_LAYERS - 1} layers, the "
            "mean factor of 1 - c a layer against χ_1 = 1." + _REMARKS[panel.activation]
        ),
        description=(
            f"Map of chi_1 of {panel.name} over sigma_w and sigma_b with the critical line "
            "chi_1 = 1 and the points of the simulation."
        ),
        comparisons=[*lengths, *slopes],
        tables=[_table(panel, on_line)],
    )


_REMARKS = {
    "tanh": "",
    "erf": "",
    "relu": (
        " χ_1 = σ_w²/2 for every q, so the critical line shrinks to the point (√2, 0); to the "
        "right of √2, and on it for σ_b > 0, q diverges (hatched)."
    ),
    "gelu": (
        " Dotted: χ_1 = 1 at an unstable q, which no network reaches. Hatched: q diverges from "
        "q = 1."
    ),
}


def _sizes(settings: Settings) -> tuple[int, int]:
    """Return width and number of networks: bias / error is about sqrt(n_samples / width)."""
    return settings.size(4000, 1000), settings.size(128, 32)


def _where(ensemble: Any) -> str:
    return f"σ_w = {ensemble.sigma_w:.6g}, σ_b = {ensemble.sigma_b:g}"


def _length(panel: Panel, point: tuple[float, float], settings: Settings) -> Comparison:
    """Compare q after many layers, from q^1 = 2 q*, with q*."""
    width, n_samples = _sizes(settings)
    ensemble = mf.Ensemble(panel.activation, *point)
    theory = mf.fixed_point(ensemble)
    start = 2.0 * theory.q
    depth = 10 + int(np.ceil(16.0 * theory.xi_q))  # exp(-16) = 1e-7
    sample = simulate_pair(
        settings,
        f"1 length {panel.activation} {point}",
        ensemble,
        width,
        depth,
        q=start,
        delta=1.0,
        n_samples=n_samples,
    )
    return Comparison(
        f"q*, {_where(ensemble)}",
        theory.q,
        float(sample.q[-1]),
        float(sample.q_error[-1]),
        float(finite_width(ensemble, width, depth, q=start).q_bound[-1]) + 1e-6 * theory.q,
        f"{SOURCE}; for q* + 1e-6 q* of the way not yet gone",
        n_samples,
    )


def _slope(panel: Panel, ensemble: Any, settings: Settings) -> Comparison:
    """Compare the mean factor of 1 - c a layer, on the critical line, with chi_1 = 1."""
    width, n_samples = _sizes(settings)
    point = mf.fixed_point(ensemble)
    sample = simulate_pair(
        settings,
        f"1 slope {panel.activation} {ensemble.sigma_b}",
        ensemble,
        width,
        _LAYERS,
        q=point.q,
        delta=_DELTA,
        n_samples=n_samples,
    )
    steps = _LAYERS - 1
    growth = float(sample.delta[-1]) / _DELTA
    measured = growth ** (1 / steps)
    spread = measured / (steps * growth * _DELTA)  # d chi_1 / d delta at the last layer
    bias = finite_width(ensemble, width, _LAYERS, q=point.q, delta=_DELTA).c_bias[-1]
    return Comparison(
        f"χ₁ on the line, {_where(ensemble)}",
        point.chi_1,
        measured,
        spread * float(sample.delta_error[-1]),
        spread * SAFETY * abs(float(bias)) + _CURVED,
        f"{SOURCE}; for χ₁ + {_CURVED:.2g}, the loss of ReLU at 1 - c = {_DELTA:g}",
        n_samples,
    )


def _draw(panel: Panel, on_line: list[Any], settings: Settings) -> Any:
    from matplotlib.colors import TwoSlopeNorm

    figure, ax = canvas()
    sigma_w = np.linspace(*panel.sigma_w, settings.size(101, 21))
    sigma_b = np.linspace(0.0, panel.sigma_b, settings.size(61, 13))
    diagram = mf.phase_diagram(
        panel.activation, sigma_w, sigma_b, n_threads=settings.n_threads, progress=False
    )
    chi_1 = np.ma.masked_invalid(diagram.chi_1)
    image = ax.pcolormesh(
        sigma_w,
        sigma_b,
        chi_1.T,
        cmap="PuOr_r",
        norm=TwoSlopeNorm(1.0, vmin=0.0, vmax=float(max(chi_1.max(), 1.5))),
        shading="gouraud",
        rasterized=True,
    )
    top = 0.5 * np.floor(2.0 * max(chi_1.max(), 1.5))
    figure.colorbar(image, ax=ax, label=r"$\chi_1$", pad=0.02, ticks=np.arange(0.0, top + 0.1, 0.5))
    diverging = np.asarray(diagram.status) == "diverges"
    if diverging.any():
        ax.contourf(
            sigma_w, sigma_b, diverging.T.astype(float), [0.5, 1.5], colors="none", hatches=["///"]
        )
    _draw_line(ax, panel)
    marker: dict[str, Any] = {
        "linestyle": "none",
        "color": "white",
        "markeredgecolor": BLACK,
        "markersize": 6,
        "clip_on": False,
        "zorder": 5,
    }
    on_axis = np.array([(item.sigma_w, item.sigma_b) for item in on_line])
    ax.plot(*np.array(panel.points).T, marker="o", label=r"simulated: $q^*$", **marker)
    ax.plot(*on_axis.T, marker="D", label=r"simulated: $\chi_1$ on the line", **marker)
    figure.legend(loc="outside lower center", ncols=2)
    for text, x, y in panel.labels:
        ax.text(
            x, y, text, ha="center", va="center", fontsize=11,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2.0},
        )  # fmt: skip
    ax.set(
        xlabel=r"$\sigma_w$  (weights: standard deviation $\sigma_w/\sqrt{N}$)",
        ylabel=r"$\sigma_b$  (biases)",
        xlim=panel.sigma_w,
        ylim=(0.0, panel.sigma_b),
        title=panel.name,
    )
    return figure


def _draw_line(ax: Axes, panel: Panel) -> None:
    if panel.activation == "relu":
        ax.plot([np.sqrt(2)] * 2, [0, panel.sigma_b], ":", color=BLACK)
        ax.annotate(
            r"critical point $(\sqrt{2},\,0)$",
            (np.sqrt(2), 0.0),
            (-14, 36),
            textcoords="offset points",
            ha="right",
            arrowprops={"arrowstyle": "-", "shrinkB": 6},
        )
        return
    line = mf.critical_line(panel.activation, q=np.geomspace(1e-4, 1e4, 800))
    line_w, line_b = np.asarray(line.sigma_w), np.asarray(line.sigma_b)
    stable, shown = np.asarray(line.stable), np.isfinite(line_b)
    ax.plot(
        np.where(stable & shown, line_w, np.nan),
        np.where(stable & shown, line_b, np.nan),
        color=BLACK,
        linewidth=2.2,
    )
    if (shown & ~stable).any():
        ax.plot(
            np.where(~stable & shown, line_w, np.nan),
            np.where(~stable & shown, line_b, np.nan),
            ":",
            color=BLACK,
        )
    inside = np.flatnonzero(stable & shown & (line_b < 0.87 * panel.sigma_b))
    if inside.size:
        at = inside[np.argmax(line_b[inside])]
        ax.annotate(
            r"$\chi_1 = 1$",
            (line_w[at], line_b[at]),
            (-8 if panel.activation == "gelu" else 10, -2),
            textcoords="offset points",
            ha="right" if panel.activation == "gelu" else "left",
            fontsize=11,
        )


def _table(panel: Panel, on_line: list[Any]) -> Table:
    rows = []
    for ensemble in [*(mf.Ensemble(panel.activation, *point) for point in panel.points), *on_line]:
        point = mf.fixed_point(ensemble)
        rows.append(
            (
                f"{ensemble.sigma_w:.6g}, {ensemble.sigma_b:g}",
                f"{point.q:.6g}",
                f"{point.chi_1:.6f}",
                f"{point.xi_q:.4g}",
                f"{point.xi_c:.4g}",
                point.phase,
            )
        )
    return Table("Theory at the points", ("σ_w, σ_b", "q*", "χ₁", "ξ_q", "ξ_c", "phase"), rows)
