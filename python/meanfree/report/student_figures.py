"""Figures of chapter 13 that simulate matrices of their own: spikes in noise, and transfer."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.linear import (
    StudentTeacher,
    mode_strength,
    spiked,
    transfer_benefit,
    transfer_error,
)
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings
from meanfree.report.spectra import extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, VERMILLION, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SPIKES = (1.2, 1.6, 2.0, 2.5, 3.0, 4.0)


def _seen(
    settings: Settings, sizes: tuple[int, int], s_bar: float, n_samples: int
) -> tuple[Array, Array, Array]:
    """Return singular value and both squared overlaps of the largest mode, each (n_samples,)."""
    n_in, n_out = sizes
    random = np.random.default_rng(settings.seed_for(f"13 spike {sizes} {s_bar}"))
    found = np.empty((3, n_samples))
    for i in range(n_samples):
        data = random.standard_normal((n_out, n_in)) / np.sqrt(n_in)
        data[0, 0] += s_bar
        u, s, vt = np.linalg.svd(data, full_matrices=False)
        found[:, i] = s[0], u[0, 0] ** 2, vt[0, 0] ** 2
    return found[0], found[1], found[2]


def draw_spikes(settings: Settings, key: str) -> Figure:
    """Draw the singular value of a spike in noise and the overlaps of its vectors."""
    from matplotlib.figure import Figure as Drawing

    n, n_samples = settings.size(96, 48), settings.size(32, 16)
    figure = Drawing(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    comparisons: list[Comparison] = []
    fine = np.linspace(0.0, 4.2, 300)
    for aspect, color, marker in ((0.25, GREEN, "^"), (1.0, BLUE, "o"), (4.0, VERMILLION, "s")):
        n_in = int(n / max(aspect, 1.0))
        n_out = int(aspect * n_in)
        left.plot(fine, spiked.singular_value(fine, aspect), color=color, label=f"$A = {aspect:g}$")
        theory = spiked.overlaps(fine, aspect)
        right.plot(fine, theory.left**2, color=color)
        right.plot(fine, theory.right**2, "--", color=color)
        style: dict[str, Any] = {"fmt": marker, "color": color, "mec": BLACK, "mew": 0.4}
        for s_bar in _SPIKES:
            wide = _seen(settings, (n_in, n_out), s_bar, n_samples)
            for ax, values in ((left, wide[0]), (right, wide[1]), (right, wide[2])):
                ax.errorbar(s_bar, values.mean(), values.std() / np.sqrt(n_samples), **style)
            if s_bar not in (2.0, 3.0):
                continue
            narrow = _seen(settings, (n_in // 2, n_out // 2), s_bar, 2 * n_samples)
            expected = spiked.overlaps(s_bar, aspect)
            s_hat = float(spiked.singular_value(s_bar, aspect))
            # terms follow each other by the variance of s over the square of its gap
            ratio = int(np.ceil(1.0 / (s_hat - 1.0 - np.sqrt(aspect)) ** 2))
            for i, (name, value) in enumerate(
                (
                    ("singular value", s_hat),
                    ("squared overlap, outputs", expected.left**2),
                    ("squared overlap, inputs", expected.right**2),
                )
            ):
                found = extrapolated(wide[i], narrow[i], ratio, n_in)
                comparisons.append(found.compare(f"{name}, s̄ = {s_bar:g}, A = {aspect:g}", value))
    left.plot(fine, fine, ":", color=BLACK, linewidth=1.0, label="without noise")
    left.set(xlabel=r"$\bar s$", ylabel="largest singular value with noise", ylim=(0.0, 5.5))
    right.set(xlabel=r"$\bar s$", ylabel="squared overlap", ylim=(-0.02, 1.0))
    right.plot([], [], color=BLACK, label="outputs (left)")
    right.plot([], [], "--", color=BLACK, label="inputs (right)")
    left.legend()
    right.legend(loc="upper left")
    return Figure(
        key=key,
        title="A signal in noise",
        drawing=figure,
        caption=(
            "Lines, theory: below s̄ = A^{1/4} a signal leaves no trace. Marks, the largest mode of "
            f"{n_samples} matrices with {n} rows or columns, whichever are more, with one standard "
            "error; finite matrices round the corner off. The rows extrapolate from these and "
            f"{2 * n_samples} matrices of half the size."
        ),
        description="Singular values lie above the diagonal; overlaps rise from 0 at a threshold.",
        comparisons=comparisons,
        wide=True,
    )


_S_A, _A0 = 2.0, 1e-4


def _transfer_sizes(n: int) -> dict[str, int]:
    return {"n_in": n, "n_hidden": n, "n_out_a": n // 2, "n_out_b": n // 2}


@lru_cache
def _best_times(s_b: float, q: float, n: int) -> tuple[float, float]:
    """Return the best times to stop of task A alone and together with B."""
    from scipy.optimize import minimize_scalar

    alone = StudentTeacher(_S_A, n, n, n // 2, a0=_A0).optimal_stopping().t
    grid = alone * np.geomspace(0.2, 3.0, 100)

    def error(t: float) -> float:
        return float(transfer_error(t, _S_A, s_b, q, a0=_A0, **_transfer_sizes(n)))

    values = transfer_error(grid, _S_A, s_b, q, a0=_A0, **_transfer_sizes(n))
    i = int(np.clip(np.argmin(values), 1, grid.size - 2))
    bounds = (grid[i - 1], grid[i + 1])
    together = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return alone, float(together.x)


def _benefits(settings: Settings, s_b: float, q: float, n: int, n_samples: int) -> Array:
    """Return the benefit of each pair of students, alone and together, with the same noise."""
    times = _best_times(s_b, q, n)
    random = np.random.default_rng(settings.seed_for(f"13 transfer {s_b} {q} {n}"))
    half = n // 2
    teacher = np.zeros((2 * half, n))
    teacher[0, 0] = _S_A
    teacher[half, :2] = s_b * q, s_b * np.sqrt(1.0 - q * q)
    found = np.empty(n_samples)
    for i in range(n_samples):
        data = teacher + random.standard_normal((2 * half, n)) / np.sqrt(n)
        errors = []
        for t, rows in zip(times, (half, 2 * half), strict=True):
            u, s, vt = np.linalg.svd(data[:rows], full_matrices=False)
            w = (u[:half] * mode_strength(t, s, _A0)) @ vt
            errors.append(np.sum((w - teacher[:half]) ** 2) / _S_A**2)
        found[i] = errors[0] - errors[1]
    return found


def draw_transfer(settings: Settings, key: str) -> Figure:
    """Draw by how much a second task helps or harms the first."""
    n, side, n_samples = settings.size(100, 40), settings.size(21, 9), settings.size(32, 16)
    figure, ax = canvas(6.4, 4.4)
    strength, similarity = np.linspace(0.0, 6.0, side), np.linspace(0.0, 1.0, side)
    benefit = np.array(
        [
            [transfer_benefit(_S_A, b, q, a0=_A0, **_transfer_sizes(n)) for b in strength]
            for q in similarity
        ]
    )
    top = float(np.max(np.abs(benefit)))
    shades: dict[str, Any] = {"cmap": "RdBu", "vmin": -top, "vmax": top}
    mesh = ax.pcolormesh(strength, similarity, benefit, shading="gouraud", **shades)
    figure.colorbar(mesh, label="benefit: least error alone − together")
    ax.contour(strength, similarity, benefit, [0.0], colors=BLACK, linewidths=1.2)
    comparisons = []
    for s_b in (2.0, 3.5, 5.0):
        for q in (0.1, 0.5, 0.9):
            wide = _benefits(settings, s_b, q, n, n_samples)
            narrow = _benefits(settings, s_b, q, n // 2, 2 * n_samples)
            theory, half = (
                transfer_benefit(_S_A, s_b, q, a0=_A0, **_transfer_sizes(m)) for m in (n, n // 2)
            )
            ax.scatter(s_b, q, 60, wide.mean(), edgecolors=BLACK, zorder=3, **shades)
            found = extrapolated(wide - theory, narrow - half, 1, n)
            comparisons.append(
                Comparison(
                    f"benefit, s̄_B = {s_b:g}, similarity {q:g}",
                    theory,
                    theory + float(found.value),
                    float(found.error),
                    _transfer_bound(s_b, q, n),
                    "one mode at the edge of the noise, learned until the best time",
                    n_samples,
                )
            )
    ax.set(xlabel=r"strength of the other task $\bar s_B$", ylabel="similarity of the tasks")
    return Figure(
        key=key,
        title="Transfer between two tasks",
        drawing=figure,
        caption=(
            f"By how much the least test error of task A (s̄_A = {_S_A:g}) falls if task B, with "
            f"outputs of its own, is learned by the same hidden layer: theory for {n} inputs and "
            f"{n // 2} outputs of each task, a_0 = {_A0:g}. Black, no difference: what is similar "
            "and strong helps, what is different adds its noise. Dots have the shade of "
            f"{n_samples} simulated pairs of students at the best times of theory; the rows "
            f"extrapolate from these and {2 * n_samples} pairs of half the size."
        ),
        description="A map: harm for different tasks, benefit for strong and similar ones.",
        comparisons=comparisons,
        wide=True,
    )


def _transfer_bound(s_b: float, q: float, n: int) -> float:
    """Bound what extrapolation leaves: sums over the noise that differ by one mode."""
    total = 0.0
    for t, aspect, share in zip(_best_times(s_b, q, n), (0.5, 1.0), (1.0, 0.5), strict=True):
        total += share * float(mode_strength(t, 1.0 + np.sqrt(aspect), _A0)) ** 2
    return total / _S_A**2
