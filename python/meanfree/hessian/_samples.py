"""Checks of samples and targets of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range, real_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_PROBABILITY = Range("in [0, 1]", 0.0, 1.0)
_ROUNDING = 1e-9  # by how much the sum of probabilities may be off


def inputs(x: Any, n_in: int) -> Array:
    """Convert x, (n_samples, n_in)."""
    array = real_array("x", x)
    if array.ndim != 2 or array.shape[1] != n_in or array.shape[0] == 0:
        msg = f"x must have shape (n_samples >= 1, {n_in}), got {array.shape}"
        raise ValueError(msg)
    return array


def targets(y: Any, n_samples: int, n_out: int, objective: str) -> Array:
    """Convert y to (n_samples, n_out); labels become rows with a single 1."""
    labels = f"labels ({n_samples},) or " if objective == "cross_entropy" else ""
    shape = np.shape(y)
    if shape == (n_samples,) and labels:
        return _one_hot(y, n_out)
    if shape != (n_samples, n_out):
        msg = f"y must have shape {labels}({n_samples}, {n_out}), got {shape}"
        raise ValueError(msg)
    if not labels:
        return real_array("y", y)
    array = real_array("y", y, _PROBABILITY)
    off = np.abs(array.sum(axis=1) - 1.0)
    if off.max() > _ROUNDING:
        row = int(off.argmax())
        msg = f"y must have rows that sum to 1, got the sum {array[row].sum()!r} in row {row}"
        raise ValueError(msg)
    return array


def _one_hot(y: Any, n_out: int) -> Array:
    labels = np.asarray(y)
    if labels.dtype.kind not in "iu":
        msg = f"labels y must be integers in [0, {n_out - 1}], got dtype {labels.dtype}"
        raise TypeError(msg)
    bad = (labels < 0) | (labels >= n_out)
    if bad.any():
        first = int(bad.argmax())
        msg = f"labels y must be in [0, {n_out - 1}], got {labels[first]} at index {first}"
        raise ValueError(msg)
    rows: Array = np.eye(n_out)[labels]
    return rows


def parameter_vector(name: str, values: Any, n: int) -> Array:
    """Convert an array (..., n)."""
    array = real_array(name, values)
    if array.ndim == 0 or array.shape[-1] != n:
        msg = f"{name} must have shape (..., {n}), got {array.shape}"
        raise ValueError(msg)
    return array


def any_vector(name: str, values: Any, n: int) -> Array:
    """Convert an array (..., n) that may hold inf and nan."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            array = parameter_vector(name, np.where(finite, values, 0.0), n).copy()
            array[~finite] = np.nan
            return array
    return parameter_vector(name, values, n)


def flatten(weights: Sequence[Array], biases: Sequence[Array]) -> Array:
    """Join W1 (row-major), b1, W2, ..."""
    pairs = zip(weights, biases, strict=True)
    return np.concatenate([part.ravel() for pair in pairs for part in pair])
