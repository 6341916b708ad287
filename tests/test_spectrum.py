"""Spectra against closed forms, known numbers, and numpy's singular values."""

from fractions import Fraction
from math import comb, e, erf, exp, log, pi, sin, sqrt

import mpmath
import numpy as np
import pytest
from scipy import special

import meanfree as mf

DEPTHS = [1, 2, 3, 10, 100, 1000]
CRITICAL_RELU = sqrt(2)


def linear(depth, sigma_w=1.0, weights="gaussian"):
    return mf.jacobian_spectrum(mf.Ensemble("linear", sigma_w, weights=weights), depth)


def steps(name, q, depth, weights, sigma_w=1.0):
    """Return the spectrum of an activation whose slope is 0 or 1, and P(phi' = 1)."""
    p = {"relu": 0.5, "hard_tanh": erf(1 / sqrt(2 * q)), "shifted_relu": special.ndtr(1 / sqrt(q))}
    ensemble = mf.Ensemble(name, sigma_w, weights=weights)
    return mf.jacobian_spectrum(ensemble, depth, q=[q] * depth), float(p[name])


# --- linear networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("sigma_w", [1.0, 0.7])
@pytest.mark.parametrize("depth", DEPTHS)
def test_moments_of_linear_gaussian_networks_are_fuss_catalan_numbers(depth, sigma_w):
    spectrum = linear(depth, sigma_w)
    for k in range(1, 7):
        number = Fraction(comb((depth + 1) * k, k), depth * k + 1)
        exact = mpmath.log(number.numerator) - mpmath.log(number.denominator)
        exact += 2 * depth * k * mpmath.log(sigma_w)
        assert spectrum.log_moment(k) == pytest.approx(float(exact), rel=1e-13, abs=1e-11)


@pytest.mark.parametrize("depth", DEPTHS)
def test_edges_of_linear_gaussian_networks(depth):
    spectrum = linear(depth)
    largest = (depth + 1) * (1 + 1 / depth) ** depth
    assert spectrum.edges == (0.0, pytest.approx(largest, rel=1e-11))
    assert spectrum.maximum == spectrum.edges[1]
    assert spectrum.atoms == ()
    assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("depth", DEPTHS)
def test_density_of_linear_gaussian_networks_is_parametric(depth):
    # lambda = sin((L+1)a)^(L+1) / (sin a sin(La)^L), lambda rho = sin a sin((L+1)a) / (pi sin La)
    with mpmath.workdps(40):
        logs, exact = [], []
        for part in [1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999]:
            a = part * mpmath.pi / (depth + 1)
            lower, upper = mpmath.sin(depth * a), mpmath.sin((depth + 1) * a)
            logs += [(depth + 1) * log_of(upper) - log_of(mpmath.sin(a)) - depth * log_of(lower)]
            exact += [mpmath.sin(a) * upper / (mpmath.pi * lower)]
    found = linear(depth).log_density(np.array(logs, dtype=float))
    # near the soft edge d log rho = d log lambda / (2 distance), and log lambda is a sum of `depth`
    # logarithms, each of them rounded
    edge = log_of(depth + 1) + depth * mpmath.log1p(mpmath.mpf(1) / depth)
    distance = np.array([float(edge - at) for at in logs])
    allowed = 1e-10 + (depth + 10) * 4e-16 / distance
    assert (np.abs(found / np.array(exact, dtype=float) - 1) < allowed).all()


def log_of(x):
    return mpmath.log(x)


def test_one_gaussian_layer_is_the_quarter_circle():
    s = np.linspace(0, 2, 21)
    spectrum = linear(1)
    exact = (s * np.sqrt(4 - s**2) / 2 + 2 * np.arcsin(s / 2)) / pi
    np.testing.assert_allclose(spectrum.singular_cdf(s), exact, atol=1e-13)
    np.testing.assert_allclose(
        spectrum.singular_density(s), np.sqrt(4 - s**2) / pi, rtol=1e-11, atol=1e-8
    )


@pytest.mark.parametrize("depth", [1, 3, 1000])
def test_density_of_linear_networks_at_tiny_lambda_is_a_power(depth):
    # rho ~ sin(pi / (L+1)) / pi lambda^(-L / (L+1))
    log_lam = -60.0 * (depth + 1)
    found = linear(depth).log_density(log_lam)
    assert found == pytest.approx(sin(pi / (depth + 1)) / pi * exp(log_lam / (depth + 1)), rel=1e-9)


@pytest.mark.parametrize("sigma_w", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("depth", [1, 7])
def test_linear_orthogonal_networks_are_a_pure_atom(depth, sigma_w):
    spectrum = linear(depth, sigma_w, "orthogonal")
    at = sigma_w ** (2 * depth)
    (atom,) = spectrum.atoms
    assert (atom.location, atom.mass) == (pytest.approx(at, rel=1e-14), 1.0)
    assert spectrum.edges == (atom.location, atom.location)
    assert spectrum.maximum == spectrum.mean == atom.location
    assert (spectrum.variance, spectrum.relative_variance) == (0.0, 0.0)
    below, above = at * (1 - 1e-9), at * (1 + 1e-9)
    assert spectrum.cdf([below, atom.location, above]).tolist() == [0.0, 1.0, 1.0]
    assert spectrum.quantile([0.0, 0.3, 1.0]).tolist() == [atom.location] * 3
    assert spectrum.density([below, atom.location, above]).tolist() == [0.0] * 3
    assert spectrum.moment(3) == pytest.approx(at**3, rel=1e-13)


# --- slopes of 0 and 1 ---------------------------------------------------------------------------


def test_moments_of_step_gaussian_networks():
    for name, q, depth in [("relu", 1.0, 3), ("hard_tanh", 0.4, 10), ("shifted_relu", 0.5, 100)]:
        spectrum, p = steps(name, q, depth, "gaussian", 1.2)
        for k in range(1, 7):
            exact = mpmath.fsum(
                comb(k, j) * comb(depth * k, k - 1 - j) * mpmath.mpf(p) ** (depth * k - k + 1 + j)
                for j in range(k)
            )
            exact *= mpmath.mpf(1.2) ** (2 * depth * k) / k
            assert spectrum.moment(k) == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize("depth", DEPTHS)
def test_moments_of_relu_orthogonal_networks(depth):
    # (1/k) [z^(k-1)] ((1+z)^(1-L) (1/2+z)^L)^k, times 2^(Lk) for the critical gain
    spectrum, _ = steps("relu", 1.0, depth, "orthogonal", CRITICAL_RELU)
    for k in range(1, 7):
        total = sum(
            (-1) ** j
            * (comb(k * (depth - 1) + j - 1, j) if j else 1)
            * comb(k * depth, k - 1 - j)
            * Fraction(2) ** (k - 1 - j)
            for j in range(k)
        )
        assert spectrum.moment(k) == pytest.approx(float(total / k), rel=1e-10)


@pytest.mark.parametrize("depth", [2, 3, 10, 100, 1000])
@pytest.mark.parametrize("name", ["relu", "hard_tanh"])
def test_edges_and_atoms_of_step_networks(name, depth):
    q = 0.5
    spectrum, p = steps(name, q, depth, "gaussian", 1 / sqrt(0.84))
    gain = -depth * log(0.84)
    m = (-(depth - 1) + sqrt((depth - 1) ** 2 + 4 * depth * p)) / (2 * depth)
    assert spectrum.log_edges[0] == -np.inf
    assert spectrum.log_edges[1] == pytest.approx(
        gain + log((1 + m) / m) + depth * log(m + p), rel=1e-11
    )
    check_atom_at_zero(spectrum, p)

    spectrum, p = steps(name, q, depth, "orthogonal", 1 / sqrt(0.84))
    bulk = gain + (depth - 1) * log(p * depth / (depth - 1)) + log((1 - p) * depth)
    assert spectrum.log_edges == (-np.inf, pytest.approx(bulk, rel=1e-11))
    top = 1 - depth * (1 - p)
    if top > 0:
        check_atom_at_zero(spectrum, p, n_atoms=2)
        assert spectrum.atoms[1].log_location == pytest.approx(gain, rel=1e-13)
        assert spectrum.atoms[1].mass == pytest.approx(top, rel=1e-12)
        assert spectrum.log_maximum == spectrum.atoms[1].log_location
    else:
        check_atom_at_zero(spectrum, p)


def check_atom_at_zero(spectrum, p, n_atoms=1):
    assert len(spectrum.atoms) == n_atoms
    assert spectrum.atoms[0].location == 0.0
    assert spectrum.atoms[0].mass == pytest.approx(1 - p, rel=1e-12)
    assert spectrum.cdf(0.0) == spectrum.atoms[0].mass
    assert spectrum.quantile(0.9 * (1 - p)) == 0.0
    assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)
    assert spectrum.cdf(spectrum.maximum) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [2, 5])
def test_density_of_step_networks_solves_the_polynomial(depth, weights):
    # lambda m (1+m)^o = sigma_w^(2L) (1+m) (m+p)^L: a root with 30 digits, Im m < 0
    spectrum, p = steps("hard_tanh", 0.6, depth, weights, 1.1)
    power = depth if weights == "orthogonal" else 0
    top = spectrum.edges[1]
    for lam in [1e-3 * top, 0.1 * top, 0.6 * top]:
        with mpmath.workdps(30):
            coefficients = np.zeros(1, dtype=object)
            left = polynomial([0, 1], *[[1, 1]] * power)
            right = polynomial([1, 1], *[[mpmath.mpf(p), 1]] * depth)
            size = max(len(left), len(right))
            left += [0] * (size - len(left))
            right += [0] * (size - len(right))
            gain = mpmath.mpf(1.1) ** (2 * depth)
            coefficients = [lam * a - gain * b for a, b in zip(left, right, strict=True)]
            roots = mpmath.polyroots(coefficients[::-1], maxsteps=500, extraprec=200)
        densities = [-float(mpmath.im(m)) / (pi * lam) for m in roots]
        found = spectrum.density(lam)
        assert found > 0
        assert min(abs(found / d - 1) for d in densities if d > 0) < 1e-11


def polynomial(*factors):
    """Multiply polynomials given by their coefficients, lowest first."""
    result = [1]
    for factor in factors:
        new = [0] * (len(result) + len(factor) - 1)
        for i, a in enumerate(result):
            for j, b in enumerate(factor):
                new[i + j] += a * b
        result = new
    return result


def test_one_orthogonal_relu_or_leaky_layer_is_two_atoms():
    relu = mf.jacobian_spectrum(mf.Ensemble("relu", CRITICAL_RELU, weights="orthogonal"), 1)
    assert [(a.location, a.mass) for a in relu.atoms] == [(0.0, 0.5), (pytest.approx(2.0), 0.5)]
    phi = mf.activation("leaky_relu", negative_slope=0.5)
    leaky = mf.jacobian_spectrum(mf.Ensemble(phi, 2.0, weights="orthogonal"), 1)
    assert [(a.location, a.mass) for a in leaky.atoms] == [
        (pytest.approx(1.0), 0.5),
        (pytest.approx(4.0), 0.5),
    ]
    assert leaky.edges == (pytest.approx(1.0), pytest.approx(4.0))
    assert leaky.mean == pytest.approx(2.5)
    assert leaky.variance == pytest.approx(2.25)
    assert leaky.quantile([0.2, 0.5, 0.7]) == pytest.approx([1.0, 1.0, 4.0])


def test_two_orthogonal_leaky_layers_have_the_spectrum_of_two_projections():
    # singular values of a free product of two symmetric two-point laws: an arcsine law of angles
    a = 0.3
    phi = mf.activation("leaky_relu", negative_slope=a)
    spectrum = mf.jacobian_spectrum(mf.Ensemble(phi, 1.0, weights="orthogonal"), 2)
    assert spectrum.atoms == ()
    assert spectrum.edges == (pytest.approx(a**4, rel=1e-10), pytest.approx(1.0, rel=1e-10))
    # of each pair lambda_1 lambda_2 = a^4, lambda_1 + lambda_2 = 2 a^2 + (1 - a^2)^2 cos(angle)^2
    angle = np.linspace(0.1, 1.4, 7)
    half = a**2 + 0.5 * ((1 - a**2) * np.cos(angle)) ** 2
    upper = half + np.sqrt(half**2 - a**4)
    np.testing.assert_allclose(spectrum.cdf(upper), 1 - angle / pi, atol=1e-12)
    np.testing.assert_allclose(spectrum.cdf(a**4 / upper), angle / pi, atol=1e-12)


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.1, 0.25, 0.9, 1.0, 3.0])
def test_bernoulli_limit_is_lamberts_function(s):
    spectrum = mf.universal_spectrum("bernoulli", s)
    lam = np.geomspace(1e-8, 0.999, 12) * e * s
    exact = np.abs(np.imag(s / lam / (s + special.lambertw(-s / lam)))) / pi
    np.testing.assert_allclose(spectrum.density(lam), exact, rtol=1e-10)
    assert spectrum.edges == (pytest.approx(0.0, abs=1e-300), pytest.approx(e * s, rel=1e-12))
    masses = [(pytest.approx(exp(s)), pytest.approx(1 - s))] if s < 1 else []
    assert [(a.location, a.mass) for a in spectrum.atoms] == masses
    assert spectrum.maximum == pytest.approx(exp(s) if s < 1 else e * s)
    assert (spectrum.mean, spectrum.variance) == (pytest.approx(1), pytest.approx(s))
    assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("s", [1e-3, 0.25, 1.0, 10.0])
def test_edges_of_the_smooth_limit(s):
    root = sqrt(s * (s + 4))
    largest = 0.5 * (2 + s + root) * exp(0.5 * (root - s))
    for scale, spectrum in (
        (1.0, mf.universal_spectrum("smooth", s)),
        (exp(s / 2), mf.residual_spectrum(s / 2)),
    ):
        low, high = spectrum.edges
        assert high == pytest.approx(scale * largest, rel=1e-11)
        assert low * high == pytest.approx(scale**2 * exp(-s), rel=1e-10)
        assert spectrum.mean == pytest.approx(scale)
        assert spectrum.relative_variance == pytest.approx(s, rel=1e-9)
        assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)


def test_limits_of_no_variance_are_an_atom():
    for spectrum in (
        mf.universal_spectrum("smooth", 0.0),
        mf.universal_spectrum("bernoulli", 0),
        mf.residual_spectrum(0.0),
    ):
        assert [(a.location, a.mass) for a in spectrum.atoms] == [(1.0, 1.0)]
        assert spectrum.fraction_within(0.0) == 1.0


def test_deep_tuned_networks_approach_the_limits():
    # the gap closes like 1 / L for slopes of 0 and 1 and like 1 / sqrt(L) for tanh
    for name, kind, allowed in (("hard_tanh", "bernoulli", 1e-3), ("tanh", "smooth", 2e-2)):
        limit = mf.universal_spectrum(kind, 0.25)
        deep = mf.jacobian_spectrum(mf.tune_critical(name, 1000), 1000)
        lam = np.array([0.2, 0.4, 0.6, 0.9, 1.5, 2.0])
        assert np.abs(deep.cdf(lam) - limit.cdf(lam)).max() < allowed
