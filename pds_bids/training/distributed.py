"""One process or several under `torchrun`: the same code, and the same result.

The process of rank 0 leads: it alone writes, reports, watches the clock and hears signals. Processes exchange
numbers and gradients, nothing else.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(days=1)
"""Others wait so long while the leader simulates or calibrates. `torchrun` ends them at once if it dies."""


@dataclass(frozen=True)
class Team:
    """The processes of a training, as one of them sees it.

    Attributes
    ----------
    device
        Where this process computes.
    rank, size
        Its number, and how many there are.
    neighbours
        How many there are on this machine, itself included.
    """

    device: str = "cpu"
    rank: int = 0
    size: int = 1
    neighbours: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when the leader has come here."""
        self.told(0.0)

    def told(self, *values: float) -> tuple[float, ...]:
        """What the leader says; everybody calls this at the same place."""
        if self.size == 1:
            return values
        message = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(message, src=0)
        return tuple(message.tolist())

    def mean(self, value: Tensor) -> float:
        """Mean over the processes of a scalar; not finite if that of any is not."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value.item() / self.size

    def rows(self, batch_size: int) -> range:
        """The rows of a batch that are this process's."""
        share = batch_size // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def learner(self, objective: nn.Module) -> nn.Module:
        """A module whose gradients are the mean over all processes. Its parameters become the leader's."""
        if self.size == 1:
            return objective
        # It minds the strides of axes that have one element, where there is nothing to stride over.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return DistributedDataParallel(objective, forward_sync_buffers=False)


def keep_to_itself(learner: nn.Module) -> AbstractContextManager[None]:
    """While it lasts, gradients add up in each process and are not exchanged."""
    return learner.no_sync() if isinstance(learner, DistributedDataParallel) else nullcontext()


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Join the processes that `torchrun` started; alone without it.

    Parameters
    ----------
    device
        `cpu`, `cuda` or `cuda:N`; with `cuda`, every process of a machine takes a GPU of its own.
    """
    if "LOCAL_RANK" not in os.environ:
        yield Team(device)
        return
    rank, size, local, neighbours = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    if device == "cuda":
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield Team(device, rank, size, neighbours)
    finally:
        distributed.destroy_process_group()
