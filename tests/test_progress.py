import numpy as np
import pytest

import meanfree as mf
from meanfree import _core
from meanfree.linear import descend, gradient_flow
from meanfree.manifold import fourier_regression, linear_regions, sawtooth
from meanfree.spectrum import rectangular_spectrum

NETWORK = mf.Ensemble("tanh", 1.2, 0.1)
CALLS = {
    "quantiles": lambda p: mf.jacobian_spectrum(NETWORK, 2).quantile([0.2, 0.5], progress=p),
    "spectrum": lambda p: mf.jacobian_spectrum(NETWORK, 3, progress=p),
    "spectrum of widths": lambda p: rectangular_spectrum(NETWORK, [3, 2, 4], progress=p),
    "lengths": lambda p: mf.tune_critical("tanh", 9, progress=p),
    "factors": lambda p: mf.log_singular_values([np.eye(3)] * 4, progress=p),
    "steps": lambda p: fourier_regression(NETWORK, 5, 2, n_angles=9, progress=p),
    "curve": lambda p: linear_regions(*sawtooth(3), [0.0, 1.0], progress=p),
    "steps of descent": lambda p: descend([np.eye(2)], np.eye(2), eta=0.1, steps=3, progress=p),
    "thousandths": lambda p: gradient_flow([np.eye(2)], np.eye(2), t=1.0, progress=p),
    "networks": lambda p: mf.simulate_jacobian(NETWORK, 5, 2, n_samples=3, progress=p),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bar_is_drawn_where_it_is_asked_for(name, capsys):
    CALLS[name](False)
    assert capsys.readouterr().err == ""
    CALLS[name](None)  # stderr is no terminal here
    assert capsys.readouterr().err == ""
    CALLS[name](True)
    assert f"{name.split()[0]}: " in capsys.readouterr().err


@pytest.mark.parametrize("name", CALLS)
def test_progress_is_a_truth_value_or_none(name):
    with pytest.raises(TypeError, match=r"^progress must be True, False or None, got 1$"):
        CALLS[name](1)


def test_a_bar_without_a_total_tells_the_time(capsys):
    lengths = np.linspace(0.5, 1.5, 500)
    mf.jacobian_spectrum(NETWORK, 500, q=lengths, progress=True)
    assert "spectrum: 00:00" in capsys.readouterr().err


def test_factors_are_counted():
    counts = []
    _core.log_singular_values([np.eye(400) + 0.01] * 20, counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 20
    assert any(0 < n < 20 for n in counts)
