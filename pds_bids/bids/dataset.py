"""The files that make an output folder a BIDS derivative dataset and say what it holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pds_bids.bids.derivatives import RAW_DATASET
from pds_bids.bids.description import PIPELINE, TITLE, description_of, texts
from pds_bids.bids.inventory import require_dataset
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.errors import CannotWriteError

_DESCRIPTION = "dataset_description.json"


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
    contents = texts(raw)
    described = description_of(raw, _link(out, bids_dir), version)
    existing = _require_ours(out, contents, described)
    links = {name: _link(out, folder) for name, folder in (derivatives or {}).items()}
    described["DatasetLinks"] = _links(existing or {}) | links | _links(described)
    # Written before the others, it tells the next run that they are ours.
    write_json(out / _DESCRIPTION, described)
    for name, text in contents.items():
        write_text(out / name, text)


def require_own_folder(out: Path, bids_dir: Path) -> None:
    """Make sure, without writing, that `write_dataset_files` would accept the folder.

    Raises
    ------
    CannotWriteError
        As it would.
    """
    raw = require_dataset(bids_dir)
    _require_ours(out, texts(raw), description_of(raw, _link(out, bids_dir), version=""))


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
            f'"{str(d.get("Name")).removeprefix(TITLE)}" ({_raw_link(d)})' for d in (existing, described)
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


def _link(out: Path, dataset: Path) -> str:
    """Relative where the output lies inside the dataset, so that the pair may move; a file URI otherwise."""
    inner, outer = out.resolve(), dataset.resolve()
    if inner.is_relative_to(outer):
        return "/".join([".."] * len(inner.relative_to(outer).parts))
    return outer.as_uri()
