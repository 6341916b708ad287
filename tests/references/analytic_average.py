"""Gaussian averages of activations that are analytic near the real axis."""

import math

import numpy as np


class Analytic:
    """phi(u) = constant + linear * u + core(u), the core even or odd and analytic near the axis.

    `core(a, u)` returns its value and two derivatives; `pole` is the half-width of the strip where
    the core is analytic, or infinity with `growth(y)` the logarithm of the largest |core|^2 at
    height y. An even core has no constant beside it and an odd one no linear part.
    """

    def __init__(self, a, core, pole, *, constant=0.0, linear=0.0, odd=False, growth=None) -> None:
        self.a, self.core, self.pole, self.odd = a, core, pole, odd
        self.constant, self.linear, self.growth = a.real(constant), a.real(linear), growth
        self._series = (None, 0)

    def limits(self):
        """Return E phi'^2 and E phi''^2 at q -> 0 and at q -> infinity."""
        _, d1, d2 = (v[0] for v in self.core(self.a, self.a.reals([0])))
        at_infinity = 2 * self.linear**2
        return ((d1 + self.linear) ** 2, d2 * d2), (at_infinity, 0)

    def _band(self, scale: float) -> float:
        """Return the 2 pi / step that integrates a product of two phi(scale * z)."""
        error = self.a.log_error
        if self.growth is None:
            y = min(0.93 * self.pole / scale if scale else math.inf, math.sqrt(2 * error))
            return error / y + y / 2
        heights = np.geomspace(1e-3, 1, 400) * math.sqrt(2 * error)
        return min((error + self.growth(scale * y)) / y + y / 2 for y in heights)

    def _grid(self, step, reach: float):
        """Return the nodes j * step, j = 0, 1, ..., and their normal weights, doubled for j > 0."""
        a = self.a
        z = step * a.integers(0, math.ceil(reach / float(step)))
        w = a.density(z) * step * 2
        w[0] = w[0] / 2
        return z, w

    def _reach(self) -> float:
        return math.sqrt(2 * self.a.log_error) + 0.5

    def moments(self, q):
        """Return E phi^2, E phi'^2, E phi''^2, d E phi^2 / dq."""
        a, b = self.a, self.linear
        root = a.sqrt(q)
        step = a.real(2 * math.pi / self._band(float(root)))
        z, w = self._grid(step, self._reach())
        d0, d1, d2 = self.core(a, root * z)
        w0, slope = w * d0, np.dot(w, d1 * d1)
        second = np.dot(w0, d0) + b * b * q + self.constant**2
        return second, slope + b * b, np.dot(w, d2 * d2), slope + np.dot(w0, d2) + b * b

    def hermite(self, q, n_terms: int):
        """Return [(k, a_k^2)], a_k = E core(sqrt(q) z) He_k(z) / sqrt(k!), of the core's parity."""
        a = self.a
        key, series = self._series
        if key == q and series[-1][0] >= n_terms:
            return series
        root = a.sqrt(q)
        step = a.real(2 * math.pi / (self._band(float(root)) + math.sqrt(n_terms)))
        z, w = self._grid(step, math.sqrt(2) * self._reach())
        w = w * self.core(a, root * z)[0]
        before, now, series = 0 * z, 0 * z + 1, []
        for k in range(n_terms + 2):
            if k % 2 == self.odd:
                series.append((k, np.dot(w, now) ** 2))
            scale = 1 / a.sqrt(a.real(k + 1))
            now, before = (z * scale) * now - (a.sqrt(a.real(k)) * scale) * before, now
        self._series = (q, series)
        return series

    def _n_terms(self, delta) -> int:
        size = min(max(abs(1 - float(delta)), 1e-12), 0.999)
        return max(4, math.ceil(-0.75 * self.a.log_error / math.log(size)))

    def mehler(self, q, delta):
        """Return the pair by the Mehler series."""
        a, c, n_terms = self.a, 1 - delta, self._n_terms(delta)
        b2 = self.linear**2
        difference, slope = self.moments(q)[0] - b2 * q - self.constant**2, a.real(0)
        for k, square in self.hermite(q, n_terms):
            difference -= square * c**k
            if k > 0:
                slope += k * square * c ** (k - 1)
        return difference + b2 * q * delta, slope / q + b2

    def rotated(self, q, delta):
        """Return the pair by the trapezoid rule in (u1 + u2, u1 - u2), on one common grid."""
        a = self.a
        along, across = a.sqrt(q * (2 - delta) / 2), a.sqrt(q * delta / 2)
        swap = across > along  # `fine` is the shorter of the two steps in u
        steps = [float(s) * 2 * math.pi / self._band(float(s)) for s in (along, across)]
        if float(along) == 0.0:
            return self._antithetic(q)
        k_along, k_across = 1, 1
        if steps[0] >= steps[1]:
            fine, k_along = steps[1], int(steps[0] // steps[1])
        else:
            fine, k_across = steps[0], int(steps[1] // steps[0])
        fine = a.real(fine)
        s, w = self._grid(fine * k_along / along, self._reach())
        d, v = self._grid(fine * k_across / across, self._reach())
        i, j = k_along * np.arange(len(s))[:, None], k_across * np.arange(len(d))[None, :]
        index, where = np.unique(np.stack([i + j, i - j]), return_inverse=True)
        where = where.reshape(2, len(s), len(d))
        if self.growth is None and len(index) > 4:  # even or odd: half the evaluations
            size, fold = np.unique(np.abs(index), return_inverse=True)
            value, slope, _ = self.core(a, fine * a.reals(size))
            flip = index < 0
            value, slope = value[fold], slope[fold]
            (value if self.odd else slope)[flip] *= -1
        else:
            value, slope, _ = self.core(a, fine * a.reals(index))
        difference = value[where[0]] - value[where[1]]
        product = slope[where[0]] * slope[where[1]]
        b2 = self.linear**2
        order = (v, w) if swap else (w, v)
        if swap:
            difference, product = difference.T, product.T
        first = np.dot(order[0], np.dot(difference * difference, order[1])) / 2
        return first + b2 * q * delta, np.dot(order[0], np.dot(product, order[1])) + b2

    def _antithetic(self, q):
        """Return the pair at c = -1, u2 = -u1."""
        second, slope, _, _ = self.moments(q)
        b2, a2 = self.linear**2, self.constant**2
        if self.odd:
            return 2 * (second - a2), slope
        return 2 * b2 * q, 2 * b2 - slope

    def pair(self, q, delta):
        """Return E phi^2 - E phi phi and E phi' phi' at correlation 1 - delta."""
        q_, delta_, n_terms = float(q), float(delta), self._n_terms(delta)
        axes = [math.sqrt(q_ * max(2 - delta_, 0) / 2), math.sqrt(q_ * delta_ / 2)]
        series = 6 * (self._band(math.sqrt(q_)) + math.sqrt(n_terms)) * n_terms
        product = 4 * self._band(axes[0]) * self._band(axes[1])
        return (self.mehler if series < product else self.rotated)(q, delta)


def tanh(a, u):
    t = a.tanh(u)
    s = 1 - t * t
    return t, s, -2 * t * s


def sigmoid(a, u):
    t = a.tanh(u / 2)
    s = (1 - t * t) / 4
    return t / 2, s, -t * s


def silu(a, u):
    t = a.tanh(u / 2)
    s = 1 - t * t
    x = u / 4
    return 2 * x * t, t / 2 + x * s, s / 2 - x * t * s


def softplus(a, u):
    t = a.tanh(u / 2)
    size = abs(u)
    return size / 2 + a.log1p(a.exp(-size)), t / 2, (1 - t * t) / 4


def arctan(a, u):
    d = 1 / (1 + u * u)
    return a.arctan(u), d, -2 * u * d * d


def gelu_tanh(a, u):
    k, b = a.sqrt(2 / a.pi), a.real("0.044715")
    cubed = b * u * u
    t = a.tanh(k * u * (1 + cubed))
    s, g1, g2, x = 1 - t * t, k * (1 + 3 * cubed), 6 * k * b * u, u / 2
    return x * t, t / 2 + x * s * g1, s * g1 + x * s * (g2 - 2 * t * g1 * g1)
