"""Phase diagrams: fixed points over a grid of weight and bias scales."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfree._axes import axes
from meanfree._check import KEEP, SIGMA, cores, real, real_array
from meanfree._labels import data_set
from meanfree._progress import progress_bar
from meanfree.activations import Activation, ActivationLike, as_activation
from meanfree.meanfield._critical import critical_line
from meanfree.meanfield._fixed_point import PHASES, STATUSES, fixed_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from xarray import Dataset

    Array = NDArray[np.float64]

_FIELDS = (
    "q",
    "c",
    "delta",
    "chi_1",
    "chi_2",
    "chi_c",
    "length_slope",
    "xi_q",
    "xi_c",
    "xi_gradient",
    "q_error",
)


@dataclass(frozen=True, eq=False, repr=False)
class PhaseDiagram:
    """Fixed points over a grid; made by `phase_diagram`.

    ``sigma_w`` is (n,), ``sigma_b`` (m,); every other array is (n, m), ``[i, j]`` belonging to
    ``sigma_w[i], sigma_b[j]``, and means what the field of the same name of `FixedPoint` does.
    ``phase`` and ``status`` are arrays of words, made when they are first asked for.
    """

    activation: Activation
    sigma_w: Array
    sigma_b: Array
    keep: float
    q: Array
    c: Array
    delta: Array
    chi_1: Array
    chi_2: Array
    chi_c: Array
    length_slope: Array
    xi_q: Array
    xi_c: Array
    xi_gradient: Array
    q_error: Array
    _phase: NDArray[np.int8]
    _status: NDArray[np.int8]

    @cached_property
    def phase(self) -> NDArray[np.str_]:
        """Phase of every cell, (n, m) words: "ordered", "critical", "chaotic", "undefined"."""
        return PHASES.take(self._phase, mode="clip")

    @cached_property
    def status(self) -> NDArray[np.str_]:
        """Status of the iteration from q = 1 in every cell, (n, m) words."""
        return STATUSES.take(self._status, mode="clip")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw chi_1 as a heat map, and the stable critical line where keep is 1.

        The colours are of log2 chi_1 between -2 and 2; white is critical.
        """
        ax = axes(ax)
        if self.chi_1.size == 0:
            msg = f"a phase diagram without points cannot be drawn, got shape {self.chi_1.shape}"
            raise ValueError(msg)
        rows, columns = np.argsort(self.sigma_w), np.argsort(self.sigma_b)
        with np.errstate(divide="ignore"):
            shade = np.clip(np.log2(self.chi_1[np.ix_(rows, columns)]).T, -2.0, 2.0)
        mesh = ax.pcolormesh(
            self.sigma_w[rows],
            self.sigma_b[columns],
            np.ma.masked_invalid(shade),
            cmap="RdBu_r",
            vmin=-2.0,
            vmax=2.0,
            shading="nearest",
        )
        ax.figure.colorbar(mesh, ax=ax, label=r"$\log_2 \chi_1$")
        if self.keep == 1.0:
            self._draw_line(ax)
        ax.set(xlabel=r"$\sigma_w$", ylabel=r"$\sigma_b$", title=str(self.activation))
        return ax

    def _draw_line(self, ax: Axes) -> None:
        limits = ax.get_xlim(), ax.get_ylim()
        line = critical_line(
            self.activation, sigma_b=np.linspace(self.sigma_b.min(), self.sigma_b.max(), 101)
        )
        sigma_w = np.where(line.stable, line.sigma_w, np.nan)
        if np.isfinite(sigma_w).any():
            alone = np.isfinite(sigma_w).sum() == 1
            label = r"$\chi_1 = 1$"
            ax.plot(sigma_w, line.sigma_b, "k-", marker="o" if alone else "", label=label)
            ax.legend(loc="upper left")
        ax.set(xlim=limits[0], ylim=limits[1])

    def to_xarray(self) -> Dataset:
        """Return an xarray.Dataset over sigma_w and sigma_b; needs the extra "xarray"."""
        arrays = {name: getattr(self, name) for name in (*_FIELDS, "phase", "status")}
        coords = {"sigma_w": self.sigma_w, "sigma_b": self.sigma_b}
        return data_set(f"{self.activation}, keep={self.keep}", arrays, tuple(coords), coords)

    def __repr__(self) -> str:
        phases, counts = np.unique(self.phase, return_counts=True)
        statuses, times = np.unique(self.status, return_counts=True)
        lines = [
            f"PhaseDiagram of {self.activation}, keep={self.keep:g}",
            f"  sigma_w: {_span(self.sigma_w)}",
            f"  sigma_b: {_span(self.sigma_b)}",
            "  phase: " + ", ".join(f"{p} {n}" for p, n in zip(phases, counts, strict=True)),
            "  status: " + ", ".join(f"{s} {n}" for s, n in zip(statuses, times, strict=True)),
        ]
        return "\n".join(lines)


def phase_diagram(
    activation: ActivationLike,
    sigma_w: ArrayLike,
    sigma_b: ArrayLike,
    *,
    keep: float = 1.0,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> PhaseDiagram:
    """Find the fixed points, susceptibilities and depth scales over a grid of ensembles.

    Each cell has what `fixed_point` finds (Poole et al., 2016; Schoenholz et al., 2017), to the
    same accuracy: both are within 1e-12 of the exact values, times the condition number where
    that is above 1, but they need not agree bit for bit. A cell depends on its own sigma_w and
    sigma_b only: it has the same bits in every grid that holds it, in any order.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_w : array_like, shape (n,)
        Standard deviations of the weights, in [0, 1e10]; in any order.
    sigma_b : array_like, shape (m,)
        Standard deviations of the biases, in [0, 1e10]; in any order.
    keep : float
        Probability of keeping a unit under dropout, in (0, 1].
    n_threads, progress
        As in `length_map`. The result does not depend on the number of threads.

    Returns
    -------
    PhaseDiagram
        Arrays of shape (n, m).

    Raises
    ------
    ValueError
        If a value is out of its range, an array has more than one dimension, or the activation is
        unknown.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> diagram = mf.phase_diagram("erf", [0.5, 1.5], [0.1, 0.5, 2.0])
    >>> diagram.phase.tolist()
    [['ordered', 'ordered', 'ordered'], ['chaotic', 'chaotic', 'ordered']]
    """
    phi = as_activation(activation)
    w, b = _axis("sigma_w", sigma_w), _axis("sigma_b", sigma_b)
    keep = real("keep", keep, KEEP)
    threads = cores(n_threads)
    with progress_bar(progress, "phase diagram", w.size * b.size) as report:
        found = fixed_points(phi, w, b, keep, threads, report, grid=True)
    phase, status = found.pop("phase"), found.pop("status")
    return PhaseDiagram(phi, w, b, keep, **found, _phase=phase, _status=status)


def _axis(name: str, value: ArrayLike) -> Array:
    array = real_array(name, value, SIGMA)
    if array.ndim > 1:
        msg = f"{name} must have at most one dimension, got shape {array.shape}"
        raise ValueError(msg)
    return array.reshape(-1).copy()


def _span(values: Array) -> str:
    if not values.size:
        return "empty"
    return f"{values.size} from {values.min():g} to {values.max():g}"
