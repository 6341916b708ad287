"""Monte Carlo of two inputs: the arrays of the core, rows q, c and delta = 1 - c of each network.

A mean is compared within 4.5 standard errors (p < 1e-5 each), the seeds being fixed.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from meanfree import _core

METHODS = {"gram": 0, "weights": 1}
WEIGHTS = {"gaussian": 0, "orthogonal": 1}
every_method = pytest.mark.parametrize("method", METHODS)
every_law = pytest.mark.parametrize("weights", WEIGHTS)


def simulate(
    phi="tanh", sigma_w=1.5, sigma_b=0.3, *, keep=1.0, weights="gaussian", width=10, depth=3, q=0.5,
    c=0.6, n=10_000, seed=1, method="gram", n_threads=1, progress=None,
):  # fmt: skip
    activation = (phi, 0.0) if isinstance(phi, str) else phi
    return _core.simulate_propagation(
        activation, sigma_w, sigma_b, keep, WEIGHTS[weights], width, depth, q, c, n, seed,
        METHODS[method], n_threads, progress,
    )  # fmt: skip


def distance(x, y):
    """Difference of the means over the networks, in standard errors; y a number or a sample."""
    x, y = np.asarray(x), np.asarray(y)
    variance = x.var(axis=0, ddof=1) / len(x)
    if y.ndim == 0:
        return np.abs(x.mean(axis=0) - y) / np.sqrt(variance)
    variance = variance + y.var(axis=0, ddof=1) / len(y)
    return np.abs(x.mean(axis=0) - y.mean(axis=0)) / np.sqrt(variance)


def plain(phi, sigma_w, sigma_b, keep, weights, *, width, depth, q, c, n, seed):
    """The same networks by numpy, with their weights: (q, c), each (n, depth)."""
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((n, width, 2)) @ np.linalg.cholesky(q * np.array([[1, c], [c, 1]])).T
    result = np.empty((2, n, depth))
    for layer in range(depth):
        if layer:
            x = phi(h) * (rng.random(h.shape) < keep) / keep
            w = rng.standard_normal((n, width, width)) / np.sqrt(width)
            if weights == "orthogonal":
                w, r = np.linalg.qr(w)
                w *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, np.newaxis]
            h = sigma_w * w @ x + sigma_b * rng.standard_normal((n, width, 1))
        square = (h * h).mean(axis=1)
        result[0, :, layer] = square.mean(axis=1)
        result[1, :, layer] = (h[:, :, 0] * h[:, :, 1]).mean(axis=1) / np.sqrt(square.prod(axis=1))
    return result


@every_law
@every_method
def test_first_layer_is_gaussian_with_the_moments_asked_for(method, weights):
    n, width, q, c = 10_000, 7, 0.8, -0.3
    sample = simulate(weights=weights, method=method, width=width, depth=1, q=q, c=c, n=n)
    assert sample.shape == (3, n, 1)
    assert distance(sample[0], q) <= 4.5
    # each |h|^2 is q chi^2_N, their covariance 2 N q^2 c^2
    variance = q**2 * (1 + c**2) / width
    assert distance((sample[0] - q) ** 2, variance) <= 4.5
    # the law of a sample correlation at c = 0, means known: (N - 1) degrees of freedom less one
    r = simulate(weights=weights, method=method, width=width, depth=1, q=q, c=0.0, n=n)[1, :, 0]
    t = r * np.sqrt((width - 1) / (1 - r**2))
    assert stats.kstest(t, stats.t(width - 1).cdf).pvalue > 1e-3


@every_law
@every_method
@pytest.mark.parametrize(
    ("phi", "function"), [("tanh", np.tanh), ("relu", lambda h: np.maximum(h, 0.0))]
)
@pytest.mark.parametrize("keep", [1.0, 0.8])
def test_small_networks_have_the_law_of_plain_numpy_networks(phi, function, keep, weights, method):
    shape = {"width": 10, "depth": 3, "q": 0.5, "c": 0.6, "n": 10_000}
    q, c, _ = simulate(phi, keep=keep, weights=weights, method=method, **shape, seed=2)
    q_plain, c_plain = plain(function, 1.5, 0.3, keep, weights, **shape, seed=3)
    for f in (np.asarray, np.square):  # means and variances
        assert np.all(distance(f(q), f(q_plain)) <= 4.5)
        assert np.all(distance(f(c), f(c_plain)) <= 4.5)
    assert np.all(distance(q * c, q_plain * c_plain) <= 4.5)


@every_law
@pytest.mark.parametrize(
    "phi",
    ["linear", "relu", *(pytest.param(p, marks=pytest.mark.slow) for p in ("gelu", "sigmoid"))],
)
def test_shortcut_and_weights_have_the_same_law(phi, weights):
    gram, drawn = (
        simulate(phi, 1.2, 0.2, weights=weights, width=6, depth=4, c=-0.7, seed=seed, method=method)
        for seed, method in ((4, "gram"), (5, "weights"))
    )
    for f in (np.asarray, np.square):
        assert np.all(distance(f(gram[:2]).swapaxes(0, 1), f(drawn[:2]).swapaxes(0, 1)) <= 4.5)
    for layer in range(4):
        for row in range(2):
            assert stats.ks_2samp(gram[row, :, layer], drawn[row, :, layer]).pvalue > 1e-4


@every_method
def test_linear_gaussian_network_multiplies_lengths_by_chi_square(method):
    width, sigma_w = 5, 1.3
    q = simulate("linear", sigma_w, 0.0, c=1.0, width=width, depth=4, method=method)[0]
    ratio = q[:, 1:] / q[:, :-1] * width / sigma_w**2
    for layer in range(3):
        assert stats.kstest(ratio[:, layer], stats.chi2(width).cdf).pvalue > 1e-3


@every_method
def test_linear_orthogonal_network_keeps_lengths_and_angles(method):
    q, c, delta = simulate(
        "linear", 1.5, 0.0, weights="orthogonal", width=20, depth=30, c=1 - 1e-10, n=50,
        method=method,
    )  # fmt: skip
    gain = 1.5 ** (2 * np.arange(30))
    # a few roundings in each of 30 layers, of 2^-53 / sqrt(2 delta) = 8e-12 in phi_b - phi_a
    np.testing.assert_allclose(q, q[:, :1] * gain, rtol=1e-13)
    np.testing.assert_allclose(delta, delta[:, :1] + np.zeros(30), rtol=30 * 8e-12)
    np.testing.assert_allclose(c, 1 - delta, rtol=0, atol=1e-15)


@every_law
@every_method
@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_second_layer_has_the_mean_length_of_the_length_map(keep, weights, method):
    # exact at any width: E |W x|^2 = sigma_w^2 E |x|^2, and h^1 is Gaussian
    q, sigma_w, sigma_b = 0.6, 1.4, 0.5
    moments = {"relu": q / 2, "erf": 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))}
    for phi, second in moments.items():
        got = simulate(
            phi, sigma_w, sigma_b, keep=keep, weights=weights, depth=2, q=q, method=method
        )
        assert distance(got[0, :, 1], sigma_w**2 * second / keep + sigma_b**2) <= 4.5


@every_law
@every_method
def test_wide_network_follows_the_correlation_map(weights, method):
    width, q, c, sigma_w, sigma_b = 400, 0.6, 0.5, 1.4, 0.5
    # relu: Cho and Saul (2009); erf: Williams (1997)
    angle = np.arccos(c)
    covariance = {
        "relu": q * (np.sin(angle) + (np.pi - angle) * c) / (2 * np.pi),
        "erf": 2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)),
    }
    second = {"relu": q / 2, "erf": 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))}
    for phi, value in covariance.items():
        expected = (sigma_w**2 * value + sigma_b**2) / (sigma_w**2 * second[phi] + sigma_b**2)
        got = simulate(
            phi, sigma_w, sigma_b, weights=weights, width=width, depth=2, q=q, c=c, n=100,
            method=method,
        )[1, :, 1]  # fmt: skip
        # finite width: the mean of a correlation coefficient is off by at most 2 / N here
        assert abs(got.mean() - expected) <= 4.5 * got.std(ddof=1) / 10 + 2 / width


@every_law
@every_method
@pytest.mark.parametrize("phi", ["tanh", "erf", "gelu", "sin", "softplus", "linear"])
def test_tiny_angles_keep_their_digits(phi, weights, method):
    # With the same draws delta is proportional to its start up to O(sqrt(delta)) relative, 1e-5 at
    # 1e-10; a cancellation anywhere would leave noise of 1e-16 / 1e-12 = 1e-4.
    far, near = (
        simulate(phi, weights=weights, depth=5, width=50, c=1 - x, n=10, method=method)[2]
        for x in (1e-10, 1e-12)
    )
    start = (1 - (1 - 1e-10)) / (1 - (1 - 1e-12))
    np.testing.assert_allclose(far / near, start, rtol=6e-5)


@every_law
@every_method
def test_nearly_opposite_inputs_keep_their_digits(weights, method):
    # an odd activation without bias carries h_b = -h_a + d in the same way; c itself has 1e-16 only
    far, near = (
        simulate(
            "tanh", 2.0, 0.0, weights=weights, depth=5, width=50, c=x - 1, n=10, method=method
        )[1]
        + 1
        for x in (1e-8, 1e-10)
    )
    np.testing.assert_allclose(far / near, 100.0, rtol=1e-3)


@every_law
@every_method
def test_equal_inputs_stay_equal(weights, method):
    q, c, delta = simulate("tanh", 3.0, 0.1, weights=weights, c=1.0, depth=50, n=5, method=method)
    assert np.all(c == 1.0)
    assert np.all(delta == 0.0)
    assert np.all(q > 0.0)


@every_law
@every_method
def test_opposite_inputs_stay_opposite_without_bias(weights, method):
    c = simulate("tanh", 3.0, 0.0, weights=weights, c=-1.0, depth=50, n=5, method=method)[1]
    np.testing.assert_array_equal(c, -1.0)


@every_law
@every_method
def test_zero_inputs_receive_the_common_bias(weights, method):
    q, c, delta = simulate("tanh", 1.5, 0.5, weights=weights, q=0.0, n=4000, method=method)
    assert np.all(q[:, 0] == 0.0)
    assert np.all(np.isnan(c[:, 0]))  # there is no angle
    assert distance(q[:, 1], 0.25) <= 4.5
    assert np.all(c[:, 1:] == 1.0)
    assert np.all(delta[:, 1:] == 0.0)
    q, c, _ = simulate("tanh", 1.5, 0.0, weights=weights, q=0.0, n=10, method=method)
    assert np.all(q == 0.0)
    assert np.all(np.isnan(c))


@every_method
def test_dropout_separates_equal_inputs(method):
    # E m_a m_b = keep^2, E m_a^2 = keep: C(1) = (sigma_w^2 V keep + ...) / (...), V = E phi^2
    q, keep, sigma_w, sigma_b, width = 1.0, 0.8, 1.3, 0.4, 1000
    second = 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))
    expected = (sigma_w**2 * second + sigma_b**2) / (sigma_w**2 * second / keep + sigma_b**2)
    got = simulate(
        "erf", sigma_w, sigma_b, keep=keep, width=width, depth=2, q=q, c=1.0, n=40, method=method
    )
    assert np.all(got[1, :, 0] == 1.0)
    c = got[1, :, 1]
    assert abs(c.mean() - expected) <= 4.5 * c.std(ddof=1) / np.sqrt(40) + 2 / width


@given(
    width=st.integers(1, 200), depth=st.integers(1, 6), n=st.integers(1, 700),
    weights=st.sampled_from(list(WEIGHTS)), seed=st.integers(0, 2**64 - 1),
)  # fmt: skip
@settings(max_examples=25)
def test_result_does_not_depend_on_threads_or_on_the_number_of_networks(
    width, depth, n, weights, seed
):
    shape = {"width": width, "depth": depth, "weights": weights, "seed": seed}
    one = simulate(**shape, n=n, n_threads=1)
    np.testing.assert_array_equal(one, simulate(**shape, n=n, n_threads=3))
    np.testing.assert_array_equal(one[:, : n // 2 + 1], simulate(**shape, n=n // 2 + 1))


@every_law
def test_weights_do_not_depend_on_threads(weights):
    # more draws than one chunk, a width that is no multiple of anything
    shape = {"width": 131, "depth": 3, "weights": weights, "n": 5, "method": "weights"}
    np.testing.assert_array_equal(simulate(**shape), simulate(**shape, n_threads=3))


@given(
    phi=st.sampled_from(["tanh", "relu", "gelu", "sin", "hard_tanh", "softplus"]),
    sigma_w=st.floats(0, 4), sigma_b=st.floats(0, 2), keep=st.floats(0.05, 1),
    q=st.floats(0, 10), c=st.floats(-1, 1), width=st.integers(1, 40),
    weights=st.sampled_from(list(WEIGHTS)), method=st.sampled_from(list(METHODS)),
)  # fmt: skip
@settings(max_examples=150)
def test_lengths_and_correlations_stay_in_range(
    phi, sigma_w, sigma_b, keep, q, c, width, weights, method
):
    got = simulate(
        phi, sigma_w, sigma_b, keep=keep, weights=weights, width=width, depth=4, q=q, c=c, n=3,
        method=method,
    )  # fmt: skip
    q, c, delta = got
    assert np.all(q >= 0)
    undefined = np.isnan(c)  # an input is 0
    np.testing.assert_array_equal(undefined, np.isnan(delta))
    c, delta = c[~undefined], delta[~undefined]
    assert np.all(np.abs(c) <= 1)
    assert np.all((delta >= 0) & (delta <= 2))
    np.testing.assert_allclose(c, 1 - delta, rtol=0, atol=1e-15)


def test_callable_gives_the_bits_of_the_built_in():
    relu = (
        lambda x: np.maximum(x, 0.0),
        lambda x: np.where(x > 0, 1.0, 0.0),
        np.zeros_like,
        np.array([0.0]),
    )
    np.testing.assert_array_equal(
        simulate(relu, width=50, n=20, n_threads=2), simulate("relu", width=50, n=20)
    )


@every_method
def test_exploding_lengths_become_infinite(method):
    q, c, delta = simulate("linear", 1e60, 0.0, width=20, depth=12, n=3, method=method)
    first = np.argmax(np.isinf(q), axis=1)
    assert np.all(first >= 2)
    for row in range(3):
        k = first[row]
        assert np.all(np.isfinite(q[row, :k]))
        assert np.all(np.isinf(q[row, k:]))
        assert np.all(np.isfinite(c[row, : k - 1]))
        assert np.all(np.isnan(c[row, k:]) & np.isnan(delta[row, k:]))


def test_nan_of_a_callable_is_kept():
    phi = (lambda x: np.full_like(x, np.nan), np.zeros_like, np.zeros_like, np.empty(0))
    q, c, _ = simulate(phi, n=2)
    assert np.all(np.isfinite(q[:, 0]))
    assert np.all(np.isnan(q[:, 1:]))
    assert np.all(np.isnan(c[:, 1:]))


def test_exception_of_a_callable_reaches_the_caller():
    def fail(x):
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        simulate((fail, fail, fail, np.empty(0)), n_threads=2)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_counts_the_networks(n_threads):
    seen = []
    simulate(n=1234, n_threads=n_threads, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1234


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}, {"n": 0}])
def test_empty_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match="width, depth and n_samples must be >= 1"):
        simulate(**wrong)
