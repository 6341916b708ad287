"""What ``meanfree spectrum`` computes and prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree.ensemble import Ensemble
from meanfree.meanfield import critical
from meanfree.spectrum import (
    JacobianSample,
    JacobianSpectrum,
    jacobian_spectrum,
    simulate_jacobian,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_EPSILON = 0.25
_BESIDE = 1e-7  # simulated log lambda this close to an atom's are on it


@dataclass(frozen=True)
class Comparison:
    """A spectrum, with the simulated one beside it if that was asked for."""

    ensemble: Ensemble
    depth: int
    theory: JacobianSpectrum
    sample: JacobianSample | None

    def plot(self, ax: Axes) -> None:
        """Draw both."""
        if self.sample is not None:
            self.sample.plot(ax)
        self.theory.plot(ax)

    def data(self) -> dict[str, Any]:
        """Return what is known of both."""
        e, found = self.ensemble, self.theory
        data: dict[str, Any] = {
            "activation": str(e.activation),
            "weights": e.weights,
            "sigma_w": e.sigma_w,
            "sigma_b": e.sigma_b,
            "depth": self.depth,
            "mean": found.mean,
            "log_mean": found.log_mean,
            "relative_variance": found.relative_variance,
            "edges": found.edges,
            "log_edges": found.log_edges,
            "maximum": found.maximum,
            "log_maximum": found.log_maximum,
            "atoms": [{"location": a.location, "mass": a.mass} for a in found.atoms],
            "levels": _LEVELS,
            "log_quantiles": found.log_quantile(_LEVELS),
            "fraction_within_0.25": found.fraction_within(_EPSILON),
            "total_mass": found.diagnostics.total_mass,
        }
        if self.sample is not None:
            data["measured"] = self._measured(self.sample)
        return data

    def _measured(self, sample: JacobianSample) -> dict[str, Any]:
        log_lam = 2.0 * sample.log_singular_values
        shift = max(0.0, float(log_lam.max()))
        means = np.exp(log_lam - shift).mean(axis=1)
        with np.errstate(over="ignore"):
            scale = float(np.exp(shift))
        return {
            "width": sample.width,
            "samples": sample.n_samples,
            "seed": sample.seed,
            "mean": scale * float(means.mean()),
            "mean_error": scale * float(means.std(ddof=1) / np.sqrt(means.size)),
            "log_maximum": float(log_lam.max(axis=1).mean()),
            "log_quantiles": np.quantile(log_lam, _LEVELS, method="inverted_cdf"),
            "ks_distance": ks_distance(self.theory, log_lam.reshape(-1)),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the same as pairs of words."""
        e, found = self.ensemble, self.theory
        rows = [
            ("ensemble", f"{e.activation}, {e.weights} weights, depth {self.depth}"),
            ("sigma_w", f"{e.sigma_w:.10g}"),
            ("sigma_b", f"{e.sigma_b:.10g}"),
            ("", "squared singular values lambda of the Jacobian"),
            ("mean", _number(found.log_mean)),
            ("variance / mean^2", f"{found.relative_variance:.8g}"),
            ("bulk", " to ".join(_number(edge) for edge in found.log_edges)),
        ]
        if not found.log_bulks.size:
            rows[-1] = ("bulk", "none")
        rows += [("atom", f"{_number(a.log_location)}, mass {a.mass:.8g}") for a in found.atoms]
        rows += [
            ("largest", f"{_number(found.log_maximum)}, s = {_number(found.log_maximum / 2)}"),
            (f"s in 1 -+ {_EPSILON:g}", f"{found.fraction_within(_EPSILON):.6g}"),
        ]
        quantiles = found.log_quantile(_LEVELS)
        if self.sample is None:
            rows += [
                (f"quantile {level:g}", _number(q))
                for level, q in zip(_LEVELS, quantiles, strict=True)
            ]
            return rows
        got = self._measured(self.sample)
        pairs = zip(_LEVELS, quantiles, got["log_quantiles"], strict=True)
        rows += [
            (f"quantile {level:g}", f"{_number(q):<12}  measured {_number(m)}")
            for level, q, m in pairs
        ]
        rows += [
            ("measured", f"{got['samples']} networks of width {got['width']}, seed {got['seed']}"),
            ("mean", f"{got['mean']:.6g} +- {got['mean_error']:.1g}"),
            ("largest", f"{_number(got['log_maximum'])} (geometric mean)"),
            ("KS distance", f"{got['ks_distance']:.4f}, all eigenvalues together"),
        ]
        return rows


def compare(
    ensemble: Ensemble,
    depth: int,
    q: float | None,
    width: int | None,
    samples: int,
    seed: int,
    n_threads: int | None,
    progress: bool | None,
) -> Comparison:
    """Find the spectrum, and simulate if a width is given."""
    theory = jacobian_spectrum(ensemble, depth, q=q, progress=progress)
    sample = None
    if width is not None:
        sample = simulate_jacobian(
            ensemble,
            width,
            depth,
            q=q,
            n_samples=samples,
            seed=seed,
            n_threads=n_threads,
            progress=progress,
        )
    return Comparison(ensemble, depth, theory, sample)


def ensemble_of(activation: str, sigma_w: float | None, sigma_b: float, weights: Any) -> Ensemble:
    """Make the ensemble; without sigma_w the critical one."""
    if sigma_w is None:
        return critical(activation, sigma_b, weights=weights)
    return Ensemble(activation, sigma_w, sigma_b, weights=weights)


def ks_distance(theory: JacobianSpectrum, log_lam: NDArray[np.float64]) -> float:
    """Return the largest distance between the distribution functions."""
    for atom in theory.atoms:
        at = atom.log_location
        if np.isfinite(at):
            log_lam = np.where(np.abs(log_lam - at) < _BESIDE, at, log_lam)
    points, counts = np.unique(log_lam, return_counts=True)
    upto = np.cumsum(counts) / log_lam.size
    exact = theory.log_cdf(points)
    before = exact.copy()
    for atom in theory.atoms:
        before[points == atom.log_location] -= atom.mass
    distances = np.abs([upto - exact, upto - counts / log_lam.size - before])
    return float(distances.max())


def _number(logarithm: float) -> str:
    """Write a number given by its logarithm."""
    if abs(logarithm) < 600.0 or np.isinf(logarithm):
        return f"{np.exp(logarithm):.8g}"
    return f"10^{logarithm / np.log(10.0):.6f}"
