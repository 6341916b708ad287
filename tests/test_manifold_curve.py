"""Length and turning of sampled curves; how long one layer can make a curve (and not longer)."""

import re

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from meanfree.manifold import curve_length, shallow_length_bound, turning_angle

coordinates = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 9), st.integers(1, 4)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


def _circle(n, radius=1.0):
    t = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(t), np.sin(t)], axis=-1)


# ---- length and turning


@pytest.mark.parametrize("n", [3, 4, 7, 1000])
def test_a_regular_polygon_has_its_perimeter_and_turns_once(n):
    points = _circle(n, 2.5)
    assert curve_length(points, closed=True) == pytest.approx(5 * n * np.sin(np.pi / n), rel=1e-13)
    assert turning_angle(points, closed=True) == pytest.approx(2 * np.pi, rel=1e-12)
    assert turning_angle(points) == pytest.approx(2 * np.pi * (n - 2) / n, rel=1e-12)


def test_a_sampled_curve_is_short_by_the_stated_fraction():
    n = 500
    assert curve_length(_circle(n), closed=True) == pytest.approx(
        2 * np.pi * (1 - (2 * np.pi / n) ** 2 / 24), rel=1e-9
    )


def test_a_helix_has_its_length_and_total_curvature():
    t = np.linspace(0, 10, 20001)
    points = np.stack([3 * np.cos(t), 3 * np.sin(t), 4 * t], axis=-1)
    assert curve_length(points) == pytest.approx(50.0, rel=1e-7)
    # curvature 3 / 25, but for half a step at both ends
    assert turning_angle(points) == pytest.approx(6.0 * (1 - 1 / 20000), rel=1e-7)


def test_a_batch_is_what_its_curves_are():
    curves = np.random.default_rng(0).standard_normal((2, 3, 6, 4))
    for closed in (False, True):
        for function in (curve_length, turning_angle):
            each = [[function(c, closed=closed) for c in row] for row in curves]
            assert all(isinstance(value, float) for row in each for value in row)
            np.testing.assert_allclose(function(curves, closed=closed), each, rtol=1e-14)


def test_tiny_angles_keep_their_digits():
    points = [[0.0, 0.0], [1.0, 0.0], [2.0, 1e-9]]
    assert turning_angle(points) == pytest.approx(1e-9, rel=1e-12)
    back = [[0.0, 0.0], [1.0, 0.0], [0.0, 1e-9]]
    assert np.pi - turning_angle(back) == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize("closed", [False, True])
def test_repeated_points_do_not_count(closed):
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-1.0, 1.0]])
    again = np.repeat(points, [2, 1, 3, 1, 2], axis=0)
    for function in (curve_length, turning_angle):
        expected = function(points, closed=closed)
        assert function(again, closed=closed) == pytest.approx(expected, rel=1e-14)


def test_a_point_has_no_length_and_does_not_turn():
    for closed in (False, True):
        assert curve_length(np.ones((5, 3)), closed=closed) == 0
        assert turning_angle(np.ones((5, 3)), closed=closed) == 0


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e299])
def test_the_unit_of_length_does_not_matter(size):
    points = np.random.default_rng(1).standard_normal((9, 3))
    assert curve_length(size * points) == pytest.approx(size * curve_length(points), rel=1e-13)
    assert turning_angle(size * points) == pytest.approx(turning_angle(points), rel=1e-12)


@settings(max_examples=50)
@given(coordinates)
def test_no_curve_is_shorter_than_the_way_between_its_ends(points):
    way = np.linalg.norm(points[-1] - points[0])
    assert curve_length(points) >= way * (1 - 1e-12)


@settings(max_examples=50)
@given(coordinates)
def test_every_closed_curve_turns_at_least_once(points):
    """Fenchel's theorem, for polygons."""
    angle = turning_angle(points, closed=True)
    if np.ptp(points, axis=0).max() > 1e-9:
        assert angle >= 2 * np.pi * (1 - 1e-9)


@settings(max_examples=50)
@given(coordinates, st.integers(0, 1000))
def test_turning_the_space_changes_nothing(points, seed):
    n = points.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    assert curve_length(points @ rotation) == pytest.approx(
        curve_length(points), rel=1e-9, abs=1e-9
    )


# ---- the bound of one layer


def _layer(phi, weights, biases, points):
    return phi(points @ weights.T + biases)


def _curve(kind, n):
    """Return a curve, and how often a projection of its tangent may change sign."""
    if kind == "segment":
        return np.linspace(-1, 1, n)[:, None], 0
    if kind == "circle":
        t = np.linspace(0, 2 * np.pi, n)
        return np.stack([np.cos(t), np.sin(t)], axis=-1), 2
    t = np.linspace(-1, 1, n)  # to and fro and to: the tangent changes sign twice
    return (4 * t**3 - 3 * t)[:, None], 2


PHI = {"tanh": (np.tanh, 2.0), "clip": (lambda x: np.clip(x, -1, 1), 2.0), "sign": (np.sign, 2.0)}


@pytest.mark.parametrize("phi", PHI)
@pytest.mark.parametrize("kind", ["segment", "circle", "to and fro"])
def test_no_random_layer_is_longer_than_the_bound(phi, kind):
    function, spread = PHI[phi]
    points, changes = _curve(kind, 4001)
    random = np.random.default_rng(7)
    worst = 0.0
    for _ in range(60):
        width = int(random.integers(1, 40))
        scale = 10 ** random.uniform(-1, 3)
        weights = scale * random.standard_normal((width, points.shape[1]))
        biases = scale * random.standard_normal(width)
        length = curve_length(_layer(function, weights, biases, points))
        worst = max(worst, length / shallow_length_bound(width, changes, spread))
    assert worst <= 1
    assert worst > 0.5 * (2 / 3 if kind == "circle" else 1.0)  # and they come near it


@pytest.mark.parametrize(
    ("kind", "reached"), [("segment", 1.0), ("to and fro", 1.0), ("circle", 2 / 3)]
)
def test_distinct_thresholds_and_steep_units_come_as_near_as_one_likes(kind, reached):
    width = 20
    thresholds = np.linspace(-0.9, 0.9, width)
    previous = 0.0
    for scale in (10.0, 100.0, 1000.0):
        ratios = []
        for n in (20_001, 40_001):
            points, changes = _curve(kind, n)
            weights = scale * np.eye(1, points.shape[1]).repeat(width, axis=0)
            length = curve_length(_layer(np.tanh, weights, -scale * thresholds, points))
            ratios.append(length / shallow_length_bound(width, changes, 2.0))
        assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)
        assert previous < ratios[1] <= reached
        previous = ratios[1]
    assert previous > 0.995 * reached


def _negative_length(parameters, points, width):
    """Return minus the length of tanh(W x + b) and its gradient."""
    dimension = points.shape[1]
    weights = parameters[: width * dimension].reshape(width, dimension)
    y = np.tanh(points @ weights.T + parameters[width * dimension :])
    chords = np.diff(y, axis=0)
    lengths = np.linalg.norm(chords, axis=1, keepdims=True)
    units = chords / np.maximum(lengths, 1e-300)
    force = np.zeros_like(y)
    force[1:] += units
    force[:-1] -= units
    force *= 1 - y * y
    return -lengths.sum(), -np.concatenate([(force.T @ points).ravel(), force.sum(axis=0)])


@pytest.mark.parametrize(
    ("kind", "reached"), [("segment", 1.0), ("to and fro", 1.0), ("circle", 2 / 3)]
)
def test_weights_that_are_optimised_against_the_bound_do_not_break_it(kind, reached):
    points, changes = _curve(kind, 600)
    fine, _ = _curve(kind, 60_001)
    width, best = 5, 0.0
    bound = shallow_length_bound(width, changes, 2.0)
    for seed in range(6):
        start = 3 * np.random.default_rng(seed).standard_normal(width * (points.shape[1] + 1))
        found = scipy.optimize.minimize(
            _negative_length, start, (points, width), jac=True, options={"maxiter": 300}
        )
        weights = found.x[: width * points.shape[1]].reshape(width, -1)
        length = curve_length(_layer(np.tanh, weights, found.x[-width:], fine))
        assert length <= bound
        best = max(best, length / bound)
    assert 0.9 * reached < best < 1


def test_a_phi_that_goes_up_and_down_breaks_the_bound():
    """The theorem needs a monotone phi: the check above can fail."""
    points, changes = _curve("segment", 4001)
    length = curve_length(_layer(np.sin, np.full((5, 1), 30.0), np.zeros(5), points))
    assert length > shallow_length_bound(5, changes, 2.0)


def test_one_layer_grows_with_the_width_and_no_faster():
    points, changes = _curve("circle", 4001)
    random = np.random.default_rng(3)
    ratios = []
    for width in (10, 100, 1000):
        weights = 2 * random.standard_normal((width, 2))
        length = curve_length(_layer(np.tanh, weights, random.standard_normal(width), points))
        ratios.append(length / shallow_length_bound(width, changes, 2.0))
    assert ratios[0] > ratios[1] > ratios[2]  # of random weights as sqrt(width) only


def test_the_bound_is_its_formula():
    assert shallow_length_bound(100, 2, 2.0) == 600.0
    assert isinstance(shallow_length_bound(1, 0, 1), float)
    assert shallow_length_bound(3, 0, 0.0) == 0.0


# ---- bad input


@pytest.mark.parametrize("function", [curve_length, turning_angle])
@pytest.mark.parametrize(
    ("points", "error", "text"),
    [
        ([1.0, 2.0], ValueError, "points must have shape (..., n >= 2, dimension >= 1), got (2,)"),
        ([[1.0, 2.0]], ValueError, "got (1, 2)"),
        (np.ones((3, 0)), ValueError, "got (3, 0)"),
        (
            [[0.0], [np.nan]],
            ValueError,
            "points must be in [-1e300, 1e300], got nan at index (1, 0)",
        ),
        ([[0.0], [1e301]], ValueError, "points must be in [-1e300, 1e300], got 1e+301"),
        ([["a"], ["b"]], TypeError, "points must be a number or an array of real numbers"),
        (None, TypeError, "points must be"),
    ],
)
def test_bad_points_are_named(function, points, error, text):
    with pytest.raises(error, match=re.escape(text)):
        function(points)


@pytest.mark.parametrize("function", [curve_length, turning_angle])
def test_closed_is_a_bool(function):
    with pytest.raises(TypeError, match=re.escape("closed must be True or False, got 'yes'")):
        function(np.eye(2), closed="yes")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((0, 2, 2.0), ValueError, "width must be an integer in [1, 2**31 - 1], got 0"),
        ((1.5, 2, 2.0), TypeError, "width must be an integer"),
        ((10, -1, 2.0), ValueError, "sign_changes must be an integer >= 0, got -1"),
        ((10, 2.0, 2.0), TypeError, "sign_changes must be an integer >= 0, got 2.0"),
        ((10, 2, -2.0), ValueError, "value_range must be finite and >= 0, got -2.0"),
        ((10, 2, np.inf), ValueError, "value_range must be finite and >= 0, got inf"),
        ((10, 2, "2"), TypeError, "value_range must be"),
    ],
)
def test_bad_arguments_of_the_bound_are_named(arguments, error, text):
    with pytest.raises(error, match=re.escape(text)):
        shallow_length_bound(*arguments)
