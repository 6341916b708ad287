"""Decision boundaries of random networks: points, curvatures, the prediction for wide layers."""

import re

import numpy as np
import pytest

import meanfree as mf
from meanfree.manifold import boundary_curvature, level_set_curvature


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_points_lie_on_the_boundary_of_their_networks_and_have_its_curvatures(weights):
    ensemble = mf.Ensemble("tanh", 2.0, 0.3, weights=weights)
    found = boundary_curvature(ensemble, 20, 4, n_points=3, seed=9, progress=False)
    assert found.principal.shape == (3, 4, 19)
    for i in range(3):
        matrices, biases, readout = found.network(i)
        if weights == "orthogonal":
            for w in matrices:
                np.testing.assert_allclose(w @ w.T, 4.0 * np.eye(20), rtol=0, atol=1e-13)
        # h^1 is the input there: a first layer that does nothing
        all_matrices = [np.eye(20), *matrices]
        all_biases = [np.zeros(20), *biases]
        alone = level_set_curvature(all_matrices, all_biases, "tanh", readout, found.points[i])
        assert alone.value == pytest.approx(found.level[i], abs=1e-14)
        assert found.residual[i] < 1e-14
        for layer in range(4):
            np.testing.assert_allclose(
                found.principal[i, layer], alone.principal[layer + 1], rtol=0, atol=1e-13
            )
        np.testing.assert_allclose(found.gradient_norm[i], alone.gradient_norm[1:], rtol=1e-13)
    assert not found.principal[:, -1].any()
    squares = np.mean(found.principal**2, axis=2)
    np.testing.assert_allclose(found.mean_square, squares.mean(axis=0), rtol=1e-14)
    error = squares.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found.mean_square_error, error, rtol=1e-14)


def test_a_given_level_is_reached():
    ensemble = mf.Ensemble("tanh", 3.0, 0.3)
    found = boundary_curvature(ensemble, 30, 3, n_points=4, level=0.25, progress=False)
    assert (found.level == 0.25).all()
    for i in range(4):
        matrices, biases, readout = found.network(i)
        h = found.points[i]
        for w, b in zip(matrices, biases, strict=True):
            h = w @ np.tanh(h) + b
        assert readout @ h == pytest.approx(0.25, abs=1e-14)
    # the arc keeps the length of the inputs, and Newton's steps are small: chi^2 of 120 units
    assert np.mean(found.points**2) / found.q == pytest.approx(1.0, abs=5 * np.sqrt(2 / 120))


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads():
    ensemble = mf.Ensemble("tanh", 2.0, 0.3)
    one, three = (
        boundary_curvature(ensemble, 24, 3, n_points=7, seed=4, n_threads=n) for n in (1, 3)
    )
    for name in ("points", "principal", "level", "gradient_norm", "residual"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    fewer = boundary_curvature(ensemble, 24, 3, n_points=2, seed=4)
    np.testing.assert_array_equal(fewer.principal, one.principal[:2])
    other = boundary_curvature(ensemble, 24, 3, n_points=2, seed=5)
    assert (other.principal[:, 0] != fewer.principal[:, 0]).all()


def test_the_prediction_at_rest_is_a_geometric_sum():
    ensemble = mf.Ensemble("erf", 2.5, 0.3)
    point = mf.fixed_point(ensemble)
    found = boundary_curvature(ensemble, 10, 6, n_points=2)
    source = point.chi_2 / (10 * point.chi_1)
    powers = np.arange(5, -1, -1)
    expected = source * (point.chi_1**powers - 1.0) / (point.chi_1 - 1.0)
    np.testing.assert_allclose(found.theory, expected, rtol=1e-13)


def test_the_prediction_away_from_rest_takes_the_length_of_each_layer():
    # sin: E phi'^2 = (1 + e^-2q) / 2 and E phi''^2 = E phi^2 = (1 - e^-2q) / 2
    sigma_w, sigma_b, q = 1.4, 0.2, 3.0
    found = boundary_curvature(mf.Ensemble("sin", sigma_w, sigma_b), 12, 4, n_points=2, q=q)
    lengths = [q]
    for _ in range(3):
        lengths.append(sigma_w**2 * (1 - np.exp(-2 * lengths[-1])) / 2 + sigma_b**2)
    expected = [0.0]
    for q_l in lengths[2::-1]:
        chi_1 = sigma_w**2 * (1 + np.exp(-2 * q_l)) / 2
        chi_2 = sigma_w**2 * (1 - np.exp(-2 * q_l)) / 2
        expected.insert(0, chi_1 * expected[0] + chi_2 / (12 * chi_1))
    np.testing.assert_allclose(found.theory, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "sigma_w", "weights", "q"),
    [
        pytest.param("tanh", 1.3, "gaussian", None),
        pytest.param("tanh", 4.0, "gaussian", None, marks=pytest.mark.slow),
        pytest.param("tanh", 1.3, "orthogonal", None, marks=pytest.mark.slow),
        pytest.param("gelu", 1.5, "gaussian", 1.0, marks=pytest.mark.slow),
        pytest.param("tanh", 2.0, "gaussian", 0.2, marks=pytest.mark.slow),
    ],
)
def test_networks_of_two_widths_lead_to_the_prediction(name, sigma_w, weights, q):
    ensemble = mf.Ensemble(name, sigma_w, 0.3, weights=weights)
    depth, width = 5, 128
    ratios = []
    for n, n_points in ((width, 64), (width // 2, 128)):
        found = boundary_curvature(ensemble, n, depth, n_points=n_points, seed=n, q=q)
        scale = found.theory[:-1]
        ratios.append((found.mean_square[:-1] / scale, found.mean_square_error[:-1] / scale))
    (wide, wide_error), (narrow, narrow_error) = ratios
    # free of 1/N; what is left is L/N times as large as what the two widths differ by
    limit = 2 * wide - narrow
    error = np.sqrt(4 * wide_error**2 + narrow_error**2)
    bound = 4 * depth / width * np.abs(wide - narrow)
    assert (np.abs(limit - 1.0) < 4 * error + bound).all()
    assert (error < 0.35).all()


def test_the_boundary_of_a_relu_network_is_flat_and_its_prediction_infinite():
    found = boundary_curvature(mf.Ensemble("relu", 1.4, 0.1), 20, 3, n_points=3, q=1.0)
    assert not found.principal.any()
    assert found.theory.tolist() == [np.inf, np.inf, 0.0]
    assert "all curvature is on the kinks" in repr(found)
    straight = boundary_curvature(mf.Ensemble("linear", 1.0), 20, 3, n_points=3, q=1.0)
    assert not straight.theory.any()


def test_one_layer_is_flat():
    found = boundary_curvature(mf.Ensemble("tanh", 2.0), 5, 1, n_points=2)
    assert found.principal.shape == (2, 1, 4)
    assert not found.principal.any()
    assert found.theory.tolist() == [0.0]


def test_a_boundary_is_found_deep_in_the_ordered_phase_where_g_hardly_changes():
    found = boundary_curvature(mf.Ensemble("tanh", 0.8, 0.3), 40, 25, n_points=3, seed=1)
    assert found.residual.max() < 1e-9  # the gradient is 1e-7 of |w|, and the rounding of G 1e-16
    assert np.isfinite(found.principal).all()
    assert (found.gradient_norm[:, 0] < 1e-2).all()


def test_a_plot_shows_the_curvature_the_theory_and_the_extremes():
    found = boundary_curvature(mf.Ensemble("tanh", 2.0, 0.3), 20, 4, n_points=4)
    ax = found.plot()
    assert ax.get_yscale() == "log"
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.sqrt(found.mean_square[:-1]))
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), np.sqrt(found.theory[:-1]))
    assert "BoundaryCurvature of Ensemble('tanh'" in repr(found)
    flat = boundary_curvature(mf.Ensemble("relu", 1.4, 0.1), 20, 3, n_points=3, q=1.0).plot()
    np.testing.assert_array_equal(flat.lines[0].get_ydata(), [0.0, 0.0, 0.0])


def test_a_level_that_no_input_crosses_is_said():
    tanh = mf.Ensemble("tanh", 2.0, 0.3)
    message = (
        r"level must lie between the values of G at two inputs, got 100: "
        r"G lies in \[-?[\d.]+, -?[\d.]+\] at 20 random inputs of network 0"
    )
    with pytest.raises(ValueError, match=message):
        boundary_curvature(tanh, 20, 3, level=100.0, n_inputs=20, n_threads=1)
    nothing = mf.Ensemble("tanh", 0.0, 0.3)
    message = r"G must not be the same at all inputs, got \S+ at 256 random inputs of network 0"
    with pytest.raises(ValueError, match=message):
        boundary_curvature(nothing, 20, 3, n_threads=1)
    with pytest.raises(ValueError, match="two inputs, got 0: G is "):
        boundary_curvature(nothing, 20, 3, level=0, n_threads=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 1}, "width must be an integer in [2, 2**31 - 1], got 1"),
        ({"depth": 0}, "depth must be an integer in [1, 2**31 - 1], got 0"),
        ({"n_points": 1}, "n_points must be an integer in [2, 2**31 - 1], got 1"),
        ({"n_inputs": 1}, "n_inputs must be an integer in [2, 2**24 - 1], got 1"),
        ({"seed": -1}, "seed must be an integer in [0, 2**64 - 1], got -1"),
        ({"q": 0.0}, "q must be finite and > 0, got 0.0"),
        ({"level": np.nan}, "level must be finite, got nan"),
        ({"n_threads": 0}, "n_threads must be an integer in [1, 32768], got 0"),
        (
            {"ensemble": mf.Ensemble("tanh", 2.0, 0.3, keep=0.5)},
            "keep must be 1 for a decision boundary, got 0.5",
        ),
        ({"ensemble": mf.Ensemble("relu", 2.0, 0.3)}, "q must be given: "),
        ({"ensemble": mf.Ensemble("tanh", 0.5)}, "q must be given: "),
    ],
)
def test_bad_values_of_random_networks(change, message):
    arguments = {"ensemble": mf.Ensemble("tanh", 2.0, 0.3), "width": 8, "depth": 2} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        boundary_curvature(**arguments)


def test_bad_kinds():
    with pytest.raises(TypeError, match="ensemble must be an Ensemble, got 'tanh'"):
        boundary_curvature("tanh", 8, 2)
    found = boundary_curvature(mf.Ensemble("tanh", 2.0, 0.3), 8, 2, n_points=2)
    with pytest.raises(ValueError, match=re.escape("index must be an integer in [0, 1], got 2")):
        found.network(2)
