import dataclasses
import math
import pickle

import numpy as np
import pytest
import scipy.special as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import meanfree as mf
from meanfree.activations import NAMES

X = np.concatenate([np.linspace(-30.0, 30.0, 601), [-1e-9, 1e-9, -0.5, 1.5]])
A, S = 1.6732632423543772, 1.0507009873554805  # alpha and scale of selu


def normal_pdf(x):
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def elu(x, a=1.0):
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0)))


FORMULAS = {  # phi and phi', written with numpy and scipy
    "linear": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "leaky_relu": (
        lambda x: np.where(x > 0, x, 0.01 * x),
        lambda x: np.where(x > 0, 1, 0.01),
    ),
    "shifted_relu": (lambda x: np.maximum(x + 1, 0) - 1, lambda x: 1.0 * (x > -1)),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), lambda x: 1.0 * (np.abs(x) < 1)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "erf": (sp.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "erf_scaled": (
        lambda x: sp.erf(np.sqrt(np.pi) / 2 * x),
        lambda x: np.exp(-np.pi / 4 * x * x),
    ),
    "sigmoid": (sp.expit, lambda x: sp.expit(x) * sp.expit(-x)),
    "gelu": (lambda x: x * sp.ndtr(x), lambda x: sp.ndtr(x) + x * normal_pdf(x)),
    "gelu_tanh": (
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        None,
    ),
    "silu": (
        lambda x: x * sp.expit(x),
        lambda x: sp.expit(x) * (1 + x * sp.expit(-x)),
    ),
    "elu": (elu, lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0)))),
    "selu": (
        lambda x: S * elu(x, A),
        lambda x: S * np.where(x > 0, 1, A * np.exp(np.minimum(x, 0))),
    ),
    "softplus": (lambda x: np.logaddexp(0, x), sp.expit),
    "sin": (np.sin, np.cos),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x)),
}


def test_formulas_of_all_names_are_tested():
    assert tuple(FORMULAS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_value_is_that_of_the_formula(name):
    # a few ulp of max(|x|, |phi|): the formulas on the right round too
    np.testing.assert_allclose(mf.activation(name)(X), FORMULAS[name][0](X), rtol=4e-15, atol=4e-15)


@pytest.mark.parametrize("name", [name for name in NAMES if FORMULAS[name][1] is not None])
def test_derivative_is_that_of_the_formula(name):
    x = X[~np.isin(X, mf.activation(name).kinks)]
    np.testing.assert_allclose(
        mf.activation(name).derivative(x), FORMULAS[name][1](x), rtol=4e-15, atol=4e-15
    )


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_agree_with_numerical_ones_of_the_formula(name):
    named, own = (
        mf.activation(name),
        mf.Activation(FORMULAS[name][0], kinks=mf.activation(name).kinks),
    )
    x = X[np.abs(X) < 12]
    x = x[~np.isin(x, named.kinks)]
    # the docstring promises 1e-13 and 1e-11, ten times that near kinks
    np.testing.assert_allclose(own.derivative(x), named.derivative(x), atol=1e-12)
    np.testing.assert_allclose(own.second_derivative(x), named.second_derivative(x), atol=3e-10)


@pytest.mark.parametrize(
    ("name", "kinks"),
    [
        ("linear", ()),
        ("relu", (0.0,)),
        ("leaky_relu", (0.0,)),
        ("shifted_relu", (-1.0,)),
        ("hard_tanh", (-1.0, 1.0)),
        ("tanh", ()),
        ("elu", (0.0,)),
        ("selu", (0.0,)),
        ("gelu", ()),
    ],
)
def test_kinks_of_named_activations(name, kinks):
    assert mf.activation(name).kinks == kinks


def test_parameters_have_defaults_and_can_be_set():
    assert mf.activation("tanh").parameters == {}
    assert mf.activation("leaky_relu").parameters == {"negative_slope": 0.01}
    assert mf.activation("elu", alpha=2).parameters == {"alpha": 2.0}
    assert mf.activation("elu", alpha=2.0)(-50.0) == pytest.approx(-2.0)
    assert mf.activation("shifted_relu", shift=0.5).kinks == (-0.5,)
    assert mf.activation("shifted_relu", shift=0.5)(-3.0) == -0.5
    assert mf.activation("leaky_relu", negative_slope=1.0).kinks == ()


def test_shape_is_kept_and_a_scalar_gives_a_float():
    phi = mf.activation("tanh")
    assert type(phi(0.5)) is float
    assert type(phi.derivative(np.float32(0.5))) is float
    assert phi(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert phi.second_derivative([[1, 2], [3, 4]]).shape == (2, 2)


def test_equal_activations_are_equal_and_hash_alike():
    assert mf.activation("elu") == mf.activation("elu", alpha=1.0)
    assert mf.activation("elu") != mf.activation("elu", alpha=1.5)
    assert mf.Activation(np.tanh) == mf.Activation(np.tanh)
    assert mf.Activation(np.tanh) != mf.activation("tanh")
    assert len({mf.activation("relu"), mf.activation("relu"), mf.Activation(np.sin)}) == 2
    assert mf.activation("relu") != "relu"


def test_activation_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mf.activation("tanh").name = "relu"


@pytest.mark.parametrize("phi", [mf.activation("elu", alpha=0.5), mf.Activation(np.tanh)])
def test_activation_survives_pickling(phi):
    copy = pickle.loads(pickle.dumps(phi))
    assert copy == phi
    np.testing.assert_array_equal(copy.derivative(X), phi.derivative(X))


def test_repr_is_the_call_that_makes_it():
    assert repr(mf.activation("tanh")) == "activation('tanh')"
    assert repr(mf.activation("elu", alpha=2.0)) == "activation('elu', alpha=2.0)"
    assert repr(mf.Activation(np.abs)) == "Activation(absolute, kinks=(0.0,))"
    assert str(mf.activation("elu", alpha=2.0)) == "elu(alpha=2)"


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("thanh", "tanh"), ("ReLU", "relu"), ("leaky-relu", "leaky_relu"), ("swish_silu", "silu")],
)
def test_nearest_name_is_suggested(typed, nearest):
    with pytest.raises(ValueError, match=f"unknown activation {typed!r} .*{nearest!r}"):
        mf.activation(typed)


def test_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"'qqqqqq'; the names are linear, relu, .*, arctan"):
        mf.activation("qqqqqq")


def test_unknown_parameter_is_named():
    with pytest.raises(TypeError, match=r"'elu' has no parameter 'beta' \(it takes alpha\)"):
        mf.activation("elu", beta=1.0)
    with pytest.raises(TypeError, match=r"'tanh' has no parameter 'alpha' \(it takes none\)"):
        mf.activation("tanh", alpha=1.0)
    with pytest.raises(ValueError, match="alpha must be finite, got nan"):
        mf.activation("elu", alpha=np.nan)


# ---- users' own functions


@pytest.mark.parametrize(
    ("function", "kinks"),
    [
        (lambda x: np.maximum(x, 0.0), [0.0]),
        (lambda x: np.clip(x, -1.25, 2.5), [-1.25, 2.5]),
        (lambda x: 1e-9 * np.abs(x - 1 / 3), [1 / 3]),
        (lambda x: np.where(x > np.pi, 1.0, -1.0), [np.pi]),
        (np.round, np.arange(-15.5, 16)),
        (lambda x: np.interp(x, [-2, 0.1, 2], [-1.0, 0.5, 3.0]), [-2, 0.1, 2]),
    ],
)
def test_kinks_are_found_where_the_slope_or_the_value_jumps(function, kinks):
    np.testing.assert_allclose(mf.Activation(function).kinks, kinks, atol=1e-10)


def test_kinks_are_found_where_the_curvature_jumps():
    def function(x):
        return np.where(x > 0.7531, (x - 0.7531) ** 2, 0.0)

    np.testing.assert_allclose(mf.Activation(function).kinks, [0.7531], atol=1e-4)
    with_slope = mf.Activation(function, lambda x: np.where(x > 0.7531, 2 * (x - 0.7531), 0.0))
    np.testing.assert_allclose(with_slope.kinks, [0.7531], atol=1e-10)


@pytest.mark.parametrize(
    "function",
    [
        np.tanh,
        sp.erf,
        lambda x: np.tanh(1000 * x),
        lambda x: np.sin(30 * x),
        lambda x: x**5,
        np.exp,
        lambda x: np.log(1 + np.exp(x)),
        lambda x: 0.5 * x * (1 + sp.erf(x / np.sqrt(2))),
        lambda x: np.exp(-x * x),
        lambda x: np.full_like(x, 3.0),
    ],
)
def test_smooth_functions_have_no_kinks(function):
    assert mf.Activation(function).kinks == ()


def test_declared_kinks_are_kept_as_they_are():
    phi = mf.Activation(lambda x: np.maximum(x - 1 / 3, 0.0), kinks=[1 / 3, 20.0])
    assert phi.kinks == (1 / 3, 20.0)


@settings(max_examples=40)
@given(st.floats(-12, 12), st.sampled_from([1e-9, 1e-5, 1e-2, 0.1]))
def test_numerical_derivative_never_straddles_a_kink(kink, distance):
    phi = mf.Activation(lambda x: np.exp(-np.abs(x - kink)), kinks=[kink])
    x = np.array([kink - distance, kink + distance])
    slopes = np.exp(-distance) * np.array([1.0, -1.0])
    np.testing.assert_allclose(phi.derivative(x), slopes, atol=2e-11)
    np.testing.assert_allclose(phi.second_derivative(x), np.exp(-distance), atol=2e-8)


def test_given_derivatives_are_used():
    phi = mf.Activation(np.sin, np.cos, lambda x: -np.sin(x), name="wave")
    np.testing.assert_array_equal(phi.derivative(X), np.cos(X))
    np.testing.assert_array_equal(phi.second_derivative(X), -np.sin(X))
    assert phi.name == "wave"


def test_function_may_overwrite_its_argument():
    def relu(x):
        x[x < 0] = 0
        return x

    x = np.array([-1.0, 2.0])
    assert mf.Activation(relu)(x).tolist() == [0.0, 2.0]
    assert x.tolist() == [-1.0, 2.0]


def test_integer_values_are_fine():
    assert mf.Activation(lambda x: (x > 0) * 1)(0.5) == 1.0


def not_elementwise(x):
    return x - x.mean()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (3.0, TypeError, r"function must be callable, got 3\.0"),
        (math.tanh, TypeError, r"function must accept .* \(is it vectorised\?\), .* TypeError"),
        (lambda x: 1.0 if x > 0 else 0.0, TypeError, "function must accept .* raised ValueError"),
        (lambda x: x[:-1], ValueError, r"function must act elementwise .*\(234,\), got .*\(233,\)"),
        (lambda x: 1j * x, TypeError, "function must return real float64 .* got dtype complex128"),
        (lambda x: x > 0, TypeError, "function must return real float64 .* got dtype bool"),
        (
            lambda x: np.tanh(x).astype(np.float32),
            TypeError,
            "function must return real float64 values, got dtype float32",
        ),
        (np.sqrt, ValueError, r"function must be finite, got nan at x = -\d"),
        (lambda x: 1 / x, ValueError, r"function must be finite, got inf at x = 0\.0"),
        (not_elementwise, ValueError, "function must act elementwise"),
        (
            lambda x: x + 1e-3 * np.modf(1e5 * np.sin(1e5 * x))[0],
            ValueError,
            "function must be piecewise smooth",
        ),
        (mf.activation("tanh"), TypeError, "function must be a function of arrays"),
    ],
)
def test_unfit_function_is_refused(function, error, message):
    with pytest.raises(error, match=message):
        mf.Activation(function)


def test_unfit_derivative_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"^derivative must be the derivative of .* at x ="):
        mf.Activation(np.tanh, np.cosh)
    with pytest.raises(ValueError, match=r"^second_derivative must be the derivative"):
        mf.Activation(np.sin, np.cos, np.sin)
    with pytest.raises(TypeError, match="derivative must be callable, got 1"):
        mf.Activation(np.tanh, 1)
    with pytest.raises(ValueError, match="kinks must be finite, got nan at index 1"):
        mf.Activation(np.tanh, kinks=[0.0, np.nan])


def test_nan_during_a_calculation_is_an_error_that_names_the_function():
    # finite on [-16, 16], where it is tried, and not beyond
    phi = mf.Activation(lambda x: np.where(np.abs(x) > 20, np.nan, x))
    with pytest.raises(ValueError, match="function must be finite, got nan at x ="):
        mf.length_map(mf.Ensemble(phi, 1.0), 1e4)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "softplus", "elu", "selu"])
def test_far_arguments_give_the_straight_lines(name):
    phi = mf.activation(name)
    x = np.array([1e20, 1e160, 1e300])
    slope = 1.0507009873554805 if name == "selu" else 1.0
    np.testing.assert_allclose(phi(x), slope * x, rtol=1e-15)
    np.testing.assert_allclose(phi.derivative(x), slope, rtol=1e-15)
    np.testing.assert_array_equal(phi.second_derivative(np.concatenate([x, -x])), 0.0)
    np.testing.assert_array_equal(phi.derivative(-x), 0.0)
