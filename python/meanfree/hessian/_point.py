"""The loss of a network at one set of parameters, and what its derivatives have in common."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfree import _core
from meanfree._check import cores
from meanfree._memory import require_memory
from meanfree._progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.activations import Activation

    Array = NDArray[np.float64]

_LARGE = 2**26  # bytes of a tape from which on it is asked whether they are there
_SMALL = 10**7  # products in a Hessian for which threads are not worth their start
_INSTEAD = "hvp, extreme_eigenvalues and spectral_density need no matrix"


class Point:
    """The loss of a network at some parameters w on checked samples."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        activation: Activation,
        objective: str,
        w: Array,
        x: Array,
        y: Array,
        *,
        strict: bool = True,
    ) -> None:
        self.parameters = w
        self._strict = strict
        self._phi = activation.core
        self._network = (list(sizes), w, objective == "cross_entropy")
        self._x, self._y = x, y

    def value(self) -> float:
        """Return the loss; where it overflows: ValueError, or if not strict inf or nan."""
        return self._checked(_core.mlp_value(self._phi, *self._network, self._x, self._y))

    @property
    def is_finite(self) -> bool:
        """Is the loss finite? There are no derivatives otherwise."""
        return bool(np.isfinite(self._passes[0]))

    def _checked(self, value: float) -> float:
        if self._strict and not np.isfinite(value):
            msg = f"the loss must be finite, got {value}: the outputs of the network overflow"
            raise ValueError(msg)
        return value

    @property
    def n_bytes(self) -> int:
        """How much memory the derivatives have in common, and the gradient."""
        return self._passes[1].nbytes + self._passes[2].nbytes

    @property
    def gradient(self) -> Array:
        """The gradient; a copy, since the caller may write on it."""
        return self._passes[1].copy()

    @cached_property
    def _passes(self) -> tuple[float, Array, Array]:
        sizes, _, with_probabilities = self._network
        outputs = sizes[-1] * (2 if with_probabilities else 1)
        columns = sizes[0] + 4 * sum(sizes[1:-1]) + len(sizes) - 1 + outputs
        wanted = 8 * len(self._x) * columns
        if wanted > _LARGE:
            what = f"derivatives at {len(self._x)} samples want"
            require_memory(what, wanted, "take fewer samples")
        passes = _core.mlp_tape(self._phi, *self._network, self._x, self._y)
        self._checked(passes[0])
        return passes

    def hessian(
        self, *, full: bool = True, n_threads: int | None = None, progress: bool | None = None
    ) -> Array:
        """Return the matrix."""
        n = self.parameters.size
        small = n_threads is None and len(self._x) * n * n < _SMALL
        threads = 1 if small else cores(n_threads)
        require_memory(f"a Hessian of {n} parameters wants", 8 * n * n, _INSTEAD)
        tape = self._passes[2]
        with progress_bar(progress, "Hessian", 1000) as report:
            return _core.mlp_hessian(*self._network, len(self._x), tape, full, threads, report)

    def hvp(
        self,
        v: Array,
        *,
        full: bool = True,
        n_threads: int | None = None,
        progress: bool | None = None,
    ) -> Array:
        """Return the products with vectors (..., n)."""
        threads = cores(n_threads)
        tape, rows = self._passes[2], np.ascontiguousarray(v).reshape(-1, v.shape[-1])
        with progress_bar(progress, "Hessian-vector products", len(rows)) as report:
            products = _core.mlp_hvp(
                *self._network, len(self._x), tape, full, rows, threads, report
            )
        return products.reshape(v.shape)
