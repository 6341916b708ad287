"""What an audit says in words: the bulk law and its phase, coverage, findings, a way out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree.activations import Activation, activation
from meanfree.ensemble import Ensemble
from meanfree.meanfield import correlation_slope, critical, fixed_point
from meanfree.network._chain import IDENTITY, Chain, Layer, Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meanfree.network._draw import Law
    from meanfree.network._parts import LayerAudit

    Array = NDArray[np.float64]

_MANY = 1e3  # squared gradients that change by less over the whole depth are no finding
_PARAMETER = {"leaky_relu": "negative_slope", "elu": "alpha", "shifted_relu": "shift"}
_SIGMA_B = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # tried in turn for a critical point
# What torch.nn.init.calculate_gain recommends; orthogonal_ and kaiming_ take it as sigma_w.
TORCH_GAIN = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1.0 + 0.01**2)),
    "selu": 0.75,
}


def to_activation(spec: Spec) -> Activation:
    """Return the activation that a pair of name and parameter stands for."""
    name, value = spec
    return activation(name, **({_PARAMETER[name]: value} if name in _PARAMETER else {}))


@dataclass(frozen=True)
class Bulk:
    """The law of the hidden layers that are alike, and its phase."""

    ensemble: Ensemble | None
    phase: str
    chi_1: float
    depth_scale: float


def bulk(chain: Chain, laws: Sequence[Law | None], last_length: float) -> Bulk:
    """Return the most common law of the hidden layers; chi_1 = 1 within its own uncertainty.

    The uncertainty is four standard errors of the variance of as many normal weights, or the
    rounding of orthogonal ones.
    """
    modelled = [
        (layer, law)
        for layer, law in zip(chain.layers, laws, strict=True)
        if layer.is_modelled and law is not None
    ]
    active = [(layer, law) for layer, law in modelled if layer.following is not None]
    hidden = [(a, b) for a, b in active if a.source is not None and a.after is not None]
    chosen = hidden or active or modelled
    if not chosen:
        return Bulk(None, "unknown", math.nan, math.nan)
    kinds = Counter((layer.following or IDENTITY, law.weights) for layer, law in chosen)
    (spec, weights), _ = kinds.most_common(1)[0]
    alike = [(a, b) for a, b in chosen if ((a.following or IDENTITY), b.weights) == (spec, weights)]
    middle = float(np.median([law.sigma_w for _, law in alike]))
    alike = [(a, b) for a, b in alike if abs(b.sigma_w - middle) <= 0.15 * middle]
    sigma_w = math.sqrt(np.mean([law.sigma_w**2 for _, law in alike]))
    sigma_b = math.sqrt(np.mean([law.sigma_b**2 for _, law in alike]))
    ensemble = Ensemble(to_activation(spec), sigma_w, sigma_b, weights=weights)
    chi_1 = float(fixed_point(ensemble).chi_1)
    if math.isnan(chi_1):
        chi_1 = float(correlation_slope(ensemble, 1.0, q=last_length))
    n_weights = sum(layer.fan_in * layer.fan_out for layer, _ in alike)
    tolerance = 1e-5 if weights == "orthogonal" else min(0.1, 4 * math.sqrt(2 / n_weights))
    if abs(chi_1 - 1) <= tolerance:
        return Bulk(ensemble, "critical", chi_1, math.inf)
    scale = 1 / abs(math.log(chi_1)) if chi_1 > 0 else 0.0
    return Bulk(ensemble, "ordered" if chi_1 < 1 else "chaotic", chi_1, scale)


def coverage(chain: Chain) -> str:
    """Return how many layers were modelled, measured only and skipped, and why."""
    layers = chain.layers
    modelled = [layer for layer in layers if layer.is_modelled]
    total = len(layers) + len(chain.skipped)
    text = f"{len(modelled)} of {total} layers modelled"
    restarted = Counter(layer.restart for layer in modelled if layer.restart)
    if restarted:
        text += f" ({restarted.total()} from measured inputs: after {_counted(restarted)})"
    measured = Counter(f"{layer.kind}: {layer.reason}" for layer in layers if layer.reason)
    text += f", {measured.total()} measured only"
    text += f" ({_counted(measured)})" if measured else ""
    text += f", {len(chain.skipped)} skipped"
    if chain.skipped:
        text += f" ({'; '.join(f'{name}: {why}' for name, why in chain.skipped)})"
    return text


def _counted(reasons: Counter[str]) -> str:
    return "; ".join(f"{n} x {reason}" if n > 1 else reason for reason, n in reasons.items())


def longest_chain(chain: Chain) -> list[int]:
    """Return the modelled layers of the longest chain, first to last."""
    ends = Counter(chain.end(i) for i, layer in enumerate(chain.layers) if layer.is_modelled)
    if not ends:
        return []
    end = ends.most_common(1)[0][0]
    return [i for i, item in enumerate(chain.layers) if item.is_modelled and chain.end(i) == end]


def findings(
    layers: Sequence[LayerAudit],
    covariance: Sequence[Array | None],
    members: Sequence[int],
    state: Bulk,
    *,
    is_zero_input: bool,
) -> tuple[list[str], bool]:
    """Return the findings, and whether gradients or signals die or explode.

    Inputs that are all zero say nothing of the weights: no blame is laid on them then.
    """
    found: list[str] = []
    is_bad = False
    audited = [layers[i] for i in members]
    if is_zero_input:
        found.append(
            "the inputs are all zero: nothing but biases reaches the layers, and the first one "
            "gets no gradient whatever its weights are; audit with real inputs"
        )
    elif len(audited) > 1:
        found += _gradients(audited, state) + _lengths(audited, state)
        is_bad = bool(found)
        found += _likeness([covariance[i] for i in members])
    if is_bad:
        found += _torch_gain(state, len(audited))
    if members and not is_zero_input:
        first = covariance[members[0]]
        cosine = _mean_cosine(first)
        if cosine > 0.95:
            found.append(
                f"inputs are nearly parallel: the mean correlation of two of them is {cosine:.4f} "
                f"at {audited[0].name}"
            )
    wrong = [layer.name for layer in layers if layer.verdict == "disagrees"]
    if wrong:
        names = ", ".join(wrong[:6]) + (", ..." if len(wrong) > 6 else "")
        found.append(f"theory and measurement disagree in {len(wrong)} layers: {names}")
    lost = [layer.name for layer in layers if not math.isfinite(layer.gradient.measured)]
    if lost:
        found.append(f"numbers overflow: the gradient is not finite in {len(lost)} layers")
    return found, is_bad


def _gradients(audited: Sequence[LayerAudit], state: Bulk) -> list[str]:
    first, last = audited[0], audited[-1]
    if not (last.gradient.measured > 0 and math.isfinite(first.gradient.measured)):
        return []
    ratio = first.gradient.measured / last.gradient.measured
    if 1 / _MANY < ratio < _MANY:
        return []
    predicted = first.gradient.theory / last.gradient.theory
    size = f"{ratio:.2e} of" if ratio < 1 else f"{ratio:.2e} times"
    return [
        f"gradients {'die' if ratio < 1 else 'explode'}: {first.name} gets {size} the squared "
        f"gradient of {last.name} (theory {predicted:.2e}); {_state(state, len(audited))}"
    ]


def _lengths(audited: Sequence[LayerAudit], state: Bulk) -> list[str]:
    first, last = audited[0].q.measured, audited[-1].q.measured
    if not (first > 0 and last >= 0 and math.isfinite(last)):
        return []
    ratio = last / first
    if 1 / _MANY < ratio < _MANY:
        return []
    verb = "die out" if ratio < 1 else "blow up"
    return [
        f"signals {verb}: q goes from {first:.2e} to {last:.2e} over {len(audited)} layers; "
        f"{_state(state, len(audited))}"
    ]


def _state(state: Bulk, depth: int) -> str:
    return (
        f"the initialisation is {state.phase.upper()}, chi_1 = {state.chi_1:.4f}, with a depth "
        f"scale of {state.depth_scale:.3g} layers against {depth}"
    )


def _mean_cosine(covariance: Array | None) -> float:
    if covariance is None or len(covariance) < 2:
        return math.nan
    length = np.sqrt(covariance.diagonal())
    if not np.all(length > 0):
        return math.nan
    c = covariance / np.outer(length, length)
    return float((c.sum() - len(c)) / (len(c) * (len(c) - 1)))


def _likeness(covariance: Sequence[Array | None]) -> list[str]:
    first, last = _mean_cosine(covariance[0]), _mean_cosine(covariance[-1])
    if not (1 - first > 1e-2 and 1 - last < 1e-3 * (1 - first)):
        return []
    shown = f"{1 - last:.1e}" if 1 - last > 1e-14 else "less than 1e-14"
    return [
        f"inputs become alike (theory): the mean of 1 - c over two inputs falls from "
        f"{1 - first:.2g} to {shown}"
    ]


def _torch_gain(state: Bulk, depth: int) -> list[str]:
    """Say what torch's recommended gain would do, where it is not critical either."""
    if state.ensemble is None or state.ensemble.activation.name not in TORCH_GAIN:
        return []
    name = state.ensemble.activation.name
    gain = TORCH_GAIN[name]
    point = fixed_point(Ensemble(name, gain))
    if not math.isfinite(point.chi_1) or abs(point.chi_1 - 1) < 1e-3:
        return []
    growth = point.chi_1 ** (depth - 1)
    way = f"grow {growth:.2g} times" if growth > 1 else f"fall to {growth:.2g}"
    return [
        f"torch's calculate_gain({name!r}) = {gain:.4g} would be {point.phase.upper()} "
        f"(chi_1 = {point.chi_1:.4f}): squared gradients {way} over {depth} layers"
    ]


def suggestion(state: Bulk) -> Ensemble | None:
    """Return the orthogonal ensemble on the critical line, None if there is none."""
    if state.ensemble is None or state.phase == "critical":
        return None
    for sigma_b in _SIGMA_B:
        try:
            return critical(state.ensemble.activation, sigma_b, weights="orthogonal")
        except ValueError:
            continue
    return None


def summary(model: str, layers: Sequence[Layer]) -> str:
    """Return class and widths of a model: ``Sequential 64-256x50-10``."""
    linear = [layer for layer in layers if layer.fan_in]
    if not linear:
        return model
    widths = [linear[0].fan_in, *(layer.fan_out for layer in linear)]
    parts: list[list[int]] = []
    for width in widths:
        if parts and parts[-1][0] == width:
            parts[-1][1] += 1
        else:
            parts.append([width, 1])
    return f"{model} {'-'.join(f'{w}x{n}' if n > 1 else str(w) for w, n in parts)}"
