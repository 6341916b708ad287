"""Whole weight matrices of deep linear networks: exact solution, gradient flow and descent."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._check import cores, integer, real, real_array
from meanfree._progress import progress_bar
from meanfree.linear._aligned import find_modes
from meanfree.linear._checks import POSITIVE, TIME, TOLERANCE, WEIGHT
from meanfree.linear._exact import ExactFlow
from meanfree.linear._goal import Goal
from meanfree.linear._laws import lapse
from meanfree.linear._trajectory import LinearTrajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_BALANCED = 1e-10  # of the squares of the weights
_MOST_STEPS = 10_000_000


def exact_solution(
    w1: ArrayLike, w2: ArrayLike, sigma_yx: ArrayLike, t: ArrayLike, *, tau: float = 1.0
) -> Array:
    r"""Return the map of a linear network with one hidden layer, exactly, from a balanced start.

    With white inputs and ``W1 W1^T = W2^T W2``, the matrix ``Q = [W1^T; W2]`` of gradient flow has
    with ``F = [[0, S^T], [S, 0]]``, ``S = sigma_yx`` (Fukumizu, 1998; Braun et al., 2022) ::

        Q Q^T (t) = e^{F t} Q_0 (1 + Q_0^T G Q_0)^{-1} Q_0^T e^{F t},   G = int_0^t e^{2 F t'} dt'

    (t in units of tau), of which ``W2 W1`` is a block. Shapes and ranks are any; the start need
    not be aligned with sigma_yx.

    Parameters
    ----------
    w1 : (n_hidden, n_in) array_like
        Weights of the first layer at t = 0.
    w2 : (n_out, n_hidden) array_like
        Weights of the second layer.
    sigma_yx : (n_out, n_in) array_like
        Covariance of outputs and inputs.
    t : array_like
        Times, in [0, 1e100], in any order. The work grows with them until all is learned.
    tau : float
        Time constant, in (0, 1e100].

    Returns
    -------
    t.shape + (n_out, n_in) array
        ``W2 W1``, right to about 1e-12 of its size at any time; only starts that pass close to a
        saddle leave it at a time that rounding of the weights themselves decides.

    Raises
    ------
    ValueError
        If a value is out of its range, shapes do not fit, or the start is not balanced, for which
        there is `gradient_flow`.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.linear import exact_solution, initial_weights
    >>> w1, w2 = initial_weights((3, 4, 2), "balanced", scale=0.1, seed=0)
    >>> s = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> bool(abs(exact_solution(w1, w2, s, 40.0) - s).max() < 1e-12)
    True
    """
    (first, second), runs = _chain([w1, w2], names=("w1", "w2"))
    if runs is not None:
        msg = f"w1 and w2 must be matrices, got shapes {first.shape} and {second.shape}"
        raise ValueError(msg)
    goal = _goal([first, second], sigma_yx, None)
    times, unit = real_array("t", t, TIME), real("tau", tau, POSITIVE)
    away = float(np.linalg.norm(first @ first.T - second.T @ second))
    size = float(np.sum(first**2) + np.sum(second**2))
    if away > _BALANCED * size:
        msg = (
            f"w1 and w2 must be balanced, |w1 w1^T - w2^T w2| <= {_BALANCED:g} of |w1|^2 + "
            f"|w2|^2 = {size:.6g}, got {away:.6g}; gradient_flow takes any start"
        )
        raise ValueError(msg)
    flow = ExactFlow(first, second, goal.sigma_yx)
    points, back = np.unique(lapse(times, unit), return_inverse=True)
    maps = np.empty((points.size, *goal.sigma_yx.shape))
    now = 0.0
    for i, point in enumerate(points.tolist()):
        flow.advance(point - now)
        now, maps[i] = point, flow.product()
    return np.asarray(maps[back.reshape(times.shape)])


def gradient_flow(
    weights: Sequence[ArrayLike],
    sigma_yx: ArrayLike,
    sigma_xx: ArrayLike | None = None,
    *,
    t: ArrayLike,
    tau: float = 1.0,
    tol: float = 1e-12,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> LinearTrajectory:
    r"""Integrate gradient flow of the weights of a deep linear network.

    ``tau dW_l/dt = (W_L .. W_{l+1})^T (sigma_yx - W_L .. W_1 sigma_xx) (W_{l-1} .. W_1)^T``, by a
    Runge-Kutta method of order 8 that finds its own steps.

    Parameters
    ----------
    weights : sequence of (n_l, n_{l-1}) or (runs, n_l, n_{l-1}) array_like
        W_1, ..., W_L at t = 0, for instance of `initial_weights`; any chain of shapes. With a
        first axis, independent runs.
    sigma_yx : (n_L, n_0) array_like
        Covariance of outputs and inputs.
    sigma_xx : (n_0, n_0) array_like, optional
        Covariance of inputs, positive definite; default: white inputs, the identity. Both are sums
        or both means over examples.
    t : array_like
        Times, in [0, 1e100], in any order.
    tau : float
        Time constant, in (0, 1e100].
    tol : float
        Largest error of a step, relative to each weight, in [1e-13, 1].
    n_threads : int, optional
        Runs that are integrated side by side; default: the cores that this process may use. The
        numbers do not depend on it.
    progress : bool, optional
        As in `length_map`.

    Returns
    -------
    LinearTrajectory
        Arrays of shape ``t.shape + ...``, or ``(runs,) + t.shape + ...``; infinite in a run whose
        weights or their products leave the range of floats.

    Raises
    ------
    ValueError
        If a value is out of its range, shapes do not chain, or sigma_xx is singular.
    ConvergenceError
        If 10 million steps do not reach the last time, which must not be millions of times longer
        than learning takes, or steps become too small for the floats.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.linear import gradient_flow, initial_weights
    >>> start = initial_weights((3, 3, 3), "balanced", scale=1e-3, seed=0)
    >>> result = gradient_flow(start, np.diag([4.0, 2.0, 1.0]), t=[0.0, 2.6, 5.0, 20.0])
    >>> result.saddle_index().tolist()
    [9, 4, 1, 0]
    """
    layers, runs = _chain(weights)
    goal = _goal(layers, sigma_yx, sigma_xx)
    times, unit = real_array("t", t, TIME), real("tau", tau, POSITIVE)
    allowed, threads = real("tol", tol, TOLERANCE), cores(n_threads)
    n = 1 if runs is None else runs
    points, back = np.unique(times, return_inverse=True)
    aligned = find_modes(goal, layers, n)
    with progress_bar(progress, "thousandths", 1000 * n) as report:
        at = lapse(points, unit)
        if aligned is None:
            total, balancedness, end = _core.flow_linear(
                list(goal.sizes), _flat(layers, n), goal.sigma_yx, goal.sigma_xx, at, 1.0, allowed,
                _MOST_STEPS, threads, report,
            )  # fmt: skip
        else:
            modes = _core.flow_modes(
                aligned.weights, goal.modes[1], at, 1.0, allowed, _MOST_STEPS, threads, report
            )
            total, balancedness, end = aligned.total(modes[0]), modes[1], aligned.flat(modes[2])
    return _trajectory(goal, times, total, balancedness, end, runs, back.reshape(times.shape))


def descend(
    weights: Sequence[ArrayLike],
    sigma_yx: ArrayLike,
    sigma_xx: ArrayLike | None = None,
    *,
    eta: ArrayLike,
    steps: int,
    record_every: int = 1,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> LinearTrajectory:
    r"""Train a deep linear network by gradient descent with full batches.

    ``W_l <- W_l + eta (W_L .. W_{l+1})^T (sigma_yx - W_L .. W_1 sigma_xx) (W_{l-1} .. W_1)^T`` in
    all layers at once.

    Parameters
    ----------
    weights : sequence of (n_l, n_{l-1}) or (runs, n_l, n_{l-1}) array_like
        W_1, ..., W_L before the first step, for instance of `initial_weights`; any chain of
        shapes. With a first axis, independent runs.
    sigma_yx : (n_L, n_0) array_like
        Covariance of outputs and inputs.
    sigma_xx : (n_0, n_0) array_like, optional
        Covariance of inputs, positive definite; default: white inputs, the identity. Both are sums
        or both means over examples.
    eta : float or (runs,) array_like
        Size of a step, in (0, 1e100]; several make as many runs, also from one set of weights.
    steps : int
        Number of steps, at least 0.
    record_every : int
        Steps between records, at least 1. The start and the end are always recorded.
    n_threads : int, optional
        Runs that are trained side by side; default: the cores that this process may use. The
        numbers do not depend on it.
    progress : bool, optional
        As in `length_map`.

    Returns
    -------
    LinearTrajectory
        At ``t = 0, record_every, 2 record_every, ..., steps``. A run that leaves the range of
        floats has infinite loss, map and weights from then on.

    Raises
    ------
    ValueError
        If a value is out of its range, shapes do not chain, or sigma_xx is singular.
    TypeError
        If an argument is of the wrong kind.

    Warns
    -----
    UserWarning
        If eta is at or beyond the bound at which the learned network is unstable, as in
        `max_learning_rate` (for white inputs that bound). Smaller steps are necessary, not always
        sufficient: from unbalanced weights the path may pass a sharper place.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.linear import descend, initial_weights
    >>> start = initial_weights((3, 3, 3), "orthogonal", scale=0.1, seed=0)
    >>> result = descend(start, np.diag([4.0, 2.0, 1.0]), eta=0.1, steps=200, record_every=50)
    >>> result.total.shape, bool(result.loss[-1] < 1e-6)
    ((5, 3, 3), True)
    """
    layers, runs = _chain(weights)
    goal = _goal(layers, sigma_yx, sigma_xx)
    rate = real_array("eta", eta, POSITIVE)
    if rate.ndim > 1 or (rate.ndim == 1 and runs not in {None, rate.size}):
        allowed = "a number or 1-d" if runs is None else f"a number or of shape ({runs},)"
        msg = f"eta must be {allowed}, one for each run, got shape {rate.shape}"
        raise ValueError(msg)
    if not rate.size:
        msg = "eta must have at least one value, got none"
        raise ValueError(msg)
    if rate.ndim == 1:
        runs = rate.size
    count = integer("steps", steps, 0, 2**53)
    every = integer("record_every", record_every, 1, 2**53)
    threads = cores(n_threads)
    bound = goal.largest_rate()
    if rate.size and rate.max() >= bound:
        msg = (
            f"eta must be < {bound:.6g}, the bound of stability of the learned network at depth "
            f"{goal.depth}, or it does not settle; got {rate.max():.6g}"
        )
        warnings.warn(msg, stacklevel=2)
    n = 1 if runs is None else runs
    rates = np.ascontiguousarray(np.broadcast_to(rate, n))
    aligned = find_modes(goal, layers, n)
    with progress_bar(progress, "steps", count * n) as report:
        if aligned is None:
            total, balancedness, end = _core.descend_linear(
                list(goal.sizes), _flat(layers, n), goal.sigma_yx, goal.sigma_xx, rates, count,
                every, threads, report,
            )  # fmt: skip
        else:
            modes = _core.descend_modes(
                aligned.weights, goal.modes[1], rates, count, every, threads, report
            )
            total, balancedness, end = aligned.total(modes[0]), modes[1], aligned.flat(modes[2])
    times = np.minimum(np.arange(total.shape[1], dtype=np.float64) * every, count)
    return _trajectory(goal, times, total, balancedness, end, runs)


def _chain(weights: Any, names: tuple[str, ...] | None = None) -> tuple[list[Array], int | None]:
    """Return the layers as arrays that chain, and the number of runs (None: no axis of runs)."""
    if isinstance(weights, np.ndarray) and weights.ndim < 3:
        msg = f"weights must be a sequence of matrices, got an array of shape {weights.shape}"
        raise TypeError(msg)
    try:
        items = list(weights)
    except TypeError:
        msg = f"weights must be a sequence of matrices, got {weights!r:.60}"
        raise TypeError(msg) from None
    if not items:
        msg = "weights must have at least one matrix, got none"
        raise ValueError(msg)
    labels = names or tuple(f"weights[{i}]" for i in range(len(items)))
    layers = [real_array(name, w, WEIGHT) for name, w in zip(labels, items, strict=True)]
    for w in layers:
        if w.ndim not in {2, 3} or not w.size or w.shape[:-2] != layers[0].shape[:-2]:
            msg = (
                "weights must be matrices (n_l, n_{l-1}) or all (runs, n_l, n_{l-1}) with the same "
                f"number of runs, got shapes {', '.join(str(w.shape) for w in layers)}"
            )
            raise ValueError(msg)
    for i in range(1, len(layers)):
        before, after = layers[i - 1], layers[i]
        if after.shape[-1] != before.shape[-2]:
            msg = (
                f"weights must chain: {labels[i]} must have {before.shape[-2]} columns, as many as "
                f"{labels[i - 1]} has rows, got shape {after.shape}"
            )
            raise ValueError(msg)
    return layers, layers[0].shape[0] if layers[0].ndim == 3 else None


def _goal(layers: list[Array], sigma_yx: Any, sigma_xx: Any) -> Goal:
    """Check what is to be learned against the layers."""
    sizes = (layers[0].shape[-1], *(w.shape[-2] for w in layers))
    yx = real_array("sigma_yx", sigma_yx, WEIGHT)
    if yx.shape != (sizes[-1], sizes[0]):
        msg = (
            f"sigma_yx must have the shape (n_out, n_in) = {(sizes[-1], sizes[0])} of the weights, "
            f"got {yx.shape}"
        )
        raise ValueError(msg)
    xx = None
    if sigma_xx is not None:
        xx = real_array("sigma_xx", sigma_xx, WEIGHT)
        if xx.shape != (sizes[0], sizes[0]):
            msg = f"sigma_xx must have the shape {(sizes[0], sizes[0])}, got {xx.shape}"
            raise ValueError(msg)
        away = float(np.max(np.abs(xx - xx.T)))
        if away > 1e-10 * float(np.max(np.abs(xx))):
            msg = f"sigma_xx must be symmetric, got a difference of {away:.6g} from its transpose"
            raise ValueError(msg)
        xx = 0.5 * (xx + xx.T)
    goal = Goal(sizes, yx, xx)
    _ = goal.root  # refuses a singular sigma_xx
    return goal


def _flat(layers: list[Array], runs: int) -> Array:
    """Return the weights of each run in a row."""
    rows = [np.broadcast_to(w, (runs, *w.shape[-2:])).reshape(runs, -1) for w in layers]
    return np.ascontiguousarray(np.concatenate(rows, axis=1))


def _trajectory(
    goal: Goal,
    t: Array,
    total: Array,
    balancedness: Array,
    end: Array,
    runs: int | None,
    back: Any = None,
) -> LinearTrajectory:
    """Give the records of all runs their shapes."""
    n, points = total.shape[:2]
    loss, strength = goal.loss_and_strengths(total.reshape(n * points, *goal.sigma_yx.shape))
    lead = () if runs is None else (runs,)

    def shaped(values: Array, inner: tuple[int, ...]) -> Array:
        values = values.reshape(n, points, *inner)
        if back is not None and not np.array_equal(back, np.arange(points)):
            values = values[:, back]
        return np.asarray(values.reshape((*lead, *t.shape, *inner)))

    shapes = list(zip(goal.sizes[1:], goal.sizes[:-1], strict=True))
    parts = np.split(end, np.cumsum([a * b for a, b in shapes])[:-1], axis=1)
    modes = goal.modes[1]
    return LinearTrajectory(
        t=t,
        total=shaped(total, goal.sigma_yx.shape),
        loss=shaped(loss, ()),
        balancedness=shaped(balancedness, (goal.depth - 1,)),
        strength=shaped(strength, modes.shape),
        singular_values=modes,
        weights=tuple(
            p.reshape(*lead, *shape).copy() for p, shape in zip(parts, shapes, strict=True)
        ),
    )
