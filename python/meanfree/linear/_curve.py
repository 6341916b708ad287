"""Squared errors of a student against time: a few modes of signal and a bulk of noise.

An error is ``(floor + sum_a gain_a (u_a - best_a)**2 + n <g (u - best s)**2>) / norm``, where
u_a(t) is the learned strength of spike a, and the mean runs over the part of the bulk that is
learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil, inf, log, pi
from typing import TYPE_CHECKING

import numpy as np

from meanfree.linear import _laws
from meanfree.linear._bulk import Bulk, bulk, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FARTHEST = 22.0  # v beyond which the bulk has a mass of 1e-9 at singular values below 1e-9
_NEAR = 6.0  # v below which it has nearly all its mass
_LEVELS = np.linspace(-12.0, 16.0, 25)  # ln(u / (s - u)) at which optima are looked for
_SETTLED = 1e-6  # of the bracket for Newton's last step: what is left is its square
_STEPS = 60
_ZERO = np.zeros(1)


@dataclass(frozen=True, eq=False)
class Law:
    """How modes grow: `depth` matrices from the strength a0, inputs of variance d, time in tau."""

    a0: float
    depth: float
    d: float
    tau: float

    def strength(self, t: Array, s: Array) -> Array:
        """Return u(t; s); t and s broadcast."""
        return _laws.strength(t / self.tau, s, np.array(self.a0), self.depth, self.d)

    def sharpness(self, s: Array | float) -> Array:
        """Return about how fast ln(u / (s - u)) changes with ln s where a mode is half learned."""
        ratio = np.maximum(np.asarray(s) / (self.d * max(self.a0, 1e-300)), 1.0)
        sharp = 1.0 + np.log(ratio)
        if self.depth > 2.0:
            c = 1.0 - 2.0 / self.depth
            sharp = sharp + ratio**c / c
        return np.asarray(sharp)


@dataclass(frozen=True, eq=False)
class Noise:
    """The `count` noise modes of largest singular value, which are learned, among `total`.

    Their singular values are sigma times those of the bulk at this aspect above v = end.
    """

    count: float
    total: float
    aspect: float
    sigma: float
    end: float

    def nodes(self, law: Law, t: Array, fine: bool = True) -> tuple[Array, Array]:
        """Return singular values and weights, (nodes,) or (t.size, nodes); weights add to count."""
        if not self.count:
            return _ZERO[:0], _ZERO[:0]
        if self.sigma == 0.0:
            return np.zeros((t.size, 1)), np.full((t.size, 1), self.count)
        spectrum = bulk(self.aspect)
        end = min(self.end, _FARTHEST)
        if law.depth > 2.0:
            s, w = rule(spectrum, self._graded(law, spectrum, t, end))
        else:
            width = 1.4 * min(pi / float(law.sharpness(self.sigma * spectrum.top_edge)), 1.5)
            near = min(end, _NEAR)
            s, w = _uniform(self.aspect, end, ceil(near / width) if fine else 2)
        return self.sigma * s, self.total * w

    def _graded(self, law: Law, spectrum: Bulk, t: Array, end: float) -> Array:
        """Return breaks that double in length on both sides of the mode that is half learned."""
        from scipy.special import ellipkinc

        top = self.sigma * spectrum.top_edge
        low, high = np.full(t.size, 1e-12 * top), np.full(t.size, 1e3 * top)
        for _ in range(60):  # of the logarithm of s
            middle = np.sqrt(low * high)
            v0 = np.minimum(law.d * law.a0 / middle, 0.499)
            late = law.tau / law.d * _laws.time_between(v0, 0.5, middle / law.d, law.depth) > t
            low, high = np.where(late, middle, low), np.where(late, high, middle)
        ratio = np.minimum(middle / top, 1.0)
        amplitude = np.arcsin(np.sqrt(np.minimum((1.0 - ratio**2) / (1.0 - spectrum.rest), 1.0)))
        at = np.minimum(ellipkinc(amplitude, 1.0 - spectrum.rest), end)
        first = 0.6 * pi / law.sharpness(np.minimum(middle, top))
        n = max(1, ceil(log(end / float(first.min()) + 1.0, 2.0)) + 1)
        growing = np.concatenate([[0.0], 2.0 ** np.arange(n)])
        offsets = np.concatenate([-growing[:0:-1], growing])
        return np.asarray(np.clip(at[:, None] + first[:, None] * offsets, 0.0, end))


@lru_cache(maxsize=4096)
def _uniform(aspect: float, end: float, panels: int) -> tuple[Array, Array]:
    breaks = np.linspace(0.0, min(end, _NEAR), panels + 1)
    far = [v for v in (1.5 * _NEAR, 2.4 * _NEAR) if v < end]
    return rule(bulk(aspect), np.concatenate([breaks, far, [end] if end > _NEAR else []]))


@lru_cache(maxsize=4096)
def noise_end(aspect: float, top_fraction: float) -> float:
    """Return the v above which lies this fraction of the bulk."""
    return bulk(aspect).position(top_fraction)


@lru_cache(maxsize=4096)
def square_beyond(aspect: float, end: float) -> float:
    """Return the integral of s**2 over the bulk below v = end, sigma = 1."""
    law = bulk(aspect)
    if end >= law.end:
        return 0.0
    s, w = rule(law, np.linspace(end, law.end, ceil(law.end - end) + 1))
    return float(w @ s**2)


@dataclass(frozen=True, eq=False)
class Curve:
    """An error as above; spikes, gain and best are (r,), in the order of falling spikes."""

    law: Law
    spikes: Array
    gain: Array
    best: Array
    noise: Noise
    noise_gain: float
    noise_best: float  # best strength of a noise mode, as a multiple of its singular value
    floor: float
    norm: float

    def values(self, t: Array) -> Array:
        """Return the error at each of the times (n,)."""
        result = np.empty(t.size)
        step = 200  # so that thousands of nodes fit into memory
        for start in range(0, t.size, step):
            part = slice(start, start + step)
            result[part] = self._values(t[part], self._modes(t[part]))
        return result

    def _values(self, t: Array, modes: tuple[Array, Array, Array]) -> Array:
        s, gain, best = modes
        away = self.law.strength(t[:, None], s) - best
        return np.asarray((self.floor + np.sum(gain * away**2, axis=-1)) / self.norm)

    def _modes(self, t: Array) -> tuple[Array, Array, Array]:
        """Return singular value, gain and best strength of spikes and nodes, over the times."""
        if self.law.depth <= 2.0:
            return self._fine
        return self._joined(*self.noise.nodes(self.law, t))

    @cached_property
    def _fine(self) -> tuple[Array, Array, Array]:
        return self._joined(*self.noise.nodes(self.law, _ZERO))

    def _joined(self, s: Array, w: Array) -> tuple[Array, Array, Array]:
        if not self.noise.count:
            return self.spikes, self.gain, self.best
        parts = [self.spikes, self.gain, self.best]
        if s.ndim == 2:
            parts = [np.broadcast_to(x, (s.shape[0], x.size)) for x in parts]
        rest = (s, self.noise_gain * w, self.noise_best * s)
        a, b, c = (np.concatenate(x, axis=-1) for x in zip(parts, rest, strict=True))
        return a, b, c

    def final(self) -> float:
        """Return the error after complete convergence."""
        s, gain, best = self._modes(_ZERO)
        return (self.floor + float(np.sum(gain * (s / self.law.d - best) ** 2))) / self.norm

    def _expansion(self, t: float) -> tuple[float, float, float]:
        """Return the error at t, its slope, and half its second derivative, all times the norm."""
        time, law = np.array([t]), self.law
        s, gain, best = (x.reshape(-1) for x in self._modes(time))
        u = law.strength(time, s)
        first, second = _laws.slopes(u, s, law.depth, law.d)
        away = u - best
        pull = gain * away
        bend = float(gain @ first**2 + pull @ second) / law.tau**2
        return self.floor + float(pull @ away), 2.0 * float(pull @ first) / law.tau, bend

    def minimum(self) -> tuple[float, float]:
        """Return the time of the smallest error, 0 and inf included, and that error."""
        times = self.candidates()
        rough = self._joined(*self.noise.nodes(self.law, times, fine=False))
        found = self._near(times, int(np.argmin(self._values(times, rough))))
        if found is None:  # misled by the rough quadrature
            found = self._near(times, int(np.argmin(self.values(times))))
        if found is None:
            start = self._expansion(0.0)[0] / self.norm
            found = 0.0, start
        final = self.final()
        return (inf, final) if final <= found[1] else found

    def _near(self, times: Array, i: int) -> tuple[float, float] | None:
        """Return the minimum beside time i and its value, or None if it is not there."""
        if i == 0 and self._expansion(0.0)[1] >= 0.0:
            return None
        low, high = float(times[max(i - 1, 0)]), float(times[min(i + 1, times.size - 1)])
        t, value = self._root(low, float(times[i]), high)
        edge = 1e-6 * (high - low)
        lost = (t - low <= edge and low > 0.0) or (high - t <= edge and i < times.size - 1)
        return None if lost else (t, value)

    def candidates(self) -> Array:
        """Return times at which some spike passes through its transition, ascending, with 0."""
        law, times = self.law, [_ZERO]
        for s in self.spikes.tolist():
            end = s / law.d
            start = law.a0 / end if end > 0.0 else inf
            if 0.0 < start < 0.999 and law.depth > 1.0:
                lapse = _laws.times(start, _LEVELS, end, law.depth)
                times.append(law.tau / law.d * lapse[lapse > 0.0])
            else:
                many = 1.0 if law.depth == inf else law.depth
                scale = law.d * many * max(end, law.a0) ** (2.0 - 2.0 / law.depth)
                times.append(law.tau / scale * np.geomspace(1e-6, 40.0, 33))
        if law.a0 * law.d > self.noise.sigma * bulk(self.noise.aspect).top_edge:
            # noise that decays from its start, like a power of time
            many = 1.0 if law.depth == inf else law.depth
            scale = law.tau / (law.d * many * law.a0 ** (2.0 - 2.0 / law.depth))
            times.append(scale * np.geomspace(1e-3, 1e9, 49))
        every = np.sort(np.concatenate(times))
        return every[np.diff(every, prepend=-1.0) > 1e-9 * every]  # equal spikes give equal times

    def _root(self, low: float, t: float, high: float) -> tuple[float, float]:
        """Return the zero of the slope from low, where it falls, to high, and the error there."""
        settled = _SETTLED * (high - low)
        for _ in range(_STEPS):
            value, slope, bend = self._expansion(t)
            if slope > 0.0:
                high = t
            else:
                low = t
            step = -0.5 * slope / bend if bend > 0.0 else inf
            if abs(step) <= settled or high - low <= settled:
                step = min(max(step, low - t), high - t)
                return t + step, (value + step * (slope + step * bend)) / self.norm
            t = t + step if low < t + step < high else 0.5 * (low + high)
        return t, value / self.norm
