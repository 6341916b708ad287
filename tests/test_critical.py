import matplotlib.pyplot as plt
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import meanfree as mf
from meanfree.activations import NAMES

B = [0.05, 0.1, 0.2, 0.3, 0.5, 1.0]


def test_critical_line_of_tanh_agrees_with_known_numbers():
    known = [1.1225390, 1.1934007, 1.3041458, 1.3955840, 1.5496739, 1.8555891]
    np.testing.assert_allclose(mf.critical_line("tanh", sigma_b=B).sigma_w, known, atol=6e-8)


@pytest.mark.parametrize(
    ("name", "edge", "sigma_w"), [("gelu", 0.41584, 1.408211), ("silu", 0.74508, 1.409966)]
)
def test_error_says_from_which_bias_on_there_is_a_stable_point(name, edge, sigma_w):
    message = rf"only for sigma_b >= {edge} with {name} \(sigma_w = {sigma_w} there\), got 0\.1"
    with pytest.raises(ValueError, match=message):
        mf.critical(name, 0.1)
    assert mf.critical(name, edge + 2e-5).sigma_w == pytest.approx(sigma_w, abs=1e-4)
    below = mf.critical_line(name, sigma_b=edge - 1e-3)
    assert not below.stable


def test_error_says_that_there_is_none():
    with pytest.raises(ValueError, match="chi_1 = 1 is met at no stable fixed point with softplus"):
        mf.critical("softplus", 0.5)
    with pytest.raises(ValueError, match=r"only for sigma_b = 0 with relu: .* got 0\.5"):
        mf.critical("relu", 0.5)


@pytest.mark.parametrize(
    ("name", "sigma_w"),
    [
        ("linear", 1.0),
        ("relu", np.sqrt(2)),
        ("leaky_relu", np.sqrt(2 / 1.0001)),
        ("tanh", 1.0),
        ("hard_tanh", 1.0),
        ("erf", np.sqrt(np.pi) / 2),
        ("erf_scaled", 1.0),
        ("sin", 1.0),
        ("arctan", 1.0),
    ],
)
def test_critical_weights_without_biases(name, sigma_w):
    network = mf.critical(name)
    assert network.sigma_w == pytest.approx(sigma_w, rel=4e-16)
    found = mf.fixed_point(network)
    assert (found.phase, found.status) == ("critical", "marginal")
    assert found.xi_c == np.inf


def test_sigmoid_without_biases_is_critical_far_out():
    assert mf.critical("sigmoid").sigma_w == pytest.approx(10.15, abs=1e-2)


@given(st.sampled_from(NAMES), st.floats(0.01, 3.0))
def test_chi_1_is_1_at_the_fixed_point_of_a_critical_ensemble(name, sigma_b):
    line = mf.critical_line(name, sigma_b=sigma_b)
    if not line.stable:
        assert np.isnan(line.sigma_w) or name in {"gelu", "gelu_tanh", "silu"}
        return
    found = mf.fixed_point(mf.critical(name, sigma_b))
    assert found.phase == "critical"
    assert found.q == pytest.approx(line.q, rel=1e-9)
    assert found.length_slope < 1


@given(st.sampled_from(["tanh", "erf", "hard_tanh", "sin", "arctan"]), st.floats(-3, 2))
def test_the_two_parametrisations_agree(name, log_q):
    by_q = mf.critical_line(name, q=10**log_q)
    if by_q.sigma_b < 1e-6:  # hard_tanh: exponentially small
        return
    by_b = mf.critical_line(name, sigma_b=by_q.sigma_b)
    assert by_q.stable
    assert by_b.stable
    # sigma_b^2 = q - E phi^2 / E phi'^2 cancels by the factor q / sigma_b^2
    loss = 1e-14 * 10**log_q / by_q.sigma_b**2
    assert by_b.sigma_w == pytest.approx(by_q.sigma_w, rel=1e-12 + loss)


def test_line_close_to_linear_is_free_of_cancellation():
    # sigma_b^2 is 1.3 q^3 for the odd ones and 0.3 q^2 for silu, of terms q that cancel
    functions = {
        "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
        "sin": (mpmath.sin, mpmath.cos),
        "silu": (lambda x: x / (1 + mpmath.exp(-x)), None),
    }
    for name, (function, slope) in functions.items():
        derivative = slope or (lambda x, f=function: mpmath.diff(f, x))
        q = np.array([1e-20, 1e-12, 1e-9, 1e-6, 1e-4, 9e-3])
        got = mf.critical_line(name, q=q).sigma_b
        for length, sigma_b in zip(q, got, strict=True):
            exact = _exact_sigma_b(function, derivative, float(length))
            # by 13 terms of the Hermite series, or (silu at 9e-3) the plain difference
            assert sigma_b == pytest.approx(exact, rel=3e-13, abs=0.0)


def _exact_sigma_b(function, derivative, q):
    """By the trapezoid rule at 60 digits; its step leaves an error of exp(-2 pi^2 / h^2)."""
    with mpmath.workdps(60):
        root, step = mpmath.sqrt(mpmath.mpf(q)), mpmath.mpf(1) / 3
        z = [step * k for k in range(-50, 51)]
        weight = [step * mpmath.npdf(x) for x in z]
        second = mpmath.fsum(w * function(root * x) ** 2 for w, x in zip(weight, z, strict=True))
        gain = mpmath.fsum(w * derivative(root * x) ** 2 for w, x in zip(weight, z, strict=True))
        return float(mpmath.sqrt(q - second / gain))


def test_small_biases_follow_the_asymptotic_law():
    # tanh: q = (3 sigma_b^2 / 4)^(1/3), sigma_w^2 = 1 + 2 q to leading order in q = 0.002
    line = mf.critical_line("tanh", sigma_b=1e-4)
    assert line.q == pytest.approx(0.00196509, abs=6e-9)
    assert line.q == pytest.approx((0.75e-8) ** (1 / 3), rel=5e-3)
    assert line.sigma_w**2 - 1 == pytest.approx(2 * line.q, rel=5e-3)


@pytest.mark.parametrize("name", ["gelu", "silu", "softplus"])
def test_length_that_is_on_no_critical_line_is_named(name):
    # all of softplus: phi(0) is too large; gelu and silu: fine, though unstable
    if name == "softplus":
        with pytest.raises(ValueError, match=r"q must be such that sigma_b\*\*2 .* got 1\.0"):
            mf.critical_line(name, q=[1.0, 2.0])
    else:
        line = mf.critical_line(name, q=[1.0, 100.0])
        assert line.stable.tolist() == [False, True]


def test_whole_line_of_relu_is_one_point():
    line = mf.critical_line("relu", q=[0.1, 1.0, 10.0])
    np.testing.assert_allclose(line.sigma_w, np.sqrt(2), rtol=4e-16)
    np.testing.assert_array_equal(line.sigma_b, 0.0)
    assert line.stable.all()


def test_users_function_has_the_line_of_the_named_one():
    mine, named = (mf.critical_line(phi, sigma_b=[0.1, 1.0]) for phi in (np.tanh, "tanh"))
    np.testing.assert_allclose(mine.sigma_w, named.sigma_w, rtol=1e-9)


def test_exactly_one_parameter_is_given():
    with pytest.raises(ValueError, match="exactly one of sigma_b and q must be given, got none"):
        mf.critical_line("tanh")
    with pytest.raises(ValueError, match="exactly one of sigma_b and q must be given, got both"):
        mf.critical_line("tanh", sigma_b=0.1, q=1.0)


def test_dropout_is_refused():
    with pytest.raises(ValueError, match=r"keep must be 1 for a critical line .* got 0\.9"):
        mf.critical_line("tanh", sigma_b=0.1, keep=0.9)
    with pytest.raises(ValueError, match=r"keep must be 1 for a critical line"):
        mf.critical("tanh", 0.1, keep=0.9)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"q must be finite and > 0, got 0\.0"):
        mf.critical_line("tanh", q=0.0)
    with pytest.raises(ValueError, match=r"sigma_b must be finite and >= 0, got -1\.0"):
        mf.critical("tanh", -1.0)


def test_critical_ensemble_has_the_weights_asked_for():
    network = mf.critical("tanh", 0.3, weights="orthogonal")
    assert network == mf.Ensemble("tanh", network.sigma_w, 0.3, weights="orthogonal")


def test_shapes_follow_the_argument():
    line = mf.critical_line("tanh", sigma_b=0.3)
    assert type(line.sigma_w) is type(line.q) is type(line.sigma_b) is float
    assert line.stable is True
    assert mf.critical_line("tanh", q=np.ones((2, 3))).stable.shape == (2, 3)
    assert mf.critical_line("tanh", sigma_b=[]).sigma_w.shape == (0,)
    assert "sigma_w = 1.39558" in repr(line)
    assert len(repr(mf.critical_line("tanh", sigma_b=np.linspace(0, 1, 99))).splitlines()) <= 12


def test_plot_tells_stable_from_unstable():
    line = mf.critical_line("gelu", sigma_b=np.linspace(0.1, 1, 10))
    stable, unstable = line.plot().lines
    np.testing.assert_array_equal(np.isfinite(stable.get_xdata()), line.stable)
    np.testing.assert_array_equal(np.isfinite(unstable.get_xdata()), ~line.stable)
    plt.close("all")


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "erf"])
def test_line_goes_on_to_large_biases(name):
    line = mf.critical_line(name, sigma_b=1e6)
    assert line.stable
    again = mf.critical_line(name, q=line.q)
    assert again.sigma_w == pytest.approx(line.sigma_w, rel=1e-9)
    assert again.sigma_b == pytest.approx(1e6, rel=1e-9)
