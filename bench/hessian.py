"""Hessians of networks against their peers. Usage: bench/hessian.py [--tiny].

Tanh networks, 1,000 samples. Each peer is given the whole batch at once. The peers are those of the
extra `peers`, and torch.
"""

import sys
from itertools import pairwise

import _compare
import _hessian_peers as peers
import numpy as np

from meanfree.hessian import MLP
from meanfree.optim import krylov_saddle_free_step, saddle_free_step

N_SAMPLES = 1000
AUTOGRAD, FUNC = "torch.autograd.functional.hessian", "torch.func.hessian"
CHUNKS = "torch vmap of jvp of grad, chunks of 50"
FIRST = (64, 20, 10)
JOBS = [  # sizes, objective, goals; the largest without what needs gigabytes
    (FIRST, "mse", {AUTOGRAD: 40.0, FUNC: 40.0, "jax.jit of jax.hessian": 20.0}),
    (FIRST, "cross_entropy", {AUTOGRAD: 40.0, FUNC: 40.0, "jax.jit of jax.hessian": 20.0}),
    ((64, 20, 20, 10), "mse", {AUTOGRAD: 20.0, FUNC: 20.0}),
    ((32, 16, 16, 16, 10), "mse", {AUTOGRAD: 20.0, FUNC: 20.0}),
    ((64, 50, 50, 10), "mse", {AUTOGRAD: 20.0}),
]
TORCH = "torch.autograd.functional.hessian + eigvalsh"
EIGENTHINGS, CURVLINOPS = "hessian-eigenthings, re-orthogonalised", "curvlinops, ARPACK"
K, TOL, N_PROBES, N_STEPS = 10, 1e-10, 4, 60
DIMENSION, DAMPING = 50, 1e-2  # of a step of saddle-free Newton
FULL = "meanfree, of the whole Hessian"


def close(answer, peer, _label):
    """Largest error over the largest entry."""
    peer = np.asarray(peer)
    error = np.abs(answer - peer).max() / np.abs(peer).max()
    return {"error over the largest entry": (float(error), 1e-12)}


def projected_step(matrix, gradient, dimension):
    """Return the step in a Krylov space, by the matrix and a basis made by Gram and Schmidt."""
    rows = [gradient / np.linalg.norm(gradient)]
    while len(rows) < dimension:
        new, basis = matrix @ rows[-1], np.array(rows)
        for _ in range(2):
            new -= basis.T @ (basis @ new)
        rows.append(new / np.linalg.norm(new))
    basis = np.array(rows)
    values, vectors = np.linalg.eigh(basis @ matrix @ basis.T)
    along = vectors.T @ (basis @ gradient)
    return -basis.T @ (vectors @ (along / (np.abs(values) + DAMPING)))


class Case:
    """One network with its samples."""

    def __init__(self, sizes, objective):
        random = np.random.default_rng(0)
        weights = [random.standard_normal((b, a)) / a**0.5 for a, b in pairwise(sizes)]
        self.net = MLP(weights, None, "tanh", objective)
        self.x = random.standard_normal((N_SAMPLES, sizes[0]))
        self.y = random.standard_normal((N_SAMPLES, sizes[-1]))
        if objective == "cross_entropy":
            self.y = random.integers(0, sizes[-1], N_SAMPLES)
        self.v = random.standard_normal(self.net.n_parameters)
        self.title = (
            f"{'-'.join(map(str, sizes))} tanh, {objective}, {N_SAMPLES} samples, "
            f"{self.v.size} parameters"
        )

    def peer(self, package, kind):
        """Return the peer, or None if its package is not installed."""
        if _compare.version(package) is None:
            return None
        return kind(self.net, self.x, self.y)

    def torch_hessians(self):
        """Return torch's ways to the Hessian; the large ones without torch.func.hessian."""
        torch = self.peer("torch", peers.Torch)
        ways = torch.hessians() if torch else dict.fromkeys((AUTOGRAD, FUNC, CHUNKS))
        return {k: f for k, f in ways.items() if k != FUNC or self.v.size < 3000}

    def hessian(self, run, goals):
        """Compare matrices."""
        ways = self.torch_hessians()
        if self.v.size < 3000:
            jax = self.peer("jax", peers.Jax)
            ways["jax.jit of jax.hessian"] = jax and jax.hessian
        run.compare(
            f"Hessian, {self.title}",
            lambda: self.net.hessian(self.x, self.y, n_threads=1),
            ways,
            close,
            goals=goals,
        )

    def product(self, run):
        """Compare products with a vector, many at one point."""
        problem = self.net.problem(self.x, self.y)
        ways = dict.fromkeys(("torch.func.jvp of grad", "jax.jit of jvp of grad", "jax.linearize"))
        if torch := self.peer("torch", peers.Torch):
            direction = torch.torch.from_numpy(self.v)
            ways["torch.func.jvp of grad"] = lambda: torch.product(direction).numpy()
        if jax := self.peer("jax", peers.Jax):
            v = jax.asarray(self.v)
            ways["jax.jit of jvp of grad"] = lambda: jax.product(v)
            ways["jax.linearize"] = lambda: jax.linear(v)
        run.compare(
            f"product with a vector, {self.title}",
            lambda: problem.hvp(problem.start, self.v),
            ways,
            close,
            goals={"jax.jit of jvp of grad": 1.0, "jax.linearize": 1.0},
        )

    def eigenvalues(self, run):
        """Compare all eigenvalues."""
        torch = self.peer("torch", peers.Torch)
        ways = {}
        for label, hessian in self.torch_hessians().items():
            ways[f"{label} + eigvalsh"] = torch and (
                lambda h=hessian: torch.torch.linalg.eigvalsh(h()).numpy()
            )
        run.compare(
            f"all eigenvalues, {self.title}",
            lambda: self.net.eigenvalues(self.x, self.y, n_threads=1),
            ways,
            close,
            goals={TORCH: 5.0},
        )

    def largest(self, run):
        """Compare the largest eigenvalues; errors are against all eigenvalues of the matrix."""
        exact = self.net.eigenvalues(self.x, self.y, n_threads=1)[-K:]

        def ours():
            return self.net.extreme_eigenvalues(self.x, self.y, K, tol=TOL, n_threads=1)

        found = ours()
        print(f"\n{found.n_steps} steps, residuals at most {found.residuals.max():.1e}")
        ways = dict.fromkeys((EIGENTHINGS, CURVLINOPS))
        if eigenthings := self.peer("hessian-eigenthings", peers.Eigenthings):
            steps = eigenthings.steps_for(K, TOL)
            print(f"hessian-eigenthings: {steps} steps, the fewest tens that reach the same")
            ways[EIGENTHINGS] = lambda: eigenthings.largest(K, steps)[0]
        if curvlinops := self.peer("curvlinops-for-pytorch", peers.Curvlinops):
            ways[CURVLINOPS] = lambda: curvlinops.largest(K, TOL)

        def agreement(answer, peer, label):
            errors = {"meanfree": answer.values, label: peer}
            return {
                f"error of {name} over the largest": (
                    float(np.abs(values - exact).max() / exact[-1]),
                    TOL,
                )
                for name, values in errors.items()
            }

        run.compare(
            f"{K} largest eigenvalues to {TOL:g}, {self.title}",
            ours,
            ways,
            agreement,
            goals={EIGENTHINGS: 1.0, CURVLINOPS: 1.0},
        )

    def density(self, run):
        """Compare quadratures: the largest node, and the trace in units of its known deviation."""
        hessian = self.net.hessian(self.x, self.y, n_threads=1)
        top = self.net.eigenvalues(self.x, self.y, n_threads=1)[-1]
        n = self.v.size
        deviation = np.sqrt(2.0 * (hessian**2).sum() / N_PROBES)
        steps = min(N_STEPS, n)

        def ours():
            found = self.net.spectral_density(
                self.x, self.y, n_probes=N_PROBES, n_steps=steps, n_threads=1
            )
            return found.nodes, found.weights

        ways = {}
        for label, package, kind in (
            ("hessian-eigenthings", "hessian-eigenthings", peers.Eigenthings),
            ("curvlinops, not re-orthogonalised", "curvlinops-for-pytorch", peers.Curvlinops),
        ):
            peer = self.peer(package, kind)
            ways[label] = peer and (lambda peer=peer: peer.density(N_PROBES, steps))

        def agreement(answer, peer, label):
            errors = {}
            for name, (nodes, weights) in {"meanfree": answer, label: peer}.items():
                trace = n * (nodes * weights).sum() / N_PROBES
                off = abs(trace - np.trace(hessian)) / deviation
                errors[f"trace of {name}, deviations"] = (float(off), 5.0)
                error = np.abs(nodes.max(axis=1) - top).max() / top
                errors[f"largest node of {name}, error"] = (float(error), 1e-8)
            return errors

        run.compare(
            f"spectral density, {N_PROBES} probes of {steps} steps, {self.title}",
            ours,
            ways,
            agreement,
            goals=dict.fromkeys(ways, 1.0),
        )

    def step(self, run):
        """Compare steps of saddle-free Newton, in a Krylov space and in the whole."""
        problem, gradient = self.net.problem(self.x, self.y), self.net.gradient(self.x, self.y)
        dimension = min(DIMENSION, self.v.size // 2)

        def ours():
            return krylov_saddle_free_step(
                lambda v: problem.hvp(problem.start, v),
                gradient,
                dimension=dimension,
                damping=DAMPING,
            )

        def whole():
            hessian = self.net.hessian(self.x, self.y, n_threads=1)
            return saddle_free_step(hessian, gradient, damping=DAMPING)

        def agreement(answer, peer, _label):
            matrix = self.net.hessian(self.x, self.y, n_threads=1)
            exact = projected_step(matrix, gradient, dimension)
            off = [
                np.linalg.norm(answer - other) / np.linalg.norm(other) for other in (exact, peer)
            ]
            print(f"  the whole step is {off[1]:.2g} of its length away")
            return {"error, over the length of the step": (float(off[0]), 1e-8)}

        run.compare(
            f"step of saddle-free Newton in {dimension} dimensions, {self.title}",
            ours,
            {FULL: whole},
            agreement,
            goals={FULL: 8.0},
        )


def main():
    """Compare matrices, products, eigenvalues and spectral densities."""
    run = _compare.start(
        *("numpy", "scipy", "torch", "jax", "hessian-eigenthings", "curvlinops-for-pytorch"),
        repeats=3,
        whole_process=True,
    )
    for number, (sizes, objective, goals) in enumerate(JOBS):
        case = Case(tuple(min(size, 5) for size in sizes) if run.tiny else sizes, objective)
        case.hessian(run, goals)
        if number == 0:
            case.product(run)
            case.eigenvalues(run)
            case.largest(run)
            case.density(run)
        if number < 2:
            case.step(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
