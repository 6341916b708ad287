"""Theory beside simulation: one number of each, and whether they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

STANDARD_ERRORS = 4.0
"""A verdict allows this many standard errors beside the finite-width bound."""

MANY = 3.0
"""Deviations beyond this many standard errors are counted and set beside what chance gives."""


@dataclass(frozen=True)
class Comparison:
    """One predicted number beside its simulated estimate.

    Parameters
    ----------
    quantity : str
        What is compared, in plain text, unique within its figure.
    theory, estimate : float
        The prediction and the mean of the independent samples.
    standard_error : float
        One standard error of `estimate`, > 0 unless the estimate is exact.
    bound : float
        Finite-width bound, absolute and >= 0: how far the expectation of the estimate at the
        simulated width may lie from the infinite-width `theory`.
    bound_source : str
        Where `bound` comes from, in a few words.
    n_samples : int, optional
        Independent samples behind `standard_error`; sets how often `abs(z) > 3` is expected.
    """

    quantity: str
    theory: float
    estimate: float
    standard_error: float
    bound: float = 0.0
    bound_source: str = ""
    n_samples: int | None = None

    def __post_init__(self) -> None:
        """Refuse errors and bounds that would make every verdict agree."""
        for name in ("standard_error", "bound"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                message = f"{name} must be finite and >= 0, got {value!r} for {self.quantity}"
                raise ValueError(message)

    @property
    def z(self) -> float:
        """Deviation of the estimate from the theory in standard errors, the bound left aside."""
        deviation = self.estimate - self.theory
        if self.standard_error == 0:
            return 0.0 if deviation == 0 else math.copysign(math.inf, deviation)
        return deviation / self.standard_error

    @property
    def excess(self) -> float:
        """What of z the finite-width bound cannot explain: 0 within the bound."""
        beyond = max(abs(self.estimate - self.theory) - self.bound, 0.0)
        if math.isnan(self.z):
            return math.inf
        if self.standard_error == 0:
            return math.copysign(math.inf, self.z) if beyond else 0.0
        return math.copysign(beyond / self.standard_error, self.z)

    @property
    def agrees(self) -> bool:
        """Whether the deviation is within 4 standard errors + the finite-width bound."""
        allowed = STANDARD_ERRORS * self.standard_error + self.bound
        return abs(self.estimate - self.theory) <= allowed  # False for nan

    @property
    def verdict(self) -> str:
        """``"agrees"`` or ``"disagrees"``."""
        return "agrees" if self.agrees else "disagrees"

    @property
    def severity(self) -> float:
        """Deviation as a share of what the verdict allows; more than 1 disagrees."""
        allowed = STANDARD_ERRORS * self.standard_error + self.bound
        deviation = abs(self.estimate - self.theory)
        if math.isnan(deviation):
            return math.inf
        if allowed == 0:
            return 0.0 if deviation == 0 else math.inf
        return deviation / allowed

    @property
    def expected_beyond(self) -> float:
        """Probability of `abs(z) > 3` by chance (Student's t, `n_samples` - 1 degrees)."""
        from scipy import special  # one call a comparison: scipy.stats would cost a second

        if self.n_samples is None:
            return float(2.0 * special.ndtr(-MANY))
        return float(2.0 * special.stdtr(max(self.n_samples - 1, 1), -MANY))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, z and the verdict as plain data."""
        return {
            "quantity": self.quantity,
            "theory": self.theory,
            "estimate": self.estimate,
            "standard_error": self.standard_error,
            "bound": self.bound,
            "bound_source": self.bound_source,
            "n_samples": self.n_samples,
            "z": self.z,
            "z_beyond_bound": self.excess,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Tally:
    """Summary of many comparisons.

    Parameters
    ----------
    n_comparisons, n_disagreeing : int
    n_beyond : int
        Comparisons whose deviation is more than 3 standard errors beyond the finite-width bound.
    expected_beyond : float
        How many of these chance alone makes, if every bias is within its bound: at most this many.
    worst_z : float
        The largest deviation beyond the bound, in standard errors.
    """

    n_comparisons: int
    n_disagreeing: int
    n_beyond: int
    expected_beyond: float
    worst_z: float

    @classmethod
    def of(cls, comparisons: Sequence[Comparison]) -> Tally:
        """Count verdicts and large deviations."""
        excess = [abs(item.excess) for item in comparisons]
        return cls(
            n_comparisons=len(comparisons),
            n_disagreeing=sum(not item.agrees for item in comparisons),
            n_beyond=sum(value > MANY for value in excess),
            expected_beyond=sum(item.expected_beyond for item in comparisons),
            worst_z=max(excess, default=0.0),
        )


def worst(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the comparison nearest to (or furthest beyond) what its verdict allows."""
    return max(comparisons, key=lambda item: item.severity, default=None)


def _decimals(error: float) -> int:
    """Return the decimals that show two significant digits of `error`."""
    return max(0, 1 - math.floor(math.log10(error)))


def with_error(value: float, error: float) -> str:
    """Write ``0.6071 ± 0.0012``, or ``(8.4 ± 0.9)e-22`` where plain decimals are unreadable.

    Examples
    --------
    >>> with_error(0.60711, 0.00123)
    '0.6071 ± 0.0012'
    >>> with_error(8.41e-22, 0.9e-22)
    '(8.41 ± 0.90)e-22'
    """
    if not (math.isfinite(value) and math.isfinite(error)):
        return f"{value:g} ± {error:g}"
    if error == 0:
        return f"{value:.6g} ± 0"
    size = max(abs(value), error)
    exponent = math.floor(math.log10(size))
    if -4 < exponent < 5:
        digits = _decimals(error)
        return f"{value:.{digits}f} ± {error:.{digits}f}"
    scale = 10.0**exponent
    digits = min(_decimals(error / scale), 6)
    return f"({value / scale:.{digits}f} ± {error / scale:.{digits}f})e{exponent:+03d}"


def z_text(item: Comparison, digits: int) -> str:
    """Write z with its sign, or a dash where the estimate is exact and within its bound.

    Examples
    --------
    >>> z_text(Comparison("slope", 1.0, 1.1, 0.05), 1)
    '+2.0'
    >>> z_text(Comparison("count", 1.0, 1.1, 0.0, bound=0.2), 1)
    '-'
    """
    if item.standard_error == 0 and item.agrees:
        return "-"
    return f"{item.z:+.{digits}f}"


def like(value: float, error: float) -> str:
    """Write `value` with one digit more than an estimate with `error` would show.

    Examples
    --------
    >>> like(0.607046793, 0.00123)
    '0.60705'
    """
    if not math.isfinite(value) or error == 0 or not math.isfinite(error):
        return f"{value:.6g}"
    exponent = math.floor(math.log10(max(abs(value), error)))
    if -4 < exponent < 5:
        return f"{value:.{min(_decimals(error) + 1, 12)}f}"
    digits = min(_decimals(error / 10.0**exponent) + 1, 12)
    return f"{value:.{digits}e}"
