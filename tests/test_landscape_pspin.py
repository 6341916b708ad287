"""The spherical p-spin model: against quadrature, many digits and random matrices."""

from math import exp, inf, log, pi, sqrt

import mpmath
import numpy as np
import pytest
from goe import SIZES, log_spin_density, wrong_exponent
from scipy.integrate import quad

from meanfree.landscape import PSpin
from meanfree.landscape._goe import density


def rate(z):
    """Return the cost of an eigenvalue at z > 1 edges, as an integral."""
    return quad(lambda t: 2 * sqrt((t - 1) * (t + 1)), 1.0, z, epsabs=1e-14)[0]


@pytest.mark.parametrize(
    ("p", "threshold", "ground"),
    [
        (3, -1.6329931619, [-1.6569983635, -1.6528731981, -1.6502531274]),
        (4, -1.7320508076, [-1.7940850282, -1.7833003013]),
        (2, -sqrt(2.0), [-sqrt(2.0)] * 3),
    ],
)
def test_known_energies(p, threshold, ground):
    model = PSpin(p)
    assert model.threshold_energy == pytest.approx(threshold, abs=6e-11)
    assert [model.ground_energy(k) for k in range(len(ground))] == pytest.approx(ground, abs=6e-11)


@pytest.mark.parametrize("p", [3, 5, 40, 10**6])
@pytest.mark.parametrize("k", [0, 1, 30, 10**6])
def test_lowest_energies_are_the_zeros_in_many_digits(p, k):
    with mpmath.workdps(40):
        edge = 2 * mpmath.sqrt(mpmath.mpf(p - 1) / p)

        def theta(u):
            z = u / edge
            cost = z * mpmath.sqrt(z**2 - 1) - mpmath.acosh(z)
            base = mpmath.log(p - 1) / 2 - mpmath.mpf(p - 2) / (4 * (p - 1)) * u**2
            return base - (k + 1) * cost

        root = mpmath.findroot(theta, (edge, edge * 4), solver="anderson", tol=1e-50)
    model = PSpin(p)
    assert model.ground_energy(k) == pytest.approx(-float(root), rel=4e-16)
    assert abs(model.complexity(model.ground_energy(k), k=k)) < 1e-13 * (k + 1) ** 0.5


@pytest.mark.parametrize("p", [2, 3, 4, 9])
def test_complexity_is_kac_rice_on_the_sphere(p):
    """Area, density of the gradient at 0, mean log determinant, law of the energy."""
    model = PSpin(p)
    edge, top = -model.threshold_energy, 2 * sqrt(p * (p - 1))
    for u in (0.0, -0.6, -1.3, -1.02 * edge, -1.5 * edge):
        mean_log = quad(
            lambda x, u=u: 2 / pi * np.sin(x) ** 2 * log(abs(-top * np.cos(x) - p * u)),
            0.0,
            pi,
            points=[float(np.arccos(min(max(-p * u / top, -1.0), 1.0)))],
            epsabs=1e-12,
            limit=400,
        )[0]
        value = 0.5 * log(2 * pi * np.e) - 0.5 * log(2 * pi * p) + mean_log - u**2 / 2
        assert model.complexity(u) == pytest.approx(value, abs=2e-11)
        if -u > edge:
            assert model.complexity(u, k=0) == model.complexity(u)
            cost = rate(-u / edge)
            for k in (1, 7):
                value = model.complexity(u) - k * cost
                assert model.complexity(u, k=k) == pytest.approx(value, abs=1e-12)


def test_complexity_rises_to_the_energy_where_the_points_are():
    model = PSpin(5)
    energy = np.linspace(-3.0, 2.0, 501)
    total = model.complexity(energy)
    assert np.all(np.diff(total[energy <= 0.0]) > 0)
    assert np.all(total[energy >= 0.0] == model.complexity(0.0))
    assert model.complexity(0.0) == pytest.approx(log(4) / 2, rel=1e-15)
    few = np.array([model.complexity(energy, k=k) for k in range(4)])
    above = energy >= model.threshold_energy
    assert np.all(few[:, above] == few[0, -1])
    assert few[0, -1] == pytest.approx(model.complexity(model.threshold_energy), rel=1e-14)
    assert np.all(np.diff(few[:, ~above], axis=0) < 0)
    lows = [model.ground_energy(k) for k in (0, 1, 2, 3, 1000, 2**31 - 1)]
    assert np.all(np.diff(lows) > 0)
    assert lows[-1] == pytest.approx(model.threshold_energy, abs=1e-6)


def test_index_is_the_fraction_of_the_hessian_below_zero():
    p = 3
    model, random = PSpin(p), np.random.default_rng(3)
    size = 600
    half = random.standard_normal((size, size))
    values = np.linalg.eigvalsh((half + half.T) * sqrt(p * (p - 1) / (2 * size)))
    for u in (-1.5, -0.7, 0.3, 1.2):
        below = np.mean(values - p * u < 0)
        # eigenvalues are rigid: a count is off by about the root of log(size)
        assert 1 - model.index_at_energy(-u) == pytest.approx(below, abs=4 / size)
        assert model.index_at_energy(u) == pytest.approx(below, abs=4 / size)
    edge = model.threshold_energy
    assert model.index_at_energy([-1e100, edge, 0.0, -edge]).tolist() == [0.0, 0.0, 0.5, 1.0]


def test_mean_counts_at_finite_size_are_known_where_a_formula_is():
    for p in (2, 3, 4, 7):  # the mean number of zeros of a random wave (Rice, 1945)
        assert exp(PSpin(p).log_mean_count(2)) == pytest.approx(2 * sqrt(3 * p - 2), rel=1e-12)
    for n in (2, 3, 8, 25, 400):  # eigenvectors, both signs
        assert exp(PSpin(2).log_mean_count(n)) == pytest.approx(2 * n, rel=1e-12)


def test_exact_counts_at_finite_size_approach_the_complexity():
    model = PSpin(3)
    energies = np.array([-2.0, -1.8, -1.3, -0.6, -0.1])
    far = np.array([1.1, 1.2])
    total, at_energy, tails = [], [], []
    for n in SIZES:
        total.append(model.log_mean_count(n) - n * model.complexity(0.0))
        at_energy.append(log_spin_density(3, n, energies) - n * model.complexity(energies))
        tail = np.log(density(n, far * sqrt(2 * n)))
        tails.append(tail + n * np.array([rate(z) for z in far]))
    assert abs(wrong_exponent(total)) < 2e-5
    assert np.all(np.abs(wrong_exponent(at_energy)) < 2e-5)
    # k more eigenvalues beyond the edge cost k times what one does
    assert np.all(np.abs(wrong_exponent(tails)) < 2e-5)


def test_shapes_are_kept_and_scalars_stay_scalars():
    model = PSpin(3)
    assert model.complexity(np.zeros((2, 3))).shape == (2, 3)
    assert model.complexity([], k=2).shape == (0,)
    for value in (
        model.threshold_energy,
        model.ground_energy(),
        model.complexity(-1),
        model.complexity(1, k=0),
        model.index_at_energy(0),
    ):
        assert isinstance(value, float)
    assert repr(model) == "PSpin(3)"
    assert model == PSpin(np.int64(3))
    assert model.complexity(-1e100) < -1e199


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: PSpin(1), ValueError, r"p must be an integer in \[2, 2\*\*31 - 1\], got 1"),
        (lambda: PSpin(3.0), TypeError, r"p must be an integer in .* got 3\.0"),
        (lambda: PSpin(3).ground_energy(-1), ValueError, "k must be an integer in .* got -1"),
        (lambda: PSpin(3).complexity(-1.0, k=-2), ValueError, "k must be an integer .* got -2"),
        (lambda: PSpin(3).complexity(-1.0, k=0.5), TypeError, r"k must be an integer .* got 0\.5"),
        (lambda: PSpin(3).complexity(inf), ValueError, "energy must be finite .* got inf"),
        (lambda: PSpin(3).index_at_energy("a"), TypeError, "energy must be a number .* got 'a'"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
