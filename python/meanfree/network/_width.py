"""How far a network of finite width strays from mean-field theory: the order 1/width.

Given the variance K of the pre-activations of a layer, its N neurons are independent, so that the
next variance is ``K' = sigma_w^2 mean_i phi(h_i)^2 + sigma_b^2``. Its mean is V(K), its variance
``sigma_w^4 Var(phi^2) / N``. With k the variance and beta the bias of K, to order 1/N

    beta' = V' beta + V'' k / 2,     k' = V'^2 k + sigma_w^4 Var(phi^2) / N.

Orthogonal weights conserve the length: the h_i lie on a sphere of squared radius N (K - sigma_b^2)
instead of scattering about it with the variance ``s = 2 (K - sigma_b^2)^2 / N``, so that V'' k / 2
becomes V'' (k - s) / 2 and the variance ``V'^2 s`` goes from k'. The bound of q is twice beta
with all terms of one sign.

A squared gradient is a sum of products of one factor a layer, ``mean_i phi'^2`` or
``mean_i phi^2``. The mean of the product differs from the product of the means by the
covariances of the factors, through the neurons that they share; Cauchy and Schwarz bound that of
a layer by ``sqrt(Var phi'^2 Var phi^2) / (E phi'^2 E phi^2 N)``. The relative bound of a gradient
is their sum over the hidden layers of the chain. Where a share f of the errors is proportional
to the n outputs themselves (a loss that pulls them towards its targets), what goes back through
the weights they came from adds up to ``f n / N`` a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meanfree.network._chain import Chain, Spec
    from meanfree.network._draw import Law

    Array = NDArray[np.float64]

SAFETY = 2.0
"""The bound of q is this many times the leading term: room for the order 1/N^2."""

TEXT = (
    "of order 1/width: twice the leading bias of q, and for gradients the covariance of the "
    "factors of each layer, summed over the layers"
)

_Z, _STEP = np.linspace(-10.0, 10.0, 801, retstep=True)
_WEIGHT = _STEP * np.exp(-0.5 * _Z**2) / np.sqrt(2 * np.pi)
_SECOND = _WEIGHT * (_Z**2 - 1) / 2
_FOURTH = _WEIGHT * (_Z**4 - 6 * _Z**2 + 3) / 4


class _Moments:
    """Gaussian means of one activation at several lengths; derivatives by Hermite polynomials."""

    def __init__(self, phi: Spec, q: Array) -> None:
        points = np.sqrt(q)[:, None] * _Z
        flat = points.reshape(-1)
        square = np.square(_core.evaluate(phi, 0, flat)).reshape(points.shape)
        slope = np.square(_core.evaluate(phi, 1, flat)).reshape(points.shape)
        safe = np.where(q > 0, q, np.inf)
        self.square, self.slope = square @ _WEIGHT, slope @ _WEIGHT
        self.square_variance = np.maximum(square**2 @ _WEIGHT - self.square**2, 0.0)
        self.slope_variance = np.maximum(slope**2 @ _WEIGHT - self.slope**2, 0.0)
        self.first, self.second = square @ _SECOND / safe, square @ _FOURTH / safe**2

    def coupling(self) -> float:
        """Return N times the bound on the relative covariance of phi^2 and phi'^2."""
        scale = self.square * self.slope
        spread = np.sqrt(self.square_variance * self.slope_variance)
        return float(np.divide(spread, scale, out=np.zeros_like(scale), where=scale > 0).mean())


def bounds(
    chain: Chain,
    laws: Sequence[Law | None],
    covariance: Sequence[Array | None],
    coherence: dict[int, float],
) -> tuple[Array, Array]:
    """Return the absolute bounds of q and the relative bounds of gradients, (n_layers,) each.

    `covariance` holds K of every two inputs at each layer, `coherence` f of each chain's end.
    """
    layers = chain.layers
    n = len(layers)
    bias: list[Array] = [np.zeros(1)] * n
    variance: list[Array] = [np.zeros(1)] * n
    coupling = np.zeros(n)  # summed from the start of the chain up to the inputs of a layer
    for i, (layer, law) in enumerate(zip(layers, laws, strict=True)):
        k, source = covariance[i], layer.source
        if k is None or law is None:
            continue
        bias[i] = variance[i] = np.zeros(len(k))
        if source is None:
            continue
        before, previous = covariance[source], laws[source]
        assert before is not None
        assert previous is not None
        lengths = before.diagonal()
        moments = _Moments(layer.activation, lengths)
        width = layers[source].fan_out
        gain = law.sigma_w**2
        conserved = np.zeros_like(lengths)
        if previous.weights == "orthogonal":
            scatter = np.maximum(lengths - previous.sigma_b**2, 0.0)
            conserved = 2 * scatter**2 / max(width, layers[source].fan_in)
        spread = np.abs(moments.second) * np.abs(variance[source] - conserved)
        bias[i] = gain * (np.abs(moments.first) * bias[source] + spread / 2)
        noise = np.maximum(moments.square_variance / width - moments.first**2 * conserved, 0.0)
        variance[i] = gain**2 * (moments.first**2 * variance[source] + noise)
        coupling[i] = coupling[source] + moments.coupling() / width
    q = SAFETY * np.array([item.mean() for item in bias])
    pulled = np.zeros(n)
    for i in reversed(range(n)):
        after = layers[i].after
        if after is not None:
            pulled[i] = pulled[after] + layers[chain.end(i)].fan_out / layers[i].fan_out
    ends = [chain.end(i) for i in range(n)]
    shares = np.array([coherence.get(end, 0.0) for end in ends])
    return q, coupling[ends] + shares * pulled
