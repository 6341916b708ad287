"""Networks on scikit-learn's digits at exact saddles, and what each optimiser does next to one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.hessian import MLP
from meanfree.landscape import linear_saddle
from meanfree.optim import damped_newton, gradient_descent, newton, saddle_free_newton
from meanfree.report.style import BLACK, BLUE, GREEN, ORANGE, SKY, VERMILLION

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meanfree.landscape import LinearSaddle
    from meanfree.optim import Optimization
    from meanfree.report.engine import Settings

    Array = NDArray[np.float64]
    Steps = NDArray[np.integer[Any]]


DATA = "the 1,797 digits of scikit-learn"
COMPONENTS = (1, 2, 4, 8, 16, 32)
"""Principal components of the pixels that the networks of chapter 20 read and write."""


@lru_cache
def principal_components(n: int) -> Array:
    """Return the first components of the centred pixels, (1797, n), the strongest first."""
    from sklearn.datasets import load_digits

    pixels = load_digits().data
    left, s, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    return np.asarray(left[:, :n] * s[:n])


@lru_cache
def covariance() -> Array:
    """Return the covariance of the 64 pixels, in units of its largest eigenvalue."""
    from sklearn.datasets import load_digits

    pixels = load_digits().data
    centred = pixels - pixels.mean(axis=0)
    matrix = centred.T @ centred
    return np.asarray(matrix / np.linalg.norm(matrix, 2))


@lru_cache
def scaling_task() -> tuple[Array, Array, Array]:
    """Return white inputs and outputs, both (1797, 6), and the singular values of Sigma.

    Inputs: `COMPONENTS`, each divided by its standard deviation; outputs: the components, in units
    in which the largest standard deviation is 1. Sigma is diagonal and holds these.
    """
    chosen = principal_components(COMPONENTS[-1])[:, np.array(COMPONENTS) - 1]
    sizes = np.sqrt(np.mean(chosen**2, axis=0))
    return chosen / sizes, chosen / sizes[0], sizes / sizes[0]


class WeightsOnly:
    """A network's loss as a function of its weights alone, all biases 0."""

    def __init__(self, net: MLP, x: Array, y: Array) -> None:
        self._problem = net.problem(x, y)
        parts = zip(net.weights, net.biases, strict=True)
        self.free = np.concatenate([np.r_[np.ones(w.size), np.zeros(b.size)] for w, b in parts]) > 0
        self.start = net.parameters[self.free]

    def value(self, w: Array) -> Any:
        """Return the loss."""
        return self._problem.value(self._all(w))

    def gradient(self, w: Array) -> Array:
        """Return the gradient."""
        return self._problem.gradient(self._all(w))[..., self.free]

    def hessian(self, w: Array) -> Array:
        """Return the Hessian."""
        return self._problem.hessian(self._all(w))[..., self.free, :][..., self.free]

    def hvp(self, w: Array, v: Array) -> Array:
        """Return the Hessian times v."""
        return self._problem.hvp(self._all(w), self._all(v))[..., self.free]

    def _all(self, w: Array) -> Array:
        full = np.zeros((*w.shape[:-1], self.free.size))
        full[..., self.free] = w
        return full


class Quadratic:
    """``w.A w / 2``."""

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix

    def value(self, w: Array) -> Any:
        """Return the function."""
        return 0.5 * np.sum((w @ self.matrix) * w, axis=-1)

    def gradient(self, w: Array) -> Array:
        """Return A w."""
        return np.asarray(w @ self.matrix)

    def hessian(self, w: Array) -> Array:
        """Return A."""
        return np.broadcast_to(self.matrix, (*w.shape, w.shape[-1]))

    def hvp(self, w: Array, v: Array) -> Array:
        """Return A v."""
        return np.asarray(v @ self.matrix)


def network_at_saddle(n_hidden: int, modes: list[int]) -> WeightsOnly:
    """Return the problem whose start is the exact saddle of a linear network on the digits.

    A linear network without biases sees no more of white inputs than their second moments: six
    inputs that have these give the loss on all digits, in less time.
    """
    sizes = scaling_task()[2]
    x = np.sqrt(sizes.size) * np.eye(sizes.size)
    return WeightsOnly(MLP(saddle_of(n_hidden, modes).weights, None, "linear"), x, x * sizes)


def network_on_digits(n_hidden: int, modes: list[int], activation: str) -> WeightsOnly:
    """Return the problem on all digits, with any activation and the same weights at the start."""
    x, y, _ = scaling_task()
    return WeightsOnly(MLP(saddle_of(n_hidden, modes).weights, None, activation), x, y)


def saddle_of(n_hidden: int, modes: list[int]) -> LinearSaddle:
    """Return what is known of that saddle."""
    return linear_saddle(np.diag(scaling_task()[2]), n_hidden, modes)


class OneComponent:
    """``|S - w w^T|**2 / 2``: one linear unit that writes with the weights by which it reads.

    Its critical points are 0 and ``sqrt(s_i) v_i`` with the eigenvalues and eigenvectors of S.
    There the Hessian ``2 (|w|**2 + 2 w w^T - S)`` has the eigenvalues 4 s_i and 2 (s_i - s_j).
    """

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix

    def value(self, w: Array) -> Any:
        """Return the loss."""
        apart = self.matrix - w[..., :, None] * w[..., None, :]
        return 0.5 * np.sum(apart**2, axis=(-2, -1))

    def gradient(self, w: Array) -> Array:
        """Return the gradient."""
        return np.asarray(2.0 * (np.sum(w * w, axis=-1, keepdims=True) * w - w @ self.matrix))

    def hessian(self, w: Array) -> Array:
        """Return the Hessian."""
        square = np.sum(w * w, axis=-1)[..., None, None] * np.eye(w.shape[-1])
        return np.asarray(2.0 * (square + 2.0 * w[..., :, None] * w[..., None, :] - self.matrix))

    def hvp(self, w: Array, v: Array) -> Array:
        """Return the Hessian times v."""
        return np.asarray(np.matmul(self.hessian(w), v[..., None])[..., 0])

    def second_order(self, w: Array, e: Array) -> Array:
        """Return what the gradient at w + e has of second order in e."""
        return np.asarray(2.0 * ((e @ e) * w + 2.0 * (w @ e) * e))


@dataclass(frozen=True)
class Method:
    """An optimiser with fixed knobs, and what it does to a quadratic function.

    Parameters
    ----------
    name : str
    color : str
    run : callable
        Takes problem, start and ``steps=``.
    course : callable
        Takes eigenvalues (n,), and the steps (many,); returns by what a component in the direction
        of each eigenvector has been multiplied then, (many, n).
    """

    name: str
    color: str
    run: Callable[..., Optimization]
    course: Callable[[Array, Steps], Array]


def plain(rate: float) -> Method:
    """Return gradient descent: factors 1 - rate lambda."""
    return Method(
        "gradient descent",
        BLUE,
        partial(gradient_descent, rate=rate),
        lambda values, steps: (1.0 - rate * values) ** steps[:, None],
    )


def heavy_ball(rate: float, momentum: float) -> Method:
    """Return gradient descent with momentum: two roots of a quadratic equation."""

    def course(values: Array, steps: Steps) -> Array:
        half = 0.5 * (1.0 + momentum - rate * values)
        split = np.sqrt(half**2 - momentum + 0j)
        first, second = half + split, half - split
        share = (1.0 - rate * values - second) / (first - second)
        k = steps[:, None]
        return np.asarray((share * first**k + (1.0 - share) * second**k).real)

    run = partial(gradient_descent, rate=rate, momentum=momentum)
    return Method(f"momentum {momentum:g}", SKY, run, course)


def whole_newton() -> Method:
    """Return Newton's method: on the saddle in one step; flat directions stay."""
    return Method(
        "Newton",
        VERMILLION,
        newton,
        lambda values, steps: np.where(_flat(values), 1.0, 0.0) ** steps[:, None],
    )


def shifted_newton(damping: float) -> Method:
    """Return damped Newton with one damping: damping / (lambda + damping)."""

    def course(values: Array, steps: Steps) -> Array:
        shift = damping * np.abs(values).max()
        return np.asarray((shift / (values + shift)) ** steps[:, None])

    run = partial(damped_newton, dampings=[damping])
    return Method(f"damped Newton, {damping:g}", ORANGE, run, course)


def saddle_free(damping: float = 0.0, dimension: int | None = None) -> Method:
    """Return saddle-free Newton: ``1 - lambda / (|lambda| + damping)``, 0 and 2 without damping."""

    def course(values: Array, steps: Steps) -> Array:
        size = np.abs(values) + damping * np.abs(values).max()
        ratio = np.divide(values, size, out=np.zeros_like(values), where=~_flat(values))
        return np.asarray((1.0 - ratio) ** steps[:, None])

    run = partial(saddle_free_newton, dampings=[damping], dimension=dimension)
    name = "saddle-free" + (f", damping {damping:g}" if damping else "")
    name += f", Krylov {dimension}" if dimension else ""
    return Method(name, BLACK if damping > 0.01 else GREEN, run, course)


def _flat(values: Array) -> NDArray[np.bool_]:
    return np.asarray(np.abs(values) <= 1e-10 * np.abs(values).max())


def direction(settings: Settings, label: str, n: int) -> Array:
    """Return a random unit vector."""
    vector = np.random.default_rng(settings.seed_for(label)).standard_normal(n)
    return np.asarray(vector / np.linalg.norm(vector))


def crossing(falls: Array, level: float) -> float:
    """Return the step at which a rising positive course first reaches a level, by logarithms.

    Raises
    ------
    ValueError
        If it never does, or begins above.
    """
    k = int(np.argmax(falls >= level))
    if not (k > 0 and falls[k] >= level):
        msg = f"the course must begin below {level:g} and reach it"
        raise ValueError(msg)
    below, above = falls[k - 1], falls[k]
    if below <= 0.0:
        return float(k)
    return k - 1 + float(np.log(level / below) / np.log(above / below))
