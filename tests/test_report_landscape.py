"""The chapters on error landscapes, and what they compare with."""

import dataclasses

import numpy as np
import pytest

from meanfree.landscape import GaussianField
from meanfree.report import chapter_17_index_and_energy as field_chapter
from meanfree.report import complete_figures, engine, plane_points, terminal
from meanfree.report.field_points import KINDS, Points, from_law, from_samples, ratio

RATIONAL = KINDS[1]
SMALL = engine.Settings(small=True, n_threads=1)


# --- laws ----------------------------------------------------------------------------------------


def test_a_ratio_of_sums_has_the_error_of_its_fields():
    random = np.random.default_rng(0)
    below = random.uniform(1.0, 2.0, (2000, 50))
    above = 3.0 * below + random.standard_normal((2000, 50))
    found = np.array([ratio(a, b) for a, b in zip(above, below, strict=True)])
    assert found[:, 0].std() == pytest.approx(found[:, 1].mean(), rel=0.06)  # 1 / sqrt(4000) each


def test_points_are_taken_with_the_opposite_ones():
    one = ([0.0, 2.0], [-1.0, 0.5], [1.0, 2.0])
    points = Points(3, *(np.array([row, row]) for row in one))
    both = points.folded
    assert both.shares[:, 0].tolist() == [1 / 6, 2 / 6, 2 / 6, 1 / 6]
    assert both.mean(both.energy, both.index == 0)[0] == -1.0
    assert both.mean(both.energy, both.index == 1)[0] == -0.5


@pytest.mark.parametrize("kind", KINDS, ids=["rbf", "rational"])
def test_the_law_in_the_plane_is_the_closed_one(kind):
    field = kind.field
    law = from_law(field, 2, 10_000, 3)
    minima, saddles = law.index == 0, law.index == 1
    for (value, error), expected in (
        (law.mean(1.0 * minima), 0.25),
        (law.mean(law.energy, minima), plane_points.mean_energy_of_minima(field)),
        (law.mean(law.energy**2, saddles), plane_points.energy_variance_of_saddles(field)),
    ):
        assert abs(value - expected) <= 4 * error
    assert plane_points.density(field) == pytest.approx(np.exp(field.log_mean_count(2)))
    e = np.linspace(-6.0, 6.0, 601)
    parts = plane_points.energy_densities(field, e) * (e[1] - e[0])
    assert parts.sum(axis=1) == pytest.approx([0.25, 0.5, 0.25], rel=1e-4)
    mean = 4.0 * parts[0] @ e
    assert mean == pytest.approx(plane_points.mean_energy_of_minima(field), rel=1e-4)
    variance = 2.0 * parts[1] @ e**2
    assert variance == pytest.approx(plane_points.energy_variance_of_saddles(field), rel=1e-4)


def test_every_point_of_a_wave_is_found():
    sample = dataclasses.replace(
        GaussianField.rbf().sample(2, n_features=2, seed=0),
        _waves=np.pad(np.eye(2), ((0, 0), (0, 6))),
        phases=np.array([0.3, 0.3]),
    )
    plane = plane_points.every_point(sample, 20.0)  # cos(x + 0.3) + cos(y + 0.3)
    assert len(plane.w) == 36
    assert np.bincount(plane.index).tolist() == [9, 18, 9]
    assert plane.surplus == 0
    assert np.sin(plane.w + 0.3) == pytest.approx(0.0, abs=1e-12)
    missed = dataclasses.replace(plane, index=plane.index[1:])
    assert abs(missed.surplus) == 1


# --- the chapter of sampled fields ---------------------------------------------------------------


def test_weighted_points_count_the_critical_ones():
    # in one dimension, from the law of large numbers of Rice alone
    samples = RATIONAL.samples(SMALL, 1, 200, more=4)
    points = from_samples(RATIONAL.field, samples, 50, 0)
    value, error = ratio(points.weight.mean(axis=1), np.ones(200))
    assert abs(value - np.exp(RATIONAL.field.log_mean_count(1))) <= 4 * error


@pytest.fixture(scope="module")
def world():
    return field_chapter.world(SMALL, RATIONAL)


@pytest.mark.slow
def test_the_two_curves_are_told_apart(world):
    right = field_chapter.compare_groups(world)
    assert all(item.agrees for item in right)
    rho = RATIONAL.field.rho
    for item in right[:3]:  # the last is too near to where the curves cross, in few fields
        middle = 0.5 if "mean energy" not in item.quantity else 0.0
        swapped = middle + (item.theory - middle) * (1.0 + rho) / (2.0 * rho)
        assert not dataclasses.replace(item, theory=swapped).agrees


@pytest.mark.slow
def test_figures_disagree_with_a_field_whose_energy_fixes_the_index(world):
    field = RATIONAL.field
    wrong = GaussianField(field.variance, field.slope, field.slope**2 / field.variance)
    law = from_law(wrong, world.law.dimension, 4000, 0)
    items = field_chapter.compare_groups(dataclasses.replace(world, law=law))
    assert all(abs(item.z) > 4 for item in items if "mean energy" in item.quantity)
    samples = RATIONAL.samples(SMALL, 2, 16, more=2)
    planes = [plane_points.every_point(sample, RATIONAL.side) for sample in samples]
    kind = dataclasses.replace(RATIONAL, field=wrong)
    for used, expected in ((RATIONAL, 0), (kind, 2)):
        found = complete_figures.compare_planes(used, planes)
        assert sum(not item.agrees for item in found) == expected


@pytest.mark.slow
def test_the_chapter_of_sampled_fields_agrees():
    report = engine.run_report(
        engine.choose(engine.load_chapters(), ["17"]), SMALL, terminal.Silence()
    )
    assert [str(error) for error in report.errors] == []
    assert len(report.figures) == 4
    assert report.tally.n_comparisons == 30
    assert report.tally.n_disagreeing == 0
