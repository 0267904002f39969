"""An image of a figure that is grey, where all of its colours are."""

from __future__ import annotations

from typing import Any

from matplotlib.image import AxesImage


class Picture(AxesImage):
    """Without colours it goes into an SVG as one byte a pixel: matplotlib itself always takes four.

    Added to its axes as `Axes.imshow` would add it, with values from 0 (first colour) to 1 (last colour).
    """

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """As matplotlib's; `unsampled` is what an SVG asks for."""
        pixels, x, y, transform = super().make_image(renderer, magnification, unsampled)
        if unsampled and (pixels[..., 3] == 255).all() and (pixels[..., :2] == pixels[..., 1:3]).all():
            pixels = pixels[..., 0]
        return pixels, x, y, transform
