"""What a run was: its settings, its software, how each visit ended."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pds_bids import __version__
from pds_bids.core.config import Config
from pds_bids.core.modality import Modality

SOFTWARE = ("torch", "antspyx", "nibabel", "nilearn", "pybids", "numpy", "scipy")

SETTINGS = "pds-bids.toml"
"""In the log folder of every visit that a run has ended."""


def now() -> datetime.datetime:
    """The time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def fingerprint(what: Any) -> str:
    """Twelve hexadecimal digits that tell one thing that JSON can say from another.

    Examples
    --------
    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1}) != fingerprint({"a": 2, "b": 2})
    True
    """
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def new_run_id() -> str:
    """Sortable, unique name of a run, such as `20260131-093000_1b9d6bcd`."""
    return f"{now():%Y%m%d-%H%M%S}_{uuid.uuid4().hex[:8]}"


def software_versions() -> dict[str, str]:
    """Versions of pds-bids, Python, and the libraries that shape results."""
    versions = {"pds-bids": __version__, "python": sys.version.split()[0]}
    for name in SOFTWARE:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # e.g. a vendored or conda build without metadata
            versions[name] = "unknown"
    return versions


def settings(config: Config) -> dict[str, Any]:
    """The configuration as plain TOML and JSON values; unset options are left out."""
    plain: dict[str, Any] = _plain(asdict(config))
    return plain


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as one row each, such as `output.spaces`; lists become text."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", ", ".join(map(str, value)) or None if isinstance(value, list) else value


def outcome_settings(config: Config) -> dict[str, Any]:
    """The part of the settings that outputs depend on: paths, threads and devices do not belong to it."""
    everything = settings(config)
    kept = {name: dict(everything[name]) for name in ("prep", "synthesis")}
    for section in kept.values():
        for name in ("threads", "device", "model", "low_mem"):
            section.pop(name, None)
    selection = everything["selection"]
    kept["selection"] = {name: selection.get(name) for name in ("task", "targets", "evaluate")}
    kept["output"] = {name: everything["output"][name] for name in ("spaces", "save_draws")}
    kept["run"] = {name: everything["run"].get(name) for name in ("only", "strict_qc")}
    return kept


def settings_toml(config: Config) -> str:
    """The configuration as TOML, less a cluster that is gone when somebody reads it back."""
    import tomli_w

    return tomli_w.dumps(settings(replace(config, run=replace(config.run, scheduler=None))))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Modality):
        return value.datatype  # as the option has it
    return str(value) if isinstance(value, (Path, str)) else value
