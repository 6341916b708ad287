"""Critical points of a network as critical points of a wider one: predicted and measured."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree.landscape import critical_points
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.hidden_layer import NOISE, SURE, Embedded, HiddenLayer, is_sure, signs
from meanfree.report.region_figures import canvases
from meanfree.report.style import BLACK, BLUE, GREEN, SKY, VERMILLION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.report.digit_points import Points

    Array = NDArray[np.float64]

_SHARES = (-0.5, 0.3, 0.5, 1.5)
_ROUNDING = 1e-12
_KINDS = {"λ in (0, 1)": BLUE, "λ outside [0, 1]": VERMILLION, "idle unit": GREEN}


def _embeddings(
    settings: Settings, net: HiddenLayer, w: Array, index: NDArray[np.int64]
) -> tuple[list[Embedded], Array, NDArray[np.str_]]:
    """Return embedded points, their index and number of zero modes as predicted, and their kind."""
    random = np.random.default_rng(settings.seed_for("19 biases"))
    inside, outside, idle = _KINDS
    items, expected, kinds = [], [], []
    for point, k in zip(w, index, strict=True):
        narrow = np.linalg.eigvalsh(net.derivatives(point)[1])
        new = [
            (inside if 0.0 < share < 1.0 else outside, net.copied(point, a, share))
            for a in range(net.n_hidden)
            for share in _SHARES
        ]
        for kind, item in [*new, (idle, net.constant(point, float(random.uniform(-1.0, 1.0))))]:
            gained = np.linalg.eigvalsh(item.block)
            largest = np.abs(np.linalg.eigvalsh(item.hessian)).max()
            if not is_sure(np.concatenate([narrow, gained, [largest]])):
                continue
            negative, zero = signs(gained, NOISE * largest)
            items.append(item)
            expected.append((k + negative, signs(narrow, NOISE * largest)[1] + zero))
            kinds.append(kind)
    return items, np.array(expected), np.array(kinds)


def draw_embedded(settings: Settings, net: HiddenLayer, points: Points) -> Figure:
    """Draw accepted points and those of a network with one unit more that they make."""
    w, value, index = points.w, points.value, points.index
    items, expected, kinds = _embeddings(settings, net, w, index)
    found = critical_points(
        net.wider.problem, np.array([item.w for item in items]), method="newton", max_steps=0,
        progress=False,
    )  # fmt: skip
    figure, (left, right) = canvases(9.6, 4.2)
    left.plot(value, index, "o", ms=8, mfc="none", color=BLACK, label="2 hidden units")
    comparisons, rows = [], []
    for (kind, color), shift in zip(_KINDS.items(), (-0.15, 0.0, 0.15), strict=True):
        here = kinds == kind
        left.plot(
            found.value[here], found.index[here] + shift, ".", color=color, label=f"3, {kind}"
        )
        n = float(np.count_nonzero(here))
        comparisons += [
            Comparison(f"points with the {what} predicted, {kind}", n, float(np.sum(same)), 0.0)
            for what, same in (
                ("index", found.index[here] == expected[here, 0]),
                ("number of zero modes", found.n_zero[here] == expected[here, 1]),
            )
        ]
        rows.append((kind, f"{n:.0f}", f"{np.count_nonzero(found.accepted[here])}"))
    n = float(len(items))
    spectra = np.array([np.linalg.eigvalsh(item.hessian) for item in items])
    scale = np.abs(spectra).max(axis=1)
    losses = np.abs(found.value[:, None] - value).min(axis=1)
    comparisons += [
        Comparison("embedded points accepted", n, float(np.sum(found.accepted)), 0.0),
        Comparison(
            "largest error of an eigenvalue, in units of the largest", 0.0,
            float(np.max(np.abs(spectra - found.eigenvalues).max(axis=1) / scale)), 0.0,
            _ROUNDING, "1e-12, rounding",
        ),
        Comparison(
            "largest error of the loss", 0.0, float(losses.max()), 0.0, _ROUNDING, "1e-12, rounding"
        ),
    ]  # fmt: skip
    left.set(xlabel="loss", ylabel="index", title="Accepted points and where they lead")
    left.set_ylim(index.min() - 1.9, None)
    left.legend(fontsize=8, ncols=2, loc="lower right")
    k = int(np.argmin(np.where(points.n_zero == 0, value, np.inf)))
    unit = int(np.argmax(np.abs(net.readout(w[k]))))
    shares = np.linspace(-1.0, 2.0, 121)
    theory = np.array([np.linalg.eigvalsh(net.copied(w[k], unit, s).hessian) for s in shares])
    marked = np.array([net.copied(w[k], unit, s).w for s in shares[::8]])
    measured = np.linalg.eigvalsh(net.wider.problem.hessian(marked))
    right.plot(shares, theory, color=SKY, linewidth=1.0)
    right.plot(shares[::8], measured, ".", color=BLACK, ms=3.0)
    right.set_yscale("asinh", linear_width=1e-3)
    right.set(
        xlabel="share λ of the output weight",
        ylabel="eigenvalue of the Hessian",
        title=f"Copies of a unit, loss {value[k]:.4f}, index {index[k]}",
        yticks=[-0.1, -0.01, 0.0, 0.01, 0.1, 1.0],
        yticklabels=["−0.1", "−.01", "0", ".01", "0.1", "1"],
    )
    return Figure(
        key="c",
        title="Critical points of a wider network",
        drawing=figure,
        caption=(
            f"Left: rings, the points of the figure above; dots, {len(items)} points of a network "
            f"4-3-1 made of them, with λ = {', '.join(f'{s:g}' for s in _SHARES)} for each unit, "
            "or with an idle unit; shifted by 0.15 of an index to be told apart. Points for which "
            f"a predicted eigenvalue is below {SURE:g} of the largest and not 0 are left out. "
            "Right: the point of least loss with both units at work, the stronger one copied; "
            "lines, predicted; dots, Hessian of the core. The axis is linear within ±0.001."
        ),
        description=(
            "Embedded points lie at the loss of their narrow network at the same or a larger index;"
            " eigenvalues change sign where λ is 0 or 1."
        ),
        comparisons=comparisons,
        tables=[Table("Points of the wider network", ("kind", "made", "accepted"), rows)],
        wide=True,
    )
