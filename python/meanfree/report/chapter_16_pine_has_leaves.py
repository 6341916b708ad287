"""Chapter 16: what a network that learns items wrongly believes for a while, and can tell apart."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from meanfree.report import rumelhart
from meanfree.report.category_figures import agreement, coherence
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.linear_learners import (
    compare,
    learn,
    mean_with_error,
    rank_correlation,
    tops,
)
from meanfree.report.living_things_figures import latencies
from meanfree.report.region_figures import canvases
from meanfree.report.spectra import Estimate, extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, canvas
from meanfree.semantics import SemanticModel, eight_things

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.report.linear_learners import Learners

    Array = NDArray[np.float64]

TITLE = "A pine has leaves"
NEEDS: tuple[str, ...] = ("torch",)
TEXT = """
A deep linear network learns what items are, can and have mode by mode: its answer for feature m of
item i at time t is

    ŷ_m^i(t) = Σ_a u_a(t) u_a^m v_a^i,   u_a(t) = s_a / (1 + (s_a/a_0 - 1) e^{-2 s_a t/τ}),

with the strength u_a(t) and the singular vectors u_a over features and v_a over items. Strong modes
come first, and they say what is true of most. Among the eight living things of Rumelhart and Todd,
most plants have leaves; so the mode that tells plants from animals gives them to the pine, and the
modes that tell trees from flowers, and pine from oak, take them away again. Such an illusory
correlation is a maximum of the answer in time above its first and its trained value. Without a
hidden layer all modes share one time constant, ŷ = (1 - e^{-t/τ}) y, and nothing is ever mistaken.

The same theory says which categories can be learned at all. A block of K_f features and K_o items
with mean μ, hidden in noise of variance σ² in a matrix of N_f features and N_o items, is seen by
the singular vectors only if its coherence C = (μ/σ)² K_f K_o / √(N_f N_o) exceeds 1.

Source: Saxe, McClelland and Ganguli (2019); Rogers and McClelland (2004); Benaych-Georges and
Nadakuditi (2012).
"""

_A0 = 1e-3
_TIMES: Array = np.arange(1, 101) / 25.0


def run(settings: Settings) -> Iterator[Figure]:
    """Yield one illusion, all of them, latencies, the threshold of categories, and agreement."""
    data = eight_things()
    model = SemanticModel(data.outputs, a0=_A0)
    both = _learners(settings)
    nonlinear = rumelhart.train(
        settings.seed_for("16 rumelhart"), settings.size(6, 3), settings.size(4000, 3000)
    )
    yield _course(settings, model, both, nonlinear)
    yield _all(model, both, nonlinear)
    yield latencies(model, _TIMES, both, nonlinear)
    yield coherence(settings)
    yield agreement(settings)


def _sizes(settings: Settings) -> tuple[int, int]:
    """Return hidden units and number of networks; there are twice as many with half the units."""
    return settings.size(64, 32), settings.size(48, 24)


def _learners(settings: Settings) -> tuple[Learners, Learners]:
    """Return deep linear networks of two widths that learned the eight things."""
    width, n = _sizes(settings)
    return tuple(  # type: ignore[return-value]
        learn(
            eight_things().outputs,
            _TIMES,
            n_hidden=n_hidden,
            n_networks=many,
            a0=_A0,
            seed=settings.seed_for(f"16 learners {n_hidden}"),
        )
        for n_hidden, many in ((width, n), (width // 2, 2 * n))
    )


def _wide(settings: Settings, wide: Array, narrow: Array) -> Estimate:
    """Extrapolate values of networks, first axis, to infinitely many hidden units."""
    return extrapolated(wide, narrow, 1, _sizes(settings)[0])


# --- the pine ------------------------------------------------------------------------------------

_COURSES = (
    ("pine", "has leaves", VERMILLION),
    ("oak", "has leaves", GREEN),
    ("pine", "has bark", BLUE),
    ("robin", "is yellow", PURPLE),
)


def _course(
    settings: Settings,
    model: SemanticModel,
    both: tuple[Learners, Learners],
    nonlinear: rumelhart.Course,
) -> Figure:
    data = eight_things()
    figure, (left, right) = canvases(9.6, 3.9)
    fine = np.linspace(0.0, _TIMES[-1], 400)
    for item, feature, color in _COURSES:
        i, m = data.item(item), data.feature(feature)
        found = _wide(settings, *(x.answer[:, :, m, i].T for x in both))
        left.plot(fine, model.output(fine)[:, m, i], color=color, label=f"{item} {feature}")
        left.errorbar(
            _TIMES[3::8], found.value[3::8], found.error[3::8], fmt="o", color=color, ms=3.5
        )
        answers = nonlinear.answer[:, :, m, i]
        right.plot(nonlinear.epochs, answers, color=color, linewidth=0.5, alpha=0.5)
        right.plot(nonlinear.epochs, answers.mean(axis=1), color=color)
    pine, leaves = data.item("pine"), data.feature("has leaves")
    shallow = SemanticModel(data.outputs, a0=0.0, depth=1)
    left.plot(fine, shallow.output(fine)[:, leaves, pine], ":", color=BLACK)
    left.plot(fine, shallow.output(fine)[:, leaves, data.item("oak")], ":", color=GREEN)
    left.plot([], [], ":", color=GREY, label="no hidden layer: oak, pine")
    left.set(xlabel=r"time $t / \tau$", ylabel="answer", title="Deep linear", ylim=(-0.1, 1.3))
    left.legend(loc="upper left", fontsize=8, ncols=2, columnspacing=1.0)
    right.set(xlabel="epoch", title="Nonlinear, five layers", xlim=(0, 1500), ylim=(-0.1, 1.3))

    found = _wide(settings, *(x.answer[:, :, leaves, pine].T for x in both))
    comparisons = [
        compare(
            f"leaves of the pine at t = {_TIMES[k]:.1f}",
            float(model.output(_TIMES[k])[leaves, pine]),
            found,
            (k,),
        )
        for k in (14, 19, 29, 39, 59, 79)
    ]
    peak = model.peak(pine, leaves)
    highest = [tops(_TIMES, x.answer[:, :, leaves, pine]) for x in both]
    for name, theory, k in (("time of the peak", peak.t, 0), ("height", peak.value, 1)):
        found = _wide(settings, highest[0][k], highest[1][k])
        comparisons.append(compare(f"{name}, leaves of the pine", theory, found))
    excess = _shallow_excess(settings)
    comparisons.append(
        Comparison(
            "mistaken properties in networks without a hidden layer",
            float(len(shallow.largest_illusions(data.outputs.size))),
            float(np.sum(excess > 1e-12)),
            0.0,
        )
    )
    answers = nonlinear.answer[:, :, leaves, pine]
    rises = (answers.max(axis=0) > 0.5 * peak.value) & (answers[-1] < 0.1)
    comparisons.append(
        Comparison(
            "share of nonlinear networks in which they reach half of that height and vanish",
            1.0,
            float(rises.mean()),
            0.0,
        )
    )
    width, n = _sizes(settings)
    top, error = mean_with_error(answers.max(axis=0))
    when = mean_with_error(nonlinear.epochs[answers.argmax(axis=0)].astype(float))
    return Figure(
        key="a",
        title="The leaves of the pine",
        drawing=figure,
        caption=(
            f"Left: lines, theory with a_0 = {_A0:g}; marks, {n} networks of {width} hidden units "
            f"and {2 * n} of {width // 2} that start from small random weights, extrapolated to "
            "infinite width, with one standard error. Right, measured: the network of Rumelhart "
            f"and Todd, {answers.shape[1]} starts (thin) and their mean."
        ),
        description=(
            "The answer to whether a pine has leaves rises to about 0.6 and falls back to 0, in "
            "deep linear and in nonlinear networks; without a hidden layer it stays at 0."
        ),
        comparisons=comparisons,
        tables=[
            Table(
                "Leaves of the pine, at their most",
                ("network", "height", "time"),
                [
                    ("deep linear, theory", f"{peak.value:.4f}", f"{peak.t:.4f} τ"),
                    (
                        "nonlinear, measured",
                        with_error(top, error),
                        f"epoch {with_error(*when)}",
                    ),
                    ("no hidden layer", "0", "never"),
                ],
            )
        ],
        wide=True,
    )


def _shallow_excess(settings: Settings) -> Array:
    """Return by how much answers of shallow networks pass their start and trained value.

    Gradient descent from small random weights, on all items and features.
    """
    y = eight_things().outputs
    random = np.random.default_rng(settings.seed_for("16 shallow"))
    first = np.sqrt(_A0) * random.standard_normal((10, *y.shape))
    w, low, high = first.copy(), first.copy(), first.copy()
    for _ in range(400):
        w += 0.05 * (y - w)
        low, high = np.minimum(low, w), np.maximum(high, w)
    return np.asarray(np.maximum(np.minimum(first, y) - low, high - np.maximum(first, y)))


# --- all of them ---------------------------------------------------------------------------------


def _illusions(answers: Array, outputs: Array) -> Array:
    """Return how far answers (n_times, n, ...) to absent properties pass 0 and the first one."""
    most = np.maximum(answers[0], 0.0)
    return np.asarray((answers.max(axis=0) - most)[:, outputs == 0.0])


def _all(
    model: SemanticModel, both: tuple[Learners, Learners], nonlinear: rumelhart.Course
) -> Figure:
    data = eight_things()
    absent = data.outputs == 0.0
    predicted = np.zeros(data.outputs.shape)
    largest = model.largest_illusions(data.outputs.size)
    for one in largest:
        predicted[one.feature, one.item] = one.size
    theory = predicted[absent]
    sizes = [_illusions(x.answer, data.outputs) for x in both]
    width = both[0].hidden.shape[2]
    found = extrapolated(sizes[0], sizes[1], 1, width)
    comparisons = []
    names = np.array([[f"{i} {f}" for i in data.items] for f in data.features], dtype=object)[
        absent
    ]
    order = np.argsort(-theory)
    curved = _illusions(nonlinear.answer, data.outputs)
    rows = []
    for k in order[:8]:
        if k in order[:5]:
            comparisons.append(
                compare(f"size of the illusion: {names[k]}", float(theory[k]), found, (k,))
            )
        rows.append(
            (
                names[k],
                f"{theory[k]:.4f}",
                with_error(float(found.value[k]), float(found.error[k])),
                with_error(*mean_with_error(curved[:, k])),
            )
        )
    comparisons.append(
        compare(f"mean size of all {theory.size} illusions", float(theory.mean()), extrapolated(
            sizes[0].mean(axis=1), sizes[1].mean(axis=1), 1, width))
    )  # fmt: skip
    ranks = rank_correlation(theory, curved.mean(axis=0))
    figure, ax = canvas(4.8, 4.2)
    ax.plot([0.0, 0.65], [0.0, 0.65], color=GREY, linewidth=1.0)
    ax.errorbar(theory, found.value, found.error, fmt="o", color=BLUE, ms=3.5, label="deep linear")
    ax.plot(theory, curved.mean(axis=0), "^", color=ORANGE, ms=4.0, mfc="none", label="nonlinear")
    best = order[0]
    ax.annotate(
        names[best],
        (theory[best], float(found.value[best])),
        xytext=(-8, 4),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    ax.set(xlabel="size of the illusion, linear theory", ylabel="size, measured")
    ax.legend(loc="upper left")
    return Figure(
        key="b",
        title="All illusory correlations",
        drawing=figure,
        caption=(
            f"The {theory.size} properties that items lack, each at its largest answer above 0 and "
            "above its first one. Circles, deep linear networks, with one standard error; "
            "triangles, mean over nonlinear networks. Line: measured as predicted."
        ),
        description=(
            "Illusions of simulated linear networks lie on the theory; those of nonlinear ones "
            "have much the same order, but weak ones are weaker."
        ),
        comparisons=comparisons,
        tables=[
            Table("The largest", ("property", "linear theory", "linear", "nonlinear"), rows),
            Table(
                "Absent properties",
                ("", "value"),
                [
                    ("illusions in deep linear theory", f"{len(largest)} of {theory.size}"),
                    ("rank correlation of sizes, linear theory and nonlinear", f"{ranks:.2f}"),
                ],
            ),
        ],
    )
