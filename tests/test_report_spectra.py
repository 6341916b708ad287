"""Comparison of measured Jacobian spectra with theory, and the chapters that use it."""

import numpy as np
import pytest

import meanfree as mf
from meanfree.report import engine, terminal
from meanfree.report.largest import TRACY_WIDOM_MEAN, edge_scale
from meanfree.report.outlier import outlying_singular_value
from meanfree.report.spectra import Spectra, compare_cdf, histogram, simulate_spectra


def _spectra(n_samples=32):
    return simulate_spectra(
        engine.Settings(n_threads=1),
        "test",
        mf.Ensemble("linear", 1.0),
        2,
        width=64,
        n_samples=n_samples,
    )


def test_a_linear_product_agrees_with_its_theory():
    theory = mf.jacobian_spectrum(mf.Ensemble("linear", 1.0), 2)
    assert [item.verdict for item in compare_cdf("product", _spectra(), theory)] == ["agrees"] * 6


@pytest.mark.parametrize("sigma_w", [0.96, 1.04])
def test_a_wrong_gain_disagrees(sigma_w):
    theory = mf.jacobian_spectrum(mf.Ensemble("linear", sigma_w), 2)
    verdicts = [item.verdict for item in compare_cdf("product", _spectra(), theory)]
    assert "disagrees" in verdicts[:5]
    assert verdicts[5] == "disagrees"


def test_a_wrong_depth_disagrees():
    theory = mf.jacobian_spectrum(mf.Ensemble("linear", 1.0), 3)
    verdicts = [item.verdict for item in compare_cdf("product", _spectra(), theory)]
    assert verdicts[5] == "disagrees"


def test_extrapolation_removes_what_falls_with_the_width():
    # statistic: 1 + 8 / width exactly, without noise
    spectra = Spectra(np.zeros((3, 64)), np.zeros((5, 32)), depth=4)
    found = spectra.extrapolate(lambda log_s: np.full(len(log_s), 1.0 + 8.0 / log_s.shape[1]))
    assert found.value == pytest.approx(1.0, abs=1e-15)
    assert found.error == pytest.approx(0.0, abs=1e-15)
    assert found.bound == pytest.approx(4 * 4 / 64 * 8 / 64, rel=1e-14)


def test_a_histogram_counts_zeros_but_does_not_show_them():
    log_s = np.array([[0.1, 0.2, 0.9, -np.inf]])
    centre, density = histogram(log_s, 4)
    assert len(centre) == 4
    assert np.sum(density) * (centre[1] - centre[0]) == pytest.approx(0.75, rel=1e-12)


def test_the_edge_of_a_square_wishart_matrix_has_the_known_scale():
    # (1/n) X X^T: mean (sqrt n + sqrt n)^2 / n, scale (2 / sqrt n) (2 / sqrt n)^(1/3)
    spectrum = mf.jacobian_spectrum(mf.Ensemble("linear", 1.0), 1)
    assert edge_scale(spectrum) == pytest.approx(2.0 ** (4.0 / 3.0), rel=1e-5)


def test_the_largest_eigenvalue_lies_below_the_edge_by_the_mean_of_its_law():
    spectrum = mf.jacobian_spectrum(mf.Ensemble("linear", 1.0), 1)
    width, n_samples = 64, 400
    sample = mf.simulate_jacobian(
        mf.Ensemble("linear", 1.0), width, 1, n_samples=n_samples, seed=3, method="fast"
    )
    largest = np.exp(2 * sample.log_singular_values[:, 0])
    expected = spectrum.maximum + TRACY_WIDOM_MEAN * edge_scale(spectrum) * width ** (-2 / 3)
    # the next term is of relative order 1 / width of the scale: 4 standard errors and that
    error = largest.std(ddof=1) / np.sqrt(n_samples)
    assert abs(largest.mean() - expected) < 4 * error + spectrum.maximum / width


@pytest.mark.slow
@pytest.mark.parametrize(("number", "n_figures"), [(4, 4), (5, 3), (6, 2)])
def test_chapters_of_spectra_agree(number, n_figures):
    report = engine.run_report(
        engine.choose(engine.load_chapters(), [str(number)]),
        engine.Settings(small=True),
        terminal.Silence(),
    )
    assert [str(error) for error in report.errors] == []
    assert len(report.figures) == n_figures
    assert report.tally.n_comparisons >= 8
    assert report.tally.n_disagreeing == 0


@pytest.mark.slow
def test_the_chapter_of_the_real_jacobian_agrees():
    report = engine.run_report(
        engine.choose(engine.load_chapters(), ["7"]),
        engine.Settings(small=True),
        terminal.Silence(),
    )
    assert [str(error) for error in report.errors] == []
    assert report.tally.n_comparisons == 12
    assert report.tally.n_disagreeing == 0


@pytest.mark.slow
def test_outlying_singular_value_is_the_smallest_one_of_wide_networks():
    # mean of ln s: what is left of the 1/N at two widths is below an error, 0.04, at L/N = 0.3
    network = mf.tune_critical("tanh", 30)
    spectra = simulate_spectra(
        engine.Settings(n_threads=1), "out", network, 30, width=96, n_samples=128, method="fast"
    )
    found = spectra.extrapolate(lambda log_s: log_s[:, -1])
    expected = outlying_singular_value(network, 30)
    assert abs(found.value - np.log(expected)) < 3 * found.error
    assert found.error < 0.05
    # what the length map alone gives is refused
    slope = mf.fixed_point(network).length_slope
    assert abs(found.value - 30 * np.log(slope)) > 3 * found.error


def test_nearly_linear_networks_keep_every_singular_value_at_1():
    network = mf.tune_critical("tanh", 10, relative_variance=1e-8)
    # s = 1 - L q / 2 .. with q of the order 1e-5
    assert outlying_singular_value(network, 10) == pytest.approx(1.0, abs=1e-3)
