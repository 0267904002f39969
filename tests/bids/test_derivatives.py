"""Where results go and what their sidecars say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.bids.derivatives import (
    bids_uri,
    derivative_path,
    mask_sidecar,
    synthetic_sidecar,
    volume_sidecar,
)
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE

OUT = Path("out")


@pytest.mark.parametrize(
    ("modality", "session", "expected"),
    [
        (Modality.BOLD, None, "sub-01/func/sub-01_task-nback_space-x_res-2_desc-synth_boldref.nii.gz"),
        (Modality.DWI, None, "sub-01/dwi/sub-01_space-x_res-2_desc-synth_trace.nii.gz"),
        (Modality.DWI, "b", "sub-01/ses-b/dwi/sub-01_ses-b_space-x_res-2_desc-synth_trace.nii.gz"),
    ],
)
def test_paths_of_both_modalities(modality: Modality, session: str | None, expected: str) -> None:
    path = derivative_path(
        OUT,
        "01",
        session,
        modality.datatype,
        suffix=modality.mean_suffix,
        extension=".nii.gz",
        desc="synth",
        res="2",
        task="nback",
        space="x",
    )
    assert path.relative_to(OUT).as_posix() == expected


def test_transforms_are_named_as_fmriprep_names_them() -> None:
    ends = {"from": "boldref", "to": ATLAS_SPACE, "mode": "image"}
    path = derivative_path(OUT, "01", None, "func", suffix="xfm", extension=".h5", **ends)
    assert path.name == "sub-01_task-rest_from-boldref_to-MNI152NLin2009aSym_mode-image_xfm.h5"


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_no_label_leaves_the_output(subject: str, session: str, desc: str) -> None:
    try:
        path = derivative_path(
            OUT, subject, session, "func", suffix="boldref", extension=".nii.gz", desc=desc
        )
    except ParticipantError:
        return
    assert path.parts == ("out", f"sub-{subject}", f"ses-{session}", "func", path.name)
    assert ".." not in path.parts


def test_uris_name_the_dataset() -> None:
    path = Path("/out/sub-01/func/x.nii.gz")
    assert bids_uri("", path, Path("/out")) == "bids::sub-01/func/x.nii.gz"
    with pytest.raises(ValueError, match="subpath"):
        bids_uri("raw", path, Path("/elsewhere"))


def sidecar(space: str, resolution: str | None = None) -> dict[str, object]:
    return volume_sidecar(
        description="mean volume",
        sources=["bids:raw:sub-01/dwi/sub-01_dwi.nii.gz"],
        space=space,
        reference="bids:raw:sub-01/dwi/sub-01_dwi.nii.gz",
        skull_stripped=True,
        resolution=resolution,
    )


def test_the_reference_is_the_source_or_the_template() -> None:
    assert sidecar("native")["SpatialReference"] == "bids:raw:sub-01/dwi/sub-01_dwi.nii.gz"
    assert str(sidecar(ATLAS_SPACE)["SpatialReference"]).startswith("https://")
    assert "Resolution" not in sidecar("native")
    assert sidecar(ATLAS_SPACE, "2 mm")["Resolution"] == "2 mm"
    assert mask_sidecar(sidecar("native"))["Type"] == "Brain"


def test_a_synthetic_volume_says_so() -> None:
    plain = sidecar("native")
    synthetic = synthetic_sidecar(plain, {"Model": "base", "Seed": 0})
    assert synthetic["Description"] == "SYNTHETIC, not acquired: mean volume"
    assert synthetic["SyntheticData"] is True
    assert synthetic["Synthesis"] == {"Model": "base", "Seed": 0}
    assert "SyntheticData" not in plain
    assert synthetic["Sources"] == plain["Sources"]
