"""Chapter 21: what gets a deep autoencoder off its plateaus, on two clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from meanfree.hessian import MLP
from meanfree.optim import Cost
from meanfree.report.autoencoder import (
    DATA,
    MOMENTA,
    RATES,
    SIZES,
    Counted,
    Rival,
    digits,
    first_below,
    held,
    linear_losses,
    rivals,
    start,
    tuned,
)
from meanfree.report.comparison import Comparison, with_error
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.plateau_chains import draw_chains
from meanfree.report.region_figures import canvases
from meanfree.report.style import GREY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TITLE = "Plateaus of a deep autoencoder"
NEEDS: tuple[str, ...] = ("sklearn",)
TEXT = """
The origin of a network with L weight matrices is a saddle at which, for L of 3 and more, the whole
Hessian with respect to the weights vanishes. Next to it the loss falls like the product of all
weights, a homogeneous function of degree L; on the diagonal, where all weights are w, and for small
w

    Newton: w → w (1 - 1 / (L-1)); saddle-free Newton: w → w (1 + 1 / (L-1)); gradient descent:
    w → w + η s w^{L-1}.

Saddle-free Newton takes log(1 / w) steps to leave, gradient descent w^{-(L-2)} steps.

That is the case for curvature. Whether it pays is a matter of the clock. In steps, methods that
know the curvature win by far. In gradients, the currency of large networks, a full Hessian of n
weights costs 2 n; products with it in a Krylov space of 20 directions cost 40. Gradient descent
with momentum, its rate and momentum the best of a grid for these very starts, is the rival to
beat, and the Gauss-Newton matrix, which has no negative eigenvalue at all, is the other: damped by
the same search it is the method of Levenberg and Marquardt. The tables say who won here, in this
small network; it is no claim about larger ones.

Source: Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio (2014); for the linear autoencoder,
Baldi and Hornik (1989).
"""

_SCALE = 0.3
_MOST = 1200
_NETWORK = f"Autoencoder {'-'.join(map(str, SIZES))} of tanh units, linear output. Data: {DATA}"


def run(settings: Settings) -> Iterator[Figure]:
    """Yield chains of single units, the loss on two clocks, and times of escape."""
    yield draw_chains(settings, "a")
    nets = [start(settings.seed_for(f"21 start {i}"), _SCALE) for i in range(settings.size(4, 2))]
    losses = tuned(nets, _tuning(settings))
    i, j = np.unravel_index(int(np.nanargmin(losses)), losses.shape)
    plain = RATES[int(np.nanargmin(losses[:, 0]))]
    methods = rivals(plain, RATES[int(i)], MOMENTA[int(j)], budget=settings.size(600, 300))
    yield _clocks(settings, methods, losses, nets)
    yield _scales(settings, methods)


def _tuning(settings: Settings) -> int:
    return settings.size(400, 200)


# --- the loss on two clocks -----------------------------------------------------------------------


def _clocks(
    settings: Settings, methods: tuple[Rival, ...], losses: Array, nets: list[MLP]
) -> Figure:
    figure, (left, right) = canvases(9.6, 4.8)
    linear, level = linear_losses(), _level()
    rows = []
    ends, cheap = {}, {}
    budget = methods[0].steps
    for method in methods:
        paths = [method.optimise(net) for net in nets]
        for ax, clocks in (
            (left, [path.steps.astype(float) for path in paths]),
            (right, [path.gradient_equivalents for path in paths]),
        ):
            last = min(clock[-1] for clock in clocks)
            first = max(1.0, *(clock[1] for clock in clocks))
            times = np.geomspace(first, last, 120)
            many = np.array([held(p, c, times) for p, c in zip(paths, clocks, strict=True)])
            middle, error = many.mean(axis=0), many.std(axis=0, ddof=1) / np.sqrt(len(paths))
            if method.name == "Newton":  # no mean of paths that may go anywhere
                for k, line in enumerate(many):
                    ax.plot(
                        times,
                        line,
                        color=method.color,
                        linewidth=0.8,
                        label=None if k else method.name,
                    )
                continue
            ax.plot(times, middle, method.line, color=method.color, label=method.name)
            ax.fill_between(
                times, middle - error, middle + error, color=method.color, alpha=0.2, linewidth=0
            )
        final = np.array([path.values[-1] for path in paths])
        at_budget = np.array([float(held(p, p.gradient_equivalents, np.array([float(budget)]))[0])
                              if p.gradient_equivalents[-1] >= budget else p.values[-1]
                              for p in paths])  # fmt: skip
        after = np.array(
            [float(held(p, p.steps.astype(np.float64), np.array([12.0]))[0]) for p in paths]
        )
        # nan: a path that ended before
        ends[method.name] = float(np.where(np.isnan(after), np.inf, after).mean())
        cheap[method.name] = float(at_budget.mean())
        left_at = np.array([first_below(path, level) for path in paths])
        rows.append(
            (
                method.name,
                _mean(left_at[:, 0]),
                _mean(left_at[:, 1]),
                _mean(after),
                _mean(at_budget),
                f"{_mean(final)} at {paths[0].steps[-1]} steps, "
                f"{np.mean([p.gradient_equivalents[-1] for p in paths]):.0f} gradients",
            )
        )
    for ax in (left, right):
        for r in range(SIZES[len(SIZES) // 2] + 1):
            ax.axhline(linear[r], color=GREY, linestyle=":", linewidth=1.0)
        ax.set(xscale="log", ylim=(1.0, 5.2), ylabel="loss")
    left.set(xlabel="steps")
    right.set(xlabel="gradient equivalents")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8.5
    )
    order = sorted(ends, key=lambda name: ends[name])
    gradients = sorted(cheap, key=lambda name: cheap[name])
    return Figure(
        key="b",
        title="Loss on two clocks",
        drawing=figure,
        caption=(
            f"{_NETWORK}. Mean over {len(nets)} starts with Gaussian weights of standard deviation "
            f"{_SCALE:g} / √fan-in; bands, one standard error. Dotted, losses of linear "
            "autoencoders that have learned 0, 1 and 2 components: the first is exactly the loss "
            "at weights 0; a tanh network may go below the last. A value costs a third of a "
            "gradient, a product with a Hessian 2, a Hessian of 190 weights 380. Thin, single "
            "paths of Newton's method, which rise beyond the picture or return to the plateau."
        ),
        description="Curvature wins in steps; in gradients, momentum and Krylov spaces are near.",
        comparisons=[*_at_zero(), *_counted(settings, methods, nets[0])],
        tables=[
            Table(
                f"Off the first plateau (loss below {level:.2f}), and losses",
                ("method", "steps", "gradients", "loss, 12 steps", f"loss, {budget} gradients",
                 "loss in the end"),
                rows,
            ),
            Table(
                f"Gradient descent: mean loss, last quarter of {_tuning(settings)} steps",
                ("rate", *(f"momentum {m:g}" for m in MOMENTA)),
                [
                    (f"{rate:g}", *map(_loss, line))
                    for rate, line in zip(RATES, losses, strict=True)
                ],
            ),
        ],
        notes=[
            f"After 12 steps the lowest mean loss is that of {order[0]} ({ends[order[0]]:.2f}), "
            f"then {order[1]} ({ends[order[1]]:.2f}).",
            f"Within {budget} gradients it is that of {gradients[0]} ({cheap[gradients[0]]:.2f}), "
            f"then {gradients[1]} ({cheap[gradients[1]]:.2f}).",
            _measured_prices(nets[0]),
        ],
        wide=True,
    )  # fmt: skip


def _measured_prices(net: MLP) -> str:
    """Say what things cost in time, here and now."""
    x = digits()
    problem = net.problem(x, x)
    matrix = problem.hessian(net.parameters)
    shift = iter(1e-9 * np.arange(100))  # the problem keeps what it has computed
    gradient = _best(lambda: problem.gradient(net.parameters + next(shift)))
    product = _best(lambda: problem.hvp(net.parameters, net.parameters))
    hessian = _best(lambda: net.hessian(x, x, n_threads=1, progress=False))
    roots = _best(lambda: np.linalg.eigh(matrix))
    return (
        f"In time, here: a product costs {product / gradient:.1f} gradients, a Hessian "
        f"{hessian / gradient:.0f}, its eigenvectors {roots / gradient:.0f}. Where a whole Hessian "
        "fits, the clock of gradients is hard on it."
    )


def _best(call: Callable[[], object]) -> float:
    """Return the least of several times in seconds."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def _loss(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" if np.isfinite(value) else "diverged"


def _mean(values: Array) -> str:
    """Write mean and standard error over starts, and how many there are none of."""
    there = values[np.isfinite(values)]
    if there.size < 2:
        return "-"
    text = with_error(float(there.mean()), float(there.std(ddof=1) / np.sqrt(there.size)))
    return text if there.size == values.size else f"{text} ({values.size - there.size} never)"


def _level() -> float:
    """Return the loss half-way down from the first plateau to the second, where r = 1."""
    return float(np.mean(linear_losses()[:2]))


def _at_zero() -> list[Comparison]:
    """Compare the plateau at weights 0 with what is known of it."""
    x = digits()
    net = MLP([np.zeros((b, a)) for a, b in pairwise(SIZES)], None, "tanh")
    expected = np.zeros(net.n_parameters)
    expected[-SIZES[-1] :] = 1.0  # the biases of the outputs
    apart = np.max(np.abs(net.eigenvalues(x, x, progress=False) - expected))
    return [
        Comparison("loss at weights 0, half the variance", linear_losses()[0], net.value(x, x),
                   0.0, 1e-13, "rounding"),
        Comparison("length of the gradient at weights 0", 0.0,
                   float(np.linalg.norm(net.gradient(x, x))), 0.0, 1e-13, "rounding"),
        Comparison("largest deviation of the eigenvalues of the Hessian at weights 0", 0.0,
                   float(apart), 0.0, 1e-13, "rounding"),
    ]  # fmt: skip


def _counted(settings: Settings, methods: tuple[Rival, ...], net: MLP) -> list[Comparison]:
    """Compare each clock with a count of what the optimiser asked of its problem."""
    comparisons = []
    for method in methods:
        problem = Counted(net.problem(digits(), digits(), kind=method.kind))
        path = method.run(problem, net.parameters, steps=4)
        # methods that do not look at values record one at each step; the start is checked once
        looks = problem.counts["value"] > path.steps[-1] + 1
        counted = problem.price(records=0 if looks else len(path.steps), checks=1, cost=Cost())
        comparisons.append(
            Comparison(
                f"gradients of four steps, clock beside count, {method.name}",
                counted,
                float(path.gradient_equivalents[-1]),
                0.0,
                1e-9,
                "rounding",
            )
        )
    return comparisons


# --- smaller and smaller weights ------------------------------------------------------------------


def _scales(settings: Settings, methods: tuple[Rival, ...]) -> Figure:
    scales = np.array([0.5, 0.3, 0.2, 0.15])
    many = settings.size(3, 2)
    figure, axes = canvases(9.6, 4.2)
    level = _level()
    names = ("gradient descent", "with momentum", "saddle-free, Krylov 20",
             "Gauss-Newton, Krylov 20")  # fmt: skip
    rows, least = [], {}
    for method in methods:
        if method.name not in names:
            continue
        found = np.array([
            [_leave(method, start(settings.seed_for(f"21 scale {i}"), scale)) for i in range(many)]
            for scale in scales
        ])  # fmt: skip
        whole = np.isfinite(found).all(axis=(1, 2))[:, None]
        middle = np.where(whole, found.mean(axis=1), np.nan)
        error = np.where(whole, found.std(axis=1, ddof=1) / np.sqrt(many), np.nan)
        for ax, k in zip(axes, (0, 1), strict=True):
            ax.errorbar(scales, middle[:, k], error[:, k], fmt="o" + method.line,
                        color=method.color, label=method.name)  # fmt: skip
        rows.append((method.name, *(_mean(line) for line in found[:, :, 1])))
        least[method.name] = middle[:, 1]
    for ax, clock in zip(axes, ("steps", "gradient equivalents"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel=r"scale of the weights $g$")
        ax.set(ylabel=f"{clock} to leave")
        ax.set_xticks(scales, [f"{scale:g}" for scale in scales])
        ax.set_xticks([], minor=True)
    axes[0].set_ylim(2.0, 1500.0)
    axes[1].set_ylim(10.0, 1500.0)
    axes[0].legend(fontsize=8)
    fewest = np.nanargmin(list(least.values()), axis=0)
    winners = [list(least)[k] for k in fewest]
    return Figure(
        key="c",
        title="The smaller the weights",
        drawing=figure,
        caption=(
            f"{_NETWORK}. Steps and gradients until the loss is below {level:.2f}, half-way from "
            f"the first plateau to the second, for weights of standard deviation g / √fan-in: "
            f"mean and standard error over {many} starts, where all are off within {_MOST} steps. "
            "Rates and momentum are those of the figure before."
        ),
        description="First-order methods need ever more steps as weights shrink, others do not.",
        tables=[
            Table("Gradients to leave", ("method", *(f"g = {scale:g}" for scale in scales)), rows)
        ],
        notes=[
            "Fewest gradients on average (see the errors in the table): "
            + "; ".join(f"g = {g:g}, {name}" for g, name in zip(scales, winners, strict=True))
            + "."
        ],
        wide=True,
    )


def _leave(method: Rival, net: MLP) -> tuple[float, float]:
    """Return steps and gradients until the first plateau is left, nan if that takes too long."""
    found = np.nan, np.nan
    for steps in (6, 12, 24) if "Krylov" in method.name else (100, 400, _MOST):
        found = first_below(method.optimise(net, steps), _level())
        if np.isfinite(found[0]):
            break
    return found
