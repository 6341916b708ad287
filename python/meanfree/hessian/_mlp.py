"""Networks of any depth with their exact gradients and Hessians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from meanfree._check import Range, choice, cores, integer, real, real_array
from meanfree._check import seed as check_seed
from meanfree.activations import Activation, ActivationLike, as_activation
from meanfree.hessian import _density, _lanczos
from meanfree.hessian._point import Point
from meanfree.hessian._problem import NetworkProblem
from meanfree.hessian._samples import flatten, inputs, parameter_vector, targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from meanfree._krylov import Product
    from meanfree.hessian._density import SpectralDensity
    from meanfree.hessian._lanczos import Ritz

    Array = NDArray[np.float64]

Objective = Literal["mse", "cross_entropy"]
Kind = Literal["full", "gauss_newton"]
Which = Literal["largest", "smallest", "magnitude"]

_TOL = Range("in (0, 1]", 0.0, 1.0, open_low=True)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class MLP:
    """A network with given weights, and the derivatives of its loss up to the second.

    ``z^1 = W_1 x + b_1``, ``z^{l+1} = W_{l+1} phi(z^l) + b_{l+1}``; the output z^L is linear. The
    loss is the mean over samples of ``|z - y|**2 / 2`` or of the cross-entropy ``-sum_c y_c log
    softmax(z)_c``. Parameters are ordered W1 (row-major), b1, W2, ..., n in all.

    Parameters
    ----------
    weights : sequence of (n_l, n_{l-1}) array_like
        W_1 ... W_L, at least one.
    biases : sequence of (n_l,) array_like, or None
        b_1 ... b_L; None: 0, but parameters like any other.
    activation : str, Activation or callable
    objective : {"mse", "cross_entropy"}

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or a name is unknown.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    In all methods x is (n_samples, n_0) and y (n_samples, n_L), or, for the cross-entropy, labels
    (n_samples,) of integer type in [0, n_L - 1] or probabilities (n_samples, n_L). ``kind`` is
    "full" or "gauss_newton", the Hessian without the second derivatives of the outputs. Where phi'
    jumps, its delta functions are left out. ``n_threads`` and ``progress`` are as in `length_map`;
    results have the same bits for any number of threads. Methods raise a ValueError where x or y
    do not fit or the loss overflows, a MemoryError where the derivatives at all samples do not fit
    in memory, about four numbers for each sample and unit.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.hessian import MLP
    >>> random = np.random.default_rng(0)
    >>> net = MLP([random.normal(size=(4, 3)), random.normal(size=(2, 4))], None, "tanh")
    >>> x, y = random.normal(size=(20, 3)), random.normal(size=(20, 2))
    >>> hessian = net.hessian(x, y)
    >>> hessian.shape, bool(np.allclose(hessian @ net.parameters, net.hvp(x, y, net.parameters)))
    ((26, 26), True)
    >>> top = net.extreme_eigenvalues(x, y, 2)
    >>> bool(np.allclose(top.values, net.eigenvalues(x, y)[-2:])), top.converged.all().item()
    (True, True)
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activation: Activation
    objective: Objective

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike] | None = None,
        activation: ActivationLike = "tanh",
        objective: Objective = "mse",
    ) -> None:
        matrices, vectors = _layers(weights, biases)
        values = {
            "weights": matrices,
            "biases": vectors,
            "activation": as_activation(activation),
            "objective": choice("objective", objective, get_args(Objective)),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_0 ... n_L."""
        return (self.weights[0].shape[1], *(w.shape[0] for w in self.weights))

    @property
    def n_parameters(self) -> int:
        """How many weights and biases there are."""
        return sum(w.size + b.size for w, b in zip(self.weights, self.biases, strict=True))

    @property
    def parameters(self) -> Array:
        """All of them, W1 (row-major), b1, W2, ..."""
        return flatten(self.weights, self.biases)

    def with_parameters(self, w: ArrayLike) -> MLP:
        """Return a network of the same shape with other parameters, (n,)."""
        flat = real_array("w", w)
        if flat.shape != (self.n_parameters,):
            msg = f"w must have shape ({self.n_parameters},), got {flat.shape}"
            raise ValueError(msg)
        weights, biases, first = [], [], 0
        for matrix in self.weights:
            middle = first + matrix.size
            weights.append(flat[first:middle].reshape(matrix.shape))
            first = middle + matrix.shape[0]
            biases.append(flat[middle:first])
        return MLP(weights, biases, self.activation, self.objective)

    def value(self, x: ArrayLike, y: ArrayLike) -> float:
        """Return the loss."""
        return self._point(x, y).value()

    def gradient(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return the gradient of the loss, (n,)."""
        return self._point(x, y).gradient

    def hessian(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        kind: Kind = "full",
        n_threads: int | None = None,
        progress: bool | None = None,
    ) -> Array:
        """Return the Hessian of the loss or the Gauss-Newton matrix, (n, n), exactly symmetric.

        Every block of two layers is one product of matrices over the samples: about n_samples n**2
        operations. MemoryError before anything is allocated if the matrix does not fit.
        """
        full = _is_full(kind)
        return self._point(x, y).hessian(full=full, n_threads=n_threads, progress=progress)

    def hvp(
        self,
        x: ArrayLike,
        y: ArrayLike,
        v: ArrayLike,
        *,
        kind: Kind = "full",
        n_threads: int | None = None,
        progress: bool | None = None,
    ) -> Array:
        """Return products of the Hessian with vectors v (..., n), by the R-operator.

        Pearlmutter (1994): one pass forward and one back for each vector. `problem` keeps what the
        vectors have in common from one call to the next.
        """
        full = _is_full(kind)
        vectors = parameter_vector("v", v, self.n_parameters)
        return self._point(x, y).hvp(vectors, full=full, n_threads=n_threads, progress=progress)

    def problem(self, x: ArrayLike, y: ArrayLike, *, kind: Kind = "full") -> NetworkProblem:
        """Return the loss on these samples as a function of all parameters.

        With `kind` "gauss_newton" its `hessian` and `hvp` are those of the Gauss-Newton matrix, so
        that `optim.damped_newton` becomes the method of Levenberg (1944) and Marquardt (1963).
        """
        samples, wanted = (array.copy() for array in self._samples(x, y))  # for later calls

        def point(w: Array) -> Point:
            return Point(*self._architecture, w, samples, wanted, strict=False)

        return NetworkProblem(self.parameters, point, full=_is_full(kind))

    def eigenvalues(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        kind: Kind = "full",
        n_threads: int | None = None,
        progress: bool | None = None,
    ) -> Array:
        """Return all eigenvalues of the Hessian, rising, (n,).

        LAPACK, through scipy, on the matrix of `hessian`; MemoryError as there. Ctrl-C waits
        for LAPACK, seconds at 3,000 parameters.
        """
        from scipy.linalg import eigh

        matrix = self.hessian(x, y, kind=kind, n_threads=n_threads, progress=progress)
        # transposed: LAPACK's order of the same symmetric matrix, which it may overwrite
        values: Array = eigh(
            matrix.T, eigvals_only=True, driver="evd", overwrite_a=True, check_finite=False
        )
        return values

    def extreme_eigenvalues(
        self,
        x: ArrayLike,
        y: ArrayLike,
        k: int,
        *,
        which: Which = "largest",
        kind: Kind = "full",
        tol: float = 1e-10,
        max_steps: int | None = None,
        seed: int = 0,
        n_threads: int | None = None,
    ) -> Ritz:
        """Return k extreme eigenvalues of the Hessian with their vectors, without the matrix.

        Lanczos steps from a random start, each new direction made orthogonal to all before it,
        twice: no eigenvalue is found in copies. An eigenvalue that is exactly repeated counts once,
        unless there are fewer than k different ones.

        Parameters
        ----------
        x, y, kind, n_threads
            See `MLP`.
        k : int
            In [1, n].
        which : {"largest", "smallest", "magnitude"}
            The largest, the smallest (most negative), or those of the largest absolute value.
        tol : float
            In (0, 1]: the residuals to reach, in units of the largest absolute Ritz value. The
            error of a value is at most its residual, and of the order of its square where the
            neighbours are farther away.
        max_steps : int, optional
            Where to stop, converged or not; at least k, default n. Each step keeps a vector.
        seed : int
            Of the start.

        Returns
        -------
        Ritz
            With the residual norm of each pair, measured by one more product, and whether it
            converged.
        """
        n = self.n_parameters
        count = integer("k", k, 1, n)
        steps = n if max_steps is None else min(n, integer("max_steps", max_steps, count))
        point = self._point(x, y)
        return _lanczos.extreme(
            self._multiply(point, _is_full(kind), n_threads),
            n,
            count,
            which=choice("which", which, get_args(Which)),
            tol=real("tol", tol, _TOL),
            max_steps=steps,
            seed=check_seed(seed),
        )

    def spectral_density(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        n_probes: int = 8,
        n_steps: int = 60,
        seed: int = 0,
        kind: Kind = "full",
        n_threads: int | None = None,
    ) -> SpectralDensity:
        """Estimate the distribution of the eigenvalues of the Hessian, without the matrix.

        Stochastic Lanczos quadrature (Golub and Meurant, 1994; Lin, Saad and Yang, 2016): from each
        of n_probes >= 2 random vectors of signs, n_steps Lanczos steps (at most n) with full
        re-orthogonalisation.

        Returns
        -------
        SpectralDensity
        """
        n = self.n_parameters
        probes = integer("n_probes", n_probes, 2, 2**20)
        steps = integer("n_steps", n_steps, 1, n)
        start = check_seed(seed)
        multiply = self._multiply(self._point(x, y), _is_full(kind), n_threads)
        return _density.spectral_density(multiply, n, n_probes=probes, n_steps=steps, seed=start)

    def __repr__(self) -> str:
        sizes = "-".join(str(size) for size in self.sizes)
        return f"<MLP {sizes}, {self.activation}, {self.objective}, {self.n_parameters} parameters>"

    @property
    def _architecture(self) -> tuple[tuple[int, ...], Activation, Objective]:
        """All but the parameters."""
        return self.sizes, self.activation, self.objective

    def _samples(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        samples = inputs(x, self.sizes[0])
        return samples, targets(y, samples.shape[0], self.sizes[-1], self.objective)

    def _point(self, x: ArrayLike, y: ArrayLike) -> Point:
        return Point(*self._architecture, self.parameters, *self._samples(x, y))

    @staticmethod
    def _multiply(point: Point, full: bool, n_threads: int | None) -> Product:
        threads = cores(n_threads)
        return lambda v: point.hvp(v, full=full, n_threads=threads, progress=False)


def _is_full(kind: str) -> bool:
    return choice("kind", kind, get_args(Kind)) == "full"


def _layers(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike] | None
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    for name, given in (("weights", weights), ("biases", biases)):
        if given is not None or name == "weights":
            _check_sequence(name, given)
    matrices = tuple(real_array(f"weights[{i}]", w) for i, w in enumerate(weights))
    if not matrices:
        msg = "weights must be one matrix or more, got none"
        raise ValueError(msg)
    for i, w in enumerate(matrices):
        if w.ndim != 2 or 0 in w.shape or (i and w.shape[1] != matrices[i - 1].shape[0]):
            before = matrices[i - 1].shape[0] if i else "n_0 >= 1"
            msg = f"weights[{i}] must have shape (n >= 1, {before}), got {w.shape}"
            raise ValueError(msg)
    matrices = tuple(w.copy() for w in matrices)  # the caller may write on his
    if biases is None:
        return matrices, tuple(np.zeros(w.shape[0]) for w in matrices)
    vectors = tuple(real_array(f"biases[{i}]", b).copy() for i, b in enumerate(biases))
    if len(vectors) != len(matrices):
        msg = f"biases must be as many as weights, {len(matrices)}, got {len(vectors)}"
        raise ValueError(msg)
    for i, (w, b) in enumerate(zip(matrices, vectors, strict=True)):
        if b.shape != (w.shape[0],):
            msg = f"biases[{i}] must have shape ({w.shape[0]},), got {b.shape}"
            raise ValueError(msg)
    return matrices, vectors


def _check_sequence(name: str, given: object) -> None:
    if not hasattr(given, "__iter__"):
        msg = (
            f"{name} must be a sequence of arrays, got {given!r:.60} of type {type(given).__name__}"
        )
        raise TypeError(msg)
