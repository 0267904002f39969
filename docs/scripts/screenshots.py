"""Pictures of the pages of a finished run, for the documentation: docs/images/{participant,viewer,group}.png.

Usage, after both levels have run into OUT (docs/images shows sub-01 of two volunteers, processed with
--evaluate)::

    python docs/scripts/screenshots.py OUT sub-01 docs/images

It needs Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 128
"""Enough for grey slices and a few flat colours; a third of the bytes."""

WAIT_MS = 8000
"""For the viewers, which unpack their volumes."""


def picture(page: Path, file: Path, size: tuple[int, int]) -> None:
    """The top of a page, without the empty paper below its end.

    Parameters
    ----------
    size
        Width and greatest height, in pixels.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM)))
    window = f"--window-size={size[0]},{size[1]}"
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", window]
        waiting = f"--virtual-time-budget={WAIT_MS}"
        subprocess.run(
            [program, *options, waiting, f"--screenshot={shot}", page.as_uri()],
            check=True,
            capture_output=True,
        )
        whole = Image.open(shot).convert("RGB")
    paper = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))
    difference = Image.eval(ImageChops.difference(whole, paper).convert("L"), lambda value: 255 * (value > 0))
    bottom = (difference.getbbox() or (0, 0, *whole.size))[3]
    cut = whole.crop((0, 0, whole.width, min(bottom + 24, whole.height)))
    cut.quantize(COLOURS).save(file, optimize=True)


def main(out: Path, visit: str, images: Path) -> None:
    """Take all of them."""
    (viewer, *_) = sorted((out / visit / "figures").glob("*_desc-viewer_trace.html"))
    picture(out / f"{visit}.html", images / "participant.png", (1100, 12000))
    picture(viewer, images / "viewer.png", (1000, 560))
    picture(out / "group_synthesis.html", images / "group.png", (1200, 1400))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], Path(sys.argv[3]))
