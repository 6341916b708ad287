"""Branching trees: spectra, distances, clusters, progressive differentiation."""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, is_valid_linkage, linkage
from scipy.spatial.distance import squareform

from meanfree.linear import learning_time, mode_strength
from meanfree.semantics import SemanticModel, Tree

TREES = [
    Tree((2, 2, 2), (0.1, 0.1, 0.1)),
    Tree((3, 2), (0.05, 0.3)),
    Tree((2, 4, 3), (0.2, 0.01, 0.1)),
    Tree((2,) * 6, 0.07),
    Tree((5,), (0.9,)),
    Tree((2, 1, 3), (0.2, 0.1, 0.3)),
]
N, A0 = 500, 1e-3
T = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 2.0, 50.0])
KNOBS = {"n_features": N, "a0": A0}
trees = st.lists(st.tuples(st.integers(1, 4), st.floats(0.0, 1.0)), min_size=1, max_size=4).map(
    lambda pairs: Tree(*(tuple(values) for values in zip(*pairs, strict=True)))
)


def ancestor_level(tree, i, j):
    """Follow two leaves up to where they meet."""
    level = len(tree.branching)
    while i != j:
        level -= 1
        i, j = i // tree.branching[level], j // tree.branching[level]
    return level


def hidden_gram(tree, t, tau=1.0):
    """Sum the modes as dense matrices."""
    u = mode_strength(t, tree.singular_values(N), A0, tau=tau)
    return sum(u[level] * tree.projector(level) for level in range(u.size))


def distances(gram):
    return np.diag(gram)[:, None] + np.diag(gram) - 2.0 * gram


def test_spectrum_of_the_binary_tree_of_the_literature():
    tree = Tree((2, 2, 2), (0.1, 0.1, 0.1))
    assert tree.multiplicities.tolist() == [1, 1, 2, 4]
    squares = tree.singular_values(1) ** 2
    np.testing.assert_allclose(squares, [3.507776, 1.410624, 0.8208, 0.36], rtol=1e-14)
    np.testing.assert_allclose(tree.singular_values(100), 10.0 * np.sqrt(squares), rtol=1e-14)


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_spectrum_is_that_of_the_similarity_matrix(tree):
    squares = tree.singular_values(7) ** 2 / 7
    dense = np.linalg.eigvalsh(tree.similarity())[::-1]
    np.testing.assert_allclose(
        np.repeat(squares, tree.multiplicities), dense, rtol=0, atol=1e-12 * dense[0]
    )


@settings(max_examples=30)
@given(trees)
def test_spectrum_has_the_right_sum_and_never_grows_with_the_level(tree):
    squares = tree.singular_values(1) ** 2
    assert tree.multiplicities.sum() == tree.n_items
    assert tree.multiplicities @ squares == pytest.approx(tree.n_items, rel=1e-13)
    assert np.all(np.diff(squares) <= 1e-15 * squares[0])
    assert np.all(squares >= 0.0)


def test_similarity_is_the_exact_average_over_all_flips():
    tree = Tree((2, 2), (0.2, 0.35))
    average = np.zeros((4, 4))
    for flipped in product([False, True], repeat=6):  # two edges at the root, four below
        upper, lower = np.array(flipped[:2]), np.array(flipped[2:])
        chance = np.prod(np.where(upper, 0.2, 0.8)) * np.prod(np.where(lower, 0.35, 0.65))
        y = np.repeat(np.where(upper, -1.0, 1.0), 2) * np.where(lower, -1.0, 1.0)
        average += chance * np.outer(y, y)
    np.testing.assert_allclose(tree.similarity(), average, rtol=1e-14)


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_projectors_resolve_the_identity_and_the_similarity(tree):
    projectors = [tree.projector(level) for level in range(tree.n_levels + 1)]
    tiny = {"rtol": 0, "atol": 1e-14 * tree.n_items}
    np.testing.assert_allclose(sum(projectors), np.eye(tree.n_items), **tiny)
    for p, count in zip(projectors, tree.multiplicities, strict=True):
        np.testing.assert_allclose(p @ p, p, **tiny)
        assert np.trace(p) == pytest.approx(count, abs=1e-12)
    squares = tree.singular_values(1) ** 2
    whole = sum(s * p for s, p in zip(squares, projectors, strict=True))
    np.testing.assert_allclose(whole, tree.similarity(), **tiny)


@pytest.mark.parametrize("tree", TREES[:3], ids=repr)
def test_sampled_features_have_the_spectrum_within_four_and_a_half_errors(tree):
    y = tree.sample(20_000, seed=3)
    assert set(np.unique(y)) == {-1.0, 1.0}
    squares = tree.singular_values(1) ** 2
    for level, count in enumerate(tree.multiplicities):
        shares = np.sum((y @ tree.projector(level)) ** 2, axis=1) / count
        error = shares.std(ddof=1) / np.sqrt(shares.size)
        assert abs(shares.mean() - squares[level]) <= 4.5 * error
    products = y[:, 0, None] * y
    errors = np.maximum(products.std(axis=0, ddof=1), 1e-12) / np.sqrt(len(y))
    assert np.all(np.abs(products.mean(axis=0) - tree.similarity()[0]) <= 4.5 * errors)


def test_samples_depend_on_the_seed_alone():
    tree = TREES[0]
    np.testing.assert_array_equal(tree.sample(50, 4), tree.sample(50, seed=4))
    assert np.any(tree.sample(50, 4) != tree.sample(50, 5))


@pytest.mark.parametrize("tree", TREES[:4], ids=repr)
def test_coherence_is_similarity_within_minus_between(tree):
    c, coherence = tree.similarity(), tree.coherence()
    for level in range(1, tree.n_levels + 1):
        size = tree.n_items // tree.n_nodes[level]
        within = c[:size, :size].mean()
        between = c[0, tree.n_items // tree.n_nodes[level - 1] - 1]
        assert coherence[level] == pytest.approx(within - between, rel=1e-12)
        assert tree.singular_values(1)[level] ** 2 == pytest.approx(size * (within - between))


@pytest.mark.parametrize("tree", TREES[:4], ids=repr)
def test_distances_and_projection_are_those_of_the_dense_gram_matrix(tree):
    level = np.array(
        [[ancestor_level(tree, i, j) for j in range(tree.n_items)] for i in range(tree.n_items)]
    )
    squared = [tree.squared_distance(T, k, tau=2.0, **KNOBS) for k in range(tree.n_levels + 1)]
    ratio = [tree.project_property(T, k, tau=2.0, **KNOBS) for k in range(tree.n_levels + 1)]
    for k, t in enumerate(T):
        gram = hidden_gram(tree, t, tau=2.0)
        bound = 1e-12 * gram[0, 0] * tree.n_items
        dense = distances(gram)
        np.testing.assert_allclose(np.array(squared)[level, k], dense, rtol=0, atol=bound)
        np.testing.assert_allclose(
            np.array(ratio)[level, k], gram / gram[0, 0], rtol=0, atol=1e-13 * tree.n_items
        )


def test_broad_distinctions_are_made_first():
    tree, times = TREES[3], np.linspace(0.0, 3.0, 1501)
    halves = learning_time(tree.singular_values(N)[1:], A0)
    assert np.all(np.diff(halves) > 0.0)
    # leaves that part at level k do so when the modes of level k + 1 are learned
    for k, half in enumerate(halves):
        path = tree.squared_distance(times, k, **KNOBS)
        begun = times[np.argmax(path >= 0.25 * path[-1])]
        assert half - 0.1 <= begun <= half + 0.1
        assert tree.squared_distance(0.5 * half, k, **KNOBS) < 0.1 * path[-1]


@settings(max_examples=30)
@given(trees, st.floats(0.0, 5.0), st.sampled_from([1e-6, 1e-2, 3.0, 1e3]))
def test_hidden_distances_are_ultrametric_at_all_times(tree, t, a0):
    squared = [tree.squared_distance(t, k, n_features=20, a0=a0) for k in range(tree.n_levels + 1)]
    assert squared[-1] == 0.0
    assert np.all(np.diff(squared) <= 1e-13 * max(squared))


@pytest.mark.parametrize("tree", TREES, ids=repr)
@pytest.mark.parametrize("t", [0.0, 0.1, 10.0])
def test_linkage_is_what_every_method_of_scipy_finds(tree, t):
    ours = tree.linkage(t, **KNOBS)
    assert is_valid_linkage(ours)
    expected = np.sqrt(np.maximum(distances(hidden_gram(tree, t)), 0.0))
    np.fill_diagonal(expected, 0.0)
    flat = squareform(expected, checks=False)
    bound = {"rtol": 0, "atol": 1e-12 * flat.max()}
    np.testing.assert_allclose(cophenet(ours), flat, **bound)
    for method in ("single", "complete", "average"):
        np.testing.assert_allclose(cophenet(linkage(flat, method)), flat, **bound)


def test_linkage_of_several_times_is_a_stack():
    tree = TREES[2]
    stack = tree.linkage(T.reshape(2, 4), **KNOBS)
    assert stack.shape == (2, 4, 23, 4)
    np.testing.assert_array_equal(stack[1, 2], tree.linkage(T[6], **KNOBS))


@pytest.mark.parametrize("tree", TREES[:5], ids=repr)
def test_embedding_keeps_distances_and_one_basis(tree):
    full = tree.embedding(T, n_components=tree.n_items - 1, **KNOBS)
    assert full.shape == (T.size, tree.n_items, tree.n_items - 1)
    for k, t in enumerate(T):
        gram = hidden_gram(tree, t)
        dense = distances(full[k] @ full[k].T)
        np.testing.assert_allclose(
            dense, distances(gram), rtol=0, atol=1e-12 * gram[0, 0] * tree.n_items
        )
    last = full[-1]
    scale = np.sum(full * last, axis=1) / np.sum(last**2, axis=0)  # (time, component)
    assert np.all(scale > 0.0)
    np.testing.assert_allclose(full, scale[:, None, :] * last, rtol=1e-12, atol=1e-14)
    part = tree.embedding(T, n_components=2, **KNOBS)
    np.testing.assert_array_equal(part, full[..., :2])


def test_embedding_is_classical_multidimensional_scaling():
    tree, t = TREES[1], 0.3
    gram = hidden_gram(tree, t)
    centring = np.eye(6) - 1.0 / 6.0
    found = np.linalg.eigvalsh(centring @ gram @ centring)[::-1][:2]
    x = tree.embedding(t, **KNOBS)
    np.testing.assert_allclose(np.diag(x.T @ x), found, rtol=1e-12)
    np.testing.assert_allclose(x.sum(axis=0), 0.0, atol=1e-14)


def test_the_first_two_components_tell_four_branches_apart():
    x = TREES[0].embedding(50.0, **KNOBS)
    groups = np.round(x, 9) + 0.0
    assert len(np.unique(groups, axis=0)) == 4


def test_projection_narrows_with_age():
    tree, knobs = TREES[3], {"n_features": N, "a0": 1e-15}  # small enough to separate the stages
    times = learning_time(tree.singular_values(N), 1e-15)
    stages = 0.5 * (times[:-1] + times[1:])
    table = np.array([tree.project_property(stages, k, **knobs) for k in range(7)])
    for k in range(6):  # when level k is known, relatives of level k are not told apart
        assert np.all(table[k:, k] > 0.9)
    assert np.all(np.diff(table[:6], axis=1) < 0.0)
    np.testing.assert_array_equal(table[-1], 1.0)


def test_projection_ends_at_the_square_root_of_the_similarity():
    tree = TREES[0]
    values, vectors = np.linalg.eigh(tree.similarity())
    root = (vectors * np.sqrt(values)) @ vectors.T
    late = [tree.project_property(1e3, k, **KNOBS) for k in range(4)]
    expected = [root[0, j] / root[0, 0] for j in (7, 3, 1, 0)]
    np.testing.assert_allclose(late, expected, rtol=1e-12)


def test_flips_enter_by_their_distance_from_one_half():
    one, other = Tree((2, 3), (0.1, 0.2)), Tree((2, 3), (0.9, 0.2))
    np.testing.assert_allclose(one.singular_values(5), other.singular_values(5), rtol=1e-15)


def test_no_flips_merge_items_and_even_chances_leave_no_structure():
    merged = Tree((2, 2), (0.1, 0.0))
    assert merged.singular_values(10)[2] == 0.0
    np.testing.assert_array_equal(merged.sample(50, 0)[:, 0], merged.sample(50, 0)[:, 1])
    # the empty mode decays from a0
    d = merged.squared_distance(3.0, 1, **KNOBS)
    assert d == pytest.approx(2.0 * A0 / (1.0 + 2.0 * A0 * 3.0), rel=1e-13)
    np.testing.assert_allclose(Tree((2, 2), 0.5).singular_values(1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(Tree((2, 2), 0.5).similarity(), np.eye(4), atol=1e-16)


def test_a_data_matrix_with_the_similarity_of_the_tree_is_learned_as_the_tree():
    tree, t = TREES[1], 0.15
    values, vectors = np.linalg.eigh(tree.similarity())
    y = np.sqrt(N * values)[:, None] * vectors.T  # Y^T Y = N C, with degenerate singular values
    model = SemanticModel(y, a0=A0)
    gram = model.hidden_gram(t)
    expected = [
        [tree.squared_distance(t, ancestor_level(tree, i, j), **KNOBS) for j in range(6)]
        for i in range(6)
    ]
    np.testing.assert_allclose(distances(gram), expected, rtol=0, atol=1e-12 * gram[0, 0])
    np.testing.assert_allclose(
        model.project_property(0, t),
        [tree.project_property(t, ancestor_level(tree, 0, j), **KNOBS) for j in range(6)],
        rtol=0,
        atol=1e-12,
    )


def test_shapes_follow_the_times():
    tree = TREES[0]
    assert isinstance(tree.squared_distance(1.0, 0, **KNOBS), float)
    assert isinstance(tree.project_property(1.0, 0, **KNOBS), float)
    assert tree.squared_distance(T.reshape(2, 4), 1, **KNOBS).shape == (2, 4)
    assert tree.embedding(T.reshape(2, 4), **KNOBS).shape == (2, 4, 8, 2)
    assert tree.linkage(1.0, **KNOBS).shape == (7, 4)
    assert tree.sample(3, 0).shape == (3, 8)


def test_trees_are_values():
    assert Tree([2, 2], 0.1) == Tree((2, 2), (0.1, 0.1))
    assert len({Tree([2, 2], 0.1), Tree((2, 2), (0.1, 0.1))}) == 1
    assert repr(Tree((2, 2), 0.1)) == "Tree(branching=(2, 2), flips=(0.1, 0.1))"
    with pytest.raises(ValueError, match="read-only"):
        Tree((2, 2), 0.1).multiplicities[0] = 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Tree((2, 0), (0.1, 0.1)), r"branching\[1\] must be an integer .*got 0"),
        (lambda: Tree((2, 2), (0.1, 1.5)), r"flips must be in \[0, 1\], got 1\.5 at index 1"),
        (lambda: Tree((2, 2), (-0.1, 0.5)), r"flips must be in \[0, 1\], got -0\.1 at index 0"),
        (lambda: Tree((2, 2), np.nan), r"flips must be in \[0, 1\], got nan"),
        (lambda: Tree((2, 2), (0.1,)), r"flips must have one .* 2 levels .* shape \(1,\)"),
        (lambda: Tree((), ()), r"branching must have at least one level, got \(\)"),
        (lambda: Tree((2,) * 40, 0.1), "at most 2147483647 leaves, got 1099511627776"),
        (lambda: TREES[0].projector(4), r"level must be an integer in \[0, 3\], got 4"),
        (lambda: TREES[0].squared_distance(1.0, -1, **KNOBS), r"level .* in \[0, 3\], got -1"),
        (lambda: TREES[0].squared_distance(-1.0, 0, **KNOBS), "t must be finite and >= 0, got -1"),
        (lambda: TREES[0].linkage(np.nan, **KNOBS), "t must be finite and >= 0, got nan"),
        (lambda: TREES[0].linkage(1.0, n_features=5, a0=0.0), "a0 must be finite and > 0, got 0"),
        (lambda: TREES[0].linkage(1.0, n_features=0, a0=0.1), "n_features must be .* >= 1|got 0"),
        (
            lambda: TREES[0].project_property(1.0, 0, tau=0.0, **KNOBS),
            r"tau must be finite and > 0, got 0\.0",
        ),
        (
            lambda: TREES[0].embedding(1.0, n_components=8, **KNOBS),
            r"n_components must be an integer in \[1, 7\], got 8",
        ),
        (lambda: TREES[0].sample(5, -1), "seed must be an integer .* got -1"),
        (
            lambda: TREES[0].plot_dendrogram(1.0, labels=["a"], **KNOBS),
            "labels must name each of the 8 items, got 1 names",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    plt.close("all")


@pytest.mark.parametrize(
    "call",
    [
        lambda: Tree(2, 0.1),
        lambda: Tree("22", 0.1),
        lambda: Tree((2.0, 2), 0.1),
        lambda: Tree((2, 2), "0.1"),
        lambda: TREES[0].projector(1.0),
        lambda: TREES[0].squared_distance("now", 0, **KNOBS),
        lambda: TREES[0].singular_values(10.0),
    ],
)
def test_wrong_kinds_are_type_errors(call):
    with pytest.raises(TypeError):
        call()


def test_plots_show_spectrum_dendrogram_and_paths():
    tree, times = TREES[0], np.linspace(0.0, 1.0, 30)
    ax = tree.plot()
    heights = np.concatenate([line.get_ydata() for line in ax.lines])
    np.testing.assert_allclose(heights, np.repeat(tree.singular_values(1), tree.multiplicities))
    ax = plt.figure().subplots()
    assert tree.plot_dendrogram(0.5, ax, labels=list("abcdefgh"), **KNOBS) is ax
    assert sorted(text.get_text() for text in ax.get_xticklabels()) == list("abcdefgh")
    top = max(path.get_extents().y1 for c in ax.collections for path in c.get_paths())
    assert top == pytest.approx(np.sqrt(tree.squared_distance(0.5, 0, **KNOBS)))
    ax = tree.plot_paths(times, labels=list("abcdefgh"), **KNOBS)
    np.testing.assert_allclose(
        np.array(ax.lines[0].get_data()).T, tree.embedding(times, **KNOBS)[:, 0]
    )
    assert [text.get_text() for text in ax.texts] == ["a, b", "c, d", "e, f", "g, h"]
    plt.close("all")
