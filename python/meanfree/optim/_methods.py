"""Gradient descent, Newton, damped Newton and saddle-free Newton, from one start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree._check import Range, real, size
from meanfree._krylov import lanczos
from meanfree._problem import cut_off, inverse
from meanfree.optim._damping import (
    SHORT_LIST,
    best_step,
    damping_unit,
    decompose,
    listed_dampings,
)
from meanfree.optim._path import Cost, Meter, Optimization, walk

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meanfree._problem import Problem
    from meanfree.optim._damping import Move

    Array = NDArray[np.float64]

_RATE = Range("finite and > 0", 0.0, open_low=True)
_MOMENTUM = Range("in [0, 1)", 0.0, 1.0, open_high=True)


def gradient_descent(
    problem: Problem,
    start: ArrayLike,
    *,
    steps: int,
    rate: float,
    momentum: float = 0.0,
    tol: float = 0.0,
    record_every: int = 1,
    cost: Cost | None = None,
    progress: bool | None = None,
) -> Optimization:
    """Follow the gradient down: ``v <- momentum v - rate g; w <- w + v`` (Polyak, 1964).

    A step costs one gradient.

    Parameters
    ----------
    problem : Problem
        Needs `value` (for what is recorded) and `gradient`.
    start : (n,) array_like
    steps : int
        At least 0.
    rate : float
        More than 0.
    momentum : float
        In [0, 1).
    tol : float
        Stop where the norm of the gradient is no larger.
    record_every : int
        Record every so many steps, and the start and the end.
    cost : Cost, optional
        What evaluations cost; None for the defaults.
    progress : bool, optional
        Draw a bar; None: on a terminal, if it takes longer than half a second.

    Returns
    -------
    Optimization

    Raises
    ------
    ValueError
        If a value is out of its range, the function or its gradient is not finite at the start, or
        what the problem returns has the wrong shape.
    TypeError
        If an argument is of the wrong kind.

    Warns
    -----
    UserWarning
        If the path leaves the numbers, so that it ends before.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.optim import gradient_descent
    >>> class Bowl:
    ...     def value(self, w):
    ...         return 0.5 * (w * w).sum(axis=-1)
    ...     def gradient(self, w):
    ...         return w
    >>> gradient_descent(Bowl(), [1.0, 2.0], steps=3, rate=0.5).values.tolist()
    [2.5, 0.625, 0.15625, 0.0390625]
    """
    eta, memory = real("rate", rate, _RATE), real("momentum", momentum, _MOMENTUM)
    velocity = np.zeros(1)

    def advance(meter: Meter, w: Array, g: Array, value: float) -> Move:
        nonlocal velocity
        velocity = memory * velocity - eta * g
        return w + velocity, None

    return walk(
        "gradient_descent",
        problem,
        start,
        advance,
        needs=("value", "gradient"),
        compares=False,
        knobs=(steps, tol, record_every, cost, progress),
    )


def newton(
    problem: Problem,
    start: ArrayLike,
    *,
    steps: int,
    tol: float = 0.0,
    record_every: int = 1,
    cost: Cost | None = None,
    progress: bool | None = None,
) -> Optimization:
    """Take Newton's steps ``-H^+ g``, whole ones, wherever they lead.

    Newton's method finds the nearest place where the gradient vanishes, most often a saddle: that
    is what it is here for. Directions whose eigenvalues are rounding are left out. A step costs a
    gradient and a Hessian.

    Parameters
    ----------
    problem : Problem
        Needs `value`, `gradient` and `hessian`.
    start, steps, tol, record_every, cost, progress
        As in `gradient_descent`.

    Returns
    -------
    Optimization

    Raises
    ------
    ValueError, TypeError
        As `gradient_descent`; and if a Hessian is not symmetric.

    Warns
    -----
    UserWarning
        If the path leaves the numbers, so that it ends before.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.optim import newton
    >>> class Wave:
    ...     def value(self, w):
    ...         return np.sin(w).sum(axis=-1)
    ...     def gradient(self, w):
    ...         return np.cos(w)
    ...     def hessian(self, w):
    ...         return -np.sin(w)[..., None] * np.eye(w.shape[-1])
    >>> print(abs(newton(Wave(), [1.0, -1.0], steps=10).values[-1].round(12)))  # a saddle
    0.0
    """

    def advance(meter: Meter, w: Array, g: Array, value: float) -> Move:
        decomposed = decompose(meter.hessian(w))
        if decomposed is None:
            return w * np.nan, None
        values, vectors = decomposed
        return w - vectors @ (inverse(values, cut_off(values)) * (g @ vectors)), None

    return walk(
        "newton",
        problem,
        start,
        advance,
        needs=("value", "gradient", "hessian"),
        compares=False,
        knobs=(steps, tol, record_every, cost, progress),
    )


def damped_newton(
    problem: Problem,
    start: ArrayLike,
    *,
    steps: int,
    dampings: ArrayLike = SHORT_LIST,
    tol: float = 0.0,
    record_every: int = 1,
    cost: Cost | None = None,
    progress: bool | None = None,
) -> Optimization:
    """Take the best of several damped steps of Newton's, ``-(H + damping)**-1 g``.

    Among the dampings of the list that with the lowest value is taken. A step that does not lower
    the function is rejected: if none on the list lowers it, 10 times the largest is tried, and so
    on, until one does or the steps are below rounding. Enough damping turns every direction of
    negative curvature downhill, but shortens the steps in all others. A step costs a gradient, a
    Hessian, and a value for each damping that was tried.

    Parameters
    ----------
    problem : Problem
        Needs `value`, `gradient` and `hessian`.
    dampings : array_like
        In units of the largest absolute eigenvalue, each in [0, 1e10], at least one.
    start, steps, tol, record_every, cost, progress
        As in `gradient_descent`.

    Returns
    -------
    Optimization
        Its values never rise.

    Raises
    ------
    ValueError, TypeError
        As `gradient_descent`; and if a Hessian is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.optim import damped_newton
    >>> class Wave:
    ...     def value(self, w):
    ...         return np.sin(w).sum(axis=-1)
    ...     def gradient(self, w):
    ...         return np.cos(w)
    ...     def hessian(self, w):
    ...         return -np.sin(w)[..., None] * np.eye(w.shape[-1])
    >>> print(damped_newton(Wave(), [1.0, -1.0], steps=10).values[-1].round(12))  # a minimum
    -2.0
    """
    listed = listed_dampings(dampings)

    def advance(meter: Meter, w: Array, g: Array, value: float) -> Move:
        decomposed = decompose(meter.hessian(w))
        if decomposed is None:
            return w * np.nan, None
        values, vectors = decomposed
        along, scale, limit = g @ vectors, damping_unit(values, g), cut_off(values)

        def step(damping: Array) -> Array:
            shifted = values + damping[:, None] * scale
            return np.asarray((-along * inverse(shifted, limit)) @ vectors.T)

        return best_step(meter, w, value, step, listed)

    return walk(
        "damped_newton",
        problem,
        start,
        advance,
        needs=("value", "gradient", "hessian"),
        compares=True,
        knobs=(steps, tol, record_every, cost, progress),
    )


def saddle_free_newton(
    problem: Problem,
    start: ArrayLike,
    *,
    steps: int,
    dimension: int | None = None,
    dampings: ArrayLike = SHORT_LIST,
    tol: float = 0.0,
    record_every: int = 1,
    cost: Cost | None = None,
    progress: bool | None = None,
) -> Optimization:
    """Take the best of several steps of saddle-free Newton, ``-(|H| + damping)**-1 g``.

    The damping is found, and steps are rejected, as in `damped_newton`; the steps are those of
    `saddle_free_step`, or with a `dimension` those of `krylov_saddle_free_step`. A step costs a
    gradient, a Hessian or `dimension` products with it, and a value for each damping that was
    tried.

    Compare it with `gradient_descent` on both clocks: on a plateau a step of saddle-free Newton
    does far more, but one of gradient descent with momentum costs far less.

    Parameters
    ----------
    problem : Problem
        Needs `value`, `gradient`, and `hessian` or, with a dimension, `hvp`.
    dimension : int, optional
        Of the Krylov space, at least 1; None for the full Hessian.
    dampings : array_like
        In units of the largest absolute eigenvalue of the Hessian (with a dimension: in the Krylov
        space), each in [0, 1e10], at least one.
    start, steps, tol, record_every, cost, progress
        As in `gradient_descent`.

    Returns
    -------
    Optimization
        Its values never rise.

    Raises
    ------
    ValueError, TypeError
        As `gradient_descent`; and if a Hessian is not symmetric.

    Notes
    -----
    At a distance d from a saddle a step changes the function by the order of d**2; where that is
    less than rounding the path stalls. Next to a saddle with directions of no curvature, leave 0
    out of the dampings: what is small there by chance makes steps that are long by chance.

    References
    ----------
    As `saddle_free_step`.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.optim import saddle_free_newton
    >>> class Wave:
    ...     def value(self, w):
    ...         return np.sin(w).sum(axis=-1)
    ...     def gradient(self, w):
    ...         return np.cos(w)
    ...     def hvp(self, w, v):
    ...         return -np.sin(w) * v
    >>> path = saddle_free_newton(Wave(), [1.0, -1.0], steps=4, dimension=2)
    >>> path.values.round(4).tolist()[-1], path.steps.tolist()  # a minimum
    (-2.0, [0, 1, 2, 3, 4])
    """
    listed = listed_dampings(dampings)
    krylov = None if dimension is None else size("dimension", dimension)

    def advance(meter: Meter, w: Array, g: Array, value: float) -> Move:
        if krylov is None:
            decomposed, basis, seen = decompose(meter.hessian(w)), None, g
        else:
            rows, matrix = lanczos(lambda v: meter.hvp(w, v[0])[None], g[None], krylov)
            basis, decomposed = rows[0], decompose(matrix[0, :-1])
            seen = np.zeros(len(basis))
            seen[0] = np.linalg.norm(g)
        if decomposed is None:
            return w * np.nan, None
        values, vectors = decomposed
        along, scale, limit = seen @ vectors, damping_unit(values, g), cut_off(values)

        def step(damping: Array) -> Array:
            shifted = np.abs(values) + damping[:, None] * scale
            whole = (-along * inverse(shifted, limit)) @ vectors.T
            return np.asarray(whole if basis is None else whole @ basis)

        return best_step(meter, w, value, step, listed)

    return walk(
        "saddle_free_newton",
        problem,
        start,
        advance,
        needs=("value", "gradient", "hessian" if krylov is None else "hvp"),
        compares=True,
        knobs=(steps, tol, record_every, cost, progress),
    )
