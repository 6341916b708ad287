"""Deep linear networks that learn items, simulated as whole matrices from small random weights.

Both weight matrices are Gaussian. Of mode a only the part (W1 v_a + W2^T u_a) / 2 grows, whose
squared length is a0 for wide layers, if the entries have the variance 2 a0 / n_hidden; what narrow
layers add to the course of a mode is of the order of 1 / n_hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.report.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from meanfree.report.spectra import Estimate

    Array = NDArray[np.float64]

_STEP = 0.3  # of the integrator, over the time constant of the strongest mode and weights


@dataclass(frozen=True, eq=False)
class Learners:
    """What many networks know at some times, arrays (n_times, n_networks, ...).

    Attributes
    ----------
    gram : (n_times, n_networks, n_items, n_items) array
        Inner products of the hidden representations.
    answer : (n_times, n_networks, n_features, n_items) array
        Outputs for all items.
    hidden : (n_times, n_items, n_hidden) array
        The representations themselves, in the first network.
    """

    gram: Array
    answer: Array
    hidden: Array


def learn(
    outputs: ArrayLike,
    times: ArrayLike,
    *,
    n_hidden: int,
    n_networks: int,
    a0: float,
    seed: int,
) -> Learners:
    """Follow the gradient flow of ``|outputs - W2 W1|**2 / 2`` with time constant 1.

    Parameters
    ----------
    outputs : (n_features, n_items) or (n_networks, n_features, n_items) array_like
        What is learned; one-hot items.
    times : (n_times,) array_like
        Ascending, >= 0.
    n_hidden, n_networks : int
    a0 : float
        Strength of every mode at the start, for wide layers.
    seed : int
    """
    y = np.asarray(outputs, dtype=np.float64)
    n_features, n_items = y.shape[-2:]
    random = np.random.default_rng(seed)
    scale = np.sqrt(2.0 * a0 / n_hidden)
    first = scale * random.standard_normal((n_networks, n_hidden, n_items))
    second = scale * random.standard_normal((n_networks, n_features, n_hidden))
    grams, answers, hidden = [], [], []
    longest = _STEP / (float(np.linalg.norm(y, 2, axis=(-2, -1)).max()) + 4.0 * a0)
    for w1, w2 in _flow(y, first, second, np.asarray(times, dtype=np.float64), longest):
        grams.append(w1.transpose(0, 2, 1) @ w1)
        answers.append(w2 @ w1)
        hidden.append(w1[0].T.copy())
    return Learners(np.stack(grams), np.stack(answers), np.stack(hidden))


def _flow(
    y: Array, w1: Array, w2: Array, times: Array, longest: float
) -> Iterator[tuple[Array, Array]]:
    """Yield the weights at each time, by the classical method of Runge and Kutta."""
    now = 0.0
    for until in times.tolist():
        n_steps = int(np.ceil((until - now) / longest))
        h = (until - now) / max(n_steps, 1)
        for _ in range(n_steps):
            a, b = _slope(y, w1, w2)
            sum1, sum2 = a, b
            for weight, part in ((2.0, 0.5), (2.0, 0.5), (1.0, 1.0)):
                a, b = _slope(y, w1 + part * h * a, w2 + part * h * b)
                sum1, sum2 = sum1 + weight * a, sum2 + weight * b
            w1, w2 = w1 + h / 6.0 * sum1, w2 + h / 6.0 * sum2
        now = until
        yield w1, w2


def _slope(y: Array, w1: Array, w2: Array) -> tuple[Array, Array]:
    error = y - w2 @ w1
    return w2.transpose(0, 2, 1) @ error, error @ w1.transpose(0, 2, 1)


def crossing(times: Array, course: Array, level: float | Array) -> Array:
    """Return when courses (n_times, ...) last rise through a level, between two times linearly."""
    above = course >= level
    last = len(times) - 1 - np.argmax(~above[::-1], axis=0)  # the last one below
    if np.any(above.all(axis=0) | (last == len(times) - 1)):
        msg = "the courses must begin below and end above the level"
        raise ValueError(msg)
    low = np.take_along_axis(course, last[None], axis=0)[0]
    high = np.take_along_axis(course, last[None] + 1, axis=0)[0]
    share = (level - low) / (high - low)
    return np.asarray(times[last] + share * (times[last + 1] - times[last]))


def tops(times: Array, courses: Array) -> tuple[Array, Array]:
    """Return time and value of the maximum of courses (n_times, ...), by a parabola at the top."""
    k = np.clip(np.argmax(courses, axis=0), 1, len(times) - 2)
    left, mid, right = (np.take_along_axis(courses, (k + i)[None], axis=0)[0] for i in (-1, 0, 1))
    bend = left - 2.0 * mid + right
    shift = np.divide(0.5 * (left - right), bend, out=np.zeros_like(mid), where=bend < 0.0)
    shift = np.clip(shift, -1.0, 1.0)
    value = mid - 0.25 * (left - right) * shift
    return np.asarray(times[k] + shift * (times[1] - times[0])), np.asarray(value)


def rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's correlation; values that agree to 9 decimals share a rank."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.round(x, 9)) for x in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def compare(quantity: str, theory: float, found: Estimate, place: Any = ()) -> Comparison:
    """Set one number, extrapolated from two widths, beside its theory."""
    return Comparison(
        quantity,
        theory,
        float(found.value[place]),
        float(found.error[place]),
        float(found.bound[place]),
        "4/N of the leading term in 1/N, which two widths measure and remove",
        found.n_samples,
    )


def mean_with_error(values: Array) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
