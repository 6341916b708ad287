"""Chapter 7: the Jacobian of the real network of chapter 3 on a real digit."""

# ruff: noqa: RUF001 (Greek letters are meant)
from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import meanfree as mf
from meanfree.report.engine import Figure, Settings, Table
from meanfree.report.handwriting import small_digits
from meanfree.report.spectra import Spectra, compare_cdf, histogram
from meanfree.report.style import BLUE, VERMILLION, canvas

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble
    from meanfree.spectrum import JacobianSpectrum

    Array = NDArray[np.float64]

TITLE = "The Jacobian of the real network"
NEEDS = ("torch", "sklearn")
TEXT = """
The network of chapter 3, 50 hidden tanh layers for handwritten digits, shown the first digit of the
set. Torch draws the weights; the Jacobian from the first hidden layer to the last,

    J = D^{50} W^{50} … D^2 W^2,

is multiplied from its own weights and its own φ′ without losing small singular values. The theory
knows σ_w and σ_b, takes the length q^1 from the pixels and q^2 … q^{50} from the length map.

By default all singular values are below 10^{-10}: whatever direction an error takes, it dies on the
way to the first layer. With critical orthogonal weights they lie within two decades of 1. That is
what makes the difference between the two training curves of chapter 3.

Source: Pennington, Schoenholz, Ganguli (2017); Saxe et al. (2014), orthogonal initialisation.
"""

_HIDDEN = 50


def run(settings: Settings) -> Iterator[Figure]:
    """Yield the spectra of both initialisations."""
    pixels = small_digits()[0][0]
    cases = (
        _Case("torch default", _default, _default_law, VERMILLION),
        _Case("critical orthogonal", _orthogonal, _orthogonal_law, BLUE),
    )
    for key, case in zip("ab", cases, strict=True):
        yield _figure(settings, case, pixels, key)


@dataclass(frozen=True)
class _Case:
    """An initialisation: how torch draws a network, and its law at a given width."""

    name: str
    draw: Callable[[int, int], torch.nn.Module]
    law: Callable[[int], tuple[Ensemble, float]]
    color: str


def _network(width: int) -> torch.nn.Module:
    import torch

    layers: list[torch.nn.Module] = []
    for number in range(_HIDDEN):
        layers += [torch.nn.Linear(64 if number == 0 else width, width), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers).double()


def _default(width: int, seed: int) -> torch.nn.Module:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network(width)


def _default_law(width: int) -> tuple[Ensemble, float]:
    """Return the ensemble of the hidden layers, and the variance of the first layer's biases."""
    third = 1.0 / 3.0  # both are uniform of variance 1 / (3 fan_in)
    return mf.Ensemble("tanh", np.sqrt(third), np.sqrt(third / width)), third / 64


def _orthogonal(width: int, seed: int) -> torch.nn.Module:
    from meanfree.network import initialize

    network = _default(width, seed)
    initialize(network, mf.critical("tanh", weights="orthogonal"), seed=seed)
    return network


def _orthogonal_law(_width: int) -> tuple[Ensemble, float]:
    return mf.critical("tanh", weights="orthogonal"), 0.0


def _factors(network: torch.nn.Module, pixels: Array) -> list[Array]:
    """Return the factors D W of the Jacobian from the first hidden layer to the last."""
    x, factors = pixels, []
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    for number, (weight, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        x = np.tanh(weight @ x + bias)
        if number > 0:
            factors.append((1.0 - x**2)[:, None] * weight)
    return factors


def _theory(case: _Case, pixels: Array, width: int) -> JacobianSpectrum:
    ensemble, first_bias = case.law(width)
    q_1 = ensemble.sigma_w**2 * float(np.mean(pixels**2)) + first_bias
    q = mf.propagate(ensemble, _HIDDEN, q=q_1).q
    return mf.jacobian_spectrum(ensemble, _HIDDEN - 1, q=q[1:])


def _figure(settings: Settings, case: _Case, pixels: Array, key: str) -> Figure:
    width, n_samples = settings.size(256, 48), settings.size(8, 4)
    theories = [_theory(case, pixels, n) for n in (width, width // 2)]
    both = []
    with ThreadPoolExecutor(settings.n_threads) as pool:
        for n, many in ((width, n_samples), (width // 2, 2 * n_samples)):
            # torch's random numbers are global: drawn one after the other
            networks = [
                case.draw(n, settings.seed_for(f"7 {case.name} {n} {i}")) for i in range(many)
            ]
            factors = [_factors(network, pixels) for network in networks]
            both.append(np.stack(list(pool.map(mf.log_singular_values, factors))))
    spectra = Spectra(both[0], both[1], _HIDDEN)
    figure, ax = canvas()
    _draw(ax, theories[0], spectra, case.color)
    quantiles = (0.01, 0.5, 1.0)
    log_s = 0.5 * theories[0].log_quantile(np.array(quantiles))
    rows = [
        (f"{share:g}", f"{value / np.log(10):.2f}")
        for share, value in zip(quantiles, log_s, strict=True)
    ]
    return Figure(
        key=key,
        title=case.name.capitalize(),
        drawing=figure,
        caption=(
            f"Line, theory; dots, histogram of {n_samples} drawings of the weights of the "
            f"64-{width}-…-{width} network, one digit. The comparisons also use "
            f"{2 * n_samples} networks of width {width // 2}, each width with the theory of its "
            "own biases, to remove the leading 1/N."
        ),
        description="Density of the decimal logarithm of the singular values, theory and network.",
        comparisons=compare_cdf(case.name, spectra, *theories),
        tables=[Table("Theory", ("share of s below", "log10 s"), rows)],
        remark=f"median s = 10^{log_s[1] / np.log(10):.1f}",
    )


def _draw(ax: Any, theory: JacobianSpectrum, spectra: Spectra, color: str) -> None:
    """Draw the density of log10 s; s itself may be far below what a linear axis shows."""
    low, high = 0.5 * theory.log_quantile(np.array([0.002, 1.0]))
    log_s = np.linspace(low, high, 300)
    slope = np.gradient(theory.log_cdf(2 * log_s), log_s) * np.log(10)
    ax.plot(log_s / np.log(10), slope, color=color)
    shown = spectra.wide[spectra.wide > low]
    centre, density = histogram(shown, 30)
    scale = np.log(10) * shown.size / spectra.wide.size
    ax.plot(centre / np.log(10), density * scale, "o", color=color, markersize=3.5)
    ax.set(xlabel=r"$\log_{10}$ singular value", ylabel=r"density of $\log_{10} s$")
