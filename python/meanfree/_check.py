"""Checks of arguments: each raises an error that names the argument, its range and the value.

Everything that a user hands over passes through here once; the compiled core trusts what it gets.
"""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Precision = Literal["float64", "float32"]
PrecisionLike = Precision | np.dtype[Any] | type[np.generic]
"""What an argument `dtype` may be: the word, or numpy's type of that name."""

_LARGEST_SEED = 2**64 - 1


class Range(NamedTuple):
    """An interval of allowed real numbers and the words that describe it."""

    text: str
    low: float = -np.inf
    high: float = np.inf
    open_low: bool = False
    open_high: bool = False

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Tell for each value whether it is finite and inside."""
        above = values > self.low if self.open_low else values >= self.low
        below = values < self.high if self.open_high else values <= self.high
        inside: NDArray[np.bool_] = np.isfinite(values) & above & below
        return inside

    def describe(self, value: float) -> str:
        """Say what is allowed, in the words that fit the offending value."""
        if np.isfinite(value) and value > self.high and "in " not in self.text:
            return f"{self.text} and <= {self.high:g}"
        return self.text


FINITE = Range("finite")
CORRELATION = Range("in [-1, 1]", -1.0, 1.0)
DELTA = Range("in [0, 2]", 0.0, 2.0)
KEEP = Range("in (0, 1]", 0.0, 1.0, open_low=True)
# Far beyond any use, and the averages of every activation are still accurate.
SIGMA = Range("finite and >= 0", 0.0, 1e10)
LENGTH = Range("finite and >= 0", 0.0, 1e20)
POSITIVE_LENGTH = Range("finite and > 0", 0.0, 1e20, open_low=True)


def real_array(name: str, value: Any, allowed: Range = FINITE) -> Array:
    """Convert to a C-contiguous float64 array of any shape; every element must be allowed.

    Any real dtype, byte order, stride and read-only array is fine; so is an empty array.
    Booleans, complex numbers, strings, dates and Python objects are not numbers here.
    """
    array = np.ascontiguousarray(_as_float64(name, value)).reshape(np.shape(value))
    inside = allowed.contains(array)
    if not inside.all():
        index = tuple(int(i) for i in np.argwhere(~inside)[0])
        bad = float(array[index])
        place = f" at index {index[0] if len(index) == 1 else index}" if index else ""
        msg = f"{name} must be {allowed.describe(bad)}, got {bad!r}{place}"
        raise ValueError(msg)
    return array


def real(name: str, value: Any, allowed: Range = FINITE) -> float:
    """Convert one real number."""
    if isinstance(value, float | int) and not isinstance(value, bool | np.generic):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf") if value > 0 else float("-inf")
        if not allowed.contains(np.asarray(number)):
            msg = f"{name} must be {allowed.describe(number)}, got {value!r:.60}"
            raise ValueError(msg)
        return number
    shape = np.shape(_as_float64(name, value))
    if shape:
        msg = f"{name} must be a single number, got an array of shape {shape}"
        raise ValueError(msg)
    return float(real_array(name, value, allowed))


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Convert one integer in [low, high]; floats are refused, also those with a whole value."""
    text = f">= {low}" if high is None else f"in [{low}, {_power_text(high)}]"
    if isinstance(value, bool | np.bool_):
        msg = f"{name} must be an integer {text}, got {value!r}"
        raise TypeError(msg)
    try:
        number = operator.index(value)
    except TypeError:
        msg = f"{name} must be an integer {text}, got {_short(value)}"
        raise TypeError(msg) from None
    if number < low or (high is not None and number > high):
        msg = f"{name} must be an integer {text}, got {number}"
        raise ValueError(msg)
    return number


def seed(value: Any) -> int:
    """Convert a seed, any integer of 64 bits without sign."""
    return integer("seed", value, 0, _LARGEST_SEED)


def size(name: str, value: Any, low: int = 1) -> int:
    """Convert a count of things that will be allocated or looped over."""
    return integer(name, value, low, 2**31 - 1)


def cores(n_threads: Any) -> int:
    """Return the number of threads asked for; None: the cores that this process may use."""
    if n_threads is None:
        try:
            return max(1, len(os.sched_getaffinity(0)))
        except AttributeError:  # not on macOS and Windows
            return max(1, os.cpu_count() or 1)
    return integer("n_threads", n_threads, 1, 2**15)


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """Return one of a few words; the error of an unknown one names the nearest."""
    if not isinstance(value, str):
        msg = f"{name} must be one of {', '.join(options)}; got {_short(value)}"
        raise TypeError(msg)
    if value not in options:
        msg = f"{name} must be one of {', '.join(options)}; got {unknown(value, options)}"
        raise ValueError(msg)
    return value


def precision(value: Any) -> Precision:
    """Return the word for a `dtype`, given as this word or as numpy's type."""
    word = value
    if isinstance(value, np.dtype):
        word = value.name
    elif isinstance(value, type) and issubclass(value, np.generic):
        word = value.__name__
    return cast("Precision", choice("dtype", word, get_args(Precision)))


def unknown(value: str, options: Sequence[str]) -> str:
    """Quote an unknown word and add the option that it comes nearest to, if any is near."""
    import difflib

    near = difflib.get_close_matches(value.lower().replace("-", "_"), options, n=1, cutoff=0.5)
    return f"{value!r:.60}" + (f" (did you mean {near[0]!r}?)" if near else "")


def together(**arrays: Array) -> tuple[list[Array], tuple[int, ...]]:
    """Broadcast to flat arrays of one length; return them and their common shape."""
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = " and ".join(str(a.shape) for a in arrays.values())
        msg = f"{' and '.join(arrays)} must have shapes that broadcast, got {shapes}"
        raise ValueError(msg) from None
    flat = [np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(-1) for a in arrays.values()]
    return flat, shape


def shaped(values: Array, shape: tuple[int, ...]) -> Any:
    """Give flat results their shape; a Python float where a scalar came in."""
    return values.reshape(shape) if shape else float(values[0])


def _as_float64(name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        msg = f"{name} must be an array of real numbers, got a masked array"
        raise TypeError(msg)
    try:
        array = np.asarray(value)
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError | RuntimeError) else ValueError
        msg = f"{name} must be a number or a regular array of real numbers, got {_short(value)}"
        raise kind(msg) from error
    if array.dtype.kind == "O" and not isinstance(value, np.ndarray) and _all_integers(array):
        # integers beyond 64 bits, which numpy keeps as Python objects
        return np.array([_float(i) for i in array.flat], dtype=np.float64).reshape(array.shape)
    if array.dtype.kind not in "iuf" and not (array.size == 0 and isinstance(value, list | tuple)):
        got = f"dtype {array.dtype}" if array.ndim else _short(value)
        msg = f"{name} must be a number or an array of real numbers, got {got}"
        raise TypeError(msg)
    with np.errstate(over="ignore"):
        return array.astype(np.float64, copy=False)


def _all_integers(array: NDArray[Any]) -> bool:
    return all(isinstance(i, int) and not isinstance(i, bool) for i in array.flat)


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _power_text(high: int) -> str:
    return f"2**{high.bit_length()} - 1" if high >= 2**15 and not high & (high + 1) else str(high)


def _short(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{text} of type {type(value).__name__}"
