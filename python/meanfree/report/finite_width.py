"""How far a network of finite width strays from mean-field theory: the leading term in 1/N.

Two inputs give the pre-activations ``h_a, h_b``. Their half sum and half difference have the
mean squares and the mean product per neuron

    P = |h_a + h_b|^2 / 4N,   D = |h_a - h_b|^2 / 4N,   X = (|h_a|^2 - |h_b|^2) / 4N,

so that the mean length of both is ``q = P + D``, ``q_ab = P - D``, and ``1 - c`` is free of
cancellation. Given the state G = (P, D, X) of a layer its N neurons are independent, with the
Gaussian law that G fixes; the next state is the mean over neurons of a function y of one neuron.
Hence, exactly,

    E[G' | G] = F(G),   Cov[G' | G] = S(G) / N,   F = E y,   S = Cov y,

and with J, H the first and second derivatives of F at the mean-field state, to order 1/N,

    bias' = J bias + H : Cov / 2,   Cov' = J Cov J^T + S / N.

The measured state is again a mean over N neurons, of (P, D, X) themselves: no further bias, and
a further covariance R / N. A function g of it has the bias ``g' bias + g'' : (Cov + R / N) / 2``.
J, H, g', g'' are central differences, F and S trapezoid sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble

    Array = NDArray[np.float64]
    Function = Callable[[Array], Array]

SAFETY = 2.0
"""A bound is this many times the leading term: room for the terms of order 1/N^2."""

SOURCE = "twice the leading 1/N term of the bias, from the fluctuations of each layer's moments"

_STEP = 0.02  # relative step of the differences
_HALF_WIDTH, _N_NODES = 6.5, 96  # even: no node on a kink at 0


@dataclass(frozen=True, eq=False)
class FiniteWidth:
    """Leading bias and standard deviation of one network's q and c, arrays of shape (depth,)."""

    q_bias: Array
    q_deviation: Array
    c_bias: Array
    c_deviation: Array

    @property
    def q_bound(self) -> Array:
        """Bound on how far the mean of q lies from the theory."""
        return SAFETY * np.abs(self.q_bias)

    @property
    def c_bound(self) -> Array:
        """Bound on how far the mean of c lies from the theory."""
        return SAFETY * np.abs(self.c_bias)


def _nodes() -> tuple[Array, Array, Array]:
    z, step = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, _N_NODES, retstep=True)
    weight = step * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    first, second = np.meshgrid(z, z, indexing="ij")
    return first.ravel(), second.ravel(), np.outer(weight, weight).ravel()


def _one_neuron(phi: Function, state: Array, nodes: tuple[Array, Array, Array]) -> Array:
    """Return the squares and the product of the half sum and half difference of phi, (3, n)."""
    p, d, x = state
    half_sum = np.sqrt(p) * nodes[0]
    half_difference = x / np.sqrt(p) * nodes[0] + np.sqrt(d - x**2 / p) * nodes[1]
    first, second = phi(half_sum + half_difference), phi(half_sum - half_difference)
    a, b = 0.5 * (first + second), 0.5 * (first - second)
    return np.stack([a * a, b * b, a * b])


def _derivatives(function: Function, state: Array) -> tuple[Array, Array]:
    """Return Jacobian (m, 3) and Hessian (m, 3, 3) of `function`: (3,) -> (m,) by differences."""
    p, d, _ = state
    steps = _STEP * np.array([p, d, np.sqrt(p * d)])
    moves = np.diag(steps)
    middle = function(state)
    up = [function(state + move) for move in moves]
    down = [function(state - move) for move in moves]
    jacobian = np.stack(
        [(u - v) / (2 * h) for u, v, h in zip(up, down, steps, strict=True)], axis=-1
    )
    hessian = np.empty((*middle.shape, 3, 3))
    for i in range(3):
        hessian[..., i, i] = (up[i] - 2 * middle + down[i]) / steps[i] ** 2
        for j in range(i):
            both = function(state + moves[i] + moves[j]) + function(state - moves[i] - moves[j])
            apart = function(state + moves[i] - moves[j]) + function(state - moves[i] + moves[j])
            hessian[..., i, j] = hessian[..., j, i] = (both - apart) / (4 * steps[i] * steps[j])
    return jacobian, hessian


def _measured(state: Array) -> Array:
    """Return q, the mean of both inputs' lengths, and 1 - c."""
    p, d, x = state
    length = np.sqrt((p + d) ** 2 - 4 * x**2)
    # 1 - (p - d) / length without cancellation
    return np.array([p + d, (4 * p * d - 4 * x**2) / (length * (length + p - d))])


def _sampling(state: Array) -> Array:
    """Return the covariance over neurons of the squares and the product of two Gaussians."""
    p, d, x = state
    return np.array(
        [
            [2 * p * p, 2 * x * x, 2 * p * x],
            [2 * x * x, 2 * d * d, 2 * d * x],
            [2 * p * x, 2 * d * x, p * d + x * x],
        ]
    )


def finite_width(
    ensemble: Ensemble, width: int, depth: int, *, q: float, delta: float = 1.0
) -> FiniteWidth:
    """Return the bias to order 1/width of q and c at the layers h^1 .. h^depth.

    Parameters
    ----------
    ensemble : Ensemble
        Gaussian weights, keep = 1.
    width, depth : int
        Neurons a layer, and layers.
    q : float
        Length of h^1 of both inputs, > 0.
    delta : float
        1 - c of h^1, in (0, 2).
    """
    phi = ensemble.activation
    gain, shift = ensemble.sigma_w**2, ensemble.sigma_b**2
    nodes = _nodes()

    def forward(state: Array) -> Array:
        mean = gain * (_one_neuron(phi, state, nodes) @ nodes[2])
        return np.array([mean[0] + shift, mean[1], mean[2]])

    state = np.array([q * (1 - delta / 2), q * delta / 2, 0.0])
    bias, covariance = np.zeros(3), np.zeros((3, 3))
    biases, deviations = np.empty((2, depth)), np.empty((2, depth))
    for layer in range(depth):
        gradient, curvature = _derivatives(_measured, state)
        spread = covariance + _sampling(state) / width
        biases[:, layer] = gradient @ bias + 0.5 * np.einsum("kij,ij->k", curvature, spread)
        deviations[:, layer] = np.sqrt(np.einsum("ki,ij,kj->k", gradient, spread, gradient))
        if layer + 1 == depth:
            break
        jacobian, hessian = _derivatives(forward, state)
        bias = jacobian @ bias + 0.5 * np.einsum("kij,ij->k", hessian, covariance)
        y = gain * _one_neuron(phi, state, nodes)
        mean = y @ nodes[2]
        noise = (y * nodes[2]) @ y.T - np.outer(mean, mean)
        covariance = jacobian @ covariance @ jacobian.T + noise / width
        state = forward(state)
    return FiniteWidth(biases[0], deviations[0], -biases[1], deviations[1])
