"""Spectra of Jacobians at infinite width: the functions that make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from meanfree import _core
from meanfree._check import LENGTH, Range, choice, integer, real, real_array
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._fixed_point import STATUSES
from meanfree.meanfield._propagate import propagate
from meanfree.spectrum._equation import Layers, atoms_of, depends_on_length, equation_of, laws_of
from meanfree.spectrum._parts import Atom, SpectrumDiagnostics, exponential
from meanfree.spectrum._result import JacobianSpectrum
from meanfree.spectrum._spread import mean_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from meanfree.spectrum._result import Equation

    Array: TypeAlias = NDArray[np.float64]
    Report: TypeAlias = Callable[[int], None] | None

Kind: TypeAlias = Literal["smooth", "bernoulli"]

_LARGEST_LENGTH = 1e20
_ALL_MASS = 1.0 - 1e-13
_VARIANCE = Range("finite and >= 0", 0.0, 100.0)
_NARROWEST = 1e-280  # relative variance of a limit whose width a double still tells
_DEEPEST = 1_000_000  # layers are kept one by one


def jacobian_spectrum(
    ensemble: Ensemble, depth: int, *, q: ArrayLike | None = None, progress: bool | None = None
) -> JacobianSpectrum:
    """Find the law of the squared singular values of the Jacobian of a deep network.

    Of ``J = D_L W_L .. D_1 W_1``, ``D_l = diag phi'(h^l)``, at infinite width, where all factors
    are free (Pennington, Schoenholz and Ganguli, 2017; Saxe, McClelland and Ganguli, 2014, for
    linear networks). The mean of lambda is ``prod_l sigma_w**2 E phi'(h^l)**2``.

    Parameters
    ----------
    ensemble : Ensemble
        With keep = 1.
    depth : int
        Layers, from 1 to 1,000,000.
    q : float or (depth,) array_like, optional
        Mean squared pre-activation: None takes q* for every layer, a number is that of h^1, from
        which the length map goes on, an array has one for each layer. In [0, 1e20].
    progress
        As in `length_map`; shows the time that has passed. The call takes milliseconds, but seconds
        with thousands of different lengths or a slow function of a user. It follows one curve from
        point to point, so that there is no work for threads.

    Returns
    -------
    JacobianSpectrum
        Density, distribution function, quantiles, moments, edges and atoms.

    Raises
    ------
    ValueError
        If a value is out of its range, keep is not 1, or q is not given, the length map diverges
        and the law of phi'(h)**2 depends on q (not so for linear, relu and leaky_relu).
    ConvergenceError
        If a check of the result fails, or the mean of the law of phi'(h)**2 is not E phi'(h)**2 of
        the mean-field theory to 1e-9, or 1e-6 with a user's function.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Density and distribution function are good to about 1e-12. Where phi' comes arbitrarily close to
    0 without vanishing, as for tanh, the bulk goes on below the lower edge that is returned, with
    less than 1e-13 of the mass.

    A law of phi'(h)**2 narrower than what its values can tell, with a standard deviation below 3e-9
    of its mean, is taken for one atom: for tanh that is q below 1e-9. `relative_variance` still is
    that of the law.

    Examples
    --------
    >>> import meanfree as mf
    >>> spectrum = mf.jacobian_spectrum(mf.critical("relu", weights="orthogonal"), 3)
    >>> spectrum.atoms[0].mass, round(spectrum.maximum, 9), round(spectrum.relative_variance, 9)
    (0.5, 6.75, 3.0)
    """
    e = _accepted(ensemble)
    depth = integer("depth", depth, 1, _DEEPEST)
    label = f"{e!r}, depth {depth}"
    return _product(e, [1] * (depth + 1), q, label, progress)


def rectangular_spectrum(
    ensemble: Ensemble,
    widths: Sequence[int],
    *,
    q: ArrayLike | None = None,
    progress: bool | None = None,
) -> JacobianSpectrum:
    """Find the spectrum of a Jacobian between layers of different widths.

    As `jacobian_spectrum`, for widths N_0 .. N_L in the limit where all of them are large and their
    ratios are kept (Chhaibi, Daouda and Kahn, 2021, for Gaussian weights).

    Parameters
    ----------
    ensemble : Ensemble
        With keep = 1. The singular values of orthogonal weights are
        ``sigma_w * sqrt(max(1, fan_out / fan_in))``.
    widths : sequence of int
        Of the input and of each layer, at least 2 numbers, each at least 1. Only ratios matter.
    q : float or (depth,) array_like, optional
        As in `jacobian_spectrum`; depth is ``len(widths) - 1``.
    progress
        As in `jacobian_spectrum`.

    Returns
    -------
    JacobianSpectrum
        Of the ``widths[-1]`` eigenvalues of J J^T.

    Raises
    ------
    ValueError, ConvergenceError, TypeError
        As `jacobian_spectrum`.

    Examples
    --------
    >>> import meanfree as mf
    >>> spectrum = mf.rectangular_spectrum(mf.Ensemble("linear", 1.0), [400, 100])
    >>> tuple(round(edge, 9) for edge in spectrum.edges)  # (1 -+ sqrt(100 / 400))**2
    (0.25, 2.25)
    """
    e = _accepted(ensemble)
    try:
        given = list(widths)
    except TypeError:
        msg = f"widths must be a sequence of integers, got {widths!r:.60}"
        raise TypeError(msg) from None
    if len(given) < 2:
        msg = f"widths must have at least 2 numbers, got {len(given)}"
        raise ValueError(msg)
    sizes = [integer(f"widths[{i}]", width, 1, 2**31 - 1) for i, width in enumerate(given)]
    shown = ", ".join(map(str, sizes if len(sizes) <= 6 else [*sizes[:3], "...", *sizes[-2:]]))
    return _product(e, sizes, q, f"{e!r}, widths {shown}", progress)


def universal_spectrum(kind: Kind, relative_variance: float) -> JacobianSpectrum:
    """Return the limit of infinite depth at a fixed relative variance, orthogonal weights, chi = 1.

    As the depth grows and phi'(h) concentrates at 1, only ``sigma_0**2``, the variance of lambda,
    is left of the activation (Pennington, Schoenholz and Ganguli, 2018), with m as in
    `jacobian_spectrum`:
    smooth, ``lambda = (1 + m) / m * exp(sigma_0**2 m)``;
    bernoulli, phi' either 0 or 1, ``lambda = (1 + m) / m * exp(sigma_0**2 m / (1 + m))``.

    Parameters
    ----------
    kind : {"smooth", "bernoulli"}
    relative_variance : float
        sigma_0**2, in [0, 100]. The Bernoulli limit has an atom of mass 1 - sigma_0**2 at
        exp(sigma_0**2) where that is positive. All is one atom, with `relative_variance` 0, below
        1e-280 and in the Bernoulli limit below 1e-13.

    Returns
    -------
    JacobianSpectrum
        With mean 1.

    Raises
    ------
    ValueError
        If the kind is unknown or the variance is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> tuple(round(edge, 7) for edge in mf.universal_spectrum("smooth", 0.25).edges)
    (0.3213189, 2.4237626)
    """
    kind = choice("kind", kind, get_args(Kind))  # type: ignore[assignment]
    s = real("relative_variance", relative_variance, _VARIANCE)
    smooth = kind == "smooth"
    atoms = np.zeros((2, 0))
    if not smooth and s < 1.0:
        atoms = np.array([[s], [1.0 - s]])
    label = f"the {kind} limit of relative variance {s:g}"
    return _limit(label, atoms, 0.0, s if smooth else 0.0, 0.0 if smooth else s)


def residual_spectrum(strength: float) -> JacobianSpectrum:
    """Return the limit of deep residual networks whose branches are weak.

    ``J = prod_l (I + X_l)`` with ``tr X_l X_l^T / N = strength / L`` and isotropic X_l, for L to
    infinity: the smooth law of `universal_spectrum` with ``sigma_0**2 = 2 strength``, scaled by
    ``exp(strength)``; any activation (Tarnowski et al., 2018).

    Parameters
    ----------
    strength : float
        Sum over blocks of the mean squared singular value of their branches, in [0, 50].

    Returns
    -------
    JacobianSpectrum
        With mean ``exp(strength)`` and relative variance ``2 strength``.

    Raises
    ------
    ValueError
        If the strength is out of its range.
    TypeError
        If it is not a number.

    Examples
    --------
    >>> import meanfree as mf
    >>> tuple(round(edge, 5) for edge in mf.residual_spectrum(0.5).edges)
    (0.12487, 8.00813)
    """
    c = real("strength", strength, Range("finite and >= 0", 0.0, 50.0))
    label = f"residual networks of strength {c:g}"
    return _limit(label, np.zeros((2, 0)), c, 2.0 * c, 0.0)


def _product(
    e: Ensemble, widths: Sequence[int], q: Any, label: str, progress: bool | None
) -> JacobianSpectrum:
    """Solve for a product of layers."""
    with progress_bar(progress, "spectrum", None) as report:
        lengths = _lengths(e, len(widths) - 1, q, report)
        if e.sigma_w == 0.0:
            return _pure_atoms(label, np.array([[-np.inf], [1.0]]))
        laws, index, starts = laws_of(e.activation, lengths, report)
        error = mean_error(e.activation, starts, laws)
        gain = 2.0 * float(np.log(e.sigma_w))
        turned = e.weights == "orthogonal"
        layers = Layers(laws, index, widths, gain, turned, e.activation, starts)
        atoms = atoms_of(layers)
        return _solved(label, atoms, lambda: equation_of(layers), report, layers, error)


def _limit(
    label: str, atoms: Array, constant: float, smooth: float, steps: float
) -> JacobianSpectrum:
    """Solve for a limit, whose equation is explicit in m."""
    if max(smooth, steps) < _NARROWEST:
        atoms = np.array([[constant], [1.0]])
    terms = np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]])
    constants = np.array([constant, smooth, steps])
    return _solved(label, atoms, lambda: ([], np.zeros((0, 2)), terms, constants), None)


def _solved(
    label: str,
    atoms: Array,
    make: Any,
    report: Report,
    layers: Layers | None = None,
    error: float = np.nan,
) -> JacobianSpectrum:
    if atoms[1].sum() > _ALL_MASS:
        return _pure_atoms(label, atoms, layers, error)
    equation: Equation = make()
    branch = _core.spectral_branch(equation, atoms, report)
    low, high = (bool(flag) for flag in branch["effective"])
    return JacobianSpectrum(
        label=label,
        atoms=_named(atoms),
        log_bulks=branch["bulks"],
        diagnostics=SpectrumDiagnostics(
            total_mass=branch["mass"] + float(atoms[1].sum()),
            residual=branch["residual"],
            imaginary_part=branch["imaginary_part"],
            newton_steps=branch["newton_steps"],
            effective_edges=(low, high),
            slope_error=error,
        ),
        _equation=equation,
        _table=branch["table"],
        _layers=layers,
    )


def _pure_atoms(
    label: str, atoms: Array, layers: Layers | None = None, error: float = np.nan
) -> JacobianSpectrum:
    mass = float(atoms[1].sum())
    return JacobianSpectrum(
        label=label,
        atoms=_named(atoms),
        log_bulks=np.zeros((0, 2)),
        diagnostics=SpectrumDiagnostics(mass, 0.0, np.inf, 0.0, (False, False), error),
        _equation=None,
        _table=(),
        _layers=layers,
    )


def _named(atoms: Array) -> tuple[Atom, ...]:
    logs, masses = atoms.tolist()
    rows = zip(logs, masses, strict=True)
    return tuple(Atom(exponential(log), mass, log) for log, mass in rows)


def _accepted(ensemble: object) -> Ensemble:
    e = as_ensemble(ensemble)
    if e.keep != 1.0:
        msg = (
            f"keep must be 1 for a spectrum (its factors are no longer those of J), got {e.keep!r}"
        )
        raise ValueError(msg)
    return e


def _lengths(e: Ensemble, depth: int, q: Any, report: Report) -> list[float]:
    """Return q of each layer; any number where the law of phi'**2 does not depend on it."""
    given = None if q is None else real_array("q", q, LENGTH)
    if given is not None and given.ndim and given.shape != (depth,):
        msg = f"q must be a number or have one for each of {depth} layers, got shape {given.shape}"
        raise ValueError(msg)
    if e.sigma_w == 0.0 or not depends_on_length(e.activation):
        return [1.0] * depth
    if given is None:
        return [_resting_length(e, report)] * depth
    if given.ndim:
        return [float(length) for length in given]
    lengths = propagate(e, depth, q=float(given), n_threads=1, progress=False).q
    if not (lengths <= _LARGEST_LENGTH).all():
        layer = int(np.argmin(lengths <= _LARGEST_LENGTH)) + 1
        msg = (
            f"q must be such that the length stays <= {_LARGEST_LENGTH:g}, which it leaves in "
            f"layer {layer} of {depth}; got {float(given)!r}"
        )
        raise ValueError(msg)
    return [float(length) for length in lengths]


def _resting_length(e: Ensemble, report: Report) -> float:
    """Return q*; at q* = 0 the law of phi'**2 is that of the limit q -> 0."""
    found = _core.fixed_points(
        e.activation.core, np.array([e.sigma_w]), np.array([e.sigma_b]), 1.0, 1, report, False
    )
    if STATUSES[found["status"][0]] == "diverges":
        msg = f"q must be given: the length of {e!r} diverges"
        raise ValueError(msg)
    return float(found["q"][0])
