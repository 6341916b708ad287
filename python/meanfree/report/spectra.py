"""Measured Jacobian spectra beside theory: two widths, extrapolated, with a null distribution.

The eigenvalues of one random matrix repel each other: they are no independent draws, and the usual
null distribution of Kolmogorov and Smirnov does not apply. Networks are independent of each other,
so all errors come from the spread between networks. The empirical CDF of networks of width N has
a bias b/N to leading order. With the widths N and N/2 measured,

    2 F_N - F_{N/2}

is free of it; what remains is of the next order, L/N times as large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

import meanfree as mf
from meanfree.report.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.report.engine import Settings
    from meanfree.spectrum import JacobianSpectrum

    Array = NDArray[np.float64]

SAFETY = 4.0
"""The bound is this many times depth / width times the leading term of the bias."""

SOURCE = "4 L/N of the leading finite-width term, which the two widths measure and remove"

_N_RESAMPLED = 200
_GRID = np.arange(0.5, 60) / 60.0  # shares of the spectrum where the CDF is compared
_PLACES = np.array([0.1, 0.25, 0.5, 0.75, 0.95])


@dataclass(frozen=True, eq=False)
class Estimate:
    """Means at infinite width, one standard error, and the bound on the bias that remains."""

    value: Array
    error: Array
    bound: Array
    n_samples: int

    def compare(self, quantity: str, theory: float) -> Comparison:
        """Set one number beside its theory."""
        return Comparison(
            quantity,
            theory,
            float(self.value),
            float(self.error),
            float(self.bound),
            SOURCE,
            self.n_samples,
        )


@dataclass(frozen=True, eq=False)
class Spectra:
    """Log singular values of independent networks at two widths, (n_samples, width) each."""

    wide: Array
    narrow: Array
    depth: int

    @property
    def width(self) -> int:
        """The larger width."""
        return int(self.wide.shape[1])

    def described(self) -> str:
        """Return how many networks were drawn, in words."""
        (n, width), (many, half) = self.wide.shape, self.narrow.shape
        return f"{n} networks of width {width} and {many} of width {half}"

    def extrapolate(self, statistic: Callable[[Array], Array]) -> Estimate:
        """Estimate the mean of `statistic`, (n, width) -> (n, ...), at infinite width."""
        return self.extrapolated(statistic(self.wide), statistic(self.narrow))

    def extrapolated(self, wide: Array, narrow: Array) -> Estimate:
        """Estimate from the values of the networks of both widths, first axis the networks."""
        return extrapolated(wide, narrow, self.depth, self.width)

    def cdf(self, log_lambda: ArrayLike) -> Estimate:
        """Estimate the CDF of lambda = s^2 at thresholds, shape (k,)."""
        return self.extrapolate(lambda log_s: fractions_below(log_s, log_lambda))


def extrapolated(wide: Array, narrow: Array, depth: int, width: int) -> Estimate:
    """Estimate a mean at infinite width from networks of `width` and of half of it.

    Parameters
    ----------
    wide, narrow : (n_networks, ...) array
        Values of independent networks of `width` and of width / 2.
    depth, width : int
        They set the bound on the bias that remains.
    """
    mean, half = wide.mean(axis=0), narrow.mean(axis=0)
    variance = 4 * _squared_error(wide) + _squared_error(narrow)
    bound = SAFETY * depth / width * np.abs(half - mean)
    return Estimate(2 * mean - half, np.sqrt(variance), bound, len(wide))


def _squared_error(samples: Array) -> Array:
    error: Array = samples.var(axis=0, ddof=1) / len(samples)
    return error


def fractions_below(log_s: Array, log_lambda: ArrayLike) -> Array:
    """Return for each network the fraction of 2 log s at or below each threshold, (n, k)."""
    ordered = np.sort(2 * log_s, axis=1)
    counts = np.stack([np.searchsorted(row, log_lambda, side="right") for row in ordered])
    fractions: Array = counts / log_s.shape[1]
    return fractions


def simulate_spectra(
    settings: Settings,
    label: str,
    ensemble: Ensemble,
    depth: int,
    *,
    width: int,
    n_samples: int,
    q: float | None = None,
    method: Literal["accurate", "fast"] = "accurate",
) -> Spectra:
    """Simulate `n_samples` networks of `width` and twice as many of half of it.

    ``method="fast"`` serves where only the large singular values are looked at.
    """
    both = [
        mf.simulate_jacobian(
            ensemble,
            n,
            depth,
            n_samples=many,
            seed=settings.seed_for(f"{label} {n}"),
            q=q,
            method=method,
            n_threads=settings.n_threads,
            progress=False,
        ).log_singular_values
        for n, many in ((width, n_samples), (width // 2, 2 * n_samples))
    ]
    return Spectra(both[0], both[1], depth)


def compare_cdf(
    name: str,
    spectra: Spectra,
    theory: JacobianSpectrum,
    theory_of_narrow: JacobianSpectrum | None = None,
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> list[Comparison]:
    """Compare the CDF at quantiles of the theory, and its largest deviation anywhere.

    Parameters
    ----------
    name : str
        Of the network.
    spectra : Spectra
    theory : JacobianSpectrum
        Of the wide networks.
    theory_of_narrow : JacobianSpectrum, optional
        Of the narrow ones, where it differs.
    lowest, highest : float
        Only the part of the spectrum between these shares is compared.
    """

    def deviation(share: Array) -> tuple[Array, tuple[Array, Array]]:
        place = theory.log_quantile(share)
        expected = theory.log_cdf(place)
        wide = fractions_below(spectra.wide, place) - expected
        if theory_of_narrow is not None:
            place = theory_of_narrow.log_quantile(share)
            expected_of_narrow = theory_of_narrow.log_cdf(place)
        else:
            expected_of_narrow = expected
        return expected, (wide, fractions_below(spectra.narrow, place) - expected_of_narrow)

    share = lowest + (highest - lowest) * _PLACES
    expected, samples = deviation(share)
    found = spectra.extrapolated(*samples)
    comparisons = [
        Comparison(
            f"CDF at the {place:.3g} quantile, {name}",
            float(expected[i]),
            float(expected[i] + found.value[i]),
            float(found.error[i]),
            float(found.bound[i]),
            SOURCE,
            len(spectra.wide),
        )
        for i, place in enumerate(share)
    ]
    _, samples = deviation(lowest + (highest - lowest) * _GRID)
    return [*comparisons, _largest_deviation(name, spectra, samples)]


def _largest_deviation(name: str, spectra: Spectra, samples: tuple[Array, Array]) -> Comparison:
    """Compare the largest deviation with that between networks drawn again from the same ones."""
    found = spectra.extrapolated(*samples)
    random = np.random.default_rng([*spectra.wide.shape, spectra.depth])
    null = np.empty(_N_RESAMPLED)
    for i in range(_N_RESAMPLED):
        again = spectra.extrapolated(
            *(item[random.integers(len(item), size=len(item))] for item in samples)
        )
        null[i] = np.max(np.abs(again.value - found.value))
    return Comparison(
        f"largest deviation of the CDF, {name}; theory: its mean by chance",
        float(null.mean()),
        float(np.max(np.abs(found.value))),
        float(null.std(ddof=1)),
        float(found.bound.max()),
        SOURCE,
        len(spectra.wide),
    )


def histogram(log_s: Array, n_bins: int) -> tuple[Array, Array]:
    """Return bin centres of ln s and the density of ln s; exact zeros are counted, not shown."""
    count, edge = np.histogram(log_s[np.isfinite(log_s)], bins=n_bins)
    return 0.5 * (edge[:-1] + edge[1:]), count / (log_s.size * (edge[1] - edge[0]))
