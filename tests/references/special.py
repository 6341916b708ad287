"""Make the stored values of tests/test_special.py: special.npz.

    python tests/references/special.py

For each function of the core's `special`: points x (doubles) over its whole range, and the value
as ``nearest (1 + rest)``: a double and a single, which hold about 23 digits (where the value is
subnormal, the nearest double alone). Every value is computed with 40 and with 80 digits, and the
two must agree to 20 digits.
"""

from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("special.npz")
Points = NDArray[np.float64]
N = 60
LARGEST_ANGLE = 131072.0  # where the vectorised reduction of sin and cos ends
SMALLEST_NORMAL = 2.0**-1022
random = np.random.default_rng(20160616)


def uniform(low: float, high: float, n: int = N) -> Points:
    return random.uniform(low, high, n)


def log_uniform(low: float, high: float, n: int = N) -> Points:
    return np.exp2(random.uniform(np.log2(low), np.log2(high), n)).clip(low, high)


def both_signs(x: Points) -> Points:
    return np.concatenate([x, -x])


def tiny() -> Points:
    """Both signs, from the least subnormal to 1e-3."""
    subnormal = log_uniform(5e-324, 2e-308, 4)
    return both_signs(np.concatenate([subnormal, log_uniform(2e-308, 1e-3, N // 2)]))


def near_multiples(offset: mp.mpf) -> Points:
    """The doubles next to (k + offset) pi: the zeros of sin (offset 0) or cos (offset 1/2)."""
    last = int(LARGEST_ANGLE / mp.pi) - 1
    k = np.concatenate([np.arange(1, 30), random.integers(30, last, 40), [last]])
    return both_signs(np.array([float((int(i) + offset) * mp.pi) for i in k]))


def angles(offset: mp.mpf) -> Points:
    huge = both_signs(log_uniform(LARGEST_ANGLE, 1e300, 20))
    ends = both_signs(np.array([LARGEST_ANGLE, np.nextafter(LARGEST_ANGLE, np.inf)]))
    moderate = [uniform(-10, 10), uniform(-LARGEST_ANGLE, LARGEST_ANGLE)]
    return np.concatenate([tiny(), *moderate, near_multiples(offset), ends, huge])


def normal_cdf(x: mp.mpf) -> mp.mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


FUNCTIONS: dict[str, tuple[Callable[[mp.mpf], mp.mpf], Callable[[], list[Points]]]] = {
    "asin": (
        mp.asin,
        lambda: [
            tiny(),
            uniform(-1, 1),
            both_signs(1 - log_uniform(1e-16, 0.6)),
            uniform(0.4, 0.6),
        ],
    ),
    "atan": (
        mp.atan,
        lambda: [tiny(), both_signs(log_uniform(1e-3, 1e308)), uniform(-4, 4, 2 * N)],
    ),
    "cos": (mp.cos, lambda: [angles(mp.mpf(0.5))]),
    "erf": (mp.erf, lambda: [tiny(), uniform(-7, 7, 2 * N), uniform(-2, 2, 2 * N)]),
    "erfc": (
        mp.erfc,
        lambda: [tiny(), uniform(-7, 3, 2 * N), uniform(3, 26.5), uniform(26.5, 27.2, 9)],
    ),
    "exp": (mp.exp, lambda: [tiny(), uniform(-708, 709.7), uniform(-3, 3), uniform(-745, -708, 9)]),
    "expm1": (mp.expm1, lambda: [tiny(), uniform(-50, 709.7), uniform(-3, 3, 2 * N)]),
    "log": (
        mp.log,
        lambda: (
            [
                log_uniform(5e-324, 1e-307, 20),
                log_uniform(1e-307, 1.7e308),
                log_uniform(0.3, 3),
                1 + both_signs(log_uniform(1e-15, 0.5)),
            ]
        ),
    ),
    "log1p": (
        mp.log1p,
        lambda: [
            tiny(),
            log_uniform(1e-3, 1.7e308),
            uniform(-1, 3, 2 * N),
            log_uniform(1e-15, 1) - 1,
        ],
    ),
    "normal_cdf": (
        normal_cdf,
        lambda: [tiny(), uniform(-5, 9, 2 * N), uniform(-37.5, -5), uniform(-38.4, -37.5, 9)],
    ),
    "normal_pdf": (
        mp.npdf,
        lambda: [tiny(), uniform(-5, 5), uniform(-37.5, 37.5), uniform(37.5, 38.5, 9)],
    ),
    "sech_squared": (
        lambda x: mp.sech(x) ** 2,
        lambda: [tiny(), uniform(-5, 5), uniform(-354, 354), uniform(354, 372, 9)],
    ),
    "sigmoid": (
        lambda x: 1 / (1 + mp.exp(-x)),
        lambda: [tiny(), uniform(-5, 5), uniform(-708, 40, 2 * N), uniform(-745, -708, 9)],
    ),
    "sin": (mp.sin, lambda: [angles(mp.mpf(0))]),
    "softplus": (
        lambda x: mp.log1p(mp.exp(x)),
        lambda: (
            [
                tiny(),
                uniform(-5, 5),
                uniform(-708, 40, 2 * N),
                uniform(-745, -708, 9),
                log_uniform(40, 1e308, 9),
            ]
        ),
    ),
    "tanh": (
        mp.tanh,
        lambda: [
            tiny(),
            uniform(-1, 1),
            uniform(-20, 20, 2 * N),
            both_signs(log_uniform(20, 1e308, 5)),
        ],
    ),
}


def value(function: Callable[[mp.mpf], mp.mpf], x: float) -> tuple[float, float]:
    """Nearest double of function(x), and the relative rest."""
    with mp.workdps(40):
        short = function(mp.mpf(x))
    with mp.workdps(80):
        exact = function(mp.mpf(x))
        assert abs(short - exact) <= abs(exact) * mp.mpf("1e-20"), (function, x)
        nearest = float(exact)
        return nearest, float(exact / nearest - 1)


def main() -> None:
    table = {}
    for name, (function, points) in FUNCTIONS.items():
        x = np.unique(np.concatenate(points()))
        nearest, rest = np.array([value(function, float(v)) for v in x]).T
        table |= {f"{name}.x": x, f"{name}.nearest": nearest}
        table[f"{name}.rest"] = np.where(abs(nearest) < SMALLEST_NORMAL, 0.0, rest).astype("f4")
        print(f"{name}: {x.size} points, {abs(nearest).min():.3g} <= |value|")
    np.savez_compressed(FILE, **table)


if __name__ == "__main__":
    main()
