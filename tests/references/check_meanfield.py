"""Check the stored mean-field references by routes that did not make them.

    python tests/references/check_meanfield.py [--points 40]

1. published values and limits;
2. closed forms against the general rules (erf, sin, gelu by the trapezoid rules; relu by panels;
   hard_tanh and shifted_relu by panels instead of Price's integral);
3. plain definitions of the activations under adaptive mpmath quadrature (1-D) and under split
   Gauss-Legendre panels in both variables (2-D), on stored points;
4. stored points made again with 60 bits and 17 digits of quadrature more;
5. small delta against the expansion of the correlation map about c = 1.
Prints the largest differences. Needs gmpy2, mpmath, numpy and scipy.
"""

import argparse
import csv
import itertools
import math

import meanfield
import mpmath
import numpy as np
from analytic_average import Analytic
from gaussian_averages import SELU_ALPHA, SELU_SCALE, Exponential, Piecewise, law
from precise import Arithmetic, gauss_legendre

A = meanfield.PRECISE
FINER = Arithmetic(200, 110.0)


def plain(name, p):
    """Return phi and phi' as mpmath functions of one variable and the kinks, as usually written."""
    m = mpmath
    half = m.mpf(1) / 2
    scale, alpha = (m.mpf(SELU_SCALE), m.mpf(SELU_ALPHA)) if name == "selu" else (1, m.mpf(p))

    def tanh_gelu(x):
        return half * x * (1 + m.tanh(m.sqrt(2 / m.pi) * (x + m.mpf("0.044715") * x**3)))

    def tanh_gelu_slope(x):
        k = m.sqrt(2 / m.pi)
        y = k * (x + m.mpf("0.044715") * x**3)
        t = m.tanh(y)
        return half * (1 + t + x * k * (1 + 3 * m.mpf("0.044715") * x * x) / m.cosh(y) ** 2)

    def bell(x):
        return m.exp(-x * x / 2) / m.sqrt(2 * m.pi)

    def logistic(x):
        return 1 / (1 + m.exp(-x))

    scaled = m.sqrt(m.pi) / 2
    return {
        "linear": (lambda x: x, lambda _: m.mpf(1), []),
        "relu": (lambda x: max(x, 0), lambda x: m.mpf(x > 0), [0]),
        "leaky_relu": (lambda x: x if x > 0 else alpha * x, lambda x: 1 if x > 0 else alpha, [0]),
        "shifted_relu": (lambda x: max(x, -alpha), lambda x: m.mpf(x > -alpha), [-p]),
        "hard_tanh": (lambda x: min(max(x, -1), 1), lambda x: m.mpf(abs(x) < 1), [-1, 1]),
        "tanh": (m.tanh, lambda x: 1 / m.cosh(x) ** 2, []),
        "erf": (m.erf, lambda x: 2 / m.sqrt(m.pi) * m.exp(-x * x), []),
        "erf_scaled": (lambda x: m.erf(scaled * x), lambda x: m.exp(-((scaled * x) ** 2)), []),
        "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x), []),
        "gelu": (lambda x: x * m.ncdf(x), lambda x: m.ncdf(x) + x * bell(x), []),
        "gelu_tanh": (tanh_gelu, tanh_gelu_slope, []),
        "silu": (
            lambda x: x * logistic(x),
            lambda x: logistic(x) * (1 + x * logistic(-x)),
            [],
        ),
        "elu": (
            lambda x: x if x > 0 else alpha * m.expm1(x),
            lambda x: 1 if x > 0 else alpha * m.exp(x),
            [0],
        ),
        "selu": (
            lambda x: scale * (x if x > 0 else alpha * m.expm1(x)),
            lambda x: scale * (1 if x > 0 else alpha * m.exp(x)),
            [0],
        ),
        "softplus": (lambda x: m.log1p(m.exp(-abs(x))) + max(x, 0), logistic, []),
        "sin": (m.sin, m.cos, []),
        "arctan": (m.atan, lambda x: 1 / (1 + x * x), []),
    }[name]


def report(title, differences):
    """Print the largest difference of each name."""
    print(title)
    for name, values in differences.items():
        print(f"    {name:40s} {max(float(abs(v)) for v in values):.1e}   ({len(values)} values)")


def published():
    """Compare with the values that Poole et al.'s own maps give for tanh, and with known limits."""
    sampler, different = meanfield.Sampler(), {}
    cases = {  # q*, c*, chi_1, chi_2, xi_c, xi_q of tanh at (sigma_w, 0.3)
        1.3: (0.60704679, 1, 0.93980743, 0.54347202, 16.108, 1.338),
        2.5: (4.07912388, 0.12210375, 1.58522477, 1.19604129, 5.109, 0.688),
        4.0: (12.60414950, 0.02969592, 2.36726104, 1.85717604, 3.639, 0.490),
    }
    for sigma_w, values in cases.items():
        status, q = sampler.fixed_point("tanh", 0.0, sigma_w, 0.3)
        rough = sampler.table("tanh", 0.0)[0]
        phi = law(A, "tanh")
        row = meanfield.fixed_point_values("tanh", phi, rough, sigma_w, 0.3, status, q)
        for key, value in zip(("q", "c", "chi_1", "chi_2", "xi_c", "xi_q"), values, strict=True):
            different.setdefault(f"tanh {key}", []).append(row[key] - value)
    line = {0.05: 1.1225390, 0.1: 1.1934007, 0.2: 1.3041458, 0.3: 1.3955840, 0.5: 1.5496739}
    line[1.0] = 1.8555891
    phi = law(A, "tanh")
    for sigma_b, sigma_w in line.items():
        low, high = A.real("1e-6"), A.real(50)
        for _ in range(90):
            q = (low * high) ** (A.real(1) / 2)
            second, slope, _, _ = phi.moments(q)
            low, high = (low, q) if q - second / slope > sigma_b**2 else (q, high)
        different.setdefault("tanh critical line", []).append(1 / slope**0.5 - sigma_w)
    report("1. published values (rounded there to 7 to 8 digits, xi to 3)", different)
    for name in ("gelu", "silu"):
        phi, low, high = law(A, name), A.real(1), A.real(100)
        for _ in range(80):
            q = (low + high) / 2
            _, slope, _, length_slope = phi.moments(q)
            low, high = (q, high) if length_slope > slope else (low, q)
        second, slope, _, _ = phi.moments(q)
        numbers = (q, (q - second / slope) ** 0.5, 1 / slope**0.5)
        print("    end of the stable line,", name, *(f"{float(v):.7f}" for v in numbers))


def panel_edges(points, width, reach):
    """Return sorted edges in [-reach, reach], all points among them, at most `width` apart."""
    ends = np.unique([-reach, reach, *(p for p in points if abs(p) < reach)])
    edges = [
        np.linspace(low, high, max(2, math.ceil((high - low) / width) + 1))
        for low, high in itertools.pairwise(ends)
    ]
    return np.unique(np.concatenate(edges))


def panel_rule(a, edges):
    """Return nodes and weights of the 30-point rule on every panel."""
    x, w = gauss_legendre(a)
    low, high = a.reals(edges[:-1])[:, None], a.reals(edges[1:])[:, None]
    middle, half = (low + high) / 2, (high - low) / 2
    return (middle + half * x).ravel(), (half * w).ravel()


def piecewise_by_panels(phi, q, delta):
    """Return the pair of a piecewise-linear phi, inner average closed and outer one by panels."""
    a, c = phi.a, 1 - delta
    width = a.sqrt(q * delta * (2 - delta))
    spread = [1.5 * j * float(width / abs(c)) for j in range(-9, 10)]
    points = [k for kink in map(float, phi.kinks) for k in (kink, kink / float(c))]
    points += [p + s for p in points for s in spread]
    root = float(a.sqrt(q))
    u, w = panel_rule(a, panel_edges(points, 1.5 * root, 12.5 * root))
    w = w * a.density(u / a.sqrt(q)) / a.sqrt(q)
    value = phi.slopes[0] * u + phi.offsets[0]
    slope = 0 * u + phi.slopes[0]
    inner, inner_slope = phi.slopes[0] * c * u + phi.offsets[0], slope
    for kink, jump in zip(phi.kinks, phi.jumps, strict=True):
        above = np.array([v > kink for v in u])
        value, slope = value + jump * above * (u - kink), slope + jump * above
        x = (c * u - kink) / width
        tail = a.tails(-x)
        inner = inner + jump * ((c * u - kink) * tail + width * a.density(x))
        inner_slope = inner_slope + jump * tail
    return phi.moments(q)[0] - np.dot(w, value * inner), np.dot(w, slope * inner_slope)


def general_routes():
    """Compare closed forms with the general rules, at q and delta over their ranges."""
    a, one = A, A.real(1)
    root2, root_pi = a.sqrt(a.real(2)), a.sqrt(a.pi)

    def erf(a, u):
        d1 = 2 / root_pi * a.exp(-u * u)
        return a.erf(u), d1, -2 * u * d1

    def sin(a, u):
        value = a.sin(u)
        return value, a.cos(u), -value

    def gelu(a, u):
        n = a.density(u)
        return u * a.erf(u / root2) / 2, a.erf(u / root2) / 2 + u * n, (2 - u * u) * n

    pairs = {
        "erf, trapezoid": (
            law(A, "erf"),
            Analytic(A, erf, 1, odd=True, growth=lambda y: 2 * y * y),
        ),
        "sin, trapezoid": (law(A, "sin"), Analytic(A, sin, 1, odd=True, growth=lambda y: 2 * y)),
        "gelu, trapezoid": (
            law(A, "gelu"),
            Analytic(A, gelu, 1, linear=0.5, growth=lambda y: y * y + 2 * np.log1p(y)),
        ),
        "relu, panels": (law(A, "relu"), Exponential(A, 0)),
        "hard_tanh, panels": (law(A, "hard_tanh"), None),
        "shifted_relu, panels": (law(A, "shifted_relu", 1.0), None),
    }
    different = {}
    for name, (exact, other) in pairs.items():
        for q in map(A.real, (0.01, 0.7, 9.0)):
            if other is not None:
                for x, y in zip(exact.moments(q), other.moments(q), strict=True):
                    if not math.isinf(x):
                        different.setdefault(f"{name}, moments, relative", []).append(y / x - one)
            for delta in map(A.real, (1.7, 0.6, 0.25, 0.03, 1e-4, 1e-8, 1e-12)):
                x = exact.pair(q, delta)
                y = other.pair(q, delta) if other else piecewise_by_panels(exact, q, delta)
                different.setdefault(f"{name}, delta', relative", []).append(y[0] / x[0] - one)
                different.setdefault(f"{name}, chi", []).append(y[1] - x[1])
    report("2. closed forms and Price integrals against general rules", different)


def plain_definitions(rows, n_points):
    """Compare moments and the far application of the map with split quadrature of phi itself."""
    different = {}
    for row in rows[:n_points]:
        name, q, delta = row["activation"], row["map_q"], row["far_delta"]
        phi, slope, kinks = plain(name, row["parameter"])
        exact = law(A, name, row["parameter"])
        root, gain = mpmath.sqrt(q), mpmath.mpf(row["sigma_w"]) ** 2
        ends = sorted({-11.0, 11.0, *(float(k / root) for k in kinks if abs(k / root) < 11), 0.0})
        ends = panel_edges(ends, 3.0 / max(1.0, float(root)), 11.0)
        moments = exact.moments(A.real(q))
        for f, x in ((phi, moments[0]), (slope, moments[1])):
            value = mpmath.quad(
                lambda z, f=f, root=root: f(root * z) ** 2 * mpmath.npdf(z), list(ends)
            )
            different.setdefault("moments, relative", []).append(value / mpmath.mpf(str(x)) - 1)
        if not (q < 10 and 1e-3 < delta < 1.999):
            continue
        c, width = 1 - mpmath.mpf(delta), mpmath.sqrt(q * mpmath.mpf(delta) * (2 - delta))
        scale = 1.6 / max(1.0, float(root))
        first, first_slope = mpmath.mpf(0), mpmath.mpf(0)
        centres = {float(k / side) for k in kinks for side in (1, c) if side}
        near = [k + 1.6 * j * float(width / abs(c)) for k in centres for j in range(-6, 7)]
        outer = panel_edges([float(v / root) for v in near], scale, 9.0)
        with mpmath.workdps(22):
            for z, w in double_rule(outer):
                u = root * z
                splits = [float((k - c * u) / width) for k in kinks]
                nodes = double_rule(panel_edges(splits, scale, 9.0))
                values = [(v * mpmath.npdf(x), c * u + width * x) for x, v in nodes]
                weight = w * mpmath.npdf(z)
                first += weight * phi(u) * mpmath.fsum(v * phi(y) for v, y in values)
                first_slope += weight * slope(u) * mpmath.fsum(v * slope(y) for v, y in values)
        bias = mpmath.mpf(row["sigma_b"]) ** 2
        length = gain * mpmath.mpf(str(moments[0])) + bias
        by_name = (
            (gain * first + bias) / length - row["far_c"],
            gain * first_slope - row["far_slope"],
        )
        for quantity, value in zip(("C", "chi"), by_name, strict=True):
            different.setdefault(f"{quantity}, {name}", []).append(value)
    report("3. plain definitions, mpmath", different)


def double_rule(edges):
    """Return (node, weight) pairs of 16 Gauss-Legendre nodes a panel: about 1e-15."""
    x, w = np.polynomial.legendre.leggauss(16)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    z, w = middle[:, None] + half[:, None] * x, half[:, None] * w
    return list(zip(map(mpmath.mpf, z.ravel()), map(mpmath.mpf, w.ravel()), strict=True))


def finer(rows, n_points):
    """Make stored points again with more bits and smaller quadrature errors."""
    sampler, different = meanfield.Sampler(), {}
    meanfield.PRECISE = FINER
    for n, row in list(enumerate(rows))[-n_points:]:
        again = meanfield.make_point(sampler, n)
        for key, value in row.items():
            if not isinstance(value, str):
                same = value == again[key] or (math.isnan(value) and math.isnan(again[key]))
                change = 0.0 if same else abs(value - again[key]) / math.ulp(value)
                different.setdefault(f"{key}, units in the last place", []).append(change)
    meanfield.PRECISE = A
    A.activate()
    report("4. 200 bits, quadrature error 1e-48 instead of 1e-31", different)


def expansions(rows):
    """Compare the near application at delta <= 1e-6 with the leading terms about c = 1."""
    different = {}
    for row in rows:
        delta, q = row["near_delta"], row["map_q"]
        if row["status"] != "converged" or delta > 1e-6 or not q:
            continue
        phi = law(meanfield.DOUBLE, row["activation"], row["parameter"])
        size, name = delta**2, "smooth, remainder / delta^2"
        slow = q * row["chi_2"] / 2 * delta**2
        if math.isinf(row["chi_2"]):
            if isinstance(phi, Piecewise):
                squares = [
                    j**2 * math.exp(-(k**2) / (2 * q))
                    for j, k in zip(phi.jumps, phi.kinks, strict=True)
                ]
            elif isinstance(phi, Exponential):
                squares = [(phi.scale * (1 - phi.alpha)) ** 2]
            else:
                squares = [(1 - phi.p) ** 2]
            slow = row["sigma_w"] ** 2 * math.sqrt(2) / (3 * math.pi) * sum(squares) * delta**1.5
            name = "kinked, remainder / delta^2"
        remainder = row["near_next"] - row["chi_1"] * delta + slow
        noise = 4e-16 * row["chi_1"] * delta
        different.setdefault(name, []).append(
            max(0.0, abs(remainder) - noise) / size / max(1, row["chi_1"] * q)
        )
    report("5. delta' = chi_1 delta - ...; remainders over max(1, chi_1 q*)", different)


def main():
    """Run every check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=36)
    n_points = parser.parse_args().points
    with meanfield.FILE.open() as file:
        rows = [
            {k: v if k in ("activation", "status") else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]
    mpmath.mp.dps = 25
    published()
    general_routes()
    expansions(rows)
    finer(rows, n_points)
    plain_definitions(rows, n_points)


if __name__ == "__main__":
    main()
