"""The deep autoencoder of chapter 21, its optimisers, and counts of what they evaluate."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.hessian import MLP
from meanfree.optim import Cost, damped_newton, gradient_descent, newton, saddle_free_newton
from meanfree.report.saddle_learners import principal_components
from meanfree.report.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meanfree.hessian import NetworkProblem
    from meanfree.optim import Optimization

    Array = NDArray[np.float64]

SIZES = (8, 6, 4, 2, 4, 6, 8)
DATA = (
    "every ninth of the 1,797 digits of scikit-learn, their first eight principal components, "
    "centred, in units in which the mean square of a component is 1"
)


@lru_cache
def digits() -> Array:
    """Return the inputs, (200, 8), which are their own targets."""
    x = principal_components(SIZES[0])[::9]
    x = x - x.mean(axis=0)
    x = x / np.sqrt(np.mean(x**2))
    turn = np.linalg.svd(x, full_matrices=False)[2]
    return np.asarray(x @ turn.T)


@lru_cache
def linear_losses() -> Array:
    """Return the losses of linear autoencoders that have learned 0, 1, 2, ... components."""
    variances = np.mean(digits() ** 2, axis=0)
    return 0.5 * np.asarray([variances[r:].sum() for r in range(SIZES[0] + 1)])


def start(seed: int, scale: float) -> MLP:
    """Return a tanh autoencoder with Gaussian weights of variance scale**2 / fan-in, biases 0."""
    random = np.random.default_rng(seed)
    weights = [scale * random.standard_normal((b, a)) / np.sqrt(a) for a, b in pairwise(SIZES)]
    return MLP(weights, None, "tanh")


class Counted:
    """A problem that counts what is asked of it, in points."""

    def __init__(self, problem: NetworkProblem) -> None:
        self._problem = problem
        self.counts = dict.fromkeys(("value", "gradient", "hessian", "hvp"), 0)

    def value(self, w: Array) -> Any:
        """Return the loss."""
        return self._call("value", w)

    def gradient(self, w: Array) -> Any:
        """Return the gradient."""
        return self._call("gradient", w)

    def hessian(self, w: Array) -> Any:
        """Return the Hessian."""
        return self._call("hessian", w)

    def hvp(self, w: Array, v: Array) -> Any:
        """Return the Hessian times v."""
        return self._call("hvp", w, v)

    def _call(self, name: str, w: Array, *more: Array) -> Any:
        self.counts[name] += w.size // self._problem.dimension
        return getattr(self._problem, name)(w, *more)

    def price(self, *, records: int, checks: int, cost: Cost) -> float:
        """Return what was evaluated in gradients, without what only recorded or checked."""
        n = self._problem.dimension
        each = n * cost.hvp if cost.hessian is None else cost.hessian
        counts = self.counts
        return (
            cost.value * (counts["value"] - records)
            + counts["gradient"]
            - checks
            + each * counts["hessian"]
            + cost.hvp * counts["hvp"]
        )


@dataclass(frozen=True)
class Rival:
    """An optimiser as chapter 21 runs it.

    Parameters
    ----------
    name, color, line : str
    run : callable
        Takes problem, start and ``steps=``.
    steps : int
        How many it takes in the comparison of losses.
    kind : str
        Of the matrix that it is given, as in `MLP.hessian`.
    """

    name: str
    color: str
    line: str
    run: Callable[..., Optimization]
    steps: int
    kind: Any = "full"

    def optimise(self, net: MLP, steps: int | None = None) -> Optimization:
        """Return the path from the parameters of a network."""
        problem = net.problem(digits(), digits(), kind=self.kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # paths that diverge end before
            return self.run(problem, net.parameters, steps=steps or self.steps)


def rivals(plain_rate: float, rate: float, momentum: float, *, budget: int) -> tuple[Rival, ...]:
    """Return all methods; first-order ones and those in Krylov spaces have the same budget."""
    krylov = partial(saddle_free_newton, dimension=20)
    first = partial(gradient_descent, rate=plain_rate)
    ball = partial(gradient_descent, rate=rate, momentum=momentum)
    few = budget // 43  # of 1 gradient, 20 products and 6 values each
    return (
        Rival("gradient descent", BLUE, "-", first, budget),
        Rival("with momentum", SKY, "-", ball, budget),
        Rival("Newton", VERMILLION, "-", newton, 12),
        Rival("damped Newton", ORANGE, "-", damped_newton, 20),
        Rival("saddle-free", GREEN, "-", saddle_free_newton, 20),
        Rival("saddle-free, Krylov 20", GREEN, "--", krylov, few),
        Rival("Gauss-Newton", PURPLE, "-", damped_newton, 20, "gauss_newton"),
        Rival("Gauss-Newton, Krylov 20", PURPLE, "--", krylov, few, "gauss_newton"),
    )


RATES = (0.05, 0.1, 0.2, 0.4, 0.8)
MOMENTA = (0.0, 0.9, 0.95, 0.98)


def is_tried(rate: float, momentum: float) -> bool:
    """Whether a pair is on the grid: the middle of what is stable, wider without momentum."""
    return (rate <= 0.2) if momentum else (rate >= 0.1)


def tuned(nets: list[MLP], steps: int) -> Array:
    """Return mean losses in the last quarter of so many steps, (rates, momenta).

    The mean over many steps, since where rates are large the last loss is chance. inf where a path
    diverges, nan where nothing was tried.
    """
    found = np.full((len(RATES), len(MOMENTA)), np.nan)
    for i, rate in enumerate(RATES):
        for j, momentum in enumerate(MOMENTA):
            if not is_tried(rate, momentum):
                continue
            run = partial(gradient_descent, rate=rate, momentum=momentum, record_every=5)
            rival = Rival("", "", "", run, steps)
            paths = [rival.optimise(net) for net in nets]
            ends = [
                p.values[p.steps > 0.75 * steps].mean() if p.status == "finished" else np.inf
                for p in paths
            ]
            mean = float(np.mean(ends))
            found[i, j] = mean if mean < _FAR else np.inf
    return found


_FAR = 1e3  # times and more what a network without weights loses: diverged


def held(path: Optimization, clock: Array, at: Array) -> Array:
    """Return the loss of the last record at or before each time of a clock; nan after the end."""
    place = np.searchsorted(clock, at, side="right") - 1
    late = at > clock[-1]
    return np.where(late, np.nan, path.values[np.maximum(place, 0)])


def first_below(path: Optimization, level: float) -> tuple[float, float]:
    """Return the steps and gradients after which the loss is first below a level, or nan."""
    below = np.flatnonzero(path.values < level)
    if not below.size:
        return np.nan, np.nan
    return float(path.steps[below[0]]), float(path.gradient_equivalents[below[0]])
