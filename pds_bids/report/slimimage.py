"""An image of a figure that is grey in an SVG, where all of its colours are."""

from __future__ import annotations

from typing import Any

from matplotlib.image import AxesImage


class SlimImage(AxesImage):
    """Without colours it goes into an SVG as one byte a pixel: matplotlib itself always takes four."""

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """As matplotlib's, where anything else than an SVG is drawn."""
        pixels, *place = super().make_image(renderer, magnification, unsampled)
        for_svg = unsampled and hasattr(renderer, "writer") and pixels is not None
        if for_svg and (pixels[..., 3] == 255).all() and (pixels[..., :2] == pixels[..., 1:3]).all():
            pixels = pixels[..., 0]
        return pixels, *place
