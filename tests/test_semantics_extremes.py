"""Semantic models that start from next to nothing, have few modes, or many outputs."""

import matplotlib as mpl
import numpy as np
import pytest

from meanfree.semantics import SemanticModel, Tree, category_coherence

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("error")
SMALL = [[3.0, 1.0], [1.0, 2.0]]


@pytest.mark.parametrize("a0", [1e-300, 1e-307, 1e-309, 5e-324])
def test_latency_from_next_to_nothing(a0):
    model = SemanticModel(SMALL, a0=a0)
    t = model.latency(0, 0, target=0.999)
    assert model.output(t)[0, 0] == pytest.approx(0.999 * 3.0, rel=1e-11)
    # the weaker mode is late: s = (5 - sqrt(5)) / 2
    s = model.singular_values[1]
    assert t == pytest.approx((np.log(s) - np.log(a0)) / (2 * s), rel=0.02)
    assert model.peak(0, 0).value == pytest.approx(3.0, rel=1e-14)
    assert model.largest_illusions(2) == ()


@pytest.mark.parametrize(
    ("depth", "a0"),
    [
        (4, 1e-40),
        (100, 1e-309),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((4, 1e-190), (4, 1e-210), (3, 1e-300))
        ),
    ],
)
def test_illusion_between_two_sudden_rises(depth, a0):
    (found,) = SemanticModel([[1, 1], [1, 0]], a0=a0, depth=depth).largest_illusions()
    # while the first mode is all there is: s_1 u v = (1 + 1 / sqrt(5)) / 2 - ... = 1 / sqrt(5)
    assert (found.item, found.feature) == (1, 1)
    assert found.size == pytest.approx(5**-0.5, rel=1e-12)


@pytest.mark.parametrize("kind", ["normal", "binary", "twice"])
@pytest.mark.parametrize(("a0", "depth"), [(1e-3, 2), (0.5, 2), (1e-3, 3), (8.0, 2)])
def test_few_illusions_are_the_first_of_all(kind, a0, depth):
    size = (30, 20) if depth == 2 else (8, 6)  # 30 x 20 in all their steps take seconds
    rng = np.random.default_rng(5)
    outputs = rng.standard_normal(size)
    if kind != "normal":
        outputs = (outputs > 0.5).astype(float)
    if kind == "twice":  # equal illusions
        outputs = np.concatenate([outputs, outputs])
    model = SemanticModel(outputs, a0=a0, depth=depth)
    every = model.largest_illusions(outputs.size, progress=False)
    for n in (0, 1, 7, 40):
        found = model.largest_illusions(n)
        assert len(found) == min(n, len(every))
        for one, other in zip(found, every, strict=False):
            assert one.size == pytest.approx(other.size, rel=1e-10, abs=1e-11)
            size = model.illusions(one.t)[one.feature, one.item]
            assert size == pytest.approx(one.size, abs=1e-11)


def test_illusions_of_many_outputs_show_their_progress(capsys):
    outputs = np.random.default_rng(1).standard_normal((60, 40))
    found = SemanticModel(outputs, a0=1e-3).largest_illusions(3, progress=True)
    assert len(found) == 3
    assert "illusions" in capsys.readouterr().err
    with pytest.raises(TypeError, match="progress must be True, False or None"):
        SemanticModel(outputs, a0=1e-3).largest_illusions(3, progress=1)


def test_embeddings_have_as_many_components_as_there_are_up_to_two():
    one = SemanticModel([[1.0, -1.0], [2.0, -2.0]], a0=1e-3)
    assert one.embedding([1.0, 2.0]).shape == (2, 2, 1)
    assert one.plot_paths([1.0, 2.0]).lines
    assert SemanticModel(np.zeros((3, 2)), a0=1e-3).embedding(1.0).shape == (2, 1)
    assert SemanticModel(SMALL, a0=1e-3).embedding(1.0).shape == (2, 2)
    for branching, shape in (((1,), (1, 1)), ((2,), (2, 1)), ((3,), (3, 2))):
        tree = Tree(branching, 0.1)
        assert tree.embedding(1.0, n_features=100, a0=1e-3).shape == shape
        assert tree.plot_paths([0.5, 1.0], n_features=100, a0=1e-3).lines


def test_coherence_refuses_what_has_no_square():
    for strength, noise in ((1e200, 1.0), (1.0, 1e-200), (1e300, 1e-100)):
        with pytest.raises(ValueError, match=r"^strength / noise must be at most 1e\+150"):
            category_coherence(strength, 30, 40, 400, 600, noise=noise)
    assert category_coherence(1e-200, 30, 40, 400, 600) == 0.0
