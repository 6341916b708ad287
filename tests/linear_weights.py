"""Deep linear networks as they are: the weights themselves, integrated."""

from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp


def flow(outputs, a0, depth, t):
    """Integrate the weights themselves from an aligned start; return the layers at each t."""
    n, p = outputs.shape
    k = min(n, p)
    u, _, vt = np.linalg.svd(outputs, full_matrices=False)
    small = a0 ** (1.0 / depth)
    turns = [np.linalg.qr(np.random.default_rng(i).standard_normal((k, k)))[0] for i in range(9)]
    ends = [vt, *[turn.T for turn in turns[: depth - 1]]]
    starts = [*turns[: depth - 1], u]
    weights = [small * a @ b for a, b in zip(starts, ends, strict=True)]
    cuts = np.cumsum([0, *[w.size for w in weights]])

    def unpack(x):
        parts = [x[i:j] for i, j in pairwise(cuts)]
        return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]

    def slope(_, x):
        return np.concatenate([g.ravel() for g in slopes(unpack(x), outputs)])

    start = np.concatenate([w.ravel() for w in weights])
    found = solve_ivp(slope, (0.0, t[-1]), start, "DOP853", t, rtol=1e-12, atol=1e-13)
    return [unpack(x) for x in found.y.T]


def slopes(weights, outputs, inputs=None):
    """Minus the gradient of the loss in each layer, each product formed anew."""
    n_out, n_in = outputs.shape
    before, after = [np.eye(n_in)], [np.eye(n_out)]
    for w in weights:
        before.append(w @ before[-1])
    for w in reversed(weights):
        after.append(after[-1] @ w)
    total = before[-1]
    error = outputs - (total if inputs is None else total @ inputs)
    return [a.T @ error @ b.T for a, b in zip(after[-2::-1], before[:-1], strict=True)]


def draw(sizes, seed=0, white=True, scale=0.6):
    """Weights, sigma_yx and sigma_xx that share no basis."""
    random = np.random.default_rng(seed)
    weights = [scale * random.standard_normal((m, n)) for n, m in pairwise(sizes)]
    outputs = random.standard_normal((sizes[-1], sizes[0]))
    x = random.standard_normal((sizes[0], 3 * sizes[0])) / np.sqrt(3 * sizes[0])
    return weights, outputs, None if white else x @ x.T + 0.2 * np.eye(sizes[0])


def product(weights):
    return weights[0] if len(weights) == 1 else np.linalg.multi_dot(weights[::-1])
