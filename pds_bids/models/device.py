"""Where networks compute."""

from __future__ import annotations

import torch

from pds_bids.core.errors import UsageError


def resolve_device(name: str) -> str:
    """`auto` is a GPU where torch sees one, else the CPU.

    Raises
    ------
    UsageError
        If a device that was asked for is absent.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise UsageError(
                f"--device {name}: torch sees {torch.cuda.device_count()} GPUs; use --device cpu"
            )
    return name
