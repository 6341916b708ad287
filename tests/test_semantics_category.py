"""Categories hidden in noise: threshold, overlaps, simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import svds

from meanfree.semantics import category, category_coherence


def as_in_the_text(c, rows, columns, sigma):
    """Return the three formulas as they are written."""
    r = np.sqrt(rows / columns)
    value = sigma * np.sqrt(columns * (1.0 + c * r) * (r**2 + c * r) / (c * r))
    item = np.sqrt(r * (c**2 - 1.0) / (c * (1.0 + c * r)))
    return value, item, np.sqrt((c**2 - 1.0) / (c * (c + r)))


@settings(max_examples=30)
@given(st.floats(1.001, 1e3), st.integers(1, 10**4), st.integers(1, 10**4), st.floats(0.1, 10.0))
def test_formulas_above_the_threshold(c, rows, columns, sigma):
    found = category(c, rows, columns, noise=sigma)
    expected = as_in_the_text(c, rows, columns, sigma)
    got = (found.singular_value, found.item_overlap, found.feature_overlap)
    # 1 - 1/C**2 has lost a factor 1 / (C - 1)
    np.testing.assert_allclose(got, expected, rtol=1e-15 * (8.0 + 2.0 / (c - 1.0)))


def test_nothing_is_seen_up_to_the_threshold():
    found = category([0.0, 0.5, 1.0], 400, 600, noise=2.0)
    np.testing.assert_array_equal(found.item_overlap, 0.0)
    np.testing.assert_array_equal(found.feature_overlap, 0.0)
    edge = 2.0 * (np.sqrt(400) + np.sqrt(600))
    np.testing.assert_allclose(found.singular_value, edge, rtol=1e-14)


def test_the_threshold_is_continuous_and_more_coherent_is_stronger():
    c = np.concatenate([[1.0], 1.0 + np.geomspace(1e-12, 1e6, 300)])
    found = category(c, 300, 200)
    # it grows by (C - 1)**2, less than rounding at first
    assert np.all(np.diff(found.singular_value) >= -4e-16 * found.singular_value[1:])
    assert np.all(np.diff(found.item_overlap) > 0.0)
    assert found.item_overlap[1] < 1e-5
    assert found.item_overlap[-1] == pytest.approx(1.0, abs=1e-5)
    assert found.feature_overlap[-1] == pytest.approx(1.0, abs=1e-5)


def test_items_and_features_swap_with_the_transpose():
    one, other = category(3.0, 400, 150), category(3.0, 150, 400)
    assert one.item_overlap == pytest.approx(other.feature_overlap, rel=1e-14)
    assert one.singular_value == pytest.approx(other.singular_value, rel=1e-14)


@pytest.mark.parametrize(("coherence", "noise"), [(2.0, 1.0), (6.0, 0.5)])
def test_simulated_categories_agree_within_four_and_a_half_errors(coherence, noise):
    rows, columns, block, n_draws = 200, 300, (20, 30), 24
    shape = np.sqrt(block[0] * block[1] / np.sqrt(rows * columns))
    mu = noise * np.sqrt(coherence) / shape
    assert category_coherence(mu, *block, rows, columns, noise=noise) == pytest.approx(coherence)
    random = np.random.default_rng(8)
    draws = np.empty((n_draws, 3))
    for k in range(n_draws):
        y = noise * random.standard_normal((rows, columns))
        y[: block[0], : block[1]] += mu
        u, s, v = svds(y, k=1, rng=random)
        item = abs(v[0, : block[1]].sum()) / np.sqrt(block[1])
        draws[k] = s[0], item, abs(u[: block[0], 0].sum()) / np.sqrt(block[0])
    theory = category(coherence, rows, columns, noise=noise)
    expected = (theory.singular_value, theory.item_overlap, theory.feature_overlap)
    errors = draws.std(axis=0, ddof=1) / np.sqrt(n_draws)
    assert np.all(np.abs(draws.mean(axis=0) - expected) <= 4.5 * errors)
    assert np.all(errors < 0.03 * np.array(expected))


def test_shapes_broadcast_and_scalars_stay_scalars():
    found = category(np.full((3, 1), 2.0), 10, 20, noise=[1.0, 2.0])
    assert found.singular_value.shape == found.item_overlap.shape == (3, 2)
    assert isinstance(category(2.0, 10, 20).item_overlap, float)
    assert isinstance(category_coherence(1.0, 2, 3, 10, 20), float)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: category(-0.1, 10, 10), r"coherence must be finite and >= 0, got -0\.1"),
        (lambda: category(np.inf, 10, 10), "coherence must be finite and >= 0, got inf"),
        (lambda: category(2.0, 0, 10), "n_features must be an integer .* got 0"),
        (lambda: category(2.0, 10, 0), "n_items must be an integer .* got 0"),
        (lambda: category(2.0, 10, 10, noise=0.0), r"noise must be finite and > 0, got 0\.0"),
        (lambda: category([1.0, 2.0], 5, 5, noise=[1.0] * 3), "coherence and noise must have sha"),
        (lambda: category_coherence(1.0, 11, 5, 10, 10), r"category_features .* \[1, 10\], got 11"),
        (lambda: category_coherence(1.0, 5, 11, 10, 10), r"category_items .* \[1, 10\], got 11"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
