"""Level sets of a user's own network at one point: principal curvatures, gradient and Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._axes import axes, label_layers
from meanfree._check import FINITE, integer, real, real_array
from meanfree.activations import ActivationLike, as_activation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LevelSetCurvature:
    """Principal curvatures of a level set at one point; made by `level_set_curvature`.

    Index 0 of what belongs to layers is the input x, index l is h^l.

    Attributes
    ----------
    point : (n_0,) array
        Where they were measured: the point given, or where Newton's steps led.
    value : float
        G there.
    residual : float
        Distance of the point from the level asked for, |G - level| over the length of the gradient.
    gradient_norm : (depth + 1,) array
        Length of the gradient of G with respect to each layer.
    principal : tuple of (n_l - 1,) arrays
        Principal curvatures in each layer, falling; positive where the side of smaller G bulges
        outwards. Those of the last layer are 0.
    mean_square : (depth + 1,) array
        Mean of their squares; nan in a layer of one unit, where a level set is a point.
    """

    point: Array
    value: float
    residual: float
    gradient_norm: Array
    principal: tuple[Array, ...]
    mean_square: Array

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the principal curvatures of each layer, the input being layer 0."""
        ax = axes(ax)
        values = np.concatenate(self.principal)
        layer = np.repeat(np.arange(len(self.principal)), [k.size for k in self.principal])
        ax.set(ylabel="principal curvature")
        label_layers(ax, ax.plot(layer, values, "C0_", label="principal curvatures"))
        return ax

    def __repr__(self) -> str:
        sizes = ", ".join(str(values.size + 1) for values in self.principal)
        lines = [
            f"LevelSetCurvature of a network of widths {sizes}",
            f"  G = {self.value:.6g}, distance from the level set {self.residual:.1g}",
        ]
        if self.principal[0].size:
            lines.append(
                f"  at the input: {self.principal[0][-1]:.4g} to {self.principal[0][0]:.4g}, "
                f"root mean square {np.sqrt(self.mean_square[0]):.4g}"
            )
        return "\n".join(lines)


def level_set_curvature(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike] | None,
    activation: ActivationLike,
    readout: ArrayLike,
    point: ArrayLike,
    *,
    level: float | None = None,
) -> LevelSetCurvature:
    """Return the principal curvatures of a level set of your own network, in every layer.

    ``G(x) = readout . h^L``, ``h^1 = W_1 x + b_1``, ``h^{l+1} = W_{l+1} phi(h^l) + b_{l+1}``: no
    activation acts on the last layer. For the boundary between classes i and j of a classifier
    whose logits are h^L, the readout is 1 at i, -1 at j and 0 elsewhere.

    Parameters
    ----------
    weights : sequence of (n_l, n_{l-1}) array_like
        W_1 ... W_L, at least one.
    biases : sequence of (n_l,) array_like, or None
        b_1 ... b_L; None: 0.
    activation : str, Activation or callable
    readout : (n_L,) array_like
    point : (n_0,) array_like
    level : float, optional
        None: the level set through the point. A number: the point is first moved along the gradient
        by Newton steps until G is at this level, to the precision of G.

    Returns
    -------
    LevelSetCurvature

    Raises
    ------
    ValueError
        If shapes do not fit or a value is not finite; if Newton's steps do not reach the level; if
        the gradient is 0 in some layer, or something overflows.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Second derivatives are exact; the delta functions of phi'' where phi' jumps are left out.

    Examples
    --------
    A sphere of radius 2 in three dimensions has the curvature 1/2: G = |x|**2.

    >>> import numpy as np
    >>> import meanfree as mf
    >>> from meanfree.manifold import level_set_curvature
    >>> square = mf.Activation(np.square, lambda x: 2 * x, lambda x: 2 + 0 * x, name="square")
    >>> found = level_set_curvature(
    ...     [np.eye(3), np.ones((1, 3))], None, square, [1.0], [1.0, 0.5, 2.0], level=4.0
    ... )
    >>> found.principal[0].round(12).tolist()
    [0.5, 0.5]
    """
    phi = as_activation(activation)
    matrices, offsets, read, start = _network(weights, biases, readout, point)
    height = 0.0 if level is None else real("level", level, FINITE)
    value, rounding, found, norm, principal = _core.level_set(
        phi.core, matrices, offsets, read, start, height, level is not None
    )
    off = abs(value - height) if level is not None else 0.0
    if not off <= rounding:
        msg = (
            f"level must be reached by Newton's steps from the point, got {height!r}: they ended "
            f"at G = {value:.6g}"
        )
        raise ValueError(msg)
    return LevelSetCurvature(
        point=found,
        value=value,
        residual=off / float(norm[0]),
        gradient_norm=norm,
        principal=tuple(principal),
        mean_square=np.array([np.mean(k**2) if k.size else np.nan for k in principal]),
    )


@dataclass(frozen=True, eq=False)
class LevelSetHessian:
    """Value, gradient (n,) and Hessian (n, n) of G with respect to one layer of n units."""

    value: float
    gradient: Array
    hessian: Array


def level_set_hessian(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike] | None,
    activation: ActivationLike,
    readout: ArrayLike,
    point: ArrayLike,
    *,
    layer: int = 0,
) -> LevelSetHessian:
    """Return value, gradient and exact Hessian of ``G = readout . h^L`` at a point.

    Parameters
    ----------
    weights, biases, activation, readout, point
        As in `level_set_curvature`.
    layer : int
        With respect to what: 0 is the input x, l is h^l; in [0, depth].

    Returns
    -------
    LevelSetHessian

    Raises
    ------
    ValueError, TypeError
        As `level_set_curvature`; a gradient of 0 is allowed here.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.manifold import level_set_hessian
    >>> found = level_set_hessian([np.eye(2), [[1.0, 1.0]]], None, "sin", [1.0], [0.5, 0.0])
    >>> found.hessian.round(6).tolist()
    [[-0.479426, 0.0], [0.0, 0.0]]
    """
    phi = as_activation(activation)
    matrices, offsets, read, start = _network(weights, biases, readout, point)
    space = integer("layer", layer, 0, len(matrices))
    value, gradients, hessians = _core.level_set_hessians(
        phi.core, matrices, offsets, read, start, space, space
    )
    return LevelSetHessian(value, gradients[0], hessians[0])


def level_set_hessians(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike] | None,
    activation: ActivationLike,
    readout: ArrayLike,
    point: ArrayLike,
) -> tuple[LevelSetHessian, ...]:
    """Return `level_set_hessian` of every layer, from the input to h^L, at the price of the first.

    Parameters
    ----------
    weights, biases, activation, readout, point
        As in `level_set_curvature`.

    Returns
    -------
    tuple of LevelSetHessian
        depth + 1 of them: index 0 is the input, l is h^l.

    Raises
    ------
    ValueError, TypeError
        As `level_set_hessian`.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.manifold import level_set_hessians
    >>> found = level_set_hessians([np.eye(2), [[1.0, 1.0]]], None, "sin", [1.0], [0.5, 0.0])
    >>> [item.hessian.shape for item in found]
    [(2, 2), (2, 2), (1, 1)]
    """
    phi = as_activation(activation)
    matrices, offsets, read, start = _network(weights, biases, readout, point)
    value, gradients, hessians = _core.level_set_hessians(
        phi.core, matrices, offsets, read, start, 0, len(matrices)
    )
    return tuple(
        LevelSetHessian(value, gradient, hessian)
        for gradient, hessian in zip(gradients, hessians, strict=True)
    )


def _network(
    weights: Any, biases: Any, readout: Any, point: Any
) -> tuple[list[Array], list[Array], Array, Array]:
    """Check that weights, biases, readout and point are numbers and fit together."""
    matrices = [real_array(f"weights[{i}]", w) for i, w in enumerate(_items("weights", weights))]
    if not matrices:
        msg = "weights must hold at least one matrix, got none"
        raise ValueError(msg)
    for i, w in enumerate(matrices):
        if w.ndim != 2 or w.size == 0:
            msg = f"weights[{i}] must be a matrix that is not empty, got shape {w.shape}"
            raise ValueError(msg)
        if i > 0 and w.shape[1] != matrices[i - 1].shape[0]:
            msg = (
                f"weights[{i}] must have {matrices[i - 1].shape[0]} columns, as many as "
                f"weights[{i - 1}] has rows, got shape {w.shape}"
            )
            raise ValueError(msg)
    if biases is None:
        offsets = [np.zeros(w.shape[0]) for w in matrices]
    else:
        given = _items("biases", biases)
        if len(given) != len(matrices):
            msg = f"biases must be None or {len(matrices)} vectors, one a layer, got {len(given)}"
            raise ValueError(msg)
        offsets = [
            _vector(f"biases[{i}]", b, w.shape[0])
            for i, (b, w) in enumerate(zip(given, matrices, strict=True))
        ]
    read = _vector("readout", readout, matrices[-1].shape[0])
    return matrices, offsets, read, _vector("point", point, matrices[0].shape[1])


def _items(name: str, value: Any) -> list[Any]:
    if isinstance(value, str | bytes) or not np.iterable(value):
        msg = f"{name} must be a sequence of arrays, got {value!r:.60}"
        raise TypeError(msg)
    return list(value)


def _vector(name: str, value: Any, n: int) -> Array:
    vector = real_array(name, value)
    if vector.shape != (n,):
        msg = f"{name} must have shape ({n},), got {vector.shape}"
        raise ValueError(msg)
    return vector
