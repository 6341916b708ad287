"""Make circle.json: the geometry of a circle in each layer, by its covariance at small angles.

    python tests/references/circle.py    (about fifteen minutes on one core)

Neither phi' nor phi'' enters. The covariance of two points of the circle an angle t apart is taken
through the layers by the exact maps (`gaussian_averages.law`, values of phi only), as the gap
D(t) = q(0) - q(t), which does not cancel, in MPFR numbers at a few small angles. The
coefficients of its series follow by interpolation,

    D(t) = g t^2 / 2 - A t^4 / 24 + ...        g = |h'|^2 / N,  A = |h''|^2 / N

(for elu, whose phi'' jumps, with odd powers from t^5 on; where phi' jumps, from t^3 on, and A does
not exist), and then N kappa^2 = A / g^2, gauss_metric = A / g. Every case is computed twice, with
other angles, more terms and more digits; the two must agree to 1e-14. Needs gmpy2, numpy and scipy.
"""

import json
import math
import pathlib
import time

import gmpy2
import numpy as np
from gaussian_averages import law
from meanfield import solve_length
from precise import Arithmetic

OUT = pathlib.Path(__file__).with_suffix(".json")
DEPTH = 8
DOUBLE = Arithmetic(None, 42.0)
ROUTES = ((Arithmetic(140, 72.0), 5, 1.0), (Arithmetic(180, 90.0), 7, 0.7))
FINE = ((Arithmetic(180, 90.0), 9, 1.0), (Arithmetic(240, 110.0), 11, 0.7))  # with odd powers
PATH = [0.5, 2.0, 1.0, 3.0, 0.7, 1.2, 0.3, 1.0]
PATH_SCALE = {"sigmoid": 40.0}

# activation: parameter, (sigma_w, sigma_b) ordered, q on the critical line, chaotic or steep
SMOOTH = {
    "linear": (0.0, (0.9, 0.5), None, (1.3, 0.2)),
    "tanh": (0.0, (0.8, 0.3), 0.5, (2.5, 0.3)),
    "erf": (0.0, (0.7, 0.3), 0.5, (2.0, 0.3)),
    "erf_scaled": (0.0, (0.8, 0.3), 0.5, (2.5, 0.3)),
    "sigmoid": (0.0, (2.0, 0.5), 32.0, (14.0, 0.2)),
    "gelu": (0.0, (1.2, 0.3), 4.0, (1.6, 0.3)),
    "gelu_tanh": (0.0, (1.2, 0.3), 4.0, (1.6, 0.3)),
    "silu": (0.0, (1.2, 0.3), 15.0, (1.8, 0.3)),
    "elu": (1.0, (1.0, 0.3), 1.0, (1.5, 0.3)),
    "softplus": (0.0, (1.1, 0.1), 15.0, (1.8, 0.1)),
    "sin": (0.0, (0.8, 0.3), 0.5, (2.0, 0.3)),
    "arctan": (0.0, (0.8, 0.3), 0.5, (2.5, 0.3)),
}
KINKED = {
    "relu": (0.0, (1.0, 0.5)),
    "leaky_relu": (0.01, (1.0, 0.5)),
    "shifted_relu": (1.0, (1.2, 0.3)),
    "hard_tanh": (0.0, (1.5, 0.3)),
    "elu": (0.5, (1.0, 0.3)),
    "selu": (0.0, (1.0, 0.3)),
}
DIVERGES = {"linear", "gelu", "gelu_tanh", "silu", "elu", "softplus"}  # at its steep ensemble


def critical(name, parameter, q):
    """Return the doubles nearest to sigma_w and sigma_b where chi_1 = 1 at this q."""
    second, slope, _, _ = law(DOUBLE, name, parameter).moments(q)
    bias = q - second / slope
    return 1 / math.sqrt(slope), math.sqrt(max(bias, 0.0))


def cases():
    """Yield a name, the activation, sigma_w, sigma_b, start and q of every case."""
    for name, (parameter, ordered, q_critical, steep) in SMOOTH.items():
        phi = {"activation": name, "parameter": parameter, "kinked": False}
        on_line = critical(name, parameter, q_critical) if q_critical else (1.0, 0.0)
        yield phi, *ordered, "preactivation", None
        yield phi, *ordered, "input", 0.7
        yield phi, *on_line, "preactivation", [q_critical or 1.5] * DEPTH
        if name not in DIVERGES:
            yield phi, *steep, "preactivation", None
        yield phi, *steep, "input", 0.4
        yield phi, *steep, "preactivation", 2.0
        yield phi, *steep, "preactivation", [v * PATH_SCALE.get(name, 1.0) for v in PATH]
    for name, (parameter, sigmas) in KINKED.items():
        phi = {"activation": name, "parameter": parameter, "kinked": True}
        yield phi, *sigmas, "preactivation", 0.6
        yield phi, *sigmas, "input", 1.5


def rest(name, parameter, sigma_w, sigma_b):
    """Return the fixed point that q -> V(q) reaches from 1, in double precision."""
    rough, q = law(DOUBLE, name, parameter), 1.0
    for _ in range(10000):
        q = sigma_w**2 * float(rough.moments(q)[0]) + sigma_b**2
    return q


def lengths(a, phi, sigma_w, sigma_b, q, rough):
    """Return q in each layer."""
    if isinstance(q, list):
        return [a.real(v) for v in q]
    result = [a.real(q) if q is not None else solve_length(phi, sigma_w, sigma_b, rough)]
    gain, bias = a.real(sigma_w) ** 2, a.real(sigma_b) ** 2
    while len(result) < DEPTH:
        result.append(gain * phi.moments(result[-1])[0] + bias)
    return result


def solve(matrix, right):
    """Solve a small linear system of MPFR numbers by elimination with pivots."""
    m = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    n = len(m)
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(m[k][i]))
        m[i], m[pivot] = m[pivot], m[i]
        for k in range(i + 1, n):
            factor = m[k][i] / m[i][i]
            m[k] = [x - factor * y for x, y in zip(m[k], m[i], strict=True)]
    x = [m[0][0] * 0] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][j] * x[j] for j in range(i + 1, n))) / m[i][i]
    return x


def geometry(route, case, rough):
    """Return q, g and A in each layer; A is None where phi' jumps."""
    a, n_terms, size = route
    a.activate()
    kind, sigma_w, sigma_b, start, q = case
    phi = law(a, kind["activation"], kind["parameter"])
    q = lengths(a, phi, sigma_w, sigma_b, q, rough)
    radius = q[0] - (a.real(sigma_b) ** 2 if start == "input" else 0)
    if kind["kinked"]:
        powers, largest = list(range(2, n_terms + 2)), size / 200
    elif kind["activation"] == "elu":
        powers, largest = [2, *range(4, n_terms + 3)], size / 100
    else:
        powers, largest = [2 * k for k in range(1, n_terms + 1)], size / 1000
    angles = [a.real(largest) * (k + 1) / len(powers) for k in range(len(powers))]
    matrix = [[t**p for p in powers] for t in angles]
    gaps = [2 * radius * a.sin(t / 2) ** 2 for t in angles]
    metric, bend, gain = [], [], a.real(sigma_w) ** 2
    for layer in range(DEPTH):
        if layer:
            gaps = [gain * phi.pair(q[layer - 1], gap / q[layer - 1])[0] for gap in gaps]
        series = solve(matrix, gaps)
        metric.append(2 * series[0])
        bend.append(-24 * series[1])
    return q, metric, None if kind["kinked"] else bend


def record(case, found):
    """Return what is stored of a case."""
    kind, sigma_w, sigma_b, start, q = case
    lengths, metric, bend = found
    row = kind | {"sigma_w": sigma_w, "sigma_b": sigma_b, "start": start, "q_given": q}
    row |= {"q": [float(v) for v in lengths], "metric": [float(v) for v in metric]}
    if bend is not None:
        pairs = list(zip(bend, metric, strict=True))
        row["curvature_squared"] = [float(b / (g * g)) for b, g in pairs]
        row["gauss_metric"] = [float(b / g) for b, g in pairs]
    return row


def difference(first, second):
    """Return the largest relative difference between two records."""
    keys = [k for k in ("q", "metric", "curvature_squared", "gauss_metric") if k in first]
    return max(float(np.max(np.abs(np.array(first[k]) / np.array(second[k]) - 1))) for k in keys)


def main():
    """Compute every case twice and store them."""
    stored = []
    for case in cases():
        begin = time.monotonic()
        kind, sigma_w, sigma_b, _, q = case
        routes = FINE if kind["kinked"] or kind["activation"] == "elu" else ROUTES
        rough = None
        if q is None:
            rough = rest(kind["activation"], kind["parameter"], sigma_w, sigma_b)
        first, second = (record(case, geometry(route, case, rough)) for route in routes)
        apart = difference(first, second)
        words = f"{kind['activation']:13s} {sigma_w:.4f} {sigma_b:.4f} {first['start']:14s}"
        print(f"{words} {apart:.1e}  {time.monotonic() - begin:.1f} s", flush=True)
        if apart > 1e-14:
            raise SystemExit("the two routes do not agree")
        stored.append(second)
    lines = ",\n".join(json.dumps(row) for row in stored)
    OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    gmpy2.get_context().precision = 160
    main()
