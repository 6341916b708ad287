"""Modes of deep linear networks, against integrators, 30 digits, and whole matrices."""

from math import inf, log

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import meanfree as mf
from meanfree import linear

DEPTHS = [1, 2, 3, 4, 5, 7, 10, 100, inf]


def integrated(times, s, a0, depth, d=1.0):
    """Integrate the logarithm of the strength, with an error of about 1e-12."""
    many, power = (1.0, 2.0) if depth == inf else (depth, 2.0 - 2.0 / depth)

    def slope(t, x):
        u = np.exp(x)
        return many * u ** (power - 1.0) * (s - d * u)

    end = max(times)
    options = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-14}
    return np.exp(solve_ivp(slope, (0.0, end), [log(a0)], t_eval=times, **options).y[0])


def flow_of_mode(s, ratio, depth):
    half = linear.learning_time(s, ratio * s, depth=depth) if ratio < 0.5 else 1.0 / s
    times = half * np.array([0.0, 0.5, 0.9, 1.0, 1.1, 2.0, 6.0])
    return times, integrated(times, s, ratio * s, depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("ratio", [1e-3, 0.1, 0.7, 0.999, 1.0, 1.5, 30.0])
def test_strength_is_that_of_the_integrated_flow(depth, ratio):
    for s in (0.2, 3.0):
        times, expected = flow_of_mode(s, ratio, depth)
        u = linear.mode_strength(times, s, ratio * s, depth=depth)
        np.testing.assert_allclose(u, expected, rtol=1e-10)


def time_of(v0, v, s, depth):
    """Return t(v s) by quadrature with 30 digits; v0 and v are both below 1 or both above."""
    m = mpmath.mp
    c = m.mpf(1) if depth == inf else 1 - m.mpf(2) / depth
    sign = 1 if v < 1 else -1

    def level(x):
        return m.log(x / abs(1 - x))

    with m.workdps(30):
        s, v0, v = m.mpf(s), m.mpf(v0), m.mpf(v)
        nodes = m.linspace(level(v0), level(v), 13)
        lapse = m.quad(lambda y: (1 + sign * m.exp(-y)) ** c, nodes)
        return lapse / s ** (1 + c) / (1 if depth == inf else depth)


@pytest.mark.parametrize("depth", [3, 4, 10, 100, inf])
@pytest.mark.parametrize(
    ("v0", "v"),
    [
        *[(1e-8, 1e-6), (1e-8, 0.5), (1e-3, 0.2), (1e-3, 0.999), (0.1, 0.4), (0.9, 0.99)],
        *[(2.0, 1.5), (1e6, 1e5), (1e6, 3.0), (100.0, 1.01), (1.5, 1.4)],
    ],
)
def test_strength_inverts_the_time_that_quadrature_gives(depth, v0, v):
    s = 2.0
    exact = time_of(v0, v, s, depth)
    t, power = float(exact), 2.0 if depth == inf else 2.0 - 2.0 / depth
    u = linear.mode_strength(t, s, v0 * s, depth=depth)
    kappa = t * (1 if depth == inf else depth) * (v * s) ** (power - 1) * s * abs(1 - v)
    # the bound of the docstring
    assert abs(u / (v * s) - 1) < 1e-14 * max(1.0, kappa)
    if v < 1:
        reached = linear.learning_time(s, v0 * s, target=v, depth=depth)
        assert reached == pytest.approx(t, rel=1e-13)


def test_strength_has_the_limits_of_the_law():
    u = linear.mode_strength
    for depth in DEPTHS:
        assert u(0.0, 2.0, 0.37, depth=depth) == 0.37
        assert u(1e9, 2.0, 0.37, depth=depth) == pytest.approx(2.0, rel=1e-15)
        assert u(3.0, 2.0, 2.0, depth=depth) == pytest.approx(2.0, rel=1e-15)
        if depth > 1:
            assert u(1e99, 2.0, 0.0, depth=depth) == 0.0
            assert u(1e3, 0.0, 0.0, depth=depth) == 0.0
    # without anything to learn: 1 / u grows linearly, and so do other powers
    assert u(5.0, 0.0, 0.1) == pytest.approx(0.1 / (1 + 2 * 0.1 * 5), rel=1e-15)
    assert u(5.0, 0.0, 0.1, depth=4) == pytest.approx((0.1**-1.5 + 30) ** (-2 / 3), rel=1e-14)
    assert u(5.0, 0.0, 0.1, depth=inf) == pytest.approx((100 + 10) ** -0.5, rel=1e-14)
    assert u(5.0, 0.0, 0.1, depth=1) == 0.1 * np.exp(-5.0)
    for depth in (2, 4, inf):
        nothing, little = u(5.0, 0.0, 0.1, depth=depth), u(5.0, 1e-14, 0.1, depth=depth)
        assert little == pytest.approx(nothing, rel=1e-12)


@pytest.mark.parametrize("depth", DEPTHS)
def test_no_allowed_value_gives_anything_but_a_number_between_start_and_end(depth):
    sizes = [0.0, 1e-300, 1e-100, 1e-20, 1e-3, 1.0, 1e3, 1e20, 1e100]
    t, s, a0 = np.meshgrid(sizes, sizes, sizes)
    u = linear.mode_strength(t, s, a0, depth=depth)
    low, high = np.minimum(s, a0), np.maximum(s, a0)
    assert np.all((u >= low * (1 - 1e-12)) & (u <= high * (1 + 1e-12)))


def test_input_variance_sets_the_end_and_not_the_rate():
    for depth in (1, 2, 3, inf):
        times = np.array([0.5, 2.0, 5.0, 40.0])
        u = linear.mode_strength(times, 1.2, 0.05, depth=depth, input_variance=0.3)
        np.testing.assert_allclose(u, integrated(times, 1.2, 0.05, depth, 0.3), rtol=1e-10)
    assert linear.mode_strength(1e6, 1.2, 0.05, input_variance=0.3) == pytest.approx(4.0)


def test_package_is_reached_from_the_top():
    assert mf.linear is linear
    assert mf.__getattr__("linear") is linear  # where nobody has imported it yet


def test_arguments_broadcast_and_scalars_give_a_float():
    t, s = np.linspace(0, 5, 4)[:, None], np.array([0.5, 1.0, 1.0])
    for depth in (1, 2, 5, inf):
        u = linear.mode_strength(t, s, 0.01, depth=depth, tau=2.0)
        assert u.shape == (4, 3)
        assert u.dtype == np.float64
        one = linear.mode_strength(2.5, 1.0, 0.01, depth=depth)
        assert isinstance(one, float)
        assert linear.mode_strength(5.0, 1.0, 0.01, depth=depth, tau=2.0) == one == u[3, 2]
    assert linear.mode_strength([], 1.0, 0.1, depth=3).shape == (0,)


@given(st.sampled_from([2, 3, 5, inf]), st.floats(0.1, 5), st.floats(1e-6, 10), st.floats(0, 50))
def test_flow_of_one_time_after_another_is_the_flow_of_their_sum(depth, s, a0, t):
    once = linear.mode_strength(t + 0.7, s, a0, depth=depth)
    first = linear.mode_strength(t, s, a0, depth=depth)
    # rounding of the first strength is carried on by at most the growth of the rest
    tolerance = 1e-12 * max(1.0, 50.0 * s**2 / min(a0, s))
    again = linear.mode_strength(0.7, s, first, depth=depth)
    assert once == pytest.approx(again, rel=min(tolerance, 1e-6))


STARTS = [
    (0.3, 0.3),
    (0.3, 0.3 + 1e-9),
    (1e-3, 0.1),
    (0.1, 1e-3),
    (0.5, 0.0),
    (2.0, -0.1),
    (-0.1, 2.0),
    (0.3, -0.2),
    (-0.3, -0.1),
    (8.0, 1e-3),
    (3.0, 2.0),
]


@pytest.mark.parametrize("start", STARTS, ids=str)
@pytest.mark.parametrize("s", [0.0, 0.4, 2.5])
def test_pair_of_weights_is_that_of_the_integrated_flow(start, s):
    times = np.array([0.0, 0.01, 0.3, 1.0, 3.0, 8.0, 20.0])

    def slope(t, w):
        gap = s - w[0] * w[1]
        return [w[1] * gap, w[0] * gap]

    options = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-16}
    expected = solve_ivp(slope, (0.0, times[-1]), start, t_eval=times, **options).y
    mode = linear.mode_pair(times, s, *start)
    scale = np.abs(expected).max(axis=0)
    for weight, other in ((mode.w1, expected[0]), (mode.w2, expected[1])):
        np.testing.assert_array_less(np.abs(weight - other), 1e-10 * scale)
    np.testing.assert_allclose(mode.strength, mode.w1 * mode.w2, rtol=1e-14)


@pytest.mark.parametrize("gap", [0.0, 1e-16, 1e-12, 1e-9, 1e-5, 1e-2])
def test_a_difference_however_small_moves_opposite_weights_off_the_saddle(gap):
    t = np.array([1.0, 10.0, 30.0, 60.0])
    mode = linear.mode_pair(t, 1.0, 0.5 + gap, -0.5)
    m = mpmath.mp
    with m.workdps(60):  # sum and difference of the weights: X = x**2 obeys a Riccati equation
        a, b = m.mpf(0.5 + gap), m.mpf(-0.5)
        lam, x0 = a * a - b * b, a + b
        k = m.sqrt(lam**2 + 4)
        for i, time in enumerate(t.tolist()):
            e = m.exp(-k * time)
            if x0 == 0:
                exact = -m.mpf(0.25) * e / (1 + m.mpf(0.25) * (1 - e))
            else:
                up, down, big = 2 + k, 2 - k, x0**2
                ratio = (big - up) / (big - down) * e
                x = (up - down * ratio) / (1 - ratio)
                exact = (x - lam**2 / x) / 4
            assert abs(mode.strength[i] - exact) < 1e-14 * max(abs(exact), mode.w1[i] ** 2)


def test_equal_weights_are_the_balanced_mode_and_a_strong_layer_the_lazy_one():
    t = np.linspace(0, 12, 30)
    balanced = linear.mode_pair(t, 1.3, 0.1, 0.1)
    np.testing.assert_allclose(balanced.strength, linear.mode_strength(t, 1.3, 0.1**2), rtol=1e-13)
    # lazy: p = s (1 - exp(-lam t)), off by terms of order s / lam
    lazy = linear.mode_pair(t * 1e-8, 1.3, 1e4, 0.0)
    np.testing.assert_allclose(lazy.strength, -1.3 * np.expm1(-t), rtol=1e-7)


def test_pair_stays_a_number_at_the_ends_of_its_range():
    sizes = np.array([-1e100, -1.0, -1e-20, 0.0, 1e-20, 1.0, 1e100])
    t, s, a, b = np.meshgrid([0.0, 1.0, 1e100], [0.0, 1e-20, 1.0, 1e100], sizes, sizes)
    mode = linear.mode_pair(t, s, a, b)
    assert np.isfinite(mode.strength).all()
    assert np.isfinite(mode.w1).all()
    assert np.isfinite(mode.w2).all()


def test_learning_time_has_its_closed_forms():
    s, a0 = 1.7, 1e-3
    assert linear.learning_time(s, a0) == pytest.approx(log(s / a0 - 1) / (2 * s), rel=1e-14)
    assert linear.learning_time(s, 0.0, depth=1, target=0.9, tau=3.0) == pytest.approx(3 * log(10))
    root = (np.arctanh(np.sqrt(0.5)) - np.arctanh(np.sqrt(a0 / s))) / np.sqrt(s)
    four = (a0**-0.5 - (s / 2) ** -0.5 + root) / (2 * s)
    assert linear.learning_time(s, a0, depth=4) == pytest.approx(four, rel=1e-13)
    endless = log((s - a0) / a0) / s**2 + 1 / (s * a0) - 2 / s**2
    assert linear.learning_time(s, a0, depth=inf) == pytest.approx(endless, rel=1e-14)
    assert linear.learning_time([1.0, 0.0, 1.0], [0.5, 0.1, 2.0]).tolist() == [0.0, 0.0, 0.0]


def test_transition_takes_ln_9_over_s():
    assert linear.transition_time(4.0, tau=2.0) == pytest.approx(log(9) / 2, rel=1e-14)
    times = linear.learning_time(3.0, 1e-4, target=0.7) - linear.learning_time(
        3.0, 1e-4, target=0.2
    )
    assert linear.transition_time(3.0, low=0.2, high=0.7) == pytest.approx(times, rel=1e-12)
    assert linear.transition_time([0.0, 1.0]).tolist()[0] == inf


def test_front_is_half_learned_and_what_is_above_more():
    t = np.array([1e-300, 1e-3, 0.5, 3.0, 100.0, 139.0])
    front = linear.detection_front(t, 1e-3)
    np.testing.assert_allclose(
        linear.mode_strength(t[1:], front[1:], 1e-3), 0.5 * front[1:], rtol=1e-12
    )
    # ln(s / a0 - 1) = 2 s t
    assert log(front[0]) - log(1e-3) == pytest.approx(2 * front[0] * t[0], rel=1e-12)
    assert linear.mode_strength(3.0, 1.01 * front[3], 1e-3) > 0.5 * 1.01 * front[3]
    assert linear.detection_front([0.0, 140.0], 1e-3).tolist() == [inf, 0.0]
    deep = linear.detection_front(1e-20, 1e-300)
    assert log(deep) - log(1e-300) == pytest.approx(2 * deep * 1e-20, rel=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_discrete_map_is_that_of_whole_matrices(depth):
    rng = np.random.default_rng(3)
    n, w0, eta, steps = 7, 0.4, 0.03, 60
    s = np.linspace(0.2, 2.0, n)
    frames = [np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(depth + 1)]
    weights = [w0 * frames[i + 1] @ frames[i].T for i in range(depth)]
    target = frames[-1] @ np.diag(s) @ frames[0].T
    for step in range(steps + 1):
        products = [np.eye(n)]
        for w in weights:
            products.append(w @ products[-1])
        u = np.diag(frames[-1].T @ products[-1] @ frames[0])
        expected = linear.gradient_descent_mode(step, s, w0, eta, depth=depth)
        np.testing.assert_allclose(expected, u, rtol=1e-11)
        after, gradients = target - products[-1], []
        for i in reversed(range(depth)):
            gradients.insert(0, after @ products[i].T)
            after = weights[i].T @ after
        weights = [w + eta * g for w, g in zip(weights, gradients, strict=True)]


def test_discrete_map_gives_the_shape_of_its_steps_and_tends_to_the_flow():
    steps = np.array([[5, 0], [3, 500]])
    u = linear.gradient_descent_mode(steps, 1.0, 0.3, 0.05, depth=3)
    assert u.shape == (2, 2)
    assert u[0, 1] == 0.3**3
    assert u[1, 1] == pytest.approx(1.0, abs=1e-14)
    many = linear.gradient_descent_mode(steps, [1.0, 2.0], 0.3, 0.05, depth=3)
    assert many[0, 0] == pytest.approx(u[0, 0], rel=1e-14)
    flow = linear.mode_strength(2.0, 1.0, 0.3**3, depth=3)
    eta = np.array([0.02, 0.01, 0.005])
    lag = [linear.gradient_descent_mode(round(2.0 / e), 1.0, 0.3, e, depth=3) - flow for e in eta]
    # an error of first order: halving the step halves it
    assert lag[1] / lag[0] == pytest.approx(0.5, abs=0.02)
    assert lag[2] / lag[1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 8])
def test_bound_separates_steps_that_settle_from_steps_that_do_not(depth):
    s = 1.8
    bound = linear.max_learning_rate(s, depth)
    near = (1.001 * s) ** (1 / depth)
    settled = linear.gradient_descent_mode([2000], s, near, 0.97 * bound, depth=depth)
    assert settled[0] == pytest.approx(s, rel=1e-9)
    with pytest.warns(UserWarning, match=r"^eta must be < .* bound of stability .* got"):
        lost = linear.gradient_descent_mode([2000, 2001], s, near, 1.03 * bound, depth=depth)
    assert np.all(np.abs(lost - s) > 1e-3 * s)
    assert linear.optimal_learning_rate(s, depth) == pytest.approx(bound / 2, rel=1e-15)
    fast = linear.optimal_learning_rate(s, depth)
    # the linear term of the map vanishes, so that an error of 1e-3 is squared
    one = linear.gradient_descent_mode(1, s, near, fast, depth=depth)
    assert abs(one / s - 1) < 20 * depth * 1e-6


def test_divergence_is_infinite_and_not_a_nan():
    with pytest.warns(UserWarning, match="bound of stability"):
        u = linear.gradient_descent_mode([0, 200], 1.0, 3.0, 5.0, depth=3)
    assert u.tolist() == [27.0, inf]
    with pytest.warns(UserWarning, match="bound of stability"):
        u = linear.gradient_descent_mode(200, [1.0, 0.01], 3.0, 5.0, depth=3)
    assert u.tolist() == [inf, inf]


def test_rates_without_a_mode_are_unbounded():
    assert linear.max_learning_rate([0.0, 1.0], 2).tolist() == [inf, 1.0]
    assert linear.max_learning_rate(0.0, 1) == 2.0


BAD = {
    "t": lambda v: linear.mode_strength(v, 1.0, 0.1),
    "s": lambda v: linear.mode_strength(1.0, v, 0.1),
    "a0": lambda v: linear.mode_strength(1.0, 1.0, v),
    "tau": lambda v: linear.mode_strength(1.0, 1.0, 0.1, tau=v),
    "input_variance": lambda v: linear.mode_strength(1.0, 1.0, 0.1, input_variance=v),
    "t of mode_pair": lambda v: linear.mode_pair(v, 1.0, 0.1, 0.1),
    "s of mode_pair": lambda v: linear.mode_pair(1.0, v, 0.1, 0.1),
    "s of learning_time": lambda v: linear.learning_time(v, 0.1),
    "a0 of learning_time": lambda v: linear.learning_time(1.0, v),
    "target": lambda v: linear.learning_time(1.0, 0.1, target=v),
    "s of transition_time": linear.transition_time,
    "low": lambda v: linear.transition_time(1.0, low=v),
    "high": lambda v: linear.transition_time(1.0, high=v),
    "t of detection_front": lambda v: linear.detection_front(v, 0.1),
    "a0 of detection_front": lambda v: linear.detection_front(1.0, v),
    "s of gradient_descent_mode": lambda v: linear.gradient_descent_mode(1, v, 0.1, 0.1, depth=2),
    "eta": lambda v: linear.gradient_descent_mode(1, 1.0, 0.1, v, depth=2),
    "s_max": lambda v: linear.max_learning_rate(v, 2),
    "s of optimal_learning_rate": lambda v: linear.optimal_learning_rate(v, 2),
}


@pytest.mark.parametrize("argument", BAD)
def test_bad_values_are_refused_by_name_and_value(argument):
    name = argument.split()[0]
    for value in (-0.5, np.nan, inf):
        with pytest.raises(ValueError, match=rf"^{name} must be .*got {value!r}"):
            BAD[argument](value)
    for value in ("1", None, 1j, True):
        with pytest.raises(TypeError, match=rf"^{name} must be"):
            BAD[argument](value)


def test_what_cannot_grow_or_chain_is_refused():
    for a0 in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"^a0 must be finite and > 0, got"):
            linear.learning_time(1.0, a0)
    with pytest.raises(ValueError, match=r"^low must be < high = 0.9, got 0.95"):
        linear.transition_time(1.0, low=0.95)
    with pytest.raises(ValueError, match=r"^t and s and a0 .* shapes that broadcast"):
        linear.mode_strength([1.0, 2.0], [1.0, 2.0, 3.0], 0.1)
    for depth in (0, -1):
        with pytest.raises(ValueError, match=r"^depth must be an integer >= 1 or inf, got"):
            linear.mode_strength(1.0, 1.0, 0.1, depth=depth)
    for depth in (2.0, "2", True, None):
        with pytest.raises(TypeError, match=r"^depth must be an integer >= 1 or inf, got"):
            linear.mode_strength(1.0, 1.0, 0.1, depth=depth)
    with pytest.raises(TypeError, match=r"^depth must be an integer"):
        linear.gradient_descent_mode(1, 1.0, 0.1, 0.1, depth=inf)
    with pytest.raises(ValueError, match=r"^steps must be >= 0, got -1"):
        linear.gradient_descent_mode([-1], 1.0, 0.1, 0.1, depth=2)
    with pytest.raises(TypeError, match=r"^steps must be an integer"):
        linear.gradient_descent_mode(1.5, 1.0, 0.1, 0.1, depth=2)
    with pytest.raises(ValueError, match=r"^w0 must be finite"):
        linear.gradient_descent_mode(1, 1.0, np.nan, 0.1, depth=2)
    for name, pair in (("w1", (np.inf, 1.0)), ("w2", (1.0, np.nan))):
        with pytest.raises(ValueError, match=rf"^{name} must be finite"):
            linear.mode_pair(1.0, 1.0, *pair)


def test_extreme_variances_of_inputs_are_taken_without_a_warning():
    found = linear.mode_strength([1.0, 1e50], 1e100, 1e100, depth=3, input_variance=1e100)
    np.testing.assert_allclose(found, 1.0, rtol=1e-12)
