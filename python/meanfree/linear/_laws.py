"""Strength of a mode against time on checked, broadcast float64 arrays: the formulas of `modes`."""

from __future__ import annotations

from math import inf, isinf, log, log1p
from typing import TYPE_CHECKING

import numpy as np

from meanfree.linear._growth import growth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_TINY = 1e-150
_NEGLIGIBLE = 1e-17  # an end point that is so small beside the strength changes no digit
_TAME = 1e300  # products beyond this, or below its inverse, are made from logarithms
_FAR = -600.0  # a logit below which a mode grows as if it had no end
_LONGEST = float(np.finfo(np.float64).max) / 4.0  # lapse that products with small numbers survive


def lapse(t: Array, tau: float) -> Array:
    """Return t / tau, or the largest number that arithmetic can bear."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(t / tau, _LONGEST))


def strength(t: Array, s: Array, a0: Array, depth: float, d: Array | float = 1.0) -> Array:
    """Return u(t) of ``u' = depth u**(2 - 2 / depth) (s - d u)``; t in units of tau, u(0) = a0.

    For depth inf the clock is depth * t.
    """
    if depth == 2.0:
        return _one_hidden(t, s, a0, d)
    if depth == 1.0:
        with np.errstate(over="ignore"):
            return np.asarray(a0 * np.exp(-d * t) + s * _spent(d, t))
    t, s, a0, d = np.broadcast_arrays(t, s, a0, d)
    flat = (t.reshape(-1), s.reshape(-1), a0.reshape(-1), d.reshape(-1))
    return _deep(*flat, depth).reshape(t.shape)


def slope(u: Array, s: Array, depth: float, d: Array | float = 1.0) -> Array:
    """Return du/dt at u, in units of 1 / tau."""
    if depth == 2.0:
        return np.asarray(2.0 * u * (s - d * u))
    factor = u * u if isinf(depth) else depth * u ** (2.0 - 2.0 / depth)
    return np.asarray(factor * (s - d * u))


def slopes(u: Array, s: Array, depth: float, d: float) -> tuple[Array, Array]:
    """Return du/dt and its own derivative in time at u, in units of 1 / tau."""
    power = 2.0 - 2.0 / depth
    many = 1.0 if isinf(depth) else depth
    gap = s - d * u
    factor = many * (u if depth == 2.0 else u**power)
    first = factor * gap
    ratio = many if depth == 2.0 else factor / np.where(u > 0.0, u, 1.0)
    second = first * (power * ratio * gap - d * factor)
    return np.asarray(first), np.asarray(second)


def times(v0: float, y: Array, end: float, depth: float) -> Array:
    """Return the times from v0 end to end / (1 + exp(-y)), which is above it, for white inputs."""
    y0 = log(v0) - log1p(-v0)
    if depth == 2.0:
        return np.asarray((y - y0) / (2.0 * end))
    law = growth(_exponent(depth))
    lapse = law.below(y) - law.below(np.array([y0]))
    return np.asarray(lapse / (end ** (2.0 - 2.0 / depth) * (1.0 if isinf(depth) else depth)))


def time_between(v0: Array, v1: float, s: Array, depth: float) -> Array:
    """Return the time from v0 s to v1 s, 0 < v0 < v1 < 1; inf where s is 0."""
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        if depth == 1.0:
            return np.asarray(np.log1p((v1 - v0) / (1.0 - v1)))
        if depth == 2.0:
            return np.asarray(np.log1p((v1 - v0) / (v0 * (1.0 - v1))) / (2.0 * s))
        law = growth(_exponent(depth))
        lapse = law.below(_logit(np.full_like(v0, v1))) - law.below(_logit(v0))
        rate = s ** (2.0 - 2.0 / depth) * (1.0 if isinf(depth) else depth)
        return np.asarray(np.maximum(lapse, 0.0) / rate)


def time_to(v1: float, s: Array, a0: Array, depth: float, tau: float) -> Array:
    """Return the time from a0, which may be nothing beside s, to v1 s > a0, for white inputs."""
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        if depth == 1.0:
            return np.asarray(tau * time_between(a0 / s, v1, s, depth))
        far = np.log(a0) - np.log(s)
        low = far < _FAR
        result = np.empty_like(s)
        result[~low] = tau * time_between(a0[~low] / s[~low], v1, s[~low], depth)
        if depth == 2.0:
            result[low] = 0.5 * tau * (log(v1) - log1p(-v1) - far[low]) / s[low]
        else:
            c, many = _exponent(depth), 1.0 if isinf(depth) else depth
            half = a0[low] ** (-0.5 * c)
            result[low] = (tau / (c * many) * half / s[low]) * half
        return result


def _exponent(depth: float) -> float:
    return 1.0 - 2.0 / depth


def _logit(v: Array) -> Array:
    return np.asarray(np.log(v) - np.log1p(-v))


def _phi(x: Array) -> Array:
    """Return (1 - exp(-x)) / x, which is 1 at 0."""
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, -np.expm1(-safe) / safe)


def _spent(k: Array | float, t: Array) -> Array:
    """Return ``(1 - exp(-k t)) / k``, which is t at k = 0."""
    x = k * t
    early = x < 1.0
    late = -np.expm1(-x) / np.where(early, 1.0, k)
    return np.where(early, t * _phi(np.where(early, x, 0.0)), late)


def _one_hidden(t: Array, s: Array, a0: Array, d: Array | float) -> Array:
    """Return ``a0 / (E + d a0 (1 - E) / s)``, E = exp(-2 s t), which also holds for s = 0."""
    with np.errstate(over="ignore"):
        x = 2.0 * t * s
        still = x <= _NEGLIGIBLE
        if still.any():
            grown = np.where(still, 2.0 * t, -np.expm1(-x) / np.where(still, 1.0, s))
        else:
            grown = -np.expm1(-x) / s
        bottom = np.exp(-x) + d * a0 * grown
    if bottom.size == 0 or bottom.min() > _TINY:
        return np.asarray(a0 / bottom)
    # a0 is 0, or tiny where exp(-x) is below doubles
    low = (bottom <= _TINY) & (a0 > 0.0)
    u = a0 / np.where(bottom > 0.0, bottom, 1.0)
    end, start = np.where(low, s / d, 1.0), np.where(low, a0, 1.0)
    with np.errstate(over="ignore"):
        rest = np.exp(np.log(end) - np.log(start) - x)
        return np.where(low, end / (1.0 - np.exp(-x) + rest), u)


def _deep(t: Array, s: Array, a0: Array, d: Array, depth: float) -> Array:
    """Invert the closed form of t(u) where there is one, and use limits elsewhere."""
    c = _exponent(depth)
    law, power, many = growth(c), 1.0 + c, 1.0 if isinf(depth) else depth
    u, end = a0.copy(), s / d
    moves = (a0 > 0.0) & (t > 0.0) & (a0 != end)
    with np.errstate(all="ignore"):
        # s = 0: u**-power grows linearly
        half = a0 ** (0.5 * power)
        decayed = a0 * np.exp(-np.log1p(power * many * ((d * half) * (t * half))) / power)
        alone = moves & (end <= _NEGLIGIBLE * decayed)
        u[alone] = decayed[alone]
        up, down = moves & (a0 < end), moves & (a0 > end) & ~alone
        far = up & (a0 < 1e-260 * end)
        if far.any():  # u**-c falls linearly, until u is at its end within a rounding of t
            half = a0[far] ** (0.5 * c)
            left = 1.0 - c * many * ((s[far] * half) * (t[far] * half))
            grown = a0[far] * np.maximum(left, 0.0) ** (-1.0 / c)
            u[far] = np.where(left > 0.0, grown, end[far])
            up &= ~far
        theta = _clock(t, s, end, c, many)
        ratio = a0[up] / (end[up] - a0[up])
        y = law.advance_below(np.log(ratio), theta[up])
        u[up] = np.where(y < _FAR, np.exp(np.log(end[up]) + y), end[up] / (1.0 + np.exp(-y)))
        y = -np.log1p(-end[down] / a0[down])
        y = law.advance_above(y, theta[down])
        u[down] = end[down] / -np.expm1(-y)
    return u


def _clock(t: Array, s: Array, end: Array, c: float, many: float) -> Array:
    """Return ``many t s end**c``, the time of the growth law, by logarithms where it must be."""
    first, second = s * t, end**c
    theta = many * first * second
    low, high = 1.0 / _TAME, _TAME
    tame = (first > low) & (first < high) & (second > low) & (theta > low) & (theta < high)
    if not tame.all():
        logs = np.log(many) + np.log(s) + np.log(t) + c * np.log(end)
        theta = np.where(tame, theta, np.exp(np.minimum(logs, np.log(_TAME))))
    return np.asarray(theta)


def pair(t: Array, s: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return both weights and their product at t, in units of tau, from any start (a, b).

    With L = |a**2 - b**2|, which is conserved, k = sqrt(L**2 + 4 s**2) and E = exp(-k t), X = (a +
    b)**2 obeys ``X' = 2 s X + (L**2 - X**2) / 2``. Everything below is a sum of terms of one sign,
    save where the start has opposite signs and the product has to cross zero.
    """
    rest = np.maximum(np.abs(a), np.abs(b)) < _TINY
    larger = np.abs(a) >= np.abs(b)
    big, small = np.where(larger, a, b), np.where(larger, b, a)
    total = big + small
    gap = np.abs((big - small) * total)
    x0, m0 = total**2, 2.0 * small * total
    k = np.hypot(gap, 2.0 * s)
    safe = np.where(k == 0.0, 1.0, k)
    share, twice = gap / safe, np.where(k == 0.0, 1.0, 2.0 * s / safe)
    with np.errstate(over="ignore"):
        e, phi = np.exp(-k * t), _spent(k, t)  # phi = (1 - E) / k
    high = 1.0 + twice  # the roots of X' = 0 are k high and -k low
    low = share * share / high
    with np.errstate(over="ignore"):
        bottom = x0 * phi + high * e + low
    done = bottom == 0.0  # below doubles: at the end, or at the saddle
    bottom = np.where(done, 1.0, bottom)
    x = np.where(done, high * k, (x0 * (high + low * e) + gap * (gap * phi)) / bottom)
    # X - L in the one of three ways that does not cancel
    part = share + low
    toward = m0 * (twice + twice * twice / (1.0 + share) + part * e) + 4.0 * s * (gap * phi)
    escape = 2.0 * twice * np.abs(total) * (np.abs(total) + np.abs(small) * part / (1.0 + share))
    cross = escape + e * (m0 * part - 2.0 * twice * gap)
    near = np.where(m0 >= 0.0, toward, cross) / bottom
    excess = np.where(np.abs(x - gap) > 0.5 * gap, x - gap, near)
    root = 2.0 * np.where(x > 0.0, np.copysign(np.sqrt(x), total), inf)
    # from opposite and equal weights the difference shrinks and the product goes to 0
    y0 = (big - small) ** 2
    half = 0.5 * np.copysign(np.sqrt(2.0 * y0 * e / (y0 * phi + 2.0)), big)
    saddle = x0 == 0.0
    large = np.where(saddle, half, (x + gap) / root)
    little = np.where(saddle, -half, excess / root)
    first = np.where(rest, a, np.where(larger, large, little)) + 0.0  # no -0
    second = np.where(rest, b, np.where(larger, little, large)) + 0.0
    return first, second, first * second + 0.0
