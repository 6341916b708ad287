"""Gaussian random fields in many dimensions: their critical points by energy and index."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, log, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range, integer, real, real_array, shaped, together
from meanfree.landscape import _complexity, _goe
from meanfree.landscape._sample import FieldSample, draw
from meanfree.landscape._semicircle import ENERGY, INDEX, fraction_below, point_above

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_POSITIVE = Range("in [1e-150, 1e150]", 1e-150, 1e150)
_CURVATURE = Range("in [1e-250, 1e250]", 1e-250, 1e250)
_NEGATIVE = Range("in [-1e150, -1e-150]", -1e150, -1e-150)
_VARIANCE = Range("in [1e-100, 1e100]", 1e-100, 1e100)
_LENGTH = Range("in [1e-12, 1e12]", 1e-12, 1e12)
_SHAPE = Range("in [1e-50, 1e100]", 1e-50, 1e100)
_ROUNDING = 1e-14  # of 1 - rho where the three numbers are rounded


@dataclass(frozen=True, init=False, repr=False)
class GaussianField:
    """A smooth, isotropic Gaussian random function of N variables, for large N.

    phi has mean 0 and ``E phi(x) phi(y) = N C(|x - y|**2 / N)``; energies are ``phi / N``. At a
    critical point only ``C(0)``, ``C'(0)`` and ``C''(0)`` matter: the Hessian is a matrix of the
    Gaussian orthogonal ensemble, whose eigenvalues fill a semicircle of radius ``R = 4
    sqrt(C''(0))``, shifted by a multiple -u of R that goes with the energy. `index` is the
    fraction of negative eigenvalues, ``1/2 + (u sqrt(1 - u**2) + arcsin u) / pi``.

    How closely energy and shift go together is ``rho = C'(0)**2 / (C(0) C''(0))``. At rho = 1
    (`rbf`) the energy fixes the index; below (`rational_quadratic`) there are two curves: the
    typical energy at an index, `energy_at_index`, and the typical index at an energy,
    `index_at_energy`. Say which one you compare with.

    Parameters
    ----------
    variance : float
        C(0), in [1e-150, 1e150]; the variance of an energy is C(0) / N.
    slope : float
        C'(0), in [-1e150, -1e-150]; a component of the gradient has the variance -2 C'(0).
    curvature : float
        C''(0), in [1e-250, 1e250], and at least ``slope**2 / variance``, without which there is no
        such field in every dimension (Schoenberg, 1938).

    Attributes
    ----------
    rho : float
        In [0, 1]; 1 also where the three numbers miss it by no more than 1e-14.

    Raises
    ------
    ValueError
        If a value is out of its range, or the three belong to no field.
    TypeError
        If an argument is not a number.

    Notes
    -----
    Numbers of critical points are means over fields, and `complexity` is what remains of their
    logarithm at large N: it leaves out terms of order ``log(N) / N``. That the critical points of
    one field have the mean's exponent is assumed by whoever compares the two.

    References
    ----------
    Bray and Dean (2007), "Statistics of critical points of Gaussian fields on large-dimensional
    spaces"; Fyodorov (2004), "Complexity of random energy landscapes, glass transition, and
    absolute value of the spectral determinant of random matrices".

    Examples
    --------
    >>> from meanfree.landscape import GaussianField
    >>> field = GaussianField.rational_quadratic(1.0)
    >>> print(f"{field.energy_at_index(0.1):.4f} {field.index_at_energy(-1.0):.4f}")
    -0.9716 0.2114
    >>> print(f"{field.complexity():.4f} {field.complexity(index=0.0):.4f}")
    -1.0724 -2.0724
    """

    variance: float
    slope: float
    curvature: float
    _spread: float = field(compare=False)  # 1 - rho, with all its digits

    def __init__(self, variance: float, slope: float, curvature: float) -> None:
        c0 = real("variance", variance, _POSITIVE)
        c1 = real("slope", slope, _NEGATIVE)
        c2 = real("curvature", curvature, _CURVATURE)
        # exact, since 1 - rho may be small
        gap = float(1 - Fraction(c1) ** 2 / (Fraction(c0) * Fraction(c2)))
        if gap < -_ROUNDING:
            msg = (
                f"curvature must be >= slope**2 / variance, got {c2!r} with slope = {c1!r} and "
                f"variance = {c0!r}"
            )
            raise ValueError(msg)
        self._set(c0, c1, c2, gap)

    def _set(self, c0: float, c1: float, c2: float, gap: float) -> None:
        gap = gap if gap > _ROUNDING else 0.0
        values = {"variance": c0, "slope": c1, "curvature": c2, "_spread": gap}
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @classmethod
    def rbf(cls, length: float = 1.0, variance: float = 1.0) -> GaussianField:
        """Return the field of ``C(s) = variance * exp(-s / (2 length**2))``, which has rho = 1.

        Parameters
        ----------
        length : float
            In [1e-12, 1e12], in units of sqrt(N) times a coordinate's scale.
        variance : float
            C(0), in [1e-100, 1e100].

        Raises
        ------
        ValueError
            If a value is out of its range.
        TypeError
            If an argument is not a number.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> GaussianField.rbf(2.0)
        GaussianField(1.0, -0.125, 0.015625)
        """
        scale, c0 = real("length", length, _LENGTH), real("variance", variance, _VARIANCE)
        made = cls.__new__(cls)
        made._set(c0, -c0 / (2.0 * scale**2), c0 / (4.0 * scale**4), 0.0)
        return made

    @classmethod
    def rational_quadratic(
        cls, shape: float, length: float = 1.0, variance: float = 1.0
    ) -> GaussianField:
        """Return the field of ``C(s) = variance * (1 + s / (2 shape length**2))**-shape``.

        A mixture of fields of many lengths, with ``rho = shape / (shape + 1)``; `rbf` for large
        shapes.

        Parameters
        ----------
        shape : float
            In [1e-50, 1e100].
        length, variance
            As in `rbf`.

        Raises
        ------
        ValueError
            If a value is out of its range.
        TypeError
            If an argument is not a number.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> print(GaussianField.rational_quadratic(3.0).rho)
        0.75
        """
        a, scale = real("shape", shape, _SHAPE), real("length", length, _LENGTH)
        c0 = real("variance", variance, _VARIANCE)
        made = cls.__new__(cls)
        c2 = c0 * (1.0 + 1.0 / a) / (4.0 * scale**4)
        made._set(c0, -c0 / (2.0 * scale**2), c2, 1.0 / (1.0 + a))
        return made

    @property
    def rho(self) -> float:
        """``slope**2 / (variance * curvature)``: how far the energy fixes the index."""
        return 1.0 - self._spread if self._spread < 0.5 else self._root**2

    def energy_at_index(self, alpha: ArrayLike) -> Any:
        """Return the typical energy of the critical points of an index.

        ``2 |C'(0)| / sqrt(C''(0)) * u(alpha)``. Energies at one index scatter about it with the
        variance ``C(0) (1 - rho) / N``.

        Parameters
        ----------
        alpha : array_like
            Fraction of negative eigenvalues, in [0, 1]; 0 are the minima.

        Returns
        -------
        float or array
            Energy, of the shape of alpha; error 1e-15 of the largest.

        Raises
        ------
        ValueError
            If a value is out of its range.
        TypeError
            If alpha is no array of numbers.

        Notes
        -----
        At any N and any point, critical or not, the energy given the Hessian H is normal: mean
        ``C'(0) tr H / (2 C''(0) (N + 2))``, variance ``C(0) (1 - rho N / (N + 2)) / N``. This is
        what a sample in few dimensions is best compared with.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> GaussianField.rbf().energy_at_index([0.0, 0.5, 1.0]).tolist()
        [-2.0, 0.0, 2.0]
        """
        fraction = real_array("alpha", alpha, INDEX)
        u = point_above(fraction.reshape(-1))
        return shaped(2.0 * sqrt(self.variance) * self._root * u, fraction.shape)

    def index_at_energy(self, energy: ArrayLike) -> Any:
        """Return the typical index of the critical points of an energy.

        That of ``u = sqrt(rho) / (1 + rho) * energy / sqrt(C(0))``; beyond ``|u| = 1`` almost all
        are minima, or maxima.

        Parameters
        ----------
        energy : array_like
            ``phi / N``, in [-1e100, 1e100].

        Returns
        -------
        float or array
            Fraction of negative eigenvalues, of the shape of energy.

        Raises
        ------
        ValueError
            If a value is out of its range.
        TypeError
            If energy is no array of numbers.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> GaussianField.rbf().index_at_energy([-2.0, 0.0, 5.0]).tolist()
        [0.0, 0.5, 1.0]
        """
        value = real_array("energy", energy, ENERGY)
        e = value.reshape(-1) / sqrt(self.variance)
        return shaped(fraction_below(e * self._root / (2.0 - self._spread)), value.shape)

    def complexity(self, *, energy: ArrayLike | None = None, index: ArrayLike | None = None) -> Any:
        """Return ``log(mean number of critical points per unit volume) / N`` at large N.

        With ``e = energy / sqrt(C(0))``, and u the shift that belongs to the index, ::

            total           log(C''(0) / (pi |C'(0)|)) / 2 - 1/2
            at an index     total - u**2
            at an energy    total - e**2 / (2 (1 + rho))     where |e| <= (1 + rho) / sqrt(rho),
                            log(|C'(0)| / (pi C(0))) / 2 + log w - w**2 / 2 - 1   beyond,
                            w = (|e| + sqrt(e**2 - 4)) / 2
            at both         total - u**2 - (e - 2 sqrt(rho) u)**2 / (2 (1 - rho))

        so that minima are a fraction exp(-N) of all critical points, whatever the field. Beyond
        ``(1 + rho) / sqrt(rho)`` almost all critical points are minima (or maxima), with a shift u
        beyond -1 (or 1).

        Parameters
        ----------
        energy : array_like, optional
            ``phi / N``, in [-1e100, 1e100]; default: all energies.
        index : array_like, optional
            Fraction of negative eigenvalues, in [0, 1]; default: all. 0 are the minima and 1 the
            maxima, of any shift.

        Returns
        -------
        float or array
            Of the shape to which the arguments broadcast; a density in those that are given, which
            makes no difference at this order. At rho = 1 both together are -inf off the line
            ``energy_at_index`` (by more than 1e-12 sqrt(C(0))), or where it is below -1e308.

        Raises
        ------
        ValueError
            If a value is out of its range or the shapes do not broadcast.
        TypeError
            If an argument is no array of numbers.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> field = GaussianField.rbf()
        >>> print(f"{field.complexity() - field.complexity(energy=-2.0):.4f}")
        1.0000
        >>> field.complexity(energy=[0.0, 1.0], index=0.5).round(4).tolist()
        [-1.4189, -inf]
        """
        given = {}
        if energy is not None:
            given["energy"] = real_array("energy", energy, ENERGY)
        if index is not None:
            given["index"] = real_array("index", index, INDEX)
        flat, shape = together(**given)
        values = dict(zip(given, flat, strict=True))
        if "energy" in values:
            values["energy"] = values["energy"] / sqrt(self.variance)
        law = _complexity.Law(self.variance, self.slope, self.curvature, self._root, self._spread)
        with np.errstate(over="ignore"):
            if len(values) == 2:
                return shaped(law.at_both(values["energy"], values["index"]), shape)
            if "energy" in values:
                return shaped(law.at_energy(values["energy"]), shape)
            if "index" in values:
                return shaped(law.total - point_above(values["index"]) ** 2, shape)
        return law.total

    def log_mean_count(self, dimension: int) -> float:
        """Return log(mean number of critical points per unit volume), exact at finite N.

        Over N it approaches ``complexity()``. By the formula of Kac and Rice and the density of
        eigenvalues of random matrices (Fyodorov, 2004).

        Parameters
        ----------
        dimension : int
            N, in [1, 400].

        Returns
        -------
        float
            Error 1e-12 of it, or 1e-12.

        Raises
        ------
        ValueError
            If the dimension is out of its range.
        TypeError
            If it is not an integer.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> field = GaussianField.rbf()
        >>> [round(field.log_mean_count(n) / n, 3) for n in (2, 20, 200)]
        [-0.847, -1.304, -1.402]
        >>> print(f"{field.complexity():.3f}")
        -1.419
        """
        n = integer("dimension", dimension, 1, _goe.LARGEST)
        # the Hessian is sqrt(8 C2 / N) (Y - y) with y of variance 1/2, a gradient has -2 C1
        scale = log(2.0 / (pi * n)) + log(self.curvature) - log(-self.slope)
        return 0.5 * n * scale + _goe.log_mean_shifted(n, 0.5)

    def sample(
        self, dimension: int, *, n_features: int, seed: int, n_threads: int | None = None
    ) -> FieldSample:
        """Draw a field of this covariance, a sum of plane waves.

        At rho = 1 that of `rbf`, below that of `rational_quadratic`, with these three numbers.

        Parameters
        ----------
        dimension : int
            N, at least 1.
        n_features : int
            Number M of waves, at least 1; take ``100 N / rho``, see `FieldSample`.
        seed : int
            Of 64 bits; the waves of a smaller M are the first of a larger.
        n_threads : int, optional
            Of this call and of the sample; default: all cores. Results do not depend on it.

        Raises
        ------
        ValueError, TypeError
            If a value is out of its range, or no integer; if rho is below 1e-100.
        MemoryError
            If the waves do not fit, before they are allocated.

        Examples
        --------
        >>> from meanfree.landscape import GaussianField
        >>> GaussianField.rbf().sample(20, n_features=2000, seed=1).hessian([0.0] * 20).shape
        (20, 20)
        """
        a = self.rho / self._spread if self._spread else inf
        return draw(self.variance, self.slope, a, dimension, n_features, seed, n_threads)

    @property
    def _root(self) -> float:
        """sqrt(rho)."""
        root = -self.slope / (sqrt(self.variance) * sqrt(self.curvature))
        return root if self._spread else 1.0

    def __repr__(self) -> str:
        return f"GaussianField({self.variance!r}, {self.slope!r}, {self.curvature!r})"
