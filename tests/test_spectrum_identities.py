"""Spectra against what must hold among their own numbers, against each other and against numpy."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import meanfree as mf

NETWORKS = [
    ("tanh", 1.2, "gaussian", 1, 0.3),
    ("tanh", 1.2, "gaussian", 4, 0.3),
    ("tanh", 1.2, "orthogonal", 1, 0.3),
    ("tanh", 1.2, "orthogonal", 2, 0.3),
    ("tanh", 1.0, "orthogonal", 50, 0.1),
    ("gelu", 1.4, "gaussian", 2, 1.0),
    ("gelu", 1.4, "orthogonal", 3, 1.0),
    ("elu", 1.2, "orthogonal", 2, 1.0),
    ("selu", 1.0, "gaussian", 5, 1.0),
    ("silu", 1.4, "orthogonal", 10, 1.0),
    ("relu", 1.4, "orthogonal", 5, 1.0),
    ("hard_tanh", 1.1, "gaussian", 3, 0.3),
    ("hard_tanh", 1.1, "orthogonal", 2, 0.3),
    ("leaky_relu", 1.4, "orthogonal", 4, 1.0),
    ("softplus", 1.8, "orthogonal", 3, 1.0),
    ("sin", 1.2, "gaussian", 2, 0.5),
]


def spectrum_of(network):
    name, sigma_w, weights, depth, q = network
    return mf.jacobian_spectrum(mf.Ensemble(name, sigma_w, weights=weights), depth, q=[q] * depth)


def inner_points(spectrum, n=9):
    """Return logarithms of lambda inside the bulk, away from its edges."""
    below = sum(a.mass for a in spectrum.atoms if a.log_location < spectrum.log_edges[0])
    zero = sum(a.mass for a in spectrum.atoms if a.location == 0)
    bulk = 1 - sum(a.mass for a in spectrum.atoms)
    low = max(below, zero)
    return spectrum.log_quantile(low + bulk * np.linspace(0.03, 0.97, n))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_density_is_the_slope_of_the_distribution_function(network):
    spectrum = spectrum_of(network)
    at, h = inner_points(spectrum), 1e-3
    # eighth order: what is left is the rounding of the CDF, 1e-14 / h
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    slope = sum(
        w * (spectrum.log_cdf(at + k * h) - spectrum.log_cdf(at - k * h))
        for k, w in weights.items()
    )
    density = spectrum.log_density(at)
    inside = np.abs(spectrum.log_density(at + 4 * h) / density - 1) < 0.1
    inside &= np.abs(spectrum.log_density(at - 4 * h) / density - 1) < 0.1
    assert inside.sum() >= 5
    np.testing.assert_allclose(density[inside], (slope / h)[inside], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_quantiles_invert_the_distribution_function(network):
    spectrum = spectrum_of(network)
    at = inner_points(spectrum)
    np.testing.assert_allclose(spectrum.log_quantile(spectrum.log_cdf(at)), at, atol=1e-10)
    ends = spectrum.log_quantile([0.0, 1.0])
    lowest = min([spectrum.log_edges[0], *(a.log_location for a in spectrum.atoms)])
    assert ends.tolist() == [lowest, spectrum.log_maximum]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_moments_are_those_of_the_density_and_the_atoms(network):
    spectrum = spectrum_of(network)
    high = spectrum.log_edges[1]
    low = max(spectrum.log_edges[0], high - 60)
    # in the angle both square roots at the edges are smooth
    angle, weight = np.polynomial.legendre.leggauss(400)
    angle, weight = 0.5 * np.pi * angle, 0.5 * np.pi * weight
    log_lam = low + 0.5 * (high - low) * (1 + np.sin(angle))
    weight = weight * 0.5 * (high - low) * np.cos(angle) * spectrum.log_density(log_lam)
    # elu at depth 2: two atoms of mass 1/2 just miss each other at the upper edge, where the
    # density is an inverse square root times a power of the logarithm: an error of order n^-2
    allowed = 1e-5 if network[0] == "elu" else 1e-8
    for k in (1, 2, 3):
        total = weight @ np.exp(k * log_lam)
        total += sum(a.mass * a.location**k for a in spectrum.atoms)
        assert total == pytest.approx(spectrum.moment(k), rel=allowed)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_mean_and_variance_add_up_over_layers(network):
    name, sigma_w, weights, depth, q = network
    spectrum = spectrum_of(network)
    z, w = np.linspace(-9, 9, 200_001), 9e-5
    slopes = mf.activation(name).derivative(sqrt(q) * z) ** 2
    density = w * np.exp(-(z**2) / 2) / sqrt(2 * np.pi)
    first, second = slopes @ density, slopes**2 @ density
    gaussian = 1 if weights == "gaussian" else 0
    # the sum sees jumps of phi' to the step
    assert spectrum.mean == pytest.approx((sigma_w**2 * first) ** depth, rel=5e-5 * depth)
    expected = depth * (second / first**2 - 1 + gaussian)
    assert spectrum.relative_variance == pytest.approx(expected, rel=5e-4, abs=1e-9)
    assert spectrum.variance == pytest.approx(
        spectrum.relative_variance * spectrum.mean**2, rel=1e-12
    )


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_spectrum_checks_itself(network):
    found = spectrum_of(network).diagnostics
    assert found.total_mass == pytest.approx(1, abs=1e-10)
    assert found.residual < 1e-10
    assert found.imaginary_part >= 0


def test_gain_scales_lambda():
    plain, scaled = (
        mf.jacobian_spectrum(mf.Ensemble("relu", w, weights="orthogonal"), 7) for w in (1.0, 1.3)
    )
    at = inner_points(plain)
    shift = 14 * np.log(1.3)
    np.testing.assert_allclose(scaled.log_cdf(at + shift), plain.log_cdf(at), atol=1e-12)
    np.testing.assert_allclose(scaled.log_density(at + shift), plain.log_density(at), rtol=1e-10)


def test_leaky_spectra_are_symmetric_under_inversion():
    slope, sigma_w, depth = 0.2, 1.4, 6
    phi = mf.activation("leaky_relu", negative_slope=slope)
    spectrum = mf.jacobian_spectrum(mf.Ensemble(phi, sigma_w, weights="orthogonal"), depth)
    centre = depth * np.log(slope) + 2 * depth * np.log(sigma_w)
    low, high = spectrum.log_edges
    assert low + high == pytest.approx(2 * centre, rel=1e-10)
    away = np.linspace(0.05, 0.95, 7) * (high - centre)
    np.testing.assert_allclose(
        spectrum.log_cdf(centre - away), 1 - spectrum.log_cdf(centre + away), atol=1e-12
    )
    np.testing.assert_allclose(
        spectrum.log_density(centre - away), spectrum.log_density(centre + away), rtol=1e-9
    )


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "gelu"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_order_of_layers_does_not_matter(name, weights):
    ensemble, q = mf.Ensemble(name, 1.2, weights=weights), np.array([1.0, 0.3, 0.6, 0.3])
    one, other = (mf.jacobian_spectrum(ensemble, 4, q=v) for v in (q, q[::-1]))
    at = inner_points(one)
    np.testing.assert_allclose(one.log_cdf(at), other.log_cdf(at), atol=1e-11)
    same = mf.rectangular_spectrum(ensemble, [9] * 5, q=q)
    np.testing.assert_allclose(one.log_density(at), same.log_density(at), rtol=1e-9, atol=1e-11)


def test_lengths_close_to_each_other_give_the_spectrum_of_equal_ones():
    ensemble = mf.Ensemble("tanh", 1.2, weights="orthogonal")
    equal = mf.jacobian_spectrum(ensemble, 4, q=[0.3] * 4)
    close = mf.jacobian_spectrum(ensemble, 4, q=0.3 * (1 + 1e-9 * np.array([-1, 1, 1, -1])))
    at = inner_points(equal)
    np.testing.assert_allclose(equal.log_cdf(at), close.log_cdf(at), atol=1e-11)


def test_a_length_is_taken_on_by_the_length_map():
    ensemble = mf.Ensemble("tanh", 1.3, 0.2)
    q = mf.propagate(ensemble, 3, q=2.0).q
    by_map, given = (mf.jacobian_spectrum(ensemble, 3, q=v) for v in (2.0, q))
    assert by_map.log_cdf(-1.0) == given.log_cdf(-1.0)
    at_rest = mf.jacobian_spectrum(ensemble, 3)
    resting = mf.jacobian_spectrum(ensemble, 3, q=[mf.fixed_point(ensemble).q] * 3)
    assert at_rest.log_cdf(-1.0) == pytest.approx(resting.log_cdf(-1.0), abs=1e-12)


def test_lengths_that_vanish_leave_a_linear_network():
    linear = mf.jacobian_spectrum(mf.Ensemble("linear", 0.8), 5)
    for q in (None, 0.0, [0.0] * 5):
        tanh = mf.jacobian_spectrum(mf.Ensemble("tanh", 0.8), 5, q=q)
        np.testing.assert_allclose(tanh.cdf([0.01, 0.1]), linear.cdf([0.01, 0.1]), atol=1e-13)


def test_transposed_rectangular_networks_share_their_nonzero_eigenvalues():
    widths = [3, 5, 2]
    one = mf.rectangular_spectrum(mf.Ensemble("linear", 1.0), widths)
    other = mf.rectangular_spectrum(mf.Ensemble("linear", 1.0), widths[::-1])
    scale = widths[-1] / widths[0]  # variances are by fan_in
    lam = np.geomspace(1e-3, 0.9, 7) * one.maximum
    np.testing.assert_allclose(
        widths[-1] * (1 - one.cdf(lam)), widths[0] * (1 - other.cdf(lam / scale)), atol=1e-12
    )


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("widths", [[3, 2], [2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3, 3]])
def test_rank_and_mean_of_rectangular_networks(widths, weights):
    ensemble = mf.Ensemble("hard_tanh", 1.2, weights=weights)
    depth = len(widths) - 1
    spectrum = mf.rectangular_spectrum(ensemble, widths, q=[0.4] * depth)
    p = mf.jacobian_spectrum(mf.Ensemble("hard_tanh", 1.0, weights="orthogonal"), 1, q=[0.4]).mean
    assert spectrum.mean == pytest.approx((1.44 * p) ** depth, rel=1e-11)
    rank = min([widths[0], *(p * width for width in widths[1:])])
    assert spectrum.cdf(0.0) == pytest.approx(1 - rank / widths[-1], abs=1e-12)
    assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_random_matrices_have_the_spectrum_of_rectangular_networks(weights):
    # eigenvalues are rigid: the KS distance of n of them is a few times log(n) / n
    rng = np.random.default_rng(3)
    widths = [300, 450, 240]
    jacobian = np.eye(widths[0])
    for before, after in pairwise(widths):
        w = rng.standard_normal((after, before))
        if weights == "orthogonal":
            u, _, v = np.linalg.svd(w, full_matrices=False)
            w = u @ v * sqrt(max(1, after / before))
        else:
            w /= sqrt(before)
        slope = np.where(rng.permutation(after) < after // 2, 1.0, 0.3)  # leaky, exact halves
        jacobian = 1.2 * slope[:, None] * (w @ jacobian)
    phi = mf.activation("leaky_relu", negative_slope=0.3)
    spectrum = mf.rectangular_spectrum(mf.Ensemble(phi, 1.2, weights=weights), widths)
    lam = np.sort(np.linalg.eigvalsh(jacobian @ jacobian.T))
    assert np.abs(spectrum.cdf(lam) - (np.arange(240) + 0.5) / 240).max() < 6 * np.log(240) / 240


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "gelu", "elu"]),
    st.sampled_from(["gaussian", "orthogonal"]),
    st.floats(0.2, 3.0),
    st.integers(1, 40),
    st.floats(0.01, 5.0),
)
def test_laws_are_laws(name, weights, sigma_w, depth, q):
    spectrum = spectrum_of((name, sigma_w, weights, depth, q))
    low, high = spectrum.log_edges
    log_lam = np.linspace(max(low, high - 60) - 1, high + 1, 101)
    density, cdf = spectrum.log_density(log_lam), spectrum.log_cdf(log_lam)
    assert np.isfinite(density).all()
    assert (density >= 0).all()
    assert (np.diff(cdf) >= -1e-14 * depth).all()  # its rounding
    assert (cdf >= 0).all()
    assert (cdf <= 1).all()
    assert abs(cdf[-1] - 1) < 1e-10 or spectrum.log_maximum > high + 1
    assert sum(a.mass for a in spectrum.atoms) <= 1 + 1e-12
    # what else is asked for changes no bit
    assert spectrum.log_cdf(log_lam[7:60:5]).tolist() == cdf[7:60:5].tolist()
    assert spectrum.log_density(float(log_lam[50])) == density[50]
    assert spectrum.log_density(log_lam, n_threads=3).tolist() == density.tolist()


@pytest.mark.parametrize("q", np.linspace(0.5, 1.5, 21))
def test_quantiles_of_a_single_layer_do_not_stop_where_panels_meet(q):
    # the law of t = exp(2 h) for h < 0 itself: CDF = P(h < log(t) / 2)
    spectrum = mf.jacobian_spectrum(mf.Ensemble("elu", 1.0, weights="orthogonal"), 1, q=[q])
    p = np.linspace(0.001, 0.499, 200)
    np.testing.assert_allclose(spectrum.log_cdf(spectrum.log_quantile(p)), p, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [1, 3])
def test_straight_pieces_of_a_callable_are_atoms_of_its_slopes(depth, weights):
    # nothing but the values of the function is known: slopes are numerical
    found, named = (
        mf.jacobian_spectrum(mf.Ensemble(phi, 1.0, weights=weights), depth, q=[1.0] * depth)
        for phi in (lambda h: np.clip(h, -1.0, 1.0), "hard_tanh")
    )
    assert len(found.atoms) == len(named.atoms)
    for one, other in zip(found.atoms, named.atoms, strict=True):
        assert one.mass == pytest.approx(other.mass, rel=1e-12)
        assert one.location == pytest.approx(other.location, rel=1e-12)
    p = np.linspace(0.35, 0.95, 13)
    np.testing.assert_allclose(found.log_quantile(p), named.log_quantile(p), rtol=0, atol=1e-9)


def test_an_atom_beside_a_smooth_piece_of_a_callable_is_found():
    phi = mf.Activation(lambda h: np.where(h > 0, np.tanh(h) + h, 0.5 * h), kinks=(0.0,))
    spectrum = mf.jacobian_spectrum(mf.Ensemble(phi, 1.0, weights="orthogonal"), 1, q=[1.0])
    assert [(atom.location, atom.mass) for atom in spectrum.atoms] == [(0.25, pytest.approx(0.5))]


def test_the_atom_of_selu_inside_its_bulk_is_that_of_simulated_networks():
    network = mf.Ensemble("selu", 1.0, weights="orthogonal")
    spectrum = mf.jacobian_spectrum(network, 1, q=[1.0])
    (atom,) = spectrum.atoms
    log_scale = np.log(1.0507009873554804934)
    assert atom.log_location == pytest.approx(2 * log_scale, rel=1e-14)
    assert spectrum.log_edges[0] < atom.log_location < spectrum.log_edges[1]
    sample = mf.simulate_jacobian(network, 100, 1, n_samples=200, q=1.0, seed=11)
    log_lam = 2 * sample.log_singular_values
    on_atom = np.abs(log_lam - atom.log_location) < 1e-9
    below = (log_lam < atom.log_location) & ~on_atom
    jump = spectrum.log_cdf(atom.log_location + np.array([-1e-9, 0.0]))
    assert jump[1] - jump[0] == pytest.approx(atom.mass, abs=1e-8)
    for found, expected in ((on_atom, atom.mass), (below, jump[0])):
        # units are independent in one layer
        error = np.sqrt(expected * (1 - expected) / found.size)
        assert abs(found.mean() - expected) < 4 * error
