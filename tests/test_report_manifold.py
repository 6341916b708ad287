"""The chapters on curves in random networks, and what they compare with."""

import numpy as np
import pytest

import meanfree as mf
from meanfree.manifold import _boundary, shallow_length_bound
from meanfree.report import engine, shallow, terminal
from meanfree.report.regions import borders_of_theory, count_borders


def run_small(number):
    report = engine.run_report(
        engine.choose(engine.load_chapters(), [number]),
        engine.Settings(small=True),
        terminal.Silence(),
    )
    assert [str(error) for error in report.errors] == []
    return report


# --- one hidden layer -----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_partial_sawtooth_has_the_error_of_its_formula(depth):
    n = 2 * depth
    error = shallow.rms_error(shallow.partial_sawtooth(depth), depth)
    # with more kinks than pieces, the last ones lie beyond the end
    expected = max(0.0, 1.0 - (n - 0.5) / 2**depth) / 12.0
    assert error == pytest.approx(np.sqrt(expected), abs=1e-12)


@pytest.mark.parametrize("depth", [3, 5, 8, 12])
def test_no_layer_beats_the_count_of_teeth_and_a_constant_is_no_worse_than_one(depth):
    error = shallow.rms_error(shallow.partial_sawtooth(depth), depth)
    assert shallow.least_error(depth) < error < shallow.CONSTANT


def test_descent_finds_a_fit_between_the_bound_and_the_construction():
    error, values = shallow.fitted_sawtooth(3, np.random.default_rng(0), 1)
    assert shallow.least_error(3) <= error < shallow.rms_error(shallow.partial_sawtooth(3), 3)
    assert values.shape == (24 * 8 + 1,)


def test_steps_at_different_places_reach_the_bound():
    n = 20
    weights = np.zeros((n, 2))
    weights[:, 0] = 1e6
    biases = -1e6 * np.linspace(-0.9, 0.9, n)
    assert shallow.length_ratio(shallow.SEGMENT, "tanh", weights, biases) == pytest.approx(1.0)
    # up and down, of the three ways that s = 2 allows
    ratio = shallow.length_ratio(shallow.CIRCLE, "tanh", weights, biases)
    assert ratio == pytest.approx(2.0 / 3.0)


@pytest.mark.parametrize("factor", [0.0, 0.99, 1.0, 1.01])
def test_the_figure_of_the_bound_disagrees_with_other_lengths(monkeypatch, factor):
    from meanfree.report import chapter_09_depth_and_width as chapter

    length = shallow.curve_length
    monkeypatch.setattr(shallow, "curve_length", lambda curve: factor * length(curve))
    figure = chapter._bound(engine.Settings(small=True))
    right = factor == 1.0
    assert [item.agrees for item in figure.comparisons] == [right, right, right, factor <= 1.0]


def test_length_of_one_unit_is_what_it_travels():
    weights, biases = np.array([[3.0, 0.0]]), np.array([1.0])
    travelled = np.tanh(4.0) - np.tanh(-2.0)
    ratio = shallow.length_ratio(shallow.SEGMENT, "tanh", weights, biases)
    assert ratio * shallow_length_bound(1, 0, 2.0) == pytest.approx(travelled, rel=1e-12)


# --- linear regions -------------------------------------------------------------------------------


def test_rice_s_formula_for_relu_without_biases_is_two_borders_for_each_unit():
    for sigma_w in (0.5, np.sqrt(2.0), 3.0):
        borders = borders_of_theory(mf.Ensemble("relu", sigma_w), 6, q=0.7)
        assert borders == pytest.approx(np.full(6, 2.0), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"), [("relu", 2.0, 1.0), ("hard_tanh", 3.0, 0.3)]
)
def test_counts_of_one_layer_follow_rice_s_formula(name, sigma_w, sigma_b):
    # units are independent in the first layer: no bias of finite width
    ensemble, q = mf.Ensemble(name, sigma_w, sigma_b), 3.0
    counts = count_borders(engine.Settings(), "test", ensemble, 50, 1, q=q, n_samples=40)
    error = counts.std(ddof=1) / np.sqrt(len(counts))
    assert abs(counts.mean() - borders_of_theory(ensemble, 1, q=q)[0]) < 4 * error


def test_a_network_of_hard_tanh_becomes_one_of_relu():
    from meanfree.report import regions

    ensemble, width, depth = mf.Ensemble("hard_tanh", 2.0, 0.5), 7, 3
    random = [np.random.default_rng(4) for _ in range(2)]
    weights, biases = regions._relu_network(random[0], ensemble, width, depth, 2.0)
    x = np.array([0.6, -0.8])
    h = np.maximum(weights[0] @ x + biases[0], 0.0)
    first = h[:width] - h[width:] - 1.0
    plain = [
        scale * random[1].standard_normal((width, columns))
        for scale, columns in ((np.sqrt(1.75), 2), (2.0 / np.sqrt(7.0), 7), (2.0 / np.sqrt(7.0), 7))
    ]
    shifts = [0.5 * random[1].standard_normal(width) for _ in range(depth)]
    expected = np.clip(plain[0] @ x + shifts[0], -1.0, 1.0)
    assert first == pytest.approx(expected, abs=1e-14)
    for layer in (1, 2):
        h = np.maximum(weights[layer] @ h + biases[layer], 0.0)
        expected = np.clip(plain[layer] @ expected + shifts[layer], -1.0, 1.0)
    assert h[:width] - h[width:] - 1.0 == pytest.approx(expected, abs=1e-13)


# --- chapters -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "n_figures", "n_comparisons"),
    [("8", 3, 54), ("9", 5, 20), ("10", 3, 6), ("11", 3, 7)],
)
def test_chapters_on_expressive_power_agree(number, n_figures, n_comparisons):
    report = run_small(number)
    assert len(report.figures) == n_figures
    assert report.tally.n_comparisons >= n_comparisons
    assert report.tally.n_disagreeing == 0


@pytest.mark.slow
def test_the_chapter_of_the_circle_disagrees_with_another_gain(monkeypatch):
    theory, correlation = mf.circle_theory, mf.circle_autocorrelation

    def wrong(ensemble):
        return mf.Ensemble(ensemble.activation, 1.1 * ensemble.sigma_w, ensemble.sigma_b)

    monkeypatch.setattr(mf, "circle_theory", lambda e, depth: theory(wrong(e), depth))
    monkeypatch.setattr(
        mf, "circle_autocorrelation", lambda e, angle, depth: correlation(wrong(e), angle, depth)
    )
    tallies = [result.tally for result in run_small("8").figures]
    assert tallies[0].n_disagreeing > 5
    assert tallies[1].n_disagreeing > 2


@pytest.mark.slow
def test_the_chapter_of_boundaries_disagrees_with_another_gain(monkeypatch):
    theory = _boundary._theory

    def wrong(ensemble, *arguments):
        other = mf.Ensemble(ensemble.activation, 2.0 * ensemble.sigma_w, ensemble.sigma_b)
        return theory(other, *arguments)

    monkeypatch.setattr(_boundary, "_theory", wrong)
    assert run_small("10").tally.n_disagreeing >= 3
