"""pds-bids: synthesise a subject's missing mean fMRI or dMRI volume from the one that was acquired."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("pds-bids")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__", "synthesise"]


def __getattr__(name: str) -> Any:
    if name == "synthesise":  # not before it is asked for: the command must answer --version at once
        from pds_bids.app.notebook import synthesise

        return synthesise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
