"""What the files at the top of an output dataset say: description, README, citation, meaning of labels."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from pds_bids.bids.derivatives import DRAW_DESC, RAW_DATASET, REFERENCE_DESC, context_desc
from pds_bids.core.modality import Modality

PIPELINE = "pds-bids"
BIDS_VERSION = "1.10.0"
METHOD_PAPER = "https://arxiv.org/abs/2511.04963"
DEVELOPERS = "The pds-bids developers"
ACKNOWLEDGE = "Cite the software, the method and the input dataset, and say that the volumes are synthetic."

TITLE = f"{PIPELINE}: SYNTHETIC mean fMRI and dMRI volumes of "

_CONTAINER_VARIABLES = {
    "PDS_BIDS_DOCKER_TAG": ("docker", "Tag"),
    "PDS_BIDS_SINGULARITY_URL": ("singularity", "URI"),
}
"""Set inside our images: environment variable to container type and the field it fills."""

CALIBRATION = (
    "calibrated on scans like those that trained the model; if these were simulated, too small on real ones"
)
"""What everybody must know who uses the uncertainty; which scans they were, the sidecar says."""

DESCRIPTIONS = {
    "preproc": "Mean of the acquired series after motion correction and bias field correction",
    "brain": "Brain mask of the acquired mean volume",
    REFERENCE_DESC: "Acquired volume that a SYNTHETIC one was scored against, carried to the space of its "
    "source; the mask is where both are known",
    **{
        context_desc(source): f"T1w image in the model space of the {source.full_name}, as the model saw it"
        for source in Modality
    },
    "synth": "SYNTHETIC mean volume of one modality, predicted from the acquired other one",
    f"{DRAW_DESC}1": "First draw of the diffusion model (SYNTHETIC), a volume plausible as a whole; the "
    "others have numbers of their own. For multiple imputation",
    "synthdrawmean": "Mean of the draws of the diffusion model (SYNTHETIC)",
    "synthdrawstd": "Standard deviation of the draws of the diffusion model (SYNTHETIC)",
    "synthstd": "Voxelwise uncertainty (standard deviation) of the SYNTHETIC volume, in its units, "
    f"{CALIBRATION}",
}
"""What each `desc-` label of the outputs means."""

BIDSIGNORE = ("*.html", "logs/", "log", "figures", "*_xfm.*", "*_boldref.*", "group_*", "CITATION.cff")
"""What the validator does not know. A `CITATION.cff` it allows only without `Authors`, and then warns of too
few authors: hidden here, and written from the same list so that the two cannot disagree."""

_README = """\
# SYNTHETIC mean volumes made by pds-bids

For every subject and session with one of the two modalities, mean fMRI (BOLD) and mean dMRI (trace), this
dataset holds the other one as a **synthetic** volume, predicted by a network from the acquired one.
Nothing named `desc-synth...` was measured.

- A mean volume has no time axis and no gradient table: no connectivity, no tractography.
- Intensities are relative: the median of the brain is 1.
- For research only, never for diagnosis.

`desc-preproc` is the acquired source, `desc-synth` the synthetic volume, `desc-synthstd` its voxelwise
uncertainty, {calibration}.
A name without `space-` means the grid of the subject's own source image. Each sidecar names the sources, and
for synthetic volumes the model, its weights and the seed.

Open `sub-*.html` for a report per participant.

Made from "{name}" (its licence: {licence}).
"""


def texts(raw: Mapping[str, Any]) -> dict[str, str]:
    """File name to content, for all but the description."""
    rows = ["desc_id\tdescription", *(f"desc-{label}\t{text}" for label, text in DESCRIPTIONS.items())]
    meaning = {"Description": "What each desc- label of this dataset means"}
    return {
        "descriptions.tsv": "\n".join(rows) + "\n",
        "descriptions.json": json.dumps(meaning, indent=2) + "\n",
        ".bidsignore": "\n".join(BIDSIGNORE) + "\n",
        "README.md": _README.format(
            name=raw["Name"], licence=raw.get("License") or "not stated", calibration=CALIBRATION
        ),
        "CITATION.cff": _citation(raw),
    }


def description_of(raw: Mapping[str, Any], raw_uri: str, version: str) -> dict[str, Any]:
    """Content of `dataset_description.json` of what this version made of a raw dataset at a URI."""
    description = {
        "Name": f"{TITLE}{raw['Name']}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": raw.get("License"),
        "Authors": _authors(raw),
        "HowToAcknowledge": ACKNOWLEDGE,
        "ReferencesAndLinks": [METHOD_PAPER],
        "GeneratedBy": [_generated_by(version)],
        "SourceDatasets": [{"DOI": raw["DatasetDOI"]} if raw.get("DatasetDOI") else {"URL": raw_uri}],
        "DatasetLinks": {RAW_DATASET: raw_uri},
    }
    return {key: value for key, value in description.items() if value}


def _authors(raw: Mapping[str, Any]) -> list[str]:
    """Those who acquired the input come first."""
    named = raw.get("Authors")
    acquired_by = named if isinstance(named, list) and named else [f"The authors of {raw['Name']}"]
    return [*map(str, acquired_by), DEVELOPERS]


def _citation(raw: Mapping[str, Any]) -> str:
    """The citation file; strings from outside are quoted as JSON, which is YAML too."""
    authors = "\n".join(f"  - name: {json.dumps(name)}" for name in _authors(raw))
    return f"""\
cff-version: 1.2.0
message: {ACKNOWLEDGE}
title: {json.dumps(f"SYNTHETIC mean fMRI and dMRI volumes of {raw['Name']}")}
type: dataset
authors:
{authors}
references:
  - type: article
    title: The method
    authors:
      - name: The authors of arXiv:2511.04963
    url: {METHOD_PAPER}
"""


def _generated_by(version: str) -> dict[str, Any]:
    maker: dict[str, Any] = {"Name": PIPELINE, "Version": version}
    for variable, (kind, place) in _CONTAINER_VARIABLES.items():
        if value := os.environ.get(variable):
            maker["Container"] = {"Type": kind, place: value}
    return maker
