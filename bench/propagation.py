"""Monte Carlo of two inputs against torch and numpy. Usage: bench/propagation.py [--tiny]."""

import sys

import _compare
import numpy as np

from meanfree import _core

SIGMA_W, SIGMA_B, Q, C = 1.5, 0.3, 0.5, 0.6
WEIGHTS_GOALS = {"v4": {"torch float32": 400.0}, "v3": {"torch float32": 150.0}}
SHORTCUT_GOALS = {"v4": {"numpy": 3.0}, "v3": {"numpy": 1.5}}


def ours(width, depth, n_samples, method):
    """Return a function that gives (q, c), each (n_samples, depth)."""
    number = {"gram": 0, "weights": 1}[method]

    def run():
        return _core.simulate_propagation(
            ("tanh", 0.0), SIGMA_W, SIGMA_B, 1.0, 0, width, depth, Q, C, n_samples, 1, number, 1,
            None,
        )[:2]  # fmt: skip

    return run


class Shortcut:
    """The pre-activations from their law given the layer before, over a batch of networks.

    What costs little in numpy: no (n, 2) arrays and no matrix products over such thin ones, one
    buffer for each quantity, all of them in the second cache.
    """

    def __init__(self, width, depth, n_samples, dtype=np.float64, batch=8):
        self.width, self.depth, self.n_samples, self.dtype = width, depth, n_samples, dtype
        self.batch = min(batch, n_samples)
        self.rng = np.random.Generator(np.random.SFC64(1))
        self.buffers = np.empty((3, self.batch, width), dtype=dtype)

    def __call__(self):
        """Return (q, c), each (n_samples, depth)."""
        result = np.empty((2, self.n_samples, self.depth))
        for first in range(0, self.n_samples, self.batch):
            part = slice(first, min(first + self.batch, self.n_samples))
            self.run(result[:, part], *self.buffers[:, : part.stop - first])
        return result

    def products(self, a, b):
        """Return the means of a a, a b and b b over the units."""
        n = self.width
        return (np.einsum("bn,bn->b", x, y) / n for x, y in ((a, a), (a, b), (b, b)))

    def run(self, result, a, b, work):
        """Fill a batch's (q, c); a and b hold h, then phi(h), of the two inputs."""
        k_aa = k_bb = np.full(len(a), Q, dtype=self.dtype)
        k_ab = C * k_aa
        for layer in range(self.depth):
            first = np.sqrt(k_aa)
            across = k_ab / first
            second = np.sqrt(np.maximum(k_bb - across * across, 0.0))
            self.rng.standard_normal(out=a, dtype=self.dtype)
            self.rng.standard_normal(out=b, dtype=self.dtype)
            np.multiply(a, across[:, np.newaxis], out=work)
            a *= first[:, np.newaxis]
            b *= second[:, np.newaxis]
            b += work
            q_aa, q_ab, q_bb = self.products(a, b)
            result[0, :, layer] = (q_aa + q_bb) / 2
            result[1, :, layer] = q_ab / np.sqrt(q_aa * q_bb)
            np.tanh(a, out=a)
            np.tanh(b, out=b)
            k_aa, k_ab, k_bb = (
                SIGMA_W**2 * product + SIGMA_B**2 for product in self.products(a, b)
            )


def torch_weights(width, depth, n_samples):
    """Return a function that draws every weight matrix in float32, or None without torch."""
    if _compare.version("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    w, bias = torch.empty(width, width), torch.empty(width, 1)
    start = torch.linalg.cholesky(Q * torch.tensor([[1.0, C], [C, 1.0]])).T

    def network(result):
        h = torch.randn(width, 2, generator=generator) @ start
        for layer in range(depth):
            if layer:
                w.normal_(0.0, SIGMA_W / width**0.5, generator=generator)
                bias.normal_(0.0, SIGMA_B, generator=generator)
                h = torch.addmm(bias, w, torch.tanh(h))
            (aa, ab), (_, bb) = (h.T @ h / width).tolist()
            result[:, layer] = (aa + bb) / 2, ab / (aa * bb) ** 0.5

    @torch.inference_mode()
    def run():
        result = np.empty((2, n_samples, depth))
        for sample in range(n_samples):
            network(result[:, sample])
        return result

    return run


def same_law(answer, peer, _label):
    """Compare the means over the networks, in standard errors."""
    variance = sum(x.var(axis=1, ddof=1) / x.shape[1] for x in (answer, peer))
    z = np.abs(answer.mean(axis=1) - peer.mean(axis=1)) / np.sqrt(variance)
    # 6, since few networks give heavier tails than the Gaussian's
    return {"q": (np.max(z[0]), 6.0), "c": (np.max(z[1]), 6.0)}


def main():
    """Compare the shortcut with weights drawn, with itself in numpy, and the ways among ours."""
    run = _compare.start("numpy", "torch")
    isa = _core.build_info()["isa"]
    width, depth = (50, 4) if run.tiny else (1000, 20)
    n = 8
    title = (
        f"{n} networks of width {width}, depth {depth}, two inputs: the shortcut against weights"
    )
    peers = {
        "torch float32": torch_weights(width, depth, n),
        "meanfree, weights": ours(width, depth, n, "weights"),
    }
    shortcut = ours(width, depth, n, "gram")
    run.compare(title, shortcut, peers, same_law, goals=WEIGHTS_GOALS.get(isa))
    n = 64
    peers = {
        "numpy": Shortcut(width, depth, n),
        "numpy float32": Shortcut(width, depth, n, np.float32),
    }
    title = f"{n} such networks: the same shortcut in numpy, batched over networks"
    shortcut = ours(width, depth, n, "gram")
    run.compare(title, shortcut, peers, same_law, goals=SHORTCUT_GOALS.get(isa))
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
