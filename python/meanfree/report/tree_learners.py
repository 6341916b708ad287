"""Networks that learn features drawn from a tree, and means over its levels: for chapter 15."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.linear import mode_strength
from meanfree.report.linear_learners import learn
from meanfree.report.spectra import Estimate, extrapolated
from meanfree.semantics import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.report.engine import Settings
    from meanfree.report.linear_learners import Learners

    Array = NDArray[np.float64]

TREE = Tree((2, 2, 2), (0.1, 0.1, 0.1))
A0 = 1e-3
"""Where every mode starts, over the strength of the strongest one."""


@dataclass(frozen=True, eq=False)
class World:
    """Networks of two widths that learned features of the tree, the more the wider they are.

    Times are in units of tau over the strength of the root's mode, of as many features.

    Attributes
    ----------
    n_features, width, n : int
        Features, hidden units and number of the wide networks; there are twice as many of half
        the width, which learn half as many features.
    times : (n_times,) array
    wide, narrow : Learners
    squares : (n, levels) array
        Squared singular values by level over the number of features, in the draws of the former.
    """

    n_features: int
    width: int
    n: int
    times: Array
    wide: Learners
    narrow: Learners
    squares: Array

    @property
    def known(self) -> dict[str, Any]:
        """What the theory of the tree is told."""
        s_0 = strongest(self.n_features)
        return {"n_features": self.n_features, "a0": A0 * s_0, "tau": s_0}

    @property
    def described(self) -> str:
        """How many networks there are, in words."""
        return (
            f"{self.n} networks of {self.width} hidden units that learn {self.n_features} features "
            f"and {2 * self.n} of half of both, extrapolated, with one standard error"
        )

    def strength(self, t: Array) -> Array:
        """Return the strengths of the levels in theory, (n_times, levels)."""
        known = self.known
        s = TREE.singular_values(known["n_features"])
        return np.asarray(mode_strength(t[:, None], s, known["a0"], tau=known["tau"]))

    def scaled(self, wide: Array, narrow: Array) -> Estimate:
        """Extrapolate values of networks, first axis, over the strength of the root's mode."""
        return extrapolated(
            wide / strongest(self.n_features),
            narrow / strongest(self.n_features // 2),
            1,
            self.width,
        )


def strongest(n_features: int) -> float:
    """Return the singular value of the root's mode."""
    return float(TREE.singular_values(n_features)[0])


def learn_tree(settings: Settings) -> World:
    """Draw features, and let networks learn them from small random weights."""
    width, n = settings.size(96, 64), settings.size(32, 24)
    n_features = 32 * width
    times: Array = np.arange(1, 161) / 8.0
    learned, squares = [], []
    for n_hidden, many, features in ((width, n, n_features), (width // 2, 2 * n, n_features // 2)):
        grams = []
        for k in range(many):
            y = TREE.sample(features, settings.seed_for(f"15 features {n_hidden} {k}"))
            grams.append(y.T @ y)
        squares.append(by_level(np.stack(grams) / features))
        # a triangle with the same products: the features in the space that the items span
        roots = np.linalg.cholesky(np.stack(grams)).swapaxes(-1, -2)
        learned.append(
            learn(
                roots,
                times / strongest(features),
                n_hidden=n_hidden,
                n_networks=many,
                a0=A0 * strongest(features),
                seed=settings.seed_for(f"15 learners {n_hidden}"),
            )
        )
    return World(n_features, width, n, times, learned[0], learned[1], squares[0])


def by_level(gram: Array) -> Array:
    """Return the mean of the quadratic forms of each level's singular vectors, (..., levels)."""
    means = [
        np.sum(gram * TREE.projector(level), axis=(-1, -2)) / TREE.multiplicities[level]
        for level in range(TREE.n_levels + 1)
    ]
    return np.stack(means, axis=-1)


def by_ancestor(values: Array) -> Array:
    """Return means over the pairs of leaves that part at each level, (..., levels - 1)."""
    leaves = np.arange(TREE.n_items)
    shared = np.zeros((TREE.n_items, TREE.n_items), dtype=np.int64)
    for nodes in TREE.n_nodes[1:]:
        node = leaves // (TREE.n_items // nodes)
        shared += node[:, None] == node
    means = [values[..., shared == level].mean(axis=-1) for level in range(TREE.n_levels)]
    return np.stack(means, axis=-1)


def squared_distances(gram: Array) -> Array:
    """Return the squared distances of points of given inner products."""
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    return np.asarray(diagonal[..., :, None] + diagonal[..., None, :] - 2.0 * gram)
