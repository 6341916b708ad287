"""How the report's figures look; used in a local rc context, never set globally."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any common colour vision, and their order of use.
BLACK = "#000000"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREY = "#6b6b6b"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)

RESOLUTION = 160
"""Dots per inch of the PNG files."""

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "figure.dpi": RESOLUTION,
    "savefig.dpi": RESOLUTION,
    "savefig.facecolor": "white",
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": "cycler('color', ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00'])",
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "mathtext.fontset": "dejavusans",
}


def canvas(width: float = 4.8, height: float = 3.8) -> tuple[Figure, Axes]:
    """Return a new figure without pyplot, hence without global state, and its one axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()
