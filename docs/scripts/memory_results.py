"""Does memory grow over a long run? The sentence of docs/faq.rst, from the table of benchmarks/memory.py.

Usage::

    python docs/scripts/memory_results.py docs/results/memory.tsv
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

WARM_UP = 10
"""Participants after which imports, templates and caches are in memory."""


def told(table: Path) -> str:
    """Slope of the resident memory over participants (Theil and Sen), with its 95 % interval."""
    rows = np.genfromtxt(table, names=True, delimiter="\t")
    late = rows[rows["done"] > WARM_UP]
    slope, _, low, high = theilslopes(late["rss_mb"], late["done"])
    return (
        f"{len(rows)} participants: {late['rss_mb'][0]:.0f} MB after {late['done'][0]:.0f}, "
        f"{late['rss_mb'][-1]:.0f} MB after {late['done'][-1]:.0f}, {slope:+.2f} MB a participant "
        f"[{low:.2f}, {high:.2f}]; most {late['peak_mb'].max():.0f} MB; "
        f"{late['open_files'].min():.0f} to {late['open_files'].max():.0f} open files"
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(f"{name}: {told(Path(name))}\n")
