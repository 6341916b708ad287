"""Make the stored spectra of tests/test_spectrum_accuracy.py: spectra.json.

    python tests/references/spectra.py

Every case is a law of D^2 for each layer, the weights and the widths; stored are lambda, the
density of the eigenvalues of J J^T there without atoms, and their distribution function.

The route shares nothing with the library but the free product itself. With z_l = T / N_l and
T = N_0 M(z) of J^T J, the unknowns are T and x_l with M_l(x_l) = z_l (in the upper half plane), and

    z = ((1 + z_0) / z_0) prod_l F_l,   Gaussian: F_l = sigma_w^2 x_l z_{l-1};
    orthogonal: F_l = s^2 x_l z_{l-1} / (1 + z_{l-1}), times (r + z_l) / (1 + z_l) where the layer
    widens, r = N_{l-1} / N_l; s is the singular value of the weights.

They are followed from z = lambda + i infinity down to the axis in steps of 28 percent by Newton's
method on all unknowns. On the way the distribution function is summed,

    F(lambda) = 1/2 + (1 / pi) int_0^inf Re G(lambda + i eta) d eta,

by the trapezoid rule in log eta, which converges geometrically and knows of no edge or atom. The
averages over z are taken along a path on which D^2 has a negative imaginary part, so that x, on
the other side, is never near: trapezoid sums, or Gauss-Legendre beside a kink. Everything is done
twice: in double precision, and with twice the nodes in extended precision, which is stored; the
largest difference is printed. One orthogonal layer is a change of variables.
"""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.special
from scipy.optimize import brentq
from slope_laws import EXPONENTIALS, PARAMETERS, REACH, SMOOTH, STEPS, averages

FILE = Path(__file__).with_name("spectra.json")
N_POINTS = 16
ENOUGH = (
    0.01  # times the root of the rounding: a step of Newton's method after which none is needed
)
ALLOWED = 1e-11  # between the two precisions, absolute in lambda * density and in the CDF


class Equations:
    """Newton's method for T and all x_l at one z each, vectorised over z."""

    def __init__(self, case, kind, refine):
        depth = len(case["q"])
        widths = case["widths"] or [1] * (depth + 1)
        self.kind, self.complex = kind, np.clongdouble if kind is np.longdouble else complex
        self.size = np.array(widths, dtype=kind)
        self.gain = 2 * np.log(kind(case["sigma_w"]))
        self.orthogonal = case["weights"] == "orthogonal"
        keys = list(zip(case["q"], widths[1:], strict=True))
        self.unique = list(dict.fromkeys(keys))
        self.times = np.array([keys.count(k) for k in self.unique])
        self.laws = [
            tuple(v.astype(self.complex) for v in averages(case["activation"], q, refine))
            for q, _ in self.unique
        ]
        self.steps = list(pairwise(widths))
        means = [float((t @ w).real) for t, w in self.laws]
        self.log_mean = float(self.gain) * depth + float(self.times @ np.log(means))

    def start(self, z):
        # every x_l and z is large: T = N_L mean / z
        total = self.size[-1] * np.exp(self.log_mean) / z
        x = [(t @ w) * n / total for (t, w), (_, n) in zip(self.laws, self.unique, strict=True)]
        return total, x

    def residual(self, total):
        """Return log z without the sum of log x_l, and its derivative in T."""
        n = self.size
        value = np.log(1 + total / n[0]) - np.log(total / n[0])
        slope = 1 / (n[0] + total) - 1 / total
        for before, after in self.steps:
            value = value + self.gain + np.log(total / before)
            slope = slope + 1 / total
            if self.orthogonal:
                if after > before:
                    ratio = self.kind(before) / after
                    value = value - np.log(ratio)  # s^2 = sigma_w^2 N_l / N_{l-1}
                    value = value + np.log(ratio + total / after) - np.log(1 + total / after)
                    slope = slope + 1 / (before + total) - 1 / (after + total)
                value = value - np.log(1 + total / before)
                slope = slope - 1 / (before + total)
        return value, slope

    def newton(self, z, total, x):
        for _ in range(60):
            value, slope = self.residual(total)
            value = value - np.log(z)
            lags = []
            for (t, w), (_, n), xl, times in zip(
                self.laws, self.unique, x, self.times, strict=True
            ):
                inverse = 1 / (xl[:, None] - t)
                first = (inverse * t) @ w
                second = -(inverse * inverse * t) @ w
                lag, ratio = (first - total / n) / second, 1 / (n * second)
                lags.append((lag, ratio))
                value = value + times * (np.log(xl) - lag / xl)
                slope = slope + times * ratio / xl
            step = -value / slope
            moves = [ratio * step - lag for lag, ratio in lags]
            scale = np.ones(z.size, dtype=self.kind)
            for now, move, sign in [(total, step, -1), *zip(x, moves, [1] * len(x), strict=True)]:
                for _ in range(40):
                    bad = sign * (now + scale * move).imag < -1e-13 * np.abs(now)
                    if not bad.any():
                        break
                    scale[bad] /= 2
            total = total + scale * step
            x = [now + scale * move for now, move in zip(x, moves, strict=True)]
            size = np.nanmax(np.abs(step / total), initial=0)
            if size < ENOUGH * np.sqrt(np.finfo(self.kind).eps):
                return total, x
        lost = np.abs(step / total) > ENOUGH * np.sqrt(np.finfo(self.kind).eps)
        return np.where(lost, np.nan, total), x

    def solve(self, lam):
        """Return density and distribution function at lam > 0."""
        lam = np.asarray(lam, dtype=self.kind)
        step = self.kind(0.25)
        scale = lam + np.exp(self.kind(self.log_mean))
        top = math.ceil(42 / 0.25) if self.kind is np.longdouble else math.ceil(38 / 0.25)
        bottom = -top
        eta = scale * np.exp(step * top)
        total, x = self.start(lam + 1j * eta)
        integral = np.zeros(lam.size, dtype=self.kind)
        ratio = self.size[-1]
        for k in range(top, bottom - 1, -1):
            eta = scale * np.exp(step * k)
            z, before = lam + 1j * eta, lam + 1j * eta * np.exp(step)
            ahead = z / before  # exact far away
            total, x = self.newton(z, total / ahead, [v * ahead for v in x])
            g = (1 + total / ratio) / z
            # Re G loses digits to Im G for large eta: -Re(M conj z) / |z|^2 is split by hand
            real = (lam + (total / ratio).real * lam + (total / ratio).imag * eta) / abs(z) ** 2
            integral += step * eta * np.where(eta > lam, real, g.real)
        total, x = self.newton(lam + 0j, total, x)
        density = -(total / ratio).imag / (np.pi * lam)
        return density, 0.5 + integral / np.pi


class Explicit:
    """Limits whose M^{-1} is explicit: the same continuation with M as the unknown."""

    def __init__(self, case, kind):
        self.case, self.kind = case, kind
        self.log_mean = float(case["strength"]) if case["limit"] == "residual" else 0.0

    def value(self, m):
        s = self.kind(self.case["strength"])
        base = np.log(1 + m) - np.log(m)
        slope = 1 / (1 + m) - 1 / m
        if self.case["limit"] == "smooth":
            return base + s * m, slope + s
        if self.case["limit"] == "bernoulli":
            return base + s * m / (1 + m), slope + s / (1 + m) ** 2
        return base + s * (1 + 2 * m), slope + 2 * s

    def solve(self, lam):
        lam = np.asarray(lam, dtype=self.kind)
        step, scale = self.kind(0.25), lam + math.exp(self.log_mean)
        top = math.ceil((42 if self.kind is np.longdouble else 38) / 0.25)
        m, integral = math.exp(self.log_mean) / (lam + 1j * scale * np.exp(step * top)), 0
        for k in [*range(top, -top - 1, -1), None]:
            eta = 0 * lam if k is None else scale * np.exp(step * k)
            z = lam + 1j * eta
            for _ in range(60):
                value, slope = self.value(m)
                move = (np.log(z) - value) / slope
                for _ in range(40):
                    move = np.where((m + move).imag >= 0, move / 2, move)
                m = m + move
                if np.abs(move / m).max() < ENOUGH * np.sqrt(np.finfo(self.kind).eps):
                    break
            if k is not None:
                real = (lam + m.real * lam + m.imag * eta) / abs(z) ** 2
                integral = integral + step * eta * real
        return -m.imag / (np.pi * lam), 0.5 + integral / np.pi


class OneOrthogonalLayer:
    """The law of sigma_w^2 phi'(sqrt(q) z)^2 itself, by the roots in z."""

    def __init__(self, case, n):
        self.gain, self.root = case["sigma_w"] ** 2, math.sqrt(case["q"][0])
        self.name, self.log_mean = case["activation"], 0.0
        self.ends = np.linspace(-REACH, 0 if self.name in EXPONENTIALS else REACH, n)

    def slopes(self, z):
        h = np.atleast_1d(self.root * z).astype(complex)
        if self.name in EXPONENTIALS:
            alpha, scale = EXPONENTIALS[self.name]
            first = alpha * scale * np.exp(h)
            return first.real, first.real
        return [v.real.astype(float) for v in SMOOTH[self.name](h)[:2]]

    def solve(self, lam):
        density, cdf = np.zeros(len(lam)), np.zeros(len(lam))
        values = self.gain * self.slopes(self.ends)[0] ** 2
        for i, level in enumerate(lam):
            cuts = [self.ends[0]]
            for k in np.flatnonzero((values[:-1] > level) != (values[1:] > level)):
                z = brentq(
                    lambda z, level=level: self.gain * self.slopes(z)[0][0] ** 2 - level,
                    *self.ends[k : k + 2], xtol=1e-15, rtol=1e-15,
                )  # fmt: skip
                slope, second = (v[0] for v in self.slopes(z))
                rate = 2 * self.gain * self.root * slope * second
                density[i] += math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / abs(rate)
                cuts.append(z)
            for low, high in zip(cuts, [*cuts[1:], self.ends[-1]], strict=True):
                if self.gain * self.slopes((low + high) / 2)[0][0] ** 2 <= level:
                    cdf[i] += scipy.special.ndtr(high) - scipy.special.ndtr(low)
            if self.name in EXPONENTIALS and self.gain * EXPONENTIALS[self.name][1] ** 2 <= level:
                cdf[i] += 0.5
        return density, cdf


def solver(case, kind, refine):
    if case.get("limit"):
        return Explicit(case, kind)
    if len(case["q"]) == 1 and case["weights"] == "orthogonal" and not case["widths"]:
        return OneOrthogonalLayer(case, 4001 * refine)
    return Equations(case, kind, refine)


def solve(case):
    """Add lam, density and cdf to a case; return the difference between the two precisions.

    Points lie where the density is not negligible and the two precisions agree: next to a zero of
    phi' or an end of the law of D^2 the averages need more nodes.
    """
    coarse, fine = solver(case, float, 1), solver(case, np.longdouble, 2)
    grid = np.exp(np.linspace(-14.0, 5.0, 58) + coarse.log_mean)
    with np.errstate(all="ignore"):  # below the spectrum there may be no solution
        density, cdf = coarse.solve(grid)
        good = (grid * density > 1e-3) & (np.diff(cdf, prepend=0.0) > 0) & (cdf > 1e-3)
    last = np.flatnonzero(good)[-1]
    first = last - np.argmin(np.append(good[last::-1], False)) + 1
    lam = np.exp(np.linspace(*np.log(grid[[first, min(last + 1, grid.size - 1)]]), N_POINTS))
    lam = np.array([float(f"{v:.6g}") for v in lam])
    rough, exact = coarse.solve(lam), fine.solve(lam)
    difference = np.maximum(abs(lam * (rough[0] - exact[0])), abs(rough[1] - exact[1]))
    keep = difference < ALLOWED
    if keep.sum() < N_POINTS / 2:
        raise RuntimeError(f"the two precisions differ by up to {difference.max():.1e}")
    density = np.where(lam * exact[0] > 1e-9, exact[0], 0.0)  # beyond an edge
    case |= {
        "lam": lam[keep].tolist(),
        "density": density[keep].astype(float).tolist(),
        "cdf": exact[1][keep].astype(float).tolist(),
    }
    return float(difference[keep].max())


def network(activation, sigma_w, weights, q, depth=None, widths=None):
    q = [q] * depth if depth else list(q)
    return {
        "activation": activation,
        "parameters": PARAMETERS.get(activation, {}),
        "sigma_w": sigma_w,
        "weights": weights,
        "q": q,
        "widths": widths,
    }


def cases():
    gains = {  # about critical at that q
        "tanh": (0.2, 1.1645), "erf": (0.2, 1.0266), "erf_scaled": (0.3, 1.1804),
        "gelu": (0.8, 1.3877), "silu": (1.5, 1.4098), "elu": (0.7, 1.2311), "selu": (1.0, 1.0),
        "hard_tanh": (0.5, 1.0894), "leaky_relu": (1.0, 1.3720), "sigmoid": (2.0, 4.9),
        "arctan": (0.4, 1.2574), "sin": (0.5, 1.2096), "softplus": (1.0, 1.8460),
    }  # fmt: skip
    for name, (q, sigma_w) in gains.items():
        for weights, depths in (("gaussian", (1, 3)), ("orthogonal", (1, 2, 10))):
            for depth in depths:
                if name in STEPS and (weights, depth) == ("orthogonal", 1):
                    continue  # nothing but atoms
                yield network(name, sigma_w, weights, q, depth)
    for name in ("tanh", "hard_tanh", "gelu", "leaky_relu"):
        q, sigma_w = gains[name]
        yield network(name, sigma_w, "gaussian", q, 2)
        yield network(name, sigma_w, "gaussian", q, 10)
        yield network(name, sigma_w, "gaussian", q, 100)
        yield network(name, sigma_w, "orthogonal", q, 3)
        yield network(name, sigma_w, "orthogonal", q, 100)
    # saturated, and so tuned that the spectrum of a deep network is narrow
    yield network("tanh", 1.9, "orthogonal", 3.0, 2)
    yield network("tanh", 1.9, "gaussian", 3.0, 5)
    yield network("erf_scaled", 2.4, "orthogonal", 8.0, 3)
    yield network("sin", 1.4, "gaussian", 9.0, 3)
    yield network("tanh", 1.018613, "orthogonal", 0.019308, 100)
    yield network("hard_tanh", 1.0, "orthogonal", 0.12, 100)  # with an atom at the top
    yield network("hard_tanh", 1.1, "orthogonal", 0.3, 3)
    # a length for each layer
    yield network("tanh", 1.0, "orthogonal", [1.0, 0.4, 0.24, 0.17, 0.13])
    yield network("tanh", 1.0, "gaussian", [1.0, 0.4, 0.24, 0.17, 0.13])
    yield network("gelu", 1.4, "orthogonal", [2.0, 1.0, 0.5])
    yield network("elu", 1.3, "orthogonal", [2.0, 1.0, 0.5])
    yield network("hard_tanh", 1.05, "orthogonal", [0.5, 0.2, 0.1])
    yield network("hard_tanh", 1.05, "gaussian", [0.5, 0.2, 0.1])
    # widths
    for weights in ("gaussian", "orthogonal"):
        yield network("tanh", 1.1, weights, 0.3, 2, [2, 3, 1])
        yield network("tanh", 1.1, weights, 0.3, 3, [1, 2, 3, 2])
        yield network("relu", 1.4, weights, 1.0, 2, [2, 3, 2])
        yield network("linear", 1.2, weights, 1.0, 3, [3, 2, 3, 2])
        yield network("hard_tanh", 1.1, weights, 0.3, 2, [3, 4, 3])
        yield network("gelu", 1.4, weights, 0.8, 2, [1, 2, 1])
        yield network("tanh", 1.1, weights, [0.5, 0.2], None, [2, 3, 2])
    yield network("linear", 1.0, "gaussian", 1.0, 3, [4, 2, 3, 5])
    yield network("relu", 1.4, "gaussian", 1.0, 1, [3, 2])
    # limits
    for limit, strengths in (
        ("smooth", (0.25, 1.0, 4.0)),
        ("bernoulli", (0.25, 1.0, 2.0)),
        ("residual", (0.1, 0.5, 2.0)),
    ):
        for strength in strengths:
            yield {"limit": limit, "strength": strength}


def main():
    """Compute every case, print what the two precisions differ by, and store."""
    rows = []
    for case in cases():
        label = ", ".join(str(v) for k, v in case.items() if k != "parameters")
        try:
            difference = solve(case)
        except RuntimeError as error:  # too near the law of D^2 for these numbers of nodes
            print(f"left out, {error}: {label[:100]}", flush=True)
            continue
        print(f"{difference:.1e}, {len(case['lam'])} points: {label[:100]}", flush=True)
        rows.append(json.dumps(case))
    FILE.write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
