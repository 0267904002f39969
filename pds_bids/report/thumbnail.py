"""A picture of a few kilobytes for tables of thousands: one axial slice, with SYNTHETIC below where it is."""

from __future__ import annotations

import io

import numpy as np

from pds_bids.core.volume import Volume
from pds_bids.report.slices import AXIAL, canonical, crop, cuts, foreground, tile

SIZE_PX = 96
_BAND_PX = 14
_ALARM, _INK = "#b3261e", "#ffffff"


def thumbnail(volume: Volume, mask: Volume, *, synthetic: bool) -> bytes:
    """The middle axial slice as a PNG of `SIZE_PX` squared.

    Parameters
    ----------
    volume, mask
        On one grid; the picture is cropped to the mask and the window taken from it.
    synthetic
        Writes SYNTHETIC on a red band.

    Raises
    ------
    GridMismatch
        If the grids differ.
    """
    from PIL import Image, ImageDraw

    volume.require(mask)
    head, brain = canonical(volume), foreground(canonical(mask))
    box = crop(brain, head.grid.voxel_mm)
    (cut,) = cuts(head, box, AXIAL, 1)
    white = float(np.percentile(head.data[brain], 99.5)) if brain.any() else 1.0
    levels = (255 * tile(head, box, cut) / max(white, 1e-6)).clip(0, 255).astype(np.uint8)
    slice_ = Image.fromarray(levels)
    slice_.thumbnail((SIZE_PX, SIZE_PX - _BAND_PX * synthetic))
    picture = Image.new("RGB", (SIZE_PX, SIZE_PX))
    picture.paste(slice_, ((SIZE_PX - slice_.width) // 2, 0))
    if synthetic:
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, SIZE_PX - _BAND_PX, SIZE_PX, SIZE_PX), fill=_ALARM)
        middle = (SIZE_PX / 2, SIZE_PX - _BAND_PX / 2)
        draw.text(middle, "SYNTHETIC", fill=_INK, anchor="mm", font_size=11)
    buffer = io.BytesIO()
    picture.quantize(64).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
