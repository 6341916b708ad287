"""Laws of the weights of a model, and random draws from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from meanfree import _core
from meanfree.network._chain import Layer

Weights = Literal["gaussian", "orthogonal"]


@dataclass(frozen=True)
class Law:
    """Law of one layer: entry variance ``sigma_w**2 / fan_in``, bias variance ``sigma_b**2``."""

    sigma_w: float
    sigma_b: float
    weights: Weights


def normals(seed: int, draw: int, layer: int, n: int) -> torch.Tensor:
    """Return n standard normals, a function of (seed, draw, layer) alone, float64."""
    return torch.from_numpy(_core.normals(seed, draw, layer, n))


def is_orthogonal(weight: torch.Tensor, eps: float) -> bool:
    """Return whether all singular values are equal, to the rounding of a matrix stored at `eps`.

    A matrix of one row or one column always has that property: it says nothing of the law.
    """
    matrix = weight if weight.shape[0] <= weight.shape[1] else weight.T
    n = matrix.shape[0]
    if n < 2:
        return False
    gram = matrix @ matrix.T
    scale = float(gram.diagonal().mean())
    if not scale > 0:
        return False
    deviation = (gram / scale - torch.eye(n, dtype=gram.dtype)).abs().max()
    return float(deviation) <= min(64 * eps, 0.02)


def parameters_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters of `model` by all of their names."""
    return dict(model.named_parameters(remove_duplicate=False))


def read_law(parameters: Mapping[str, torch.Tensor], layer: Layer, eps: float) -> Law:
    """Return the law that the weights of a linear layer suggest: variances about zero."""
    weight = parameters[layer.parameters[0]].detach()
    biases = [parameters[name].detach() for name in layer.parameters[1:]]
    sigma_w = math.sqrt(layer.fan_in * float(weight.square().mean()))
    sigma_b = math.sqrt(float(biases[0].square().mean())) if biases else 0.0
    return Law(sigma_w, sigma_b, "orthogonal" if is_orthogonal(weight, eps) else "gaussian")


def haar(z: torch.Tensor) -> torch.Tensor:
    """Turn normals of a shape into a matrix with orthonormal rows or columns, uniform (Haar).

    The Householder vectors of the QR factorisation of a Gaussian matrix are independent, so that
    they can be drawn instead of computed (Stewart 1980); the signs make R's diagonal positive.
    """
    fan_out, fan_in = z.shape
    rows, columns = max(fan_out, fan_in), min(fan_out, fan_in)
    vectors = z.reshape(rows, columns).tril()
    head = vectors.diagonal().clone()
    sign = torch.where(head < 0, -1.0, 1.0).to(z.dtype)
    norm = vectors.square().sum(0).sqrt_()
    pivot = head + sign * norm
    vectors /= pivot
    vectors.diagonal().fill_(1.0)
    q: torch.Tensor = torch.linalg.householder_product(vectors, pivot.abs() / norm) * -sign
    return q if fan_out >= fan_in else q.T.contiguous()


def draw_linear(
    law: Law, fan_out: int, fan_in: int, seed: int, draw: int, layer: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a (fan_out, fan_in) matrix and a bias vector."""
    z = normals(seed, draw, layer, fan_out * (fan_in + 1))
    matrix, bias = z[fan_out:].reshape(fan_out, fan_in), z[:fan_out] * law.sigma_b
    if law.weights == "orthogonal":
        return haar(matrix) * (law.sigma_w * math.sqrt(max(1.0, fan_out / fan_in))), bias
    return matrix * (law.sigma_w / math.sqrt(fan_in)), bias


@dataclass(frozen=True)
class Laws:
    """Laws of all layers of a model: of linear ones, and the spread of other matrices by name."""

    linear: tuple[Law | None, ...]
    spread: Mapping[str, float]


def read_laws(parameters: Mapping[str, torch.Tensor], layers: Sequence[Layer], eps: float) -> Laws:
    """Return the laws that the weights of a model suggest."""
    linear = tuple(
        read_law(parameters, layer, eps) if layer.is_linear else None for layer in layers
    )
    spread = {
        name: math.sqrt(float(parameters[name].detach().square().mean()))
        for layer in layers
        if not layer.is_linear
        for name in layer.parameters
        if parameters[name].dim() > 1 and parameters[name].is_floating_point()
    }
    return Laws(linear, spread)


def redraw(
    parameters: Mapping[str, torch.Tensor],
    layers: Sequence[Layer],
    laws: Laws,
    seed: int,
    draw: int,
) -> None:
    """Replace the weights of a model: matrices by their law, others by their variance about 0.

    Vectors of layers that are not linear (the gains of normalisations) are left as they are.
    """
    with torch.no_grad():
        for number, (layer, law) in enumerate(zip(layers, laws.linear, strict=True)):
            if law is None:
                _redraw_other(parameters, layer, laws, seed, draw, number)
                continue
            weight, *biases = (parameters[name] for name in layer.parameters)
            matrix, bias = draw_linear(law, layer.fan_out, layer.fan_in, seed, draw, number)
            weight.copy_(matrix)
            for parameter in biases:
                parameter.copy_(bias)


def _redraw_other(
    parameters: Mapping[str, torch.Tensor],
    layer: Layer,
    laws: Laws,
    seed: int,
    draw: int,
    number: int,
) -> None:
    names = [name for name in layer.parameters if name in laws.spread]
    sizes = [parameters[name].numel() for name in names]
    parts = torch.split(normals(seed, draw, number, sum(sizes)), sizes)
    for name, part in zip(names, parts, strict=True):
        parameters[name].copy_(part.reshape(parameters[name].shape) * laws.spread[name])
