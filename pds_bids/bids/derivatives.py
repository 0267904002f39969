"""Where a result goes and what its sidecar says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pds_bids.bids.discovery import visit_folder
from pds_bids.bids.naming import BidsName
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE

RAW_DATASET = "raw"
"""Name of the input in BIDS URIs, mapped to its place by `DatasetLinks`."""

REFERENCE_DESC = "reference"
"""Labels an acquired target that was carried to the model space of its source, and where it is known."""

DRAW_DESC = "synthdraw"
"""Followed by its number, labels one draw of the diffusion model."""

DEFAULT_TASK = "rest"
"""Stands in the name of a synthesised BOLD reference, which BIDS requires to name a task."""

TEMPLATE_URI = "https://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009"

_TASKED_DATATYPES = frozenset({Modality.BOLD.datatype})


def derivative_path(
    out: Path,
    subject: str,
    session: str | None,
    datatype: str,
    *,
    suffix: str,
    extension: str,
    task: str | None = None,
    **entities: str | None,
) -> Path:
    """Path of a derivative of one visit; touches no disk.

    Parameters
    ----------
    out
        The derivative dataset.
    subject, session
        Labels without prefix.
    datatype
        The folder, e.g. `func`.
    suffix, extension
        E.g. `boldref` and `.nii.gz`.
    task
        Used where the data type has tasks, `rest` if None; left out elsewhere.
    **entities
        Further entities by their short key, e.g. `space`, `res`, `desc`; None leaves one out.

    Raises
    ------
    ParticipantError
        If a label is not made of letters and digits, so that no name can leave `out`.

    Examples
    --------
    >>> path = derivative_path(Path("out"), "01", None, "func", suffix="boldref", extension=".nii.gz",
    ...                        desc="synth", res="2", space="MNI152NLin2009aSym")
    >>> path.as_posix()
    'out/sub-01/func/sub-01_task-rest_space-MNI152NLin2009aSym_res-2_desc-synth_boldref.nii.gz'
    """
    tasked = datatype in _TASKED_DATATYPES
    labels = {"sub": subject, "ses": session, "task": (task or DEFAULT_TASK) if tasked else None, **entities}
    given = {key: label for key, label in labels.items() if label is not None}
    try:
        name = BidsName(given, suffix, extension).compose()
    except ValueError as error:
        raise ParticipantError(out, str(error), "rename the input file") from error
    return visit_folder(out, subject, session) / datatype / name


def context_desc(source: Modality) -> str:
    """Label of the T1w image in the model space of a source; each source has its own.

    >>> context_desc(Modality.BOLD)
    'boldcontext'
    """
    return f"{source.value}context"


def bids_uri(dataset: str, path: Path, root: Path) -> str:
    """BIDS URI of a file.

    Parameters
    ----------
    dataset
        A name in `DatasetLinks`; empty for the dataset that holds the sidecar.
    path
        The file.
    root
        The dataset's folder.

    Examples
    --------
    >>> bids_uri("raw", Path("/data/sub-01/dwi/sub-01_dwi.nii.gz"), Path("/data"))
    'bids:raw:sub-01/dwi/sub-01_dwi.nii.gz'
    """
    return f"bids:{dataset}:{path.relative_to(root).as_posix()}"


def source_uri(path: Path, datasets: Mapping[str, Path]) -> str:
    """BIDS URI of a file in the innermost of some datasets that holds it.

    Examples
    --------
    >>> datasets = {"raw": Path("/data"), "fmriprep": Path("/data/derivatives/fmriprep")}
    >>> source_uri(Path("/data/derivatives/fmriprep/sub-01/func/sub-01_boldref.nii.gz"), datasets)
    'bids:fmriprep:sub-01/func/sub-01_boldref.nii.gz'
    """
    around = [name for name, root in datasets.items() if path.is_relative_to(root)]
    name = max(around, key=lambda name: len(datasets[name].parts))
    return bids_uri(name, path, datasets[name])


def volume_sidecar(
    *,
    description: str,
    sources: Sequence[str],
    space: str,
    reference: str,
    skull_stripped: bool,
    resolution: str | None = None,
) -> dict[str, Any]:
    """Sidecar of a derived volume.

    Parameters
    ----------
    description
        What the volume is, in a sentence.
    sources
        BIDS URIs of the files it was made from.
    space
        As `Volume.space`.
    reference
        BIDS URI of the image whose grid it lies on; used in every space but the standard one.
    skull_stripped
        Whether voxels outside the brain were set to zero.
    resolution
        What `res-` means; required with that entity.
    """
    sidecar: dict[str, Any] = {
        "Description": description,
        "Sources": list(sources),
        "SpatialReference": TEMPLATE_URI if space == ATLAS_SPACE else reference,
        "SkullStripped": skull_stripped,
    }
    return sidecar if resolution is None else {**sidecar, "Resolution": resolution}


def mask_sidecar(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """The sidecar of a brain mask, from a `volume_sidecar`."""
    return {**sidecar, "Type": "Brain"}


def synthetic_sidecar(sidecar: Mapping[str, Any], synthesis: Mapping[str, Any]) -> dict[str, Any]:
    """The sidecar of a volume that nobody may take for acquired.

    Parameters
    ----------
    sidecar
        From `volume_sidecar`.
    synthesis
        Facts of the synthesis (model, version, weights, seed, ...), kept as the `Synthesis` object.
    """
    return {
        **sidecar,
        "Description": f"SYNTHETIC, not acquired: {sidecar['Description']}",
        "SyntheticData": True,
        "Synthesis": dict(synthesis),
    }
