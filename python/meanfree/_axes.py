"""Axes to draw on: the caller's, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes


def axes(ax: Axes | None) -> Axes:
    """Return ax, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.figure(layout="constrained").subplots()


def right_axes(ax: Axes, label: str) -> Axes:
    """Return the axes with this label on the right of ax, so that two results share their scale."""
    siblings: list[Axes] = ax.get_shared_x_axes().get_siblings(ax)
    for other in siblings:
        if other.get_ylabel() == label and other.bbox.bounds == ax.bbox.bounds:
            return other
    right = ax.twinx()
    right.set(ylabel=label)
    return right


def label_layers(ax: Axes, handles: Sequence[object]) -> None:
    """Label the axis of the layers, and put the legend above, where it hides no data."""
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel=r"layer $l$")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(handles),
        frameon=False,
    )
