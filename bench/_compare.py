"""What the comparisons share: one thread, answers first, times back to back, what ran where.

Import this before numpy: it limits every library to one thread, and moves this folder to the end
of the module path, since a file such as random.py would hide the standard library's.

    run = _compare.start("numpy", "scipy")
    run.compare("title", ours, {"numpy": peer}, agreement, goals={"numpy": 15.0}, limit=0.6)
    sys.exit(run.finish())

Times are CPU time of the calling thread, the best of several repeats in turn; of the whole process,
held on one core, where a peer computes in threads of its own (`whole_process`). A speed never
fails; a disagreement makes the exit status 1. An absent package is a peer of None.
"""

import os
import sys

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _here] + [_here]

import argparse  # noqa: E402
import importlib  # noqa: E402
import importlib.metadata  # noqa: E402
import platform  # noqa: E402
import time  # noqa: E402


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.split(":")[1] for line in file if line.startswith("model name"))
            return next(names).strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def version(package):
    """Return the installed version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def readable(seconds):
    """Write a time with three digits and a fitting unit."""
    units = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
    unit, size = next((u for u in units if seconds >= u[1]), units[-1])
    return f"{seconds / size:.3g} {unit}"


def _seconds(function, clock):
    """CPU time of one call; short calls are repeated for 5 ms, as by a user who has many."""
    n_calls, start = 0, clock()
    while True:
        function()
        n_calls += 1
        elapsed = clock() - start
        if elapsed >= 5e-3:
            return elapsed / n_calls


class Run:
    """The comparisons of one script."""

    def __init__(self, tiny, repeats, clock):
        self.tiny = tiny
        self.repeats = repeats
        self.clock = clock
        self.disagreements = []

    def agree(self, title, errors):
        """Print and record {quantity: (error, allowed)}."""
        for quantity, (error, allowed) in errors.items():
            good = bool(error <= allowed)  # false for nan
            print(f"  {quantity}: {error:.1e}, allowed {allowed:.0e}{'' if good else '  DISAGREE'}")
            if not good:
                self.disagreements.append(f"{title}: {quantity}")

    def compare(self, title, ours, peers, agreement, *, goals=None, limit=None):
        """Check that the answers agree, then time.

        `ours` and the values of `peers` are called without arguments (None: absent).
        `agreement(ours, peer, label)` returns {quantity: (error, allowed)}. `goals` are ratios
        to reach against peers, `limit` the seconds that ours may take. Returns the best times.
        """
        print(f"\n{title}")
        callables = {"meanfree": ours}
        for label, peer in peers.items():
            if peer is None:
                print(f"  {label}: absent")
            else:
                callables[label] = peer
        answers = {label: function() for label, function in callables.items()}  # warms up
        for label in list(callables)[1:]:
            self.agree(title, agreement(answers["meanfree"], answers[label], label))
        best = dict.fromkeys(callables, float("inf"))
        for _ in range(self.repeats):
            for label, function in callables.items():
                best[label] = min(best[label], _seconds(function, self.clock))
        width = max(map(len, best))
        goals = goals or {}
        for label, seconds in best.items():
            line = f"  {label:{width}}  {readable(seconds):>8}"
            if label == "meanfree":
                line += "" if limit is None else self._verdict(seconds <= limit, readable(limit))
            else:
                ratio = seconds / best["meanfree"]
                line += f"  ratio {ratio:.3g}"
                if label in goals:
                    line += self._verdict(ratio >= goals[label], f"{goals[label]:g}")
            print(line, flush=True)
        return best

    def _verdict(self, reached, goal):
        if self.tiny:
            return f"  (goal {goal} at full size)"
        return f"  (goal {goal}: {'reached' if reached else 'missed'})"

    def finish(self):
        """Return the exit status."""
        print()
        for line in self.disagreements:
            print(f"DISAGREE: {line}")
        return int(bool(self.disagreements))


def start(*packages, repeats=7, whole_process=False):
    """Read --tiny and --repeats, print what runs here, and return a Run."""
    if whole_process and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true", help="check agreement on a tiny size")
    parser.add_argument("--repeats", type=int, default=repeats)
    options = parser.parse_args()
    build = importlib.import_module("meanfree").build_info()
    print(f"meanfree {build['version']}, instruction set {build['isa']}, {build['compiler']}")
    versions = [f"{name} {version(name) or 'absent'}" for name in packages]
    print(", ".join([f"Python {platform.python_version()}", *versions]))
    print(f"{_processor()}, one thread, CPU time" + (", tiny sizes" if options.tiny else ""))
    if version("threadpoolctl") and "numpy" in packages:
        importlib.import_module("numpy")
        for library in importlib.import_module("threadpoolctl").threadpool_info():
            if library["user_api"] == "blas":
                print(f"{library['prefix']} {library['version']} for {library['architecture']}")
    clock = time.process_time if whole_process else time.thread_time
    return Run(options.tiny, 1 if options.tiny else options.repeats, clock)
