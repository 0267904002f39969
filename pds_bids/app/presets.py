"""The tables of a preset as configurations, or an error of one line before anything is simulated."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.models.microstructure import MrConfig
    from pds_bids.models.pdsmodel import ModelConfig
    from pds_bids.training.recipe import TrainingConfig

TABLES = ("model", "training", "pattern", "data")

NUMBERS_OF_PAIRS = ("pairs_per_anatomy", "calibration_pairs_per_anatomy", "per_head")
DATA_SWITCHES = ("on_the_fly", "people")


def load_preset(preset: str) -> dict[str, Any]:
    """Tables of a bundled preset, or of a TOML file.

    Raises
    ------
    UsageError
        If there is no such preset, it is not TOML, or its tables are not those of one.
    """
    bundled = Path(str(files("pds_bids") / "presets" / f"{preset}.toml"))
    path = bundled if bundled.is_file() else Path(preset)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(sorted(p.stem for p in bundled.parent.glob("*.toml")))
        raise UsageError(f"{preset}: neither a bundled preset ({known}) nor a TOML file ({error})") from error
    odd = [name for name, table in tables.items() if name not in TABLES or not isinstance(table, dict)]
    if odd or "training" not in tables:
        fault = f"{odd[0]} is no table of a preset" if odd else "there is no table [training]"
        raise UsageError(f"{preset}: {fault}; a preset has {', '.join(f'[{name}]' for name in TABLES)}")
    return tables


def model_config(table: dict[str, Any]) -> ModelConfig:
    """The `[model]` table of a preset and those below it; the networks that it describes are tried at once.

    Raises
    ------
    UsageError
        If there is no such network or field, or networks cannot be built so.
    """
    import torch

    from pds_bids.models.pdsmodel import ModelConfig, PdsModel

    try:
        if odd := table.keys() - {"denoiser", "refiner", "wavelet"}:
            raise TypeError(f"there is no {min(odd)!r}")
        config = ModelConfig.from_dict(table)
        with torch.device("meta"):
            PdsModel(config)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        fault = str(error).partition("\n")[0]
        raise UsageError(f"[model] of the preset: {fault}; see DenoiserConfig and RefinerConfig") from error
    return config


def require_data_table(table: dict[str, Any]) -> None:
    """Raise `UsageError` where the `[data]` table of a preset does not say what to simulate."""
    from pds_bids.training.recipe import require_counts

    known = (*NUMBERS_OF_PAIRS, *DATA_SWITCHES)
    if odd := table.keys() - set(known):
        raise UsageError(f"[data] of the preset: there is no {min(odd)!r}; it has {', '.join(known)}")
    given = {"per_head": 1, **table}
    require_counts("[data] of the preset", **{name: given.get(name) for name in NUMBERS_OF_PAIRS})
    for name in DATA_SWITCHES:
        if not isinstance(table.get(name, False), bool):
            raise UsageError(f"[data] of the preset: {name} = {table[name]!r} must be true or false")


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
