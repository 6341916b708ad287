"""The chapters on learning in deep linear networks, and what they compare with."""

import pytest

from meanfree.linear import StudentTeacher
from meanfree.report import chapter_13_generalisation, engine, students, terminal
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


# --- chapters -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("number", "n_figures", "n_comparisons"), [("13", 6, 149)])
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
