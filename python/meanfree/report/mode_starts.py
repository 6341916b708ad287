"""Small random starts of networks with one hidden layer: what each mode starts from.

At a small start all products of weights but those that grow are negligible. With ``W1 V`` and
``W2^T U`` in the basis of the modes the growing part of mode a is the vector ``c_a = (W1 v_a +
W2^T u_a) / sqrt(2)`` of the hidden units, which grows like exp(s_a t). A mode that is learned
keeps its direction in the space of hidden units for itself: the next one goes on with what is
orthogonal to all stronger ones. Hence the start strength

    a_k = |c_k perpendicular to c_1 .. c_{k-1}|**2 / 2,

the diagonal of a QR decomposition. It is exact for small starts of well separated modes; while
modes overlap in time, the projection is incomplete by the share of the stronger mode that is not
yet learned, and by that of the weaker ones that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree.linear import mode_strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def growing_parts(w1: Array, w2: Array, u: Array, vt: Array) -> Array:
    """Return c, (runs, modes, hidden), for weights (runs, hidden, in) and (runs, out, hidden)."""
    first = np.einsum("rhi,ai->rah", w1, vt)
    second = np.einsum("roh,oa->rah", w2, u)
    return np.asarray((first + second) / np.sqrt(2.0))


def start_strengths(parts: Array) -> tuple[Array, Array]:
    """Return the start strengths with and without competition of modes, (runs, modes) each."""
    diagonal = np.stack([np.diag(np.linalg.qr(c.T)[1]) for c in parts])
    return 0.5 * diagonal**2, 0.5 * np.sum(parts**2, axis=2)


def overlap_bound(parts: Array, s: Array, strengths: Array, times: Array) -> Array:
    """Bound how far modes that overlap in time move the times (runs, modes) of each other.

    A change of ln(a_k) moves the time by 1 / (2 s_k) of it.
    """
    gram = np.einsum("rah,rbh->rab", parts, parts)
    norms = np.einsum("raa->ra", gram)
    squared_cosine = gram**2 / (norms[:, :, None] * norms[:, None, :])
    # [run, k, j]: how much of mode j is learned when mode k is at its time
    learned = mode_strength(times[:, :, None], s, strengths[:, None, :]) / s
    index = np.arange(s.size)
    stronger = index[None, :] < index[:, None]
    share = np.where(stronger, 1.0 - learned, learned)
    share[:, index, index] = 0.0
    return np.asarray(np.sum(squared_cosine * share, axis=2) / (2.0 * s))


def crossing_times(t: Array, values: Array, level: Array) -> Array:
    """Return where values (runs, t, modes) first reach the level (modes,), by linear interpolation.

    Every one has to be below at the start and above in the end.
    """
    above = values >= level
    at = np.argmax(above, axis=1)  # (runs, modes)
    if np.any(at == 0):
        msg = "values must be below the level at first and reach it, and do not"
        raise ValueError(msg)
    after = np.take_along_axis(values, at[:, None, :], axis=1)[:, 0]
    before = np.take_along_axis(values, at[:, None, :] - 1, axis=1)[:, 0]
    return np.asarray(t[at - 1] + (level - before) / (after - before) * (t[at] - t[at - 1]))


def negative_directions(w1: Array, w2: Array, outputs: Array, least: float) -> int:
    """Return how many eigenvalues of the Hessian of |outputs - w2 w1|**2 / 2 are below -least."""
    n_hidden, n_in = w1.shape
    n_out = len(w2)
    size = w1.size + w2.size
    jacobian = np.zeros((n_out * n_in, size))
    # row-major vectors: d(w2 w1) = (w2 x 1) dw1 + (1 x w1^T) dw2
    jacobian[:, : w1.size] = np.kron(w2, np.eye(n_in))
    jacobian[:, w1.size :] = np.kron(np.eye(n_out), w1.T)
    hessian = jacobian.T @ jacobian
    residual = outputs - w2 @ w1
    cross = -np.einsum("oi,hk->hiok", residual, np.eye(n_hidden)).reshape(w1.size, w2.size)
    hessian[: w1.size, w1.size :] += cross
    hessian[w1.size :, : w1.size] += cross.T
    return int(np.sum(np.linalg.eigvalsh(hessian) < -least))
