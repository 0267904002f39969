"""Pictures of pages for the documentation, in headless Chromium.

Usage, where SINGLE and REAL are outputs of both levels: of volunteers with one modality, of two with both and
--evaluate::

    python docs/scripts/screenshots.py SINGLE/sub-b04.html docs/images/participant.png 1000 4420 --scale 0.5
    python docs/scripts/screenshots.py REAL/group_synthesis.html docs/images/group.png 1200 2400 --scale 0.75
    python docs/scripts/screenshots.py VIEWER docs/images/viewer.png 1000 700
    python docs/scripts/screenshots.py DEMO/sub-02.html docs/images/demo.png 1000 1310 --scale .7

with `SINGLE/sub-b04/figures/sub-b04_desc-viewer_trace.html` as VIEWER, `pds-demo/derivatives` as DEMO.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 96
"""Enough for grey slices and a few flat colours; a third of the bytes."""
MARGIN_PX = 24
WAIT_MS = 8000
"""For the viewer, which unpacks its volumes."""


def photograph(page: Path, size: tuple[int, int]) -> Image.Image:
    """The top of a page; `size` is that of the window in pixels."""
    program = next(filter(None, map(shutil.which, CHROMIUM)))
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += [f"--window-size={size[0]},{size[1]}", f"--virtual-time-budget={WAIT_MS}"]
        command = [program, *options, f"--screenshot={shot}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        return Image.open(shot).convert("RGB")


def without_empty_end(picture: Image.Image) -> Image.Image:
    """The picture without the paper below the end of the page."""
    corner = picture.getpixel((0, picture.height - 1))
    paper = Image.new("RGB", picture.size, corner)
    (*_, bottom) = ImageChops.difference(picture, paper).getbbox() or (0, 0, *picture.size)
    return picture.crop((0, 0, picture.width, min(bottom + MARGIN_PX, picture.height)))


def main() -> None:
    """Take one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int, help="at most; what is empty below the end is cut off")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    picture = without_empty_end(photograph(given.page, (given.width, given.height)))
    small = picture.resize((int(picture.width * given.scale), int(picture.height * given.scale)))
    small.quantize(COLOURS).save(given.picture, optimize=True)


if __name__ == "__main__":
    main()
