"""Level sets of a user's network: gradients, Hessians and curvatures against other routes."""

import itertools
import re

import numpy as np
import pytest

import meanfree as mf
from meanfree.manifold import level_set_curvature, level_set_hessian, level_set_hessians

SIZES = (7, 9, 5, 8, 3)  # input, h^1 ... h^4


def _network(sizes=SIZES, seed=1, gain=1.5):
    rng = np.random.default_rng(seed)
    weights = [
        gain / np.sqrt(n_in) * rng.standard_normal((n_out, n_in))
        for n_in, n_out in itertools.pairwise(sizes)
    ]
    biases = [0.3 * rng.standard_normal(n) for n in sizes[1:]]
    return weights, biases, rng.standard_normal(sizes[-1]), rng.standard_normal(sizes[0])


def _layers(weights, biases, point):
    """Return x, h^1 ... h^L of tanh, also of complex arguments."""
    values = [point]
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        values.append(w @ (values[-1] if layer == 0 else np.tanh(values[-1])) + b)
    return values


def _gradient(weights, biases, readout, values, first):
    """Return the gradient after layer `first` by the chain rule."""
    delta = readout
    for layer in range(len(weights) - 1, first - 1, -1):
        delta = weights[layer].T @ delta
        if layer > 0:
            delta = (1.0 - np.tanh(values[layer]) ** 2) * delta
    return delta


def _hessian(weights, biases, readout, point, first=0):
    """Differentiate the gradient by a complex step, which loses no digits."""
    step = 1e-100
    start = _layers(weights, biases, point)[first]
    columns = []
    for j in range(start.size):
        h = start.astype(complex)
        h[j] += step * 1j
        values = [None] * first + [h]
        for layer in range(first, len(weights)):
            x = values[-1] if layer == 0 else np.tanh(values[-1])
            values.append(weights[layer] @ x + biases[layer])
        columns.append(_gradient(weights, biases, readout, values, first).imag / step)
    return np.array(columns)


def _principal(gradient, hessian):
    """Diagonalise in an orthonormal basis of the tangent space."""
    norm = np.linalg.norm(gradient)
    tangent = np.linalg.svd(gradient[None, :])[2][1:]
    return np.linalg.eigvalsh(tangent @ hessian @ tangent.T / norm)[::-1]


def test_gradients_and_hessians_of_all_layers_are_those_of_a_complex_step():
    weights, biases, readout, point = _network()
    found = level_set_hessians(weights, biases, "tanh", readout, point)
    values = _layers(weights, biases, point)
    assert len(found) == len(SIZES)
    for layer, item in enumerate(found):
        gradient = _gradient(weights, biases, readout, values, layer)
        hessian = _hessian(weights, biases, readout, point, layer)
        assert item.value == pytest.approx(readout @ values[-1], rel=1e-14)
        np.testing.assert_allclose(item.gradient, gradient, rtol=0, atol=1e-14 * 10)
        np.testing.assert_allclose(item.hessian, hessian, rtol=0, atol=1e-14 * 10)
        np.testing.assert_array_equal(item.hessian, item.hessian.T)
        alone = level_set_hessian(weights, biases, "tanh", readout, point, layer=layer)
        np.testing.assert_array_equal(alone.hessian, item.hessian)
        np.testing.assert_array_equal(alone.gradient, item.gradient)
    assert not found[-1].hessian.any()


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "gelu", "silu", "softplus", "arctan"])
def test_gradient_and_hessian_agree_with_differences_of_the_value(name):
    weights, biases, readout, point = _network(seed=3)
    phi = mf.activation(name)

    def value(x):
        h = weights[0] @ x + biases[0]
        for w, b in zip(weights[1:], biases[1:], strict=True):
            h = w @ phi(h) + b
        return readout @ h

    def differences(along, step):
        f = [value(point + k * step * along) for k in (-2, -1, 0, 1, 2)]
        first = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * step)
        second = (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / (12 * step**2)
        return np.array([first, second])

    found = level_set_hessian(weights, biases, name, readout, point)
    rng = np.random.default_rng(5)
    step, size = 1e-3, np.sum(np.abs(readout)) * 10
    # of fourth order: twice the step has 16 times the error; beside it, the rounding of G
    rounding = size * 2.0**-52 * np.array([1 / step, 4 / step**2])
    for _ in range(5):
        along = rng.standard_normal(point.size)
        along /= np.linalg.norm(along)
        exact = np.array([found.gradient @ along, along @ found.hessian @ along])
        fine, coarse = differences(along, step), differences(along, 2 * step)
        allowed = 0.1 * np.abs(fine - coarse) + rounding
        assert (np.abs(exact - fine) < allowed).all()
        assert (allowed < [1e-9, 1e-7]).all()


def test_principal_curvatures_are_those_of_the_hessian_in_the_tangent_space():
    weights, biases, readout, point = _network()
    found = level_set_curvature(weights, biases, "tanh", readout, point)
    hessians = level_set_hessians(weights, biases, "tanh", readout, point)
    for layer, (values, item) in enumerate(zip(found.principal, hessians, strict=True)):
        expected = _principal(item.gradient, item.hessian)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13)
        assert found.gradient_norm[layer] == pytest.approx(np.linalg.norm(item.gradient), rel=1e-13)
        assert found.mean_square[layer] == pytest.approx(np.mean(expected**2), rel=1e-12)
    assert found.residual == 0.0
    assert "widths 7, 9, 5, 8, 3" in repr(found)


def test_a_sphere_has_the_curvature_of_its_radius_wherever_newton_starts():
    square = mf.Activation(np.square, lambda x: 2 * x, lambda x: 2 + 0 * x, name="square")
    rng = np.random.default_rng(2)
    for radius in (1e-3, 1.0, 50.0):
        found = level_set_curvature(
            [np.eye(6), np.ones((1, 6))],
            None,
            square,
            [1.0],
            rng.standard_normal(6),
            level=radius**2,
        )
        np.testing.assert_allclose(found.principal[0], 1.0 / radius, rtol=1e-13)
        assert np.linalg.norm(found.point) == pytest.approx(radius, rel=1e-14)
        assert found.residual < 1e-14 * radius


def test_curvature_changes_sign_with_the_side_and_scales_with_the_input():
    weights, biases, readout, point = _network()
    found = level_set_curvature(weights, biases, "tanh", readout, point).principal[0]
    other = level_set_curvature(weights, biases, "tanh", -readout, point).principal[0]
    np.testing.assert_allclose(other, -found[::-1], rtol=0, atol=1e-14)
    weights[0] = weights[0] / 2.0
    wide = level_set_curvature(weights, biases, "tanh", readout, 2.0 * point).principal[0]
    np.testing.assert_allclose(wide, found / 2.0, rtol=0, atol=1e-14)


def test_a_scale_far_from_one_changes_nothing_but_the_gradient():
    weights, biases, readout, point = _network()
    found = level_set_curvature(weights, biases, "tanh", readout, point)
    small = level_set_curvature(weights, biases, "tanh", 1e-250 * readout, point)
    for a, b in zip(found.principal, small.principal, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-14)
    np.testing.assert_allclose(small.gradient_norm, 1e-250 * found.gradient_norm, rtol=1e-12)


def test_a_users_function_gives_what_the_built_in_one_gives():
    user = mf.Activation(
        np.tanh,
        lambda x: 1 / np.cosh(x) ** 2,
        lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2,
        name="mine",
    )
    weights, biases, readout, point = _network()
    ours = level_set_curvature(weights, biases, user, readout, point)
    built_in = level_set_curvature(weights, biases, "tanh", readout, point)
    np.testing.assert_allclose(ours.principal[0], built_in.principal[0], rtol=0, atol=1e-13)


def test_a_level_that_newton_does_not_reach_is_said():
    weights, biases, readout, point = _network()
    with pytest.raises(ValueError, match=r"level must be reached by Newton's steps.*got 1000.0"):
        level_set_curvature(weights, biases, "tanh", readout, point, level=1000.0)


def test_where_the_gradient_is_zero_there_is_no_normal_but_a_hessian():
    square = mf.Activation(np.square, lambda x: 2 * x, lambda x: 2 + 0 * x, name="square")
    network = ([np.eye(2), [[1.0, 3.0]]], None, square, [1.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="the gradient of G is 0 in layer 1 at the point found"):
        level_set_curvature(*network)
    found = level_set_hessian(*network)
    assert found.gradient.tolist() == [0.0, 0.0]
    assert found.hessian.tolist() == [[2.0, 0.0], [0.0, 6.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": []}, "weights must hold at least one matrix, got none"),
        ({"weights": [np.ones(3)]}, "weights[0] must be a matrix that is not empty, got shape (3"),
        (
            {"weights": [np.ones((2, 3)), np.ones((1, 4))]},
            "weights[1] must have 2 columns, as many as weights[0] has rows, got shape (1, 4)",
        ),
        ({"biases": []}, "biases must be None or 2 vectors, one a layer, got 0"),
        ({"biases": [np.ones(2), np.ones(2)]}, "biases[1] must have shape (1,), got (2,)"),
        ({"readout": [1.0, 2.0]}, "readout must have shape (1,), got (2,)"),
        ({"readout": [np.inf]}, "readout must be finite, got inf at index 0"),
        ({"point": np.ones(2)}, "point must have shape (3,), got (2,)"),
    ],
)
@pytest.mark.parametrize("function", [level_set_curvature, level_set_hessian, level_set_hessians])
def test_bad_values_of_a_users_network(function, change, message):
    arguments = {
        "weights": [np.ones((2, 3)), np.ones((1, 2))],
        "biases": None,
        "activation": "tanh",
        "readout": [1.0],
        "point": np.ones(3),
    } | change
    with pytest.raises(ValueError, match=re.escape(message)):
        function(**arguments)


def test_pre_activations_that_overflow_are_said():
    with pytest.raises(ValueError, match="the pre-activations overflow"):
        level_set_curvature([[[1e200]], [[1e200]]], None, "linear", [1.0], [1e10])


def test_a_plot_shows_all_curvatures_by_layer():
    weights, biases, readout, point = _network()
    ax = level_set_curvature(weights, biases, "tanh", readout, point).plot()
    assert ax.lines[0].get_xdata().tolist() == [0] * 6 + [1] * 8 + [2] * 4 + [3] * 7 + [4] * 2


def test_bad_kinds():
    with pytest.raises(TypeError, match="weights must be a sequence of arrays, got 3"):
        level_set_hessian(3, None, "tanh", [1.0], [1.0])
    square = [np.ones((1, 1))]
    with pytest.raises(ValueError, match=re.escape("layer must be an integer in [0, 1], got 2")):
        level_set_hessian(square, None, "tanh", [1.0], [1.0], layer=2)
    with pytest.raises(ValueError, match="level must be finite, got inf"):
        level_set_curvature(square, None, "tanh", [1.0], [1.0], level=np.inf)
