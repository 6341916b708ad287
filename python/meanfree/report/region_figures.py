"""Figures of chapter 9 on pieces of piecewise linear networks: saw-teeth and linear regions."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf
from meanfree.manifold import linear_regions, sawtooth
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.regions import borders_of_theory, count_borders
from meanfree.report.shallow import (
    CONSTANT,
    fitted_sawtooth,
    least_error,
    partial_sawtooth,
    rms_error,
)
from meanfree.report.spectra import SAFETY, SOURCE, extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, PURPLE, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble

    Array = NDArray[np.float64]


def canvases(width: float, height: float) -> tuple[Drawing, tuple[Axes, Axes]]:
    """Return a new figure without pyplot and its two axes, side by side."""
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(width, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    return figure, (left, right)


def slope_of(x: Array, y: Array) -> Array:
    """Return the least-squares slopes of y, (..., n), over x, (n,)."""
    centred = x - x.mean()
    slopes: Array = y @ (centred / (centred @ centred))
    return slopes


def teeth(settings: Settings) -> Figure:
    """Draw the saw-tooth beside what one layer of as many units can do."""
    figure, (left, right) = canvases(8.4, 3.6)
    random = np.random.default_rng(settings.seed_for("9 teeth"))
    shown = settings.size(4, 3)
    fits = {
        depth: fitted_sawtooth(depth, random, settings.size(3, 1))
        for depth in range(3, settings.size(6, 4))
    }
    ends = np.arange(2**shown + 1) / 2.0**shown
    left.plot(ends, np.arange(2**shown + 1) % 2, color=SKY, label=f"{shown} layers of 2 units")
    values = fits[shown][1]
    left.plot(
        np.linspace(0.0, 1.0, len(values)),
        values,
        color=VERMILLION,
        label=f"best fit found, {2 * shown} in one layer",
    )
    left.set(xlabel="input", ylabel="output", ylim=(-0.1, 1.45))
    left.legend(loc="upper right")

    depths = np.arange(1, 13)
    partial = [rms_error(partial_sawtooth(depth), depth) for depth in depths[2:]]
    bounded = [depth for depth in depths.tolist() if least_error(depth) > 0.0]
    right.plot(
        [2 * depth for depth in bounded], [least_error(depth) for depth in bounded], "--",
        color=BLACK, label="lower bound",
    )  # fmt: skip
    right.plot(2 * depths[2:], partial, "-", color=VERMILLION, label="exact on the first teeth")
    right.plot(
        [2 * depth for depth in fits], [fit[0] for fit in fits.values()], "o", color=VERMILLION,
        mec=BLACK, mew=0.5, label="free kinks, fitted",
    )  # fmt: skip
    right.axhline(CONSTANT, color=GREY, linewidth=1.0, linestyle=":", label="constant 1/2")
    right.set(
        xlabel="units: one layer; the saw-tooth has as many",
        ylabel="RMS error of one layer",
        ylim=(0.0, 0.32),
        xticks=range(6, 25, 3),
    )
    right.legend(loc="lower right")
    counts = range(1, settings.size(16, 8) + 1)
    comparisons = [
        Comparison(
            f"linear pieces of the saw-tooth of depth {depth}",
            2.0**depth,
            float(linear_regions(*sawtooth(depth), [0.0, 1.0])),
            0.0,
        )
        for depth in counts
    ]
    rows = [
        (
            str(depth),
            str(2 * depth),
            str(2**depth),
            str(2**depth - 1),
            f"{least_error(depth):.4f}" if least_error(depth) > 0.0 else "none",
            f"{fits[depth][0]:.4f}" if depth in fits else "",
            f"{partial[depth - 3]:.4f}",
        )
        for depth in (3, 4, 5, 8, 12)
    ]
    header = ("layers", "units", "pieces", "units in one layer", "bound", "fitted", "first teeth")
    return Figure(
        key="c",
        title="Saw-teeth and one hidden layer",
        drawing=figure,
        caption=(
            "A network of L layers with 2 units each has 2^L pieces. One layer of n units has at "
            "most n + 1: with fewer than 2^L pieces its largest error is at least 1/2, that of a "
            "constant, and its RMS error is bounded by counting the teeth without a kink, √((1 - "
            "4L/2^L)/12), where there are such teeth. The table has the units one layer would "
            "need, and RMS errors with 2L; fits have a slope for free."
        ),
        description="A saw-tooth and its poor fit by one layer; RMS error against units.",
        comparisons=comparisons,
        tables=[Table("One hidden layer against the saw-tooth", header, rows)],
        wide=True,
    )


def _families() -> list[tuple[str, Ensemble, float, str, str]]:
    """Return name, ensemble, variance of h^1, colour and mark."""
    hard = mf.Ensemble("hard_tanh", 3.0, 0.3)
    return [
        ("relu, no biases", mf.Ensemble("relu", np.sqrt(2.0)), 1.0, BLUE, "o"),
        ("relu, σ_w = 2, σ_b = 1", mf.Ensemble("relu", 2.0, 1.0), 2.0, GREEN, "s"),
        ("hard_tanh, chaotic", hard, mf.fixed_point(hard).q, VERMILLION, "D"),
    ]


def _label(name: str) -> str:
    return name.replace("σ_w = 2, σ_b = 1", r"$\sigma_w=2$, $\sigma_b=1$")


def regions_by_depth(settings: Settings) -> Figure:
    """Draw linear regions along a circle against depth."""
    figure, ax = canvas(6.4, 4.2)
    comparisons: list[Comparison] = []
    rows: list[tuple[str, ...]] = []
    for name, ensemble, q, color, mark in _families():
        kinked = ensemble.activation.name == "hard_tanh"
        width = settings.size(64 if kinked else 96, 32)
        depth = settings.size(7 if kinked else 8, 4)
        layers = np.arange(1, depth + 1)
        theory = np.cumsum(borders_of_theory(ensemble, depth, q=q))
        wide, narrow = (
            np.cumsum(
                count_borders(settings, f"9d {name}", ensemble, n, depth, q=q, n_samples=many),
                axis=1,
            )
            for n, many in ((width, settings.size(12, 4)), (width // 2, settings.size(24, 8)))
        )
        found = extrapolated(wide, narrow, depth, width)
        ax.plot(layers, theory, "-", color=color, label=_label(name))
        ax.errorbar(layers, found.value, found.error, fmt=mark, color=color, mec=BLACK, mew=0.5)
        comparisons += [
            Comparison(
                f"regions over width, {name}, L = {layer}",
                float(theory[layer - 1]),
                float(found.value[layer - 1]),
                float(found.error[layer - 1]),
                float(found.bound[layer - 1]),
                SOURCE,
                len(wide),
            )
            for layer in (2, 4, depth)[: settings.size(3, 2)]
        ]
        # a power of the depth, or an exponential, of the last layers' own borders
        if kinked:
            form, last = "exp(γ L)", slice(2, None)
            x, y = layers[last].astype(float), np.log(np.diff(theory))[1:]
            samples = [np.log(np.diff(item, axis=1))[:, 1:] for item in (wide, narrow)]
        else:
            form = "L^γ"
            x, y = np.log(layers[1:]), np.log(theory[1:])
            samples = [np.log(item[:, 1:]) for item in (wide, narrow)]
        slope = extrapolated(slope_of(x, samples[0]), slope_of(x, samples[1]), depth, width)
        expected = float(slope_of(x, y))
        comparisons.append(slope.compare(f"exponent of the regions in depth, {name}", expected))
        lengths = [
            mf.simulate_circle(
                ensemble,
                n,
                depth,
                n_angles=1000,
                n_samples=many,
                seed=settings.seed_for(f"9d length {name} {n}"),
                q=q,
                start="input",
                n_threads=settings.n_threads,
                progress=False,
            ).chord_length_samples
            for n, many in ((width, settings.size(12, 4)), (width // 2, settings.size(24, 8)))
        ]
        steps = layers.astype(float)
        rates = [slope_of(steps, np.log(item)) for item in lengths]
        growth = extrapolated(rates[0], rates[1], depth, width)
        path = mf.circle_theory(ensemble, depth, q=q, start="input").euclidean_length
        rate = float(slope_of(steps, np.log(path)))
        comparisons.append(growth.compare(f"growth of ln length a layer, {name}", rate))
        rows.append(
            (
                name,
                form,
                f"{expected:.4f}",
                with_error(float(slope.value), float(slope.error)),
                f"{rate:.4f}",
                with_error(float(growth.value), float(growth.error)),
            )
        )
    teeth = np.arange(1, settings.size(9, 5))
    ax.plot(teeth, 2.0**teeth / 2.0, ":", color=PURPLE, label="saw-tooth, width 2")
    ax.set(
        xlabel="depth $L$",
        ylabel="linear regions along a circle / width",
        yscale="log",
    )
    figure.legend(loc="outside right center")
    return Figure(
        key="d",
        title="Linear regions by depth",
        drawing=figure,
        caption=(
            "Linear regions that a circle of inputs passes through in random networks, counted "
            "exactly, for each unit of a layer. Lines, theory: Rice's formula for each layer, 2L "
            "for ReLU without biases at any σ_w, although the length grows as (σ_w/√2)^L; for "
            "hard_tanh the rate is √χ_1. Marks with one standard error: networks of two widths, "
            "extrapolated to infinite width. Dotted: the saw-tooth, along its interval."
        ),
        description="Regions grow linearly with depth for ReLU, exponentially for hard_tanh.",
        comparisons=comparisons,
        tables=[
            Table(
                "Growth of the regions with depth L, and of ln length for each layer",
                ("network", "regions", "theory γ", "found", "length, theory", "found"),
                rows,
            )
        ],
        wide=True,
    )


def regions_by_width(settings: Settings) -> Figure:
    """Draw linear regions along a circle against width."""
    figure, ax = canvas(6.4, 3.8)
    depth = settings.size(4, 3)
    widths = np.array([16, 32, 64, 128])[: settings.size(4, 3)]
    n_samples = settings.size(12, 8) * widths[-1] // widths
    comparisons: list[Comparison] = []
    rows: list[tuple[str, ...]] = []
    for name, ensemble, q, color, mark in _families():
        theory = float(np.sum(borders_of_theory(ensemble, depth, q=q)))
        counts = [
            count_borders(
                settings, f"9e {name}", ensemble, int(n), depth, q=q, n_samples=int(many)
            ).sum(axis=1)
            for n, many in zip(widths, n_samples, strict=True)
        ]
        mean = np.array([float(item.mean()) for item in counts])
        error = np.array([float(item.std(ddof=1) / np.sqrt(len(item))) for item in counts])
        ax.plot(widths, theory * widths, "-", color=color, label=_label(name))
        ax.errorbar(
            widths, mean * widths, error * widths, fmt=mark, color=color, mec=BLACK, mew=0.5
        )
        # exponent between neighbours: 1 + c / N to leading order, which two pairs remove
        local = 1.0 + np.diff(np.log2(mean))
        weights = np.array([1.0, -3.0, 2.0]) / np.log(2.0)
        found = 2.0 * local[-1] - local[-2]
        spread = float(np.linalg.norm(weights * (error / mean)[-3:]))
        slack = SAFETY * depth / widths[-1] * abs(float(local[-1] - local[-2]))
        comparisons.append(
            Comparison(
                f"exponent of the regions in width, {name}, L = {depth}",
                1.0,
                float(found),
                spread,
                float(slack),
                SOURCE,
                int(n_samples[-1]),
            )
        )
        rows.append((name, *(f"{item:.3f}" for item in local), with_error(float(found), spread)))
    ax.set(
        xlabel="width $N$",
        ylabel="linear regions along a circle",
        xscale="log",
        yscale="log",
        title=f"$L={depth}$",
    )
    ax.set_xticks(widths, [str(n) for n in widths], minor=False)
    ax.set_xticks([], minor=True)
    figure.legend(loc="outside right center")
    return Figure(
        key="e",
        title="Linear regions by width",
        drawing=figure,
        caption=(
            f"As before, at depth {depth}: proportional to the width. Lines, infinite width; marks "
            "with one standard error. The table has the exponent between neighbouring widths and, "
            "extrapolated, that of wide networks."
        ),
        description="Regions against width: proportional for all networks.",
        comparisons=comparisons,
        tables=[
            Table(
                "Exponent of the width, theory 1",
                ("network", *(f"{n} to {2 * n}" for n in widths[:-1]), "N → ∞"),
                rows,
            )
        ],
        wide=True,
    )
