"""Functions with known critical points, as problems."""

import numpy as np


class Smooth:
    """A function of each point given by its value, gradient and Hessian there."""

    def __init__(self, value, gradient, hessian):
        self.value, self.gradient, self.hessian = value, gradient, hessian

    def hvp(self, w, v):
        return np.matmul(self.hessian(w), v[..., None])[..., 0]


def quadratic(matrix, vector):
    """w.A w / 2 - b.w."""
    matrix, vector = np.asarray(matrix, dtype=float), np.asarray(vector, dtype=float)
    return Smooth(
        lambda w: 0.5 * (w @ matrix * w).sum(axis=-1) - w @ vector,
        lambda w: w @ matrix - vector,
        lambda w: np.broadcast_to(matrix, (*w.shape, w.shape[-1])),
    )


def separate(value, first, second):
    """Return the sum of the same function of each coordinate."""
    return Smooth(
        lambda w: value(w).sum(axis=-1),
        first,
        lambda w: second(w)[..., None] * np.eye(w.shape[-1]),
    )


def wave():
    """Return sum sin w_i, whose critical points are at odd multiples of pi / 2."""
    return separate(np.sin, np.cos, lambda w: -np.sin(w))


def polynomial(*terms, n):
    """Sum of (coefficient, powers) monomials."""
    powers = np.array([p for _, p in terms])
    factor = np.array([c for c, _ in terms], dtype=float)

    def derived(w, *wanted):
        lowered, scale = powers.copy(), factor.copy()
        for i in wanted:
            scale = scale * lowered[:, i]
            lowered[:, i] = np.maximum(lowered[:, i] - 1, 0)
        return (scale * (w[..., None, :] ** lowered).prod(axis=-1)).sum(axis=-1)

    axes = range(n)
    return Smooth(
        derived,
        lambda w: np.stack([derived(w, i) for i in axes], axis=-1),
        lambda w: np.stack([np.stack([derived(w, i, j) for j in axes], -1) for i in axes], -2),
    )


class LinearNet:
    """|S - W_L ... W_1|^2 / 2 with one hidden layer, in W1, W2 (row-major)."""

    def __init__(self, matrix, units):
        self.matrix, self.units = matrix, units

    def parts(self, w):
        n_out, n_in = self.matrix.shape
        first = w[..., : self.units * n_in].reshape(*w.shape[:-1], self.units, n_in)
        return first, w[..., self.units * n_in :].reshape(*w.shape[:-1], n_out, self.units)

    def value(self, w):
        first, second = self.parts(w)
        return 0.5 * ((second @ first - self.matrix) ** 2).sum(axis=(-2, -1))

    def gradient(self, w):
        first, second = self.parts(w)
        return self.joined(*self.slopes(first, second, second @ first - self.matrix))

    def hvp(self, w, v):
        first, second = self.parts(w)
        turn, other = self.parts(v)
        error = second @ first - self.matrix
        change = other @ first + second @ turn
        a, b = self.slopes(first, second, change)
        c, d = self.slopes(turn, other, error)
        return self.joined(a + c, b + d)

    def hessian(self, w):
        units = np.broadcast_to(np.eye(w.shape[-1]), (*w.shape, w.shape[-1]))
        return self.hvp(np.broadcast_to(w[..., None, :], units.shape), units)

    def slopes(self, first, second, error):
        return np.swapaxes(second, -1, -2) @ error, error @ np.swapaxes(first, -1, -2)

    def joined(self, first, second):
        shape = (*first.shape[:-2], -1)
        return np.concatenate([first.reshape(shape), second.reshape(shape)], axis=-1)


class Field:
    """A random function made of plane waves, in few dimensions."""

    def __init__(self, n, n_waves, seed=0):
        random = np.random.default_rng(seed)
        self.k = random.standard_normal((n_waves, n)) / np.sqrt(n)
        self.b = random.uniform(0, 2 * np.pi, n_waves)
        self.size = np.sqrt(2 * n / n_waves)

    def angle(self, w):
        return w @ self.k.T + self.b

    def value(self, w):
        return self.size * np.cos(self.angle(w)).sum(axis=-1)

    def gradient(self, w):
        return -self.size * np.sin(self.angle(w)) @ self.k

    def hessian(self, w):
        return -self.size * (self.k.T * np.cos(self.angle(w))[..., None, :]) @ self.k

    def hvp(self, w, v):
        return -self.size * (np.cos(self.angle(w)) * (v @ self.k.T)) @ self.k
