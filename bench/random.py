"""Standard normals against numpy and torch. Usage: python bench/random.py [--tiny]."""

import sys

import _compare
import numpy as np

from meanfree import _core

GOALS = {"v4": {"numpy SFC64": 6.0}, "v3": {"numpy SFC64": 2.5}}


def moments(ours, peer, _label):
    """Compare both means of z^k with the exact ones, in standard errors."""
    result = {}
    for k, expected, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        means = (np.mean(np.asarray(z, dtype=np.float64) ** k) for z in (ours, peer))
        error = np.sqrt(variance / len(ours))
        result[f"mean of z^{k}"] = (max(abs(m - expected) for m in means) / error, 5.0)
    return result


def numpy_normals(generator, n, dtype=np.float64):
    """Return a function that refills one array."""
    rng = np.random.Generator(generator(1))
    out = np.empty(n, dtype=dtype)
    return lambda: rng.standard_normal(out=out, dtype=dtype)


def torch_normals(n, dtype):
    """Return a function that refills one array, or None without torch."""
    if _compare.version("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    out = torch.empty(n, dtype=getattr(torch, dtype))
    return lambda: out.normal_(generator=generator).numpy()


def repeated(fill, times):
    """Return a function that fills the array again and again, so that it lies in the cache."""
    if fill is None:
        return None

    def run():
        for _ in range(times - 1):
            fill()
        return fill()

    return run


def main():
    """Fill arrays that stay in the second cache."""
    run = _compare.start("numpy", "torch", repeats=100)
    n, times = (2048, 1) if run.tiny else (65_536, 4)
    peers = {
        "numpy SFC64": numpy_normals(np.random.SFC64, n),
        "numpy PCG64": numpy_normals(np.random.PCG64, n),
        "numpy Philox": numpy_normals(np.random.Philox, n),
        "numpy SFC64 float32": numpy_normals(np.random.SFC64, n, np.float32),
        "torch": torch_normals(n, "float64"),
        "torch float32": torch_normals(n, "float32"),
    }
    goals = GOALS.get(_core.build_info()["isa"])
    title = f"{times} times {n} standard normals, float64 where not said otherwise"
    best = run.compare(
        title,
        repeated(lambda: _core.normals(1, 0, 0, n), times),
        {label: repeated(fill, times) for label, fill in peers.items()},
        moments,
        goals=goals,
    )
    print(f"  meanfree: {times * n / best['meanfree'] / 1e6:.0f} million a second")
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
