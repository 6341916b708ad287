"""Least squares from the last hidden layer of a random network onto functions of the angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._check import Range, integer, precision, real, size
from meanfree._check import seed as check_seed
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from meanfree._check import Precision, PrecisionLike

    Array = NDArray[np.float64]
    Band = tuple[int, int]

_ARC = Range("in (0, 2 pi]", 0.0, 2 * np.pi, open_low=True)
_RADIUS = Range("finite and >= 0", 0.0, 1e20)
_RCOND = Range("in [0, 1)", 0.0, 1.0, open_high=True)
_BANDS = ((1, 20), (21, 60), (61, 120), (121, 199))


@dataclass(frozen=True, eq=False)
class FourierFit:
    """Errors of a regression onto random functions; made by `fit_fourier`.

    Attributes
    ----------
    frequencies : tuple of (int, int)
        Lowest and highest number of periods along the arc of each band.
    error : (n_frequencies,) array
        Mean over the outputs of 1 - cos(target, fit): 0 is a perfect fit, 1 none.
    error_error : (n_frequencies,) array
        One standard error of it over the outputs; nan for a single one. The network is the same.
    rank : int
        Singular values of the features that were kept.
    singular_values : (min(n_angles, width),) array
        Of the features, descending.
    rcond : float
        Those of at most this share of the largest are not kept.
    dtype : {"float64", "float32"}
    radius, arc : float
    """

    frequencies: tuple[Band, ...]
    error: Array
    error_error: Array
    rank: int
    singular_values: Array
    rcond: float
    dtype: Precision
    radius: float
    arc: float


def fourier_regression(
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    n_angles: int = 1000,
    n_outputs: int = 100,
    frequencies: Sequence[int | Band] | None = None,
    radius: float = 1.0,
    dtype: PrecisionLike = "float64",
    rcond: float | None = None,
    seed: int = 0,
    arc: float = np.pi,
    n_in: int = 500,
    progress: bool | None = None,
) -> Array:
    """Return how badly a random network's last hidden layer fits random functions on an arc.

    Inputs ``x(s) = radius (e_1 cos(arc s) + e_2 sin(arc s))``, s = 0, 1/n_angles, ..., on an arc
    in n_in dimensions; features phi(h^depth) of one random network; random functions with energy
    at given frequencies, fitted by linear least squares without intercept on all the angles
    (the experiment on deep and shallow networks of Poole et al., 2016, with a half circle of
    radius 1 in 500 dimensions).

    Parameters
    ----------
    ensemble : Ensemble
        Gaussian or orthogonal weights; keep must be 1.
    width : int
        Units in a hidden layer, at least 1.
    depth : int
        Hidden layers, at least 1.
    n_angles : int
        Inputs, at least 3. With as many units as angles anything can be fitted.
    n_outputs : int
        Functions for each frequency, at least 1.
    frequencies : sequence of int or (int, int), optional
        Periods along the arc; a pair (low, high) is a band with all of them, of equal energy. In
        [1, (n_angles - 1) // 2]: above, two frequencies agree on the angles. At least one.
        Default: the bands 1-20, 21-60, 61-120 and 121-199, or what of them is in that range.
    radius : float
        Length of the inputs, in [0, 1e20]. ``sqrt(n_in)`` gives h^1 the variance sigma_w**2 +
        sigma_b**2. It decides how nonlinear the first layer is.
    dtype : {"float64", "float32"}
        Precision of the network and of the least squares, also as numpy's type. It decides how many
        directions of the features can be told from rounding.
    rcond : float, optional
        Singular values of the features of at most rcond times the largest count as 0; in [0, 1).
        Default: the machine epsilon of `dtype` times ``max(n_angles, width)``.
    seed : int
        In [0, 2**64 - 1]. Both precisions use the same network and functions, to rounding.
    arc : float
        Angle of the arc, in (0, 2 pi]; the half circle by default.
    n_in : int
        Dimension of the inputs, at least 2.
    progress : bool, optional
        Whether to draw a progress bar; default: if stderr is a terminal and the call lasts.

    Returns
    -------
    (n_frequencies,) array
        Mean over the outputs of 1 - cos(target, fit). `fit_fourier` returns more: the numerical
        rank of the features, which together with dtype, rcond and radius is what the error
        depends on.

    Raises
    ------
    ValueError
        If a value is out of its range, keep is not 1 or the activations overflow `dtype`.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    There is no n_threads: the time goes into numpy's matrix products and singular value
    decomposition, which use the threads of its BLAS. The last bits may depend on their number, and
    Ctrl-C waits for the product or decomposition at hand.

    Examples
    --------
    >>> import meanfree as mf
    >>> from meanfree.manifold import fourier_regression
    >>> chaotic = mf.Ensemble("tanh", 4.0, 0.3)
    >>> options = {"n_angles": 400, "frequencies": [4, 40]}
    >>> for depth in (1, 4):
    ...     print(fourier_regression(chaotic, 100, depth, **options).round(2))
    [0.   0.89]
    [0.   0.09]
    """
    return fit_fourier(
        ensemble,
        width,
        depth,
        n_angles=n_angles,
        n_outputs=n_outputs,
        frequencies=frequencies,
        radius=radius,
        dtype=dtype,
        rcond=rcond,
        seed=seed,
        arc=arc,
        n_in=n_in,
        progress=progress,
    ).error


def fit_fourier(
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    n_angles: int = 1000,
    n_outputs: int = 100,
    frequencies: Sequence[int | Band] | None = None,
    radius: float = 1.0,
    dtype: PrecisionLike = "float64",
    rcond: float | None = None,
    seed: int = 0,
    arc: float = np.pi,
    n_in: int = 500,
    progress: bool | None = None,
) -> FourierFit:
    """Return the errors of `fourier_regression` with what they depend on.

    Parameters, errors and the experiment are those of `fourier_regression`.

    Returns
    -------
    FourierFit

    Notes
    -----
    One singular value decomposition of the features serves all frequencies: with U the kept left
    singular vectors the fit of a function f is ``U U^T f``, and the cosine ``|U^T f| / |f|``. Its
    distance from 1 is computed as ``|r|^2 / (|f|^2 (1 + cos))``, r = f - U U^T f, which is right
    to the square of the machine epsilon.

    Examples
    --------
    >>> import meanfree as mf
    >>> from meanfree.manifold import fit_fourier
    >>> chaotic = mf.Ensemble("tanh", 4.0, 0.3)
    >>> [fit_fourier(chaotic, 200, 1, rcond=1e-6, radius=radius).rank for radius in (1.0, 10.0)]
    [11, 35]
    """
    e = as_ensemble(ensemble)
    if e.keep != 1.0:
        msg = f"keep must be 1 for a regression, got {e.keep!r}"
        raise ValueError(msg)
    width, depth = size("width", width), size("depth", depth)
    n_angles, n_outputs = size("n_angles", n_angles, 3), size("n_outputs", n_outputs)
    bands = _bands(frequencies, (n_angles - 1) // 2)
    word: Precision = precision(dtype)
    kind: Any = np.dtype(word).type
    cut = float(np.finfo(kind).eps) * max(n_angles, width)
    cut = cut if rcond is None else real("rcond", rcond, _RCOND)
    length, angle = real("radius", radius, _RADIUS), real("arc", arc, _ARC)
    key, n_in = check_seed(seed), size("n_in", n_in, 2)

    inputs = length * _circle(angle * np.arange(n_angles) / n_angles)
    with progress_bar(progress, "steps", depth + 1 + len(bands)) as report:
        features = arc_features(e, width, depth, inputs.astype(kind), n_in, key, report)
        vectors, singular, _ = np.linalg.svd(features, full_matrices=False)
        values = singular.astype(np.float64)
        rank = int(np.count_nonzero(values > cut * values[0]))
        kept = vectors[:, :rank]
        errors = np.empty((len(bands), n_outputs))
        for i, band in enumerate(bands):
            if report is not None:
                report(depth + 1 + i)
            targets = _functions(band, n_angles, n_outputs, key, i).astype(kind)
            errors[i] = _distance(kept, targets)
    spread = errors.std(axis=1, ddof=1) if n_outputs > 1 else np.full(len(bands), np.nan)
    return FourierFit(
        frequencies=bands,
        error=errors.mean(axis=1),
        error_error=spread / np.sqrt(n_outputs),
        rank=rank,
        singular_values=values,
        rcond=cut,
        dtype=word,
        radius=length,
        arc=angle,
    )


def _distance(kept: NDArray[Any], targets: NDArray[Any]) -> Array:
    """Return 1 - cos of the angle between each column and its projection onto `kept`."""
    share = kept.T @ targets
    missing = (targets - kept @ share).astype(np.float64)
    squares = np.sum(targets.astype(np.float64) ** 2, axis=0)
    cosine = np.sqrt(np.sum(share.astype(np.float64) ** 2, axis=0) / squares)
    distance: Array = np.sum(missing**2, axis=0) / (squares * (1.0 + cosine))
    return np.minimum(distance, 1.0)


def _bands(frequencies: Any, highest: int) -> tuple[Band, ...]:
    if frequencies is None:
        return tuple((low, min(high, highest)) for low, high in _BANDS if low <= highest)
    if isinstance(frequencies, str | bytes) or not np.iterable(frequencies):
        msg = f"frequencies must be a sequence of integers or pairs, got {frequencies!r:.60}"
        raise TypeError(msg)
    bands = []
    for i, item in enumerate(frequencies):
        name = f"frequencies[{i}]"
        pair = list(item) if np.iterable(item) and not isinstance(item, str) else [item, item]
        if len(pair) != 2:
            msg = f"{name} must be an integer or a pair (low, high), got {item!r:.60}"
            raise ValueError(msg)
        low, high = (integer(name, number, 1, highest) for number in pair)
        if low > high:
            msg = f"{name} must have low <= high, got {(low, high)}"
            raise ValueError(msg)
        bands.append((low, high))
    if not bands:
        msg = f"frequencies must have at least one item, got {frequencies!r:.60}"
        raise ValueError(msg)
    return tuple(bands)


def _circle(theta: Array) -> Array:
    return np.stack([np.cos(theta), np.sin(theta)], axis=1)


def arc_features(
    e: Ensemble,
    width: int,
    depth: int,
    x: NDArray[Any],
    n_in: int,
    seed: int,
    report: Callable[[int], None] | None = None,
) -> NDArray[Any]:
    """Return phi(h^depth), (n, width), of inputs (n, 2) in a plane, in the precision of `x`."""
    for layer in range(depth):
        # only two columns of the first matrix meet the inputs
        weight = _weights(e, width, width, seed, layer) if layer else _plane(e, width, n_in, seed)
        bias = e.sigma_b * _core.normals(seed, 1, layer, width)
        with np.errstate(over="ignore", invalid="ignore"):
            h = x @ weight.T.astype(x.dtype) + bias.astype(x.dtype)
        if not np.isfinite(h).all():
            msg = (
                f"radius must keep pre-activations in the range of {x.dtype}, got one that is not "
                f"finite in layer {layer + 1} of {e!r}"
            )
            raise ValueError(msg)
        x = np.asarray(e.activation(h.astype(np.float64))).astype(x.dtype)
        if report is not None:
            report(layer + 1)
    return x


def _plane(e: Ensemble, width: int, n_in: int, seed: int) -> Array:
    """Return the first two columns of the first matrix."""
    if e.weights == "gaussian":
        plane: Array = _core.normals(seed, 0, 0, 2 * width).reshape(width, 2)
        return plane * float(e.sigma_w / np.sqrt(n_in))
    return _weights(e, width, n_in, seed, 0)[:, :2]


def _weights(e: Ensemble, n_out: int, n_in: int, seed: int, layer: int) -> Array:
    normal = _core.normals(seed, 0, layer, n_out * n_in)
    if e.weights == "gaussian":
        return normal.reshape(n_out, n_in) * float(e.sigma_w / np.sqrt(n_in))
    q, r = np.linalg.qr(normal.reshape(max(n_out, n_in), min(n_out, n_in)))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # uniform in the sense of Haar
    q *= e.sigma_w * np.sqrt(max(1.0, n_out / n_in))
    return q if n_out >= n_in else q.T


def _functions(band: Band, n_angles: int, n_outputs: int, seed: int, index: int) -> Array:
    """Return sums of cosines and sines with normal coefficients, (n_angles, n_outputs)."""
    many = np.arange(band[0], band[1] + 1)
    phase = 2 * np.pi * (np.outer(np.arange(n_angles), many) % n_angles) / n_angles
    normal = _core.normals(seed, 2, index, 2 * len(many) * n_outputs).reshape(-1, n_outputs)
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) @ normal
