"""Hessians of networks: closed forms, symmetries, and that no way of cutting the work matters."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hessian_nets import network, relative, samples

from meanfree import _core
from meanfree.hessian import MLP, _problem
from meanfree.landscape import linear_saddle


def moved(array, offset):
    """Return a copy that begins so many numbers after a border of 64 bytes."""
    memory = np.empty(array.size + 16)
    first = -(memory.ctypes.data // 8) % 8 + offset
    copy = memory[first : first + array.size].reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("modes", [(), (0,), (1,), (0, 2), (0, 1)])
def test_saddles_of_linear_networks_have_their_known_spectrum_and_index(modes):
    random = np.random.default_rng(0)
    u, v = (np.linalg.qr(random.standard_normal((k, k)))[0] for k in (4, 5))
    matrix = u[:, :3] @ np.diag([3.0, 2.0, 0.5]) @ v[:, :3].T
    saddle = linear_saddle(matrix, 2, modes)
    # inputs with mean 0 and covariance 1; then the loss is that of the linear map, but for a
    # constant, and the biases do not mix with the weights
    x = np.sqrt(5.0) * np.concatenate([np.eye(5), -np.eye(5)])
    net = MLP(saddle.weights, None, "linear")
    hessian = net.hessian(x, x @ matrix.T)
    keep = np.r_[0:10, 12:20]
    found = np.linalg.eigvalsh(hessian[np.ix_(keep, keep)])
    np.testing.assert_allclose(found, saddle.eigenvalues, atol=1e-13)
    assert np.sum(found < -1e-10) == saddle.index
    assert np.abs(net.gradient(x, x @ matrix.T)).max() < 1e-14


@pytest.mark.parametrize(
    ("sizes", "n_samples"),
    [
        ((50, 3, 46, 3), 7),  # pairs of inputs, and of units, in several tiles
        ((5, 30, 40, 2), 10),  # weights of a layer in several tiles
        ((3, 40, 30), 10),  # also those of the last
        # too large to be multiplied without packing
        pytest.param((52, 40, 1), 9, marks=pytest.mark.slow),
        ((2, 16, 16, 1), 12000),  # more samples than the memory of one group
        ((1, 1, 1), 1),
        ((1, 1), 300),
    ],
)
@pytest.mark.parametrize("kind", ["full", "gauss_newton"])
def test_products_are_those_with_the_matrix(sizes, n_samples, kind):
    net = network(sizes)
    x, y = samples(net, n_samples)
    hessian = net.hessian(x, y, kind=kind, n_threads=2)
    vectors = np.random.default_rng(2).standard_normal((2, net.n_parameters))
    assert relative(net.hvp(x, y, vectors, kind=kind), vectors @ hessian) < 1e-12
    np.testing.assert_array_equal(hessian, hessian.T)


def test_products_are_slopes_of_the_gradient():
    net = network((6, 5, 4, 3), "softplus", "cross_entropy")
    x, y = samples(net, 40)
    w, v = net.parameters, np.random.default_rng(2).standard_normal(net.n_parameters)
    near, far = (
        (
            net.with_parameters(w + h * v).gradient(x, y)
            - net.with_parameters(w - h * v).gradient(x, y)
        )
        / (2 * h)
        for h in (1e-3, 2e-3)
    )
    # the error of the formula is h^4 times a fifth derivative, that of rounding 1e-16 / h
    assert relative(net.hvp(x, y, v), (4 * near - far) / 3) < 1e-9


def test_samples_count_alike_wherever_they_stand():
    net = network((4, 6, 3), "gelu", "cross_entropy")
    x, y = samples(net, 1000)
    whole = net.hessian(x, y)
    parts = [(part, x[part], y[part]) for part in (slice(0, 130), slice(130, 1000))]
    mean = sum(len(a) * net.hessian(a, b) for _, a, b in parts) / 1000
    assert relative(mean, whole) < 1e-13
    assert relative(net.hessian(x[::-1], y[::-1]), whole) < 1e-13


def test_permuted_units_permute_the_hessian():
    net = network((3, 4, 5, 2))
    x, y = samples(net, 20)
    order = np.array([2, 0, 3, 1])
    first, second, third = net.weights
    weights = [first[order], second[:, order], third]
    other = MLP(weights, [net.biases[0][order], *net.biases[1:]])
    numbers = net.with_parameters(np.arange(float(net.n_parameters)))
    one, two, three = numbers.weights
    places = MLP(
        [one[order], two[:, order], three], [numbers.biases[0][order], *numbers.biases[1:]]
    ).parameters.astype(int)
    expected = net.hessian(x, y)[np.ix_(places, places)]
    assert relative(other.hessian(x, y), expected) < 1e-13


def test_bits_do_not_depend_on_the_number_of_threads():
    net = network((10, 8, 6, 4), "silu", "cross_entropy")
    x, y = samples(net, 700)
    vectors = np.random.default_rng(2).standard_normal((5, net.n_parameters))
    one, three = (net.hessian(x, y, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)
    one, three = (net.hvp(x, y, vectors, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("sizes", [(9, 5, 3), (3, 1, 1), (4, 7, 1, 2)])
@pytest.mark.parametrize("cross_entropy", [False, True])
def test_bits_do_not_depend_on_where_the_arrays_lie(sizes, cross_entropy):
    net = network(sizes)
    x, y = samples(net, 37)
    if cross_entropy:
        y = np.abs(y) / np.abs(y).sum(axis=1, keepdims=True)
    v = np.random.default_rng(2).standard_normal((2, net.n_parameters))

    def results(offset):
        w, a, b, u = (moved(array, offset) for array in (net.parameters, x, y, v))
        given = (list(sizes), w, cross_entropy)
        value, gradient, tape = _core.mlp_tape(net.activation.core, *given, a, b)
        rest = (len(x), moved(tape, offset), True)
        products = _core.mlp_hvp(*given, *rest, u, 1, None)
        return [[value], gradient, tape, products, _core.mlp_hessian(*given, *rest, 1, None)]

    expected = results(0)
    for offset in range(1, 8):
        for found, wanted in zip(results(offset), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_cross_entropy_ignores_a_common_shift_of_the_outputs():
    net = network((4, 3, 5), "tanh", "cross_entropy")
    x, y = samples(net, 30)
    eigenvalues = net.eigenvalues(x, y)
    # rows of the last matrix plus a common vector, and the biases plus a number: 3 + 1
    assert np.sum(np.abs(eigenvalues) < 1e-13 * np.abs(eigenvalues).max()) == 4
    assert (np.diff(eigenvalues) >= 0.0).all()
    shifted = MLP(net.weights, [net.biases[0], net.biases[1] + 1e3], "tanh", "cross_entropy")
    assert shifted.value(x, y) == pytest.approx(net.value(x, y), rel=1e-12)


def test_a_problem_is_the_loss_as_a_function_of_the_parameters():
    net = network((3, 4, 2))
    x, y = samples(net, 12)
    problem = net.problem(x, y)
    w = problem.start + np.random.default_rng(2).standard_normal((2, 3, problem.dimension))
    v = np.random.default_rng(3).standard_normal((3, problem.dimension))
    shapes = [f(w).shape for f in (problem.value, problem.gradient, problem.hessian)]
    n = problem.dimension
    assert shapes == [(2, 3), (2, 3, n), (2, 3, n, n)]
    moved = net.with_parameters(w[1, 2])
    assert problem.value(w)[1, 2] == moved.value(x, y) == problem.value(w[1, 2])
    np.testing.assert_array_equal(problem.gradient(w)[1, 2], moved.gradient(x, y))
    np.testing.assert_array_equal(problem.hessian(w)[1, 2], moved.hessian(x, y))
    np.testing.assert_array_equal(problem.hvp(w, v)[1, 2], moved.hvp(x, y, v[2]))
    assert problem.hvp(w[0, 0], v).shape == (3, n)


def test_a_problem_may_have_the_gauss_newton_matrix_for_its_hessian():
    net = network((3, 4, 2))
    x, y = samples(net, 12)
    problem = net.problem(x, y, kind="gauss_newton")
    w, v = problem.start, np.random.default_rng(3).standard_normal(problem.dimension)
    np.testing.assert_array_equal(problem.hessian(w), net.hessian(x, y, kind="gauss_newton"))
    np.testing.assert_array_equal(problem.hvp(w, v), net.hvp(x, y, v, kind="gauss_newton"))
    np.testing.assert_array_equal(problem.gradient(w), net.gradient(x, y))
    assert not np.allclose(problem.hessian(w), net.hessian(x, y))
    with pytest.raises(ValueError, match="kind must be"):
        net.problem(x, y, kind="fisher")
    gradient = problem.gradient(problem.start)
    gradient[:] = 0.0  # is the caller's
    np.testing.assert_array_equal(problem.gradient(problem.start), net.gradient(x, y))


def test_a_problem_computes_points_that_are_asked_for_together_once(monkeypatch):
    net = network((3, 4, 2))
    problem = net.problem(*samples(net, 12))
    made, make = [], problem._make
    monkeypatch.setattr(problem, "_make", lambda w: made.append(w) or make(w))
    w = np.random.default_rng(0).standard_normal((5, problem.dimension))
    products = [problem.hvp(w, g) for g in (problem.gradient(w), w, w)]
    assert len(made) == 5
    problem.gradient(problem.start)
    assert len(problem._kept) == 5  # the newest
    # of too many the first ones stay
    small = net.problem(*samples(net, 12))
    monkeypatch.setattr(_problem, "_KEPT", 2 * make(w[0]).n_bytes)
    made, make = [], small._make
    monkeypatch.setattr(small, "_make", lambda w: made.append(w) or make(w))
    for expected, v in zip(products, (small.gradient(w), w, w), strict=True):
        np.testing.assert_array_equal(small.hvp(w, v), expected)
    assert len(small._kept) == 2
    assert len(made) == 5 + 3 * 3


def test_threads_may_share_a_problem():
    net = network((2, 3, 1))
    problem = net.problem(*samples(net, 5))
    points = [problem.start + 0.1 * k for k in range(6)]
    expected = [problem.gradient(w) for w in points]

    def ask(seed):
        order = np.random.default_rng(seed).integers(0, 6, 300)
        return all(np.array_equal(problem.gradient(points[k]), expected[k]) for k in order)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))
