"""A regular tree without numbers: a basis of functions on its leaves, and the order of merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def split_basis(branching: Sequence[int], n: int) -> Array:
    """Return the first n orthonormal functions on the leaves, as columns, coarse before fine.

    The constant one, then those of each level, the first of which split all nodes the same way.
    """
    basis = np.ones((1, 1))
    for children in branching:
        same = np.kron(basis, np.full((children, 1), children**-0.5))
        basis = np.hstack([same, np.kron(basis, _contrasts(children))])[:, :n]
    return basis


def merges(branching: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the merges from the leaves up, as in the columns 0, 1, 3 of scipy's linkage matrix.

    The two clusters and the number of leaves in both, (n_leaves - 1, 3), and beside it the level of
    the node in which they meet.
    """
    n_leaves = int(np.prod(branching))
    rows: list[tuple[int, int, int]] = []
    levels: list[int] = []
    clusters, leaves = list(range(n_leaves)), 1
    for level in reversed(range(len(branching))):
        children, merged = branching[level], []
        for first in range(0, len(clusters), children):
            joined = clusters[first]
            for i in range(1, children):
                low, high = sorted((joined, clusters[first + i]))
                rows.append((low, high, (i + 1) * leaves))
                levels.append(level)
                joined = n_leaves - 1 + len(rows)
            merged.append(joined)
        clusters, leaves = merged, leaves * children
    return np.array(rows, dtype=np.int64).reshape(-1, 3), np.array(levels, dtype=np.int64)


def _contrasts(n: int) -> Array:
    """Return n - 1 orthonormal vectors of sum zero, as columns: each child against later ones."""
    columns = np.zeros((n, n - 1))
    for j in range(1, n):
        columns[j - 1, j - 1] = n - j
        columns[j:, j - 1] = -1.0
        columns[:, j - 1] /= np.sqrt((n - j) * (n - j + 1.0))
    return columns
