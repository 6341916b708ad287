r"""The exact flow of two whole weight matrices from a balanced start.

With one hidden layer, white inputs and ``W1 W1^T = W2^T W2``, the matrix ``Q = [W1^T; W2]`` obeys
``d(Q Q^T)/dt = F Q Q^T + Q Q^T F - (Q Q^T)**2``, ``F = [[0, S^T], [S, 0]]``, a Riccati equation
that is solved by (Fukumizu, 1998; Braun et al., 2022) ::

    Q Q^T (t) = e^{F t} Q_0 (1 + Q_0^T G Q_0)^{-1} Q_0^T e^{F t},    G = int_0^t e^{2 F t'} dt'.

In the eigenvectors of F, which the singular vectors of S give, this needs neither square nor
invertible matrices. Large exponentials would cancel, so time is cut into chunks: with ``C = O^T
Q`` and ``L L^T = 1 + C^T g C``, a chunk takes C to ``e^{f dt} C L^{-T}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ROOT = float(np.sqrt(0.5))
_REACH = 8.0  # largest singular value times the length of a chunk
_STILL = 1e-15  # relative change of a row in a chunk that counts as none
_GONE = 1e-20  # of the largest row: what decays below this matters no more


class ExactFlow:
    """Move two balanced weight matrices along gradient flow, in units of tau.

    Only W2 W1 is determined, W1 and W2 up to a common rotation of the hidden layer.
    """

    def __init__(self, w1: Array, w2: Array, sigma_yx: Array) -> None:
        u, s, vt = np.linalg.svd(sigma_yx)
        k = s.size
        self._u, self._vt, self._k = u, vt, k
        inputs, outputs = vt @ w1.T, u.T @ w2
        plus, minus = inputs[:k] + outputs[:k], inputs[:k] - outputs[:k]
        parts = [_ROOT * plus, _ROOT * minus, inputs[k:], outputs[k:]]
        self._c = np.concatenate(parts)
        zero = np.zeros(self._c.shape[0] - 2 * k)
        self._f = np.concatenate([s, -s, zero])[:, None]
        self._largest = float(s[0]) if k else 0.0

    def advance(self, lapse: float) -> None:
        """Let the time `lapse` pass."""
        from scipy.linalg import solve_triangular

        n = max(1, int(np.ceil(self._largest * lapse / _REACH)))
        dt = lapse / n
        x = 2.0 * self._f * dt
        safe = np.where(x == 0.0, 1.0, x)
        gain = dt * np.where(x == 0.0, 1.0, np.expm1(safe) / safe)
        grow = np.exp(self._f * dt)
        size = np.linalg.norm(self._c, axis=1)
        for i in range(n):
            lower = _factor(np.sqrt(gain) * self._c)
            self._c = solve_triangular(lower, (grow * self._c).T, lower=True).T
            before, size = size, np.linalg.norm(self._c, axis=1)
            still = np.abs(size - before) <= _STILL * before
            decayed = (self._f[:, 0] < 0.0) & (size <= _GONE * np.max(size, initial=0.0))
            if np.all(still | decayed | (self._f[:, 0] == 0.0)):
                self._fade(lapse - (i + 1) * dt)
                break

    def _fade(self, lapse: float) -> None:
        """Let the time `lapse` pass when all but the rows with f = 0 have come to rest.

        What these still share with the hidden direction of a learned row decays like exp(-f t),
        half as fast as that row came to rest; what is left has directions of its own.
        """
        f, norm = self._f[:, 0], np.linalg.norm(self._c, axis=1)
        rows, learned = f == 0.0, (f > 0.0) & (norm > 0.0)
        directions = self._c[learned] / norm[learned, None]
        shared = self._c[rows] @ directions.T
        own = self._c[rows] - shared @ directions
        u, size, vt = np.linalg.svd(own, full_matrices=False)
        own = (u * (size / np.hypot(1.0, np.sqrt(lapse) * size))) @ vt
        self._c[rows] = own + (shared * np.exp(-f[learned] * lapse)) @ directions

    def turned(self, matrix: Array) -> Array:
        """Return U^T matrix V, where U and V are the singular vectors of sigma_yx."""
        return np.asarray(self._u.T @ matrix @ self._vt.T)

    def turned_product(self) -> Array:
        """Return U^T W2 W1 V."""
        k, c = self._k, self._c
        middle = k + self._vt.shape[0]
        inputs = np.concatenate([_ROOT * (c[:k] + c[k : 2 * k]), c[2 * k : middle]])
        outputs = np.concatenate([_ROOT * (c[:k] - c[k : 2 * k]), c[middle:]])
        return np.asarray(outputs @ inputs.T)

    def product(self) -> Array:
        """Return W2 W1."""
        return np.asarray(self._u @ self.turned_product() @ self._vt)


def _factor(rows: Array) -> Array:
    """Return a lower triangle L with ``L L^T = 1 + rows^T rows``."""
    from scipy.linalg import cholesky

    gram = rows.T @ rows
    gram[np.diag_indices_from(gram)] += 1.0
    try:
        return np.asarray(cholesky(gram, lower=True))
    except np.linalg.LinAlgError:  # of directions in which the 1 is all and is lost in rounding
        tall = np.concatenate([rows, np.eye(rows.shape[1])])
        _, upper = np.linalg.qr(tall)
        return np.asarray(upper.T)
