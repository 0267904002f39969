"""The small picture: it shows the volume, and says where nobody acquired it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pds_bids.core.errors import GridMismatch
from pds_bids.report.thumbnail import SIZE_PX, thumbnail


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_it_shows_the_slice_and_the_word(make_head):
    head = make_head()
    mask = head.like(head.data > 0)
    darker_right = np.where(np.arange(head.data.shape[0]) < 24, 1.0, 0.5)[:, None, None]
    head = head.like(mask.data * darker_right)
    made, acquired = (pixels(thumbnail(head, mask, synthetic=told)) for told in (True, False))
    assert made.shape == acquired.shape == (SIZE_PX, SIZE_PX, 3)
    red = (made[..., 0] > 150) & (made[..., 1] < 80)
    assert red[-5:].mean() > 0.5
    assert not red[: SIZE_PX // 2].any()
    assert not ((acquired[..., 0] > 150) & (acquired[..., 1] < 80)).any()
    left, right = acquired[:, : SIZE_PX // 2], acquired[:, SIZE_PX // 2 :]
    assert left.max() > 1.5 * right.max()  # the left of the picture is that of the person


def test_it_is_small_and_always_the_same(make_head):
    head = make_head()
    first = thumbnail(head, head, synthetic=True)
    assert len(first) < 5000
    assert thumbnail(head, head, synthetic=True) == first


def test_grids_must_agree(make_head):
    with pytest.raises(GridMismatch):
        thumbnail(make_head(), make_head(shape=(40, 60, 50)), synthetic=True)
