# ruff: noqa: T201
"""Minimax coefficients of the polynomials in special.hpp and trigonometric.hpp, by Remez exchange.

``python cpp/tools/special_coefficients.py`` prints every fit with its error (needs mpmath);
``--check`` also exits with 1 if one of the coefficients is not in the headers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mpmath as mp

INCLUDE = Path(__file__).parents[1] / "include" / "meanfree"
Function = Callable[[mp.mpf], mp.mpf]


@dataclass(frozen=True)
class Fit:
    """``n`` coefficients that minimise max ``|weight (function - polynomial)|`` on [low, high]."""

    name: str
    function: Function
    weight: Function
    low: mp.mpf
    high: mp.mpf
    n: int
    last_factor: float = 1.0  # of the last coefficient, for an exact value at an end of the range


def shifted_power_basis(coefficients: list[mp.mpf], centre: mp.mpf, half: mp.mpf) -> list[mp.mpf]:
    """Coefficients in x of a polynomial given by those in t = (x - centre) / half."""
    result, power = [mp.mpf(0)] * len(coefficients), [mp.mpf(1)]
    for c in coefficients:
        for i, p in enumerate(power):
            result[i] += c * p
        times_t = [mp.mpf(0)] * (len(power) + 1)
        for i, p in enumerate(power):
            times_t[i] -= p * centre / half
            times_t[i + 1] += p / half
        power = times_t
    return result


def alternation(error: list[mp.mpf], n: int) -> list[int]:
    """Places of n extrema of alternating sign, the largest ones."""
    places, best = [], 0
    for k in range(1, len(error)):
        if error[k] * error[best] < 0:
            places.append(best)
            best = k
        elif abs(error[k]) > abs(error[best]):
            best = k
    places.append(best)
    while len(places) > n:
        places.pop(0 if abs(error[places[0]]) < abs(error[places[-1]]) else -1)
    return places


def remez(fit: Fit) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients of the fit, and its largest weighted error."""
    n, size = fit.n, 40 * (fit.n + 1)
    centre, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    t = [-mp.cos(mp.pi * (i + mp.mpf(0.5)) / size) for i in range(size)]
    f = [fit.function(centre + half * v) for v in t]
    w = [fit.weight(centre + half * v) for v in t]
    places = [i * (size - 1) // n for i in range(n + 1)]
    while True:
        system, right = mp.matrix(n + 1, n + 1), mp.matrix(n + 1, 1)
        for row, k in enumerate(places):
            for column in range(n):
                system[row, column] = t[k] ** column
            system[row, n] = (-1) ** row / w[k]
            right[row] = f[k]
        solution = mp.lu_solve(system, right)
        coefficients = list(solution[:n])
        error = [w[k] * (f[k] - mp.polyval(coefficients[::-1], t[k])) for k in range(size)]
        worst = max(abs(e) for e in error)
        places = alternation(error, n + 1)
        if worst < mp.mpf("1.01") * abs(solution[n]) or len(places) < n + 1:
            return shifted_power_basis(coefficients, centre, half), worst


def scaled_erfcx(t: mp.mpf) -> mp.mpf:
    """(1 + 2x) exp(x^2) erfc(x) at x = 4 (1 + t) / (1 - t)."""
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def erf_exponent(x: mp.mpf) -> mp.mpf:
    """-log(1 - erf(x)) / x."""
    return -mp.log(mp.erfc(x)) / x


def erf_weight(x: mp.mpf) -> mp.mpf:
    """Relative error of erf(x) = -expm1(-x g) for an error 1 of g."""
    return x / mp.expm1(x * erf_exponent(x))


def fits() -> list[Fit]:
    """Every polynomial; weights make the error the relative one of the result."""
    wide = mp.mpf("1.0001")  # room for rounding at the ends of a reduced range
    ln2, hyper = mp.log(2), mp.hyper
    atanh_end = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * wide

    def coth_tail(z: mp.mpf) -> mp.mpf:  # (r coth(r / 2) - 2) / z, z = r^2
        r = mp.sqrt(z)
        return (r * mp.coth(r / 2) - 2) / z

    def atanh_tail(z: mp.mpf) -> mp.mpf:  # (2 atanh(s) / s - 2) / z, z = s^2
        return mp.mpf(2) / 3 * hyper([1, 1.5], [2.5], z)

    def sin_tail(u: mp.mpf) -> mp.mpf:  # (sin(r) / r - 1) / u, u = r^2
        return -hyper([1], [2, 2.5], -u / 4) / 6

    def asin_tail(z: mp.mpf) -> mp.mpf:  # (asin(s) / s - 1) / z, z = s^2
        return hyper([1, 1.5, 1.5], [2, 2.5], z) / 6

    def atan_tail(z: mp.mpf) -> mp.mpf:  # (atan(t) / t - 1) / z, z = t^2
        return -hyper([1, 1.5], [2.5], -z) / 3

    def tail_weight(tail: Function) -> Function:
        return lambda z: z / (1 + z * tail(z))

    return [
        Fit("exponential", lambda r: hyper([1], [3], r) / 2, lambda r: r * r / mp.expm1(r),
            -ln2 / 2 * wide, ln2 / 2 * wide, 10),
        Fit("exponential_ratio", coth_tail, lambda z: z / 2, mp.mpf(0), (ln2 / 2 * wide) ** 2, 5),
        Fit("log_normal", atanh_tail, lambda z: z / 2, mp.mpf(0), atanh_end, 7),
        Fit("softplus", atanh_tail, lambda z: z / 2, mp.mpf(0), mp.mpf(1) / 9, 9),
        Fit("erf", erf_exponent, erf_weight, mp.mpf(0), mp.mpf(6), 23),
        Fit("scaled_erfcx", scaled_erfcx, lambda t: 1 / scaled_erfcx(t), mp.mpf(-1),
            mp.mpf(24) / 32, 22),
        Fit("sin", sin_tail, tail_weight(sin_tail), mp.mpf(0), (mp.pi / 2) ** 2 * wide, 8,
            1 + 1.75e-5),  # cos(0) = 1, for a relative error of 7e-17 there
        Fit("asin", asin_tail, tail_weight(asin_tail), mp.mpf(0), mp.mpf(1) / 4, 12),
        Fit("atan", atan_tail, tail_weight(atan_tail), mp.mpf(0),
            mp.tan(mp.pi / 8) ** 2 * wide, 10),
    ]  # fmt: skip


def main() -> int:
    """Print the fits; return 1 if a coefficient is missed in the headers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the headers")
    check = parser.parse_args().check
    headers = (INCLUDE / "special.hpp").read_text() + (INCLUDE / "trigonometric.hpp").read_text()
    missing = 0
    mp.mp.dps = 50
    for fit in fits():
        coefficients, error = remez(fit)
        coefficients[-1] *= fit.last_factor
        numbers = [repr(float(c)) for c in coefficients]
        print(f"{fit.name}: relative error {mp.nstr(error, 2)}\n  {', '.join(numbers)}", flush=True)
        if check:
            lost = [number for number in numbers if number not in headers]
            print(f"  not in the headers: {', '.join(lost)}" if lost else "  all in the headers")
            missing += len(lost)
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
