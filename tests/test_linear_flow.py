from itertools import pairwise

import numpy as np
import pytest
from linear_weights import slopes
from scipy.integrate import solve_ivp

import meanfree
from meanfree import _core
from meanfree.linear import (
    descend,
    exact_solution,
    gradient_descent_mode,
    gradient_flow,
    initial_weights,
    max_learning_rate,
    mode_strength,
)

# square, wide and narrow, narrow and wide, a bottleneck, no hidden layer, one unit
CHAINS = [(4, 4, 4), (3, 5, 6), (6, 5, 3), (5, 2, 7, 4), (4, 3), (4, 4, 4, 4, 4), (1, 1, 1)]
names = ["-".join(map(str, sizes)) for sizes in CHAINS]


def draw(sizes, seed=0, white=True, scale=0.6):
    """Weights, sigma_yx and sigma_xx that share no basis."""
    random = np.random.default_rng(seed)
    weights = [scale * random.standard_normal((m, n)) for n, m in pairwise(sizes)]
    outputs = random.standard_normal((sizes[-1], sizes[0]))
    x = random.standard_normal((sizes[0], 3 * sizes[0])) / np.sqrt(3 * sizes[0])
    return weights, outputs, None if white else x @ x.T + 0.2 * np.eye(sizes[0])


def product(weights):
    return weights[0] if len(weights) == 1 else np.linalg.multi_dot(weights[::-1])


def plain_loss(total, outputs, inputs):
    """The loss without its optimum."""
    inputs = np.eye(outputs.shape[1]) if inputs is None else inputs
    return 0.5 * np.trace(total @ inputs @ total.T) - np.trace(total @ outputs.T)


@pytest.mark.parametrize("white", [True, False], ids=["white", "coloured"])
@pytest.mark.parametrize("sizes", CHAINS, ids=names)
def test_descent_is_the_loop_that_one_would_write(sizes, white):
    weights, outputs, inputs = draw(sizes, white=white)
    found = descend(weights, outputs, inputs, eta=0.02, steps=50, record_every=20)
    assert found.t.tolist() == [0.0, 20.0, 40.0, 50.0]
    w = [x.copy() for x in weights]
    for step in range(51):
        if step in found.t:
            at = found.t.tolist().index(step)
            np.testing.assert_allclose(found.total[at], product(w), rtol=0, atol=1e-13)
            away = [np.linalg.norm(b.T @ b - a @ a.T) for a, b in pairwise(w)]
            np.testing.assert_allclose(found.balancedness[at], away, rtol=0, atol=1e-12)
        if step < 50:
            w = [a + 0.02 * b for a, b in zip(w, slopes(w, outputs, inputs), strict=True)]
    for a, b in zip(found.weights, w, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("white", [True, False], ids=["white", "coloured"])
@pytest.mark.parametrize("sizes", CHAINS, ids=names)
def test_flow_is_that_of_scipy_and_keeps_the_balance(sizes, white):
    weights, outputs, inputs = draw(sizes, seed=1, white=white)
    times = [0.0, 0.5, 4.0]
    found = gradient_flow(weights, outputs, inputs, t=times, tau=2.0)
    cuts = np.cumsum([w.size for w in weights])[:-1]

    def slope(_, x):
        w = [p.reshape(q.shape) for p, q in zip(np.split(x, cuts), weights, strict=True)]
        return np.concatenate([g.ravel() for g in slopes(w, outputs, inputs)]) / 2.0

    start = np.concatenate([w.ravel() for w in weights])
    known = solve_ivp(slope, (0.0, 4.0), start, "DOP853", times, rtol=1e-12, atol=1e-13)
    ends = np.concatenate([w.ravel() for w in found.weights])
    # the bottleneck first stays near a saddle, which magnifies what both leave out
    np.testing.assert_allclose(ends, known.y[:, -1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        found.balancedness, np.broadcast_to(found.balancedness[0], found.balancedness.shape),
        rtol=0, atol=1e-11,
    )  # fmt: skip
    assert np.all(np.diff(found.loss) < 0.0)


def small_start(sizes, outputs):
    """A balanced start that learns every mode."""
    w1, w2 = initial_weights(sizes, "balanced", scale=0.05, seed=3)
    # for as many outputs as inputs the flow keeps the sign of the determinant, which has to fit
    if sizes[0] == sizes[2] and np.linalg.det(w2 @ w1) * np.linalg.det(outputs) < 0.0:
        w1[:, 0] *= -1.0
    return w1, w2


@pytest.mark.parametrize("sizes", [(4, 4, 4), (5, 6, 4), (4, 3, 6), (6, 2, 5), (3, 8, 3)], ids=str)
@pytest.mark.parametrize("deficient", [False, True], ids=["full rank", "rank deficient"])
def test_exact_solution_is_the_integrated_flow_until_it_has_converged(sizes, deficient):
    random = np.random.default_rng(4)
    u, _, vt = np.linalg.svd(random.standard_normal((sizes[2], sizes[0])), full_matrices=False)
    s = np.linspace(3.0, 1.0, len(vt))
    if deficient:
        s[-1] = 0.0
    outputs = (u * s) @ vt
    w1, w2 = small_start(sizes, outputs)
    times = [0.0, 0.7, 1.5, 3.0, 6.0, 40.0]
    flow = gradient_flow([w1, w2], outputs, t=times)
    exact = exact_solution(w1, w2, outputs, times)
    assert np.max(np.abs(exact - flow.total)) < 1e-9
    # a mode of strength 0 decays like 1 / (2 t) only
    assert flow.loss[-1] < (1e-3 if deficient else 1e-15)


def test_exact_solution_is_right_at_any_time():
    outputs = np.diag([3.0, 1.0, 0.01, 0.0])
    start = initial_weights((4, 4, 4), "aligned", scale=0.1, sigma_yx=outputs, seed=1)
    times = np.array([1.0, 100.0, 600.0, 5000.0, 1e8, 1e100])
    found = np.diagonal(exact_solution(*start, outputs, times), axis1=1, axis2=2)
    law = mode_strength(times[:, np.newaxis], [3.0, 1.0, 0.01, 0.0], 0.01)
    np.testing.assert_allclose(found, law, rtol=1e-10, atol=1e-14)


def test_exact_solution_leaves_the_saddle_as_late_as_it_has_to():
    tiny = [1e-30 * np.eye(2)] * 2
    times = [30.0, 60.0, 80.0]
    found = exact_solution(*tiny, np.eye(2), times)[:, 0, 0]
    np.testing.assert_allclose(found, mode_strength(times, 1.0, 1e-60), rtol=1e-11)


def test_exact_solution_takes_times_in_any_order_and_a_time_constant():
    w1, w2 = initial_weights((3, 2, 4), "balanced", scale=0.3, seed=0)
    outputs = np.random.default_rng(0).standard_normal((4, 3))
    times = np.array([[2.0, 0.0], [5.0, 2.0]])
    found = exact_solution(w1, w2, outputs, times, tau=4.0)
    assert found.shape == (2, 2, 4, 3)
    for i in np.ndindex(2, 2):
        one = exact_solution(w1, w2, outputs, times[i] / 4.0)
        np.testing.assert_allclose(found[i], one, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found[0, 1], w2 @ w1, rtol=0, atol=1e-15)


@pytest.mark.parametrize("full", [False, True], ids=["modes", "full matrices"])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_aligned_runs_follow_the_laws_of_modes(depth, full, monkeypatch):
    if full:
        monkeypatch.setattr("meanfree.linear.flow.find_modes", lambda *_: None)
    sizes = (6, *[5] * (depth - 1), 4)
    outputs = np.random.default_rng(5).standard_normal((4, 6))
    scale = 0.5
    start = initial_weights(sizes, "aligned", scale=scale, sigma_yx=outputs, seed=1)
    eta = 0.3 * max_learning_rate(np.linalg.norm(outputs, 2), depth)
    found = descend(start, outputs, eta=eta, steps=60)
    s = found.singular_values
    steps = np.arange(61)[:, np.newaxis]
    modes = gradient_descent_mode(steps, s, scale, eta, depth=depth)
    np.testing.assert_allclose(found.strength, modes, rtol=0, atol=1e-11)
    u, _, vt = np.linalg.svd(outputs, full_matrices=False)
    np.testing.assert_allclose(found.total, (u * modes[:, np.newaxis]) @ vt, rtol=0, atol=1e-11)
    times = np.linspace(0.0, 3.0, 7)
    flow = gradient_flow(start, outputs, t=times)
    laws = mode_strength(times[:, np.newaxis], s, scale**depth, depth=depth)
    np.testing.assert_allclose(flow.strength, laws, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sizes", [(6, 5, 4), (4, 4, 4, 4, 4), (5, 2, 6, 3)], ids=str)
def test_aligned_runs_are_those_of_the_full_matrices(sizes, monkeypatch):
    outputs = np.random.default_rng(12).standard_normal((sizes[-1], sizes[0]))
    start = initial_weights(sizes, "aligned", scale=0.5, sigma_yx=outputs, seed=1, n_runs=2)
    start[0][1] *= 0.8  # of the second run: layers need not be alike
    eta = np.array([0.02, 0.04])

    def learn():
        return (
            descend(start, outputs, eta=eta, steps=300, record_every=70),
            gradient_flow(start, outputs, t=[0.0, 3.0, 0.5]),
        )

    with monkeypatch.context() as patch:
        for name in ("descend_linear", "flow_linear"):
            patch.setattr(_core, name, lambda *_: pytest.fail("the modes were not found"))
        modes = learn()
    monkeypatch.setattr("meanfree.linear.flow.find_modes", lambda *_: None)
    for one, other in zip(modes, learn(), strict=True):
        for name in ("t", "total", "loss", "balancedness", "strength"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-11)
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


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


def test_runs_have_an_axis_of_their_own_and_do_not_depend_on_threads():
    outputs = np.random.default_rng(8).standard_normal((4, 5))
    start = initial_weights((5, 6, 4), "gaussian", scale=0.3, seed=2, n_runs=7)
    eta = np.linspace(0.01, 0.07, 7)
    for learn in (
        lambda w, rate, n: descend(w, outputs, eta=rate, steps=30, record_every=10, n_threads=n),
        lambda w, _, n: gradient_flow(w, outputs, t=[[0.0, 1.0], [3.0, 2.0]], n_threads=n),
    ):
        one, three = learn(start, eta, 1), learn(start, eta, 3)
        assert one.total.shape == (7, *one.t.shape, 4, 5)
        assert one.balancedness.shape == (7, *one.t.shape, 1)
        assert one.saddle_index().shape == one.loss.shape == (7, *one.t.shape)
        for name in ("total", "loss", "balancedness", "strength"):
            np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
        for run in (0, 6):
            alone = learn([w[run] for w in start], float(eta[run]), 1)
            np.testing.assert_array_equal(alone.total, one.total[run])
            np.testing.assert_array_equal(alone.weights[1], one.weights[1][run])


def test_several_step_sizes_make_as_many_runs_from_one_start():
    weights, outputs, _ = draw((3, 3, 3), scale=0.3)
    found = descend(weights, outputs, eta=[0.01, 0.02], steps=5)
    assert found.total.shape == (2, 6, 3, 3)
    alone = descend(weights, outputs, eta=0.02, steps=5)
    np.testing.assert_array_equal(found.loss[1], alone.loss)


def test_a_run_goes_on_where_it_was_left():
    weights, outputs, inputs = draw((4, 5, 3), white=False)
    whole = descend(weights, outputs, inputs, eta=0.05, steps=40, record_every=20)
    half = descend(weights, outputs, inputs, eta=0.05, steps=20, record_every=20)
    rest = descend(half.weights, outputs, inputs, eta=0.05, steps=20, record_every=20)
    np.testing.assert_array_equal(rest.total[-1], whole.total[-1])


@pytest.mark.parametrize("kind", ["gaussian", "aligned"])
def test_divergence_is_infinite_and_never_nan(kind):
    outputs = draw((3, 3, 3))[1]
    weights = initial_weights((3, 3, 3), kind, sigma_yx=outputs)
    with pytest.warns(UserWarning, match=r"eta must be < 0\.\d+, the bound of stability"):
        found = descend(weights, outputs, eta=[2.0, 0.01], steps=300, record_every=1)
    for name in ("total", "loss", "balancedness", "strength"):
        assert not np.any(np.isnan(getattr(found, name)))
    assert found.loss[0, 0] < np.inf
    assert np.all(found.loss[0, -1:] == np.inf)
    assert np.all(found.total[0, -1] == np.inf)
    assert np.all(found.weights[0][0] == np.inf)
    assert np.all(np.isfinite(found.loss[1]))
    assert found.saddle_index()[0, -1] == found.n_unlearned()[0, -1] == -1


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


def test_bad_input_is_named():
    weights, outputs, _ = draw((3, 4, 2))
    w1, w2 = weights
    bad = [
        (ValueError, r"weights must chain: weights\[1\] must have 4 columns.*\(4, 2\)",
         lambda: descend([w1, w2.T], outputs, eta=0.1, steps=1)),
        (ValueError, r"sigma_yx must have the shape \(n_out, n_in\) = \(2, 3\).*\(3, 2\)",
         lambda: gradient_flow(weights, outputs.T, t=1.0)),
        (ValueError, r"sigma_xx must be positive definite.*got 0 to 1",
         lambda: descend(weights, outputs, np.diag([1.0, 1.0, 0.0]), eta=0.1, steps=1)),
        (ValueError, "sigma_xx must be symmetric",
         lambda: gradient_flow(weights, outputs, np.eye(3) + np.eye(3, k=1), t=1.0)),
        (ValueError, r"sigma_xx must have the shape \(3, 3\)",
         lambda: gradient_flow(weights, outputs, np.eye(2), t=1.0)),
        (ValueError, r"weights\[0\] must be finite.*got nan",
         lambda: descend([w1 * np.nan, w2], outputs, eta=0.1, steps=1)),
        (ValueError, "w1 and w2 must be balanced.*gradient_flow takes any start",
         lambda: exact_solution(w1, w2, outputs, 1.0)),
        (ValueError, "eta must be finite and > 0, got 0.0",
         lambda: descend(weights, outputs, eta=0.0, steps=1)),
        (ValueError, r"eta must be a number or of shape \(2,\)",
         lambda: descend([np.stack([w, w]) for w in weights], outputs, eta=[0.1] * 3, steps=1)),
        (ValueError, "the same number of runs",
         lambda: descend([np.stack([w1, w1]), w2], outputs, eta=0.1, steps=1)),
        (ValueError, "steps must be an integer",
         lambda: descend(weights, outputs, eta=0.1, steps=-1)),
        (ValueError, "t must be finite and >= 0", lambda: gradient_flow(weights, outputs, t=-1.0)),
        (ValueError, "weights must have at least one", lambda: gradient_flow([], outputs, t=1.0)),
        (TypeError, "weights must be a sequence", lambda: gradient_flow(w1, outputs, t=1.0)),
        (ValueError, "sigma_yx must be given for aligned",
         lambda: initial_weights((3, 2), "aligned")),
        (ValueError, r"did you mean 'orthogonal'", lambda: initial_weights((3, 2), "ortogonal")),
        (ValueError, "sizes must have at least two", lambda: initial_weights((3,), "gaussian")),
        (TypeError, "sizes must be a sequence", lambda: initial_weights(3, "gaussian")),
        (ValueError, "scale must be finite and > 0",
         lambda: initial_weights((3, 2), "gaussian", scale=-1.0)),
    ]  # fmt: skip
    for error, text, call in bad:
        with pytest.raises(error, match=text):
            call()


def test_a_flow_that_needs_too_many_steps_says_so():
    weights, outputs, _ = draw((3, 3, 3))
    start = np.concatenate([w.ravel() for w in weights])[np.newaxis]
    with pytest.raises(meanfree.ConvergenceError, match=r"more than 20 steps.*has come to t = 0\."):
        _core.flow_linear(
            [3, 3, 3], start, outputs, None, np.array([100.0]), 1.0, 1e-12, 20, 1, None
        )


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


def test_a_single_time_has_no_axis():
    weights, outputs, _ = draw((3, 4, 2), scale=0.2)
    one = gradient_flow(weights, outputs, t=2.0)
    many = gradient_flow(weights, outputs, t=[0.0, 2.0])
    assert one.total.shape == (2, 3)
    assert one.loss.shape == ()
    np.testing.assert_allclose(one.total, many.total[1], rtol=0, atol=1e-12)
    assert one.saddle_index() == many.saddle_index()[1]
