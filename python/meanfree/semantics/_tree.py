"""Features that diffuse down a branching tree: their spectrum, and what a network learns of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._axes import axes
from meanfree._check import Range, integer, real, real_array, size
from meanfree._check import seed as check_seed
from meanfree.linear import mode_strength
from meanfree.linear._checks import POSITIVE, POSITIVE_STRENGTH, TIME
from meanfree.semantics._branch import merges, split_basis
from meanfree.semantics._draw import draw_dendrogram, draw_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_FLIP = Range("in [0, 1]", 0.0, 1.0)
_LARGEST = 2**31 - 1  # leaves


@dataclass(frozen=True, repr=False)
class Tree:
    """Branching diffusion: items at the leaves of a tree, features that flip along its edges.

    Each feature is +1 or -1 at the root, with probability 1/2, and each edge from level l to l + 1
    flips it with probability ``flips[l]``, independently. Two leaves whose lowest common ancestor
    is at level k agree on average to ``q_k = prod_{l >= k} (1 - 2 flips[l])**2``, so that with
    Delta_k = q_k - q_{k-1} and M_k nodes at level k the matrix of N >> 1 features by P items has
    the squared singular values

        s_l**2 = N P sum_{k >= l} Delta_k / M_k,    l = 0 .. len(branching),

    once for l = 0 and ``M_l - M_{l-1}`` times for l >= 1; the singular vectors of level l tell the
    children of one node of level l - 1 apart. Since s_l never grows with l, a deep linear network
    learns broad distinctions before fine ones: progressive differentiation.

    The leaves of a subtree are contiguous. The methods with a time t follow a network with one
    hidden layer and one-hot items whose modes all start at the strength a0, see
    `meanfree.linear.mode_strength`, in the limit of many features.

    Parameters
    ----------
    branching : tuple of int
        Children of each node of level 0 (the root), 1, ...; at least 1 each.
    flips : tuple of float, or float
        Probability in [0, 1] that a feature flips on the edges from level l to l + 1; as many as
        branchings, or one number for all.

    Raises
    ------
    ValueError
        If a value is out of its range, the lengths differ, or there are more than 2**31 - 1 leaves.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Saxe, McClelland and Ganguli (2019), "A mathematical theory of semantic development in deep
    neural networks".

    Examples
    --------
    >>> from meanfree.semantics import Tree
    >>> tree = Tree((2, 2, 2), (0.1, 0.1, 0.1))
    >>> (tree.singular_values(1) ** 2).round(6).tolist()
    [3.507776, 1.410624, 0.8208, 0.36]
    >>> tree.multiplicities.tolist()
    [1, 1, 2, 4]
    """

    branching: tuple[int, ...]
    flips: tuple[float, ...]

    def __post_init__(self) -> None:
        if isinstance(self.branching, str | bytes) or not np.iterable(self.branching):
            msg = f"branching must be a tuple of integers, got {self.branching!r:.60}"
            raise TypeError(msg)
        branching = tuple(size(f"branching[{i}]", b) for i, b in enumerate(self.branching))
        if not branching:
            msg = "branching must have at least one level, got ()"
            raise ValueError(msg)
        if prod(branching) > _LARGEST:
            msg = f"branching must give at most {_LARGEST} leaves, got {prod(branching)}"
            raise ValueError(msg)
        flips = real_array("flips", self.flips, _FLIP)
        if flips.ndim == 0:
            flips = np.full(len(branching), float(flips))
        if flips.shape != (len(branching),):
            msg = (
                f"flips must have one probability for each of the {len(branching)} levels of "
                f"branching, got shape {flips.shape}"
            )
            raise ValueError(msg)
        object.__setattr__(self, "branching", branching)
        object.__setattr__(self, "flips", tuple(flips.tolist()))

    def __repr__(self) -> str:
        return f"Tree(branching={self.branching}, flips={self.flips})"

    # --- statistics ------------------------------------------------------------------------------

    @property
    def n_levels(self) -> int:
        """Levels below the root: the leaves are at this level."""
        return len(self.branching)

    @property
    def n_items(self) -> int:
        """Leaves."""
        return prod(self.branching)

    @cached_property
    def n_nodes(self) -> NDArray[np.int64]:
        """(levels + 1,) array: nodes at each level."""
        return _frozen(np.cumprod(np.array([1, *self.branching], dtype=np.int64)))

    @cached_property
    def multiplicities(self) -> NDArray[np.int64]:
        """(levels + 1,) array: how often each of the `singular_values` occurs; their sum is P."""
        return _frozen(np.diff(self.n_nodes, prepend=0))

    @cached_property
    def level_similarity(self) -> Array:
        """(levels + 1,) array q_k: similarity of leaves whose common ancestor is at level k."""
        squares = np.square(1.0 - 2.0 * np.array(self.flips))
        return _frozen(np.append(np.cumprod(squares[::-1])[::-1], 1.0))

    @cached_property
    def _eigenvalues(self) -> Array:
        """(levels + 1,) array of s_l**2 / N."""
        e = np.array(self.flips)
        q = self.level_similarity
        steps = np.append(q[0], q[1:] * 4.0 * e * (1.0 - e))  # q_k - q_{k-1} without cancellation
        ratios = steps * (self.n_items / self.n_nodes)
        return _frozen(np.cumsum(ratios[::-1])[::-1])

    def singular_values(self, n_features: int) -> Array:
        """Return the singular value of each level, (levels + 1,), root first.

        Sum convention: those of the matrix of many features by items, divided by nothing; a finite
        sample of N = `n_features` spreads a level by a relative sqrt(n_items / N) or so.
        """
        return np.asarray(np.sqrt(size("n_features", n_features) * self._eigenvalues))

    def coherence(self) -> Array:
        """Return for each level how coherent its categories are, (levels + 1,).

        A category of level l are the ``n_l = P / M_l`` leaves below a node of level l. Its
        coherence is the mean similarity of two of its members (the same twice included) minus
        ``q_{l-1}``, that to the members of its nearest neighbours, and ``s_l**2 / N`` is n_l times
        as large: categories are learned the sooner, the larger and the more coherent they are.
        """
        return self._eigenvalues * self.n_nodes / self.n_items

    def similarity(self) -> Array:
        """Return the (n_items, n_items) mean of y_i y_j over features, the limit of Y^T Y / N."""
        levels = self._ancestor_levels()
        return self.level_similarity[levels]

    def projector(self, level: int) -> Array:
        """Return the (n_items, n_items) projector onto the singular vectors of a level.

        Within a level the singular values are equal and the single vectors arbitrary.

        `level` is 0 (the constant vector) to the number of levels.
        """
        level = self._level(level)
        shared, below = self._ancestor_levels(), level - 1
        here = (shared >= level) * (self.n_nodes[level] / self.n_items)
        if level == 0:
            return np.asarray(here)
        return np.asarray(here - (shared >= below) * (self.n_nodes[below] / self.n_items))

    def sample(self, n_features: int, seed: int = 0) -> Array:
        """Draw features: an array (n_features, n_items) of +1 and -1.

        Where flips are rare, columns repeat and the rank is less than n_items.
        """
        n_features = size("n_features", n_features)
        random = np.random.default_rng(check_seed(seed))
        signs = 2 * random.integers(0, 2, (n_features, 1), dtype=np.int8) - 1
        for children, flip in zip(self.branching, self.flips, strict=True):
            signs = np.repeat(signs, children, axis=1)
            signs[random.random(signs.shape) < flip] *= -1
        return signs.astype(np.float64)

    # --- what a network knows at time t ----------------------------------------------------------

    def squared_distance(
        self, t: ArrayLike, level: int, *, n_features: int, a0: float, tau: float = 1.0
    ) -> Any:
        """Return the squared distance of two leaves in the hidden layer at time t.

        ``(2 / P) (u_{k+1} M_{k+1} + sum_{l >= k+2} u_l (M_l - M_{l-1}))`` with the strength u_l(t)
        of the modes of level l, for leaves whose lowest common ancestor is at level k.

        Parameters
        ----------
        t : array_like
            Time, finite and >= 0, any shape.
        level : int
            Of the lowest common ancestor; the level of the leaves is the leaf itself: 0.
        n_features : int
            N, at least 1.
        a0 : float
            Strength of every mode at t = 0, > 0.
        tau : float
            Time constant, > 0.

        Returns
        -------
        float or array
            Of the shape of t.
        """
        k, times = self._level(level), real_array("t", t, TIME)
        u = self._strengths(times, n_features, a0, tau)
        return _scalar(self._squared_distances(u)[..., k])

    def project_property(
        self, t: ArrayLike, level: int, *, n_features: int, a0: float, tau: float = 1.0
    ) -> Any:
        """Return how far a novel property taught on one leaf is ascribed to another one at time t.

        Only the weights from the hidden layer to the new property learn, from 0 until it is 1 on
        the first leaf: ``h_i . h_j / |h_i|**2``. That is 0 at t = 0, where all modes are alike,
        then near 1 for all leaves while the root's mode leads, the nearer the smaller a0. It
        narrows with age, to what the square root of the similarity matrix leaves.

        Parameters
        ----------
        t, level, n_features, a0, tau
            As in `squared_distance`; so is the result.
        """
        k, times = self._level(level), real_array("t", t, TIME)
        u = self._strengths(times, n_features, a0, tau)
        inside = np.arange(self.n_levels + 1) <= k
        weights = self.multiplicities * inside
        if k < self.n_levels:
            weights[k + 1] = -self.n_nodes[k]
        return _scalar((u @ weights) / (u @ self.multiplicities))

    def embedding(
        self,
        t: ArrayLike,
        *,
        n_features: int,
        a0: float,
        n_components: int | None = None,
        tau: float = 1.0,
    ) -> Array:
        """Return coordinates of the leaves by multidimensional scaling, in one basis for all t.

        Classical scaling of the hidden representations: the constant mode is removed, coordinate a
        of leaf i is ``sqrt(u_a(t)) v_a^i``, broad distinctions first. Of the many bases of a level
        that one is taken whose first vectors split all nodes the same way.

        Parameters
        ----------
        t, n_features, a0, tau
            As in `squared_distance`.
        n_components : int, optional
            At most n_items - 1, which give the distances of `squared_distance`. None: 2, or all.

        Returns
        -------
        array
            Shape of t, followed by (n_items, n_components).
        """
        times = real_array("t", t, TIME)
        most = max(1, self.n_items - 1)
        wanted = min(2, most) if n_components is None else n_components
        n_components = integer("n_components", wanted, 1, most)
        if self.n_items == 1:
            return np.zeros((*times.shape, 1, 1))
        u = self._strengths(times, n_features, a0, tau)
        basis = split_basis(self.branching, n_components + 1)
        levels = np.repeat(np.arange(self.n_levels + 1), self.multiplicities)
        strengths = u[..., levels[1 : n_components + 1]]
        return np.asarray(np.sqrt(strengths)[..., None, :] * basis[:, 1:])

    def linkage(self, t: ArrayLike, *, n_features: int, a0: float, tau: float = 1.0) -> Array:
        """Return the hierarchical clustering of the leaves at time t, as scipy's linkage matrix.

        Hidden distances are ultrametric at all times, so that single, complete and average linkage
        agree: leaves below a common ancestor at level k merge at ``sqrt(squared_distance(t, k))``.

        Parameters
        ----------
        t, n_features, a0, tau
            As in `squared_distance`.

        Returns
        -------
        array
            Shape of t, followed by (n_items - 1, 4): the two clusters, their distance, and the
            number of leaves in both, for `scipy.cluster.hierarchy`. Early in learning nearly all
            heights are alike and the order of the merges means nothing.
        """
        times = real_array("t", t, TIME)
        u = self._strengths(times, n_features, a0, tau)
        heights = np.sqrt(self._squared_distances(u))
        rows, levels = merges(self.branching)
        result = np.empty((*times.shape, len(rows), 4))
        result[..., [0, 1, 3]] = rows
        result[..., 2] = heights[..., levels]
        return result

    # --- figures ---------------------------------------------------------------------------------

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the spectrum: singular values over sqrt(n_features), in descending order."""
        ax = axes(ax)
        values, first = self.singular_values(1), 1
        for level, count in enumerate(self.multiplicities.tolist()):
            ranks = np.arange(first, first + count)
            ax.plot(ranks, np.full(count, values[level]), "o", label=f"level {level}")
            first += count
        ax.set(xlabel="mode", ylabel=r"$s / \sqrt{N}$", ylim=(0.0, None))
        ax.legend()
        return ax

    def plot_dendrogram(
        self,
        t: float,
        ax: Axes | None = None,
        *,
        n_features: int,
        a0: float,
        tau: float = 1.0,
        labels: Sequence[str] | None = None,
    ) -> Axes:
        """Draw the dendrogram of the hidden representations at one time."""
        t = real("t", t, TIME)
        linkage = self.linkage(t, n_features=n_features, a0=a0, tau=tau)
        return draw_dendrogram(ax, linkage, labels)

    def plot_paths(
        self,
        t: ArrayLike,
        ax: Axes | None = None,
        *,
        n_features: int,
        a0: float,
        tau: float = 1.0,
        labels: Sequence[str] | None = None,
    ) -> Axes:
        """Draw the paths of the leaves over the times t in the plane of the first two components.

        Leaves that only differ in finer modes share a path.
        """
        times = np.atleast_1d(real_array("t", t, TIME)).reshape(-1)
        return draw_paths(ax, self.embedding(times, n_features=n_features, a0=a0, tau=tau), labels)

    # --- details ---------------------------------------------------------------------------------

    def _level(self, level: int) -> int:
        return integer("level", level, 0, self.n_levels)

    def _ancestor_levels(self) -> NDArray[np.int64]:
        """Return for each pair of leaves the level of their lowest common ancestor."""
        leaves = np.arange(self.n_items)
        levels = np.zeros((self.n_items, self.n_items), dtype=np.int64)
        for nodes in self.n_nodes[1:]:
            ancestors = leaves // (self.n_items // nodes)
            levels += ancestors[:, None] == ancestors
        return levels

    def _strengths(self, t: Array, n_features: int, a0: float, tau: float) -> Array:
        """Return u_l(t) as an array t.shape + (levels + 1,)."""
        s, start = self.singular_values(n_features), real("a0", a0, POSITIVE_STRENGTH)
        return np.asarray(mode_strength(t[..., None], s, start, tau=real("tau", tau, POSITIVE)))

    def _squared_distances(self, u: Array) -> Array:
        """Return the squared distance at each level of the common ancestor, last axis."""
        nodes, new = self.n_nodes, self.multiplicities
        finer = np.cumsum((u * new)[..., ::-1], axis=-1)[..., ::-1]  # of level l and below
        finer = np.concatenate([finer, np.zeros_like(u[..., :1])], axis=-1)
        own = u[..., 1:] * nodes[1:] + finer[..., 2:]
        return np.asarray(np.concatenate([own, np.zeros_like(u[..., :1])], axis=-1)) * (
            2.0 / self.n_items
        )


def _scalar(values: Array) -> Any:
    return values if values.ndim else float(values)


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    values.setflags(write=False)
    return values
