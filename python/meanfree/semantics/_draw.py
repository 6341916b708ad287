"""Figures that trees and data share: dendrograms and paths of hidden representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree._axes import axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def draw_dendrogram(ax: Axes | None, linkage: Array, labels: Sequence[str] | None) -> Axes:
    """Draw scipy's dendrogram of a linkage."""
    from scipy.cluster.hierarchy import dendrogram

    ax = axes(ax)
    names = None if labels is None else checked_labels(labels, linkage.shape[-2] + 1)
    dendrogram(linkage, ax=ax, labels=names, color_threshold=0.0, above_threshold_color="C0")
    ax.set(ylabel="hidden distance")
    if names is not None:
        ax.tick_params(axis="x", labelrotation=90)
    return ax


def draw_paths(ax: Axes | None, paths: Array, labels: Sequence[str] | None) -> Axes:
    """Draw the path (time, item, 1 or 2) of each item, a dot at its end; names share a place."""
    ax = axes(ax)
    names = None if labels is None else checked_labels(labels, paths.shape[1])
    if paths.shape[-1] < 2:  # there is one component only
        paths = np.concatenate([paths, np.zeros_like(paths)], axis=-1)
    for i in range(paths.shape[1]):
        (line,) = ax.plot(paths[:, i, 0], paths[:, i, 1], linewidth=1.0)
        ax.plot(paths[-1:, i, 0], paths[-1:, i, 1], "o", markersize=3.0, color=line.get_color())
    if names is not None:
        ends = paths[-1]
        near = 1e-9 * np.abs(ends).max()
        same = np.all(np.abs(ends[:, None] - ends) <= near, axis=-1)
        for i in np.unique(same.argmax(axis=0)):  # the first item of each place
            text = ", ".join(names[k] for k in np.flatnonzero(same[i]))
            ax.annotate(text, ends[i], xytext=(3, 3), textcoords="offset points")
    ax.set(xlabel="component 1", ylabel="component 2")
    return ax


def checked_labels(labels: Sequence[str], n: int, of: str = "items") -> list[str]:
    """Return one name for each of n things."""
    names = [str(name) for name in labels]
    if len(names) != n:
        msg = f"labels must name each of the {n} {of}, got {len(names)} names"
        raise ValueError(msg)
    return names
