"""What one torch operation is to the theory: an activation, nothing at all, or unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from meanfree.network._chain import Spec

_PLAIN = {
    "tanh": "tanh",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "expit": "sigmoid",
    "erf": "erf",
    "sin": "sin",
    "arctan": "arctan",
    "atan": "arctan",
    "silu": "silu",
    "selu": "selu",
}
_DROPOUT = {
    "dropout",
    "alpha_dropout",
    "feature_alpha_dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
}
_RESHAPE = {"view", "reshape", "flatten", "squeeze", "unsqueeze", "view_as", "reshape_as"}
_UNCHANGED = {"contiguous", "clone", "to", "double", "float", "type", "type_as", "requires_grad"}
_PRODUCT = {
    "mul",
    "matmul",
    "bmm",
    "mm",
    "einsum",
    "scaled_dot_product_attention",
    "multiply",
    "baddbmm",
}
_SUM = {"add", "sub", "subtract"}
_IN_PLACE = {"__setitem__"} | {
    f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
}

_KINDS = {
    "Conv": "its weights are shared by all positions",
    "Norm": "normalisation",
    "Embedding": "a table, not a matrix product",
    "Attention": "attention",
    "RNN": "recurrent",
    "LSTM": "recurrent",
    "GRU": "recurrent",
    "PReLU": "a trained activation",
    "Bilinear": "a product of two signals",
    "Parametrized": "its weights are computed from other parameters",
}


def tensors(value: object) -> Iterator[torch.Tensor]:
    """Yield the tensors within nested sequences and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from tensors(item)


def name_of(function: Any) -> str:
    """Return the plain name of a torch function, in-place or not: ``tanh`` of ``torch.tanh_``."""
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":  # Tensor.T and other properties
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    if name.startswith("__") and name.endswith("__"):
        plain = name.strip("_")
        return str(plain[1:] if plain[1:] in _SUM | _PRODUCT else plain)
    return str(name.removesuffix("_"))


def is_in_place(function: Any) -> bool:
    """Return whether a torch function changes its first argument."""
    name = getattr(function, "__name__", "")
    return name in _IN_PLACE if name.startswith("__") else name.endswith("_")


def _argument(
    position: int, name: str, default: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    return args[position] if len(args) > position else kwargs.get(name, default)


def activation_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Spec | None:
    """Return the activation that a call of the torch function `name` is, None if it is none."""

    def argument(position: int, key: str, default: Any) -> Any:
        return _argument(position, key, default, args, kwargs)

    found: Spec | None = None
    if name in _PLAIN:
        found = (_PLAIN[name], 0.0)
    elif name == "leaky_relu":
        found = ("leaky_relu", float(argument(1, "negative_slope", 0.01)))
    elif name == "elu":  # of three arguments beyond alpha only in-place is public
        found = ("elu", float(argument(1, "alpha", 1.0))) if len(args) < 4 else None
    elif name == "gelu":
        exact = argument(1, "approximate", "none") == "none"
        found = ("gelu" if exact else "gelu_tanh", 0.0)
    elif name == "softplus":
        if argument(1, "beta", 1) == 1 and argument(2, "threshold", 20) >= 20:
            found = ("softplus", 0.0)
    elif name == "hardtanh":
        if (argument(1, "min_val", -1.0), argument(2, "max_val", 1.0)) == (-1, 1):
            found = ("hard_tanh", 0.0)
    elif name in {"clamp", "clip", "clamp_min"}:
        bounds = argument(1, "min", None), argument(2, "max", None)
        if not any(isinstance(bound, torch.Tensor) for bound in bounds):
            found = {(-1, 1): ("hard_tanh", 0.0), (0, None): ("relu", 0.0)}.get(bounds)
    return found


def is_identity(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], out: torch.Tensor
) -> bool:
    """Return whether a call leaves every row of its first argument as it was."""
    if name in _DROPOUT:
        return _argument(2, "training", True, args, kwargs) is False or (
            _argument(1, "p", 0.5, args, kwargs) == 0
        )
    if name in _UNCHANGED:
        return out.is_floating_point()
    given = next(tensors((args, kwargs)))
    return (
        name in _RESHAPE
        and out.numel() == given.numel()
        and out.dim() > 1
        and out.shape[-1] == given.shape[-1]
    )


def keeps_order(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], out: torch.Tensor
) -> bool:
    """Return whether a call leaves all numbers of its first argument, in their order."""
    given = next(tensors((args, kwargs)))
    return is_identity(name, args, kwargs, out) or (
        name in _RESHAPE and out.is_floating_point() and out.numel() == given.numel()
    )


def unknown(name: str, n_parents: int) -> str:
    """Return what an operation outside the theory is called in the coverage line."""
    if n_parents > 1 and name in _SUM:
        return "a sum of two branches"
    if n_parents > 1 and name in _PRODUCT:
        return "a product of two signals"
    if name in _DROPOUT:
        return "dropout that stays on in evaluation"
    if name in _RESHAPE:
        return f"{name} that mixes rows or features"
    return name


def reason_for(kind: str) -> str:
    """Return why the theory does not treat modules of class `kind`."""
    found = [reason for part, reason in _KINDS.items() if part in kind]
    return found[0] if found else "not a layer of the theory"
