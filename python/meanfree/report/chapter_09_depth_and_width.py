"""Chapter 9: what depth does to a curve and a single layer of any width cannot."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import meanfree as mf
from meanfree.manifold import curve_length, propagate_curve
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.region_figures import (
    canvases,
    regions_by_depth,
    regions_by_width,
    slope_of,
    teeth,
)
from meanfree.report.shallow import (
    CIRCLE,
    RANGES,
    REACH,
    SEGMENT,
    SPIRAL,
    Curve,
    attack,
    length_ratio,
)
from meanfree.report.spectra import extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "Depth against width"
NEEDS: tuple[str, ...] = ()
TEXT = """
One hidden layer of N_1 units with a monotone φ of range R turns a curve, whose tangent changes its
sign at most s times in any direction, into one of length

    L(φ(W x + b)) ≤ N_1 (1 + s) R,

whatever the weights. In the chaotic phase each layer of a random network multiplies the length of
a circle by √χ_1 instead: exponential in depth. Networks of ReLU can be counted: saw-teeth double
with every layer of two units, but random networks have about as many linear regions along a curve
as units, whatever their depth; those of hard_tanh in the chaotic phase have exponentially many.

Source: Poole et al. (2016), the theorem on shallow networks; Telgarsky (2015), saw-teeth; Raghu et
al. (2017) and Hanin and Rolnick (2019), regions of random networks.
"""

_CHAOTIC = mf.Ensemble("tanh", 4.0, 0.3)


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the bound, both ways to grow, saw-teeth and linear regions."""
    yield _bound(settings)
    yield _growth(settings)
    yield teeth(settings)
    yield regions_by_depth(settings)
    yield regions_by_width(settings)


def _ratio(curve: Curve, layers: Array) -> Array:
    return length_ratio(curve, "tanh", layers[..., :2], layers[..., 2])


def _random(settings: Settings, label: str) -> np.random.Generator:
    return np.random.default_rng(settings.seed_for(f"9 {label}"))


def _bound(settings: Settings) -> Figure:
    figure, ax = canvas()
    random = _random(settings, "bound")
    n = 100
    scales = 10.0 ** np.arange(-1.0, 5.01, 0.5 if not settings.small else 2.0)
    thresholds = np.zeros((1, n, 3))
    thresholds[0, :, 0], thresholds[0, :, 2] = 1.0, np.linspace(-1.0, 1.0, n + 2)[1:-1]
    rows, comparisons, highest = [], [], 0.0
    for curve, color in ((SEGMENT, BLUE), (CIRCLE, VERMILLION), (SPIRAL, GREEN)):
        many = random.standard_normal((settings.size(4, 2), n, 3))
        steps, drawn = (
            np.array([float(np.max(_ratio(curve, g * layers))) for g in places])
            for layers, places in ((thresholds, scales), (many, scales[::2]))
        )
        ax.plot(scales, steps, "-", color=color, label=curve.name)
        ax.plot(scales[::2], drawn, "o", color=color, mfc="white")
        tries = [
            attack(curve, name, random, settings.size(80, 10), settings.size(40, 5))
            for name in RANGES
        ]
        largest = [float(np.max(item)) for item in (steps, drawn, tries)]
        columns = (curve.supremum, *largest)
        rows.append((curve.name, str(curve.sign_changes), *(f"{item:.6f}" for item in columns)))
        highest = max(highest, *largest)
        # within its reach a unit passes tanh(6) of its range, by then the others stand still
        comparisons.append(
            Comparison(
                f"length over its bound, steepest steps, {curve.name}",
                curve.supremum,
                float(steps[-1]),
                0.0,
                curve.supremum * float(1.0 - np.tanh(REACH)),
                "ends of the steps, which overlap",
            )
        )
    comparisons.append(
        Comparison(
            "what the longest of all exceeds its bound by, to 12 digits of it",
            0.0,
            max(0.0, round(highest, 12) - 1.0),
            0.0,
        )
    )
    ax.axhline(1.0, color=BLACK, linestyle="--", linewidth=1.0)
    ax.text(scales[0], 1.02, "bound", va="bottom")
    ax.plot([], [], "o", color=GREY, mfc="white", label="random layers")
    ax.set(
        xlabel="scale of the weights",
        ylabel=r"length / $N_1(1+s)R$",
        xscale="log",
        ylim=(0.0, 1.12),
        title=rf"tanh, $N_1={n}$",
    )
    ax.legend(loc="lower right")
    header = ("curve", "s", "supremum", "distinct thresholds", "random layers", "search, N_1 = 3")
    return Figure(
        key="a",
        title="The bound for one hidden layer",
        drawing=figure,
        caption=(
            "Length after one layer over its bound. Lines: every unit steps at a place of its own; "
            f"marks, the largest of {len(many)} random layers. A segment comes as near to the "
            "bound as one likes; a closed curve ends where it began, so that units go up and down "
            "2 of the bound's 3 times on a circle, 10 of 11 times on five turns. The search "
            "improves the best of many small random layers of four activations."
        ),
        description="Ratio of length to bound against weight scale; never above 1.",
        comparisons=comparisons,
        tables=[Table("Largest length over the bound", header, rows)],
    )


def _one_layer(settings: Settings, ax: Any) -> tuple[list[Comparison], list[tuple[str, ...]]]:
    """Draw the length after one layer against its width; compare the exponents."""
    widths = np.array([25, 50, 100, 200, 400])[: settings.size(5, 3)]
    n_samples = settings.size(12, 4)
    q = mf.fixed_point(_CHAOTIC).q
    variance = _CHAOTIC.sigma_b**2
    theta = 2.0 * np.pi * np.arange(400) / 400
    circle = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    plain, steep = np.empty((2, n_samples, len(widths)))
    spread = 0.0
    random = _random(settings, "width")
    for i, width in enumerate(widths):
        for sample in range(n_samples):
            # four times as many units where a layer is cheap, to be near the limit
            weight = np.sqrt(q - variance) * random.standard_normal((4 * width, 2))
            bias = np.sqrt(variance) * random.standard_normal(4 * width)
            x = np.tanh(circle @ weight.T + bias)
            plain[sample, i] = curve_length(x, closed=True)
            many, few = 1000.0 * width, slice(None, width)
            bound = 3.0 * RANGES["tanh"] * width
            ratio = length_ratio(CIRCLE, "tanh", many * weight[few], many * bias[few])
            steep[sample, i] = bound * float(ratio)
            speed = (1.0 - x**2) ** 2 * (circle[:, ::-1] * [-1.0, 1.0] @ weight.T) ** 2
            spread = max(spread, float(np.var(speed) / np.mean(speed) ** 2))
    g = mf.circle_theory(_CHAOTIC, 2, q=q, start="input").metric[1] / _CHAOTIC.sigma_w**2
    crossing = 1.0 / np.sqrt(1.0 + variance / (q - variance))
    wide = 4 * widths
    theories = (2.0 * np.pi * np.sqrt(g * wide), 2.0 * RANGES["tanh"] * crossing * widths)
    comparisons: list[Comparison] = []
    rows: list[tuple[str, ...]] = []
    # the root of a mean over N units has a mean that is lower by spread / 8 N
    bias_of_slope = abs(float(slope_of(np.log(wide), -spread / (8.0 * wide))))
    for name, n, lengths, theory, exponent, color, slack in (
        ("weights of fixed size", wide, plain, theories[0], 0.5, BLUE, 2.0 * bias_of_slope),
        ("weights growing with N_1", widths, steep, theories[1], 1.0, VERMILLION, 0.0),
    ):
        mean, error = lengths.mean(axis=0), lengths.std(axis=0, ddof=1) / np.sqrt(n_samples)
        label = name.replace("N_1", "$N_1$")
        ax.plot(n, theory, "-", color=color, label=label)
        ax.errorbar(n, mean, error, fmt="o", color=color, mec=BLACK, mew=0.5)
        slopes = slope_of(np.log(n), np.log(lengths))
        found = float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(n_samples))
        comparisons.append(
            Comparison(
                f"exponent of the length in the width of one layer, {name}",
                exponent,
                *found,
                slack,
                "twice the leading 1/N term" if slack else "",
                n_samples,
            )
        )
        rows.append((f"one layer, {name}", "N_1^γ", f"{exponent:g}", with_error(*found)))
    return comparisons, rows


def _growth(settings: Settings) -> Figure:
    figure, (left, right) = canvases(8.4, 3.9)
    comparisons, rows = _one_layer(settings, left)
    wide = np.array(left.get_xlim())
    left.plot(wide, 3.0 * RANGES["tanh"] * wide, "--", color=BLACK, label="bound")
    left.set(
        xlabel="units $N_1$ of the one hidden layer",
        ylabel="length of the circle's image",
        xscale="log",
        yscale="log",
        title="One layer",
    )
    left.legend()

    width, depth = settings.size(64, 32), settings.size(13, 5)
    theory = mf.circle_theory(_CHAOTIC, depth + 1, start="input")
    rate = 0.5 * np.log(mf.fixed_point(_CHAOTIC).chi_1)
    expected = np.sqrt(theory.metric[1:] * width) * 2.0 * np.pi / _CHAOTIC.sigma_w
    both = [
        _deep_lengths(settings, n, depth, many)
        for n, many in ((width, settings.size(8, 4)), (width // 2, settings.size(16, 8)))
    ]
    layers = np.arange(1, depth + 1)
    units = width * layers
    mean = both[0].mean(axis=0)
    error = both[0].std(axis=0, ddof=1) / np.sqrt(len(both[0]))
    right.plot(units, expected, "-", color=BLUE, label="deep, theory")
    right.errorbar(
        units, mean, error, fmt="o", color=BLUE, mec=BLACK, mew=0.5, label="deep networks"
    )
    limit = 3.0 * RANGES["tanh"] * units
    right.plot(units, limit, "--", color=BLACK, label="bound of one layer")
    right.set(
        xlabel=f"units in all, {width} in each layer",
        ylabel="length of the circle's image",
        yscale="log",
        title="Many layers",
    )
    right.legend()
    slopes = [slope_of(layers[1:].astype(float), np.log(lengths[:, 1:])) for lengths in both]
    found = extrapolated(slopes[0], slopes[1], depth, width)
    comparisons.append(
        found.compare("growth of ln length a layer; theory: half of ln χ_1", float(rate))
    )
    rows.append(
        (
            f"{depth} layers, σ_w = {_CHAOTIC.sigma_w:g}",
            "exp(γ L)",
            f"{rate:.4f}",
            with_error(float(found.value), float(found.error)),
        )
    )
    beyond = layers[mean > limit]
    said = f"from {beyond[0]} layers on" if len(beyond) else "at none of these depths"
    return Figure(
        key="b",
        title="Length by width and by depth",
        drawing=figure,
        caption=(
            f"Length of the image of a circle under tanh networks with σ_w = {_CHAOTIC.sigma_w:g}, "
            f"σ_b = {_CHAOTIC.sigma_b:g}, q = q*. Left, one layer: a random layer grows as √N_1; "
            "the linear growth of the bound needs weights that grow with N_1. Right: a deep random "
            "network against what no layer with as many units can pass; it is longer than that "
            f"{said}. Lines, theory at infinite width, of which narrow networks fall short; "
            "marks with one standard error. The rate is extrapolated from two widths."
        ),
        description="Length grows as a power of the width of one layer, exponentially with depth.",
        comparisons=comparisons,
        tables=[Table("Growth of the length", ("network", "law", "theory γ", "found"), rows)],
        wide=True,
    )


def _deep_lengths(settings: Settings, width: int, depth: int, n_samples: int) -> Array:
    """Return the lengths of the images phi(h^l) of the circle, (n_samples, depth)."""
    e = _CHAOTIC
    q = mf.fixed_point(e).q
    n_angles = settings.size(4000, 600)
    theta = 2.0 * np.pi * np.arange(n_angles) / n_angles
    radius = np.sqrt(2.0 * (q - e.sigma_b**2)) / e.sigma_w
    circle = radius * np.stack([np.cos(theta), np.sin(theta)], axis=1)
    root = settings.seed_for(f"9 depth {width}")
    lengths = np.empty((n_samples, depth))
    for sample in range(n_samples):
        h = propagate_curve(e, circle, depth, width=width, seed=root + sample)
        lengths[sample] = curve_length(np.tanh(h), closed=True)
    return lengths
