"""A page to scroll through the source and what was made of it: nilearn's viewer, complete in itself.

The acquired volume lies below, the synthetic one above it, and a slider fades between the two at one cursor
(docs/adr/0012-viewer.rst).
"""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np

from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.report.slices import canonical, crop, foreground

LEVELS = 48
"""Shades of grey: few enough for small files, more than an eye tells apart side by side."""

_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">"
)
_TOLD = """<p style="font: 1rem sans-serif">Left end of the slider: the acquired {source}. Right end: the
<b style="color: #b3261e">SYNTHETIC {target}</b>, which no scanner acquired. Click or drag in the slices to
move through both.</p>"""


def viewer(source: Volume, synthesised: Volume, mask: Volume, target: Modality) -> str:
    """The page as HTML: no network, and the same for the same volumes.

    Parameters
    ----------
    source, synthesised, mask
        On one grid of equal edges; each image has the window of its own brain.
    target
        What was synthesised. No name of a file or a person gets into the page: nilearn escapes none.

    Raises
    ------
    GridMismatch
        If the grids differ.
    """
    from nilearn.plotting import view_img

    source.require(synthesised)
    source.require(mask)
    below, above = (_image(volume, mask) for volume in (source, synthesised))
    view = view_img(
        above,
        bg_img=below,
        title="SYNTHETIC above",
        cmap="gray",
        vmin=0,
        vmax=1,
        symmetric_cmap=False,
        black_bg=True,
        dim=0,
        threshold=1e-6,
        resampling_interpolation="nearest",
        colorbar=False,
        width_view=900,
    )
    html = str(view.get_standalone())
    for name in set(re.findall(r"div_viewer-([0-9a-f]{32})", html)):  # drawn anew each time
        html = html.replace(name, "pds")
    html = re.sub(r"<link\b.*?>", "", html, flags=re.DOTALL)  # an icon, fetched from elsewhere
    html = re.sub(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=]{1000,}", lambda png: _indexed(png[0]), html)
    told = _TOLD.format(source=target.other.full_name, target=target.full_name)
    return html.replace("<head>", f"<head>{_POLICY}", 1).replace("<body>", f"<body>{told}", 1)


def _indexed(png: str) -> str:
    """The same picture in base64, a third as large: its few colours stand in a palette."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"))
    colours, index = np.unique(np.ascontiguousarray(pixels).view(np.uint32), return_inverse=True)
    picture = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8))
    rgba = colours.view(np.uint8).reshape(-1, 4)
    picture.putpalette(rgba[:, :3].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format="png", transparency=rgba[:, 3].tobytes())
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _image(volume: Volume, mask: Volume) -> Any:
    """The part around the brain in `LEVELS` shades from 0 to 1, as nilearn takes it."""
    import nibabel as nb

    head, brain = canonical(volume), foreground(canonical(mask))
    box = crop(brain, head.grid.voxel_mm)
    part = tuple(slice(low, high) for low, high in zip(box.low, box.high, strict=True))
    white = float(np.percentile(head.data[brain], 99.5)) if brain.any() else 1.0
    levels = np.rint((LEVELS - 1) * (head.data[part] / max(white, 1e-6)).clip(0, 1)) / (LEVELS - 1)
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ box.low
    return nb.Nifti1Image(levels.astype(np.float32), affine)
