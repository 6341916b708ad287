"""Regression from the last hidden layer of a random network onto functions of the angle."""

import numpy as np
import pytest

import meanfree as mf
from meanfree.manifold import FourierFit, _regression, fit_fourier, fourier_regression

CHAOTIC = mf.Ensemble("tanh", 4.0, 0.3)
LINEAR = mf.Ensemble("linear", 1.0, 0.0)
SMALL = {"n_angles": 300, "n_outputs": 20}


# --- exact results -------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_linear_network_on_a_circle_fits_the_first_frequency_and_no_other(weights, depth):
    network = mf.Ensemble("linear", 1.3, 0.0, weights=weights)
    fit = fit_fourier(
        network, 40, depth, frequencies=[1, 2, (3, 9)], arc=2 * np.pi, n_in=30, **SMALL
    )
    assert fit.rank == 2
    # rounding: 300 products, and rcond of the default
    assert fit.error == pytest.approx([0.0, 1.0, 1.0], abs=1e-12)


def test_biases_give_a_linear_network_the_constant_too():
    network = mf.Ensemble("linear", 1.3, 0.7)
    assert fit_fourier(network, 40, 2, **SMALL).rank == 3


def test_share_of_a_half_circle_that_a_linear_network_fits_is_a_known_integral():
    # f = a cos 2 pi k s + b sin 2 pi k s onto cos pi s and sin pi s, s in [0, 1]: with the
    # scalar products (cos 2 pi k s, sin pi s) = -2 / (pi (4 k^2 - 1)), (sin 2 pi k s, cos pi s) =
    # 4 k / (pi (4 k^2 - 1)) and 0 for the others; norms 1/2
    k, n = 3, 20_000
    fit = fit_fourier(LINEAR, 4, 1, frequencies=[k], n_angles=n, n_outputs=50, seed=2)
    a, b = _regression._core.normals(2, 2, 0, 100).reshape(2, 50)
    first, second = (4.0 * k * b, -2.0 * a)
    cosine = 2.0 * np.hypot(first, second) / (np.pi * (4 * k**2 - 1)) / np.hypot(a, b)
    # the Riemann sum of products that jump at the ends is right to 1 / n
    assert fit.error[0] == pytest.approx(np.mean(1.0 - cosine), abs=3.0 / n)


def test_a_network_of_zeros_fits_nothing():
    fit = fit_fourier(mf.Ensemble("tanh", 0.0), 10, 2, **SMALL)
    assert fit.rank == 0
    assert np.array_equal(fit.error, np.ones(4))


def test_as_many_independent_features_as_angles_fit_everything():
    network = mf.Ensemble("relu", 2.0, 1.0)
    fit = fit_fourier(network, 400, 3, n_angles=61, frequencies=[1, 15, 30], radius=10.0, n_in=2)
    assert fit.rank == 61
    assert fit.error == pytest.approx(np.zeros(3), abs=1e-13)


# --- independent routes --------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_errors_are_those_of_least_squares_by_lapack(weights):
    network = mf.Ensemble("tanh", 3.0, 0.5, weights=weights)
    n, band, rcond = 200, (3, 17), 1e-9
    fit = fit_fourier(
        network, 60, 3, n_angles=n, n_outputs=7, frequencies=[band], radius=5.0, rcond=rcond, n_in=9
    )
    theta = np.pi * np.arange(n) / n
    circle = 5.0 * np.stack([np.cos(theta), np.sin(theta)], axis=1)
    features = _regression.arc_features(network, 60, 3, circle, 9, 0)
    targets = _regression._functions(band, n, 7, 0, 0)
    solution, _, rank, values = np.linalg.lstsq(features, targets, rcond=rcond)
    fitted = features @ solution
    cosine = np.sum(fitted * targets, axis=0)
    cosine /= np.linalg.norm(fitted, axis=0) * np.linalg.norm(targets, axis=0)
    assert fit.rank == rank
    assert fit.singular_values == pytest.approx(values, abs=1e-12 * values[0])
    # the fit moves by the rounding of the features over the smallest value that is kept
    assert fit.error[0] == pytest.approx(np.mean(1.0 - cosine), abs=1e-16 * n / rcond)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_features_have_the_length_of_mean_field_theory(weights):
    network = mf.Ensemble("tanh", 2.0, 0.4, weights=weights)
    width, n_in, radius, depth = 120, 50, 6.0, 4
    q = 4.0 * radius**2 / n_in + 0.16
    expected = (mf.propagate(network, depth + 1, q=q).q[depth] - 0.16) / 4.0
    point = np.array([[radius * 0.6, radius * 0.8]])
    squares = [
        np.mean(
            _regression.arc_features(network, width, depth, point, n_in, seed) ** 2,
        )
        for seed in range(100)
    ]
    error = np.std(squares, ddof=1) / 10.0
    # the bias is depth / width of the variation at most
    assert abs(np.mean(squares) - expected) < 4 * error + depth / width * expected


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (8, 8)])
def test_orthogonal_matrices_have_equal_singular_values(shape):
    network = mf.Ensemble("tanh", 1.7, weights="orthogonal")
    matrix = _regression._weights(network, *shape, 3, 1)
    expected = 1.7 * np.sqrt(max(1.0, shape[0] / shape[1]))
    values = np.linalg.svd(matrix, compute_uv=False)
    assert values == pytest.approx(np.full(min(shape), expected), rel=1e-13)


def test_far_in_chaos_the_features_are_a_random_subspace():
    # then the squared cosine of any function without mean is a share of `rank` of `n_angles`
    # dimensions; the mean of its root is that of the square but for terms of order 1 / n_angles
    n, width, n_networks = 400, 100, 12
    errors = [
        fourier_regression(
            CHAOTIC, width, 40, n_angles=n, frequencies=[5, 100], radius=20.0, seed=seed
        )
        for seed in range(n_networks)
    ]
    expected = 1.0 - np.sqrt(width / n)
    standard_error = np.std(errors, axis=0, ddof=1) / np.sqrt(n_networks)
    # one direction of the features is the constant, lost to the functions
    bound = 2.0 / width
    assert np.all(np.abs(np.mean(errors, axis=0) - expected) < 4 * standard_error + bound)


# --- depth, width, precision ---------------------------------------------------------------------


def test_depth_beats_width_at_equal_number_of_weights():
    # 500 * 100 + 5 * 100^2 weights, against one hidden layer of 200 units
    frequencies = [(1, 10), (11, 30)]
    deep = fit_fourier(CHAOTIC, 100, 6, n_angles=500, frequencies=frequencies)
    shallow = fit_fourier(CHAOTIC, 200, 1, n_angles=500, frequencies=frequencies)
    assert deep.rank > 3 * shallow.rank
    assert np.all(deep.error < 0.5 * shallow.error)


def test_single_precision_and_small_inputs_hide_directions():
    ranks = {
        (dtype, radius): fit_fourier(CHAOTIC, 150, 1, radius=radius, dtype=dtype, **SMALL).rank
        for dtype in ("float32", "float64")
        for radius in (1.0, np.sqrt(500.0))
    }
    assert ranks["float32", 1.0] < ranks["float64", 1.0]
    assert ranks["float32", 1.0] < ranks["float32", np.sqrt(500.0)]
    assert ranks["float64", 1.0] < ranks["float64", np.sqrt(500.0)]


def test_errors_below_the_epsilon_of_single_precision_are_right():
    # of subspaces whose directions are right to epsilon over rcond, 1.2e-3
    fits = [
        fit_fourier(
            CHAOTIC,
            100,
            3,
            frequencies=[1],
            radius=5.0,
            arc=2 * np.pi,
            rcond=1e-4,
            dtype=dtype,
            **SMALL,
        )
        for dtype in ("float32", "float64")
    ]
    assert fits[0].rank == fits[1].rank
    assert 0.0 < fits[1].error[0] < 1.2e-7
    assert fits[0].error == pytest.approx(fits[1].error, rel=2.4e-3)


def test_the_strictest_cut_keeps_the_largest_direction():
    fit = fit_fourier(CHAOTIC, 40, 2, dtype="float32", rcond=1.0 - 2.0**-53, **SMALL)
    assert fit.rank == 1


@pytest.mark.parametrize("word", ["float32", "float64"])
def test_a_precision_is_a_word_or_a_type_of_numpy(word):
    fits = [
        fit_fourier(CHAOTIC, 9, 1, dtype=dtype, **SMALL)
        for dtype in (word, np.dtype(word), getattr(np, word))
    ]
    assert [fit.dtype for fit in fits] == [word] * 3
    assert np.array_equal(fits[0].error, fits[2].error)


def test_a_larger_cut_keeps_fewer_directions_and_fits_worse():
    fits = [fit_fourier(CHAOTIC, 100, 3, rcond=rcond, **SMALL) for rcond in (1e-12, 1e-6, 1e-2)]
    assert fits[0].rank > fits[1].rank > fits[2].rank > 0
    # subspaces of each other: no function is fitted better by less
    assert np.all(fits[0].error <= fits[1].error + 1e-12)
    assert np.all(fits[1].error <= fits[2].error + 1e-12)
    assert fits[0].rcond == 1e-12


def test_default_cut_is_the_rounding_of_the_precision():
    fit = fit_fourier(CHAOTIC, 40, 1, dtype="float32", **SMALL)
    assert fit.rcond == 300 * 2.0**-23
    assert fit.rank == np.sum(fit.singular_values > fit.rcond * fit.singular_values[0])


# --- what is returned ----------------------------------------------------------------------------


def test_a_frequency_is_the_band_of_itself():
    one = fourier_regression(CHAOTIC, 30, 2, frequencies=[7], **SMALL)
    band = fourier_regression(CHAOTIC, 30, 2, frequencies=[(7, 7)], **SMALL)
    assert np.array_equal(one, band)


def test_the_seed_decides():
    same = [fourier_regression(CHAOTIC, 30, 2, seed=5, **SMALL) for _ in range(2)]
    other = fourier_regression(CHAOTIC, 30, 2, seed=6, **SMALL)
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_are_float64_between_0_and_1(dtype):
    error = fourier_regression(CHAOTIC, 30, 2, dtype=dtype, **SMALL)
    assert error.dtype == np.float64
    assert error.shape == (4,)
    assert np.all((error >= 0) & (error <= 1))


def test_default_bands_are_those_that_the_angles_resolve():
    bands = [fit_fourier(CHAOTIC, 9, 1, n_angles=n).frequencies for n in (3, 150, 1000)]
    assert bands == [
        ((1, 1),),
        ((1, 20), (21, 60), (61, 74)),
        ((1, 20), (21, 60), (61, 120), (121, 199)),
    ]


def test_fit_says_what_it_depends_on():
    fit = fit_fourier(CHAOTIC, 30, 2, frequencies=[3, (4, 9)], radius=2.0, arc=1.0, **SMALL)
    assert isinstance(fit, FourierFit)
    assert fit.frequencies == ((3, 3), (4, 9))
    assert (fit.radius, fit.arc, fit.dtype) == (2.0, 1.0, "float64")
    assert fit.singular_values.shape == (30,)
    assert np.all(fit.error_error > 0)
    single = fit_fourier(CHAOTIC, 30, 2, frequencies=[3], n_angles=300, n_outputs=1)
    assert np.isnan(single.error_error).all()


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, r"width must be an integer in \[1, 2\*\*31 - 1\], got 0"),
        ({"depth": 0}, r"depth must be an integer in \[1, 2\*\*31 - 1\], got 0"),
        ({"n_angles": 2}, r"n_angles must be an integer in \[3, "),
        ({"n_outputs": 0}, r"n_outputs must be an integer in \[1, "),
        ({"frequencies": [150]}, r"frequencies\[0\] must be an integer in \[1, 149\], got 150"),
        ({"frequencies": [1, (0, 3)]}, r"frequencies\[1\] must be an integer in \[1, 149\], got 0"),
        ({"frequencies": [(5, 3)]}, r"frequencies\[0\] must have low <= high, got \(5, 3\)"),
        (
            {"frequencies": [(1, 2, 3)]},
            r"frequencies\[0\] must be an integer or a pair \(low, high",
        ),
        ({"radius": -1.0}, "radius must be finite and >= 0, got -1.0"),
        ({"rcond": 1.5}, r"rcond must be in \[0, 1\), got 1.5"),
        ({"rcond": 1.0}, r"rcond must be in \[0, 1\), got 1.0"),
        ({"frequencies": []}, r"frequencies must have at least one item, got \[\]"),
        ({"arc": 0.0}, r"arc must be in \(0, 2 pi\], got 0.0"),
        ({"dtype": "float16"}, "dtype must be one of float64, float32; got 'float16'"),
        ({"dtype": np.int64}, "dtype must be one of float64, float32; got 'int64'"),
        ({"seed": -1}, "seed must be an integer in"),
        ({"n_in": 1}, r"n_in must be an integer in \[2, 2\*\*31 - 1\], got 1"),
        (
            {"ensemble": mf.Ensemble("tanh", 2.0, keep=0.9)},
            "keep must be 1 for a regression, got 0.9",
        ),
        (
            {"ensemble": mf.Ensemble("relu", 1e10), "depth": 6, "dtype": "float32"},
            "radius must keep pre-activations in the range of float32, got one that is not",
        ),
    ],
)
def test_bad_value_is_named(options, message):
    arguments = {"ensemble": CHAOTIC, "width": 20, "depth": 2, **SMALL, **options}
    with pytest.raises(ValueError, match=message):
        fourier_regression(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": "tanh"}, "ensemble must be an Ensemble, got 'tanh'"),
        ({"width": 2.0}, "width must be an integer"),
        ({"frequencies": "1"}, "frequencies must be a sequence of integers or pairs, got '1'"),
        ({"frequencies": 3}, "frequencies must be a sequence of integers or pairs, got 3"),
        ({"frequencies": [1.5]}, r"frequencies\[0\] must be an integer in \[1, 149\], got 1.5"),
        ({"dtype": float}, "dtype must be one of float64, float32; got <class 'float'>"),
        ({"rcond": "1"}, "rcond must be a number"),
    ],
)
def test_wrong_kind_is_named(options, message):
    arguments = {"ensemble": CHAOTIC, "width": 20, "depth": 2, **SMALL, **options}
    with pytest.raises(TypeError, match=message):
        fourier_regression(**arguments)
