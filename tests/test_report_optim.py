"""The chapters on saddles and optimisers, and the closed forms that they compare with."""

import numpy as np
import pytest
from landscapes import quadratic

from meanfree.report import chapter_20_newton_near_a_saddle as chapter_20
from meanfree.report import engine, saddle_approach, saddle_learners, terminal
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
