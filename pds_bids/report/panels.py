"""What all charts share: paper, colours, panels, cells, legends, and how numbers of a JSON are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart without colour vision (Okabe and Ito 2008)."""

QUIET, FAINT = "#5c6670", "#b8bfc6"

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "grid.color": "#e6e9ec",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,
}
"""Settings of matplotlib under which charts are made."""

_MARKERS, _DASHES = "osD^vPX", ("-", "--", "-.", ":")
_WIDTH_IN = 8.0

Series = Mapping[str, Any]
"""Name to what is drawn under it."""


def panelled(
    titles: Iterable[str], *, columns: int = 2, height_in: float = 3.4, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each title, row by row, `height_in` inches each; `shared` are their axes."""
    from matplotlib.figure import Figure

    titles = list(titles)
    columns = max(min(columns, len(titles)), 1)
    rows = max(ceil(len(titles) / columns), 1)
    figure = Figure(figsize=(_WIDTH_IN, 0.3 + rows * height_in), facecolor="white", layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared).flat)
    for axes in panels[len(titles) :]:
        axes.set_axis_off()
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title(title, loc="left")
    return figure, panels


def heat(
    axes: Axes,
    values: NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    **colours: Any,
) -> Any:
    """Coloured cells with a text in each, dark on light and light on dark; cells without a value are grey.

    Parameters
    ----------
    values
        (R, C), NaN where there is none.
    texts
        R of C.
    rows, columns
        R and C names.
    colours
        `cmap`, and its limits `vmin` and `vmax`.

    Returns
    -------
    matplotlib.collections.QuadMesh
        The cells, unit squares from (0, 0).
    """
    axes.set_facecolor(FAINT)
    cells = axes.pcolormesh(np.ma.masked_invalid(values), edgecolors="white", linewidth=1.5, **colours)
    brightness = cells.to_rgba(values)[..., :3] @ (0.299, 0.587, 0.114)
    for (row, column), value in np.ndenumerate(values):
        dark = np.isfinite(value) and brightness[row, column] < 0.5
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
        axes.text(column + 0.5, row + 0.5, texts[row][column], **style)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return cells


def styled(series: Series) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Each series with a colour, a marker and a line style of its own."""
    looks = zip(cycle(COLOURS), cycle(_MARKERS), cycle(_DASHES), strict=False)
    for (name, values), (colour, marker, dash) in zip(series.items(), looks, strict=False):
        look = {"color": colour, "marker": marker, "linestyle": dash, "markersize": 5, "linewidth": 1.8}
        yield name, values, look


def with_legend(figure: Figure, axes: Axes, *, beside: bool = False) -> Figure:
    """The figure with the names of its lines below the panel, or beside it."""
    handles, names = axes.get_legend_handles_labels()
    if beside:
        figure.legend(handles, names, loc="outside right center", handlelength=3.2)
    else:
        figure.legend(handles, names, loc="outside lower left", ncols=2, handlelength=3.2)
    return figure


def numbers(values: Any) -> NDArray[np.float64]:
    """Numbers of any shape; None is NaN."""
    return np.array(values, dtype=np.float64)


def intervals(values: Iterable[Any]) -> NDArray[np.float64]:
    """(N, 3) means with their ends; a number alone, or None, is an interval of no width."""
    return np.array([numbers(np.nan if value is None else value) * np.ones(3) for value in values])


def with_signs(text: str) -> str:
    """Numbers with the minus sign that axes have.

    >>> with_signs("-1") == chr(0x2212) + "1"
    True
    """
    return text.replace("-", "\N{MINUS SIGN}")
