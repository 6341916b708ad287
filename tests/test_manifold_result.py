"""Simulated curves where the answer is plain, what is refused, and what a result holds."""

import numpy as np
import pytest

import meanfree as mf
from meanfree.manifold import propagate_curve, simulate_circle, simulate_curve

NETWORK = mf.Ensemble("tanh", 1.8, 0.3)
ORTHOGONAL = mf.Ensemble("tanh", 1.8, 0.3, weights="orthogonal")


def unit_circle(n):
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_first_layer_is_the_circle():
    q = 1.7
    for e in (NETWORK, ORTHOGONAL):
        sample = simulate_circle(e, 50, 1, n_angles=100, q=q, n_samples=3)
        for name, wanted in {
            "q": q,
            "metric": q,
            "curvature_squared": 1 / q,
            "gauss_metric": 1.0,
            "euclidean_length": 2 * np.pi * np.sqrt(q),
            "grassmannian_length": 2 * np.pi,
            "chord_length": 200 * np.sin(np.pi / 100) * np.sqrt(q),
            "turning_angle": 2 * np.pi,
        }.items():
            np.testing.assert_allclose(getattr(sample, f"{name}_samples"), wanted, rtol=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_linear_orthogonal_networks_turn_the_circle_and_gaussian_ones_bend_no_line(weights):
    e = mf.Ensemble("linear", 1.5, 0.0, weights=weights)
    t = np.linspace(-1, 1, 1000)
    line = np.stack([np.sinh(t), 2 * np.sinh(t), 0 * t], axis=1)
    sample = simulate_curve(e, 20, 6, line, closed=False, n_samples=2)
    # rounding: 1e-16 |h| / |chord| at each of 1000 chords, and sqrt(eps) of the uneven steps
    assert np.all(sample.turning_angle_samples < 1e-9)
    assert np.all(sample.grassmannian_length < 1e-9)
    if weights == "orthogonal":
        sample = simulate_circle(e, 20, 6, q=1.0, n_samples=2)
        np.testing.assert_allclose(sample.gauss_metric, 1.0, rtol=1e-11)
        np.testing.assert_allclose(sample.metric, 1.5 ** (2 * np.arange(6)), rtol=1e-11)


def test_kinked_activations_have_corners_and_a_turning_angle():
    sample = simulate_circle(mf.Ensemble("relu", 1.4), 50, 3, q=1.0, n_angles=4000, n_samples=3)
    theory = mf.circle_theory(mf.Ensemble("relu", 1.4), 3, q=1.0)
    for name in ("curvature_squared", "gauss_metric", "grassmannian_length"):
        np.testing.assert_allclose(getattr(sample, name), getattr(theory, name), rtol=1e-12)
        assert np.isinf(getattr(sample, f"{name}_error")[1:]).all()
    assert np.all(np.isfinite(sample.turning_angle))
    assert sample.turning_angle[1] > 4 * np.pi
    np.testing.assert_allclose(sample.chord_length, sample.euclidean_length, rtol=1e-3)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("n_angles must be an integer in .3, .*, got 2", {"n_angles": 2}),
        ("width must be an integer in .2, .*, got 1", {"width": 1}),
        ("depth must be an integer in .1, .*, got 0", {"depth": 0}),
        ("n_samples must be an integer in .2, .*, got 1", {"n_samples": 1}),
        ("seed must be an integer in .*, got -1", {"seed": -1}),
        ("method must be one of auto, gram, weights; got 'grams'", {"method": "grams"}),
        ("start must be one of preactivation, input; got 'inputs'", {"start": "inputs"}),
        ("dtype must be one of float64, float32; got 'float16'", {"dtype": "float16"}),
        ("q must be finite and >= 0, got -1.0", {"q": -1.0}),
        (
            r"q must be >= sigma_b\*\*2 = 0.09 in layer 1 .*, got 0.05",
            {"q": 0.05, "start": "input"},
        ),
        ("keep must be 1 for a manifold, got 0.5", {"ensemble": mf.Ensemble("tanh", 1, keep=0.5)}),
        ("q must be given: the length of .* q. = 0", {"ensemble": mf.Ensemble("tanh", 0.5)}),
        (
            "width must be such that 3 . width . .* <= 2..31 with method 'gram', got 100000",
            {"width": 100_000, "n_angles": 10_000, "method": "gram"},
        ),
    ],
)
def test_bad_circles_are_refused_by_name_range_and_value(message, call):
    arguments = {"ensemble": NETWORK, "width": 10, "depth": 2} | call
    with pytest.raises(ValueError, match=rf"^{message}"):
        simulate_circle(**arguments)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (
            r"points must have shape \(n_points >= 3, n_in >= 1\), got \(2, 2\)",
            {"points": np.ones((2, 2))},
        ),
        (r"points must have shape .*, got \(5,\)", {"points": np.ones(5)}),
        (
            r"points must be in \[-1e100, 1e100\], got nan at index \(1, 0\)",
            {"points": [[0.0], [np.nan], [1.0]]},
        ),
        (
            r"velocity must have the shape \(9, 2\) of the points, got \(9, 1\)",
            {"velocity": np.ones((9, 1))},
        ),
        ("velocity must be given where acceleration is", {"acceleration": np.ones((9, 2))}),
        (
            r"parameter must have shape \(n_points \+ 1,\) = \(10,\), got \(9,\)",
            {"parameter": np.arange(9.0)},
        ),
        (
            r"parameter must have shape \(n_points,\) = \(9,\), got \(10,\)",
            {"parameter": np.arange(10.0), "closed": False},
        ),
        ("parameter must increase, got .*0.0.*, .*0.0.* at index 0", {"parameter": np.zeros(10)}),
        (
            "points must have at most as many columns as the width 10 .*, got 11",
            {"points": np.ones((5, 11)), "start": "preactivation"},
        ),
    ],
)
def test_bad_curves_are_refused_by_name_range_and_value(message, call):
    arguments = {"points": unit_circle(9)} | call
    with pytest.raises(ValueError, match=rf"^{message}"):
        simulate_curve(NETWORK, 10, 2, **arguments)


def test_wrong_kinds_are_refused():
    with pytest.raises(TypeError, match=r"^closed must be True or False, got 1"):
        simulate_curve(NETWORK, 10, 2, unit_circle(9), closed=1)
    with pytest.raises(TypeError, match=r"^ensemble must be an Ensemble, got 'tanh'"):
        simulate_circle("tanh", 10, 2)
    with pytest.raises(ValueError, match=r"^depth must be such that .* <= 2\*\*31, got 100000"):
        propagate_curve(NETWORK, unit_circle(1000), 100_000, width=1000)


@pytest.mark.parametrize("method", ["weights", "gram", "auto"])
@pytest.mark.parametrize(("dtype", "layers"), [("float64", (257,)), ("float32", (33, 65))])
def test_overflow_names_the_layer(method, dtype, layers):
    # numbers grow by 4 a layer; the limit are squares of 2**1024, in single precision numbers, or
    # for the factor squares, of 2**128
    e = mf.Ensemble("linear", 4.0, weights="orthogonal")
    with pytest.raises(ValueError, match=r"overflows in layer \d+$") as error:
        simulate_circle(e, 3, 600, q=1.0, n_angles=5, n_samples=2, method=method, dtype=dtype)
    assert any(abs(int(str(error.value).split()[-1]) - layer) <= 3 for layer in layers)


def test_a_vanishing_curve_is_nan_only_as_documented():
    sample = simulate_circle(mf.Ensemble("tanh", 0.0, 0.5), 5, 3, n_samples=3)
    assert np.all(sample.metric[1:] == 0.0)
    assert np.isinf(sample.curvature_squared[1:]).all()
    assert np.isnan(sample.gauss_metric[1:]).all()
    assert np.all(sample.turning_angle[1:] == 0.0)
    assert np.all(sample.q > 0.0)


def test_results_know_what_they_are_of():
    sample = simulate_circle(NETWORK, 20, 3, n_angles=30, n_samples=2, seed=5)
    assert (sample.width, sample.depth, sample.n_angles, sample.n_samples) == (20, 3, 30, 2)
    assert sample.ranks.shape == (2, 3)
    assert "CircleSample of Ensemble('tanh'" in repr(sample)
    assert "turning_angle in the last layer" in repr(sample)
    np.testing.assert_allclose(sample.q, sample.q_samples.mean(axis=0), rtol=1e-14)
    error = sample.metric_samples.std(axis=0, ddof=1) / np.sqrt(2)
    np.testing.assert_allclose(sample.metric_error, error, rtol=1e-12, atol=1e-15)
    data = sample.to_xarray()
    assert dict(data.sizes) == {"sample": 2, "layer": 3}


def test_plot_draws_the_means():
    sample = simulate_circle(NETWORK, 20, 3, n_angles=30, n_samples=3)
    ax = sample.plot()
    drawn = [bars.lines[0].get_ydata() for bars in ax.containers]
    for values, name in zip(drawn, ("euclidean_length", "grassmannian_length"), strict=True):
        np.testing.assert_array_equal(values, getattr(sample, name))
    corners = simulate_circle(mf.Ensemble("relu", 1.4), 20, 3, q=1.0, n_angles=30, n_samples=3)
    drawn = [bars.lines[0].get_ydata() for bars in corners.plot().containers]
    np.testing.assert_array_equal(drawn[1], corners.turning_angle)
