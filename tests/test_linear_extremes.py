"""Modes of deep linear networks at the ends of the ranges that their arguments have."""

import warnings
from math import inf, log

import mpmath
import numpy as np
import pytest

import meanfree as mf
from meanfree import linear

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("s", "a0", "target"),
    [(1e100, 1e-300, 0.5), (1.0, 1e-310, 0.999999), (1e10, 1e-300, 0.5), (1.0, 5e-324, 0.3)],
)
def test_learning_time_from_next_to_nothing_at_depth_2(s, a0, target):
    with mpmath.mp.workdps(30):
        m = mpmath.mp
        exact = m.log(m.mpf(target) * (m.mpf(s) - m.mpf(a0)) / (m.mpf(a0) * (1 - m.mpf(target))))
        exact = float(exact / (2 * m.mpf(s)))
    assert linear.learning_time(s, a0, target=target) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("depth", [3, 4, 10, inf])
def test_learning_time_from_next_to_nothing_in_deep_networks(depth):
    c, many = 1 - 2 / depth, 1 if depth == inf else depth
    for s, a0 in [(1e100, 1e-200), (1e50, 1e-300), (1.0, 1e-290), (1.0, 1e-302)]:
        exact = float(mpmath.mpf(a0) ** -mpmath.mpf(c) / (mpmath.mpf(s) * c * many))
        assert linear.learning_time(s, a0, depth=depth) == pytest.approx(exact, rel=1e-12)
        # on both sides of the rise, which takes a rounding of the time
        t = exact * np.array([0.5, 0.99, 1.01, 2.0])
        unit = exact / 1e50 if exact > 1e90 else 1.0
        u = linear.mode_strength(t / unit, s, a0, depth=depth, tau=1.0 / unit)
        early = a0 * (1 - np.array([0.5, 0.99])) ** (-1 / c)
        np.testing.assert_allclose(u, [*early, s, s], rtol=1e-9)
    assert linear.learning_time(1e100, 1e-300, depth=3) == pytest.approx(1.0, rel=1e-12)


def test_closed_forms_meet_where_a_start_becomes_next_to_nothing():
    a0 = np.array([1.001, 0.999]) * np.exp(-600.0)
    for depth in (2, 3, inf):
        c = 1 - 2 / depth
        above, below = linear.learning_time(1.0, a0, depth=depth)
        ratio = log(a0[0]) / log(a0[1]) if depth == 2 else (1.001 / 0.999) ** -c
        assert above / below == pytest.approx(ratio, rel=2e-6)


@pytest.mark.parametrize("depth", [3, 4, inf])
def test_strengths_meet_where_a_start_becomes_next_to_nothing(depth):
    c, many = 1 - 2 / depth, 1 if depth == inf else depth
    for a0 in (1.001e-260, 0.999e-260):
        time = 0.5 * a0**-c / (c * many)
        u = linear.mode_strength(time * 1e-180, 1.0, a0, depth=depth, tau=1e-180)
        assert u / a0 == pytest.approx(0.5 ** (-1 / c), rel=1e-11)


def test_strength_where_the_inputs_hardly_vary():
    u = linear.mode_strength(5.0, 1.0, 0.1, depth=inf, input_variance=1e-200)
    assert u == pytest.approx(0.2, rel=1e-12)  # 1 / u falls from 10 by t
    u = linear.mode_strength(1.0, 1.0, 0.1, depth=4, input_variance=1e-210)
    assert u == pytest.approx((0.1**-0.5 - 2.0) ** -2, rel=1e-12)
    assert linear.mode_strength(1.0, 1.0, 0.1, depth=4, input_variance=1e-9) == pytest.approx(
        (0.1**-0.5 - 2.0) ** -2, rel=1e-8
    )
    with pytest.raises(ValueError, match=r"^s / input_variance must be <= 1e\+300 beyond depth 2"):
        linear.mode_strength(1.0, 1.0, 0.1, depth=3, input_variance=1e-301)
    assert linear.mode_strength(0.0, 1.0, 0.1, input_variance=1e-301) == 0.1


@pytest.mark.parametrize("depth", [1, 2, 3, inf])
def test_times_beyond_all_numbers_are_the_end(depth):
    assert linear.mode_strength(1e100, 1.0, 0.1, depth=depth, tau=1e-300) == pytest.approx(1.0)
    assert linear.mode_strength(1e100, 1e100, 0.1, depth=depth, tau=1e-300) == pytest.approx(1e100)
    assert linear.mode_strength(1e100, 0.0, 0.1, depth=depth, tau=1e-300) < 1e-150
    assert linear.mode_strength(1e100, 0.0, 0.0, depth=depth, tau=1e-300) == 0.0
    if depth > 1:
        assert linear.detection_front(1e100, 0.1, tau=1e-300) == 0.0


def test_a_weak_mode_keeps_its_end_at_late_times():
    u = linear.mode_strength(1e100, 1e-160, 0.1, tau=1e-100)
    assert u == pytest.approx(1e-160, rel=1e-14)


def test_pairs_at_rest_and_at_the_end():
    end = linear.mode_pair(1e100, 1.0, 0.1, 0.1, tau=1e-300)
    assert (end.w1, end.w2, end.strength) == pytest.approx((1.0, 1.0, 1.0), rel=1e-15)
    for t in (0.0, 1.0, 1e100):
        rest = linear.mode_pair(t, 1.0, 1e-160, -1e-170)
        assert (rest.w1, rest.w2) == (1e-160, -1e-170)
        zero = linear.mode_pair(t, 1.0, 0.0, -0.0)
        values = np.array([zero.w1, zero.w2, zero.strength])
        assert not np.signbit(values).any()
        assert not values.any()
    moved = linear.mode_pair(500.0, 1.0, 1e-140, 1e-140)
    assert moved.strength == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("n", [1, 2, 16, 17, 40])
def test_descent_stops_where_no_weight_moves(n):
    s = np.linspace(0.5, 1.5, n)
    late, later = linear.gradient_descent_mode(np.array([[10**4], [10**9]]), s, 0.3, 0.1, depth=2)
    np.testing.assert_array_equal(late, later)
    np.testing.assert_allclose(late, s, rtol=1e-14)


@pytest.mark.parametrize("n", [3, 40])
def test_modes_descend_together_as_they_do_alone(n):
    s, steps = np.linspace(0.0, 1.5, n), np.array([0, 1, 63, 64, 65, 300, 5000])
    for depth in (1, 2, 5):
        together = linear.gradient_descent_mode(steps[:, None], s, 0.4, 0.02, depth=depth)
        alone = [linear.gradient_descent_mode(steps, x, 0.4, 0.02, depth=depth) for x in s]
        np.testing.assert_allclose(together, np.array(alone).T, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        lost = linear.gradient_descent_mode(200, np.full(n, 1.0) + s, 3.0, 5.0, depth=3)
    assert np.all(lost == inf)


def test_errors_name_what_is_wrong():
    for depth in (0, np.int64(0), np.array(0)):
        with pytest.raises(ValueError, match=r"^depth must be an integer >= 1 or inf, got"):
            linear.mode_strength(1.0, 1.0, 0.1, depth=depth)
    with pytest.raises(TypeError, match=r"^function must return an array of real .* dtype bool"):
        linear.spiked.bulk_mean(lambda s: s > 1, 0.5)
    assert mf.__getattr__("semantics") is mf.semantics
