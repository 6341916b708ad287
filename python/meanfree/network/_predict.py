"""Predict lengths and squared gradients of a chain of layers by mean-field theory.

For every two inputs a, b of the batch, with x the inputs and h the outputs of a layer,

    K_ab = sigma_w^2 x_a.x_b / fan_in + sigma_b^2              covariance of h_a, h_b
    x_a.x_b / fan_in = E phi(u_a) phi(u_b)                     (u_a, u_b) ~ N(0, K before)
    D_ab = D_ab(next) sigma_w(next)^2 E phi'(u_a) phi'(u_b)    D_ab = dE/dh_a . dE/dh_b

and since dE/dW = sum_a dE/dh_a x_a^T, the squared gradient is sum_ab D_ab x_a.x_b. The recursion
of K starts at the inputs, that of D at the measured errors of the last layer of a chain
(Schoenholz et al. 2017, kept for every pair: the inputs of a batch cancel differently at
different depths).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meanfree.network._chain import Chain, Spec
    from meanfree.network._draw import Law

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What theory says of each layer; nan, or None, where it does not treat it.

    Parameters
    ----------
    q : (n_layers,)
        Length, the mean over the inputs.
    covariance : tuple of (rows, rows) or None
        K of each layer.
    weight : tuple of (rows, rows) or None
        What the measured errors at the end of a layer's chain are multiplied with to give its
        squared gradient.
    """

    q: Array
    covariance: tuple[Array | None, ...]
    weight: tuple[Array | None, ...]

    def gradient(self, index: int, errors: Array) -> Array:
        """Return the squared gradient of a layer for each measured (rows, rows) of `errors`."""
        weight = self.weight[index]
        assert weight is not None
        return np.asarray(np.einsum("nab,ab->n", errors, weight))


def through(phi: Spec, covariance: Array, n_threads: int) -> tuple[Array, Array]:
    """Return E phi phi and E phi' phi' of every pair, from the covariance of pre-activations."""
    rows, columns = np.triu_indices(len(covariance))
    length = covariance.diagonal()
    q_aa, q_bb = length[rows], length[columns]
    scale = np.sqrt(q_aa) * np.sqrt(q_bb)
    c = np.divide(covariance[rows, columns], scale, out=np.zeros_like(scale), where=scale > 0)
    c[rows == columns] = 1.0
    means = _core.covariance(phi, q_aa, q_bb, np.clip(c, -1.0, 1.0), n_threads, None)
    both = np.empty((2, *covariance.shape))
    both[:, rows, columns] = means
    both[:, columns, rows] = means
    return both[0], both[1]


def predict(
    chain: Chain, laws: Sequence[Law | None], grams: dict[int, Array], n_threads: int
) -> Prediction:
    """Return the theory of every modelled layer; `grams` are the inputs where chains start."""
    layers = chain.layers
    n = len(layers)
    covariance: list[Array | None] = [None] * n
    inputs: list[Array | None] = [None] * n
    slope: list[Array | None] = [None] * n
    for i, (layer, law) in enumerate(zip(layers, laws, strict=True)):
        if not layer.is_modelled or law is None:
            continue
        if layer.source is None:
            inputs[i] = given = grams[i]
        else:
            before = covariance[layer.source]
            assert before is not None
            given, slopes = through(layer.activation, before, n_threads)
            inputs[i], slope[i] = given, law.sigma_w**2 * slopes
        covariance[i] = law.sigma_w**2 * given + law.sigma_b**2
    weight: list[Array | None] = [None] * n
    passed: list[Array | None] = [None] * n
    for i in reversed(range(n)):
        seen, after = inputs[i], layers[i].after
        if seen is None:
            continue
        product = np.ones_like(seen)
        if after is not None:
            later, factor = passed[after], slope[after]
            assert later is not None
            assert factor is not None
            product = later * factor
        passed[i] = product
        weight[i] = layers[i].fan_in * seen * product
    q = [np.nan if k is None else float(k.diagonal().mean()) for k in covariance]
    return Prediction(np.array(q), tuple(covariance), tuple(weight))
