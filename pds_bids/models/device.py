"""Where networks compute."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from pds_bids.core.errors import UsageError

DRIVER = Path("/dev/nvidiactl")
"""There where NVIDIA's driver is, whether torch can use it or not."""

logger = logging.getLogger(__name__)


def resolve_device(name: str) -> str:
    """`auto` is a GPU where torch sees one, else the CPU, with a warning where there is a GPU all the same.

    Raises
    ------
    UsageError
        If a device that was asked for is absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        if DRIVER.exists():
            logger.warning("--device auto: torch sees none of the GPUs of this machine; using the CPU")
        return "cpu"
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise UsageError(
                f"--device {name}: torch sees {torch.cuda.device_count()} GPUs; use --device cpu"
            )
    return name
