"""Sampled Gaussian fields: derivatives, covariances and the law of the Hessian, bits, messages."""

from math import gamma, sqrt

import numpy as np
import pytest

from meanfree.landscape import GaussianField

RBF = GaussianField.rbf(0.8, 1.7)
MIXED = GaussianField.rational_quadratic(0.6, 1.3, 0.4)  # kappa by the trick for shapes below 1
NARROW = GaussianField.rational_quadratic(4.0)
KERNELS = [
    (RBF, lambda s: 1.7 * np.exp(-s / (2 * 0.8**2))),
    (MIXED, lambda s: 0.4 * (1 + s / (2 * 0.6 * 1.3**2)) ** -0.6),
    (NARROW, lambda s: (1 + s / 8) ** -4.0),
]


def by_numpy(sample, w):
    """Return value, gradient and Hessian at points (m, n) by the sums that define them."""
    k, a = sample.frequencies, sample.amplitude
    angle = w @ k.T + sample.phases
    hessian = -a * np.einsum("pm,mi,mj->pij", np.cos(angle), k, k)
    return a * np.cos(angle).sum(axis=-1), -a * np.sin(angle) @ k, hessian


def within(values, expected, limit=4.5):
    """Assert that the mean of rows agrees within a number of its standard errors."""
    error = np.std(values, axis=0, ddof=1) / sqrt(len(values))
    assert np.all(np.abs(np.mean(values, axis=0) - expected) <= limit * error)


@pytest.mark.parametrize("n", [1, 8, 13, 75])
def test_derivatives_are_the_sums_of_the_waves(n):
    sample = MIXED.sample(n, n_features=1037, seed=5)
    w, v = np.random.default_rng(n).normal(size=(2, 11, n)) * 5
    value, gradient, hessian = by_numpy(sample, w)
    size = sample.amplitude * (1 + np.abs(sample.frequencies).max()) ** 2 * 1037 * 1e-15
    assert np.abs(sample.value(w) - value).max() <= 10 * size
    assert np.abs(sample.gradient(w) - gradient).max() <= 10 * size
    assert np.abs(sample.hessian(w) - hessian).max() <= 10 * size
    product = np.matmul(hessian, v[..., None])[..., 0]
    assert np.abs(sample.hvp(w, v) - product).max() <= 10 * size * np.abs(v).sum(axis=-1).max()
    assert np.array_equal(sample.energy(w), sample.value(w) / n)


def test_derivatives_are_finite_differences():
    sample, n, h = NARROW.sample(7, n_features=200, seed=2), 7, 1e-5
    w, step = np.linspace(-1, 2, 7), h * np.eye(7)
    slope = (sample.value(w + step) - sample.value(w - step)) / (2 * h)
    assert np.abs(sample.gradient(w) - slope).max() <= 1e-8
    curvature = (sample.gradient(w + step) - sample.gradient(w - step)) / (2 * h)
    assert np.abs(sample.hessian(w) - curvature).max() <= 1e-8
    assert np.abs(sample.hvp(w, np.eye(n)) - curvature).max() <= 1e-8


@pytest.mark.parametrize(("field", "kernel"), KERNELS)
def test_covariance_is_the_kernel(field, kernel):
    n, distances = 5, np.array([0.0, 0.3, 1.0, 2.5])
    w = np.zeros((4, n))
    w[:, 1] = distances * sqrt(n)
    values = np.array([field.sample(n, n_features=16, seed=s).value(w) for s in range(2500)])
    within(values, 0.0)
    within(values * values[:, :1] / n, kernel(distances**2))


@pytest.mark.parametrize(
    ("field", "n_samples"),
    [
        pytest.param(MIXED, 1500, id="mixed"),
        *(
            pytest.param(field, 20_000, id=name, marks=pytest.mark.slow)
            for name, field in {"rbf": RBF, "heavy": MIXED, "narrow": NARROW}.items()
        ),
    ],
)
def test_value_gradient_and_hessian_covary_as_in_a_gaussian_field(field, n_samples):
    n, c1, c2 = 4, field.slope, field.curvature
    values, gradients, hessians = [], [], []
    for s in range(n_samples):
        sample = field.sample(n, n_features=60, seed=s)
        w = np.full(n, 0.1 * s)
        values.append(sample.value(w))
        gradients.append(sample.gradient(w))
        hessians.append(sample.hessian(w))
    phi, g, h = np.array(values), np.array(gradients), np.array(hessians)
    within(g[:, :, None] * g[:, None, :], -2 * c1 * np.eye(n))
    within(phi[:, None] * g, 0.0)
    within(g[:, :, None, None] * h[:, None], 0.0)
    within(phi[:, None, None] * h, 2 * c1 * np.eye(n))
    delta = np.eye(n)
    pairs = np.einsum("ij,kl->ijkl", delta, delta)
    pairs = pairs + pairs.transpose(0, 2, 1, 3) + pairs.transpose(0, 2, 3, 1)
    within(h[:, :, :, None, None] * h[:, None, None], 4 * c2 / n * pairs)


@pytest.mark.parametrize("field", [RBF, MIXED, NARROW], ids=["rbf", "mixed", "narrow"])
def test_energy_given_the_hessian_has_the_exact_mean_and_variance(field):
    n, m = 6, 300
    rows = []
    for s in range(300):
        sample = field.sample(n, n_features=m, seed=s)
        w = np.random.default_rng(s).uniform(-200, 200, (20, n))
        trace = np.trace(sample.hessian(w), axis1=1, axis2=2)
        rest = sample.energy(w) - field.slope * trace / (2 * field.curvature * (n + 2))
        rows.append([np.mean(rest), np.mean(rest * trace), np.mean(rest**2)])
    variance = field.variance * (1 - field.rho * n / (n + 2)) / n
    within(np.array(rows), [0.0, 0.0, variance])


def test_finite_sums_have_the_stated_kurtosis():
    m = 4
    far = np.linspace(0, 1e4, 1000)[:, None]
    samples = [RBF.sample(1, n_features=m, seed=s) for s in range(200)]
    values = np.array([sample.value(far) for sample in samples]) / sqrt(RBF.variance)
    within(np.mean(values**4, axis=1), 3 * (1 - 1 / (2 * m)))


def test_scales_have_the_moments_of_their_gamma_law():
    for shape in (0.05, 0.6, 1.0, 30.0):
        field = GaussianField.rational_quadratic(shape)
        sample = field.sample(1, n_features=50_000, seed=9)
        squared = sample.frequencies[:, 0] ** 2
        # E |z|^(1/2) of a normal, and E kappa^(1/4) of the gamma law of mean 1
        normal = 2**0.25 * gamma(0.75) / sqrt(np.pi)
        within(squared**0.25, normal * gamma(shape + 0.25) / (gamma(shape) * shape**0.25))
        within(squared, 1.0)


def test_a_bare_triple_is_the_field_of_the_same_numbers():
    for field in (RBF, MIXED):
        bare = GaussianField(field.variance, field.slope, field.curvature)
        one = field.sample(3, n_features=50, seed=1).frequencies
        other = bare.sample(3, n_features=50, seed=1).frequencies
        assert np.allclose(one, other, rtol=1e-10, atol=0)


def test_bits_depend_on_no_thread_and_no_neighbour():
    n = 30
    w, v = np.random.default_rng(0).normal(size=(2, 40, n))
    one = MIXED.sample(n, n_features=1500, seed=4, n_threads=1)
    for threads in (2, 3):
        other = MIXED.sample(n, n_features=1500, seed=4, n_threads=threads)
        assert np.array_equal(one.frequencies, other.frequencies)
        assert np.array_equal(one.phases, other.phases)
        for name in ("value", "gradient", "hessian"):
            assert np.array_equal(getattr(one, name)(w), getattr(other, name)(w))
        assert np.array_equal(one.hvp(w, v), other.hvp(w, v))
    assert one.value(w[7]) == one.value(w)[7]
    assert np.array_equal(one.gradient(w[7]), one.gradient(w)[7])
    assert np.array_equal(one.hessian(w[7]), one.hessian(w)[7])
    assert np.array_equal(one.hvp(w[7], v[7]), one.hvp(w, v)[7])
    matrices = one.hessian(w)
    assert np.array_equal(matrices, matrices.transpose(0, 2, 1))


def test_bits_depend_on_no_place_in_memory():
    sample = RBF.sample(3, n_features=10, seed=0)
    held, products = [], set()
    for size in range(100):
        held.append(np.empty(size % 37))
        products.add(sample.hvp(np.ones(3), np.eye(3)).tobytes())
        products.add(sample.hvp(np.ones((3, 3)), np.eye(3)).tobytes())
    assert len(products) == 1


def test_waves_are_the_first_of_more_waves():
    few = MIXED.sample(5, n_features=100, seed=3)
    many = MIXED.sample(5, n_features=70_000, seed=3)
    assert np.array_equal(few.frequencies, many.frequencies[:100])
    assert np.array_equal(few.phases, many.phases[:100])


def test_shapes_follow_the_points():
    sample = RBF.sample(3, n_features=10, seed=0)
    assert isinstance(sample.value([1, 2, 3]), float)
    assert sample.value(np.zeros((2, 0, 3))).shape == (2, 0)
    assert sample.gradient(np.zeros((2, 5, 3))).shape == (2, 5, 3)
    assert sample.hessian(np.zeros((2, 5, 3))).shape == (2, 5, 3, 3)
    assert sample.hvp(np.zeros(3), np.eye(3)).shape == (3, 3)
    assert np.array_equal(sample.hvp(np.ones(3), np.eye(3)), sample.hvp(np.ones((3, 3)), np.eye(3)))


def test_points_far_away_are_as_accurate_as_their_angles():
    sample = RBF.sample(2, n_features=8, seed=1)
    w = np.array([[3e7, -4e7]])
    value, gradient, hessian = by_numpy(sample, w)
    assert abs(sample.value(w) - value).max() <= 1e-6
    assert abs(sample.gradient(w) - gradient).max() <= 1e-6
    assert abs(sample.hessian(w) - hessian).max() <= 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimension": 0}, r"dimension must be an integer in \[1, 2\*\*31 - 1\], got 0"),
        ({"n_features": 0}, r"n_features must be an integer in \[1, 2\*\*31 - 1\], got 0"),
        ({"seed": -1}, r"seed must be an integer in \[0, 2\*\*64 - 1\], got -1"),
        ({"n_threads": 0}, r"n_threads must be an integer in \[1, 32768\], got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"dimension": 3, "n_features": 5, "seed": 0} | arguments
    with pytest.raises(ValueError, match=message):
        RBF.sample(given.pop("dimension"), **given)


def test_bad_points_are_named():
    sample = RBF.sample(3, n_features=5, seed=0)
    with pytest.raises(ValueError, match=r"w must have the shape \(\.\.\., 3\), got shape \(2,\)"):
        sample.value([1.0, 2.0])
    with pytest.raises(ValueError, match=r"v must have the shape \(\.\.\., 3\), got shape \(\)"):
        sample.hvp([1.0, 2.0, 3.0], 1.0)
    with pytest.raises(ValueError, match=r"broadcast, got \(2, 3\) and \(4, 3\)"):
        sample.hvp(np.zeros((2, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="w must be finite, got nan"):
        sample.gradient([1.0, np.nan, 0.0])


def test_what_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    wanted = 8 * (2**31 - 1) * (2**31 + 1)  # rows are padded, and there are the phases
    with pytest.raises(MemoryError, match=rf"waves in .* need {wanted} bytes, \d+ are available"):
        RBF.sample(2**31 - 1, n_features=2**31 - 1, seed=0)
    sample = RBF.sample(397, n_features=2, seed=0, n_threads=1)
    w = np.zeros((2, 397))
    monkeypatch.setattr("meanfree._memory.available_memory", lambda: 2_600_000)
    wanted = 8 * (2 * 397**2 + 400**2)  # one is being summed, with its rows padded
    message = f"2 Hessians of 397 variables need {wanted} bytes, 2600000 are available: take"
    with pytest.raises(MemoryError, match=message):
        sample.hessian(w)
    assert sample.hessian(w[0]).shape == (397, 397)
    with pytest.raises(MemoryError, match="400 products of 397 variables need 3811200 bytes, 26"):
        sample.hvp(np.zeros((20, 1, 397)), np.zeros((20, 397)))
    with pytest.raises(MemoryError, match="1100 waves in 300 dimensions need 2684000 bytes, 2600"):
        RBF.sample(300, n_features=1100, seed=0)


def test_waves_of_almost_no_length_are_refused_before_they_are_nan():
    field = GaussianField.rational_quadratic(1e-50)  # the least of its shapes
    assert np.all(np.isfinite(field.sample(3, n_features=50, seed=0).frequencies))
    for slope in (-1e-51, -1e-150):
        with pytest.raises(ValueError, match="rho must be at least 1e-100 in a field that is"):
            GaussianField(1.0, slope, 1.0).sample(3, n_features=50, seed=0)
