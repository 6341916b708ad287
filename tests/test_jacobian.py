"""Monte Carlo of Jacobians: singular values of simulated networks, and of a user's own products.

Means over networks are compared within 4.5 standard errors (p < 1e-5 each), the seeds being fixed.
"""

import functools
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import meanfree as mf

sys.path.insert(0, str(Path(__file__).parent / "references"))
import graded_products

REFERENCES = json.loads(graded_products.OUT.read_text(encoding="utf-8"))
PHI = {
    "tanh": (np.tanh, lambda h: 1.0 / np.cosh(h) ** 2),
    "relu": (lambda h: np.maximum(h, 0.0), lambda h: 1.0 * (h > 0.0)),
    "hard_tanh": (lambda h: np.clip(h, -1.0, 1.0), lambda h: 1.0 * (np.abs(h) < 1.0)),
    "leaky_relu": (
        lambda h: np.where(h > 0.0, h, 0.01 * h),
        lambda h: np.where(h > 0.0, 1.0, 0.01),
    ),
    "linear": (lambda h: h, np.ones_like),
}
every_law = pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
every_method = pytest.mark.parametrize("method", ["accurate", "fast"])


def simulate(phi="tanh", sigma_w=1.3, sigma_b=0.4, *, weights="gaussian", width=4, depth=3, n=1,
             q=0.5, **options):  # fmt: skip
    network = mf.Ensemble(phi, sigma_w, sigma_b, weights=weights)
    return mf.simulate_jacobian(network, width, depth, q=q, n_samples=n, **options)


@functools.cache
def plain(phi, sigma_w, sigma_b, weights, width, depth, q, n):
    """The singular values of the same networks by numpy, weights drawn and multiplied."""
    value, slope = PHI[phi]
    rng = np.random.default_rng(1)

    def draw():
        w = rng.standard_normal((n, width, width)) / np.sqrt(width)
        if weights == "orthogonal":
            w, r = np.linalg.qr(w)
            w *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, np.newaxis]
        return sigma_w * w

    w = draw()
    of_input = max(q - sigma_b**2, 0.0) / sigma_w**2  # mean square of the input
    gaussian_input = rng.standard_normal((n, width, 1))
    x = gaussian_input if weights == "orthogonal" else np.ones((n, width, 1))
    bias = min(sigma_b, np.sqrt(q))
    h = w @ (np.sqrt(of_input) * x) + bias * rng.standard_normal((n, width, 1))
    jacobian = slope(h) * w
    for _ in range(depth - 1):
        w = draw()
        h = w @ value(h) + sigma_b * rng.standard_normal((n, width, 1))
        jacobian = slope(h) * (w @ jacobian)
    s = np.linalg.svd(jacobian, compute_uv=False)
    return np.where(s < 1e-13, 0.0, s)


def distances(x, y):
    """Differences of the means over the networks, in standard errors; 0 where nothing varies."""
    variance = x.var(axis=0, ddof=1) / len(x) + y.var(axis=0, ddof=1) / len(y)
    difference = np.abs(x.mean(axis=0) - y.mean(axis=0))
    assert np.all(difference[variance == 0.0] < 1e-12)
    return difference / np.sqrt(np.where(variance > 0.0, variance, 1.0))


LAWS = [
    # phi, sigma_b, width, depth; q = 0.5
    ("tanh", 0.4, 4, 3),
    ("relu", 0.4, 4, 3),
    ("hard_tanh", 0.4, 4, 3),
    ("leaky_relu", 0.4, 4, 3),
    ("linear", 0.4, 4, 3),
    ("relu", 0.0, 5, 4),
    ("hard_tanh", 0.8, 3, 2),  # sigma_b^2 > q
    ("tanh", 0.5, 2, 1),
]


@every_method
@every_law
@pytest.mark.parametrize(("phi", "sigma_b", "width", "depth"), LAWS)
def test_singular_values_have_the_law_of_plain_numpy_networks(
    phi, sigma_b, width, depth, weights, method
):
    n = 20_000
    p = plain(phi, 1.3, sigma_b, weights, width, depth, 0.5, n)
    s = simulate(
        phi, sigma_b=sigma_b, weights=weights, width=width, depth=depth, n=n, method=method,
    ).singular_values  # fmt: skip
    zeros = [np.sum(x == 0.0, axis=1, keepdims=True) == np.arange(width + 1) for x in (p, s)]
    assert distances(*(1.0 * z for z in zeros)).max() <= 4.5
    # values below this are rare and would make too heavy tails
    logs = [np.log(np.maximum(x, 1e-3)) for x in (p, s)]
    if phi == "linear" and weights == "orthogonal":
        np.testing.assert_allclose(logs[0], logs[1], rtol=1e-12)
        return
    for f in (np.asarray, np.square, lambda x: x[:, :1] * x):
        assert distances(*map(f, logs)).max() <= 4.5


@pytest.mark.slow
@every_method
@every_law
@pytest.mark.parametrize("phi", ["tanh", "relu", "hard_tanh"])
def test_larger_networks_have_the_law_of_plain_numpy_networks(phi, weights, method):
    # blocks of several layers, splits at condition 1e6, ranks that fall from layer to layer
    n, width, depth = 20_000, 12, 9
    p = plain(phi, 1.3, 0.2, weights, width, depth, 0.5, n)
    s = simulate(
        phi, sigma_b=0.2, weights=weights, width=width, depth=depth, n=n, method=method
    ).singular_values
    logs = [np.log(np.maximum(x, 1e-5)) for x in (p, s)]
    for f in (np.asarray, np.square, lambda x: x[:, :1] * x):
        assert distances(*map(f, logs)).max() <= 4.5


@pytest.mark.parametrize("phi", ["linear", "tanh"])
def test_volume_of_a_product_of_gaussian_matrices_has_its_exact_law(phi):
    # at q = 0 tanh is straight, but takes the general way; log |det G| = sum of log chi_i
    width, depth, n = 7, 300, 100
    s = simulate(phi, 1.1, 0.0, width=width, depth=depth, q=0.0, n=n, seed=2)
    volume = s.log_singular_values.sum(axis=1) - depth * width * np.log(1.1 / np.sqrt(width))
    halves = np.arange(1, width + 1) / 2.0
    mean = depth * np.sum(special.digamma(halves) + np.log(2.0)) / 2.0
    deviation = np.sqrt(depth * np.sum(special.polygamma(1, halves)) / 4.0)
    assert abs(volume.mean() - mean) <= 4.5 * deviation / np.sqrt(n)
    assert volume.std(ddof=1) == pytest.approx(deviation, rel=4.5 / np.sqrt(2.0 * n))


@pytest.mark.parametrize("phi", ["linear", "tanh"])
@pytest.mark.parametrize("sigma_w", [1e-3, 1.0, 1e10])
def test_orthogonal_network_of_slope_one_has_equal_singular_values_at_any_depth(phi, sigma_w):
    s = simulate(phi, sigma_w, 0.0, weights="orthogonal", width=20, depth=1000, q=0.0)
    np.testing.assert_allclose(
        s.log_singular_values, 1000.0 * np.log(sigma_w), rtol=1e-13, atol=1e-9
    )


@every_law
def test_mean_square_of_a_relu_network_is_half_the_gain_to_the_depth(weights):
    s = simulate("relu", 1.4, 0.3, weights=weights, width=6, depth=4, n=20_000).singular_values
    mean = np.mean(s**2, axis=1)
    expected = (1.4**2 / 2.0) ** 4
    if weights == "gaussian":  # P(h_i > 0 | W) = 1/2 by the symmetry of W and b
        assert abs(mean.mean() - expected) <= 4.5 * mean.std(ddof=1) / np.sqrt(len(mean))
    assert np.all(np.diff(s, axis=1) <= 0.0)


@pytest.mark.parametrize("name", graded_products.CASES)
def test_graded_products_keep_every_digit(name):
    logs = mf.log_singular_values(graded_products.factors(name))
    np.testing.assert_allclose(logs, REFERENCES[name], rtol=0.0, atol=1e-10)


def test_references_are_those_of_their_maker():
    name = "gains of a network"
    made = graded_products.log_singular_values(graded_products.factors(name), 120)
    np.testing.assert_allclose(made, REFERENCES[name], rtol=1e-15)


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(1, 7), min_size=2, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_products_agree_with_numpy(sizes, seed):
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal((m, n)) for n, m in itertools.pairwise(sizes)]
    product = functools.reduce(lambda p, f: f @ p, factors)
    s = np.linalg.svd(product, compute_uv=False)
    logs = mf.log_singular_values(factors)
    rank = min(sizes)
    assert logs.shape == s.shape
    assert np.all(np.isneginf(logs[rank:]))
    # numpy's error is that of the product
    error = 1e-13 * np.prod([np.linalg.norm(f, 2) for f in factors]) / s[:rank]
    assert np.all(np.abs(logs[:rank] - np.log(s[:rank])) <= 1e-12 + error)


@pytest.mark.parametrize("rising", [False, True])
def test_sizes_of_rows_and_columns_do_not_matter(rising):
    rng = np.random.default_rng(3)
    w = rng.standard_normal((6, 6))
    sizes = 10.0 ** (np.arange(6) * (25 if rising else -25))
    left, right = (mf.log_singular_values([m]) for m in (w * sizes[:, np.newaxis], w.T * sizes))
    # rounding times the condition number of w
    error = 4e-16 * np.linalg.cond(w) * 6.0
    np.testing.assert_allclose(left, right, rtol=4e-16, atol=error)
    both = mf.log_singular_values([np.diag(sizes), w, np.diag(1.0 / sizes)])
    assert both[0] + both[-1] + both[1:-1].sum() == pytest.approx(np.linalg.slogdet(w)[1], abs=1e-9)


def test_diagonal_factors_in_any_order_add_up():
    rng = np.random.default_rng(4)
    exponents = rng.integers(-900, 900, size=(50, 9)).astype(float)
    permuted = [np.diag(2.0**e)[rng.permutation(9)] for e in exponents]
    place, total = np.arange(9), np.zeros(9)
    for factor in permuted:
        row = np.argmax(factor != 0.0, axis=0)  # column j goes to this row
        total += np.log2(factor[row, np.arange(9)])[place]
        place = row[place]
    expected = np.sort(total)[::-1] * np.log(2.0)
    np.testing.assert_allclose(mf.log_singular_values(permuted), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("factors", "rank"),
    [
        ([np.zeros((3, 3))], 0),
        ([np.diag([1.0, 0.0, 2.0])], 2),
        ([np.ones((4, 4)) + np.eye(4), np.diag([1.0, 0.0, 1.0, 1.0]), 3.0 * np.eye(4)], 3),
        ([np.eye(3), np.ones((1, 3)), np.ones((3, 1))], 1),
        ([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])], 0),
    ],
)
def test_zeros_of_the_structure_are_exact(factors, rank):
    logs = mf.log_singular_values(factors)
    assert np.isfinite(logs).sum() == rank
    assert np.all(np.isneginf(logs[rank:]))


@every_method
def test_dead_units_and_gain_zero_give_exact_zeros(method):
    width, depth, n = 30, 5, 1000
    s = simulate("relu", width=width, depth=depth, n=n, method=method).log_singular_values
    rank = np.isfinite(s).sum(axis=1)
    # the least number of active units in a layer, each active with probability 1/2
    at_least = stats.binom(width, 0.5).sf(np.arange(width)) ** depth
    mean = at_least.sum()
    assert abs(rank.mean() - mean) <= 4.5 * rank.std(ddof=1) / np.sqrt(n)
    none = simulate("tanh", 0.0, 1.0, width=5, depth=2, method=method)
    assert np.all(np.isneginf(none.log_singular_values))
    assert np.all(none.singular_values == 0.0)


def test_methods_agree_on_the_same_matrices_but_for_the_smallest():
    options = {"width": 40, "depth": 6, "n": 3, "sigma_b": 0.0}
    accurate, fast = (
        simulate("linear", method=method, **options).log_singular_values
        for method in ("accurate", "fast")
    )
    large = accurate > accurate[:, :1] + np.log(1e-6)
    assert large.sum() > 40
    # squares of the large ones are right to 1e-15 of the largest square
    np.testing.assert_allclose(accurate[large], fast[large], rtol=0.0, atol=1e-3)
    top = accurate > accurate[:, :1] + np.log(1e-2)
    np.testing.assert_allclose(accurate[top], fast[top], rtol=0.0, atol=1e-10)


@every_law
@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_samples_depend_on_seed_and_number_alone(phi, weights):
    options = {"weights": weights, "width": 30, "depth": 5, "n": 9, "seed": 7}
    one = simulate(phi, n_threads=1, **options).log_singular_values
    many = simulate(phi, n_threads=4, **options).log_singular_values
    np.testing.assert_array_equal(one, many)
    fewer = simulate(phi, **{**options, "n": 3}).log_singular_values
    np.testing.assert_array_equal(one[:3], fewer)
    assert len(np.unique(one[:, 0])) == 9
    other = simulate(phi, **{**options, "seed": 8}).log_singular_values
    assert np.all(one[:, 0] != other[:, 0])


@pytest.mark.slow
def test_functions_of_a_user_give_the_same_networks_as_built_in_ones():
    mine = mf.Activation(np.tanh, lambda h: 1.0 / np.cosh(h) ** 2)
    # its slope might vanish somewhere: the pre-activations are drawn first, in other networks
    a, b = (
        simulate(phi, width=8, depth=4, n=4000, n_threads=2, seed=seed).log_singular_values
        for phi, seed in (("tanh", 5), (mine, 6))
    )
    assert distances(a, b).max() <= 4.5


def test_strong_saturation_leaves_the_sum_of_the_logarithms():
    # slopes from 1 to 1e-50 in one layer; with sigma_b = 0 and width 1 J is a product of numbers
    s = simulate("tanh", 30.0, 0.0, width=1, depth=1, q=400.0, n=4000, seed=3).log_singular_values
    h = 20.0 * np.random.default_rng(1).standard_normal((4000, 1))
    logs = np.log(np.abs(h / 20.0) * 30.0) - 2.0 * np.log(np.cosh(h))
    assert distances(s, logs).max() <= 4.5
    deep = simulate("tanh", 30.0, 0.0, width=6, depth=40, q=400.0, n=20).log_singular_values
    assert np.all(np.isfinite(deep))
    assert np.all(deep[:, 0] - deep[:, -1] > 500.0)


def test_plot_draws_the_density_over_the_logarithm_of_lambda():
    import matplotlib.pyplot as plt

    s = simulate("relu", width=30, depth=2, n=30)
    ax = s.plot()
    (patch,) = ax.patches
    heights, edges, _ = patch.get_data()
    finite = np.isfinite(s.log_singular_values)
    assert np.sum(heights * np.diff(edges)) == pytest.approx(finite.mean())
    assert edges[-1] == pytest.approx(2.0 * s.log_singular_values.max() / np.log(10.0))
    plt.close(ax.figure)


def test_text_names_what_was_simulated():
    text = repr(simulate("relu", width=30, depth=2, n=3, seed=11))
    for words in ("relu", "3 networks of width 30, depth 2", "seed 11", "are 0"):
        assert words in text


NETWORK = mf.Ensemble("tanh", 1.2)
BAD = [
    ((NETWORK, 0, 3), {}, r"width must be an integer in \[1, 2\*\*31 - 1\], got 0"),
    ((NETWORK, 3, 0), {}, r"depth must be an integer in \[1, 2\*\*31 - 1\], got 0"),
    ((NETWORK, 3, 3), {"q": -1.0}, "q must be finite and >= 0, got -1.0"),
    (
        (NETWORK, 3, 3),
        {"n_samples": 0},
        r"n_samples must be an integer in \[1, 2\*\*31 - 1\], got 0",
    ),
    ((NETWORK, 3, 3), {"method": "exact"}, "method must be one of accurate, fast"),
    ((mf.Ensemble("tanh", 1.2, keep=0.9), 3, 3), {}, "keep must be 1 for a spectrum"),
    ((mf.Ensemble("gelu", 3.0), 3, 3), {}, "q must be given"),
    ((mf.Ensemble("gelu", 9.0), 30, 900), {"q": 1.0}, "the pre-activations overflow in layer"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_bad_arguments_are_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        mf.simulate_jacobian(*arguments, **options)


@pytest.mark.parametrize("phi", ["linear", "relu", "leaky_relu"])
@pytest.mark.parametrize("gain", [0.1, 100.0])
def test_gain_does_not_matter_where_slopes_do_not_depend_on_length(phi, gain):
    a = mf.simulate_jacobian(mf.Ensemble(phi, 1.0), 10, 500, n_samples=2)
    b = mf.simulate_jacobian(mf.Ensemble(phi, gain), 10, 500, n_samples=2)
    both = np.isfinite(a.log_singular_values)
    np.testing.assert_array_equal(both, np.isfinite(b.log_singular_values))
    shifted = b.log_singular_values[both] - 500.0 * np.log(gain)
    np.testing.assert_allclose(shifted, a.log_singular_values[both], rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([], "factors must hold at least one matrix"),
        ([np.eye(2), np.eye(3)], r"factors\[1\] must have 2 columns"),
        ([np.ones(3)], r"factors\[0\] must be a matrix that is not empty, got shape \(3,\)"),
        ([np.ones((0, 3))], r"factors\[0\] must be a matrix that is not empty"),
        ([np.eye(2), [[1.0, np.nan], [0.0, 1.0]]], r"factors\[1\] must be finite, got nan"),
    ],
)
def test_bad_factors_are_named(factors, message):
    with pytest.raises(ValueError, match=message):
        mf.log_singular_values(factors)


@pytest.mark.parametrize("factors", ["matrix", 3.0, np.array(3.0)])
def test_factors_are_a_sequence(factors):
    with pytest.raises(TypeError, match="factors must be a sequence of matrices"):
        mf.log_singular_values(factors)
