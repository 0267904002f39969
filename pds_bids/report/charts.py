"""Numbers of an evaluation -> matplotlib figure; nothing here touches the disk or matplotlib's global state.

Readable at 700 pixels and without colour vision: each series has a marker and a line style of its own beside
its colour, and numbers stand beside what they are drawn as.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from pds_bids.report.panels import (
    COLOURS,
    FAINT,
    QUIET,
    STYLE,
    heat,
    intervals,
    numbers,
    panelled,
    styled,
    with_legend,
    with_signs,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Data = Mapping[str, Any]
"""What a chart shows, as an experiment's JSON holds it."""

_ABOVE, _BELOW = COLOURS[:2]


def chart(kind: str, title: str, data: Data) -> Figure:
    """One chart.

    Parameters
    ----------
    kind
        One of `KINDS`.
    title
        Drawn as it is: no markup is interpreted.
    data
        As the function of that kind reads it. A None among numbers is left out.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    from matplotlib import rc_context

    if kind not in KINDS:
        raise ValueError(f"no such kind of chart: {kind}; choose from {', '.join(KINDS)}")
    with rc_context(STYLE):
        figure = KINDS[kind](data) if data.get("series", True) else _nothing()
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
    return figure


def _nothing() -> Figure:
    """In place of a chart without any series."""
    figure, (axes,) = panelled([""], height_in=0.6)
    axes.set_axis_off()
    axes.text(0, 0.5, "nothing to show: no subject has a value", color=QUIET)
    return figure


def _bland_altman(data: Data) -> Figure:
    """`series`: name -> `mean` and `difference`, (N,) each, in `unit` (Bland, Altman 1986, Lancet 1:307)."""
    figure, panels = panelled(data["series"], shared=True)
    for axes, points, colour in zip(panels, data["series"].values(), cycle(COLOURS), strict=False):
        mean, difference = numbers(points["mean"]), numbers(points["difference"])
        axes.scatter(mean, difference, s=14, color=colour, alpha=0.6, linewidths=0)
        bias, spread = float(np.nanmean(difference)), 1.96 * float(np.nanstd(difference))
        for level, dash in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
            axes.axhline(level, color="black", linewidth=1, linestyle=dash)
            axes.annotate(
                with_signs(f"{level:+.2g}"),
                (1, level),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                size=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )
    figure.supxlabel(f"mean of the two ({data['unit']})", size=10)
    figure.supylabel(f"predicted less true ({data['unit']})", size=10)
    return figure


def _calibration(data: Data) -> Figure:
    """`nominal`: (L,) promised shares; `series`: name -> (L,) shares observed."""
    figure, (axes,) = panelled([""], height_in=4.6)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.5)
    axes.text(0.06, 0.075, "honest", color=QUIET, size=8.5, rotation=45, rotation_mode="anchor")
    for name, observed, look in styled(data["series"]):
        axes.plot(numbers(data["nominal"]), numbers(observed), label=name, **look)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="share of errors promised inside the interval", ylabel="share observed")
    return with_legend(figure, axes, beside=True)


def _sparsification(data: Data) -> Figure:
    """`fraction`: (L,) removed; `series`, `oracle`: name -> (L,) error left, by sd and by the true error."""
    figure, (axes,) = panelled([""])
    fraction = numbers(data["fraction"])
    for name, error, look in styled(data["series"]):
        axes.plot(fraction, numbers(error), label=name, color=look["color"], linewidth=1.8)
        if name in data["oracle"]:
            best = numbers(data["oracle"][name])
            axes.plot(fraction, best, label=f"{name}, at best", color=look["color"], linestyle=":")
    axes.set(xlabel="share of the most uncertain voxels removed", ylabel="mean error left", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    return with_legend(figure, axes)


def _confusion(data: Data) -> Figure:
    """`labels`: (K,); `matrices`: name -> (K, K) counts, a row per true label."""
    figure, panels = panelled(data["matrices"], columns=3, height_in=2.7)
    for axes, table in zip(panels, data["matrices"].values(), strict=False):
        counts = numbers(table)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        texts = [[f"{count:.0f}" for count in row] for row in counts]
        heat(axes, share, texts, data["labels"], data["labels"], cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="predicted", ylabel="true")
    return figure


def _matrix(data: Data) -> Figure:
    """`rows`, `columns`: names; `values`: (R, C) in `unit`; `flagged`: (R, C), told by a frame and a mark."""
    from matplotlib.patches import Rectangle

    values, flagged = numbers(data["values"]), np.array(data["flagged"], bool)
    figure, (axes,) = panelled([""], height_in=1.4 + 0.5 * len(data["rows"]))
    texts = [
        [
            "n/a" if np.isnan(v) else f"{v:#.3g}{' !' if bad else ''}"
            for v, bad in zip(row, marks, strict=True)
        ]
        for row, marks in zip(values, flagged, strict=True)
    ]
    cells = heat(axes, values, texts, data["rows"], data["columns"], cmap="viridis")
    figure.colorbar(cells, ax=axes, label=data["unit"], shrink=0.9)
    for row, column in np.argwhere(flagged):
        corner = (column + 0.03, row + 0.04)
        axes.add_patch(Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=_BELOW, linewidth=3))
    if flagged.any():
        axes.set_title("! flagged", loc="right", color=_BELOW)
    return figure


def _lines(data: Data) -> Figure:
    """`x`: (N,) numbers or names; `series`: name -> (N,) values or intervals; `x_label`, `y_label`."""
    figure, (axes,) = panelled([""])
    names, series = any(isinstance(x, str) for x in data["x"]), data["series"]
    x = np.arange(len(data["x"])) if names else numbers(data["x"])
    for number, (name, values, look) in enumerate(styled(series)):
        middle, low, high = intervals(values).T
        if names:  # no line joins what has no order
            beside = x + 0.12 * (number - (len(series) - 1) / 2)
            ends = np.stack([middle - low, high - middle])
            axes.errorbar(beside, middle, ends, label=name, **look | {"linestyle": "none"})
        else:
            axes.plot(x, middle, label=name, **look)
            axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    if names:
        axes.set_xticks(x, data["x"])
        axes.set_xlim(-0.5, len(x) - 0.5)
    axes.set(xlabel=data["x_label"], ylabel=data["y_label"])
    return with_legend(figure, axes)


def _forest(data: Data) -> Figure:
    """`series`: name -> interval, from the top; `reference`: no effect; `x_label`.

    An interval that holds no effect is hollow and grey.
    """
    rows, reference = intervals(data["series"].values()), data["reference"]
    figure, (axes,) = panelled([""], height_in=0.9 + 0.32 * len(rows))
    axes.axvline(reference, color="black", linewidth=1)
    for y, (middle, low, high) in enumerate(rows):
        colour = _ABOVE if low > reference else _BELOW if high < reference else QUIET
        filled = "white" if colour == QUIET else colour
        axes.plot([low, high], [y, y], color=colour, linewidth=2)
        axes.plot(middle, y, color=colour, marker="o", markerfacecolor=filled, markersize=6)
        text = "n/a" if np.isnan(middle) else with_signs(f"{middle:z.2f} [{low:z.2f}, {high:z.2f}]")
        axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", size=9)
    axes.set_yticks(np.arange(len(rows)), list(data["series"]))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(data["x_label"])
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


KINDS: Mapping[str, Callable[[Data], Figure]] = {
    "bland-altman": _bland_altman,
    "calibration": _calibration,
    "sparsification": _sparsification,
    "confusion": _confusion,
    "matrix": _matrix,
    "lines": _lines,
    "forest": _forest,
}
"""Name of a kind of chart, to what draws it."""
