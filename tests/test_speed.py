"""Guards against losing speed: ratios of processor time in one process, about thrice what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.datasets import write_empty_dataset
from benchmarks.discovery import inventory, walk
from benchmarks.measure import Cost, cost
from benchmarks.registration import BEFORE_STOP
from pds_bids.core.config import PrepConfig, SynthesisConfig
from pds_bids.core.modality import Modality
from pds_bids.models.convolution import Convolution
from pds_bids.models.denoiser import BANDS, N_CONTEXT
from pds_bids.prep.atlas import template
from pds_bids.prep.conversion import to_ants
from pds_bids.prep.engine import Stage
from pds_bids.prep.motion import RIGID, average, positions
from pds_bids.prep.moving import moved, moved_at_once
from pds_bids.prep.resampling import coarsen
from pds_bids.synthesis.pipeline import Synthesiser

N_SUBJECTS = 300
BANDS_GRID = (40, 48, 44)


def times_floor(ours: Callable[[], Cost], floor: Callable[[], Cost]) -> float:
    """How many times the processor time of a floor: the least of rounds in which they take turns."""
    rounds = [(ours().cpu_s, floor().cpu_s) for _ in range(4)]
    return min(mine for mine, _ in rounds) / min(least for _, least in rounds)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_discovery_takes_a_few_times_a_walk_through_the_names(tmp_path: Path):
    bids = str(write_empty_dataset(tmp_path / "bids", N_SUBJECTS))

    assert times_floor(lambda: inventory(bids), lambda: walk(bids)) < 8


def test_motion_is_found_in_less_time_than_where_the_search_goes_on():
    still = coarsen(template(), 3.0)
    noise = np.random.default_rng(0).normal(0, 0.05, (4, *still.data.shape)).astype(np.float32)
    volumes = [still.like(still.data + grain) for grain in noise]
    config = PrepConfig(threads=1)

    def found(stage: Stage) -> Callable[[], Cost]:
        return lambda: cost(lambda: positions(volumes, 0, config, stage))

    assert times_floor(found(RIGID), found(BEFORE_STOP)) < 0.8


def test_motion_takes_a_fraction_of_what_the_preset_of_ants_takes():
    import ants

    still = coarsen(template(), 4.0)
    series = ants.list_to_ndimage(ants.make_image((*still.data.shape, 2)), [to_ants(still)] * 2)

    ours = cost(lambda: average([still] * 2, PrepConfig(threads=1)))
    theirs = cost(lambda: ants.motion_correction(series))
    assert theirs.cpu_s / ours.cpu_s > 5


def test_a_volume_is_moved_in_a_fraction_of_the_time_of_a_spline_over_all_of_space():
    still = coarsen(template(), 3.0)
    matrix = np.eye(4)
    matrix[:3, 3] = 0.4

    def ours() -> Cost:
        return cost(lambda: moved(still, matrix))

    def theirs() -> Cost:
        return cost(lambda: moved_at_once(still, matrix))

    assert times_floor(ours, theirs) < 0.6


@torch.inference_mode()
def test_a_step_of_the_denoiser_takes_little_more_than_its_multiplications(one_thread: None):
    denoiser = Synthesiser.load(SynthesisConfig()).model.denoiser
    bands, context = torch.randn(1, len(Modality), BANDS, *BANDS_GRID), torch.randn(1, N_CONTEXT, *BANDS_GRID)
    with FlopCounterMode(display=False) as counter:
        denoiser(bands, torch.tensor([[0.0, 0.5]]), context)
    work = counter.get_total_flops()

    plain = nn.Conv3d(64, 64, 3, padding=1).to(memory_format=torch.channels_last_3d)
    image = torch.randn(1, 64, 24, 24, 24).to(memory_format=torch.channels_last_3d)
    with FlopCounterMode(display=False) as counter:
        plain(image)
    share = work / counter.get_total_flops()

    def floor() -> Cost:
        return cost(lambda: [plain(image) for _ in range(8)], 8).times(share)

    assert times_floor(lambda: cost(lambda: denoiser(bands, torch.tensor([[0.0, 0.5]]), context)), floor) < 6


@torch.inference_mode()
@pytest.mark.parametrize(
    ("channels", "out", "size", "grid"), [(96, 96, 3, (10, 12, 11)), (48, 24, 1, BANDS_GRID)]
)
def test_what_torch_leaves_to_a_loop_takes_less_by_ours(one_thread: None, channels, out, size, grid):
    ours = Convolution(channels, out, size, padding=size // 2).to(memory_format=torch.channels_last_3d)
    image = torch.randn(1, channels, *grid).to(memory_format=torch.channels_last_3d)

    def loop() -> Cost:
        return cost(lambda: [nn.Conv3d.forward(ours, image) for _ in range(4)], 4)

    assert times_floor(lambda: cost(lambda: [ours(image) for _ in range(4)], 4), loop) < 0.9
