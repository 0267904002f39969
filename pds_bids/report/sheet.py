"""The black sheet that slices are drawn on: picture, outlines, letters, and the word SYNTHETIC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pds_bids.core.volume import Volume
from pds_bids.report.slices import Montage

SYNTHETIC = "SYNTHETIC"
"""Burnt into every slice of a volume that no scanner acquired."""

CONVENTION = "neurological: left of the picture is the subject's left"
"""Printed on every figure."""

HEADING_PX = 15
"""Pixels of the canvas that a row's heading needs."""

_WIDTH_IN, _HEADER_IN, _FOOTER_IN, _MARGIN = 10.0, 0.42, 0.38, 0.012
_INK, _QUIET, _PAPER, _ALARM = "#f2f2f2", "#a3a3a3", "#000000", "#ff453a"


class Sheet:
    """A figure with a title, one picture made of slices, and a footer.

    Parameters
    ----------
    title
        Drawn as it is: no markup is interpreted.
    layout
        Where the slices lie.

    Attributes
    ----------
    figure
        The matplotlib figure; it belongs to no window and no global state.
    """

    def __init__(self, title: str, layout: Montage) -> None:
        from matplotlib.figure import Figure

        rows, columns = layout.shape
        width = 1 - 2 * _MARGIN
        picture_in = _WIDTH_IN * width * rows / columns
        height_in = _HEADER_IN + picture_in + _FOOTER_IN
        self.layout = layout
        self.figure = Figure(figsize=(_WIDTH_IN, height_in), facecolor=_PAPER)
        y = 1 - 0.5 * _HEADER_IN / height_in
        style: dict[str, Any] = {"color": _INK, "size": 11, "weight": "bold", "parse_math": False}
        self.figure.suptitle(title, x=_MARGIN, y=y, ha="left", va="center", **style)
        self._axes = self.figure.add_axes((_MARGIN, _FOOTER_IN / height_in, width, picture_in / height_in))
        self._axes.set_axis_off()

    def paint(self, volumes: Sequence[Volume], cmap: str = "gray", *, missing: str = _PAPER) -> None:
        """Draw the slices of one volume a row, with intensities from 0 (first colour) to 1 (last colour).

        NaN has the colour `missing`; `none` shows what was painted before.
        """
        from matplotlib import colormaps

        from pds_bids.report.slimimage import SlimImage

        image = SlimImage(self._axes, cmap=colormaps[cmap].with_extremes(bad=missing), interpolation="none")
        image.set_data(self.layout.canvas(volumes))
        image.set_clim(0, 1)
        image.set_extent(image.get_extent())
        image.set_clip_path(self._axes.patch)
        self._axes.add_image(image)

    def outline(self, volumes: Sequence[Volume], colour: str) -> None:
        """Draw the lines along which one volume a row crosses zero; NaN is crossed by no line."""
        from contourpy import contour_generator
        from matplotlib import rc_context

        lines: Any = contour_generator(z=self.layout.canvas(volumes), line_type="ChunkCombinedNan").lines(0.0)
        points = lines[0][0]
        if points is None:
            return
        # one path with breaks, thinned to half a point: several times smaller than contours as they come
        with rc_context({"path.simplify_threshold": 0.5}):
            style: dict[str, Any] = {"color": colour, "linewidth": 0.8, "scalex": False, "scaley": False}
            self._axes.plot(*points.T, **style)

    def annotate(self, synthetic: Sequence[bool], headings: Sequence[str] = ()) -> None:
        """Write positions and sides, headings, and SYNTHETIC into every slice of the rows it is true for."""
        plane = None
        for at in self.layout.places:
            position = (at.left + 2, at.top + at.height - 2)
            self._axes.text(*position, at.cut.label, color=_QUIET, size=6, parse_math=False)
            if at.column == 0 or at.cut.plane != plane:
                plane = at.cut.plane
                self._write(at.left + 2, at.top + 3, plane.left, ha="left", va="top")
                self._write(at.left + at.width - 2, at.top + 3, plane.right, ha="right", va="top")
            if synthetic[at.row]:
                self._stamp(at.left + at.width - 2, at.top + at.height - 2)
        for row, heading in enumerate(headings):
            top = min(at.top for at in self.layout.places if at.row == row)
            self._write(1, top - 3, heading, color=_ALARM if synthetic[row] else _INK)

    def footer(
        self, window: tuple[float, float] | None, cmap: str = "gray", label: str | None = None
    ) -> None:
        """Convention, window (None: each row has its own) and, for a quantity with a name, a colour bar."""
        y = 0.5 * _FOOTER_IN / self.figure.get_figheight()
        text: dict[str, Any] = {"y": y, "va": "center", "color": _QUIET, "size": 7, "parse_math": False}
        low, high = (f"{level:,.0f}" if abs(level) >= 100 else f"{level:.3g}" for level in window or (0, 0))
        shown = f"window {low} to {high}" if window else "each row in its own window"
        self.figure.text(_MARGIN, s=f"{CONVENTION}; positions in mm; {shown}", **text)
        if label and window:
            bar_in = 0.1 / self.figure.get_figheight()
            bar = self.figure.add_axes((0.78, y - bar_in / 2, 0.14, bar_in))
            bar.set_axis_off()
            bar.imshow(np.linspace(0, 1, 256)[None], cmap=cmap, aspect="auto", interpolation="none")
            self.figure.text(0.775, s=f"{label}   {low}", ha="right", **text)
            self.figure.text(0.925, s=high, ha="left", **text)

    def _write(self, x: float, y: float, text: str, color: str = _INK, **align: Any) -> None:
        self._axes.text(x, y, text, color=color, size=9, weight="bold", parse_math=False, **align)

    def _stamp(self, x: float, y: float) -> None:
        """SYNTHETIC with its lower right corner at a point: corners of slices hold least of the brain."""
        tag = {"facecolor": _ALARM, "edgecolor": "none", "boxstyle": "square,pad=0.15"}
        style: dict[str, Any] = {"color": "#ffffff", "size": 5, "weight": "bold"}
        self._axes.text(x, y, SYNTHETIC, ha="right", va="bottom", bbox=tag, **style)
