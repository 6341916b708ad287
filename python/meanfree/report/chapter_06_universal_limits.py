"""Chapter 6: the two limits of infinite depth that stay well conditioned."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

import meanfree as mf
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.spectra import Spectra, compare_cdf, simulate_spectra
from meanfree.report.style import BLACK, BLUE, GREY, PURPLE, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from meanfree.report.comparison import Comparison
    from meanfree.spectrum import JacobianSpectrum

    Kind: TypeAlias = Literal["smooth", "bernoulli"]

TITLE = "Universal spectra of infinitely deep networks"
NEEDS: tuple[str, ...] = ()
TEXT = """
Let the depth grow while q* on the critical line is tuned so that the relative variance of s²,

    σ² = L (μ_2 / μ_1² - 1),   μ_k = E φ′^{2k},

stays fixed; weights orthogonal. The spectrum then has a limit, and of the nonlinearity no more is
left than whether φ′ varies smoothly or is 0 or 1:

    S(z) = exp(-σ² z)   or   S(z) = exp(-σ² z / (1 + z)).

Source: Pennington, Schoenholz, Ganguli (2018), the emergence of spectral universality.
"""

_VARIANCE = 0.25


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the smooth and the Bernoulli limit."""
    yield _smooth(settings)
    yield _bernoulli(settings)


def _distance(spectrum: JacobianSpectrum, limit: JacobianSpectrum) -> float:
    """Return the largest difference of two CDFs."""
    low, high = (float(edge) for edge in limit.log_edges)
    low = max(low, float(limit.log_quantile(1e-3)))
    top = max(high, float(np.log(limit.maximum)), float(np.log(spectrum.maximum)))
    log_lambda = np.linspace(low - 0.2, top + 0.1, 2001)
    gap = spectrum.log_cdf(log_lambda) - limit.log_cdf(log_lambda)
    # atoms of nearly equal place: the difference between them is of no interest
    inside = log_lambda < min(float(np.log(limit.maximum)), float(np.log(spectrum.maximum))) - 0.02
    return float(np.max(np.abs(gap[inside])))


_DEPTHS = (10, 100, 1000)


def _limit_rows(names: tuple[str, ...], limit: JacobianSpectrum) -> list[tuple[str, ...]]:
    rows = []
    for name in names:
        gaps = []
        for depth in _DEPTHS:
            tuned = mf.tune_critical(name, depth, relative_variance=_VARIANCE)
            gaps.append(_distance(mf.jacobian_spectrum(tuned, depth), limit))
        rows.append((name, *(f"{gap:.2e}" for gap in gaps), f"{np.log10(gaps[2] / gaps[1]):+.2f}"))
    return rows


def _limit_figure(
    settings: Settings, kind: Kind, name: str, names: tuple[str, ...], *, key: str, text: str
) -> Figure:
    limit = mf.universal_spectrum(kind, _VARIANCE)
    depth = settings.size(32, 8)
    figure, ax = canvas()
    s = np.linspace(0.3, 1.7, 700)
    for many, color in zip(_DEPTHS, (SKY, BLUE, PURPLE), strict=True):
        tuned = mf.tune_critical(name, many, relative_variance=_VARIANCE)
        spectrum = mf.jacobian_spectrum(tuned, many)
        ax.plot(s, spectrum.singular_cdf(s), color=color, label=f"$L={many}$")
    ax.plot(s, limit.singular_cdf(s), ":", color=BLACK, label=r"$L\to\infty$")
    tuned = mf.tune_critical(name, depth, relative_variance=_VARIANCE)
    spectra = simulate_spectra(
        settings,
        f"6 {name} tuned",
        tuned,
        depth,
        width=settings.size(256, 48),
        n_samples=settings.size(16, 8),
    )
    places = np.linspace(0.35, 1.65, 27)
    found = spectra.cdf(2 * np.log(places))
    ax.errorbar(
        places,
        found.value,
        found.error,
        fmt="o",
        color=VERMILLION,
        markersize=3.0,
        label=f"networks, $L={depth}$",
    )
    ax.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(
        xlabel="singular value $s$",
        ylabel="share of singular values below $s$",
        title=rf"{name}, orthogonal, $\sigma^2={_VARIANCE:g}$",
    )
    ax.legend()
    theory = mf.jacobian_spectrum(tuned, depth)
    return Figure(
        key=key,
        title=f"The {kind} limit".replace("bernoulli", "Bernoulli"),
        drawing=figure,
        caption=(
            f"{text} Lines, theory; marks with one standard error, {spectra.described()}, "
            "extrapolated to infinite width and compared with the theory of their own depth. The "
            "table has the largest difference to the limit."
        ),
        description=f"CDF of s of {name} at three depths approaching the limit.",
        comparisons=_comparisons(f"{name}, L = {depth}", spectra, theory),
        tables=[
            Table(
                "Largest difference to the limit's CDF",
                ("network", *(f"L = {many}" for many in _DEPTHS), "exponent"),
                _limit_rows(names, limit),
            )
        ],
    )


def _comparisons(name: str, spectra: Spectra, theory: JacobianSpectrum) -> list[Comparison]:
    """Compare the CDF of the bulk, and the share of the atom above it if there is one."""
    top = [atom for atom in theory.atoms if atom.location > 0]
    if not top:
        return compare_cdf(name, spectra, theory)
    place, mass = top[0].log_location, top[0].mass
    found = spectra.extrapolate(lambda log_s: np.mean(np.abs(2 * log_s - place) < 1e-9, axis=1))
    atom = found.compare(f"share of singular values at the atom, {name}", mass)
    return [*compare_cdf(name, spectra, theory, highest=1.0 - mass), atom]


def _smooth(settings: Settings) -> Figure:
    return _limit_figure(
        settings,
        "smooth",
        "tanh",
        ("tanh", "erf_scaled", "arctan"),
        key="a",
        text=(
            "With q* tuned to its depth a tanh network keeps all singular values within a fixed "
            "interval around 1 at any depth."
        ),
    )


def _bernoulli(settings: Settings) -> Figure:
    return _limit_figure(
        settings,
        "bernoulli",
        "hard_tanh",
        ("hard_tanh", "shifted_relu"),
        key="b",
        text=(
            "Where φ′ is 0 or 1, a share 1 - σ² of all singular values is equal: the step, an atom "
            "of the spectrum."
        ),
    )
