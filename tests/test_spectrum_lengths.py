"""The law of phi'(h)**2 at lengths q of any size against the averages of the mean-field theory."""

import mpmath
import numpy as np
import pytest

import meanfree as mf
from meanfree import _core
from meanfree.spectrum import _spread

NAMES = [
    *("tanh", "erf", "erf_scaled", "sigmoid", "arctan", "hard_tanh", "shifted_relu"),
    *("gelu", "gelu_tanh", "silu", "softplus", "elu", "selu", "relu", "leaky_relu", "linear"),
]
LENGTHS = [1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9, 1e12]
SHORT = [1e-6, 1e-3, 1.0, 1e3]  # of sin, whose phi' oscillates: beyond 1e7 an error


def cases(names, lengths):
    return [(name, weights, lengths) for name in names for weights in ("gaussian", "orthogonal")]


def compare(name, weights, lengths):
    ensemble = mf.Ensemble(name, 1.3, weights=weights)
    for q in lengths:
        exact = float(mf.correlation_slope(ensemble, 1.0, q=q))
        spectrum = mf.jacobian_spectrum(ensemble, 1, q=q)
        assert spectrum.mean == pytest.approx(exact, rel=1e-9), q
        assert spectrum.diagnostics.total_mass == pytest.approx(1.0, abs=1e-10), q
        assert spectrum.diagnostics.slope_error < 1e-12, q


@pytest.mark.parametrize("name", NAMES)
def test_mean_of_one_long_layer(name):
    compare(name, "orthogonal", [1.0, 3e6, 1e12])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "lengths"), [*cases(NAMES, LENGTHS), *cases(["sin"], SHORT)]
)
def test_mean_of_one_layer_at_any_length(name, weights, lengths):
    compare(name, weights, lengths)


@pytest.mark.parametrize("name", ["tanh", "erf", "gelu"])
def test_mean_at_the_longest_lengths(name):
    ensemble = mf.Ensemble(name, 1.0)
    for q in (1e12, 1e16):
        exact = float(mf.correlation_slope(ensemble, 1.0, q=q))
        assert mf.jacobian_spectrum(ensemble, 1, q=q).mean == pytest.approx(exact, rel=1e-12)


def test_the_fixed_point_of_large_weights():
    ensemble = mf.Ensemble("tanh", 1e4, weights="orthogonal")
    spectrum = mf.jacobian_spectrum(ensemble, 1)
    assert spectrum.mean == pytest.approx(mf.fixed_point(ensemble).chi_1, rel=1e-12)
    # sech(h)**4 > 1/2 where |h| < 0.6094: lambda above half its largest value
    q = mf.fixed_point(ensemble).q
    inside = np.arccosh(2**0.25)
    share = np.sqrt(2 / np.pi) * inside / np.sqrt(q)
    assert 1 - spectrum.cdf(0.5e8) == pytest.approx(share, rel=1e-7)


def test_moments_of_a_long_layer():
    # E sech(h)**(4 k) -> Int sech(h)**(4 k) dh / sqrt(2 pi q)
    q = 1e14
    spectrum = mf.jacobian_spectrum(mf.Ensemble("tanh", 1.0, weights="orthogonal"), 1, q=q)
    for k, integral in [(1, 4 / 3), (2, 32 / 35)]:
        assert spectrum.moment(k) == pytest.approx(integral / np.sqrt(2 * np.pi * q), rel=1e-11)


@pytest.mark.parametrize("q", [1e3, 1e9, 1e12])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_users_function_at_long_lengths(q, scale):
    def slope(x):
        return scale / np.cosh(np.clip(scale * x, -300, 300)) ** 2

    phi = mf.Activation(lambda x: np.tanh(scale * x), derivative=slope)
    users = mf.jacobian_spectrum(mf.Ensemble(phi, 1.0), 1, q=[q])
    named = mf.jacobian_spectrum(mf.Ensemble("tanh", 1.0), 1, q=scale**2 * q)
    assert users.mean == pytest.approx(scale**2 * named.mean, rel=1e-11)


def test_a_kink_away_from_0_at_long_lengths():
    def slope(x):
        return np.where(x > 2.0, np.exp(-np.maximum(x - 2.0, 0.0)), 0.0)

    phi = mf.Activation(
        lambda x: np.where(x > 2.0, -np.expm1(-np.maximum(x - 2.0, 0.0)), 0.0),
        derivative=slope,
        kinks=[2.0],
    )
    # Int exp(-2 (h - 2)) dh = 1/2, at a normal density of all but its largest
    q = 1e14
    mean = mf.jacobian_spectrum(mf.Ensemble(phi, 1.0), 1, q=[q]).mean
    assert mean == pytest.approx(0.5 / np.sqrt(2 * np.pi * q), rel=1e-9)


def test_a_law_that_misses_some_of_phi_is_an_error():
    phi = mf.activation("tanh")
    law = _core.slope_law(phi.core, 0.3)
    found = _spread.mean_error(phi, [0.3], [law])
    assert found < 1e-14
    places, panels, slopes = law
    incomplete = (places, panels[1:], slopes[1:])
    with pytest.raises(mf.ConvergenceError, match=r"tanh at q = 0\.3 is incomplete: its mean is"):
        _spread.mean_error(phi, [0.1, 0.3], [_core.slope_law(phi.core, 0.1), incomplete])
    # the largest slope by 1e-8: not seen in anything else
    raised = (places, panels, slopes * (1 + 1e-8))
    with pytest.raises(mf.ConvergenceError, match="is incomplete"):
        _spread.mean_error(phi, [0.3], [raised])


@pytest.mark.parametrize(("depth", "variance"), [(10_000, 1e-6), (10, 1e-10), (10, 1e-3)])
def test_narrow_spectra_of_a_kinked_activation(depth, variance):
    network = mf.tune_critical("elu", depth, relative_variance=variance)
    spectrum = mf.jacobian_spectrum(network, depth)
    assert spectrum.relative_variance == pytest.approx(variance, rel=1e-9)
    # elu: phi' = exp(h) for h < 0, so E phi'**(2 k) = 1/2 + exp((2 k s)**2 / 2) P(z > 2 k s)
    s = np.sqrt(mf.fixed_point(network).q)
    with mpmath.workdps(40):
        first, second = (
            mpmath.mpf(1) / 2
            + mpmath.exp((k * s) ** 2 / 2) * mpmath.erfc(k * s / mpmath.sqrt(2)) / 2
            for k in (mpmath.mpf(2), mpmath.mpf(4))
        )
        exact = float(depth * (second / first**2 - 1))
    assert spectrum.relative_variance == pytest.approx(exact, rel=1e-8)
