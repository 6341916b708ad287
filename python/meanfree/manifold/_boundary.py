"""Curvature of the decision boundaries of random networks, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree import _core
from meanfree._axes import axes, label_layers
from meanfree._check import FINITE, POSITIVE_LENGTH, cores, integer, real, size
from meanfree._check import seed as check_seed
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._fixed_point import resting_length
from meanfree.meanfield._propagate import propagate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class BoundaryCurvature:
    """Principal curvatures of decision boundaries; made by `boundary_curvature`.

    Index l - 1 of a dimension ``depth`` is the boundary in the space of h^l. All errors are the
    spread between networks: each point lies on the boundary of a network of its own.

    Attributes
    ----------
    ensemble : Ensemble
    width, depth, n_points, seed : int
    q : float
        Variance of the inputs h^1.
    level : (n_points,) array
        What G is on the boundary of each network.
    points : (n_points, width) array
        The points, as h^1.
    residual : (n_points,) array
        Distance of each point from its boundary, |G - level| over the length of the gradient.
    gradient_norm : (n_points, depth) array
        Length of the gradient of G with respect to h^l.
    principal : (n_points, depth, width - 1) array
        Principal curvatures, falling; positive where the side G < level bulges outwards. Those of
        the last layer are 0. Their unit is 1 / (unit of h).
    mean_square, mean_square_error : (depth,) array
        Mean over curvatures and points of the squared curvature, and one standard error of it.
    theory : (depth,) array
        The prediction for wide networks of this width; inf where phi' jumps. 0 in the last layer,
        where the boundary is a plane.
    """

    ensemble: Ensemble
    width: int
    depth: int
    n_points: int
    seed: int
    q: float
    level: Array
    points: Array
    residual: Array
    gradient_norm: Array
    principal: Array
    mean_square: Array
    mean_square_error: Array
    theory: Array

    def network(self, index: int) -> tuple[list[Array], list[Array], Array]:
        """Return the network of a point: weights of layers 2 ... depth, biases, readout.

        With these, ``h = weights[l] @ phi(h) + biases[l]`` for each l takes ``points[index]`` to
        h^depth, and ``readout @ h`` is ``level[index]``.
        """
        sample = integer("index", index, 0, self.n_points - 1)
        e = self.ensemble
        return _core.boundary_network(
            e.sigma_w,
            e.sigma_b,
            int(e.weights == "orthogonal"),
            self.width,
            self.depth,
            self.seed,
            sample,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the root mean square per layer with two errors, the theory and the extremes.

        The band reaches from the least to the largest absolute value of the two extreme curvatures
        of a point. The last layer, where the boundary is flat, is not drawn on the logarithmic
        axis.
        """
        ax = axes(ax)
        layers = np.arange(1, self.depth + 1)
        rms = np.sqrt(self.mean_square)
        curved = rms > 0.0
        if curved.any():
            layers, rms = layers[curved], rms[curved]
            extreme = np.abs(self.principal[..., [0, -1]][:, curved])
            low, high = extreme.min(axis=(0, 2)), extreme.max(axis=(0, 2))
            band = ax.fill_between(layers, low, high, color="C1", alpha=0.25, label="extremes")
            error = self.mean_square_error[curved] / rms  # two errors of the root
            handles: list[object] = [
                ax.errorbar(layers, rms, error, fmt="C0o", label="root mean square"),
                band,
            ]
            theory = np.sqrt(self.theory[curved])
            if np.isfinite(theory).all() and (theory > 0.0).all():
                handles += ax.plot(layers, theory, "C0-", label="theory")
            ax.set(yscale="log")
        else:
            handles = list(ax.plot(layers, rms, "C0o", label="root mean square"))
        ax.set(ylabel="principal curvature")
        label_layers(ax, handles)
        return ax

    def __repr__(self) -> str:
        rms = np.sqrt(self.mean_square[0])
        error = 0.5 * self.mean_square_error[0] / rms if rms > 0.0 else 0.0
        lines = [
            f"BoundaryCurvature of {self.ensemble!r}",
            f"  {self.n_points} points, each of a network of its own, width {self.width}, depth "
            f"{self.depth}, q = {self.q:.6g}, seed {self.seed}",
            f"  root mean square at h^1: {rms:.4g} +- {error:.1g}, theory "
            f"{np.sqrt(self.theory[0]):.4g}"
            + (" (phi' jumps: all curvature is on the kinks)" if np.isinf(self.theory[0]) else ""),
            f"  extremes at h^1: {self.principal[:, 0].min():.4g} to "
            f"{self.principal[:, 0].max():.4g}",
        ]
        return "\n".join(lines)


def boundary_curvature(
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    n_points: int = 16,
    seed: int = 0,
    q: float | None = None,
    level: float | None = None,
    n_inputs: int = 256,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> BoundaryCurvature:
    """Measure how curved the decision boundaries of random networks are, layer by layer.

    The boundary is where ``G = w . h^L`` equals a level, w_i ~ N(0, 1 / width) (Poole et al.,
    2016). A network of its own is drawn for each point, so that the points are independent.
    Gradient and Hessian of G after h^l follow from those after h^{l+1},
    ``delta^l = D t``, ``H^l = D W^T H^{l+1} W D + diag(phi''(h^l) t)``, with ``t = W^T
    delta^{l+1}``, ``D = diag phi'(h^l)`` and ``H^L = 0``; with ``n = delta / |delta|`` and
    ``P = I - n n^T`` the principal curvatures are the eigenvalues of ``P H P / |delta|`` but for
    the one along n.

    Parameters
    ----------
    ensemble : Ensemble
        Gaussian or orthogonal weights; keep must be 1.
    width : int
        Units in a layer N, at least 2.
    depth : int
        Layers L, at least 1. Pre-activations h^1 are the input; h^L is read out.
    n_points : int
        Points, and networks, at least 2.
    seed : int
        In [0, 2**64 - 1]. The same seed gives the same bits for any number of threads.
    q : float, optional
        Variance of the inputs h^1, in (0, 1e20]; default q*.
    level : float, optional
        What G is on the boundary. None: halfway between its values at two random inputs, in each
        network; always to be found, also in the ordered phase, where the sign of G is the same
        nearly everywhere.
    n_inputs : int
        How many random inputs are tried in each network for two on different sides of the level,
        at least 2.
    n_threads, progress
        As in `length_map`. A thread keeps the (depth - 1) width**2 weights of one network.

    Returns
    -------
    BoundaryCurvature

    Raises
    ------
    ValueError
        If a value is out of its range; keep is not 1; no two of n_inputs inputs are on different
        sides of the level; no q is given and q* is 0 or infinite; the pre-activations overflow; or
        the gradient of G is 0 at the point, where a boundary has no normal. One such network of
        the n_points ends the call: about one in four of relu with width 2 and depth 4 is dead.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    The point lies on the arc between the two inputs, found by bisection, and is moved by Newton
    steps along the gradient to the precision of G.

    Theory: at infinite width the mean squared curvature obeys
    ``k_l^2 = chi_1 k_{l+1}^2 + chi_2 / (N chi_1)``, ``k_L = 0``, with chi_1 and chi_2 at the length
    of h^l: of the two terms of ``E tr (H^l)^2`` the first is ``chi_1^2 tr (H^{l+1})^2``, the second
    ``chi_2 |delta^{l+1}|^2``, and ``|delta^l|^2 = chi_1 |delta^{l+1}|^2``. In networks
    of width N the mean deviates from it by a few times L / N of itself, in either direction: at
    N = 96, L = 7 by up to -14 % for tanh with sigma_w = 4, +22 % for gelu with sigma_w = 1.5.

    Where phi' jumps (relu, hard_tanh, elu with alpha != 1, selu) all curvature that the kinks make
    sits in folds of the boundary, which no point hits: the curvatures are those of the smooth
    pieces, 0 for relu, while chi_2 and the theory are inf.

    Examples
    --------
    >>> import meanfree as mf
    >>> from meanfree.manifold import boundary_curvature
    >>> network = mf.Ensemble("tanh", 2.5, 0.3)
    >>> boundary = boundary_curvature(network, 60, 4, n_points=8)
    >>> boundary.principal.shape
    (8, 4, 59)
    >>> ratio = boundary.mean_square[:-1] / boundary.theory[:-1]
    >>> bool(abs(ratio - 1.0).max() < 0.4)
    True
    """
    e = as_ensemble(ensemble)
    if e.keep != 1.0:
        msg = f"keep must be 1 for a decision boundary, got {e.keep!r}"
        raise ValueError(msg)
    width, depth = size("width", width, 2), size("depth", depth)
    n_points, key = size("n_points", n_points, 2), check_seed(seed)
    length = resting_length(e) if q is None else real("q", q, POSITIVE_LENGTH)
    height = np.nan if level is None else real("level", level, FINITE)
    n_inputs = integer("n_inputs", n_inputs, 2, 2**24 - 1)
    threads = cores(n_threads)
    theory = _theory(e, width, depth, q)
    with progress_bar(progress, "points", n_points) as report:
        points, levels, residual, norm, principal = _core.simulate_boundaries(
            e.activation.core,
            e.sigma_w,
            e.sigma_b,
            int(e.weights == "orthogonal"),
            width,
            depth,
            length,
            height,
            n_inputs,
            n_points,
            key,
            threads,
            report,
        )
    squares = np.mean(principal**2, axis=2)
    return BoundaryCurvature(
        ensemble=e,
        width=width,
        depth=depth,
        n_points=n_points,
        seed=key,
        q=length,
        level=levels,
        points=points,
        residual=residual,
        gradient_norm=norm,
        principal=principal,
        mean_square=squares.mean(axis=0),
        mean_square_error=squares.std(axis=0, ddof=1) / np.sqrt(n_points),
        theory=theory,
    )


def _theory(e: Ensemble, width: int, depth: int, q: float | None) -> Array:
    """Return k^2 in each layer: chi_1 k^2 + chi_2 / (N chi_1) from the last one back."""
    lengths = propagate(e, depth, q=q).q
    theory = np.zeros(depth)
    unique, back = np.unique(lengths, return_inverse=True)
    moments = _core.gaussian_moments(e.activation.core, unique, 1, None)[3:5, back]
    gain = e.sigma_w**2
    with np.errstate(invalid="ignore", divide="ignore"):
        source = moments[1] / (width * moments[0])
    for layer in range(depth - 2, -1, -1):
        theory[layer] = gain * moments[0, layer] * theory[layer + 1] + source[layer]
    return theory
