"""Results of an audit: what theory says and what was measured, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._axes import axes
from meanfree.meanfield import fixed_point
from meanfree.network._parts import LayerAudit, finite
from meanfree.network._table import layer_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from meanfree.ensemble import Ensemble


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
        lines = [
            f"model     {self.model}",
            f"coverage  {self.coverage}",
            f"phase     {_phase(self)}",
            f"measured  {self.n_samples} draws of the weights, {self.n_inputs} inputs, "
            f"seed {self.seed}; {self.loss}",
            f"verdict   agrees if |theory - mean| <= {_allowed(self)} standard errors (s.e.) "
            "+ bound",
            f"bound     {self.bound}",
            "",
            *layer_lines(self.layers, self.reference),
            "",
        ]
        lines += [f"FINDING {i}  {text}" for i, text in enumerate(self.findings, start=1)]
        if not self.findings:
            lines.append("no findings")
        if self.suggestion is not None:
            e = self.suggestion
            lines.append(
                "FIX        meanfree.network.initialize(model, audit.suggestion, seed=0): "
                f"{e.activation}, {e.weights}, sigma_w = {e.sigma_w:.6g}, sigma_b = {e.sigma_b:.6g}"
            )
        return "\n".join(lines)

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


def _plain(ensemble: Ensemble | None) -> dict[str, Any] | None:
    if ensemble is None:
        return None
    return {
        "activation": str(ensemble.activation),
        "sigma_w": ensemble.sigma_w,
        "sigma_b": ensemble.sigma_b,
        "weights": ensemble.weights,
    }


def _allowed(audit: Audit) -> str:
    allowed = audit.reference.q.allowed
    return f"{allowed:.1f}" + (f" (4, widened for {audit.n_samples} draws)" if allowed > 4 else "")


def _phase(audit: Audit) -> str:
    e = audit.ensemble
    if e is None:
        return audit.phase
    q = fixed_point(e).q
    return (
        f"{audit.phase.upper()}  {e.activation}, {e.weights}  sigma_w^2={e.sigma_w**2:.4f}  "
        f"sigma_b^2={e.sigma_b**2:.4f}  q*={q:.3g}  chi_1={audit.chi_1:.4f}  "
        f"depth scale {audit.depth_scale:.3g} layers"
    )
