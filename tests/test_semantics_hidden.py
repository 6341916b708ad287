"""Hidden representations of items: induction, geometry, clusters, other networks."""

import numpy as np
import pytest
from linear_weights import flow
from scipy.cluster.hierarchy import cophenet, is_valid_linkage
from scipy.spatial.distance import pdist

from meanfree.linear import mode_pair
from meanfree.semantics import SemanticModel, eight_things, representation_similarity

DATA = eight_things()
MODEL = SemanticModel(DATA.outputs, a0=1e-3)
SHALLOW = SemanticModel(DATA.outputs, a0=1e-3, depth=1)
RANDOM = SemanticModel(np.random.default_rng(1).standard_normal((7, 5)), a0=1e-2)
T = np.array([0.0, 0.3, 0.8, 1.2, 2.0, 5.0, 30.0])


def of(item, feature):
    return DATA.item(item), DATA.feature(feature)


# --- induction -----------------------------------------------------------------------------------


def descend(rows, taught, values):
    """Learn weights from 0 by gradient descent until the taught rows answer right."""
    rows = rows / np.linalg.norm(rows[taught], 2)
    w = np.zeros(rows.shape[1])
    for _ in range(20_000):
        error = values - rows[taught] @ w
        w += rows[taught].T @ error
        if np.max(np.abs(error)) < 1e-14:
            break
    return rows @ w


@pytest.mark.parametrize(("taught", "values"), [([0], [1.0]), ([4], [-2.0]), ([0, 5], [1.0, 0.0])])
@pytest.mark.parametrize("t", [0.8, 1.5])
def test_induction_is_what_gradient_descent_finds(taught, values, t):
    first, last = flow(DATA.outputs, 1e-3, 2, np.array([t]))[0]
    np.testing.assert_allclose(
        MODEL.project_property(taught, t, value=values),
        descend(first.T, taught, np.array(values)),
        rtol=0,
        atol=1e-8,  # of the integrated weights
    )
    np.testing.assert_allclose(
        MODEL.project_item(taught, t, value=values),
        descend(last, taught, np.array(values)),
        rtol=0,
        atol=1e-8,
    )


def test_induction_in_closed_form():
    gram = MODEL.hidden_gram(T)
    np.testing.assert_allclose(
        MODEL.project_property(2, T), gram[:, 2] / gram[:, 2, 2, None], rtol=0, atol=1e-13
    )
    u, f = MODEL.feature_importance(), DATA.feature("has feathers")
    strength = MODEL.strength(T)
    inner = strength * u[f] @ u.T
    np.testing.assert_allclose(
        MODEL.project_item(f, T), inner / inner[:, f, None], rtol=0, atol=1e-13
    )


def test_a_blick_that_has_feathers_can_fly():
    answer = MODEL.project_item(DATA.feature("has feathers"), 1.3)
    can = {word: answer[DATA.feature(f"can {word}")] for word in ("grow", "fly", "swim")}
    assert can["fly"] == pytest.approx(1.0, abs=0.05)
    assert can["grow"] > 0.8
    assert can["swim"] < 0.1


def test_nothing_generalises_without_a_hidden_layer():
    np.testing.assert_array_equal(SHALLOW.project_property(3, T), np.tile(np.eye(8)[3], (7, 1)))
    told = SHALLOW.project_item([1, 2], 1.0, value=[2.0, 3.0])
    assert (told[1], told[2], np.count_nonzero(told)) == (2.0, 3.0, 2)


def test_induction_at_other_depths():
    deep = SemanticModel(RANDOM.outputs, a0=1e-2, depth=3)
    weights = flow(RANDOM.outputs, 1e-2, 3, np.array([1.2]))[0]
    hidden, readout = weights[1] @ weights[0], weights[2] @ weights[1]
    gram, inner = hidden.T @ hidden, readout @ readout.T
    np.testing.assert_allclose(
        deep.project_property(1, 1.2), gram[1] / gram[1, 1], rtol=0, atol=1e-8
    )
    np.testing.assert_allclose(deep.project_item(1, 1.2), inner[1] / inner[1, 1], rtol=0, atol=1e-8)


# --- representations -----------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.5, -0.5, 3.0])
def test_unbalanced_weights_split_their_strength(lam):
    big = np.sqrt(0.5 * (abs(lam) + np.sqrt(lam**2 + 4e-6)))
    first, second = (big, 1e-3 / big) if lam > 0 else (1e-3 / big, big)
    pair = mode_pair(0.4, MODEL.singular_values, first, second)
    power = 0.5 * (lam + np.sqrt(lam**2 + 4.0 * np.asarray(pair.strength) ** 2))
    v = MODEL.typicality()
    np.testing.assert_allclose(
        MODEL.hidden_gram(0.4, imbalance=lam), (v * power) @ v.T, rtol=0, atol=1e-11
    )


def test_networks_of_small_start_agree_and_of_large_start_do_not():
    def trained(seed, scale):
        random = np.random.default_rng(seed)
        first = scale * random.standard_normal((24, 8))
        last = scale * random.standard_normal((36, 24))
        for _ in range(3000):
            error = DATA.outputs - last @ first
            first, last = first + 0.01 * last.T @ error, last + 0.01 * error @ first.T
        assert np.abs(error).max() < 1e-6
        return first.T @ first

    theory = MODEL.hidden_gram(100.0)
    small, large = ([trained(seed, scale) for seed in (1, 2)] for scale in (1e-3, 0.3))
    assert representation_similarity(*small) > 1.0 - 1e-9
    assert representation_similarity(small[0], theory) > 1.0 - 1e-9
    assert representation_similarity(*large) < 0.95


def test_similarity_of_representations_ignores_rotation_scale_and_shift():
    random = np.random.default_rng(0)
    h, q = random.standard_normal((5, 9)), np.linalg.qr(random.standard_normal((5, 5)))[0]
    other = 3.0 * q @ h + random.standard_normal((5, 1))
    assert representation_similarity(h.T @ h, other.T @ other) == pytest.approx(1.0, abs=1e-13)
    unlike = random.standard_normal((5, 9))
    assert 0.0 < representation_similarity(h.T @ h, unlike.T @ unlike) < 0.9
    grams = MODEL.hidden_gram(T)
    assert representation_similarity(grams, grams[-1]).shape == (7,)


def test_embedding_keeps_distances_in_one_basis():
    full = MODEL.embedding(T, n_components=8)
    for x, gram in zip(full, MODEL.hidden_gram(T), strict=True):
        expected = np.diag(gram)[:, None] + np.diag(gram) - 2.0 * gram
        gaps = x[:, None] - x
        np.testing.assert_allclose(np.sum(gaps**2, axis=-1), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(MODEL.embedding(T), full[..., :2])
    last = full[-1].T @ full[-1]
    np.testing.assert_allclose(last, np.diag(np.diag(last)), atol=1e-12)  # principal axes
    close = MODEL.embedding(np.linspace(1.0, 1.01, 11))
    assert np.max(np.abs(np.diff(close, axis=0))) < 0.01  # no sign ever jumps


def test_linkage_is_scipys_of_the_hidden_distances():
    stack = MODEL.linkage(T)
    assert stack.shape == (7, 7, 4)
    assert all(is_valid_linkage(z) for z in stack)
    x = MODEL.embedding(1.4, n_components=8)
    single = MODEL.linkage(1.4, method="single")
    assert single[0, 2] == pytest.approx(pdist(x).min(), rel=1e-10)
    kinds = cophenet(MODEL.linkage(30.0))
    assert kinds.max() == cophenet(MODEL.linkage(30.0))[3]  # pine and robin meet last


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MODEL.hidden_gram(1.0, layer=2), r"layer must be an integer in \[0, 1\], got 2"),
        (lambda: SHALLOW.hidden_gram(1.0, imbalance=1.0), "imbalance must be 0 unless depth is 2"),
        (lambda: MODEL.project_property(9, 1.0), r"item must be an integer in \[0, 7\], got 9"),
        (lambda: MODEL.project_property([0, 9], 1.0), r"item\[1\] must be .* got 9"),
        (lambda: MODEL.project_property([0, 0], 1.0), r"item must not name .* twice, got \[0, 0\]"),
        (lambda: MODEL.project_property([], 1.0), r"item must be an index .* got shape \(0,\)"),
        (lambda: MODEL.project_item(0, 1.0, value=[1.0, 2.0]), r"value must be .* shape \(2,\)"),
        (
            lambda: SemanticModel([[1.0, 1.0], [0.0, 0.0]], a0=0.1).project_item(1, 1.0),
            "feature must have outputs other than 0 to be taught, got 1",
        ),
        (lambda: SHALLOW.embedding(1.0), "depth must be at least 2 for hidden .* got 1"),
        (lambda: SHALLOW.linkage(1.0), "depth must be at least 2 for hidden .* got 1"),
        (lambda: MODEL.embedding(1.0, n_components=9), r"n_components .* \[1, 8\], got 9"),
        (lambda: MODEL.linkage(1.0, method="mean"), "method must be one of single, .* 'mean'"),
        (lambda: SemanticModel([[1.0]], a0=0.1).linkage(1.0), "outputs must have at least 2 items"),
        (lambda: representation_similarity(np.eye(3), np.eye(2)), "of the same items, got shapes"),
        (lambda: representation_similarity(np.ones((3, 3)), np.eye(3)), "gram must tell items ap"),
        (lambda: representation_similarity([1.0], np.eye(3)), r"gram must have shape .*\(1,\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
