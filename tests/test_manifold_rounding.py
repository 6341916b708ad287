"""Curves at the limits of floating-point numbers: chords lost in rounding, lengths beyond squares.

What single precision or a collapse leaves of the angles between chords is compared with the same
weights in double precision, or with the length of the curve of unit tangents, which has no chords.
"""

import numpy as np
import pytest

import meanfree as mf
from meanfree.manifold import (
    curve_length,
    propagate_curve,
    simulate_circle,
    simulate_curve,
    turning_angle,
)

METHODS = ("weights", "gram", "auto")
every_method = pytest.mark.parametrize("method", METHODS)


def unit_circle(n):
    t = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(t), np.sin(t)], axis=1)


@pytest.mark.parametrize(
    ("network", "width", "depth", "n_angles"),
    [
        (mf.Ensemble("tanh", 0.5, 0.3), 100, 12, 300),
        (mf.Ensemble("tanh", 0.8, 0.5, weights="orthogonal"), 60, 14, 300),
        (mf.Ensemble("tanh", 2.0, 0.3), 60, 4, 5000),
        (mf.Ensemble("relu", 1.0, 0.3), 60, 8, 2000),
    ],
)
def test_single_precision_gives_the_angles_of_double_precision_or_nan(
    network, width, depth, n_angles
):
    knobs = {"n_angles": n_angles, "n_samples": 2, "method": "weights", "seed": 2}
    single = simulate_circle(network, width, depth, dtype="float32", **knobs)
    double = simulate_circle(network, width, depth, **knobs)
    for name in ("turning_angle_samples", "chord_length_samples"):
        found, wanted = getattr(single, name), getattr(double, name)
        known = ~np.isnan(found)
        assert np.all(np.isfinite(wanted))
        assert np.all(known[:, 0])
        error = np.abs(found - wanted)[known] / wanted[known]
        assert np.all(error < 0.02)  # the noise is estimated, to a factor of about 2 in the square


def test_angles_of_a_collapsed_curve_in_single_precision_are_nan_and_not_earlier():
    network = mf.Ensemble("tanh", 0.5, 0.3)
    knobs = {"n_angles": 300, "n_samples": 2, "method": "weights"}
    sample = simulate_circle(network, 100, 25, dtype="float32", **knobs)
    # a metric that shrinks by 5 a layer: chords of 2e-3 |h| reach 1e-5 |h| in layer 7
    assert np.all(np.isfinite(sample.turning_angle_samples[:, :4]))
    assert np.all(np.isnan(sample.turning_angle_samples[:, 12:]))
    assert np.all(np.isfinite(sample.chord_length_samples[:, :8]))
    assert np.all(np.isnan(sample.chord_length_samples[:, 20:]))
    assert np.all(np.isfinite(sample.grassmannian_length))
    assert np.all(np.isnan(sample.turning_angle[12:]))
    assert np.all(np.isnan(sample.turning_angle_error[12:]))
    with np.errstate(invalid="raise"):
        assert "turning_angle in the last layer: nan" in repr(sample)


@every_method
def test_chords_are_right_or_nan_in_a_collapse(method):
    network = mf.Ensemble("tanh", 0.3, 0.3)
    sample = simulate_circle(network, 50, 60, n_angles=300, n_samples=2, method=method)
    turned, length = sample.turning_angle_samples, sample.chord_length_samples
    assert np.all(np.isfinite(turned[:, :15]))
    assert np.all(np.isnan(turned[:, 30:]))
    assert np.all(np.isnan(length[:, 40:]))
    straight = sample.euclidean_length_samples
    assert np.nanmax(np.abs(length / straight - 1)) < 0.02
    assert np.nanmax(np.abs(turned / sample.grassmannian_length_samples - 1)) < 0.03


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@every_method
def test_gram_and_auto_lose_no_angles_in_silence(method, dtype):
    network = mf.Ensemble("tanh", 0.8, 0.5)
    sample = simulate_circle(
        network, 60, 15, n_angles=1500, n_samples=2, method=method, dtype=dtype
    )
    turned = sample.turning_angle_samples
    known = ~np.isnan(turned)
    assert np.all(known[:, 0])
    assert known.all() or dtype == "float32"
    error = np.abs(turned / sample.grassmannian_length_samples - 1)
    assert np.all(error[known] < 0.02)


@every_method
def test_a_point_has_no_length_and_no_angle(method):
    network = mf.Ensemble("tanh", 1.5, 0.3)
    circle = simulate_circle(network, 30, 4, q=0.0, n_samples=2, method=method)
    points = simulate_curve(network, 30, 4, np.zeros((5, 2)), n_samples=2, method=method)
    for sample in (circle, points):
        for name in ("turning_angle_samples", "chord_length_samples"):
            values = getattr(sample, name)
            assert np.all((values == 0.0) | np.isnan(values))
            assert np.all(values[:, 0] == 0.0)


@every_method
@pytest.mark.parametrize("sigma_w", [1e10, 1e-10])
def test_circles_of_any_size_turn_by_two_pi(method, sigma_w):
    network = mf.Ensemble("linear", sigma_w, weights="orthogonal")
    sample = simulate_circle(network, 10, 14, q=1.0, n_angles=50, n_samples=2, method=method)
    np.testing.assert_allclose(sample.turning_angle_samples, 2 * np.pi, rtol=1e-12)
    perimeter = 100 * np.sin(np.pi / 50) * sigma_w ** np.arange(14.0)
    np.testing.assert_allclose(sample.chord_length, perimeter, rtol=1e-12)
    plain = mf.Ensemble("linear", 1.0, weights="orthogonal")
    curve = simulate_curve(plain, 10, 3, 1e99 * unit_circle(50), n_samples=2, method=method)
    np.testing.assert_allclose(curve.turning_angle_samples, 2 * np.pi, rtol=1e-12)


@every_method
def test_angles_outlive_the_squares_of_lengths(method):
    # at 0.5 a layer squares underflow after 540 layers, numbers themselves after 1074
    network, points = mf.Ensemble("tanh", 0.5), unit_circle(40)
    sample = simulate_curve(network, 20, 600, points, n_samples=2, method=method)
    assert np.all(sample.metric[580:] == 0.0)
    assert np.all(np.isfinite(sample.turning_angle_samples))
    assert np.all(sample.turning_angle_samples > 6.28)
    if method == "weights":
        h = propagate_curve(network, points, 600, width=20)
        h /= np.abs(h).max(axis=(1, 2), keepdims=True)
        turned = turning_angle(h, closed=True)
        np.testing.assert_allclose(sample.turning_angle_samples[0], turned, rtol=1e-9)


def test_angles_of_numbers_that_underflow_are_nan():
    network = mf.Ensemble("linear", 0.1, weights="orthogonal")
    sample = simulate_circle(
        network, 20, 60, q=1.0, n_angles=40, n_samples=2, dtype="float32", method="weights"
    )
    known = ~np.isnan(sample.turning_angle_samples)
    assert np.all(known[:, :38])  # 1e-38 is the smallest normal number, 1e-45 the last one
    np.testing.assert_allclose(sample.turning_angle_samples[:, :38], 2 * np.pi, rtol=1e-3)
    assert not np.any(known[:, 45])
    assert np.all(sample.turning_angle_samples[:, 50:] == 0.0)


def test_straight_lines_do_not_turn():
    t = np.linspace(-1.0, 1.0, 201)
    line = np.stack([t, 2 * t, 0 * t], axis=1)
    sample = simulate_curve(
        mf.Ensemble("linear", 1.2), 30, 5, line, closed=False, n_samples=2, method="weights"
    )
    assert np.all(sample.turning_angle_samples < 1e-9)


@pytest.mark.parametrize("gap", [0.0, 2.4e-16, 1e-13])
def test_a_closed_curve_must_not_repeat_its_first_point(gap):
    points = np.concatenate([unit_circle(20), [[1.0, gap]]])
    network = mf.Ensemble("tanh", 1.5)
    with pytest.raises(
        ValueError, match=r"^points of a closed curve must not end with the first point again"
    ):
        simulate_curve(network, 10, 2, points)
    simulate_curve(network, 10, 2, points, closed=False, n_samples=2)
    points[-1, 1] = 1e-3
    simulate_curve(network, 10, 2, points, n_samples=2)


@every_method
def test_a_phi_that_jumps_has_infinite_metric_as_in_the_theory(method):
    sign = mf.Activation(np.sign, np.zeros_like, np.zeros_like, name="sign", kinks=(0.0,))
    network = mf.Ensemble(sign, 1.0, 0.3)
    sample = simulate_circle(network, 20, 3, q=1.0, n_angles=60, n_samples=2, method=method)
    theory = mf.circle_theory(network, 3, q=1.0)
    for name in ("metric", "euclidean_length", "curvature_squared", "gauss_metric"):
        wanted = getattr(theory, name)
        assert np.all(np.isinf(wanted[1:])), name
        np.testing.assert_allclose(getattr(sample, name), wanted, rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(sample.metric_samples[:, 0], 1.0, rtol=1e-12)
    assert np.all(np.isfinite(sample.chord_length))


@pytest.mark.parametrize("call", ["circle", "curve", "images"])
def test_depth_is_refused_with_its_range_and_value(call):
    network = mf.Ensemble("tanh", 1.5)
    calls = {
        "circle": lambda depth: simulate_circle(network, 10, depth),
        "curve": lambda depth: simulate_curve(network, 10, depth, unit_circle(9)),
        "images": lambda depth: propagate_curve(network, unit_circle(9), depth, width=10),
    }
    with pytest.raises(
        ValueError, match=r"^depth must be an integer in \[1, 2\*\*24 - 1\], got 16777216$"
    ):
        calls[call](2**24)


@pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32"), "float32"])
def test_precision_is_a_word_or_a_type_of_numpy(dtype):
    network = mf.Ensemble("tanh", 1.5)
    sample = simulate_circle(network, 10, 2, n_angles=20, n_samples=2, dtype=dtype)
    assert sample.dtype == "float32"
    h = propagate_curve(network, unit_circle(9), 2, width=10, dtype=dtype)
    wanted = propagate_curve(network, unit_circle(9), 2, width=10, dtype="float32")
    np.testing.assert_array_equal(h, wanted)


def test_repeated_points_add_nothing():
    # squares given with every corner twice, through a layer that only turns them
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    points = np.repeat(square, 2, axis=0)[:-1]
    network = mf.Ensemble("linear", 1.0, weights="orthogonal")
    sample = simulate_curve(
        network, 8, 1, points, n_samples=2, start="preactivation", method="weights"
    )
    np.testing.assert_allclose(sample.turning_angle_samples, 2 * np.pi, rtol=1e-12)
    np.testing.assert_allclose(
        sample.chord_length_samples * np.sqrt(8), curve_length(square, closed=True), rtol=1e-12
    )
