"""Parts of an audit: one quantity of one layer, theory beside measurement; one layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["agrees", "disagrees", "measured"]

STANDARD_ERRORS = 4.0
"""A verdict allows this many standard errors beside the finite-width bound."""


@dataclass(frozen=True)
class Compared:
    """One quantity of one layer; theory and bound are nan where the layer is not modelled.

    Parameters
    ----------
    theory : float
        Mean-field prediction (infinite width).
    measured : float
        Mean over the draws.
    error : float
        One standard error of ``measured - theory``.
    bound : float
        How far the mean at the layer's width may lie from `theory`.
    allowed : float
        Standard errors that a verdict allows: 4, widened by Student's law for few draws.
    """

    theory: float
    measured: float
    error: float
    bound: float
    allowed: float = STANDARD_ERRORS

    @property
    def z(self) -> float:
        """Deviation in standard errors, the bound left aside; nan where there is no theory."""
        deviation = self.measured - self.theory
        if self.error > 0:
            return deviation / self.error
        return 0.0 if deviation == 0 else math.copysign(math.inf, deviation)

    @property
    def agrees(self) -> bool:
        """Whether the deviation is within `allowed` standard errors + `bound`."""
        return abs(self.measured - self.theory) <= self.allowed * self.error + self.bound

    def to_dict(self) -> dict[str, float | None]:
        """Return the numbers as plain data, None for what is not a finite number."""
        names = ("theory", "measured", "error", "bound", "allowed", "z")
        return {name: finite(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class LayerAudit:
    """One layer of an audited model.

    Parameters
    ----------
    name, kind : str
        Path of the module within the model, and its class.
    fan_in, fan_out : int
        Of its matrix; 0 if it has none.
    sigma_w, sigma_b : float
        Law of its weights: entry variance ``sigma_w**2 / fan_in``, bias variance ``sigma_b**2``;
        nan for layers other than linear ones.
    weights : str
        "gaussian" or "orthogonal", "" for layers other than linear ones.
    activation : str
        What its outputs go through, "" if nothing known.
    q : Compared
        Mean square of its outputs, over units, inputs and draws.
    gradient : Compared
        Sum of the squares of dE/dW; of the entries, so that sizes of layers matter.
    verdict : str
        "agrees" if both quantities do, "disagrees", or "measured" where there is no theory.
    note : str
        Why there is no theory, or what stands before the layer that has none.
    """

    name: str
    kind: str
    fan_in: int
    fan_out: int
    sigma_w: float
    sigma_b: float
    weights: str
    activation: str
    q: Compared
    gradient: Compared
    verdict: Verdict
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        plain = {
            name: finite(value) if isinstance(value, float) else value
            for name, value in vars(self).items()
        }
        return plain | {"q": self.q.to_dict(), "gradient": self.gradient.to_dict()}


def finite(value: float) -> float | None:
    """Return the number, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None
