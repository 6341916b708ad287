"""How far students of finite size stray from the theory of large matrices: the leading term.

The theory of train and test error counts K - r singular values of noise with the density of large
matrices and r of the teacher's at their places. What it leaves out is of relative order 1/N. With
``s**2 = sigma**2 (1 + A + 2 sqrt(A) cos(x))``, 0 <= x <= pi, and ``k = (s_bar / sigma)**2 /
sqrt(A)``, the sum of a function f over the noise of real matrices differs from K times its mean by

    [f(0) + f(pi)] / 4 - <f> / 2            <> over x, uniform (Bai and Silverstein, 2004),
    - <f [1 + p] / 2>,   p = (k**2 - 1) / (1 - 2 k cos(x) + k**2),

the second for each of the teacher's modes, which leaves the noise. In return the noise's modes
have a share of the teacher, ``c``, whose sum with a function g is, for sigma = 1,

    sum_k c_k s_k g = 2 sqrt(A) / s_bar <g k sin(x)**2 / (1 - 2 k cos(x) + k**2)>.

Both follow from ``1 - s_bar**2 D``, D(s) the transform that gives the singular values with noise.
The teacher's own modes fluctuate: s has at most the variance of one entry of the noise, since it
is a function of the matrix with slope 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfree.linear import StudentTeacher, mode_strength
from meanfree.report.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meanfree.linear import StudentSample
    from meanfree.report.engine import Settings

    Array = NDArray[np.float64]

SAFETY = 2.0
SOURCE = (
    "of the terms of relative order 1/N that the theory of large matrices leaves out: twice that "
    "of the noise, and that of the teacher's modes with the largest variance they can have"
)
SOURCE_OF_REST = "with the noise's term of order 1/N in the theory: its square, and the other terms"

_NODES = 2000  # of the mean over x: the integrands are smooth and periodic


@dataclass(frozen=True)
class Case:
    """A student and its teacher, noise 1; n_hidden = 0 is room for all modes."""

    name: str
    s_bar: tuple[float, ...]
    n_in: int
    n_out: int
    n_hidden: int = 0
    n_examples: int = 0  # 0: as many as inputs
    a0: float = 1e-3
    depth: int = 2

    @cached_property
    def theory(self) -> StudentTeacher:
        """The package's theory."""
        return StudentTeacher(
            self.s_bar,
            self.n_in,
            self.n_hidden or min(self.n_in, self.n_out),
            self.n_out,
            a0=self.a0,
            depth=self.depth,
            n_examples=self.n_examples or None,
        )

    def simulate(
        self,
        settings: Settings,
        t: ArrayLike,
        n_samples: int,
        start: Literal["aligned", "random"] = "aligned",
    ) -> StudentSample:
        """Simulate students with random numbers of their own."""
        return self.theory.simulate(
            np.atleast_1d(t),
            n_samples=n_samples,
            seed=settings.seed_for(f"13 {self} {start}"),
            start=start,
            n_threads=settings.n_threads,
            progress=False,
        )

    def strength(self, t: float, s: Array) -> Array:
        """Return the strength at t of modes of the data."""
        d = max(self.density, 1.0)
        return np.asarray(mode_strength(t, s, self.a0, depth=self.depth, input_variance=d))

    @property
    def density(self) -> float:
        """Examples over inputs."""
        return (self.n_examples or self.n_in) / self.n_in


@dataclass(frozen=True)
class Leading:
    """What simulated students err more than theory says, to leading order in 1/N.

    Parameters
    ----------
    noise : float
        From the sum over the modes of the noise.
    teacher : float
        Bound on what the fluctuations of the teacher's modes make.
    """

    noise: float
    teacher: float

    @property
    def bound(self) -> float:
        """Bound on the whole deviation, terms of higher order included."""
        return SAFETY * abs(self.noise) + self.teacher


def leading_terms(case: Case, t: float) -> tuple[Leading, Leading]:
    """Return the leading terms of the train and of the test error at t.

    The student has room for all modes, or for none of the noise: 0 < n_hidden <= len(s_bar).
    """
    density = case.density
    d, width, noise = max(density, 1.0), case.n_in * min(density, 1.0), np.sqrt(density)
    s_bar = np.array(case.s_bar)
    signal = s_bar * (density if density > 1.0 else noise)
    aspect, modes = case.n_out / width, min(case.n_out, width)
    root, edge = np.sqrt(aspect), noise * (1.0 + np.sqrt(aspect))
    k = (signal[:, None] / noise) ** 2 / root

    x = np.append((np.arange(_NODES) + 0.5) * np.pi / _NODES, [0.0, np.pi])
    s = noise * np.sqrt(np.maximum(1.0 + aspect + 2.0 * root * np.cos(x), 0.0))
    inner = slice(0, _NODES)
    sine = np.sin(x[inner]) ** 2
    kernel = 1.0 - 2.0 * k * np.cos(x[inner]) + k * k
    mean = 2.0 * aspect / min(aspect, 1.0) * sine / (s[inner] / noise) ** 2
    left = np.sum(mean - 0.5 * (1.0 + (k * k - 1.0) / kernel), axis=0)

    def beyond(f: Array) -> float:
        edges = 0.25 * (f[-2] + f[-1]) - 0.5 * f[inner].mean()
        return float(edges + np.mean(f[inner] * left))

    u = np.zeros_like(s) if case.n_hidden else case.strength(t, s)
    shares = 2.0 * root * noise**2 / d * np.sum(k * sine / kernel, axis=0)
    test_noise = beyond(u**2) - 2.0 * float(np.mean(u[inner] / s[inner] * shares))
    train_noise = beyond(d * (u - s / d) ** 2)

    # the teacher's modes: second derivatives, and shifts of their places and overlaps
    learned = slice(0, case.n_hidden or s_bar.size)
    s_hat, overlap = case.theory.s_hat[learned], case.theory.overlap[learned]
    goal = s_bar[learned]
    lost = max(1.0 - density, 0.0) * goal**2 / (2.0 * case.n_in)  # of what few inputs show
    variance = noise**2 / width + lost
    step, gap = np.sqrt(variance), s_hat - edge
    near = s_hat + step * np.array([[-1.0], [0.0], [1.0]])
    v = case.strength(t, near)

    def moved(f: Array) -> float:
        bend, tilt = np.abs(f[0] - 2.0 * f[1] + f[2]), np.abs(f[2] - f[0])
        return float(0.5 * np.sum(bend + tilt * step / gap))

    turned = variance / gap**2 * v[1] + 0.5 * np.abs(v[2] - v[0]) * step / gap
    test_teacher = moved(v**2 - 2.0 * v * goal * overlap) + 2.0 * float(goal @ turned)

    # the sum of squares of the data, whose mean is known, and its theory
    rest = max(case.n_examples - case.n_in, 0) * case.n_out / case.n_in
    square = max(aspect, 1.0) * noise**2
    every = case.theory.s_hat
    norm = ((modes - every.size) * square + float(every @ every)) / d + rest
    more = (every.size * square + float(signal @ signal) - float(every @ every)) / d
    train_noise -= float(case.theory.train_error(t)) * more
    size = float(s_bar @ s_bar)
    return (
        Leading(train_noise / norm, moved(d * (v - near / d) ** 2) / norm),
        Leading(test_noise / size, test_teacher / size),
    )


def compare(
    case: Case, sample: StudentSample, index: int, label: str, *, with_term: bool = False
) -> list[Comparison]:
    """Set the train and test error at one time beside theory, or theory with its leading term."""
    t = float(sample.t[index])
    found = []
    for kind, term in zip(("train", "test"), leading_terms(case, t), strict=True):
        theory = float(getattr(case.theory, f"{kind}_error")(t))
        found.append(
            Comparison(
                f"{kind} error {label}, {case.name}",
                theory + term.noise if with_term else theory,
                float(getattr(sample, f"{kind}_error")[index]),
                float(getattr(sample, f"{kind}_error_error")[index]),
                term.teacher + term.noise**2 / theory if with_term else term.bound,
                SOURCE_OF_REST if with_term else SOURCE,
                sample.n_samples,
            )
        )
    return found


@dataclass(frozen=True)
class Stopped:
    """Students that stop: (mean, standard error) of the error at theory's time, and of times."""

    sample: StudentSample
    error_at_theory: tuple[float, float]
    time: tuple[float, float]


def students_stop(case: Case, settings: Settings, n_samples: int) -> Stopped:
    """Simulate students about the best time to stop, and find the best time of each."""
    stop = case.theory.optimal_stopping().t
    t = stop * np.geomspace(0.5, 2.0, 81)  # the middle one is theory's
    sample = case.simulate(settings, t, n_samples)
    step = np.log(t[1] / t[0])
    best = np.clip(np.argmin(sample.test_samples, axis=1), 1, t.size - 2)
    low, at, high = (
        np.take_along_axis(sample.test_samples, best[:, None] + i, axis=1)[:, 0] for i in (-1, 0, 1)
    )
    shift = 0.5 * (low - high) / (low - 2.0 * at + high)  # of a parabola through three points
    times = t[best] * np.exp(step * shift)
    return Stopped(
        sample,
        (float(sample.test_error[40]), float(sample.test_error_error[40])),
        (float(times.mean()), float(times.std(ddof=1) / np.sqrt(n_samples))),
    )


def compare_stopping(case: Case, found: Stopped) -> list[Comparison]:
    """Set the error at theory's best time, and the time itself, beside theory (one mode)."""
    stop = case.theory.optimal_stopping()
    rows = compare(case, found.sample, 40, "at t*")[1:]
    time = Comparison(
        f"best time to stop, {case.name}",
        stop.t,
        *found.time,
        _time_bound(case, stop.t),
        "from those of the test error, by its curvature, and of s and O for one mode",
        found.sample.n_samples,
    )
    return [*rows, time]


def _time_bound(case: Case, t: float) -> float:
    """Bound what the leading terms do to the best time to stop."""
    h = 0.02 * t
    low, at, high = (float(case.theory.test_error(t + i * h)) for i in (-1, 0, 1))
    bend = (low - 2.0 * at + high) / h**2
    tilt = (leading_terms(case, t + h)[1].noise - leading_terms(case, t - h)[1].noise) / (2.0 * h)
    s_hat, overlap = float(case.theory.s_hat[0]), float(case.theory.overlap[0])
    edge = 1.0 + np.sqrt(case.n_out / case.n_in)
    step, gap = 1.0 / np.sqrt(case.n_in), s_hat - edge

    def alone(s: float, o: float) -> float:  # the time at which u = s_bar o
        return float(np.log((s / case.a0 - 1.0) / (s / (case.s_bar[0] * o) - 1.0)) / (2.0 * s))

    total = SAFETY * abs(tilt / bend)
    here = alone(s_hat, overlap)
    away = min(step / gap, 0.5 * (1.0 - overlap))
    for ds, do, shift in ((step, 0.0, step / gap), (0.0, away, away)):
        up, down = alone(s_hat + ds, overlap + do), alone(s_hat - ds, overlap - do)
        total += 0.5 * abs(up - 2.0 * here + down) + 0.5 * abs(up - down) * shift
    return total
