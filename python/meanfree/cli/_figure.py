"""The figure that ``--out`` of ``meanfree audit`` and ``meanfree phase`` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIXES = (".png", ".pdf", ".svg")


class _Plots(Protocol):
    def plot(self, ax: Any) -> Any: ...


def check_path(path: Path | None) -> None:
    """Refuse, before any work is done, a file that could not be written at its end.

    Raises
    ------
    ValueError
        If the suffix is none of .png, .pdf and .svg.
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError
        If `path` is itself a folder.
    """
    if path is None:
        return
    if path.suffix.lower() not in _SUFFIXES:
        message = f"--out must be a file that ends in {', '.join(_SUFFIXES)}; got {str(path)!r}"
        raise ValueError(message)
    if not path.parent.is_dir():
        message = (
            f"--out must be a file ({', '.join(_SUFFIXES)}) in a folder that exists, "
            f"got {str(path)!r}"
        )
        raise FileNotFoundError(message)
    if path.is_dir():
        message = f"--out must be a file, got the folder {str(path)!r}"
        raise IsADirectoryError(message)


def save_plot(result: _Plots, path: Path) -> None:
    """Draw a result and write it to a file."""
    import matplotlib as mpl

    from meanfree.report.style import STYLE, canvas

    with mpl.rc_context(STYLE):
        figure, ax = canvas()
        result.plot(ax)
        figure.savefig(path)
