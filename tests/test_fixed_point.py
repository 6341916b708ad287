import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import meanfree as mf
from meanfree.activations import NAMES
from meanfree.meanfield import FixedPoint, FixedRoot


def point(name, sigma_w, sigma_b=0.0, **options):
    return mf.fixed_point(mf.Ensemble(name, sigma_w, sigma_b, **options))


@pytest.mark.parametrize(
    ("sigma_w", "q", "c", "chi_1", "chi_2", "xi_c", "xi_q"),
    [  # adaptive quadrature, to the digits given; the parameters of the figures of Poole et al.
        (1.3, 0.60704679, 1.0, 0.93980743, 0.54347202, 16.108, 1.338),
        (2.5, 4.07912388, 0.12210375, 1.58522477, 1.19604129, 5.109, 0.688),
        (4.0, 12.60414950, 0.02969592, 2.36726104, 1.85717604, 3.639, 0.490),
    ],
)
def test_tanh_agrees_with_known_numbers(sigma_w, q, c, chi_1, chi_2, xi_c, xi_q):
    found = point("tanh", sigma_w, 0.3)
    assert (found.q, found.c, found.chi_1, found.chi_2) == pytest.approx(
        (q, c, chi_1, chi_2), abs=6e-9
    )
    assert (found.xi_c, found.xi_q) == pytest.approx((xi_c, xi_q), abs=6e-4)
    assert found.phase == ("ordered" if chi_1 < 1 else "chaotic")
    assert found.status == "converged"


@pytest.mark.parametrize(("keep", "c", "xi_c"), [(0.9, 0.34708, 4.102), (0.99, 0.66405, 10.964)])
def test_dropout_agrees_with_known_numbers(keep, c, xi_c):
    found = point("tanh", 1.5, 0.3, keep=keep)
    assert found.c == pytest.approx(c, abs=6e-6)
    assert found.xi_c == pytest.approx(xi_c, abs=6e-4)


@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_relu_has_a_closed_form(keep):
    found = point("relu", 1.1, 0.4, keep=keep)
    slope = 1.21 / 2 / keep
    assert found.q == pytest.approx(0.16 / (1 - slope), rel=1e-14)
    assert found.length_slope == pytest.approx(slope, rel=1e-14)
    assert found.chi_1 == pytest.approx(0.605, rel=1e-14)  # without 1 / keep
    assert found.chi_2 == math.inf
    assert found.xi_gradient == pytest.approx(-1 / math.log(0.605 / keep), rel=1e-12)
    assert found.roots == (FixedRoot(found.q, found.length_slope, True),)


def test_erf_has_closed_forms_of_its_slopes():
    found = point("erf", 2.0, 0.5)
    q = found.q
    assert q == pytest.approx(4 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) + 0.25, rel=1e-14)
    assert found.chi_1 == pytest.approx(16 / np.pi / np.sqrt(1 + 4 * q), rel=1e-14)
    assert found.chi_2 == pytest.approx(64 / np.pi * q / (1 + 4 * q) ** 1.5 * 4 / 4, rel=1e-13)


# ---- statuses


@pytest.mark.parametrize("sigma_w", [np.sqrt(2), math.sqrt(2) * (1 + 1e-16)])
def test_relu_is_critical_at_the_square_root_of_2(sigma_w):
    found = point("relu", sigma_w)
    assert (found.status, found.phase, found.q, found.roots) == ("marginal", "critical", 1.0, ())
    assert found.xi_q == found.xi_c == found.xi_gradient == math.inf


def test_length_that_collapses():
    found = point("tanh", 0.8)
    assert (found.status, found.phase, found.q) == ("collapsed_to_zero", "ordered", 0.0)
    assert math.isnan(found.c)
    assert found.chi_1 == pytest.approx(0.64, rel=1e-15)
    assert found.roots[0].q == 0.0


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "limit"),
    [
        ("relu", 2.0, 0.0, 2.0),
        ("relu", np.sqrt(2), 0.1, 1.0),
        ("gelu", 2.5, 0.0, 3.125),
        ("silu", 2.5, 0.0, 3.125),
        ("selu", 1.5, 0.0, 1.125 * 1.0507009873554805**2),
        ("linear", 1.5, 0.3, 2.25),
    ],
)
def test_length_that_diverges_has_the_limit_of_chi_1(name, sigma_w, sigma_b, limit):
    found = point(name, sigma_w, sigma_b)
    assert (found.status, found.q) == ("diverges", math.inf)
    assert found.chi_1 == pytest.approx(limit, rel=1e-14)
    assert math.isnan(found.c)
    assert found.phase == ("critical" if limit == 1.0 else "chaotic")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "limit"),
    [
        (lambda x: x**3, math.inf),  # E phi''^2 = 36 q
        (lambda x: x * np.abs(x), 4.0),  # phi'' = +-2
        (lambda x: np.logaddexp(0.0, x), 0.0),  # falls like q^(-1/2)
        (lambda x: 2.0 * np.maximum(x, 0.0) + np.sin(x), math.inf),
    ],
)
def test_length_of_a_users_function_that_diverges_has_the_limit_of_chi_2(function, limit):
    found = point(mf.Activation(function, kinks=(0.0,)), 5.0, 1.0)
    assert found.q == math.inf
    # at x = 1e3, where the limit is read off, phi'' by differences errs by some 1e-16 x^2 / 0.1^4 =
    # 1e-6 to 1e-3 of either sign, whose square adds at most 1e-6 to E phi''^2 = 4
    assert found.chi_2 == pytest.approx(25.0 * limit, rel=1e-6)


@pytest.mark.slow
def test_phase_without_a_limit_of_chi_1_is_undefined():
    # the slope swings for ever, once a factor e^pi of x
    swinging = mf.Activation(lambda x: x * (1.5 + 0.5 * np.sin(np.log1p(x * x))))
    found = point(swinging, 2.0, 0.5)
    assert (found.status, found.phase) == ("diverges", "undefined")
    assert math.isnan(found.chi_1)
    assert mf.phase_diagram(swinging, [2.0], [0.5]).phase.tolist() == [["undefined"]]


@pytest.mark.parametrize(("name", "unstable"), [("gelu", 0.59106), ("silu", 1.73560)])
def test_all_roots_are_found(name, unstable):
    found = point(name, 1.6)
    assert [root.stable for root in found.roots] == [True, False]
    assert found.roots[0].q == 0.0
    assert found.roots[0].slope == pytest.approx(0.64, rel=1e-14)
    assert found.roots[1].q == pytest.approx(unstable, abs=6e-6)
    # the iteration starts from 1, to one side or the other of the unstable root
    assert found.status == ("diverges" if unstable < 1 else "collapsed_to_zero")


def test_roots_merge_and_vanish_as_the_biases_grow():
    numbers = [len(point("gelu", 1.6, sigma_b).roots) for sigma_b in (0.1, 0.2, 0.9)]
    assert numbers[0] == 2
    assert numbers[-1] == 0


def test_bounded_odd_activation_without_biases_has_two_roots():
    found = point("tanh", 1.5)
    assert [root.stable for root in found.roots] == [False, True]
    # four ulp of the map, condition number 1 / (1 - chi_c) = 18
    assert found.c == pytest.approx(0.0, abs=4 * 2.3e-16 / (1 - found.chi_c))
    slope = mf.correlation_slope(found.ensemble, 0.0)
    assert found.chi_c == pytest.approx(slope, rel=1e-13)


def test_zero_weights_forget_the_input_at_once():
    found = point("tanh", 0.0, 0.5)
    assert (found.q, found.c, found.chi_1) == (0.25, 1.0, 0.0)
    assert found.xi_q == found.xi_c == found.xi_gradient == 0.0


# ---- consistency


@given(st.sampled_from(NAMES), st.floats(0.1, 4.0), st.floats(0.0, 3.0), st.sampled_from([1, 0.8]))
def test_fixed_point_is_fixed_and_its_slopes_are_those_of_the_maps(name, sigma_w, sigma_b, keep):
    network = mf.Ensemble(name, sigma_w, sigma_b, keep=keep)
    found = mf.fixed_point(network)
    for root in found.roots:
        assert mf.length_map(network, root.q) == pytest.approx(root.q, rel=1e-12, abs=1e-300)
        assert root.stable == (abs(root.slope) < 1)
    if found.status in {"converged", "marginal"} and found.q > 1e-3:
        assert mf.length_map(network, found.q) == pytest.approx(found.q, rel=1e-12)
        assert mf.correlation_map(network, found.c) == pytest.approx(found.c, abs=1e-12)
        slopes = mf.correlation_slope(network, [found.c, 1.0])
        assert found.chi_c == pytest.approx(slopes[0], rel=1e-9)
        assert found.chi_1 == pytest.approx(slopes[1], rel=1e-11)
        assert found.delta == pytest.approx(1 - found.c, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_length_slope_is_the_derivative_of_the_length_map(name):
    found = point(name, 0.6, 0.5, keep=0.9)
    h = 1e-4 * found.q  # central difference: error h^2 V'''/6 + 1e-16 q / h
    ends = mf.length_map(found.ensemble, found.q + np.array([-h, h]))
    assert found.length_slope == pytest.approx((ends[1] - ends[0]) / (2 * h), abs=2e-8)


def test_depth_scales_are_those_of_the_slopes():
    found = point("silu", 1.2, 0.3)
    assert found.xi_q == pytest.approx(-1 / math.log(found.length_slope), rel=1e-15)
    assert found.xi_c == pytest.approx(-1 / math.log(found.chi_c), rel=1e-15)
    chaotic = point("tanh", 2.5, 0.3)
    assert chaotic.xi_gradient == pytest.approx(-1 / math.log(chaotic.chi_1), rel=1e-15)
    assert chaotic.xi_gradient < 0


def test_weak_chaos_is_of_second_order():
    # tanh, sigma_b = 0, sigma_w^2 = 1 + eps: q* = eps/2, chi_1 = 1 + eps^2/3 to leading order
    eps = 1e-3
    found = point("tanh", math.sqrt(1 + eps))
    assert found.q == pytest.approx(eps / 2, rel=5e-3)
    assert found.chi_1 - 1 == pytest.approx(eps**2 / 3, rel=1e-2)
    assert found.phase == "chaotic"


def test_error_estimate_covers_the_error():
    found = point("tanh", 1.3, 0.3)
    assert 0 < found.q_error < 1e-12
    assert abs(mf.length_map(found.ensemble, found.q) - found.q) <= found.q_error


def test_result_is_frozen_and_short_to_read():
    found = point("gelu", 1.5, 0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.q = 1.0
    text = repr(found).splitlines()
    assert text[0] == "FixedPoint of Ensemble('gelu', sigma_w=1.5, sigma_b=0.1): ordered, converged"
    assert "(unstable)" in text[-1]
    assert len(text) <= 12
    assert all(isinstance(getattr(found, f), float) for f in ("q", "c", "chi_1", "xi_gradient"))
    assert isinstance(found, FixedPoint)


def test_argument_must_be_an_ensemble():
    with pytest.raises(TypeError, match="ensemble must be an Ensemble, got 'tanh'"):
        mf.fixed_point("tanh")


@pytest.mark.parametrize(
    ("function", "sigma_w"),
    [
        (lambda x: np.maximum(x, 0), 2**0.5),
        (lambda x: np.where(x > 0, x, 0.1 * x), (2 / 1.01) ** 0.5),
        (np.abs, 1.0),
        (lambda x: 3.0 * x, 1 / 3),
    ],
)
def test_function_with_a_straight_length_map_is_marginal_without_isolated_roots(function, sigma_w):
    point = mf.fixed_point(mf.Ensemble(function, sigma_w))
    assert (point.q, point.roots, point.status) == (1.0, (), "marginal")
    assert point.chi_1 == pytest.approx(1.0, abs=1e-14)
