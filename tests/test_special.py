"""The special functions of the core against mpmath (tests/references/special.py)."""

from pathlib import Path

import numpy as np
import pytest

from meanfree import _core

REFERENCES = np.load(Path(__file__).parent / "references" / "special.npz")
NAMES = sorted({key.split(".")[0] for key in REFERENCES.files})
ODD = ["asin", "atan", "erf", "expm1", "log1p", "sin", "tanh"]  # f(-0) = -0, f(x) ~ x
INF, NAN = np.inf, np.nan
LIMITS = {  # f(-inf), f(0), f(inf)
    "asin": (NAN, 0.0, NAN),
    "atan": (-np.pi / 2, 0.0, np.pi / 2),
    "cos": (NAN, 1.0, NAN),
    "erf": (-1.0, 0.0, 1.0),
    "erfc": (2.0, 1.0, 0.0),
    "exp": (0.0, 1.0, INF),
    "expm1": (-1.0, 0.0, INF),
    "log": (NAN, -INF, INF),
    "log1p": (NAN, 0.0, INF),
    "normal_cdf": (0.0, 0.5, 1.0),
    "normal_pdf": (0.0, 1 / np.sqrt(2 * np.pi), 0.0),
    "sech_squared": (0.0, 1.0, 0.0),
    "sigmoid": (0.0, 0.5, 1.0),
    "sin": (NAN, 0.0, NAN),
    "softplus": (0.0, np.log(2), INF),
    "tanh": (-1.0, 0.0, 1.0),
}


def table(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, nearest, rest = (REFERENCES[f"{name}.{part}"] for part in ("x", "nearest", "rest"))
    return x, nearest, rest


@pytest.mark.parametrize("name", NAMES)
def test_relative_error_is_at_most_2e_15_over_the_whole_range(name):
    x, nearest, rest = table(name)
    normal = abs(nearest) >= 2.0**-1022
    y = _core.special(name, x)
    # y - nearest is exact, as the two are close
    error = abs((y - nearest)[normal] / nearest[normal] - rest[normal])
    worst = error.argmax()
    print(f"{name}: worst relative error {error[worst]:.2e} at x = {x[normal][worst]!r}")
    assert error[worst] <= 2e-15
    # subnormal values: one rounding to the grid of 2^-1074 after the relative error
    np.testing.assert_allclose(y[~normal], nearest[~normal], rtol=0, atol=2.0**-1073)


@pytest.mark.parametrize("name", NAMES)
def test_infinities_have_their_limits_and_nan_propagates(name):
    y = _core.special(name, np.array([-INF, 0.0, INF, NAN]))
    np.testing.assert_allclose(y, [*LIMITS[name], NAN], rtol=2e-15, atol=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cos", 1),
        ("erfc", 1),
        ("exp", 1),
        ("normal_cdf", 0.5),
        ("sech_squared", 1),
        ("sigmoid", 0.5),
    ],
)
def test_simple_values_at_zero_are_exact(name, value):
    assert _core.special(name, np.zeros(1)) == value


@pytest.mark.parametrize("name", ODD)
def test_zeros_keep_their_sign(name):
    assert np.signbit(_core.special(name, np.array([-0.0, 0.0]))).tolist() == [True, False]


@pytest.mark.parametrize("name", ["asin", "atan", "erf", "sin", "tanh"])
def test_odd_functions_are_odd_to_the_last_bit(name):
    x = table(name)[0]
    np.testing.assert_array_equal(_core.special(name, -x), -_core.special(name, x))


@pytest.mark.parametrize(
    ("name", "x"),
    [("asin", 1.0000000000000002), ("log", -5e-324), ("log1p", -1.0000000000000002)],
)
def test_nan_outside_the_domain(name, x):
    assert np.isnan(_core.special(name, np.array([x]))).all()


@pytest.mark.parametrize(
    ("name", "x", "limit"),
    [
        ("erf", 5.93, 1.0),  # 1 - erf is below half a step of the doubles under 1
        ("erfc", 27.3, 0.0),
        ("exp", -745.2, 0.0),
        ("exp", 709.79, INF),
        ("expm1", 709.79, INF),
        ("normal_cdf", 8.5, 1.0),
        ("normal_cdf", -38.6, 0.0),
        ("sigmoid", -745.2, 0.0),
        ("softplus", -745.2, 0.0),
        ("tanh", 19.1, 1.0),
    ],
)
def test_limit_is_reached_beyond_the_last_other_double(name, x, limit):
    points = np.array([x, 1.5 * x, 1e3 * x, np.copysign(1e308, x)])
    np.testing.assert_array_equal(_core.special(name, points), limit)


@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_place_in_the_array(name):
    x = np.concatenate([table(name)[0], [NAN, INF, -INF]])
    whole = _core.special(name, x).view(np.uint64)
    for n in [1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 67]:
        for offset in range(16):
            part = _core.special(name, x[offset : offset + n]).view(np.uint64)
            np.testing.assert_array_equal(part, whole[offset : offset + n])


@pytest.mark.parametrize("name", ["cos", "sin"])
def test_a_huge_angle_leaves_its_neighbours_alone(name):
    x = np.linspace(-100.0, 100.0, 600)
    alone = _core.special(name, x)
    x[[3, 300, 599]] = [1e300, -1e10, INF]
    ordinary = abs(x) < 131072
    np.testing.assert_array_equal(_core.special(name, x)[ordinary], alone[ordinary])


def test_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="no special function gamma"):
        _core.special("gamma", np.zeros(1))
