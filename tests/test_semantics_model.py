"""Learning of given items and features: outputs, illusions, typicality, induction."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from linear_weights import flow
from scipy.optimize import brentq, minimize_scalar

from meanfree.linear import mode_strength
from meanfree.semantics import SemanticModel, Tree, eight_things

DATA = eight_things()
MODEL = SemanticModel(DATA.outputs, a0=1e-3)
SHALLOW = SemanticModel(DATA.outputs, a0=1e-3, depth=1)
RANDOM = SemanticModel(np.random.default_rng(1).standard_normal((7, 5)), a0=1e-2)
HADAMARD = np.kron(np.array([[1, 1], [1, -1]]), np.kron([[1, 1], [1, -1]], [[1, 1], [1, -1]]))
MERGED = np.repeat(DATA.outputs[:, :4], 2, axis=1)  # of rank 4
T = np.array([0.0, 0.3, 0.8, 1.2, 2.0, 5.0, 30.0])


def of(item, feature):
    return DATA.item(item), DATA.feature(feature)


# --- data ----------------------------------------------------------------------------------------


def test_the_eight_things():
    assert DATA.outputs.shape == (36, 8)
    assert (len(DATA.items), len(DATA.features)) == (8, 36)
    assert set(np.unique(DATA.outputs)) == {0.0, 1.0}
    assert DATA.outputs.sum() == 93
    relations = [name.split()[0] for name in DATA.features]
    assert [relations.count(word) for word in ("isa", "is", "can", "has")] == [15, 6, 5, 10]
    assert relations == sorted(relations, key=("isa", "is", "can", "has").index)
    assert DATA.outputs.sum(axis=0).tolist() == [11, 11, 11, 11, 12, 13, 12, 12]
    assert DATA.outputs[DATA.feature("has leaves")].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]
    assert DATA.outputs[DATA.feature("is yellow")].tolist() == [0, 0, 0, 1, 0, 1, 1, 0]
    with pytest.raises(ValueError, match="did you mean 'has leaves'"):
        DATA.feature("has leafs")


def test_modes_of_the_eight_things_are_their_kinds():
    v, s = MODEL.typicality(), MODEL.singular_values
    assert np.all(v[:, 0] > 0.0)
    assert np.sign(v[:, 1]).tolist() == [1, 1, 1, 1, -1, -1, -1, -1]  # plants and animals
    assert np.sign(v[4:, 2]).tolist() == [1, 1, -1, -1]  # birds and fish
    assert np.all(np.abs(v[:4, 2]) < 0.1)
    assert np.sign(v[:4, 3]).tolist() == [1, 1, -1, -1]  # trees and flowers
    assert np.all(np.abs(v[4:, 3]) < 0.1)
    assert s[2] / s[3] == pytest.approx(1.013, abs=1e-3)


# --- outputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_outputs_and_representations_are_those_of_the_integrated_weights(depth):
    t = np.array([0.5, 1.5, 4.0])
    outputs = RANDOM.outputs
    model = SemanticModel(outputs, a0=1e-2, depth=depth, tau=2.0)
    for k, w in enumerate(flow(outputs, 1e-2, depth, t / 2.0)):
        total = np.linalg.multi_dot(w[::-1]) if depth > 1 else w[0]
        np.testing.assert_allclose(model.output(t)[k], total, rtol=0, atol=1e-9)
        hidden = np.eye(5)
        for layer in range(depth):
            gram = model.hidden_gram(t, layer=layer)[k]
            np.testing.assert_allclose(gram, hidden.T @ hidden, rtol=0, atol=1e-9)
            hidden = w[layer] @ hidden


def test_output_runs_from_the_aligned_start_to_the_data():
    u, _, vt = np.linalg.svd(DATA.outputs, full_matrices=False)
    np.testing.assert_allclose(MODEL.output(0.0), 1e-3 * u @ vt, rtol=0, atol=1e-16)
    np.testing.assert_allclose(MODEL.output(100.0), DATA.outputs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("model", [MODEL, SHALLOW, RANDOM], ids=["deep", "shallow", "random"])
def test_output_is_the_sum_over_modes(model):
    u, s, vt = np.linalg.svd(model.outputs, full_matrices=False)
    for t, output in zip(T, model.output(T), strict=True):
        strengths = mode_strength(t, s, model.a0, depth=model.depth)
        np.testing.assert_allclose(output, (u * strengths) @ vt, rtol=0, atol=1e-12)


@pytest.mark.parametrize("outputs", [HADAMARD, MERGED, Tree((2, 2, 2), 0.05).sample(12, 0)])
def test_equal_and_vanishing_singular_values_do_not_depend_on_the_order_of_items(outputs):
    n, p = outputs.shape
    random = np.random.default_rng(0)
    rows, columns = random.permutation(n), random.permutation(p)
    one = SemanticModel(outputs, a0=1e-3)
    other = SemanticModel(outputs[rows][:, columns], a0=1e-3)
    bound = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(one.output(T)[:, rows][..., columns], other.output(T), **bound)
    np.testing.assert_allclose(
        one.hidden_gram(T)[:, columns][..., columns], other.hidden_gram(T), **bound
    )
    np.testing.assert_allclose(
        one.project_property(columns[0], T)[:, columns], other.project_property(0, T), **bound
    )
    np.testing.assert_allclose(
        one.project_item(rows[0], T)[:, rows], other.project_item(0, T), **bound
    )


def test_a_degenerate_basis_starts_at_items():
    v = SemanticModel(HADAMARD, a0=1e-3).typicality()
    np.testing.assert_allclose(v, np.eye(8), rtol=0, atol=1e-14)


def test_empty_modes_stay_empty():
    model = SemanticModel(MERGED, a0=1e-3)
    assert model.singular_values.shape == (4,)
    assert model.output(3.0).shape == (36, 8)
    np.testing.assert_allclose(model.output(3.0)[:, 0], model.output(3.0)[:, 1], atol=1e-14)
    nothing = SemanticModel(np.zeros((3, 2)), a0=1e-3)
    assert nothing.singular_values.size == 0
    np.testing.assert_array_equal(nothing.output(T), np.zeros((7, 3, 2)))
    np.testing.assert_array_equal(nothing.hidden_gram(T), np.zeros((7, 2, 2)))
    assert nothing.largest_illusions() == ()
    assert nothing.peak(0, 0).value == 0.0


def test_a_start_above_the_singular_values_decays_to_them():
    model = SemanticModel(RANDOM.outputs, a0=50.0)
    np.testing.assert_allclose(model.output(200.0), RANDOM.outputs, rtol=0, atol=1e-12)
    peak = model.peak(0, 0)
    values = model.output(np.linspace(0.0, 30.0, 3001))[:, 0, 0]
    assert peak.value >= values.max()


# --- typicality ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outputs", [DATA.outputs, RANDOM.outputs, HADAMARD, MERGED, RANDOM.outputs.T]
)
def test_typicality_and_importance_determine_each_other(outputs):
    model = SemanticModel(outputs, a0=1e-3)
    v, u, s = model.typicality(), model.feature_importance(), model.singular_values
    bound = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(v, outputs.T @ u / s, **bound)
    np.testing.assert_allclose(u, outputs @ v / s, **bound)
    np.testing.assert_allclose(v.T @ v, np.eye(s.size), **bound)
    np.testing.assert_allclose((u * s) @ v.T, outputs, **bound)
    np.testing.assert_allclose(outputs @ v, u * s, **bound)  # prototypes
    assert np.all(v.max(axis=0) >= -v.min(axis=0) - 1e-9)


def test_results_are_copies_and_inputs_are_kept():
    outputs = RANDOM.outputs.copy()
    model = SemanticModel(outputs, a0=1e-2)
    outputs[:] = 0.0
    model.typicality()[:] = 0.0
    np.testing.assert_array_equal(model.output(1.0), RANDOM.output(1.0))


# --- illusions and latencies ---------------------------------------------------------------------


def test_pine_has_leaves_is_the_largest_illusion():
    found = MODEL.largest_illusions(5)
    names = [f"{DATA.items[i.item]} {DATA.features[i.feature]}" for i in found]
    assert names == [
        "pine has leaves",
        "robin is yellow",
        "sunfish is red",
        "canary is red",
        "salmon is yellow",
    ]
    assert found[0].size > found[1].size + 0.1
    pine = MODEL.peak(*of("pine", "has leaves"))
    # found among others the root takes other steps
    assert (pine.t, pine.value) == pytest.approx((found[0].t, found[0].value), rel=1e-13)
    assert found[0].size == pytest.approx(pine.value, abs=1e-2)


@pytest.mark.parametrize(("a0", "depth"), [(1e-2, 2), (1e-8, 2), (1e-3, 4)])
def test_pine_has_leaves_at_other_starts_and_depths(a0, depth):
    (first,) = SemanticModel(DATA.outputs, a0=a0, depth=depth).largest_illusions(1)
    assert (DATA.items[first.item], DATA.features[first.feature]) == ("pine", "has leaves")


def test_illusions_over_time_come_to_the_exact_sizes():
    t = np.linspace(0.0, 12.0, 4801)
    over_time = MODEL.illusions(t)
    assert over_time.shape == (4801, 36, 8)
    assert MODEL.illusions(1.0).shape == (36, 8)
    found = MODEL.largest_illusions(288)
    exact = np.zeros((36, 8))
    for one in found:
        exact[one.feature, one.item] = one.size
        assert MODEL.output(one.t)[one.feature, one.item] == pytest.approx(one.value, abs=1e-12)
    grid = over_time.max(axis=0)
    assert np.all(grid <= exact + 1e-12)
    assert np.all(exact <= grid + 1e-4)  # half a step from the top: 0.00125**2 / 2 max |y''|
    sizes = [one.size for one in found]
    assert sizes == sorted(sizes, reverse=True)


def test_shallow_networks_have_no_illusions():
    t = np.linspace(0.0, 30.0, 301)
    assert SHALLOW.illusions(t).max() <= 1e-14  # rounding of singular vectors, s up to 7
    assert SHALLOW.largest_illusions() == ()
    start = SemanticModel(DATA.outputs, a0=0.0, depth=1)
    np.testing.assert_allclose(
        start.output(t), DATA.outputs * -np.expm1(-t)[:, None, None], rtol=0, atol=1e-14
    )
    assert SHALLOW.peak(*of("pine", "has leaves")).t in (0.0, np.inf)


def test_denied_features_are_illusions_too():
    model = SemanticModel(1.0 - DATA.outputs, a0=1e-3)  # what things have not
    pine, leaves = of("pine", "has leaves")
    sizes = model.illusions(np.linspace(0.0, 5.0, 500)).max(axis=0)
    below = np.minimum(1.0, model.output(0.0)[leaves, pine])
    lowest = model.output(np.linspace(0.0, 5.0, 500))[:, leaves, pine].min()
    assert sizes[leaves, pine] == pytest.approx(max(below - lowest, 0.0), abs=1e-15)


@pytest.mark.parametrize("model", [MODEL, RANDOM], ids=["things", "random"])
def test_peaks_are_exact(model):
    n, p = model.outputs.shape
    t = np.linspace(0.0, 40.0, 8001)
    values = model.output(t)
    for feature, item in [(f, i) for f in range(n) for i in range(p)][:: max(1, n * p // 24)]:
        path, peak = values[:, feature, item], model.peak(item, feature)
        assert peak.value >= path.max() - 1e-12
        best = int(path.argmax())
        if 0 < best < 8000 and path[best] > path[-1] + 1e-9:
            found = minimize_scalar(
                lambda x, f=feature, i=item: -model.output(x)[f, i],
                bounds=(t[best - 1], t[best + 1]),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert peak.value == pytest.approx(-found.fun, abs=1e-13)
            assert peak.t == pytest.approx(found.x, abs=1e-6)  # the top is flat
        elif best == 8000:
            assert peak.t == np.inf
            assert peak.value == pytest.approx(model.outputs[feature, item], abs=1e-12)


@settings(max_examples=8)
@example(3, 1e-3, 3)
@example(4, 30.0, 4)
@given(st.integers(0, 10**6), st.sampled_from([1e-8, 1e-3, 1.0, 30.0]), st.integers(1, 2))
def test_no_output_exceeds_its_peak(seed, a0, depth):
    outputs = np.random.default_rng(seed).standard_normal((4, 3)) * [1.0, 5.0, 0.2]
    model = SemanticModel(outputs, a0=a0, depth=depth)
    t = np.concatenate([np.geomspace(1e-3, 1e3, 1000), [0.0]])
    values = model.output(t).max(axis=0)
    for feature in range(4):
        for item in range(3):
            peak = model.peak(item, feature)
            assert peak.value >= values[feature, item] - 1e-11
            if np.isfinite(peak.t):
                now = model.output(peak.t)[feature, item]
                assert now == pytest.approx(peak.value, abs=1e-12)


def test_latency_is_the_last_rise_above_its_target():
    t = np.linspace(0.0, 30.0, 6001)
    values = MODEL.output(t)
    for item, feature in [of("pine", "can grow"), of("canary", "can sing"), of("oak", "is big")]:
        for target in (0.1, 0.5, 0.9):
            latency = MODEL.latency(item, feature, target=target)
            k = np.flatnonzero(values[:, feature, item] < target)[-1]
            exact = brentq(
                lambda x, f=feature, i=item, y=target: MODEL.output(x)[f, i] - y,
                t[k],
                t[k + 1],
                xtol=1e-14,
                rtol=1e-14,
            )
            assert latency == pytest.approx(exact, rel=1e-12)


def test_broad_properties_come_first_and_shallow_networks_have_no_stages():
    words = ("can grow", "can move", "can fly", "can sing")
    deep, shallow = (
        [model.latency(*of("canary", word)) for word in words]
        for model in (MODEL, SemanticModel(DATA.outputs, a0=0.0, depth=1))
    )
    assert deep == sorted(deep)
    assert deep[-1] > 2.0 * deep[0]
    np.testing.assert_allclose(shallow, np.log(2.0), rtol=1e-12)


def test_latency_of_negative_features_and_of_a_large_start():
    mirrored = SemanticModel(-DATA.outputs, a0=1e-3)
    pair = of("robin", "can fly")
    assert mirrored.latency(*pair) == pytest.approx(MODEL.latency(*pair), rel=1e-12)
    assert SemanticModel([[2.0]], a0=1.5).latency(0, 0) == 0.0
    assert SemanticModel([[2.0]], a0=0.5).latency(0, 0) == pytest.approx(np.log(3.0) / 4.0)


def test_typical_members_are_verified_sooner():
    v = MODEL.typicality()[:, 1]  # plants
    times = MODEL.membership_latency(1, threshold=0.5)
    assert np.all(np.isinf(times[4:]))
    assert np.argsort(times[:4]).tolist() == np.argsort(-v[:4]).tolist()
    for i in range(4):
        assert MODEL.membership(times[i])[i, 1] == pytest.approx(0.5, rel=1e-12)
    assert np.all(MODEL.membership_latency(1, threshold=1e-5)[:4] == 0.0)
    assert np.all(np.isinf(MODEL.membership_latency(1, threshold=10.0)))


# --- the rest ------------------------------------------------------------------------------------


def test_shapes_follow_the_times():
    t = T[:6].reshape(2, 3)
    assert MODEL.output(t).shape == MODEL.illusions(t).shape == (2, 3, 36, 8)
    assert MODEL.hidden_gram(t).shape == (2, 3, 8, 8)
    assert MODEL.strength(t).shape == (2, 3, 8)
    assert MODEL.membership(t).shape == (2, 3, 8, 8)
    assert MODEL.project_property(0, t).shape == (2, 3, 8)
    assert MODEL.project_item([0, 1], t).shape == (2, 3, 36)
    assert MODEL.embedding(t, n_components=3).shape == (2, 3, 8, 3)
    assert MODEL.linkage(t).shape == (2, 3, 7, 4)
    assert MODEL.output([]).shape == (0, 36, 8)


def test_repr_says_what_is_learned():
    assert repr(SHALLOW) == "SemanticModel(36 features, 8 items, a0=0.001, depth=1, tau=1.0)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SemanticModel([1.0, 2.0], a0=1e-3), r"outputs must be a matrix .* shape \(2,\)"),
        (lambda: SemanticModel(np.zeros((0, 2)), a0=1e-3), r"outputs .* not empty, got .*\(0, 2\)"),
        (
            lambda: SemanticModel([[np.nan]], a0=1e-3),
            r"outputs must be finite .*, got nan at .*0, 0",
        ),
        (lambda: SemanticModel([[1.0]], a0=0.0), r"a0 must be finite and > 0, got 0\.0"),
        (lambda: SemanticModel([[1.0]], a0=-1.0, depth=1), r"a0 must be finite and >= 0, got -1"),
        (lambda: SemanticModel([[1.0]], a0=1.0, depth=0), "depth must be an integer >= 1, got 0"),
        (lambda: SemanticModel([[1.0]], a0=1.0, tau=0.0), r"tau must be finite and > 0, got 0\.0"),
        (lambda: MODEL.output(-1.0), r"t must be finite and >= 0, got -1\.0"),
        (lambda: MODEL.peak(8, 0), r"item must be an integer in \[0, 7\], got 8"),
        (lambda: MODEL.peak(0, 36), r"feature must be an integer in \[0, 35\], got 36"),
        (lambda: MODEL.latency(0, 28), r"feature must be one that item 0 has .* got 28"),
        (lambda: MODEL.latency(0, 0, target=1.0), r"target must be in \[1e-9, 0\.999\], got 1\.0"),
        (lambda: MODEL.membership_latency(8, threshold=1.0), r"mode must .* \[0, 7\], got 8"),
        (lambda: MODEL.membership_latency(0, threshold=0.0), "threshold must be finite and > 0"),
        (lambda: MODEL.largest_illusions(-1), "n must be an integer >= 0, got -1"),
        (lambda: MODEL.plot([1.0], [(0, 0)], labels=[]), "labels must name each of the 1 pairs"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: SemanticModel("cat", a0=1e-3),
        lambda: SemanticModel([[1.0]], a0="small"),
        lambda: SemanticModel([[1.0]], a0=1e-3, depth=2.0),
        lambda: MODEL.peak("pine", 0),
        lambda: MODEL.output("late"),
        lambda: MODEL.project_property(0.0, 1.0),
        lambda: MODEL.linkage(1.0, method=1),
        lambda: DATA.item(3),
    ],
)
def test_wrong_kinds_are_type_errors(call):
    with pytest.raises(TypeError):
        call()


def test_plots_show_outputs_paths_dendrogram_and_table():
    t, pairs = np.linspace(0.0, 5.0, 40), [of("pine", "has leaves"), of("oak", "has leaves")]
    ax = MODEL.plot(t, pairs, labels=["pine", "oak"])
    values = MODEL.output(t)
    for line, (item, feature) in zip(ax.lines, pairs, strict=True):
        np.testing.assert_allclose(line.get_ydata(), values[:, feature, item], atol=1e-14)
    ax = MODEL.plot_paths(t, labels=DATA.items)
    np.testing.assert_allclose(np.array(ax.lines[0].get_data()).T, MODEL.embedding(t)[:, 0])
    assert [text.get_text() for text in ax.texts] == list(DATA.items)
    ax = plt.figure().subplots()
    assert MODEL.plot_dendrogram(2.0, ax, labels=DATA.items) is ax
    assert {text.get_text() for text in ax.get_xticklabels()} == set(DATA.items)
    (image,) = DATA.plot().images
    np.testing.assert_array_equal(image.get_array(), DATA.outputs)
    plt.close("all")
