"""Make the stored mean-field references of tests/test_accuracy.py: meanfield.csv.

    python tests/references/meanfield.py --points 2000    append points until there are 2,000

Every point is an activation with exact doubles sigma_w and sigma_b; point n is drawn from its own
seed, so that an interrupted run goes on where it stopped and any prefix of the file is a mixture
of all activations. Each point holds the fixed point that the iteration q -> V(q) reaches from
q = 1, and two applications of the correlation map at map_q: one at far_delta, anywhere in [0, 2],
and one at near_delta, from 1e-12 to 1e-1. Both are exact doubles and so are c = 1 - delta.
Values are the doubles nearest to a value of about 25 digits; nan stands for what is undefined.

check_meanfield.py computes stored points again by other routes. Needs gmpy2, numpy and scipy; one
core makes 2,000 points in about six minutes.
"""

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np
from gaussian_averages import Analytic, Closed, Exponential, Piecewise, law
from precise import Arithmetic
from scipy.optimize import brentq

FILE = Path(__file__).with_name("meanfield.csv")
DOUBLE = Arithmetic(None, 42.0)
PRECISE = Arithmetic(140, 72.0)
ACTIVATIONS = [
    ("linear", 0.0),
    ("relu", 0.0),
    ("leaky_relu", 0.01),
    ("shifted_relu", 1.0),
    ("hard_tanh", 0.0),
    ("tanh", 0.0),
    ("erf", 0.0),
    ("erf_scaled", 0.0),
    ("sigmoid", 0.0),
    ("gelu", 0.0),
    ("gelu_tanh", 0.0),
    ("silu", 0.0),
    ("elu", 1.0),
    ("elu", 0.5),
    ("selu", 0.0),
    ("softplus", 0.0),
    ("sin", 0.0),
    ("arctan", 0.0),
]
BOUNDED = {"hard_tanh", "tanh", "erf", "erf_scaled", "sigmoid", "sin", "arctan"}
ODD = BOUNDED - {"sigmoid"} | {"linear"}
SPECIAL = [  # activation, parameter, sigma_w, sigma_b: one in every hundred points
    ("relu", 0.0, math.sqrt(2), 0.0),
    ("gelu", 0.0, 1.6, 0.0),
    ("silu", 0.0, 1.6, 0.0),
    ("relu", 0.0, 1.5, 0.3),
    ("linear", 0.0, 1.0, 0.0),
    ("gelu_tanh", 0.0, 1.6, 0.0),
    ("elu", 1.0, 1.5, 0.5),
    ("leaky_relu", 0.01, math.sqrt(2 / 1.0001), 0.0),
    ("selu", 0.0, 1.4, 1.0),
    ("softplus", 0.0, 1.5, 0.1),
    ("gelu", 0.0, 1.45, 0.5),
    ("tanh", 0.0, 0.9, 0.0),
    ("hard_tanh", 0.0, 0.99, 0.0),
    ("shifted_relu", 1.0, 1.6, 0.5),
    ("relu", 0.0, 1.4, 0.0),
    ("elu", 0.5, 2.0, 0.0),
    ("sin", 0.0, 0.99, 0.0),
    ("leaky_relu", 0.01, 3.0, 0.0),
    ("linear", 0.0, 1.2, 1.0),
    ("elu", 1.0, 0.9, 0.0),
]
COLUMNS = [
    "activation",
    "parameter",
    "sigma_w",
    "sigma_b",
    "status",
    "q",
    "length_slope",
    "chi_1",
    "chi_2",
    "c",
    "chi_c",
    "xi_q",
    "xi_c",
    "map_q",
    "far_delta",
    "far_c",
    "far_slope",
    "far_next",
    "near_delta",
    "near_c",
    "near_slope",
    "near_next",
]


class Sampler:
    """Draw points in double precision, from a table of the moments of every activation over q."""

    def __init__(self) -> None:
        self._tables = {}

    def table(self, name, parameter):
        """Return the double-precision law, q, E phi^2, E phi'^2 and d E phi^2 / dq."""
        if (name, parameter) not in self._tables:
            rough = law(DOUBLE, name, parameter)
            q = np.geomspace(1e-10, 1e5 if isinstance(rough, Analytic) else 1e9, 1200)
            rows = np.array([rough.moments(v) for v in q], dtype=float)
            self._tables[name, parameter] = (rough, q, rows[:, 0], rows[:, 1], rows[:, 3])
        return self._tables[name, parameter]

    def fixed_point(self, name, parameter, sigma_w, sigma_b):
        """Return (status, q) of the iteration from q = 1, or None near a tangency or out of reach.

        V increases, so the iteration is monotone and stops at the first root on its way.
        """
        rough, q, second, _, _ = self.table(name, parameter)
        at_0, at_infinity = (float(v[0]) * sigma_w**2 for v in rough.limits())

        def gap(x):
            return (sigma_w**2 * float(rough.moments(x)[0]) + sigma_b**2) / x - 1

        if isinstance(rough, Closed) and rough.kind in ("linear", "leaky"):
            if sigma_b > 0 and at_infinity < 1:
                return "converged", sigma_b**2 / (1 - at_infinity)
            if sigma_b == 0 and abs(at_infinity - 1) < 1e-12:
                return "marginal", 1.0
            return ("diverges", math.inf) if at_infinity > 1 else ("collapsed_to_zero", 0.0)
        up = gap(1.0) > 0
        path = q[q > 1] if up else q[q < 1][::-1]
        gaps = (sigma_w**2 * second + sigma_b**2) / q - 1
        gaps = gaps[q > 1] if up else gaps[q < 1][::-1]
        crossing = np.flatnonzero((gaps > 0) != up)
        before = np.abs(gaps[: crossing[0]] if len(crossing) else gaps)
        dips = (before[1:-1] < before[:-2]) & (before[1:-1] < before[2:]) & (before[1:-1] < 1e-3)
        if np.any(dips):
            return None
        if len(crossing) == 0:
            if up:
                return ("diverges", math.inf) if at_infinity > 1 else None
            return ("collapsed_to_zero", 0.0) if sigma_b == 0 and at_0 < 0.9999 else None
        near = path[crossing[0] - 1] if crossing[0] else 1.0
        root = brentq(gap, *sorted((near, path[crossing[0]])), xtol=1e-300, rtol=1e-15)
        if isinstance(rough, Analytic) and root > 1500:  # too dear
            return None
        return "converged", root

    def general(self, name, parameter, random):
        """Draw sigma_w and sigma_b over the whole range."""
        _, at_infinity = self.table(name, parameter)[0].limits()
        top = 20.0 if name in BOUNDED else 0.99 / math.sqrt(float(at_infinity[0]))
        sigma_w = math.exp(random.uniform(math.log(0.1), math.log(top)))
        kind = random.uniform()
        no_bias = 0.2 if name in ODD | {"sigmoid", "softplus"} - {"linear"} else 0.07
        if kind < no_bias:
            return sigma_w, 0.0
        if kind < 0.5:
            return sigma_w, math.exp(random.uniform(math.log(1e-3), math.log(5.0)))
        return sigma_w, random.uniform(0.0, 5.0)

    def critical(self, name, parameter, random):
        """Draw a point where chi_1 = 1 + epsilon, by the exact parametrisation of that line."""
        epsilon = math.copysign(10.0 ** random.uniform(-6, -1), random.uniform(-1, 1))
        rough, q, second, slope, length_slope = self.table(name, parameter)
        if isinstance(rough, Closed) and rough.kind in ("linear", "leaky"):
            gain = float(rough.limits()[0][0])
            return math.sqrt((1 - abs(epsilon)) / gain), random.uniform(0, 5)
        if name in ODD and random.uniform() < 0.15:  # sigma_b = 0: chi_1 - 1 is of second order
            size = 10.0 ** random.uniform(-2.5, -0.5)
            return (1 + size) / math.sqrt(float(rough.limits()[0][0])), 0.0
        bias = q - (1 + epsilon) * second / slope
        gain = (1 + epsilon) / slope
        good = (bias >= 1e-7) & (bias <= 25) & (gain <= 400) & (gain * length_slope < 0.9999)
        good &= q >= 1e-6
        if not np.any(good):
            return None
        first, last = np.log(q[good][[0, -1]])
        x = math.exp(random.uniform(first, last))
        second, slope = (float(v) for v in rough.moments(x)[:2])
        gain, bias = (1 + epsilon) / slope, x - (1 + epsilon) * second / slope
        return (math.sqrt(gain), math.sqrt(bias)) if bias > 0 else None

    def point(self, n):
        """Return activation, parameter, sigma_w, sigma_b, status, rough q and generator of n."""
        random = np.random.default_rng([20161, n])
        name, parameter = ACTIVATIONS[n % len(ACTIVATIONS)]
        if n % 100 == 99:
            name, parameter, *sigmas = SPECIAL[(n // 100) % len(SPECIAL)]
            return name, parameter, *sigmas, *self.fixed_point(name, parameter, *sigmas), random
        near = (n // len(ACTIVATIONS)) % 5 in (1, 3)
        for attempt in range(2000):
            near = near and attempt < 300
            sigmas = (self.critical if near else self.general)(name, parameter, random)
            found = sigmas and self.fixed_point(name, parameter, *sigmas)
            if not found or (near and found[0] != "converged"):
                continue
            if found[0] == "converged":
                rough = self.table(name, parameter)[0]
                distance = abs(sigmas[0] ** 2 * float(rough.moments(found[1])[1]) - 1)
                if distance < 7e-7 or (near and distance > 0.13):
                    continue
            return name, parameter, *sigmas, *found, random
        raise RuntimeError(f"no point for {name}")


def solve_length(phi, sigma_w, sigma_b, q):
    """Return q* by Newton from a double, to the working precision."""
    a = phi.a
    gain, bias, q = a.real(sigma_w) ** 2, a.real(sigma_b) ** 2, a.real(q)
    for _ in range(12):
        second, _, _, slope = phi.moments(q)
        step = (gain * second + bias - q) / (1 - gain * slope)
        q += step
        if abs(step) < 1e-25 * q:
            return q
    raise RuntimeError("q* does not converge")


def solve_correlation(phi, gain, q, start, tolerance):
    """Return delta = 1 - c* and chi(c*) by Newton, monotone from the chaotic side of the root."""
    delta = start
    for _ in range(60):
        difference, slope = phi.pair(q, delta)
        slope = gain * slope
        excess = delta - gain * difference / q  # delta - delta', >= 0 from the root on
        if slope >= 1 or (excess < 0 and abs(excess) > 1e-3 * delta * (1 - slope)):
            if delta >= 1:
                raise RuntimeError("no root")
            delta = min(2 * delta, 1 + 0 * delta)
            continue
        step = excess / (1 - slope)
        delta -= step
        if abs(step) < tolerance * delta:
            return delta, slope
    raise RuntimeError("c* does not converge")


def start_correlation(phi, sigma_w, q, chi_1, chi_2):
    """Return a delta to begin from: the leading behaviour near chi_1 = 1, capped at c = 0."""
    if math.isinf(chi_2):
        if isinstance(phi, Piecewise):
            kinks = sum(
                float(j * j) * math.exp(-float(k * k) / (2 * q))
                for j, k in zip(phi.jumps, phi.kinks, strict=True)
            )
        elif isinstance(phi, Exponential):
            kinks = float(phi.scale * (1 - phi.alpha)) ** 2
        else:
            kinks = float(1 - phi.p) ** 2
        slow = sigma_w**2 * math.sqrt(2) * kinks / (3 * math.pi)
        return min(1.0, 1.3 * ((chi_1 - 1) / slow) ** 2)
    return min(1.0, 2.4 * (chi_1 - 1) / (q * chi_2))


def depth(slope):
    """Return -1 / log|slope|, with its limits."""
    if slope == 0:
        return 0.0
    size = abs(slope)
    return math.inf if size == 1 else float(-1 / PRECISE.log(size))


def fixed_point_values(name, phi, rough, sigma_w, sigma_b, status, q):
    """Return the columns q to xi_c."""
    a, nan = phi.a, math.nan
    gain = a.real(sigma_w) ** 2
    if status != "converged":
        (low, low_2), (high, high_2) = phi.limits()
        slope, curve = (high, high_2) if status == "diverges" else (low, low_2)
        chi_2 = math.inf if math.isinf(curve) else float(gain * curve)
        row = {"q": q, "length_slope": float(gain * slope), "chi_1": float(gain * slope)}
        return row | {
            "chi_2": chi_2,
            "c": nan,
            "chi_c": nan,
            "xi_c": nan,
            "xi_q": depth(gain * slope) if status == "collapsed_to_zero" else nan,
        }
    q = solve_length(phi, sigma_w, sigma_b, q)
    _, second_slope, curvature, length_slope = phi.moments(q)
    chi_1, chi_2 = gain * second_slope, gain * curvature
    delta, chi_c = a.real(0), chi_1
    if name in ODD and sigma_b == 0:
        if chi_1 > 1:
            delta = a.real(1)
            chi_c = gain * phi.pair(q, delta)[1]
    elif chi_1 > 1:
        if isinstance(phi, Analytic):
            start = start_correlation(rough, sigma_w, float(q), float(chi_1), float(chi_2))
            start = a.real(solve_correlation(rough, float(gain), float(q), start, 1e-9)[0])
        else:
            start = start_correlation(phi, sigma_w, float(q), float(chi_1), float(chi_2))
        delta, chi_c = solve_correlation(phi, gain, q, a.real(start), 1e-20)
    return {
        "q": float(q), "length_slope": float(gain * length_slope), "chi_1": float(chi_1),
        "chi_2": float(chi_2), "c": float(1 - delta), "chi_c": float(chi_c),
        "xi_q": depth(gain * length_slope), "xi_c": depth(chi_c),
    }  # fmt: skip


def map_values(phi, sigma_w, sigma_b, q, delta):
    """Return C(1 - delta), chi(1 - delta) and the next delta."""
    a = phi.a
    gain, q = a.real(sigma_w) ** 2, a.real(q)
    difference, slope = phi.pair(q, a.real(delta))
    after = gain * difference / (gain * phi.moments(q)[0] + a.real(sigma_b) ** 2)
    return float(1 - after), float(gain * slope), float(after)


def make_point(sampler, n):
    """Return the row of point n."""
    name, parameter, sigma_w, sigma_b, status, q, random = sampler.point(n)
    phi, rough = law(PRECISE, name, parameter), sampler.table(name, parameter)[0]
    row = {"activation": name, "parameter": parameter, "sigma_w": sigma_w, "sigma_b": sigma_b}
    row |= {"status": status} | fixed_point_values(name, phi, rough, sigma_w, sigma_b, status, q)
    far = round(random.uniform(0, 2) * 2.0**50) / 2.0**50
    near = round(10 ** random.uniform(-12, -1) * 2.0**53) / 2.0**53
    elsewhere = 10 ** random.uniform(-1.5, 1.5)
    row["map_q"] = row["q"] if status == "converged" else elsewhere
    for place, delta in (("far", far), ("near", near)):
        keys = [f"{place}_{key}" for key in ("delta", "c", "slope", "next")]
        values = map_values(phi, sigma_w, sigma_b, row["map_q"], delta)
        row |= dict(zip(keys, (delta, *values), strict=True))
    return row


def make(n_points, seconds):
    """Append points to the file until it holds n_points or the time is over."""
    if not FILE.exists():
        FILE.write_text(",".join(COLUMNS) + "\n")
    n_done = len(FILE.read_text().splitlines()) - 1
    sampler, begin = Sampler(), time.monotonic()
    with FILE.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        for n in range(n_done, n_points):
            if time.monotonic() - begin > seconds:
                break
            start = time.monotonic()
            row = make_point(sampler, n)
            writer.writerow({k: v if isinstance(v, str) else repr(v) for k, v in row.items()})
            file.flush()
            print(n, row["activation"], row["status"], f"{time.monotonic() - start:.2f} s")
    print(f"{time.monotonic() - begin:.0f} s")


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=math.inf)
    arguments = parser.parse_args()
    make(arguments.points, arguments.seconds)


if __name__ == "__main__":
    main()
