"""Chapter 11: which functions of the angle the last layer of a random network can express."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

import meanfree as mf
from meanfree.manifold import FourierFit, circle_autocorrelation, fit_fourier
from meanfree.manifold._regression import arc_features
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.region_figures import canvases
from meanfree.report.spectra import extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, PURPLE, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "What depth lets a readout express"
NEEDS: tuple[str, ...] = ()
TEXT = """
A half circle of inputs passes a random tanh network in the chaotic phase; linear least squares on
the last hidden layer fits random functions of a given frequency. The error is 1 - cos of the angle
between function and fit. What limits the fit is not the number of units but how many directions of
the features stand out of rounding: their singular values fall exponentially, the faster the
shallower the network. The power of frequency k is the Fourier coefficient of the covariance

    λ_k = ⟨(q^{L+1}(θ) - σ_b²) / σ_w² · cos kθ⟩,

and frequencies with √(λ_k/λ_max) below the cut-off are lost. Precision, cut-off and radius of the
inputs are therefore part of the result.

Source: Poole et al. (2016), the experiment on deep and shallow networks.
"""

_NETWORK = mf.Ensemble("tanh", 4.0, 0.3)
_N_IN = 500
_BANDS = ((1, 20), (21, 60), (61, 120), (121, 199))
_COLORS = (BLUE, VERMILLION, GREEN, PURPLE)


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the errors by depth and width, the rank, and the power by frequency."""
    yield _errors(settings)
    yield _precision(settings)
    yield _power(settings)


def _fits(
    settings: Settings, label: str, width: int, depth: int, n_networks: int, **options: object
) -> list[FourierFit]:
    """Fit with several networks; the seeds follow from `label`."""
    root = settings.seed_for(f"11 {label}")
    return [
        fit_fourier(
            _NETWORK,
            width,
            depth,
            n_angles=_n_angles(settings),
            n_outputs=50,
            frequencies=_bands(settings),
            n_in=_N_IN,
            seed=root + i,
            progress=False,
            **options,  # type: ignore[arg-type]
        )
        for i in range(n_networks)
    ]


def _n_angles(settings: Settings) -> int:
    return settings.size(1000, 300)


def _bands(settings: Settings) -> tuple[tuple[int, int], ...]:
    return _BANDS[: settings.size(4, 3)]


def _mean(fits: list[FourierFit]) -> tuple[Array, Array]:
    """Return the mean error of each band and its standard error over networks."""
    errors = np.array([fit.error for fit in fits])
    return errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(len(fits))


def _described(settings: Settings, fit: FourierFit) -> str:
    return (
        f"{_n_angles(settings)} angles, {fit.dtype}, cut-off {fit.rcond:.2g} (machine epsilon "
        f"times the number of angles), inputs of length {fit.radius:.3g} in {_N_IN} dimensions"
    )


def _random_subspace(rank: int, n: int) -> float:
    """Return the mean cosine of a fixed vector and a random subspace of n dimensions."""
    from scipy.special import gammaln

    half, whole = 0.5 * rank, 0.5 * n
    return float(
        np.exp(gammaln(half + 0.5) + gammaln(whole) - gammaln(half) - gammaln(whole + 0.5))
    )


def _errors(settings: Settings) -> Figure:
    figure, (left, right) = canvases(8.4, 3.9)
    width, many = settings.size(200, 60), 3
    depths = [1, 2, 3, 4, 6, 8, 10, 14, 20, 28, 40] if not settings.small else [1, 4, 40]
    widths = [25, 50, 100, 200, 400, 700] if not settings.small else [30, 60]
    bands = _bands(settings)
    deep = {
        depth: _fits(settings, f"deep {depth}", width, depth, many if depth < 40 else 3 * many)
        for depth in depths
    }
    wide = {n: _fits(settings, f"wide {n}", n, 1, many) for n in widths}
    for ax, found in ((left, deep), (right, wide)):
        means = np.array([_mean(fits) for fits in found.values()])
        for band, color in enumerate(_COLORS[: len(bands)]):
            low, high = bands[band]
            ax.errorbar(
                list(found),
                means[:, 0, band],
                means[:, 1, band],
                fmt="o-",
                color=color,
                label=f"{low} to {high} periods",
            )
    n = _n_angles(settings)
    limit = 1.0 - _random_subspace(width, n)
    left.axhline(limit, color=GREY, linewidth=1.0, linestyle=":", label="random directions")
    left.set(xlabel=f"depth $L$, {width} units a layer", ylabel=r"error $1-\cos$")
    left.set(xscale="log", ylim=(-0.03, 1.03), title="Depth")
    ticks = [depth for depth in depths if depth not in (3, 6, 8, 14, 28)]
    left.set_xticks(ticks, [str(depth) for depth in ticks])
    left.set_xticks([], minor=True)
    right.set(xlabel="units of one hidden layer", ylim=(-0.03, 1.03), title="Width")
    handles, labels = left.get_legend_handles_labels()
    right.legend(handles, labels, loc="center right", bbox_to_anchor=(1.0, 0.6))
    mean, error = _mean(deep[40])
    rank = deep[40][0].rank
    comparisons = [
        Comparison(
            f"error of {low} to {high} periods at depth 40, theory: random directions",
            limit,
            float(mean[band]),
            float(error[band]),
            abs(_random_subspace(rank, n) - _random_subspace(rank - 1, n)),
            "one of the directions is the constant",
            3 * many,
        )
        for band, (low, high) in enumerate(bands)
    ]
    rows = [
        (
            f"{depth} x {units}",
            f"{_N_IN * units + (depth - 1) * units**2:,}".replace(",", " "),
            str(fits[0].rank),
            *(f"{item:.2f}" for item in _mean(fits)[0]),
        )
        for depth, units, fits in (
            *((depth, width, fits) for depth, fits in deep.items()),
            *((1, units, fits) for units, fits in wide.items()),
        )
    ]
    header = ("hidden layers", "weights", "rank", *(f"{low}-{high}" for low, high in bands))
    return Figure(
        key="a",
        title="Regression error by depth and by width",
        drawing=figure,
        caption=(
            f"tanh, σ_w = 4, σ_b = 0.3, mean of {many} networks ({3 * many} at depth 40) with one "
            "standard error: "
            f"{_described(settings, deep[1][0])}. Depth makes high frequencies accessible, "
            "width does not: it adds no rank. Very deep networks forget which angles are "
            "neighbours: their features are random directions, equally bad at every frequency."
        ),
        description="Error against depth falls, then rises; against width it stays.",
        comparisons=comparisons,
        tables=[Table("Error and rank of the features", header, rows)],
        wide=True,
    )


def _precision(settings: Settings) -> Figure:
    figure, (left, right) = canvases(8.4, 3.9)
    width, many = settings.size(200, 60), 2
    depths = [1, 2, 3, 4, 6, 8, 10, 12] if not settings.small else [1, 4]
    band = 1
    rows = []
    for dtype, line in (("float32", "--"), ("float64", "-")):
        for radius, color in ((1.0, BLUE), (float(np.sqrt(_N_IN)), VERMILLION)):
            label = f"precision {dtype} {radius}"
            found = [
                _fits(settings, f"{label} {depth}", width, depth, many, dtype=dtype, radius=radius)
                for depth in depths
            ]
            ranks = [float(np.mean([fit.rank for fit in fits])) for fits in found]
            errors = [float(_mean(fits)[0][band]) for fits in found]
            name = f"{dtype}, radius {radius:.3g}"
            left.plot(depths, ranks, f"o{line}", color=color, label=name)
            right.plot(depths, errors, f"o{line}", color=color, label=name)
            for depth, fits in zip(depths, found, strict=True):
                if depth in (1, 4, 8, 12):
                    rows.append(
                        (
                            f"{depth} x {width}, {name}",
                            f"{fits[0].rcond:.1e}",
                            f"{np.mean([fit.rank for fit in fits]):.0f}",
                            *(f"{item:.2f}" for item in _mean(fits)[0]),
                        )
                    )
    left.axhline(width, color=GREY, linewidth=1.0, linestyle=":")
    left.set(xlabel="depth $L$", ylabel="numerical rank of the features", yscale="log")
    low, high = _bands(settings)[band]
    right.set(xlabel="depth $L$", ylabel=f"error $1-\\cos$, {low} to {high} periods")
    right.set(ylim=(-0.03, 1.03))
    right.legend(loc="upper right")
    header = ("network", "cut-off", "rank", *(f"{a}-{b}" for a, b in _bands(settings)))
    return Figure(
        key="b",
        title="Precision and radius decide",
        drawing=figure,
        caption=(
            f"The same with {width} units a layer (dotted: all of them), in both precisions and "
            "with inputs of length 1, as in the experiment of Poole et al., and √500, which gives "
            "h^1 the variance σ_w² + σ_b². Single precision at length 1 costs several layers: "
            "the small inputs leave the first layer nearly linear, rounding hides the rest."
        ),
        description="Rank and error against depth for two precisions and two radii.",
        tables=[Table("Error by precision and radius", header, rows)],
        wide=True,
    )


def _power_of_theory(depth: int, q: float, n_angles: int) -> Array:
    """Return lambda_k, k = 0 .. n_angles / 2, of phi(h^depth) on a circle of inputs."""
    theta = 2.0 * np.pi * np.arange(n_angles) / n_angles
    c = circle_autocorrelation(_NETWORK, theta, depth + 1, q=q, start="input")[depth]
    q_next = mf.circle_theory(_NETWORK, depth + 1, q=q, start="input").q[depth]
    covariance = (q_next * c - _NETWORK.sigma_b**2) / _NETWORK.sigma_w**2
    power: Array = np.fft.rfft(covariance).real / n_angles
    return power


def _power(settings: Settings) -> Figure:
    figure, ax = canvas(6.4, 4.2)
    n_angles, width = settings.size(512, 128), settings.size(200, 60)
    q = _NETWORK.sigma_w**2 / _N_IN + _NETWORK.sigma_b**2
    shown = ((1, BLUE), (2, SKY), (4, GREEN), (8, VERMILLION), (12, PURPLE))
    comparisons = []
    tries = ((1, (1, 3)), (4, (1, 5)), (8, (1, 15)))
    for depth, color in shown:
        power = _power_of_theory(depth, q, n_angles)
        share = power / power.max()
        visible = share > 1e-14
        k = np.arange(len(power))
        odd = (k % 2 == 1) & visible
        ax.plot(k[odd], share[odd], "-", color=color, label=f"$L={depth}$")
        checked = dict(tries[: settings.size(3, 2)]).get(depth)
        if checked is None:
            continue
        wide, narrow = (
            _measured_power(settings, n, depth, n_angles, many)
            for n, many in ((width, settings.size(16, 8)), (width // 2, settings.size(32, 16)))
        )
        found = extrapolated(wide, narrow, depth, width)
        clear = odd & (found.error < 0.5 * np.abs(found.value))
        ax.errorbar(
            k[clear],
            found.value[clear] / power.max(),
            found.error[clear] / power.max(),
            fmt="o",
            color=color,
            markersize=2.5,
            elinewidth=0.7,
        )
        for order in checked:
            relative = extrapolated(
                wide[:, order] / power[order], narrow[:, order] / power[order], depth, width
            )
            comparisons.append(
                relative.compare(f"power over theory, L = {depth}, {order} periods", 1.0)
            )
    for dtype, line in (("float32", "--"), ("float64", ":")):
        cut = (_n_angles(settings) * float(np.finfo(dtype).eps)) ** 2
        if cut > 1e-16:
            ax.axhline(cut, color=BLACK, linestyle=line, linewidth=1.0)
            axis = ax.get_yaxis_transform()
            ax.text(0.64, cut * 1.3, f"cut-off, {dtype}", ha="center", transform=axis)
    ax.set(
        xlabel="periods on the circle $k$ (odd)",
        ylabel=r"power $\lambda_k/\lambda_{\max}$",
        yscale="log",
        xlim=(0, settings.size(120, 40)),
        ylim=(1e-14, 3.0),
    )
    figure.legend(loc="outside right center")
    return Figure(
        key="c",
        title="Power of the features by frequency",
        drawing=figure,
        caption=(
            "Power of φ(h^L) on a full circle of inputs of length 1. Lines, theory: Fourier "
            "coefficients of the covariance at infinite width, as far as rounding lets them be "
            "computed; marks with one standard error, where that is below a half, networks of two "
            "widths, extrapolated. Even frequencies, which biases make, are weaker. What lies "
            "below the square of the cut-off of the singular values cannot be fitted; that of "
            "double precision, 5e-26, lies below the figure."
        ),
        description="Power against frequency falls exponentially, slower in deeper networks.",
        comparisons=comparisons,
        wide=True,
    )


def _measured_power(
    settings: Settings, width: int, depth: int, n_angles: int, n_samples: int
) -> Array:
    """Return the power of phi(h^depth) of each network, (n_samples, n_angles // 2 + 1)."""
    root = settings.seed_for(f"11 power {width} {depth}")
    theta = 2.0 * np.pi * np.arange(n_angles) / n_angles
    circle = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    powers = np.empty((n_samples, n_angles // 2 + 1))
    for sample in range(n_samples):
        x = arc_features(_NETWORK, width, depth, circle, _N_IN, root + sample)
        modes = np.fft.rfft(x, axis=0) / n_angles
        powers[sample] = np.mean(np.abs(modes) ** 2, axis=1)
    return powers
