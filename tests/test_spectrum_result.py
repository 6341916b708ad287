"""The object that holds a spectrum: extremes, shapes, errors, figures, copies."""

import pickle
from dataclasses import FrozenInstanceError
from math import exp, log, sqrt

import matplotlib.pyplot as plt
import numpy as np
import pytest

import meanfree as mf
from meanfree.spectrum import Atom, JacobianSpectrum

TANH = mf.Ensemble("tanh", 1.2, 0.1)
SPECTRUM = mf.jacobian_spectrum(
    mf.Ensemble("hard_tanh", 1.05, weights="orthogonal"), 2, q=[0.2, 0.2]
)
SMOOTH = mf.universal_spectrum("smooth", 0.25)


# --- beyond plain numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("sigma_w", [3.0, 0.3])
def test_logarithms_are_right_where_numbers_overflow(sigma_w):
    depth = 1000
    spectrum = mf.jacobian_spectrum(mf.Ensemble("relu", sigma_w, weights="orthogonal"), depth)
    critical = mf.jacobian_spectrum(mf.Ensemble("relu", sqrt(2), weights="orthogonal"), depth)
    shift = depth * log(sigma_w**2 / 2)
    assert spectrum.log_mean == pytest.approx(shift, rel=1e-13)
    assert spectrum.log_edges[1] == pytest.approx(critical.log_edges[1] + shift, rel=1e-12)
    assert spectrum.log_quantile(0.9) == pytest.approx(critical.log_quantile(0.9) + shift, rel=1e-9)
    at = critical.log_quantile([0.6, 0.9, 0.99])
    np.testing.assert_allclose(spectrum.log_cdf(at + shift), [0.6, 0.9, 0.99], atol=1e-9)
    assert spectrum.relative_variance == pytest.approx(depth, rel=1e-11)
    plain = [spectrum.mean, spectrum.variance, spectrum.edges[1], spectrum.maximum]
    plain += [spectrum.moment(2), spectrum.quantile(0.9)]
    assert plain == [np.inf if sigma_w > 1 else 0.0] * 6
    assert spectrum.cdf(0.0) == 0.5
    assert spectrum.cdf(np.inf) == 1.0
    assert "10**" in repr(spectrum)


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu", "tanh", "gelu"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_weights_of_zero_give_an_atom_at_zero(name, weights):
    spectrum = mf.jacobian_spectrum(mf.Ensemble(name, 0.0, 0.3, weights=weights), 4)
    assert spectrum.atoms == (Atom(0.0, 1.0, -np.inf),)
    assert spectrum.edges == (0.0, 0.0)
    assert (spectrum.mean, spectrum.variance, spectrum.maximum) == (0.0, 0.0, 0.0)
    assert spectrum.log_mean == -np.inf
    assert spectrum.cdf([0.0, 1.0]).tolist() == [1.0, 1.0]
    assert spectrum.quantile(0.5) == 0.0
    assert spectrum.density([0.0, 1.0]).tolist() == [0.0, 0.0]
    assert spectrum.moment(2) == 0.0


@pytest.mark.parametrize("sigma_w", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu"])
def test_scale_free_activations_need_no_length(name, sigma_w):
    ensemble = mf.Ensemble(name, sigma_w, 0.5)
    spectrum = mf.jacobian_spectrum(ensemble, 3)
    assert spectrum.cdf(spectrum.mean) == mf.jacobian_spectrum(ensemble, 3, q=7.0).cdf(
        spectrum.mean
    )
    assert spectrum.log_mean == pytest.approx(
        3 * log(sigma_w**2 * {"linear": 1, "relu": 0.5, "leaky_relu": 0.50005}[name]), abs=1e-12
    )


def test_users_own_relu_needs_no_length_either():
    own = mf.jacobian_spectrum(mf.Ensemble(lambda x: np.maximum(x, 0.0), 2.0), 3)
    named = mf.jacobian_spectrum(mf.Ensemble("relu", 2.0), 3)
    assert own.atoms[0].mass == pytest.approx(0.5, abs=1e-12)
    lam = np.array([0.1, 1.0, 10.0])
    np.testing.assert_allclose(own.cdf(lam), named.cdf(lam), atol=1e-12)


def test_users_own_tanh_has_the_spectrum_of_the_named_one():
    own = mf.jacobian_spectrum(mf.Ensemble(np.tanh, 1.2, 0.1, weights="orthogonal"), 5)
    named = mf.jacobian_spectrum(mf.Ensemble("tanh", 1.2, 0.1, weights="orthogonal"), 5)
    lam = np.array([0.3, 1.0, 2.0])
    np.testing.assert_allclose(own.cdf(lam), named.cdf(lam), atol=1e-10)


# --- conventions ---------------------------------------------------------------------------------

FUNCTIONS = [
    *("density", "log_density", "cdf", "log_cdf", "quantile", "log_quantile"),
    *("singular_density", "singular_cdf", "fraction_within"),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scalar_in_scalar_out_and_shapes_kept(name):
    function = getattr(SPECTRUM, name)
    assert type(function(0.4)) is float
    assert type(function(np.float32(0.5))) is float
    values = np.array([[0.1, 0.4, 0.9], [0.2, 0.5, 0.7]])
    found = function(values)
    assert found.shape == (2, 3)
    assert found.dtype == np.float64
    assert found[0, 1] == function(0.4)
    assert function(values.T).tolist() == found.T.tolist()
    assert function(np.zeros((0, 2))).shape == (0, 2)
    assert function([0.4]).shape == (1,)


def test_distribution_function_is_continuous_from_the_right():
    assert len(SPECTRUM.atoms) == 2
    top = SPECTRUM.atoms[1]
    low = SPECTRUM.cdf(top.location * (1 - 1e-6))
    assert SPECTRUM.cdf(top.location) == pytest.approx(1, abs=1e-12)
    assert low == pytest.approx(1 - top.mass, abs=1e-12)
    assert SPECTRUM.singular_cdf(sqrt(top.location)) == SPECTRUM.cdf(top.location)
    inside = np.linspace(low + 1e-9, 1.0, 5)
    assert SPECTRUM.quantile(inside) == pytest.approx(top.location, rel=1e-15)
    assert SPECTRUM.quantile(low / 2) < SPECTRUM.edges[1]
    assert SPECTRUM.quantile(0.0) == 0.0


def test_density_excludes_atoms():
    top = SPECTRUM.atoms[1].location
    assert SPECTRUM.edges[1] < top
    assert SPECTRUM.density([top, 2 * top]).tolist() == [0.0, 0.0]
    assert SPECTRUM.density(0.0) == np.inf
    assert SMOOTH.density(0.0) == 0.0


def test_singular_values_are_square_roots():
    s = np.array([0.7, 1.0, 1.3])
    np.testing.assert_allclose(SMOOTH.singular_density(s), 2 * s * SMOOTH.density(s**2), rtol=1e-13)
    np.testing.assert_allclose(SMOOTH.singular_cdf(s), SMOOTH.cdf(s**2), rtol=1e-13)
    # the square root of lambda**-0.5 is finite at 0
    linear = mf.jacobian_spectrum(mf.Ensemble("linear", 1.0), 1)
    assert linear.singular_density(0.0) == pytest.approx(2 / np.pi, rel=1e-9)
    assert SPECTRUM.singular_density(0.0) == pytest.approx(
        SPECTRUM.singular_density(1e-150), rel=1e-6
    )
    assert mf.jacobian_spectrum(mf.Ensemble("linear", 1.0), 2).singular_density(0.0) == np.inf
    # wherever the bulk lies: here its top is at lambda = 10**-5999
    assert mf.jacobian_spectrum(mf.Ensemble("linear", 1e-3), 1000).singular_density(0.0) == np.inf


def test_singular_values_of_gelu_reach_zero_where_its_slope_does():
    q, z = 1.0, -0.7517915246935645  # phi'(z) = Phi(z) + z N(z) = 0, phi''(z) = N(z) (2 - z**2)
    one = mf.jacobian_spectrum(mf.Ensemble("gelu", 1.0, weights="orthogonal"), 1, q=[q])
    assert one.singular_density(0.0) == pytest.approx(2 / (2 - z**2), rel=1e-9)


def test_fraction_within_includes_both_ends():
    assert SMOOTH.fraction_within(0.2) == pytest.approx(
        SMOOTH.singular_cdf(1.2) - SMOOTH.singular_cdf(0.8), abs=1e-15
    )
    assert SMOOTH.fraction_within([0.0, 5.0]).tolist() == [0.0, pytest.approx(1.0, abs=1e-12)]
    for sigma_w, epsilon in ((1.25, 0.25), (0.75, 0.25)):
        atom = mf.jacobian_spectrum(mf.Ensemble("linear", sigma_w, weights="orthogonal"), 1)
        assert atom.fraction_within(epsilon) == 1.0
        assert atom.fraction_within(epsilon - 1e-9) == 0.0
    assert SPECTRUM.fraction_within(1.0) == pytest.approx(1.0, abs=1e-12)  # with the atom at 0


def test_results_are_frozen_and_can_be_copied():
    with pytest.raises(FrozenInstanceError):
        SPECTRUM.label = "x"
    own = mf.Ensemble(lambda x: np.tanh(1.1 * x), 1.2, 0.1)
    for spectrum in (SPECTRUM, SMOOTH, mf.jacobian_spectrum(own, 2)):
        copy = pickle.loads(pickle.dumps(spectrum))
        assert copy.atoms == spectrum.atoms
        assert copy.log_edges == spectrum.log_edges
        assert copy.cdf([0.5, 1.0]).tolist() == spectrum.cdf([0.5, 1.0]).tolist()
        assert copy.moment(3) == spectrum.moment(3)
        assert copy.relative_variance == spectrum.relative_variance


def test_repr_names_edges_atoms_and_moments():
    lines = repr(SPECTRUM).splitlines()
    assert lines[0].startswith("JacobianSpectrum of Ensemble('hard_tanh', sigma_w=1.05")
    assert lines[1].startswith("  bulk from 0 to ")
    assert lines[2].startswith("  atom of mass 0.0")
    assert lines[2].endswith(" at 0")
    assert lines[-1].startswith("  mean ")


# --- figures -------------------------------------------------------------------------------------


def test_plot_draws_the_density_of_log10_lambda_and_the_atoms():
    figure, ax = plt.subplots()
    assert SPECTRUM.plot(ax) is ax
    curve, zero, atom = ax.get_lines()
    x, y = curve.get_data()
    scale = log(10)
    np.testing.assert_allclose(y, scale * SPECTRUM.log_density(scale * x), rtol=1e-6, atol=1e-6)
    assert x[-1] == pytest.approx(np.log10(SPECTRUM.edges[1]))
    assert zero.get_label().endswith("at 0")
    assert atom.get_xdata()[0] == pytest.approx(np.log10(SPECTRUM.atoms[1].location))
    plt.close(figure)


def test_plot_of_deep_and_of_pure_spectra():
    for ensemble in (
        mf.Ensemble("relu", 30.0),
        mf.Ensemble("linear", 2.0, weights="orthogonal"),
        mf.Ensemble("tanh", 0.0, 0.1),
    ):
        ax = mf.jacobian_spectrum(ensemble, 1000).plot()
        for line in ax.get_lines():
            assert np.isfinite(np.asarray(line.get_data(), dtype=float)).all()
        plt.close(ax.figure)


# --- errors --------------------------------------------------------------------------------------


def spectrum(**changes):
    arguments = {"ensemble": TANH, "depth": 3, "q": None} | changes
    return mf.jacobian_spectrum(arguments["ensemble"], arguments["depth"], q=arguments["q"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectrum(depth=0), "depth must be an integer in [1, 1000000], got 0"),
        (lambda: spectrum(depth=-2), "depth must be an integer in [1, 1000000], got -2"),
        (lambda: spectrum(q=-0.1), "q must be finite and >= 0, got -0.1"),
        (lambda: spectrum(q=np.nan), "q must be finite and >= 0, got nan"),
        (lambda: spectrum(q=[0.1, -1, 0.1]), "q must be finite and >= 0, got -1.0 at index 1"),
        (
            lambda: spectrum(q=[0.1, 0.1]),
            "q must be a number or have one for each of 3 layers, got shape (2,)",
        ),
        (
            lambda: spectrum(ensemble=mf.Ensemble("tanh", 1.0, keep=0.9)),
            "keep must be 1 for a spectrum",
        ),
        (
            lambda: spectrum(ensemble=mf.Ensemble("gelu", 2.0)),
            "q must be given: the length of Ensemble('gelu', sigma_w=2.0, sigma_b=0.0) diverges",
        ),
        (
            lambda: spectrum(ensemble=mf.Ensemble("gelu", 1e3), depth=30, q=1.0),
            "q must be such that the length stays <= 1e+20, which it leaves in layer 5 of 30; got",
        ),
        (lambda: mf.rectangular_spectrum(TANH, [3]), "widths must have at least 2 numbers, got 1"),
        (lambda: mf.rectangular_spectrum(TANH, [3, 0]), "widths[1] must be an integer"),
        (lambda: mf.universal_spectrum("rough", 1.0), "kind must be one of smooth, bernoulli; got"),
        (
            lambda: mf.universal_spectrum("smooth", -1.0),
            "relative_variance must be finite and >= 0",
        ),
        (lambda: mf.residual_spectrum(-1), "strength must be finite and >= 0, got -1"),
        (lambda: SPECTRUM.density(-1.0), "lam must be >= 0, got -1.0"),
        (lambda: SPECTRUM.density([1, np.nan]), "lam must be >= 0, got nan at index 1"),
        (lambda: SPECTRUM.cdf(-1e-300), "lam must be >= 0, got -1e-300"),
        (lambda: SPECTRUM.log_cdf(np.nan), "log_lam must be a number or -inf or inf, got nan"),
        (lambda: SPECTRUM.quantile(1.1), "p must be in [0, 1], got 1.1"),
        (lambda: SPECTRUM.quantile([0.1, -0.1]), "p must be in [0, 1], got -0.1 at index 1"),
        (lambda: SPECTRUM.log_quantile(np.nan), "p must be in [0, 1], got nan"),
        (lambda: SPECTRUM.singular_density(-0.5), "s must be >= 0, got -0.5"),
        (lambda: SPECTRUM.singular_cdf(np.nan), "s must be >= 0, got nan"),
        (lambda: SPECTRUM.fraction_within(-0.1), "epsilon must be finite and >= 0, got -0.1"),
        (lambda: SPECTRUM.moment(-1), "k must be an integer in [0, 20], got -1"),
        (lambda: mf.tune_critical("tanh", 0), "depth must be an integer in [1, 2**31 - 1], got 0"),
        (
            lambda: mf.tune_critical("tanh", 5, relative_variance=0.0),
            "relative_variance must be finite and > 0, got 0.0",
        ),
        (
            lambda: mf.tune_critical("relu", 5),
            "relative_variance must be 5 for relu at depth 5: it is the same at every length q",
        ),
        (
            lambda: mf.tune_critical("linear", 5),
            "relative_variance must be 0 for linear at depth 5",
        ),
        (lambda: mf.tune_critical("softplus", 10), "relative_variance must be that of a stable"),
    ],
)
def test_bad_values_are_named(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectrum(ensemble="tanh"), "ensemble must be an Ensemble, got 'tanh'"),
        (lambda: spectrum(depth=2.0), "depth must be an integer in [1, 1000000], got 2.0"),
        (lambda: spectrum(q="0.1"), "q must be a number or an array of real numbers"),
        (lambda: mf.rectangular_spectrum(TANH, 5), "widths must be a sequence of integers, got 5"),
        (lambda: mf.rectangular_spectrum(TANH, [3, 2.5]), "widths[1] must be an integer"),
        (lambda: mf.universal_spectrum(3, 1.0), "kind must be one of smooth, bernoulli; got 3"),
        (lambda: SPECTRUM.cdf(1j), "lam must be a number or an array of real numbers"),
        (lambda: SPECTRUM.moment(1.5), "k must be an integer in [0, 20]"),
        (lambda: SPECTRUM.cdf(0.5, n_threads=1.5), "n_threads must be an integer"),
        (lambda: SPECTRUM.cdf(0.5, progress="yes"), "progress must be True, False or None"),
    ],
)
def test_wrong_kinds_are_named(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert message in str(caught.value)


def test_spectra_are_made_by_functions_and_have_a_type():
    assert isinstance(SMOOTH, JacobianSpectrum)
    assert SMOOTH.diagnostics.total_mass == pytest.approx(1, abs=1e-12)
    assert SMOOTH.log_edges[1] == pytest.approx(log(SMOOTH.edges[1]))
    assert SMOOTH.quantile(0.5) == pytest.approx(exp(SMOOTH.log_quantile(0.5)))


def test_tuning_relu_to_the_variance_it_has_gives_the_critical_relu():
    ensemble = mf.tune_critical("relu", 7, relative_variance=7.0)
    assert ensemble == mf.critical("relu", weights="orthogonal")
