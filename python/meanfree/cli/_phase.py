"""What ``meanfree phase`` reads and prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.meanfield import PhaseDiagram


_MOST_POINTS = 10_000  # of one axis; no screen or page shows more


def axis(name: str, text: str) -> NDArray[np.float64]:
    """Read ``1.3`` or ``low:high`` or ``low:high:count``; `name` is the option, for errors."""
    try:
        numbers = [float(part) for part in text.split(":")]
        if len(numbers) == 1:
            return np.array(numbers)
        low, high = numbers[:2]
        count = int(text.split(":")[2]) if len(numbers) == 3 else 81
    except ValueError:
        numbers = []
    if not (2 <= len(numbers) <= 3 and count >= 2 and -math.inf < low < high < math.inf):
        message = f"{name} must be a number, low:high or low:high:count, got {text!r}"
        raise ValueError(message)
    if count > _MOST_POINTS:
        message = f"{name} must have a count in [2, {_MOST_POINTS}], got {count} in {text!r}"
        raise ValueError(message)
    return np.linspace(low, high, count)


def as_text(activation: str, diagram: PhaseDiagram) -> str:
    """Return a map of letters, sigma_b upwards, and how much of the range each phase takes."""
    total = diagram.phase.size
    names, counts = np.unique(diagram.phase, return_counts=True)
    shares = ", ".join(f"{n} {c / total:.0%}" for n, c in zip(names, counts, strict=True))
    n_w, n_b = diagram.phase.shape
    columns = np.unique(np.linspace(0, n_w - 1, min(n_w, 61)).round().astype(int))
    rows = np.unique(np.linspace(0, n_b - 1, min(n_b, 17)).round().astype(int))
    letter = {"ordered": ".", "critical": "|", "chaotic": "#"}
    lines = [f"{activation}: {shares}   (. ordered, # chaotic, | critical, x q diverges)"]
    for j in rows[::-1]:
        line = "".join(
            "x" if diagram.status[i, j] == "diverges" else letter.get(diagram.phase[i, j], "?")
            for i in columns
        )
        lines.append(f"{diagram.sigma_b[j]:>8.3g}  {line}")
    low, high = f"{diagram.sigma_w[0]:g}", f"{diagram.sigma_w[-1]:g}"
    room = max(9, len(columns) - len(low) - len(high))
    lines.append(f"sigma_b ^  {low}{'sigma_w':^{room}}{high}")
    return "\n".join(lines)
