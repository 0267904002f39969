"""Draw which rooms of the package import which, from the imports themselves.

Usage::

    python docs/scripts/import_graph.py docs/images/imports.svg
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import grimp
from matplotlib import rc_context
from matplotlib.figure import Figure

PACKAGE = "pds_bids"
LAYERS = (
    ("cli",),
    ("app",),
    ("bids", "prep", "synthesis", "training", "evaluation", "simulation", "report"),
    ("models",),
    ("core",),
)
SIZE_IN = (8.6, 5.4)
BOX = {"boxstyle": "round,pad=0.5", "facecolor": "#eef3f8", "edgecolor": "#3b6ea5"}


def room(module: str) -> str:
    """The part of the package that a module belongs to; "" of the package itself."""
    return module.partition(".")[2].partition(".")[0]


def imports() -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Imports from room to room, and modules of each room."""
    graph = grimp.build_graph(PACKAGE)
    pairs = ((room(a), room(b)) for a in graph.modules for b in graph.find_modules_directly_imported_by(a))
    known = {name for layer in LAYERS for name in layer}
    links = Counter((a, b) for a, b in pairs if a != b and {a, b} <= known)
    return links, Counter(map(room, graph.modules))


def draw() -> Figure:
    """Rooms in layers; the wider a line, the more imports; what is drawn upwards breaks the contract."""
    links, modules = imports()
    figure = Figure(SIZE_IN)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    place = {
        name: ((k + 0.5) / len(layer), 1 - (depth + 0.5) / len(LAYERS))
        for depth, layer in enumerate(LAYERS)
        for k, name in enumerate(layer)
    }
    for (a, b), n in links.items():
        style = {"arrowstyle": "-|>", "color": "#7a8794", "alpha": 0.7, "lw": 0.6 + n / 25}
        axes.annotate(
            "", place[b], place[a], arrowprops=style | {"shrinkA": 20, "shrinkB": 20, "mutation_scale": 10}
        )
    for name, (x, y) in place.items():
        text = f"{name}\n{modules[name]}"
        axes.text(x, y, text, ha="center", va="center", size=9, bbox=BOX)
    return figure


if __name__ == "__main__":
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": PACKAGE}):
        draw().savefig(Path(sys.argv[1]), metadata={"Date": None})
