"""All critical points of small p-spin models: none missed, as many as expected, topology."""

from math import exp, sqrt

import numpy as np
import pytest
from goe import log_spin_density

from meanfree.landscape import PSpin

SIZES = [(3, 2), (3, 3), (3, 4), (4, 2), (4, 3), (5, 3), (6, 2)]
SIZES += [pytest.param(*size, marks=pytest.mark.slow) for size in ((3, 5), (4, 4))]


def contract(tensor, v, times):
    for _ in range(times):
        tensor = tensor @ v
    return tensor


def mean_square(p, n):
    """Return the exact mean of the sum of squared energies over the critical points."""
    u = np.linspace(-4.0, 4.0, 4001)
    return np.sum(np.exp(log_spin_density(p, n, u)) * u**2) * (u[1] - u[0])


@pytest.mark.parametrize(("p", "n"), SIZES)
def test_points_are_critical_with_their_energy_and_index(p, n):
    found = PSpin(p).enumerate(n, seed=3)
    np.testing.assert_allclose(np.sum(found.points**2, axis=1), n, rtol=1e-14)
    assert np.all(np.diff(found.energy) >= 0)
    scale = n ** (-(p - 1) / 2)
    for x, energy, index in zip(found.points, found.energy, found.index, strict=True):
        assert scale * contract(found.couplings, x, p) / n == pytest.approx(energy, abs=1e-13)
        gradient = p * scale * contract(found.couplings, x, p - 1)
        assert np.abs(gradient - p * energy * x).max() < 1e-12
        across = np.linalg.qr(np.column_stack([x, np.eye(n)[:, :-1]]))[0][:, 1:]
        curvature = p * (p - 1) * scale * contract(found.couplings, x, p - 2)
        hessian = across.T @ (curvature - p * energy * np.eye(n)) @ across
        assert np.sum(np.linalg.eigvalsh(hessian) < 0) == index


@pytest.mark.parametrize(("p", "n"), SIZES)
def test_indices_add_up_to_the_topology_of_the_sphere(p, n):
    for seed in range(3):
        found = PSpin(p).enumerate(n, seed=seed)
        assert np.sum((-1) ** found.index) == 1 + (-1) ** (n - 1)
        assert found.energy.size <= 2 * ((p - 1) ** n - 1) // (p - 2)
        assert found.index[0] == 0
        assert found.index[-1] == n - 1
        opposite = found.points[:, None] + found.points
        assert np.all(np.abs(opposite).max(axis=2).min(axis=1) < 1e-12)


@pytest.mark.parametrize("p", [3, 4, 6])
def test_on_a_circle_they_are_the_zeros_of_a_wave(p):
    angle = 2 * np.pi * np.arange(2 * p + 1) / (2 * p + 1)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    for seed in range(10):
        found = PSpin(p).enumerate(2, seed=seed)
        wave = np.fft.fft([contract(found.couplings, v, p) for v in circle])
        frequency = np.fft.fftfreq(angle.size, 1 / angle.size)
        slope = np.fft.fftshift(1j * frequency * wave)
        zeros = np.roots(slope[::-1])
        exact = np.sort(np.angle(zeros[np.abs(np.abs(zeros) - 1) < 1e-6]))
        mine = np.sort(np.arctan2(found.points[:, 1], found.points[:, 0]))
        assert mine.size == exact.size
        np.testing.assert_allclose(np.exp(1j * mine), np.exp(1j * exact), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("p", "n"), [(3, 4), (5, 3)])
def test_no_start_of_newtons_method_finds_another(p, n):
    found = PSpin(p).enumerate(n, seed=8)
    random, n_found = np.random.default_rng(0), set()
    known = found.points / sqrt(n)
    for start in random.standard_normal((300, n)):
        v = start / np.linalg.norm(start)
        for _ in range(40):
            once = contract(found.couplings, v, p - 2)
            value = v @ once @ v
            system = np.block([[(p - 1) * once - value * np.eye(n), -v[:, None]], [v, np.zeros(1)]])
            v = v - np.linalg.solve(system, np.append(once @ v - value * v, 0.0))[:n]
            v /= np.linalg.norm(v)
        off = contract(found.couplings, v, p - 1)
        if np.linalg.norm(off - (off @ v) * v) < 1e-12:
            distance = np.abs(known - v).max(axis=1)
            assert distance.min() < 1e-9
            n_found.add(int(distance.argmin()))
    assert len(n_found) > 0.8 * len(known)


def compare(p, n, draws):
    """Compare count and sum of squared energies with their exact means."""
    model = PSpin(p)
    counts, squares = np.empty((2, draws))
    for k in range(draws):
        energy = model.enumerate(n, seed=1000 * n + k).energy
        counts[k], squares[k] = energy.size, np.sum(energy**2)
    for found, mean in ((counts, exp(model.log_mean_count(n))), (squares, mean_square(p, n))):
        error = found.std(ddof=1) / sqrt(draws)
        assert abs(found.mean() - mean) < 4 * error
        assert error < 0.1 * mean


def test_all_critical_points_of_small_models_are_as_many_as_kac_rice_says():
    compare(3, 3, 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("p", "n", "draws"), [(3, 2, 4000), (3, 3, 3000), (3, 4, 1500), (4, 3, 800), (5, 2, 2000)]
)
def test_all_critical_points_of_many_small_models_are_as_many_as_kac_rice_says(p, n, draws):
    compare(p, n, draws)


def test_in_degree_two_they_are_eigenvectors():
    found = PSpin(2).enumerate(30, seed=2)
    values = np.linalg.eigvalsh(found.couplings) / sqrt(30)
    np.testing.assert_allclose(found.energy, np.repeat(values, 2), rtol=1e-12)
    assert found.index.tolist() == np.repeat(np.arange(30), 2).tolist()


def test_seeds_repeat_and_differ():
    one, again, other = (PSpin(3).enumerate(3, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(one.points, again.points)
    assert not np.array_equal(one.couplings, other.couplings)
    assert (one.seed, one.index.dtype, one.points.shape[1]) == (5, np.int64, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: PSpin(7).enumerate(2),
            ValueError,
            r"p must be an integer in \[2, 6\] to enumerat",
        ),
        (lambda: PSpin(3).enumerate(6), ValueError, r"dimension must be .* in \[2, 5\], got 6"),
        (lambda: PSpin(3).enumerate(1), ValueError, r"dimension must be .* in \[2, 5\], got 1"),
        (lambda: PSpin(3).enumerate(3, seed=-1), ValueError, "seed must be an integer .* got -1"),
        (lambda: PSpin(3).enumerate(2.0), TypeError, r"dimension must be .* got 2\.0"),
        (lambda: PSpin(3).log_mean_count(401), ValueError, r"dimension .* \[2, 400\], got 401"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
