"""Run chapters: figures, comparisons, times and what could not be run.

A chapter is one module ``chapter_<number>_<name>.py`` of this package with

- ``TITLE``: plain text;
- ``TEXT``: what is shown, with equations and sources, in the form of `meanfree.report.markup`;
- ``NEEDS``: names of the modules it needs beyond the run-time dependencies, often ``()``;
- ``run(settings)``: yields a `Figure` as soon as it is drawn.

Adding a file adds a chapter.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import pkgutil
import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfree.report.comparison import Comparison, Tally
from meanfree.report.style import RESOLUTION, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

DEFAULT_SEED = 20170711


@dataclass(frozen=True)
class Settings:
    """What every chapter is told.

    Parameters
    ----------
    seed : int
        Root of all random numbers of the report, >= 0.
    n_threads : int, optional
        Threads of the core and of torch; None takes the cores that the process may use.
    small : bool
        Draw everything with few samples: for tests of the chapters themselves.
    """

    seed: int = DEFAULT_SEED
    n_threads: int | None = None
    small: bool = False

    def seed_for(self, label: str) -> int:
        """Return a seed of its own for each `label`, so that simulations are independent."""
        words = np.random.SeedSequence([self.seed, *label.encode()]).generate_state(1, np.uint64)
        return int(words[0] >> np.uint64(1))  # fits a signed 64-bit integer too

    def size(self, full: int, small: int) -> int:
        """Return `full`, or `small` when the report runs at reduced size."""
        return small if self.small else full


@dataclass(frozen=True)
class Table:
    """A small table of text under a figure; the first column names the row."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, eq=False)
class Figure:
    """One picture with the numbers that it proves.

    Parameters
    ----------
    key : str
        Letter of the figure within its chapter: ``"a"``.
    title : str
        Plain text, at most about 40 characters.
    drawing : matplotlib.figure.Figure
        The picture.
    caption : str
        What is drawn and how the error bars were made, as `meanfree.report.markup.inline` reads.
    description : str
        Plain text for readers who cannot see the picture.
    comparisons : sequence of Comparison
        Theory beside simulation.
    tables : sequence of Table
        Numbers to look up.
    remark : str
        Said beside the verdict, as ``"2 findings"``.
    notes : sequence of str
        Plain text shown under the figure and on the terminal: findings, advice.
    wide : bool
        Whether the picture takes the full width of the page.
    """

    key: str
    title: str
    drawing: Drawing
    caption: str
    description: str
    comparisons: Sequence[Comparison] = ()
    tables: Sequence[Table] = ()
    remark: str = ""
    notes: Sequence[str] = ()
    wide: bool = False


class ChapterModule(Protocol):
    """What a chapter's module defines."""

    TITLE: str
    TEXT: str
    NEEDS: tuple[str, ...]

    def run(self, settings: Settings, /) -> Iterator[Figure]:
        """Yield the figures of the chapter."""


@dataclass(frozen=True)
class Chapter:
    """A chapter with its place in the report."""

    number: int
    name: str
    title: str
    text: str
    needs: tuple[str, ...]
    run: Callable[[Settings], Iterator[Figure]]

    @classmethod
    def of(cls, number: int, name: str, module: ChapterModule) -> Chapter:
        """Read a chapter's module."""
        return cls(number, name, module.TITLE, module.TEXT, module.NEEDS, module.run)

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that the chapter needs and that are not installed."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)


@dataclass(frozen=True, eq=False)
class FigureResult:
    """A figure, its full number (``"1a"``), its PNG file and the seconds it took."""

    number: str
    figure: Figure
    png: bytes
    seconds: float

    @property
    def tally(self) -> Tally:
        """Summary of the figure's comparisons."""
        return Tally.of(self.figure.comparisons)


@dataclass(eq=False)
class ChapterResult:
    """What came of one chapter: figures, or why there are none."""

    chapter: Chapter
    figures: list[FigureResult] = field(default_factory=list)
    seconds: float = 0.0
    not_run: str = ""
    error: BaseException | None = None

    @property
    def status(self) -> str:
        """``"run"``, ``"not run: needs ..."`` or ``"failed: ..."``."""
        if self.error is not None:
            return f"failed: {type(self.error).__name__}: {self.error}"
        return self.not_run or "run"

    @property
    def trace(self) -> str:
        """Where an error came from, for the report's data file."""
        return "" if self.error is None else "".join(traceback.format_exception(self.error))


@dataclass(eq=False)
class Report:
    """All chapters that were run."""

    settings: Settings
    chapters: list[ChapterResult] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def figures(self) -> list[FigureResult]:
        """All figures, in order."""
        return [figure for chapter in self.chapters for figure in chapter.figures]

    @property
    def comparisons(self) -> list[Comparison]:
        """All comparisons, in order."""
        return [item for result in self.figures for item in result.figure.comparisons]

    @property
    def tally(self) -> Tally:
        """Summary of all comparisons."""
        return Tally.of(self.comparisons)

    @property
    def worst_figure(self) -> FigureResult | None:
        """The figure with the largest deviation beyond its bound."""
        with_numbers = [result for result in self.figures if result.figure.comparisons]
        return max(with_numbers, key=lambda result: result.tally.worst_z, default=None)

    @property
    def errors(self) -> list[BaseException]:
        """What stopped chapters before their end."""
        return [chapter.error for chapter in self.chapters if chapter.error is not None]


_CHAPTER_FILE = re.compile(r"chapter_(\d+)_(\w+)")


def load_chapters(package: str = "meanfree.report") -> list[Chapter]:
    """Import every ``chapter_<number>_<name>`` module of `package`, in the order of the numbers."""
    parent = importlib.import_module(package)
    chapters = []
    for entry in pkgutil.iter_modules(parent.__path__):
        match = _CHAPTER_FILE.fullmatch(entry.name)
        if match:
            module: ChapterModule = importlib.import_module(f"{package}.{entry.name}")
            chapters.append(Chapter.of(int(match[1]), match[2], module))
    return sorted(chapters, key=lambda chapter: chapter.number)


def choose(chapters: Sequence[Chapter], only: Sequence[str]) -> list[Chapter]:
    """Return the chapters named by number (``"2"``), figure (``"2b"``) or name; all if none is.

    Raises
    ------
    ValueError
        If a name fits no chapter.
    """
    if not only:
        return list(chapters)
    chosen = set()
    for wanted in only:
        number = re.fullmatch(r"(\d+)[a-z]?", wanted)
        found = [
            chapter.number
            for chapter in chapters
            if (number and int(number[1]) == chapter.number) or wanted == chapter.name
        ]
        if not found:
            names = ", ".join(f"{chapter.number} ({chapter.name})" for chapter in chapters)
            message = f"only must name a chapter: {names}; got {wanted!r}"
            raise ValueError(message)
        chosen.update(found)
    return [chapter for chapter in chapters if chapter.number in chosen]


def render(drawing: Drawing) -> bytes:
    """Return the picture as a PNG file."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=RESOLUTION, facecolor="white")
    return buffer.getvalue()


class Listener(Protocol):
    """Told of everything as it happens; the terminal is one."""

    def figure(self, result: FigureResult) -> None:
        """Show a finished figure."""

    def chapter(self, result: ChapterResult) -> None:
        """Show the end of a chapter."""


def _one_blas_thread() -> AbstractContextManager[object]:
    """Keep numpy's matrix products to one thread: those of the chapters are small.

    On a busy machine more threads take many times as long. What limits them comes with
    scikit-learn, without which few chapters run.
    """
    if importlib.util.find_spec("threadpoolctl") is None:
        return nullcontext()
    limits: Callable[[int], AbstractContextManager[object]]
    limits = importlib.import_module("threadpoolctl").threadpool_limits
    return limits(1)


def run_chapter(chapter: Chapter, settings: Settings, listener: Listener) -> ChapterResult:
    """Run one chapter; an exception ends the chapter, not the report."""
    import matplotlib as mpl

    result = ChapterResult(chapter)
    if chapter.missing:
        result.not_run = f"not run: needs {', '.join(chapter.missing)}"
        listener.chapter(result)
        return result
    began = clock = time.perf_counter()
    try:
        figures = chapter.run(settings)
        while True:
            with mpl.rc_context(STYLE), _one_blas_thread():
                drawn = next(figures, None)
                if drawn is None:
                    break
                png = render(drawn.drawing)
            seconds = time.perf_counter() - clock
            finished = FigureResult(f"{chapter.number}{drawn.key}", drawn, png, seconds)
            result.figures.append(finished)
            listener.figure(finished)
            clock = time.perf_counter()
    except Exception as error:  # kept in report.json, sets the exit code
        result.error = error
    result.seconds = time.perf_counter() - began
    listener.chapter(result)
    return result


def run_report(chapters: Sequence[Chapter], settings: Settings, listener: Listener) -> Report:
    """Run `chapters` one after the other."""
    report = Report(settings)
    began = time.perf_counter()
    for chapter in chapters:
        report.chapters.append(run_chapter(chapter, settings, listener))
        report.seconds = time.perf_counter() - began
    return report
