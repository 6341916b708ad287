"""Many cells at once share interpolated averages; a cell alone has its own quadrature."""

import numpy as np
import pytest

import meanfree as mf

ANALYTIC = ("tanh", "arctan", "sigmoid", "silu", "softplus", "gelu_tanh")


def amplification(slope):
    return np.maximum(1.0, 1.0 / np.maximum(np.abs(1.0 - slope), 1e-300))


@pytest.mark.parametrize("keep", [1.0, 0.9])
@pytest.mark.parametrize("name", ANALYTIC)
def test_cells_of_a_grid_agree_with_the_cell_alone(name, keep):
    bounded = name in ("tanh", "arctan", "sigmoid")
    sigma_w = np.linspace(0.6, 12.0 if bounded else 1.3, 16)
    sigma_b = np.linspace(0.05, 3.0, 16)
    grid = mf.phase_diagram(name, sigma_w, sigma_b, keep=keep)
    for i, j in [(0, 0), (1, 15), (4, 3), (7, 9), (9, 14), (12, 2), (15, 7), (15, 15)]:
        alone = mf.fixed_point(mf.Ensemble(name, sigma_w[i], sigma_b[j], keep=keep))
        # both are within a few roundings, which the slopes of the maps amplify
        of_q = amplification(alone.length_slope)
        of_c = of_q * np.nan_to_num(amplification(alone.chi_c), nan=1.0)
        assert grid.status[i, j] == alone.status
        assert grid.q[i, j] == pytest.approx(alone.q, rel=1e-13 * of_q)
        assert grid.chi_1[i, j] == pytest.approx(alone.chi_1, rel=1e-13 * of_q)
        assert grid.chi_2[i, j] == pytest.approx(alone.chi_2, rel=1e-11 * of_q)
        assert grid.c[i, j] == pytest.approx(alone.c, abs=1e-13 * of_c, nan_ok=True)
        assert grid.chi_c[i, j] == pytest.approx(alone.chi_c, rel=1e-13 * of_c, nan_ok=True)


def test_very_long_inputs_agree_too():
    sigma_w, sigma_b = np.geomspace(15.0, 300.0, 12), np.linspace(0.5, 4.0, 12)
    grid = mf.phase_diagram("tanh", sigma_w, sigma_b)
    for i in (0, 5, 8, 11):
        alone = mf.fixed_point(mf.Ensemble("tanh", sigma_w[i], sigma_b[i]))
        assert grid.q[i, i] == pytest.approx(alone.q, rel=1e-13)
        assert grid.c[i, i] == pytest.approx(alone.c, abs=1e-13)
