"""What a linear network knows of given items and features at each moment of learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._axes import axes
from meanfree._check import Range, integer, real, real_array
from meanfree._progress import progress_bar
from meanfree.linear import learning_time
from meanfree.linear._checks import POSITIVE, TIME
from meanfree.semantics._draw import checked_labels, draw_dendrogram, draw_paths
from meanfree.semantics._hidden import HiddenModel
from meanfree.semantics._illusions import Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_TARGET = Range("in [1e-9, 0.999]", 1e-9, 0.999)


@dataclass(frozen=True)
class Peak:
    """The largest output of a feature for an item.

    Attributes
    ----------
    t : float
        Its time; inf where the output only approaches its largest value, the trained one.
    value : float
    """

    t: float
    value: float


@dataclass(frozen=True)
class Illusion:
    """A feature that the network ascribes to an item, or denies it, wrongly and for a while.

    Attributes
    ----------
    item, feature : int
        Column and row of `outputs`.
    t : float
        When it is strongest.
    value : float
        The output then.
    size : float
        By how much it lies outside the range from the first to the trained output.
    """

    item: int
    feature: int
    t: float
    value: float
    size: float


@dataclass(frozen=True, eq=False, repr=False)
class SemanticModel(HiddenModel):
    """Learning of items and their features by a deep linear network, solved mode by mode.

    With ``outputs = sum_a s_a u_a v_a^T`` (singular vectors over features and items), one-hot items
    and small aligned weights the network answers ``sum_a u(t; s_a, a0) u_a v_a^T`` at time t, with
    the strength u of `meanfree.linear.mode_strength`. Modes of singular value 0 stay empty: nothing
    says which feature vector would go with which item vector.

    Parameters
    ----------
    outputs : (n_features, n_items) array_like
        What each item should give, finite.
    a0 : float
        Strength of every mode at t = 0, > 0; at depth 1 also 0.
    depth : int
        Weight matrices, at least 1; 1 is the shallow control, a network without a hidden layer.
    tau : float
        Time constant, > 0; in the sum convention an epoch of gradient descent with step eta is
        ``tau / eta`` of it.

    Raises
    ------
    ValueError
        If outputs is not a matrix with at least one row and column, or a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Saxe, McClelland and Ganguli (2019), "A mathematical theory of semantic development in deep
    neural networks".

    Examples
    --------
    >>> from meanfree.semantics import SemanticModel, eight_things
    >>> data = eight_things()
    >>> model = SemanticModel(data.outputs, a0=1e-3)
    >>> first = model.largest_illusions(1)[0]
    >>> print(data.items[first.item], data.features[first.feature], f"{first.value:.3f}")
    pine has leaves 0.594
    """

    def __repr__(self) -> str:
        n, p = self.outputs.shape
        size = f"{n} features, {p} items"
        return f"SemanticModel({size}, a0={self.a0}, depth={self.depth}, tau={self.tau})"

    # --- outputs ---------------------------------------------------------------------------------

    def output(self, t: ArrayLike) -> Array:
        """Return what the network answers at time t, t.shape + (n_features, n_items).

        Parameters
        ----------
        t : array_like
            Time, finite and >= 0, any shape.
        """
        u, _, v = self._modes
        return np.asarray((u * self.strength(t)[..., None, :]) @ v.T)

    def peak(self, item: int, feature: int) -> Peak:
        """Return when and how strongly the network most ascribes a feature to an item.

        The largest output over all t >= 0, to rounding.

        Parameters
        ----------
        item, feature : int
            Column and row of `outputs`.
        """
        times, values = self._course.maxima(self._course_of(item, feature)[None])
        return Peak(t=float(times[0]), value=float(values[0]))

    def latency(self, item: int, feature: int, *, target: float = 0.5) -> float:
        """Return from which time on the output is at least `target` of its trained value.

        Parameters
        ----------
        item, feature : int
            Column and row of `outputs`, where that is not 0.
        target : float
            In [1e-9, 0.999].
        """
        final = float(self.outputs[self._feature(feature), self._item(item)])
        if final == 0.0:
            msg = (
                f"feature must be one that item {item} has (outputs[feature, item] not 0), got "
                f"{feature}"
            )
            raise ValueError(msg)
        course = self._course_of(item, feature) * np.sign(final)
        return self._course.last_rise(course, real("target", target, _TARGET) * abs(final))

    def illusions(self, t: ArrayLike) -> Array:
        """Return the size of all illusory correlations at time t, t.shape + (n_features, n_items).

        An output that lies beyond both its start and its trained value y, on the wrong side: above
        both for y <= 0 (the pine that has leaves), below both for y > 0; 0 where there is none. A
        shallow network has none.

        Parameters
        ----------
        t : array_like
            Time, finite and >= 0, any shape.
        """
        now, start, final = self.output(t), self.output(0.0), self.outputs
        above, below = now - np.maximum(final, start), np.minimum(final, start) - now
        return np.asarray(np.maximum(np.where(final > 0.0, below, above), 0.0))

    def largest_illusions(
        self, n: int = 10, *, progress: bool | None = None
    ) -> tuple[Illusion, ...]:
        """Return the n largest illusory correlations over all items, features and times.

        Largest first, each at its exact peak; fewer than n where there are no more. Outputs that a
        bound shows to have smaller ones are not searched, so that a small n is fast.

        Parameters
        ----------
        n : int
            How many, >= 0.
        progress : bool, optional
            True draws a progress bar, False none; by default a terminal shows one after half a
            second.
        """
        n = integer("n", n, 0)
        u, _, v = self._modes
        search = Search(self._course, self.outputs, self.output(0.0), u, v, n)
        with progress_bar(progress, "illusions, %", 100) as report:
            found = search.run(report)
        items = self.outputs.shape[1]
        return tuple(
            Illusion(item=k % items, feature=k // items, t=t, value=value, size=size)
            for k, t, value, size in zip(*(x.tolist() for x in found), strict=True)
        )

    def membership(self, t: ArrayLike) -> Array:
        """Return how strongly items signal their categories, t.shape + (n_items, n_modes).

        ``u_a(t) v_a^i``: typical members are verified sooner.
        """
        return np.asarray(self.strength(t)[..., None, :] * self._modes[2])

    def membership_latency(self, mode: int, *, threshold: float) -> Array:
        """Return when the `membership` of each item on a mode reaches a threshold, (n_items,).

        inf for items that never do so; threshold > 0.
        """
        _, s, v = self._modes
        mode = integer("mode", mode, 0, s.size - 1)
        needed = real("threshold", threshold, POSITIVE)
        final = s[mode] * v[:, mode]
        times = np.full(final.shape, np.inf)
        times[self.a0 * v[:, mode] >= needed] = 0.0
        rising = np.isinf(times) & (final > needed)
        for i in np.flatnonzero(rising):
            times[i] = learning_time(
                s[mode], self.a0, target=needed / final[i], depth=self.depth, tau=self.tau
            )
        return times

    # --- figures ---------------------------------------------------------------------------------

    def plot(
        self,
        t: ArrayLike,
        pairs: Iterable[tuple[int, int]],
        ax: Axes | None = None,
        *,
        labels: Sequence[str] | None = None,
    ) -> Axes:
        """Draw the output for each pair (item, feature) over the times t."""
        times = np.atleast_1d(real_array("t", t, TIME)).reshape(-1)
        chosen = [(self._item(item), self._feature(feature)) for item, feature in pairs]
        names = None if labels is None else checked_labels(labels, len(chosen), "pairs")
        ax, u = axes(ax), self.strength(times)
        for k, (item, feature) in enumerate(chosen):
            name = f"item {item}, feature {feature}" if names is None else names[k]
            ax.plot(times, u @ self._course_of(item, feature), label=name)
        ax.set(xlabel=r"time $t$", ylabel="output")
        ax.legend()
        return ax

    def plot_dendrogram(
        self,
        t: float,
        ax: Axes | None = None,
        *,
        method: str = "average",
        labels: Sequence[str] | None = None,
    ) -> Axes:
        """Draw the dendrogram of the hidden representations at one time."""
        return draw_dendrogram(ax, self.linkage(real("t", t, TIME), method=method), labels)

    def plot_paths(
        self, t: ArrayLike, ax: Axes | None = None, *, labels: Sequence[str] | None = None
    ) -> Axes:
        """Draw the paths of the items over the times t in the plane of the first two components."""
        times = np.atleast_1d(real_array("t", t, TIME)).reshape(-1)
        return draw_paths(ax, self.embedding(times), labels)

    # --- details ---------------------------------------------------------------------------------

    def _item(self, item: int) -> int:
        return integer("item", item, 0, self.outputs.shape[1] - 1)

    def _feature(self, feature: int) -> int:
        return integer("feature", feature, 0, self.outputs.shape[0] - 1)

    def _course_of(self, item: int, feature: int) -> Array:
        """Return the coefficients of the modes in one output."""
        u, _, v = self._modes
        return np.asarray(u[self._feature(feature)] * v[self._item(item)])
