"""The pure spherical p-spin model: critical points of a random polynomial on a sphere."""

from __future__ import annotations

from dataclasses import dataclass
from math import cosh, log, sinh, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import integer, real_array, shaped
from meanfree.landscape._semicircle import ENERGY, fraction_below

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


_LARGEST = 2**31 - 1


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

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"PSpin({self.p})"
