"""Chapter 13: train and test error of a student with a noisy teacher, and when to stop."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.linear import spiked
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.student_figures import draw_spikes, draw_transfer
from meanfree.report.students import Case, compare, compare_stopping, students_stop
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "Train and test error: when to stop"
NEEDS: tuple[str, ...] = ()
TEXT = """
A linear teacher of low rank with singular values s̄ gives outputs with noise of variance σ²/N_{in};
here σ = 1, so that s̄ is the ratio of signal to noise. What a student sees is the teacher's matrix
plus noise. With A = N_{out}/N_{in} its singular values and overlaps are

    s² = (1 + s̄²)(A + s̄²) / s̄²,   O = (s̄⁴ - A) / (s̄² √((A + s̄²)(1 + s̄²))),   s̄⁴ > A,

beside a bulk of noise up to 1 + √A. A student that starts aligned and small learns each of these by
its own law u(t; s), and errs by

    test = [(R - r)⟨u²⟩ + Σ_a (u_a² - 2 u_a s̄_a O_a + s̄_a²)] / Σ_a s̄_a².

Strong modes come first. A signal above the noise is learned before it; then the noise is learned as
well, and the test error rises. There is a best time to stop.

The formula is that of large matrices. Its next term, of relative order 1/N, has a closed form for
the noise (file students.py of the report), which explains where students of a few hundred units
differ from the curve after the best time to stop.

Source: Lampinen and Ganguli (2019); Benaych-Georges and Nadakuditi (2012) for s and O; Gavish and
Donoho (2017) for shrinkage; Bai and Silverstein (2004) for the noise's term; the other terms are
this project's own.
"""


def run(settings: Settings) -> Iterator[Figure]:
    """Yield curves, spikes, stopping, a map, hidden units, and transfer."""
    yield _curves(settings)
    yield draw_spikes(settings, "b")
    yield _stopping(settings)
    yield _map(settings)
    yield _hidden(settings)
    yield draw_transfer(settings, "f")


_TIMES = (0.7, 1.0, 2.0, 3.0)  # of the best time to stop, where rows are made


def _curves(settings: Settings) -> Figure:
    from matplotlib.figure import Figure as Drawing

    n, n_samples = settings.size(140, 60), settings.size(28, 16)
    panels = (
        (
            "signal to noise",
            (
                Case("s̄ = 2", (2.0,), n, n),
                Case("s̄ = 3", (3.0,), n, n),
                Case("s̄ = 5, 4, 3", (5.0, 4.0, 3.0), n, n),
            ),
        ),
        (
            "outputs per input, s̄ = 3",
            (
                Case("A = 1/2", (3.0,), n, n // 2),
                Case("A = 2", (3.0,), n // 2, n),
            ),
        ),
        (
            "examples per input, s̄ = 3",
            (
                Case("P = 0.6 N", (3.0,), n, n, n_examples=3 * n // 5),
                Case("P = 3 N", (3.0,), n, n, n_examples=3 * n),
            ),
        ),
    )
    figure = Drawing(figsize=(9.6, 5.6), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey="row")
    comparisons: list[Comparison] = []
    rows = []
    for column, (title, cases) in enumerate(panels):
        for case, color in zip(cases, (BLUE, VERMILLION, GREEN), strict=False):
            stop = case.theory.optimal_stopping()
            fine = np.linspace(0.0, 3.2, 200)
            marked = np.array([0.4, *_TIMES[:2], 1.3, 1.6, *_TIMES[2:]])
            sample = case.simulate(settings, stop.t * marked, n_samples)
            for ax, kind in zip(axes[:, column], ("test", "train"), strict=True):
                curve = getattr(case.theory, f"{kind}_error")(stop.t * fine)
                ax.plot(fine, curve, color=color, label=case.name)
                ax.errorbar(
                    marked,
                    getattr(sample, f"{kind}_error"),
                    getattr(sample, f"{kind}_error_error"),
                    fmt="o",
                    color=color,
                    mec=BLACK,
                    mew=0.4,
                )
            for factor in _TIMES:
                index = int(np.argmin(np.abs(marked - factor)))
                when = "at t*" if factor == 1.0 else f"at {factor:g} t*"
                plain = compare(case, sample, index, when)
                comparisons += plain
                if factor >= 2.0:
                    terms = compare(
                        case, sample, index, f"{when} with the 1/N term", with_term=True
                    )
                    comparisons += terms
                    rows.append(_row(case.name, factor, plain[1], terms[1]))
        axes[0, column].set(title=title, yscale="log", ylim=(0.04, 500.0))
        axes[1, column].set(xlabel=r"time / best time to stop $t^*$", ylim=(0.0, 1.05))
        if column:
            axes[0, column].legend(loc="upper left")
    axes[0, 0].set_ylabel("test error")
    axes[1, 0].set_ylabel("train error")
    case = panels[0][1][1]
    marked = np.array([0.7, 1.0, 1.3, 1.6, 2.0, 3.0])
    t = case.theory.optimal_stopping().t * marked
    sample = case.simulate(settings, t, settings.size(6, 3), "random")
    style = {"fmt": "D", "mfc": "none", "mec": VERMILLION, "ecolor": VERMILLION}
    for ax, kind in zip(axes[:, 0], ("test", "train"), strict=True):
        values = getattr(sample, f"{kind}_error"), getattr(sample, f"{kind}_error_error")
        ax.errorbar(marked, *values, label="s̄ = 3, random start", **style)
    axes[0, 0].legend(loc="upper left")
    header = ("case", "t / t*", "theory", "and 1/N term", "simulated", "z", "z with the term")
    return Figure(
        key="a",
        title="Train and test error over time",
        drawing=figure,
        caption=(
            f"Lines, theory; marks, means of {n_samples} students with one standard error, which "
            f"start aligned to their data; N = {n} inputs or outputs, whichever are more, and room "
            "for all modes, a_0 = 0.001. An error of 1 is that of no output. After t* students of "
            "this size err less than the limit of large matrices says: the table gives z without "
            "and with the closed term of order 1/N."
        ),
        description="Train error falls; test error falls to a minimum at 1 and rises after it.",
        comparisons=comparisons,
        tables=[Table("Test error after the best time to stop", header, rows)],
        wide=True,
    )


def _row(name: str, factor: float, plain: Comparison, term: Comparison) -> tuple[str, ...]:
    return (
        name,
        f"{factor:g}",
        f"{plain.theory:.4f}",
        f"{term.theory:.4f}",
        f"{plain.estimate:.4f} ± {plain.standard_error:.4f}",
        f"{plain.z:+.1f}",
        f"{term.z:+.1f}",
    )


def _stopping(settings: Settings) -> Figure:
    from matplotlib.figure import Figure as Drawing

    n, n_samples = settings.size(120, 48), settings.size(24, 12)
    a0 = 1e-4
    figure = Drawing(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    comparisons: list[Comparison] = []
    for aspect, color, marker in ((0.5, GREEN, "^"), (1.0, BLUE, "o"), (2.0, VERMILLION, "s")):
        sizes = (n, int(aspect * n)) if aspect <= 1.0 else (int(n / aspect), n)
        fine = np.linspace(0.6, 7.0, settings.size(80, 20))
        theory = [Case("", (s,), *sizes, a0=a0).theory for s in fine]
        stops = [task.optimal_stopping() for task in theory]
        label = f"$A = {aspect:g}$"
        left.plot(fine, [stop.test_error for stop in stops], color=color, label=label)
        left.plot(fine, [task.shrinkage_error() for task in theory], ":", color=color)
        t = np.array([stop.t if stop.test_error < 0.999 else np.nan for stop in stops])
        right.plot(fine, t, color=color, label=label)
        for s in (2.0, 3.0, 4.0, 5.0, 6.0):
            case = Case(f"s̄ = {s:g}, A = {aspect:g}", (s,), *sizes, a0=a0)
            found = students_stop(case, settings, n_samples)
            left.errorbar(s, *found.error_at_theory, fmt=marker, color=color, mec=BLACK, mew=0.4)
            right.errorbar(s, *found.time, fmt=marker, color=color, mec=BLACK, mew=0.4)
            if s in (3.0, 6.0) or aspect == 1.0:
                comparisons += compare_stopping(case, found)
        shrunk = _shrunk(settings, sizes, 3.0, n_samples)
        comparisons.append(
            Comparison(
                f"error of the best shrinkage, s̄ = 3, A = {aspect:g}",
                Case("", (3.0,), *sizes).theory.shrinkage_error(),
                *shrunk[:2],
                shrunk[2],
                "one singular value of the noise beyond its edge, and the leading terms in 1/N",
                n_samples,
            )
        )
    left.plot([], [], ":", color=GREY, label="best shrinkage")
    left.set(xlabel=r"signal to noise $\bar s$", ylabel="least test error", ylim=(0.0, 1.05))
    right.set(
        xlabel=r"signal to noise $\bar s$", ylabel=r"best time to stop / $\tau$", ylim=(0, None)
    )
    left.legend()
    right.legend()
    return Figure(
        key="c",
        title="The best time to stop, and its error",
        drawing=figure,
        caption=(
            "Lines, theory for one mode, a_0 = 0.0001; dotted, the error of the best strength for "
            "each singular value, which no stopping time can beat. Marks with one standard error, "
            f"{n_samples} students each: their test error at the time that theory says, and the "
            f"mean of the times that would have been best for each of them. {n} inputs or outputs, "
            "whichever are more."
        ),
        description="Least error falls and the best time shortens as signal grows over noise.",
        comparisons=comparisons,
        wide=True,
    )


def _shrunk(
    settings: Settings, sizes: tuple[int, int], s_bar: float, n_samples: int
) -> tuple[float, float, float]:
    """Return mean error of shrunk data, its standard error, and the bound on its bias."""
    n_in, n_out = sizes
    random = np.random.default_rng(settings.seed_for(f"13 shrink {sizes}"))
    aspect, teacher = n_out / n_in, np.zeros((n_out, n_in))
    teacher[0, 0] = s_bar
    errors = []
    for _ in range(n_samples):
        data = teacher + random.standard_normal((n_out, n_in)) / np.sqrt(n_in)
        u, s, vt = np.linalg.svd(data, full_matrices=False)
        errors.append(np.sum(((u * spiked.shrink(s, aspect)) @ vt - teacher) ** 2) / s_bar**2)
    gap = float(spiked.singular_value(s_bar, aspect)) - (1.0 + np.sqrt(aspect))
    # Tracy and Widom: the largest of the noise is beyond the edge by N**(-2/3) at most, and
    # shrink rises there like a root
    beyond = spiked.shrink(1.0 + np.sqrt(aspect) + n_in ** (-2.0 / 3.0), aspect) ** 2 / s_bar**2
    bound = beyond / 10.0 + 2.0 / (n_in * gap**2)
    return float(np.mean(errors)), float(np.std(errors, ddof=1) / np.sqrt(n_samples)), float(bound)


def _map(settings: Settings) -> Figure:
    n, side = 200, settings.size(25, 9)
    figure, ax = canvas(6.4, 4.4)
    signal = np.linspace(0.5, 6.0, side)
    load = np.geomspace(0.2, 5.0, side)
    error, time = np.empty((side, side)), np.empty((side, side))
    for i, p in enumerate(load):
        for j, s in enumerate(signal):
            stop = Case("", (s,), n, n, n_examples=round(p * n)).theory.optimal_stopping()
            error[i, j], time[i, j] = stop.test_error, stop.t
    shades: dict[str, Any] = {"cmap": "viridis_r", "vmin": 0.0, "vmax": 1.0}
    mesh = ax.pcolormesh(signal, load, error, shading="gouraud", **shades)
    figure.colorbar(mesh, label="least test error")
    seen = np.where((error < 0.97) & (signal > 1.1), time, np.nan)
    lines = ax.contour(signal, load, seen, [0.3, 0.5, 1.0, 1.5, 2.0], colors="white", linewidths=1)
    ax.clabel(lines, fmt=r"$t^* = %g$", fontsize=8)
    edge = np.where(load < 1.0, load ** (-0.25), load ** (-0.5))
    ax.plot(edge, load, "--", color=BLACK, linewidth=1.2)
    comparisons = []
    small, n_samples = settings.size(120, 60), settings.size(24, 12)
    for s in (2.0, 3.5, 5.0):
        for p in (0.4, 1.0, 2.5):
            case = Case(f"s̄ = {s:g}, P = {p:g} N", (s,), small, small, n_examples=int(p * small))
            sample = case.simulate(settings, case.theory.optimal_stopping().t, n_samples)
            ax.scatter(s, p, 60, sample.test_error, edgecolors=BLACK, zorder=3, **shades)
            comparisons += compare(case, sample, 0, "at t*")[1:]
    ax.set(
        xlabel=r"signal to noise $\bar s$",
        ylabel=r"examples per input $P/N$",
        yscale="log",
        xlim=(0.5, 6.0),
        ylim=(0.2, 5.0),
    )
    ticks = (0.2, 0.5, 1.0, 2.0, 5.0)
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    ax.set_yticks([], minor=True)
    return Figure(
        key="d",
        title="Least test error by signal and data",
        drawing=figure,
        caption=(
            f"Shade, theory for {n} inputs and outputs; white, the best time to stop in units of τ;"
            " dashed, where the signal comes out of the noise: to its left learning does not help. "
            f"Dots have the shade of {n_samples} simulated students of {small} units at the time "
            "that theory says."
        ),
        description="A map: the error falls with signal and with examples.",
        comparisons=comparisons,
        wide=True,
    )


def _hidden(settings: Settings) -> Figure:
    n, n_samples = settings.size(100, 40), settings.size(20, 12)
    figure, ax = canvas(6.4, 4.2)
    comparisons: list[Comparison] = []
    counts = np.unique(np.geomspace(1, n, settings.size(14, 6)).round().astype(int))
    for name, s_bar, a0, depth, color, marker in (
        ("s̄ = 2, a_0 = 0.001", (2.0,), 1e-3, 2, VERMILLION, "s"),
        ("the same, depth 3", (2.0,), 1e-3, 3, ORANGE, "D"),
        ("s̄ = 3, a_0 = 0.00001", (3.0,), 1e-5, 2, BLUE, "o"),
        ("s̄ = 5, 4, 3, a_0 = 0.00001", (5.0, 4.0, 3.0), 1e-5, 2, PURPLE, "^"),
    ):
        shown = counts if depth == 2 else counts[[0, counts.size // 2, -1]]
        lines = [Case("", s_bar, n, n, int(k), a0=a0, depth=depth).theory for k in shown]
        label = (
            name.replace("s̄", r"$\bar s$").replace("a_0", "$a_0$").replace("0.00001", "$10^{-5}$")
        )
        ax.plot(
            shown,
            [task.optimal_stopping().test_error for task in lines],
            color=color,
            label=label.replace("0.001", "$10^{-3}$"),
        )
        rank = len(s_bar)
        for k in (1, 2, 3, 10, 30, n) if depth == 2 else (1, 10, n):
            full = k == n
            case = Case(f"{name}, {k} hidden", s_bar, n, n, 0 if full else k, a0=a0, depth=depth)
            sample = case.simulate(settings, case.theory.optimal_stopping().t, n_samples)
            ax.errorbar(
                k,
                sample.test_error[0],
                sample.test_error_error[0],
                fmt=marker,
                color=color,
                mec=BLACK,
                mew=0.4,
            )
            if (k <= rank or full) and depth == 2:
                comparisons += compare(case, sample, 0, "at t*")[1:]
    ax.set(xlabel="hidden units", ylabel="least test error", xscale="log", ylim=(0.0, 0.9))
    ticks = (1, 2, 3, 10, 30, n)
    ax.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.legend(loc="upper left", ncols=2, fontsize=8)
    return Figure(
        key="e",
        title="Does the number of hidden units matter?",
        drawing=figure,
        caption=(
            f"Lines, theory, {n} inputs and outputs; marks, {n_samples} students each at the time "
            "that theory says, with one standard error. Where all modes together start small and "
            "the signal is strong, hidden units beyond the teacher's rank do not matter (blue, and "
            "purple from 3 on). It fails twice: with fewer hidden units than the teacher has modes "
            "what is missing is never learned (purple, 1 and 2), and where signal is weak the "
            "noise is learned in time to harm (red). At depth 3 that noise comes too late (orange),"
            " but the minimum is so narrow in time that students of this size miss it: each has "
            "its own."
        ),
        description="Four curves of the least error against the number of hidden units.",
        comparisons=comparisons,
        wide=True,
    )
