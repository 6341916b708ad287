"""Chapter 15: broad distinctions are learned before fine ones, in linear and nonlinear networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from meanfree.linear import learning_time
from meanfree.report import rumelhart
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.linear_learners import compare, crossing
from meanfree.report.living_things_figures import distances_over_time, snapshots
from meanfree.report.region_figures import canvases
from meanfree.report.spectra import extrapolated
from meanfree.report.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, canvas
from meanfree.report.tree_learners import (
    A0,
    TREE,
    World,
    by_ancestor,
    by_level,
    learn_tree,
    squared_distances,
    strongest,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "Progressive differentiation"
NEEDS: tuple[str, ...] = ("torch",)
TEXT = """
Items are the leaves of a tree of categories: every feature starts at the root as +1 or -1 and
changes its sign on an edge with a small probability ε, so that items share the more features, the
later they parted. Two leaves whose lowest common ancestor is at level k have the mean product
of features q_k, the product of the (1 - 2ε_l)² below it. With M_l nodes at level l, P leaves and
N features the matrix of features and items has for large N one singular value for each level,

    s_l² = N P Σ_{k=l}^D (q_k - q_{k-1}) / M_k,

which never grows with l. A deep linear network learns mode by mode, each in the time
t_l = (τ/2s_l) ln(s_l/a_0 - 1) to its half. So it tells plants from animals before birds from fish,
and those before robins from canaries: in this model a theorem. Leaves that part at level k have in
the hidden layer the squared distance

    d_k² = (2/P) (u_{k+1} M_{k+1} + Σ_{l=k+2}^D u_l (M_l - M_{l-1})),

an ultrametric at all times, u_l being the strength of the modes of level l. The last figures show
the nonlinear network of Rumelhart and Todd on its eight living things. For it there is no such
theorem; what it does is measured.

Source: Saxe, McClelland and Ganguli (2019); Rogers and McClelland (2004).
"""

_COLORS = (BLACK, BLUE, VERMILLION, GREEN)
_NAMES = tuple("ABCDEFGH")


def run(settings: Settings) -> Iterator[Figure]:
    """Yield strengths by level, paths, dendrograms and projection; then nonlinear networks."""
    world = learn_tree(settings)
    yield _levels(world)
    yield _paths(world)
    yield _dendrograms(world)
    yield _projection(world)
    course = rumelhart.train(
        settings.seed_for("15 rumelhart"), settings.size(5, 3), settings.size(6000, 3000)
    )
    yield distances_over_time(settings, course)
    yield snapshots(course)


# --- the tree ------------------------------------------------------------------------------------


def _levels(world: World) -> Figure:
    figure, (left, right) = canvases(9.6, 3.8)
    times = world.times
    fine = np.linspace(0.0, times[-1], 400)
    top = strongest(world.n_features)
    strengths = [by_level(x.gram) for x in (world.wide, world.narrow)]
    found = world.scaled(strengths[0].swapaxes(0, 1), strengths[1].swapaxes(0, 1))
    s = TREE.singular_values(world.n_features)
    comparisons, rows = [], []
    squares = world.squares
    for level in range(TREE.n_levels + 1):
        # the mean over draws has no bias at any number of features
        comparisons.append(
            Comparison(
                f"s² / N at level {level}",
                float(TREE.singular_values(1)[level] ** 2),
                float(squares[:, level].mean()),
                float(squares[:, level].std(ddof=1) / np.sqrt(len(squares))),
                n_samples=len(squares),
            )
        )
    at = slice(3, None, 8)
    for level, color in enumerate(_COLORS):
        u = world.strength(fine)[:, level]
        left.plot(fine, u / top, color=color, label=f"level {level}")
        left.errorbar(times[at], found.value[at, level], found.error[at, level], fmt="o",
                      color=color, ms=3.5)  # fmt: skip
        half = float(learning_time(s[level], world.known["a0"], tau=world.known["tau"]))
        crossed = [
            crossing(times, x[:, :, level], 0.5 * s[level] * scale)
            for x, scale in zip(strengths, (1.0, np.sqrt(0.5)), strict=True)
        ]
        time = extrapolated(crossed[0], crossed[1], 1, world.width)
        comparisons.append(compare(f"time to half of level {level}, over τ/s_0", half, time))
        rows.append(
            (
                f"level {level}",
                f"{s[level] / top:.4f}",
                f"{half:.4f}",
                with_error(float(time.value), float(time.error)),
            )
        )
    distances = [by_ancestor(squared_distances(x.gram)) for x in (world.wide, world.narrow)]
    found = world.scaled(distances[0].swapaxes(0, 1), distances[1].swapaxes(0, 1))
    names = ("in different halves", "in different quarters", "siblings")
    for level, name in enumerate(names):
        d = TREE.squared_distance(fine, level, **world.known) / top
        color = _COLORS[level + 1]
        right.plot(fine, d, color=color, label=name)
        right.errorbar(times[at], found.value[at, level], found.error[at, level], fmt="o",
                       color=color, ms=3.5)  # fmt: skip
        for k in (47, 71, 111):
            theory = TREE.squared_distance(float(times[k]), level, **world.known)
            comparisons.append(
                compare(
                    f"squared distance of leaves {name} at t = {times[k]:g}",
                    float(theory / top),
                    found,
                    (k, level),
                )
            )
    left.set(xlabel=r"time $t\,s_0/\tau$", ylabel="strength $u_l / s_0$", title="Modes by level")
    right.set(
        xlabel=r"time $t\,s_0/\tau$",
        ylabel="squared distance $d_k^2 / s_0$",
        title="Pairs of leaves",
    )
    left.legend(loc="upper left", ncols=2, fontsize=8)
    left.set(ylim=(-0.04, 1.3))
    right.legend(loc="upper left")
    return Figure(
        key="a",
        title="Distinctions by level of the tree",
        drawing=figure,
        caption=(
            f"A tree of {TREE.n_items} leaves, ε = {TREE.flips[0]:g}. Lines, theory of many "
            f"features with a_0 = {A0:g} s_0; marks, {world.described}. Weights start small and "
            "random; output weights outside the span of the items, which could only decay, at 0."
        ),
        description="Modes of the root, halves, quarters and leaves rise one after the other.",
        comparisons=comparisons,
        tables=[Table("When a level is half learned", ("", "s_l / s_0", "theory", "found"), rows)],
        wide=True,
    )


# --- paths and dendrograms of the tree -----------------------------------------------------------


def _paths(world: World) -> Figure:
    """Draw the leaves' paths in one plane: three components, the third one obliquely."""
    from matplotlib.figure import Figure as Drawing

    plane = np.array([[1.0, 0.0], [0.0, 1.0], [0.55, 0.4]])
    components = [0, 1, 3]  # the first of each level, which splits all nodes the same way
    fine = np.linspace(0.0, float(world.times[-1]), 300)
    top = np.sqrt(strongest(world.n_features))
    full = TREE.embedding(fine, n_components=TREE.n_items - 1, **world.known)
    theory = full[..., components] @ plane / top
    # axes of one network, found once: where its trained representations show the components
    hidden = world.wide.hidden - world.wide.hidden.mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd(hidden[-1].T @ full[-1], full_matrices=False)
    measured = (hidden @ (left @ right))[..., components] @ plane / top
    figure = Drawing(figsize=(9.6, 4.0), layout="constrained")
    colors = (BLUE, SKY, GREEN, "#7fc97f", VERMILLION, ORANGE, PURPLE, "#e7a1c8")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, paths, name in zip(axes, (theory, measured), ("Theory", "One network"), strict=True):
        for i, color in enumerate(colors):
            ax.plot(paths[:, i, 0], paths[:, i, 1], color=color)
            ax.plot(paths[-1, i, 0], paths[-1, i, 1], "o", color=color)
            ahead = paths[-1, i] - paths[-len(paths) // 8, i]  # where the path would go on
            ax.annotate(
                _NAMES[i],
                paths[-1, i],
                xytext=tuple(11.0 * ahead / np.linalg.norm(ahead)),
                textcoords="offset points",
                ha="center",
                va="center",
            )
        ax.margins(0.12)
        ax.set(title=name, xlabel="component 1 (and 4, obliquely)", aspect="equal")
    axes[0].set(ylabel="component 2 (and 4)")
    end = hidden[-1] @ (left @ right)
    error = float(np.linalg.norm(end - full[-1]) / np.linalg.norm(full[-1]))
    return Figure(
        key="b",
        title="Paths of the leaves",
        drawing=figure,
        caption=(
            "Multidimensional scaling of the hidden representations over time, all from near the "
            "middle, in one fixed basis: the first component of each level of the tree, the third "
            "of them drawn obliquely. Left, many features; right, one network that learned "
            f"{world.n_features} features, turned once, at the end, onto the theory; its trained "
            f"leaves lie off by {100 * error:.1f} % of their mean distance from the middle."
        ),
        description="Paths of eight leaves fork into two, then four, then eight branches.",
        remark="one network",
        wide=True,
    )


def _dendrograms(world: World) -> Figure:
    from matplotlib.figure import Figure as Drawing
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    figure = Drawing(figsize=(9.6, 4.6), layout="constrained")
    axes = figure.subplots(2, 4, sharey=True)
    top = np.sqrt(strongest(world.n_features))
    chosen = [31, 47, 71, 159]
    rows = []
    for column, k in enumerate(chosen):
        t = float(world.times[k])
        theory = TREE.linkage(t, **world.known)
        squares = squared_distances(world.wide.gram[k, 0])
        np.fill_diagonal(squares, 0.0)
        found = linkage(np.sqrt(squareform(squares, checks=False)), "average")
        for ax, tree in zip(axes[:, column], (theory, found), strict=True):
            scaled = tree.copy()
            scaled[:, 2] /= top
            dendrogram(
                scaled,
                ax=ax,
                labels=list(_NAMES),
                color_threshold=0.0,
                above_threshold_color=BLUE if tree is theory else VERMILLION,
                leaf_font_size=9,
            )
        axes[0, column].set_title(f"t = {t:.0f}")
        heights = np.sort(np.unique(theory[:, 2].round(9)))[::-1] / top
        rows.append((f"{t:.0f}", *(f"{h:.3f}" for h in heights)))
    for ax, name in zip(axes[:, 0], ("theory", "one network"), strict=True):
        ax.set_ylabel(f"{name}: hidden distance")
    return Figure(
        key="c",
        title="Dendrograms over time",
        drawing=figure,
        caption=(
            "Hierarchical clustering of the hidden representations at four times, in units of "
            "τ / s_0; heights over √s_0. Above, theory; below, one network (average linkage). "
            "Where heights are near 0 their order means nothing."
        ),
        description="Trees of leaves grow from the root downwards.",
        tables=[
            Table(
                "Heights of the merges, theory",
                ("t", "halves", "quarters", "siblings"),
                rows,
            )
        ],
        remark="one network",
        wide=True,
    )


def _projection(world: World) -> Figure:
    figure, ax = canvas()
    fine = np.linspace(0.0, world.times[-1], 400)
    shares = []
    for x in (world.wide, world.narrow):
        diagonal = np.diagonal(x.gram, axis1=-2, axis2=-1)
        shares.append(by_ancestor(x.gram / diagonal[..., :, None]).swapaxes(0, 1))
    found = extrapolated(shares[0], shares[1], 1, world.width)
    comparisons = []
    at = slice(3, None, 8)
    for level, name in enumerate(("other half", "other quarter", "sibling")):
        color = _COLORS[level + 1]
        ax.plot(fine, TREE.project_property(fine, level, **world.known), color=color, label=name)
        ax.errorbar(world.times[at], found.value[at, level], found.error[at, level], fmt="o",
                    color=color, ms=3.5)  # fmt: skip
        for k in (47, 71, 111):
            t = float(world.times[k])
            theory = float(TREE.project_property(t, level, **world.known))
            comparisons.append(
                compare(f"ascribed to a leaf, {name}, at t = {t:g}", theory, found, (k, level))
            )
    ax.set(xlabel=r"time $t\,s_0/\tau$", ylabel="novel property ascribed")
    ax.set(ylim=(0.0, 1.0))
    ax.legend(loc="upper right")
    return Figure(
        key="d",
        title="Inductive projection narrows",
        drawing=figure,
        caption=(
            "A new property is taught on one leaf at time t, only by the weights from the hidden "
            "layer to it: how far is it ascribed to others? Lines, theory; marks, from the "
            f"representations of {world.described}. At the very start leaves have nothing in "
            "common; when the root's mode leads they are most alike, and from then on what is "
            "ascribed narrows to near relatives."
        ),
        description="A novel property is ascribed to most leaves early on, later to near ones.",
        comparisons=comparisons,
    )
