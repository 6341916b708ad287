"""The spherical p-spin model: against quadrature, random matrices and every critical point."""

from itertools import combinations_with_replacement, permutations
from math import inf, log, pi, sqrt

import mpmath
import numpy as np
import pytest
from goe import (
    SIZES,
    density,
    log_mean_determinant,
    spin_mean_count,
    spin_mean_square,
    wrong_exponent,
)
from scipy.integrate import quad
from scipy.special import gammaln

from meanfree.landscape import PSpin


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
    for p in (2, 3, 4, 7):
        assert spin_mean_count(p, 2) == pytest.approx(2 * sqrt(3 * p - 2), rel=1e-12)
    for n in (2, 3, 8, 25):  # eigenvectors, both signs
        assert spin_mean_count(2, n) == pytest.approx(2 * n, rel=1e-12)


def test_exact_counts_at_finite_size_approach_the_complexity():
    model = PSpin(3)
    energies = np.array([-2.0, -1.8, -1.3, -0.6, -0.1])
    far = np.array([1.1, 1.2])
    total, at_energy, tails = [], [], []
    for n in SIZES:
        total.append(log(spin_mean_count(3, n)) - n * model.complexity(0.0))
        y = energies * sqrt(3 * n / 4)
        area = 0.5 * n * log(pi) - gammaln(n / 2) + 0.5 * (n - 1) * log(2 / pi)
        exact = area + log_mean_determinant(n - 1, y) - n * energies**2 / 2
        at_energy.append(exact - n * model.complexity(energies))
        tail = np.log(density(n, far * sqrt(2 * n)))
        tails.append(tail + n * np.array([rate(z) for z in far]))
    assert abs(wrong_exponent(total)) < 2e-5
    assert np.all(np.abs(wrong_exponent(at_energy)) < 2e-5)
    # k more eigenvalues beyond the edge cost k times what one does
    assert np.all(np.abs(wrong_exponent(tails)) < 2e-5)


def roots(tensor, attempt):
    """Return all 2**n solutions (x0, x) of tensor x x = x0 x, complex too, one in a row.

    They are in the null space of the Macaulay matrix, in coordinates without a preferred infinity.
    """
    n = len(tensor)
    turn = np.linalg.qr(np.random.default_rng(attempt).standard_normal((n + 1, n + 1)))[0]
    forms = np.zeros((n, n + 1, n + 1))
    forms[:, 1:, 1:] = tensor
    forms[np.arange(n), 0, 1 + np.arange(n)] = -1.0
    forms = turn @ forms @ turn.T
    terms, low, shifts = (
        list(combinations_with_replacement(range(n + 1), degree)) for degree in (n + 1, n, n - 1)
    )
    where = {term: k for k, term in enumerate(terms)}
    rows = np.zeros((n, len(shifts), len(terms)))
    for k, shift in enumerate(shifts):
        for a in range(n + 1):
            for b in range(n + 1):
                rows[:, k, where[tuple(sorted((*shift, a, b)))]] += forms[:, a, b]
    null = np.linalg.svd(rows.reshape(-1, len(terms)))[2][-(2**n) :].T
    times = [null[[where[tuple(sorted((*term, a)))] for term in low]] for a in range(n + 1)]
    vectors = np.linalg.eig(np.linalg.lstsq(times[0], times[1])[0])[1]
    first = [where[(0,) * n + (a,)] for a in range(n + 1)]
    return (null[first] @ vectors).T @ turn


def eigenvectors(tensor):
    """Return every unit v and its value, with tensor v v = value v, complex too: 2**n - 1."""
    n = len(tensor)
    for attempt in range(10):  # two that are close may be mixed up in some coordinates
        found = roots(tensor, attempt)
        size = np.linalg.norm(found[:, 1:], axis=1)
        last = np.argsort(size / np.abs(found[:, 0]))[1:]  # the first is x = 0
        value, start = (found[last, 0] / size[last]), found[last, 1:] / size[last, None]
        v = start
        for _ in range(30):  # Newton's method, with start^H v = 1
            image = np.einsum("iab,ka,kb->ki", tensor, v, v) - value[:, None] * v
            slope = np.zeros((len(v), n + 1, n + 1), dtype=complex)
            slope[:, :n, :n] = 2 * np.einsum("iab,kb->kia", tensor, v)
            slope[:, :n, :n] -= value[:, None, None] * np.eye(n)
            slope[:, :n, n], slope[:, n, :n] = -v, start.conj()
            right = np.concatenate([image, np.zeros((len(v), 1))], axis=1)
            step = np.linalg.solve(slope, right[..., None])[..., 0]
            v, value = v - step[:, :n], value - step[:, n]
            if np.abs(step).max() < 1e-14:
                break
        x = v / value[:, None]
        x /= np.linalg.norm(x, axis=1)[:, None]
        image = np.einsum("iab,ka,kb->ki", tensor, x, x)
        value = (image * x.conj()).sum(axis=1)
        gaps = np.abs(x[:, None] - x).max(axis=2) + np.eye(len(x))
        if np.abs(image - value[:, None] * x).max() < 1e-12 and gaps.min() > 1e-7:
            return x, value
    raise AssertionError


def spins(random, n):
    """Return energies and indices of all critical points on the sphere for p = 3."""
    coupling = random.standard_normal((n, n, n))
    tensor = sum(coupling.transpose(order) for order in permutations(range(3))) / 6
    v, value = eigenvectors(tensor)
    real = np.abs(v.imag).max(axis=1) < 1e-8
    v, value, index = v[real].real, value[real].real, []
    for unit, lam in zip(v, value, strict=True):
        tangent = np.linalg.svd(unit[None])[2][1:]
        hessian = 6 * tangent @ (tensor @ unit) @ tangent.T - 3 * lam * np.eye(n - 1)
        index.append(int((np.linalg.eigvalsh(hessian) < 0).sum()))
    index = np.array(index)
    return np.concatenate([value, -value]) / sqrt(n), np.concatenate([index, n - 1 - index])


def compare(n, draws, seed):
    random = np.random.default_rng(seed)
    counts, squares = np.empty((2, draws))
    for k in range(draws):
        energy, index = spins(random, n)
        assert np.sum((-1.0) ** index) == 1 + (-1) ** (n - 1)  # Euler characteristic of the sphere
        assert 2 <= energy.size <= 2 * (2**n - 1)
        assert energy.size % 4 == 2  # complex ones come in pairs
        counts[k], squares[k] = energy.size, np.sum(energy**2)
        assert np.sum(index == 0) >= 1
    exact = spin_mean_count(3, n), spin_mean_square(3, n)
    for found, mean in zip((counts, squares), exact, strict=True):
        error = found.std(ddof=1) / sqrt(draws)
        assert abs(found.mean() - mean) < 4 * error


def test_all_critical_points_of_small_models_are_as_many_as_kac_rice_says():
    compare(3, 60, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "draws"), [(2, 3000), (3, 2000), (4, 1000)])
def test_all_critical_points_of_many_small_models_are_as_many_as_kac_rice_says(n, draws):
    compare(n, draws, n)


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
