"""A function to be searched for critical points or minimised, and checks of what it returns."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ASYMMETRY = 1e-8  # of the largest entry


@runtime_checkable
class Problem(Protocol):
    """What a function of n real variables must offer; a class need not inherit from this.

    Every method takes points w of shape (..., n), one or many. What is undefined or too large is
    nan or inf; whoever calls deals with it.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.landscape import Problem
    >>> class Saddle:
    ...     def value(self, w):
    ...         return 0.5 * (w[..., 0]**2 - w[..., 1]**2)
    ...     def gradient(self, w):
    ...         return w * [1.0, -1.0]
    ...     def hessian(self, w):
    ...         return np.broadcast_to(np.diag([1.0, -1.0]), (*w.shape, 2))
    ...     def hvp(self, w, v):
    ...         return v * [1.0, -1.0]
    >>> isinstance(Saddle(), Problem)
    True
    """

    def value(self, w: Array) -> Any:
        """Return the function, of shape (...)."""

    def gradient(self, w: Array) -> Any:
        """Return the gradient, of shape (..., n)."""

    def hessian(self, w: Array) -> Any:
        """Return the symmetric matrix of second derivatives, of shape (..., n, n)."""

    def hvp(self, w: Array, v: Array) -> Any:
        """Return the Hessian at w times v, both of shape (..., n)."""


class Checked:
    """A problem whose answers have the right kind and shape."""

    def __init__(self, problem: Any, *needed: str) -> None:
        missing = [name for name in needed if not callable(getattr(problem, name, None))]
        if missing:
            msg = (
                f"problem must have the methods {', '.join(needed)}, got {problem!r:.60} of type "
                f"{type(problem).__name__} without {', '.join(missing)}"
            )
            raise TypeError(msg)
        for name in needed:
            _check_arguments(problem, name)
        self._problem = problem

    def value(self, w: Array) -> Array:
        """Return the values at w."""
        return self._call("value", w.shape[:-1], w)

    def gradient(self, w: Array) -> Array:
        """Return the gradients at w."""
        return self._call("gradient", w.shape, w)

    def hessian(self, w: Array) -> Array:
        """Return the Hessians at w, which must be symmetric."""
        matrix = self._call("hessian", (*w.shape, w.shape[-1]), w)
        check_symmetric("problem.hessian(w)", matrix)
        return matrix

    def hvp(self, w: Array, v: Array) -> Array:
        """Return the Hessians at w times v."""
        return self._call("hvp", w.shape, w, v)

    def _call(self, name: str, shape: tuple[int, ...], *arguments: Array) -> Array:
        with np.errstate(all="ignore"):
            result = np.asarray(getattr(self._problem, name)(*arguments))
        if result.dtype.kind not in "iuf":
            msg = f"problem.{name} must return real numbers, got dtype {result.dtype}"
            raise TypeError(msg)
        if result.shape != shape:
            at = " and ".join(str(a.shape) for a in arguments)
            msg = f"problem.{name} must return shape {shape} for {at}, got shape {result.shape}"
            raise ValueError(msg)
        return result.astype(np.float64, copy=False)


def _check_arguments(problem: Any, name: str) -> None:
    """Refuse a method that cannot be called with w alone, as those of a network cannot."""
    wanted = ("w", "v") if name == "hvp" else ("w",)
    try:
        signature = inspect.signature(getattr(problem, name))
    except (TypeError, ValueError):  # not all built-in functions have one
        return
    try:
        signature.bind(*wanted)
    except TypeError:
        msg = (
            f"problem.{name} must be a function of {' and '.join(wanted)}, got "
            f"{name}{signature} of type {type(problem).__name__}: a network and its samples make a "
            "problem by `MLP.problem`"
        )
        raise TypeError(msg) from None


def check_symmetric(name: str, matrix: Array) -> None:
    """Refuse matrices of which the two triangles differ by more than rounding; nan passes."""
    if not matrix.size:
        return
    with np.errstate(invalid="ignore"):
        off = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max(axis=(-2, -1))
        allowed = _ASYMMETRY * np.abs(matrix).max(axis=(-2, -1))
    if np.any(off > allowed):
        msg = f"{name} must be symmetric, got entries that differ by {np.nanmax(off):.3g}"
        raise ValueError(msg)


def cut_off(eigenvalues: Array) -> Array:
    """Return the size up to which eigenvalues are rounding, for each set, with a last axis of 1."""
    rounding = max(10, eigenvalues.shape[-1]) * np.finfo(np.float64).eps
    return np.asarray(rounding * np.abs(eigenvalues).max(axis=-1, keepdims=True))


def inverse(values: Array, limit: Array) -> Array:
    """Return 1 / values, and 0 where they are as small as the limit."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=np.abs(values) > limit)
