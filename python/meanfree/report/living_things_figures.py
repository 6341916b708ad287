"""Figures of chapters 15 and 16 on the eight living things, in linear and nonlinear networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree.report import rumelhart
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.linear_learners import (
    compare,
    crossing,
    learn,
    mean_with_error,
    rank_correlation,
)
from meanfree.report.region_figures import canvases
from meanfree.report.spectra import Estimate, extrapolated
from meanfree.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from meanfree.semantics import SemanticModel, eight_things

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from numpy.typing import NDArray

    from meanfree.report.linear_learners import Learners

    Array = NDArray[np.float64]

# --- eight things and nonlinear units ------------------------------------------------------------

_COLORS = (BLUE, VERMILLION, GREEN)
_A0 = 1e-3
_TIMES: Array = np.arange(1, 161) / 25.0


def _group_squares(gram: Array) -> Array:
    """Return squared distances of the groups' centroids at each level, (levels, ...)."""
    levels = []
    for _, pairs in rumelhart.LEVELS:
        total = 0.0
        for one, other in pairs:
            c = np.zeros(8)
            c[list(one)], c[list(other)] = 1.0 / len(one), -1.0 / len(other)
            total = total + np.sqrt(np.einsum("i,...ij,j->...", c, gram, c))
        levels.append(total / len(pairs))
    return np.stack(levels)


def _linear_times(settings: Settings) -> tuple[Array, Estimate]:
    """Return when centroids are half-way apart in the linear theory, and in simulation."""
    data = eight_things()
    model = SemanticModel(data.outputs, a0=_A0)
    theory = rumelhart.half_rise(_TIMES, _group_squares(model.hidden_gram(_TIMES))[..., None])[:, 0]
    width, n = settings.size(64, 32), settings.size(48, 24)
    halves = []
    for n_hidden, many in ((width, n), (width // 2, 2 * n)):
        learned = learn(
            data.outputs,
            _TIMES,
            n_hidden=n_hidden,
            n_networks=many,
            a0=_A0,
            seed=settings.seed_for(f"15 eight {n_hidden}"),
        )
        halves.append(rumelhart.half_rise(_TIMES, _group_squares(learned.gram)).T)
    return theory, extrapolated(halves[0], halves[1], 1, width)


def distances_over_time(settings: Settings, course: rumelhart.Course) -> Figure:
    """Draw how far apart groups of items are, at three levels, in linear and nonlinear networks."""
    epochs = course.epochs.astype(float)
    distances = rumelhart.group_distances(course.representation)
    halves = rumelhart.half_rise(epochs, distances)
    theory, found = _linear_times(settings)
    figure, (left, right) = canvases(9.6, 3.8)
    fine = np.linspace(0.0, _TIMES[-1], 400)
    gram = SemanticModel(eight_things().outputs, a0=_A0).hidden_gram(fine)
    comparisons, rows = [], []
    for level, (name, _) in enumerate(rumelhart.LEVELS):
        color = _COLORS[level]
        left.plot(fine, _group_squares(gram)[level], color=color, label=name)
        right.plot(epochs, distances[level], color=color, linewidth=0.6, alpha=0.6)
        right.plot(epochs, distances[level].mean(axis=1), color=color, label=name)
        right.plot(halves[level], np.full(halves.shape[1], 0.05 * level), "|", color=color, ms=9)
        left.plot(theory[level], 0.08 * level, "|", color=color, ms=9)
        comparisons.append(compare(f"{name}: time to half, linear", float(theory[level]), found,
                                    level))  # fmt: skip
        ratio = halves[level] / halves[0]
        rows.append(
            (
                name,
                f"{theory[level]:.3f} τ",
                with_error(float(found.value[level]), float(found.error[level])),
                f"{theory[level] / theory[0]:.2f}",
                ", ".join(f"{value:.0f}" for value in halves[level]),
                with_error(*mean_with_error(ratio)) if level else "1",
            )
        )
    ratios = (halves[1:] / halves[0]).mean(axis=1)
    ordered = np.all(np.diff(halves, axis=0) > 0.0, axis=0)
    comparisons.append(
        Comparison(
            "share of nonlinear networks that learn broad distinctions before fine ones",
            1.0,
            float(ordered.mean()),
            0.0,
        )
    )
    left.set(xlabel=r"time $t/\tau$", ylabel="distance of centroids", title="Deep linear, theory")
    right.set(xlabel="epoch", title="Nonlinear, measured", xlim=(0.0, 1500.0))
    left.legend(loc="lower right", fontsize=8)
    return Figure(
        key="e",
        title="Eight living things",
        drawing=figure,
        caption=(
            "Mean distance of the centroids of groups of items in the representation. Left, deep "
            f"linear networks, a_0 = {_A0:g}; right, the network of Rumelhart and Todd with "
            f"five layers of sigmoids, {halves.shape[1]} starts (thin) and their mean. Ticks at "
            "the foot: half-way from the first to the last distance. Linear theory predicts times "
            "for linear networks; of nonlinear ones it can only suggest the order, and few starts "
            "break it."
        ),
        description="Plants and animals part first, then their kinds, single items last.",
        comparisons=comparisons,
        notes=[
            f"Nonlinear networks: broad before fine in {int(ordered.sum())} of {ordered.size}. "
            f"Times over the first: {theory[1] / theory[0]:.2f} and {theory[2] / theory[0]:.2f} in "
            f"linear theory, {ratios[0]:.2f} and {ratios[1]:.2f} measured in nonlinear networks."
        ],
        tables=[
            Table(
                "Half-way",
                ("", "linear theory", "linear", "over first", "nonlinear, epochs", "over first"),
                rows,
            )
        ],
        wide=True,
    )


_MOMENTS = (0.6, 1.1, 1.7, 6.0)  # in linear networks, in units of tau
_EPOCHS = (100, 250, 500, 2500)


def snapshots(course: rumelhart.Course) -> Figure:
    """Draw the paths of the items in linear theory and in one nonlinear network; dendrograms."""
    from matplotlib.figure import Figure as Drawing
    from scipy.cluster.hierarchy import linkage

    data = eight_things()
    model = SemanticModel(data.outputs, a0=_A0)
    fine = np.linspace(0.0, _MOMENTS[-1], 400)
    ends = [int(np.searchsorted(course.epochs, epoch)) for epoch in _EPOCHS]
    frames = course.representation[: ends[-1] + 1, 0]
    figure = Drawing(figsize=(9.6, 9.0), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[1.7, 1.0, 1.0])
    above, middle, below = (figure.add_subfigure(grid[row]) for row in range(3))
    planes = above.subplots(1, 2)
    _draw_paths(
        planes[0], model.embedding(fine), np.searchsorted(fine, _MOMENTS[:-1]).tolist(), data.items
    )
    _draw_paths(planes[1], rumelhart.aligned(frames), ends[:-1], data.items)
    for ax, title in zip(planes, ("Linear theory", "One nonlinear network"), strict=True):
        ax.set(xlabel="component 1", title=title)
        ax.set_aspect("equal")
    planes[0].set_ylabel("component 2")
    above.legend(*planes[0].get_legend_handles_labels(), loc="outside right center", fontsize=10)
    for part, label, trees, titles in (
        (
            middle,
            "linear theory: distance",
            list(model.linkage(_MOMENTS)),
            [f"t = {t:g} τ" for t in _MOMENTS],
        ),
        (
            below,
            "nonlinear: distance",
            [linkage(frames[k], "average") for k in ends],
            [f"epoch {epoch}" for epoch in course.epochs[ends]],
        ),
    ):
        _draw_dendrograms(part, label, trees, titles, data.items)
    return Figure(
        key="f",
        title="Snapshots of the eight things",
        drawing=figure,
        caption=(
            "Multidimensional scaling of the representations over time: left, deep linear theory "
            "in one basis; right, one network of figure e, each snapshot turned onto the next "
            "(Procrustes), since scaling leaves the axes free. Dots, the last one large, at the "
            "times for which the dendrograms (average linkage) are drawn below."
        ),
        description=(
            "Paths of eight items fork from plants and animals to their kinds to single items, in "
            "linear theory and in a nonlinear network."
        ),
        remark="one network",
        wide=True,
    )


def _draw_paths(ax: Axes, paths: Array, dots: list[int], names: Sequence[str]) -> None:
    """Draw paths (n_times, n_items, 2), dots at some times and a large one at the last."""
    colors = (GREEN, "#7fc97f", PURPLE, "#e7a1c8", BLUE, SKY, VERMILLION, ORANGE)
    for i, (name, color) in enumerate(zip(names, colors, strict=True)):
        ax.plot(paths[:, i, 0], paths[:, i, 1], color=color, label=name)
        ax.plot(paths[dots, i, 0], paths[dots, i, 1], "o", color=color, ms=3.5)
        ax.plot(paths[-1, i, 0], paths[-1, i, 1], "o", color=color, ms=8.0)


def _draw_dendrograms(
    figure: SubFigure, label: str, trees: list[Array], titles: list[str], names: Sequence[str]
) -> None:
    from scipy.cluster.hierarchy import dendrogram

    axes = figure.subplots(1, len(trees), sharey=True)
    for ax, tree, title in zip(axes, trees, titles, strict=True):
        dendrogram(
            tree,
            ax=ax,
            labels=list(names),
            color_threshold=0.0,
            above_threshold_color=BLUE,
            leaf_font_size=9,
        )
        ax.tick_params(axis="x", labelrotation=90)
        ax.set_title(title)
    axes[0].set_ylabel(label)


# --- properties ----------------------------------------------------------------------------------

_LEARNED = ("isa living thing", "isa animal", "isa bird", "is yellow", "can sing", "isa canary")


def latencies(
    model: SemanticModel,
    times: Array,
    both: tuple[Learners, Learners],
    nonlinear: rumelhart.Course,
) -> Figure:
    """Draw when each property of each item is half learned, for good."""
    data = eight_things()
    feature, item = np.nonzero(data.outputs)
    theory = np.array(
        [model.latency(i, m) for m, i in zip(feature.tolist(), item.tolist(), strict=True)]
    )
    measured = [crossing(times, x.answer[:, :, feature, item], 0.5) for x in both]
    found = extrapolated(measured[0], measured[1], 1, both[0].hidden.shape[2])
    epochs = crossing(nonlinear.epochs.astype(float), nonlinear.answer[:, :, feature, item], 0.5)
    comparisons, rows = [], []
    for name in _LEARNED:
        at = np.flatnonzero((feature == data.feature(name)) & (item == data.item("canary")))[0]
        comparisons.append(compare(f"canary {name}: half learned", float(theory[at]), found, at))
        rows.append(
            (
                f"canary {name}",
                f"{theory[at]:.3f} τ",
                with_error(float(found.value[at]), float(found.error[at])),
                with_error(*mean_with_error(epochs[:, at])),
            )
        )
    ranks = rank_correlation(theory, epochs.mean(axis=0))
    figure, (left, right) = canvases(9.6, 3.8)
    ends = np.array([theory.min(), theory.max()])
    left.plot(ends, ends, color=GREY, linewidth=1.0)
    relations = np.array([rumelhart.RELATIONS.index(name.split()[0]) for name in data.features])
    for k, (relation, color) in enumerate(
        zip(rumelhart.RELATIONS, (BLUE, VERMILLION, GREEN, ORANGE), strict=True)
    ):
        own = relations[feature] == k
        left.errorbar(
            theory[own], found.value[own], found.error[own], fmt="o", color=color, ms=4,
            label=f"{relation} ...",
        )  # fmt: skip
        right.plot(theory[own], epochs.mean(axis=0)[own], "^", color=color, ms=5, mfc="none")
    left.set(ylabel=r"half learned, measured, $t/\tau$", title="Deep linear")
    right.set(ylabel="half learned, epoch", title="Nonlinear", yscale="log")
    for ax in (left, right):
        ax.set(xlabel=r"half learned, linear theory, $t/\tau$")
    ticks = [20, 50, 100, 200, 500]
    right.set_yticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    left.legend(loc="upper left")
    return Figure(
        key="c",
        title="When a property is known",
        drawing=figure,
        caption=(
            f"The {theory.size} properties that items have, each at the time from which on its "
            "answer is at least 0.5. Left, deep linear networks, with one standard error; line: "
            "measured as predicted. Right, mean over nonlinear networks."
        ),
        description="Properties shared by many items are learned before those of single items.",
        comparisons=comparisons,
        notes=[
            f"Rank correlation of linear theory and nonlinear networks: {ranks:.2f}, over "
            f"{theory.size} properties."
        ],
        tables=[
            Table("A canary", ("property", "linear theory", "linear", "nonlinear, epoch"), rows)
        ],
        wide=True,
    )
