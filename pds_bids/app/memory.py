"""Memory that a long run gives back between visits."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def release_memory() -> None:
    """Return what a visit freed to the system.

    Its volumes come and go among small objects that stay, so that glibc finds no room for the next visit's in
    the gaps and grows: by 1 MB per visit, measured over sixty with ``benchmarks/memory.py``.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # not glibc: its allocator does as it does
        ctypes.CDLL(None).malloc_trim(0)
