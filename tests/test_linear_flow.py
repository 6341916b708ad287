from itertools import pairwise

import numpy as np
import pytest
from linear_weights import draw, product, slopes
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


def test_exact_solution_unlearns_what_inputs_without_outputs_started_with():
    # the third input shares hidden directions with both modes, and loses them like exp(-t) only
    w1, w2 = initial_weights((3, 4, 2), "balanced", scale=0.1, seed=0)
    outputs = np.diag([3.0, 1.0, 0.0])[:2]
    found = exact_solution(w1, w2, outputs, [24.0, 27.0, 40.0, 1e6])
    assert np.max(np.abs(found[2:] - outputs)) < 1e-14
    left = found[:2, :, 2]
    np.testing.assert_allclose(left[1], np.exp(-3.0) * left[0], rtol=1e-5, atol=1e-16)


def test_exact_solution_forgets_slowly_where_there_is_nothing_to_learn():
    w1, w2 = initial_weights((3, 4, 2), "balanced", scale=0.1, seed=0)
    early, late = exact_solution(w1, w2, np.zeros((2, 3)), [1e12, 1e30])
    np.testing.assert_allclose(1e30 * late, 1e12 * early, rtol=0.05)


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


def test_an_extreme_time_constant_and_no_rate_at_all():
    start = initial_weights((3, 3, 3), "balanced", scale=0.1, seed=0)
    goal = np.diag([3.0, 2.0, 1.0])
    end = exact_solution(*start, goal, 1e100, tau=1e-300)
    np.testing.assert_allclose(end, goal, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="eta must have at least one value, got none"):
        descend(start, goal, eta=[], steps=5)


def test_a_flow_that_needs_too_many_steps_says_so():
    weights, outputs, _ = draw((3, 3, 3))
    start = np.concatenate([w.ravel() for w in weights])[np.newaxis]
    with pytest.raises(meanfree.ConvergenceError, match=r"more than 20 steps.*has come to t = 0\."):
        _core.flow_linear(
            [3, 3, 3], start, outputs, None, np.array([100.0]), 1.0, 1e-12, 20, 1, None
        )


def test_a_single_time_has_no_axis():
    weights, outputs, _ = draw((3, 4, 2), scale=0.2)
    one = gradient_flow(weights, outputs, t=2.0)
    many = gradient_flow(weights, outputs, t=[0.0, 2.0])
    assert one.total.shape == (2, 3)
    assert one.loss.shape == ()
    np.testing.assert_allclose(one.total, many.total[1], rtol=0, atol=1e-12)
    assert one.saddle_index() == many.saddle_index()[1]


@pytest.mark.parametrize("sizes", [(3, 3, 3), (5, 6, 4)], ids=str)
def test_times_within_a_step_are_as_exact_as_its_end(sizes):
    goal = np.random.default_rng(0).standard_normal((sizes[-1], sizes[0]))
    start = initial_weights(sizes, "balanced", scale=0.03, seed=1)
    t = np.linspace(0.0, 40.0, 1000)  # several times as many as there are steps
    flow = gradient_flow(start, goal, t=t)
    np.testing.assert_allclose(flow.total, exact_solution(*start, goal, t), rtol=0, atol=1e-10)
    again = gradient_flow(start, goal, t=t[:300])
    np.testing.assert_array_equal(again.total[:200], flow.total[:200])
