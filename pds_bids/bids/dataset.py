"""The files that make an output folder a BIDS derivative dataset and say what it holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pds_bids.bids.derivatives import DRAW_DESC, RAW_DATASET, REFERENCE_DESC, context_desc
from pds_bids.bids.inventory import require_dataset
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.errors import CannotWriteError
from pds_bids.core.modality import Modality

PIPELINE = "pds-bids"
BIDS_VERSION = "1.10.0"
METHOD_PAPER = "https://arxiv.org/abs/2511.04963"
DEVELOPERS = "The pds-bids developers"
ACKNOWLEDGE = "Cite the software, the method and the input dataset, and say that the volumes are synthetic."

_DESCRIPTION = "dataset_description.json"
_TITLE = f"{PIPELINE}: SYNTHETIC mean fMRI and dMRI volumes of "

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


def write_dataset_files(
    out: Path, bids_dir: Path, version: str, derivatives: Mapping[str, Path] | None = None
) -> None:
    """Write what stands at the top of the output dataset; safe when several processes do it at once.

    Parameters
    ----------
    out
        The derivative dataset.
    bids_dir
        The raw dataset it is made from.
    version
        Of this program.
    derivatives
        Name and folder of further datasets that are made use of; the links of earlier runs are kept.

    Raises
    ------
    CannotWriteError
        If the folder cannot be written, or holds another program's dataset, what was made of another raw
        dataset, or files of the user's own.
    """
    raw = require_dataset(bids_dir)
    texts = _texts(raw)
    described = _description(raw, _link(out, bids_dir), version)
    existing = _require_ours(out, texts, described)
    links = {name: _link(out, folder) for name, folder in (derivatives or {}).items()}
    described["DatasetLinks"] = _links(existing or {}) | links | _links(described)
    # Written before the others, it tells the next run that they are ours.
    write_json(out / _DESCRIPTION, described)
    for name, text in texts.items():
        write_text(out / name, text)


def require_own_folder(out: Path, bids_dir: Path) -> None:
    """Make sure, without writing, that `write_dataset_files` would accept the folder.

    Raises
    ------
    CannotWriteError
        As it would.
    """
    raw = require_dataset(bids_dir)
    _require_ours(out, _texts(raw), _description(raw, _link(out, bids_dir), version=""))


def _texts(raw: Mapping[str, Any]) -> dict[str, str]:
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


def _require_ours(out: Path, names: Iterable[str], described: Mapping[str, Any]) -> dict[str, Any] | None:
    """Refuse a folder with files or subjects that we would overwrite or clear although we did not make them.

    Returns
    -------
    dict or None
        The description that is there.

    Raises
    ------
    CannotWriteError
        Naming one of those files, or the raw dataset that the folder belongs to.
    """
    # Looked for before the description: another process of ours that is just starting writes that one first.
    foreign = [path for path in (out / name for name in names) if os.path.lexists(path)]
    foreign += sorted(out.glob("sub-*"))
    existing = _our_description(out / _DESCRIPTION)
    if existing is None and foreign:
        raise CannotWriteError(
            f"{foreign[0]}: is there already and was not made by {PIPELINE}; "
            "choose another output folder, or move it away"
        )
    if existing is not None and not _of_one_dataset(existing, described):
        there, here = (
            f'"{str(d.get("Name")).removeprefix(_TITLE)}" ({_raw_link(d)})' for d in (existing, described)
        )
        raise CannotWriteError(
            f"{out}: holds what was made from the dataset {there}, not from {here}; choose another output "
            f"folder (or, if the dataset only changed its name, change it in {out / _DESCRIPTION} too)"
        )
    return existing


def _our_description(path: Path) -> dict[str, Any] | None:
    """None where there is no description; that of another program is an error."""
    try:
        existing = json.loads(path.read_text(encoding="utf-8"))
        ours = any(maker.get("Name") == PIPELINE for maker in existing.get("GeneratedBy", [{}]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CannotWriteError(f"{path}: cannot be read ({error}); choose another output folder") from error
    if not ours:
        raise CannotWriteError(f"{path}: not made by {PIPELINE}; choose another output folder")
    return dict(existing)


def _of_one_dataset(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two descriptions of ours are of the same raw dataset.

    A place tells little: in a container every dataset is `/data`, and one dataset moves or is mounted
    elsewhere. The name tells; where it was changed, a DOI does, or a link that is relative, for that leads
    out of the output folder to the dataset around it.
    """
    same_source = one.get("SourceDatasets") == other.get("SourceDatasets")
    placeless = not str(_raw_link(other)).startswith("file:") or _has_doi(other)
    return one.get("Name") == other.get("Name") or (same_source and placeless)


def _has_doi(description: Mapping[str, Any]) -> bool:
    return any("DOI" in source for source in description.get("SourceDatasets", ()))


def _raw_link(description: Mapping[str, Any]) -> str | None:
    return _links(description).get(RAW_DATASET)


def _links(description: Mapping[str, Any]) -> dict[str, str]:
    links = description.get("DatasetLinks")
    return links if isinstance(links, dict) else {}


def _description(raw: Mapping[str, Any], raw_uri: str, version: str) -> dict[str, Any]:
    description = {
        "Name": f"{_TITLE}{raw['Name']}",
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


def _link(out: Path, dataset: Path) -> str:
    """Relative where the output lies inside the dataset, so that the pair may move; a file URI otherwise."""
    inner, outer = out.resolve(), dataset.resolve()
    if inner.is_relative_to(outer):
        return "/".join([".."] * len(inner.relative_to(outer).parts))
    return outer.as_uri()
