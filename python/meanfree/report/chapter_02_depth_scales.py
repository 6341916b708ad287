"""Chapter 2: the correlation map, simulated trajectories, and the two depth scales."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import meanfree as mf
from meanfree.report.comparison import Comparison
from meanfree.report.depth_fit import fit_depth_scale
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.finite_width import SOURCE, finite_width
from meanfree.report.simulation import Pair, simulate_pair, theory_of_pair
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, VERMILLION, canvas

TITLE = "The correlation map and the two depth scales"
NEEDS: tuple[str, ...] = ()
TEXT = """
Two inputs of equal length whose pre-activations have the correlation c leave a layer of a wide
random network with the correlation

    C(c) = (σ_w² E[φ(u_1) φ(u_2)] + σ_b²) / q*,
    u_1 = √q* z_1,   u_2 = √q* (c z_1 + √(1 - c²) z_2).

C(1) = 1 always; its slope there is χ_1. Where χ_1 > 1 identical inputs are an unstable fixed point
and all pairs move to c* < 1: chaos. Both q and c approach their fixed points exponentially, over

    ξ_q = -1 / ln V′(q*),   ξ_c = -1 / ln C′(c*)

layers. ξ_c diverges on the critical line: only there can information about the inputs travel to
any depth.

Source: Poole et al. (2016), correlation map; Schoenholz et al. (2017), depth scales.
"""

_SIGMA_B = 0.3
_NETWORKS = ((1.3, BLUE, "o"), (2.5, VERMILLION, "s"), (4.0, GREEN, "^"))  # sigma_w


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the map, the trajectories of q and of c, and the depth scales."""
    yield _correlation_map(settings)
    yield _lengths(settings)
    yield _correlations(settings)
    yield _depth_scales(settings)


def _ensemble(sigma_w: float) -> Any:
    return mf.Ensemble("tanh", sigma_w, _SIGMA_B)


def _sizes(settings: Settings) -> tuple[int, int]:
    """Return width and number of networks: bias / error is about sqrt(n_samples / width)."""
    return settings.size(4000, 1000), settings.size(128, 32)


def _simulate(
    settings: Settings, label: str, ensemble: Any, depth: int, *, q: float, c: float
) -> Pair:
    width, n_samples = _sizes(settings)
    return simulate_pair(
        settings, f"2 {label}", ensemble, width, depth, q=q, delta=1.0 - c, n_samples=n_samples
    )


def _networks_drawn(settings: Settings) -> str:
    width, n_samples = _sizes(settings)
    return (
        f"{n_samples} networks of width {width}; error bars (one standard "
        "error) are smaller than the marks"
    )


def _correlation_map(settings: Settings) -> Figure:
    width, n_samples = _sizes(settings)
    figure, ax = canvas()
    c = np.linspace(0.0, 1.0, settings.size(201, 41))
    ax.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.0)
    comparisons, rows = [], []
    for sigma_w, color, marker in _NETWORKS:
        ensemble = _ensemble(sigma_w)
        point = mf.fixed_point(ensemble)
        ax.plot(
            c,
            mf.correlation_map(ensemble, c),
            color=color,
            marker=marker,
            markevery=[0],
            label=rf"$\sigma_w = {sigma_w:g}$, $c^* = {point.c:.3f}$",
        )
        ax.plot(point.c, point.c, "o", color="white", markeredgecolor=color, markersize=9)
        for start in (0.0, 0.3, 0.6, 0.9):
            sample = _simulate(settings, f"map {sigma_w} {start}", ensemble, 2, q=point.q, c=start)
            bound = finite_width(ensemble, width, 2, q=point.q, delta=1 - start).c_bound[1]
            comparisons.append(
                Comparison(
                    f"C({start:g}), σ_w = {sigma_w:g}",
                    float(mf.correlation_map(ensemble, start)),
                    float(sample.c[1]),
                    float(sample.c_error[1]),
                    float(bound),
                    SOURCE,
                    n_samples,
                )
            )
            ax.errorbar(start, sample.c[1], sample.c_error[1], color=color, fmt=marker)
        rows.append(
            (
                f"{sigma_w:g}",
                f"{point.q:.6f}",
                f"{point.c:.6f}",
                f"{point.chi_1:.6f}",
                f"{point.xi_q:.4f}",
                f"{point.xi_c:.4f}",
            )
        )
    ax.set(
        xlabel=r"correlation $c$ of two inputs at one layer",
        ylabel=r"$\mathcal{C}(c)$, correlation at the next",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.04),
        title=rf"tanh, $\sigma_b = {_SIGMA_B:g}$",
    )
    ax.legend(loc="lower right")
    return Figure(
        key="a",
        title="Correlation map of tanh",
        drawing=figure,
        caption=(
            f"Lines, theory; marks, {_networks_drawn(settings)}. Rings: the stable fixed points, "
            "where a line crosses the diagonal from above."
        ),
        description="C(c) of tanh for sigma_w 1.3, 2.5 and 4.0 with simulated points on the lines.",
        comparisons=comparisons,
        tables=[
            Table("Fixed points, σ_b = 0.3", ("σ_w", "q*", "c*", "χ₁", "ξ_q", "ξ_c"), rows),
        ],
    )


def _lengths(settings: Settings) -> Figure:
    width, n_samples = _sizes(settings)
    depth = 8
    layers = np.arange(1, depth + 1)
    figure, ax = canvas()
    comparisons = []
    for sigma_w, color, marker in _NETWORKS:
        ensemble = _ensemble(sigma_w)
        q_star = mf.fixed_point(ensemble).q
        for start in (0.03, 40.0):
            theory, _ = theory_of_pair(ensemble, depth, q=start, delta=1.0)
            sample = _simulate(settings, f"q {sigma_w} {start}", ensemble, depth, q=start, c=0.0)
            bound = finite_width(ensemble, width, depth, q=start).q_bound
            ax.plot(layers, theory, color=color)
            ax.errorbar(layers, sample.q, sample.q_error, color=color, fmt=marker)
            comparisons += [
                Comparison(
                    f"q at layer {layer} from {start:g}, σ_w = {sigma_w:g}",
                    float(theory[layer - 1]),
                    float(sample.q[layer - 1]),
                    float(sample.q_error[layer - 1]),
                    float(bound[layer - 1]),
                    SOURCE,
                    n_samples,
                )
                for layer in (2, 4, 8)
            ]
        ax.plot(layers[[0, -1]], [q_star] * 2, ":", color=color, linewidth=1.0)
        ax.annotate(
            rf"$\sigma_w = {sigma_w:g}$",
            (depth, q_star),
            (6, -3),
            textcoords="offset points",
            color=color,
            annotation_clip=False,
        )
    ax.set(
        xlabel="layer $l$",
        ylabel=r"mean squared pre-activation $q^l$",
        yscale="log",
        xlim=(0.8, depth + 1.6),
        title=rf"tanh, $\sigma_b = {_SIGMA_B:g}$",
    )
    ax.set_xticks(layers)
    return Figure(
        key="b",
        title="Lengths reach q*",
        drawing=figure,
        caption=(
            "From q^1 = 0.03 and q^1 = 40 the length reaches q* (dotted) within a few layers. "
            f"Lines, theory; marks, {_networks_drawn(settings)}."
        ),
        description="q against layer, theory lines through simulated marks, three sigma_w.",
        comparisons=comparisons,
    )


def _correlations(settings: Settings) -> Figure:
    width, n_samples = _sizes(settings)
    depth = 30
    layers = np.arange(1, depth + 1)
    figure, ax = canvas()
    comparisons = []
    for sigma_w, color, marker in _NETWORKS:
        ensemble = _ensemble(sigma_w)
        point = mf.fixed_point(ensemble)
        for start in (0.02, 0.95):
            _, delta = theory_of_pair(ensemble, depth, q=point.q, delta=1.0 - start)
            theory = 1.0 - delta
            sample = _simulate(
                settings, f"c {sigma_w} {start}", ensemble, depth, q=point.q, c=start
            )
            finite = finite_width(ensemble, width, depth, q=point.q, delta=1 - start)
            ax.plot(layers, theory, color=color)
            ax.errorbar(layers, sample.c, sample.c_error, color=color, fmt=marker, markersize=3.5)
            comparisons += [
                Comparison(
                    f"c at layer {layer} from {start:g}, σ_w = {sigma_w:g}",
                    float(theory[layer - 1]),
                    float(sample.c[layer - 1]),
                    float(sample.c_error[layer - 1]),
                    float(finite.c_bound[layer - 1]),
                    SOURCE,
                    n_samples,
                )
                for layer in (3, 8, 30)
            ]
        ax.annotate(
            rf"$\sigma_w = {sigma_w:g}$",
            (depth, point.c),
            (7, {1.3: -4.0, 2.5: 0.0, 4.0: -7.0}[sigma_w]),
            textcoords="offset points",
            color=color,
            annotation_clip=False,
        )
    ax.set(
        xlabel="layer $l$",
        ylabel=r"correlation $c^l$",
        xlim=(0.0, depth + 6.0),
        ylim=(-0.03, 1.04),
        title=rf"tanh, $\sigma_b = {_SIGMA_B:g}$",
    )
    return Figure(
        key="c",
        title="Correlations reach c*",
        drawing=figure,
        caption=(
            "In the ordered phase (σ_w = 1.3) all inputs become alike, in the chaotic one even "
            "like inputs become unlike; the input is forgotten either way. Lines, theory; "
            f"marks, {_networks_drawn(settings)}."
        ),
        description="c against layer from two starts for three sigma_w, theory through the marks.",
        comparisons=comparisons,
    )


_XI_Q = (0.7, 1.0, 1.3, 1.6, 2.0)
_XI_C = (0.7, 1.0, 1.2, 1.3, 1.6, 2.0, 2.5, 3.2)


def _depth_scales(settings: Settings) -> Figure:
    figure, ax = canvas()
    sigma_w = np.linspace(0.5, 3.5, settings.size(301, 61))
    diagram = mf.phase_diagram(
        "tanh", sigma_w, np.array([_SIGMA_B]), n_threads=settings.n_threads, progress=False
    )
    border = mf.critical("tanh", _SIGMA_B).sigma_w
    xi_c = np.array(diagram.xi_c[:, 0])
    ax.axvline(border, linestyle=":", color=GREY, linewidth=1.0)
    ax.annotate(
        r"critical: $\xi_c=\infty$", (border, 130), (6, 0), textcoords="offset points", va="center"
    )
    ax.plot(sigma_w, xi_c, color=BLUE)
    ax.plot(sigma_w, diagram.xi_q[:, 0], color=VERMILLION)
    ax.text(2.6, 5.6, r"$\xi_c$: correlations", color=BLUE, fontweight="bold")
    ax.text(2.35, 0.87, r"$\xi_q$: lengths", color=VERMILLION, fontweight="bold")
    comparisons, rows = [], []
    for quantity, places, color, marker in (
        ("q", _XI_Q, VERMILLION, "s"),
        ("c", _XI_C, BLUE, "o"),
    ):
        for place in places if not settings.small else places[::3]:
            ensemble = _ensemble(place)
            point = mf.fixed_point(ensemble)
            fit = fit_depth_scale(settings, ensemble, quantity)
            exact = point.xi_q if quantity == "q" else point.xi_c
            ax.errorbar(
                place, fit.estimate, fit.standard_error, color=color, fmt=marker, mec=BLACK, mew=0.5
            )
            comparisons.append(
                Comparison(
                    f"ξ_{quantity} fitted on layers {fit.first} to {fit.last}, σ_w = {place:g}",
                    fit.theory,
                    fit.estimate,
                    fit.standard_error,
                    fit.bound,
                    f"{SOURCE}, carried through the fit",
                    fit.n_batches,
                )
            )
            rows.append((f"ξ_{quantity}, σ_w = {place:g}", f"{exact:.4f}", f"{fit.theory:.4f}"))
    ax.set(
        xlabel=r"$\sigma_w$",
        ylabel="depth scale (layers)",
        yscale="log",
        xlim=(0.5, 3.5),
        ylim=(0.3, 200.0),
        title=rf"tanh, $\sigma_b = {_SIGMA_B:g}$",
    )
    ax.set_yticks([0.3, 1, 3, 10, 30, 100], ["0.3", "1", "3", "10", "30", "100"])
    ax.minorticks_off()
    return Figure(
        key="d",
        title="Depth scales ξ_q and ξ_c",
        drawing=figure,
        caption=(
            "Lines, theory. Marks, simulated: least-squares line through ln |q^l - q*| from q^1 = "
            "1.1 q*, or through ln |c^l - c*| from c^1 close to c*, over the layers where the "
            "distance is 8 times the noise; mean and standard error over independent batches of "
            "networks. The theory of a comparison is the same fit to the theory's trajectory; the "
            "table sets it beside the asymptotic value."
        ),
        description="xi_q and xi_c against sigma_w; xi_c diverges at the critical sigma_w.",
        comparisons=comparisons,
        tables=[Table("Asymptotic and fitted theory", ("scale", "asymptotic", "fitted"), rows)],
    )
