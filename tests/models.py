"""Models and inputs that several tests of audits share."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


def mlp(activation, *widths, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), activation()]
        return nn.Sequential(*layers[:-1])


def batch(n=12, n_features=20, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n_features))


def disagreements(result):
    return [layer.name for layer in result.layers if layer.verdict != "agrees"]
