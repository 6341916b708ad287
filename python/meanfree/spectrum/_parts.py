"""Parts of a spectrum: its atoms, how it was checked, and numbers given by logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isinf, log, nan

LN_10 = log(10.0)


@dataclass(frozen=True)
class Atom:
    """A point that many eigenvalues share: where it is, and which fraction is there.

    ``location`` is inf or 0 where a double overflows or underflows; ``log_location`` does neither.
    """

    location: float
    mass: float
    log_location: float


@dataclass(frozen=True)
class SpectrumDiagnostics:
    """How a spectrum was checked; a check that fails raises `ConvergenceError`.

    Attributes
    ----------
    total_mass : float
        Mass of bulk and atoms, by the closed form of the distribution function; should be 1.
    residual : float
        Largest error of the equation on the table, in log lambda.
    imaginary_part : float
        Smallest imaginary part of log x inside the bulk: positive on the right branch.
    newton_steps : float
        Newton steps for a point of the table, on average.
    effective_edges : (bool, bool)
        Whether the lower, upper edge is effective: the bulk formally goes on beyond it, with less
        than 1e-13 of the mass.
    slope_error : float
        Largest relative difference between E phi'(h)**2 of a layer's law and the mean-field
        average: at most 1e-9, or 1e-6 with a user's function; nan where there are no layers or the
        average is 0 or infinite.
    """

    total_mass: float
    residual: float
    imaginary_part: float
    newton_steps: float
    effective_edges: tuple[bool, bool]
    slope_error: float = nan


def exponential(logarithm: float) -> float:
    """Return exp(logarithm); inf or 0 beyond doubles."""
    try:
        return exp(logarithm)
    except OverflowError:
        return inf


def text_of(logarithm: float) -> str:
    """Write a number given by its logarithm, also one beyond doubles."""
    if abs(logarithm) < 600.0 or isinf(logarithm):
        return f"{exponential(logarithm):.6g}"
    return f"10**{logarithm / LN_10:.6g}"
