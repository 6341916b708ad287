"""A circle through random networks against numpy. Usage: bench/curve.py [--tiny]."""

import sys

import _compare
import numpy as np

import meanfree as mf
from meanfree import _core

SIGMA_B = 0.3
GAINS = (1.3, 2.5, 4.0)
METHODS = ("auto", "gram", "weights")
GOALS = {"v4": {"numpy": 1.6, "numpy float32": 1.3}, "v3": {"numpy": 1.1, "numpy float32": 1.3}}
VALUES_GOAL = {"numpy": 20.0}


def circle(n_angles):
    """Return the points, velocities and accelerations of a unit circle, (3, n_angles, 2)."""
    angle = 2 * np.pi * np.arange(n_angles) / n_angles
    x, y = np.cos(angle), np.sin(angle)
    return np.stack([np.stack(pair, axis=1) for pair in ((x, y), (-y, x), (-x, -y))])


def ours(sigma_w, q, width, depth, n_angles, method, *, single=False, n_parts=3):
    """Return a function that gives the fields of one network, (9, depth)."""
    parts = np.concatenate(circle(n_angles)[:n_parts])
    weight = np.full(n_angles, 2 * np.pi / n_angles)

    def run():
        return _core.simulate_curve(
            ("tanh", 0.0), sigma_w, SIGMA_B, 0, width, depth, parts, width, (width * q) ** 0.5,
            0.0, weight, True, 1, 1, METHODS.index(method), single, 1, None,
        )[:, 0]  # fmt: skip

    return run


class Peer:
    """The same in numpy, in the order of its arrays and without a temporary that can be avoided.

    [h v a] of all angles lie side by side, so that a layer is one product of matrices; weights are
    drawn in the precision of the product.
    """

    def __init__(self, sigma_w, q, width, depth, n_angles, dtype=np.float64, n_parts=3):
        self.sigma_w, self.depth, self.n_parts, self.dtype = sigma_w, depth, n_parts, dtype
        self.rng = np.random.Generator(np.random.SFC64(1))
        self.w = np.empty((width, width), dtype)
        self.h = np.empty((width, n_parts * n_angles), dtype)
        self.x = np.empty_like(self.h)
        self.work = np.empty((width, n_angles), dtype)
        self.bias = np.empty((width, 1), dtype)
        self.radius = np.sqrt(width * q)
        self.circle = np.concatenate(circle(n_angles)[:n_parts]).T

    def __call__(self):
        """Return the fields, (8, depth)."""
        width, n = self.work.shape
        u = np.linalg.qr(self.rng.standard_normal((width, 2)))[0]
        self.h[:] = self.radius * u @ self.circle
        fields = np.empty((8, self.depth))
        h, x, w, work, bias = self.h, self.x, self.w, self.work, self.bias
        y, slope = h[:, :n], x[:, :n]
        for layer in range(self.depth):
            fields[:, layer] = self.measure()
            if layer + 1 == self.depth:
                break
            value = x[:, :n]
            np.tanh(y, out=value)
            if self.n_parts == 3:
                v, a, dx, ddx = h[:, n : 2 * n], h[:, 2 * n :], x[:, n : 2 * n], x[:, 2 * n :]
                # slope = 1 - value^2; dx = slope v; ddx = slope a - 2 value v dx
                slope = np.multiply(value, value, out=work)
                np.subtract(1.0, slope, out=slope)
                np.multiply(slope, v, out=dx)
                np.multiply(slope, a, out=ddx)
                np.multiply(value, v, out=work)
                work *= dx
                work *= 2.0
                ddx -= work
            self.rng.standard_normal(out=w, dtype=self.dtype)
            self.rng.standard_normal(out=bias, dtype=self.dtype)
            w *= self.sigma_w / width**0.5
            np.matmul(w, x, out=h)
            bias *= SIGMA_B
            y += bias
        return fields

    def measure(self):
        """Return the fields of one layer."""
        width, n = self.work.shape
        y = self.h[:, :n]
        d = self.work
        np.subtract(y[:, 1:], y[:, :-1], out=d[:, :-1])
        np.subtract(y[:, 0], y[:, -1], out=d[:, -1])
        dd = products(d, d)
        de = products(d[:, 1:], d[:, :-1])
        de = np.append(de, d[:, 0] @ d[:, -1])
        dot = de / np.sqrt(dd * np.roll(dd, -1))
        turned = np.sum(np.arccos(np.clip(dot, -1.0, 1.0)))
        chords = np.sum(np.sqrt(dd / width))
        q = np.mean(products(y, y)) / width
        if self.n_parts == 1:
            return np.array([q, 0, 0, 0, 0, 0, chords, turned])
        v, a = self.h[:, n : 2 * n], self.h[:, 2 * n :]
        vv, va, aa = products(v, v), products(v, a), products(a, a)
        gauss = (vv * aa - va * va) / (vv * vv)
        step = 2 * np.pi / n
        return np.array(
            [
                q,
                np.mean(vv) / width,
                np.mean(gauss / vv) * width,
                np.mean(gauss),
                step * np.sum(np.sqrt(vv / width)),
                step * np.sum(np.sqrt(gauss)),
                chords,
                turned,
            ]
        )


def products(x, y):
    """Return the sums of x y over the units, in float64."""
    return np.einsum("np,np->p", x, y).astype(np.float64)


def same_curve(width):
    """Compare the logarithms of the fields of two networks: they differ by sqrt(depth / width)."""

    def agreement(answer, peer, _label):
        used = [0, 1, 3, 4, 5, 6, 7] if peer[1].any() else [0, 6, 7]
        errors = np.abs(np.log(answer[used] / peer[used]))
        return {"fields": (np.max(errors), 12.0 * (answer.shape[1] / width) ** 0.5)}

    return agreement


def main():
    """Compare every method, gain and precision with numpy, and the values alone."""
    run = _compare.start("numpy", repeats=3)
    isa = _core.build_info()["isa"]
    width, depth, n_angles = (50, 4, 40) if run.tiny else (1000, 15, 500)
    for sigma_w in GAINS:
        q = mf.fixed_point(mf.Ensemble("tanh", sigma_w, SIGMA_B)).q
        shape = (sigma_w, q, width, depth, n_angles)
        for single in (False, True):
            name = "numpy float32" if single else "numpy"
            others = {m: ours(*shape, m, single=single) for m in ("weights", "gram")}
            peers = {name: Peer(*shape, np.float32 if single else np.float64), **others}
            title = (
                f"tanh, sigma_w = {sigma_w}: width {width}, depth {depth}, {n_angles} angles, two "
                f"derivatives, {'float32' if single else 'float64'}, method auto"
            )
            auto = ours(*shape, "auto", single=single)
            run.compare(title, auto, peers, same_curve(width), goals=GOALS.get(isa))
    n_angles = 16 if run.tiny else 64
    shape = (2.5, mf.fixed_point(mf.Ensemble("tanh", 2.5, SIGMA_B)).q, width, depth, n_angles)
    title = f"{n_angles} angles, values only, method gram, against weights"
    peers = {
        "numpy": Peer(*shape, n_parts=1),
        "meanfree, weights": ours(*shape, "weights", n_parts=1),
    }
    run.compare(title, ours(*shape, "gram", n_parts=1), peers, same_curve(width), goals=VALUES_GOAL)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
