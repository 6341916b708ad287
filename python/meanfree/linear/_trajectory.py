"""The result of learning with whole matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._axes import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LinearTrajectory:
    r"""A deep linear network as it learns; made by `gradient_flow` and `descend`.

    Arrays have a first axis for the runs where there are several, then those of t.

    Attributes
    ----------
    t : array
        Times of `gradient_flow`, numbers of steps of `descend`.
    total : (..., n_out, n_in) array
        The map that the network makes, ``W_L ... W_1``.
    loss : array
        Excess over the optimum: ``tr(W sigma_xx W^T) / 2 - tr(W sigma_yx^T)`` less its smallest
        value for matrices of the rank that the narrowest layer allows.
    balancedness : (..., depth - 1) array
        ``|W_{l+1}^T W_{l+1} - W_l W_l^T|`` (Frobenius) for l = 1 .. depth - 1; gradient flow keeps
        the matrix inside the norm as it is.
    strength : (..., modes) array
        How much of each mode is learned, ``u_a^T W C v_a`` with ``sigma_xx = C C^T`` and the
        singular vectors of ``sigma_yx C^{-T}``; its singular value once it is learned.
    singular_values : (modes,) array
        Falling.
    weights : tuple of (..., n_l, n_{l-1}) array
        W_1, ..., W_L at the last time, without the axes of t.

    Notes
    -----
    A run of `descend` that leaves the range of floats has ``inf`` in all its arrays from then on,
    and in its weights.
    """

    t: Array
    total: Array
    loss: Array
    balancedness: Array
    strength: Array
    singular_values: Array
    weights: tuple[Array, ...]

    def n_unlearned(self) -> NDArray[np.int64]:
        """Return how many modes are still to be learned, of the shape of `loss`.

        A mode counts as learned when its strength is nearer to its singular value than to 0. Of
        the modes the network has room for as many as its narrowest layer has units.
        """
        learned = self._learned().sum(axis=-1)
        return np.asarray(self._finite(self._room - learned))

    def saddle_index(self) -> NDArray[np.int64]:
        r"""Return the index of the nearest saddle: how many eigenvalues of its Hessian are < 0.

        The critical points of the loss are the maps of which some modes I are learned and the
        others J not; the nearest has those in I whose strength is nearer to the singular value
        than to 0. With one hidden layer of k units and r learned modes (Baldi and Hornik, 1989) ::

            index = #{i in I, j in J: s_j > s_i} + (k - r) #{j in J: s_j > 0}

        and 0 exactly at the optimum. Plateaus of the loss are passages near saddles, whose index
        falls from one plateau to the next.

        With two or more hidden layers it is that of the saddle with balanced weights, and the
        second term is absent: a mode without weights in any layer grows only by a product of all
        of them, which the Hessian, a second derivative, does not see. Saddles that are passed in
        the order of falling singular values then have index 0 although the loss falls along
        directions of order `depth`; `n_unlearned` tells them from the optimum. Without a hidden
        layer the loss is convex, and the index 0.

        Returns
        -------
        array of int
            Of the shape of `loss`; -1 where a run has left the range of floats.
        """
        learned = self._learned()
        s, positive = self.singular_values, self.singular_values > 0.0
        rest = positive & ~learned
        if self._depth == 1:
            return np.asarray(self._finite(np.zeros(self.loss.shape, dtype=np.int64)))
        stronger = (s > s[:, None] * (1.0 + 1e-12)).astype(np.int64)  # [i, j]: s_j > s_i
        index = np.sum((learned.astype(np.int64) @ stronger) * rest, axis=-1)
        if self._depth == 2:
            spare = self.weights[0].shape[-2] - learned.sum(axis=-1)
            index += spare * rest.sum(axis=-1)
        return np.asarray(self._finite(index))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the strengths of the modes of one run against t, and dotted what they tend to."""
        ax = axes(ax)
        if self.t.ndim != 1 or self.loss.ndim != 1:
            msg = f"plot needs one run at several t, got a loss of shape {self.loss.shape}"
            raise ValueError(msg)
        ax.plot(self.t, self.strength)
        for i, s in enumerate(self.singular_values[: self._room]):
            ax.axhline(s, color=f"C{i % 10}", linestyle=":", linewidth=0.8)
        ax.set(xlabel="t", ylabel="strength of modes")
        return ax

    @property
    def _depth(self) -> int:
        return len(self.weights)

    @property
    def _room(self) -> int:
        """Return how many modes the network can learn."""
        narrowest = min(int(n) for w in self.weights for n in w.shape[-2:])
        return min(narrowest, int(np.sum(self.singular_values > 0.0)))

    def _learned(self) -> NDArray[np.bool_]:
        """Tell which modes are learned, never more than the network has room for."""
        s = self.singular_values
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(s > 0.0, self.strength / s, 0.0)
        learned = part > 0.5
        if s.size > self._room:
            order = np.argsort(-part, axis=-1, kind="stable")
            np.put_along_axis(learned, order[..., self._room :], False, axis=-1)
        return learned

    def _finite(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        good = np.isfinite(self.total).all(axis=(-2, -1))
        return np.asarray(np.where(good, numbers, -1))

    def __repr__(self) -> str:
        sizes = [self.weights[0].shape[-1], *(w.shape[-2] for w in self.weights)]
        chain = " - ".join(map(str, sizes))
        runs = self.weights[0].shape[:-2]
        several = f", {runs[0]} runs" if runs else ""
        text = f"LinearTrajectory of a linear network {chain}{several}, {self.t.size} times"
        if self.t.size:
            at = int(np.argmax(self.t))
            last = self.loss.reshape(-1, self.t.size)[:, at]
            ends = f"{last.min():.6g}" + (f" to {last.max():.6g}" if last.size > 1 else "")
            text += f"\n  excess loss at t = {self.t.flat[at]:.6g}: {ends}"
        return text
