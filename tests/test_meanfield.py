"""Maps of one layer against closed forms, other quadratures and their invariants."""

import itertools

import numpy as np
import pytest
import scipy.integrate
from hypothesis import assume, given
from hypothesis import strategies as st

import meanfree as mf
from meanfree.activations import NAMES

Q = np.array([1e-6, 0.1, 1.0, 7.0, 300.0])
C = np.array([-1.0, -0.7, 0.0, 0.3, 0.9, 0.999, 1.0])
SIZE = st.floats(0.0, 10.0)
LENGTHS = st.floats(1e-3, 1e3)
CORRELATIONS = st.floats(-1.0, 1.0)
GENERAL = ["tanh", "sigmoid", "silu", "gelu_tanh", "softplus", "arctan", "elu", "selu"]
SMOOTH = ["tanh", "erf", "sigmoid", "silu", "gelu", "gelu_tanh", "softplus", "sin", "arctan"]


def leaky(a):
    return lambda q: 0.5 * (1 + a * a) * q


LENGTH_FORMS = {  # E phi^2
    "linear": lambda q: q,
    "relu": leaky(0.0),
    "leaky_relu": leaky(0.01),
    "erf": lambda q: 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)),
    "erf_scaled": lambda q: 2 / np.pi * np.arcsin(np.pi / 2 * q / (1 + np.pi / 2 * q)),
    "sin": lambda q: -0.5 * np.expm1(-2 * q),
}


def arccosine(c):
    t = np.arccos(c)
    return (np.sin(t) + (np.pi - t) * np.cos(t)) / (2 * np.pi)


COVARIANCE_FORMS = {  # E phi phi and E phi' phi' of variances a, b and covariance p
    "linear": (lambda a, b, p: p, lambda a, b, p: np.ones_like(p)),
    "relu": (
        lambda a, b, p: np.sqrt(a * b) * arccosine(p / np.sqrt(a * b)),
        lambda a, b, p: 0.5 - np.arccos(p / np.sqrt(a * b)) / (2 * np.pi),
    ),
    "erf": (
        lambda a, b, p: 2 / np.pi * np.arcsin(2 * p / np.sqrt((1 + 2 * a) * (1 + 2 * b))),
        lambda a, b, p: 4 / np.pi / np.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * p * p),
    ),
    "sin": (
        lambda a, b, p: np.exp(-(a + b) / 2) * np.sinh(p),
        lambda a, b, p: np.exp(-(a + b) / 2) * np.cosh(p),
    ),
}


def gaussian_integral(f, breaks):
    """E f(z) by adaptive Gauss-Kronrod between breaks in z."""
    ends = [-12.0, *sorted(b for b in breaks if -12 < b < 12), 12.0]
    total = 0.0
    for low, high in itertools.pairwise(ends):
        total += scipy.integrate.quad(
            lambda z: f(z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi),
            low,
            high,
            epsabs=1e-13,
            epsrel=1e-12,
            limit=400,
        )[0]
    return total


def double_average(f, q_aa, q_bb, c):
    """E f(u1) f(u2) by Gauss-Legendre panels in both directions; f is smooth."""
    edges = np.linspace(-9, 9, 37)
    t, w = np.polynomial.legendre.leggauss(12)
    z = (0.5 * (edges[1:] + edges[:-1])[:, None] + 0.25 * t).ravel()
    w = np.tile(0.25 * w, 36) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    u1 = np.sqrt(q_aa) * z
    u2 = np.sqrt(q_bb) * (c * z[:, None] + np.sqrt(1 - c * c) * z)
    return float((w * f(u1)) @ (f(u2.ravel()).reshape(u2.shape) @ w))


# ---- closed forms


@pytest.mark.parametrize("name", LENGTH_FORMS)
def test_length_map_is_the_closed_form(name):
    got = mf.length_map(mf.Ensemble(name, 1.5, 0.3), Q)
    # a few roundings; arcsin near 1 loses half the digits of 1 - x, not of itself
    np.testing.assert_allclose(got, 2.25 * LENGTH_FORMS[name](Q) + 0.09, rtol=2e-15 * 4)


@pytest.mark.parametrize("name", COVARIANCE_FORMS)
def test_covariance_map_is_the_closed_form(name):
    a, b, c = np.meshgrid([0.1, 1.0, 5.0], [0.3, 1.0, 5.0], C, indexing="ij")
    p = c * np.sqrt(a * b)
    p = np.clip(p, -np.sqrt(a * b), np.sqrt(a * b))
    got = mf.covariance_map(mf.Ensemble(name, 1.5, 0.3), a, b, p)
    # c is rounded in p: the arc cosine near c = 1 turns 1e-16 into 1e-16
    np.testing.assert_allclose(got, 2.25 * COVARIANCE_FORMS[name][0](a, b, p) + 0.09, atol=1e-14)


@pytest.mark.parametrize("name", COVARIANCE_FORMS)
def test_correlation_slope_is_the_closed_form(name):
    q = np.array([0.2, 1.0, 5.0])[:, None]
    got = mf.correlation_slope(mf.Ensemble(name, 1.5, 0.3), C, q=q)
    with np.errstate(invalid="ignore"):
        exact = 2.25 * COVARIANCE_FORMS[name][1](q, q, q * C)
    np.testing.assert_allclose(got, exact, rtol=1e-13, atol=3e-14)


def test_shifted_relu_is_relu_moved():
    # E max(h + s, 0)^2 = (q + s^2) P + s sqrt(q) n, E max(h + s, 0) = s P + sqrt(q) n
    s, q = 0.7, Q
    cdf = np.array([gaussian_integral(lambda z, t=t: 1.0 * (z > -t), [-t]) for t in s / np.sqrt(q)])
    pdf = np.exp(-s * s / q / 2) / np.sqrt(2 * np.pi)
    second = (q + s * s) * cdf + s * np.sqrt(q) * pdf
    exact = second - 2 * s * (s * cdf + np.sqrt(q) * pdf) + s * s
    got = mf.length_map(mf.Ensemble(mf.activation("shifted_relu", shift=s), 1.0), q)
    np.testing.assert_allclose(got, exact, rtol=1e-11, atol=1e-12)


# ---- other quadratures


@pytest.mark.parametrize("q", [0.03, 1.0, 25.0])
@pytest.mark.parametrize("name", [*GENERAL, "gelu", "hard_tanh"])
def test_length_map_agrees_with_adaptive_quadrature(name, q):
    phi = mf.activation(name)
    breaks = [0.0, *(k / np.sqrt(q) for k in phi.kinks)]
    exact = gaussian_integral(lambda z: float(phi(np.sqrt(q) * z)) ** 2, breaks)
    assert mf.length_map(mf.Ensemble(phi, 1.0), q) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu", "softplus", "arctan"])
def test_covariance_and_slope_agree_with_a_product_rule(name):
    phi = mf.activation(name)
    network = mf.Ensemble(phi, 1.0)
    for q_aa, q_bb, c in [(1.0, 1.0, 0.5), (0.3, 2.0, -0.8), (3.0, 3.0, 0.95)]:
        exact = double_average(phi, q_aa, q_bb, c)
        got = mf.covariance_map(network, q_aa, q_bb, c * np.sqrt(q_aa * q_bb))
        assert got == pytest.approx(exact, abs=1e-11)
    exact = double_average(phi.derivative, 3.0, 3.0, 0.95)
    assert mf.correlation_slope(network, 0.95, q=3.0) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_slope_is_the_derivative_of_the_covariance(name):
    # Price: d E phi phi / d c = q E phi' phi'; central difference of order 2, error h^2 C'''/6
    network, q, h = mf.Ensemble(name, 1.0), 1.7, 1e-4
    for c in (-0.6, 0.2, 0.7):
        ends = mf.covariance_map(network, q, q, q * np.array([c - h, c + h]))
        slope = mf.correlation_slope(network, c, q=q)
        assert slope == pytest.approx((ends[1] - ends[0]) / (2 * h * q), abs=3e-8)


def tanh(x):
    return np.tanh(x)


@pytest.mark.parametrize(
    ("own", "name"),
    [
        (tanh, "tanh"),
        (lambda x: np.maximum(x, 0), "relu"),
        (lambda x: np.clip(x, -1, 1), "hard_tanh"),
        (lambda x: x / (1 + np.exp(-x)), "silu"),
        (np.arctan, "arctan"),
    ],
)
def test_users_function_gives_what_the_named_one_does(own, name):
    mine, named = mf.Ensemble(own, 1.5, 0.2), mf.Ensemble(name, 1.5, 0.2)
    q = np.array([0.01, 1.0, 20.0])
    np.testing.assert_allclose(mf.length_map(mine, q), mf.length_map(named, q), rtol=1e-9)
    for f in (mf.correlation_map, mf.correlation_slope):
        c = np.array([-0.7, 0.3, 0.999])
        np.testing.assert_allclose(f(mine, c, q=3.0), f(named, c, q=3.0), atol=1e-9)


def test_function_that_jumps_has_the_arc_sine_map():
    step = mf.Ensemble(np.sign, 1.0)
    c = np.array([-0.9, 0.0, 0.5])
    np.testing.assert_allclose(
        mf.correlation_map(step, c, q=2.0), 2 / np.pi * np.arcsin(c), atol=1e-9
    )
    assert mf.correlation_slope(step, 1.0, q=2.0) == np.inf
    exact = 2 / np.pi / np.sqrt(1 - c * c) / 2.0
    np.testing.assert_allclose(mf.correlation_slope(step, c, q=2.0), exact, rtol=1e-8)


# ---- dropout


def test_dropout_adds_to_the_length_and_not_to_the_covariance():
    whole, thinned = (mf.Ensemble("tanh", 1.5, 0.3, keep=keep) for keep in (1.0, 0.8))
    second = (mf.length_map(whole, 2.0) - 0.09) / 2.25
    assert mf.length_map(thinned, 2.0) == pytest.approx(2.25 * second / 0.8 + 0.09, rel=1e-14)
    assert mf.covariance_map(thinned, 2.0, 2.0, 1.0) == mf.covariance_map(whole, 2.0, 2.0, 1.0)
    # C(1) = 1 - (1 - keep) / keep sigma_w^2 E phi^2 / V
    lost = 0.25 * 2.25 * second / mf.length_map(thinned, 2.0)
    assert mf.correlation_map(thinned, 1.0, q=2.0) == pytest.approx(1 - lost, abs=1e-15)
    assert mf.correlation_slope(thinned, 0.5, q=2.0) == mf.correlation_slope(whole, 0.5, q=2.0)


# ---- what q stands for


def test_fixed_point_stands_in_for_a_missing_q():
    network = mf.Ensemble("tanh", 2.5, 0.3)
    q = mf.fixed_point(network).q
    np.testing.assert_array_equal(
        mf.correlation_map(network, C), mf.correlation_map(network, C, q=q)
    )
    assert mf.correlation_slope(network, 1.0) == pytest.approx(mf.fixed_point(network).chi_1)


@pytest.mark.parametrize("sigma_w", [0.5, 2.0])
@pytest.mark.parametrize(
    "call",
    [
        lambda e: mf.correlation_map(e, 0.5),
        lambda e: mf.correlation_slope(e, 0.5),
        lambda e: mf.propagate(e, 3, c=0.5),
        lambda e: mf.propagate_gradient(e, 3),
        lambda e: mf.simulate_propagation(e, 10, 3),
    ],
)
def test_missing_q_is_asked_for_where_there_is_no_fixed_point(call, sigma_w):
    star = {0.5: "0", 2.0: "inf"}[sigma_w]
    with pytest.raises(ValueError, match=rf"q must be given: .* fixed point q\* = {star}$"):
        call(mf.Ensemble("relu", sigma_w))


def test_every_q_is_fixed_for_critical_relu_and_1_stands_in():
    assert mf.correlation_map(mf.Ensemble("relu", np.sqrt(2)), 1.0) == 1.0


def test_undefined_correlation_is_an_error():
    with pytest.raises(ValueError, match=r"q must be such that .* V\(q\) > 0, got 0\.0, where V"):
        mf.correlation_map(mf.Ensemble("tanh", 1.5), 0.5, q=[1.0, 0.0])
    assert mf.correlation_slope(mf.Ensemble("tanh", 1.5), 0.5, q=0.0) == 2.25


def test_covariance_beyond_the_lengths_is_an_error():
    with pytest.raises(ValueError, match=r"q_ab must be in .* = \[-2, 2\], got 2\.5"):
        mf.covariance_map(mf.Ensemble("tanh", 1.0), 1.0, 4.0, [0.0, 2.5])
    # their own rounding is forgiven
    q = 0.1 + 0.2
    assert mf.covariance_map(mf.Ensemble("tanh", 1.0), 0.3, 0.3, q) > 0


# ---- shapes


def test_scalars_give_floats_and_arrays_broadcast():
    network = mf.Ensemble("tanh", 1.5, 0.3)
    assert type(mf.length_map(network, np.float64(1))) is float
    assert type(mf.covariance_map(network, 1, 1, 0)) is float
    assert type(mf.correlation_map(network, 1)) is float
    assert type(mf.correlation_slope(network, np.array(0.5), q=1)) is float
    assert mf.length_map(network, [[1.0], [2.0]]).shape == (2, 1)
    assert mf.covariance_map(network, np.ones((3, 1)), np.ones(4), 0.0).shape == (3, 4)
    assert mf.correlation_map(network, np.zeros((2, 1)), q=[1.0, 2.0, 3.0]).shape == (2, 3)
    assert mf.correlation_slope(network, 0.5, q=[1.0, 2.0]).shape == (2,)
    assert mf.length_map(network, []).shape == (0,)
    assert mf.correlation_map(network, np.empty((0, 2))).shape == (0, 2)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"c and q must have shapes .* got \(3,\) and \(2,\)"):
        mf.correlation_map(mf.Ensemble("tanh", 1.0), np.zeros(3), q=np.ones(2))


@pytest.mark.parametrize("name", [*NAMES, np.tanh])
def test_result_does_not_depend_on_threads_or_order(name):
    network = mf.Ensemble(name, 1.5, 0.3)
    rng = np.random.default_rng(1)
    n = 101 if isinstance(name, str) else 17  # several blocks, and what is left over
    q, c = rng.uniform(0.01, 20, n), rng.uniform(-1, 1, n)
    for f in (
        lambda i, n: mf.length_map(network, q[i], n_threads=n),
        lambda i, n: mf.correlation_map(network, c[i], q=q[i], n_threads=n),
    ):
        one = f(slice(None), 1)
        np.testing.assert_array_equal(one, f(slice(None), 3))
        # lanes of one vector are computed alike, so that the place in the array does not matter
        np.testing.assert_allclose(one[::-1], f(slice(None, None, -1), 1), rtol=1e-14, atol=1e-15)


# ---- invariants


@given(st.sampled_from(NAMES), SIZE, SIZE, LENGTHS)
def test_equal_inputs_stay_equal(name, sigma_w, sigma_b, q):
    network = mf.Ensemble(name, sigma_w, sigma_b)
    assume(mf.length_map(network, q) > 0)
    assert mf.correlation_map(network, 1.0, q=q) == 1.0


@given(st.sampled_from(NAMES), st.floats(0.1, 10.0), SIZE, LENGTHS, CORRELATIONS)
def test_correlation_map_stays_within_bounds(name, sigma_w, sigma_b, q, c):
    network = mf.Ensemble(name, sigma_w, sigma_b)
    assert -1.0 <= mf.correlation_map(network, c, q=q) <= 1.0


@given(st.sampled_from(NAMES), LENGTHS)
def test_correlation_map_is_increasing_and_convex_above_0(name, q):
    # a power series of positive coefficients; 1e-13 for the rounding of three values
    values = mf.correlation_map(mf.Ensemble(name, 1.3, 0.2), np.linspace(0, 1, 21), q=q)
    assert np.all(np.diff(values) >= -1e-13)
    assert np.all(np.diff(values, 2) >= -3e-13)


@given(st.sampled_from(["linear", "hard_tanh", "tanh", "erf", "sin", "arctan"]), LENGTHS)
def test_odd_activations_have_odd_maps(name, q):
    network, c = mf.Ensemble(name, 1.3), np.linspace(0, 1, 7)
    np.testing.assert_allclose(
        mf.correlation_map(network, -c, q=q), -mf.correlation_map(network, c, q=q), atol=2e-14
    )


@given(st.sampled_from(["linear", "relu", "leaky_relu"]), st.floats(1e-6, 1e6), CORRELATIONS)
def test_maps_of_homogeneous_activations_scale(name, factor, c):
    network = mf.Ensemble(name, 1.3)
    one, other = (mf.covariance_map(network, q, 2 * q, c * q) for q in (1.0, factor))
    assert other == pytest.approx(factor * one, rel=1e-13, abs=1e-15 * factor)


@given(st.sampled_from(NAMES), LENGTHS, LENGTHS, CORRELATIONS)
def test_covariance_does_not_change_when_the_inputs_are_exchanged(name, q_aa, q_bb, c):
    network = mf.Ensemble(name, 1.0)
    q_ab = c * np.sqrt(q_aa) * np.sqrt(q_bb)
    bound = np.sqrt(mf.length_map(network, q_aa) * mf.length_map(network, q_bb))
    one, other = mf.covariance_map(network, [q_aa, q_bb], [q_bb, q_aa], q_ab)
    assert one == pytest.approx(other, abs=1e-12 * bound)
    assert abs(one) <= bound * (1 + 1e-12)


@given(st.sampled_from(NAMES), st.floats(1e-3, 1e2), CORRELATIONS)
def test_covariance_of_equal_lengths_is_the_correlation_map(name, q, c):
    network = mf.Ensemble(name, 1.2, 0.4)
    variance = mf.length_map(network, q)
    covariance = mf.covariance_map(network, q, q, np.clip(c * q, -q, q))
    assert covariance / variance == pytest.approx(mf.correlation_map(network, c, q=q), abs=3e-13)
