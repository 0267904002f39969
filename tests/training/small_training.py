"""A whole training in seconds, alone or under torchrun: `small_training.py FOLDER [ACCIDENT ROWS]`."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.microstructure import MrConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.training.data import Sample
from pds_bids.training.distributed import team
from pds_bids.training.loop import Run, train
from pds_bids.training.monitor import Look, Report
from pds_bids.training.recipe import StageConfig, TrainingConfig
from pds_bids.training.state import StateFile

SIZE = 16

CONFIG = TrainingConfig(
    denoiser=StageConfig(
        steps=6, batch_size=4, coarse_batch_size=4, learning_rate=5e-3, coarse=0.3, regression=0.3
    ),
    refiner=StageConfig(steps=5, batch_size=4, learning_rate=5e-3, draws=0.5, draw_steps=2),
    mr=MrConfig("slabs"),
    warmup_steps=2,
    ema=0.9,
    bf16=False,  # two processes add in another order, which half precision would show
)


@dataclass
class SmallPairs:
    """Seven random heads of 16 x 16 x 16 voxels."""

    die_at: float = float("inf")  # rows that are read before the process is killed
    spoil_at: float = float("inf")  # rows that are read before one has no numbers
    read: int = 0

    def __len__(self) -> int:
        return 7

    def get(self, rows: list[int]) -> Sample:
        self.read += len(rows)
        if self.read > self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        sample = Sample(*(np.stack(arrays) for arrays in zip(*map(self._one, rows), strict=True)))
        if self.read > self.spoil_at:
            sample.images[:] = np.nan
        return sample

    @staticmethod
    def _one(row: int) -> Sample:
        random = np.random.default_rng(row)
        tissue = np.repeat(np.repeat(np.repeat(random.integers(0, 4, (4, 4, 4)), 4, 0), 4, 1), 4, 2)
        tissue[:2] = 3
        contrast = np.array([[1.0, 0.8, 1.3, 0.05], [1.0, 1.2, 0.4, 0.05]])
        images = (contrast[:, tissue] * (1 + 0.03 * random.standard_normal((2, 2, *tissue.shape)))).clip(0)
        fractions = np.stack([tissue[::2, ::2, ::2] == k for k in range(4)]) * np.uint8(255)
        masks = np.stack([tissue < 3] * 2)
        return Sample(images.astype(np.float16), masks, fractions, images[0, 0].astype(np.float16))


def small_model() -> PdsModel:
    torch.manual_seed(0)
    return PdsModel(
        ModelConfig(
            DenoiserConfig(channels=(8, 8), blocks=(1, 1), width=8),
            RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4),
        )
    )


@dataclass
class Watched:
    """Keeps what it is told."""

    reports: list[Report] = field(default_factory=list)

    def __call__(self, report: Report, look: Look) -> None:
        self.reports.append(report)

    @property
    def losses(self) -> list[float]:
        return [r.loss for r in self.reports]


def main(folder: Path, **accident: float) -> None:
    """The last process has the accident."""
    torch.set_num_threads(1)
    model, watched = small_model(), Watched()
    with team("cpu") as crew:
        pairs = SmallPairs(**(accident if crew.rank == crew.size - 1 else {}))
        keeper = StateFile(folder / "small.state.safetensors", {"seed": 5})
        train(model, pairs, CONFIG, Run(None, crew, keeper, [watched], 0.0), 5, lambda: None)
        if crew.leads:
            (folder / "losses.json").write_text(json.dumps(watched.losses))


if __name__ == "__main__":
    folder, *accident = sys.argv[1:]
    main(Path(folder), **({accident[0]: float(accident[1])} if accident else {}))
