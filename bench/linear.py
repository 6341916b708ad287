"""Deep linear networks against numpy and torch. Usage: bench/linear.py [--tiny].

Gradient descent of five square layers on white inputs. numpy's way is what a careful user writes:
one sweep forward and one backward, 12 products a step, all into buffers, and the step size taken
into the error, so that weights are updated without another pass. torch twice: the loop that one
types (autograd and SGD), and the same sweep by hand. Then an ensemble on two threads, aligned
starts, and the map of best stopping times of students and teachers.
"""

import sys
import time

import _compare
import numpy as np

from meanfree import _core
from meanfree.linear import StudentTeacher, descend, initial_weights

DEPTH, ETA = 5, 0.01
GOALS = {
    100: {"v4": {"numpy": 1.6, "torch": 2.2}, "v3": {"numpy": 1.1, "torch": 1.5}},
    10: {"v4": {"numpy": 4.0}, "v3": {"numpy": 4.0}},
}


def problem(width):
    """Return the layers and sigma_yx."""
    outputs = np.random.default_rng(0).standard_normal((width, width)) / width**0.5
    return initial_weights([width] * (DEPTH + 1), "orthogonal", scale=0.9), outputs


def ours(layers, outputs, steps):
    """Return a function that trains and returns the layers."""

    def run():
        found = descend(layers, outputs, eta=ETA, steps=steps, record_every=steps, progress=False)
        return np.array(found.weights)

    return run


class Sweep:
    """The same with numpy."""

    def __init__(self, layers, outputs, steps):
        self.layers, self.outputs, self.steps = layers, outputs, steps
        self.products = [np.empty_like(outputs) for _ in layers]
        self.errors = [np.empty_like(outputs) for _ in range(2)]
        self.slope = np.empty_like(outputs)

    def __call__(self):
        """Train and return the layers."""
        w = [layer.copy() for layer in self.layers]
        for _ in range(self.steps):
            products = [w[0]]
            for layer, out in zip(w[1:], self.products, strict=False):
                products.append(np.matmul(layer, products[-1], out=out))
            error = np.subtract(self.outputs, products[-1], out=self.errors[0])
            error *= ETA
            for index in range(len(w) - 1, 0, -1):
                other = self.errors[1] if error is self.errors[0] else self.errors[0]
                before = np.matmul(w[index].T, error, out=other)
                w[index] += np.matmul(error, products[index - 1].T, out=self.slope)
                error = before
            w[0] += error
        return np.array(w)


def torch_loops(layers, outputs, steps):
    """Return the two loops with torch, or two of None."""
    try:
        import torch
    except ImportError:
        return None, None
    torch.set_num_threads(1)
    goal = torch.from_numpy(outputs)

    def typed():
        w = [torch.from_numpy(x.copy()).requires_grad_() for x in layers]
        optimizer = torch.optim.SGD(w, lr=ETA)
        for _ in range(steps):
            total = w[0]
            for layer in w[1:]:
                total = layer @ total
            loss = 0.5 * ((goal - total) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return np.array([x.detach().numpy() for x in w])

    def by_hand():
        w = [torch.from_numpy(x.copy()) for x in layers]
        for _ in range(steps):
            products = [w[0]]
            for layer in w[1:]:
                products.append(layer @ products[-1])
            error = goal - products[-1]
            for index in range(len(w) - 1, 0, -1):
                before = w[index].T @ error
                w[index].addmm_(error, products[index - 1].T, alpha=ETA)
                error = before
            w[0].add_(error, alpha=ETA)
        return np.array([x.numpy() for x in w])

    return typed, by_hand


def same(answer, peer, _label):
    """Compare the layers at the end."""
    return {"largest difference of a weight": (float(np.max(np.abs(answer - peer))), 1e-11)}


def sweeps(run):
    """Compare steps of descent."""
    isa = _core.build_info()["isa"]
    for width, steps in ((100, 2000), (10, 2000), (30, 2000)):
        n, m = (6, 5) if run.tiny else (width, steps)
        layers, outputs = problem(n)
        typed, by_hand = torch_loops(layers, outputs, m)
        best = run.compare(
            f"depth {DEPTH}, width {n}, {m} steps",
            ours(layers, outputs, m),
            {"numpy": Sweep(layers, outputs, m), "torch": typed, "torch, by hand": by_hand},
            same,
            goals=GOALS.get(width, {}).get(isa, {}),
        )
        flops = 2.0 * n**3 * (3 * DEPTH - 3) * m
        rates = {label: f"{flops / seconds / 1e9:.1f}" for label, seconds in best.items()}
        print("  GFLOP/s of the products:", ", ".join(f"{k} {v}" for k, v in rates.items()))


def ensembles(run):
    """Print the speed of two threads over one, by the clock."""
    width, steps, runs = (4, 5, 3) if run.tiny else (30, 300, 100)
    outputs = problem(width)[1]
    start = initial_weights([width] * 4, "gaussian", n_runs=runs)
    best = {1: np.inf, 2: np.inf}
    for _ in range(run.repeats):
        for n_threads, seconds in best.items():
            began = time.perf_counter()
            descend(
                start, outputs, eta=ETA, steps=steps, record_every=steps, n_threads=n_threads,
                progress=False,
            )  # fmt: skip
            best[n_threads] = min(seconds, time.perf_counter() - began)
    ratio = best[1] / best[2]
    print(f"\n{runs} runs, two threads over one, by the clock: {ratio:.2f} (goal 1.8)")


def aligned(run):
    """Compare an aligned start, whose modes are found, with its full matrices."""
    width, steps = (6, 5) if run.tiny else (100, 2000)
    outputs = problem(width)[1]
    layers = initial_weights([width] * (DEPTH + 1), "aligned", scale=0.7, sigma_yx=outputs)
    flat = np.concatenate([w.ravel() for w in layers])[np.newaxis]

    def full():
        end = _core.descend_linear(
            [width] * (DEPTH + 1), flat, outputs, None, np.array([ETA]), steps, steps, 1, None
        )[2]
        return end.reshape(DEPTH, width, width)

    run.compare(
        f"aligned start, width {width}, {steps} steps",
        ours(layers, outputs, steps),
        {"full matrices": full},
        same,
    )


def stopping(run):
    """Time the map of best stopping times."""
    n = 3 if run.tiny else 50
    signals, starts = np.linspace(1.2, 6.0, n), np.geomspace(1e-6, 1e-2, n)

    def make():
        return np.array([
            [StudentTeacher(s, 100, 100, 100, a0=a).optimal_stopping().t for a in starts]
            for s in signals
        ])  # fmt: skip

    run.compare(f"best stopping times, {n} x {n}", make, {}, same, limit=1.0)


def main():
    """Run all comparisons."""
    run = _compare.start("numpy", "torch", "threadpoolctl")
    sweeps(run)
    aligned(run)
    ensembles(run)
    stopping(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
