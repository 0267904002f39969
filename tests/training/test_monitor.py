from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pds_bids.training.monitor import Board, Lines, Report, Timer, middle_slices

REPORT = Report("denoiser", 1, 0.25, 2.0, 1e-3, pairs=4, seconds=0.5, seconds_left=61.0)


def look() -> torch.Tensor:
    return torch.linspace(-1, 1, 2 * 3 * 4 * 6 * 8).view(2, 3, 4, 6, 8)


def not_now() -> torch.Tensor:
    pytest.fail("nobody wants images")


def test_a_line_tells_of_all_steps_since_the_last():
    lines: list[str] = []
    monitor = Lines(lines.append, Timer(math.inf))

    monitor(REPORT, not_now)
    monitor.timer = Timer(0)
    monitor(replace(REPORT, step=2, loss=4.0), not_now)

    assert lines[0] == "denoiser: step 1, 25.0%, loss 2.0000, 8.00 pairs/s, 0:01:01 left"
    assert "step 2" in lines[1]
    assert "loss 4.0000" in lines[1]


def test_lines_are_few():
    lines: list[str] = []
    monitor = Lines(lines.append, Timer(1000))

    for step in range(1, 5):
        monitor(replace(REPORT, step=step), not_now)

    assert len(lines) == 1


class Recorder:
    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        self.images: list[tuple[str, torch.Tensor, int]] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def add_image(self, tag: str, image: torch.Tensor, step: int) -> None:
        self.images.append((tag, image, step))


def test_the_board_has_scalars_of_every_step_and_images_now_and_then():
    writer = Recorder()
    board = Board(writer, Timer(1000))

    board(REPORT, not_now)
    board.timer = Timer(0)
    board(replace(REPORT, step=2), look)

    assert writer.scalars[:3] == [
        ("denoiser/loss", 2.0, 1),
        ("denoiser/learning rate", 1e-3, 1),
        ("denoiser/pairs per second", 8.0, 1),
    ]
    assert [s[2] for s in writer.scalars] == [1, 1, 1, 2, 2, 2]
    tags = [f"denoiser/{m}: source, target, estimate" for m in ("bold", "dwi")]
    assert [(tag, step) for tag, _, step in writer.images] == [(tag, 2) for tag in tags]


def test_middle_slices_stand_upright_in_a_row():
    volume = torch.full((1, 4, 6, 8), -1.0)
    volume[0, 2, 5, 7] = 1.0  # on the middle sagittal slice, at the front and the top

    image = middle_slices(volume.repeat(3, 1, 1, 1))

    assert image.shape == (1, 3 * 8, 6 + 4 + 4)
    assert (image.min(), image.max()) == (0, 1)
    assert [tuple(p) for p in image[0].nonzero().tolist()] == [(0, 5), (8, 5), (16, 5)]
