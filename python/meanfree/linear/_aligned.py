r"""Starts in the singular vectors of what is learned, whose modes learn each by itself.

With white inputs and ``W_l = R_{l+1} diag(w_l) R_l^T``, R_1 and R_{L+1} the singular vectors of
sigma_yx and orthonormal columns R_l between, the frames R_l never change, and a step of the w_l
costs as much as there are modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.linear._goal import Goal

    Array = NDArray[np.float64]

_CLOSE = 1e-13  # of the weights: what may lie outside the frames


@dataclass(frozen=True, eq=False)
class Aligned:
    """Weights of the modes (runs, depth, modes), and the frames R_l of each run."""

    weights: Array
    frames: list[list[Array]]

    def total(self, strength: Array) -> Array:
        """Return the maps of strengths (runs, records, modes)."""
        right, left = self.frames[0][0], self.frames[0][-1]
        gone = np.asarray(~np.isfinite(strength).all(axis=-1))
        strength = np.where(gone[..., np.newaxis], 0.0, strength)
        total = np.asarray((strength[..., np.newaxis, :] * left) @ right.T)
        total[gone] = np.inf
        return total

    def flat(self, weights: Array) -> Array:
        """Return the matrices of weights of the modes, one run in a row."""
        rows = []
        for run, frames in zip(weights, self.frames, strict=True):
            gone = not np.isfinite(run).all()
            parts = zip(pairwise(frames), np.zeros_like(run) if gone else run, strict=True)
            row = np.concatenate([((b * w) @ a.T).ravel() for (a, b), w in parts])
            rows.append(np.full_like(row, np.inf) if gone else row)
        return np.array(rows)


def find_modes(goal: Goal, layers: list[Array], runs: int) -> Aligned | None:
    """Return the modes where the starts of all runs are aligned, None otherwise."""
    if goal.sigma_xx is not None or goal.depth == 1:
        return None
    u, _, vt = goal.modes
    weights, frames = [], []
    for run in range(runs):
        found = _modes([w[run if len(w) > 1 else 0] for w in _stacked(layers)], u, vt)
        if found is None:
            return None
        weights.append(found[0])
        frames.append(found[1])
    return Aligned(np.array(weights), frames)


def _stacked(layers: list[Array]) -> list[Array]:
    return [w if w.ndim == 3 else w[np.newaxis] for w in layers]


def _modes(layers: list[Array], u: Array, vt: Array) -> tuple[list[Array], list[Array]] | None:
    frame = vt.T
    weights, frames = [], [frame]
    for i, layer in enumerate(layers):
        image = layer @ frame
        if i == len(layers) - 1:
            after = u
            w = np.einsum("ia,ia->a", u, image)
        else:
            w = np.linalg.norm(image, axis=0)
            # a mode without weight stays without, and its direction means nothing
            used = w > _CLOSE * np.max(w, initial=0.0)
            w = np.where(used, w, 0.0)
            after = np.divide(image, w, out=np.zeros_like(image), where=used)
            gram = after.T @ after
            if np.max(np.abs(gram - np.diag(used.astype(np.float64)))) > _CLOSE:
                return None
        rest = layer - (after * w) @ frame.T
        if np.linalg.norm(rest) > _CLOSE * np.linalg.norm(layer):
            return None
        weights.append(w)
        frames.append(after)
        frame = after
    return weights, frames
