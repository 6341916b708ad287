"""The chapters on optimisers near saddles, and the closed forms that they compare with."""

import numpy as np
import pytest
from landscapes import quadratic

from meanfree.hessian import MLP
from meanfree.optim import Cost, newton, saddle_free_newton
from meanfree.report import (
    autoencoder,
    engine,
    plateau_chains,
    saddle_approach,
    saddle_learners,
    terminal,
)
from meanfree.report import chapter_20_newton_near_a_saddle as chapter_20
from meanfree.report import chapter_21_plateau_escape as chapter_21
from meanfree.report.saddle_learners import (
    OneComponent,
    crossing,
    heavy_ball,
    plain,
    saddle_free,
    shifted_newton,
    whole_newton,
)


def run_small(number):
    report = engine.run_report(
        engine.choose(engine.load_chapters(), [number]),
        engine.Settings(small=True, n_threads=1),
        terminal.Silence(),
    )
    assert [str(error) for error in report.errors] == []
    return report


# --- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [plain(0.3), heavy_ball(0.3, 0.8), whole_newton(), shifted_newton(0.6), saddle_free(0.2)],
    ids=lambda method: method.name,
)
def test_methods_multiply_components_as_the_closed_form_says(method):
    values, start = np.array([-0.8, -0.1, 0.0, 0.4, 2.0]), np.array([0.3, 1.0, 0.7, -1.0, 2.0])
    path = method.run(quadratic(np.diag(values), np.zeros(5)), start, steps=6)
    expected = method.course(values, path.steps) * start
    np.testing.assert_allclose(path.points, expected, atol=1e-13 * np.abs(expected).max())
    assert method.course(values, np.array([0])).tolist() == [[1.0] * 5]


def test_damped_newton_leaves_from_half_the_curvature_and_from_side_to_side_up_to_all_of_it():
    problem = quadratic(np.diag([1.0, -0.3]), np.zeros(2))
    for damping, leaves, turns in ((0.14, False, True), (0.16, True, True), (0.31, True, False)):
        w = shifted_newton(damping).run(problem, np.array([0.9, 0.06]), steps=3).points[:, 1]
        assert np.all((np.diff(np.abs(w)) > 0.0) == leaves)
        assert np.all((w[1:] * w[:-1] < 0.0) == turns)


def test_a_level_is_crossed_between_two_steps_by_logarithms():
    assert crossing(2.0 ** np.arange(9), 12.0) == pytest.approx(np.log2(12.0), rel=1e-14)
    assert crossing(np.array([-1.0, 0.0, 3.0]), 2.0) == 2.0
    for falls in ([1.0, 2.0], [5.0, 6.0]):
        with pytest.raises(ValueError, match="must begin below 4 and reach it"):
            crossing(np.array(falls), 4.0)


def test_one_component_has_its_derivatives_and_its_saddles():
    random = np.random.default_rng(0)
    matrix = random.standard_normal((4, 4))
    matrix = matrix @ matrix.T
    problem, w, e = OneComponent(matrix), random.standard_normal(4), random.standard_normal(4)
    h = 1e-5
    change = (problem.value(w + h * e) - problem.value(w - h * e)) / (2 * h)
    assert change == pytest.approx(problem.gradient(w) @ e, rel=1e-8)
    slopes = (problem.gradient(w + h * e) - problem.gradient(w - h * e)) / (2 * h)
    np.testing.assert_allclose(problem.hvp(w, e), slopes, rtol=1e-7)
    bent = problem.gradient(w + e) + problem.gradient(w - e) - 2.0 * problem.gradient(w)
    np.testing.assert_allclose(problem.second_order(w, e), 0.5 * bent, rtol=1e-10)
    sizes, vectors = np.linalg.eigh(matrix)
    at = np.sqrt(sizes[1]) * vectors[:, 1]
    expected = np.sort(np.r_[4.0 * sizes[1], 2.0 * (sizes[1] - np.delete(sizes, 1))])
    np.testing.assert_allclose(np.linalg.eigvalsh(problem.hessian(at)), expected, atol=1e-12)


# --- chapter 20 -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_chapter_next_to_a_saddle_agrees():
    report = run_small("20")
    assert len(report.figures) == 4
    assert report.tally.n_comparisons == 45
    assert report.tally.n_disagreeing == 0


@pytest.mark.slow
def test_the_chapter_next_to_a_saddle_disagrees_with_other_factors(monkeypatch):
    def wrong(method):
        course = method.course
        return saddle_learners.Method(
            method.name, method.color, method.run, lambda values, k: course(values + 1e-3, k)
        )

    for name in ("plain", "heavy_ball", "saddle_free"):
        made = getattr(chapter_20, name)
        monkeypatch.setattr(chapter_20, name, lambda *args, made=made: wrong(made(*args)))
    monkeypatch.setattr(chapter_20, "_ESCAPE", [wrong(method) for method in chapter_20._ESCAPE])
    tallies = [item.tally.n_disagreeing for item in run_small("20").figures]
    # without damping the factors 0 and 2 depend on no eigenvalue
    assert tallies[0] == 3
    assert tallies[1] == 5
    assert tallies[2] >= 12
    assert tallies[3] == 0


@pytest.mark.slow
def test_the_chapter_next_to_a_saddle_disagrees_with_other_terms_of_the_series(monkeypatch):
    def wrong(self, w, e):
        return 2.0 * ((e @ e) * w + (w @ e) * e)

    monkeypatch.setattr(OneComponent, "second_order", wrong)
    figure = saddle_approach.draw_approach(engine.Settings(small=True), "d")
    assert [item.agrees for item in figure.comparisons] == [False, True, True, True, True]


# --- chapter 21 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_small_weights_grow_and_shrink_by_the_order_of_their_saddle(depth):
    for free in (True, False):
        ratio = plateau_chains.newton_map(np.array(1e-3), depth, free=free) / 1e-3
        assert ratio == pytest.approx(plateau_chains.growth(depth, free=free), abs=1e-5)
    # the slope and the curvature on the diagonal, by differences
    w, h = 0.37, 1e-4
    f = 0.5 * (1.0 - (w + h * np.array([-1.0, 0.0, 1.0])) ** depth) ** 2
    slope, bend = (f[2] - f[0]) / (2 * h), (f[2] - 2 * f[1] + f[0]) / h**2
    found = plateau_chains.newton_map(np.array(w), depth, free=False)
    assert found == pytest.approx(w - slope / bend, rel=1e-5)


def test_a_counted_problem_is_what_the_clock_says():
    net = MLP([[[0.5]], [[0.5]]], None, "tanh")
    x = np.linspace(-1.0, 1.0, 5)[:, None]
    cost = Cost(value=0.25, hvp=3.0)
    problem = autoencoder.Counted(net.problem(x, x))
    path = newton(problem, net.parameters, steps=3, cost=cost)
    assert problem.counts == {"value": 4, "gradient": 4, "hessian": 3, "hvp": 0}
    price = problem.price(records=4, checks=1, cost=cost)
    assert price == path.gradient_equivalents[-1] == 3 + 3 * 4 * 3.0
    other = autoencoder.Counted(net.problem(x, x))
    path = saddle_free_newton(other, net.parameters, steps=2, dimension=2, cost=cost)
    price = other.price(records=0, checks=1, cost=cost)
    assert price == pytest.approx(path.gradient_equivalents[-1], rel=1e-14)


def test_losses_are_read_at_a_time_and_below_a_level():
    # values 2 and 0, at 0 and 5 gradients
    path = newton(quadratic(np.eye(1), np.zeros(1)), [2.0], steps=1, cost=Cost(hessian=4.0))
    found = autoencoder.held(path, path.gradient_equivalents, np.array([0.0, 4.9, 5.0, 5.1]))
    np.testing.assert_array_equal(found, [2.0, 2.0, 0.0, np.nan])
    assert autoencoder.first_below(path, 1.0) == (1.0, 5.0)
    assert np.isnan(autoencoder.first_below(path, 0.0)).all()


@pytest.mark.slow
def test_the_chapter_on_plateaus_agrees():
    report = run_small("21")
    assert len(report.figures) == 3
    assert report.tally.n_comparisons == 27
    assert report.tally.n_disagreeing == 0
    assert autoencoder.linear_losses()[0] == pytest.approx(4.0, abs=1e-12)


@pytest.mark.slow
def test_the_chapter_on_plateaus_disagrees_with_another_order_and_another_price(monkeypatch):
    right = plateau_chains.newton_map
    monkeypatch.setattr(
        plateau_chains, "growth", lambda depth, *, free: 1.0 + (1.0 if free else -1.0) / depth
    )
    monkeypatch.setattr(
        plateau_chains, "newton_map", lambda w, depth, *, free: 1.001 * right(w, depth, free=free)
    )
    settings = engine.Settings(small=True, n_threads=1)
    figure = plateau_chains.draw_chains(settings, "a")
    assert sum(not item.agrees for item in figure.comparisons) == 12
    monkeypatch.setattr(chapter_21, "Cost", lambda: Cost(hvp=1.0))
    methods = autoencoder.rivals(0.1, 0.1, 0.9, budget=100)
    rows = chapter_21._counted(settings, methods, autoencoder.start(0, 0.3))
    assert [item.agrees for item in rows] == [True, True] + [False] * 6
