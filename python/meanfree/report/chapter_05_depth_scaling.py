"""Chapter 5: how the share of singular values near 1 and the largest one scale with depth."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

import meanfree as mf
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.largest import TRACY_WIDOM_MEAN, edge_scale
from meanfree.report.spectra import Estimate, Spectra, simulate_spectra
from meanfree.report.style import BLACK, BLUE, GREEN, PURPLE, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from meanfree.ensemble import Ensemble
    from meanfree.spectrum import JacobianSpectrum

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
    """Yield the share near 1 and the largest one against depth."""
    families = _families()
    measured = list(_measure(settings, families))
    yield _window(settings, families, measured)
    yield _largest(settings, families, measured)


@dataclass(frozen=True)
class _Family:
    """Critical networks of every depth."""

    name: str
    at: Callable[[int], Ensemble]
    color: str
    line: str = "-"
    marker: str = "o"


_WEIGHTS: tuple[Weights, Weights] = ("gaussian", "orthogonal")


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
        lambda depth: mf.tune_critical("tanh", depth, relative_variance=_VARIANCE),
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


def _window(settings: Settings, families: list[_Family], measured: list[_Measured]) -> Figure:
    figure, ax = canvas(6.4, 4.2)
    rows = _curves(ax, settings, families, lambda spectrum: spectrum.fraction_within(_EPSILON))
    comparisons = []
    for item in measured:
        found = item.spectra.extrapolate(
            lambda log_s: np.mean(np.abs(np.exp(log_s) - 1.0) <= _EPSILON, axis=1)
        )
        _mark(ax, item, found, 1.0)
        comparisons.append(
            found.compare(
                f"share within 1 ± {_EPSILON:g}, {item.family.name}, L = {item.depth}",
                item.theory.fraction_within(_EPSILON),
            )
        )
    ax.set(
        xlabel="depth $L$",
        ylabel=rf"share of singular values in $1\pm{_EPSILON:g}$",
        xscale="log",
        yscale="log",
    )
    figure.legend(loc="outside right center")
    second = _depths(settings)[1]
    return Figure(
        key="a",
        title="Share of singular values near 1",
        drawing=figure,
        caption=(
            f"Critical networks, q* = {_Q:g} except for linear and ReLU; tuned: q* such that the "
            f"relative variance of s² is {_VARIANCE:g}. Lines, theory. {_drawn(measured)} The "
            "exponent is that between L = 100 and 1000."
        ),
        description="Share near 1 against depth: falls as 1/L for all but the tuned network.",
        comparisons=comparisons,
        tables=[
            Table(
                "Share within 1 ± 0.25",
                ("network", f"L = {second}", "100", "1000", "exponent"),
                rows,
            )
        ],
        wide=True,
    )


def _largest(settings: Settings, families: list[_Family], measured: list[_Measured]) -> Figure:
    figure, ax = canvas(6.4, 4.2)
    rows = _curves(ax, settings, families, lambda spectrum: spectrum.maximum)
    comparisons = []
    for item in measured:
        width = item.spectra.width
        top, scale = item.theory.maximum, edge_scale(item.theory)

        def corrected(log_s: Any, top: float = top, scale: float = scale) -> Any:
            # relative to the edge, without the mean of the fluctuation at this width
            shift = TRACY_WIDOM_MEAN * scale * log_s.shape[1] ** (-2.0 / 3.0)
            return (np.exp(2.0 * log_s[:, 0]) - shift) / top

        found = item.spectra.extrapolate(corrected)
        _mark(ax, item, found, top)
        comparisons.append(
            found.compare(
                f"largest λ over the edge, {item.family.name}, L = {item.depth}, N = {width}", 1.0
            )
        )
    ax.set(
        xlabel="depth $L$",
        ylabel=r"largest $\lambda=s^2$",
        xscale="log",
        yscale="log",
    )
    figure.legend(loc="outside right center")
    second = _depths(settings)[1]
    return Figure(
        key="b",
        title="Largest squared singular value",
        drawing=figure,
        caption=(
            "The same networks. At finite width the largest λ lies below the edge by 1.2065 times "
            "the Tracy-Widom scale, (A N)^{-2/3} where the density is (A/π) √(λ_+ - λ) at the edge "
            "λ_+; this is taken off before the extrapolation. The largest s grows as √L."
        ),
        description="Largest eigenvalue against depth: grows as L for all but the tuned network.",
        comparisons=comparisons,
        tables=[Table("Largest λ", ("network", f"L = {second}", "100", "1000", "exponent"), rows)],
        wide=True,
    )
