"""Import time and a cold call, in fresh processes. Usage: python bench/import_time.py [--tiny]."""

import subprocess
import sys

import _compare
import numpy as np

# Inside the process, so that the start of the interpreter does not count.
_IMPORT = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {package}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
_COLD = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - wall, time.process_time() - cpu)
print(repr(point))
"""
_OURS = """
import meanfree as mf
found = mf.fixed_point(mf.Ensemble("tanh", 2.5, 0.3))
point = [float(x) for x in (found.q, found.chi_1, found.c)]
"""
# What one types without a library.
_SCIPY = """
import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
w, b = 2.5**2, 0.3**2
density = lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
mean = lambda f: quad(lambda z: f(z) * density(z), -9, 9, epsabs=1e-12, limit=200)[0]
q = brentq(lambda q: w * mean(lambda z: np.tanh(np.sqrt(q) * z) ** 2) + b - q, 1e-6, w + b)
chi_1 = w * mean(lambda z: np.cosh(np.sqrt(q) * z) ** -4.0)
def product(c):
    u, v, r = np.sqrt(q) * c, np.sqrt(q * (1 - c * c)), np.sqrt(q)
    inner = lambda z: mean(lambda y: np.tanh(u * z + v * y))
    return mean(lambda z: np.tanh(r * z) * inner(z))
c = brentq(lambda c: (w * product(c) + b) / q - c, 0.0, 0.5, xtol=1e-10)
point = [float(x) for x in (q, chi_1, c)]
"""


def fresh(code):
    """Run the code in a fresh process; return wall and CPU seconds, and what else it printed."""
    out = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    times, _, rest = out.partition("\n")
    return [float(x) for x in times.split()], rest.strip()


def medians(codes, n):
    """Alternate n processes of each code; return {label: (wall, cpu)}."""
    times = {label: [] for label in codes}
    for _ in range(n):
        for label, code in codes.items():
            times[label].append(fresh(code)[0])
    return {label: np.median(seconds, axis=0) for label, seconds in times.items()}


def imports(run):
    n = 2 if run.tiny else 40
    packages = ("meanfree", "numpy", "scipy")
    present = [name for name in packages if name == "meanfree" or _compare.version(name)]
    codes = {name: _IMPORT.format(package=name) for name in present}
    medians(codes, 1)  # fills the caches of files
    found = medians(codes, n)
    print(f"\nimport, median of {n} fresh processes in turn, interpreter started before")
    for name in packages:
        if name not in found:
            print(f"  {name}: absent")
            continue
        wall, cpu = found[name]
        ratio = found["meanfree"][1] / cpu
        line = f"  {name:8}  {_compare.readable(cpu):>8} CPU, {_compare.readable(wall):>8} wall"
        if name != "meanfree":
            line += f"  meanfree / {name} {ratio:.3g}"
        if name == "numpy":
            verdict = "reached" if ratio <= 1.5 else "missed"
            line += "  (goal at most 1.5" + ("" if run.tiny else f": {verdict}") + ")"
        print(line)


def cold_call(run):
    codes = {"meanfree": _COLD.format(code=_OURS), "scipy": _COLD.format(code=_SCIPY)}
    title = "one cold call: import, q*, chi_1, c* of tanh at sigma_w 2.5, sigma_b 0.3"
    print(f"\n{title}")
    points = {}
    for label, code in codes.items():
        points[label] = np.array(eval(fresh(code)[1]))  # a list of floats that we wrote
    difference = float(np.max(np.abs(points["meanfree"] - points["scipy"])))
    run.agree(title, {"difference": (difference, 1e-8)})
    found = medians(codes, 1 if run.tiny else 5)
    for label, (wall, cpu) in found.items():
        print(f"  {label:8}  {_compare.readable(cpu):>8} CPU, {_compare.readable(wall):>8} wall")
    print(f"  ratio {found['scipy'][1] / found['meanfree'][1]:.3g}")


def main():
    run = _compare.start("numpy", "scipy")
    imports(run)
    cold_call(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
