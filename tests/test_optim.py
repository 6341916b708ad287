"""Optimisers: closed forms, what each does near a saddle, and what it costs."""

import numpy as np
import pytest
from landscapes import LinearNet, Smooth, polynomial, quadratic, separate, wave

from meanfree.hessian import MLP
from meanfree.landscape import linear_saddle
from meanfree.optim import (
    Cost,
    Optimization,
    damped_newton,
    gradient_descent,
    newton,
    saddle_free_newton,
)

SADDLE = polynomial((1, (2, 0)), (-1, (0, 2)), (0.25, (0, 4)), n=2)  # minima: y^2 = 2, value -1


def test_newton_goes_to_the_saddle_and_saddle_free_newton_leaves_it():
    start = [0.4, 0.3]
    attracted = newton(SADDLE, start, steps=10)
    np.testing.assert_allclose(attracted.points[-1], 0.0, atol=1e-15)
    for options in ({}, {"dimension": 2}):
        free = saddle_free_newton(SADDLE, start, steps=10, **options)
        assert free.values[-1] == pytest.approx(-1.0, abs=1e-12)
        np.testing.assert_allclose(free.points[-1], [0.0, np.sqrt(2.0)], atol=1e-6)
    damped = damped_newton(SADDLE, start, steps=40)  # goes there first, and leaves in short steps
    assert damped.values[5] > -0.1 > -0.99 > free.values[5]
    assert damped.values[-1] == pytest.approx(-1.0, abs=1e-12)


def test_next_to_a_saddle_the_first_step_of_each_is_the_closed_one():
    w = np.array([0.001, 0.1])
    g, h = SADDLE.gradient(w), np.diag(SADDLE.hessian(w))
    points = newton(SADDLE, w, steps=1).points
    np.testing.assert_allclose(points[1], w - g / h, atol=1e-16)
    points = saddle_free_newton(SADDLE, w, steps=1, dampings=[0.0]).points
    np.testing.assert_allclose(points[1], w - g / np.abs(h), rtol=1e-14)
    points = gradient_descent(SADDLE, w, steps=1, rate=0.1).points
    np.testing.assert_allclose(points[1], w - 0.1 * g, rtol=1e-14)
    # Newton's own step goes up to the saddle; damping by 2 makes the step too long, 20 does
    damped = damped_newton(SADDLE, w, steps=1, dampings=[0.0])
    np.testing.assert_allclose(damped.points[1], w - g / (h + 10 * 2.0), rtol=1e-12)


@pytest.mark.parametrize("method", [newton, damped_newton, saddle_free_newton])
def test_a_bowl_takes_one_step(method):
    matrix = np.random.default_rng(0).standard_normal((6, 6))
    matrix = matrix @ matrix.T + np.eye(6)
    path = method(quadratic(matrix, matrix @ np.arange(6.0)), np.zeros(6), steps=1)
    np.testing.assert_allclose(path.points[1], np.arange(6.0), atol=1e-12)
    krylov = saddle_free_newton(
        quadratic(matrix, matrix @ np.arange(6.0)), np.zeros(6), steps=1, dimension=6
    )
    np.testing.assert_allclose(krylov.points[1], np.arange(6.0), atol=1e-10)


def test_gradient_descent_follows_its_closed_form_with_and_without_momentum():
    values = np.array([1.0, 0.3, 0.05])
    problem, start = quadratic(np.diag(values), np.zeros(3)), np.ones(3)
    plain = gradient_descent(problem, start, steps=40, rate=0.5)
    decay = (1 - 0.5 * values) ** np.arange(41)[:, None]
    np.testing.assert_allclose(plain.points, decay, rtol=1e-12)
    path = gradient_descent(problem, start, steps=40, rate=0.5, momentum=0.8)
    # w'' = (1 + m - r a) w' - m w
    expected = [start, (1 - 0.5 * values) * start]
    for _ in range(39):
        expected.append((1.8 - 0.5 * values) * expected[-1] - 0.8 * expected[-2])
    np.testing.assert_allclose(path.points, expected, atol=1e-13)
    assert path.values[-1] < plain.values[-1]
    np.testing.assert_allclose(path.values, 0.5 * path.points**2 @ values, rtol=1e-12)


def escape(path, loss):
    return int(path.steps[np.argmax(path.values < loss)])


def test_a_linear_network_leaves_its_saddle_in_few_steps_by_saddle_free_newton():
    matrix = np.diag([3.0, 2.0, 1.0])
    net, saddle = LinearNet(matrix, 2), linear_saddle(matrix, 2, [0])
    w = np.concatenate([p.ravel() for p in saddle.weights])
    start = w + 1e-4 * np.random.default_rng(0).standard_normal(w.size)
    best = linear_saddle(matrix, 2, [0, 1]).loss  # 0.5; at the saddle 2.5
    descent = gradient_descent(net, start, steps=200, rate=0.1)
    free = saddle_free_newton(net, start, steps=60)
    krylov = saddle_free_newton(net, start, steps=60, dimension=6)
    stuck = newton(net, start, steps=20)
    assert stuck.values[-1] == pytest.approx(saddle.loss, abs=1e-12)
    for path in (free, krylov):
        assert np.all(np.diff(path.values) < 0)
        assert path.values[-1] == pytest.approx(best, abs=1e-10)
        assert 2 * escape(path, 2.4) < escape(descent, 2.4) < 200


def test_the_clock_counts_what_each_method_evaluates():
    counts = dict.fromkeys(["value", "gradient", "hessian", "hvp"], 0)

    class Counted:
        def __getattr__(self, name):
            def call(w, *more):
                counts[name] += w.size // 3
                return getattr(wave(), name)(w, *more)

            return call

    start, cost = [1.0, -1.0, 0.3], Cost(value=0.25, hvp=3.0)
    for method, options, price in [
        (gradient_descent, {"rate": 0.1}, None),
        (newton, {}, 9.0),
        (damped_newton, {}, 9.0),
        (saddle_free_newton, {}, 9.0),
        (saddle_free_newton, {"dimension": 2}, 9.0),
    ]:
        counts = dict.fromkeys(counts, 0)
        path = method(Counted(), start, steps=3, cost=cost, **options)
        assert path.steps.tolist() == [0, 1, 2, 3]
        total = counts["gradient"] - 1 + 3.0 * counts["hvp"]  # one gradient checks the start
        total += (price or 0.0) * counts["hessian"]
        if method in (damped_newton, saddle_free_newton):
            total += 0.25 * counts["value"]
            assert counts["value"] >= 1 + 6 * 3
        assert path.gradient_equivalents[-1] == pytest.approx(total, rel=1e-14)
        assert np.all(np.diff(path.gradient_equivalents) > 0)
    cheap = newton(wave(), start, steps=2, cost=Cost(hessian=5.0))
    assert cheap.gradient_equivalents.tolist() == [0.0, 6.0, 12.0]


def test_records_are_thinned_and_hold_both_ends():
    path = gradient_descent(wave(), [0.3], steps=10, rate=0.1, record_every=4)
    every = gradient_descent(wave(), [0.3], steps=10, rate=0.1)
    assert path.steps.tolist() == [0, 4, 8, 10]
    np.testing.assert_array_equal(path.points, every.points[[0, 4, 8, 10]])
    np.testing.assert_array_equal(path.values, every.values[[0, 4, 8, 10]])
    stop = newton(wave(), [0.3], steps=100, tol=1e-6, record_every=50)
    assert stop.status == "stationary"
    assert len(stop.steps) == 2
    assert stop.steps[-1] < 10
    none = gradient_descent(wave(), [0.3], steps=0, rate=0.1)
    assert (none.status, none.values.tolist()) == ("finished", [np.sin(0.3)])
    assert repr(path).startswith("Optimization(finished at ")


@pytest.mark.parametrize("method", [damped_newton, saddle_free_newton])
def test_a_step_that_raises_the_function_is_rejected(method):
    cliff = separate(
        lambda w: np.sqrt(1 + w**2), lambda w: w / np.sqrt(1 + w**2), lambda w: (1 + w**2) ** -1.5
    )
    # Newton's map is w -> -w^3, which leaves from |w| > 1
    start = [2.0, -3.0]
    path = method(cliff, start, steps=30)
    assert np.all(np.diff(path.values) < 0)
    assert path.values[-1] == pytest.approx(2.0, abs=1e-15)
    assert path.status == "stalled"
    first = newton(cliff, start, steps=1)
    np.testing.assert_allclose(first.points[1], [-8.0, 27.0], rtol=1e-12)


@pytest.mark.parametrize("method", [damped_newton, saddle_free_newton])
def test_at_a_critical_point_nothing_moves(method):
    for problem in (SADDLE, quadratic(np.eye(2), np.zeros(2)), quadratic(np.zeros((2, 2)), [0, 0])):
        path = method(problem, np.zeros(2), steps=5)
        assert (path.status, path.steps.tolist()) == ("stationary", [0])


@pytest.mark.parametrize("method", [damped_newton, saddle_free_newton])
def test_nearer_to_a_saddle_than_values_can_tell_a_path_stalls(method):
    offset = Smooth(lambda w: 1.0 + SADDLE.value(w), SADDLE.gradient, SADDLE.hessian)
    near = method(offset, [0.0, 1e-9], steps=5)
    assert (near.status, near.steps.tolist()) == ("stalled", [0])
    assert method(offset, [0.0, 1e-6], steps=5).status == "finished"
    assert gradient_descent(offset, [0.0, 1e-9], steps=200, rate=0.1).values[-1] < 0.1


def test_a_slope_without_curvature_is_descended():
    problem = quadratic(np.zeros((2, 2)), [3.0, 4.0])
    path = saddle_free_newton(problem, np.zeros(2), steps=1, dampings=[0.0, 1.0])
    np.testing.assert_allclose(path.points[1], [0.6, 0.8], rtol=1e-14)  # of length 1


def test_what_diverges_is_said_and_the_path_ends_before():
    with pytest.warns(UserWarning, match=r"^gradient_descent left the numbers in step \d+: ") as w:
        path = gradient_descent(SADDLE, [1.0, 1.0], steps=500, rate=5.0)
    assert w[0].filename == __file__
    assert path.status == "diverged"
    assert np.isfinite(path.values).all()
    assert np.isfinite(path.points).all()
    assert path.steps[-1] < 20
    infinite = Smooth(lambda w: w.sum(-1), np.ones_like, lambda w: np.full((1, 1), np.inf))
    with pytest.warns(UserWarning, match="^newton left the numbers in step 1: "):
        newton(infinite, [1.0], steps=5)


def test_beyond_the_border_of_a_function_there_is_no_step():
    # Newton's step from 3 goes to -3, where the logarithm is nan
    problem = separate(lambda w: w - np.log(w), lambda w: 1 - 1 / w, lambda w: w**-2.0)
    for method in (damped_newton, saddle_free_newton):
        path = method(problem, [3.0], steps=20)
        assert path.values[-1] == pytest.approx(1.0, abs=1e-14)
        assert np.all(path.points > 0)


def test_plot_draws_either_clock():
    path = saddle_free_newton(wave(), [0.3, 0.1], steps=3)
    ax = path.plot(label="free")
    assert isinstance(path, Optimization)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.c_[path.steps, path.values])
    path.plot(ax, clock="gradient_equivalents")
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), path.gradient_equivalents)
    ax.figure.clear()


def test_progress_counts_steps(capsys):
    newton(wave(), [0.3], steps=2, progress=True)
    assert "steps: " in capsys.readouterr().err


LOG = Smooth(lambda w: np.log(w).sum(-1), lambda w: 1 / w, None)
SQRT = Smooth(lambda w: np.sqrt(w).sum(-1), lambda w: 0.5 / np.sqrt(w), None)


def descend(problem=SADDLE, start=(1.0, 1.0), **options):
    return gradient_descent(problem, start, **{"steps": 1, "rate": 0.1, **options})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: descend(rate=0.0), ValueError, "rate must be finite and > 0, got 0.0"),
        (lambda: descend(momentum=1.0), ValueError, r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: descend(steps=-1), ValueError, "steps must be an integer .* got -1"),
        (lambda: descend(steps=1.5), TypeError, "steps must be an integer .* got 1.5"),
        (lambda: descend(tol=-1.0), ValueError, "tol must be finite and >= 0, got -1.0"),
        (lambda: descend(record_every=0), ValueError, "record_every must be .* got 0"),
        (
            lambda: descend(cost=2.0),
            TypeError,
            "cost must be a Cost or None, got 2.0 of type float",
        ),
        (lambda: Cost(hvp=-1.0), ValueError, r"cost\.hvp must be finite and >= 0, got -1.0"),
        (lambda: Cost(value=None), TypeError, r"cost\.value must be a number"),
        (lambda: descend(start=[[1.0]]), ValueError, r"start must have the shape \(n,\), n >= 1"),
        (
            lambda: descend(start=[np.inf, 0]),
            ValueError,
            "start must be finite, got inf at index 0",
        ),
        (
            lambda: descend(LOG, [-1.0]),
            ValueError,
            r"start must .* problem\.value is finite, got nan",
        ),
        (
            lambda: descend(LOG, [0.0]),
            ValueError,
            r"start must .* problem\.value is finite, got -inf",
        ),
        (
            lambda: descend(SQRT, [1.0, 0.0]),
            ValueError,
            r"start must .* problem\.gradient is finite, got inf at index 1",
        ),
        (
            lambda: descend(object()),
            TypeError,
            "problem must have the methods value, gradient, got",
        ),
        (
            lambda: descend(MLP([[[1.0]]])),
            TypeError,
            r"problem\.value must be a function of w, got value\(x.* of type MLP: .* `MLP.problem`",
        ),
        (
            lambda: saddle_free_newton(SADDLE, [1.0, 1.0], steps=1, dampings=[]),
            ValueError,
            "dampings must be at least one number, got none",
        ),
        (
            lambda: damped_newton(SADDLE, [1.0, 1.0], steps=1, dampings=[0.1, -1.0]),
            ValueError,
            r"dampings must be in \[0, 1e10\], got -1.0 at index 1",
        ),
        (
            lambda: saddle_free_newton(SADDLE, [1.0, 1.0], steps=1, dimension=0),
            ValueError,
            "dimension must be an integer .* got 0",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
