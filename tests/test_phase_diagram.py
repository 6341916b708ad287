from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import meanfree as mf

W, B = np.array([0.5, 1.2, 2.5]), np.array([0.0, 0.3, 1.0, 2.0])
FIELDS = (
    "q", "c", "delta", "chi_1", "chi_2", "chi_c", "length_slope", "xi_q", "xi_c", "xi_gradient",
)  # fmt: skip
OF_C = ("c", "delta", "chi_c", "xi_c")  # found from c*
WORDS = ("phase", "status")
SMOOTH = ("tanh", "arctan", "sigmoid", "silu", "softplus", "gelu_tanh")


def amplification(slope):
    """Return by how much the fixed point of a map of this slope amplifies errors of the map."""
    return max(1.0, 1.0 / max(abs(1.0 - slope), 1e-12)) if np.isfinite(slope) else 1.0


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "elu", "softplus", "arctan"])
@pytest.mark.parametrize("keep", [1.0, pytest.param(0.9, marks=pytest.mark.slow)])
def test_every_point_is_what_fixed_point_gives(name, keep):
    diagram = mf.phase_diagram(name, W, B, keep=keep)
    for i, sigma_w in enumerate(W):
        for j, sigma_b in enumerate(B):
            alone = mf.fixed_point(mf.Ensemble(name, sigma_w, sigma_b, keep=keep))
            of_q = amplification(alone.length_slope)
            of_c = of_q * amplification(alone.chi_c)
            for field in FIELDS:
                expected, kappa = getattr(alone, field), of_c if field in OF_C else of_q
                if field in ("xi_q", "xi_c"):
                    kappa *= max(1.0, expected)
                size = 1.0 if field in ("c", "delta") else max(1.0, abs(expected))
                assert getattr(diagram, field)[i, j] == pytest.approx(
                    expected, rel=0, abs=1e-12 * kappa * size, nan_ok=True
                )
            assert diagram.phase[i, j] == alone.phase
            assert diagram.status[i, j] == alone.status


def same_bits(one, other):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert one.phase.tolist() == other.phase.tolist()
    assert one.status.tolist() == other.status.tolist()


@pytest.mark.parametrize("keep", [1.0, pytest.param(0.9, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*SMOOTH, "relu", "hard_tanh", "erf", "gelu", "sin", "selu"])
def test_a_cell_has_the_same_bits_in_every_grid_and_on_any_number_of_threads(name, keep):
    bounded = name not in ("softplus", "silu", "gelu_tanh", "relu", "gelu", "selu")
    w = np.linspace(0.1, 12.0 if bounded else 1.4, 23)
    b = np.array([0.0, 1e-3, 0.05, 0.3, 1.0, 1.5, 2.0, 3.7, 4.0, 20.0, 300.0])
    whole = mf.phase_diagram(name, w, b, keep=keep, n_threads=3)
    same_bits(mf.phase_diagram(name, w, b, keep=keep, n_threads=1), whole)
    random = np.random.default_rng(5)
    for _ in range(12):
        rows = random.choice(w.size, random.integers(1, 7))
        columns = random.choice(b.size, random.integers(1, 7))
        part = mf.phase_diagram(name, w[rows], b[columns], keep=keep, n_threads=2)
        at = np.ix_(rows, columns)
        same_bits(part, SimpleNamespace(**{f: getattr(whole, f)[at] for f in (*FIELDS, *WORDS)}))


@given(st.permutations(range(5)))
def test_order_of_the_axes_is_kept(order):
    w = np.linspace(0.5, 2.5, 5)
    straight, mixed = mf.phase_diagram("erf", w, B), mf.phase_diagram("erf", w[order], B)
    np.testing.assert_allclose(mixed.chi_1, straight.chi_1[order], rtol=1e-12)


def test_shapes_and_words():
    diagram = mf.phase_diagram("relu", [1.0, 1.5], 0.5)
    assert diagram.q.shape == diagram.phase.shape == diagram.status.shape == (2, 1)
    assert diagram.status.tolist() == [["converged"], ["diverges"]]
    assert diagram.phase.tolist() == [["ordered"], ["chaotic"]]
    assert mf.phase_diagram("tanh", [], B).q.shape == (0, 4)
    assert mf.phase_diagram("relu", np.sqrt(2), 0).phase.tolist() == [["critical"]]


def test_repr_counts_the_phases():
    text = repr(mf.phase_diagram("tanh", W, B))
    assert text.splitlines()[1] == "  sigma_w: 3 from 0.5 to 2.5"
    assert "phase: chaotic 5, ordered 7" in text
    assert "collapsed_to_zero 1, converged 11" in text


def test_plot_shows_chi_1_and_the_critical_line():
    diagram = mf.phase_diagram("tanh", W[::-1], B)
    ax = diagram.plot()
    (mesh,) = ax.collections
    shades = np.clip(np.log2(diagram.chi_1[::-1].T), -2, 2)
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(4, 3), shades)
    (line,) = ax.lines
    w, b = line.get_data()
    np.testing.assert_allclose(w, mf.critical_line("tanh", sigma_b=b).sigma_w)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"$\sigma_w$", r"$\sigma_b$")
    plt.close("all")


def test_plot_draws_on_the_axes_given_and_no_line_under_dropout():
    ax = plt.figure().subplots()
    assert mf.phase_diagram("tanh", W, B, keep=0.9).plot(ax) is ax
    assert len(ax.lines) == 0
    plt.close("all")


def test_labelled_copy():
    xr = pytest.importorskip("xarray")
    diagram = mf.phase_diagram("tanh", W, B)
    data = diagram.to_xarray()
    assert isinstance(data, xr.Dataset)
    assert float(data.chi_1.sel(sigma_w=1.2, sigma_b=0.3)) == diagram.chi_1[1, 1]
    assert str(data.phase.sel(sigma_w=2.5, sigma_b=0.0).values) == "chaotic"


def test_bad_axes_are_named():
    with pytest.raises(ValueError, match=r"sigma_w must have at most one dimension, .*\(1, 3\)"):
        mf.phase_diagram("tanh", [W], B)
    with pytest.raises(ValueError, match=r"sigma_b must be finite and >= 0, got -0\.5 at index 1"):
        mf.phase_diagram("tanh", W, [0.0, -0.5])
