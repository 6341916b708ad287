"""Densities of Jacobian spectra in numpy: the peers of spectrum.py."""

import numpy as np


def polynomial(name, depth):
    """Return coefficients a, b, highest first, of a(m) = lambda b(m), Gaussian weights, chi = 1."""
    if name == "linear":
        return np.poly([-1.0] * (depth + 1)), np.array([1.0, 0.0])
    return 2.0**depth * np.poly([-1.0] + [-0.5] * depth), np.array([1.0, 0.0])


def logarithm(name, depth, m):
    """Return log lambda(m) with principal logarithms: only the right root gives a real value."""
    if name == "linear":
        return (depth + 1) * np.log(1 + m) - np.log(m)
    return np.log(1 + m) - np.log(m) + depth * np.log(2 * m + 1)


def roots_density(name, depth, lam):
    """Solve the polynomial by numpy.roots, one point after the other."""
    a, b = polynomial(name, depth)
    density = np.empty(lam.size)
    for i, value in enumerate(lam):
        c = a.copy()
        c[-b.size :] -= value * b
        m = np.roots(c)
        m = m[np.argmin(np.where(m.imag < 0, np.abs(logarithm(name, depth, m).imag), np.inf))]
        density[i] = -m.imag / (np.pi * value)
    return density


def stacked_density(name, depth, lam):
    """Do the same for all points at once: eigenvalues of stacked companion matrices."""
    a, b = polynomial(name, depth)
    n = a.size - 1
    c = np.repeat(a[None], lam.size, axis=0)
    c[:, -b.size :] -= lam[:, None] * b
    companion = np.zeros((lam.size, n, n))
    companion[:, np.arange(1, n), np.arange(n - 1)] = 1.0
    companion[:, 0] = -c[:, 1:] / c[:, :1]
    m = np.linalg.eigvals(companion)
    miss = np.where(m.imag < 0, np.abs(logarithm(name, depth, m).imag), np.inf)
    m = np.take_along_axis(m, miss.argmin(axis=1)[:, None], axis=1)[:, 0]
    return -m.imag / (np.pi * lam)


class Tanh:
    """Orthogonal tanh networks: the trapezoid rule, and continuation from the upper edge."""

    def __init__(self, q, sigma_w, depth, n=81):
        z = np.linspace(0.0, 9.0, n)
        self.w = (z[1] - z[0]) * np.exp(-0.5 * z * z) * np.sqrt(2.0 / np.pi)
        self.w[0] *= 0.5
        self.t = 1.0 / np.cosh(np.sqrt(q) * z) ** 4
        self.wt = self.w * self.t
        self.gain, self.depth = 2.0 * depth * np.log(sigma_w), depth

    def equation(self, x):
        """Return log lambda, its derivative in x, and m."""
        inverse = 1.0 / (np.asarray(x)[..., None] - self.t)
        m = inverse @ self.wt
        slope = -(inverse * inverse) @ self.wt
        one = 1.0 + m
        value = self.gain + self.depth * np.log(x) + (1 - self.depth) * np.log(one / m)
        rate = self.depth / x + (1 - self.depth) * slope * (1.0 / one - 1.0 / m)
        return value, rate, m

    def edge(self):
        """Return the place of the minimum of log lambda above the law, log lambda and F''."""
        low, high = 1.0 + 1e-9, 10.0
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.equation(middle)[1] < 0 else (low, middle)
        h = 1e-4 * (low - 1.0)
        bend = (self.equation(low + h)[1] - self.equation(low - h)[1]) / (2 * h)
        return low, self.equation(low)[0], bend

    def march(self, log_lam):
        """Walk down from the edge point by point, with a predictor and Newton's method."""
        x, at, bend = self.edge()
        x = x + 1j * np.sqrt(2.0 * (at - log_lam[0]) / bend)
        out = np.empty(log_lam.size, dtype=complex)
        for i, target in enumerate(log_lam):
            for _ in range(20):
                value, rate, _ = self.equation(x)
                step = (value - target) / rate
                x = x - step
                if abs(step) < 1e-9 * abs(x):
                    break
            out[i] = x
            if i + 1 < log_lam.size:
                x = x + (log_lam[i + 1] - target) / self.equation(x)[1]
        return out

    def density(self, lam):
        """Take each point from the one before."""
        x = self.march(np.log(lam[::-1]))[::-1]
        return -self.equation(x)[2].imag / (np.pi * lam)

    def interpolated_density(self, lam, n=48):
        """Walk over a few points; start Newton's method for all others from interpolation."""
        from scipy.interpolate import CubicSpline

        at = self.edge()[1]
        log_lam = np.log(lam)
        root = np.sqrt(at - log_lam)  # x is smooth in it
        coarse = np.linspace(root.min(), root.max(), n)
        x = CubicSpline(coarse, self.march(at - coarse**2))(root)
        for _ in range(2):
            value, rate, m = self.equation(x)
            step = (value - log_lam) / rate
            x -= step
        m = m - step * (-(1.0 / (x[:, None] - self.t) ** 2) @ self.wt)  # of the last step
        return -m.imag / (np.pi * lam)
