"""Read a model: record the operations of one forward pass and join its layers to chains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from meanfree.network._chain import IDENTITY, MAX_ROWS, Chain, Layer, Spec
from meanfree.network._operations import (
    activation_of,
    is_identity,
    is_in_place,
    keeps_order,
    name_of,
    reason_for,
    tensors,
    unknown,
)


@dataclass(frozen=True)
class _Node:
    """One operation on signals: what it is, its inputs, and whether a layer lies upstream."""

    kind: str  # input, linear, layer, activation, identity, other
    parents: tuple[int, ...] = ()
    text: str = ""
    spec: Spec = IDENTITY
    layer: int = -1
    is_downstream: bool = False
    keeps_order: bool = False  # of all numbers, whatever their shape


@dataclass(eq=False)
class Seen:
    """A layer as one forward pass met it, with its first inputs and its outputs."""

    key: str
    parameters: list[str]
    node: int
    is_linear: bool
    inputs: torch.Tensor
    outputs: torch.Tensor
    n_uses: int = 1
    derived: bool = False
    shape: tuple[int, int] = (0, 0)


def owner(parameter: str) -> str:
    """Return the path of the module that a parameter belongs to."""
    path = parameter.partition(".parametrizations.")[0]
    return path if path != parameter else parameter.rpartition(".")[0]


@dataclass(eq=False)
class _Signals:
    """Which node made a tensor; in-place changes that were not recorded are noticed."""

    made: dict[int, tuple[int, int]] = field(default_factory=dict)
    kept: list[torch.Tensor] = field(default_factory=list)  # so that no identity is used twice

    def add(self, tensor: torch.Tensor, node: int) -> None:
        self.made[id(tensor)] = node, tensor._version
        self.kept.append(tensor)

    def find(self, tensor: torch.Tensor) -> tuple[int, bool] | None:
        """Return the node of a tensor and whether the tensor was changed since."""
        found = self.made.get(id(tensor))
        return None if found is None else (found[0], found[1] != tensor._version)


class Recorder(TorchFunctionMode):
    """Records what torch functions do with the inputs of a model while it is active.

    Parameters
    ----------
    names : mapping of int to str
        Name of each parameter by its identity, one name for tied ones.
    inputs : Tensor
        What the model is called with.
    """

    def __init__(self, names: Mapping[int, str], inputs: torch.Tensor) -> None:
        super().__init__()
        self.nodes = [_Node("input")]
        self.seen: dict[str, Seen] = {}
        self.signature: list[str] = []
        self.inputs = inputs
        self._names = names
        self._weights: dict[int, tuple[str, ...]] = {i: (name,) for i, name in names.items()}
        self._layer_of: dict[str, str] = {}
        self._signals = _Signals()
        self._signals.add(inputs, 0)

    def node_of(self, tensor: torch.Tensor) -> int | None:
        """Return the node that made `tensor`, None if it does not come from the inputs."""
        found = self._signals.find(tensor)
        if found is None:
            return None
        if found[1]:  # changed in place behind the recorder's back
            return self._add(_Node("other", (found[0],), "a change in place"), [tensor])
        return found[0]

    def _add(self, node: _Node, made: list[torch.Tensor]) -> int:
        self.nodes.append(node)
        for tensor in made:
            self._signals.add(tensor, len(self.nodes) - 1)
        return len(self.nodes) - 1

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the function and record it."""
        kwargs = kwargs or {}
        given = list(tensors((args, kwargs)))
        found = [self.node_of(tensor) for tensor in given]
        parents = tuple(dict.fromkeys(node for node in found if node is not None))
        used = tuple(
            dict.fromkeys(name for tensor in given for name in self._weights.get(id(tensor), ()))
        )
        out = func(*args, **kwargs)
        made = list(tensors(out))
        if is_in_place(func) and given and not any(tensor is given[0] for tensor in made):
            made.append(given[0])
        if not parents and used:
            for tensor in made:
                if id(tensor) not in self._names:
                    self._weights[id(tensor)] = used
                    self._signals.kept.append(tensor)
        if not parents or not made:
            return out
        self.signature.append(f"{name_of(func)}({','.join(used)})")
        if used:
            return self._record_layer(func, args, kwargs, out, parents, used)
        self._record(func, args, kwargs, made, parents)
        return out

    def _is_downstream(self, parents: tuple[int, ...]) -> bool:
        return any(
            self.nodes[i].is_downstream or self.nodes[i].kind in {"linear", "layer"}
            for i in parents
        )

    def _record(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        made: list[torch.Tensor],
        parents: tuple[int, ...],
    ) -> None:
        name = name_of(func)
        downstream = self._is_downstream(parents)
        single = len(parents) == 1 and len(made) == 1
        spec = activation_of(name, args, kwargs) if single else None
        kind, text = "other", unknown(name, len(parents))
        if spec is not None:
            kind, text = "activation", name
        elif single and is_identity(name, args, kwargs, made[0]):
            kind, text = "identity", name
        keeps = single and keeps_order(name, args, kwargs, made[0])
        node = _Node(kind, parents, text, spec or IDENTITY, -1, downstream, keeps)
        self._add(node, made)

    def _record_layer(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: Any,
        parents: tuple[int, ...],
        used: tuple[str, ...],
    ) -> Any:
        weight = args[1] if len(args) > 1 else kwargs.get("weight")
        is_linear = (
            func is torch.nn.functional.linear
            and len(parents) == 1
            and all(id(t) in self._names for t in tensors((args[1:], kwargs)) if t is not args[0])
            and isinstance(weight, torch.Tensor)
            and weight.dim() == 2
        )
        path = owner(used[0])
        key = next(
            (self._layer_of[name] for name in used if name in self._layer_of),
            path if path and not (is_linear and not used[0].endswith(".weight")) else used[0],
        )
        is_new = key not in self.seen
        node = _Node(
            "linear" if is_linear and is_new else "layer",
            parents,
            name_of(func),
            layer=len(self.seen),
        )
        outputs = next(tensors(out))
        if is_new:
            inputs = next(t for t in tensors((args, kwargs)) if self._signals.find(t) is not None)
            shape = (0, 0)
            if is_linear and weight is not None:
                shape = weight.shape[1], weight.shape[0]
            seen = Seen(key, list(used), len(self.nodes), is_linear, inputs, outputs, shape=shape)
            seen.derived = func is torch.nn.functional.linear and not is_linear
            self.seen[key] = seen
        else:
            seen = self.seen[key]
            node = _Node("layer", parents, name_of(func), layer=self.nodes[seen.node].layer)
            if any(name in self._layer_of for name in used):
                seen.n_uses += 1
            else:  # a further step of a layer that was written out by hand
                seen.outputs = outputs
            seen.parameters += [name for name in used if name not in seen.parameters]
        self._layer_of.update(dict.fromkeys(used, key))
        if isinstance(out, torch.Tensor):  # what follows may change it in place
            out = out.clone()
        self._add(node, list(tensors(out)))
        return out


def changes(recorder: Recorder, output: torch.Tensor) -> tuple[str, str]:
    """Return what the inputs go through before the first layer, and the output behind the last.

    Empty where it is nothing, or only another shape.
    """
    nodes, seen = recorder.nodes, [entry.node for entry in recorder.seen.values()]

    def walk(index: int, ends: set[int]) -> str:
        while index not in ends:
            if not nodes[index].keeps_order:
                return nodes[index].text
            index = nodes[index].parents[0]
        return ""

    last = recorder.node_of(output)
    behind = "" if last is None else walk(last, {0, *seen})
    return walk(nodes[min(seen)].parents[0], {0}), behind


def parameter_names(model: torch.nn.Module) -> dict[int, str]:
    """Return the first name of each parameter, by its identity."""
    names: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), name)
    return names


def _live(nodes: list[_Node], output: int) -> set[int]:
    live, waiting = set(), [output]
    while waiting:
        node = waiting.pop()
        if node not in live:
            live.add(node)
            waiting.extend(nodes[node].parents)
    return live


@dataclass(frozen=True)
class _Origin:
    source: int | None
    spec: Spec
    restart: str


def _origin(nodes: list[_Node], node: _Node, treated: set[int]) -> _Origin:
    """Walk from a layer back to the one whose pre-activations it sees."""
    spec: Spec | None = None
    current = nodes[node.parents[0]]
    while True:
        if not current.is_downstream and current.kind not in {"linear", "layer"}:
            return _Origin(None, IDENTITY, "")
        if current.kind == "linear" and current.layer in treated:
            return _Origin(current.layer, spec or IDENTITY, "")
        if current.kind == "activation" and spec is not None:
            return _Origin(None, IDENTITY, f"{current.text} followed by another activation")
        if current.kind == "activation":
            spec = current.spec
        elif current.kind != "identity":
            return _Origin(None, IDENTITY, current.text)
        current = nodes[current.parents[0]]


def _destination(
    nodes: list[_Node], index: int, children: Mapping[int, list[int]]
) -> tuple[int | None, Spec | None]:
    """Walk from a layer on to the one layer that its errors come from; and its activation."""
    spec: Spec | None = None
    while True:
        following = children.get(index, [])
        if len(following) != 1:
            return None, spec
        index = following[0]
        node = nodes[index]
        if node.kind == "linear":
            return node.layer, spec or IDENTITY
        if node.kind == "activation" and spec is None:
            spec = node.spec
        elif node.kind != "identity":
            return None, spec


def read_chain(model: torch.nn.Module, recorder: Recorder, output: torch.Tensor) -> Chain:
    """Return the layers that `recorder` met on the way to `output`, joined where they are."""
    nodes = recorder.nodes
    last = recorder.node_of(output)
    if last is None:
        message = (
            "model must compute its output from its inputs by torch functions that can be seen"
        )
        raise ValueError(message)
    live = _live(nodes, last)
    children: dict[int, list[int]] = {}
    for index in sorted(live):
        for parent in nodes[index].parents:
            children.setdefault(parent, []).append(index)
    seen = list(recorder.seen.values())
    reasons = [_reason(model, entry) for entry in seen]
    treated = {i for i, reason in enumerate(reasons) if not reason}
    layers = []
    for entry, reason in zip(seen, reasons, strict=True):
        origin = _origin(nodes, nodes[entry.node], treated)
        after, following = _destination(nodes, entry.node, children)
        layers.append(
            Layer(
                entry.key,
                _kind(model, entry.key),
                tuple(entry.parameters),
                *entry.shape,
                is_linear=entry.is_linear,
                reason=reason,
                source=None if reason else origin.source,
                activation=origin.spec,
                restart=origin.restart,
                after=after if not reason and after in treated else None,
                following=following,
            )
        )
    return _without_dead(model, layers, [entry.node in live for entry in seen], recorder)


def _kind(model: torch.nn.Module, key: str) -> str:
    names = dict(model.named_modules())
    if key in names:
        return type(names[key]).__name__
    return "Linear" if isinstance(model, torch.nn.Linear) else "Parameter"


def _reason(model: torch.nn.Module, entry: Seen) -> str:
    if entry.n_uses > 1:
        return f"its weights are used {entry.n_uses} times"
    if entry.derived:
        return "its weights are computed from other parameters"
    if not entry.is_linear:
        return reason_for(_kind(model, entry.key))
    n_rows = entry.inputs.numel() // max(entry.shape[0], 1)
    if n_rows > MAX_ROWS:
        return f"it sees more than {MAX_ROWS} rows for each input"
    return ""


def _without_dead(
    model: torch.nn.Module, layers: list[Layer], alive: list[bool], recorder: Recorder
) -> Chain:
    """Renumber the layers that reach the output, and name what does not."""
    number = {old: new for new, old in enumerate(i for i, lives in enumerate(alive) if lives)}
    kept = tuple(
        Layer(
            **{
                **vars(layer),
                "source": None if layer.source is None else number[layer.source],
                "after": None if layer.after is None else number.get(layer.after),
            }
        )
        for layer, lives in zip(layers, alive, strict=True)
        if lives
    )
    skipped = [
        (layer.name, "its output does not reach the output of the model")
        for layer, lives in zip(layers, alive, strict=True)
        if not lives
    ]
    used = {name for layer in layers for name in layer.parameters}
    unused = {
        owner(name) or name
        for name in parameter_names(model).values()
        if name not in used and owner(name) not in {layer.name for layer in layers}
    }
    skipped += [(name, "not used by the forward pass") for name in sorted(unused)]
    return Chain(kept, tuple(skipped), tuple(recorder.signature))
