"""Multiple-precision numbers in arrays, and the quadrature rules of the stored references."""

import functools
import math

import gmpy2
import numpy as np
import scipy.special


class Arithmetic:
    """The same elementwise functions on float64 arrays or on object arrays of MPFR numbers.

    `log_error` is the natural logarithm of 1 / (error aimed at) before algebraic factors.
    """

    def __init__(self, bits: int | None, log_error: float) -> None:
        self.bits, self.log_error = bits, log_error
        names = ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "erf", "erfc")
        if bits is None:
            for name in names:
                setattr(self, name, getattr(scipy.special if "erf" in name else np, name))
            self.arctan, self.arcsin, self.sqrt, self.pi = np.arctan, np.arcsin, np.sqrt, math.pi
            return
        self.activate()
        for name in names:
            setattr(self, name, np.frompyfunc(getattr(gmpy2, name), 1, 1))
        self.arctan, self.arcsin = np.frompyfunc(gmpy2.atan, 1, 1), np.frompyfunc(gmpy2.asin, 1, 1)
        self.sqrt, self.pi = np.frompyfunc(gmpy2.sqrt, 1, 1), gmpy2.const_pi(bits)

    def activate(self) -> None:
        """Set the working precision; call it before switching between two arithmetics."""
        if self.bits is not None:
            gmpy2.get_context().precision = self.bits

    def real(self, x):
        """Make a number of a float, an int, a string or another number."""
        return float(x) if self.bits is None else gmpy2.mpfr(x)

    def reals(self, x):
        """Make an array of numbers."""
        if self.bits is None:
            return np.asarray(x, dtype=float)
        return np.array([gmpy2.mpfr(v) for v in np.asarray(x).tolist()], dtype=object)

    def integers(self, first: int, last: int):
        """Return first, first + 1, ..., last."""
        return self.reals(np.arange(first, last + 1))

    def tail(self, x):
        """Return the probability that a unit normal exceeds x."""
        return self.erfc(x / self.sqrt(self.real(2))) / 2

    def tails(self, x):
        """Return the same for a large MPFR array: Taylor series about a grid of step 1/16."""
        y, far = x.astype(float), 14.0
        result = 0 * x
        result[y < -far] = self.real(1)
        result[y > far] = self._far_tails(x[y > far])
        inside = abs(y) <= far
        cell = np.rint(16 * y[inside]).astype(int)
        h = x[inside] - self.reals(cell / 16)
        cells, where = np.unique(cell, return_inverse=True)
        table = np.array([_tail_series(self, int(i)) for i in cells], dtype=object).reshape(-1, 27)
        value = 0 * h
        for column in table.T[::-1]:
            value = value * h + column[where]
        result[inside] = value
        return result

    def _far_tails(self, x):
        """Return the asymptotic series of the Mills ratio times the density, x > 14."""
        inverse = -1 / (x * x)
        value = 0 * x
        for k in range(59, -1, -1):
            value = 1 + (2 * k + 1) * inverse * value
        return value * self.density(x) / x

    def tilted_tail(self, k, q):
        """Return E[exp(k u) 1(u < 0)], u of variance q, and k > 0."""
        if self.bits is None:
            return scipy.special.erfcx(k * math.sqrt(q / 2)) / 2
        return self.exp(k * k * q / 2) * self.tail(k * self.sqrt(q))

    def density(self, x):
        """Return the density of a unit normal."""
        return self.exp(-x * x / 2) / self.sqrt(2 * self.pi)


@functools.cache
def _tail_series(a: Arithmetic, cell: int):
    """Return 27 Taylor coefficients of the normal tail about cell / 16."""
    x = a.real(cell) / 16
    series, before, now, scale = [a.tail(x)], a.real(0), a.real(1), -a.density(x)
    for k in range(1, 27):
        scale = scale / k
        series.append(scale * now if k % 2 else -scale * now)
        before, now = now, x * now - (k - 1) * before
    return series


@functools.cache
def double_exponential(a: Arithmetic, step: float = 1 / 48):
    """Return nodes in (0, 1) and weights of the double-exponential (tanh-sinh) rule."""
    last = math.ceil(math.asinh(a.log_error / 2.4) / step)
    t = a.integers(-last, last) * a.real(step)
    sinh, cosh = (a.exp(t) - a.exp(-t)) / 2, (a.exp(t) + a.exp(-t)) / 2
    low = 1 / (1 + a.exp(-a.pi * sinh))
    high = 1 / (1 + a.exp(a.pi * sinh))
    return low, a.real(step) * a.pi * cosh * low * high


@functools.cache
def gauss_legendre(a: Arithmetic, n: int = 30):
    """Return nodes and weights on (-1, 1), refined from double precision by Newton."""
    x = a.reals(np.polynomial.legendre.leggauss(n)[0])
    for _ in range(4):
        before, now = 0 * x + 1, x
        for k in range(2, n + 1):
            before, now = now, ((2 * k - 1) * x * now - (k - 1) * before) / k
        slope = n * (x * now - before) / (x * x - 1)
        x = x - now / slope
    return x, 2 / ((1 - x * x) * slope * slope)


def panels(a: Arithmetic, q, width, c):
    """Return nodes u and weights for E f(u), u of variance q, where f has a kink at 0.

    f may vary on three scales: sqrt(q), 1 (exponentials) and width / |c| about 0 (inner average).
    """
    root, c = float(a.sqrt(q)), abs(float(c))
    reach = root * (math.sqrt(2 * a.log_error) + 0.5)
    edges = [1.5 * root * k for k in range(int(reach / (1.5 * root)) + 2)]
    last = edges[-1]
    edges += [4.0 * k for k in range(1, 24)]
    if c > 0 and float(width) / c < root:
        edges += [1.5 * float(width) / c * k for k in range(1, 11)]
    one_side = np.unique([e for e in edges if e <= last])
    ends = np.concatenate([-one_side[:0:-1], one_side])
    low, high = a.reals(ends[:-1]), a.reals(ends[1:])
    x, w = gauss_legendre(a)
    middle, half = (low + high) / 2, (high - low) / 2
    u = (middle[:, None] + half[:, None] * x).ravel()
    weight = (half[:, None] * w).ravel()
    return u, weight * a.density(u / a.sqrt(q)) / a.sqrt(q)
