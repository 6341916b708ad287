"""Fixed points of the length map and of the correlation map, and their depth scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from meanfree import _core
from meanfree.ensemble import Ensemble, as_ensemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meanfree.activations import Activation

    Array = NDArray[np.float64]

Phase: TypeAlias = Literal["ordered", "critical", "chaotic", "undefined"]
Status: TypeAlias = Literal["converged", "marginal", "diverges", "collapsed_to_zero"]

# as the core numbers them
PHASES = np.array(["ordered", "critical", "chaotic", "undefined"])
STATUSES = np.array(["converged", "marginal", "diverges", "collapsed_to_zero"])
CRITICAL_BAND = 1e-12  # |chi_1 - 1| up to here counts as critical


@dataclass(frozen=True)
class FixedRoot:
    """A finite solution of V(q) = q: where it is, V'(q), and whether abs(V'(q)) < 1.

    Where V'(q) is exactly 1, `stable` is False although the length may settle there from one side
    or from both, as that of tanh does at sigma_w = 1, sigma_b = 0: the slope does not decide, and
    what is approached is approached more slowly than any exponential.
    """

    q: float
    slope: float
    stable: bool


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoint:
    """Where lengths and correlations settle in a deep network; made by `fixed_point`.

    Attributes
    ----------
    ensemble : Ensemble
    q : float
        q*, the mean squared pre-activation that the length map reaches from q = 1; inf where it
        diverges, 1 where every q is fixed.
    c : float
        c*, the stable fixed correlation; nan where it is undefined, at q* = 0 and q* = inf.
    delta : float
        1 - c*, free of cancellation.
    chi_1 : float
        ``sigma_w**2 E phi'(h)**2``, the mean squared stretch of a layer, without 1 / keep. Where q
        diverges its limit for q -> inf; nan if there is none.
    chi_2 : float
        ``sigma_w**2 E phi''(h)**2``; inf where phi' jumps. Where q diverges its limit, likewise.
    chi_c : float
        Slope of the correlation map at c*.
    length_slope : float
        Slope V'(q*) of the length map, with its sign.
    xi_q, xi_c : float
        Depth scales in layers, -1 / log abs(slope): inf for slope 1 (up to 1e-12), 0 for slope 0.
        xi_c is nan where c is, but for chi_1 = 1, where it is inf.
    xi_gradient : float
        -1 / log(chi_1 / keep): the depth in layers over which squared gradients shrink by e;
        negative where they explode.
    q_error : float
        Estimated absolute error of q.
    phase : {"ordered", "critical", "chaotic", "undefined"}
        By chi_1 < 1, abs(chi_1 - 1) <= 1e-12, chi_1 > 1; "undefined" where chi_1 is nan.
    status : {"converged", "marginal", "diverges", "collapsed_to_zero"}
        Of the iteration from q = 1; "marginal": every q is fixed, or abs(V' - 1) <= 1e-12.
    roots : tuple of FixedRoot
        Every isolated finite fixed point of the length map, ascending.
    """

    ensemble: Ensemble
    q: float
    c: float
    delta: float
    chi_1: float
    chi_2: float
    chi_c: float
    length_slope: float
    xi_q: float
    xi_c: float
    xi_gradient: float
    q_error: float
    phase: Phase
    status: Status
    roots: tuple[FixedRoot, ...]

    def __repr__(self) -> str:
        roots = ", ".join(f"{r.q:.6g}{'' if r.stable else ' (unstable)'}" for r in self.roots)
        return "\n".join(
            [
                f"FixedPoint of {self.ensemble!r}: {self.phase}, {self.status}",
                f"  q = {self.q:.10g} +- {self.q_error:.1g}   length slope {self.length_slope:.6g}",
                f"  c = {self.c:.10g}   slope chi_c {self.chi_c:.6g}",
                f"  chi_1 = {self.chi_1:.10g}   chi_2 = {self.chi_2:.6g}",
                f"  xi_q = {self.xi_q:.6g}   xi_c = {self.xi_c:.6g}   "
                f"xi_gradient = {self.xi_gradient:.6g} layers",
                f"  roots: {roots or 'none'}",
            ]
        )


def fixed_point(ensemble: Ensemble) -> FixedPoint:
    """Find where lengths and correlations settle, and how fast.

    The length ``q* = V(q*)``, ``V(q) = sigma_w**2 E phi(sqrt(q) z)**2 / keep + sigma_b**2``; the
    stable correlation ``c* = C(c*)``; the susceptibilities ``chi_1, chi_2`` and the depth scales
    ``xi_q, xi_c`` (Poole et al., 2016; Schoenholz et al., 2017).

    Parameters
    ----------
    ensemble : Ensemble

    Returns
    -------
    FixedPoint
        Floats; lengths in units of the pre-activation squared, depth scales in layers.

    Raises
    ------
    TypeError
        If the argument is not an ensemble.

    References
    ----------
    Poole et al. (2016), length map and correlation map. Schoenholz et al. (2017), depth scales
    and dropout.

    Examples
    --------
    >>> import meanfree as mf
    >>> point = mf.fixed_point(mf.Ensemble("tanh", 2.5, 0.3))
    >>> print(f"{point.q:.6f} {point.c:.6f} {point.chi_1:.6f} {point.xi_c:.3f} {point.phase}")
    4.079124 0.122104 1.585225 5.109 chaotic
    """
    e = as_ensemble(ensemble)
    found = fixed_points(e.activation, np.array([e.sigma_w]), np.array([e.sigma_b]), e.keep, 1)
    roots = _core.length_roots(e.activation.core, e.sigma_w, e.sigma_b, e.keep)
    phase, status = found.pop("phase")[0], found.pop("status")[0]
    return FixedPoint(
        ensemble=e,
        **{key: float(value[0]) for key, value in found.items()},
        phase=cast("Phase", str(PHASES[phase])),
        status=cast("Status", str(STATUSES[status])),
        roots=tuple(
            FixedRoot(float(q), float(slope), bool(abs(slope) < 1.0)) for q, slope in roots.T
        ),
    )


def fixed_points(
    phi: Activation,
    sigma_w: Array,
    sigma_b: Array,
    keep: float,
    n_threads: int,
    progress: Callable[[int], None] | None = None,
    *,
    grid: bool = False,
) -> dict[str, Any]:
    """Return the fields of FixedPoint, as arrays (n,), for n ensembles of one activation.

    ``phase`` and ``status`` are indices into PHASES and STATUSES. With `grid` the ensembles are
    all of sigma_w (n,) with all of sigma_b (m,), the arrays (n, m), and the averages of analytic
    activations are interpolated in q.
    """
    found: dict[str, Any] = dict(
        _core.fixed_points(
            phi.core, sigma_w, sigma_b, keep, n_threads, progress, interpolate=grid, grid=grid
        )
    )
    return found


def resting_length(ensemble: Ensemble) -> float:
    """Return q* where it can stand in for a q that was not given: finite and not 0."""
    e = ensemble
    found = fixed_points(e.activation, np.array([e.sigma_w]), np.array([e.sigma_b]), e.keep, 1)
    q = float(found["q"][0])
    if not 0.0 < q < np.inf:
        msg = f"q must be given: the length of {e!r} has the fixed point q* = {q:g}"
        raise ValueError(msg)
    return q
