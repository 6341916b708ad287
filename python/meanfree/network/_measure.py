"""Measure lengths and squared gradients of a copy of a model over random draws of its weights."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from meanfree.network._chain import Chain, Layer
from meanfree.network._draw import Law, Laws, normals, parameters_of, read_laws, redraw
from meanfree.network._read import Recorder, parameter_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Initialize = Callable[[torch.nn.Module, int], Any]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What the draws gave: one row a draw, one column a layer.

    Parameters
    ----------
    q : (n_samples, n_layers)
        Mean square of the outputs of each layer.
    gradient : (n_samples, n_layers)
        Sum of the squares of the entries of dE/dW.
    errors : dict of int to (n_samples, rows, rows)
        Products of dE/dh of every two inputs, summed over the outputs of a layer where they are
        measured.
    grams : dict of int to (rows, rows)
        Products of the inputs of a layer where the theory starts, the mean over units and draws.
    laws : tuple of (Law or None)
        Law of each linear layer: the mean over the draws where a user's function made them.
    coherence : dict of int to float
        Share of `errors` that is proportional to the layer's own output.
    """

    q: Array
    gradient: Array
    errors: dict[int, Array]
    grams: dict[int, Array]
    laws: tuple[Law | None, ...]
    coherence: dict[int, float]


@contextlib.contextmanager
def global_state() -> Iterator[None]:
    """Restore torch's thread count and the global random numbers of torch, numpy and Python.

    Inside, torch has one thread: matrices of this size gain nothing from more, and lose much
    where other programs run; and the numbers do not depend on how many cores there are.
    """
    threads = torch.get_num_threads()
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        torch.set_num_threads(1)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
        random.setstate(state[2])
        torch.set_num_threads(threads)


def private_copy(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Return a copy of `model` for evaluation on the CPU, without the user's hooks.

    Hooks of `torch.nn.utils` stay: they compute weights.
    """
    try:
        twin = copy.deepcopy(model)
    except Exception as error:
        message = f"model must allow copy.deepcopy, which failed: {error}"
        raise TypeError(message) from error
    for module in twin.modules():
        for hooks in (module._forward_hooks, module._backward_hooks, module._backward_pre_hooks):
            hooks.clear()
        for key, hook in list(module._forward_pre_hooks.items()):
            if not type(hook).__module__.startswith("torch.nn.utils"):
                del module._forward_pre_hooks[key]
    twin = twin.to(device="cpu", dtype=dtype).eval()
    for parameter in twin.parameters():
        parameter.grad = None
        parameter.requires_grad_(parameter.is_floating_point())
    return twin


def run(model: torch.nn.Module, inputs: torch.Tensor) -> tuple[Recorder, torch.Tensor]:
    """Call the model once and return what was recorded, and its output."""
    recorder = Recorder(parameter_names(model), inputs)
    try:
        with recorder:
            output = model(inputs)
    except Exception as error:
        message = (
            f"model must accept inputs of shape {tuple(inputs.shape)}, "
            f"got {type(error).__name__}: {error}"
        )
        raise ValueError(message) from error
    if not isinstance(output, torch.Tensor):
        message = f"model must return one tensor, got {type(output).__name__}"
        raise TypeError(message)
    if output.dim() == 0 or output.shape[0] != inputs.shape[0]:
        message = (
            f"model must return one row for each of the {inputs.shape[0]} inputs, "
            f"got shape {tuple(output.shape)}"
        )
        raise ValueError(message)
    return recorder, output


def matrices(parameters: Mapping[str, torch.Tensor], layer: Layer) -> list[torch.Tensor]:
    """Return the parameters whose gradient stands for the layer: its matrices, if it has any."""
    if layer.is_linear:
        return [parameters[layer.parameters[0]]]
    trained = [parameters[name] for name in layer.parameters if parameters[name].requires_grad]
    return [item for item in trained if item.dim() > 1] or trained


def products(rows: torch.Tensor) -> torch.Tensor:
    """Return the product of every two rows of a (..., n_units) tensor."""
    flat = rows.detach().reshape(-1, rows.shape[-1])
    return flat @ flat.T


class Probe:
    """Draws the weights of a private copy and measures it.

    Parameters
    ----------
    model : Module
        The copy, which is changed.
    chain : Chain
        Its layers.
    inputs : Tensor
        The rows of the batch.
    loss : callable, optional
        From the output to a scalar; None takes a random linear readout.
    eps : float
        Precision at which the weights were stored.
    initialize : callable, optional
        Draws the weights in place of the measured laws.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        chain: Chain,
        inputs: torch.Tensor,
        loss: Callable[[torch.Tensor], torch.Tensor] | None,
        eps: float,
        initialize: Initialize | None,
    ) -> None:
        self.model, self.chain, self.inputs = model, chain, inputs
        self.loss, self.eps, self.initialize = loss, eps, initialize
        layers = chain.layers
        self.ends = sorted({chain.end(i) for i, item in enumerate(layers) if item.is_modelled})
        self.starts = [
            i for i, item in enumerate(layers) if item.is_modelled and item.source is None
        ]
        self.parameters = parameters_of(model)
        self.laws = read_laws(self.parameters, layers, eps)

    def _objective(self, output: torch.Tensor, seed: int, draw: int) -> torch.Tensor:
        if self.loss is None:
            n_outputs = output.numel() // output.shape[0]
            readout = normals(seed, draw, len(self.chain.layers), n_outputs)
            return (output * readout.reshape(output.shape[1:])).sum() / output.shape[0]
        value = self.loss(output)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            message = f"loss must return one number as a tensor, got {_shown(value)}"
            raise TypeError(message)
        if not value.requires_grad:
            message = "loss must be computed from the output of the model by torch functions"
            raise ValueError(message)
        return value.reshape(())

    def _new_weights(self, seed: int, draw: int) -> Laws:
        if self.initialize is None:
            redraw(self.parameters, self.chain.layers, self.laws, seed, draw)
            return self.laws
        own = int(np.random.SeedSequence([seed, draw]).generate_state(1)[0])
        torch.default_generator.manual_seed(own)
        with torch.no_grad():
            self.initialize(self.model, own)
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        self.parameters = parameters_of(self.model)
        return read_laws(self.parameters, self.chain.layers, self.eps)

    def measure(
        self, n_samples: int, seed: int, report: Callable[[int], object] | None
    ) -> Measurement:
        """Measure `n_samples` draws."""
        layers = self.chain.layers
        q, gradient = np.empty((2, n_samples, len(layers)))
        errors: dict[int, list[Array]] = {end: [] for end in self.ends}
        grams: dict[int, list[Array]] = {start: [] for start in self.starts}
        overlaps: dict[int, list[Array]] = {end: [] for end in self.ends}
        laws = []
        for draw in range(n_samples):
            laws.append(self._new_weights(seed, draw).linear)
            recorder, output = run(self.model, self.inputs)
            if tuple(recorder.signature) != self.chain.signature:
                message = "model must take the same path through its layers for all weights"
                raise ValueError(message)
            seen = [recorder.seen[layer.name] for layer in layers]
            weights = [matrices(self.parameters, layer) for layer in layers]
            wanted = [item for group in weights for item in group]
            outputs = [seen[end].outputs for end in self.ends]
            value = self._objective(output, seed, draw)
            found = torch.autograd.grad(value, wanted + outputs, allow_unused=True)
            squares = iter(found[: len(wanted)])
            for i, group in enumerate(weights):
                gradient[draw, i] = sum(_square(next(squares)) for _ in group)
                q[draw, i] = float(seen[i].outputs.detach().square().mean())
            for end, error in zip(self.ends, found[len(wanted) :], strict=True):
                h = seen[end].outputs
                delta = torch.zeros_like(h) if error is None else error
                errors[end].append(products(delta).double().numpy())
                overlaps[end].append(_overlap(delta, h))
            for start in self.starts:
                inputs = seen[start].inputs
                grams[start].append((products(inputs) / inputs.shape[-1]).double().numpy())
            if report is not None:
                report(draw + 1)
        stacked = {end: np.array(value) for end, value in errors.items()}
        return Measurement(
            q,
            gradient,
            stacked,
            {start: np.mean(value, axis=0) for start, value in grams.items()},
            _mean_laws(laws),
            {end: _coherence(np.array(overlaps[end]), stacked[end]) for end in self.ends}
            if self.loss is not None
            else dict.fromkeys(self.ends, 0.0),
        )


def _shown(value: object) -> str:
    is_tensor = isinstance(value, torch.Tensor)
    return f"shape {tuple(value.shape)}" if is_tensor else type(value).__name__  # type: ignore[attr-defined]


def _square(gradient: torch.Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.double().square().sum())


def _overlap(delta: torch.Tensor, h: torch.Tensor) -> Array:
    """Return delta.h and h.h of every row, (2, rows)."""
    delta, h = (item.detach().double().reshape(-1, item.shape[-1]) for item in (delta, h))
    return np.asarray(torch.stack([(delta * h).sum(-1), (h * h).sum(-1)]).numpy())


def _coherence(overlaps: Array, errors: Array) -> float:
    """Return the share of the errors that is linear in the outputs, by regression over draws."""
    overlap, length = overlaps.mean(axis=0)
    total = np.trace(errors.mean(axis=0))
    share = np.divide(overlap**2, length, out=np.zeros_like(length), where=length > 0)
    return float(min(share.sum() / total, 1.0)) if total > 0 else 0.0


def _mean_laws(laws: list[tuple[Law | None, ...]]) -> tuple[Law | None, ...]:
    """Return the law of each layer with the mean variances over draws."""
    means: list[Law | None] = []
    for column in zip(*laws, strict=True):
        draws = [law for law in column if law is not None]
        if not draws:
            means.append(None)
            continue
        is_orthogonal = all(law.weights == "orthogonal" for law in draws)
        means.append(
            Law(
                float(np.sqrt(np.mean([law.sigma_w**2 for law in draws]))),
                float(np.sqrt(np.mean([law.sigma_b**2 for law in draws]))),
                "orthogonal" if is_orthogonal else "gaussian",
            )
        )
    return tuple(means)
