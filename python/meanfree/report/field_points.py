"""Critical points of sampled Gaussian fields by energy and index, and their law at finite N.

At one point the gradient is independent of the value and the Hessian. So the mean number of
critical points per unit volume with given values and Hessians is that of all points, weighted by
``|det H| / (2 pi 2 |C'(0)|)**(N/2)`` (Kac and Rice): no search is needed, which would prefer some.

The law: ``H = W + m I``, W of the Gaussian orthogonal ensemble, m normal. The density of the
eigenvalues of W times ``|det(W + m I)|`` is that of an ensemble of size N + 1 with -m among its
eigenvalues, but for the factor ``exp(-N m**2 / (16 C''(0)))``; the index is how many are below it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from meanfree.landscape import CriticalPoints, GaussianField, critical_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meanfree.landscape import FieldSample
    from meanfree.report.engine import Settings

    Array = NDArray[np.float64]

_FAR = 200.0  # half the side of the box for points that should have little to do with each other
_NEAR = 10.0  # of the box for starts, from which searches rarely end at the same point


@dataclass(frozen=True, eq=False)
class Kind:
    """A field, its name, and the side of a square in which to find every critical point."""

    name: str
    field: GaussianField
    side: float

    def samples(
        self, settings: Settings, dimension: int, number: int, *, more: int = 1
    ) -> list[FieldSample]:
        """Draw fields of 100 N / rho waves, or more."""
        seed = settings.seed_for(f"17 {self.name} {dimension}")
        n_features = round(more * 100 * dimension / self.field.rho)
        return [
            self.field.sample(
                dimension, n_features=n_features, seed=seed + k, n_threads=settings.n_threads
            )
            for k in range(number)
        ]


KINDS = (
    Kind("RBF", GaussianField.rbf(), 14.0),
    Kind("rational quadratic", GaussianField.rational_quadratic(1.0), 10.0),
)


@dataclass(frozen=True, eq=False)
class Points:
    """Index, energy and weight of points, those of one field in a row."""

    dimension: int
    index: Array
    energy: Array
    weight: Array

    def mean(self, values: Array, where: NDArray[np.bool_] | bool = True) -> tuple[float, float]:
        """Return the weighted mean over some of the points, and its standard error."""
        weight = np.where(where, self.weight, 0.0)
        return ratio((weight * values).sum(axis=1), weight.sum(axis=1))

    @property
    def shares(self) -> Array:
        """The share of each index and its standard error, (dimension + 1, 2)."""
        each = range(self.dimension + 1)
        return np.array([self.mean(1.0 * (self.index == k)) for k in each])

    @property
    def folded(self) -> Points:
        """Together with the points of the opposite fields, whose law is the same."""
        both = np.concatenate([self.index, self.dimension - self.index], axis=1)
        energy = np.concatenate([self.energy, -self.energy], axis=1)
        weight = np.concatenate([self.weight, self.weight], axis=1)
        return Points(self.dimension, both, energy, weight)


def ratio(above: Array, below: Array) -> tuple[float, float]:
    """Return the ratio of two sums over independent fields, and its standard error."""
    value = float(above.sum() / below.sum())
    rest = above - value * below
    scale = sqrt(len(above) / (len(above) - 1))
    return value, scale * float(np.linalg.norm(rest)) / float(abs(below.sum()))


def from_law(field: GaussianField, dimension: int, n_draws: int, seed: int) -> Points:
    """Draw critical points from their exact law, dimension + 1 and their opposites in a row."""
    n, random = dimension, np.random.default_rng(seed)
    normal = random.standard_normal((n_draws, n + 1, n + 1))
    x = np.linalg.eigvalsh((normal + normal.transpose(0, 2, 1)) / sqrt(2.0))
    # in units of sqrt(4 C2 / N), in which the entries of W have the variance 1
    noise = random.standard_normal(x.shape) * sqrt(field.variance * (1.0 - field.rho) / n)
    energy = -field.slope / sqrt(field.curvature * n) * x + noise
    index = np.broadcast_to(np.arange(n + 1.0), x.shape)
    return Points(n, index, energy, np.exp(-0.25 * x**2)).folded


def from_samples(
    field: GaussianField, samples: Sequence[FieldSample], n_points: int, seed: int
) -> Points:
    """Take points of sampled fields anywhere, weighted so that they stand for the critical ones.

    The mean weight is the number of critical points per unit volume, but for a deviation of the
    order of one over the number of waves.
    """
    n, rows = samples[0].dimension, []
    for k, sample in enumerate(samples):
        w = np.random.default_rng([seed, k]).uniform(-_FAR, _FAR, (n_points, n))
        eigenvalues = np.linalg.eigvalsh(sample.hessian(w)) / sqrt(-4.0 * pi * field.slope)
        index = np.count_nonzero(eigenvalues < 0.0, axis=1)
        rows.append((index, sample.energy(w), np.abs(eigenvalues).prod(axis=1)))
    index, energy, weight = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    return Points(n, index, energy, weight)


def search(samples: Sequence[FieldSample], n_starts: int, seed: int) -> CriticalPoints:
    """Search from starts in each field, and return the ends of all fields."""
    parts = []
    for k, sample in enumerate(samples):
        starts = np.random.default_rng([seed, k]).uniform(
            -_NEAR, _NEAR, (n_starts, sample.dimension)
        )
        parts.append(
            critical_points(sample, starts, method="gradient_norm", max_steps=60, progress=False)
        )
    return CriticalPoints(
        **{
            item.name: np.concatenate([getattr(part, item.name) for part in parts])
            for item in fields(CriticalPoints)
        }
    )


def from_search(found: CriticalPoints, n_samples: int) -> Points:
    """Return what was found in each field, all accepted points of equal weight."""
    n = found.w.shape[1]
    shape = (n_samples, -1)
    return Points(
        n,
        found.index.reshape(shape).astype(float),
        found.value.reshape(shape) / n,
        found.accepted.reshape(shape).astype(float),
    )
