"""The pure spherical p-spin model: critical points of a random polynomial on a sphere."""

from __future__ import annotations

from dataclasses import dataclass
from math import cosh, lgamma, log, pi, sinh, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._check import integer, real_array, shaped
from meanfree._check import seed as check_seed
from meanfree.landscape import _enumerate, _goe
from meanfree.landscape._semicircle import ENERGY, fraction_below

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_LARGEST = 2**31 - 1


@dataclass(frozen=True, eq=False)
class SpinPoints:
    """All critical points of one random polynomial; made by `PSpin.enumerate`.

    Attributes
    ----------
    points : (n_points, dimension) array
        On the sphere ``|x|**2 = dimension``.
    energy : (n_points,) array
        ``H / dimension``, rising.
    index : (n_points,) int array
        Number of negative eigenvalues of the Hessian on the sphere.
    couplings : (dimension, ..) array
        The symmetric tensor of p indices whose ``couplings(x, .., x) / dimension**((p - 1) / 2)``
        is H.
    seed : int
    """

    points: Array
    energy: Array
    index: NDArray[np.int64]
    couplings: Array
    seed: int


@dataclass(frozen=True, init=False, repr=False)
class PSpin:
    """A homogeneous random polynomial of degree p on the sphere ``|x|**2 = N``, for large N.

    ``H(x) = N**(-(p - 1) / 2) sum J_{i1..ip} x_i1 .. x_ip`` with independent standard normal J has
    the covariance ``N (x . y / N)**p``; energies are ``u = H / N``, negative at the bottom. The
    Hessian at a critical point is a semicircle of radius ``2 sqrt(p (p - 1))`` about ``-p u``, so
    that energy alone fixes the index.

    Parameters
    ----------
    p : int
        Degree, in [2, 2**31 - 1]. At 2 the critical points are the eigenvectors of a matrix.

    Raises
    ------
    ValueError
        If p is out of its range.
    TypeError
        If p is not an integer.

    References
    ----------
    Auffinger, Ben Arous and Cerny (2013), "Random matrices and complexity of spin glasses".

    Examples
    --------
    >>> from meanfree.landscape import PSpin
    >>> model = PSpin(3)
    >>> print(f"{model.ground_energy():.5f} {model.threshold_energy:.5f}")
    -1.65700 -1.63299
    >>> print(f"{model.complexity(0.0):.4f} {model.complexity(-1.64, k=1):.4f}")
    0.3466 0.0093
    """

    p: int

    def __init__(self, p: int) -> None:
        object.__setattr__(self, "p", integer("p", p, 2, _LARGEST))

    @property
    def threshold_energy(self) -> float:
        """``-2 sqrt((p - 1) / p)``: below it every index is finite, above it grows with N."""
        return -2.0 * sqrt((self.p - 1) / self.p)

    def ground_energy(self, k: int = 0) -> float:
        """Return the lowest energy of critical points of index k: where their complexity is 0.

        Parameters
        ----------
        k : int
            Number of negative eigenvalues, in [0, 2**31 - 1]; 0 is the ground state.

        Returns
        -------
        float
            At most `threshold_energy`, and rising to it with k; error 1e-15 of it.

        Raises
        ------
        ValueError
            If k is out of its range.
        TypeError
            If k is not an integer.

        Examples
        --------
        >>> from meanfree.landscape import PSpin
        >>> print([round(PSpin(3).ground_energy(k), 5) for k in range(3)])
        [-1.657, -1.65287, -1.65025]
        """
        from scipy.optimize import brentq

        count = integer("k", k, 0, _LARGEST) + 1
        part = (self.p - 2) / self.p
        start = 0.5 * log(self.p - 1) - part

        def at(x: float) -> float:  # the complexity at the energy threshold * cosh(x)
            return start - part * sinh(x) ** 2 - count * (0.5 * sinh(2.0 * x) - x)

        root = brentq(at, 0.0, 10.0, xtol=1e-300) if start > 0.0 else 0.0
        return self.threshold_energy * cosh(root)

    def complexity(self, energy: ArrayLike, *, k: int | None = None) -> Any:
        """Return ``log(mean number of critical points at or below an energy) / N`` at large N.

        With ``z = energy / threshold_energy`` and ``I(z) = z sqrt(z**2 - 1) - arccosh z``, ::

            log(p - 1) / 2 - (p - 2) / p * z**2 - (k + 1) I(z)     where z >= 1

        for the points of index k; for those of any index 0 in place of k, I = 0 where ``0 <= z <=
        1``, and the value at 0 above energy 0. Above the threshold no more points of a finite
        index are found.

        Parameters
        ----------
        energy : array_like
            u, in [-1e100, 1e100].
        k : int, optional
            Number of negative eigenvalues, in [0, 2**31 - 1]; default: any.

        Returns
        -------
        float or array
            Of the shape of energy, rising with it; negative below the lowest energy, where such
            points are exponentially rare.

        Raises
        ------
        ValueError
            If a value is out of its range.
        TypeError
            If an argument is of the wrong kind.

        Examples
        --------
        >>> from meanfree.landscape import PSpin
        >>> PSpin(4).complexity([-1.8, -1.75, 0.0]).round(4).tolist()
        [-0.0054, 0.0369, 0.5493]
        """
        value = real_array("energy", energy, ENERGY)
        z = value.reshape(-1) / self.threshold_energy
        if k is None:
            count, z = 1, np.maximum(z, 0.0)
        else:
            count, z = integer("k", k, 0, _LARGEST) + 1, np.maximum(z, 1.0)
        far = np.maximum(z, 1.0)
        cost = far * np.sqrt(far - 1.0) * np.sqrt(far + 1.0) - np.arccosh(far)
        base = 0.5 * log(self.p - 1) - (self.p - 2) / self.p * z**2
        return shaped(base - count * cost, value.shape)

    def index_at_energy(self, energy: ArrayLike) -> Any:
        """Return the fraction of negative eigenvalues of critical points of an energy.

        ``1/2 + (u sqrt(1 - u**2) + arcsin u) / pi`` with ``u = energy / |threshold_energy|``, 0
        below the threshold and 1 above its opposite.

        Parameters
        ----------
        energy : array_like
            In [-1e100, 1e100].

        Returns
        -------
        float or array
            Of the shape of energy.

        Raises
        ------
        ValueError
            If a value is out of its range.
        TypeError
            If energy is no array of numbers.

        Examples
        --------
        >>> from meanfree.landscape import PSpin
        >>> PSpin(3).index_at_energy([-1.7, -1.0, 0.0]).round(4).tolist()
        [0.0, 0.1361, 0.5]
        """
        value = real_array("energy", energy, ENERGY)
        return shaped(fraction_below(value.reshape(-1) / -self.threshold_energy), value.shape)

    def log_mean_count(self, dimension: int) -> float:
        """Return log(mean number of critical points), exact at finite N.

        Over N it approaches ``complexity(0.0)``. By the formula of Kac and Rice and the density of
        eigenvalues of N x N random matrices.

        Parameters
        ----------
        dimension : int
            N, in [2, 400].

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
        >>> from math import exp
        >>> from meanfree.landscape import PSpin
        >>> print([round(exp(PSpin(3).log_mean_count(n)), 4) for n in (2, 3, 4)])
        [5.2915, 10.5524, 18.7902]
        """
        n = integer("dimension", dimension, 2, _goe.LARGEST)
        # the Hessian is sqrt(2 p (p - 1) / N) (Y - y) with y = u sqrt(p N / (2 (p - 1)))
        area = log(2.0) + 0.5 * n * log(pi) - lgamma(0.5 * n) + 0.5 * (n - 1) * log(n)
        scale = 0.5 * (n - 1) * (log(self.p - 1) - log(pi * n))
        return area + scale + _goe.log_mean_shifted(n - 1, 0.5 * self.p / (self.p - 1))

    def enumerate(self, dimension: int, *, seed: int = 0) -> SpinPoints:
        """Return every critical point of one random polynomial in few dimensions.

        They are the real ones among ``((p - 1)**N - 1) / (p - 2)`` pairs of complex solutions of
        polynomial equations (Cartwright and Sturmfels, 2013), all of which are found, by linear
        algebra and Newton's method. None is missed: too few raise an error.

        Parameters
        ----------
        dimension : int
            N, at least 2; at most 5, 4, 3, 2 for p = 3, 4, 5, 6, and 100 for p = 2.
        seed : int
            In [0, 2**64 - 1].

        Returns
        -------
        SpinPoints
            Each point and its opposite. Real solutions closer than 1e-8 to being complex may be
            misjudged.

        Raises
        ------
        ConvergenceError
            If not all solutions can be told apart.
        ValueError
            If a value is out of its range.
        TypeError
            If an argument is not an integer.

        References
        ----------
        Cartwright and Sturmfels (2013), "The number of eigenvalues of a tensor".

        Examples
        --------
        >>> from meanfree.landscape import PSpin
        >>> found = PSpin(3).enumerate(3, seed=1)
        >>> print(found.energy.size, sum((-1) ** found.index))  # Euler characteristic of a sphere
        10 2
        """
        if self.p not in _enumerate.MOST:
            msg = f"p must be an integer in [2, {max(_enumerate.MOST)}] to enumerate, got {self.p}"
            raise ValueError(msg)
        n, key = integer("dimension", dimension, 2, _enumerate.MOST[self.p]), check_seed(seed)
        tensor = _core.normals(key, 0, 0, n**self.p).reshape((n,) * self.p)
        couplings = _enumerate.symmetric(tensor)
        v, value = _enumerate.critical_points(couplings)
        index = _enumerate.n_negative(couplings, v, value)
        other = value if self.p % 2 == 0 else -value
        turned = index if self.p % 2 == 0 else n - 1 - index
        energy = np.concatenate([value, other]) / sqrt(n)
        order = np.argsort(energy, kind="stable")
        return SpinPoints(
            points=sqrt(n) * np.concatenate([v, -v])[order],
            energy=energy[order],
            index=np.concatenate([index, turned])[order],
            couplings=couplings,
            seed=key,
        )

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"PSpin({self.p})"
