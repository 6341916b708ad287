"""Gaussian fields: complexity and index against quadrature, optima, random matrices, topology."""

from math import exp, inf, log, pi, sqrt

import mpmath
import numpy as np
import pytest
from goe import SIZES, log_field_density, log_sum, shifts, wrong_exponent
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

import meanfree as mf
from meanfree.landscape import GaussianField
from meanfree.landscape._goe import log_mean_determinant

FIELDS = {
    "rbf": GaussianField.rbf(0.7, 2.0),
    "long tails": GaussianField.rational_quadratic(0.3, 1.5, 0.2),
    "moderate": GaussianField.rational_quadratic(1.0),
    "nearly rbf": GaussianField.rational_quadratic(500.0),
    "bare": GaussianField(3.0, -0.2, 0.5),
}
MIXED = [name for name in FIELDS if name != "rbf"]


def semicircle_mean(function, points=()):
    """Integrate over the semicircle of radius 1, in its angle."""
    corners = [float(np.arccos(-x)) for x in points if abs(x) < 1]
    return quad(
        lambda x: function(-np.cos(x)) * 2 / pi * np.sin(x) ** 2,
        0.0,
        pi,
        points=corners or None,
        epsabs=1e-12,
        epsrel=1e-12,
        limit=400,
    )[0]


def derivatives(field, size):
    """Return the exact covariance of phi and its second derivatives at a point.

    Of the kernel n C(s) only terms up to s**2 matter, quartic in x and y, and these differences of
    step 1 are exact for those.
    """

    def kernel(x, y):
        s = ((x - y) ** 2).sum() / size
        return size * (field.variance + field.slope * s + field.curvature * s**2 / 2)

    def covariance(one, other):
        return sum(a * b * kernel(x, y) for x, a in one for y, b in other)

    unit = np.eye(size)

    def second(i, j):
        if i == j:
            return [(k * unit[i], w / 12) for k, w in enumerate((-1, 16, -30, 16, -1), -2)]
        return [(a * unit[i] + b * unit[j], a * b / 4) for a in (1, -1) for b in (1, -1)]

    first = [(k * unit[0], w / 12) for k, w in ((-2, 1), (-1, -8), (1, 8), (2, -1))]
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    parts = [[(0 * unit[0], 1.0)], *(second(i, j) for i, j in pairs)]
    rows = [[covariance(p, q) for q in parts] for p in parts]
    return pairs, np.array(rows), covariance(first, first)


@pytest.mark.parametrize("alpha", [1e-300, 1e-12, 1e-3, 0.2, 0.5 - 1e-9, 0.5, 0.7, 1 - 1e-9])
def test_index_is_the_fraction_of_the_semicircle_that_is_negative(alpha):
    field = GaussianField.rbf()
    u = field.energy_at_index(alpha) / 2
    with mpmath.workdps(300):  # the fraction below -cos(x / 2) is (x - sin x) / (2 pi)
        low = min(mpmath.mpf(alpha), 1 - mpmath.mpf(alpha))
        start = mpmath.cbrt(12 * mpmath.pi * low)
        x = mpmath.findroot(lambda x: x - mpmath.sin(x) - 2 * mpmath.pi * low, (start, 1.1 * start))
        exact = float(mpmath.cos(x / 2)) * (1 if alpha > 0.5 else -1)
    assert u == pytest.approx(exact, abs=4e-16)
    assert field.index_at_energy(2 * u) == pytest.approx(alpha, abs=4e-16)


def test_index_of_a_shift_is_an_integral_and_relative_at_the_edge():
    field = GaussianField.rbf()
    for u in (-0.99, -0.5, 0.1, 0.8):
        below = semicircle_mean(lambda x, u=u: float(x < u), [u])
        assert field.index_at_energy(2 * u) == pytest.approx(below, abs=1e-11)
    v = 2.0 ** -np.arange(4.0, 50.0)  # 1 + u, exact
    series = 4 * np.sqrt(2) / (3 * pi) * v**1.5 * (1 - 3 * v / 20 - 3 * v**2 / 224)
    np.testing.assert_allclose(
        field.index_at_energy(2 * (v - 1)), series, rtol=4e-16, atol=v[0] ** 5
    )
    assert field.index_at_energy([-9.0, -2.0, 2.0, 9.0]).tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("name", FIELDS)
def test_complexity_is_kac_rice_with_the_mean_log_determinant(name):
    field = FIELDS[name]
    radius = 4 * sqrt(field.curvature)
    for u in (-0.9, -0.2, 0.0, 0.6):
        mean_log = log(radius) + semicircle_mean(lambda x, u=u: log(abs(x - u)), [u])
        value = -0.5 * log(4 * pi * -field.slope) + mean_log - 2 * u**2
        alpha = GaussianField.rbf().index_at_energy(2 * u)
        assert field.complexity(index=alpha) == pytest.approx(value, abs=1e-11)
        energy = field.energy_at_index(alpha)
        assert field.complexity(energy=energy, index=alpha) == pytest.approx(value, abs=1e-11)


@pytest.mark.parametrize("name", MIXED)
def test_curves_and_marginals_are_the_optima_of_both_together(name):
    field = FIELDS[name]
    unit = sqrt(field.variance)
    for alpha in (0.003, 0.4, 0.93):
        best = minimize_scalar(
            lambda e, a=alpha: -field.complexity(energy=e, index=a),
            bracket=(-3 * unit, 3 * unit),
            tol=1e-9,
        )
        assert field.complexity(index=alpha) == pytest.approx(-best.fun, abs=1e-13)
        assert field.energy_at_index(alpha) == pytest.approx(best.x, abs=1e-6 * unit)
    for e in (-1.9, -0.4, 0.0, 1.2):
        best = minimize_scalar(
            lambda a, e=e: -field.complexity(energy=e * unit, index=a),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert field.complexity(energy=e * unit) == pytest.approx(-best.fun, abs=1e-13)
        assert field.index_at_energy(e * unit) == pytest.approx(best.x, abs=1e-6)
    alphas = np.linspace(0.0, 1.0, 101)
    assert (
        field.complexity(index=alphas).max() == field.complexity() == field.complexity(energy=0.0)
    )


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("side", [-1, 1])
def test_far_energies_are_minima_or_maxima_with_the_best_shift_beyond_the_edge(name, side):
    field = FIELDS[name]
    unit, root = sqrt(field.variance), -field.slope / sqrt(field.variance * field.curvature)
    gap = 1 - field.rho
    edge = (1 + field.rho) / root
    index = float(side > 0)
    for e in edge * np.array([1 + 1e-12, 1.1, 2.0]):

        def exponent(u, e=e):
            mean_log = semicircle_mean(lambda x: log(u - x))
            spread = (e - 2 * root * u) ** 2 / (2 * gap) if gap else 0.0
            return mean_log - 2 * u**2 - spread

        if gap:  # u = cosh(x), and its square is flat at the edge
            far = {"bounds": (0.0, 5.0), "method": "bounded", "options": {"xatol": 1e-8}}
            value = -minimize_scalar(lambda x: -exponent(np.cosh(x)), **far).fun
        else:
            value = exponent(e / 2)
        value += log(4 * sqrt(field.curvature)) - 0.5 * log(4 * pi * -field.slope)
        found = field.complexity(energy=side * e * unit)
        assert found == pytest.approx(value, abs=1e-10)
        assert field.complexity(energy=side * e * unit, index=index) == found
        assert field.complexity(energy=side * e * unit, index=1 - index) < found - 1
        assert field.index_at_energy(side * e * unit) == index


@pytest.mark.parametrize("name", FIELDS)
def test_joint_complexity_of_minima_is_continuous_in_energy(name):
    field = FIELDS[name]
    edge = -(2 - (1 - field.rho)) * sqrt(field.variance) / sqrt(field.rho)
    near = edge * (1 + np.array([-1e-13, 1e-13]))
    below, above = field.complexity(energy=near, index=0.0)
    assert below == pytest.approx(above, abs=1e-10)
    assert np.all(np.diff(field.complexity(energy=edge * np.array([3.0, 2.0, 1.0]), index=0)) > 0)


@pytest.mark.parametrize("name", ["moderate", "rbf"])
def test_exact_counts_at_finite_size_approach_it_like_log_n_over_n(name):
    field = FIELDS[name]
    unit, root = sqrt(field.variance), sqrt(field.rho)
    energies = np.array([0.0, 0.9, -1.7, 2.5] if name == "rbf" else [0.0, 0.9, -1.2, 2.9])
    shift = np.array([0.0, -0.5, 0.8])
    index = GaussianField.rbf().index_at_energy(2 * shift)
    off = []
    for n in SIZES:
        y, step, determinant = shifts(n)
        law = log_field_density(field, n, y, determinant)
        rows = [field.log_mean_count(n) - n * field.complexity()]
        edge = -shift * np.sqrt(2 * n)
        at = log_field_density(field, n, edge, log_mean_determinant(n, edge))
        rows += list(at - n * field.complexity(index=index))
        if field.rho < 1:  # e given y: normal of mean -2 root y / sqrt(2 n), variance (1-rho)/n
            for e in energies:
                given = -n * (e + 2 * root * y / np.sqrt(2 * n)) ** 2 / (2 * (1 - field.rho))
                rows.append(log_sum(law + given, step) - n * field.complexity(energy=e * unit))
        else:
            edge = -energies / 2 * np.sqrt(2 * n)
            at = log_field_density(field, n, edge, log_mean_determinant(n, edge))
            rows += list(at - n * field.complexity(energy=energies * unit))
        off.append(rows)
    assert np.all(np.abs(wrong_exponent(off)) < 2e-5)


def test_finite_counts_are_those_of_one_and_two_dimensions():
    field = FIELDS["bare"]
    for n, exact in (
        (1, sqrt(6 * field.curvature / -field.slope) / pi),  # Rice (1945)
        (2, 2 * field.curvature / (sqrt(3) * pi * -field.slope)),
    ):
        assert exp(field.log_mean_count(n)) == pytest.approx(exact, rel=1e-12)


def test_conditional_law_of_the_hessian_is_that_of_the_kernel():
    field, size = FIELDS["bare"], 3
    pairs, cov, slope = derivatives(field, size)
    c0, c1, c2 = field.variance, field.slope, field.curvature
    assert slope == pytest.approx(-2 * c1, rel=1e-14)
    assert cov[0, 0] == pytest.approx(size * c0, rel=1e-14)
    for k, (i, j) in enumerate(pairs, 1):
        assert cov[0, k] == pytest.approx(2 * c1 * (i == j), abs=1e-13)
        for m, (a, b) in enumerate(pairs, 1):
            same = (i == j) * (a == b) + (i == a) * (j == b) + (i == b) * (j == a)
            assert cov[k, m] == pytest.approx(4 * c2 / size * same, abs=1e-13)
    # energy given the Hessian
    weights = np.linalg.solve(cov[1:, 1:], cov[1:, 0]) / size
    trace = np.array([float(i == j) for i, j in pairs])
    np.testing.assert_allclose(weights, c1 / (2 * c2 * (size + 2)) * trace, atol=1e-14)
    variance = cov[0, 0] / size**2 - weights @ cov[1:, 0] / size
    assert variance == pytest.approx(c0 / size * (1 - field.rho * size / (size + 2)), rel=1e-13)


def test_sampled_determinants_give_the_exact_count_and_indices_in_two_dimensions():
    field, draws = FIELDS["moderate"], 40_000
    pairs, cov, slope = derivatives(field, 2)
    random = np.random.default_rng(5)
    sample = random.multivariate_normal(np.zeros(len(cov)), cov, draws, method="cholesky")
    hessian = np.empty((draws, 2, 2))
    for k, (i, j) in enumerate(pairs, 1):
        hessian[:, i, j] = hessian[:, j, i] = sample[:, k]
    weight = np.abs(np.linalg.det(hessian)) / (2 * pi * slope)
    index = (np.linalg.eigvalsh(hessian) < 0).sum(axis=1)
    exact = 2 * field.curvature / (sqrt(3) * pi * -field.slope)
    for chosen, part in ((index >= 0, 1.0), (index == 0, 0.25), (index == 1, 0.5)):
        count = weight * chosen
        error = count.std() / sqrt(draws)
        assert abs(count.mean() - part * exact) < 4 * error
        assert error < 0.02 * exact


@pytest.mark.parametrize("name", FIELDS)
def test_extremes_have_the_mean_euler_characteristic(name):
    """Far out all are minima, so that their number is the topology of what lies below.

    Its mean is known at any size, from C(0) and C'(0) alone (Adler and Taylor, 2007): the density
    in the standardised energy x is (slope / (2 pi))**(n/2) He_n(x) exp(-x**2 / 2) / sqrt(2 pi).
    """
    field = FIELDS[name]
    e = (1 + field.rho) / sqrt(field.rho) * np.array([1.3, 1.6, 3.0])
    off = []
    for n in SIZES:
        x, last, now, grown = e * sqrt(n), np.ones_like(e), e * sqrt(n), 0.0
        for k in range(1, n):
            last, now = now, x * now - k * last
            scale = np.abs(now)
            last, now, grown = last / scale, now / scale, grown + np.log(scale)
        slope = -2 * field.slope / (n * field.variance)
        exact = grown - x**2 / 2 + 0.5 * n * log(slope / (2 * pi))
        off.append(exact - n * field.complexity(energy=e * sqrt(field.variance)))
    assert np.all(np.abs(wrong_exponent(off)) < 2e-5)


@pytest.mark.parametrize("shape", [0.2, 1.0, 7.0, inf])
def test_kernels_have_their_derivatives(shape):
    length, variance = 0.6, 1.7
    if shape == inf:
        field = GaussianField.rbf(length, variance)
        assert field.rho == 1.0
    else:
        field = GaussianField.rational_quadratic(shape, length, variance)
        assert field.rho == pytest.approx(shape / (shape + 1), rel=1e-15)

    def kernel(s):
        x = s / (2 * mpmath.mpf(length) ** 2)
        mixed = mpmath.exp(-x) if shape == inf else (1 + x / shape) ** -mpmath.mpf(shape)
        return mpmath.mpf(variance) * mixed

    found = (field.variance, field.slope, field.curvature)
    for order, value in enumerate(found):
        assert value == pytest.approx(float(mpmath.diff(kernel, 0, order)), rel=1e-12)
    assert GaussianField(*found).rho == pytest.approx(field.rho, rel=1e-14)
    assert GaussianField(*found) == field


@settings(max_examples=40)
@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e3), st.floats(-6.0, 6.0), st.floats(0.0, 1.0))
def test_parts_are_below_the_whole_and_minima_mirror_maxima(shape, length, e, alpha):
    field = GaussianField.rational_quadratic(shape, length, 3.0)
    energy = e * sqrt(3.0)
    both = field.complexity(energy=energy, index=alpha)
    parts = field.complexity(energy=energy), field.complexity(index=alpha)
    slack = 1e-12 * (1 + abs(field.complexity()) + e**2)
    assert both <= min(parts) + slack
    assert max(parts) <= field.complexity() + slack
    assert field.complexity(energy=-energy) == parts[0]
    assert field.index_at_energy(-energy) == pytest.approx(1 - field.index_at_energy(energy))
    mirror = 1 - alpha
    assert field.energy_at_index(mirror) == pytest.approx(
        -field.energy_at_index(1 - mirror), abs=1e-14
    )
    # lengths scale the volume, variances the energies, and nothing else
    other = GaussianField.rational_quadratic(shape)
    assert other.index_at_energy(e) == pytest.approx(field.index_at_energy(energy), abs=1e-12)
    shift = other.complexity(energy=e) - parts[0]
    assert shift == pytest.approx(np.log(length), abs=slack)


def test_mixtures_of_one_length_are_the_rbf():
    rbf, mixed = GaussianField.rbf(2.0), GaussianField.rational_quadratic(1e20, 2.0)
    assert mixed == rbf
    assert mixed.rho == 1.0
    near = GaussianField.rational_quadratic(1e9, 2.0)
    for arguments in ({}, {"energy": -1.5}, {"energy": -3.0}, {"index": 0.1}):
        assert near.complexity(**arguments) == pytest.approx(rbf.complexity(**arguments), abs=1e-8)


def test_joint_complexity_of_the_rbf_lives_on_one_line():
    field = FIELDS["rbf"]
    alpha = np.concatenate(
        [[0.0, 1.0], np.geomspace(1e-300, 1.0, 200), 1 - np.geomspace(1e-16, 0.5)]
    )
    line = field.energy_at_index(alpha)
    np.testing.assert_array_equal(
        field.complexity(energy=line, index=alpha), field.complexity(index=alpha)
    )
    back = field.index_at_energy(line)
    assert np.all(np.isfinite(field.complexity(energy=line, index=back)))
    assert field.complexity(energy=line[5] + 1e-6, index=alpha[5]) == -inf
    assert field.complexity(energy=-9.0, index=1e-9) == -inf
    assert field.complexity(energy=9.0, index=0.0) == -inf
    assert field.complexity(energy=-9.0, index=0.0) == field.complexity(energy=-9.0)


def test_shapes_broadcast_scalars_stay_scalars_and_ends_are_finite():
    field = FIELDS["moderate"]
    both = field.complexity(energy=np.zeros((3, 1)), index=[0.1, 0.9])
    assert both.shape == (3, 2)
    assert field.complexity(energy=[]).shape == (0,)
    for value in (
        field.complexity(),
        field.complexity(energy=1),
        field.complexity(index=1),
        field.energy_at_index(0.5),
        field.index_at_energy(0),
    ):
        assert isinstance(value, float)
    assert isinstance(mf.landscape.GaussianField(1, -1, 1).rho, float)
    ends = GaussianField(1e-150, -1e-150, 1e150)
    assert ends.index_at_energy(1e100) == 1.0
    assert ends.complexity(energy=1e100) == -inf
    assert repr(field) == "GaussianField(1.0, -0.5, 0.5)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: GaussianField(0.0, -1, 1), r"variance must be in \[1e-150, 1e150\], got 0\.0"),
        (lambda f: GaussianField(1, 0.0, 1), r"slope must be in \[-1e150, -1e-150\], got 0\.0"),
        (lambda f: GaussianField(1, 0.5, 1), r"slope must be in \[-1e150, -1e-150\], got 0\.5"),
        (lambda f: GaussianField(1, -1, -1), r"curvature must be in \[1e-250, 1e250\], got -1"),
        (lambda f: GaussianField(1, -1, np.nan), r"curvature must be in .* got nan"),
        (
            lambda f: GaussianField(1.0, -2.0, 3.0),
            r"curvature must be >= slope\*\*2 / variance, got 3\.0 with slope = -2\.0 and variance",
        ),
        (lambda f: GaussianField.rbf(0.0), r"length must be in \[1e-12, 1e12\], got 0\.0"),
        (lambda f: GaussianField.rbf(1.0, -1.0), r"variance must be in .* got -1\.0"),
        (lambda f: GaussianField.rational_quadratic(0), r"shape must be in \[1e-50, .* got 0"),
        (lambda f: f.energy_at_index(1.1), r"alpha must be in \[0, 1\], got 1\.1"),
        (lambda f: f.index_at_energy([0.0, np.inf]), r"energy must be finite .* inf at index 1"),
        (lambda f: f.index_at_energy(2e100), r"energy must be .* \[-1e100, 1e100\], got 2e\+100$"),
        (lambda f: f.complexity(index=-0.1), r"index must be in \[0, 1\], got -0\.1"),
        (lambda f: f.complexity(energy=np.nan), r"energy must be finite .* got nan"),
        (lambda f: f.log_mean_count(0), r"dimension must be an integer in \[1, 400\], got 0"),
        (lambda f: f.complexity(energy=[1, 2], index=[0.1] * 3), "energy and index must have sha"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call(FIELDS["moderate"])
