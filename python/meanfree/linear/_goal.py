"""What a deep linear network learns in the end: the best total map, its modes, and the loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SINGULAR = 1e-12  # smallest over largest eigenvalue of sigma_xx at which it counts as singular
_NOTHING = 1e-12  # singular values below this fraction of the largest are no modes
_CHUNK = 2**21  # numbers that are worked on at once


@dataclass(frozen=True, eq=False)
class Goal:
    """Sizes n_0 .. n_L, sigma_yx (n_L, n_0), and sigma_xx (n_0, n_0), None for white inputs."""

    sizes: tuple[int, ...]
    sigma_yx: Array
    sigma_xx: Array | None

    @property
    def depth(self) -> int:
        """Return the number of weight matrices."""
        return len(self.sizes) - 1

    @property
    def room(self) -> int:
        """Return the largest rank of the total map."""
        return min(self.sizes)

    @cached_property
    def root(self) -> Array | None:
        """Return the lower triangle C with C C^T = sigma_xx."""
        if self.sigma_xx is None:
            return None
        values = np.linalg.eigvalsh(self.sigma_xx)
        if values[0] <= _SINGULAR * values[-1]:
            msg = (
                "sigma_xx must be positive definite with eigenvalues > 1e-12 of the largest, got "
                f"{values[0]:.6g} to {values[-1]:.6g}: leave out directions that no input has"
            )
            raise ValueError(msg)
        return np.asarray(np.linalg.cholesky(self.sigma_xx))

    @cached_property
    def modes(self) -> tuple[Array, Array, Array]:
        """Return U, s, V^T of what white inputs would show, sigma_yx C^{-T}."""
        white = self.sigma_yx
        if self.root is not None:
            white = np.asarray(np.linalg.solve(self.root, self.sigma_yx.T).T, dtype=np.float64)
        u, s, vt = np.linalg.svd(white, full_matrices=False)
        if s.size:
            s[s <= _NOTHING * s[0]] = 0.0
        return u, s, vt

    def whitened(self, total: Array) -> Array:
        """Return the total map as it acts on white inputs."""
        return total if self.root is None else total @ self.root

    def loss_and_strengths(self, total: Array) -> tuple[Array, Array]:
        """Return excess loss (n,) and strengths (n, modes) of total maps (n, n_out, n_in).

        With the best map of the network's rank S_r, and S - S_r, which is orthogonal to it, the
        excess of |M - S|^2 / 2 is |M - S_r|^2 / 2 - <M, S - S_r>.
        """
        u, s, vt = self.modes
        r = self.room
        best, rest = (u[:, :r] * s[:r]) @ vt[:r], (u[:, r:] * s[r:]) @ vt[r:]
        loss, strengths = np.empty(len(total)), np.empty((len(total), s.size))
        step = max(1, _CHUNK // max(1, self.sigma_yx.size))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(total), step):
                part = slice(start, start + step)
                map_ = self.whitened(total[part])
                square = 0.5 * np.sum((map_ - best) ** 2, axis=(1, 2))
                loss[part] = np.maximum(square - np.sum(map_ * rest, axis=(1, 2)), 0.0)
                strengths[part] = np.einsum("ia,tia->ta", u, map_ @ vt.T)
        loss[np.isnan(loss)] = inf
        strengths[np.isnan(strengths)] = inf
        return loss, strengths

    def largest_rate(self) -> float:
        """Return the step of descent at which the balanced minimum becomes unstable.

        At balanced weights with the product W the Hessian acts on changes X of the map of white
        inputs as sum_l (W W^T)^((L - l) / L) X C^T (W^T W)^((l - 1) / L) C, W that of the given
        inputs. Its largest eigenvalue belongs to the largest singular value of W. Where a narrow
        layer leaves a rest and inputs are not white, the curvature of the rest is left out.
        """
        u, s, vt = self.modes
        depth, r = self.depth, self.room
        if depth == 1:
            if self.sigma_xx is None:
                return 2.0
            return 2.0 / float(np.linalg.eigvalsh(self.sigma_xx)[-1])
        if not s.size or s[0] == 0.0:
            return inf
        if self.root is None:
            return float(2.0 / (depth * s[0] ** (2.0 - 2.0 / depth)))
        best = np.linalg.solve(self.root.T, ((u[:, :r] * s[:r]) @ vt[:r]).T).T
        _, values, right = np.linalg.svd(best)
        squares = np.zeros(right.shape[0])
        squares[: values.size] = values**2
        powers = sum(
            squares[0] ** ((depth - j) / depth) * squares ** ((j - 1) / depth)
            for j in range(1, depth + 1)
        )
        inner = right @ self.root
        return 2.0 / float(np.linalg.eigvalsh((inner.T * powers) @ inner)[-1])
