"""The one singular value outside the bulk: what a network does to the length of its own signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree.meanfield import fixed_point

if TYPE_CHECKING:
    from meanfree.ensemble import Ensemble


def outlying_singular_value(ensemble: Ensemble, depth: int) -> float:
    """Return the isolated small singular value of J, orthogonal weights, at the fixed point q*.

    Let x^l be the signal, g = W x^{l-1} = h - b, and u, v the units along x^L and x^0. All
    directions but the signal's are alike, so of A = J^{-1}, a product of A_l = W^T D^{-1}, only

        v A u = tau^L,   tau = <g phi / phi'> / (sigma_w |g| |phi|)

    and both lengths are needed. Each layer leaks from the signal into the rest, where squares grow
    by eta = <1 / phi'^2> / sigma_w^2 and from where nothing returns on average:

        |A u|^2 = tau^{2 L} (1 + (mu / tau^2 - 1) S),   S = sum_{i < L} (eta / tau^2)^i,

    mu = <phi^2 / phi'^2> / (sigma_w^2 <phi^2>); |v A|^2 is the same with g in place of phi. An
    outlier far from the bulk is, to a relative error of the order of its square over that of the
    bulk, s = v A u / (|A u| |v A|).
    """
    q, sigma_w = fixed_point(ensemble).q, ensemble.sigma_w
    z, weight = np.polynomial.hermite_e.hermegauss(120)
    weight = weight / weight.sum()
    h = np.sqrt(q) * z
    phi, slope = ensemble.activation(h), ensemble.activation.derivative(h)
    # given h, the part g of h = g + b is normal with these
    g_squared = q - ensemble.sigma_b**2
    g = h * g_squared / q
    variance = ensemble.sigma_b**2 * g_squared / q
    phi_squared = weight @ phi**2
    tau = weight @ (g * phi / slope) / np.sqrt(g_squared * phi_squared) / sigma_w
    eta = weight @ slope**-2.0 / sigma_w**2
    ahead = weight @ (phi / slope) ** 2 / (sigma_w**2 * phi_squared)
    behind = weight @ ((g**2 + variance) / slope**2) / (sigma_w**2 * g_squared)
    leaked = float(np.sum((eta / tau**2) ** np.arange(depth)))
    spread = (1.0 + (ahead / tau**2 - 1.0) * leaked) * (1.0 + (behind / tau**2 - 1.0) * leaked)
    return float(tau**-depth / np.sqrt(spread))
