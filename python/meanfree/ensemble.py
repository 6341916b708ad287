"""Ensembles of deep networks with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from meanfree._check import KEEP, SIGMA, choice, real
from meanfree.activations import Activation, ActivationLike, as_activation

__all__ = ["Ensemble", "Weights"]

Weights: TypeAlias = Literal["gaussian", "orthogonal"]
"""Law of the weight matrices."""


@dataclass(frozen=True, init=False, repr=False)
class Ensemble:
    """Describe the law of a deep network with random weights.

    Layer l maps ``x^l = phi(h^l)``, ``h^{l+1} = W x^l + b`` with independent biases
    ``b_i ~ N(0, sigma_b**2)`` and weights of variance ``sigma_w**2 / fan_in`` (Poole et al., 2016).

    Parameters
    ----------
    activation : str, Activation or callable
        phi: a name (see `meanfree.activation`), an `Activation`, or a function of arrays.
    sigma_w : float
        Standard deviation of the weights times sqrt(fan_in); in [0, 1e10].
    sigma_b : float
        Standard deviation of the biases; in [0, 1e10].
    weights : {"gaussian", "orthogonal"}
        Independent normal weights, or matrices of the Haar measure whose singular values are all
        ``sigma_w * sqrt(max(1, fan_out / fan_in))``. The mean-field maps are the same for both.
    keep : float
        Probability in (0, 1] of keeping a unit under dropout; kept units are divided by it
        (Schoenholz et al., 2017). The masks of two inputs are independent.

    Raises
    ------
    ValueError
        If a number is out of its range, or a name is unknown (the nearest is named).
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> mf.Ensemble("tanh", 1.5, 0.1)
    Ensemble('tanh', sigma_w=1.5, sigma_b=0.1)
    """

    activation: Activation
    sigma_w: float
    sigma_b: float
    weights: Weights
    keep: float

    def __init__(
        self,
        activation: ActivationLike,
        sigma_w: float,
        sigma_b: float = 0.0,
        *,
        weights: Weights = "gaussian",
        keep: float = 1.0,
    ) -> None:
        values = {
            "activation": as_activation(activation),
            "sigma_w": real("sigma_w", sigma_w, SIGMA),
            "sigma_b": real("sigma_b", sigma_b, SIGMA),
            "weights": choice("weights", weights, get_args(Weights)),
            "keep": real("keep", keep, KEEP),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        phi = self.activation
        plain = phi.core[0] == phi.name and not phi.parameters
        words = [repr(phi.name) if plain else repr(phi)]
        words += [f"sigma_w={self.sigma_w!r}", f"sigma_b={self.sigma_b!r}"]
        if self.weights != "gaussian":
            words.append(f"weights={self.weights!r}")
        if self.keep != 1.0:
            words.append(f"keep={self.keep!r}")
        return f"Ensemble({', '.join(words)})"


def as_ensemble(value: object) -> Ensemble:
    """Check that an argument is an ensemble."""
    if not isinstance(value, Ensemble):
        msg = f"ensemble must be an Ensemble, got {value!r:.60}"
        raise TypeError(msg)
    return value
