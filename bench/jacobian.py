"""Singular values of Jacobians against numpy. Usage: bench/jacobian.py [--tiny].

Each network: the weights, the pre-activations, the product and its singular values, one after
another. numpy's way is what a careful user writes: one buffer for the weights, in-place scaling,
values only; no shortcut that holds in law.
"""

import sys
import time

import _compare
import numpy as np

from meanfree import _core

SIGMA_B, Q = 0.1, 0.5
# title, phi, weights, sigma_w, width, depth; goals of "fast" by instruction set
JOBS = [
    ("Gaussian tanh", "tanh", 0, 1.2, 200, 10, {"v4": 3.0, "v3": 1.8}),
    ("Gaussian tanh", "tanh", 0, 1.2, 100, 50, {"v4": 4.0, "v3": 2.3}),
    ("Haar tanh", "tanh", 1, 1.2, 200, 10, {"v4": 4.5, "v3": 3.0}),
    ("Gaussian relu", "relu", 0, 2.0**0.5, 200, 10, {"v4": 12.0, "v3": 12.0}),
    ("Gaussian linear", "linear", 0, 1.0, 200, 10, {}),
]
ACCURATE_GOALS = {"v4": 1.8, "v3": 1.1}  # of the first job


def ours(phi, weights, sigma_w, width, depth, n_samples, method, n_threads=1):
    """Return a function that gives log s, (n_samples, width)."""
    number = {"accurate": 0, "fast": 1}[method]

    def run():
        return _core.simulate_jacobian(
            (phi, 0.0), sigma_w, SIGMA_B, weights, width, depth, Q, n_samples, 1, number, n_threads,
            None,
        )  # fmt: skip

    return run


class Plain:
    """The same networks with numpy."""

    def __init__(self, phi, weights, sigma_w, width, depth, n_samples):
        self.phi, self.weights, self.sigma_w = phi, weights, sigma_w
        self.width, self.depth, self.n_samples = width, depth, n_samples
        self.rng = np.random.Generator(np.random.SFC64(1))
        self.buffers = np.empty((3, width, width))

    def __call__(self):
        """Return log s, (n_samples, width)."""
        with np.errstate(divide="ignore"):
            return np.log([self.network() for _ in range(self.n_samples)])

    def draw(self, out):
        """Return a matrix of weights."""
        self.rng.standard_normal(out=out)
        if self.weights == 0:
            out *= self.sigma_w / self.width**0.5
            return out
        q, r = np.linalg.qr(out)
        q *= self.sigma_w * np.sign(np.diagonal(r))
        return q

    def slope(self, h):
        """Overwrite h by phi(h) and return phi'(h)."""
        if self.phi == "tanh":
            np.tanh(h, out=h)
            return 1.0 - h * h
        if self.phi == "relu":
            slope = (h > 0.0).astype(float)
            h *= slope
            return slope
        return np.ones_like(h)

    def network(self):
        """Return the singular values of one network."""
        w_out, jacobian, product = self.buffers
        of_input = (Q - SIGMA_B**2) ** 0.5 / self.sigma_w
        x = np.full(self.width, of_input)
        for layer in range(self.depth):
            w = self.draw(w_out)
            h = w @ x
            h += SIGMA_B * self.rng.standard_normal(self.width)
            slope = self.slope(h)
            x = h
            if layer == 0:
                np.multiply(w, slope[:, np.newaxis], out=jacobian)
            else:
                np.matmul(w, jacobian, out=product)
                product *= slope[:, np.newaxis]
                jacobian, product = product, jacobian
        return np.linalg.svd(jacobian, compute_uv=False)


def same_law(answer, peer, _label):
    """Compare the largest singular value and the mean square, in standard errors."""
    errors = {}
    for name, of in (
        ("largest log s", lambda x: x[:, 0]),
        ("log of the mean square", lambda x: np.log(np.mean(np.exp(2.0 * x), axis=1))),
    ):
        a, b = of(answer), of(peer)
        deviation = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        errors[name] = (abs(a.mean() - b.mean()) / deviation, 6.0)  # few networks: heavier tails
    return errors


def accuracy(run):
    """Print the largest error of log_singular_values over the stored graded products."""
    import json
    from pathlib import Path

    sys.path.append(str(Path(__file__).parent.parent / "tests" / "references"))
    import graded_products

    print("\nlog singular values of graded products against mpmath")
    stored = json.loads(graded_products.OUT.read_text(encoding="utf-8"))
    for name, logs in stored.items():
        error = np.max(
            np.abs(_core.log_singular_values(graded_products.factors(name), None) - logs)
        )
        title = f"{name}, condition e^{logs[0] - logs[-1]:.0f}"
        run.agree(title, {title: (error, 1e-8)})


def threads(run):
    """Print the speed of two threads over one, by the clock."""
    width, depth, n = (20, 3, 4) if run.tiny else (200, 10, 24)
    best = {1: np.inf, 2: np.inf}
    for _ in range(run.repeats):
        for n_threads, seconds in best.items():
            start = time.perf_counter()
            ours("tanh", 0, 1.2, width, depth, n, "fast", n_threads)()
            best[n_threads] = min(seconds, time.perf_counter() - start)
    print(f"\ntwo threads over one, by the clock: {best[1] / best[2]:.2f} (goal 1.8)")


def main():
    """Compare "fast", "accurate" and numpy; then threads and accuracy."""
    run = _compare.start("numpy", "threadpoolctl")
    isa = _core.build_info()["isa"]
    for index, (title, phi, weights, sigma_w, width, depth, goals) in enumerate(JOBS):
        if run.tiny:
            width, depth = 12, 4  # noqa: PLW2901
        n = 8
        law = (phi, weights, sigma_w, width, depth, n)
        goal = {"numpy": goals[isa]} if isa in goals else {}
        best = run.compare(
            f"{n} networks, {title}, width {width}, depth {depth}: fast",
            ours(*law, "fast"),
            {"numpy": Plain(*law), "meanfree, accurate": ours(*law, "accurate")},
            same_law,
            goals=goal,
        )
        accurate = best["meanfree, accurate"]
        line = f"  accurate: {accurate / best['meanfree']:.2f} times the cost of fast, "
        line += f"numpy over accurate {best['numpy'] / accurate:.2f}"
        if index == 0 and isa in ACCURATE_GOALS:
            line += f" (goal {ACCURATE_GOALS[isa]})"
        print(line)
    threads(run)
    accuracy(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
