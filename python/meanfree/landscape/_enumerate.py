"""Every critical point of a homogeneous polynomial on a sphere, by linear algebra.

The critical points of ``T x..x`` are the real ones among the solutions of ``T v..v = value v``
with one v fewer, of which there are ``((p - 1)**n - 1) / (p - 2)`` complex ones (Cartwright and
Sturmfels, 2013). As ``T x..x = x0**(p - 2) x`` they are read off the null space of the Macaulay
matrix: all of them, or an error.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement, permutations, product
from math import factorial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meanfree import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Complex = NDArray[np.complex128]
    Indices = NDArray[np.intp]

MOST = {2: 100, 3: 5, 4: 4, 5: 3, 6: 2}  # dimensions for p, beyond which a call takes seconds
_ATTEMPTS = 20
_APART = 1e-7  # closer ones cannot be told from one that was found twice
_REAL = 1e-8


class _Tables(NamedTuple):
    """Where monomials are, for one n and p."""

    form: Indices  # (n + 1)**(p - 1), the monomial that an entry of the tensor belongs to
    column: Indices  # shift, monomial of a form: where their product is
    low: Indices  # n + 1, monomial one degree lower: where its product with z_a is
    first: Indices  # where z_0 .. z_0 z_a is
    size: int


@lru_cache(maxsize=16)
def _tables(n: int, p: int) -> _Tables:
    degree = n * (p - 2) + 1

    def monomials(d: int) -> list[tuple[int, ...]]:
        return list(combinations_with_replacement(range(n + 1), d))

    def position(*parts: tuple[int, ...]) -> int:
        return where[tuple(sorted(sum(parts, ())))]

    terms, forms = monomials(degree), monomials(p - 1)
    where = {term: k for k, term in enumerate(terms)}
    place = {term: k for k, term in enumerate(forms)}
    return _Tables(
        np.array([place[tuple(sorted(i))] for i in product(range(n + 1), repeat=p - 1)]),
        np.array([[position(s, f) for f in forms] for s in monomials(degree - p + 1)]),
        np.array([[position(s, (a,)) for s in monomials(degree - 1)] for a in range(n + 1)]),
        np.array([position((0,) * (degree - 1), (a,)) for a in range(n + 1)]),
        len(terms),
    )


def symmetric(tensor: Array) -> Array:
    """Return the mean over all orders of the indices."""
    p = tensor.ndim
    total = np.zeros_like(tensor)
    for order in permutations(range(p)):
        total += tensor.transpose(order)
    return total / factorial(p)


def critical_points(tensor: Array) -> tuple[Array, Array]:
    """Return all unit v, up to sign, at which a symmetric tensor is critical, and its value there.

    Raises `ConvergenceError` where not all of the complex solutions are found.
    """
    n, p = tensor.shape[0], tensor.ndim
    if p == 2:
        values, vectors = np.linalg.eigh(tensor)
        return vectors.T, values
    wanted = ((p - 1) ** n - 1) // (p - 2)
    for attempt in range(_ATTEMPTS):  # two that are close may be mixed up in some coordinates
        found = _solutions(tensor, attempt)
        size = np.linalg.norm(found[:, 1:], axis=1)
        with np.errstate(divide="ignore"):
            last = np.argsort(size / np.abs(found[:, 0]))[1:]  # the first is x = 0
        v = found[last, 1:] / size[last, None]
        v, error = _polish(tensor, v, (found[last, 0] / size[last]) ** (p - 2))
        lines = v[:, :, None] * v[:, None, :].conj()  # the same for every phase
        distance = np.abs(lines[:, None] - lines).max(axis=(2, 3))
        different = ~np.any(np.tril(distance < _APART, -1), axis=1)
        if error < 1e-11 * np.abs(tensor).max() and np.count_nonzero(different) == wanted:
            real = different & (np.abs(lines.imag).max(axis=(1, 2)) < _REAL)
            return _real(tensor, lines[real].real)
    msg = f"only {np.count_nonzero(different)} of {wanted} complex solutions were told apart"
    raise _core.ConvergenceError(msg)


def n_negative(tensor: Array, v: Array, value: Array) -> NDArray[np.int64]:
    """Return the number of negative eigenvalues of the Hessian on the sphere, at each unit v."""
    p = tensor.ndim
    count = np.empty(len(v), dtype=np.int64)
    for k, unit in enumerate(v):
        curvature = (p - 1) * _contract(tensor, unit[None], p - 2)[0]
        across = np.linalg.svd(unit[None])[2][1:]
        hessian = across @ curvature @ across.T - value[k] * np.eye(len(unit) - 1)
        count[k] = np.count_nonzero(np.linalg.eigvalsh(hessian) < 0.0)
    return count


def _contract(tensor: NDArray[Any], v: NDArray[Any], times: int) -> NDArray[Any]:
    """Return the tensor applied to each row of v a number of times."""
    if times == 0:
        return np.broadcast_to(tensor, (len(v), *tensor.shape))
    result = np.moveaxis(np.tensordot(tensor, v, axes=(tensor.ndim - 1, 1)), -1, 0)
    for _ in range(times - 1):
        result = np.einsum("k...i,ki->k...", result, v)
    return result


def _solutions(tensor: Array, attempt: int) -> Complex:
    """Return the (p - 1)**n solutions (x0, x), one in a row, in coordinates turned at random."""
    n, p = tensor.shape[0], tensor.ndim
    tables = _tables(n, p)
    normal = _core.normals(attempt, 0, 0, (n + 1) ** 2).reshape(n + 1, n + 1)
    turn = np.linalg.qr(normal)[0]
    forms = np.zeros((n,) + (n + 1,) * (p - 1))
    forms[(slice(None), *(slice(1, None),) * (p - 1))] = tensor / np.abs(tensor).max()
    for i in range(n):
        forms[(i, *(0,) * (p - 2), i + 1)] -= 1.0
    for axis in range(1, p):
        forms = np.moveaxis(np.tensordot(forms, turn, axes=(axis, 1)), -1, axis)
    coefficients = np.zeros((n, tables.column.shape[1]))
    np.add.at(coefficients.T, tables.form, forms.reshape(n, -1).T)
    rows = np.zeros((n, len(tables.column), tables.size))
    for k, column in enumerate(tables.column):
        rows[:, k, column] = coefficients
    null = np.linalg.svd(rows.reshape(-1, tables.size))[2][-((p - 1) ** n) :].T
    vectors = np.linalg.eig(np.linalg.lstsq(null[tables.low[0]], null[tables.low[1]])[0])[1]
    solutions: Complex = (null[tables.first] @ vectors).T @ turn
    return solutions


def _polish(tensor: Array, start: Complex, value: Complex) -> tuple[Complex, float]:
    """Refine T v..v = value v by Newton's method, with start^H v = 1; return v, residual."""
    n, p = tensor.shape[0], tensor.ndim
    v, value = start.astype(complex), value * np.abs(tensor).max()
    slope = np.zeros((len(v), n + 1, n + 1), dtype=complex)
    slope[:, n, :n] = start.conj()
    right = np.zeros((len(v), n + 1), dtype=complex)
    for _ in range(30):
        once = _contract(tensor, v, p - 2)
        slope[:, :n, :n] = (p - 1) * once - value[:, None, None] * np.eye(n)
        slope[:, :n, n] = -v
        right[:, :n] = np.einsum("kij,kj->ki", once, v) - value[:, None] * v
        step = np.linalg.solve(slope, right[..., None])[..., 0]
        v, value = v - step[:, :n], value - step[:, n]
        if np.abs(step).max() < 1e-14:
            break
    v = v / np.linalg.norm(v, axis=1)[:, None]
    image = _contract(tensor, v, p - 1)
    value = (image * v.conj()).sum(axis=1)
    return v, float(np.abs(image - value[:, None] * v).max())


def _real(tensor: Array, lines: Array) -> tuple[Array, Array]:
    """Return the real vectors of which these are the projections, and their values."""
    row = np.argmax(np.einsum("kii->ki", lines), axis=1)
    v = lines[np.arange(len(lines)), row]
    v = v / np.linalg.norm(v, axis=1)[:, None]
    values: Array = (_contract(tensor, v, tensor.ndim - 1) * v).sum(axis=1)
    return v, values
