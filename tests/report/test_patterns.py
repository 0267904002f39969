from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Volume
from pds_bids.report.encoding import to_png
from pds_bids.report.patterns import pattern_maps


def pixels(figure) -> np.ndarray:
    """(rows, columns, 3) of the slices alone, signed."""
    whole = np.asarray(Image.open(io.BytesIO(to_png(figure, dpi=60))).convert("RGB")).astype(int)
    bottom, top = (round((1 - y) * len(whole)) for y in figure.axes[0].get_position().intervaly)
    return whole[top:bottom]


def share(picture: np.ndarray, channel: int) -> float:
    """Of pixels in which red (0) or blue (2) leads the other clearly."""
    return float((picture[..., channel] - picture[..., 2 - channel] > 60).mean())


@pytest.mark.parametrize("codes", ["RAS", "LPI"])
@pytest.mark.parametrize(("value", "leading"), [(0.9, 0), (-0.9, 2)])
def test_positive_is_red_and_negative_is_blue_where_there_is_a_value(
    make_head, stored_as, codes, value, leading
):
    whole = make_head()
    left = np.arange(whole.data.shape[0])[:, None, None] < 20
    values = stored_as(whole.like(np.where(left & (whole.data > 0), value, np.nan)), codes)
    head = stored_as(whole, codes)

    figure = pattern_maps(
        head, {"effect": values, "nothing": head.like(np.nan * head.data)}, title="t", label="d"
    )

    picture = pixels(figure)
    half = len(picture) // 2
    assert share(picture[:half], leading) > 0.03
    assert share(picture[:half], 2 - leading) == 0
    assert share(picture[half:], leading) == 0
    first = picture[:half, : picture.shape[1] // 7]  # the axial slice at the left end of the row
    columns = np.abs(first[..., 0] - first[..., 2]).max(0).nonzero()[0]
    assert columns.max() < first.shape[1] / 2
    assert "effect" in {t.get_text() for t in figure.axes[0].texts}


def test_the_middle_of_the_scale_is_neutral(make_head):
    head = make_head()

    body = pixels(pattern_maps(head, {"zero": head.like(0 * head.data)}, title="t", label="d"))

    assert share(body, 0) == share(body, 2) == 0
    assert (np.abs(body - 221).max(-1) < 6).mean() > 0.3  # the grey in the middle of the colours


def test_a_map_on_another_grid_is_refused(make_head):
    with pytest.raises(GridMismatch):
        pattern_maps(make_head(), {"x": Volume(np.zeros((3, 3, 3)), np.eye(4))}, title="t", label="d")
