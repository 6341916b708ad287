"""Three ways to lower the norm of a gradient, for many starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._krylov import Lanczos, lanczos
from meanfree._problem import cut_off, inverse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meanfree._problem import Checked

    Array = NDArray[np.float64]
    Rows = NDArray[np.intp]
    Trial = Callable[[int, Rows], tuple[Array, Array]]

_ARMIJO = 1e-4  # of the decrease that the linear model promises
_TRIALS = 40
_POLISHED = 1e-12  # of tol
_SLOW = 1.0 / 3.0  # Newton's steps on x^p gain (1 - 1/(p - 1))^(p - 1), up to 1/e on an exponential
_KRYLOV = 200
_SOLVED = 1e-4  # residual of a Krylov step, in units of |g|
_LEAST_MU, _FIRST_MU = 1e-24, 1e-4  # in units of the largest eigenvalue squared


@dataclass(eq=False)
class State:
    """Where the searches of a block are."""

    w: Array
    g: Array
    norm: Array
    steps: NDArray[np.int64]
    running: NDArray[np.bool_]
    stalled: NDArray[np.bool_]
    mu: Array

    @classmethod
    def begin(cls, problem: Checked, w: Array) -> State:
        """Start at w."""
        g = problem.gradient(w)
        norm = np.linalg.norm(g, axis=1)
        m = len(w)
        going = np.isfinite(norm) & (norm > 0.0)
        none = np.zeros(m, dtype=bool)
        return cls(w, g, norm, np.zeros(m, dtype=np.int64), going, none, np.full(m, _FIRST_MU))


def search(
    problem: Checked,
    w: Array,
    finder: Callable[[Checked, State, Rows], Trial],
    tol: float,
    last: int,
    done: Callable[[int], None],
) -> State:
    """Step until the gradient vanishes, no step lowers it, or the last step is taken.

    Below tol a search goes on while a step divides the gradient by 3 or more: towards a critical
    point it does, and not where a function flattens out.
    """
    state = State.begin(problem, w)
    for _ in range(last):
        rows = np.flatnonzero(state.running)
        if not rows.size:
            break
        before = state.norm[rows]
        lowered = _lower(problem, state, rows, finder(problem, state, rows))
        state.steps[rows] += lowered
        after = state.norm[rows]
        polished = (after <= tol) & ((after > _SLOW * before) | (after <= _POLISHED * tol))
        state.stalled[rows] = ~lowered & (after > tol)
        state.running[rows] = lowered & ~polished
        done(len(w) - int(np.count_nonzero(state.running)))
    return state


def _lower(problem: Checked, state: State, rows: Rows, trial: Trial) -> NDArray[np.bool_]:
    """Try one step after another until |g| is lower; tell for which rows one was found."""
    lowered = np.zeros(rows.size, dtype=bool)
    left = np.arange(rows.size)
    for k in range(_TRIALS):
        move, promised = trial(k, left)
        here = rows[left]
        to = state.w[here] + move
        g = problem.gradient(to)
        norm = np.linalg.norm(g, axis=1)
        fine = (promised > 0.0) & (norm < state.norm[here])
        fine &= norm**2 <= state.norm[here] ** 2 - _ARMIJO * promised
        good = here[fine]
        state.w[good], state.g[good], state.norm[good] = to[fine], g[fine], norm[fine]
        lowered[left[fine]] = True
        left = left[~fine & (promised > 0.0)]
        if not left.size:
            break
    return lowered


def _newton(problem: Checked, state: State, rows: Rows) -> Trial:
    values, vectors, along = _decomposed(problem, state, rows)
    over = inverse(values, cut_off(values))
    step = -np.matmul(vectors, (over * along)[..., None])[..., 0]
    return _halving(step, (np.where(over != 0.0, along, 0.0) ** 2).sum(axis=1))


def _newton_mr(problem: Checked, state: State, rows: Rows) -> Trial:
    w, g, norm = state.w[rows], state.g[rows], state.norm[rows]
    basis, matrix = lanczos(
        lambda v: problem.hvp(w, v), g, min(w.shape[1], _KRYLOV), _Solved(rows.size)
    )
    bad = ~np.isfinite(matrix).all(axis=(1, 2))
    matrix[bad] = 0.0
    inside, rest = _residual(matrix)
    step = norm[:, None] * np.matmul(inside[:, None], basis)[:, 0]
    step[bad] = 0.0
    return _halving(step, norm**2 * np.maximum(1.0 - rest**2, 0.0))


class _Solved:
    """Whether every Krylov space, as it grows, holds a step whose residual is small.

    With orthonormal polynomials p_j of the Lanczos measure the smallest ``|H p + g| / |g|`` after
    k steps is ``(p_0(0)^2 + ... + p_k(0)^2)^(-1/2)``.
    """

    def __init__(self, m: int) -> None:
        self._last, self._before = np.ones(m), np.zeros(m)
        self._sum = np.ones(m)
        self._ended = np.zeros(m, dtype=bool)
        self._seen = 0

    def __call__(self, space: Lanczos) -> bool:
        alpha, beta = space.diagonal, space.beside
        for j in range(self._seen, space.n_steps):
            above = beta[:, j - 1] * self._before if j else 0.0
            self._ended |= ~(beta[:, j] > 0.0)  # also where products are not finite
            below = np.where(self._ended, 1.0, beta[:, j])
            self._before, self._last = self._last, -(alpha[:, j] * self._last + above) / below
            self._sum += self._last**2
        self._seen = space.n_steps
        return bool(np.all(self._ended | ~(self._sum < _SOLVED**-2)))


def _residual(matrix: Array) -> tuple[Array, Array]:
    """Return the y for which ``|e_1 + T y|`` is smallest, and how small it is."""
    rounding = max(10, matrix.shape[-1]) * np.finfo(np.float64).eps
    sound = np.where(np.isfinite(matrix).all(axis=(1, 2), keepdims=True), matrix, 0.0)
    y = -np.linalg.pinv(sound, rcond=rounding)[:, :, 0]
    rest = np.matmul(sound, y[..., None])[..., 0]
    rest[:, 0] += 1.0
    return y, np.linalg.norm(rest, axis=1)


def _halving(step: Array, squared: Array) -> Trial:
    """Halve the step again and again; the linear model lowers |g|^2 by `squared` with the first."""

    def trial(k: int, left: Rows) -> tuple[Array, Array]:
        t = 0.5**k
        return t * step[left], 2.0 * t * squared[left]

    return trial


def _gradient_norm(problem: Checked, state: State, rows: Rows) -> Trial:
    values, vectors, along = _decomposed(problem, state, rows)
    scale = (values**2).max(axis=1)

    def trial(k: int, left: Rows) -> tuple[Array, Array]:
        if k:
            state.mu[rows[left]] *= 10.0
        mu = state.mu[rows[left]] * scale[left]
        squared = values[left] ** 2
        shifted = squared + mu[:, None]
        small = shifted == 0.0
        kept = np.divide(squared, shifted, out=np.zeros_like(squared), where=~small)
        size = np.divide(values[left], shifted, out=np.zeros_like(squared), where=~small)
        step = -np.matmul(vectors[left], (size * along[left])[..., None])[..., 0]
        return step, (along[left] ** 2 * (1.0 - (1.0 - kept) ** 2)).sum(axis=1)

    state.mu[rows] = np.maximum(0.1 * state.mu[rows], _LEAST_MU)
    return trial


def _decomposed(problem: Checked, state: State, rows: Rows) -> tuple[Array, Array, Array]:
    """Return eigenvalues and eigenvectors, and the gradient in these; 0 for what is not finite."""
    matrix = problem.hessian(state.w[rows])
    sound = np.isfinite(matrix).all(axis=(1, 2), keepdims=True)
    values, vectors = np.linalg.eigh(np.where(sound, matrix, 0.0))
    return values, vectors, np.matmul(state.g[rows][:, None], vectors)[:, 0]


FINDERS = {"newton": _newton, "gradient_norm": _gradient_norm, "newton_mr": _newton_mr}
