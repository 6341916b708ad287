"""Steps of an audit: check what was given, read the model, compare theory and measurement."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from meanfree.network import _width as width
from meanfree.network._chain import IDENTITY, Chain, Layer
from meanfree.network._draw import parameters_of
from meanfree.network._findings import (
    bulk,
    coverage,
    findings,
    longest_chain,
    suggestion,
    summary,
    to_activation,
)
from meanfree.network._parts import STANDARD_ERRORS, Compared, LayerAudit, Verdict
from meanfree.network._result import Audit
from meanfree.network._trace import tensor_of, trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.network._draw import Law
    from meanfree.network._measure import Measurement
    from meanfree.network._predict import Prediction

    Array = NDArray[np.float64]

MIN_SPREAD = 8
"""From so many draws on, the spread of their logarithms counts in the standard error: draws of a
deep network are close to log-normal, and their plain deviation misses the rare large ones."""

_READOUT = "E = mean over the inputs of a random linear readout of the output"


@dataclass(frozen=True, eq=False)
class Task:
    """What is measured: a private copy, its layers, the batch and the loss."""

    name: str
    model: torch.nn.Module
    chain: Chain
    inputs: torch.Tensor
    loss: Callable[[torch.Tensor], torch.Tensor] | None
    loss_text: str
    eps: float
    offsets: tuple[str, ...]


def prepare(
    model: object,
    inputs: object,
    targets: object,
    loss: Callable[..., torch.Tensor] | None,
) -> Task:
    """Check the arguments and bring them together."""
    seen = trace(model, inputs)
    y = None if targets is None else tensor_of("targets", targets)
    if y is not None and (y.dim() == 0 or len(y) != seen.n_inputs):
        message = f"targets must be one for each of {seen.n_inputs} inputs, got {tuple(y.shape)}"
        raise ValueError(message)
    objective, text = _objective(seen.output, None if y is None else y[seen.rows], loss)
    stored = [p.dtype for p in seen.original.parameters() if p.is_floating_point()]
    eps = max(torch.finfo(dtype).eps for dtype in stored)
    offsets = _offsets(seen.model, seen.chain)
    name = type(seen.original).__name__
    return Task(name, seen.model, seen.chain, seen.inputs, objective, text, eps, offsets)


def _offsets(model: torch.nn.Module, chain: Chain) -> tuple[str, ...]:
    """Name the layers whose weights do not scatter about zero, as theory and the draws do."""
    parameters = parameters_of(model)
    found = []
    for layer in chain.layers:
        if layer.is_linear:
            weight = parameters[layer.parameters[0]].detach()
            size, mean = float(weight.square().mean()) ** 0.5, float(weight.mean())
            if abs(mean) > size * max(0.1, 6 / math.sqrt(weight.numel())):
                found.append(layer.name)
    return tuple(found)


def _objective(
    output: torch.Tensor,
    targets: torch.Tensor | None,
    loss: Callable[..., torch.Tensor] | None,
) -> tuple[Callable[[torch.Tensor], torch.Tensor] | None, str]:
    """Return the loss as a function of the output alone, and what it is called."""
    if loss is not None:
        name = getattr(loss, "__name__", type(loss).__name__)
        if targets is None:
            return loss, f"E = {name}(output)"
        if targets.is_floating_point():
            targets = targets.to(output.dtype)
        return (lambda out: loss(out, targets)), f"E = {name}(output, targets)"
    if targets is None:
        return None, _READOUT
    if targets.is_floating_point():
        if targets.numel() != output.numel():
            message = (
                f"targets must have the shape of the output {tuple(output.shape)}, got "
                f"{tuple(targets.shape)}"
            )
            raise ValueError(message)
        values = targets.reshape(output.shape).to(output.dtype)
        return (lambda out: (out - values).square().mean()), "E = mean squared error"
    classes = targets.long()
    n_classes = output.shape[1] if output.dim() == 2 else 0
    if classes.dim() != 1 or n_classes < 1 or classes.min() < 0 or classes.max() >= n_classes:
        message = (
            f"targets must be classes in [0, {n_classes - 1}], one a row of the output "
            f"{tuple(output.shape)}, got shape {tuple(classes.shape)} in "
            f"[{classes.min()}, {classes.max()}]"
        )
        raise ValueError(message)
    return (lambda out: torch.nn.functional.cross_entropy(out, classes)), "E = cross entropy"


def _spread(logarithms: Array) -> float:
    """Return the relative variance that the spread of the logarithms implies."""
    return math.expm1(min(float(logarithms.var(ddof=1)), 100.0))


def _allowed(n: int) -> float:
    """Return the standard errors that a verdict over n draws allows.

    As improbable by Student's law as four by the normal one: with few draws the standard error is
    itself uncertain.
    """
    from scipy.special import ndtr, stdtrit

    return -float(stdtrit(n - 1, float(ndtr(-STANDARD_ERRORS))))


def _compared_length(draws: Array, theory: float, bound: float, eps: float) -> Compared:
    n, mean = len(draws), float(draws.mean())
    error = float(draws.std(ddof=1)) / math.sqrt(n)
    if n >= MIN_SPREAD and np.all(draws > 0) and np.all(np.isfinite(draws)):
        error = max(error, mean * math.sqrt(_spread(np.log(draws)) / n))
    return Compared(theory, mean, max(error, eps * abs(theory)), bound, _allowed(n))


def _compared_gradient(draws: Array, theory: Array, bound: float, eps: float) -> Compared:
    n, mean = len(draws), float(theory.mean())
    error = float((draws - theory).std(ddof=1)) / math.sqrt(n)
    positive = np.all(draws > 0) and np.all(theory > 0)
    if n >= MIN_SPREAD and positive and np.all(np.isfinite(draws / theory)):
        spread = _spread(np.log(draws / theory))
        error = max(error, math.sqrt(float(np.mean(theory**2)) * spread / n))
    error = max(error, eps * abs(mean))
    return Compared(mean, float(draws.mean()), error, bound * abs(mean), _allowed(n))


def _unmodelled(draws: Array) -> Compared:
    error = float(draws.std(ddof=1)) / math.sqrt(len(draws))
    return Compared(math.nan, float(draws.mean()), error, math.nan)


def _verdict(layer: Layer, q: Compared, gradient: Compared) -> Verdict:
    if not layer.is_modelled or not (math.isfinite(q.error) and math.isfinite(gradient.error)):
        return "measured"
    return "agrees" if q.agrees and gradient.agrees else "disagrees"


def _layer(layer: Layer, law: Law | None, q: Compared, gradient: Compared) -> LayerAudit:
    note = layer.reason or (f"theory restarts after {layer.restart}" if layer.restart else "")
    following = layer.following
    return LayerAudit(
        name=layer.name,
        kind=layer.kind,
        fan_in=layer.fan_in,
        fan_out=layer.fan_out,
        sigma_w=math.nan if law is None else law.sigma_w,
        sigma_b=math.nan if law is None else law.sigma_b,
        weights="" if law is None else law.weights,
        activation="" if following in {None, IDENTITY} else str(to_activation(following)),
        q=q,
        gradient=gradient,
        verdict=_verdict(layer, q, gradient),
        note=note,
    )


def result(
    task: Task,
    measurement: Measurement,
    prediction: Prediction,
    seed: int,
    is_drawn_by_user: bool,
) -> Audit:
    """Compare theory and measurement and put it all into words."""
    chain, laws = task.chain, measurement.laws
    parameters = task.model.parameters()
    is_double = all(p.dtype == torch.float64 for p in parameters if p.is_floating_point())
    eps = 1e-10 if is_double else 1e-5  # rounding, relative: no error is below it
    audited = []
    with np.errstate(all="ignore"):
        q_bounds, gradient_bounds = width.bounds(
            chain, laws, prediction.covariance, measurement.coherence
        )
        for i, layer in enumerate(chain.layers):
            q_draws, draws = measurement.q[:, i], measurement.gradient[:, i]
            if layer.is_modelled:
                theory = prediction.gradient(i, measurement.errors[chain.end(i)])
                q = _compared_length(q_draws, float(prediction.q[i]), float(q_bounds[i]), eps)
                gradient = _compared_gradient(draws, theory, float(gradient_bounds[i]), eps)
            else:
                q, gradient = _unmodelled(q_draws), _unmodelled(draws)
            audited.append(_layer(layer, laws[i], q, gradient))
    members = longest_chain(chain)
    last_length = float(prediction.q[members[-2:][0]]) if members else 1.0
    state = bulk(chain, laws, last_length)
    found, is_bad = findings(
        audited,
        prediction.covariance,
        members,
        state,
        is_zero_input=not bool(task.inputs.any()),
    )
    if task.offsets and not is_drawn_by_user:
        found.append(
            f"the weights of {', '.join(task.offsets[:6])} do not scatter about zero: theory and "
            "the draws take mean zero at the same mean square"
        )
    return Audit(
        model=summary(task.name, chain.layers),
        layers=tuple(audited),
        ensemble=state.ensemble,
        phase=state.phase,
        chi_1=state.chi_1,
        depth_scale=state.depth_scale,
        coverage=coverage(chain),
        findings=tuple(found),
        suggestion=suggestion(state) if is_bad else None,
        loss=task.loss_text,
        bound=width.TEXT,
        n_samples=len(measurement.q),
        n_inputs=len(task.inputs),
        seed=seed,
    )
