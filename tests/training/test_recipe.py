from __future__ import annotations

from dataclasses import replace

import pytest

from pds_bids.core.errors import UsageError
from pds_bids.training.recipe import StageConfig, TrainingConfig


def test_progress_by_steps_or_by_the_clock():
    assert StageConfig(steps=10).progress(3, elapsed_s=1e9, minutes=None) == 0.3
    assert StageConfig(0.5).progress(3, elapsed_s=15, minutes=1) == 0.5


@pytest.mark.parametrize("table", [{}, {"share": 0.5, "steps": 10}])
def test_a_stage_has_one_measure(table):
    with pytest.raises(UsageError, match="either share"):
        StageConfig(**table)


def test_processes_share_batches_evenly():
    config = TrainingConfig(
        denoiser=StageConfig(0.5, batch_size=4, coarse_batch_size=3), refiner=StageConfig(0.5, batch_size=2)
    )

    config.require_processes(2)
    with pytest.raises(UsageError, match=r"\[training\.refiner\] batch_size = 2 .* multiple of 4"):
        config.require_processes(4)
    with pytest.raises(UsageError, match="coarse_batch_size = 3"):
        replace(config, denoiser=replace(config.denoiser, coarse=0.1)).require_processes(2)
