"""Monte Carlo of curves, against plain numpy networks, differences, and the theory.

Means of N networks are compared within k standard errors, the seeds being fixed: 4.5 for each of
few quantities (p < 1e-5), 5 where there are hundreds.
"""

import numpy as np
import pytest
from scipy import stats

import meanfree as mf
from meanfree import _core
from meanfree._manifold_points import as_curve
from meanfree.manifold import (
    curve_length,
    propagate_curve,
    simulate_circle,
    simulate_curve,
    turning_angle,
)

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
        ("orthogonal", "input"),
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
        (2.5, "preactivation", 4),
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


@every_method
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
