"""The tables of a preset as configurations, or an error of one line before anything is simulated."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.models.microstructure import MrConfig
    from pds_bids.training.recipe import TrainingConfig


def load_preset(preset: str) -> dict[str, Any]:
    """Tables of a bundled preset, or of a TOML file.

    Raises
    ------
    UsageError
        If there is no such preset, or it is not TOML.
    """
    bundled = Path(str(files("pds_bids") / "presets" / f"{preset}.toml"))
    path = bundled if bundled.is_file() else Path(preset)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(sorted(p.stem for p in bundled.parent.glob("*.toml")))
        raise UsageError(f"{preset}: neither a bundled preset ({known}) nor a TOML file ({error})") from error


def microstructure_config(table: dict[str, Any]) -> MrConfig:
    """The `[training.mr]` table of a preset; the file of weights that it names is tried at once.

    Raises
    ------
    UsageError
        If there is no such field or projection, or the file is not what it should be.
    """
    from pds_bids.models.microstructure import MrConfig, load_microstructure

    try:
        config = MrConfig(**table)
    except TypeError as error:
        raise UsageError(f"[training.mr] of the preset: {error}; see MrConfig") from error
    load_microstructure(config)  # a wrong file is met now, and not after the simulation
    return config


def training_config(table: dict[str, Any]) -> TrainingConfig:
    """The `[training]` table of a preset and those below it.

    Raises
    ------
    UsageError
        If a field is unknown or missing, or contradicts another.
    """
    from pds_bids.training.recipe import StageConfig, TrainingConfig

    mr = microstructure_config(table.get("mr", {}))
    try:
        stages = {name: StageConfig(**table[name]) for name in ("denoiser", "refiner")}
        return TrainingConfig(**{**table, **stages, "mr": mr})
    except KeyError as error:
        raise UsageError(f"[training] of the preset has no table {error}; see the bundled presets") from error
    except TypeError as error:
        raise UsageError(f"[training] of the preset: {error}; see TrainingConfig and StageConfig") from error
