"""Spectral densities of large matrices by stochastic Lanczos quadrature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._axes import axes
from meanfree._check import Range, integer, real, real_array, shaped
from meanfree._krylov import Lanczos

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from meanfree._krylov import Product

    Array = NDArray[np.float64]

_WIDTH = Range("finite and > 0", 0.0, 1e300, open_low=True)


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """The distribution of eigenvalues as nodes and weights; made by `MLP.spectral_density`.

    Attributes
    ----------
    nodes, weights : (n_probes, n_steps) array
        Of each probe; weights are >= 0 and sum to 1. One probe's sum over ``weights * f(nodes)`` is
        ``v^T f(H) v`` for polynomials f of degree up to ``2 n_steps - 1``, whose mean over random
        v is ``trace f(H) / n``.
    n : int
        Number of eigenvalues.
    seed : int
    """

    nodes: Array
    weights: Array
    n: int
    seed: int

    def moment(self, k: int) -> float:
        """Return the estimate of ``trace H^k / n``, k >= 0."""
        return float(self._moments(k).mean())

    def moment_error(self, k: int) -> float:
        """Return one standard error of `moment`, from the spread between the probes."""
        moments = self._moments(k)
        return float(moments.std(ddof=1) / np.sqrt(moments.size))

    def cdf(self, x: ArrayLike) -> float | Array:
        """Return the fraction of eigenvalues that are at most x, as the nodes have it."""
        points = real_array("x", x)
        order = np.argsort(self.nodes, axis=None)
        below = np.concatenate([[0.0], np.cumsum(self.weights.ravel()[order])]) / len(self.nodes)
        place = np.searchsorted(self.nodes.ravel()[order], points.ravel(), side="right")
        return shaped(below[place], points.shape)  # type: ignore[no-any-return]

    def density(self, x: ArrayLike, *, width: float) -> float | Array:
        """Return the density per eigenvalue, each node spread to a normal law of this width."""
        points = real_array("x", x)
        sigma = real("width", width, _WIDTH)
        z = (points.reshape(-1, 1) - self.nodes.ravel()) / sigma
        kernel = np.exp(-0.5 * z * z) / (np.sqrt(2.0 * np.pi) * sigma)
        values = kernel @ self.weights.ravel() / len(self.nodes)
        return shaped(values, points.shape)  # type: ignore[no-any-return]

    def plot(self, ax: Axes | None = None, *, width: float | None = None) -> Axes:
        """Draw the density; the width is a hundredth of the range of the nodes unless given."""
        ax = axes(ax)
        low, high = float(self.nodes.min()), float(self.nodes.max())
        spread = (high - low) / 100.0 or max(abs(high), 1.0) / 100.0
        sigma = spread if width is None else real("width", width, _WIDTH)
        x = np.linspace(low - 4.0 * sigma, high + 4.0 * sigma, 801)
        ax.plot(x, self.density(x, width=sigma), label=f"Lanczos, width {sigma:.2g}")
        ax.set(xlabel="eigenvalue of the Hessian", ylabel="density", yscale="log")
        peak = float(np.max(self.density(x, width=sigma)))
        ax.set_ylim(1e-6 * peak, 3.0 * peak)
        ax.legend()
        return ax

    def _moments(self, k: int) -> Array:
        order = integer("k", k, 0)
        moments: Array = np.sum(self.weights * self.nodes**order, axis=1)
        return moments


def spectral_density(
    multiply: Product, n: int, *, n_probes: int, n_steps: int, seed: int
) -> SpectralDensity:
    """Return the quadrature of the symmetric matrix of size n that `multiply` applies."""
    from scipy.linalg import eigh_tridiagonal

    random = np.random.default_rng(seed)
    start = random.choice([-1.0, 1.0], size=(n_probes, n))
    lanczos = Lanczos(multiply, start)
    for _ in range(n_steps):
        lanczos.step()
    nodes, weights = np.empty((2, n_probes, n_steps))
    for probe in range(n_probes):
        diagonal, beside = lanczos.diagonal[probe], lanczos.beside[probe, :-1]
        nodes[probe], vectors = eigh_tridiagonal(diagonal, beside)
        weights[probe] = vectors[0] ** 2
    return SpectralDensity(nodes, weights, n, seed)
