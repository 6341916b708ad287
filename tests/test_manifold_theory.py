"""Circle geometry at infinite width: stored references, closed forms and limits.

tests/references/circle.json was made without phi' and phi'': the covariance of two points of the
circle is taken through the layers by the exact maps, and the coefficients of its series in the
angle are read off. The goal is a relative error of 1e-11 in every field.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import meanfree as mf
from meanfree.activations import NAMES

CHAOTIC = mf.Ensemble("tanh", 2.5, 0.3)
REFERENCES = json.loads(
    Path(__file__).with_name("references").joinpath("circle.json").read_text(encoding="utf-8")
)
SMOOTH = sorted(set(NAMES) - {"relu", "leaky_relu", "shifted_relu", "hard_tanh", "selu"})
FIELDS = (
    "metric",
    "curvature_squared",
    "gauss_metric",
    "euclidean_length",
    "grassmannian_length",
)


def _of(row):
    parameters = {"elu": "alpha", "leaky_relu": "negative_slope", "shifted_relu": "shift"}
    name = row["activation"]
    phi = mf.activation(
        name, **({parameters[name]: row["parameter"]} if name in parameters else {})
    )
    return mf.Ensemble(phi, row["sigma_w"], row["sigma_b"])


def _circle(row):
    return mf.circle_theory(_of(row), len(row["q"]), q=row["q_given"], start=row["start"])


# ---- the stored references


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_activations_follow_the_series_of_the_covariance(name):
    rows = [row for row in REFERENCES if row["activation"] == name and not row["kinked"]]
    assert len(rows) >= 6
    assert {row["start"] for row in rows} == {"preactivation", "input"}
    for row in rows:
        circle = _circle(row)
        for field in ("q", "metric", "curvature_squared", "gauss_metric"):
            np.testing.assert_allclose(getattr(circle, field), row[field], rtol=1e-11)
        length = 2 * np.pi * np.sqrt(row["metric"])
        turned = 2 * np.pi * np.sqrt(row["gauss_metric"])
        np.testing.assert_allclose(circle.euclidean_length, length, rtol=1e-11)
        np.testing.assert_allclose(circle.grassmannian_length, turned, rtol=1e-11)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "shifted_relu", "hard_tanh", "elu", "selu"])
def test_kinked_activations_have_a_metric_and_infinite_curvature(name):
    rows = [row for row in REFERENCES if row["activation"] == name and row["kinked"]]
    assert len(rows) == 2
    for row in rows:
        circle = _circle(row)
        np.testing.assert_allclose(circle.metric, row["metric"], rtol=1e-11)
        for field in ("curvature_squared", "gauss_metric", "grassmannian_length"):
            assert np.isfinite(getattr(circle, field)[0])
            assert np.isinf(getattr(circle, field)[1:]).all()


# ---- closed forms


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [
        ("tanh", 0.8, 0.3),
        ("tanh", 2.5, 0.3),
        ("tanh", 4.0, 1.0),
        ("erf", 1.5, 0.1),
        ("sin", 3.0, 0.2),
        ("gelu", 1.2, 0.5),
        ("sigmoid", 20.0, 0.5),
        ("softplus", 1.2, 0.3),
        ("elu", 1.1, 0.3),
    ],
)
@pytest.mark.parametrize("start", ["preactivation", "input"])
def test_the_recursion_at_the_fixed_point_has_its_closed_solution(name, sigma_w, sigma_b, start):
    network = mf.Ensemble(name, sigma_w, sigma_b)
    point = mf.fixed_point(network)
    r, ratio = point.chi_1, 3 * point.chi_2 / point.chi_1
    g = point.q - (sigma_b**2 if start == "input" else 0.0)
    layers = np.arange(40)
    circle = mf.circle_theory(network, 40, start=start)
    gauss = 1 + ratio * g * (r**layers - 1) / (r - 1)
    np.testing.assert_allclose(circle.metric, g * r**layers, rtol=1e-12)
    np.testing.assert_allclose(circle.gauss_metric, gauss, rtol=1e-12)
    np.testing.assert_allclose(circle.curvature_squared, gauss / (g * r**layers), rtol=1e-12)


@pytest.mark.parametrize("name", ["erf", "sin"])
def test_erf_and_sin_follow_their_closed_averages_away_from_the_fixed_point(name):
    sigma_w, sigma_b, q = 1.7, 0.4, 0.3
    metric, curvature = [q], [1 / q]
    lengths = mf.propagate(mf.Ensemble(name, sigma_w, sigma_b), 12, q=q).q
    for length in lengths[:-1]:
        if name == "erf":
            first = 4 / np.pi / np.sqrt(1 + 4 * length)
            second = 16 / np.pi * length / (1 + 4 * length) ** 1.5
        else:
            first, second = (1 + np.exp(-2 * length)) / 2, -np.expm1(-2 * length) / 2
        chi_1, chi_2 = sigma_w**2 * first, sigma_w**2 * second
        metric.append(chi_1 * metric[-1])
        curvature.append(3 * chi_2 / chi_1**2 + curvature[-1] / chi_1)
    circle = mf.circle_theory(mf.Ensemble(name, sigma_w, sigma_b), 12, q=q)
    np.testing.assert_allclose(circle.metric, metric, rtol=1e-13)
    np.testing.assert_allclose(circle.curvature_squared, curvature, rtol=1e-13)
    np.testing.assert_allclose(circle.gauss_metric, np.multiply(metric, curvature), rtol=1e-13)


def test_chaotic_curvature_settles_where_stretching_and_bending_balance():
    point = mf.fixed_point(CHAOTIC)
    limit = 3 * point.chi_2 / (point.chi_1 * (point.chi_1 - 1))
    circle = mf.circle_theory(CHAOTIC, 200)
    assert circle.curvature_squared[-1] == pytest.approx(limit, rel=1e-13)
    growth = circle.grassmannian_length[-1] / circle.grassmannian_length[-2]
    assert growth == pytest.approx(np.sqrt(point.chi_1), rel=1e-13)


def test_the_ordered_phase_turns_a_circle_by_a_finite_angle_above_2_pi():
    network = mf.Ensemble("tanh", 0.8, 0.3)
    point = mf.fixed_point(network)
    more = 3 * point.chi_2 * point.q / (point.chi_1 * (1 - point.chi_1))
    circle = mf.circle_theory(network, 300)
    assert circle.grassmannian_length[-1] == pytest.approx(2 * np.pi * np.sqrt(1 + more), rel=1e-13)
    assert circle.grassmannian_length[-1] > 2 * np.pi * 1.02


def test_on_the_critical_line_the_gauss_metric_grows_by_the_layer():
    network = mf.critical("tanh", 0.3)
    point = mf.fixed_point(network)
    circle = mf.circle_theory(network, 100)
    expected = 1 + 3 * point.chi_2 * point.q * np.arange(100)
    np.testing.assert_allclose(circle.gauss_metric, expected, rtol=1e-11)
    np.testing.assert_allclose(circle.metric, point.q, rtol=1e-11)


def test_linear_layers_never_bend():
    circle = mf.circle_theory(mf.Ensemble("linear", 1.3, 0.2), 20, q=2.0)
    assert (circle.gauss_metric == 1).all()
    np.testing.assert_allclose(circle.metric, 2 * 1.69 ** np.arange(20.0), rtol=1e-14)
    np.testing.assert_allclose(circle.curvature_squared * circle.metric, 1.0, rtol=1e-14)


# ---- corners


def test_every_relu_layer_adds_corners_of_one_angle():
    circle = mf.circle_theory(mf.Ensemble("relu", np.sqrt(2.0)), 6, q=3.0)
    np.testing.assert_allclose(circle.corner_angle, 2 * np.sqrt(np.pi) * np.arange(6.0), rtol=1e-12)


def test_corners_of_hard_tanh_follow_the_formula_of_rice():
    network = mf.Ensemble("hard_tanh", 1.5, 0.3)
    circle = mf.circle_theory(network, 5, q=0.7, start="input")
    chi_1 = mf.correlation_slope(network, np.ones(5), q=circle.q)
    crossings = 4 * np.sqrt(circle.metric / circle.q) * np.exp(-0.5 / circle.q)
    steps = crossings * np.sqrt(np.pi / 2) * network.sigma_w / np.sqrt(chi_1)
    np.testing.assert_allclose(np.diff(circle.corner_angle), steps[:-1], rtol=1e-12)


def test_smooth_activations_have_no_corners_and_steps_have_too_many():
    for name in SMOOTH:
        assert (mf.circle_theory(mf.Ensemble(name, 1.2, 0.3), 4, q=1.0).corner_angle == 0).all()
    step = mf.Activation(np.sign, kinks=[0.0])
    assert np.isinf(mf.circle_theory(mf.Ensemble(step, 1.0, 0.1), 3, q=1.0).corner_angle[1:]).all()


def _angles_of_corners(network, a, b, weights):
    """Return the angles of all corners of ``W phi(a cos t + b sin t)``, which are known."""
    phi, found = network.activation, []
    for kink in phi.kinks:
        unit = np.flatnonzero(np.hypot(a, b) > abs(kink))
        away = np.arccos(kink / np.hypot(a, b)[unit])
        for side in (-1, 1):
            t = (np.arctan2(b, a)[unit] + side * away)[:, np.newaxis]
            h, v = a * np.cos(t) + b * np.sin(t), b * np.cos(t) - a * np.sin(t)
            slope = phi.derivative(h)
            tangents = []
            for at in (kink - 1e-9, kink + 1e-9):
                slope[np.arange(unit.size), unit] = phi.derivative(at)
                tangent = (slope * v) @ weights.T
                tangents.append(tangent / np.linalg.norm(tangent, axis=1, keepdims=True))
            apart = np.linalg.norm(tangents[0] - tangents[1], axis=1)
            found.append(2 * np.arcsin(apart / 2))
    return np.concatenate(found)


@pytest.mark.parametrize(
    "name",
    [
        "relu",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("hard_tanh", "selu", "leaky_relu")),
    ],
)
def test_the_corners_of_a_layer_add_up_to_the_theory(name):
    """The first order in 1 / N is removed by two widths; the second may be 0.5 % (N = 50)."""
    network, means, variances = mf.Ensemble(name, 1.3), [], []
    expected = mf.circle_theory(network, 2, q=1.0).corner_angle[1]
    random = np.random.default_rng(11)
    for width, n_samples in ((50, 600), (25, 1200)):
        totals = []
        for _ in range(n_samples):
            a, b = random.standard_normal((2, width))
            weights = random.standard_normal((width, width))
            totals.append(_angles_of_corners(network, a, b, weights).sum() / np.sqrt(width))
        means.append(np.mean(totals))
        variances.append(np.var(totals, ddof=1) / n_samples)
    error = np.sqrt(4 * variances[0] + variances[1])
    assert error < 0.015 * expected
    assert abs(2 * means[0] - means[1] - expected) < 4 * error + 0.005 * expected


# ---- what must hold


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("start", ["preactivation", "input"])
def test_the_metric_is_the_second_difference_of_the_autocorrelation(name, start):
    """-q^l d^2 c^l / dt^2 at 0, from the angles t and 2 t.

    The rounding of c is an absolute 2e-16 q / t^2, 2e-11 q here. What remains of t^4 is
    below 1e-9; elu, whose phi'' jumps, has a term in t^3 as well, 3e-8 times a number of order 1
    to 10.
    """
    network = mf.Ensemble(name, 1.3, 0.3)
    circle = mf.circle_theory(network, 5, q=0.8, start=start)
    t = 0.003
    c = mf.circle_autocorrelation(network, [t, 2 * t], 5, q=0.8, start=start)
    near, far = 2 * circle.q * (1 - c[:, 0]) / t**2, 2 * circle.q * (1 - c[:, 1]) / (2 * t) ** 2
    rtol = 1e-6 if name == "elu" else 2e-9
    np.testing.assert_allclose((4 * near - far) / 3, circle.metric, rtol=rtol, atol=2e-10)
    np.testing.assert_allclose(near, circle.metric, rtol=1e-3)


def test_the_fourth_difference_of_the_autocorrelation_gives_the_curvature():
    network = mf.Ensemble("tanh", 1.8, 0.3)
    circle = mf.circle_theory(network, 4)
    point = mf.fixed_point(network)
    t = 0.05 * np.arange(1, 9)
    delta = mf.propagate(network, 4, delta=2 * np.sin(t / 2) ** 2).delta
    powers = t[:, None] ** (2 * np.arange(1, 9))
    for layer in range(4):
        series = np.linalg.solve(powers, point.q * delta[layer])
        assert 2 * series[0] == pytest.approx(circle.metric[layer], rel=1e-9)
        bend = -24 * series[1] / (2 * series[0]) ** 2
        assert bend == pytest.approx(circle.curvature_squared[layer], rel=1e-5)


@pytest.mark.parametrize("q", [None, 0.7, [0.5, 2.0, 1.0, 3.0, 0.7]])
@pytest.mark.parametrize("start", ["preactivation", "input"])
def test_the_fields_belong_together(q, start):
    circle = mf.circle_theory(CHAOTIC, 5, q=q, start=start)
    for field in (*FIELDS, "log_metric", "log_gauss_metric", "q"):
        assert getattr(circle, field).shape == (5,)
    np.testing.assert_allclose(
        circle.gauss_metric, circle.metric * circle.curvature_squared, rtol=1e-14
    )
    np.testing.assert_allclose(circle.euclidean_length**2, 4 * np.pi**2 * circle.metric, rtol=1e-14)
    np.testing.assert_allclose(
        circle.grassmannian_length**2, 4 * np.pi**2 * circle.gauss_metric, rtol=1e-14
    )
    np.testing.assert_allclose(np.exp(circle.log_metric), circle.metric, rtol=1e-13)
    np.testing.assert_allclose(np.exp(circle.log_gauss_metric), circle.gauss_metric, rtol=1e-13)
    assert (np.diff(circle.gauss_metric) > 0).all()


def test_without_biases_both_starts_are_one():
    network = mf.Ensemble("tanh", 2.0)
    first, second = (mf.circle_theory(network, 6, start=s) for s in ("preactivation", "input"))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))


def test_orthogonal_weights_have_the_same_limit():
    network = mf.Ensemble("tanh", 2.5, 0.3, weights="orthogonal")
    for field in FIELDS:
        expected = getattr(mf.circle_theory(CHAOTIC, 6), field)
        np.testing.assert_array_equal(getattr(mf.circle_theory(network, 6), field), expected)


def test_a_function_of_ones_own_gives_what_the_name_gives():
    own = mf.circle_theory(mf.Ensemble(np.tanh, 2.5, 0.3), 6, q=1.0)
    named = mf.circle_theory(CHAOTIC, 6, q=1.0)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(own, field), getattr(named, field), rtol=1e-9)


def test_missing_q_is_the_fixed_point_in_every_layer():
    circle = mf.circle_theory(CHAOTIC, 3)
    np.testing.assert_array_equal(circle.q, np.full(3, mf.fixed_point(CHAOTIC).q))
    given = mf.circle_theory(CHAOTIC, 3, q=circle.q)
    np.testing.assert_array_equal(given.gauss_metric, circle.gauss_metric)


# ---- beyond the range of a float


def test_what_overflows_is_inf_and_its_logarithm_is_not():
    network = mf.Ensemble("tanh", 4.0, 0.3)
    point = mf.fixed_point(network)
    circle = mf.circle_theory(network, 5000)
    slope = np.log(point.chi_1)
    np.testing.assert_allclose(
        circle.log_metric, np.log(point.q) + slope * np.arange(5000), rtol=1e-11
    )
    assert np.isinf(circle.metric[-1])
    assert np.isinf(circle.grassmannian_length[-1])
    assert circle.curvature_squared[-1] == pytest.approx(
        3 * point.chi_2 / (point.chi_1 * (point.chi_1 - 1)), rel=1e-12
    )
    assert circle.log_gauss_metric[-1] == pytest.approx(
        circle.log_metric[-1] + np.log(circle.curvature_squared[-1]), rel=1e-14
    )


def test_what_underflows_is_0_and_its_logarithm_is_not():
    circle = mf.circle_theory(mf.Ensemble("tanh", 0.3, 0.3), 2000)
    assert circle.metric[-1] == 0
    assert np.isfinite(circle.log_metric).all()
    assert np.isinf(circle.curvature_squared[-1])
    assert np.isfinite(circle.grassmannian_length).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sigma_w", [0.0, 1e-200, 1.3, 1e10])
@pytest.mark.parametrize("q", [0.0, 1e-300, 1.0, 1e20])
def test_extremes_give_no_nan(name, sigma_w, q):
    circle = mf.circle_theory(mf.Ensemble(name, sigma_w, 0.5), 30, q=q)
    for field in (*FIELDS, "log_metric", "log_gauss_metric"):
        assert not np.isnan(getattr(circle, field)).any()
        if not field.startswith("log"):
            assert (getattr(circle, field) >= 0).all()


def test_layers_without_weights_leave_a_point_whose_turning_has_a_limit():
    circle = mf.circle_theory(mf.Ensemble("tanh", 0.0, 0.5), 3, q=1.0)
    faint = mf.circle_theory(mf.Ensemble("tanh", 1e-6, 0.5), 3, q=1.0)
    assert circle.metric.tolist() == [1.0, 0.0, 0.0]
    assert circle.curvature_squared.tolist() == [1.0, np.inf, np.inf]
    np.testing.assert_allclose(circle.gauss_metric, faint.gauss_metric, rtol=1e-10)


def test_a_constant_phi_has_no_gauss_map():
    flat = mf.Activation(np.ones_like, np.zeros_like, np.zeros_like, name="one")
    circle = mf.circle_theory(mf.Ensemble(flat, 1.0, 0.5), 3, q=1.0)
    assert circle.metric.tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(circle.gauss_metric[1:]).all()


# ---- the autocorrelation


def test_the_autocorrelation_iterates_the_correlation_map():
    angle = np.linspace(-7, 7, 15).reshape(3, 5)
    c = mf.circle_autocorrelation(CHAOTIC, angle, 4)
    assert c.shape == (4, 3, 5)
    expected = np.cos(angle)
    for layer in range(4):
        np.testing.assert_allclose(c[layer], expected, atol=1e-14)
        expected = mf.correlation_map(CHAOTIC, expected)


def test_away_from_the_fixed_point_it_iterates_the_covariance_map():
    angle = np.linspace(0, np.pi, 7)
    q = mf.propagate(CHAOTIC, 5, q=0.4).q
    c = mf.circle_autocorrelation(CHAOTIC, angle, 5, q=0.4, start="input")
    covariance = (0.4 - 0.09) * np.cos(angle) + 0.09
    for layer in range(5):
        np.testing.assert_allclose(c[layer] * q[layer], covariance, atol=1e-14)
        covariance = mf.covariance_map(
            CHAOTIC, q[layer], q[layer], np.clip(covariance, None, q[layer])
        )


def test_a_single_angle_gives_one_number_a_layer():
    c = mf.circle_autocorrelation(CHAOTIC, 0.5, 3)
    assert c.shape == (3,)
    assert mf.circle_autocorrelation(CHAOTIC, [], 3).shape == (3, 0)
    np.testing.assert_array_equal(mf.circle_autocorrelation(CHAOTIC, 0.0, 3), np.ones(3))


def test_far_points_of_a_chaotic_circle_come_to_the_fixed_point():
    c = mf.circle_autocorrelation(CHAOTIC, [0.1, 1.0, 3.0], 200)
    np.testing.assert_allclose(c[-1], mf.fixed_point(CHAOTIC).c, atol=1e-12)


def test_an_autocorrelation_of_lengths_that_diverge_stays_a_correlation():
    c = mf.circle_autocorrelation(mf.Ensemble("gelu", 5.0, 0.3), [0.3, 3.0], 400, q=1.0)
    assert (np.abs(c) <= 1).all()
