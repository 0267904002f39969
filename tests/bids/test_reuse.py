"""Which image of fMRIPrep's or QSIPrep's stands in for a series."""

from __future__ import annotations

import pytest

from pds_bids.bids.inventory import inventory
from pds_bids.bids.reuse import reuse
from pds_bids.bids.sources import select_series
from pds_bids.core.config import Selection
from pds_bids.core.modality import Modality

RAW = {
    "sub-01/anat/sub-01_T1w.nii.gz": 0,
    "sub-01/func/sub-01_task-rest_run-1_echo-1_bold.nii.gz": 9,
    "sub-01/func/sub-01_task-rest_run-2_echo-1_bold.nii.gz": 5,
    "sub-01/dwi/sub-01_dir-AP_dwi.nii.gz": 3,
    "sub-01/dwi/sub-01_dir-AP_dwi.bval": "0 1000 1000",
    "sub-01/dwi/sub-01_dir-AP_dwi.bvec": "0 1 0\n0 0 1\n0 0 0",
}
FUNC, DWI = "sub-01/func/sub-01_task-rest", "sub-01/dwi/sub-01"


@pytest.fixture
def reused(build_tree):
    """Names in a derivative dataset -> what stands in for the series of a modality."""

    def find(modality, *made, name="prep"):
        root = build_tree(RAW)
        folder = root / "derivatives" / name
        for path in made:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        (visit,) = inventory(root, Selection())
        return reuse(select_series(root, visit, modality), visit, {name: folder})

    return find


@pytest.mark.parametrize(
    ("modality", "better", "worse"),
    [
        (Modality.BOLD, f"{FUNC}_run-1_desc-coreg_boldref.nii.gz", f"{FUNC}_run-1_desc-hmc_boldref.nii.gz"),
        (Modality.BOLD, f"{FUNC}_run-1_desc-coreg_boldref.nii.gz", f"{FUNC}_run-1_space-T1w_boldref.nii.gz"),
        (
            Modality.BOLD,
            f"{FUNC}_run-1_space-T1w_boldref.nii.gz",
            f"{FUNC}_run-1_space-MNI152NLin6Asym_desc-coreg_boldref.nii.gz",
        ),
        (
            Modality.BOLD,
            f"{FUNC}_run-1_space-MNI152NLin6Asym_boldref.nii.gz",
            f"{FUNC}_run-2_desc-coreg_boldref.nii.gz",  # of another run
        ),
        (Modality.BOLD, f"{FUNC}_run-1_boldref.nii.gz", f"{FUNC}_run-1_desc-smooth_boldref.nii.gz"),
        (Modality.DWI, f"{DWI}_space-T1w_trace.nii.gz", f"{DWI}_dwiref.nii.gz"),
        (Modality.DWI, f"{DWI}_space-ACPC_desc-mean_dwiref.nii.gz", f"{DWI}_space-ACPC_dwiref.nii.gz"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_better_image_serves(reused, modality, better, worse, turned):
    series = reused(modality, *((worse, better) if turned else (better, worse)))

    assert str(series.path).endswith(better)
    assert series.reused.dataset == "prep"
    assert series.reused.is_reference
    assert series.files == (series.path,)


def test_a_corrected_dwi_series_is_preferred_to_a_b0_image_and_reduced_again(reused):
    stem = f"{DWI}_space-ACPC_desc-preproc_dwi"
    names = [f"{stem}.nii.gz", f"{stem}.bval", f"{stem}.bvec", f"{DWI}_space-ACPC_dwiref.nii.gz"]

    series = reused(Modality.DWI, *names)

    assert [path.name for path in series.files] == [name.rpartition("/")[2] for name in names[:3]]
    assert not series.reused.is_reference
    assert not reused(Modality.DWI, names[0], names[3], name="untabled").path.name.endswith("_dwi.nii.gz")


def test_a_reference_without_diffusion_weighting_says_so(reused):
    assert "b = 0" in " ".join(reused(Modality.DWI, f"{DWI}_desc-b0_dwiref.nii.gz").notes)
    assert "b = 0" not in " ".join(reused(Modality.DWI, f"{DWI}_trace.nii.gz", name="other").notes)


def test_one_in_a_standard_space_alone_says_so(reused):
    series = reused(Modality.BOLD, f"{FUNC}_run-1_space-MNI152NLin2009cAsym_boldref.nii.gz")

    assert "prep has the reference in MNI152NLin2009cAsym alone: it was registered again" in series.notes


def test_its_mask_and_the_t1w_of_its_own_dataset_come_along(reused):
    series = reused(
        Modality.BOLD,
        f"{FUNC}_run-1_desc-coreg_boldref.nii.gz",
        f"{FUNC}_run-1_desc-brain_mask.nii.gz",
        f"{FUNC}_run-1_space-MNI152NLin6Asym_desc-brain_mask.nii.gz",
        f"{FUNC}_run-2_desc-brain_mask.nii.gz",
        "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sub-01/anat/sub-01_desc-brain_T1w.nii.gz",
        "sub-01/anat/sub-01_space-MNI152NLin6Asym_desc-preproc_T1w.nii.gz",
    )

    assert series.reused.mask.name == "sub-01_task-rest_run-1_desc-brain_mask.nii.gz"
    assert series.reused.mask in series.files
    assert series.reused.t1w.name == "sub-01_desc-preproc_T1w.nii.gz"


def test_without_any_the_raw_series_is_used_with_a_note(reused):
    series = reused(Modality.BOLD, f"{FUNC}_run-2_boldref.nii.gz")

    assert series.reused is None
    assert series.path.name == "sub-01_task-rest_run-1_echo-1_bold.nii.gz"
    assert "no reference image in prep: the raw bold series was used" in series.notes
