"""Student and teacher: theory against another quadrature, simulation and limits."""

from math import inf, pi, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from meanfree import linear
from meanfree.linear import StudentTeacher


def bulk_integral(function, a, low, high, at):
    """Integrate over the density of noise from low to high; `at` is where the function is steep."""

    def slope(x):  # s = low + (high - low) sin(x)**2 removes the roots at both edges
        s = low + (high - low) * np.sin(x) ** 2
        inside = max(4 * a - (s * s - 1 - a) ** 2, 0.0)
        density = sqrt(inside) / (pi * min(a, 1.0) * s) if s > 0 else 0.0
        return function(s) * density * (high - low) * np.sin(2 * x)

    steep = [np.arcsin(np.sqrt((p - low) / (high - low))) for p in at if low < p < high]
    options = {"epsabs": 1e-12, "epsrel": 1e-12, "limit": 2000}
    return quad(slope, 0, pi / 2, points=steep or None, **options)[0]


def theory(s_bar, n_in, n_hidden, n_out, sigma, a0, depth, n_examples, t):
    """Write out the formulas for train and test error, with scipy's quadrature."""
    density, width = n_examples / n_in, min(n_examples, n_in)
    a, k = n_out / width, min(n_out, width)
    learned = k if depth == 1 else min(n_hidden, k)
    d, noise, s_bar = max(density, 1.0), sigma * sqrt(density), np.array(s_bar)
    x = s_bar * (density if density > 1 else sqrt(density)) / noise
    left = 1 - a * (1 + x**2) / (x**2 * (a + x**2))
    right = 1 - (a + x**2) / (x**2 * (1 + x**2))
    seen = x > a**0.25
    overlap = np.sqrt(np.where(seen, left * right, 0.0)) * min(sqrt(density), 1.0)
    s = noise * np.sqrt((1 + x**2) * (a + x**2)) / x
    all_signal, lost = np.sum(s_bar**2), np.sum(s_bar[~seen] ** 2)
    s_bar, overlap, s, r = s_bar[seen], overlap[seen], s[seen], np.sum(seen)
    low, high = abs(1 - sqrt(a)), 1 + sqrt(a)
    n, top = min(learned, r), max(learned - r, 0) / max(k - r, 1)
    cut = {0.0: high, 1.0: low}.get(top)
    if cut is None:
        cut = brentq(lambda q: bulk_integral(lambda s: 1.0, a, q, high, []) - top, low, high)

    def u(s):
        return linear.mode_strength(t, s, a0, depth=depth, input_variance=d)

    grid = noise * np.linspace(low, high, 400)[1:]
    half = grid[np.argmin(np.abs(u(grid) * d / grid - 0.5))] / noise
    at = [half - 0.02, half, half + 0.02]

    def noise_sum(function, low, high):
        if high <= low:
            return 0.0
        return (k - r) * bulk_integral(lambda s: function(noise * s), a, low, high, at)

    strength, signal = u(s), s_bar[:n]
    off = (strength[:n] - signal) ** 2 + 2 * strength[:n] * signal * (1 - overlap[:n])
    test = noise_sum(lambda s: u(s) ** 2, cut, high) + off.sum() + np.sum(s_bar[n:] ** 2) + lost
    beyond = max(n_examples - n_in, 0) * n_out / n_in * sigma**2
    train = beyond + noise_sum(lambda s: s**2 / d, low, cut) + np.sum(s[n:] ** 2) / d
    train += noise_sum(lambda s: d * (u(s) - s / d) ** 2, cut, high)
    train += d * np.sum((strength[:n] - s[:n] / d) ** 2)
    whole = beyond + noise_sum(lambda s: s**2 / d, low, high) + np.sum(s**2) / d
    return train / whole, test / all_signal


CASES = [
    ([3.0], 100, 100, 100, 1.0, 1e-3, 2, 100),
    ([3.0, 1.5, 0.3], 200, 40, 120, 0.7, 1e-3, 2, 200),
    ([2.0, 1.5], 50, 1, 60, 1.0, 1e-3, 2, 50),
    ([2.0], 101, 101, 100, 1.0, 1e-3, 2, 101),
    ([2.0], 1000, 1000, 20, 1.0, 1e-6, 2, 1000),
    ([3.0, 2.0], 200, 150, 150, 1.0, 1e-3, 2, 120),
    ([2.0], 300, 300, 200, 1.0, 1e-3, 2, 900),
    ([2.0], 100, 3, 100, 1.0, 0.1, 1, 100),
    ([2.0], 100, 60, 300, 1.0, 1e-4, 3, 100),
    ([2.5, 2.0], 120, 120, 120, 0.8, 1e-3, 4, 120),
    ([2.0], 100, 100, 100, 1.0, 1e-3, 5, 150),
    ([2.0], 100, 100, 50, 1.0, 1e-2, inf, 100),
    ([0.9, 0.3, 0.2], 56, 10, 8, 1.0, 1e-6, 2, 56),
    ([4.4, 0.3], 12, 9, 90, 0.3, 0.2, 1, 12),
]


def made(case):
    s_bar, n_in, n_hidden, n_out, sigma, a0, depth, n_examples = case
    options = {"sigma": sigma, "a0": a0, "depth": depth, "n_examples": n_examples}
    return StudentTeacher(s_bar, n_in, n_hidden, n_out, **options)


def test_a_mode_that_is_not_there_changes_nothing():
    one = StudentTeacher([2.0], 100, 60, 100, a0=1e-4)
    two = StudentTeacher([2.0, 0.0], 100, 60, 100, a0=1e-4)
    t = np.linspace(0.0, 5.0, 20)
    assert np.array_equal(two.test_error(t), one.test_error(t))
    assert np.array_equal(two.train_error(t), one.train_error(t))
    assert two.s_hat[1] == 2.0
    sizes = {"n_in": 100, "n_hidden": 50, "n_out_a": 50, "n_out_b": 50}
    none, little = (linear.transfer_benefit(2.0, s, 0.0, **sizes) for s in (0.0, 1e-6))
    assert little == pytest.approx(none, rel=1e-12)


DEEP = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case[6] > 2]


@pytest.mark.parametrize("case", [*(case for case in CASES if case[6] <= 2), *DEEP], ids=str)
def test_errors_are_those_of_another_quadrature(case):
    task = made(case)
    for factor in (0.8, 1.0, 1.5, 4.0):
        t = factor * task.optimal_stopping().t
        train, test = theory(*case, t)
        # what is asked for is 1e-6
        assert task.train_error(t) == pytest.approx(train, rel=1e-9)
        assert task.test_error(t) == pytest.approx(test, rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_time_is_better_than_the_optimal_one(case):
    task = made(case)
    stop = task.optimal_stopping()
    assert stop.test_error == pytest.approx(task.test_error(stop.t), rel=1e-9)
    near = stop.t * (1 + np.array([-0.1, -1e-2, -1e-4, 1e-4, 1e-2, 0.1]))
    wide = stop.t * np.geomspace(1e-3, 50, 150)
    assert task.test_error(np.concatenate([near, wide])).min() >= stop.test_error - 1e-12
    assert stop.test_error >= task.shrinkage_error() - 1e-15


def test_one_mode_alone_stops_at_its_closed_form():
    s_bar, a0 = 3.0, 1e-4
    task = StudentTeacher(s_bar, 100, 1, 100, a0=a0)
    s, overlap = s_bar + 1 / s_bar, 1 - 1 / s_bar**2
    stop = task.optimal_stopping()
    time = np.log((s / a0 - 1) / (s / (s_bar * overlap) - 1)) / (2 * s)
    assert stop.t == pytest.approx(time, rel=1e-10)
    assert stop.test_error == pytest.approx(1 - overlap**2, rel=1e-12)
    assert task.shrinkage_error() == pytest.approx(1 - overlap**2, rel=1e-12)
    assert (task.s_hat[0], task.overlap[0]) == pytest.approx((s, overlap), rel=1e-14)


def test_width_matters_where_the_docstring_says():
    def best(s_bar, n_hidden, a0, depth=2):
        task = StudentTeacher(s_bar, 100, n_hidden, 100, a0=a0, depth=depth)
        return task.optimal_stopping().test_error

    assert best(3.0, 100, 1e-5) / best(3.0, 1, 1e-5) == pytest.approx(1.0025, abs=1e-4)
    assert best(6.0, 100, 1e-5) / best(6.0, 1, 1e-5) == pytest.approx(1.0, abs=1e-5)
    assert best(2.0, 1, 1e-3) == pytest.approx(0.4375, abs=1e-12)
    assert best(2.0, 100, 1e-3) == pytest.approx(0.608, abs=5e-4)
    assert best(2.0, 100, 1e-3, depth=3) == pytest.approx(0.441, abs=5e-4)


def test_optimum_is_at_an_end_where_learning_never_or_always_helps():
    lost = StudentTeacher(0.9, 100, 100, 100).optimal_stopping()
    assert (lost.t, lost.test_error) == (0.0, pytest.approx(1.0, abs=2e-4))
    clean = StudentTeacher([2.0, 1.0], 100, 2, 100, sigma=0.0).optimal_stopping()
    assert clean.t == inf
    assert clean.test_error == pytest.approx(0.0, abs=1e-12)
    # noise that starts above its end and decays
    strong = StudentTeacher(5.0, 50, 40, 60, sigma=0.3, a0=4.0)
    assert strong.optimal_stopping().t == inf
    assert strong.optimal_stopping().test_error == pytest.approx(strong.test_error(1e9), rel=1e-6)
    # seven modes without signal decay from a0
    left = linear.mode_strength(1e5, 0.0, 1e-3, depth=3)
    late = StudentTeacher([2.0, 1.0], 9, 9, 9, sigma=0.0, depth=3).test_error(1e5)
    assert late == pytest.approx(7 * left**2 / 5, rel=1e-6)


def test_many_modes_need_not_stop_where_the_strongest_would():
    task = StudentTeacher([6.0, 2.2], 400, 2, 400, a0=1e-4)
    strong = StudentTeacher(6.0, 400, 1, 400, a0=1e-4).optimal_stopping()
    stop = task.optimal_stopping()
    assert stop.t > 1.5 * strong.t
    t = np.linspace(0.5 * strong.t, 3 * stop.t, 4000)
    assert task.test_error(t).min() == pytest.approx(stop.test_error, abs=1e-6)


def test_units_of_noise_and_time_are_only_units():
    one = StudentTeacher([3.0, 2.0], 80, 60, 100, a0=1e-3)
    # s, a0 and sigma times 5: the clock runs 5 times as fast
    other = StudentTeacher([15.0, 10.0], 80, 60, 100, a0=5e-3, sigma=5.0, tau=2.0)
    t = np.array([0.0, 0.5, 1.2, 4.0])
    np.testing.assert_allclose(one.test_error(t), other.test_error(t * 2 / 5), rtol=1e-11)
    np.testing.assert_allclose(one.train_error(t), other.train_error(t * 2 / 5), rtol=1e-11)
    deep = StudentTeacher([3.0], 80, 60, 100, depth=3, tau=7.0).optimal_stopping()
    assert deep.t / 7 == pytest.approx(
        StudentTeacher([3.0], 80, 60, 100, depth=3).optimal_stopping().t, rel=1e-9
    )


SIMULATED = [
    {"n_in": 160, "n_hidden": 160, "n_out": 160},
    {"n_in": 160, "n_hidden": 40, "n_out": 80, "n_examples": 110},
    {"n_in": 100, "n_hidden": 100, "n_out": 70, "n_examples": 300},
    {"n_in": 120, "n_hidden": 120, "n_out": 160, "depth": 1},
]


def compare(task, t, n_samples, k, slack):
    """Ask for agreement within k standard errors and the effect of finite size."""
    sample = task.simulate(t, n_samples=n_samples, seed=7)
    for name in ("train", "test"):
        mean, error = getattr(sample, f"{name}_error"), getattr(sample, f"{name}_error_error")
        expected = getattr(task, f"{name}_error")(t)
        np.testing.assert_array_less(np.abs(mean - expected), k * error + slack * expected)
    return sample


@pytest.mark.parametrize("sizes", SIMULATED, ids=str)
def test_aligned_students_have_the_errors_of_theory(sizes):
    task = StudentTeacher([3.0, 2.5], **sizes)
    stop = task.optimal_stopping().t
    t = stop * np.array([0.0, 0.4, 0.8, 1.0, 1.3, 2.0, 5.0, 40.0])
    # moments of finite matrices differ by 1 / n, and fluctuations of the edge grow exponentially
    compare(task, t, n_samples=20, k=4, slack=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_aligned_students_of_400_units_have_the_errors_of_theory(depth):
    task = StudentTeacher(3.0, 400, 400, 400, depth=depth)
    stop = task.optimal_stopping().t
    t = stop * np.array([0.0, 0.5, 0.8, 0.9, 1.2, 2.0, 4.0])
    # at complete convergence the test error is that of the noise, n / s_bar**2 = 400 / 9, where
    # theory, which drops terms of order 1 / n, has (399 + 2.33) / 9
    sample = compare(task, t, n_samples=16, k=4, slack=2 / 400)
    assert sample.test_error_error.max() < 0.01 * sample.test_error.max()


@pytest.mark.parametrize(
    "sizes",
    [{}, {"n_examples": 20}, pytest.param({"n_examples": 75}, marks=pytest.mark.slow)],
    ids=str,
)
def test_random_start_is_later_and_ends_where_the_aligned_does(sizes):
    task = StudentTeacher([4.0, 3.0], 30, 24, 26, a0=1e-4, **sizes)
    stop = task.optimal_stopping().t
    t = np.array([1e3, 0.6 * stop, 0.0])
    aligned = task.simulate(t, n_samples=4, seed=2)
    random = task.simulate(t, n_samples=4, seed=2, start="random")
    # the same seed gives the same data
    np.testing.assert_allclose(random.test_samples[:, 0], aligned.test_samples[:, 0], rtol=1e-8)
    np.testing.assert_allclose(
        random.train_samples[:, 0], aligned.train_samples[:, 0], rtol=1e-6, atol=1e-10
    )
    assert np.all(random.train_samples[:, 1] > aligned.train_samples[:, 1])
    np.testing.assert_allclose(random.train_samples[:, 2], 1.0, atol=1e-2)


def test_same_seed_gives_the_same_students_for_any_number_of_threads():
    task = StudentTeacher(3.0, 20, 20, 20)
    one, two = (task.simulate([0.5, 1.0], n_samples=5, seed=3, n_threads=n) for n in (1, 2))
    assert np.array_equal(one.test_samples, two.test_samples)
    assert one.test_samples.shape == (5, 2)
    assert not np.array_equal(one.test_samples, task.simulate([0.5, 1.0], n_samples=5).test_samples)


SIZES = {"n_in": 100, "n_hidden": 50, "n_out_a": 60, "n_out_b": 40}


def test_transfer_without_a_second_task_is_one_task_with_idle_outputs():
    t = np.array([0.0, 0.8, 1.5, 4.0])
    alone = StudentTeacher(3.0, 100, 50, 60)
    benefit = linear.transfer_benefit(3.0, 0.0, 0.3, **SIZES)
    joint = linear.transfer_error(np.linspace(0.0, 4.0, 4001), 3.0, 0.0, 0.3, **SIZES)
    best = alone.optimal_stopping().test_error
    assert best - benefit == pytest.approx(joint.min(), rel=1e-4)
    assert benefit < 0  # the idle outputs are noise
    for q in (0.2, 0.9):
        here, there = (linear.transfer_error(t, 3.0, 2.0, x, **SIZES) for x in (q, -q))
        np.testing.assert_array_equal(here, there)
    # a second task that is the first: one mode
    same = linear.transfer_error(t, 3.0, 4.0, 1.0, **SIZES)
    near = linear.transfer_error(t, 3.0, 4.0, 1.0 - 1e-13, **SIZES)
    assert same[0] == pytest.approx(near[0], rel=1e-5)


def test_transfer_helps_between_similar_tasks_and_harms_otherwise():
    benefit = [linear.transfer_benefit(2.0, 4.0, q, **SIZES) for q in (0.0, 0.5, 0.9, 1.0)]
    assert np.all(np.diff(benefit) > 0)
    assert benefit[0] < 0 < benefit[-1]


def simulated_transfer(t, s_a, s_b, q, n_in, n_hidden, n_out_a, n_out_b, a0, n_samples):
    rng, errors = np.random.default_rng(11), []
    for _ in range(n_samples):
        teacher = np.zeros((n_out_a + n_out_b, n_in))
        teacher[0, 0] = s_a
        teacher[n_out_a, :2] = s_b * q, s_b * sqrt(1 - q * q)
        data = teacher + rng.normal(size=teacher.shape) / sqrt(n_in)
        u, s, vt = np.linalg.svd(data, full_matrices=False)
        u, s, vt = u[:, :n_hidden], s[:n_hidden], vt[:n_hidden]
        strength = linear.mode_strength(t[:, None], s, a0)
        student = np.einsum("ak,tk,ki->tai", u[:n_out_a], strength, vt)
        errors.append(np.sum((student - teacher[:n_out_a]) ** 2, axis=(1, 2)) / s_a**2)
    errors = np.array(errors)
    return errors.mean(axis=0), errors.std(axis=0, ddof=1) / sqrt(n_samples)


@pytest.mark.parametrize("q", [0.0, 0.6])
def test_simulated_transfer_has_the_error_of_theory(q):
    sizes = {"n_in": 240, "n_hidden": 80, "n_out_a": 140, "n_out_b": 100}
    t = np.array([0.0, 0.8, 1.0, 1.5, 2.0, 6.0])
    mean, error = simulated_transfer(t, 3.0, 5.0, q, *sizes.values(), 1e-3, n_samples=12)
    expected = linear.transfer_error(t, 3.0, 5.0, q, **sizes)
    # where noise is learned finite matrices are off by 9 / n_in: 7, 3 and 2 % at 120, 240 and 480
    slack = 10 / sizes["n_in"] * expected
    np.testing.assert_array_less(np.abs(mean - expected), 4 * error + slack)


def test_plots_draw_the_curves():
    task = StudentTeacher(3.0, 50, 50, 50)
    ax = task.plot()
    train, test, mark = ax.get_lines()
    np.testing.assert_array_equal(test.get_ydata(), task.test_error(test.get_xdata()))
    np.testing.assert_array_equal(train.get_ydata(), task.train_error(train.get_xdata()))
    stop = task.optimal_stopping()
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (stop.t, stop.test_error)
    sample = task.simulate([0.5, 1.5], n_samples=3)
    assert sample.plot(ax) is ax
    assert "test, simulated" in ax.get_legend_handles_labels()[1]
    assert len(StudentTeacher(2.0, 9, 1, 9, sigma=0.0).plot().get_lines()) == 2
    assert repr(task).startswith("StudentTeacher([3.0], n_in=50, n_hidden=50, n_out=50, sigma=1.0")


BAD = {
    "s_bar": lambda v: StudentTeacher(v, 9, 9, 9),
    "sigma": lambda v: StudentTeacher(1.0, 9, 9, 9, sigma=v),
    "a0": lambda v: StudentTeacher(1.0, 9, 9, 9, a0=v),
    "tau": lambda v: StudentTeacher(1.0, 9, 9, 9, tau=v),
    "t": lambda v: StudentTeacher(1.0, 9, 9, 9).test_error(v),
    "t of train_error": lambda v: StudentTeacher(1.0, 9, 9, 9).train_error(v),
    "t of simulate": lambda v: StudentTeacher(1.0, 9, 9, 9).simulate(v),
    "t of transfer_error": lambda v: linear.transfer_error(v, 1.0, 1.0, 0.5, **SIZES),
    "s_a": lambda v: linear.transfer_error(1.0, v, 1.0, 0.5, **SIZES),
    "s_b": lambda v: linear.transfer_error(1.0, 1.0, v, 0.5, **SIZES),
    "sigma of transfer_error": lambda v: linear.transfer_benefit(1, 1, 0.5, **SIZES, sigma=v),
    "a0 of transfer_error": lambda v: linear.transfer_benefit(1, 1, 0.5, **SIZES, a0=v),
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


def test_sizes_and_words_that_do_not_fit_are_refused():
    for sizes in ((0, 9, 9), (9, 0, 9), (9, 9, 0)):
        with pytest.raises(ValueError, match=r"^n_(in|hidden|out) must be an integer .*got 0"):
            StudentTeacher(1.0, *sizes)
    with pytest.raises(TypeError, match=r"^n_in must be an integer"):
        StudentTeacher(1.0, 9.0, 9, 9)
    with pytest.raises(ValueError, match=r"^n_examples must be an integer .*got 0"):
        StudentTeacher(1.0, 9, 9, 9, n_examples=0)
    with pytest.raises(ValueError, match=r"^s_bar must have at most min\(n_in, n_out\) = 2 values"):
        StudentTeacher([3.0, 2.0, 1.0], 9, 9, 2)
    with pytest.raises(ValueError, match=r"n_examples, n_out\) = 1 values, got 2"):
        StudentTeacher([3.0, 2.0], 9, 9, 9, n_examples=1)
    for s_bar in (0.0, 1e-300, [0.0, 0.0], [], [[1.0]]):
        with pytest.raises(ValueError, match=r"^s_bar must be a number or a 1-d array with at"):
            StudentTeacher(s_bar, 9, 9, 9)
    with pytest.raises(ValueError, match=r"^a0 must be finite and > 0, got 0.0"):
        StudentTeacher(1.0, 9, 9, 9, a0=0.0)
    task = StudentTeacher(1.0, 9, 9, 9, depth=3)
    with pytest.raises(ValueError, match=r"^start must be 'aligned' unless depth is 2, got"):
        task.simulate(1.0, start="random")
    with pytest.raises(ValueError, match=r"^start must be one of aligned, random; got 'alined'"):
        task.simulate(1.0, start="alined")
    with pytest.raises(ValueError, match=r"^n_samples must be an integer .*got 1"):
        task.simulate(1.0, n_samples=1)
    with pytest.raises(ValueError, match=r"^similarity must be in \[-1, 1\], got 1.5"):
        linear.transfer_error(1.0, 1.0, 1.0, 1.5, **SIZES)
    with pytest.raises(ValueError, match=r"^n_in must be >= 2 for two different tasks, got 1"):
        linear.transfer_error(1.0, 1.0, 1.0, 0.5, **(SIZES | {"n_in": 1}))
