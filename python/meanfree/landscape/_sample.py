"""A random field that was drawn: a sum of plane waves, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._check import cores, real_array, shaped, size
from meanfree._check import seed as checked_seed
from meanfree._memory import require_memory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_LEAST_SHAPE = 1e-100  # of the gamma variables: those of smaller ones underflow


@dataclass(frozen=True, eq=False, repr=False)
class FieldSample:
    """A random function ``phi(w) = amplitude * sum_m cos(k_m.w + b_m)`` of N variables.

    Made by `GaussianField.sample`. It is a `Problem`: points w have the shape (..., N), and so have
    gradients. The same seed gives the same bits for any number of threads, and for a point alone or
    among others.

    The phases b are uniform on the circle, the k normal of variance ``kappa / N``. The scale kappa
    is ``-2 C'(0) / C(0)`` in every wave at rho = 1; below, it is that times a gamma variable of
    mean 1 and shape ``rho / (1 - rho)``.

    Attributes
    ----------
    dimension : int
        N.
    phases : (M,) array
        b, in [0, 2 pi).
    amplitude : float
        sqrt(2 N C(0) / M).
    n_threads : int
        How many threads evaluate it.

    Notes
    -----
    Over seeds, mean and covariances (also of gradient and Hessian) are those of the Gaussian field
    at any M. Higher cumulants are not, and vanish as 1 / M: the value has the excess kurtosis ``-3
    / (2 M)``, and the spectrum of the Hessian is a semicircle up to the order of ``N / (M rho)``,
    so that it is far from one at M = N. At ``M = 100 N / rho`` there are 1 to 10 % fewer critical
    points than in the Gaussian field, for N from 2 to 15 and rho = 1 or 1/2.

    References
    ----------
    Rahimi and Recht (2007), "Random features for large-scale kernel machines".

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.landscape import GaussianField
    >>> sample = GaussianField.rbf().sample(10, n_features=500, seed=0)
    >>> w = np.zeros((3, 10))
    >>> sample.gradient(w).shape, sample.hessian(w).shape
    ((3, 10), (3, 10, 10))
    >>> angle = sample.frequencies @ w[0] + sample.phases
    >>> bool(np.isclose(sample.value(w[0]), sample.amplitude * np.cos(angle).sum()))
    True
    """

    dimension: int
    phases: Array
    amplitude: float
    n_threads: int
    _waves: Array  # rows padded to a multiple of 8 numbers

    @property
    def frequencies(self) -> Array:
        """The k_m, (M, N)."""
        return self._waves[:, : self.dimension]

    def energy(self, w: ArrayLike) -> Any:
        """Return ``phi / N``, of shape (...); errors as in `value`."""
        return self.value(w) / self.dimension

    def value(self, w: ArrayLike) -> Any:
        """Return phi.

        Parameters
        ----------
        w : (..., N) array_like
            Points.

        Returns
        -------
        float or array
            Of shape (...).

        Raises
        ------
        ValueError
            If w is not finite or has another shape.
        TypeError
            If w is no array of numbers.
        """
        points, shape = self._points("w", w)
        values = _core.field_values(
            self._waves, self.phases, self.amplitude, points, self.n_threads
        )
        return shaped(values, shape[:-1])

    def gradient(self, w: ArrayLike) -> Array:
        """Return the gradient of phi, of shape (..., N); parameters and errors as in `value`."""
        points, shape = self._points("w", w)
        rows = _core.field_gradients(
            self._waves, self.phases, self.amplitude, points, self.n_threads
        )
        return rows.reshape(shape)

    def hessian(self, w: ArrayLike) -> Array:
        """Return the second derivatives of phi, (..., N, N); parameters and errors as in `value`.

        Symmetric to the last bit. MemoryError before anything is allocated if they do not fit.
        """
        points, shape = self._points("w", w)
        count, n = points.shape
        what = f"{count} Hessian{'s' * (count != 1)} of {n} variables"
        # those that are summed at a time are there twice, the second time padded
        twice = min(count, 8 * self.n_threads, max(self.n_threads, count // 4))
        wanted = 8 * (count * n**2 + twice * self._waves.shape[1] ** 2)
        require_memory(f"{what} need", wanted, "take fewer points at a time, or hvp")
        matrices = _core.field_hessians(
            self._waves, self.phases, self.amplitude, points, self.n_threads
        )
        return matrices.reshape(*shape, self.dimension)

    def hvp(self, w: ArrayLike, v: ArrayLike) -> Array:
        """Return the Hessian at w times v, without forming it.

        Parameters
        ----------
        w, v : (..., N) array_like
            Points and vectors, of shapes that broadcast.

        Returns
        -------
        (..., N) array

        Raises
        ------
        ValueError
            If a value is not finite, or the shapes are others.
        TypeError
            If an argument is no array of numbers.
        MemoryError
            If the products do not fit, before they are allocated.
        """
        points, at = self._points("w", w)
        vectors, of = self._points("v", v)
        try:
            shape = np.broadcast_shapes(at, of)
        except ValueError:
            msg = f"w and v must have shapes that broadcast, got {at} and {of}"
            raise ValueError(msg) from None
        many = prod(shape[:-1])
        require_memory(
            f"{many} products of {at[-1]} variables need", 24 * many * at[-1], "take fewer"
        )
        w_rows, v_rows = (
            np.ascontiguousarray(np.broadcast_to(rows.reshape(own), shape)).reshape(-1, at[-1])
            for rows, own in ((points, at), (vectors, of))
        )
        products = _core.field_products(
            self._waves, self.phases, self.amplitude, w_rows, v_rows, self.n_threads
        )
        return products.reshape(shape)

    def _points(self, name: str, value: ArrayLike) -> tuple[Array, tuple[int, ...]]:
        array, n = real_array(name, value), self.dimension
        if array.ndim == 0 or array.shape[-1] != n:
            msg = f"{name} must have the shape (..., {n}), got shape {array.shape}"
            raise ValueError(msg)
        return array.reshape(-1, n), array.shape

    def __repr__(self) -> str:
        return f"FieldSample(dimension={self.dimension}, n_features={len(self.phases)})"


def draw(
    variance: float,
    slope: float,
    shape: float,
    dimension: int,
    n_features: int,
    seed: int,
    n_threads: int | None,
) -> FieldSample:
    """Draw the waves of the field with this C(0) and C'(0); rho = shape / (shape + 1)."""
    n, m = size("dimension", dimension), size("n_features", n_features)
    number, threads = checked_seed(seed), cores(n_threads)
    if shape < _LEAST_SHAPE:
        msg = f"rho must be at least {_LEAST_SHAPE:g} in a field that is sampled, got {shape:g}"
        raise ValueError(msg)
    require_memory(
        f"{m} waves in {n} dimensions need", 8 * m * (n + -n % 8 + 1), "take fewer features"
    )
    scale = 2.0 * (-slope / variance)
    waves, phases = _core.field_waves(number, scale, shape, m, n, threads)
    for array in (waves, phases):
        array.flags.writeable = False
    return FieldSample(n, phases, sqrt(variance) * sqrt(2.0 * n / m), threads, waves)
