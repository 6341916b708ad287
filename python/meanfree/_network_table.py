"""The audit as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meanfree.meanfield import fixed_point

if TYPE_CHECKING:
    from meanfree._network_result import Audit, Compared, LayerAudit


def table(audit: Audit) -> str:
    """Return the header, one line a layer, the findings and the suggestion."""
    lines = [
        f"model     {audit.model}",
        f"coverage  {audit.coverage}",
        f"phase     {_phase(audit)}",
        f"measured  {audit.n_samples} draws of the weights, {audit.n_inputs} inputs, "
        f"seed {audit.seed}; {audit.loss}",
        f"verdict   agrees if |theory - mean| <= {_allowed(audit)} standard errors (s.e.) + bound",
        f"bound     {audit.bound}",
        "",
    ]
    scale = audit.reference.gradient.measured
    scale = scale if scale > 0 and math.isfinite(scale) else 1.0
    names = max([len("layer"), *(len(layer.name) for layer in audit.layers)])
    shapes = max([len("shape"), *(len(_shape(layer)) for layer in audit.layers)])
    group = f"{'theory':>10}{'measured':>11}{'s.e.':>8}{'bound':>8}{'z':>7}"
    left = f"{'':>4}  {'layer':<{names}}  {'shape':<{shapes}}"
    title = f"|dE/dW|^2 / {audit.reference.name}"
    lines.append(f"{'':>{len(left)}}{'q':>10}{'':>{len(group) - 10}}  {title:>{len(group)}}")
    lines.append(f"{left}{group}  {group}  verdict")
    for number, layer in enumerate(audit.layers, start=1):
        lines.append(
            f"{number:>4}  {layer.name:<{names}}  {_shape(layer):<{shapes}}"
            f"{_numbers(layer.q, 1.0)}  {_numbers(layer.gradient, scale)}  {layer.verdict}"
            + (f": {layer.note}" if layer.note else "")
        )
    lines.append("")
    lines += [f"FINDING {i}  {text}" for i, text in enumerate(audit.findings, start=1)]
    if not audit.findings:
        lines.append("no findings")
    if audit.suggestion is not None:
        e = audit.suggestion
        lines.append(
            "FIX        meanfree.network.initialize(model, audit.suggestion, seed=0): "
            f"{e.activation}, {e.weights}, sigma_w = {e.sigma_w:.6g}, sigma_b = {e.sigma_b:.6g}"
        )
    return "\n".join(lines)


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


def _shape(layer: LayerAudit) -> str:
    return f"{layer.fan_in}-{layer.fan_out}" if layer.fan_in else layer.kind


def _numbers(compared: Compared, scale: float) -> str:
    measured = compared.measured
    if math.isnan(compared.theory):
        return (
            f"{'-':>10}{measured / scale:>11.3e}{_share(compared.error, measured)}{'-':>8}{'-':>7}"
        )
    return (
        f"{compared.theory / scale:>10.3e}{measured / scale:>11.3e}"
        f"{_share(compared.error, measured)}{_share(compared.bound, measured)}{_z(compared.z)}"
    )


def _share(part: float, whole: float) -> str:
    if not (whole > 0 and math.isfinite(whole) and math.isfinite(part)):
        return f"{'-':>8}"
    return f"{f'{part / whole:.2%}':>8}"


def _z(value: float) -> str:
    return f"{value:>+7.1f}" if math.isfinite(value) else f"{'-':>7}"
