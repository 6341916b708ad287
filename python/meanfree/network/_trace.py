"""A model as one forward pass of a private copy shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from meanfree.network._chain import MAX_ROWS, Chain
from meanfree.network._measure import private_copy, run
from meanfree.network._read import Recorder, changes, read_chain


@dataclass(frozen=True, eq=False)
class Trace:
    """The model and its private copy, the layers, and the rows of the inputs it was run on.

    And what the inputs go through before the first layer, and the output behind the last.
    """

    original: torch.nn.Module
    model: torch.nn.Module
    chain: Chain
    n_inputs: int
    rows: torch.Tensor
    inputs: torch.Tensor
    output: torch.Tensor
    changes: tuple[str, str]


def trace(model: object, inputs: object) -> Trace:
    """Check the arguments, copy the model and read its layers from one forward pass."""
    module = _check_model(model)
    x = tensor_of("inputs", inputs)
    if x.dim() < 2 or x.numel() == 0:
        message = f"inputs must have a shape (n, ...) and not be empty, got {tuple(x.shape)}"
        raise ValueError(message)
    twin, recorder, output, rows = _first_run(module, x)
    chain = read_chain(twin, recorder, output)
    if not any(layer.is_linear for layer in chain.layers):
        message = "model must have a torch.nn.Linear layer that its inputs reach, got none"
        raise ValueError(message)
    batch = x[rows].to(recorder.inputs.dtype)
    return Trace(module, twin, chain, len(x), rows, batch, output, changes(recorder, output))


def tensor_of(name: str, value: Any) -> torch.Tensor:
    """Return a detached copy on the CPU of a tensor or array of finite numbers."""
    if isinstance(value, torch.Tensor):
        tensor = value.detach().to(device="cpu", copy=True)
    else:
        try:
            array = np.asarray(value)
        except Exception as error:
            message = f"{name} must be a tensor or an array, got {type(value).__name__}"
            raise TypeError(message) from error
        if array.dtype.kind not in "iuf" or not array.dtype.itemsize <= 8:
            message = f"{name} must be a tensor or an array of real numbers, got {value!r:.60}"
            raise TypeError(message)
        native = array.astype(array.dtype.newbyteorder("="))
        tensor = torch.from_numpy(np.ascontiguousarray(native))
    if tensor.is_complex() or tensor.dtype == torch.bool or tensor.is_quantized:
        message = f"{name} must be real numbers, got dtype {tensor.dtype}"
        raise TypeError(message)
    if tensor.layout != torch.strided:
        message = f"{name} must be dense, got layout {tensor.layout}"
        raise TypeError(message)
    if not bool(torch.isfinite(tensor).all()):
        message = f"{name} must be finite, got nan or inf"
        raise ValueError(message)
    return tensor


def _check_model(model: object) -> torch.nn.Module:
    if not isinstance(model, torch.nn.Module):
        message = f"model must be a torch.nn.Module, got {type(model).__name__}"
        raise TypeError(message)
    for name, parameter in model.named_parameters():
        if isinstance(parameter, torch.nn.parameter.UninitializedParameter):
            message = f"model must be initialised, but {name} is lazy: call the model once"
            raise ValueError(message)
        if parameter.is_meta:
            message = f"model must hold numbers, but {name} is on the meta device"
            raise ValueError(message)
        if not bool(torch.isfinite(parameter).all()):
            message = f"model must have finite parameters, got nan or inf in {name}"
            raise ValueError(message)
    return model


def _first_run(
    module: torch.nn.Module, x: torch.Tensor
) -> tuple[torch.nn.Module, Recorder, torch.Tensor, torch.Tensor]:
    """Run a copy on part of the inputs, at double precision where the model allows it."""
    own = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float64)
    ways = [(torch.float64, torch.float64), (own, own)]
    if not x.is_floating_point():
        ways = [(torch.float64, x.dtype), *ways]
    for number, (precision, dtype) in enumerate(ways):
        twin = private_copy(module, precision)
        try:
            rows = _spaced(len(x), MAX_ROWS)
            recorder, output = run(twin, x[rows].to(dtype))
            fewer = _inputs_for(recorder, len(rows))
            if fewer < len(rows):
                rows = _spaced(len(x), fewer)
                recorder, output = run(twin, x[rows].to(dtype))
        except ValueError:
            if number == len(ways) - 1:
                raise
        else:
            return twin, recorder, output, rows
    raise AssertionError  # the last way returns or raises


def _spaced(n: int, n_wanted: int) -> torch.Tensor:
    return torch.linspace(0, n - 1, min(n, n_wanted), dtype=torch.float64).round().long()


def _inputs_for(recorder: Recorder, n: int) -> int:
    """Return for how many inputs the linear layers see no more rows than the theory can take."""
    each = [
        seen.inputs.numel() // (n * max(seen.shape[0], 1))
        for seen in recorder.seen.values()
        if seen.is_linear
    ]
    possible = [rows for rows in each if 1 <= rows <= MAX_ROWS]
    return max(1, min(n, MAX_ROWS // max(possible, default=1)))
