"""The chapters on saddles of networks, and what they compare with."""

import dataclasses

import numpy as np
import pytest

from meanfree.report import chapter_18_linear_saddles as linear_chapter
from meanfree.report import engine, terminal

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
