"""Modes of deep linear networks: how the strength of one singular value grows in learning."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import real, real_array, shaped, together
from meanfree.linear import _laws
from meanfree.linear._checks import (
    FRACTION,
    POSITIVE,
    POSITIVE_STRENGTH,
    STRENGTH,
    TIME,
    WEIGHT,
    depth_or_inf,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


_HIGHEST = 1e300  # strength that a deep mode may go to


@dataclass(frozen=True, eq=False)
class ModePair:
    """Weights of both layers of a mode, and their product; made by `mode_pair`.

    Attributes
    ----------
    w1, w2 : float or array
        Weight of the first and of the second layer.
    strength : float or array
        ``w1 * w2``, which learning takes to s.
    """

    w1: Any
    w2: Any
    strength: Any


def mode_strength(
    t: ArrayLike,
    s: ArrayLike,
    a0: ArrayLike,
    *,
    depth: float = 2,
    tau: float = 1.0,
    input_variance: ArrayLike = 1.0,
) -> Any:
    """Return the strength u(t) of a mode that gradient flow learns from balanced weights.

    A network of `depth` weight matrices whose layers share a mode with equal weights learns the
    singular value s of the covariance of outputs and inputs by ::

        tau du/dt = depth u**(2 - 2 / depth) (s - d u),    u(0) = a0,

    with d the variance of the inputs in that mode, towards ``s / d`` (Saxe et al., 2014). Loss:
    ``|y - W x|**2 / 2`` summed over examples, or averaged if `s` and `input_variance` are averages.

    Parameters
    ----------
    t : array_like
        Time, in [0, 1e100]. `tau` is its unit: with sums over examples and full-batch steps of size
        eta, step n is ``t / tau = n * eta``. For depth inf, depth times the time.
    s : array_like
        Singular value, in [0, 1e100].
    a0 : array_like
        Strength at t = 0, the product of all layers' weights, in [0, 1e100]; any sign at depth 1.
        At 0 a mode of a deep network stays: the start is a saddle. Above ``s / d`` it decays.
    depth : int or inf
        Number of weight matrices, at least 1; 1 is no hidden layer, inf the limit of deep networks.
    tau : float
        Time constant, in (0, 1e100].
    input_variance : array_like
        d, in (0, 1e100]; 1 for white inputs. Beyond depth 2, ``s / d`` is at most 1e300.

    Returns
    -------
    float or array
        u, of the shape to which t, s, a0 and input_variance broadcast. Relative error below
        ``1e-14 * max(1, kappa)``, where ``kappa = |t u'(t) / u|`` is the condition of the question
        itself: of order ``ln(s / a0)`` at depth 2, and up to ``(s / a0)**(1 - 2 / depth)`` beyond.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Beyond depth 2 time is a closed function of the strength, which is inverted in
    ``ln(u / |s - u|)`` by Newton's method.

    References
    ----------
    Saxe, McClelland and Ganguli (2014), "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks".

    Examples
    --------
    >>> from meanfree.linear import mode_strength
    >>> mode_strength([0.0, 3.4534, 1e6], 1.0, 1e-3).round(4).tolist()
    [0.001, 0.5, 1.0]
    """
    many, unit = depth_or_inf(depth), real("tau", tau, POSITIVE)
    (time, value, start, d), shape = together(
        t=real_array("t", t, TIME),
        s=real_array("s", s, STRENGTH),
        a0=real_array("a0", a0, WEIGHT if many == 1.0 else STRENGTH),
        input_variance=real_array("input_variance", input_variance, POSITIVE),
    )
    if many > 2.0 and np.any(value / _HIGHEST > d):
        k = int(np.argmax(value / _HIGHEST > d))
        msg = (
            f"s / input_variance must be <= {_HIGHEST:g} beyond depth 2, got s = {value[k]!r} and "
        )
        msg += f"input_variance = {d[k]!r}"
        raise ValueError(msg)
    return shaped(_laws.strength(_laws.lapse(time, unit), value, start, many, d), shape)


def mode_pair(
    t: ArrayLike, s: ArrayLike, w1: ArrayLike, w2: ArrayLike, *, tau: float = 1.0
) -> ModePair:
    """Return the weights of a mode of a network with one hidden layer, from any start.

    ``tau dw1/dt = w2 (s - w1 w2)`` and ``tau dw2/dt = w1 (s - w1 w2)`` conserve ``w1**2 - w2**2``
    (Saxe et al., 2014, hyperbolic trajectories), and ``X = (w1 + w2)**2`` obeys a Riccati equation,
    which is what is solved here. White inputs.

    Parameters
    ----------
    t : array_like
        Time in units of tau, in [0, 1e100].
    s : array_like
        Singular value, in [0, 1e100].
    w1, w2 : array_like
        Weights at t = 0, in [-1e100, 1e100]. Where both are below 1e-150 the mode counts as at
        rest, and stays.
    tau : float
        Time constant, in (0, 1e100].

    Returns
    -------
    ModePair
        Of the shape to which t, s, w1 and w2 broadcast. Weights of opposite signs first shrink: if
        they are exactly opposite the mode ends at the saddle, 0, otherwise it ends at s. Relative
        error 1e-14 for weights of equal signs, and 1e-14 of the larger weight where one crosses 0.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import mode_pair
    >>> mode = mode_pair([0.0, 1.0, 50.0], 1.0, 2.0, -0.1)
    >>> mode.strength.round(4).tolist()
    [-0.2, 0.9834, 1.0]
    """
    unit = real("tau", tau, POSITIVE)
    (time, value, first, second), shape = together(
        t=real_array("t", t, TIME),
        s=real_array("s", s, STRENGTH),
        w1=real_array("w1", w1, WEIGHT),
        w2=real_array("w2", w2, WEIGHT),
    )
    a, b, product = _laws.pair(_laws.lapse(time, unit), value, first, second)
    return ModePair(shaped(a, shape), shaped(b, shape), shaped(product, shape))


def learning_time(
    s: ArrayLike,
    a0: ArrayLike,
    *,
    target: float = 0.5,
    depth: float = 2,
    tau: float = 1.0,
) -> Any:
    """Return the time that a mode takes to grow from a0 to target * s.

    At depth 2, ``tau / (2 s) * ln(target (s - a0) / (a0 (1 - target)))``; for small a0 the time
    grows like ``ln(1 / a0)`` there and like ``a0**-(1 - 2 / depth)`` beyond (Saxe et al., 2014,
    who find it finite for infinite depth in the clock depth * t if a0 is). White inputs.

    Parameters
    ----------
    s : array_like
        Singular value, in [0, 1e100].
    a0 : array_like
        Strength at t = 0, in (0, 1e100]: from 0 a mode never grows. At depth 1 it may be 0.
    target : float
        Fraction of s to reach, in (0, 1).
    depth, tau
        As in `mode_strength`. For depth inf what is returned is depth * t.

    Returns
    -------
    float or array
        In units of tau, of the shape to which s and a0 broadcast; 0 where a0 is at target * s or
        beyond from the start, which includes s = 0.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import learning_time
    >>> print(round(learning_time(1.0, 1e-3), 4))
    3.4534
    """
    many, unit = depth_or_inf(depth), real("tau", tau, POSITIVE)
    goal = real("target", target, FRACTION)
    allowed = STRENGTH if many == 1.0 else POSITIVE_STRENGTH
    (value, start), shape = together(
        s=real_array("s", s, STRENGTH), a0=real_array("a0", a0, allowed)
    )
    result = np.zeros(value.size)
    grows = start < goal * value
    result[grows] = _laws.time_to(goal, value[grows], start[grows], many, unit)
    return shaped(result, shape)


def transition_time(s: ArrayLike, *, low: float = 0.1, high: float = 0.9, tau: float = 1.0) -> Any:
    """Return the time that a mode takes from low * s to high * s, with one hidden layer.

    ``tau / (2 s) * ln(high (1 - low) / (low (1 - high)))``, which is ``tau ln(9) / s`` from 10 %
    to 90 %. It does not depend on the start, whereas the time before the rise grows like ``ln(1 /
    a0)``: compared with its latency a transition becomes as sharp as one likes (Saxe et al.,
    2014).

    Parameters
    ----------
    s : array_like
        Singular value, in [0, 1e100]; at 0 the time is inf.
    low, high : float
        Fractions of s, in (0, 1), low < high.
    tau : float
        Time constant, in (0, 1e100].

    Returns
    -------
    float or array
        In units of tau, of the shape of s.

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import transition_time
    >>> print(round(transition_time(1.0), 4))
    2.1972
    """
    value = real_array("s", s, STRENGTH)
    first, last = real("low", low, FRACTION), real("high", high, FRACTION)
    unit = real("tau", tau, POSITIVE)
    if first >= last:
        msg = f"low must be < high = {last!r}, got {first!r}"
        raise ValueError(msg)
    flat = value.reshape(-1)
    lapse = _laws.time_between(np.full(flat.size, first), last, flat, 2.0)
    return shaped(unit * lapse, value.shape)


def detection_front(t: ArrayLike, a0: ArrayLike, *, tau: float = 1.0) -> Any:
    """Return the singular value that is half learned at time t, with one hidden layer.

    The larger root s of ``t = tau / (2 s) * ln(s / a0 - 1)``: modes with larger s are more than
    half learned, and the front falls roughly like ``tau / t``. In closed form, with Lambert's W
    and ``h = 2 t a0 / tau``, ::

        s = a0 - tau / (2 t) * W_{-1}(-h exp(h)).

    Parameters
    ----------
    t : array_like
        Time in units of tau, in [0, 1e100].
    a0 : array_like
        Strength of all modes at t = 0, in (0, 1e100].
    tau : float
        Time constant, in (0, 1e100].

    Returns
    -------
    float or array
        Of the shape to which t and a0 broadcast; inf at t = 0, and 0 from ``t = 0.139 tau / a0``
        on, when no mode is left that is less than half learned.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import detection_front, mode_strength
    >>> s = detection_front(5.0, 1e-3)
    >>> print(round(s, 4), round(mode_strength(5.0, s, 1e-3) / s, 4))
    0.6471 0.5
    """
    from scipy.special import lambertw

    unit = real("tau", tau, POSITIVE)
    (time, start), shape = together(
        t=real_array("t", t, TIME), a0=real_array("a0", a0, POSITIVE_STRENGTH)
    )
    time = _laws.lapse(time, unit)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        h = 2.0 * time * start
        inside = np.minimum(h, 1.0) * np.exp(np.minimum(h, 1.0))
        remains = inside <= np.exp(-1.0)
        # at 1e-300 the front is at 350 / t and falls no more slowly than its logarithm
        w = lambertw(-np.clip(inside, 1e-300, np.exp(-1.0)), k=-1).real
        w = np.where(inside < 1e-300, _far_lambert(time, start), w)
        front = np.where(remains, start - w / (2.0 * time), 0.0)
    return shaped(np.where(time == 0.0, inf, front), shape)


def _far_lambert(t: Array, a0: Array) -> Array:
    """Return W_{-1}(-2 t a0) where that is too close to 0 for a float: w + ln(-w) = ln(2 t a0)."""
    log = np.log(2.0) + np.log(t) + np.log(a0)
    w = np.minimum(log, -1.0)
    for _ in range(60):
        w = np.minimum(log - np.log(-w), -1.0)
    return np.asarray(w)
