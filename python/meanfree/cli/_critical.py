"""What ``meanfree critical`` prints, and how it and ``meanfree phase`` print a fixed point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meanfree.ensemble import Ensemble
from meanfree.meanfield import fixed_point

if TYPE_CHECKING:
    from meanfree.meanfield import FixedPoint

_POINT_FIELDS = ("q", "c", "chi_1", "chi_2", "xi_q", "xi_c", "xi_gradient", "phase", "status")


def point_data(point: FixedPoint) -> dict[str, Any]:
    """Return the fields of a fixed point under their names."""
    return {name: getattr(point, name) for name in _POINT_FIELDS}


def point_rows(point: FixedPoint) -> list[tuple[str, str]]:
    """Return the fields of a fixed point as pairs of words."""
    marks = {"q": "q*", "c": "c*"}
    return [
        (marks.get(name, name), value if isinstance(value, str) else f"{value:.10g}")
        for name, value in point_data(point).items()
    ]


def critical_data(activation: str, ensemble: Ensemble) -> dict[str, Any]:
    """Return a critical ensemble, its fixed point and that of torch's gain, if torch has one."""
    data = {
        "activation": activation,
        "weights": ensemble.weights,
        "sigma_w": ensemble.sigma_w,
        "sigma_b": ensemble.sigma_b,
        **point_data(fixed_point(ensemble)),
    }
    torch_gain = _torch_gain(activation)
    if torch_gain is not None:
        gain, point = torch_gain
        data["torch_gain"] = {"sigma_w": gain, "sigma_b": 0.0, **point_data(point)}
    return data


def critical_rows(activation: str, ensemble: Ensemble) -> list[tuple[str, str]]:
    """Return the same as pairs of words, with the lines of torch that set it."""
    rows = [
        ("ensemble", f"{activation}, {ensemble.weights} weights"),
        ("sigma_w", f"{ensemble.sigma_w:.10g}"),
        ("sigma_b", f"{ensemble.sigma_b:.10g}"),
        *point_rows(fixed_point(ensemble)),
    ]
    rows += [("" if i else "set it", line) for i, line in enumerate(_recipe(ensemble))]
    torch_gain = _torch_gain(activation)
    if torch_gain is not None:
        gain, point = torch_gain
        rows.append(
            (
                "remark",
                f"calculate_gain({activation!r}) = {gain:.4g} with sigma_b = 0 is "
                f"{point.phase}: chi_1 = {point.chi_1:.4f}",
            )
        )
    return rows


def _torch_gain(activation: str) -> tuple[float, FixedPoint] | None:
    from meanfree.network._findings import TORCH_GAIN

    gain = TORCH_GAIN.get(activation)
    return None if gain is None else (gain, fixed_point(Ensemble(activation, gain)))


def _recipe(ensemble: Ensemble) -> tuple[str, str]:
    weight = f"{ensemble.sigma_w:.10g}"
    if ensemble.weights == "orthogonal":
        line = f"torch.nn.init.orthogonal_(layer.weight, gain={weight})"
        note = "  # times sqrt(fan_out / fan_in) where the layer widens"
    else:
        line = f"torch.nn.init.normal_(layer.weight, std={weight} / math.sqrt(fan_in))"
        note = ""
    bias = (
        f"normal_(layer.bias, std={ensemble.sigma_b:g})"
        if ensemble.sigma_b
        else "zeros_(layer.bias)"
    )
    return f"{line}{note}", f"torch.nn.init.{bias}"
