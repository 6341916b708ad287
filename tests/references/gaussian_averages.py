"""Gaussian averages of the built-in activations to about 25 digits, for the stored references.

Every law gives, at a variance q and for u1, u2 of variance q and correlation c = 1 - delta,

    moments(q)      E phi^2, E phi'^2, E phi''^2, d E phi^2 / dq
    pair(q, delta)  E phi^2 - E phi(u1) phi(u2), free of cancellation, and E phi'(u1) phi'(u2)

in float64 (to find start values) or in MPFR numbers of any precision. Four families, four routes:

    Closed        linear, relu, leaky_relu, erf, erf_scaled, sin, gelu: closed forms
    Piecewise     shifted_relu, hard_tanh: truncated moments; Price's theorem, one integral in the
                  angle arccos c, by the double-exponential rule
    Exponential   elu, selu: closed moments; the inner average over u2 given u1 is closed, the
                  outer one is split at 0 into Gauss-Legendre panels
    Analytic      tanh, sigmoid, silu, softplus, gelu_tanh, arctan: trapezoid rule in 1-D; in 2-D
                  the Mehler series away from |c| = 1, the rotated trapezoid rule near it
"""

import math

import numpy as np
from analytic_average import Analytic, arctan, gelu_tanh, sigmoid, silu, softplus, tanh
from precise import Arithmetic, double_exponential, panels

SELU_SCALE = "1.0507009873554804934193349852946"
SELU_ALPHA = "1.6732632423543772848170429916717"


class Closed:
    """Closed forms; `kind` is one of linear, leaky, erf, sin, gelu."""

    def __init__(self, a: Arithmetic, kind: str, parameter=0) -> None:
        self.a, self.kind, self.p = a, kind, a.real(parameter)
        one = a.real(1)
        self.slope_at_0 = {"linear": one, "leaky": (1 + self.p**2) / 2, "sin": one, "gelu": one / 4}
        self.slope_at_0["erf"] = 4 * self.p**2 / a.pi
        self.slope_at_infinity = {"linear": one, "leaky": (1 + self.p**2) / 2, "gelu": one / 2}

    def limits(self):
        """Return E phi'^2 and E phi''^2 at q -> 0 and at q -> infinity."""
        at_0, at_infinity = self.slope_at_0[self.kind], self.slope_at_infinity.get(self.kind, 0)
        if self.kind == "leaky":
            return (at_0, math.inf), (at_infinity, math.inf)
        return (at_0, 2 / self.a.pi if self.kind == "gelu" else 0), (at_infinity, 0)

    def moments(self, q):
        """Return E phi^2, E phi'^2, E phi''^2, d E phi^2 / dq."""
        a, p, pi = self.a, self.p, self.a.pi
        if self.kind == "linear":
            return q, a.real(1), a.real(0), a.real(1)
        if self.kind == "leaky":
            return q * (1 + p * p) / 2, (1 + p * p) / 2, math.inf, (1 + p * p) / 2
        if self.kind == "sin":
            decay = a.exp(-2 * q)
            second = -a.expm1(-2 * q) / 2
            return second, (1 + decay) / 2, second, decay
        if self.kind == "erf":
            t, s = p * p * q, p * p
            root = a.sqrt(1 + 4 * t)
            second = 2 / pi * a.arcsin(2 * t / (1 + 2 * t))
            slope = 4 / pi * s / root
            return second, slope, 16 / pi * s * s * t / root**3, slope / (1 + 2 * t)
        angle, root = a.arcsin(q / (1 + q)), a.sqrt(1 + 2 * q)
        rest = q * q / (pi * (1 + q) * root)
        v = q / (1 + 2 * q)
        return (
            q / 4 + q * angle / (2 * pi) + rest,
            self.pair(q, a.real(0))[1],
            (4 - 4 * v + 3 * v * v) / (2 * pi * root),
            a.real(1) / 4
            + angle / (2 * pi)
            + q / (2 * pi * (1 + q) * root)
            + q * (2 - q / (1 + q) - q / (1 + 2 * q)) / (pi * (1 + q) * root),
        )

    def _gelu(self, q, p):
        a, pi = self.a, self.a.pi
        d = (1 + q) ** 2 - p * p
        angle, root = a.arcsin(p / (1 + q)), a.sqrt(d)
        ratio = (1 - q) / (1 + q)
        top = q * q + p * p * ratio
        value = p / 4 + p * angle / (2 * pi) + top / (2 * pi * root)
        slope = a.real(1) / 4 + angle / (2 * pi)
        return value, slope + (p + 2 * p * ratio + top * p / d) / (2 * pi * root)

    def pair(self, q, delta):
        """Return E phi^2 - E phi phi and E phi' phi' at correlation 1 - delta."""
        a, p, pi = self.a, self.p, self.a.pi
        c = 1 - delta
        if self.kind == "linear":
            return q * delta, a.real(1)
        if self.kind == "leaky":
            angle = 2 * a.arcsin(a.sqrt(delta / 2))
            jump = (1 - p) ** 2 / (2 * pi)
            slope = (1 + p * p) / 2 - jump * angle
            return q * (delta * slope + jump * (angle - a.sin(angle))), slope
        if self.kind == "sin":
            near, far = a.exp(-q * delta), a.exp(-q * (2 - delta))
            return -a.expm1(-q * delta) * (1 + far) / 2, (near + far) / 2
        if self.kind == "erf":
            t, s = p * p * q, p * p
            x = 2 * t / (1 + 2 * t)
            root = a.sqrt((1 + 2 * t) ** 2 - 4 * t * t * c * c)
            return 2 / pi * (a.arcsin(x) - a.arcsin(x * c)), 4 / pi * s / root
        value, slope = self._gelu(q, q * c)
        return self._gelu(q, q)[0] - value, slope


class Piecewise:
    """A continuous piecewise-linear phi with phi(0) = 0: sorted kinks and one slope more."""

    def __init__(self, a: Arithmetic, kinks, slopes) -> None:
        self.a, self.kinks, self.slopes = a, a.reals(kinks), a.reals(slopes)
        self.jumps = self.slopes[1:] - self.slopes[:-1]
        i = int(np.sum(np.asarray(kinks) < 0))  # the piece that holds 0
        self.offsets = [a.real(0)] * len(slopes)
        for j in range(i, len(kinks)):
            self.offsets[j + 1] = self.offsets[j] - self.jumps[j] * self.kinks[j]
        for j in range(i - 1, -1, -1):
            self.offsets[j] = self.offsets[j + 1] + self.jumps[j] * self.kinks[j]
        self.at_kinks = [
            s * k + o for s, k, o in zip(self.slopes, self.kinks, self.offsets, strict=False)
        ]
        at_0, at_infinity = self.slopes[i] ** 2, (self.slopes[0] ** 2 + self.slopes[-1] ** 2) / 2
        self._limits = (at_0, math.inf), (at_infinity, math.inf)

    def limits(self):
        """Return E phi'^2 and E phi''^2 at q -> 0 and at q -> infinity."""
        return self._limits

    def moments(self, q):
        """Return E phi^2, E phi'^2, E phi''^2, d E phi^2 / dq."""
        a, root = self.a, self.a.sqrt(q)
        x = [k / root for k in self.kinks]
        n = [a.real(0), *(a.density(v) for v in x), a.real(0)]
        xn = [a.real(0), *(v * a.density(v) for v in x), a.real(0)]
        tail = [a.real(1), *(a.tail(v) for v in x), a.real(0)]
        second = slope = a.real(0)
        for i, (s, o) in enumerate(zip(self.slopes, self.offsets, strict=True)):
            p0, p1 = tail[i] - tail[i + 1], root * (n[i] - n[i + 1])
            p2 = q * (p0 + xn[i] - xn[i + 1])
            second += s * s * p2 + 2 * s * o * p1 + o * o * p0
            slope += s * s * p0
        kinked = sum(j * v * m for j, v, m in zip(self.jumps, self.at_kinks, n[1:-1], strict=True))
        return second, slope, math.inf, slope + kinked / root

    def pair(self, q, delta):
        """Return E phi^2 - E phi phi and E phi' phi' at correlation 1 - delta."""
        a, x = self.a, [k / self.a.sqrt(q) for k in self.kinks]
        unit, weight = double_exponential(a)
        angle = 2 * a.arcsin(a.sqrt(delta / 2))
        t = angle * unit
        half, cosine_half = a.sin(t / 2), a.cos(t / 2)
        versine = 2 * half * half
        sine_squared = 2 * versine * cosine_half * cosine_half
        below = moved = a.real(0)
        for i, xi in enumerate(x):
            for j, xj in enumerate(x[: i + 1]):
                if i == j:  # exp(-x^2 / (1 + cos t))
                    exponent = xi * xi / (2 * cosine_half * cosine_half)
                else:
                    exponent = ((xi - xj) ** 2 + 2 * xi * xj * versine) / (2 * sine_squared)
                w = weight * a.exp(-exponent) * (self.jumps[i] * self.jumps[j] * (1 + (i != j)))
                below += w.sum()
                moved += np.dot(w, versine)
        factor = angle / (2 * a.pi)
        slope = self.moments(q)[1] - factor * below
        return q * (delta * slope + factor * moved), slope


class Exponential:
    """phi(u) = scale * u for u > 0 and scale * alpha * (exp(u) - 1) for u < 0."""

    def __init__(self, a: Arithmetic, alpha, scale=1) -> None:
        self.a, self.alpha, self.scale = a, a.real(alpha), a.real(scale)

    def limits(self):
        """Return E phi'^2 and E phi''^2 at q -> 0 and at q -> infinity."""
        square = self.scale**2
        at_0 = square * (1 + self.alpha**2) / 2
        curved = 1 if self.alpha == 1 else math.inf
        at_infinity = 0 if self.alpha == 1 else math.inf
        return (at_0, square / 2 * curved), (square / 2, at_infinity)

    def moments(self, q):
        """Return E phi^2, E phi'^2, E phi''^2, d E phi^2 / dq."""
        a, alpha2, square = self.a, self.alpha**2, self.scale**2
        e1, e2 = a.tilted_tail(1, q), a.tilted_tail(2, q)
        half = a.real(1) / 2
        return (
            square * (q / 2 + alpha2 * (e2 - 2 * e1 + half)),
            square * (half + alpha2 * e2),
            square * e2 if self.alpha == 1 else math.inf,
            square * (half + alpha2 * (2 * e2 - e1)),
        )

    def _value(self, u):
        a = self.a
        negative = np.array([v < 0 for v in u])
        low = a.expm1(np.where(negative, u, 0 * u))
        value = self.scale * np.where(negative, self.alpha * low, u)
        return value, self.scale * np.where(negative, self.alpha * (low + 1), 0 * u + 1)

    def _inner(self, mean, width):
        """Return E phi and E phi' over a normal of this mean and standard deviation (MPFR only)."""
        a = self.a
        if width == 0:
            return self._value(mean)
        x = mean / width
        below = a.tails(x)
        tilted = a.exp(mean + width * width / 2) * a.tails(x + width)
        value = mean * (1 - below) + width * a.density(x) + self.alpha * (tilted - below)
        return self.scale * value, self.scale * (1 - below + self.alpha * tilted)

    def pair(self, q, delta):
        """Return E phi^2 - E phi phi and E phi' phi' at correlation 1 - delta."""
        a, c = self.a, 1 - delta
        width = a.sqrt(q * delta * (2 - delta))
        u, w = panels(a, q, width, c)
        value, slope = self._value(u)
        inner, inner_slope = self._inner(c * u, width)
        return self.moments(q)[0] - np.dot(w, value * inner), np.dot(w, slope * inner_slope)


def law(a: Arithmetic, name: str, parameter: float = 0.0):
    """Return the law of a built-in activation."""
    a.activate()
    if name in ("linear", "sin", "gelu"):
        return Closed(a, name)
    if name in ("relu", "leaky_relu"):
        return Closed(a, "leaky", parameter)
    if name in ("erf", "erf_scaled"):
        return Closed(a, "erf", 1 if name == "erf" else a.sqrt(a.pi) / 2)
    if name == "shifted_relu":
        return Piecewise(a, [-parameter], [0, 1])
    if name == "hard_tanh":
        return Piecewise(a, [-1, 1], [0, 1, 0])
    if name == "elu":
        return Exponential(a, parameter)
    if name == "selu":
        return Exponential(a, SELU_ALPHA, SELU_SCALE)
    pi = math.pi
    return {
        "tanh": lambda: Analytic(a, tanh, pi / 2, odd=True),
        "arctan": lambda: Analytic(a, arctan, 1.0, odd=True),
        "sigmoid": lambda: Analytic(a, sigmoid, pi, odd=True, constant=0.5),
        "silu": lambda: Analytic(a, silu, pi, linear=0.5),
        "softplus": lambda: Analytic(a, softplus, pi, linear=0.5),
        "gelu_tanh": lambda: Analytic(a, gelu_tanh, 2.755, linear=0.5),
    }[name]()
