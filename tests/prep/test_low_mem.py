"""`--low-mem` changes where volumes wait, not what becomes of them."""

from __future__ import annotations

import nibabel as nb
import numpy as np
import pytest

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Volume
from pds_bids.prep import reduced
from pds_bids.prep.functional import reduce_bold

pytestmark = pytest.mark.slow


def test_the_mean_is_the_same_and_nothing_is_left(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.arange(n) - n / 2 for n in (40, 44, 36)), indexing="ij")
    head = 800.0 * (sum(axis**2 for axis in axes) < 15**2)
    data = (head[..., None] + rng.normal(0, 10, (*head.shape, 3))).astype(np.float32)
    path = tmp_path / "bold.nii.gz"
    nb.Nifti1Image(data, np.diag([4.0, 4, 4, 1])).to_filename(path)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    kept: list[Volume] = []
    average = reduced.average
    monkeypatch.setattr(
        reduced, "average", lambda volumes, config: kept.extend(volumes) or average(volumes, config)
    )

    in_memory, on_disk = (reduce_bold(path, {}, PrepConfig(low_mem=low)) for low in (False, True))

    np.testing.assert_array_equal(in_memory.volume.data, on_disk.volume.data)
    assert [isinstance(volume.data, np.memmap) for volume in kept] == 3 * [False] + 3 * [True]
    assert not list((tmp_path / "scratch").iterdir())
