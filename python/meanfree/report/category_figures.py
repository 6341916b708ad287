"""Figures of chapter 16 on categories in noise, and on networks that represent alike."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree.report.engine import Figure, Settings
from meanfree.report.linear_learners import compare, learn, mean_with_error
from meanfree.report.region_figures import canvases
from meanfree.report.spectra import extrapolated
from meanfree.report.style import BLUE, GREEN, GREY, VERMILLION
from meanfree.semantics import category, eight_things, representation_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# --- categories in noise -------------------------------------------------------------------------

_COHERENCES = (0.5, 1.5, 2.0, 4.0, 8.0)


def _spiked(settings: Settings, coherence: float, shape: tuple[int, int], n: int) -> Array:
    """Return singular value / noise and squared overlaps with items and features, (n, 3)."""
    from scipy.sparse.linalg import svds

    rows, columns = shape
    k_f, k_o = rows // 10, columns // 10
    mean = np.sqrt(coherence * np.sqrt(rows * columns) / (k_f * k_o))
    random = np.random.default_rng(settings.seed_for(f"16 category {coherence} {rows}"))
    values = np.empty((n, 3))
    for k in range(n):
        matrix = random.standard_normal(shape)
        matrix[:k_f, :k_o] += mean
        start = np.ones(min(shape))
        u, s, vt = svds(matrix, k=1, v0=start, tol=1e-6)
        item, feature = vt[0, :k_o].sum() ** 2 / k_o, u[:k_f, 0].sum() ** 2 / k_f
        values[k] = s[0] / np.sqrt(columns), item, feature
    return values


def coherence(settings: Settings) -> Figure:
    """Draw how well a category in noise is seen, against its coherence."""
    shape, n = (settings.size(200, 100), settings.size(300, 150)), 24
    figure, (left, right) = canvases(9.6, 3.7)
    c = np.linspace(0.0, 9.0, 400)
    theory = category(c, *shape)
    left.plot(c, theory.item_overlap**2, color=BLUE, label="items")
    left.plot(c, theory.feature_overlap**2, color=VERMILLION, label="features")
    right.plot(c, np.asarray(theory.singular_value) / np.sqrt(shape[1]), color=GREEN)
    comparisons = []
    half = (shape[0] // 2, shape[1] // 2)
    for c_value in _COHERENCES:
        found = extrapolated(
            _spiked(settings, c_value, shape, n),
            _spiked(settings, c_value, half, 2 * n),
            1,
            shape[0],
        )
        right.errorbar(c_value, found.value[0], found.error[0], fmt="s", color=GREEN)
        left.errorbar(c_value, found.value[1], found.error[1], fmt="o", color=BLUE)
        left.errorbar(c_value, found.value[2], found.error[2], fmt="^", color=VERMILLION)
        at = category(c_value, *shape)
        expected = (
            float(at.singular_value / np.sqrt(shape[1])),
            float(at.item_overlap**2),
            float(at.feature_overlap**2),
        )
        for k, name in enumerate(("s / (σ √N_o)", "(item overlap)²", "(feature overlap)²")):
            if c_value >= 2.0 or (c_value < 1.0 and k):  # 1/N is no leading term near 1
                comparisons.append(compare(f"{name} at C = {c_value:g}", expected[k], found, k))
    for ax in (left, right):
        ax.axvline(1.0, color=GREY, linestyle=":", linewidth=1.0)
        ax.set(xlabel=r"coherence $C$")
    left.set(ylabel="(overlap)² of singular vector and category", ylim=(-0.05, 1.0))
    left.legend(loc="lower right")
    right.set(ylabel=r"largest singular value, $s / \sigma N_o^{1/2}$")
    return Figure(
        key="d",
        title="Categories in noise",
        drawing=figure,
        caption=(
            "How much of a category the first mode sees, and how strong, that is how soon learned, "
            f"the mode is. Lines, theory of large matrices; marks, {n} matrices of {shape[0]} "
            f"features and {shape[1]} items and {2 * n} of half the size, extrapolated, with one "
            "standard error. A tenth of the features and of the items are in the category. Dotted: "
            "the threshold, near which finite matrices deviate most."
        ),
        description="Overlaps are zero up to coherence 1 and rise steeply beyond.",
        comparisons=comparisons,
        wide=True,
    )


# --- agreement of networks -----------------------------------------------------------------------

_SCALES = (0.03, 0.3, 1.0, 3.0, 10.0, 30.0)


def agreement(settings: Settings) -> Figure:
    """Draw how alike two networks represent what they learned, against their first weights."""
    _, s, vt = np.linalg.svd(eight_things().outputs, full_matrices=False)
    y = s[:, None] * vt  # the same learning, in the space of features that the data span
    width, n = settings.size(96, 64), settings.size(24, 16)
    many = {width: n, width // 2: 2 * n, 16: 2 * n}
    strengths: dict[int, list[Array]] = {n_hidden: [] for n_hidden in many}
    alike: dict[int, list[tuple[float, float]]] = {n_hidden: [] for n_hidden in many}
    for q in _SCALES:
        until = [5.0 - 0.5 * np.log(q)] if q < 3.0 else [3.0]
        for n_hidden, count in many.items():
            seed = settings.seed_for(f"16 agreement {n_hidden} {q}")
            gram = learn(y, until, n_hidden=n_hidden, n_networks=count, a0=0.5 * q, seed=seed).gram[
                -1
            ]
            strengths[n_hidden].append(np.einsum("ai,nij,aj->na", vt, gram, vt))
            alike[n_hidden].append(
                mean_with_error(representation_similarity(gram[::2], gram[1::2]))
            )
    figure, (left, right) = canvases(9.6, 3.7)
    colors = (BLUE, VERMILLION, GREEN)
    for (n_hidden, values), color in zip(alike.items(), colors, strict=True):
        mean, error = np.array(values).T
        left.errorbar(_SCALES, mean, error, fmt="o-", color=color, label=f"{n_hidden} hidden units")
    left.set(
        xscale="log",
        xlabel=r"weights at the start, $|W_1 v|^2$",
        ylabel="similarity of two networks",
        ylim=(0.0, 1.05),
    )
    left.legend(loc="lower left")
    comparisons = []
    modes = (0, 4, 7)
    fine = np.geomspace(_SCALES[0], _SCALES[-1], 200)
    for mode, color in zip(modes, colors, strict=True):
        right.plot(fine, np.hypot(fine, s[mode]), color=color, label=f"mode {mode + 1}")
    for i, q in enumerate(_SCALES):
        found = extrapolated(strengths[width][i], strengths[width // 2][i], 1, width)
        for mode, color in zip(modes, colors, strict=True):
            right.errorbar(q, found.value[mode], found.error[mode], fmt="o", color=color)
            if q in (1.0, 3.0, 10.0):
                comparisons.append(
                    compare(
                        f"representation of mode {mode + 1}, weights {q:g}",
                        float(np.hypot(q, s[mode])),
                        found,
                        mode,
                    )
                )
    right.set(
        xscale="log",
        yscale="log",
        xlabel=r"weights at the start, $|W_1 v|^2$",
        ylabel=r"trained representation, $|W_1 v_a|^2$",
    )
    right.legend()
    return Figure(
        key="e",
        title="Do two networks represent alike?",
        drawing=figure,
        caption=(
            "Left: similarity (cosine of centred inner products of hidden representations) of "
            "networks that learned the same from different random weights, with one standard "
            "error. Right: how strongly trained networks represent a mode. Lines, √(q² + s²) of "
            f"wide layers with q = |W_1 v|² = |W_2 u|² at the start; marks, {n} networks of "
            f"{width} units and {2 * n} of half as many, extrapolated. From small weights all "
            "networks represent the data alike; from large ones each keeps its own start, alike "
            "only if wide."
        ),
        description="Similarity is 1 for small initial weights and falls for large ones.",
        comparisons=comparisons,
        wide=True,
    )
