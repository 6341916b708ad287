"""Accuracy against stored references of about 25 digits (tests/references/meanfield.py).

The goal is an error of 1e-12 * max(1, kappa), kappa the condition number from the reference:

    q*          relative                kappa = 1 / |1 - V'(q*)|
    chi_1, chi_2, V'    absolute below 1, relative above; the kappa of q*, where they are taken
    c*          absolute                kappa = 1 / |1 - chi(c*)|
    xi_q, xi_c  relative                kappa = 1 / |log slope|
    C(c)        absolute                kappa = 1
    chi(c)      absolute below 1, relative above (sin reaches 200)      kappa = 1
    delta' = 1 - C(1 - delta)   relative 1e-9, delta down to 1e-12

and 1e-9 in place of 1e-12 for callables; their slopes have an absolute error, so that the kappa of
xi is xi / slope there. Run with -s to see the worst point of every quantity.
"""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special

import meanfree as mf

PARAMETER = {"leaky_relu": "negative_slope", "shifted_relu": "shift", "elu": "alpha"}
N_QUICK = 360


def _stored():
    with Path(__file__).with_name("references").joinpath("meanfield.csv").open() as file:
        return [
            {k: v if k in ("activation", "status") else float(v) for k, v in row.items()}
            | {"number": number}
            for number, row in enumerate(csv.DictReader(file))
        ]


POINTS = _stored()
KINDS = sorted({(point["activation"], point["parameter"]) for point in POINTS})
CALLABLES = {
    ("tanh", 0.0): (np.tanh, ()),
    ("gelu", 0.0): (lambda x: x * scipy.special.ndtr(x), ()),
    ("silu", 0.0): (lambda x: x * scipy.special.expit(x), ()),
    ("softplus", 0.0): (lambda x: np.logaddexp(0.0, x), ()),
    ("sin", 0.0): (np.sin, ()),
    ("arctan", 0.0): (np.arctan, ()),
    ("relu", 0.0): (lambda x: np.maximum(x, 0.0), (0.0,)),
    ("hard_tanh", 0.0): (lambda x: np.clip(x, -1.0, 1.0), (-1.0, 1.0)),
    ("elu", 1.0): (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))), (0.0,)),
    ("elu", 0.5): (lambda x: np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0.0))), (0.0,)),
}


def _named(kind):
    name, parameter = kind
    return mf.activation(name, **({PARAMETER[name]: parameter} if name in PARAMETER else {}))


def _of_kind(kind, points):
    return [point for point in points if (point["activation"], point["parameter"]) == kind]


class Worst:
    """The largest error / bound of every quantity, and the point where it occurs."""

    def __init__(self):
        self.found = {}

    def add(self, point, quantity, got, bound):
        expected = point[quantity]
        if np.isinf(expected) or got == expected:
            ratio = 0.0 if got == expected else np.inf
        else:
            ratio = abs(got - expected) / bound
            ratio = np.inf if np.isnan(ratio) else ratio
        if ratio >= self.found.get(quantity, (0.0,))[0]:
            self.found[quantity] = (ratio, got, point)

    def check(self):
        lines = [
            f"{quantity:12s} error / bound = {ratio:8.2g}  {got!r} for {point[quantity]!r} at "
            f"point {point['number']}: {point['activation']}({point['parameter']:g}), sigma_w = "
            f"{point['sigma_w']!r}, sigma_b = {point['sigma_b']!r}"
            for quantity, (ratio, got, point) in self.found.items()
        ]
        print("", *lines, sep="\n")
        assert all(ratio <= 1.0 for ratio, _, _ in self.found.values()), "\n".join(lines)


def _bounds(point, unit):
    """Return the allowed error of every column that is a number at this point."""
    slope, chi_c = point["length_slope"], point["chi_c"]
    at_q = unit * max(1.0, 1.0 / abs(1.0 - slope)) if slope != 1.0 else unit
    bounds = {"q": at_q * point["q"]}
    for quantity in ("length_slope", "chi_1", "chi_2"):
        bounds[quantity] = at_q * max(1.0, point[quantity])
    if np.isfinite(point["c"]):
        bounds["c"] = unit * max(1.0, 1.0 / abs(1.0 - chi_c))
        bounds["chi_c"] = at_q * max(1.0, chi_c)
        bounds["xi_c"] = unit * max(1.0, point["xi_c"]) * point["xi_c"]
    if np.isfinite(point["xi_q"]):
        bounds["xi_q"] = unit * max(1.0, point["xi_q"]) * point["xi_q"]
    if unit > 1e-12:  # a callable's slopes have an absolute error, and xi / slope is its kappa
        for xi, size in (("xi_q", slope), ("xi_c", chi_c)):
            if xi in bounds:
                bounds[xi] *= max(1.0, 1.0 / size)
    return bounds


def _alone(phi, sigma_w, sigma_b):
    return mf.fixed_point(mf.Ensemble(phi, sigma_w, sigma_b))


def _cell(phi, sigma_w, sigma_b):
    """Return a cell of a phase diagram, which is the same in every grid that has it."""
    diagram = mf.phase_diagram(phi, sigma_w, sigma_b)
    names = ("q", "c", "chi_1", "chi_2", "chi_c", "length_slope", "xi_q", "xi_c", "phase", "status")
    return SimpleNamespace(**{name: getattr(diagram, name).item() for name in names})


def _compare_fixed_points(points, phi, unit=1e-12, find=_alone):
    worst = Worst()
    for point in points:
        found = find(phi, point["sigma_w"], point["sigma_b"])
        assert found.status == point["status"], point
        if point["status"] == "converged":
            assert found.phase == ("chaotic" if point["chi_1"] > 1 else "ordered"), point
        bounds = _bounds(point, unit)
        if point["status"] == "diverges":
            bounds = {quantity: bounds[quantity] for quantity in ("q", "chi_1", "chi_2")}
        for quantity, bound in bounds.items():
            worst.add(point, quantity, getattr(found, quantity), bound)
        if point["status"] in ("diverges", "collapsed_to_zero"):
            assert np.isnan(found.c), point
    worst.check()


def _compare_maps(points, phi, unit=1e-12):
    worst = Worst()
    for point in points:
        ensemble, q = mf.Ensemble(phi, point["sigma_w"], point["sigma_b"]), point["map_q"]
        places = ("far", "near")
        delta = np.array([point[f"{place}_delta"] for place in places])
        c = mf.correlation_map(ensemble, 1.0 - delta, q=q)
        slope = mf.correlation_slope(ensemble, 1.0 - delta, q=q)
        after = mf.propagate(ensemble, 2, q=q, delta=delta).delta[1]
        for i, place in enumerate(places):
            worst.add(point, f"{place}_c", c[i], unit)
            bound = unit * max(1.0, point[f"{place}_slope"])
            worst.add(point, f"{place}_slope", slope[i], bound)
            worst.add(point, f"{place}_next", after[i], 1e-9 * point[f"{place}_next"])
    worst.check()


def _kind_name(kind):
    return f"{kind[0]}({kind[1]:g})" if kind[0] in PARAMETER else kind[0]


quick_or_all = pytest.mark.parametrize(
    "points", [pytest.param(POINTS[:N_QUICK], id="quick"),
               pytest.param(POINTS[N_QUICK:], id="rest", marks=pytest.mark.slow)],
)  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS, ids=_kind_name)


def test_references_cover_the_promised_range():
    near = [p for p in POINTS if p["status"] == "converged" and 5e-7 < abs(p["chi_1"] - 1) < 0.15]
    assert len(POINTS) >= 2000
    assert 3 * len(near) >= len(POINTS)
    assert min(abs(p["chi_1"] - 1) for p in near) < 2e-6
    assert {p["status"] for p in POINTS} == {
        "converged", "marginal", "diverges", "collapsed_to_zero",
    }  # fmt: skip
    assert min(p["near_delta"] for p in POINTS) < 2e-12
    assert sum(p["sigma_b"] == 0 for p in POINTS) > 100


@every_kind
@quick_or_all
def test_fixed_point_and_depth_scales_are_accurate_to_their_condition(kind, points):
    _compare_fixed_points(_of_kind(kind, points), _named(kind))


@every_kind
@quick_or_all
def test_correlation_map_its_slope_and_delta_recursion_are_accurate(kind, points):
    _compare_maps(_of_kind(kind, points), _named(kind))


@every_kind
@quick_or_all
def test_phase_diagram_is_accurate_to_the_condition_of_each_cell(kind, points):
    _compare_fixed_points(_of_kind(kind, points), _named(kind), find=_cell)


# the quick suite takes one smooth function and one with kinks
_QUICK_CALLABLES = {("tanh", 0.0)}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind in _QUICK_CALLABLES else pytest.mark.slow)
        for kind in CALLABLES
    ],
    ids=_kind_name,
)
@pytest.mark.parametrize(
    "points", [pytest.param(POINTS[18:36], id="quick"),
               pytest.param(POINTS[36:180], id="rest", marks=pytest.mark.slow)],
)  # fmt: skip
def test_callable_is_accurate_to_1e_9(kind, points):
    function, kinks = CALLABLES[kind]
    phi, points = mf.Activation(function, kinks=kinks), _of_kind(kind, points)
    points = [point for point in points if point["status"] == "converged"]
    _compare_fixed_points(points, phi, unit=1e-9)
    _compare_maps(points, phi, unit=1e-9)
