"""Arrays that are made once and kept, so that an experiment that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.bids.writing import atomic_write

Arrays = Mapping[str, NDArray[Any]]


def kept(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """Arrays by name from a file, which is made where there is none: whole or not at all.

    Parameters
    ----------
    path
        `.npz`; its name has to say what the arrays follow from.
    """
    if not path.is_file():
        with atomic_write(path) as partial:
            np.savez(partial, allow_pickle=False, **make())
    with np.load(path) as arrays:
        return dict(arrays)
