"""Draw the way of the data through the two networks; sizes are those of the bundled weights.

Usage::

    python docs/scripts/pipeline_figure.py docs/images/pipeline.svg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.checkpoint import load_checkpoint
from pds_bids.models.denoiser import BANDS, N_CONTEXT
from pds_bids.models.pdsmodel import count_parameters

SIZE_IN = (8.6, 6.1)
ACQUIRED, STEP, SYNTHETIC = ("#ffffff", "#5b6570"), ("#eef3f8", "#3b6ea5"), ("#fdeeec", "#b3261e")
"""Face and edge of boxes."""
QUIET = "#5b6570"
TIMES = " \N{MULTIPLICATION SIGN} "


class Box(NamedTuple):
    """Centre and size in shares of the figure."""

    x: float
    y: float
    width: float
    height: float
    colours: tuple[str, str]
    title: str
    text: str


ARROWS = (
    ((0.25, 0.90), (0.285, 0.90)),
    ((0.505, 0.90), (0.54, 0.90)),
    ((0.78, 0.90), (0.745, 0.90)),
    ((0.64, 0.82), (0.64, 0.765)),
    *(((x, 0.59), (x, 0.54)) for x in (0.18, 0.5, 0.82)),
    ((0.5, 0.42), (0.5, 0.37)),
    ((0.5, 0.25), (0.5, 0.165)),
    ((0.36, 0.09), (0.32, 0.09)),
    ((0.64, 0.09), (0.68, 0.09)),
)
"""From and to."""


def unet(network: nn.Module, channels: tuple[int, ...]) -> str:
    """A network in a line."""
    levels = ", ".join(map(str, channels))
    return f"3D U-Net, {levels} channels, {count_parameters(network) / 1e6:.1f} million weights"


def boxes() -> list[Box]:
    """From the series, above, to what is written, below."""
    model = load_checkpoint("base").model
    voxels = TIMES.join(map(str, MODEL_GRID.shape))
    denoiser = unet(model.denoiser, model.config.denoiser.channels)
    refiner = unet(model.refiner, model.config.refiner.channels)
    reduce = "align the volumes, mean of the\nsteady state or of one shell"
    place = f"mask, affine, one resampling:\n{voxels} voxels of 2 mm;\ndivide by the median"
    missing = f"time 1: nothing is seen;\n{BANDS} channels"
    context = f"coordinates, pattern of disease, T1w;\n{N_CONTEXT} channels"
    refine = f"sees the estimate, the acquired modality, the context, and the tissues in both\n{refiner}"
    volume = "on the source's grid\nand on the template's"
    sd = "sd of the error: its scale,\ncalibrated by tissue"
    return [
        Box(0.140, 0.90, 0.22, 0.16, ACQUIRED, "Acquired series", "BOLD or DWI"),
        Box(0.395, 0.90, 0.22, 0.16, STEP, "1 Reduce", reduce),
        Box(0.640, 0.90, 0.21, 0.16, STEP, "2 Place", place),
        Box(0.880, 0.90, 0.20, 0.16, ACQUIRED, "T1w image", "if there is one:\nbridge to the template"),
        Box(0.18, 0.65, 0.28, 0.12, ACQUIRED, "Acquired modality", f"time 0: clean;\n{BANDS} channels"),
        Box(0.50, 0.65, 0.28, 0.12, SYNTHETIC, "Missing modality", missing),
        Box(0.82, 0.65, 0.28, 0.12, ACQUIRED, "Context", context),
        Box(0.50, 0.48, 0.92, 0.12, STEP, "3 Estimate: the velocity of both modalities, from both", denoiser),
        Box(0.50, 0.31, 0.92, 0.12, STEP, "4 Refine: a correction, and the scale of its error", refine),
        Box(0.50, 0.09, 0.28, 0.15, STEP, "5 Put back", "inverse affine, and SyN:\none resampling each"),
        Box(0.17, 0.09, 0.30, 0.15, SYNTHETIC, "Synthesised volume", volume),
        Box(0.83, 0.09, 0.30, 0.15, SYNTHETIC, "Uncertainty map", sd),
    ]


def draw() -> Figure:
    """Boxes and arrows; what is framed happens in the sub-bands."""
    figure = Figure(SIZE_IN)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.add_patch(Rectangle((0.015, 0.215), 0.97, 0.55, facecolor="#f7f8fa", edgecolor="#c9d0d7"))
    half = TIMES.join(str(n // 2) for n in MODEL_GRID.shape)
    axes.text(0.03, 0.737, f"Haar sub-bands, {half}", size=8, color=QUIET, va="center")
    for start, end in ARROWS:
        style = {"arrowstyle": "-|>", "color": QUIET, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", end, start, arrowprops=style)
    for box in boxes():
        face, edge = box.colours
        corner = box.x - box.width / 2, box.y - box.height / 2
        axes.add_patch(Rectangle(corner, box.width, box.height, facecolor=face, edgecolor=edge))
        top = box.y + 0.015 * (1 + box.text.count("\n"))
        axes.text(box.x, top, box.title, ha="center", va="center", size=9.5, weight="bold", color=edge)
        axes.text(box.x, top - 0.02, box.text, ha="center", va="top", size=8, linespacing=1.3)
    return figure


if __name__ == "__main__":
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pipeline"}):
        draw().savefig(Path(sys.argv[1]), metadata={"Date": None})
