"""Finite students of a noisy teacher: the task's sizes, and its simulation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfree._axes import axes
from meanfree.linear._curve import Law
from meanfree.linear._exact import ExactFlow

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Start = Literal["aligned", "random"]


@dataclass(frozen=True, eq=False)
class StudentSample:
    """Simulated errors of students; made by `StudentTeacher.simulate`.

    Attributes
    ----------
    t : array
        Times, in units of tau.
    train_error, test_error : array
        Means over students, of the shape of t.
    train_error_error, test_error_error : array
        One standard error of each.
    train_samples, test_samples : (n_samples, ...) array
        The errors of each student.
    n_samples, seed : int
    start : {"aligned", "random"}
    """

    t: Array
    train_error: Array
    train_error_error: Array
    test_error: Array
    test_error_error: Array
    train_samples: Array
    test_samples: Array
    n_samples: int
    seed: int
    start: Start

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both errors with two standard errors."""
        ax = axes(ax)
        t = self.t.reshape(-1)
        for name, style in (("train", "C0o"), ("test", "C1s")):
            mean = getattr(self, f"{name}_error").reshape(-1)
            error = getattr(self, f"{name}_error_error").reshape(-1)
            ax.errorbar(t, mean, 2 * error, fmt=style, markersize=4, label=f"{name}, simulated")
        ax.set(xlabel="time", ylabel="error")
        ax.legend(frameon=False)
        return ax


@dataclass(frozen=True, eq=False)
class Task:
    """Sizes and strengths of a teacher, its student and the data between them.

    What the student sees is a matrix n_out x width of `signal` and noise: width is the number of
    examples if they are fewer than the inputs, otherwise the number of inputs, and the examples
    then make inputs of variance d.
    """

    s_bar: Array  # falling
    n_in: int
    n_hidden: int
    n_out: int
    n_examples: int
    sigma: float
    a0: float
    depth: float
    tau: float

    @property
    def width(self) -> int:
        """Return the number of directions of the inputs that the data reach."""
        return min(self.n_in, self.n_examples)

    @property
    def density(self) -> float:
        """Return the number of examples over the number of inputs."""
        return self.n_examples / self.n_in

    @property
    def d(self) -> float:
        """Return the variance of the inputs in the directions that the data reach."""
        return max(self.density, 1.0)

    @property
    def signal(self) -> Array:
        """Return the singular values of the data without noise."""
        return self.s_bar * (self.density if self.density >= 1.0 else np.sqrt(self.density))

    @property
    def noise(self) -> float:
        """Return sigma of the data: entries of noise have variance noise**2 / width."""
        return float(np.sqrt(self.density)) * self.sigma

    @property
    def modes(self) -> int:
        """Return the number of singular values of the data."""
        return min(self.n_out, self.width)

    @property
    def learned(self) -> int:
        """Return how many of them the student can learn."""
        return self.modes if self.depth == 1.0 else min(self.modes, self.n_hidden)

    @property
    def law(self) -> Law:
        """Return how modes of the data are learned."""
        return Law(self.a0, self.depth, self.d, self.tau)

    @property
    def beyond(self) -> float:
        """Return the mean squared output that no linear student explains, for P > n_in."""
        return max(self.n_examples - self.n_in, 0) * self.n_out / self.n_in * self.sigma**2


def simulate(
    task: Task,
    t: Array,
    n_samples: int,
    seed: int,
    start: Start,
    n_threads: int,
    report: Callable[[int], None] | None,
) -> tuple[Array, Array]:
    """Return train and test errors, both (n_samples, t.size)."""
    run = _aligned if start == "aligned" else _random
    children = np.random.SeedSequence(seed).spawn(n_samples)
    stopped = Event()

    def one(child: np.random.SeedSequence) -> tuple[Array, Array]:
        return run(task, t, np.random.default_rng(child), stopped)

    train, test = np.empty((n_samples, t.size)), np.empty((n_samples, t.size))
    pool = ThreadPoolExecutor(min(n_threads, n_samples))
    try:
        for i, (a, b) in enumerate(pool.map(one, children)):
            train[i], test[i] = a, b
            if report is not None:
                report(i + 1)
    finally:
        stopped.set()  # after Ctrl-C students end at their next time
        pool.shutdown(wait=True, cancel_futures=True)
    return train, test


def _data(task: Task, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Draw data: the matrix that is learned, the teacher's share of it, and what is beyond.

    The teacher's output vectors are the first unit vectors, since the noise has no direction. Its
    input vectors are random where the examples are few, and then only their part in the span of the
    inputs matters.
    """
    r, wide = task.s_bar.size, task.width
    teacher = np.zeros((task.n_out, wide))
    if wide < task.n_in:
        frame, _ = np.linalg.qr(rng.standard_normal((task.n_in, r)))
        teacher[:r] = task.s_bar[:, None] * frame[:wide].T
    else:
        teacher[range(r), range(r)] = task.s_bar
    noise = task.noise / np.sqrt(wide) * rng.standard_normal((task.n_out, wide))
    beyond = 0.0
    if task.n_examples > task.n_in:
        freedom = task.n_out * (task.n_examples - task.n_in)
        beyond = task.sigma**2 / task.n_in * float(rng.chisquare(freedom))
    return task.d * teacher + noise, teacher, beyond


def _aligned(task: Task, t: Array, rng: np.random.Generator, _: Event) -> tuple[Array, Array]:
    """Follow a student whose singular vectors are those of the data, mode by mode."""
    data, teacher, beyond = _data(task, rng)
    u, s, vt = np.linalg.svd(data, full_matrices=False)
    n, r = task.learned, task.s_bar.size
    toward = np.einsum("ak,ki,ai->k", u[:r, :n], vt[:n], teacher[:r], optimize=True)
    strength = task.law.strength(t[:, None], s[:n])
    total = float(task.s_bar @ task.s_bar)
    test = (np.sum((strength - toward) ** 2, axis=1) + (total - toward @ toward)) / total
    left = float(s[n:] @ s[n:]) / task.d + beyond
    whole = float(s @ s) / task.d + beyond
    train = (task.d * np.sum((strength - s[:n] / task.d) ** 2, axis=1) + left) / whole
    return train, test


def _random(task: Task, t: Array, rng: np.random.Generator, stopped: Event) -> tuple[Array, Array]:
    """Follow a student with one hidden layer that starts balanced in random directions."""
    data, teacher, beyond = _data(task, rng)
    rank = min(task.width, task.n_hidden, task.n_out)
    # inputs of variance d are white for weights that are sqrt(d) times as large
    start = np.sqrt(task.a0 * task.d)
    flow = ExactFlow(
        start * _frame(task.width, rank, rng).T, start * _frame(task.n_out, rank, rng), data
    )
    total = float(task.s_bar @ task.s_bar)
    clean, seen = flow.turned(teacher), flow.turned(data)
    lost = total - float(np.sum(clean**2))  # of the teacher outside the span of the inputs
    whole = float(np.sum(seen**2)) / task.d + beyond
    train, test = np.empty(t.size), np.empty(t.size)
    now = 0.0
    for i in np.argsort(t):
        if stopped.is_set():
            break
        flow.advance((t[i] - now) / task.tau)
        now = float(t[i])
        w = flow.turned_product() / task.d
        test[i] = (float(np.sum((w - clean) ** 2)) + lost) / total
        train[i] = (task.d * float(np.sum((w - seen / task.d) ** 2)) + beyond) / whole
    return train, test


def _frame(n: int, k: int, rng: np.random.Generator) -> Array:
    """Draw k orthonormal vectors of n components, uniformly."""
    q, r = np.linalg.qr(rng.standard_normal((n, k)))
    return np.asarray(q * np.sign(np.diag(r)))
