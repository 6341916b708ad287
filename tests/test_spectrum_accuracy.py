"""Spectra against stored values of another route, and against numbers known from elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest

import meanfree as mf

CASES = json.loads((Path(__file__).parent / "references" / "spectra.json").read_text())


def spectrum_of(case):
    if "limit" in case:
        if case["limit"] == "residual":
            return mf.residual_spectrum(case["strength"])
        return mf.universal_spectrum(case["limit"], case["strength"])
    phi = mf.activation(case["activation"], **case["parameters"])
    ensemble = mf.Ensemble(phi, case["sigma_w"], weights=case["weights"])
    if case["widths"]:
        return mf.rectangular_spectrum(ensemble, case["widths"], q=case["q"])
    return mf.jacobian_spectrum(ensemble, len(case["q"]), q=case["q"])


def name_of(case):
    if "limit" in case:
        return f"{case['limit']}-{case['strength']}"
    lengths = case["q"][0] if len(set(case["q"])) == 1 else "lengths"
    shape = "x".join(map(str, case["widths"] or [len(case["q"])]))
    return f"{case['activation']}-{case['weights'][0]}-{shape}-{lengths}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_density_and_distribution_function_agree_with_the_references(case):
    # the references are good to 1e-11, both as fractions of the whole
    spectrum = spectrum_of(case)
    lam, density = np.array(case["lam"]), np.array(case["density"])
    found = spectrum.density(lam)
    np.testing.assert_allclose(lam * found, lam * density, atol=1e-10)
    np.testing.assert_allclose(found, density, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(spectrum.cdf(lam), case["cdf"], atol=1e-10)


def test_references_cover_what_they_should():
    assert len(CASES) >= 100
    assert min(len(case["lam"]) for case in CASES) >= 8
    assert {case.get("activation") for case in CASES} >= {
        *("tanh", "erf", "erf_scaled", "gelu", "silu", "elu", "selu", "hard_tanh", "leaky_relu"),
        *("sigmoid", "arctan", "sin", "softplus", "relu", "linear", None),
    }


# depth: fraction of singular values within 1/4 of 1, and the largest one
SCALING = {
    2: [(0.1804, 2.598), (0.0969, 3.330), (0.0925, 2.000), (0.8267, 1.245), (0.5949, 1.334)],
    10: [(0.0578, 5.342), (0.0303, 7.376), (0.0456, 5.081), (0.3186, 1.851), (0.5907, 1.427)],
    50: [(0.0147, 11.72), (0.0076, 16.49), (0.0135, 11.60), (0.1192, 3.456), (0.5945, 1.485)],
    200: [(0.0041, 23.35), (0.0021, 32.97), (0.0039, 23.29), (0.0413, 6.585), (0.6003, 1.516)],
}


@pytest.mark.parametrize("depth", SCALING)
def test_scaling_with_depth(depth):
    line = mf.critical_line("tanh", q=0.15956)  # about 0.16, as all four columns say
    ensembles = [
        mf.Ensemble("linear", 1.0),
        mf.critical("relu"),
        mf.critical("relu", weights="orthogonal"),
        mf.Ensemble("tanh", line.sigma_w, line.sigma_b, weights="orthogonal"),
        mf.tune_critical("tanh", depth),
    ]
    for ensemble, (fraction, largest) in zip(ensembles, SCALING[depth], strict=True):
        spectrum = mf.jacobian_spectrum(ensemble, depth)
        assert spectrum.fraction_within(0.25) == pytest.approx(fraction, abs=6e-5)
        # the table has 4 digits
        assert spectrum.maximum**0.5 == pytest.approx(largest, rel=4e-4)


@pytest.mark.parametrize(
    ("depth", "q", "sigma_w", "bias", "largest"),
    [
        (10, 0.073829, 1.065189, 3.719e-4, 2.0361),
        (100, 0.019308, 1.018613, 8.603e-6, 2.2574),
        (1000, 0.0057485, 1.005684, 2.448e-7, 2.3630),
    ],
)
def test_tuned_tanh(depth, q, sigma_w, bias, largest):
    ensemble = mf.tune_critical("tanh", depth)
    point = mf.fixed_point(ensemble)
    assert ensemble.weights == "orthogonal"
    assert point.q == pytest.approx(q, abs=6e-7)
    assert point.chi_1 == pytest.approx(1, abs=1e-11)
    assert ensemble.sigma_w == pytest.approx(sigma_w, abs=6e-7)
    assert ensemble.sigma_b**2 == pytest.approx(bias, rel=2e-4)
    spectrum = mf.jacobian_spectrum(ensemble, depth)
    assert spectrum.maximum == pytest.approx(largest, abs=6e-5)
    assert spectrum.mean == pytest.approx(1, abs=1e-9)
    assert spectrum.relative_variance == pytest.approx(0.25, rel=1e-8)


@pytest.mark.parametrize("depth", [1, 10, 1000])
def test_tuned_hard_tanh_has_a_slope_of_1_with_a_known_probability(depth):
    ensemble = mf.tune_critical("hard_tanh", depth, relative_variance=0.5)
    # p = 1 / (1 + sigma_0^2 / L), sigma_w^2 = 1 / p
    assert ensemble.sigma_w**2 == pytest.approx(1 + 0.5 / depth, rel=1e-11)
    assert mf.jacobian_spectrum(ensemble, depth).variance == pytest.approx(0.5, rel=1e-8)


@pytest.mark.parametrize("name", ["erf", "erf_scaled", "sin", "arctan"])
@pytest.mark.parametrize("depth", [5, 300])
def test_tuned_networks_have_the_variance_asked_for(name, depth):
    ensemble = mf.tune_critical(name, depth, relative_variance=0.4)
    point = mf.fixed_point(ensemble)
    assert point.chi_1 == pytest.approx(1, abs=1e-9)
    spectrum = mf.jacobian_spectrum(ensemble, depth)
    assert spectrum.variance == pytest.approx(0.4, rel=1e-7)


def test_tuned_length_follows_the_asymptotic_law():
    # q ~ sigma_0 / sqrt(8 L) for tanh, sqrt(2) sigma_0 / (pi sqrt L) for the scaled erf
    q = mf.fixed_point(mf.tune_critical("tanh", 10**6)).q
    assert q == pytest.approx(0.5 / np.sqrt(8e6), rel=4e-3)
    q = mf.fixed_point(mf.tune_critical("erf_scaled", 10**6)).q
    assert q == pytest.approx(np.sqrt(2) * 0.5 / np.pi * 1e-3, rel=4e-3)


@pytest.mark.parametrize(("depth", "variance", "mean"), [(10, 0.649, 1.400), (100, 0.794, 1.521)])
def test_stabilising_tanh_keeps_its_shape_while_its_scale_decays(depth, variance, mean):
    # gain 1, no biases, inputs of squared length 1: q_l ~ 1 / (2 l), mean ~ 1.52 / L
    ensemble = mf.Ensemble("tanh", 1.0, weights="orthogonal")
    start = mf.length_map(ensemble, 1.0)
    spectrum = mf.jacobian_spectrum(ensemble, depth, q=start)
    assert spectrum.relative_variance == pytest.approx(variance, abs=6e-4)
    assert spectrum.mean * depth == pytest.approx(mean, abs=6e-4)
    lengths = mf.propagate(ensemble, depth, q=start).q
    layers = [mf.jacobian_spectrum(ensemble, 1, q=[length]) for length in lengths]
    total = sum(layer.relative_variance for layer in layers)
    assert spectrum.relative_variance == pytest.approx(total, rel=1e-9)
    assert spectrum.log_mean == pytest.approx(sum(s.log_mean for s in layers), rel=1e-10)
