"""An ablation study: TOML to rows, each a recipe that differs from others, and what of it is scored."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pds_bids.app.methods import KINDS, SAMPLING, Sampling
from pds_bids.app.presets import load_preset, training_config
from pds_bids.core.config import Sampler
from pds_bids.core.errors import UsageError

ROW = ("name", "kind", "draws", "steps", "sampler", "preset", "change")
STUDY = ("preset", "common", "row")


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    name
        Of the row.
    kind
        What of the checkpoint is scored, one of `KINDS`.
    sampling
        Of the draws, where it is these.
    recipe
        Tables of a preset to train by; None for a checkpoint that there is. Rows of one recipe share a
        checkpoint.
    """

    name: str
    kind: str
    sampling: Sampling
    recipe: dict[str, Any] | None


def load_study(study: str) -> list[Row]:
    """Rows of a bundled study, or of a TOML file; the others are held against the first.

    Raises
    ------
    UsageError
        If there is no such study, it says what a study has not, or its recipes do not count steps.
    """
    folder = Path(str(files("pds_bids") / "presets" / "studies"))
    bundled = folder / f"{study}.toml"
    try:
        tables = tomllib.loads((bundled if bundled.is_file() else Path(study)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
        raise UsageError(f"{study}: neither a bundled study ({known}) nor a TOML file ({error})") from error
    _require_known(study, tables, STUDY)
    rows = [_row(study, tables, row) for row in tables.get("row", [])]
    names = [row.name for row in rows]
    if not rows or len(set(names)) < len(names):
        raise UsageError(f"{study}: needs a [[row]] or more, each with a name of its own")
    return rows


def _row(study: str, tables: Mapping[str, Any], row: Mapping[str, Any]) -> Row:
    where = f"{study}, row {row.get('name', '?')}"
    _require_known(where, row, ROW)
    kind = row.get("kind", "refined")
    if "name" not in row or kind not in KINDS:
        raise UsageError(f"{where}: needs a name, and a kind of {', '.join(KINDS)}")
    return Row(row["name"], kind, _sampling(where, row, kind), _recipe(where, tables, row))


def _sampling(where: str, row: Mapping[str, Any], kind: str) -> Sampling:
    draws, steps, sampler = (row.get(name, default) for name, default in SAMPLING._asdict().items())
    if min(draws, steps) < 1 or (kind == "draws" and draws < 2):
        raise UsageError(f"{where}: draws and steps are 1 at least, and a mean is of 2 draws or more")
    if sampler not in list(Sampler):
        raise UsageError(f"{where}: there is no sampler {sampler!r}, there are {', '.join(Sampler)}")
    return Sampling(draws, steps, Sampler(sampler))


def _recipe(where: str, tables: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any] | None:
    preset = row.get("preset", tables.get("preset"))
    if preset is None:
        if "change" in row:
            raise UsageError(f"{where}: changes no preset; name one, in the row or for all of them")
        return None
    recipe = changed(changed(load_preset(preset), tables.get("common", {})), row.get("change", {}))
    if training_config(recipe["training"]).timed:
        raise UsageError(
            f"{where}: give its stages steps, in [common] or the row, so that rows cost the same"
        )
    return recipe


def changed(tables: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with some values put in place of theirs; whoever counts steps has no share of the minutes.

    Examples
    --------
    >>> changed({"a": {"share": 0.5, "b": 1}}, {"a": {"steps": 9}})
    {'a': {'b': 1, 'steps': 9}}
    """
    merged = {name: value for name, value in tables.items() if name != "share" or "steps" not in change}
    for name, value in change.items():
        below = merged.get(name)
        there = below if isinstance(below, dict) else {}
        merged[name] = changed(there, value) if isinstance(value, dict) else value
    return merged


def _require_known(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if odd := table.keys() - set(known):
        raise UsageError(f"{where}: there is no {min(odd)!r}; it has {', '.join(known)}")
