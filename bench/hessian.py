"""Hessians of networks against torch. Usage: bench/hessian.py [--tiny].

Tanh networks, squared error, 1,000 samples. Each torch function is given the whole batch at once.
The Hessian of 64-20-10 takes 1.5 GFLOP here: 31 ms where one thread does 48 GFLOP/s.
"""

import sys
from itertools import pairwise

import _compare
import numpy as np

from meanfree.hessian import MLP

N_SAMPLES = 1000
JOBS = [  # sizes, goals
    ((64, 20, 10), {"torch.autograd.functional.hessian": 40.0, "torch.func.hessian": 20.0}),
    ((32, 16, 16, 16, 10), {"torch.autograd.functional.hessian": 20.0, "torch.func.hessian": 20.0}),
]
EIGENVALUE_GOALS = {"torch.autograd.functional.hessian + eigvalsh": 5.0}


class Torch:
    """The same with torch."""

    def __init__(self, net, x, y):
        import torch

        torch.set_num_threads(1)
        self.torch, self.shapes = torch, [w.shape for w in net.weights]
        self.w, self.x, self.y = (torch.from_numpy(a) for a in (net.parameters, x, y))

    def loss(self, w):
        """Return the loss as a function of all parameters."""
        first, h = 0, self.x
        for layer, (n_out, n_in) in enumerate(self.shapes):
            middle = first + n_out * n_in
            h = self.torch.tanh(h) if layer else h
            matrix, first = w[first:middle].reshape(n_out, n_in), middle + n_out
            h = self.torch.nn.functional.linear(h, matrix, w[middle:first])
        return 0.5 * ((h - self.y) ** 2).sum(1).mean()

    def product(self, v):
        """Return a product of the Hessian with a vector, forward over reverse."""
        gradient = self.torch.func.grad(self.loss)
        return self.torch.func.jvp(gradient, (self.w,), (v,))[1]

    def by_products(self):
        """Return the Hessian as products with unit vectors."""
        eye = self.torch.eye(self.w.numel(), dtype=self.w.dtype)
        return self.torch.func.vmap(self.product, chunk_size=50)(eye)

    def hessians(self):
        """Return the ways to the Hessian."""
        return {
            "torch.autograd.functional.hessian": lambda: self.torch.autograd.functional.hessian(
                self.loss, self.w
            ),
            "torch.func.hessian": lambda: self.torch.func.hessian(self.loss)(self.w),
            "torch vmap of jvp of grad, chunks of 50": self.by_products,
        }


ABSENT = dict.fromkeys(["torch.autograd.functional.hessian", "torch.func.hessian"])


def close(answer, peer, _label):
    """Largest error over the largest entry."""
    peer = np.asarray(peer)
    error = np.abs(answer - peer).max() / np.abs(peer).max()
    return {"error over the largest entry": (float(error), 1e-12)}


class Case:
    """One network with its samples, and its peer."""

    def __init__(self, sizes):
        random = np.random.default_rng(0)
        self.weights = [random.standard_normal((b, a)) / a**0.5 for a, b in pairwise(sizes)]
        self.net = MLP(self.weights, None, "tanh")
        self.x, self.y = (random.standard_normal((N_SAMPLES, n)) for n in (sizes[0], sizes[-1]))
        self.v = random.standard_normal(self.net.n_parameters)
        self.torch = Torch(self.net, self.x, self.y) if _compare.version("torch") else None
        self.title = (
            f"{'-'.join(map(str, sizes))} tanh, {N_SAMPLES} samples, {self.v.size} parameters"
        )

    def hessian(self, run, goals):
        """Compare matrices."""
        run.compare(
            f"Hessian, {self.title}",
            lambda: self.net.hessian(self.x, self.y, n_threads=1),
            self.torch.hessians() if self.torch else ABSENT,
            close,
            goals=goals,
        )

    def product(self, run):
        """Compare products with a vector, many at one point."""
        problem = self.net.problem(self.x, self.y)
        peers = {"torch.func.jvp of grad": None}
        if self.torch:
            direction = self.torch.torch.from_numpy(self.v)
            peers = {"torch.func.jvp of grad": lambda: self.torch.product(direction).numpy()}
        run.compare(
            f"product with a vector, {self.title}",
            lambda: problem.hvp(problem.start, self.v),
            peers,
            close,
        )

    def eigenvalues(self, run):
        """Compare all eigenvalues."""
        peers = {f"{label} + eigvalsh": None for label in ABSENT}
        if self.torch:
            for label, hessian in self.torch.hessians().items():
                peers[f"{label} + eigvalsh"] = self._values_of(hessian)
        run.compare(
            f"all eigenvalues, {self.title}",
            lambda: self.net.eigenvalues(self.x, self.y, n_threads=1),
            peers,
            close,
            goals=EIGENVALUE_GOALS,
        )

    def _values_of(self, hessian):
        return lambda: self.torch.torch.linalg.eigvalsh(hessian()).numpy()


def main():
    """Compare matrices, products and eigenvalues."""
    run = _compare.start("numpy", "scipy", "torch", "threadpoolctl", repeats=3)
    for number, (sizes, goals) in enumerate(JOBS):
        case = Case(tuple(min(size, 5) for size in sizes) if run.tiny else sizes)
        case.hessian(run, goals)
        if number == 0:
            case.product(run)
            case.eigenvalues(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
