"""From layers to the equation and the atoms of their free product.

The free product of all layers (Voiculescu; Pennington, Schoenholz and Ganguli, 2017), written for
m = M(lambda) = E lambda' / (lambda - lambda') of J J^T without fractional powers: with widths
N_0 .. N_L, r_l = N_L / N_l, and x_l(y) the inverse of E[t / (x - t)] under the law of
t = phi'(h)**2 in layer l,

    log lambda = log(1 + r_0 m) - log(r_0 m)
                 + sum_l [2 log sigma_w + log(r_{l-1} m) + log x_l(r_l m) - o log(1 + s_l m)],

o = 0 for Gaussian and 1 for orthogonal weights, s_l = min(r_{l-1}, r_l). With Im m < 0 and
Im x_l > 0 all logarithms are principal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from meanfree import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from meanfree.activations import Activation

    Array: TypeAlias = NDArray[np.float64]
    Law: TypeAlias = tuple[Array, ...]
    Equation: TypeAlias = tuple[list[Law], Array, Array, Array]

_NO_MASS = 1e-13  # rounding of masses
_ROUNDING = 1e-10  # of a derivative by differences
_SAME = 1e-14  # lengths that differ by less, relatively, have the same law


@dataclass(frozen=True)
class Layers:
    """What the product is made of: different laws of t, and which layer has which of them."""

    laws: list[Law]
    law_of_layer: list[int]
    widths: Sequence[int]
    log_gain: float
    orthogonal: bool
    phi: Activation
    lengths: list[float]  # q of each law

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.law_of_layer)


def laws_of(
    phi: Activation, q: Sequence[float], report: Callable[[int], None] | None
) -> tuple[list[Law], list[int], list[float]]:
    """Return the different laws of phi'(sqrt(q_l) z)**2, the index of each layer's, q of each."""
    laws: list[Law] = []
    starts: list[float] = []
    index = [0] * len(q)
    start = -1.0
    for layer in sorted(range(len(q)), key=q.__getitem__):
        if not laws or q[layer] > start * (1.0 + _SAME):
            start = q[layer]
            starts.append(start)
            laws.append(_core.slope_law(phi.core, start))
            if report is not None:
                report(len(laws))
        index[layer] = len(laws) - 1
    return laws, index, starts


def depends_on_length(phi: Activation) -> bool:
    """Tell whether the law of phi'(sqrt(q) z)**2 depends on q: not if phi(2 x) = 2 phi(x)."""
    if phi.core[0] == phi.name:
        value = phi.core[1]
        straight = phi.name in {"linear", "relu", "leaky_relu"}
        return not (straight or (phi.name in {"elu", "shifted_relu"} and value == 0.0))
    if any(phi.kinks):
        return True
    sides = phi.derivative(np.outer([-1.0, 1.0], np.geomspace(1e-2, 10.0, 24)))
    return bool((np.ptp(sides, axis=1) > _ROUNDING * np.maximum(1.0, np.abs(sides[:, 0]))).any())


def equation_of(layers: Layers) -> Equation:
    """Build the equation in the form that the core takes."""
    widths, last = layers.widths, layers.widths[-1]
    inner = Counter(widths[:-1])
    r_0 = last / widths[0]
    constant = layers.depth * layers.log_gain - log(r_0)
    constant += sum(n * log(last / width) for width, n in inner.items() if width != last)
    terms: dict[tuple[float, float], float] = {(0.0, 1.0): layers.depth - 1.0, (1.0, r_0): 1.0}
    if layers.orthogonal:
        for width, n in Counter(map(max, widths[:-1], widths[1:])).items():
            key = (1.0, last / width)
            terms[key] = terms.get(key, 0.0) - n
    uses = Counter(zip(layers.law_of_layer, widths[1:], strict=True))

    def first(use: tuple[int, int]) -> tuple[float, int]:
        # its x is the unknown: that of the factor of lowest rank, so that it vanishes with lambda
        return (_rank(layers.laws[use[0]]) * use[1], -uses[use])

    order = sorted(uses, key=first) if len(uses) > 1 else list(uses)
    for use in order[1:]:
        scale = _step(layers.laws[use[0]])
        if scale > 0.0:  # x = scale (p + r m) / (r m)
            n, ratio = uses[use], last / use[1]
            constant += n * log(scale / ratio)
            terms[0.0, 1.0] -= n
            key = (_rank(layers.laws[use[0]]), ratio)
            terms[key] = terms.get(key, 0.0) + n
    order[1:] = [use for use in order[1:] if _step(layers.laws[use[0]]) == 0.0]
    rows = [(c, a, rho) for (a, rho), c in terms.items() if c != 0.0]
    return (
        [layers.laws[law] for law, _ in order],
        np.array([(uses[use], last / use[1]) for use in order], dtype=np.float64),
        np.array(rows, dtype=np.float64).reshape(-1, 3),
        np.array([constant, 0.0, 0.0]),
    )


def atoms_of(layers: Layers) -> Array:
    """Return log lambda (ascending, -inf at 0) and mass of the atoms of J J^T, as rows (2, n).

    Eigenspaces of independent factors intersect in as many dimensions as they must. So the mass at
    0 is that of the smallest rank; elsewhere, with orthogonal weights, an atom a_1 .. a_L has
    N_0 - sum_l [max(0, N_{l-1} - N_l) + (1 - mass_l) N_l] dimensions if that is positive.
    """
    widths = layers.widths
    size = float(widths[-1])
    uses = set(zip(layers.law_of_layer, widths[1:], strict=True))
    rank = min(_rank(layers.laws[law]) * width for law, width in uses)
    found = [(-inf, 1.0 - min(rank, float(widths[0])) / size)]
    if layers.orthogonal:
        found += _atoms_elsewhere(layers)
    kept = sorted((at, mass) for at, mass in found if mass > _NO_MASS)
    return np.array([[at for at, _ in kept], [mass for _, mass in kept]], dtype=np.float64)


def _atoms_elsewhere(layers: Layers) -> list[tuple[float, float]]:
    widths = layers.widths
    left, place = float(widths[0]), layers.depth * layers.log_gain
    for before, after in pairwise(widths):
        left -= max(0, before - after)
        if after > before:  # the weights have the singular values sigma_w sqrt(after / before)
            place += log(after / before)
    dimensions: dict[int, float] = {}
    copies: dict[int, int] = {}
    for law, width in zip(layers.law_of_layer, widths[1:], strict=True):
        dimensions[law] = dimensions.get(law, 0.0) + width
        copies[law] = copies.get(law, 0) + 1
    # two layers of one law must choose the same atom: the masses of two are at most 1 in all
    found = [(place, left)]
    for law, total in dimensions.items():
        places, masses = layers.laws[law][0]
        whole = masses.sum() > 1.0 - _NO_MASS
        found = [
            (at + copies[law] * np.log(t), room - lost * total)
            for t, mass, lost in _choices(places, masses, whole)
            for at, room in found
            if mass > _NO_MASS and room - lost * total > _NO_MASS * widths[-1]
        ]
    return [(at, room / widths[-1]) for at, room in found]


def _choices(places: Array, masses: Array, whole: bool) -> list[tuple[float, float, float]]:
    """Return the nonzero atoms of a law: place, mass and the rest, free of cancellation."""
    rest = masses.sum() - masses if whole else 1.0 - masses
    rows = zip(places, masses, rest, strict=True)
    return [(float(t), float(mass), float(lost)) for t, mass, lost in rows if t > 0.0]


def _step(law: Law) -> float:
    """Return the only place outside 0 of a law of one or two atoms; 0 for another law."""
    places, masses = law[0].tolist()
    nonzero = [t for t in places if t > 0.0]
    return nonzero[0] if len(nonzero) == 1 and sum(masses) > 1.0 - _NO_MASS else 0.0


def _rank(law: Law) -> float:
    """Return the mass of a law outside 0."""
    places, masses = law[0].tolist()
    at_zero = [mass for t, mass in zip(places, masses, strict=True) if t == 0.0]
    return 1.0 - float(sum(at_zero))
