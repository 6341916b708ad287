"""What was read from a model: its layers in the order of execution, and how they are joined."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROWS = 32
"""Inputs taken for the measurement: the theory needs every pair of them."""

Spec = tuple[str, float]
"""An activation as the core takes it: name and parameter."""

IDENTITY: Spec = ("linear", 0.0)


@dataclass(frozen=True)
class Layer:
    """One layer with weights.

    Parameters
    ----------
    name, kind : str
        Path of the module within the model, and its class.
    parameters : tuple of str
        Names of its parameters, the weight matrix first.
    fan_in, fan_out : int
        Of a matrix; 0 where the layer has none.
    is_linear : bool
        Whether its draws are those of `torch.nn.Linear`: a matrix and perhaps a bias.
    reason : str
        Why the theory does not treat it; empty if it does.
    source : int, optional
        The layer whose pre-activations, after `activation`, are its inputs; None if they are the
        inputs of the model or come from something that the theory does not treat.
    activation : Spec
        Between `source` and this layer.
    restart : str
        What stands before it that the theory does not treat; empty if nothing does.
    after : int, optional
        The one layer that its errors come from; None if they come from elsewhere.
    following : Spec, optional
        The activation that its pre-activations go through; None if there is none or an unknown.
    """

    name: str
    kind: str
    parameters: tuple[str, ...]
    fan_in: int = 0
    fan_out: int = 0
    is_linear: bool = False
    reason: str = ""
    source: int | None = None
    activation: Spec = IDENTITY
    restart: str = ""
    after: int | None = None
    following: Spec | None = None

    @property
    def is_modelled(self) -> bool:
        """Whether the theory predicts its numbers."""
        return not self.reason


@dataclass(frozen=True)
class Chain:
    """The layers of a model, and what of it no input reaches.

    Parameters
    ----------
    layers : tuple of Layer
        In the order of execution.
    skipped : tuple of (str, str)
        Modules with weights that were not measured, each with the reason.
    signature : tuple of str
        The operations in the order of execution.
    """

    layers: tuple[Layer, ...]
    skipped: tuple[tuple[str, str], ...]
    signature: tuple[str, ...]

    def end(self, index: int) -> int:
        """Return the layer at which the errors that reach layer `index` are measured."""
        while (after := self.layers[index].after) is not None:
            index = after
        return index
