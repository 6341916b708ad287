"""Figures of chapter 12 that follow one network: what it draws, and where it rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.linear import descend, initial_weights, learning_time
from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings
from meanfree.report.mode_starts import crossing_times, negative_directions
from meanfree.report.style import BLUE, VERMILLION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_NEAR = 0.02  # strengths on a plateau are this near to 0 or to their singular values


def draw_drawings(settings: Settings, key: str, outputs: Array, s: Array, images: Array) -> Figure:
    """Draw the outputs of one network for each label while it learns."""
    from matplotlib.figure import Figure as Drawing

    a0 = 1e-6
    start = initial_weights(
        [10, 20, 9],
        "gaussian",
        scale=np.sqrt(2.0 * a0),
        seed=settings.seed_for("12 drawings"),
    )
    times = np.concatenate([learning_time(s[[0, 1, 2, 4, 6]], a0, target=0.9), [14.0]])
    eta = 0.01
    found = descend(
        start, outputs, eta=eta, steps=1400, n_threads=settings.n_threads, progress=False
    )
    figure = Drawing(figsize=(9.6, 6.2), layout="constrained")
    grid = figure.subplots(len(times) + 1, 10)
    top = float(np.max(np.abs(images @ outputs)))
    for row, t in enumerate([*times, None]):
        total = outputs if t is None else found.total[min(round(t / eta), 1400)]
        pictures = (images @ total).T.reshape(10, 14, 14)
        for digit, ax in enumerate(grid[row]):
            ax.imshow(pictures[digit], cmap="RdBu_r", vmin=-top, vmax=top)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if row == 0:
                ax.set_title(str(digit), loc="center")
        name = "data" if t is None else f"$t = {t:.1f}$"
        grid[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    return Figure(
        key=key,
        title="What the network draws",
        drawing=figure,
        caption=(
            "Output of one network from small random weights for each label, at several times; "
            "last row, what it is to draw: mean images, from which the mean of all is taken (red "
            "above, blue below). The first mode tells 0 from 1: at first every digit is drawn as "
            "more or less of this one picture."
        ),
        description="Rows of ten small pictures that become ten different digits.",
        wide=True,
    )


def draw_plateaus(settings: Settings, key: str, outputs: Array, s: Array) -> Figure:
    """Draw loss and index of the nearest saddle, and count falling directions by the Hessian."""
    from matplotlib.figure import Figure as Drawing

    a0, eta, hidden = 1e-40, 0.02, 12
    start = initial_weights(
        [10, hidden, 9],
        "aligned",
        scale=np.sqrt(a0),
        sigma_yx=outputs,
        seed=settings.seed_for("12 plateaus"),
    )
    # aligned weights of nine modes leave hidden units at 0, which the Hessian sees
    random = np.random.default_rng(settings.seed_for("12 plateaus too"))
    start = tuple(w + 1e-2 * np.sqrt(a0) * random.standard_normal(w.shape) for w in start)
    every = 5
    steps = int(1.2 * float(learning_time(s[-1], a0)) / eta)
    knobs: dict[str, Any] = {"n_threads": settings.n_threads, "progress": False}
    found = descend(start, outputs, eta=eta, steps=steps, record_every=every, **knobs)
    index = found.saddle_index()
    t = eta * found.t
    half = crossing_times(t, found.strength[None], 0.5 * s)[0].tolist()
    comparisons: list[Comparison] = []
    places = []
    for k in range(10):
        low, high = [0.0, *half][k], [*half, float(t[-1])][k]
        # where the slowest of both neighbours moves least: by the rates of their exponentials
        at = high if k == 9 else (low * s[max(k - 1, 0)] + high * s[k]) / (s[max(k - 1, 0)] + s[k])
        place = int(np.argmin(np.abs(t - at)))
        part = found.strength[place] / s
        if np.max(np.minimum(np.abs(part), np.abs(1.0 - part))) > _NEAR:
            continue  # no saddle is near: two modes are learned almost together
        reached = descend(
            start, outputs, eta=eta, steps=int(found.t[place]), record_every=steps, **knobs
        )
        w1, w2 = reached.weights
        # the weakest falling direction of a saddle has the curvature -s_9
        many = negative_directions(w1, w2, outputs, 0.3 * float(s[-1]))
        places.append(place)
        comparisons.append(
            Comparison(
                f"falling directions with {k} modes learned",
                float(index[place]),
                float(many),
                0.0,
            )
        )
    figure = Drawing(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(t, found.loss / found.loss[0], color=BLUE)
    left.plot(t[places], (found.loss / found.loss[0])[places], "o", color=VERMILLION)
    left.set(xlabel=r"time / $\tau$", ylabel="excess loss over its start", yscale="log")
    left.set_ylim(1e-3, 1.5)
    right.step(t, index, where="post", color=BLUE, label="index of the nearest saddle")
    many_found = [item.estimate for item in comparisons]
    right.plot(t[places], many_found, "o", color=VERMILLION, label="eigenvalues of the Hessian < 0")
    right.set(xlabel=r"time / $\tau$", ylabel="falling directions")
    right.legend()
    return Figure(
        key=key,
        title="Plateaus are passages near saddles",
        drawing=figure,
        caption=(
            f"Loss of a network with {hidden} hidden units from extremely small weights (u_0 = "
            f"{a0:g}, so that plateaus are long), and the index of the nearest saddle: (12 - k)"
            "(9 - k) with the k strongest modes learned. Dots, between two modes: eigenvalues of "
            "the Hessian of all 228 weights below -0.3 s_9, counted where all strengths are within "
            f"{_NEAR:.0%} of their ends: modes 6 and 7 are too much alike for a plateau."
        ),
        description="The loss falls in steps; the index falls from plateau to plateau to 0.",
        comparisons=comparisons,
        wide=True,
    )
