"""Chapter 5: how the share of singular values near 1 and the largest one scale with depth."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

import meanfree as mf
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.largest import TRACY_WIDOM_MEAN, edge_scale
from meanfree.report.outlier import outlying_singular_value
from meanfree.report.spectra import Estimate, Spectra, simulate_spectra
from meanfree.report.style import BLACK, BLUE, GREEN, PURPLE, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.spectrum import JacobianSpectrum

    Array: TypeAlias = NDArray[np.float64]
    Weights: TypeAlias = Literal["gaussian", "orthogonal"]

TITLE = "Spectra against depth: dynamical isometry"
NEEDS: tuple[str, ...] = ()
TEXT = """
A network has dynamical isometry if all singular values of its Jacobian stay near 1. On the critical
line the mean square is 1 at any depth and the relative variance of λ = s² is

    σ² = L (μ_2 / μ_1² - 1 - s_1),   μ_k = E φ′^{2k},   s_1 = -1 Gaussian, 0 orthogonal.

Gaussian weights therefore spread at least like L, whatever the nonlinearity; so does ReLU with any
weights. The share of singular values near 1 then falls as 1/L and the largest λ grows as L. At a
fixed q* that happens to tanh with orthogonal weights too, only later. The exception: orthogonal
weights and a q* tuned to the depth, falling as 1/√L.

Source: Pennington, Schoenholz, Ganguli (2017 and 2018).
"""

_EPSILON = 0.25
_Q = 0.16  # q* of the networks that are not tuned to their depth
_VARIANCE = 0.25  # of the tuned ones


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the share near 1, the largest one and the one outside the bulk against depth."""
    families = _families()
    measured = list(_measure(settings, families))
    yield _against_depth(settings, families, measured, _window(measured))
    yield _against_depth(settings, families, measured, _largest())
    yield _outlier(settings)


@dataclass(frozen=True)
class _Family:
    """Critical networks of every depth."""

    name: str
    at: Callable[[int], Ensemble]
    color: str
    line: str = "-"
    marker: str = "o"


_WEIGHTS: tuple[Weights, Weights] = ("gaussian", "orthogonal")


def _tuned(depth: int) -> Ensemble:
    return mf.tune_critical("tanh", depth, relative_variance=_VARIANCE)


def _families() -> list[_Family]:
    def fixed(name: str, weights: Weights) -> Callable[[int], Ensemble]:
        if name == "linear":
            return lambda _depth: mf.Ensemble(name, 1.0, weights=weights)
        if name == "relu":
            return lambda _depth: mf.Ensemble(name, np.sqrt(2.0), weights=weights)
        line = mf.critical_line(name, q=_Q)
        ensemble = mf.Ensemble(name, float(line.sigma_w), float(line.sigma_b), weights=weights)
        return lambda _depth: ensemble

    colors = {
        "linear": BLACK,
        "relu": VERMILLION,
        "hard_tanh": PURPLE,
        "tanh": BLUE,
        "erf_scaled": GREEN,
    }
    families = [
        _Family(
            f"{name}, {weights}",
            fixed(name, weights),
            color,
            "-" if weights == "orthogonal" else "--",
            "s" if weights == "orthogonal" else "o",
        )
        for weights in _WEIGHTS
        for name, color in colors.items()
        if (name, weights) != ("linear", "orthogonal")  # every s is 1
    ]
    tuned = _Family(
        "tanh, orthogonal, tuned",
        _tuned,
        SKY,
        "-",
        "D",
    )
    return [*families, tuned]


_SIMULATED = ("linear, gaussian", "relu, orthogonal", "tanh, orthogonal", "tanh, orthogonal, tuned")


@dataclass(frozen=True, eq=False)
class _Measured:
    family: _Family
    depth: int
    theory: JacobianSpectrum
    spectra: Spectra


def _measure(settings: Settings, families: list[_Family]) -> Iterator[_Measured]:
    for family in families:
        if family.name not in _SIMULATED:
            continue
        for depth in (2, 8, 32) if not settings.small else (2,):
            ensemble = family.at(depth)
            spectra = simulate_spectra(
                settings,
                f"5 {family.name} {depth}",
                ensemble,
                depth,
                width=settings.size(256, 48),
                n_samples=settings.size(16, 8),
                method="fast",
            )
            yield _Measured(family, depth, mf.jacobian_spectrum(ensemble, depth), spectra)


def _drawn(measured: list[_Measured]) -> str:
    return (
        f"Marks with one standard error: {measured[0].spectra.described()}, extrapolated to "
        "infinite width."
    )


def _depths(settings: Settings) -> list[int]:
    every = [1, 2, 3, 5, 8, 12, 20, 32, 50, 100, 200, 400, 1000]
    return every if not settings.small else [2, 8, 100, 1000]


def _curves(
    ax: Any,
    settings: Settings,
    families: list[_Family],
    value: Callable[[JacobianSpectrum], float],
) -> list[tuple[str, ...]]:
    """Draw `value` against depth for every family; return rows with the exponents."""
    depths = _depths(settings)
    rows = []
    for family in families:
        found = {depth: value(mf.jacobian_spectrum(family.at(depth), depth)) for depth in depths}
        ax.plot(
            depths,
            [number if number > 0 else np.nan for number in found.values()],
            family.line,
            color=family.color,
            linewidth=1.3,
            label=family.name,
        )
        slope = np.log(found[1000] / found[100]) / np.log(10.0)
        rows.append(
            (
                family.name,
                *(f"{found[depth]:.4g}" for depth in (depths[1], 100, 1000)),
                f"{slope:+.3f}",
            )
        )
    return rows


def _mark(ax: Any, item: _Measured, found: Estimate, scale: float) -> None:
    ax.errorbar(
        item.depth,
        found.value * scale,
        found.error * scale,
        fmt=item.family.marker,
        color=item.family.color,
        mec=BLACK,
        mew=0.5,
    )


@dataclass(frozen=True)
class _View:
    """A number of the spectrum that is drawn against depth."""

    key: str
    title: str
    label: str
    caption: str
    description: str
    heading: str
    value: Callable[[JacobianSpectrum], float]
    compare: Callable[[_Measured], tuple[Estimate, float, Comparison]]
    """The estimate, in units of the number that follows, and its comparison."""


def _against_depth(
    settings: Settings, families: list[_Family], measured: list[_Measured], view: _View
) -> Figure:
    figure, ax = canvas(6.4, 4.2)
    rows = _curves(ax, settings, families, view.value)
    comparisons = []
    for item in measured:
        found, unit, comparison = view.compare(item)
        _mark(ax, item, found, unit)
        comparisons.append(comparison)
    ax.set(xlabel="depth $L$", ylabel=view.label, xscale="log", yscale="log")
    figure.legend(loc="outside right center")
    titles = ("network", f"L = {_depths(settings)[1]}", "100", "1000", "exponent")
    return Figure(
        key=view.key,
        title=view.title,
        drawing=figure,
        caption=view.caption,
        description=view.description,
        comparisons=comparisons,
        tables=[Table(view.heading, titles, rows)],
        wide=True,
    )


def _window(measured: list[_Measured]) -> _View:
    def compare(item: _Measured) -> tuple[Estimate, float, Comparison]:
        found = item.spectra.extrapolate(
            lambda log_s: np.mean(np.abs(np.exp(log_s) - 1.0) <= _EPSILON, axis=1)
        )
        name = f"share within 1 ± {_EPSILON:g}, {item.family.name}, L = {item.depth}"
        return found, 1.0, found.compare(name, item.theory.fraction_within(_EPSILON))

    return _View(
        key="a",
        title="Share of singular values near 1",
        label=rf"share of singular values in $1\pm{_EPSILON:g}$",
        caption=(
            f"Critical networks, q* = {_Q:g} except for linear and ReLU; tuned: q* such that the "
            f"relative variance of s² is {_VARIANCE:g}. Lines, theory. {_drawn(measured)} The "
            "exponent is that between L = 100 and 1000."
        ),
        description="Share near 1 against depth: falls as 1/L for all but the tuned network.",
        heading="Share within 1 ± 0.25",
        value=lambda spectrum: spectrum.fraction_within(_EPSILON),
        compare=compare,
    )


def _largest() -> _View:
    def compare(item: _Measured) -> tuple[Estimate, float, Comparison]:
        top, scale = item.theory.maximum, edge_scale(item.theory)

        def corrected(log_s: Any) -> Any:
            # relative to the edge, without the mean of the fluctuation at this width
            shift = TRACY_WIDOM_MEAN * scale * log_s.shape[1] ** (-2.0 / 3.0)
            return (np.exp(2.0 * log_s[:, 0]) - shift) / top

        found = item.spectra.extrapolate(corrected)
        name = (
            f"largest λ over the edge, {item.family.name}, L = {item.depth}, "
            f"N = {item.spectra.width}"
        )
        return found, top, found.compare(name, 1.0)

    return _View(
        key="b",
        title="Largest squared singular value",
        label=r"largest $\lambda=s^2$",
        caption=(
            "The same networks. At finite width the largest λ lies below the edge by 1.2065 times "
            "the Tracy-Widom scale, (A N)^{-2/3} where the density is (A/π) √(λ_+ - λ) at the edge "
            "λ_+; this is taken off before the extrapolation. The largest s grows as √L."
        ),
        description="Largest eigenvalue against depth: grows as L for all but the tuned network.",
        heading="Largest λ",
        value=lambda spectrum: spectrum.maximum,
        compare=compare,
    )


def _outlier(settings: Settings) -> Figure:
    depths = (40, 60, 100) if not settings.small else (40,)
    width, n_samples = settings.size(128, 48), settings.size(64, 8)
    figure, ax = canvas()
    comparisons, rows = [], []
    for number, depth in enumerate(depths):
        ensemble = _tuned(depth)
        edge = _lower_end(ensemble, depth)
        expected = outlying_singular_value(ensemble, depth)
        spectra = simulate_spectra(
            settings,
            f"5 outlier {depth}",
            ensemble,
            depth,
            width=width,
            n_samples=n_samples,
            method="fast",
        )
        # of the logarithm: factors of many layers multiply
        found = spectra.extrapolate(_smallest_over(expected))
        outside = spectra.extrapolate(_number_below(edge))
        comparisons += [
            found.compare(f"mean ln of the outlying s over theory, L = {depth}", 0.0),
            outside.compare(f"singular values of a network below the bulk, L = {depth}", 1.0),
        ]
        s = np.exp(spectra.wide)
        for place, marker, color, label in (
            (s.shape[1] - 1, "o", VERMILLION, "smallest $s$"),
            (s.shape[1] - 2, "s", BLUE, "second smallest $s$"),
        ):
            ax.errorbar(
                depth,
                s[:, place].mean(),
                s[:, place].std(ddof=1),
                fmt=marker,
                color=color,
                mec=BLACK,
                mew=0.5,
                label=label if number == 0 else None,
            )
        slope = mf.fixed_point(ensemble).length_slope
        rows.append(
            (str(depth), f"{expected:.4g}", f"{slope**depth:.4g}", f"{np.exp(edge):.4g}"),
        )
    layers = np.arange(35, 106, 5)
    lines = np.array(
        [
            (
                outlying_singular_value(_tuned(depth), depth),
                np.exp(_lower_end(_tuned(depth), depth)),
            )
            for depth in layers.tolist()
        ]
    )
    ax.plot(layers, lines[:, 0], color=VERMILLION, label="outlier, theory")
    ax.plot(layers, lines[:, 1], color=BLACK, linestyle="--", label="bulk, $10^{-9}$ quantile")
    ax.set(
        xlabel="depth $L$",
        ylabel="singular value $s$",
        yscale="log",
        ylim=(0.01, 1.0),
        title=rf"tanh, orthogonal, tuned, $N={width}$",
    )
    ax.legend()
    return Figure(
        key="c",
        title="One singular value outside the bulk",
        drawing=figure,
        caption=(
            "Free probability takes slopes and weights as independent; along the signal itself "
            "they are not. In this one direction J shrinks as lengths do, and one singular value "
            "leaves the bulk, however wide the network. Line, theory derived here: with A = J^{-1} "
            "and the units u, v along the last and the first signal, s = vAu / (|vA| |Au|), a "
            "little less than V′(q*)^L. Marks, mean and standard deviation over "
            f"{n_samples} networks of width {width}; the comparisons also use {2 * n_samples} of "
            f"width {width // 2}."
        ),
        description="The smallest singular value falls with depth, far below the bulk's edge.",
        comparisons=comparisons,
        tables=[Table("Theory", ("L", "outlying s", "V′(q*)^L", "10^{-9} quantile of s"), rows)],
    )


def _lower_end(ensemble: Ensemble, depth: int) -> float:
    """Return ln s where the bulk has next to nothing below."""
    return 0.5 * float(mf.jacobian_spectrum(ensemble, depth).log_quantile(1e-9))


def _smallest_over(scale: float) -> Callable[[Array], Array]:
    def statistic(log_s: Array) -> Array:
        smallest: Array = log_s[:, -1] - np.log(scale)
        return smallest

    return statistic


def _number_below(edge: float) -> Callable[[Array], Array]:
    def statistic(log_s: Array) -> Array:
        number: Array = np.sum(log_s < edge, axis=1)
        return number

    return statistic
