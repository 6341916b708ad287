"""Monte Carlo of curves, against plain numpy networks, differences, and the theory.

Means of N networks are compared within k standard errors, the seeds being fixed: 4.5 for each of
few quantities (p < 1e-5), 5 where there are hundreds.
"""

import numpy as np
import pytest
from scipy import stats

import meanfree as mf
from meanfree import _core
from meanfree.manifold import (
    curve_length,
    propagate_curve,
    simulate_circle,
    simulate_curve,
    turning_angle,
)
from meanfree.manifold._points import as_curve

NETWORK = mf.Ensemble("tanh", 1.8, 0.3)
ORTHOGONAL = mf.Ensemble("tanh", 1.8, 0.3, weights="orthogonal")
FIELDS = (
    "q",
    "metric",
    "curvature_squared",
    "gauss_metric",
    "euclidean_length",
    "grassmannian_length",
    "chord_length",
    "turning_angle",
)
METHODS = ("weights", "gram", "auto")
METHODS_OF_CORE = ("auto", "gram", "weights")
every_method = pytest.mark.parametrize("method", METHODS)
every_law = pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])


def angles(n):
    return 2 * np.pi * np.arange(n) / n


def unit_circle(n, radius=1.0):
    return radius * np.stack([np.cos(angles(n)), np.sin(angles(n))], axis=1)


def parts_of_network(e, parts, depth, *, width, seed=0, method=2, single=False, frame=0, scale=1.0):
    """h, v, a of the first network, (depth, 3, n_points, width); parts (3, n_points, n_in)."""
    start = np.ascontiguousarray(np.concatenate(parts))
    return _core.propagate_curve(
        e.activation.core, e.sigma_w, e.sigma_b, int(e.weights == "orthogonal"), width, depth,
        start, frame, scale, e.sigma_b, np.ones(len(parts[0])), True, 0, seed, method, single,
    )  # fmt: skip


def geometry(h, v, a, *, period=2 * np.pi):
    """The fields, by plain numpy from (..., n_points, width) arrays of a closed curve."""
    n = h.shape[-1]
    vv, aa, va = (np.sum(x * y, axis=-1) for x, y in ((v, v), (a, a), (v, a)))
    kappa = (vv * aa - va**2) / vv**3
    return {
        "q": np.mean(np.sum(h * h, axis=-1) / n, axis=-1),
        "metric": np.mean(vv / n, axis=-1),
        "curvature_squared": np.mean(n * kappa, axis=-1),
        "gauss_metric": np.mean(kappa * vv, axis=-1),
        "euclidean_length": period * np.mean(np.sqrt(vv / n), axis=-1),
        "grassmannian_length": period * np.mean(np.sqrt(kappa * vv), axis=-1),
        "chord_length": curve_length(h, closed=True) / np.sqrt(n),
        "turning_angle": turning_angle(h, closed=True),
    }


def plain_networks(e, width, depth, q, start, *, n_angles, n, seed):
    """The same networks in numpy, weights and all: fields (n, depth)."""
    rng = np.random.default_rng(seed)
    circle = unit_circle(n_angles).T
    parts = np.concatenate([circle, [-circle[1], circle[0]], -circle], axis=1)  # (2, 3 P)

    def matrix(columns):
        w = rng.standard_normal((n, width, columns))
        if e.weights == "gaussian":
            return e.sigma_w * w / np.sqrt(columns)
        w, r = np.linalg.qr(w)
        sign = np.sign(np.diagonal(r, axis1=1, axis2=2))[:, np.newaxis]
        return e.sigma_w * np.sqrt(width / columns) * w * sign

    if start == "preactivation":
        u = np.linalg.qr(rng.standard_normal((n, width, 2)))[0]
        h = np.sqrt(width * q) * u @ parts
    else:
        radius = np.sqrt(2 * (q - e.sigma_b**2)) / e.sigma_w
        h = matrix(2) @ (radius * parts)
        h[:, :, :n_angles] += e.sigma_b * rng.standard_normal((n, width, 1))
    layers = []
    while True:
        y, v, a = np.split(h, 3, axis=2)
        layers.append(geometry(*(part.swapaxes(1, 2) for part in (y, v, a))))
        if len(layers) == depth:
            break
        x = np.tanh(y)
        slope = 1 - x**2
        x = np.concatenate([x, slope * v, slope * (a - 2 * x * v**2)], axis=2)
        h = matrix(width) @ x
        h[:, :, :n_angles] += e.sigma_b * rng.standard_normal((n, width, 1))
    return {name: np.stack([layer[name] for layer in layers], axis=1) for name in FIELDS}


def distance(x, y):
    """Difference of the means over networks, in standard errors; y a number or a sample."""
    x, y = np.asarray(x), np.asarray(y)
    variance = x.var(axis=0, ddof=1) / len(x)
    if y.ndim > 0:
        variance = variance + y.var(axis=0, ddof=1) / len(y)
        y = y.mean(axis=0)
    return np.abs(x.mean(axis=0) - y) / np.sqrt(variance)


@pytest.fixture(scope="module")
def plain():
    cache = {}

    def get(weights, start):
        if (weights, start) not in cache:
            e = mf.Ensemble("tanh", 1.8, 0.3, weights=weights)
            cache[weights, start] = plain_networks(
                e, 10, 4, 1.2, start, n_angles=40, n=2500, seed=11
            )
        return cache[weights, start]

    return get


@pytest.mark.parametrize(
    ("weights", "start"),
    [
        ("gaussian", "preactivation"),
        pytest.param("orthogonal", "input", marks=pytest.mark.slow),
        pytest.param("gaussian", "input", marks=pytest.mark.slow),
        pytest.param("orthogonal", "preactivation", marks=pytest.mark.slow),
    ],
)
@every_method
def test_small_networks_have_the_law_of_plain_numpy_networks(plain, method, weights, start):
    e = mf.Ensemble("tanh", 1.8, 0.3, weights=weights)
    sample = simulate_circle(
        e, 10, 4, n_angles=40, n_samples=2500, seed=3, method=method, q=1.2, start=start
    )
    expected = plain(weights, start)
    for name in FIELDS:  # logarithms: the tails of the curvature are heavy
        found, wanted = np.log(getattr(sample, f"{name}_samples")), np.log(expected[name])
        varies = wanted.std(axis=0) > 1e-3  # a circle does not, an ellipse turns by 2 pi
        assert np.all(varies[1:])
        assert np.all(found[:, ~varies].std(axis=0) < 1e-3)
        found, wanted = found[:, varies], wanted[:, varies]
        assert np.all(distance(found, wanted) <= 4.5), name
        assert np.all(distance(found**2, wanted**2) <= 4.5), name
        for one, other in zip(found.T, wanted.T, strict=True):
            assert stats.ks_2samp(one, other).pvalue > 1e-4, name


@every_method
def test_derivatives_are_those_of_the_values(method):
    # differences of n points err by n**-6 times what a layer bends: 4e-4 for n = 200
    parts = as_curve(unit_circle(3200, 2.0), None, None, None, True).parts
    number = METHODS_OF_CORE.index(method)
    for h, v, a in parts_of_network(NETWORK, parts, 4, width=30, method=number):
        expected = as_curve(h, None, None, None, True).parts
        for found, wanted in zip((h, v, a), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


@every_law
def test_single_precision_is_the_same_network_rounded(weights):
    e = mf.Ensemble("tanh", 1.8, 0.3, weights=weights)
    parts = as_curve(unit_circle(100, 2.0), None, None, None, True).parts
    double, single = (parts_of_network(e, parts, 4, width=30, single=s) for s in (False, True))
    for wanted, found in zip(double.reshape(12, -1), single.reshape(12, -1), strict=True):
        error = np.abs(found - wanted).max() / np.abs(wanted).max()
        assert 1e-9 < error < 1e-5  # 6e-8, times the growth of a difference in chaos


def test_finer_points_pass_through_the_same_network():
    coarse = propagate_curve(NETWORK, unit_circle(10), 3, width=20, seed=4)
    fine = propagate_curve(NETWORK, unit_circle(4000), 3, width=20, seed=4)
    np.testing.assert_allclose(fine[:, ::400], coarse, rtol=0, atol=1e-13)


@every_law
def test_a_network_is_the_first_one_of_the_simulation(weights):
    e = mf.Ensemble("tanh", 1.8, 0.3, weights=weights)
    points = unit_circle(60, 2.0)
    sample = simulate_curve(e, 15, 4, points, n_samples=2, seed=8, method="weights")
    h = propagate_curve(e, points, 4, width=15, seed=8)
    np.testing.assert_allclose(sample.q_samples[0], np.mean(h**2, axis=(1, 2)), rtol=1e-13)
    length = curve_length(h, closed=True) / np.sqrt(15)
    np.testing.assert_allclose(sample.chord_length_samples[0], length, rtol=1e-12)
    turned = turning_angle(h, closed=True)
    np.testing.assert_allclose(sample.turning_angle_samples[0], turned, rtol=1e-11)


@every_method
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_fields_are_what_numpy_makes_of_the_curve(method, dtype):
    parts = as_curve(unit_circle(50, 2.0), None, None, None, True).parts
    number, single = METHODS_OF_CORE.index(method), dtype == "float32"
    layers = parts_of_network(
        NETWORK, parts, 4, width=20, seed=5, method=number, single=single, scale=1.8 / np.sqrt(2)
    )
    sample = simulate_curve(
        NETWORK, 20, 4, unit_circle(50, 2.0), n_samples=2, seed=5, method=method, dtype=dtype
    )
    for name, wanted in geometry(*np.moveaxis(layers, 1, 0)).items():
        found = getattr(sample, f"{name}_samples")[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-11, err_msg=name)


@every_law
def test_circle_given_by_its_points_is_the_circle(weights):
    # not for "gram", whose choice of columns may depend on the last digit
    e = mf.Ensemble("tanh", 1.8, 0.3, weights=weights)
    q, width, n = 1.3, 12, 300
    knobs = {"n_samples": 3, "seed": 6, "method": "weights"}
    circle = simulate_circle(e, width, 4, n_angles=n, q=q, **knobs)
    radius = np.sqrt(width * q)
    curve = simulate_curve(e, width, 4, unit_circle(n, radius), start="preactivation", **knobs)
    moved = simulate_circle(e, width, 4, n_angles=n, q=q, start="input", **knobs)
    radius = np.sqrt(2 * (q - 0.3**2)) / 1.8
    input_curve = simulate_curve(e, width, 4, unit_circle(n, radius), **knobs)
    for name in FIELDS:  # derivatives of the points by differences: step**6 = 1e-10
        for one, other in ((circle, curve), (moved, input_curve)):
            first, second = (getattr(s, f"{name}_samples") for s in (one, other))
            np.testing.assert_allclose(first, second, rtol=1e-8, err_msg=name)


@pytest.mark.parametrize(("n_points", "width"), [(200, 20), (8000, 200)])
def test_blocks_of_angles_do_not_show(n_points, width):
    # 8000 points of width 200 take two blocks; the seam must not cut the polygon
    e = mf.Ensemble("tanh", 1.3, 0.2)
    sample = simulate_circle(
        e, width, 2, n_angles=n_points, n_samples=2, method="weights", n_threads=1
    )
    np.testing.assert_allclose(sample.chord_length, sample.euclidean_length, rtol=6 / n_points**2)
    np.testing.assert_allclose(
        sample.turning_angle, sample.grassmannian_length, rtol=200 / n_points**2
    )


@every_method
def test_bits_do_not_depend_on_the_number_of_threads(method):
    for e in (NETWORK, ORTHOGONAL):
        one, two = (
            simulate_circle(
                e, 40, 4, n_angles=50, n_samples=5, seed=1, method=method, n_threads=n_threads
            )
            for n_threads in (1, 2)
        )
        more = simulate_circle(e, 40, 4, n_angles=50, n_samples=7, seed=1, method=method)
        for name in FIELDS:
            first = getattr(one, f"{name}_samples")
            np.testing.assert_array_equal(first, getattr(two, f"{name}_samples"))
            np.testing.assert_array_equal(first, getattr(more, f"{name}_samples")[:5])


@every_law
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-8), ("float32", 1e-3)])
def test_fourier_coefficients_give_the_same_network_as_weights(weights, dtype, rtol):
    # where a factor does not pay, "auto" draws the weights that "weights" draws
    e = mf.Ensemble("gelu", 1.8, 0.3, weights=weights)
    knobs = {"q": 1.2, "n_angles": 450, "n_samples": 3, "dtype": dtype, "start": "input"}
    auto = simulate_circle(e, 21, 5, **knobs)
    dense = simulate_circle(e, 21, 5, method="weights", **knobs)
    assert np.all(auto.ranks[:, 1:] < 450)
    assert np.all(dense.ranks[:, 1:] == 1350)
    for name in FIELDS:
        found, wanted = (getattr(s, f"{name}_samples") for s in (auto, dense))
        np.testing.assert_allclose(found, wanted, rtol=rtol, err_msg=name)


def test_a_curve_that_its_points_no_longer_resolve_goes_on_by_weights():
    e = mf.Ensemble("tanh", 3.0, 0.3)
    auto = simulate_circle(e, 30, 7, n_angles=300, n_samples=3)
    dense = simulate_circle(e, 30, 7, n_angles=300, n_samples=3, method="weights")
    assert np.any(auto.ranks[:, 1] < 300)
    assert np.all(auto.ranks[:, -1] == 900)
    for name in FIELDS:  # differences grow as the curve does: by 20 here
        found, wanted = (getattr(s, f"{name}_samples") for s in (auto, dense))
        np.testing.assert_allclose(found, wanted, rtol=1e-6, err_msg=name)


def test_points_that_are_not_equally_spaced_are_no_circle():
    # the coefficients after the index of these points give other derivatives
    t = np.linspace(0, 2 * np.pi, 401)
    t[1:-1] += 0.3 * np.sin(t[1:-1])
    points = 2 * np.stack([np.cos(t[:-1]), np.sin(t[:-1])], axis=1)
    curve = simulate_curve(NETWORK, 20, 3, points, parameter=t, n_samples=2)
    circle = simulate_curve(NETWORK, 20, 3, unit_circle(400, 2.0), n_samples=2)
    assert np.all(curve.ranks[:, 1] == 1200)
    assert np.all(circle.ranks[:, 1] < 400)
    # trapezoidal rule; differences of 7 points
    for name in ("metric", "euclidean_length", "grassmannian_length", "curvature_squared"):
        np.testing.assert_allclose(getattr(curve, name), getattr(circle, name), rtol=2e-3)


@pytest.mark.parametrize("phi", ["tanh", "gelu", "sin", "elu", "erf", "softplus"])
def test_every_method_has_the_same_law_at_any_activation(phi):
    e = mf.Ensemble(phi, 1.6, 0.3)
    knobs = {"n_angles": 60, "n_samples": 400, "q": 1.0}
    first, *others = (
        simulate_circle(e, 12, 3, method=method, seed=seed, **knobs)
        for seed, method in enumerate(METHODS)
    )
    for name in FIELDS:
        for other in others:
            found, wanted = (np.log(getattr(s, f"{name}_samples")[:, 1:]) for s in (first, other))
            assert np.all(distance(found, wanted) <= 4.5), name


@pytest.mark.parametrize(
    ("sigma_w", "start", "depth"),
    [
        (1.3, "input", 5),
        pytest.param(2.5, "preactivation", 4, marks=pytest.mark.slow),
        pytest.param(2.5, "input", 7, marks=pytest.mark.slow),
        pytest.param(4.0, "preactivation", 6, marks=pytest.mark.slow),
    ],
)
@every_law
def test_wide_networks_have_the_geometry_of_the_theory(sigma_w, start, depth, weights):
    # 5 standard errors, and a bias of 3 l / N: the relative bias of means over networks of width N
    # is of order l / N
    e = mf.Ensemble("tanh", sigma_w, 0.3, weights=weights)
    width = 1000
    sample = simulate_circle(e, width, depth, n_angles=400, n_samples=8, start=start)
    theory = mf.circle_theory(e, depth, start=start)
    bias = 3 * np.arange(1, depth + 1) / width
    for name in FIELDS[:6]:
        found, wanted = getattr(sample, name), getattr(theory, name)
        error = getattr(sample, f"{name}_error")
        assert np.all(np.abs(found - wanted) <= 5 * error + bias * wanted), name
        assert np.all(error[1:] < 0.05 * wanted[1:]), name  # the bound says something


@pytest.mark.slow
@pytest.mark.parametrize(("width", "n_samples"), [(100, 64), (400, 12)])
def test_corners_of_relu_add_up_to_about_sqrt_n(width, n_samples):
    # unit i, r_i cos(theta - phi_i), has two corners, where the tangent of length sqrt(N q / 2)
    # gains or loses r_i, of mean sqrt(pi q / 2): in all 2 N sqrt(pi / N), and 2 pi between them.
    # What chords miss of that is in proportion to their length, and the rest of order 1 / N.
    e, knobs = mf.Ensemble("relu", 2**0.5), {"q": 1.0, "n_samples": n_samples, "method": "weights"}
    coarse, fine = (
        simulate_circle(e, width, 2, n_angles=n * width, **knobs).turning_angle_samples[:, 1]
        for n in (10, 20)
    )
    assert np.all(coarse < fine)
    limit, expected = 2 * fine - coarse, 2 * np.sqrt(np.pi * width) + 2 * np.pi
    error = limit.std(ddof=1) / np.sqrt(n_samples)
    assert abs(limit.mean() - expected) <= 4 * error + 0.01 * expected
    assert error < 0.01 * expected
