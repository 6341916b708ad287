"""Chapter 4: singular values of the Jacobian: their mean square and their whole distribution."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import meanfree as mf
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.spectra import (
    Spectra,
    compare_cdf,
    histogram,
    simulate_spectra,
)
from meanfree.report.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.spectrum import JacobianSpectrum

    Array = NDArray[np.float64]

TITLE = "Singular values of the end-to-end Jacobian"
NEEDS: tuple[str, ...] = ()
TEXT = """
Errors travel back through the transpose of the Jacobian

    J = D^L W^L … D^1 W^1,   D^l = diag φ′(h^l).

Its mean squared singular value is χ_1^L: the phase decides whether gradients vanish or explode on
average. But an average says little of a matrix. Free probability gives the whole distribution: in
the limit of wide layers the factors are free, S-transforms multiply, and with λ = s²

    ln λ = ln(1 + m) - ln m + L [2 ln σ_w + ln m + ln x - o ln(1 + m)],   m = E[φ′² / (x - φ′²)],

o = 0 for Gaussian and 1 for orthogonal weights, is one equation for one complex unknown x. The
density is -Im m / (π λ). Even where χ_1 = 1 the singular values of deep networks spread over many
decades, unless the weights are orthogonal and the network stays close to linear.

Source: Pennington, Schoenholz, Ganguli (2017), free probability of Jacobians; Saxe et al. (2014),
linear networks.
"""


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the mean square against depth and three families of spectra."""
    yield _mean_square(settings)
    yield _linear(settings)
    yield _relu(settings)
    yield _tanh(settings)


def _mean_square(settings: Settings) -> Figure:
    sigma_b = 0.3
    depths = (2, 5, 10, 20) if not settings.small else (2, 5)
    width, n_samples = settings.size(256, 48), settings.size(48, 8)
    critical = mf.critical("tanh", sigma_b).sigma_w
    figure, ax = canvas()
    comparisons = []
    for sigma_w, name, color, marker in (
        (1.0, "ordered", BLUE, "o"),
        (critical, "critical", GREEN, "^"),
        (2.0, "chaotic", VERMILLION, "s"),
    ):
        ensemble = mf.Ensemble("tanh", sigma_w, sigma_b)
        chi = mf.fixed_point(ensemble).chi_1
        layers = np.arange(1, depths[-1] + 1)
        ax.plot(
            layers,
            chi**layers,
            color=color,
            marker=marker,
            markevery=[],
            label=rf"$\sigma_w = {sigma_w:.4g}$, $\chi_1 = {chi:.4g}$",
        )
        for depth in depths:
            spectra = simulate_spectra(
                settings,
                f"4 chi {name} {depth}",
                ensemble,
                depth,
                width=width,
                n_samples=n_samples,
                method="fast",
            )
            # relative to the theory, since the numbers span many decades
            found = spectra.extrapolate(_mean_square_over(chi**depth))
            comparisons.append(
                found.compare(
                    f"mean squared singular value over χ₁^L, depth {depth}, σ_w = {sigma_w:.4g}",
                    mf.jacobian_spectrum(ensemble, depth).mean / chi**depth,
                )
            )
            ax.errorbar(
                depth,
                found.value * chi**depth,
                found.error * chi**depth,
                color=color,
                fmt=marker,
                mec=BLACK,
                mew=0.5,
            )
    ax.set(
        xlabel="depth $L$",
        ylabel="mean squared singular value",
        yscale="log",
        title=rf"tanh, Gaussian weights, $\sigma_b = {sigma_b:g}$",
    )
    ax.legend()
    return Figure(
        key="a",
        title="Mean squared singular value",
        drawing=figure,
        caption=(
            "Lines, χ_1^L; marks, networks with one standard error, extrapolated to infinite "
            f"width from {n_samples} networks of width {width} and {2 * n_samples} of width "
            f"{width // 2}."
        ),
        description="Mean squared singular value against depth in three phases, on the lines.",
        comparisons=comparisons,
    )


def _mean_square_over(scale: float) -> Callable[[Array], Array]:
    def statistic(log_s: Array) -> Array:
        mean: Array = np.mean(np.exp(2 * log_s), axis=1)
        return mean / scale

    return statistic


@dataclass(frozen=True, eq=False)
class _Curve:
    """One spectrum of a figure, measured and predicted."""

    name: str
    ensemble: Ensemble
    depth: int
    color: str
    q: float | None = None
    lowest: float = 0.0


def _spectra(
    settings: Settings, curves: Sequence[_Curve], width: int, n_samples: int
) -> Iterator[tuple[_Curve, JacobianSpectrum, Spectra]]:
    for curve in curves:
        theory = mf.jacobian_spectrum(curve.ensemble, curve.depth, q=curve.q)
        spectra = simulate_spectra(
            settings,
            f"4 {curve.name}",
            curve.ensemble,
            curve.depth,
            width=width,
            n_samples=n_samples,
            q=curve.q,
        )
        yield curve, theory, spectra


_SMALLEST = 1e-5  # s that is drawn


def _draw(ax: Any, curve: _Curve, theory: JacobianSpectrum, spectra: Spectra) -> None:
    """Draw the density of ln s: s rho(s), theory and histogram."""
    low, high = 0.5 * theory.log_quantile(np.array([curve.lowest + 0.005, 1.0]))
    low = max(low, np.log(_SMALLEST))
    log_s = np.linspace(low, high, 400)[:-1]
    s = np.exp(log_s)
    ax.plot(s, s * theory.singular_density(s), color=curve.color, label=curve.name)
    shown = spectra.wide[spectra.wide > low]
    centre, density = histogram(shown, 30)
    density *= shown.size / spectra.wide.size
    ax.plot(np.exp(centre), density, "o", color=curve.color, markersize=3.0, alpha=0.8)


def _spectrum_figure(
    settings: Settings,
    curves: Sequence[_Curve],
    *,
    key: str,
    title: str,
    heading: str,
    text: str,
    width: int,
    n_samples: int,
) -> Figure:
    figure, ax = canvas()
    comparisons, rows = [], []
    spectra = None
    for curve, theory, spectra in _spectra(settings, curves, width, n_samples):
        _draw(ax, curve, theory, spectra)
        comparisons += compare_cdf(curve.name, spectra, theory, lowest=curve.lowest)
        zero = sum(atom.mass for atom in theory.atoms if atom.location == 0)
        rows.append(
            (
                curve.name,
                f"{np.exp(0.5 * theory.log_mean):.4g}",
                f"{theory.relative_variance:.4g}",
                f"{np.sqrt(theory.maximum):.4g}",
                f"{theory.fraction_within(0.25):.4f}",
                f"{zero:.3g}",
            )
        )
    ax.set(
        xlabel="singular value $s$",
        ylabel=r"density of $\ln s$, $s\,\rho(s)$",
        xscale="log",
        yscale="log",
        title=heading,
    )
    ax.legend()
    return Figure(
        key=key,
        title=title,
        drawing=figure,
        caption=(
            f"{text} Lines, theory; dots, histogram of {n_samples} networks of width {width}. The "
            f"comparisons also use {2 * n_samples} of width {width // 2} to remove the leading "
            "1/N; errors from the spread between networks."
        ),
        description=f"{title}: densities of ln s, theory lines through histograms.",
        comparisons=comparisons,
        tables=[
            Table(
                "Theory",
                ("network", "rms s", "rel. variance of s²", "largest s", "|s - 1| < 0.25", "s = 0"),
                rows,
            )
        ],
    )


def _linear(settings: Settings) -> Figure:
    depths = (1, 2, 5, 10, 100) if not settings.small else (1, 2)
    colors = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
    curves = [
        _Curve(f"L = {depth}", mf.Ensemble("linear", 1.0), depth, color)
        for depth, color in zip(depths, colors, strict=False)
    ]
    return _spectrum_figure(
        settings,
        curves,
        key="b",
        title="Products of Gaussian matrices",
        heading=r"linear, Gaussian weights, $\sigma_w=1$",
        text=(
            "The mean square is 1 at every depth, yet the spectrum of a deep product is nearly "
            "flat in ln s: few directions are amplified, most are lost. At L = 100 it goes on down "
            "to 10^{-100} and below; the comparisons take all of it."
        ),
        width=settings.size(400, 48),
        n_samples=settings.size(16, 8),
    )


def _relu(settings: Settings) -> Figure:
    depths = (3, 10) if not settings.small else (3,)
    curves = [
        _Curve(
            f"L = {depth}",
            mf.Ensemble("relu", np.sqrt(2), weights="orthogonal"),
            depth,
            color,
            lowest=0.6,
        )
        for depth, color in zip(depths, (BLUE, VERMILLION), strict=False)
    ]
    return _spectrum_figure(
        settings,
        curves,
        key="c",
        title="ReLU with orthogonal weights",
        heading=r"ReLU, orthogonal weights, $\sigma_w=\sqrt{2}$",
        text=(
            "Orthogonal weights do not help a ReLU: half of all directions are lost in each layer, "
            "and the rest spreads as with Gaussian weights. The rank of a finite product is the "
            "smallest of L random ranks, an effect of order N^{-1/2} on the smallest s: compared "
            "is the part above the quantile 0.6."
        ),
        width=settings.size(400, 48),
        n_samples=settings.size(48, 8),
    )


def _tanh(settings: Settings) -> Figure:
    gains = (0.95, 1.0, 1.05) if not settings.small else (1.0,)
    depth = settings.size(100, 8)
    curves = [
        _Curve(
            rf"gain {gain:g}",
            mf.Ensemble("tanh", gain, weights="orthogonal"),
            depth,
            color,
            q=1.0,
        )
        for gain, color in zip(gains, (BLUE, GREEN, VERMILLION), strict=False)
    ]
    return _spectrum_figure(
        settings,
        curves,
        key="d",
        title="tanh with orthogonal weights",
        heading=rf"tanh, orthogonal weights, $L={depth}$, $q^1=1$",
        text=(
            "No bias; the gain is σ_w. At gain 1 the length falls as q^l ≈ 1/(2 l) and the "
            "relative variance Σ 8 (q^l)² converges: the shape of the spectrum no longer changes "
            "with depth, while its scale falls as 1/L. The theory takes the length of each layer "
            "from the length map."
        ),
        width=settings.size(256, 48),
        n_samples=settings.size(16, 8),
    )
