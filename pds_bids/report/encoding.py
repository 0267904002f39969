"""matplotlib figure -> text or bytes of a picture: what a page embeds."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_svg(figure: Figure) -> str:
    """The figure as SVG: the same figure gives the same text, byte for byte."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pds-bids"}):
        figure.savefig(buffer, format="svg", metadata={"Title": figure.get_suptitle(), "Date": None})
    # matplotlib asks for hard pixels, which alias when a browser fits the picture to a page
    svg = buffer.getvalue().replace("image-rendering:crisp-edges;image-rendering:pixelated", "")
    return re.sub(r"(?<=data:image/png;base64,)[^\"]+", lambda png: _with_palette(png[0]), svg)


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as PNG, for places that cannot show SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _with_palette(png: str) -> str:
    """A base64 PNG with indexed colours, of which a colour map has 256; as it is, if grey or seen through."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "L" or image.getextrema()[-1] != (255, 255):  # matplotlib's are RGBA
        return png
    buffer = io.BytesIO()
    image.convert("RGB").quantize(256).save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
