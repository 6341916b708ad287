"""Progress bars of long calls: tqdm is imported only when a bar is drawn."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 0.5  # seconds before a bar appears where it was not asked for


@contextmanager
def progress_bar(
    progress: bool | None, label: str, total: int | None
) -> Iterator[Callable[[int], None] | None]:
    """Yield the function that takes the number of items done, or None where no bar is wanted.

    ``progress`` True draws a bar, False none; None draws one if stderr is a terminal and the
    call has lasted half a second. Without a total only the time that has passed is shown.
    """
    if progress is not None and not isinstance(progress, bool):
        msg = f"progress must be True, False or None, got {progress!r:.60}"
        raise TypeError(msg)
    if progress is False or (progress is None and not _is_terminal()):
        yield None
        return
    bar = _Bar(label, total, patience=_PATIENCE if progress is None else 0.0)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    """Move a tqdm bar to ``done`` of ``total``, or let it tell the time."""

    def __init__(self, label: str, total: int | None, patience: float) -> None:
        self._label, self._total = label, total
        self._appears = time.monotonic() + patience
        self._bar: Any = None
        if patience == 0.0:
            self(0)

    def __call__(self, done: int) -> None:
        if self._bar is None:
            if time.monotonic() < self._appears:
                return
            from tqdm import tqdm

            shown = None if self._total is not None else "{desc}: {elapsed}"
            self._bar = tqdm(total=self._total, desc=self._label, leave=False, bar_format=shown)
        if self._total is None:
            self._bar.refresh()
        else:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False
