"""One line a figure on the terminal, then a summary."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from meanfree.report.comparison import like, with_error, worst, z_text

if TYPE_CHECKING:
    from meanfree.report.engine import ChapterResult, FigureResult, Report

_ROW = (
    "{number:>3}  {title:<38} {theory:>11}  {simulation:<23} "
    "{bound:>8} {z:>5} {seconds:>7}  {verdict}"
)


def duration(seconds: float) -> str:
    """Write ``1 min 24 s`` or ``3.2 s``."""
    if seconds >= 59.95:
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{seconds:.1f} s"


def verdict_of(result: FigureResult) -> str:
    """Return the verdict of a whole figure and its remark."""
    tally = result.tally
    parts = []
    if tally.n_comparisons:
        agreeing = tally.n_comparisons - tally.n_disagreeing
        word = "DISAGREES" if tally.n_disagreeing else "agrees"
        parts.append(f"{word} {agreeing}/{tally.n_comparisons}")
    if result.figure.remark:
        parts.append(result.figure.remark)
    return ", ".join(parts)


def summary(report: Report) -> str:
    """Return the last line: comparisons, large deviations, the worst, the time."""
    tally, place = report.tally, report.worst_figure
    where = f" (fig {place.number})" if place is not None else ""
    parts = [
        f"{tally.n_comparisons} comparisons",
        f"beyond the bounds |z|>3: {tally.n_beyond} (expected at most {tally.expected_beyond:.1f})",
        f"worst z {tally.worst_z:.1f}{where}",
        duration(report.seconds),
    ]
    if tally.n_disagreeing:
        parts.insert(1, f"{tally.n_disagreeing} DISAGREE")
    not_run = sum(bool(chapter.not_run) for chapter in report.chapters)
    failed = len(report.errors)
    if not_run:
        parts.append(f"{not_run} chapter{'s' * (not_run > 1)} not run")
    if failed:
        parts.append(f"{failed} chapter{'s' * (failed > 1)} failed")
    return " · ".join(parts)


class Terminal:
    """Prints lines as figures are finished.

    Parameters
    ----------
    stream : text stream, optional
        Where to print; standard output by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stdout

    def _print(self, line: str) -> None:
        print(line.rstrip(), file=self.stream, flush=True)

    def heading(self, line: str) -> None:
        """Print who runs, with what, and the head of the table."""
        self._print(line)
        self._print(
            _ROW.format(
                number="#",
                title="figure (its hardest number)",
                theory="theory",
                simulation="simulation ± s.e.",
                bound="bound",
                z="z",
                seconds="time",
                verdict="verdict",
            )
        )

    def figure(self, result: FigureResult) -> None:
        """Print one line for a figure, with the comparison nearest to failing."""
        item = worst(result.figure.comparisons)
        error = item.standard_error if item else 0.0
        self._print(
            _ROW.format(
                number=result.number,
                title=result.figure.title,
                theory=like(item.theory, error) if item else "",
                simulation=with_error(item.estimate, error) if item else "",
                bound=f"{item.bound:.1g}" if item else "",
                z=z_text(item, 1) if item else "",
                seconds=f"{result.seconds:.1f} s",
                verdict=verdict_of(result),
            )
        )
        for note in result.figure.notes:
            self._print(f"     {note}")
        for bad in result.figure.comparisons:
            if not bad.agrees:
                theory = like(bad.theory, bad.standard_error)
                self._print(
                    f"     DISAGREES  {bad.quantity}: theory {theory}, "
                    f"simulation {with_error(bad.estimate, bad.standard_error)}, z {bad.z:+.1f}, "
                    f"finite-width bound {bad.bound:.2g}"
                )

    def chapter(self, result: ChapterResult) -> None:
        """Print a line where a chapter did not run to its end."""
        if result.status != "run":
            self._print(f"{result.chapter.number:>3}  {result.chapter.title}: {result.status}")


class Silence:
    """Prints nothing."""

    def figure(self, result: FigureResult) -> None:
        """Ignore a finished figure."""

    def chapter(self, result: ChapterResult) -> None:
        """Ignore the end of a chapter."""
