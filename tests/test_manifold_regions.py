"""Linear regions of ReLU networks along curves, and the saw-tooth."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meanfree.manifold import _walk, linear_regions, region_borders, sawtooth

LINE = [[0.0], [1.0]]


def random_network(sizes, seed, sigma_b=0.3):
    normal = np.random.default_rng(seed).standard_normal
    weights = [normal((n_out, n_in)) * np.sqrt(2.0 / n_in) for n_in, n_out in pairwise(sizes)]
    return weights, [sigma_b * normal(n_out) for n_out in sizes[1:]]


def sampled_regions(weights, biases, curve, n):
    """Count changes of the active units between n points of each segment."""
    share = (np.arange(n)[:, None] + 0.5) / n
    x = np.concatenate(
        [p + share * (q - p) for p, q in pairwise(curve)],
    )
    active = []
    for weight, bias in list(zip(weights, biases, strict=True))[:-1]:
        h = x @ weight.T + bias
        active.append(h > 0)
        x = np.maximum(h, 0.0)
    active = np.concatenate(active, axis=1)
    return 1 + int(np.sum(np.any(active[1:] != active[:-1], axis=1)))


# --- the saw-tooth --------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 12, 16, 17])
def test_a_sawtooth_has_two_to_the_depth_regions(depth):
    assert linear_regions(*sawtooth(depth), LINE) == 2**depth


def test_borders_of_the_sawtooth_are_multiples_of_its_finest_piece():
    borders = region_borders(*sawtooth(12), LINE)
    assert np.array_equal(borders.place, np.arange(1, 2**12) / 2**12)
    # odd multiples of 2**-l come from layer l
    assert np.array_equal(np.bincount(borders.layer), [0, *(2 ** np.arange(12))])
    assert np.array_equal(borders.place[borders.layer == 2], [0.25, 0.75])


def test_the_deepest_sawtooth_is_exact_between_the_smallest_doubles():
    network = sawtooth(53)
    first, last = 2**52 + 12345, 2**53 - 64
    for start in (0, first, last):
        curve = [[start * 2.0**-53], [(start + 64) * 2.0**-53]]
        assert linear_regions(*network, curve) == 64


def test_values_of_the_deepest_sawtooth_equal_those_in_rational_numbers():
    places = np.random.default_rng(1).integers(0, 2**53, size=200, endpoint=True)
    for depth in (5, 31, 53):
        values = sawtooth(depth)(places[:, None] * 2.0**-53)[:, 0]
        for place, value in zip(places, values, strict=True):
            x = Fraction(int(place), 2**53)
            for _ in range(depth):
                x = 1 - abs(1 - 2 * x)
            assert Fraction(float(value)) == x


@pytest.mark.parametrize("n_points", [3, 10, 97, 1000])
@pytest.mark.parametrize("depth", [4, 11])
def test_corners_at_any_doubles_leave_the_count_of_the_sawtooth(depth, n_points):
    # teeth touch 0 at places and with values that are rounded
    assert linear_regions(*sawtooth(depth), np.linspace(0.0, 1.0, n_points)) == 2**depth


@pytest.mark.parametrize("scale", [3.0, 0.1, np.pi])
def test_units_in_other_scales_leave_the_count_of_the_sawtooth(scale):
    network = sawtooth(9)
    hidden = [weight * scale for weight in network.weights[:-1]]
    hidden[1:] = [weight / scale for weight in hidden[1:]]
    biases = [bias * scale for bias in network.biases[:-1]]
    weights = (*hidden, network.weights[-1] / scale)
    assert linear_regions(weights, (*biases, np.zeros(1)), LINE) == 2**9


# --- one hidden layer -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 17, 300])
def test_n_units_cut_a_line_into_n_plus_one_pieces(n):
    # thresholds within the segment, away from its ends and from each other
    thresholds = np.random.default_rng(n).permutation((np.arange(n) + 0.5) / n)
    signs = np.where(np.arange(n) % 3, 1.0, -1.0)
    weights, biases = (signs[:, None], np.ones((1, n))), (-signs * thresholds, np.zeros(1))
    assert linear_regions(weights, biases, LINE) == n + 1


@given(st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=50)
def test_no_layer_of_n_units_cuts_a_line_into_more_than_n_plus_one_pieces(n, seed):
    weights, biases = random_network([3, n, 1], seed, sigma_b=1.0)
    line = np.random.default_rng(seed + 1).standard_normal((2, 3)) * 5.0
    assert linear_regions(weights, biases, line) <= n + 1


def test_every_unit_cuts_a_circle_around_the_origin_twice():
    weights, biases = random_network([7, 200, 1], 3, sigma_b=0.0)
    theta = 2 * np.pi * np.arange(12) / 12
    circle = np.zeros((12, 7))
    circle[:, 0], circle[:, 1] = np.cos(theta), np.sin(theta)
    assert linear_regions(weights, biases, circle, closed=True) == 400


# --- random networks ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(2, 6, 1), (2, 8, 8, 8, 1), (3, 5, 9, 4, 6, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_count_is_that_of_dense_sampling(sizes, seed):
    weights, biases = random_network(sizes, seed)
    curve = np.random.default_rng(seed).standard_normal((4, sizes[0])) * 2.0
    exact = linear_regions(weights, biases, curve)
    places = np.sort(np.concatenate([region_borders(weights, biases, curve).place, np.arange(4)]))
    n = 40_000
    gaps = np.diff(places)
    assert gaps[gaps > 0].min() > 2.0 / n  # no piece can hide between two points
    assert exact == sampled_regions(weights, biases, curve, n)


@pytest.mark.parametrize("seed", range(3))
def test_more_corners_on_the_same_curve_change_nothing(seed):
    weights, biases = random_network([4, 20, 20, 20, 1], seed)
    curve = np.random.default_rng(seed).standard_normal((5, 4)) * 2.0
    share = np.array([0.0, 0.1, 0.125, 0.77])[None, :, None]
    finer = (curve[:-1, None] * (1 - share) + curve[1:, None] * share).reshape(-1, 4)
    finer = np.concatenate([finer, curve[-1:], curve[-1:]])  # one of them twice
    exact = linear_regions(weights, biases, curve)
    assert exact > 20
    assert linear_regions(weights, biases, finer) == exact
    assert linear_regions(weights, biases, curve[::-1]) == exact


def test_a_closed_curve_counts_alike_from_any_of_its_points():
    weights, biases = random_network([2, 15, 15, 15, 1], 5)
    curve = np.random.default_rng(5).standard_normal((6, 2))
    counts = {
        linear_regions(weights, biases, np.roll(curve, shift, axis=0), closed=True)
        for shift in range(6)
    }
    joined = linear_regions(weights, biases, np.concatenate([curve, curve[:1]]))
    assert len(counts) == 1
    assert joined - counts.pop() in (0, 1)  # 1 if the start lies inside a region


@pytest.mark.parametrize("closed", [False, True])
def test_layers_of_borders_count_the_regions_of_the_first_layers(closed):
    weights, biases = random_network([2, 12, 12, 12, 1], 8)
    curve = np.random.default_rng(8).standard_normal((5, 2))
    layer = region_borders(weights, biases, curve, closed=closed).layer
    for depth in (1, 2, 3):
        readout = [np.ones((1, 12))], [np.zeros(1)]
        first = weights[:depth] + readout[0], biases[:depth] + readout[1]
        count = np.sum(layer <= depth) + (not closed)
        assert linear_regions(*first, curve, closed=closed) == count


def test_long_curves_are_cut_into_blocks_without_a_trace(monkeypatch):
    weights, biases = random_network([3, 30, 30, 30, 1], 2)
    curve = np.random.default_rng(2).standard_normal((9, 3)) * 2.0
    whole = region_borders(weights, biases, curve, closed=True)
    tooth = region_borders(*sawtooth(11), LINE)
    monkeypatch.setattr(_walk, "_BLOCK", 128)
    again = region_borders(weights, biases, curve, closed=True)
    assert np.array_equal(again.place, whole.place)
    assert np.array_equal(again.layer, whole.layer)
    again = region_borders(*sawtooth(11), LINE)
    assert np.array_equal(again.place, tooth.place)
    assert np.array_equal(again.layer, tooth.layer)


@pytest.mark.parametrize("n_threads", [2, 3, 16])
def test_threads_leave_no_trace(monkeypatch, n_threads):
    monkeypatch.setattr(_walk, "_BLOCK", 128)
    weights, biases = random_network([3, 30, 30, 30, 1], 2)
    curve = np.random.default_rng(2).standard_normal((60, 3)) * 2.0
    for network, path in (((weights, biases), curve), (sawtooth(12), LINE)):
        alone = region_borders(*network, path, n_threads=1)
        shared = region_borders(*network, path, n_threads=n_threads)
        assert np.array_equal(shared.place, alone.place)
        assert np.array_equal(shared.layer, alone.layer)


def test_no_more_threads_work_than_are_asked_for(monkeypatch):
    import threading
    import time

    working, most, lock, bend = set(), [], threading.Lock(), _walk._bend

    def watched(*arguments):
        with lock:
            working.add(threading.get_ident())
            most.append(len(working))
        time.sleep(0.002)  # on a busy machine too the others get their turn
        bend(*arguments)
        with lock:
            working.remove(threading.get_ident())

    monkeypatch.setattr(_walk, "_BLOCK", 128)
    monkeypatch.setattr(_walk, "_bend", watched)
    assert linear_regions(*sawtooth(12), LINE, n_threads=3) == 2**12
    assert max(most) in (2, 3)
    most.clear()
    assert linear_regions(*sawtooth(12), LINE, n_threads=1) == 2**12
    assert max(most) == 1


def test_an_overflow_in_any_piece_ends_all_threads(monkeypatch):
    monkeypatch.setattr(_walk, "_BLOCK", 128)
    weights = [np.array([[1e50]]), np.array([[1e50]]), np.ones((1, 1))]
    curve = np.append(np.linspace(0.0, 1.0, 999), 1e10)  # the last piece is too far
    with pytest.raises(ValueError, match=r"must keep activations <= 1e\+100, got 1e\+110"):
        linear_regions(weights, np.zeros((3, 1)), curve, n_threads=4)


def test_progress_ends_at_the_whole_curve(monkeypatch):
    from contextlib import contextmanager

    from meanfree.manifold import _regions

    done = []

    @contextmanager
    def bar(progress, label, total):
        yield done.append

    monkeypatch.setattr(_walk, "_BLOCK", 128)
    monkeypatch.setattr(_regions, "progress_bar", bar)
    linear_regions(*sawtooth(12), LINE, n_threads=3)
    assert done == sorted(done)
    assert len(set(done)) > 20
    assert done[-1] == 100


# --- what counts ----------------------------------------------------------------------------------


def absolute_value(corner):
    return (np.array([[1.0]]), np.array([[1.0]])), (np.array([-corner]), np.zeros(1))


def test_a_touched_zero_is_no_border():
    # the unit sees |t| - 0: active on both sides of t = 0, where the curve has its corner
    weights, biases = ([[1.0, 0.0]], [[1.0]]), ([0.0], [0.0])
    assert linear_regions(weights, biases, [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]) == 1


def test_a_zero_crossed_at_a_corner_is_one_border():
    weights, biases = ([[1.0, 0.0]], [[1.0]]), ([0.0], [0.0])
    assert linear_regions(weights, biases, [[1.0, 0.0], [0.0, 1.0], [-2.0, 2.0]]) == 2
    assert region_borders(weights, biases, [[1.0, 0.0], [0.0, 1.0], [-2.0, 2.0]]).place[0] == 1.0


def test_units_that_change_at_one_point_make_one_border():
    weights, biases = ([[1.0], [3.0], [-0.7]], [[1.0, 1.0, 1.0]]), ([-0.3, -0.9, 0.21], [0.0])
    assert linear_regions(weights, biases, LINE) == 2


def test_a_region_visited_twice_counts_twice():
    assert linear_regions(*absolute_value(0.5), [0.0, 1.0, 0.0]) == 3
    assert linear_regions(*absolute_value(0.5), [0.0, 1.0], closed=True) == 2


def test_a_curve_along_a_border_stays_in_one_region():
    weights, biases = ([[1.0, 0.0]], [[1.0]]), ([0.0], [0.0])
    assert linear_regions(weights, biases, [[0.0, 0.0], [0.0, 1.0]]) == 1


def test_without_hidden_layers_there_is_one_region():
    assert linear_regions([[[1.0, 2.0]]], [[0.5]], [[0.0, 0.0], [1.0, 1.0]]) == 1


def test_a_curve_that_stays_at_a_point_has_one_region():
    assert linear_regions(*sawtooth(3), [0.3, 0.3]) == 1
    assert linear_regions(*sawtooth(3), [0.3, 0.3], closed=True) == 1


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sawtooth(0), r"depth must be an integer in \[1, 53\], got 0"),
        (lambda: sawtooth(54), r"depth must be an integer in \[1, 53\], got 54"),
        (
            lambda: linear_regions([], [], LINE),
            "weights and biases must have as many layers, at least the readout; got 0 and 0",
        ),
        (
            lambda: linear_regions([np.eye(2)], [[0.0, 0.0]] * 2, LINE),
            "weights and biases must have as many layers, at least the readout; got 1 and 2",
        ),
        (
            lambda: linear_regions([np.ones((3, 2)), np.ones((1, 4))], [np.zeros(3), [0.0]], LINE),
            r"weights\[1\] must have 3 columns, as many as weights\[0\] has rows, got shape "
            r"\(1, 4\)",
        ),
        (
            lambda: linear_regions([np.ones((3, 2)), np.ones((1, 3))], [np.zeros(2), [0.0]], LINE),
            r"biases\[0\] must have shape \(3,\), got \(2,\)",
        ),
        (
            lambda: linear_regions([np.ones(3), np.ones((1, 3))], [np.zeros(3), [0.0]], LINE),
            r"weights\[0\] must be a matrix that is not empty, got shape \(3,\)",
        ),
        (
            lambda: linear_regions([[[np.nan]], [[1.0]]], [[0.0], [0.0]], LINE),
            r"weights\[0\] must be in \[-1e100, 1e100\], got nan at index \(0, 0\)",
        ),
        (
            lambda: linear_regions(*sawtooth(2), [[0.0, 1.0]] * 2),
            r"curve must have shape \(n_points, 1\) with n_points >= 2, got \(2, 2\)",
        ),
        (
            lambda: linear_regions(*sawtooth(2), [[0.0]]),
            r"curve must have shape \(n_points, 1\) with n_points >= 2, got \(1, 1\)",
        ),
        (
            lambda: linear_regions(*sawtooth(2), [0.0, np.inf]),
            r"curve must be in \[-1e100, 1e100\], got inf",
        ),
        (
            lambda: linear_regions([[[1e60]], [[1.0]]], [[0.0], [0.0]], [1e60, 0.0]),
            r"weights and biases must keep activations <= 1e\+100, got 1e\+120",
        ),
        (lambda: sawtooth(2)([[0.0, 1.0]]), r"x must have 1 numbers in its last axis, got shape"),
    ],
)
def test_bad_value_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sawtooth(2.0), r"depth must be an integer in \[1, 53\], got 2.0 of type float"),
        (lambda: linear_regions("ab", [[0.0]], LINE), "weights must be a sequence of arrays, got"),
        (lambda: linear_regions([np.eye(1)], 3, LINE), "biases must be a sequence of arrays, got"),
        (
            lambda: linear_regions(*sawtooth(2), LINE, closed="no"),
            "closed must be True or False, got 'no'",
        ),
        (lambda: linear_regions(*sawtooth(2), ["a", "b"]), "curve must be a number or an array"),
    ],
)
def test_wrong_kind_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
