"""A student that learns from a noisy teacher: train and test error over time, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from meanfree._axes import axes
from meanfree._check import choice, cores, real, real_array, shaped, size
from meanfree._check import seed as check_seed
from meanfree._progress import progress_bar
from meanfree.linear._checks import (
    POSITIVE,
    POSITIVE_STRENGTH,
    SIGNAL,
    STRENGTH,
    TIME,
    depth_or_inf,
)
from meanfree.linear._curve import Curve, Noise, noise_end, square_beyond
from meanfree.linear._spikes import seen_spikes
from meanfree.linear._student import Start, StudentSample, Task, simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OptimalStopping:
    """When the test error is smallest; made by `StudentTeacher.optimal_stopping`.

    Attributes
    ----------
    t : float
        In units of tau; 0 if learning never helps, inf if it never harms.
    test_error : float
        The error then.
    """

    t: float
    test_error: float


class StudentTeacher:
    r"""A deep linear student of a noisy linear teacher of low rank.

    The teacher maps n_in inputs to n_out outputs by a matrix with singular values s_bar, and noise
    of variance ``sigma**2 / n_in`` is added to each output of each example. With as many
    orthonormal examples as inputs the student therefore learns, from aligned and balanced weights
    of strength a0, the singular values ``s_a`` of the teacher's matrix with noise
    (`spiked.singular_value`) and those of the noise itself, each by its own `mode_strength` u(t;
    s). Of the large matrices' R = min(n_hidden, n_in, n_out) learned modes r are the teacher's,
    and with ``O_a`` the product of both `spiked.overlaps` (Lampinen and Ganguli, 2019) ::

        test(t) = [(R - r) <u(t; s)**2> + sum_a (u_a**2 - 2 u_a s_bar_a O_a + s_bar_a**2)]
                  / sum_a s_bar_a**2

    The mean runs over the R - r largest singular values of the noise. A signal too weak to be seen
    is lost in it, and counts among the modes of the noise.

    Parameters
    ----------
    s_bar : float or (r,) array_like
        Singular values of the teacher, in [0, 1e100], at least one of them >= 1e-150.
    n_in, n_hidden, n_out : int
        Numbers of units; every hidden layer has n_hidden. At depth 1 there is none, and n_hidden
        means nothing.
    sigma : float
        Noise, in [0, 1e100]: ``s_bar / sigma`` is the ratio of signal to noise.
    a0 : float
        Strength of every mode at t = 0, in (0, 1e100]; at depth 1 also 0.
    depth : int or inf
        Number of weight matrices, at least 1. For inf times are depth * t.
    n_examples : int, optional
        Number of examples P of squared length 1, at least r; default n_in. Fewer are orthonormal,
        more a tight frame, so that the inputs have variance P / n_in in every direction.
    tau : float
        Time constant, in (0, 1e100]; the loss is summed over examples.

    Attributes
    ----------
    s_bar : (r,) array
        Falling.
    s_hat : (r,) array
        Singular values of the data that belong to them; the edge of the noise for a mode that is
        too weak to be seen, which counts as one of the noise.
    overlap : (r,) array
        How much of the mode that is learned points the teacher's way, O_a.

    Raises
    ------
    ValueError
        If a value is out of its range, or the teacher has more modes than the data.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    The theory is that of large matrices at fixed ratios; what it leaves out is of order 1 / n. At
    400 units simulated students are within 1.2 % of it, at most times within 0.5 %, save where the
    error falls most steeply: fluctuations of the singular values are magnified exponentially there
    (4 % at depth 3, 16 students).

    That the best test error does not depend on the number of hidden units holds where all of them
    together start small and the signal is strong: from 1 to 100 hidden units (100 inputs and
    outputs) it rises by 0.25 % at ``s_bar = 3 sigma, a0 = 1e-5`` and not at all at ``6 sigma``,
    but from 0.4375 to 0.608 at ``2 sigma, a0 = 1e-3``, where the noise is learned before the
    signal is. Depth helps: the last case gives 0.441 at depth 3.

    References
    ----------
    Lampinen and Ganguli (2019), "An analytic theory of generalization
    dynamics and transfer learning in deep linear networks".

    Examples
    --------
    >>> from meanfree.linear import StudentTeacher
    >>> task = StudentTeacher(3.0, n_in=100, n_hidden=100, n_out=100)
    >>> stop = task.optimal_stopping()
    >>> print(f"{stop.t:.3f} {stop.test_error:.4f} {task.test_error(100.0):.2f}")
    1.380 0.2381 11.26
    """

    def __init__(
        self,
        s_bar: ArrayLike,
        n_in: int,
        n_hidden: int,
        n_out: int,
        *,
        sigma: float = 1.0,
        a0: float = 1e-3,
        depth: float = 2,
        n_examples: int | None = None,
        tau: float = 1.0,
    ) -> None:
        value = np.atleast_1d(real_array("s_bar", s_bar, STRENGTH))
        if value.ndim > 1 or value.max(initial=0.0) < SIGNAL.low:
            wrong = value.ndim > 1 or not value.size
            got = f"shape {value.shape}" if wrong else f"at most {float(value.max())!r}"
            msg = (
                "s_bar must be a number or a 1-d array with at least one value >= 1e-150, got "
                f"{got}"
            )
            raise ValueError(msg)
        many = depth_or_inf(depth)
        inputs = size("n_in", n_in)
        task = Task(
            s_bar=np.sort(value)[::-1],
            n_in=inputs,
            n_hidden=size("n_hidden", n_hidden),
            n_out=size("n_out", n_out),
            n_examples=inputs if n_examples is None else size("n_examples", n_examples),
            sigma=real("sigma", sigma, STRENGTH),
            a0=real("a0", a0, STRENGTH if many == 1.0 else POSITIVE_STRENGTH),
            depth=many,
            tau=real("tau", tau, POSITIVE),
        )
        if value.size > task.modes:
            limit = "min(n_in, n_out)" if n_examples is None else "min(n_in, n_examples, n_out)"
            msg = f"s_bar must have at most {limit} = {task.modes} values, got {value.size}"
            raise ValueError(msg)
        self._task = task
        self.s_bar = task.s_bar
        self.s_hat, left, right = seen_spikes(task.signal, task.n_out / task.width, task.noise)
        self.overlap = left * right * min(np.sqrt(task.density), 1.0)
        self._seen = int(np.count_nonzero(self.overlap))  # the rest is lost in the noise

    def train_error(self, t: ArrayLike) -> Any:
        """Return the squared error on the noisy examples, over the sum of their squares.

        With K singular values of the data, of which R are learned, and as many examples as inputs,
        ``[(K - R) <s**2>_rest + (R - r) <(u - s)**2> + sum_a (u_a - s_a)**2] / [sum_a s_a**2 + (K -
        r) <s**2>]``.

        Parameters
        ----------
        t : array_like
            Time, in [0, 1e100] units of tau.

        Returns
        -------
        float or array
            Of the shape of t. With more examples than inputs it has a floor, the noise that no
            linear map explains.

        Raises
        ------
        ValueError
            If a time is out of its range.
        TypeError
            If t is no array of numbers.
        """
        return self._evaluate(self._train, t)

    def test_error(self, t: ArrayLike) -> Any:
        """Return the squared error on new white inputs without noise, over the teacher's square.

        Parameters
        ----------
        t : array_like
            Time, in [0, 1e100] units of tau.

        Returns
        -------
        float or array
            Of the shape of t; 1 is what an output of 0 earns. Quadrature error below 1e-9.

        Raises
        ------
        ValueError
            If a time is out of its range.
        TypeError
            If t is no array of numbers.
        """
        return self._evaluate(self._test, t)

    def optimal_stopping(self) -> OptimalStopping:
        """Return the time at which the test error is smallest, and that error."""
        return OptimalStopping(*self._test.minimum())

    def shrinkage_error(self) -> float:
        """Return the test error of the best strengths, which no single stopping time can beat.

        ``1 - sum_a (s_bar_a O_a)**2 / sum_a s_bar_a**2`` over the teacher's modes that the student
        has room for: each at its own optimum, as `spiked.shrink` gives it, and no noise mode
        learned. With one mode and little noise learned, stopping comes near it.
        """
        curve = self._test
        return curve.floor / curve.norm

    def simulate(
        self,
        t: ArrayLike,
        *,
        n_samples: int = 16,
        seed: int = 0,
        start: Start = "aligned",
        n_threads: int | None = None,
        progress: bool | None = None,
    ) -> StudentSample:
        """Simulate students of this teacher, each with its own noise.

        Parameters
        ----------
        t : array_like
            Times, in [0, 1e100] units of tau.
        n_samples : int
            Number of students, at least 2.
        seed : int
            In [0, 2**64 - 1].
        start : {"aligned", "random"}
            "aligned": the singular vectors of the data, as theory has it; after one singular value
            decomposition a student costs O(modes) for each time. "random": balanced weights with
            orthonormal columns in random directions, in the span of the inputs; the exact solution
            for whole matrices, with one hidden layer only. Then learning is slower at first and
            fits the noise later.
        n_threads : int, optional
            Students that run side by side; default: the cores that this process may use.
        progress : bool, optional
            As in `length_map`.

        Returns
        -------
        StudentSample
            Means and standard errors, of the shape of t.

        Raises
        ------
        ValueError
            If a value is out of its range, or the start is random and the depth not 2.
        TypeError
            If an argument is of the wrong kind.
        """
        times = real_array("t", t, TIME)
        n_samples, key = size("n_samples", n_samples, 2), check_seed(seed)
        choice("start", start, get_args(Start))
        if start == "random" and self._task.depth != 2.0:
            msg = f"start must be 'aligned' unless depth is 2, got {start!r} at depth {self._depth}"
            raise ValueError(msg)
        threads = cores(n_threads)
        with progress_bar(progress, "students", n_samples) as report:
            flat = times.reshape(-1)
            train, test = simulate(self._task, flat, n_samples, key, start, threads, report)
        shape = (n_samples, *times.shape)
        train, test = train.reshape(shape), test.reshape(shape)
        return StudentSample(
            t=times,
            train_error=train.mean(axis=0),
            train_error_error=train.std(axis=0, ddof=1) / np.sqrt(n_samples),
            test_error=test.mean(axis=0),
            test_error_error=test.std(axis=0, ddof=1) / np.sqrt(n_samples),
            train_samples=train,
            test_samples=test,
            n_samples=n_samples,
            seed=key,
            start=start,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw train and test error until well after the best time to stop, which is marked."""
        ax = axes(ax)
        stop = self.optimal_stopping()
        mark = 0.0 < stop.t < np.inf
        times = self._test.candidates()
        t = np.linspace(0.0, 3.0 * stop.t if mark else float(times[-1]), 300)
        ax.plot(t, self.train_error(t), "C0-", label="train")
        ax.plot(t, self.test_error(t), "C1-", label="test")
        if mark:
            ax.plot(stop.t, stop.test_error, "C1v", label="best time to stop")
        ax.set(xlabel="time", ylabel="error", ylim=(0.0, None))
        ax.legend(frameon=False)
        return ax

    @property
    def _depth(self) -> float | int:
        depth = self._task.depth
        return depth if np.isinf(depth) else int(depth)

    @cached_property
    def _noise(self) -> Noise:
        task = self._task
        rest, count = task.modes - self._seen, max(task.learned - self._seen, 0)
        aspect = task.n_out / task.width
        end = noise_end(aspect, count / rest) if count else 0.0
        return Noise(float(count), float(rest), aspect, task.noise, end)

    @cached_property
    def _test(self) -> Curve:
        task, n = self._task, min(self._task.learned, self._seen)
        square = self.s_bar**2
        best = (self.s_bar * self.overlap)[:n]
        # what modes cannot align to, or have no room for
        floor = float(square[n:].sum() + square[:n] @ (1.0 - self.overlap[:n] ** 2))
        total = float(square.sum())
        gain = np.ones(n)
        return Curve(task.law, self.s_hat[:n], gain, best, self._noise, 1.0, 0.0, floor, total)

    @cached_property
    def _train(self) -> Curve:
        task, noise, n = self._task, self._noise, min(self._task.learned, self._seen)
        d, s = task.d, self.s_hat[: self._seen]
        rest = task.modes - s.size
        unseen = rest * task.noise**2 * square_beyond(noise.aspect, noise.end) if rest else 0.0
        all_noise = rest * task.noise**2 * max(noise.aspect, 1.0)
        floor = (unseen + float(s[n:] @ s[n:])) / d + task.beyond
        norm = (all_noise + float(s @ s)) / d + task.beyond
        return Curve(task.law, s[:n], np.full(n, d), s[:n] / d, noise, d, 1.0 / d, floor, norm)

    def _evaluate(self, curve: Curve, t: ArrayLike) -> Any:
        times = real_array("t", t, TIME)
        return shaped(curve.values(times.reshape(-1)), times.shape)

    def __repr__(self) -> str:
        """Return the call that makes this."""
        task = self._task
        sizes = f"n_in={task.n_in}, n_hidden={task.n_hidden}, n_out={task.n_out}"
        more = "" if task.n_examples == task.n_in else f", n_examples={task.n_examples}"
        return (
            f"StudentTeacher({self.s_bar.tolist()}, {sizes}, sigma={task.sigma!r}, "
            f"a0={task.a0!r}, depth={self._depth}{more}, tau={task.tau!r})"
        )
