"""Search for critical points of any function, and the verdict on what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from meanfree._axes import axes
from meanfree._check import Range, choice, real, real_array, size
from meanfree._problem import Checked, inverse
from meanfree._progress import progress_bar
from meanfree.landscape._finders import FINDERS, State, search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from meanfree._problem import Problem

    Array = NDArray[np.float64]

Method = Literal["newton", "gradient_norm", "newton_mr"]

_TOL = Range("finite and > 0", 0.0, open_low=True)
_ZERO = 1e-7  # of the largest eigenvalue
_UNSURE = 4.0  # times the change of the Hessian over the next Newton step
_FLAT = 0.9  # residual, beyond which the gradient is in the kernel
_ALONG = 1e-3  # |H g| / (|H| |g|), below which it is
_NOISE = 1e-3  # of tol: below, where the gradient points and how it changes is not asked
_NEAR = 1e-4  # Newton step in units of how far the point is from 0 and from the start
_SURELY = 1e-6  # the same, where the step does not make the gradient smaller by:
_LOWERED = 1e-3
_STEP = 1e-11  # of the largest eigenvalue: smaller ones would divide rounding to more than _NEAR
_BLOCK = 2**17  # numbers in the Hessians that are asked for at a time
_MOST = 1024  # starts at a time


@dataclass(frozen=True, eq=False, repr=False)
class CriticalPoints:
    """Where searches ended, and whether that is a critical point; made by `critical_points`.

    Attributes
    ----------
    w : (m, n) array
        Where the search from each start ended.
    value : (m,) array
        The function there.
    gradient_norm : (m,) array
        ``|g|``.
    residual : (m,) array
        ``|H p + g| / (|H|_F |p| + |g|)``, where p is the shortest step that makes ``|H p + g|``
        smallest with the zero modes left out: 1 if g is in the kernel of the Hessian. Of no
        meaning where g is no more than rounding.
    flatness : (m,) array
        ``|H g| / (|H|_2 |g|)``: 0 if g is in the kernel of the Hessian; 1 where g is 0.
    eigenvalues : (m, n) array
        Of the Hessian, rising.
    index : (m,) array of int
        Number of negative eigenvalues, zero modes excepted.
    n_zero : (m,) array of int
        Number of zero modes: eigenvalues no larger than 1e-7 of the largest. Where ``|g| <= tol``
        also those within 4 times the change of the Hessian over the next Newton step p, whose sign
        is not settled at this distance from the critical point. Where eigenvalues span more than
        1e7, as at very unequal weights, small ones count as 0: the index is a lower bound then.
    accepted : (m,) array of bool
        Whether this is a critical point.
    reason : (m,) array of str
        Why it is not; empty where it is accepted.
    steps : (m,) array of int
        How many steps the search took.
    """

    w: Array
    value: Array
    gradient_norm: Array
    residual: Array
    flatness: Array
    eigenvalues: Array
    index: NDArray[np.int64]
    n_zero: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    reason: NDArray[np.str_]
    steps: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.w)

    def __repr__(self) -> str:
        kinds: dict[str, int] = {}
        for text in self.reason[~self.accepted]:
            kind = str(text).partition(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
        rest = "".join(f", {count} {kind}" for kind, count in kinds.items())
        return f"CriticalPoints({np.count_nonzero(self.accepted)} of {len(self)} accepted{rest})"

    def plot(self, ax: Axes | None = None, *, unit: float = 1.0) -> Axes:
        """Draw value against index, one mark for each accepted point; the label counts the others.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Default: axes of a new figure.
        unit : float
            Values are drawn in units of it, more than 0: take N for the energy of a random field.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If the unit is out of its range.
        TypeError
            If the unit is not a number.
        """
        scale, ax = real("unit", unit, _TOL), axes(ax)
        found = self.accepted
        rest = len(self) - np.count_nonzero(found)
        ax.plot(
            self.index[found] / self.w.shape[1],
            self.value[found] / scale,
            "o",
            alpha=0.5,
            label=f"{np.count_nonzero(found)} critical points, {rest} ends rejected",
        )
        ax.set(xlabel=r"negative eigenvalues, fraction $\alpha$")
        ax.set(ylabel="value" if scale == 1.0 else f"value / {scale:g}")
        ax.legend()
        return ax


def critical_points(
    problem: Problem,
    starts: ArrayLike,
    *,
    method: Method,
    tol: float = 1e-8,
    max_steps: int = 200,
    progress: bool | None = None,
) -> CriticalPoints:
    """Search for a critical point from each start, and say which of the ends are critical points.

    ::

        "newton"         -H^+ g by all eigenvalues of H, halved until |g| falls
        "gradient_norm"  lowers |g|**2 / 2 by steps -(H**2 + mu)**-1 H g (Levenberg), mu adapted
        "newton_mr"      the step of the Krylov space (at most 200 products with H) that makes
                         |H p + g| smallest, as MINRES, halved until |g| falls

    None of them cares whether the function rises or falls, so they end at saddles as at minima.
    A search that has come below tol goes on while steps still divide ``|g|`` by 3, so that the
    index is that of the critical point and not of its surroundings.

    Accepted is what has ``|g| <= tol``, unless the gradient is in the kernel of the Hessian or the
    Newton step from there is longer than 1e-4 of the way to 0 and to the start, or than 1e-6 of it
    if the gradient behind it is not a thousandth of that before ("far": a function that flattens
    out towards infinity, as that of a network whose units saturate). All others are
    returned with the reason in words. "gradient-flat" are those where ``H g`` is about 0 and g
    is not: minima of ``|g|`` that are no critical points (Frye et al., 2021). In trained networks
    they outnumber the critical points; never plot them as such.

    What no rule tells apart: a gradient of at most tol / 1000 is taken for rounding, so that a
    start where a function has flattened out to that already is accepted. And degenerate points like
    that of w**7, or flatter, are rejected as "far": the way there is as that to infinity.

    Parameters
    ----------
    problem : Problem
        Its four methods; points come in batches of shape (batch, n).
    starts : (m, n) or (n,) array_like
        One start in a row; (n,) is one start, m = 1.
    method : str
        "newton", "gradient_norm" or "newton_mr".
    tol : float
        Largest norm of the gradient at a critical point, more than 0.
    max_steps : int
        At least 0, for each start.
    progress : bool, optional
        Draw a bar of the starts that are done; None: on a terminal, if it takes longer than half a
        second.

    Returns
    -------
    CriticalPoints

    Raises
    ------
    ValueError
        If a value is out of its range, what the problem returns has the wrong shape, or a Hessian
        is not symmetric.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    How often a point is found goes with the size of its basin: the ends are no fair sample of all
    critical points. In 400 fields of 20 dimensions the energy at ends of "gradient_norm" grew with
    the index by 2 % (rho = 1) and 13 % (rho = 1/2) more than the exact law says. Several starts may
    end at the same one. Every end needs the whole Hessian and its eigenvalues, also with
    "newton_mr". In random fields of 20 to 50 dimensions 47 to 62 in 100 starts ended at critical
    points with "gradient_norm", 33 to 43 with the others: Newton's steps grow where the Hessian is
    nearly singular, as it is somewhere on every way from one index to another.

    "far" misses points at which the function is flat to rounding in some directions, as that of a
    network whose units are saturated on all samples: look at ``w`` and ``n_zero``.

    Ctrl-C answers between two calls of the problem.

    References
    ----------
    Frye, Simon, Wadia, Ligeralde, DeWeese and Bouchard (2021), "Critical point-finding methods
    reveal gradient-flat regions of deep network losses"; Roosta, Liu, Xu and Mahoney (2018),
    "Newton-MR: inexact Newton method with minimum residual sub-problem solver".

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.landscape import critical_points
    >>> class Wave:
    ...     def value(self, w):
    ...         return np.sin(w).sum(axis=-1)
    ...     def gradient(self, w):
    ...         return np.cos(w)
    ...     def hessian(self, w):
    ...         return -np.sin(w)[..., None] * np.eye(w.shape[-1])
    ...     def hvp(self, w, v):
    ...         return -np.sin(w) * v
    >>> starts = np.random.default_rng(0).uniform(-3, 3, (8, 2))
    >>> found = critical_points(Wave(), starts, method="newton")
    >>> found
    CriticalPoints(8 of 8 accepted)
    >>> found.index.tolist(), abs(found.value.round(9)).tolist()
    ([1, 2, 2, 2, 1, 1, 2, 1], [0.0, 2.0, 2.0, 2.0, 0.0, 0.0, 2.0, 0.0])
    """
    checked = Checked(problem, "value", "gradient", "hessian", "hvp")
    w = real_array("starts", starts)
    w = w[None] if w.ndim == 1 else w
    if w.ndim != 2 or not w.shape[-1]:
        msg = f"starts must have the shape (m, n) or (n,), n >= 1, got shape {w.shape}"
        raise ValueError(msg)
    word = choice("method", method, tuple(FINDERS))
    small, last = real("tol", tol, _TOL), size("max_steps", max_steps, 0)
    (m, n), parts = w.shape, []
    block = min(max(1, _BLOCK // n**2), _MOST)
    with progress_bar(progress, "starts", m) as report, np.errstate(all="ignore"):
        for first in range(0, m, block):
            start = w[first : first + block]

            def done(count: int, first: int = first) -> None:
                if report:
                    report(first + count)

            state = search(checked, start.copy(), FINDERS[word], small, last, done)
            parts.append(_judge(checked, start, state, small))
        if not parts:
            parts.append(_judge(checked, w, State.begin(checked, w), small))
    return CriticalPoints(
        **{key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    )


def _judge(problem: Checked, start: Array, state: State, tol: float) -> dict[str, Any]:
    """Return the fields of a block of results."""
    w, norm = state.w, state.norm
    matrix, value = problem.hessian(w), problem.value(w)
    sound = np.isfinite(norm) & np.isfinite(value) & np.isfinite(matrix).all(axis=(1, 2))
    matrix = np.where(sound[:, None, None], matrix, 0.0)
    g = np.where(sound[:, None], state.g, 0.0)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    sizes = np.abs(eigenvalues)
    largest = sizes.max(axis=1)
    along = np.matmul(g[:, None], vectors)[:, 0]
    over = inverse(eigenvalues, _ZERO * largest[:, None])
    p = -np.matmul(vectors, (over * along)[..., None])[..., 0]
    length = np.linalg.norm(p, axis=1)
    over_all = inverse(eigenvalues, _STEP * largest[:, None])
    step = -np.matmul(vectors, (over_all * along)[..., None])[..., 0]
    there = norm <= tol  # elsewhere steps are of any length
    behind = np.linalg.norm(problem.gradient(np.where(there[:, None], w + step, w)), axis=1)
    lowered = (behind <= _LOWERED * norm) | (norm <= _NOISE * tol)
    change = problem.hessian(np.where(there[:, None], w + p, w)) - matrix
    change = np.linalg.norm(change, axis=(1, 2))
    change = np.where(there, np.where(np.isfinite(change), change, np.inf), 0.0)
    zero = sizes <= np.maximum(_ZERO * largest, _UNSURE * change)[:, None]
    kernel = np.linalg.norm(np.where(over == 0.0, along, 0.0), axis=1)
    whole = np.linalg.norm(eigenvalues, axis=1) * length + norm
    turned = np.linalg.norm(eigenvalues * along, axis=1)
    fields: dict[str, Any] = {
        "w": w,
        "value": value,
        "gradient_norm": norm,
        "residual": _ratio(kernel, whole, 0.0),
        "flatness": _ratio(turned, largest * norm, np.where(norm > 0.0, 0.0, 1.0)),
        "eigenvalues": eigenvalues,
        "index": np.count_nonzero((eigenvalues < 0.0) & ~zero, axis=1),
        "n_zero": np.count_nonzero(zero, axis=1),
        "steps": state.steps,
    }
    for key in ("residual", "flatness", "eigenvalues"):
        fields[key][~sound] = np.nan
    reach = np.where(lowered, _NEAR, _SURELY)
    reach *= np.linalg.norm(w, axis=1) + np.linalg.norm(w - start, axis=1)
    fields["reason"] = np.array(
        [
            _reason(
                bool(sound[k]),
                float(norm[k]),
                tol,
                float(fields["residual"][k]),
                float(fields["flatness"][k]),
                float(np.linalg.norm(step[k])),
                float(reach[k]),
                "where no step lowers it" if state.stalled[k] else f"after {state.steps[k]} steps",
            )
            for k in range(len(w))
        ],
        dtype=np.str_,
    )
    fields["accepted"] = fields["reason"] == ""
    return fields


def _reason(
    sound: bool,
    norm: float,
    tol: float,
    residual: float,
    flatness: float,
    length: float,
    reach: float,
    end: str,
) -> str:
    """Say why a point is no critical point; nothing if it is one."""
    if not sound:
        return "not finite: the function, its gradient or its Hessian"
    if residual > _FLAT and norm > _NOISE * tol:
        return (
            f"gradient-flat: |g| = {norm:.3g} lies in the kernel of the Hessian (residual "
            f"{residual:.2f} > {_FLAT})"
        )
    if norm > tol and flatness < _ALONG:
        return (
            f"gradient-flat: |g| = {norm:.3g} is nearly in the kernel of the Hessian (|H g| = "
            f"{flatness:.1g} |H| |g|)"
        )
    if norm > tol:
        return f"not converged: |g| = {norm:.3g} > tol = {tol:.3g} {end}"
    if length > reach:
        return (
            f"far: |g| = {norm:.3g}, but the Newton step of length {length:.3g} is not small "
            f"(> {reach:.3g})"
        )
    return ""


def _ratio(above: Array, below: Array, otherwise: Array | float) -> Array:
    safe = np.where(below > 0.0, below, 1.0)
    return np.asarray(np.where(below > 0.0, above / safe, otherwise))
