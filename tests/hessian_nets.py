"""Networks and samples for the tests of Hessians."""

from itertools import pairwise

import numpy as np

from meanfree.hessian import MLP


def network(sizes, activation="tanh", objective="mse", seed=0):
    random = np.random.default_rng(seed)
    weights = [random.standard_normal((b, a)) / a**0.5 for a, b in pairwise(sizes)]
    biases = [0.3 * random.standard_normal(size) for size in sizes[1:]]
    return MLP(weights, biases, activation, objective)


def samples(net, n_samples, seed=1):
    random = np.random.default_rng(seed)
    x = random.standard_normal((n_samples, net.sizes[0]))
    if net.objective == "mse":
        return x, random.standard_normal((n_samples, net.sizes[-1]))
    return x, random.integers(0, net.sizes[-1], n_samples)


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()
