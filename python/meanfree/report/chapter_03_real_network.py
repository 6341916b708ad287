"""Chapter 3: a 50-layer network on real digits: audit, finding, fix, and training with both."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.report.comparison import Comparison
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.handwriting import small_digits
from meanfree.report.style import BLUE, GREY, VERMILLION, canvas

if TYPE_CHECKING:
    import torch

    from meanfree.network import Audit
    from meanfree.report.training import Training

TITLE = "A real network on real digits: audit, fix, train"
NEEDS = ("torch", "sklearn")
TEXT = """
A multilayer perceptron 64-256-…-256-10 with 50 hidden tanh layers is to classify the 1,797
handwritten digits (8 × 8 pixels) that come with scikit-learn. Its initialisation is what
torch.nn.Linear does by default: weights of variance 1/(3 N), that is σ_w² = 1/3, and small biases.
The audit reads σ_w and σ_b off the network's own weights, takes the Gram matrix of the digits as
it is and predicts, for every layer, the mean squared pre-activation and the squared weight gradient

    q^l = E[(h^l)²],   |∂E/∂W^l|² = Σ_{ab} (δ_a · δ_b) (x_a · x_b),

where the sum runs over pairs of digits a, b of the batch: their errors δ are carried backwards by
σ_w² E[φ′(u_a) φ′(u_b)] per layer, since gradients of different digits cancel to a different degree
at different depths. Then it measures both on freshly drawn weights.

At σ_w² = 1/3 the network is deep in the ordered phase, χ_1 = 0.33: gradients shrink by that factor
a layer. The fix is orthogonal weights on the critical line, σ_w = 1, σ_b = 0.

Source: Schoenholz et al. (2017), gradients and trainable depth; Saxe et al. (2014), orthogonal
initialisation.
"""

_HIDDEN = 50
_NAMES = ("torch default", "critical orthogonal")
_COLORS = (VERMILLION, BLUE)
_MARKERS = ("o", "s")
_LAYERS = (2, 5, 10, 20, 30, 40, 50)  # shown in the comparisons; the figures show all


def run(settings: Settings) -> Iterator[Figure]:
    """Yield lengths, gradients and the training of both networks."""
    import torch

    from meanfree import audit
    from meanfree.report.training import one_torch_thread

    inputs, labels = (torch.from_numpy(array) for array in small_digits())
    with one_torch_thread():
        networks = build(settings)
        audits = [
            audit(
                network,
                inputs,
                targets=labels,
                n_samples=settings.size(20, 4),
                seed=settings.seed_for(f"3 audit {name}"),
                n_threads=1,
                progress=False,
            )
            for name, network in zip(_NAMES, networks, strict=True)
        ]
    yield _lengths(audits)
    yield _gradients(audits)
    yield from _training(settings, networks, inputs, labels)


def build(settings: Settings) -> list[torch.nn.Module]:
    """Return the network as torch initialises it, and the same after the fix."""
    import torch

    import meanfree as mf
    from meanfree.network import initialize

    width = settings.size(256, 64)
    networks: list[torch.nn.Module] = []
    for _ in _NAMES:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed_for("3 default"))
            layers: dict[str, torch.nn.Module] = {}
            for number in range(1, _HIDDEN + 1):
                fan_in = 64 if number == 1 else width
                layers[f"layer{number}"] = torch.nn.Linear(fan_in, width)
                layers[f"tanh{number}"] = torch.nn.Tanh()
            layers[f"layer{_HIDDEN + 1}"] = torch.nn.Linear(width, 10)
            networks.append(torch.nn.Sequential(OrderedDict(layers)))
    fix = mf.critical("tanh", weights="orthogonal")
    initialize(networks[1], fix, seed=settings.seed_for("3 orthogonal"))
    return networks


def _compare(audits: Sequence[Audit], quantity: str, text: str) -> list[Comparison]:
    comparisons = []
    for name, result in zip(_NAMES, audits, strict=True):
        for number in _LAYERS:
            found = getattr(result.layers[number - 1], quantity)
            comparisons.append(
                Comparison(
                    f"{text} of layer {number}, {name}",
                    found.theory,
                    found.measured,
                    found.error,
                    found.bound,
                    result.bound,
                    result.n_samples,
                )
            )
    return comparisons


def _draw(audits: Sequence[Audit], quantity: str, ylabel: str, scales: Sequence[float]) -> Any:
    figure, ax = canvas()
    for name, result, scale, color, marker in zip(
        _NAMES, audits, scales, _COLORS, _MARKERS, strict=True
    ):
        found = [getattr(layer, quantity) for layer in result.layers]
        number = np.arange(1, len(found) + 1)
        theory = np.array([item.theory for item in found]) / scale
        measured = np.array([item.measured for item in found]) / scale
        error = np.array([item.error for item in found]) / scale
        ax.plot(number, theory, color=color)
        ax.errorbar(number, measured, error, fmt=marker, color=color, markersize=3.5, label=name)
    ax.set(xlabel="layer $l$", ylabel=ylabel, yscale="log")
    ax.set_title("lines: theory, marks: measured", fontweight="normal", fontsize=10)
    ax.legend()
    return figure


def _lengths(audits: Sequence[Audit]) -> Figure:
    return Figure(
        key="a",
        title="Lengths, layer by layer",
        drawing=_draw(audits, "q", "mean squared pre-activation $q^l$", (1.0, 1.0)),
        caption=(
            f"Lines, predicted from the digits and the weights' variances; marks, measured on "
            f"{audits[0].n_samples} draws of the weights and {audits[0].n_inputs} digits, with one "
            "standard error."
        ),
        description="q of every layer for both initialisations, theory lines through the marks.",
        comparisons=_compare(audits, "q", "q"),
        remark=_agreement(audits),
        notes=[f"{name}: {item.coverage}" for name, item in zip(_NAMES, audits, strict=True)],
    )


def _agreement(audits: Sequence[Audit]) -> str:
    layers = [layer for result in audits for layer in result.layers]
    agreeing = sum(layer.verdict == "agrees" for layer in layers)
    return f"audit: {agreeing}/{len(layers)} layers agree"


def _gradients(audits: Sequence[Audit]) -> Figure:
    scales = [result.layers[_HIDDEN - 1].gradient.measured for result in audits]
    rows = []
    for name, result, scale in zip(_NAMES, audits, scales, strict=True):
        for number in (2, 5, 20, 40, 49):
            found = result.layers[number - 1].gradient
            rows.append(
                (
                    f"{name}, layer {number}",
                    f"{found.theory / scale:.2e}",
                    f"{found.measured / scale:.2e}",
                    f"{found.z:+.1f}",
                )
            )
    default = audits[0]
    notes = [f"FINDING {i}: {text}" for i, text in enumerate(default.findings, start=1)]
    if default.suggestion is not None:
        fix = default.suggestion
        notes.append(
            f"FIX: initialize(model, audit.suggestion, seed=0): {fix.weights} weights, "
            f"σ_w = {fix.sigma_w:g}, σ_b = {fix.sigma_b:g}"
        )
    after = audits[1].findings
    notes.append("after the fix: " + ("; ".join(after) if after else "no findings"))
    many = len(default.findings)
    return Figure(
        key="b",
        title="Gradients, layer by layer",
        drawing=_draw(
            audits,
            "gradient",
            rf"$|\partial E/\partial W^l|^2$, layer {_HIDDEN} $=1$",
            scales,
        ),
        caption=(
            f"Squared gradient of the cross entropy, mean over the batch, relative to layer "
            f"{_HIDDEN}. Lines, predicted; marks, measured as before. By default the first layers "
            "receive next to nothing; critical orthogonal weights deliver gradients to all."
        ),
        description="Squared weight gradient of every layer, log scale, both initialisations.",
        comparisons=_compare(audits, "gradient", "|∂E/∂W|²"),
        tables=[
            Table(
                f"Squared gradients relative to layer {_HIDDEN}",
                ("network and layer", "theory", "measured", "z"),
                rows,
            )
        ],
        remark=f"{many} finding{'s' * (many != 1)}",
        notes=notes,
    )


def _training(
    settings: Settings, networks: Sequence[torch.nn.Module], inputs: Any, labels: Any
) -> Iterator[Figure]:
    from meanfree.report.training import train

    trained = train(
        networks,
        _RATES,
        inputs,
        labels,
        n_test=397,
        steps=(settings.size(25, 4), settings.size(200, 8)),
        seed=settings.seed_for("3 batches"),
        n_threads=settings.n_threads or 1,
    )
    chosen = [_best(runs) for runs in trained]
    notes = [
        f"{name}, learning rate {best.rate:g}: loss {best.loss[-1]:.2f}, test accuracy "
        f"{best.accuracy[-1]:.3f} after {best.n_steps} steps"
        for name, best in zip(_NAMES, chosen, strict=True)
    ]
    caption = (
        f"SGD, momentum 0.9, batches of 64 of the first {len(labels) - 397} digits; the last 397 "
        "are the test set. For each initialisation the learning rate with the lowest training "
        f"loss after {trained[0][0].n_trial} steps went on (thin: the other one). One network "
        "each: an illustration, not a comparison with error bars."
    )
    yield Figure(
        key="c",
        title="Training loss",
        drawing=_curves(trained, "loss", "training loss (cross entropy)", np.log(10.0)),
        caption=caption,
        description="Training loss against step for both initialisations.",
        notes=notes,
        remark="loss {:.2f} and {:.2f}".format(*(best.loss[-1] for best in chosen)),
    )
    yield Figure(
        key="d",
        title="Test accuracy",
        drawing=_curves(trained, "accuracy", "test accuracy", 0.1),
        caption="The same runs on the 397 digits of the test set. Dotted: guessing.",
        description="Test accuracy against step for both initialisations.",
        tables=[_table(trained)],
        remark="accuracy {:.3f} and {:.3f}".format(*(best.accuracy[-1] for best in chosen)),
    )


_RATES = ((0.01, 0.1), (0.003, 0.01))


def _best(runs: Sequence[Training]) -> Training:
    return max(runs, key=lambda run: run.n_steps)


def _curves(trained: Sequence[Sequence[Training]], name: str, ylabel: str, guess: float) -> Any:
    figure, ax = canvas()
    for label, runs, color in zip(_NAMES, trained, _COLORS, strict=True):
        best = _best(runs)
        for item in runs:
            ax.plot(
                item.steps if name == "loss" else item.test_steps,
                getattr(item, name),
                color=color,
                linewidth=2.0 if item is best else 0.8,
                label=f"{label}, rate {best.rate:g}" if item is best else None,
            )
    ax.axhline(guess, linestyle=":", color=GREY, linewidth=1.0)
    ax.set(xlabel="step of SGD", ylabel=ylabel, ylim=(0.0, None))
    ax.set_xlim(0, None)
    ax.legend(loc="center right")
    return figure


def _table(trained: Sequence[Sequence[Training]]) -> Table:
    rows = [
        (f"{name}, {item.rate:g}", f"{item.n_steps}", f"{item.loss[-1]:.3f}",
         f"{item.accuracy[-1]:.3f}")
        for name, runs in zip(_NAMES, trained, strict=True)
        for item in runs
    ]  # fmt: skip
    return Table(
        "All runs", ("initialisation, learning rate", "steps", "training loss", "accuracy"), rows
    )
