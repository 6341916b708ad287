"""The chapters on semantic development, and the networks that they train."""

from functools import partial

import numpy as np
import pytest

from meanfree.report import chapter_15_progressive_differentiation as tree_chapter
from meanfree.report import chapter_16_pine_has_leaves as pine_chapter
from meanfree.report import engine, rumelhart, terminal, tree_learners
from meanfree.report.linear_learners import _flow, crossing, learn, tops
from meanfree.report.living_things_figures import latencies
from meanfree.semantics import SemanticModel, Tree, eight_things


def run_small(number):
    report = engine.run_report(
        engine.choose(engine.load_chapters(), [number]),
        engine.Settings(small=True),
        terminal.Silence(),
    )
    assert [str(error) for error in report.errors] == []
    return report


# --- deep linear networks -------------------------------------------------------------------------


def test_learners_end_with_what_is_to_be_learned_and_the_same_representation():
    left, _, right = np.linalg.svd(np.random.default_rng(0).standard_normal((5, 3)), False)
    outputs = left * [3.0, 2.0, 1.5] @ right
    learned = learn(outputs, [0.5, 30.0], n_hidden=8, n_networks=4, a0=1e-6, seed=1)
    assert learned.answer[-1] == pytest.approx(np.broadcast_to(outputs, (4, 5, 3)), abs=1e-9)
    expected = SemanticModel(outputs, a0=1e-6).hidden_gram(30.0)
    # random weights add terms of the order of their squares
    assert learned.gram[-1] == pytest.approx(np.broadcast_to(expected, (4, 3, 3)), abs=1e-5)
    assert learned.hidden[-1] @ learned.hidden[-1].T == pytest.approx(learned.gram[-1, 0])


def test_a_matrix_of_the_same_products_teaches_the_same_representations():
    random = np.random.default_rng(3)
    outputs = random.standard_normal((40, 4))
    left, s, right = np.linalg.svd(outputs, full_matrices=False)
    first, second = 0.1 * random.standard_normal((6, 4)), 0.1 * random.standard_normal((4, 6))
    times = np.array([0.1, 0.5])
    full = list(_flow(outputs, first[None], (left @ second)[None], times, 0.02))
    small = list(_flow(s[:, None] * right, first[None], second[None], times, 0.02))
    for (w1, w2), (v1, v2) in zip(full, small, strict=True):
        assert w1 == pytest.approx(v1, abs=1e-12)
        assert w2 == pytest.approx(left @ v2, abs=1e-12)


def test_crossings_and_tops_of_known_courses():
    times = np.linspace(0.0, 4.0, 401)
    assert crossing(times, times[:, None] ** 2, 2.0)[0] == pytest.approx(np.sqrt(2.0), abs=1e-5)
    with pytest.raises(ValueError, match="begin below and end above"):
        crossing(times, times, 5.0)
    t, value = tops(times, np.exp(-((times - 1.2345) ** 2))[:, None])
    assert (t[0], value[0]) == pytest.approx((1.2345, 1.0), abs=1e-6)


def test_means_by_level_and_by_ancestor_take_a_tree_apart():
    tree = tree_learners.TREE
    q, eigenvalues = tree.level_similarity, tree.singular_values(1) ** 2
    assert tree_learners.by_level(tree.similarity()) == pytest.approx(eigenvalues)
    assert tree_learners.by_ancestor(tree.similarity()) == pytest.approx(q[:-1])


# --- the nonlinear network ------------------------------------------------------------------------


def test_patterns_ask_for_each_attribute_with_one_relation():
    data = eight_things()
    table, relation = rumelhart.patterns(data)
    assert table.shape == (8, 4, 36)
    assert table.sum() == 93.0
    assert table.sum(axis=1).T.tolist() == data.outputs.tolist()
    assert np.bincount(relation).tolist() == [15, 6, 5, 10]


def test_gradients_written_out_are_those_of_the_loss():
    torch = pytest.importorskip("torch")
    random = torch.Generator().manual_seed(2)
    sizes = ((8, 8), (8, 15), (4, 15), (15, 36))
    weights = [
        torch.rand((2, *size), generator=random, dtype=torch.double, requires_grad=True)
        for size in sizes
    ]
    targets = torch.rand((32, 36), generator=random, dtype=torch.double)
    _, _, loss, gradients = rumelhart.sweep(weights, targets)
    for found, expected in zip(gradients, torch.autograd.grad(loss.sum(), weights), strict=True):
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_nonlinear_networks_are_recorded_from_their_start():
    pytest.importorskip("torch")
    course = rumelhart.train(3, 2, 40, every=20)
    assert course.epochs.tolist() == [0, 20, 40]
    assert course.representation.shape == (3, 2, 8, 8)
    assert course.answer.shape == (3, 2, 36, 8)
    assert np.all(np.diff(course.loss, axis=0) < 0.0)
    longer = rumelhart.train(3, 2, 60, every=20)
    assert np.array_equal(longer.answer[:3], course.answer)


def test_distances_of_groups_and_their_half_rise():
    points = np.zeros((3, 1, 8, 2))
    points[1:, :, :4, 0] = 1.0  # the plants move away from the animals
    points[2, :, ::2, 1] = 1.0  # and one item of each pair from the other
    distances = rumelhart.group_distances(points)
    assert distances[:, :, 0].tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    times = np.array([0.0, 10.0, 20.0])
    assert rumelhart.half_rise(times, distances[[0, 2]])[:, 0].tolist() == [5.0, 15.0]


def test_aligned_frames_undo_rotations_and_mirrors():
    random = np.random.default_rng(1)
    still = random.standard_normal((8, 2)) * [2.0, 1.0]
    still -= still.mean(axis=0)
    frames = []
    for k in range(5):
        turn = np.linalg.qr(random.standard_normal((6, 6)))[0]
        frames.append((1.0 + 0.1 * k) * still @ turn[:2])
    flat = rumelhart.aligned(np.array(frames))
    for k in range(5):
        assert flat[k] * 1.4 / (1.0 + 0.1 * k) == pytest.approx(flat[-1], abs=1e-12)


@pytest.mark.slow
def test_nonlinear_networks_learn_broad_distinctions_first_and_believe_that_pines_have_leaves():
    pytest.importorskip("torch")
    course = rumelhart.train(12345, 50, 4000)
    halves = rumelhart.half_rise(
        course.epochs.astype(float), rumelhart.group_distances(course.representation)
    )
    # of 600 starts one learned a pair of items before the kinds
    assert np.sum(np.any(np.diff(halves, axis=0) <= 0.0, axis=0)) <= 1
    data = eight_things()
    leaves = course.answer[:, :, data.feature("has leaves"), data.item("pine")]
    assert np.all(leaves.max(axis=0) > leaves[0] + 0.1)
    assert np.all(leaves[-1] < 0.1)
    assert np.all(course.loss[-1] < 0.5)


# --- chapters -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("number", "n_figures", "n_comparisons"), [("15", 6, 30), ("16", 5, 42)])
def test_chapters_on_semantic_development_agree(number, n_figures, n_comparisons):
    pytest.importorskip("torch")
    report = run_small(number)
    assert len(report.figures) == n_figures
    assert report.tally.n_comparisons >= n_comparisons
    assert report.tally.n_disagreeing == 0


def test_the_shallow_control_of_the_chapter_has_no_illusion():
    assert pine_chapter._shallow_excess(engine.Settings()).max() <= 0.0


def n_disagreeing(figure):
    return sum(not item.agrees for item in figure.comparisons)


@pytest.fixture(scope="module")
def world():
    return tree_learners.learn_tree(engine.Settings(small=True))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "factor"), [("tau", 1.0), ("tau", 1.2), ("a0", 3.0)])
def test_the_figures_of_the_tree_disagree_with_other_starts_and_times(
    monkeypatch, world, name, factor
):
    right = world.known
    wrong = {**right, name: factor * right[name]}
    monkeypatch.setattr(tree_learners.World, "known", property(lambda _: wrong))
    counts = [
        n_disagreeing(draw(world)) for draw in (tree_chapter._levels, tree_chapter._projection)
    ]
    if factor == 1.0:
        assert counts == [0, 0]
    else:
        assert counts[0] >= 4
        assert counts[1] >= 3


@pytest.mark.slow
def test_the_figure_of_the_tree_disagrees_with_other_flips(monkeypatch):
    sample = Tree.sample
    monkeypatch.setattr(
        Tree, "sample", lambda tree, n, seed: sample(Tree(tree.branching, (0.14,) * 3), n, seed)
    )
    other = tree_learners.learn_tree(engine.Settings(small=True))
    assert n_disagreeing(tree_chapter._levels(other)) >= 6


@pytest.fixture(scope="module")
def learners():
    pytest.importorskip("torch")
    return pine_chapter._learners(engine.Settings(small=True)), rumelhart.train(0, 3, 3000)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{}, {"a0": 1e-2}, {"tau": 1.2}])
def test_the_figures_of_the_pine_disagree_with_other_starts_and_times(learners, wrong):
    settings, times = engine.Settings(small=True), pine_chapter._TIMES
    model = SemanticModel(eight_things().outputs, **{"a0": 1e-3, **wrong})
    counts = [
        n_disagreeing(pine_chapter._course(settings, model, *learners)),
        n_disagreeing(pine_chapter._all(model, *learners)),
        n_disagreeing(latencies(model, times, *learners)),
    ]
    if not wrong:
        assert counts == [0, 0, 0]
    else:
        assert counts[0] >= 3
        assert counts[1] >= 3 or "tau" in wrong  # sizes do not depend on the unit of time
        assert counts[2] >= 4


@pytest.mark.slow
def test_the_figure_of_categories_disagrees_with_another_coherence(monkeypatch):
    from meanfree.report import category_figures

    category = category_figures.category
    monkeypatch.setattr(
        category_figures, "category", lambda c, *shape: category(1.5 * np.asarray(c), *shape)
    )
    figure = category_figures.coherence(engine.Settings(small=True))
    assert n_disagreeing(figure) >= 4


@pytest.mark.slow
def test_the_figure_of_representations_disagrees_with_another_law(monkeypatch):
    from meanfree.report import category_figures

    monkeypatch.setattr(category_figures, "learn", partial(_stronger, category_figures.learn))
    figure = category_figures.agreement(engine.Settings(small=True))
    assert n_disagreeing(figure) >= 4


def _stronger(learn, outputs, times, *, a0, **others):
    return learn(outputs, times, a0=2.0 * a0, **others)
