"""The result of `circle_theory`, and what it does with bad input."""

import re
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest

import meanfree as mf

CHAOTIC = mf.Ensemble("tanh", 2.5, 0.3)
FIELDS = (
    "metric",
    "curvature_squared",
    "gauss_metric",
    "euclidean_length",
    "grassmannian_length",
)


# ---- the result


def test_the_plot_shows_both_lengths_and_the_curvature():
    circle = mf.circle_theory(CHAOTIC, 5)
    ax = circle.plot()
    right = next(other for other in ax.figure.axes if other is not ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), circle.euclidean_length)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), circle.grassmannian_length)
    np.testing.assert_array_equal(right.lines[0].get_ydata(), circle.curvature_squared)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2, 3, 4, 5])
    assert ax.get_yscale() == right.get_yscale() == "log"
    plt.close(ax.figure)


def test_the_plot_leaves_out_what_is_infinite():
    figure, ax = plt.subplots()
    assert mf.circle_theory(mf.Ensemble("relu", 1.0, 0.5), 4).plot(ax) is ax
    figure.canvas.draw()
    assert np.isfinite(ax.lines[1].get_ydata()).tolist() == [True, False, False, False]
    plt.close(figure)


def test_a_circle_is_an_xarray_over_the_layers():
    pytest.importorskip("xarray")
    circle = mf.circle_theory(CHAOTIC, 5)
    data = circle.to_xarray()
    assert data["layer"].to_numpy().tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(data["gauss_metric"].to_numpy(), circle.gauss_metric)


def test_the_representation_names_every_field():
    text = repr(mf.circle_theory(CHAOTIC, 5))
    assert text.startswith("CircleGeometry of Ensemble('tanh'")
    assert all(field in text for field in FIELDS)


# ---- corners of whole networks; one layer is in test_manifold_theory.py


@pytest.mark.slow
@pytest.mark.parametrize(("name", "depth"), [("relu", 4), ("hard_tanh", 4)])
def test_corners_of_all_layers_add_up(name, depth):
    """T = a sqrt(N) + b + O(1 / sqrt(N)) gives a, free of b, from two widths.

    A step that holds two corners misses an angle, in proportion to the step; two steps remove that.
    What is left, 1 / N of a at the narrow width times a number of order 1 and the square of what is
    missed, is below 5 %.
    """
    network, widths, n_samples = mf.Ensemble(name, 1.3, 0.3), (32, 128), 40
    expected = mf.circle_theory(network, depth, q=1.0).corner_angle[-1]
    totals = []
    for width in widths:
        fine, coarse = (
            mf.simulate_circle(
                network, width, depth, n_angles=n, n_samples=n_samples, q=1.0, method="weights"
            ).turning_angle_samples[:, -1]
            for n in (1 << 13, 1 << 12)
        )
        totals.append(2 * fine - coarse)
    gap = np.sqrt(widths[1]) - np.sqrt(widths[0])
    measured = (totals[1].mean() - totals[0].mean()) / gap
    error = np.sqrt(sum(np.var(found, ddof=1) / n_samples for found in totals)) / gap
    assert error < 0.03 * expected
    assert abs(measured - expected) < 4 * error + 0.05 * expected


# ---- bad input


@pytest.mark.parametrize(
    "function", [mf.circle_theory, partial(mf.circle_autocorrelation, angle=0.5)]
)
@pytest.mark.parametrize(
    ("network", "changes", "error", "text"),
    [
        ("tanh", {}, TypeError, "ensemble must be an Ensemble, got 'tanh'"),
        (
            mf.Ensemble("tanh", 1.5, keep=0.9),
            {},
            ValueError,
            "keep must be 1 for a manifold, got 0.9",
        ),
        (CHAOTIC, {"depth": 0}, ValueError, "depth must be an integer in [1, 2**31 - 1], got 0"),
        (CHAOTIC, {"depth": 2.0}, TypeError, "depth must be an integer"),
        (CHAOTIC, {"q": -1.0}, ValueError, "q must be finite and >= 0, got -1.0"),
        (CHAOTIC, {"q": np.nan}, ValueError, "q must be finite and >= 0, got nan"),
        (CHAOTIC, {"q": 1e21}, ValueError, "q must be finite and >= 0 and <= 1e+20, got 1e+21"),
        (CHAOTIC, {"q": [1.0, 2.0]}, ValueError, "one length for each of 3 layers, got shape (2,)"),
        (CHAOTIC, {"q": np.ones((3, 2))}, ValueError, "or an array (3,), got shape (3, 2)"),
        (CHAOTIC, {"q": "1"}, TypeError, "q must be a number or an array of real numbers"),
        (CHAOTIC, {"start": "middle"}, ValueError, "start must be one of preactivation, input"),
        (CHAOTIC, {"start": "preactivations"}, ValueError, "did you mean 'preactivation'?"),
        (CHAOTIC, {"start": 1}, TypeError, "start must be one of preactivation, input; got 1"),
        (
            CHAOTIC,
            {"start": "input", "q": 0.05},
            ValueError,
            "q must be >= sigma_b**2 = 0.09 in layer 1 where the circle is the input, got 0.05",
        ),
        (mf.Ensemble("tanh", 0.5), {}, ValueError, "q must be given: the length of"),
        (mf.Ensemble("relu", 2.0, 0.1), {}, ValueError, "has the fixed point q* = inf"),
        (
            CHAOTIC,
            {"n_threads": 0},
            ValueError,
            "n_threads must be an integer in [1, 32768], got 0",
        ),
        (CHAOTIC, {"progress": 1}, TypeError, "progress must be"),
    ],
)
def test_bad_arguments_are_named(function, network, changes, error, text):
    arguments = {"depth": 3} | changes
    with pytest.raises(error, match=re.escape(text)):
        function(network, **arguments)


@pytest.mark.parametrize(
    ("angle", "error", "text"),
    [
        (np.inf, ValueError, "angle must be finite, got inf"),
        ([0.0, np.nan], ValueError, "angle must be finite, got nan at index 1"),
        ("0", TypeError, "angle must be a number or an array of real numbers"),
        (1j, TypeError, "angle must be a number or an array of real numbers"),
    ],
)
def test_bad_angles_are_named(angle, error, text):
    with pytest.raises(error, match=re.escape(text)):
        mf.circle_autocorrelation(CHAOTIC, angle, 3)
