"""Monte Carlo of the singular values of Jacobians, and of products of a user's own matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from meanfree import _core
from meanfree._axes import axes
from meanfree._check import LENGTH, choice, cores, real, real_array, size
from meanfree._check import seed as check_seed
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._fixed_point import fixed_points
from meanfree.spectrum._equation import depends_on_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

Method = Literal["accurate", "fast"]


@dataclass(frozen=True, eq=False, repr=False)
class JacobianSample:
    """Singular values of simulated Jacobians; made by `simulate_jacobian`.

    Attributes
    ----------
    ensemble : Ensemble
    width, depth, n_samples, seed : int
    q : float
        Mean squared pre-activation of h^1.
    method : {"accurate", "fast"}
    log_singular_values : (n_samples, width) array
        Natural logarithms, descending in each row; -inf where a singular value is exactly 0.
    """

    ensemble: Ensemble
    width: int
    depth: int
    n_samples: int
    seed: int
    q: float
    method: Method
    log_singular_values: Array

    @property
    def singular_values(self) -> Array:
        """Singular values, (n_samples, width); 0 or inf beyond the range of a float."""
        with np.errstate(over="ignore", under="ignore"):
            values: Array = np.exp(self.log_singular_values)
        return values

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density of log10 lambda, lambda = s**2, of all networks together.

        The area is the fraction of singular values that are not 0.
        """
        ax = axes(ax)
        values = self.log_singular_values[np.isfinite(self.log_singular_values)]
        decades = values * (2.0 / np.log(10.0))
        bins = int(np.clip(2.0 * values.size ** (1 / 3), 10, 200))
        if values.size:
            weights = np.full(values.size, 1.0 / self.log_singular_values.size)
            heights, edges = np.histogram(decades, bins=bins, weights=weights)
            ax.stairs(heights / np.diff(edges), edges, fill=True, alpha=0.5, label="networks")
            ax.legend()
        ax.set(xlabel=r"$\log_{10}\lambda$", ylabel=r"density of $\log_{10}\lambda$")
        return ax

    def __repr__(self) -> str:
        finite = np.isfinite(self.log_singular_values)
        values = self.log_singular_values[finite]
        lines = [
            f"JacobianSample of {self.ensemble!r}",
            f"  {self.n_samples} networks of width {self.width}, depth {self.depth}, "
            f"q = {self.q:.6g}, method {self.method!r}, seed {self.seed}",
        ]
        if values.size:
            lines.append(f"  log s from {values.min():.6g} to {values.max():.6g}")
        if not finite.all():
            lines.append(f"  {1.0 - finite.mean():.4g} of them are 0")
        return "\n".join(lines)


def simulate_jacobian(
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    n_samples: int = 16,
    seed: int = 0,
    q: float | None = None,
    method: Method = "accurate",
    n_threads: int | None = None,
    progress: bool | None = None,
) -> JacobianSample:
    """Simulate the singular values of the Jacobian of random networks.

    The Jacobian of h^L after the input, ``J = D_L W_L ... D_1 W_1`` with ``D_l = diag phi'(h^l)``
    at the pre-activations of the same network (Pennington, Schoenholz and Ganguli, 2017). All
    layers have the same width; new weights and biases in every layer and network.

    Parameters
    ----------
    ensemble : Ensemble
        Gaussian or orthogonal weights; keep must be 1.
    width : int
        Units in a layer, at least 1.
    depth : int
        Layers L, at least 1.
    n_samples : int
        Independent networks, at least 1.
    seed : int
        In [0, 2**64 - 1]. The same seed gives the same bits for any number of threads.
    q : float, optional
        Variance of the pre-activations of layer 1, in [0, 1e20]; default q*. Where it is less than
        sigma_b**2, the biases of layer 1 have this variance and the input is 0.
    method : {"accurate", "fast"}
        "accurate": every logarithm is right to about 1e-10, at any condition number and depth, and
        there are exactly as many zeros as units without slope demand. "fast": from the product
        itself; values below about 1e-8 of the largest one are noise. With the same seed the two
        draw different networks.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    JacobianSample

    Raises
    ------
    ValueError
        If a value is out of its range, keep is not 1, the pre-activations overflow, or q is not
        given and the length map diverges (which does not matter for linear, relu and leaky_relu).
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    The law is that of networks with weights drawn and multiplied, for any width, although less is
    drawn: a matrix of weights meets the triangular factor of what came before, since ``W Q`` has
    the law of ``W``; rows of units without slope are left out; linear Gaussian networks are
    products of triangular matrices. The pre-activations h^1 are independent normals. That is what
    an input of fixed length gives with Gaussian weights; with orthogonal ones it would give a
    vector of fixed length, which differs at small widths.

    Free probability describes the bulk of the spectrum. One singular value can lie outside, since
    slopes and weights depend on each other through h: along h itself lengths shrink, and s is a
    little less than ``V'(q*)**L``: 0.020 for tanh tuned to depth 100, where that is 0.024 and the
    bulk ends near 0.5. Chapter 5 of the report compares it with its theory.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.Ensemble("tanh", 1.05, 0.05, weights="orthogonal")
    >>> sample = mf.simulate_jacobian(network, 50, 20, n_samples=4)
    >>> sample.log_singular_values.shape
    (4, 50)
    """
    e = as_ensemble(ensemble)
    if e.keep != 1.0:
        msg = f"keep must be 1 for a spectrum, got {e.keep!r}"
        raise ValueError(msg)
    width, depth = size("width", width), size("depth", depth)
    length = _start(e) if q is None else real("q", q, LENGTH)
    n_samples, key = size("n_samples", n_samples), check_seed(seed)
    word = choice("method", method, get_args(Method))
    threads = cores(n_threads)
    with progress_bar(progress, "networks", n_samples) as report:
        logs = _core.simulate_jacobian(
            e.activation.core,
            e.sigma_w,
            e.sigma_b,
            int(e.weights == "orthogonal"),
            width,
            depth,
            length,
            n_samples,
            key,
            get_args(Method).index(word),
            threads,
            report,
        )
    return JacobianSample(
        ensemble=e,
        width=width,
        depth=depth,
        n_samples=n_samples,
        seed=key,
        q=length,
        method="fast" if word == "fast" else "accurate",
        log_singular_values=logs,
    )


def log_singular_values(factors: Sequence[ArrayLike], *, progress: bool | None = None) -> Array:
    """Return the logarithms of the singular values of a product, without forming it.

    Of ``factors[-1] @ ... @ factors[0]``, each to about 1e-10 where the factors determine it as
    well, whatever the condition number of the product: over- and underflow do not happen.

    Parameters
    ----------
    factors : sequence of (m, n) array_like
        Matrices in the order in which they act on a vector; each has as many columns as the one
        before has rows.
    progress
        As in `length_map`. Factors follow one another, so that there is no work for threads;
        several products can be taken at the same time from threads of Python.

    Returns
    -------
    (min(rows of the last, columns of the first),) array
        Natural logarithms, descending; -inf for zeros that follow from the shapes and from rows
        and columns of zeros. A factor that is singular by rounding only gives a small number.

    Raises
    ------
    ValueError
        If the shapes do not chain, a factor is empty or has a value that is not finite.
    TypeError
        If the factors are not a sequence of arrays of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfree as mf
    >>> print(mf.log_singular_values([np.diag([1.0, 1e-3])] * 400))
    [    0.         -2763.10211159]
    """
    matrices = _matrices(factors)
    with progress_bar(progress, "factors", len(matrices)) as report:
        return _core.log_singular_values(matrices, report)


def _matrices(factors: Any) -> list[Array]:
    if isinstance(factors, str | bytes) or not np.iterable(factors):
        msg = f"factors must be a sequence of matrices, got {factors!r:.60}"
        raise TypeError(msg)
    matrices: list[Array] = []
    for index, factor in enumerate(factors):
        name = f"factors[{index}]"
        matrix = real_array(name, factor)
        if matrix.ndim != 2 or matrix.size == 0:
            msg = f"{name} must be a matrix that is not empty, got shape {matrix.shape}"
            raise ValueError(msg)
        if matrices and matrix.shape[1] != matrices[-1].shape[0]:
            msg = (
                f"{name} must have {matrices[-1].shape[0]} columns, as many as factors[{index - 1}]"
                f" has rows, got shape {matrix.shape}"
            )
            raise ValueError(msg)
        matrices.append(matrix)
    if not matrices:
        msg = "factors must hold at least one matrix, got none"
        raise ValueError(msg)
    return matrices


def _start(e: Ensemble) -> float:
    """Return q*; where the law of phi' does not depend on it, any length will do."""
    found = fixed_points(e.activation, np.array([e.sigma_w]), np.array([e.sigma_b]), e.keep, 1)
    q = float(found["q"][0])
    if not depends_on_length(e.activation) and not 0.0 < q < np.inf:
        return max(1.0, e.sigma_b**2)
    if not q < np.inf:
        msg = f"q must be given: the length of {e!r} diverges"
        raise ValueError(msg)
    return q
