"""The chapters on saddles of networks, and what they compare with."""

import dataclasses

import numpy as np
import pytest

from meanfree.landscape import critical_points
from meanfree.report import chapter_18_linear_saddles as linear_chapter
from meanfree.report import engine, terminal
from meanfree.report.hidden_layer import HiddenLayer, signs

SMALL = engine.Settings(small=True, n_threads=1)


def run_small(number):
    chapters = engine.choose(engine.load_chapters(), [number])
    report = engine.run_report(chapters, SMALL, terminal.Silence())
    assert [str(error) for error in report.errors] == []
    return report


@pytest.mark.slow
def test_the_chapter_on_linear_saddles_agrees_in_every_integer():
    report = run_small("18")
    assert len(report.figures) == 2
    assert report.tally.n_disagreeing == 0
    exact = [item for item in report.comparisons if item.bound == 0.0]
    assert len(exact) == 15
    assert all(item.estimate == item.theory for item in exact)


@pytest.mark.slow
def test_the_chapter_on_linear_saddles_disagrees_with_another_formula(monkeypatch):
    right = linear_chapter.linear_saddle

    def wrong(sigma_yx, n_hidden, modes):
        point = right(sigma_yx, n_hidden, modes)
        values = point.eigenvalues * (1 + 1e-9)
        return dataclasses.replace(point, index=point.index + 1, eigenvalues=values)

    monkeypatch.setattr(linear_chapter, "linear_saddle", wrong)
    report = run_small("18")
    # those of losses, gradients, products and zero modes stay
    assert report.tally.n_disagreeing == 14


@pytest.mark.slow
def test_modes_of_weights_are_read_from_their_product():
    digits = linear_chapter._digits()
    random = np.random.default_rng(0)
    for modes, point in digits.points.items():
        w = linear_chapter._mixed(point, random)
        found, off = digits.modes_of(w)
        assert found == modes
        assert off < 1e-13
        assert digits.modes_of(w + 0.01)[1] > 1e-3
        assert digits.problem.value(w) - digits.least == pytest.approx(point.loss, abs=1e-13)


# --- a small network on digits --------------------------------------------------------------------


def hidden_layer(n_hidden=2, n_samples=40):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((n_samples, 3)), random.standard_normal(n_samples)
    return HiddenLayer(x, y, n_hidden), random


def test_derivatives_of_the_report_are_those_of_the_core():
    net, random = hidden_layer()
    w = random.standard_normal(net.problem.dimension)
    gradient, hessian = net.derivatives(w)
    np.testing.assert_allclose(gradient, net.problem.gradient(w), atol=1e-14)
    np.testing.assert_allclose(hessian, net.problem.hessian(w), atol=1e-14)
    loss = 0.5 * np.mean((net.outputs(w) - net.y) ** 2)
    assert loss == pytest.approx(net.problem.value(w), rel=1e-14)


def test_critical_points_stay_so_in_wider_networks_with_the_predicted_hessian():
    net, random = hidden_layer()
    starts = random.standard_normal((20, net.problem.dimension))
    found = critical_points(net.problem, starts, method="newton", max_steps=60)
    for w in found.w[found.accepted][:3]:
        new = [net.copied(w, a, share) for a in (0, 1) for share in (-0.4, 0.0, 0.7, 1.2)]
        for item in [*new, net.constant(w, 0.7)]:
            problem = net.wider.problem
            assert np.linalg.norm(problem.gradient(item.w)) < 1e-8
            assert problem.value(item.w) == pytest.approx(net.problem.value(w), rel=1e-14)
            scale = np.abs(item.hessian).max()
            np.testing.assert_allclose(problem.hessian(item.w), item.hessian, atol=1e-8 * scale)
            sure = 1e-6 * scale
            both = [signs(np.linalg.eigvalsh(m), sure) for m in (net.derivatives(w)[1], item.block)]
            together = signs(np.linalg.eigvalsh(item.hessian), sure)
            assert together == tuple(map(sum, zip(*both, strict=True)))
    assert found.accepted.sum() >= 2


def test_an_idle_unit_is_left_out():
    net, random = hidden_layer()
    w = random.standard_normal(net.problem.dimension)
    w[net.unit(0)[-1]] = 0.0
    less = net.without(w)
    np.testing.assert_allclose(net.narrower.outputs(less), net.outputs(w), rtol=1e-13)
    assert net.readout(w).tolist() == [0.0, net.narrower.readout(less)[0]]


@pytest.mark.slow
def test_the_chapter_on_digits_agrees_and_draws_accepted_points_only():
    report = run_small("19")
    assert len(report.figures) == 3
    assert report.tally.n_disagreeing == 0
    assert report.tally.n_comparisons == 26
    accepted = report.figures[1].figure
    table = {kind: sum(map(int, counts)) for kind, *counts in accepted.tables[0].rows}
    assert sum(table.values()) == 120
    assert table["accepted"] >= 30
    left = accepted.drawing.axes[0]
    drawn = sum(len(line.get_xdata()) for line in left.lines[:3])
    assert 10 <= drawn == accepted.comparisons[0].theory <= table["accepted"]


@pytest.mark.slow
def test_the_chapter_on_digits_disagrees_with_a_wrong_block(monkeypatch):
    right = HiddenLayer._bent
    monkeypatch.setattr(HiddenLayer, "_bent", staticmethod(lambda x, e, t, v: right(x, -e, t, v)))
    assert run_small("19").tally.n_disagreeing >= 4
