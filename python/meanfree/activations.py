"""Activation functions: the named ones and users' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from meanfree import _core
from meanfree._check import FINITE, real, real_array, shaped, unknown
from meanfree._user_function import UserFunctions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["NAMES", "Activation", "ActivationLike", "Name", "activation"]

Name: TypeAlias = Literal[
    "linear",
    "relu",
    "leaky_relu",
    "shifted_relu",
    "hard_tanh",
    "tanh",
    "erf",
    "erf_scaled",
    "sigmoid",
    "gelu",
    "gelu_tanh",
    "silu",
    "elu",
    "selu",
    "softplus",
    "sin",
    "arctan",
]
"""Names that `activation` knows."""

NAMES: tuple[str, ...] = Name.__args__  # type: ignore[attr-defined]
_PARAMETERS = {
    "leaky_relu": ("negative_slope", 0.01),
    "shifted_relu": ("shift", 1.0),
    "elu": ("alpha", 1.0),
}


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Activation:
    """Make an activation of a function of your own.

    Parameters
    ----------
    function : callable
        phi, applied elementwise to a float64 array and returning one of the same shape. Called
        with one-dimensional arrays.
    derivative, second_derivative : callable, optional
        phi' and phi'', likewise. Where one is missing it is computed from the function before it
        by interpolation on 13 Chebyshev nodes that never straddle a kink: error about 1e-13
        relative to max(1, abs(phi')) (1e-11 for phi'') for functions that are smooth at the scale
        of 0.1; near a kink about ten times that.
    kinks : iterable of float, optional
        Points where phi, phi' or phi'' jumps. Kinks in [-16, 16] that are not declared are found
        at construction by bisection on a scan, to about 1e-12 (1e-6 where only phi'' jumps and no
        derivative is given). Declare those further out, and pairs closer than about 0.01.
    name : str, optional
        Shown in results and plots; default: the function's own name.

    Attributes
    ----------
    name : str
    kinks : tuple of float
        In ascending order.
    parameters : dict
        Parameters of a named activation; empty for a user's own.

    Raises
    ------
    TypeError
        If ``function`` or a derivative is not callable, does not take arrays, or does not return
        real float64 values.
    ValueError
        If it returns another shape, NaN or infinity on [-16, 16], does not act elementwise or is
        not piecewise smooth, or if a derivative disagrees with the function.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfree as mf
    >>> phi = mf.Activation(lambda x: np.minimum(np.abs(x), 1.0), name="vee")
    >>> phi.kinks
    (-1.0, 0.0, 1.0)
    >>> (phi.derivative(np.array([-0.75, -0.5, 0.5])) + 0.0).round(9).tolist()
    [-1.0, -1.0, 1.0]
    """

    name: str
    kinks: tuple[float, ...]
    _parameters: tuple[tuple[str, float], ...]
    _user: UserFunctions | None

    def __init__(
        self,
        function: Callable[[Array], Array],
        derivative: Callable[[Array], Array] | None = None,
        second_derivative: Callable[[Array], Array] | None = None,
        *,
        kinks: Iterable[float] = (),
        name: str | None = None,
    ) -> None:
        if isinstance(function, Activation):
            msg = "function must be a function of arrays, got an Activation; use it as it is"
            raise TypeError(msg)
        if name is not None and not isinstance(name, str):
            msg = f"name must be a string or None, got {name!r:.60}"
            raise TypeError(msg)
        points = real_array("kinks", kinks if isinstance(kinks, np.ndarray) else list(kinks))
        if points.ndim != 1:
            msg = f"kinks must be one-dimensional, got shape {points.shape}"
            raise ValueError(msg)
        own = getattr(function, "__name__", type(function).__name__)
        user = UserFunctions(function, derivative, second_derivative, points)
        _set(self, name or ("custom" if own == "<lambda>" else own), user.kinks, (), user)

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters of a named activation, by name."""
        return dict(self._parameters)

    @overload
    def __call__(self, x: float) -> float: ...
    @overload
    def __call__(self, x: ArrayLike) -> Array: ...
    def __call__(self, x: ArrayLike) -> float | Array:
        """Return phi(x): an array of the shape of x, a float for a scalar."""
        return self._evaluate(0, x)

    @overload
    def derivative(self, x: float) -> float: ...
    @overload
    def derivative(self, x: ArrayLike) -> Array: ...
    def derivative(self, x: ArrayLike) -> float | Array:
        """Return phi'(x); on a kink a one-sided derivative or the usual convention."""
        return self._evaluate(1, x)

    @overload
    def second_derivative(self, x: float) -> float: ...
    @overload
    def second_derivative(self, x: ArrayLike) -> Array: ...
    def second_derivative(self, x: ArrayLike) -> float | Array:
        """Return phi''(x), without the delta functions where phi' jumps."""
        return self._evaluate(2, x)

    @property
    def is_named(self) -> bool:
        """Whether it is one of the named activations, not a user's own."""
        return self._user is None

    @property
    def core(self) -> tuple[Any, ...]:
        """The form in which the compiled core takes an activation."""
        if self._user is not None:
            return self._user.core
        return (self.name, self._parameters[0][1] if self._parameters else 0.0)

    def _evaluate(self, order: int, x: ArrayLike) -> float | Array:
        points = real_array("x", x, FINITE)
        flat = points.reshape(-1)
        if self._user is not None:
            values = self._user.evaluate(order, flat)
        else:
            values = _core.evaluate(self.core, order, flat)
        result: float | Array = shaped(values, points.shape)
        return result

    def _key(self) -> tuple[Any, ...]:
        functions = None if self._user is None else self._user.functions
        return (self.name, self._parameters, self.kinks, functions)

    def __eq__(self, other: object) -> bool:
        """Compare names, parameters and functions."""
        return self._key() == other._key() if isinstance(other, Activation) else NotImplemented

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash(self._key())

    def __str__(self) -> str:
        """Return the name with the parameters."""
        if not self._parameters:
            return self.name
        return f"{self.name}({', '.join(f'{k}={v:g}' for k, v in self._parameters)})"

    def __repr__(self) -> str:
        """Return the call that makes it, as far as text can."""
        if self._user is None:
            words = [repr(self.name)] + [f"{k}={v!r}" for k, v in self._parameters]
            return f"activation({', '.join(words)})"
        kinks = f", kinks={self.kinks}" if len(self.kinks) <= 6 else f", {len(self.kinks)} kinks"
        return f"Activation({self.name}{kinks if self.kinks else ''})"


ActivationLike: TypeAlias = "Name | str | Activation | Callable[[Array], Array]"
"""A name, an `Activation`, or a function of arrays."""


def activation(name: str, **parameters: float) -> Activation:
    """Return a named activation.

    Parameters
    ----------
    name : str
        linear, relu, leaky_relu, shifted_relu [max(h + shift, 0) - shift], hard_tanh, tanh, erf,
        erf_scaled [erf(sqrt(pi) h / 2)], sigmoid, gelu [h Phi(h)], gelu_tanh, silu, elu, selu,
        softplus, sin, arctan.
    **parameters : float
        ``negative_slope`` of leaky_relu (0.01), ``shift`` of shifted_relu (1), ``alpha`` of
        elu (1); any finite number.

    Raises
    ------
    ValueError
        If the name is unknown (the nearest is named), or a parameter is not finite.
    TypeError
        If the activation has no such parameter.

    Examples
    --------
    >>> import meanfree as mf
    >>> mf.activation("leaky_relu", negative_slope=0.2)(-3.0)
    -0.6000000000000001
    """
    if not isinstance(name, str):
        msg = f"name must be a string, got {name!r:.60}"
        raise TypeError(msg)
    if name not in NAMES:
        msg = f"unknown activation {unknown(name, NAMES)}; the names are {', '.join(NAMES)}"
        raise ValueError(msg)
    known = dict([_PARAMETERS[name]]) if name in _PARAMETERS else {}
    for key, value in parameters.items():
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            msg = f"activation {name!r} has no parameter {key!r} ({takes})"
            raise TypeError(msg)
        known[key] = real(key, value)
    made = object.__new__(Activation)
    _set(made, name, _kinks(name, *known.values()), tuple(known.items()), None)
    return made


def as_activation(value: ActivationLike) -> Activation:
    """Take what stands for an activation in the public functions."""
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return activation(value)
    if callable(value):
        return Activation(value)
    msg = f"activation must be a name, an Activation or a function, got {value!r:.60}"
    raise TypeError(msg)


def _kinks(name: str, parameter: float = 0.0) -> tuple[float, ...]:
    if name == "hard_tanh":
        return (-1.0, 1.0)
    if name == "shifted_relu":
        return (-parameter,)
    smooth = name == "leaky_relu" and parameter == 1.0
    return (0.0,) if name in {"relu", "leaky_relu", "elu", "selu"} and not smooth else ()


def _set(
    phi: Activation,
    name: str,
    kinks: tuple[float, ...],
    parameters: tuple[tuple[str, float], ...],
    user: UserFunctions | None,
) -> None:
    values = {"name": name, "kinks": kinks, "_parameters": parameters, "_user": user}
    for key, value in values.items():
        object.__setattr__(phi, key, value)
