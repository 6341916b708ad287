"""The law of the squared singular values of a Jacobian, as an object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from meanfree import _core
from meanfree._axes import axes
from meanfree._check import Range, cores, integer, real_array, shaped
from meanfree._progress import progress_bar
from meanfree.spectrum._parts import LN_10, Atom, SpectrumDiagnostics, exponential, text_of
from meanfree.spectrum._spread import relative_variance_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from meanfree.spectrum._equation import Layers

    Array: TypeAlias = NDArray[np.float64]
    Law: TypeAlias = tuple[Array, ...]
    Equation: TypeAlias = tuple[list[Law], Array, Array, Array]

_SNAP = 64.0 * np.finfo(np.float64).eps  # of log lambda to that of an atom or edge
_LARGEST_MOMENT = 20  # beyond, the power series lose digits


class _WithInfinity(Range):
    """A range to which infinity belongs too."""

    def contains(self, values: Array) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = (values >= self.low) & (values <= self.high)
        return inside


_LAMBDA = _WithInfinity(">= 0", 0.0)
_LOGARITHM = _WithInfinity("a number or -inf or inf")
_PROBABILITY = Range("in [0, 1]", 0.0, 1.0)
_EPSILON = Range("finite and >= 0", 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class JacobianSpectrum:
    """Law of the eigenvalues lambda of J J^T, the squared singular values of a Jacobian J.

    Made by `jacobian_spectrum`, `rectangular_spectrum`, `universal_spectrum` and
    `residual_spectrum`. Methods take an array of any shape and return one of the same shape; a
    float for a scalar. They take ``n_threads`` and ``progress`` as `length_map` does.

    Attributes
    ----------
    label : str
        What this is the spectrum of.
    atoms : tuple of Atom
        Ascending. Those of the rest of the mass 1 are in the bulk, which has a density.
    log_bulks : (n, 2) array
        Natural logarithms of both edges of each interval of the bulk, ascending.
    diagnostics : SpectrumDiagnostics
    """

    label: str
    atoms: tuple[Atom, ...]
    log_bulks: Array
    diagnostics: SpectrumDiagnostics
    _equation: Equation | None
    _table: tuple[Array, ...]
    _layers: Layers | None

    # --- numbers ---------------------------------------------------------------------------------

    @property
    def log_edges(self) -> tuple[float, float]:
        """Logarithms of the lower and upper edge of the bulk; without one of the extreme atoms."""
        if self.log_bulks.size:
            return float(self.log_bulks[0, 0]), float(self.log_bulks[-1, 1])
        return self.atoms[0].log_location, self.atoms[-1].log_location

    @property
    def edges(self) -> tuple[float, float]:
        """Lower and upper edge of the bulk; equal for a pure atom. inf or 0 beyond doubles."""
        low, high = self.log_edges
        return exponential(low), exponential(high)

    @property
    def log_maximum(self) -> float:
        """Logarithm of the largest lambda."""
        return max(self.log_edges[1], *(atom.log_location for atom in self.atoms), -np.inf)

    @property
    def maximum(self) -> float:
        """Largest lambda, atoms included; inf or 0 beyond doubles."""
        return exponential(self.log_maximum)

    @property
    def log_mean(self) -> float:
        """Logarithm of the mean of lambda."""
        return float(self._moments[0][0])

    @property
    def mean(self) -> float:
        """Mean of lambda: the mean squared singular value. inf or 0 beyond doubles."""
        return exponential(self.log_mean)

    @cached_property
    def relative_variance(self) -> float:
        """Variance of lambda divided by the square of the mean; nan if all lambda are 0."""
        if np.isneginf(self.log_mean):
            return np.nan
        if self._layers is not None:
            return relative_variance_of(self._layers)
        if self._equation is not None:  # a limit
            return float(self._equation[3][1:].sum())
        mass = np.array([atom.mass for atom in self.atoms])
        ratio = np.exp([atom.log_location - self.log_mean for atom in self.atoms])
        return float(mass @ (ratio - 1.0) ** 2) if len(mass) > 1 else 0.0

    @property
    def variance(self) -> float:
        """Variance of lambda; inf or 0 beyond doubles."""
        if self.relative_variance > 0.0:
            return exponential(2.0 * self.log_mean + float(np.log(self.relative_variance)))
        return 0.0

    def moment(self, k: int) -> float:
        """Return the mean of ``lambda**k``, k in [0, 20]; inf or 0 beyond doubles."""
        return exponential(self.log_moment(k))

    def log_moment(self, k: int) -> float:
        """Return the logarithm of the mean of ``lambda**k``, k in [0, 20]."""
        k = integer("k", k, 0, _LARGEST_MOMENT)
        if k == 0:
            return 0.0
        if k <= 2:
            return float(self._moments[0][k - 1])
        return float(self._moments_up_to(k)[0][k - 1])

    # --- functions of lambda ---------------------------------------------------------------------

    def density(
        self, lam: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the density of lambda, atoms excluded; 0 outside the bulk.

        ``rho = -Im M(lambda + i0) / (pi lambda)`` for M(z) = E lambda / (z - lambda).

        Parameters
        ----------
        lam : array_like
            In [0, inf]. At 0 the density is inf if the bulk reaches there.
        """
        points = real_array("lam", lam, _LAMBDA)
        log_lam = _log(points)
        values = self._log_densities(log_lam, n_threads, progress)
        with np.errstate(over="ignore", invalid="ignore"):
            density = np.exp(values - log_lam)
        at_zero = log_lam == -np.inf
        if at_zero.any():
            reached = self.log_bulks.size > 0 and self.log_edges[0] == -np.inf
            density[at_zero] = np.inf if reached else 0.0
        return shaped(density, points.shape)

    def log_density(
        self, log_lam: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the density of log lambda, that is lambda times `density`, atoms excluded."""
        points = real_array("log_lam", log_lam, _LOGARITHM)
        values = self._log_densities(points.reshape(-1), n_threads, progress)
        return shaped(np.exp(values), points.shape)

    def cdf(
        self, lam: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the fraction of eigenvalues up to lam, atoms there included.

        In closed form, without integration of the density; absolute error about 1e-13.

        Parameters
        ----------
        lam : array_like
            In [0, inf].
        """
        points = real_array("lam", lam, _LAMBDA)
        return shaped(self._values(_log(points), n_threads, progress)[1], points.shape)

    def log_cdf(
        self, log_lam: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the distribution function of log lambda: the fraction up to ``exp(log_lam)``.

        It serves where lambda itself overflows or underflows. The value is the fraction, not its
        logarithm.
        """
        points = real_array("log_lam", log_lam, _LOGARITHM)
        return shaped(self._values(points.reshape(-1), n_threads, progress)[1], points.shape)

    def quantile(
        self, p: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the smallest lambda whose `cdf` is at least p; inf or 0 beyond doubles.

        Parameters
        ----------
        p : array_like
            In [0, 1]. 0 gives the lower end of the support, 1 the upper.
        """
        log_lam = self.log_quantile(p, n_threads=n_threads, progress=progress)
        with np.errstate(over="ignore"):
            lam = np.exp(log_lam)
        return lam if np.ndim(lam) else float(lam)

    def log_quantile(
        self, p: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the logarithm of `quantile`; -inf inside an atom at 0."""
        points = real_array("p", p, _PROBABILITY)
        flat, threads = points.reshape(-1), cores(n_threads)
        if self._equation is None:
            reached = np.cumsum([atom.mass for atom in self.atoms])
            place = np.searchsorted(reached[:-1], flat, side="left")
            found = np.array([atom.log_location for atom in self.atoms])[place]
        else:
            with progress_bar(progress, "quantiles", flat.size) as report:
                found = _core.spectral_quantiles(self._equation, self._table, flat, threads, report)
            lowest = min([self.log_edges[0], *(atom.log_location for atom in self.atoms)])
            found[flat == 0.0] = lowest
            found[flat == 1.0] = self.log_maximum
        return shaped(found, points.shape)

    # --- functions of singular values ------------------------------------------------------------

    def singular_density(
        self, s: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the density ``2 s rho(s**2)`` of singular values s in [0, inf], without atoms."""
        points = real_array("s", s, _LAMBDA)
        log_s = _log(points)
        values = self._log_densities(2.0 * log_s, n_threads, progress)
        with np.errstate(over="ignore", invalid="ignore"):
            density = 2.0 * np.exp(values - log_s)
        at_zero = log_s == -np.inf
        if at_zero.any():
            density[at_zero] = self._singular_density_at_zero()
        return shaped(density, points.shape)

    def singular_cdf(
        self, s: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the fraction of singular values up to s in [0, inf], atoms there included."""
        points = real_array("s", s, _LAMBDA)
        return shaped(self._values(2.0 * _log(points), n_threads, progress)[1], points.shape)

    def fraction_within(
        self, epsilon: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
    ) -> Any:
        """Return the fraction of singular values in [1 - epsilon, 1 + epsilon], ends included.

        Parameters
        ----------
        epsilon : array_like
            Finite and >= 0.
        """
        points = real_array("epsilon", epsilon, _EPSILON)
        flat = points.reshape(-1)
        ends = np.concatenate([np.maximum(1.0 - flat, 0.0), 1.0 + flat])
        log_lam = self._snapped(2.0 * _log(ends))
        values = self._values(log_lam, n_threads, progress)[1]
        below, upto = values[: flat.size], values[flat.size :]
        for atom in self.atoms:
            below = below - atom.mass * (log_lam[: flat.size] == atom.log_location)
        return shaped(np.clip(upto - below, 0.0, 1.0), points.shape)

    # --- figure ----------------------------------------------------------------------------------

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density of log10 lambda, and atoms as lines with their mass.

        From the quantile 0.001 of the nonzero eigenvalues to the largest one.
        """
        ax = axes(ax)
        scale = 1.0 / LN_10
        if self.log_bulks.size:
            at_zero = self.atoms[0].mass if self.atoms and self.atoms[0].location == 0.0 else 0.0
            low = float(self.log_quantile(at_zero + 1e-3 * (1.0 - at_zero)))
            high = self.log_edges[1]
            # denser at both ends, where the density has square roots
            angle = 0.5 * np.pi * np.linspace(-1.0, 1.0, 401)
            log_lam = low + (high - low) * 0.5 * (1.0 + np.sin(angle))
            ax.plot(scale * log_lam, self.log_density(log_lam) / scale, label="theory")
            ax.set_ylim(bottom=0.0, auto=True)
        for atom in self.atoms:
            if atom.location == 0.0 and np.isneginf(atom.log_location):
                ax.plot([], [], " ", label=rf"atom of mass {atom.mass:.3g} at 0")
            else:
                at = scale * atom.log_location
                ax.axvline(at, color="C3", linestyle="--", label=f"atom of mass {atom.mass:.3g}")
        ax.set(xlabel=r"$\log_{10}\lambda$", ylabel=r"density of $\log_{10}\lambda$")
        ax.legend()
        return ax

    # --- details ---------------------------------------------------------------------------------

    def _log_densities(self, log_lam: Array, n_threads: int | None, progress: bool | None) -> Array:
        """Return log(lambda rho) at flat log_lam."""
        densities: Array = self._values(log_lam, n_threads, progress, distribution=False)[0]
        return densities

    def _values(
        self,
        log_lam: Array,
        n_threads: int | None,
        progress: bool | None,
        *,
        distribution: bool = True,
    ) -> Array:
        """Return log(lambda rho), the CDF and 1 - CDF at flat log_lam, as rows."""
        threads = cores(n_threads)
        log_lam = self._snapped(log_lam)
        if self._equation is None:
            with progress_bar(progress, "spectrum", log_lam.size):
                reached = sum(a.mass * (log_lam >= a.log_location) for a in self.atoms)
            return np.array([np.full(log_lam.shape, -np.inf), reached, 1.0 - reached])
        outside = np.isinf(log_lam)
        some = bool(outside.any())
        inside = np.where(outside, self.log_edges[1], log_lam) if some else log_lam
        with progress_bar(progress, "spectrum", log_lam.size) as report:
            values = _core.spectral_values(
                self._equation, self._table, inside, threads, report, distribution
            )
        if some:
            zero = sum(a.mass for a in self.atoms if np.isneginf(a.log_location))
            below = log_lam < 0.0
            values[0, outside] = -np.inf
            values[1, outside] = np.where(below, zero, 1.0)[outside]
            values[2, outside] = np.where(below, 1.0 - zero, 0.0)[outside]
        result: Array = values[:3]
        return result

    def _snapped(self, log_lam: Array) -> Array:
        """Move points that rounding has put beside an atom or an edge onto it."""
        low, high = self.log_edges
        width = high - low if high > low else np.inf
        for at in (*(atom.log_location for atom in self.atoms), low, high):
            if isfinite(at):
                near = np.abs(log_lam - at) <= min(_SNAP * max(1.0, abs(at)), 1e-3 * width)
                if near.any():
                    log_lam = np.where(near, at, log_lam)
        return log_lam

    def _singular_density_at_zero(self) -> float:
        """Return the limit of 2 s rho(s**2): rho ~ lambda**-0.5 is the case between 0 and inf."""
        if not self.log_bulks.size or np.isfinite(self.log_edges[0]):
            return 0.0
        far = self.log_edges[1] - np.array([100.0, 120.0])
        values = self._values(far, 1, False)[0] - 0.5 * far  # of log(2 s rho) without log 2
        if abs(values[0] - values[1]) < 1e-6:
            return 2.0 * exponential(float(values[1]))
        return np.inf if values[1] > values[0] else 0.0

    @cached_property
    def _moments(self) -> Array:
        return self._moments_up_to(2)

    def _moments_up_to(self, k_max: int) -> Array:
        """Return log m_k and m_k / m_1**k for k = 1 .. k_max, as rows."""
        if self._equation is not None:
            moments: Array = _core.spectral_moments(self._equation, k_max)
            return moments
        power = np.arange(1, k_max + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.array([np.log(a.mass) + power * a.log_location for a in self.atoms])
            log_moments = np.logaddexp.reduce(logs, axis=0)
            return np.array([log_moments, np.exp(log_moments - power * log_moments[0])])

    def __getstate__(self) -> dict[str, Any]:
        # without the activation: a user's function may be one that cannot be copied
        return self.__dict__ | {"relative_variance": self.relative_variance, "_layers": None}

    def __repr__(self) -> str:
        low, high = self.log_edges
        lines = [f"JacobianSpectrum of {self.label}"]
        if self.log_bulks.size:
            lines.append(f"  bulk from {text_of(low)} to {text_of(high)}")
        lines += [f"  atom of mass {a.mass:.6g} at {text_of(a.log_location)}" for a in self.atoms]
        lines.append(
            f"  mean {text_of(self.log_mean)}, relative variance {self.relative_variance:.6g}"
        )
        return "\n".join(lines)


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        logarithms: Array = np.log(values.reshape(-1))
    return logarithms
