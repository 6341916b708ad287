"""A torch model as the network whose exact Hessians we have, if it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from meanfree.hessian import MLP
from meanfree.network._chain import IDENTITY, Chain, Layer, Spec
from meanfree.network._draw import parameters_of
from meanfree.network._findings import to_activation
from meanfree.network._trace import Trace, trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.hessian._mlp import Objective

    Array = NDArray[np.float64]

_EQUAL = 1e-9  # of the root mean square of the outputs


def convert(model: object, inputs: object, objective: Objective) -> MLP:
    """Return the network with the model's weights; ValueError with the reason if there is none."""
    seen = trace(model, inputs)
    reason = _hooks(seen.original) or _obstacle(seen)
    if not reason:
        net = _network(seen, objective)
        reason = _difference(net, _rows(seen.inputs), _rows(seen.output))
    if reason:
        msg = (
            "model must be linear layers with biases, one after another, with the same activation "
            f"between them and none behind the last; got {reason}"
        )
        raise ValueError(msg)
    return net


def _network(seen: Trace, objective: Objective) -> MLP:
    own, layers = parameters_of(seen.model), seen.chain.layers
    weights, biases = ([_array(own[layer.parameters[k]]) for layer in layers] for k in (0, 1))
    return MLP(weights, biases, to_activation(_activations(seen.chain)[0]), objective)


def _activations(chain: Chain) -> list[Spec]:
    return list(dict.fromkeys(layer.activation for layer in chain.layers[1:])) or [IDENTITY]


def _hooks(model: torch.nn.Module) -> str:
    """Say which hooks a call runs that the private copy does not: they may change its outputs."""
    for name, module in model.named_modules():
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            if not type(hook).__module__.startswith("torch.nn.utils"):
                return f"a hook on the forward pass of {name or type(model).__name__!r}; remove it"
    return ""


def _obstacle(seen: Trace) -> str:
    """Say what in the record is not of a plain network; nothing if all is."""
    chain = seen.chain
    for name, reason in chain.skipped:
        return f"{name!r}: {reason}"
    for i, layer in enumerate(chain.layers):
        if reason := layer.reason or _joint(layer, i):
            return f"layer {layer.name!r}: {reason}"
    found, (before, behind) = _activations(chain), seen.changes
    if before:
        return f"the inputs go through {before}"
    if behind:
        return f"the output goes through {behind}"
    return "" if len(found) == 1 else f"the activations {', '.join(name for name, _ in found)}"


def _joint(layer: Layer, i: int) -> str:
    if layer.restart:
        return f"before it stands {layer.restart}"
    if len(layer.parameters) != 2:
        return "it has no bias; one of 0 is no parameter of the model, but of the network"
    if layer.source != (i - 1 if i else None):
        return "its inputs do not come from the layer before"
    return ""


def _difference(net: MLP, x: Array, outputs: Array) -> str:
    """Say where the outputs differ: what the record does not show changes them."""
    if (net.sizes[0], net.sizes[-1]) != (x.shape[1], outputs.shape[1]):
        return f"layers that see parts of the {x.shape[1]} inputs"
    squares = MLP(net.weights, net.biases, net.activation, "mse").value(x, outputs)
    size = float(np.square(outputs).sum(axis=1).mean())
    return "" if 2.0 * squares <= _EQUAL**2 * size else "more than its layers and activations"


def _rows(tensor: torch.Tensor) -> Array:
    return _array(tensor.reshape(len(tensor), -1))


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().to(torch.float64).numpy()
