"""Memory of a long run: what stays for good, and what is given back between visits."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from functools import cache
from importlib import import_module


@cache
def import_for_good(*modules: str) -> None:
    """Import modules, and spare the garbage collector all that this process holds by then.

    Libraries come with objects by the hundred thousand, which it would look through again and again: a second
    of each process, as counted by ``gc.callbacks``. For processes of our own: what a caller holds stays, too.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def release_memory() -> None:
    """Return what a visit freed to the system.

    Its volumes come and go among small objects that stay, so that glibc finds no room for the next visit's in
    the gaps and grows: by 1 MB per visit, measured over sixty with ``benchmarks/memory.py``.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # not glibc: its allocator does as it does
        ctypes.CDLL(None).malloc_trim(0)
