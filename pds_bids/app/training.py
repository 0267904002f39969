"""`pds-model train`: label maps to a checkpoint."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids import __version__
from pds_bids.app.anatomies import aligned_structures, label_maps, split
from pds_bids.app.bank import PairStream, simulate_bank
from pds_bids.app.patterns import pattern_config, pattern_loss
from pds_bids.app.provenance import software_versions
from pds_bids.bids.writing import write_json
from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import PdsModel
    from pds_bids.models.microstructure import MrConfig
    from pds_bids.training.data import Pairs

INTENSITY = "divided by the median in the source-derived brain mask, clipped to [0, 2]"


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


def run(preset: str, label_maps_dir: Path, out: Path, max_minutes: float, device: str, seed: int) -> int:
    """Simulate pairs from label maps, train both stages, calibrate, and write the checkpoint.

    Parameters
    ----------
    preset
        Name of a bundled preset, or a TOML file.
    label_maps_dir
        FreeSurfer-style label maps; they are split by name into train, calibration and test.
    out
        Checkpoint to write; the split is written beside it before training.
    max_minutes
        Time for the two stages; simulation comes on top.
    """
    import torch

    from pds_bids.models.checkpoint import ModelConfig, PdsModel
    from pds_bids.synthesis.pipeline import resolve_device
    from pds_bids.training.loop import StageConfig, TrainingConfig, train

    tables = load_preset(preset)
    paths = {path.name: path for path in label_maps(label_maps_dir)}
    parts = split(list(paths))
    write_json(out.with_suffix(".split.json"), parts)
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    model = PdsModel(ModelConfig.from_dict(tables["model"])).to(resolve_device(device))
    stages = tables["training"]
    mr = microstructure_config(stages.get("mr", {}))
    config = TrainingConfig(StageConfig(**stages["denoiser"]), StageConfig(**stages["refiner"]), mr)
    by_roi = pattern_config(tables.get("pattern", {}))
    data = tables["data"]
    with tempfile.TemporaryDirectory(prefix="pds-bids-train-") as folder:

        def pairs(part: str, per_anatomy: int, *, on_the_fly: bool = False) -> Pairs:
            members = {
                list(paths).index(name): aligned_structures(paths[name], threads) for name in parts[part]
            }
            people = data.get("people", on_the_fly)
            if on_the_fly:
                n_pairs = per_anatomy * len(members)
                return PairStream(tuple(members.values()), n_pairs, seed, people, resolve_device(device))
            return simulate_bank(
                members,
                per_anatomy,
                Path(folder) / part,
                seed,
                threads,
                people=people,
                per_head=data.get("per_head", 1),
            )

        on_the_fly = data.get("on_the_fly", False)
        training = pairs("train", data["pairs_per_anatomy"], on_the_fly=on_the_fly)
        calibration = pairs("calibration", data["calibration_pairs_per_anatomy"])
        pattern = pattern_loss(by_roi, training, seed)
        if pattern is not None:
            model.know(pattern.values)
        about = {
            "split": parts,
            "preset": tables,
            "minutes": max_minutes,
            "seed": seed,
            "pairs": len(training),
        }

        def save() -> None:
            finish(model, training, calibration, about, out)

        train(model, training, config, max_minutes, seed, print, save, pattern)
    return 0


def finish(model: PdsModel, training: Pairs, calibration: Pairs, about: dict[str, Any], out: Path) -> None:
    """Add templates and calibration, and write the checkpoint with its card."""
    from pds_bids.evaluation.metrics import DATA_RANGE
    from pds_bids.models.checkpoint import write_checkpoint
    from pds_bids.training.finish import calibrate, fit_outlier_score, set_templates

    set_templates(model, training)
    factors = calibrate(model, calibration)
    limits = fit_outlier_score(model, training, calibration)
    n_maps = len(about["split"]["train"])
    card = {
        "version": __version__,
        "training_data": f"{about['pairs']} pairs simulated from {n_maps} label maps; no patient data",
        "intensity": INTENSITY,
        "data_range": DATA_RANGE,
        "calibration": factors,
        "outlier_limits": limits,
        "machine": platform.machine(),
        "software": software_versions(),
        "intended_use": "research only, never diagnosis; mean volumes of adults",
        **about,
    }
    write_checkpoint(out, model, json.loads(json.dumps(card)))
    print(f"wrote {out}", flush=True)
