"""A tanh network with one hidden layer and one output, derivatives by numpy, and its embeddings.

A critical point of a network is one of a wider network too (Fukumizu and Amari, 2000), with a
Hessian that is known from the narrow one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.hessian import MLP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.hessian import NetworkProblem

    Array = NDArray[np.float64]

SURE, NOISE = 1e-6, 1e-13  # of the largest eigenvalue; between them it may count as 0 or not


@dataclass(frozen=True, eq=False)
class Embedded:
    """Parameters of a network with one unit more, its Hessian as predicted, and what it gained."""

    w: Array
    hessian: Array
    block: Array


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """z = v tanh(W x + b) + c and the mean of |z - y|^2 / 2, parameters ordered as in `MLP`."""

    x: Array
    y: Array
    n_hidden: int

    @property
    def problem(self) -> NetworkProblem:
        """The same loss by the core."""
        h, n_in = self.n_hidden, self.x.shape[1]
        net = MLP([np.zeros((h, n_in)), np.zeros((1, h))], None, "tanh")
        return net.problem(self.x, self.y[:, None])

    @property
    def wider(self) -> HiddenLayer:
        """One unit more."""
        return HiddenLayer(self.x, self.y, self.n_hidden + 1)

    def unit(self, a: int) -> NDArray[np.intp]:
        """Places of the weights and bias into unit a, and of its weight to the output."""
        h, n_in = self.n_hidden, self.x.shape[1]
        into = np.arange(a * n_in, (a + 1) * n_in)
        return np.append(into, [h * n_in + a, h * (n_in + 1) + a])

    def _forward(self, w: Array) -> tuple[Array, Array, Array, Array]:
        """Return inputs with a 1, tanh of all units, their output weights, and errors z - y."""
        x = np.column_stack([self.x, np.ones(len(self.x))])
        places = np.array([self.unit(a) for a in range(self.n_hidden)])
        units, v = np.tanh(x @ w[places[:, :-1]].T), w[places[:, -1]]
        return x, units, v, units @ v + w[-1] - self.y

    @property
    def narrower(self) -> HiddenLayer:
        """One unit less."""
        return HiddenLayer(self.x, self.y, self.n_hidden - 1)

    def readout(self, w: Array) -> Array:
        """Return v, (n_hidden,)."""
        return w[[self.unit(a)[-1] for a in range(self.n_hidden)]]

    def slopes(self, w: Array) -> Array:
        """Return the derivatives of all units, (n_samples, n_hidden)."""
        return np.asarray(1.0 - self._forward(w)[1] ** 2)

    def without(self, w: Array) -> Array:
        """Leave out the unit of the smallest output weight."""
        return np.delete(w, self.unit(int(np.argmin(np.abs(self.readout(w))))))

    def outputs(self, w: Array) -> Array:
        """Return z, (n_samples,)."""
        return self._forward(w)[3] + self.y

    def derivatives(self, w: Array) -> tuple[Array, Array]:
        """Return gradient and Hessian."""
        x, units, v, error = self._forward(w)
        first = np.ones((len(x), w.size))
        second = np.zeros((w.size, w.size))
        for a in range(self.n_hidden):
            place, t = self.unit(a), units[:, a]
            slope = 1.0 - t * t
            first[:, place] = np.column_stack([v[a] * slope[:, None] * x, t])
            second[np.ix_(place, place)] = self._bent(x, error, t, v[a])
        return first.T @ error / len(x), second + first.T @ first / len(x)

    @staticmethod
    def _bent(x: Array, error: Array, t: Array, v: float) -> Array:
        """Return the mean of the error times the second derivatives in the weights of a unit."""
        n, slope = len(x), 1.0 - t * t
        block = np.zeros((x.shape[1] + 1,) * 2)
        block[:-1, :-1] = x.T @ (x * (-2.0 * v * error * t * slope)[:, None]) / n
        block[:-1, -1] = block[-1, :-1] = x.T @ (error * slope) / n
        return block

    def copied(self, w: Array, a: int, share: float) -> Embedded:
        """Copy unit a, which keeps this share of its output weight.

        In the coordinates ``w_a = omega + (1 - share) eta``, ``w_new = omega - share eta``, ``v_a =
        share u + zeta``, ``v_new = (1 - share) u - zeta`` the Hessian is that of the narrow network
        beside a block of eta and zeta.
        """
        x, units, v, error = self._forward(w)
        block = self._bent(x, error, units[:, a], v[a])
        block[:-1, :-1] *= share * (1.0 - share)
        wide, own, new = self.wider, self.wider.unit(a), self.wider.unit(self.n_hidden)
        turn, start = self._place(w)
        k, last = own.size - 1, w.size
        eta = np.arange(last, last + k)
        of_omega = turn[own[:-1]]
        turn[new[:-1]] = of_omega
        turn[own[:-1], eta], turn[new[:-1], eta] = 1.0 - share, -share
        of_u = turn[own[-1]].copy()
        turn[own[-1]], turn[new[-1]] = share * of_u, (1.0 - share) * of_u
        turn[own[-1], last + k], turn[new[-1], last + k] = 1.0, -1.0
        return wide._embedded(turn, start, self.derivatives(w)[1], block)

    def constant(self, w: Array, bias: float) -> Embedded:
        """Add a unit without inputs, of this bias, that the output does not see.

        In the coordinates ``v_new = zeta``, ``c = gamma - tanh(bias) zeta`` the Hessian is that of
        the narrow network beside a block of the new weights and zeta.
        """
        x, _, _, error = self._forward(w)
        block = self._bent(x, error, np.full(len(x), np.tanh(bias)), 0.0)
        new = self.wider.unit(self.n_hidden)
        turn, start = self._place(w)
        turn[new, np.arange(w.size, w.size + new.size)] = 1.0
        turn[-1, -1] = -np.tanh(bias)
        embedded = self.wider._embedded(turn, start, self.derivatives(w)[1], block)
        embedded.w[new[-2]] += bias
        return embedded

    def _place(self, w: Array) -> tuple[Array, Array]:
        """Return the map of narrow parameters into the wide ones, columns for a unit to come."""
        wide = self.wider
        size = w.size + wide.unit(0).size
        turn = np.zeros((size, size))
        for a in range(self.n_hidden):
            turn[wide.unit(a), self.unit(a)] = 1.0
        turn[-1, w.size - 1] = 1.0
        return turn, np.append(w, np.zeros(size - w.size))

    @staticmethod
    def _embedded(turn: Array, start: Array, narrow: Array, block: Array) -> Embedded:
        n = len(narrow)
        joined = np.zeros((len(start),) * 2)
        joined[:n, :n], joined[n:, n:] = narrow, block
        back = np.linalg.inv(turn)
        return Embedded(turn @ start, back.T @ joined @ back, block)


def signs(values: NDArray[np.floating[Any]], rounding: float) -> tuple[int, int]:
    """Return how many eigenvalues are negative, and how many are 0 but for rounding."""
    zero = np.abs(values) <= rounding
    return int(np.count_nonzero((values < 0.0) & ~zero)), int(np.count_nonzero(zero))


def is_sure(values: NDArray[np.floating[Any]]) -> bool:
    """Return whether all eigenvalues are 0 but for rounding or well above what counts as 0."""
    sizes = np.abs(values) / np.abs(values).max()
    return not bool(np.any((sizes > NOISE) & (sizes < SURE)))
