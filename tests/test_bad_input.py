"""Whatever is handed in: a right answer, or an error that names the argument."""

import io
import pickle
import re
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import meanfree as mf
from meanfree.activations import NAMES
from meanfree.manifold import fourier_regression, linear_regions, sawtooth

NETWORK = mf.Ensemble("tanh", 1.5, 0.3)
SPECTRUM = mf.universal_spectrum("smooth", 0.5)


def regression(**arguments):
    return fourier_regression(NETWORK, **{"width": 2, "depth": 1, "n_angles": 9} | arguments)


# name -> (call with the argument, a value that fits), for every number in the public functions
ARGUMENTS = {
    "sigma_w": (lambda v: mf.Ensemble("tanh", v), 1.5),
    "sigma_b": (lambda v: mf.Ensemble("tanh", 1.5, v), 0.3),
    "keep": (lambda v: mf.Ensemble("tanh", 1.5, keep=v), 0.5),
    "alpha": (lambda v: mf.activation("elu", alpha=v), 1.5),
    "x": (mf.activation("tanh"), 0.5),
    "x of derivative": (lambda v: mf.activation("relu").derivative(v), 0.5),
    "q of length_map": (lambda v: mf.length_map(NETWORK, v), 0.5),
    "q_aa": (lambda v: mf.covariance_map(NETWORK, v, 2.0, 0.0), 0.5),
    "q_bb": (lambda v: mf.covariance_map(NETWORK, 2.0, v, 0.0), 0.5),
    "q_ab": (lambda v: mf.covariance_map(NETWORK, 2.0, 2.0, v), 0.5),
    "c": (lambda v: mf.correlation_map(NETWORK, v), 0.5),
    "q of correlation_map": (lambda v: mf.correlation_map(NETWORK, 0.5, q=v), 0.5),
    "c of correlation_slope": (lambda v: mf.correlation_slope(NETWORK, v), 0.5),
    "q of correlation_slope": (lambda v: mf.correlation_slope(NETWORK, 0.5, q=v), 0.5),
    "c of propagate": (lambda v: mf.propagate(NETWORK, 2, c=v), 0.5),
    "delta": (lambda v: mf.propagate(NETWORK, 2, delta=v), 0.5),
    "q of propagate": (lambda v: mf.propagate(NETWORK, 1, q=v), 0.5),
    "c of propagate_gradient": (lambda v: mf.propagate_gradient(NETWORK, 2, c=v), 0.5),
    "q of propagate_gradient": (lambda v: mf.propagate_gradient(NETWORK, 1, q=v), 0.5),
    "sigma_w of phase_diagram": (lambda v: mf.phase_diagram("erf", v, 0.3), 0.5),
    "sigma_b of phase_diagram": (lambda v: mf.phase_diagram("erf", 1.5, v), 0.5),
    "keep of phase_diagram": (lambda v: mf.phase_diagram("erf", 1.5, 0.3, keep=v), 0.5),
    "sigma_b of critical_line": (lambda v: mf.critical_line("erf", sigma_b=v), 0.5),
    "q of critical_line": (lambda v: mf.critical_line("erf", q=v), 0.5),
    "sigma_b of critical": (lambda v: mf.critical("erf", v), 0.5),
    "q of simulate_propagation": (lambda v: mf.simulate_propagation(NETWORK, 5, 2, q=v), 0.5),
    "c of simulate_propagation": (lambda v: mf.simulate_propagation(NETWORK, 5, 2, c=v), 0.5),
    "q of jacobian_spectrum": (lambda v: mf.jacobian_spectrum(NETWORK, 1, q=v).mean, 0.5),
    "epsilon": (SPECTRUM.fraction_within, 0.5),
    "relative_variance": (lambda v: mf.universal_spectrum("smooth", v).mean, 0.5),
    "relative_variance of tune_critical": (
        lambda v: mf.tune_critical("tanh", 2, relative_variance=v),
        0.5,
    ),
    "radius": (lambda v: regression(radius=v), 0.5),
    "rcond": (lambda v: regression(rcond=v), 0.5),
    "arc": (lambda v: regression(arc=v), 0.5),
    "strength": (lambda v: mf.residual_spectrum(v).mean, 0.5),
    "p": (SPECTRUM.quantile, 0.5),
}
COUNTS = {
    "depth": lambda v: mf.propagate(NETWORK, v),
    "depth of propagate_gradient": lambda v: mf.propagate_gradient(NETWORK, v),
    "width": lambda v: mf.simulate_propagation(NETWORK, v, 2),
    "depth of simulate_propagation": lambda v: mf.simulate_propagation(NETWORK, 5, v),
    "n_samples": lambda v: mf.simulate_propagation(NETWORK, 5, 2, n_samples=v),
    "depth of jacobian_spectrum": lambda v: mf.jacobian_spectrum(NETWORK, v),
    "depth of tune_critical": lambda v: mf.tune_critical("tanh", v),
    "k": SPECTRUM.moment,
    "width of fourier_regression": lambda v: regression(width=v),
    "depth of fourier_regression": lambda v: regression(depth=v),
    "n_outputs": lambda v: regression(n_outputs=v),
    "depth of sawtooth": sawtooth,
    "seed": lambda v: mf.simulate_propagation(NETWORK, 5, 2, seed=v),
    "n_threads": lambda v: mf.length_map(NETWORK, 1.0, n_threads=v),
    "n_threads of phase_diagram": lambda v: mf.phase_diagram("erf", 1.0, 0.3, n_threads=v),
    "n_threads of simulate_propagation": lambda v: mf.simulate_propagation(
        NETWORK, 5, 2, n_threads=v
    ),
    "n_threads of linear_regions": lambda v: linear_regions(*sawtooth(2), [0.0, 1.0], n_threads=v),
}
SCALAR_ONLY = {"sigma_w", "sigma_b", "keep", "alpha", "keep of phase_diagram"} | {
    "sigma_b of critical",
    "q of simulate_propagation",
    "c of simulate_propagation",
    "relative_variance",
    "relative_variance of tune_critical",
    "strength",
    "radius",
    "rcond",
    "arc",
}
NOT_NUMBERS = [
    "0.5",
    b"1",
    True,
    np.bool_(True),
    1j,
    np.complex128(0.5),
    object(),
    {},
    [None],
    ["a"],
    [[1.0], [1.0, 2.0]],
    np.array([0.5], dtype=object),
    np.array(["0.5"]),
    np.array([True]),
    np.array([0.5j]),
    np.array(["2020-01-01"], dtype="datetime64[D]"),
    np.ma.masked_array([0.5, 0.5], mask=[True, False]),
    np.zeros(1, dtype=[("a", float)]),
    lambda: 0.5,
]


def name_of(argument):
    return argument.split()[0]


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_by_name(argument, value):
    with pytest.raises((TypeError, ValueError), match=rf"^{name_of(argument)} must be"):
        ARGUMENTS[argument][0](value)


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 10**400, -(10**400)], ids=repr)
def test_what_is_not_finite_is_refused_by_name_and_value(argument, value):
    for given_value in (value, np.longdouble(value) if isinstance(value, float) else value):
        with pytest.raises(ValueError, match=rf"^{name_of(argument)} must be .*got"):
            ARGUMENTS[argument][0](given_value)
    if argument not in SCALAR_ONLY:
        with pytest.raises(ValueError, match=rf"^{name_of(argument)} must be .* at index 0"):
            ARGUMENTS[argument][0]([value])


@pytest.mark.parametrize("argument", sorted(set(ARGUMENTS) - {"x", "x of derivative", "alpha"}))
def test_what_is_out_of_range_is_refused_by_name_and_value(argument):
    call, _ = ARGUMENTS[argument]
    signed = name_of(argument) in {"c", "q_ab"}
    for value in (-3.0, -1.0000000001) if signed else (-3.0, -1e-300):
        if name_of(argument) == "q_ab" and value > -2:
            continue
        with pytest.raises(
            ValueError, match=rf"^{name_of(argument)} must be .*{re.escape(repr(value))}"
        ):
            call(value)


@pytest.mark.parametrize("argument", sorted(set(ARGUMENTS) - SCALAR_ONLY))
@pytest.mark.parametrize(
    "form",
    [
        lambda a: a.astype(">f8"),
        lambda a: a.astype("<f4").astype(">f4"),
        lambda a: np.repeat(a, 2)[::2],
        lambda a: a[::-1][::-1],
        lambda a: np.array(np.broadcast_to(a, (3, a.size)).T, order="F")[:, 1],
        lambda a: a.tolist(),
        tuple,
        lambda a: a.astype(np.longdouble),
    ],
)
def test_memory_layout_does_not_matter(argument, form):
    call, value = ARGUMENTS[argument]
    array = np.array([value])  # 0.5: exact in every format
    array.flags.writeable = False
    other = form(array)
    if isinstance(other, np.ndarray):
        other.flags.writeable = False
    assert pickle.dumps(_plain(call(array))) == pickle.dumps(_plain(call(other)))


@pytest.mark.parametrize("argument", sorted(set(ARGUMENTS) - SCALAR_ONLY))
def test_argument_is_left_as_it_was(argument):
    call, value = ARGUMENTS[argument]
    array = np.array([value])
    result = call(array)
    assert array[0] == value
    array[0] = 77.0
    for part in _plain(result):
        assert not np.any(part == 77.0)


PER_LAYER = {"q of propagate", "q of propagate_gradient", "q of jacobian_spectrum"}
EMPTY = sorted(set(ARGUMENTS) - SCALAR_ONLY - PER_LAYER)


@pytest.mark.parametrize("argument", EMPTY)
def test_empty_in_empty_out(argument):
    call, _ = ARGUMENTS[argument]
    for empty in ([], np.empty(0), np.empty(0, dtype=np.int8)):
        assert any(part.size == 0 for part in _plain(call(empty)))


def test_empty_lengths_do_not_fit_any_depth():
    for f in (mf.propagate, mf.propagate_gradient):
        with pytest.raises(ValueError, match=r"^q must be None, .* got shape \(0,\)"):
            f(NETWORK, 2, q=[])


@pytest.mark.parametrize("argument", sorted(SCALAR_ONLY))
def test_array_in_place_of_a_number_is_refused(argument):
    for value in ([0.5], np.array([0.5, 0.5]), []):
        with pytest.raises((ValueError, TypeError), match=rf"^{name_of(argument)} must be a"):
            ARGUMENTS[argument][0](value)


@pytest.mark.parametrize("argument", COUNTS)
@pytest.mark.parametrize("value", [-1, 10**30, 1.0, "3", True, [3], np.float64(3), np.nan, None])
def test_bad_count_is_refused_by_name(argument, value):
    if argument.startswith("n_threads") and value is None:
        return  # the default
    message = rf"^{name_of(argument)} must be an integer "
    with pytest.raises((ValueError, TypeError), match=message):
        COUNTS[argument](value)


@pytest.mark.parametrize("argument", COUNTS)
def test_integer_of_any_kind_counts(argument):
    for value in (3, np.int8(3), np.uint64(3), np.array(3)):
        COUNTS[argument](value)


def test_bounds_of_the_counts():
    with pytest.raises(ValueError, match=r"^n_samples must be an integer in .*, got 1$"):
        mf.simulate_propagation(NETWORK, 5, 2, n_samples=1)
    with pytest.raises(
        ValueError, match=r"^seed must be an integer in \[0, 2\*\*64 - 1\], got -1$"
    ):
        mf.simulate_propagation(NETWORK, 5, 2, seed=-1)
    with pytest.raises(ValueError, match=r"^seed must be .*, got 18446744073709551616$"):
        mf.simulate_propagation(NETWORK, 5, 2, seed=2**64)
    with pytest.raises(ValueError, match=r"^depth must be an integer in .*, got 0$"):
        mf.propagate(NETWORK, 0)
    with pytest.raises(ValueError, match=r"^method must be one of .*; got 'grem' .*'gram'"):
        mf.simulate_propagation(NETWORK, 5, 2, method="grem")


@pytest.mark.parametrize("value", ["tanh", None, 5, mf.activation("tanh")])
@pytest.mark.parametrize(
    "call",
    [
        mf.fixed_point,
        lambda e: mf.length_map(e, 1.0),
        lambda e: mf.covariance_map(e, 1.0, 1.0, 0.5),
        lambda e: mf.correlation_map(e, 0.5),
        lambda e: mf.correlation_slope(e, 0.5),
        lambda e: mf.propagate(e, 2),
        lambda e: mf.propagate_gradient(e, 2),
        lambda e: mf.simulate_propagation(e, 5, 2),
    ],
)
def test_ensemble_must_be_one(call, value):
    with pytest.raises(TypeError, match=r"^ensemble must be an Ensemble, got"):
        call(value)


@pytest.mark.parametrize("call", [mf.phase_diagram, mf.critical_line, mf.critical])
def test_activation_must_be_one(call):
    rest = {
        mf.phase_diagram: {"sigma_w": 1.0, "sigma_b": 0.1},
        mf.critical_line: {"q": 1.0},
        mf.critical: {},
    }[call]
    with pytest.raises(TypeError, match=r"^activation must be .*, got 3\.5"):
        call(3.5, **rest)
    with pytest.raises(ValueError, match=r"unknown activation 'tann' .*did you mean 'tanh'"):
        call("tann", **rest)


# ---- any numbers within range


SIZES = st.one_of(
    st.floats(0, 1e10), st.floats(0, 10), st.sampled_from([0.0, 1e-300, 5e-324, 1e10])
)
LENGTHS = st.one_of(st.floats(0, 1e20), st.floats(0, 10), st.sampled_from([0.0, 5e-324, 1e20]))
UNITS = st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, 1.0, np.nextafter(-1, 0), 1e-300]))
KEEPS = st.one_of(st.just(1.0), st.floats(1e-6, 1.0, exclude_min=True))
ANY = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@ANY
@given(st.sampled_from(NAMES), SIZES, SIZES, KEEPS, LENGTHS, UNITS)
def test_maps_have_no_nan(name, sigma_w, sigma_b, keep, q, c):
    network = mf.Ensemble(name, sigma_w, sigma_b, keep=keep)
    length = mf.length_map(network, q)
    assert length >= 0
    slope = mf.correlation_slope(network, c, q=q)
    assert np.isfinite(slope)
    if length > 0 and not (length == sigma_b**2 == 0):
        try:
            assert -1 <= mf.correlation_map(network, c, q=q) <= 1
        except ValueError as error:
            assert str(error).startswith("q must be such that")  # noqa: PT017
    q_ab = c * np.sqrt(q) * np.sqrt(q)
    assert np.isfinite(mf.covariance_map(network, q, q, q_ab))


@settings(ANY, max_examples=30)
@given(st.sampled_from(NAMES), SIZES, SIZES, KEEPS)
def test_fixed_points_have_no_nan_where_they_exist(name, sigma_w, sigma_b, keep):
    found = mf.fixed_point(mf.Ensemble(name, sigma_w, sigma_b, keep=keep))
    assert found.q >= 0
    assert not np.isnan(found.chi_1)
    assert (found.q == np.inf) == (found.status == "diverges")
    assert np.isnan(found.c) == (found.q in {0.0, np.inf})
    assert np.isnan(found.c) or (-1 <= found.c <= 1 and found.chi_c >= -1e-12)


@ANY
@given(st.sampled_from(NAMES), SIZES, SIZES, KEEPS, LENGTHS, UNITS, st.integers(1, 30))
def test_trajectories_are_nan_only_as_documented(name, sigma_w, sigma_b, keep, q, c, depth):
    network = mf.Ensemble(name, sigma_w, sigma_b, keep=keep)
    path = mf.propagate(network, depth, q=q, c=c)
    back = mf.propagate_gradient(network, depth, q=q, c=c)
    assert not np.isnan(path.q).any()
    assert not np.isnan(back.norm).any()
    if sigma_b > 1e-100:
        assert np.all(np.abs(path.c) <= 1)


@ANY
@given(st.sampled_from(NAMES), st.one_of(st.floats(0, 1e3), st.floats(0, 1e10)))
def test_critical_line_exists_or_not(name, sigma_b):
    line = mf.critical_line(name, sigma_b=sigma_b)
    assert np.isnan(line.sigma_w) == np.isnan(line.q)
    if line.stable:
        assert mf.critical(name, sigma_b).sigma_w == line.sigma_w
    else:
        with pytest.raises(ValueError, match=r"chi_1 = 1 is met"):
            mf.critical(name, sigma_b)


@ANY
@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)),
    st.sampled_from(sorted(set(ARGUMENTS) - SCALAR_ONLY - {"alpha"})),
)
def test_any_array_gives_an_answer_or_an_error_that_names_the_argument(array, argument):
    try:
        parts = _plain(ARGUMENTS[argument][0](array))
    except ValueError as error:
        assert str(error).startswith(name_of(argument) + " must")  # noqa: PT017
    else:
        assert parts


@ANY
@given(
    st.sampled_from(NAMES),
    SIZES,
    KEEPS,
    st.floats(1e-300, 1e20),
    UNITS,
    st.integers(2, 20),
    st.integers(0, 2**64 - 1),
    st.sampled_from(["gaussian", "orthogonal"]),
    st.sampled_from(["auto", "gram", "weights"]),
)
def test_simulations_have_no_nan(name, sigma_w, keep, q, c, width, seed, weights, method):
    network = mf.Ensemble(name, sigma_w, 0.1, keep=keep, weights=weights)
    sample = mf.simulate_propagation(
        network, width, 3, q=q, c=c, n_samples=2, seed=seed, method=method
    )
    assert np.all(sample.q > 0)
    assert not np.isnan(sample.q_error).any()
    assert np.all(np.abs(sample.c_samples) <= 1)


# ---- progress


def test_progress_must_be_a_bool_or_none():
    with pytest.raises(TypeError, match=r"^progress must be True, False or None, got 'yes'"):
        mf.length_map(NETWORK, 1.0, progress="yes")


def test_progress_is_drawn_when_asked_for_and_on_no_other_stream(monkeypatch):
    for progress, drawn in ((True, True), (False, False), (None, False)):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        mf.phase_diagram("tanh", np.linspace(1, 2, 10), 0.1, progress=progress)
        assert ("phase diagram" in sys.stderr.getvalue()) == drawn


def test_progress_does_not_change_the_result(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for f in (
        lambda progress: mf.propagate(NETWORK, 9, c=0.5, progress=progress).c,
        lambda progress: mf.simulate_propagation(NETWORK, 9, 5, progress=progress).q,
        lambda progress: mf.correlation_map(NETWORK, np.linspace(0, 1, 99), progress=progress),
    ):
        np.testing.assert_array_equal(f(True), f(False))


def _plain(result):
    """The arrays in a result."""
    if isinstance(result, float | np.ndarray):
        return [np.asarray(result)]
    values = [getattr(result, name) for name in result.__dataclass_fields__]
    return [np.asarray(v) for v in values if isinstance(v, float | np.ndarray)]
