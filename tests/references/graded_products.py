"""Make graded_products.json: log singular values of long products, by mpmath.

    python tests/references/graded_products.py

Factors are small multiples of 2^-10, so that every digit of them is known; the product is formed
and decomposed at a precision beyond its condition number, and again with 40 digits more: both must
agree to 1e-15 after rounding.
"""

import json
import math
import pathlib
import random

import mpmath
import numpy as np

OUT = pathlib.Path(__file__).with_suffix(".json")

# name: (width, number of factors, spread of the logarithms of the diagonal matrices between)
CASES = {
    "gains of a network": (16, 60, 1.0),
    "gains over 17 decades": (10, 20, 20.0),
    "deep": (8, 400, 0.0),
    "very deep": (6, 1000, 0.5),
    "large": (40, 30, 1.0),
}


def factors(name):
    """Return the matrices of a case, the first to act first; the same on every machine."""
    n, depth, spread = CASES[name]
    source = random.Random(name)

    def uniform():
        return round((2.0 * source.random() - 1.0) * 1024.0) / 1024.0

    result = []
    for _ in range(depth):
        w = np.array([[uniform() for _ in range(n)] for _ in range(n)])
        # powers of 2: no rounding in the product
        d = np.array([2.0 ** round(spread * 1.44 * uniform()) for _ in range(n)])
        result.append(d[:, np.newaxis] * w)
    return result


def log_singular_values(matrices, digits):
    """Return the sorted logarithms as floats, computed with this number of digits."""
    with mpmath.workdps(digits):
        product = mpmath.matrix(matrices[0].tolist())
        for matrix in matrices[1:]:
            product = mpmath.matrix(matrix.tolist()) * product
        values = mpmath.svd_r(product, compute_uv=False)
        return sorted((float(mpmath.log(s)) for s in values), reverse=True)


def main():
    """Compute every case at two precisions and store them."""
    stored = {}
    for name in CASES:
        matrices = factors(name)
        digits = 120
        while True:
            first = log_singular_values(matrices, digits)
            if (first[0] - first[-1]) / math.log(10.0) < digits - 40:
                break
            digits += 200
        second = log_singular_values(matrices, digits + 40)
        difference = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(first, second, strict=True))
        print(f"{name}: {digits} digits, log s {first[0]:.3f} to {first[-1]:.3f}, {difference:.1e}")
        if difference > 1e-15:
            raise SystemExit("the two precisions do not agree")
        stored[name] = second
    OUT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
