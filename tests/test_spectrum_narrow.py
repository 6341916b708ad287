"""Spectra that are hard to find: narrow or several intervals, tied ranks, infinite density."""

from itertools import pairwise
from math import log, pi, sqrt

import mpmath
import numpy as np
import pytest
from scipy import special

import meanfree as mf


def one_gaussian_layer(logs, shape, sigma_w, slopes):
    """Return lambda rho of D W W^T D, from Silverstein's equation for D's two slopes.

    -1 / s = z - sigma_w^2 (N_1 / N_0) E[t / (1 + sigma_w^2 t s)] for the trace s of
    (W^T D^2 W - z)^-1 / N_0.
    """
    n_0, n_1 = shape
    densities = []
    for log_lam in logs:
        with mpmath.workdps(60):
            z = mpmath.exp(mpmath.mpf(float(log_lam)))
            a, b = (mpmath.mpf(sigma_w) ** 2 * mpmath.mpf(t) ** 2 for t in slopes)
            c = mpmath.mpf(n_1) / n_0
            # (1 + z s) (1 + a s) (1 + b s) = c s (a (1 + b s) + b (1 + a s)) / 2
            cubic = [z * a * b, a * b + z * (a + b) - c * a * b, z + a + b - c * (a + b) / 2, 1]
            cubic = cubic[0 if min(a, b) > 0 else 1 :]  # a slope of 0: a quadratic
            s = max(mpmath.im(root) for root in mpmath.polyroots(cubic, 400, extraprec=400))
            densities.append(float(z * s / mpmath.pi / c))
    return np.array(densities)


@pytest.mark.parametrize("shape", [(1, 100), (1, 1000), (1, 10**6), (100, 1), (1000, 1)])
def test_a_long_gaussian_matrix_has_the_law_of_marchenko_and_pastur(shape):
    n_0, n_1 = shape
    spectrum = mf.rectangular_spectrum(mf.Ensemble("linear", 1.2), shape)
    ratio = sqrt(n_1 / n_0)
    edges = [2 * log(1.2 * abs(1 + sign * ratio)) for sign in (-1, 1)]
    assert spectrum.log_edges == pytest.approx(edges, rel=1e-13, abs=1e-14)
    at_zero = [1 - n_0 / n_1] if n_1 > n_0 else []
    assert [a.mass for a in spectrum.atoms] == pytest.approx(at_zero, rel=1e-14)
    low, high = np.exp(edges)
    lam = low + (high - low) * np.array([0.02, 0.3, 0.5, 0.7, 0.98])
    exact = np.sqrt((high - lam) * (lam - low)) / (2 * pi * 1.44 * lam * (n_1 / n_0))
    # log lambda is rounded, and its distance from an edge is a part of the narrow interval
    allowed = 1e-11 + 1e-13 / (edges[1] - edges[0])
    np.testing.assert_allclose(spectrum.density(lam), exact, rtol=allowed)


@pytest.mark.parametrize("name", ["leaky_relu", "relu"])
@pytest.mark.parametrize("shape", [(100, 1), (1, 1000), (10**6, 1)])
def test_one_long_layer_solves_the_equation_of_silverstein(name, shape):
    spectrum = mf.rectangular_spectrum(mf.Ensemble(name, 1.2), shape)
    bulk = 1 - sum(atom.mass for atom in spectrum.atoms)
    levels = 1 - bulk * np.array([0.98, 0.7, 0.55, 0.45, 0.3, 0.02])
    logs = spectrum.log_quantile(levels)
    slopes = (0.01 if name == "leaky_relu" else 0.0, 1.0)
    exact = one_gaussian_layer(logs, shape, 1.2, slopes)
    assert (exact > 0).all()
    np.testing.assert_allclose(spectrum.log_density(logs), exact, rtol=1e-9)
    separate = name == "leaky_relu" and shape[0] > shape[1]
    assert len(spectrum.log_bulks) == (2 if separate else 1)
    if separate:
        (low, high), (low_2, high_2) = spectrum.log_bulks
        assert spectrum.log_cdf([high, 0.5 * (high + low_2)]) == pytest.approx([0.5, 0.5], rel=1e-9)
        # both are the same interval up to a^2, but for the other one's pull
        assert high - low == pytest.approx(high_2 - low_2, rel=0.1)


@pytest.mark.parametrize("n", [2, 100, 10**4])
def test_a_long_orthogonal_relu_layer_is_a_compression_of_a_projection(n):
    spectrum = mf.rectangular_spectrum(mf.Ensemble("relu", 1.2, weights="orthogonal"), [1, n])
    r = 1 / n
    scale = 1.44 * n
    ends = [(sqrt(0.5 * (1 - r)) + sign * sqrt(0.5 * r)) ** 2 for sign in (-1, 1)]
    if n > 2:
        logs = [log(scale * end) for end in ends]
        assert spectrum.log_edges == pytest.approx(logs, rel=1e-13)
    x = ends[0] + (ends[1] - ends[0]) * np.array([0.05, 0.4, 0.9])
    exact = np.sqrt((ends[1] - x) * (x - ends[0])) / (2 * pi * x * (1 - x)) / scale
    np.testing.assert_allclose(spectrum.density(scale * x), exact, rtol=1e-10)


@pytest.mark.parametrize(
    ("p", "widths"),
    [(0.5, [1, 2, 3]), (0.5, [3, 2, 1]), (0.5, [1, 2, 2])]
    + [(p, [1, 3, 2, 2]) for p in (0.49, 0.4999999, 0.5000001, 0.5083)],
)
def test_tied_ranks_keep_their_digits_down_to_zero(p, widths):
    # half of 2 units are as many as 1 input: 1 + 2 m and p + m vanish together, or nearly so
    ensemble = mf.Ensemble("relu" if p == 0.5 else "hard_tanh", 1.2)
    q = [0.5 / special.erfinv(p) ** 2] * (len(widths) - 1)
    p = p if p == 0.5 else special.erf(1 / np.sqrt(2 * q[0]))
    spectrum = mf.rectangular_spectrum(ensemble, widths, q=q)
    logs = spectrum.log_edges[1] - np.array([0.5, 3.0, 20.0, 70.0, 200.0])
    exact = []
    for log_lam in logs:
        with mpmath.workdps(150):
            # lambda r_0 m = (1 + r_0 m) prod_l sigma_w^2 (r_(l-1) / r_l) (p + r_l m)
            m = np.poly1d([mpmath.mpf(1), mpmath.mpf(0)])
            ratios = [mpmath.mpf(widths[-1]) / width for width in widths]
            right = 1 + ratios[0] * m
            for before, after in pairwise(ratios):
                step = mpmath.mpf(p) + after * m
                right = right * step * (mpmath.mpf(1.2) ** 2 * before / after)
            left = mpmath.exp(mpmath.mpf(float(log_lam))) * ratios[0] * m
            roots = mpmath.polyroots(list((right - left).coeffs), 500, extraprec=800)
            # that of all roots is M whose arguments add up to 0, not to a multiple of 2 pi
            below = [root for root in roots if mpmath.im(root) < -(mpmath.mpf(10) ** -120)]
            angles = [
                mpmath.arg(1 + ratios[0] * root)
                - mpmath.arg(root)
                + sum(mpmath.arg(p + after * root) for after in ratios[1:])
                for root in below
            ]
            found = [at for at, angle in zip(below, angles, strict=True) if abs(angle) < 1e-9]
            assert len(found) <= 1  # none: below the bulk
            exact.append(float(-sum(map(mpmath.im, found)) / mpmath.pi))
    assert exact[0] > 0
    # the rounding of p is a part of the small difference between the ranks
    allowed = 1e-10 + (1e-15 / abs(p - 0.5) if p != 0.5 else 0.0)
    np.testing.assert_allclose(spectrum.log_density(logs), exact, rtol=allowed)


def test_the_distribution_function_is_right_far_down_where_the_slope_vanishes():
    # phi = cos: t = sin(h)^2, one orthogonal layer has the law of t itself
    q = 1.228105046941148
    spectrum = mf.jacobian_spectrum(mf.Ensemble(np.cos, 1.0, weights="orthogonal"), 1, q=[q])
    log_t = -np.linspace(1.0, 60.0, 60)
    reach = np.arcsin(np.exp(0.5 * log_t))
    exact = np.zeros(60)
    for k in range(-4, 5):
        low, high = (k * pi - reach) / sqrt(q), (k * pi + reach) / sqrt(q)
        exact += special.ndtr(high) - special.ndtr(low)
    np.testing.assert_allclose(spectrum.log_cdf(log_t), exact, atol=1e-13)


SINGULAR = [
    ("elu", 1.0, [2.63, 2.66]),
    ("selu", 1.2, [1.776, 2.781]),
    (np.cos, 1.2, [1.228105046941148, 0.3210590911670556]),
]


@pytest.mark.parametrize("case", SINGULAR, ids=["elu", "selu", "cos"])
def test_two_different_layers_with_an_infinite_density(case):
    # two halves of slope 1 nearly share an eigenspace: rho has a singularity instead of an atom
    phi, sigma_w, q = case
    ensemble = mf.Ensemble(phi, sigma_w, weights="orthogonal")
    spectrum = mf.jacobian_spectrum(ensemble, 2, q=q)
    assert spectrum.diagnostics.residual < 1e-13
    assert spectrum.diagnostics.total_mass == pytest.approx(1.0, abs=1e-6)
    swapped = mf.jacobian_spectrum(ensemble, 2, q=q[::-1])
    at = spectrum.log_quantile(np.linspace(0.05, 0.95, 19))
    np.testing.assert_allclose(swapped.log_cdf(at), spectrum.log_cdf(at), atol=1e-10)
    # mean = int 1 - CDF, with square-root variables at both ends of each interval
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angle = 0.25 * pi * (nodes + 1)
    cuts = [0.0, *np.exp(spectrum.log_bulks[1:, 0]), spectrum.edges[1]]
    mean = 0.0
    for low, high in pairwise(cuts):
        lam = low + (high - low) * np.sin(angle) ** 2
        change = (high - low) * np.sin(2 * angle) * 0.25 * pi
        mean += weights * change @ (1 - spectrum.cdf(lam))
    assert mean == pytest.approx(spectrum.mean, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "sigma_w", "weights", "q"),
    [
        ("silu", 2.5148, "gaussian", 0.0095),
        ("gelu", 2.5683, "orthogonal", 0.00155),
        ("hard_tanh", 1.8542, "orthogonal", 0.00373),
    ],
)
def test_layers_that_all_but_tie_in_rank_keep_their_digits(name, sigma_w, weights, q):
    # of silu and gelu the length grows without bound: in the last layers phi' is 0 or 1 but for
    # 1e-7; of hard_tanh it converges: the last layers have all but the same law
    spectrum = mf.jacobian_spectrum(mf.Ensemble(name, sigma_w, 0.1, weights=weights), 30, q=q)
    assert spectrum.diagnostics.total_mass == pytest.approx(1.0, abs=1e-12)
    at = spectrum.log_edges[1] - np.array([10.0, 60.0, 120.0, 160.0])
    h = 1e-2
    density = spectrum.log_density(at)
    slope = (spectrum.log_cdf(at + h) - spectrum.log_cdf(at - h)) / (2 * h)
    assert (density > 0).all()
    np.testing.assert_allclose(slope, density, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("s", [1e-6, 1e-15, 1e-20, 1e-100, 1e-279])
def test_narrow_smooth_limits_are_semicircles(s):
    spectrum = mf.universal_spectrum("smooth", s)
    y = sqrt(s) * np.linspace(-1.9, 1.9, 9)
    semicircle = np.sqrt(4 * s - y**2) / (2 * pi * s)
    np.testing.assert_allclose(spectrum.log_density(y), semicircle, rtol=6 * sqrt(s) + 1e-12)
    p = np.array([0.01, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(spectrum.log_cdf(spectrum.log_quantile(p)), p, atol=1e-13)


@pytest.mark.parametrize("q", [1e-8, 1e-6, 1e-3, 0.3])
def test_small_variances_keep_their_digits(q):
    with mpmath.workdps(40):

        def moment(k):
            def integrand(z):
                slope = mpmath.sech(mpmath.sqrt(mpmath.mpf(q)) * z) ** 2
                return slope ** (2 * k) * mpmath.npdf(z)

            return 2 * mpmath.quad(integrand, [0, 1, 2, 4, 7, 10, 14])

        exact = float(moment(2) / moment(1) ** 2 - 1)
    tanh = mf.Ensemble("tanh", 1.0, weights="orthogonal")
    spectrum = mf.jacobian_spectrum(tanh, 3, q=[q] * 3)
    assert spectrum.relative_variance == pytest.approx(3 * exact, rel=1e-12)
    # the moments of the series agree where they do not cancel
    if q > 0.1:
        series = np.exp(spectrum.log_moment(2) - 2 * spectrum.log_moment(1)) - 1
        assert spectrum.relative_variance == pytest.approx(series, rel=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "relu", "leaky_relu", "hard_tanh", "elu"])
def test_relative_variances_of_layers_add_up_for_any_widths(name, weights):
    ensemble = mf.Ensemble(name, 1.1, 0.1, weights=weights)
    spectrum = mf.rectangular_spectrum(ensemble, [3, 1, 2, 2, 4], q=[0.3, 0.5, 0.7, 0.3])
    series = np.exp(spectrum.log_moment(2) - 2 * spectrum.log_moment(1)) - 1
    assert spectrum.relative_variance == pytest.approx(series, rel=1e-12)


def test_limits_have_the_relative_variance_asked_for():
    for s in (1e-30, 1e-9, 0.3, 50.0):
        assert mf.universal_spectrum("smooth", s).relative_variance == s
        if s > 1e-13:  # else one atom
            assert mf.universal_spectrum("bernoulli", s).relative_variance == s


def test_digits_last_to_the_end_of_a_law():
    # beyond |h| = 11, 1e-9 of the mass, phi'**2 is below 1e-112 and counts as 0
    erf = mf.Ensemble("erf", 0.38393, 0.1, weights="orthogonal")
    spectrum = mf.jacobian_spectrum(erf, 30, q=3.4854)
    assert spectrum.diagnostics.residual < 1e-11
    assert spectrum.diagnostics.total_mass == pytest.approx(1.0, abs=1e-10)
    gelu = mf.Ensemble("gelu", 2.7934, weights="orthogonal")
    spectrum = mf.jacobian_spectrum(gelu, 2, q=[2.0674, 4.6658])
    assert spectrum.diagnostics.total_mass == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize(
    "depth", [200, *(pytest.param(n, marks=pytest.mark.slow) for n in (1000, 4000))]
)
def test_sums_over_many_laws_keep_their_digits(depth):
    tanh = mf.critical("tanh", weights="orthogonal")
    spectrum = mf.jacobian_spectrum(tanh, depth, q=1.0)
    assert spectrum.diagnostics.total_mass == pytest.approx(1.0, abs=1e-15 * depth)
    assert spectrum.diagnostics.residual < 1e-14 * depth
    assert spectrum.diagnostics.newton_steps < 10.0
    assert spectrum.log_cdf(spectrum.log_quantile(0.3)) == pytest.approx(0.3, abs=1e-15 * depth)


def random_spectrum(network, widths, lengths):
    """Return eigenvalues of one J J^T whose D have the quantiles of their law."""
    rng = np.random.default_rng(3)
    jacobian = np.eye(widths[0])
    for (before, after), q in zip(pairwise(widths), lengths, strict=True):
        size = max(before, after)
        basis, triangle = np.linalg.qr(rng.standard_normal((size, size)))
        basis *= np.sign(np.diag(triangle))
        gain = network.sigma_w * sqrt(max(1.0, after / before))
        h = sqrt(q) * special.ndtri((rng.permutation(after) + 0.5) / after)
        slopes = network.activation.derivative(h)
        jacobian = slopes[:, None] * (gain * basis[:after, :before] @ jacobian)
    lam = np.linalg.eigvalsh(jacobian @ jacobian.T)
    return np.where(lam < 1e-12, 0.0, lam)


def distance(spectrum, lam):
    """Return the largest difference of the distribution functions, beside each eigenvalue."""
    sides = [lam * (1 + side) for side in (-1e-7, 1e-7)]
    counts = [np.searchsorted(lam, at, side="right") / lam.size for at in sides]
    return max(np.abs(spectrum.cdf(at) - n).max() for at, n in zip(sides, counts, strict=True))


@pytest.mark.parametrize(
    ("name", "shape", "q"),
    [
        ("selu", (300, 400), 1.0),
        ("elu", (300, 400), 1.0),
        ("selu", (200, 380), 5.0),
        ("elu", (400, 401), 0.02),
    ],
)
def test_an_atom_inside_or_at_the_end_of_a_bulk(name, shape, q):
    network = mf.Ensemble(name, 1.2, weights="orthogonal")
    spectrum = mf.rectangular_spectrum(network, shape, q=q)
    n_0, n_1 = shape
    masses = [atom.mass for atom in spectrum.atoms]
    assert masses == pytest.approx([1 - n_0 / n_1, n_0 / n_1 - 0.5], rel=1e-12)
    assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)
    at = spectrum.atoms[-1].log_location
    assert at == pytest.approx(
        log(1.44 * n_1 / n_0 * network.activation.derivative(1.0) ** 2), abs=1e-14
    )
    # the eigenspaces of t > a beside those of t = a: as many above the atom
    above = 0.5 - special.ndtr(-log(1.6732632423543772) / sqrt(q)) if name == "selu" else 0.0
    assert 1 - spectrum.log_cdf(at) == pytest.approx(above, abs=1e-11)
    for side, below in ((-1, masses[-1]), (1, 0)):
        if side > 0 and name == "elu":
            continue
        y = at + side * np.array([1e-3, 3e-4, 1e-4])
        slope = np.array([np.ptp(spectrum.log_cdf([v - 1e-6, v + 1e-6])) for v in y]) / 2e-6
        np.testing.assert_allclose(spectrum.log_density(y), slope, rtol=1e-6)
        ends = at + side * np.array([1e-7, 1e-12])
        np.testing.assert_allclose(1 - spectrum.log_cdf(ends), above + below, rtol=0, atol=1e-5)
    lam = random_spectrum(network, shape, [q])
    assert distance(spectrum, lam) < 0.01


@pytest.mark.parametrize(
    ("name", "sigma_w", "q"),
    [
        ("elu", 0.9987733014762131, 0.0011550722893892078),
        ("selu", 0.8590965819488017, 0.004902365566113029),
    ],
)
def test_two_atoms_of_half_the_mass_meet_in_an_infinite_density(name, sigma_w, q):
    network = mf.Ensemble(name, sigma_w, 0.0, weights="orthogonal")
    second = float(mf.length_map(network, q))
    spectrum = mf.jacobian_spectrum(network, 2, q=[q, second])
    assert spectrum.diagnostics.total_mass == pytest.approx(1, abs=1e-10)
    place = 4 * log(sigma_w * float(network.activation.derivative(1.0)))
    assert spectrum.log_bulks[0][1] == pytest.approx(place, abs=1e-14)
    assert len(spectrum.log_bulks) == (1 if name == "elu" else 2)
    # the density is close to distance**(-1/2), with a logarithm for elu, also where it is extended
    y = place + (1 if name == "selu" else -1) * np.array([1e-6, 1e-8, 1e-10, 1e-12])
    left = np.abs(spectrum.log_cdf(y) - spectrum.log_cdf(place))
    power = spectrum.log_density(y) * np.abs(y - place) / left
    np.testing.assert_allclose(power, 0.5, atol=1e-3 if name == "selu" else 0.05)
    lam = random_spectrum(network, (400, 400, 400), [q, second])
    assert distance(spectrum, lam) < 0.01
