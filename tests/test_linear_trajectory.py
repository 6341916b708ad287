from itertools import pairwise

import numpy as np
import pytest
from linear_weights import draw, product, slopes

from meanfree.linear import descend, gradient_flow, initial_weights, max_learning_rate


def plain_loss(total, outputs, inputs):
    """The loss without its optimum."""
    inputs = np.eye(outputs.shape[1]) if inputs is None else inputs
    return 0.5 * np.trace(total @ inputs @ total.T) - np.trace(total @ outputs.T)


@pytest.mark.parametrize("white", [True, False], ids=["white", "coloured"])
def test_loss_is_the_excess_over_what_the_narrowest_layer_allows(white):
    weights, outputs, inputs = draw((5, 2, 4), seed=6, white=white)
    found = gradient_flow(weights, outputs, inputs, t=[0.0, 1.0, 200.0])
    losses = [plain_loss(w, outputs, inputs) for w in found.total]
    np.testing.assert_allclose(np.diff(found.loss), np.diff(losses), rtol=0, atol=1e-13)
    # the best map of rank 2 for coloured inputs, by its own route
    root = np.eye(5) if white else np.linalg.cholesky(inputs)
    u, s, vt = np.linalg.svd(outputs @ np.linalg.inv(root).T)
    best = (u[:, :2] * s[:2]) @ vt[:2] @ np.linalg.inv(root)
    assert plain_loss(best, outputs, inputs) == pytest.approx(losses[-1], abs=1e-13)
    assert 0.0 <= found.loss[-1] < 1e-13
    np.testing.assert_allclose(found.total[-1], best, rtol=0, atol=1e-7)


def hessian_index(weights, outputs, inputs):
    """Count negative eigenvalues of the Hessian, by differences of the gradient."""
    shapes, cuts = [w.shape for w in weights], np.cumsum([w.size for w in weights])[:-1]

    def gradient(x):
        w = [p.reshape(shape) for p, shape in zip(np.split(x, cuts), shapes, strict=True)]
        return -np.concatenate([g.ravel() for g in slopes(w, outputs, inputs)])

    x, step = np.concatenate([w.ravel() for w in weights]), 1e-4
    assert np.max(np.abs(gradient(x))) < 1e-12
    rows = [(gradient(x + e) - gradient(x - e)) / (2.0 * step) for e in step * np.eye(x.size)]
    values = np.linalg.eigvalsh(np.array(rows))
    assert not np.any((values < -1e-6) & (values > -1e-3))  # zero or clearly not
    return int(np.sum(values < -1e-3))


def saddle(outputs, inputs, widths, learned):
    """Balanced weights that have learned these modes and nothing else."""
    n_out, n_in = outputs.shape
    root = np.eye(n_in) if inputs is None else np.linalg.cholesky(inputs)
    u, s, vt = np.linalg.svd(outputs @ np.linalg.inv(root).T, full_matrices=False)
    total = (u[:, learned] * s[learned]) @ vt[learned] @ np.linalg.inv(root)
    u, s, vt = np.linalg.svd(total)
    sizes, k = (n_in, *widths, n_out), len(learned)
    root_s = np.diag(s[:k] ** (1.0 / (len(sizes) - 1)))
    frames = [vt[:k].T, *[np.eye(n, k) for n in widths], u[:, :k]]
    return [b @ root_s @ a.T for a, b in pairwise(frames)]


@pytest.mark.parametrize("white", [True, False], ids=["white", "coloured"])
@pytest.mark.parametrize("widths", [(3,), (5,), (2,), (3, 3), (2, 4, 3)], ids=str)
def test_saddle_index_is_that_of_the_hessian(widths, white):
    random = np.random.default_rng(7)
    u, _, vt = np.linalg.svd(random.standard_normal((3, 4)), full_matrices=False)
    outputs = (u * [3.0, 2.0, 1.0]) @ vt
    inputs = None if white else np.diag([1.0, 0.7, 1.4, 0.9])
    for learned in ([], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]):
        if len(learned) > min(widths):
            continue
        weights = saddle(outputs, inputs, widths, learned)
        at = descend(weights, outputs, inputs, eta=1e-3, steps=0)
        assert at.saddle_index() == hessian_index(weights, outputs, inputs)
        assert at.n_unlearned() == min(*widths, 3) - len(learned)


def test_plateaus_are_passages_near_saddles_of_falling_index():
    start = initial_weights((3, 3, 3), "balanced", scale=1e-4, seed=0)
    outputs = np.diag([4.0, 2.0, 1.0])
    found = gradient_flow(start, outputs, t=np.linspace(0.0, 20.0, 2001))
    index = found.saddle_index()
    assert list(dict.fromkeys(index.tolist())) == [9, 4, 1, 0]
    speed = -np.gradient(found.loss, found.t)
    for plateau, height in ((9, 10.5), (4, 2.5), (1, 0.5)):
        here = index == plateau
        slowest = np.argmin(np.where(here, speed, np.inf))
        # there the loss is that of the saddle: half the squares of what is not learned
        assert found.loss[slowest] == pytest.approx(height, rel=0.01)
        assert speed[slowest] < 0.02 * np.max(speed[here])


@pytest.mark.parametrize("white", [True, False], ids=["white", "coloured"])
@pytest.mark.parametrize("sizes", [(3, 3, 3), (4, 2, 3), (3, 4, 4, 3), (3, 2)], ids=str)
def test_the_bound_of_the_step_size_is_where_the_minimum_becomes_unstable(sizes, white):
    _, outputs, inputs = draw(sizes, seed=9, white=white)
    weights = saddle(outputs, inputs, sizes[1:-1], list(range(min(sizes))))
    if len(sizes) == 2:
        weights = [outputs if white else outputs @ np.linalg.inv(inputs)]
    random = np.random.default_rng(10)
    near = [w + 1e-6 * random.standard_normal(w.shape) for w in weights]
    with pytest.warns(UserWarning, match="eta must be <") as caught:
        descend(weights, outputs, inputs, eta=1e9, steps=0)
    bound = float(str(caught[0].message).split("eta must be < ")[1].split(",")[0])
    if white:
        s = np.linalg.norm(outputs, 2)
        assert bound == pytest.approx(max_learning_rate(s, len(sizes) - 1), rel=1e-5)
    below = descend(near, outputs, inputs, eta=0.98 * bound, steps=600, record_every=20)
    with pytest.warns(UserWarning, match="eta must be <"):
        above = descend(near, outputs, inputs, eta=1.02 * bound, steps=600, record_every=20)
    assert np.max(below.loss) == below.loss[0] < 1e-9
    # beyond it runs flee the minimum, some to a flatter, unbalanced one
    assert np.max(above.loss) > 1e-6


def test_a_network_without_weights_stays_where_it_is():
    zero = [np.zeros((3, 3)), np.zeros((3, 3))]
    found = gradient_flow(zero, np.eye(3), t=[0.0, 1e6])
    assert not found.total.any()
    assert found.saddle_index().tolist() == [9, 9]


def test_plot_draws_the_strengths_of_all_modes():
    weights, outputs, _ = draw((3, 3, 3), scale=0.2)
    found = descend(weights, outputs, eta=0.1, steps=20)
    lines = found.plot().lines
    np.testing.assert_array_equal(lines[1].get_ydata(), found.strength[:, 1])
    assert "3 - 3 - 3" in repr(found)
    with pytest.raises(ValueError, match="one run"):
        descend(weights, outputs, eta=[0.1, 0.2], steps=2).plot()


@pytest.mark.parametrize("sizes", [(4, 4, 4), (5, 3, 6, 4)], ids=str)
def test_initial_weights_are_what_they_are_called(sizes):
    outputs = np.random.default_rng(11).standard_normal((sizes[-1], sizes[0]))
    for w in initial_weights(sizes, "orthogonal", scale=0.7, seed=1):
        np.testing.assert_allclose(np.linalg.svd(w)[1], 0.7, rtol=1e-13)
    for kind in ("balanced", "aligned"):
        weights = initial_weights(sizes, kind, scale=0.7, sigma_yx=outputs, seed=1)
        for a, b in pairwise(weights):
            np.testing.assert_allclose(b.T @ b, a @ a.T, rtol=0, atol=1e-14)
    u, _, vt = np.linalg.svd(outputs)
    modes = u.T @ product(weights) @ vt.T
    k = min(sizes)
    expected = np.zeros_like(modes)
    expected[:k, :k] = 0.7 ** len(weights) * np.eye(k)
    np.testing.assert_allclose(modes, expected, rtol=0, atol=1e-14)


def test_gaussian_weights_have_the_variance_of_the_fan_in():
    (w1, w2) = initial_weights((30, 20, 10), "gaussian", scale=2.0, seed=4, n_runs=50)
    for w, n in ((w1, 30), (w2, 20)):
        # relative standard error of a variance: sqrt(2 / number)
        assert abs(np.var(w) * n / 4.0 - 1.0) < 4.0 * np.sqrt(2.0 / w.size)
        assert abs(np.mean(w)) < 4.0 * np.std(w) / np.sqrt(w.size)


def test_initial_weights_of_a_run_do_not_depend_on_how_many_there_are():
    one = initial_weights((3, 4), "gaussian", seed=5)
    many = initial_weights((3, 4), "gaussian", seed=5, n_runs=3)
    assert many[0].shape == (3, 4, 3)
    np.testing.assert_array_equal(many[0][0], one[0])
    assert np.all(many[0][1] != many[0][0])
