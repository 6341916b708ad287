"""Noise on matrices of low rank: against quadrature, identities and random matrices."""

from math import inf, pi, sqrt

import numpy as np
import pytest
from scipy.integrate import quad

import meanfree as mf
from meanfree.linear import spiked

ASPECTS = [1e-6, 0.01, 0.2, 0.25, 0.6, 0.99, 1 - 1e-7, 1.0, 1 + 1e-10, 1.5, 8.0, 1e4]


def density(s, a):
    inside = np.maximum(4 * a - (s * s - 1 - a) ** 2, 0.0)
    return np.sqrt(inside) / (pi * min(a, 1.0) * s)


def mean_by_quad(function, a, low=None, high=None):
    """Integrate the density over its angle with scipy, an error of about 1e-13."""
    low = abs(1 - sqrt(a)) if low is None else low
    high = 1 + sqrt(a) if high is None else high

    def slope(x):  # s = low + (high - low) sin(x)**2 removes the roots at both edges
        s = low + (high - low) * np.sin(x) ** 2
        return function(s) * density(s, a) * (high - low) * np.sin(2 * x) if s > 0 else 0.0

    return quad(slope, 0, pi / 2, epsabs=1e-14, epsrel=1e-13, limit=500)[0]


@pytest.mark.parametrize("aspect", ASPECTS)
def test_moments_of_the_bulk_are_those_of_the_law(aspect):
    a, sigma = aspect, 0.7
    ratio = max(a, 1.0)
    exact = {0: 1.0, 2: ratio, 4: ratio * (1 + a), 6: ratio * (1 + 3 * a + a * a)}
    for power, moment in exact.items():
        mean = spiked.bulk_mean(lambda s, p=power: s**p, a, sigma=sigma)
        assert mean == pytest.approx(sigma**power * moment, rel=1e-12)
    if abs(a - 1) > 0.005:
        inverse = spiked.bulk_mean(lambda s: s**-2, a)
        assert inverse == pytest.approx(1 / abs(1 - a), rel=1e-11)
    assert spiked.bulk_mean(lambda s: 3.0, a, sigma=sigma) == pytest.approx(3.0, rel=1e-13)


@pytest.mark.parametrize("aspect", [0.05, 0.6, 0.9, 1.0, 1.5, 8.0])
@pytest.mark.parametrize("t", [0.5, 4.0, 40.0])
def test_means_of_learned_strength_are_those_of_another_quadrature(aspect, t):
    def strength(s):
        return mf.linear.mode_strength(t, s, 1e-3) ** 2

    mean = spiked.bulk_mean(strength, aspect)
    assert mean == pytest.approx(mean_by_quad(strength, aspect), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("aspect", [0.01, 0.2, 0.6, 0.999, 1.0, 2.0, 30.0])
def test_quantiles_cut_off_the_fraction_asked_for(aspect):
    top = np.array([1e-6, 0.03, 0.5, 0.9, 0.999])
    at = spiked.bulk_quantile(top, aspect)
    for fraction, s in zip(top, at, strict=True):
        above = mean_by_quad(lambda s: 1.0, aspect, low=s)
        assert above == pytest.approx(fraction, abs=1e-11)
    ends = spiked.bulk_quantile([0.0, 1.0], aspect, sigma=2.0)
    edges = 2 * (1 + sqrt(aspect)), 2 * abs(1 - sqrt(aspect))
    np.testing.assert_allclose(ends, edges, rtol=1e-14, atol=1e-15)
    assert np.all(np.diff(at) < 0)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_transposing_exchanges_left_and_right(aspect):
    s_bar, sigma = np.array([0.0, 0.4, 1.3, 5.0, 1e3, 1e9]), 0.7
    turned = {"aspect": 1 / aspect, "sigma": sigma * sqrt(aspect)}
    same = {"aspect": aspect, "sigma": sigma}
    for f in (spiked.singular_value, spiked.shrink):
        np.testing.assert_allclose(f(s_bar, **same), f(s_bar, **turned), rtol=1e-13)
    here, there = spiked.overlaps(s_bar, **same), spiked.overlaps(s_bar, **turned)
    np.testing.assert_allclose(here.left, there.right, rtol=1e-11)
    np.testing.assert_allclose(here.right, there.left, rtol=1e-11)
    top = np.linspace(0, 1, 7)
    np.testing.assert_allclose(
        spiked.bulk_quantile(top, **same), spiked.bulk_quantile(top, **turned), rtol=1e-9
    )
    one = spiked.bulk_mean(np.cos, aspect, sigma=0.1 / (1 + sqrt(aspect)))
    other = spiked.bulk_mean(np.cos, 1 / aspect, sigma=0.1 * sqrt(aspect) / (1 + sqrt(aspect)))
    assert one == pytest.approx(other, rel=1e-13)


def test_square_matrices_have_their_short_formulas():
    s_bar = np.array([1.2, 2.0, 30.0])
    seen = spiked.overlaps(s_bar, 1.0)
    np.testing.assert_allclose(spiked.singular_value(s_bar, 1.0), s_bar + 1 / s_bar, rtol=1e-15)
    np.testing.assert_allclose(seen.left * seen.right, 1 - 1 / s_bar**2, rtol=1e-14)
    np.testing.assert_allclose(seen.left, seen.right, rtol=1e-15)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_threshold_is_where_the_signal_leaves_the_edge(aspect):
    edge, threshold = 1 + sqrt(aspect), aspect**0.25
    below = np.array([0.0, 0.5, 0.999]) * threshold
    assert spiked.singular_value(below, aspect).tolist() == [edge] * 3
    assert spiked.overlaps(below, aspect).left.tolist() == [0.0] * 3
    assert spiked.shrink(np.array([0.0, 0.3, 1.0]) * edge, aspect).tolist() == [0.0] * 3
    above = np.array([1.0001, 1.1, 3.0, 1e5]) * threshold
    spike, cosines = spiked.singular_value(above, aspect), spiked.overlaps(above, aspect)
    assert np.all(np.diff(np.concatenate([[edge], spike])) > 0)
    product = above * cosines.left * cosines.right
    # near the edge shrink takes a difference of its argument, whose rounding it magnifies
    slack = 1e-15 / (1 - edge / spike)
    np.testing.assert_array_less(np.abs(spiked.shrink(spike, aspect) / product - 1), slack + 1e-14)


def test_without_noise_everything_is_seen():
    s = np.array([0.0, 1e-3, 2.0])
    seen = spiked.overlaps(s, 0.3, sigma=0.0)
    assert spiked.singular_value(s, 0.3, sigma=0.0).tolist() == s.tolist()
    assert spiked.shrink(s, 0.3, sigma=0.0).tolist() == s.tolist()
    assert seen.left.tolist() == seen.right.tolist() == [0.0, 1.0, 1.0]
    assert spiked.bulk_mean(np.cos, 0.3, sigma=0.0) == 1.0
    assert spiked.bulk_quantile(0.5, 0.3, sigma=0.0) == 0.0
    huge = spiked.overlaps(1e100, 0.3, sigma=1e-100)
    assert huge.left == huge.right == 1.0
    assert spiked.overlaps(1e-100, 0.3, sigma=1e100).left == 0.0


def sample(n_out, n_in, s_bar, sigma, n_samples, seed):
    """Return for each random matrix the top singular values, overlaps and a mean of the bulk."""
    rng = np.random.default_rng(seed)
    r = len(s_bar)
    rows = []
    for _ in range(n_samples):
        matrix = sigma / sqrt(n_in) * rng.normal(size=(n_out, n_in))
        matrix[range(r), range(r)] += s_bar
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        left = np.abs(u[range(r), range(r)])
        right = np.abs(vt[range(r), range(r)])
        rows.append([*s[:r], *left, *right, np.mean(np.cos(s[r:]))])
    return np.array(rows)


@pytest.mark.parametrize(("n_out", "n_in"), [(90, 150), (150, 90), (110, 110)])
def test_random_matrices_have_these_values_and_overlaps(n_out, n_in):
    s_bar, sigma, n_samples = [3.0, 1.5], 0.8, 40
    rows = sample(n_out, n_in, s_bar, sigma, n_samples, seed=5)
    mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / sqrt(n_samples)
    a = n_out / n_in
    seen = spiked.overlaps(s_bar, a, sigma=sigma)
    bulk = spiked.bulk_mean(np.cos, a, sigma=sigma)
    theory = [*spiked.singular_value(s_bar, a, sigma=sigma), *seen.left, *seen.right, bulk]
    # four standard errors, and the corrections of order 1 / n of finite matrices
    np.testing.assert_array_less(np.abs(mean - theory), 4 * error + 2 / min(n_out, n_in))
    # which is a test: the errors are small beside what noise changes
    assert np.all(error[:6] < 0.02)
    assert abs(mean[0] - s_bar[0]) > 3 * (error[0] + 2 / min(n_out, n_in))


BAD = {
    "s_bar": lambda v: spiked.singular_value(v, 1.0),
    "aspect": lambda v: spiked.singular_value(1.0, v),
    "sigma": lambda v: spiked.singular_value(1.0, 1.0, sigma=v),
    "s_bar of overlaps": lambda v: spiked.overlaps(v, 1.0),
    "aspect of overlaps": lambda v: spiked.overlaps(1.0, v),
    "s_hat": lambda v: spiked.shrink(v, 1.0),
    "aspect of bulk_mean": lambda v: spiked.bulk_mean(np.cos, v),
    "sigma of bulk_mean": lambda v: spiked.bulk_mean(np.cos, 1.0, sigma=v),
    "tol": lambda v: spiked.bulk_mean(np.cos, 1.0, tol=v),
    "top_fraction": lambda v: spiked.bulk_quantile(v, 1.0),
    "aspect of bulk_quantile": lambda v: spiked.bulk_quantile(0.5, v),
}


@pytest.mark.parametrize("argument", BAD)
def test_bad_values_are_refused_by_name_and_value(argument):
    name = argument.split()[0]
    for value in (-0.5, np.nan, inf):
        with pytest.raises(ValueError, match=rf"^{name} must be .*got {value!r}"):
            BAD[argument](value)
    for value in ("1", None, 1j, True):
        with pytest.raises(TypeError, match=rf"^{name} must be"):
            BAD[argument](value)


def test_functions_that_cannot_be_averaged_are_refused():
    with pytest.raises(TypeError, match=r"^function must be callable, got 3"):
        spiked.bulk_mean(3, 1.0)
    with pytest.raises(ValueError, match=r"^function must be finite, got nan"):
        spiked.bulk_mean(lambda s: s * np.nan, 1.0)
    with pytest.raises(ValueError, match=r"^function must return the shape"):
        spiked.bulk_mean(lambda s: s[:3], 1.0)
    with pytest.raises(mf.ConvergenceError, match=r"is the function smooth"):
        spiked.bulk_mean(lambda s: (s > 1).astype(float), 0.5)
    assert spiked.bulk_mean(lambda s: (s > 1).astype(float), 0.5, tol=1e-4) == pytest.approx(
        mean_by_quad(lambda s: 1.0, 0.5, low=1.0), rel=1e-3
    )
    with pytest.raises(ValueError, match=r"^s_bar and aspect and sigma must have shapes that"):
        spiked.singular_value([1.0, 2.0], [1.0, 2.0, 3.0])
