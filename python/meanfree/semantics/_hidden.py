"""Hidden representations of a linear network that learns items: geometry and generalisation."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range, choice, integer, real, real_array
from meanfree.linear import mode_pair
from meanfree.linear._checks import POSITIVE, POSITIVE_STRENGTH, STRENGTH, TIME, WEIGHT
from meanfree.semantics._course import Course

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_OUTPUT = Range("finite and in [-1e90, 1e90]", -1e90, 1e90)
_METHODS = ("single", "complete", "average", "weighted", "centroid", "median", "ward")
_CUTOFF = 1e-13  # of the largest singular value of what is taught


@dataclass(frozen=True, eq=False, repr=False)
class HiddenModel:
    """The modes of `SemanticModel`, which describes the fields, and its hidden layers."""

    outputs: Array
    _: KW_ONLY
    a0: float
    depth: int = 2
    tau: float = 1.0

    def __post_init__(self) -> None:
        outputs = real_array("outputs", self.outputs, _OUTPUT).copy()
        if outputs.ndim != 2 or outputs.size == 0:
            msg = (
                "outputs must be a matrix (n_features, n_items) that is not empty, got shape "
                f"{outputs.shape}"
            )
            raise ValueError(msg)
        outputs.setflags(write=False)
        depth = integer("depth", self.depth, 1)
        a0 = real("a0", self.a0, STRENGTH if depth == 1 else POSITIVE_STRENGTH)
        object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "a0", a0)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "tau", real("tau", self.tau, POSITIVE))

    # --- modes -----------------------------------------------------------------------------------

    @property
    def singular_values(self) -> Array:
        """(n_modes,) array, descending; those that are 0 to rounding are left out."""
        return self._modes[1]

    def typicality(self) -> Array:
        """Return how typical each item is of each category dimension, (n_items, n_modes).

        The singular vectors v_a over items, the largest entry of each positive. Equal to
        ``outputs.T @ feature_importance() / singular_values``: typical items have many of the
        features that matter. Where singular values are equal only the space of their vectors is
        determined, and a basis is chosen that starts at the item closest to that space.
        """
        return self._modes[2].copy()

    def feature_importance(self) -> Array:
        """Return how important each feature is on each category dimension, (n_features, n_modes).

        The singular vectors u_a over features, with the signs of `typicality`. Equal to ``outputs @
        typicality() / singular_values``: important features occur in typical items. The prototype
        of a category is ``s_a u_a``.
        """
        return self._modes[0].copy()

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        """Singular vectors over features, singular values, singular vectors over items."""
        u, s, vt = np.linalg.svd(self.outputs, full_matrices=False)
        cutoff = 4.0 * max(self.outputs.shape) * np.finfo(np.float64).eps * s[0]
        rank = int(np.sum(s > cutoff))
        u, s, v = u[:, :rank], s[:rank], vt[:rank].T
        begin = 0
        for end in [*(np.flatnonzero(s[:-1] - s[1:] > cutoff) + 1), rank] if rank else []:
            turn = _rotation(v[:, begin:end])
            u[:, begin:end], v[:, begin:end] = u[:, begin:end] @ turn, v[:, begin:end] @ turn
            begin = int(end)
        for values in (s, u, v):
            values.setflags(write=False)
        return np.ascontiguousarray(u), s, np.ascontiguousarray(v)

    @cached_property
    def _course(self) -> Course:
        return Course(self.singular_values, self.a0, self.depth, self.tau)

    def strength(self, t: ArrayLike) -> Array:
        """Return the strength of each mode at time t, t.shape + (n_modes,)."""
        return self._course.strength(real_array("t", t, TIME))

    # --- hidden representations ------------------------------------------------------------------

    def hidden_gram(
        self, t: ArrayLike, *, layer: int | None = None, imbalance: float = 0.0
    ) -> Array:
        """Return the inner products of hidden representations at time t, t.shape + (P, P).

        ``h_i . h_j = sum_a u_a(t)**(2 layer / depth) v_a^i v_a^j`` for P items; with one hidden
        layer the strengths themselves. Networks that start from small balanced weights agree in
        this, though not in h.

        Parameters
        ----------
        t : array_like
            Time, finite and >= 0, any shape.
        layer : int, optional
            0, the one-hot items, to depth - 1, the layer that feeds the outputs; None: the latter.
        imbalance : float
            ``lam = w_1**2 - w_2**2`` of the two weights of each mode, which learning conserves;
            needs depth 2. The representation is ``(lam + sqrt(lam**2 + 4 u**2)) / 2`` with the
            strength u of `meanfree.linear.mode_pair`; where lam is large it hardly changes.
        """
        times, v = real_array("t", t, TIME), self._modes[2]
        layer = self.depth - 1 if layer is None else integer("layer", layer, 0, self.depth - 1)
        lam = real("imbalance", imbalance, WEIGHT)
        if lam != 0.0:
            if self.depth != 2:
                msg = f"imbalance must be 0 unless depth is 2, got {lam!r} at depth {self.depth}"
                raise ValueError(msg)
            power = self._unbalanced(times, lam) if layer else None
        else:
            power = self.strength(times) ** (2.0 * layer / self.depth)
        if layer == 0:
            return np.broadcast_to(
                np.eye(v.shape[0]), (*times.shape, v.shape[0], v.shape[0])
            ).copy()
        assert power is not None
        return np.asarray((v * power[..., None, :]) @ v.T)

    def project_property(self, item: ArrayLike, t: ArrayLike, *, value: ArrayLike = 1.0) -> Array:
        """Return to which items a novel property of familiar ones is ascribed at time t.

        "A pine has property x; has a rose?" Only the weights from the last hidden layer to the new
        output learn, from 0, until it is right: ``value h_i . h_j / |h_i|**2`` for one item, least
        squares of least norm for several. Without a hidden layer nothing generalises.

        Parameters
        ----------
        item : int or (n,) array_like of int
            The items that the property is taught on.
        t : array_like
            Time at which it is taught, finite and >= 0, any shape.
        value : float or (n,) array_like
            What the new output should be for them.

        Returns
        -------
        array
            Shape of t, followed by (n_items,).

        Raises
        ------
        ValueError
            If an index or value is out of its range, repeated, or the item has no features at all.
        """
        return self._teach("item", item, t, value, self._modes[2])

    def project_item(self, feature: ArrayLike, t: ArrayLike, *, value: ArrayLike = 1.0) -> Array:
        """Return which features a novel item is thought to have when some are told at time t.

        "A blick has feathers; can it fly?" Only the weights from the new input learn, from 0, until
        the told outputs are right: ``value w_f . w_g / |w_f|**2`` for the rows w of the map from
        the first hidden layer to the outputs; for several features, least squares of least norm.

        Parameters
        ----------
        feature : int or (n,) array_like of int
            The features that are told.
        t : array_like
            Time at which they are told, finite and >= 0, any shape.
        value : float or (n,) array_like
            What these outputs should be.

        Returns
        -------
        array
            Shape of t, followed by (n_features,).

        Raises
        ------
        ValueError
            If an index or value is out of its range, repeated, or no item has the feature.
        """
        return self._teach("feature", feature, t, value, self._modes[0])

    def embedding(self, t: ArrayLike, *, n_components: int | None = None) -> Array:
        """Return coordinates of the items by multidimensional scaling, in one basis for all t.

        Classical scaling of the representations in the layer that feeds the outputs. Its axes are
        the principal ones of the trained network, seen from the mean of the items; their signs are
        fixed, so that each item has a continuous path.

        Parameters
        ----------
        t : array_like
            Time, finite and >= 0, any shape.
        n_components : int, optional
            At most the number of modes; with all of them distances are those of `hidden_gram`.
            None: 2, or 1 where there is one mode only.

        Returns
        -------
        array
            Shape of t, followed by (n_items, n_components).

        Raises
        ------
        ValueError
            If a value is out of its range, or depth is 1: there is no hidden layer.
        """
        times, (_, s, v) = real_array("t", t, TIME), self._modes
        most = max(1, s.size)
        wanted = min(2, most) if n_components is None else n_components
        n_components = integer("n_components", wanted, 1, most)
        if s.size == 0:
            return np.zeros((*times.shape, v.shape[0], n_components))
        centred = v - v.mean(axis=0)
        half = self._hidden_exponent() / 2.0
        axes, _, along = np.linalg.svd((centred * s**half).T, full_matrices=False)
        axes = axes @ np.diag(np.where(_leading(along.T) < 0.0, -1.0, 1.0))
        hidden = centred * (self.strength(times) ** half)[..., None, :]
        return np.asarray(hidden @ axes[:, :n_components])

    def linkage(self, t: ArrayLike, *, method: str = "average") -> Array:
        """Return the hierarchical clustering of hidden representations, as scipy's linkage matrix.

        Parameters
        ----------
        t : array_like
            Time, finite and >= 0, any shape.
        method : str
            Of `scipy.cluster.hierarchy.linkage`, such as "average" or "single".

        Returns
        -------
        array
            Shape of t, followed by (n_items - 1, 4).

        Raises
        ------
        ValueError
            If a value is out of its range, depth is 1, or there is one item only.
        """
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import pdist

        times, v = real_array("t", t, TIME), self._modes[2]
        how, items = choice("method", method, _METHODS), v.shape[0]
        if items < 2:
            msg = "outputs must have at least 2 items for a clustering, got 1"
            raise ValueError(msg)
        half = self._hidden_exponent() / 2.0
        hidden = v * (self.strength(times) ** half)[..., None, :]
        trees = [linkage(pdist(hidden[k]), how) for k in np.ndindex(times.shape)]
        return np.array(trees, dtype=np.float64).reshape(*times.shape, items - 1, 4)

    # --- details ---------------------------------------------------------------------------------

    def _hidden_exponent(self) -> float:
        """Return the power of the mode strength in the Gram matrix of the last hidden layer."""
        if self.depth == 1:
            msg = "depth must be at least 2 for hidden representations, got 1"
            raise ValueError(msg)
        return 2.0 * (self.depth - 1) / self.depth

    def _unbalanced(self, t: Array, lam: float) -> Array:
        """Return w_1**2 of each mode at time t, where w_1**2 - w_2**2 = lam."""
        large = np.sqrt(0.5 * abs(lam) + np.hypot(0.5 * lam, self.a0))
        first, second = (large, self.a0 / large) if lam > 0.0 else (self.a0 / large, large)
        pair = mode_pair(t[..., None], self.singular_values, first, second, tau=self.tau)
        return np.asarray(np.square(pair.w1))

    def _teach(
        self, name: str, index: Any, t: ArrayLike, value: ArrayLike, vectors: Array
    ) -> Array:
        """Fit the taught rows of vectors, weighted by the modes, and return all of them."""
        times, n = real_array("t", t, TIME), vectors.shape[0]
        single = np.ndim(index) == 0
        if np.ndim(index) > 1 or np.size(index) == 0:
            msg = f"{name} must be an index or a sequence of them, got shape {np.shape(index)}"
            raise ValueError(msg)
        taught = [
            integer(name if single else f"{name}[{k}]", one, 0, n - 1)
            for k, one in enumerate([index] if single else index)
        ]
        if len(set(taught)) < len(taught):
            msg = f"{name} must not name an index twice, got {taught}"
            raise ValueError(msg)
        told = real_array("value", value)
        if told.shape not in ((), (len(taught),)):
            msg = f"value must be a number or one for each {name}, got shape {told.shape}"
            raise ValueError(msg)
        y = np.broadcast_to(told, (len(taught),))
        if self.depth == 1:  # the new weights act on the taught ones alone
            result = np.zeros((*times.shape, n))
            result[..., taught] = y
            return result
        lines = self.outputs if name == "feature" else self.outputs.T
        for one in taught:
            if not lines[one].any():
                msg = f"{name} must have outputs other than 0 to be taught, got {one}"
                raise ValueError(msg)
        rows = vectors * (self.strength(times) ** (self._hidden_exponent() / 2.0))[..., None, :]
        weights = np.linalg.pinv(rows[..., taught, :], rcond=_CUTOFF) @ y
        return np.asarray((rows @ weights[..., None])[..., 0])


def _leading(vectors: Array) -> Array:
    """Return of each column the first of its largest entries."""
    sizes = np.abs(vectors)
    rows = np.argmax(sizes >= (1.0 - 1e-9) * sizes.max(axis=0), axis=0)
    return np.asarray(np.take_along_axis(vectors, rows[None], axis=0)[0])


def _rotation(vectors: Array) -> Array:
    """Return the rotation of orthonormal columns that makes their first leading entries positive.

    Its columns are the directions of the rows of largest remaining length, one after the other: a
    function of the space that the columns span, and for a single column its sign.
    """
    rest = vectors.copy()
    turned: list[Array] = []
    for _ in range(vectors.shape[1]):
        sizes = np.linalg.norm(rest, axis=1)
        direction = rest[int(np.argmax(sizes >= (1.0 - 1e-9) * sizes.max()))]
        for other in turned:  # once more, against rounding
            direction = direction - (direction @ other) * other
        turned.append(direction / np.linalg.norm(direction))
        rest = rest - np.outer(rest @ turned[-1], turned[-1])
    return np.array(turned).T
