"""What an output costs to write, and how large it is, by compression and number type.

Usage::

    python -m benchmarks.writing docs/results/performance_writing.json
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Cost, Row, cost, in_turn, run, spread

LEVELS = (1, 3, 6, 9)
CHOSEN = ("float32", 6)
TOP = 2.0
"""Relative intensities lie in [0, 2]."""


def synthesised() -> NDArray[np.float32]:
    """(80, 96, 88) what the bundled model makes of its own BOLD template."""
    from pds_bids.core.config import SynthesisConfig
    from pds_bids.core.modality import Modality
    from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
    from pds_bids.synthesis.pipeline import Synthesiser

    config = SynthesisConfig(num_samples=0, device="cpu", threads=1)
    synthesiser = Synthesiser.load(config)
    template = synthesiser.templates[Modality.BOLD].data
    mask = Volume((template > 0.1).astype(np.float32), MODEL_GRID.affine, MODEL_SPACE)
    source = mask.like(template - 1)
    return np.asarray(
        synthesiser.synthesise(source, mask, Modality.DWI, config, seed=0).volume.data, np.float32
    )


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Compress one volume in every way, in turn."""
    data = synthesised()
    stored = {"float32": data, "int16, scaled": np.rint(data * (32767 / TOP)).astype(np.int16)}
    # An axis of a NIfTI file that runs fastest is the first.
    content = {(name, level): values.tobytes("F") for name, values in stored.items() for level in LEVELS}

    def compress(key: tuple[str, int]) -> Cost:
        return cost(lambda: gzip.compress(content[key], key[1], mtime=0))

    keys = {f"{name}, level {level}": (name, level) for name, level in content}
    costs = in_turn({what: partial(compress, key) for what, key in keys.items()}, arguments.rounds)
    base = "{}, level {}".format(*CHOSEN)
    size = {what: len(gzip.compress(content[key], key[1], mtime=0)) for what, key in keys.items()}
    rows: list[Row] = []
    for what, own in costs.items():
        ratios = [c.cpu_s / b.cpu_s for c, b in zip(own, costs[base], strict=True)]
        row: Row = {"what": what, "cpu_s": spread([c.cpu_s for c in own]), "times_cpu": spread(ratios)}
        rows.append(row | {"size_mb": size[what] / 1e6, "times_size": size[what] / size[base]})
    return {"One volume": rows}


if __name__ == "__main__":
    run("writing", "Writing", measure, argparse.ArgumentParser(description=__doc__))
