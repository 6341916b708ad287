"""The layers of an audit as lines of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfree.network._parts import Compared, LayerAudit


def layer_lines(layers: Sequence[LayerAudit], reference: LayerAudit) -> list[str]:
    """Return two lines of titles and one a layer, gradients relative to those of `reference`."""
    scale = reference.gradient.measured
    scale = scale if scale > 0 and math.isfinite(scale) else 1.0
    names = max([len("layer"), *(len(layer.name) for layer in layers)])
    shapes = max([len("shape"), *(len(_shape(layer)) for layer in layers)])
    group = f"{'theory':>10}{'measured':>11}{'s.e.':>8}{'bound':>8}{'z':>7}"
    left = f"{'':>4}  {'layer':<{names}}  {'shape':<{shapes}}"
    title = f"|dE/dW|^2 / {reference.name}"
    lines = [f"{'':>{len(left)}}{'q':>10}{'':>{len(group) - 10}}  {title:>{len(group)}}"]
    lines.append(f"{left}{group}  {group}  verdict")
    for number, layer in enumerate(layers, start=1):
        lines.append(
            f"{number:>4}  {layer.name:<{names}}  {_shape(layer):<{shapes}}"
            f"{_numbers(layer.q, 1.0)}  {_numbers(layer.gradient, scale)}  {layer.verdict}"
            + (f": {layer.note}" if layer.note else "")
        )
    return lines


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
