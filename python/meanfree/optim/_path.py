"""The path of an optimiser with its two clocks, steps and gradient equivalents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from meanfree._axes import axes
from meanfree._check import Range, choice, real, real_array, size
from meanfree._problem import Checked
from meanfree._progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

Status = Literal["finished", "stationary", "stalled", "diverged"]
_COST = Range("finite and >= 0", 0.0)


@dataclass(frozen=True)
class Cost:
    """What evaluations cost in gradient equivalents: one is a gradient, forward and back.

    Parameters
    ----------
    value : float
        A value is a forward pass, a third of a gradient.
    hvp : float
        A product with the Hessian does everything twice.
    hessian : float, optional
        None: n products. Give the measured ratio of times where a Hessian is made in other ways:
        one of `hessian.MLP` with 200 parameters takes the time of about 15 gradients.

    Raises
    ------
    ValueError
        If a value is out of its range, finite and >= 0.
    TypeError
        If an argument is not a number.
    """

    value: float = 1.0 / 3.0
    hvp: float = 2.0
    hessian: float | None = None

    def __post_init__(self) -> None:
        for name in ("value", "hvp", "hessian"):
            given = getattr(self, name)
            if given is not None or name != "hessian":
                object.__setattr__(self, name, real(f"cost.{name}", given, _COST))


@dataclass(frozen=True, eq=False, repr=False)
class Optimization:
    """Where an optimiser went; made by the functions of `meanfree.optim`.

    Attributes
    ----------
    values : (n_records,) array
        The function at the points, the start first; all finite.
    points : (n_records, n) array
    steps : (n_records,) array of int
        How many steps had been taken.
    gradient_equivalents : (n_records,) array
        What the method itself had evaluated up to then, in units of one gradient (`Cost`). Values
        that are only recorded do not count, and neither does linear algebra.
    status : str
        "finished": all steps taken; "stationary": the gradient is no larger than tol; "stalled": no
        step lowers the function, as at a minimum but for rounding; "diverged": the next point is
        not finite, or the function is not there.
    """

    values: Array
    points: Array
    steps: NDArray[np.int64]
    gradient_equivalents: Array
    status: Status

    def __repr__(self) -> str:
        return (
            f"Optimization({self.status} at {self.values[-1]:.6g} after {self.steps[-1]} steps, "
            f"{self.gradient_equivalents[-1]:.6g} gradient equivalents)"
        )

    def plot(self, ax: Axes | None = None, *, clock: str = "steps", **style: Any) -> Axes:
        """Draw the values against a clock, "steps" or "gradient_equivalents".

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        clock : str
            What is along the axis.
        style
            Passed on to `ax.plot`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If clock is another word.
        """
        word = choice("clock", clock, ("steps", "gradient_equivalents"))
        ax = axes(ax)
        ax.plot(getattr(self, word), self.values, **style)
        ax.set_xlabel(word.replace("_", " "))
        ax.set_ylabel("value")
        return ax


class Meter:
    """A problem that counts what is evaluated, in gradients."""

    def __init__(self, problem: Checked, cost: Cost, n: int) -> None:
        self._problem, self._cost, self.total = problem, cost, 0.0
        self._hessian = n * cost.hvp if cost.hessian is None else cost.hessian

    def value(self, w: Array) -> Array:
        """Return the values at one or many points."""
        self.total += self._cost.value * (w.size // w.shape[-1])
        return self._problem.value(w)

    def gradient(self, w: Array) -> Array:
        """Return the gradient at w."""
        self.total += 1.0
        return self._problem.gradient(w)

    def hessian(self, w: Array) -> Array:
        """Return the Hessian at w."""
        self.total += self._hessian
        return self._problem.hessian(w)

    def hvp(self, w: Array, v: Array) -> Array:
        """Return the Hessian at w times v."""
        self.total += self._cost.hvp
        return self._problem.hvp(w, v)


Advance: TypeAlias = "Callable[[Meter, Array, Array, float], tuple[Array, float | None] | None]"


def walk(
    name: str,
    problem: Any,
    start: ArrayLike,
    advance: Advance,
    *,
    needs: tuple[str, ...],
    compares: bool,
    knobs: tuple[int, float, int, Cost | None, bool | None],
) -> Optimization:
    """Take steps, each from a point, its gradient and its value to the next point.

    ``advance`` returns the point with its value (None if the method has no need of values, which
    is what ``compares`` tells), or None where there is no step. ``knobs``: steps, tol,
    record_every, cost, progress.
    """
    steps, tol, record_every, cost, progress = knobs
    checked = Checked(problem, *needs)
    w = real_array("start", start)
    if w.ndim != 1 or not w.size:
        msg = f"start must have the shape (n,), n >= 1, got shape {w.shape}"
        raise ValueError(msg)
    last, every = size("steps", steps, 0), size("record_every", record_every)
    small = real("tol", tol, _COST)
    if cost is not None and not isinstance(cost, Cost):
        msg = f"cost must be a Cost or None, got {cost!r:.60} of type {type(cost).__name__}"
        raise TypeError(msg)
    meter = Meter(checked, cost or Cost(), w.size)
    value = float(meter.value(w) if compares else checked.value(w))
    if not np.isfinite(value):
        msg = f"start must be a point where problem.value is finite, got {value!r}"
        raise ValueError(msg)
    bad = np.flatnonzero(~np.isfinite(slope := checked.gradient(w)))
    if bad.size:
        msg = (
            f"start must be a point where problem.gradient is finite, got "
            f"{float(slope[bad[0]])!r} at index {bad[0]}"
        )
        raise ValueError(msg)
    path = _Path(meter, checked, w, value)
    with progress_bar(progress, "steps", last) as report, np.errstate(all="ignore"):
        for k in range(1, last + 1):
            path.step(advance, small, recorded=k % every == 0 or k == last)
            if path.status != "finished":
                break
            if report:
                report(k)
    path.end()
    if path.status == "diverged":
        msg = (
            f"{name} left the numbers in step {path.taken + 1}: the next point is not finite, or "
            f"the function or a derivative of it is not; the last recorded value is "
            f"{path.records[-1][2]:.6g}"
        )
        warnings.warn(msg, stacklevel=3)
    number, points, values, clock = zip(*path.records, strict=True)
    return Optimization(
        values=np.array(values),
        points=np.array(points),
        steps=np.array(number, dtype=np.int64),
        gradient_equivalents=np.array(clock),
        status=path.status,
    )


class _Path:
    """A point on its way, and what was recorded of it."""

    def __init__(self, meter: Meter, checked: Checked, w: Array, value: float) -> None:
        self._meter, self._checked, self._w, self._value = meter, checked, w, value
        self.status: Status = "finished"
        self.taken = 0
        self.records = [(0, w, value, meter.total)]

    def step(self, advance: Advance, small: float, *, recorded: bool) -> None:
        """Go one step, or say in the status why there is none."""
        g = self._meter.gradient(self._w)
        norm = float(np.linalg.norm(g))
        if norm <= small:
            self.status = "stationary"
            return
        moved = advance(self._meter, self._w, g, self._value) if np.isfinite(norm) else (g, None)
        if moved is None:
            self.status = "stalled"
            return
        to, value = moved
        finite = np.isfinite(norm) and bool(np.isfinite(to).all())
        if finite and value is None and recorded:
            value = float(self._checked.value(to))
        if not finite or not (value is None or np.isfinite(value)):
            self.status = "diverged"
            return
        self.taken, self._w = self.taken + 1, to
        if value is not None:
            self._value = value
        if recorded:
            self._record(self._value)

    def end(self) -> None:
        """Record where the path ends."""
        if self.records[-1][0] < self.taken:
            value = float(self._checked.value(self._w))
            if np.isfinite(value):
                self._record(value)

    def _record(self, value: float) -> None:
        self.records.append((self.taken, self._w, value, self._meter.total))
