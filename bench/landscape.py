"""Sampled Gaussian fields against numpy, and a search. Usage: bench/landscape.py [--tiny].

Values, gradients and Hessians of a sum of plane waves at many points. numpy's way is what a careful
user writes: all angles by one product, then one product a Hessian. Then 1,000 critical points of
a field of 50 variables and 5,000 waves, on two threads: wall-clock time, with the starts it took.
"""

import sys
import time

import _compare
import numpy as np

from meanfree.landscape import GaussianField, critical_points

# the Hessian is a matrix product on both sides, of which this computes the half
WANTED, LIMIT = 1000, 120.0


def by_numpy(sample):
    """Return what a careful user writes."""
    k, b, a = np.ascontiguousarray(sample.frequencies), sample.phases, sample.amplitude
    transposed = np.ascontiguousarray(k.T)

    def hessian(w):
        cosines = np.cos(w @ transposed + b)
        return np.array([(transposed * row) @ k for row in -a * cosines])

    return {
        "value": lambda w: a * np.cos(w @ transposed + b).sum(axis=1),
        "gradient": lambda w: -a * np.sin(w @ transposed + b) @ k,
        "Hessian": hessian,
    }


def found(n, n_waves, wanted, at_once):
    """Search until enough critical points are found; return them and the number of starts."""
    sample = GaussianField.rbf().sample(n, n_features=n_waves, seed=1, n_threads=2)
    random, points, starts = np.random.default_rng(0), [], 0
    while sum(len(p) for p in points) < wanted:
        w = random.uniform(-10.0, 10.0, (at_once, n))
        ends = critical_points(sample, w, method="gradient_norm", max_steps=100, progress=False)
        points.append(ends.w[ends.accepted])
        starts += at_once
    return sample, np.concatenate(points)[:wanted], starts


def main():
    """Run the comparisons."""
    run = _compare.start("numpy")
    n, n_waves, n_points = (6, 100, 8) if run.tiny else (50, 5000, 64)
    sample = GaussianField.rbf().sample(n, n_features=n_waves, seed=0, n_threads=1)
    w = np.random.default_rng(0).uniform(-10.0, 10.0, (n_points, n))
    ours = {"value": sample.value, "gradient": sample.gradient, "Hessian": sample.hessian}
    for name, peer in by_numpy(sample).items():
        run.compare(
            f"{name} at {n_points} points of {n} variables, {n_waves} waves",
            lambda name=name: ours[name](w),
            {"numpy": lambda peer=peer: peer(w)},
            lambda a, b, _: {"largest difference": (np.abs(a - b).max(), 1e-11)},
        )

    wanted, at_once = (5, 10) if run.tiny else (WANTED, 250)
    print(f"\n{wanted} critical points of {n} variables, {n_waves} waves, two threads")
    start, cpu = time.perf_counter(), time.process_time()
    sample, points, starts = found(n, n_waves, wanted, at_once)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    distinct = len(np.unique(points.round(5), axis=0))
    norms = np.linalg.norm(sample.gradient(points), axis=1)
    run.agree("search", {"largest norm of a gradient": (norms.max(), 1e-8)})
    verdict = f"(goal {LIMIT:g} s at full size)" if run.tiny else ""
    if not run.tiny:
        verdict = f"(goal {LIMIT:g} s: {'reached' if seconds <= LIMIT else 'missed'})"
    print(f"  {seconds:.3g} s, {cpu:.3g} s of CPU  {verdict}")
    print(f"  {starts} starts, {distinct} of the points are distinct")
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
