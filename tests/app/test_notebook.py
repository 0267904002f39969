from __future__ import annotations

import nibabel as nb
import numpy as np
import pytest

from pds_bids import synthesise
from pds_bids.core.errors import PdsError, UsageError


def test_an_unknown_image_needs_a_modality(tmp_path):
    with pytest.raises(UsageError, match="give modality"):
        synthesise(tmp_path / "scan.nii.gz")


def test_errors_name_the_users_own_file(tmp_path):
    image = tmp_path / "sub-x_bold.nii.gz"
    nb.save(nb.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), image)

    with pytest.raises(PdsError, match=str(image)):
        synthesise(image)


@pytest.mark.slow
def test_one_image_in_one_volume_out(shared_data):
    image = shared_data / "bids_single" / "sub-b04" / "func" / "sub-b04_task-unknown_bold.nii.gz"

    volume = synthesise(image)

    assert volume.sidecar["SyntheticData"] is True
    assert volume.grid.matches(volume.sd.grid)
    np.testing.assert_allclose(volume.affine, nb.load(image).affine, atol=1e-4)
    assert 0.5 < np.median(volume.data[volume.data > 0]) < 1.5
    for picture in (volume.plot(), volume.plot_sd()):
        assert "<svg" in picture._repr_html_()
        assert "SYNTHETIC" in picture._repr_html_()
