"""Results of an audit: what theory says and what was measured, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from meanfree._axes import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from meanfree.ensemble import Ensemble

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


@dataclass(frozen=True, eq=False)
class Audit:
    """Theory beside measurement for every layer of a model.

    Parameters
    ----------
    model : str
        Class and shape of the model.
    layers : tuple of LayerAudit
        In the order of execution.
    ensemble : Ensemble or None
        Law of the bulk: the hidden layers that are alike.
    phase : str
        "ordered", "critical" or "chaotic"; "unknown" if nothing was modelled.
    chi_1 : float
        Growth of squared gradients a layer in the bulk.
    depth_scale : float
        Layers over which squared gradients change by a factor e, inf if critical.
    coverage : str
        How many layers were modelled, measured and skipped, and why.
    findings : tuple of str
        What is wrong, with numbers.
    suggestion : Ensemble or None
        Critical initialisation for `initialize`; None if none is needed or none exists.
    loss : str
        What E is.
    bound : str
        Where the finite-width bounds come from.
    n_samples, n_inputs, seed : int
        Draws, inputs of the batch, and the seed of the draws.
    """

    model: str
    layers: tuple[LayerAudit, ...]
    ensemble: Ensemble | None
    phase: str
    chi_1: float
    depth_scale: float
    coverage: str
    findings: tuple[str, ...]
    suggestion: Ensemble | None
    loss: str
    bound: str
    n_samples: int
    n_inputs: int
    seed: int

    @property
    def reference(self) -> LayerAudit:
        """The last layer that theory treats, or the last: gradients are shown relative to it."""
        modelled = [layer for layer in self.layers if layer.verdict != "measured"]
        return (modelled or list(self.layers))[-1]

    def table(self) -> str:
        """Return the audit as text, one line a layer."""
        from meanfree._network_table import table

        return table(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw squared gradients by layer: the theory as a line, the measurement as points."""
        ax = axes(ax)
        scale = self.reference.gradient.measured
        scale = scale if scale > 0 and math.isfinite(scale) else 1.0
        number = np.arange(1, len(self.layers) + 1)
        theory = np.array([layer.gradient.theory for layer in self.layers]) / scale
        measured = np.array([layer.gradient.measured for layer in self.layers]) / scale
        error = np.array([layer.gradient.error for layer in self.layers]) / scale
        lower = np.minimum(2 * error, 0.9 * measured)  # the axis has no room for 0
        ax.plot(number, theory, label="mean-field theory")
        ax.errorbar(
            number, measured, np.stack([lower, 2 * error]), fmt=".", label="measured, 2 s.e."
        )
        if np.any(measured > 0):
            ax.set_yscale("log")
        ax.set(
            xlabel="layer $l$",
            ylabel=r"$|\partial E/\partial W^l|^2$, last layer $=1$",
        )
        ax.legend()
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain data for JSON; what is not a finite number is None."""
        return {
            "model": self.model,
            "phase": self.phase,
            "chi_1": finite(self.chi_1),
            "depth_scale": finite(self.depth_scale),
            "coverage": self.coverage,
            "ensemble": _plain(self.ensemble),
            "findings": list(self.findings),
            "suggestion": _plain(self.suggestion),
            "loss": self.loss,
            "bound": self.bound,
            "n_samples": self.n_samples,
            "n_inputs": self.n_inputs,
            "seed": self.seed,
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def __str__(self) -> str:
        """Return the table."""
        return self.table()


def finite(value: float) -> float | None:
    """Return the number, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def _plain(ensemble: Ensemble | None) -> dict[str, Any] | None:
    if ensemble is None:
        return None
    return {
        "activation": str(ensemble.activation),
        "sigma_w": ensemble.sigma_w,
        "sigma_b": ensemble.sigma_b,
        "weights": ensemble.weights,
    }
