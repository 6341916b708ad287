"""Saddles of linear networks: the closed spectrum against Hessians assembled from gradients."""

from itertools import combinations

import numpy as np
import pytest

from meanfree.landscape import linear_saddle


def gradient(w, matrix, units):
    first = w[: units * matrix.shape[1]].reshape(units, -1)
    second = w[first.size :].reshape(-1, units)
    error = second @ first - matrix
    return np.concatenate([(second.T @ error).ravel(), (error @ first.T).ravel()])


def hessian(w, matrix, units):
    """Difference the gradient, a cubic, with a formula that is exact for cubics."""
    rows = []
    for unit in np.eye(w.size):
        near, far = (
            gradient(w + k * unit, matrix, units) - gradient(w - k * unit, matrix, units)
            for k in (1, 2)
        )
        rows.append((8 * near - far) / 12)
    return np.array(rows)


def random_matrix(shape, values, seed=0):
    random = np.random.default_rng(seed)
    u = np.linalg.qr(random.standard_normal((shape[0], shape[0])))[0]
    v = np.linalg.qr(random.standard_normal((shape[1], shape[1])))[0]
    k = min(shape)
    return u[:, :k] * np.asarray(values, dtype=float) @ v[:, :k].T


CASES = [
    ((4, 3), [3.0, 2.0, 0.5], 2),
    ((3, 5), [3.0, 2.0, 0.5], 4),
    ((3, 3), [2.0, 1.0, 0.0], 3),  # a value that is 0
    ((4, 4), [2.0, 2.0, 2.0, 1.0], 2),  # values that are equal
    ((1, 6), [1.5], 2),
    ((5, 2), [50.0, 0.02], 2),
]


@pytest.mark.parametrize(("shape", "values", "units"), CASES)
def test_spectrum_loss_and_index_are_those_of_the_assembled_hessian(shape, values, units):
    matrix = random_matrix(shape, values)
    few = range(min(units, *shape) + 1)
    for modes in (m for r in few for m in combinations(range(min(shape)), r)):
        found = linear_saddle(matrix, units, modes)
        first, second = found.weights
        np.testing.assert_allclose(first @ first.T, second.T @ second, atol=1e-13 * values[0])
        w = np.concatenate([first.ravel(), second.ravel()])
        assert np.abs(gradient(w, matrix, units)).max() < 1e-13 * values[0] ** 1.5
        error = np.linalg.norm(matrix - second @ first)
        assert np.sqrt(2 * found.loss) == pytest.approx(error, abs=1e-14 * values[0])
        dense = np.linalg.eigvalsh(hessian(w, matrix, units))
        # differences of numbers of the size of (w + 2)**3
        slack = 1e-15 * (np.abs(w).max() + 2) ** 3 * w.size
        np.testing.assert_allclose(found.eigenvalues, dense, atol=slack)
        assert np.abs(found.eigenvalues[found.eigenvalues != 0]).min(initial=1.0) > 10 * slack
        kept = np.array(modes, dtype=int)
        left = np.setdiff1d(np.arange(len(values)), kept)
        s = np.array(values)
        pairs = sum(s[j] > s[i] for i in kept for j in left)
        assert found.index == pairs + (units - len(modes)) * np.count_nonzero(s[left] > 0)
        assert found.index == np.count_nonzero(dense < -slack)
        assert found.n_zero == np.count_nonzero(np.abs(dense) <= slack)


def test_only_the_best_modes_are_no_saddle():
    matrix = random_matrix((6, 5), [5.0, 4.0, 3.0, 2.0, 1.0])
    points = {m: linear_saddle(matrix, 3, m) for m in combinations(range(5), 3)}
    index = {m: point.index for m, point in points.items()}
    assert [m for m in index if index[m] == 0] == [(0, 1, 2)]
    # each step from a mode to the next is one more way down
    assert all(index[m] == sum(m) - 3 for m in index)
    below = [(p.loss, p.index) for p in points.values()]
    assert max(below)[1] == 6
    assert linear_saddle(matrix, 5, range(5)).index == 0
    origin = linear_saddle(matrix, 3, [])
    assert origin.index == 15
    assert not any(w.any() for w in origin.weights)
    assert linear_saddle(matrix, 9, []).index == 45


def test_order_of_the_modes_is_that_of_the_hidden_units():
    matrix = random_matrix((4, 4), [4.0, 3.0, 2.0, 1.0])
    one, other = linear_saddle(matrix, 2, [2, 0]), linear_saddle(matrix, 2, (0, 2))
    np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)
    for a, b in zip(one.weights, other.weights, strict=True):
        assert not np.array_equal(a, b)
    np.testing.assert_array_equal(one.weights[0][::-1], other.weights[0])
    np.testing.assert_allclose(
        one.weights[1] @ one.weights[1].T, other.weights[1] @ other.weights[1].T
    )


def test_equal_values_count_as_equal_however_they_are_rounded():
    for seed in range(5):
        matrix = random_matrix((7, 7), np.ones(7), seed)
        found = linear_saddle(matrix, 3, [6, 2])
        # pairs: 2 * 5 zeros beside their sums, and 4 in the kept; the idle unit: 5 down, 5 up
        assert (found.index, found.n_zero) == (5, 10 + 4 + 4)
        low = random_matrix((7, 7), [1.0, 1.0, 0, 0, 0, 0, 0], seed)
        assert linear_saddle(low, 4, [0, 1]).index == 0
        assert linear_saddle(low, 2, [5]).index == 4


def test_unbalanced_weights_of_the_same_product_have_the_same_index():
    matrix = random_matrix((4, 5), [4.0, 3.0, 2.0, 1.0])
    found = linear_saddle(matrix, 3, [1, 3])
    mixing = np.random.default_rng(1).standard_normal((3, 3)) + 2 * np.eye(3)
    first, second = mixing @ found.weights[0], found.weights[1] @ np.linalg.inv(mixing)
    w = np.concatenate([first.ravel(), second.ravel()])
    assert np.abs(gradient(w, matrix, 3)).max() < 1e-12
    dense = np.linalg.eigvalsh(hessian(w, matrix, 3))
    assert np.count_nonzero(dense < -1e-10) == found.index == 3 + 2
    assert np.count_nonzero(np.abs(dense) < 1e-10) == found.n_zero
    assert np.abs(dense - found.eigenvalues).max() > 0.1


def test_sizes_and_kinds_of_what_is_returned():
    found = linear_saddle(np.zeros((2, 3)), 4, np.array([1]))
    assert [w.shape for w in found.weights] == [(4, 3), (2, 4)]
    assert found.eigenvalues.shape == (20,)
    assert (found.index, found.n_zero, found.loss) == (0, 20, 0.0)
    assert type(found.index) is type(found.n_zero) is int
    assert not np.signbit(found.eigenvalues).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (([1.0, 2.0], 1, [0]), ValueError, r"sigma_yx must have the shape .* got shape \(2,\)"),
        ((np.zeros((0, 3)), 1, []), ValueError, r"sigma_yx must have .* got shape \(0, 3\)"),
        (([[np.nan]], 1, [0]), ValueError, "sigma_yx must be finite .* got nan"),
        ((np.eye(3), 0, []), ValueError, "n_hidden must be an integer .* got 0"),
        ((np.eye(3), 2, [3]), ValueError, r"modes must be an integer in \[0, 2\], got 3"),
        ((np.eye(3), 2, [-1]), ValueError, r"modes must be an integer in \[0, 2\], got -1"),
        ((np.eye(3), 2, [0, 0]), ValueError, r"modes must be different .* got \[0, 0\]"),
        ((np.eye(3), 1, [0, 1]), ValueError, "modes must be at most n_hidden = 1, got 2"),
        ((np.eye(3), 1, [0.0]), TypeError, r"modes must be an integer .* got 0\.0"),
        ((np.eye(3), 1, 0), TypeError, "modes must be a sequence of integers, got 0"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match="^" + message):
        linear_saddle(*call)


def test_more_hidden_units_than_fit_are_refused_before_they_are_allocated():
    wanted = 40 * (2**31 - 1) * 4000
    message = rf"weights and as many eigenvalues need {wanted} bytes, \d+ are available: take fewer"
    with pytest.raises(MemoryError, match=message):
        linear_saddle(np.ones((1, 3999)), 2**31 - 1, [0])
