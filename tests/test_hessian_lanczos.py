"""Extreme eigenvalues and spectral densities of Hessians by Lanczos steps."""

import numpy as np
import pytest
from hessian_nets import network, samples

from meanfree.hessian import MLP
from meanfree.hessian._lanczos import extreme

NET = network((12, 8, 5), "tanh", "cross_entropy")
X, Y = samples(NET, 60)
EXACT = NET.eigenvalues(X, Y)
HESSIAN = NET.hessian(X, Y)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("largest", EXACT[-6:]),
        ("smallest", EXACT[:6]),
        ("magnitude", np.sort(EXACT[np.argsort(-np.abs(EXACT))[:6]])),
    ],
)
def test_extreme_eigenvalues_are_those_of_the_matrix(which, expected):
    ritz = NET.extreme_eigenvalues(X, Y, 6, which=which)
    scale = np.abs(EXACT).max()
    assert ritz.converged.all()
    np.testing.assert_allclose(ritz.values, expected, atol=1e-13 * scale)
    off = HESSIAN @ ritz.vectors - ritz.vectors * ritz.values
    residuals = np.linalg.norm(off, axis=0)
    np.testing.assert_allclose(ritz.residuals, residuals, atol=1e-14 * scale)
    assert residuals.max() <= 1e-10 * scale
    np.testing.assert_allclose(ritz.vectors.T @ ritz.vectors, np.eye(6), atol=1e-13)


def test_many_steps_make_no_copies_of_an_eigenvalue():
    ritz = NET.extreme_eigenvalues(X, Y, 60, tol=1e-13)
    assert ritz.n_steps > 60
    np.testing.assert_allclose(ritz.values, EXACT[-60:], atol=1e-13 * EXACT[-1])


def test_values_that_did_not_converge_are_flagged():
    ritz = NET.extreme_eigenvalues(X, Y, 6, max_steps=9)
    assert ritz.n_steps == 9
    assert not ritz.converged.all()
    np.testing.assert_array_equal(ritz.converged, ritz.residuals <= 1e-10 * ritz.values[-1])
    # an eigenvalue lies within the residual of each
    distance = np.abs(ritz.values[:, None] - EXACT).min(axis=1)
    assert (distance <= ritz.residuals + 1e-14).all()


def test_a_network_that_is_dead_has_a_hessian_of_few_directions():
    net = MLP([-np.ones((3, 2)), np.ones((2, 3))], None, "relu")
    x, y = np.ones((4, 2)), np.ones((4, 2))
    np.testing.assert_array_equal(net.eigenvalues(x, y), [0.0] * 15 + [1.0] * 2)
    ritz = net.extreme_eigenvalues(x, y, 4)  # a start holds one direction of each eigenvalue
    assert ritz.converged.all()
    assert ritz.values[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("largest", [-1, 0, 0, 0, 0, 2]),
        ("smallest", [-3, -1, -1, 0, 0, 0]),
        ("magnitude", [-3, -1, -1, 0, 0, 2]),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_of_few_different_eigenvalues_the_copies_are_found(which, expected, scale):
    spectrum = np.repeat([-3.0, -1.0, 0.0, 2.0], [1, 2, 4, 1])
    q = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))[0]
    matrix = scale * ((q * spectrum) @ q.T)
    found = extreme(lambda v: v @ matrix, 8, 6, which=which, tol=1e-10, max_steps=8, seed=0)
    assert found.converged.all()
    np.testing.assert_allclose(found.values / scale, expected, atol=1e-13)


def test_all_eigenvalues_may_be_asked_for():
    net = network((1, 1), "linear")
    x, y = np.array([[1.0], [2.0]]), np.zeros((2, 1))
    ritz = net.extreme_eigenvalues(x, y, 2)
    np.testing.assert_allclose(ritz.values, net.eigenvalues(x, y), rtol=1e-13)


def test_quadrature_is_exact_for_polynomials_of_its_degree():
    found = NET.spectral_density(X, Y, n_probes=3, n_steps=4, seed=7)
    probes = np.random.default_rng(7).choice([-1.0, 1.0], size=(3, found.n))
    for k in range(8):
        exact = np.einsum("pi,ij,pj->p", probes, np.linalg.matrix_power(HESSIAN, k), probes)
        sums = np.sum(found.weights * found.nodes**k, axis=1)
        np.testing.assert_allclose(sums, exact / found.n, rtol=1e-11)


def test_moments_are_within_their_errors():
    found = NET.spectral_density(X, Y, n_probes=100, n_steps=3, seed=1)
    for k in (1, 2, 3):
        off = found.moment(k) - np.mean(EXACT**k)
        assert abs(off) < 4.0 * found.moment_error(k)
    assert found.moment(0) == pytest.approx(1.0, rel=1e-13)
    assert found.cdf(EXACT[-1] * 1.01) == pytest.approx(1.0, rel=1e-13)
    assert found.cdf(EXACT[0] - 1.0) == 0.0
    x = np.linspace(-3.0, 3.0, 2001)
    assert np.trapezoid(found.density(x, width=0.05), x) == pytest.approx(1.0, rel=1e-9)


def test_the_distribution_function_is_near_that_of_all_eigenvalues():
    found = NET.spectral_density(X, Y, n_probes=64, n_steps=60)
    points = np.quantile(EXACT, [0.2, 0.9, 0.97]) + 1e-6
    exact = np.searchsorted(EXACT, points, side="right") / EXACT.size
    # 64 probes of 149 entries: the weight of m eigenvalues has a variance below 2 m / (64 n^2)
    error = np.sqrt(2.0 * exact * EXACT.size / 64) / EXACT.size
    assert (np.abs(found.cdf(points) - exact) < 4.0 * error + 0.02).all()


def test_a_density_is_drawn_from_its_nodes():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    found = NET.spectral_density(X, Y, n_probes=2, n_steps=10)
    ax = found.plot(figure.subplots(), width=0.1)
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), found.density(line.get_xdata(), width=0.1))


def test_seeds_and_threads():
    one, two, other = (
        NET.spectral_density(X, Y, n_probes=4, n_steps=5, seed=seed, n_threads=n)
        for seed, n in ((1, 1), (1, 2), (2, 1))
    )
    np.testing.assert_array_equal(one.nodes, two.nodes)
    assert not np.array_equal(one.nodes, other.nodes)
