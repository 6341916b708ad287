"""Hessians of a network at one point against torch. Usage: bench/boundary.py [--tiny].

"all layers" is what curvature needs layer by layer: here one sweep from the last layer back, there
torch.func.hessian of the network above each layer. For the input alone torch is given the network
twice: by torch.nn.functional.linear, which its vmap turns into matrix products, and as W @ x, which
it does not. One Hessian takes (3 L - 5) N^3 flops here, 200 million at N = 200, L = 10: that alone
is 3.6 ms where one thread does 56 GFLOP/s.
"""

import sys

import _compare
import numpy as np

from meanfree import _core

WIDTH, DEPTH, SIGMA_W, SIGMA_B = 200, 10, 1.3, 0.3
PHI = ("tanh", 0.0)
GOAL = 20.0


class Case:
    """One network and one point, for both sides."""

    def __init__(self, width, depth):
        rng = np.random.default_rng(1)
        scale = SIGMA_W / width**0.5
        self.weights = [scale * rng.standard_normal((width, width)) for _ in range(depth)]
        self.biases = [SIGMA_B * rng.standard_normal(width) for _ in range(depth)]
        self.readout = rng.standard_normal(width) / width**0.5
        self.point = rng.standard_normal(width)
        self.depth = depth

    def ours(self, last):
        """Return a function for gradients and Hessians after the layers 0 ... last."""
        network = (self.weights, self.biases, self.readout, self.point)
        return lambda: _core.level_set_hessians(PHI, *network, 0, last)[2]

    def curvatures(self):
        """Return principal curvatures of all layers."""
        network = (self.weights, self.biases, self.readout, self.point)
        return _core.level_set(PHI, *network, 0.0, False)[4]


class Torch:
    """The same with torch."""

    def __init__(self, case):
        import torch

        torch.set_num_threads(1)
        self.torch, self.depth = torch, case.depth
        as_tensor = torch.from_numpy
        self.weights = [as_tensor(w) for w in case.weights]
        self.biases = [as_tensor(b) for b in case.biases]
        self.readout, point = as_tensor(case.readout), as_tensor(case.point)
        self.points = [point]
        for layer in range(case.depth):
            self.points.append(self.step(self.linear, self.points[-1], layer))

    def linear(self, layer, x):
        """Apply a layer in the form that vmap handles best."""
        return self.torch.nn.functional.linear(x, self.weights[layer], self.biases[layer])

    def product(self, layer, x):
        """Apply a layer as it is written."""
        return self.weights[layer] @ x + self.biases[layer]

    def step(self, apply, h, layer):
        """Go from layer `layer` to the next."""
        return apply(layer, h if layer == 0 else self.torch.tanh(h))

    def above(self, apply, first):
        """Return G as a function of layer `first`."""

        def function(h):
            for layer in range(first, self.depth):
                h = self.step(apply, h, layer)
            return h @ self.readout

        return function

    def hessian(self, transform, apply, first=0):
        """Return one Hessian."""
        return transform(self.above(apply, first))(self.points[first]).numpy()

    def all_layers(self):
        """Return all Hessians."""
        hessian = self.torch.func.hessian
        return [self.hessian(hessian, self.linear, first) for first in range(self.depth + 1)]

    def curvatures(self):
        """Return all curvatures from all Hessians."""
        found = []
        for first, h in enumerate(self.all_layers()):
            gradient = self.torch.func.grad(self.above(self.linear, first))(self.points[first])
            norm = float(gradient.norm())
            normal = gradient.numpy() / norm
            across = h @ normal
            projected = h - np.outer(across, normal) - np.outer(normal, across)
            projected += (normal @ across) * np.outer(normal, normal)
            values = np.linalg.eigvalsh(projected / norm)
            found.append(np.delete(values, np.argmin(np.abs(values)))[::-1])
        return found


def close(answer, peer, _label):
    """Largest error over the largest entry, over all layers."""
    largest = max(float(np.max(np.abs(a))) for a in peer)
    error = max(float(np.max(np.abs(a - b))) for a, b in zip(answer, peer, strict=True))
    return {"error over the largest entry": (error / largest, 1e-10)}


def peers(torch):
    """Return the ways to the Hessian at the input."""
    if torch is None:
        return dict.fromkeys(["torch.func.hessian"])
    func = torch.torch.func
    autograd = torch.torch.autograd.functional.hessian

    def by_autograd():
        return [autograd(torch.above(torch.linear, 0), torch.points[0]).numpy()]

    return {
        "torch.func.hessian": lambda: [torch.hessian(func.hessian, torch.linear)],
        "torch.func.hessian, W @ x": lambda: [torch.hessian(func.hessian, torch.product)],
        "jacfwd(jacrev)": lambda: [
            torch.hessian(lambda f: func.jacfwd(func.jacrev(f)), torch.linear)
        ],
        "jacrev(jacrev)": lambda: [
            torch.hessian(lambda f: func.jacrev(func.jacrev(f)), torch.linear)
        ],
        "torch.autograd.functional.hessian": by_autograd,
    }


def main():
    """Compare one Hessian, all of them, and the curvatures."""
    run = _compare.start("numpy", "torch", "threadpoolctl")
    width, depth = (12, 3) if run.tiny else (WIDTH, DEPTH)
    case = Case(width, depth)
    torch = Torch(case) if _compare.version("torch") else None
    title = f"width {width}, depth {depth}, tanh, one point"
    run.compare(
        f"Hessian at the input, {title}",
        case.ours(0),
        peers(torch),
        close,
        goals={"torch.func.hessian, W @ x": GOAL, "torch.func.hessian": GOAL},
    )
    run.compare(
        f"Hessians of all layers, {title}",
        case.ours(depth),
        {"torch.func.hessian": torch and torch.all_layers},
        close,
        goals={"torch.func.hessian": GOAL},
    )
    run.compare(
        f"principal curvatures of all layers, {title}",
        case.curvatures,
        {"torch.func.hessian + eigvalsh": torch and torch.curvatures},
        close,
    )
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
