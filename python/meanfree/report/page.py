"""Write the report: one self-contained HTML page, the PNG files, the data as JSON."""

from __future__ import annotations

import base64
import json
import math
import platform
from datetime import UTC, datetime
from html import escape
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

import meanfree
from meanfree.report.comparison import MANY, STANDARD_ERRORS, like, with_error, z_text
from meanfree.report.markup import blocks, inline
from meanfree.report.terminal import duration, verdict_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meanfree.report.comparison import Comparison
    from meanfree.report.engine import ChapterResult, FigureResult, Report, Table

_PACKAGES = ("numpy", "scipy", "matplotlib", "torch", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on, absent packages left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """Make `value` fit for strict JSON: what is not a finite number becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_data(report: Report) -> dict[str, Any]:
    """Return everything the report found as plain data."""
    tally, place = report.tally, report.worst_figure
    data = {
        "meanfree": meanfree.__version__,
        "build": meanfree.build_info(),
        "versions": versions(),
        "machine": platform.machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": report.settings.seed,
        "threads": report.settings.n_threads,
        "seconds": report.seconds,
        "rule": f"|theory - estimate| <= {STANDARD_ERRORS:g} standard_error + bound",
        "summary": {
            "comparisons": tally.n_comparisons,
            "disagreeing": tally.n_disagreeing,
            "z_beyond_3": tally.n_beyond,
            "expected_z_beyond_3": tally.expected_beyond,
            "worst_z_beyond_bound": tally.worst_z,
            "worst_figure": None if place is None else place.number,
        },
        "chapters": [_chapter_data(chapter) for chapter in report.chapters],
    }
    result: dict[str, Any] = plain(data)
    return result


def _chapter_data(result: ChapterResult) -> dict[str, Any]:
    return {
        "number": result.chapter.number,
        "name": result.chapter.name,
        "title": result.chapter.title,
        "status": result.status,
        "traceback": result.trace,
        "seconds": result.seconds,
        "figures": [
            {
                "number": item.number,
                "title": item.figure.title,
                "file": file_name(item),
                "seconds": item.seconds,
                "remark": item.figure.remark,
                "notes": item.figure.notes,
                "comparisons": [one.to_dict() for one in item.figure.comparisons],
                "tables": [
                    {"title": table.title, "header": table.header, "rows": table.rows}
                    for table in item.figure.tables
                ],
            }
            for item in result.figures
        ],
    }


def file_name(result: FigureResult) -> str:
    """Return the name of the figure's PNG file: ``figure-01a.png``."""
    number = result.number.removesuffix(result.figure.key)
    return f"figure-{int(number):02d}{result.figure.key}.png"


def _cell(text: str, name: str = "", style: str = "") -> str:
    attributes = f' data-name="{escape(name)}"' if name else ""
    attributes += f' class="{style}"' if style else ""
    return f"<td{attributes}>{text}</td>"


_COLUMNS = (
    "theory",
    "simulation ± standard error",
    "z",
    "finite-width bound",
    "verdict",
)


def _comparison_row(item: Comparison) -> str:
    values = (
        like(item.theory, item.standard_error),
        with_error(item.estimate, item.standard_error),
        z_text(item, 2),
        f"{item.bound:.2g}",
        item.verdict,
    )
    cells = [_cell(inline(item.quantity))]
    cells += [
        _cell(escape(value), name, ("good" if item.agrees else "bad") if name == "verdict" else "")
        for name, value in zip(_COLUMNS, values, strict=True)
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _numbers(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("quantity", *_COLUMNS))
    rows = "".join(_comparison_row(item) for item in comparisons)
    sources = sorted({item.bound_source for item in comparisons if item.bound_source})
    note = f'<p class="small soft">Bound: {inline("; ".join(sources))}.</p>' if sources else ""
    return (
        f"<details><summary>{len(comparisons)} comparisons of theory and simulation</summary>"
        f'<div class="scroll"><table class="numbers"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{note}</details>"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{inline(name)}</th>' for name in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{inline(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _figure(result: FigureResult) -> str:
    figure = result.figure
    image = base64.b64encode(result.png).decode("ascii")
    failed = "bad" if result.tally.n_disagreeing else "good"
    verdict = escape(verdict_of(result))
    worst_z = (
        f", worst |z| beyond the bound {result.tally.worst_z:.1f}" if figure.comparisons else ""
    )
    tables = "".join(_table(table) for table in figure.tables)
    notes = "".join(f"<li>{inline(note)}</li>" for note in figure.notes)
    notes = f'<ul class="notes">{notes}</ul>' if notes else ""
    return (
        f'<figure class="figure{" wide" * figure.wide}" id="fig-{result.number}">'
        f"<h3>{result.number} · {inline(figure.title)}</h3>"
        f'<img src="data:image/png;base64,{image}" alt="{escape(figure.description)}">'
        f"<figcaption>{inline(figure.caption)}</figcaption>{notes}"
        f'<p class="small"><span class="{failed}">{verdict}</span>'
        f'<span class="soft">{worst_z} · {duration(result.seconds)}</span></p>'
        f"{tables}{_numbers(figure.comparisons)}</figure>"
    )


def _chapter(result: ChapterResult) -> str:
    chapter = result.chapter
    notice = ""
    if result.status != "run":
        extra = " These are in <code>pip install 'meanfree[train]'</code>." * bool(result.not_run)
        notice = f'<p class="notice">{escape(result.status)}.{extra}</p>'
    figures = "".join(_figure(item) for item in result.figures)
    heading = f"{chapter.number} · {escape(chapter.title)}"
    return (
        f'<section id="chapter-{chapter.number}"><h2>{heading}</h2>'
        f'{blocks(chapter.text)}{notice}<div class="figures">{figures}</div></section>'
    )


def _header(report: Report) -> str:
    tally = report.tally
    agreeing = tally.n_comparisons - tally.n_disagreeing
    boxes = [
        (f"{agreeing} of {tally.n_comparisons}", "comparisons agree", tally.n_disagreeing > 0),
        (
            f"{tally.n_beyond}",
            f"with |z| &gt; {MANY:g} beyond the bound; chance makes up to "
            f"{tally.expected_beyond:.1f}",
            False,
        ),
        (f"{tally.worst_z:.1f}", "worst |z| beyond the bound", False),
        (duration(report.seconds), "in all", False),
    ]
    cells = "".join(
        f'<li><b class="{"bad" if bad else ""}">{value}</b>{label}</li>'
        for value, label, bad in boxes
    )
    missing = "".join(
        f'<p class="notice">Chapter {chapter.chapter.number}, {escape(chapter.chapter.title)}: '
        f"{escape(chapter.status)}.</p>"
        for chapter in report.chapters
        if chapter.status != "run"
    )
    entries = "".join(
        f'<li value="{item.chapter.number}"><a href="#chapter-{item.chapter.number}">'
        f"{escape(item.chapter.title)}</a></li>"
        for item in report.chapters
    )
    return (
        "<header><h1>Random deep networks: theory beside simulation</h1>"
        f'<p class="soft">Made by meanfree {escape(meanfree.__version__)}. Each figure sets a '
        "prediction of mean-field theory beside a simulation that does not use it.</p>"
        f'<ul class="summary">{cells}</ul>{missing}'
        "<p>A number <b>agrees</b> if |theory &minus; mean| ≤ "
        f"{STANDARD_ERRORS:g} standard errors + the finite-width bound that stands beside it; "
        "<i>z</i> is the deviation in standard errors, the bound left aside.</p>"
        f"<nav><ol>{entries}</ol></nav></header>"
    )


def _footer(report: Report) -> str:
    build = meanfree.build_info()
    parts = [f"{name} {version}" for name, version in versions().items()]
    parts += [f"instruction set {build['isa']}", f"seed {report.settings.seed}"]
    if report.settings.n_threads is not None:
        parts.append(f"{report.settings.n_threads} threads")
    parts.append(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    return (
        f'<footer class="small soft"><p>{escape(" · ".join(parts))}</p>'
        "<p>Every number of this page is in <code>report.json</code> beside it.</p></footer>"
    )


# Readers print what they see: tables that are folded away on the screen are opened for paper.
_OPEN_FOR_PRINT = (
    "addEventListener('beforeprint',()=>document.querySelectorAll('details')"
    ".forEach(d=>d.open=true))"
)


def to_html(report: Report) -> str:
    """Return the page."""
    css = resources.files("meanfree.report").joinpath("page.css").read_text(encoding="utf-8")
    chapters = "".join(_chapter(item) for item in report.chapters)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>meanfree report</title><style>{css}</style></head><body>"
        f"{_header(report)}<main>{chapters}</main>{_footer(report)}"
        f"<script>{_OPEN_FOR_PRINT}</script></body></html>\n"
    )


def write(report: Report, folder: Path) -> None:
    """Write ``index.html``, ``report.json`` and the PNG files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in report.figures:
        (folder / file_name(item)).write_bytes(item.png)
    (folder / "report.json").write_text(
        json.dumps(to_data(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    (folder / "index.html").write_text(to_html(report), encoding="utf-8")
