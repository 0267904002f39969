"""What is to be trained, on whom: an order of `pds-model train`, and the plan that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.app.anatomies import label_maps, split
from pds_bids.app.cohort import CohortData, load_cohort
from pds_bids.app.patterns import pattern_config
from pds_bids.app.presets import load_preset, model_config, require_data_table, training_config
from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.models.pdsmodel import ModelConfig
    from pds_bids.training.monitor import Monitor
    from pds_bids.training.pattern_loss import PatternConfig
    from pds_bids.training.recipe import TrainingConfig

SUFFIX = ".safetensors"

DEFAULT_MINUTES = 60.0
"""For stages that take shares of them."""


@dataclass(frozen=True)
class Order:
    """What the user asked for.

    Attributes
    ----------
    preset
        Name of a bundled preset, or a TOML file.
    label_maps
        Folder of FreeSurfer-style label maps; they are split by name into train, calibration and test.
    out
        Checkpoint to write. Beside it lie the split, the state of the training and, until it is complete, its
        pairs.
    max_minutes
        For the stages of this run; simulation and calibration come on top. Where stages count steps, the
        training stops when it has taken so long, and a later run goes on.
    restart
        Forget the state that an earlier run left.
    tensorboard
        Folder to log to.
    derivatives, split
        In place of label maps: a preprocessed cohort, and who of it trains, calibrates and tests (see
        `load_cohort`).
    shared_pairs
        Folder where simulated pairs are kept for other trainings, too.
    watcher
        Told of every step, besides those that show them.
    outlier_score
        Whether the score of unusual sources is fitted: that takes minutes, and no other number hangs on it.
    """

    preset: str
    label_maps: Path | None
    out: Path
    max_minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    restart: bool = False
    tensorboard: Path | None = None
    derivatives: Path | None = None
    split: Path | None = None
    shared_pairs: Path | None = None
    watcher: Monitor | None = None
    outlier_score: bool = True


@dataclass(frozen=True)
class Plan:
    """An order that has been looked up, and that nothing speaks against.

    Attributes
    ----------
    tables
        Of the preset; `model`, `config` and `pattern` are what they say.
    maps
        Label maps by name; none where there is a `cohort`.
    about
        What goes into the card: `preset`, `minutes`, `seed`, `training_data`, and `split` (of label maps) or
        what else `CohortData.about` says.
    cohort
        Real pairs, in place of simulated ones.
    """

    tables: dict[str, Any]
    model: ModelConfig
    config: TrainingConfig
    pattern: PatternConfig
    maps: dict[str, Path]
    about: dict[str, Any]
    cohort: CohortData | None


def plan(order: Order, processes: int) -> Plan:
    """Read the preset, list the label maps and split them.

    Raises
    ------
    UsageError
        If anything in the order is wrong.
    """
    if order.out.suffix != SUFFIX:
        raise UsageError(f"--out {order.out}: must end in {SUFFIX}; what lies beside it is named after it")
    tables = load_preset(order.preset)
    model = model_config(tables.get("model", {}))
    config, pattern = training_config(tables["training"]), pattern_config(tables.get("pattern", {}))
    config.require_processes(processes)
    minutes = order.max_minutes or (DEFAULT_MINUTES if config.timed else None)
    about: dict[str, Any] = {"preset": tables, "minutes": minutes, "seed": order.seed}
    maps, cohort = _origin(order)
    if cohort is not None:
        about |= cohort.about()
    else:
        require_data_table(tables.get("data", {}))
        parts = split(list(maps))
        n_maps = len(parts["train"])
        about |= {"split": parts, "training_data": f"simulated from {n_maps} label maps; no patient data"}
    return Plan(tables, model, config, pattern, maps, about, cohort)


def _origin(order: Order) -> tuple[dict[str, Path], CohortData | None]:
    """Label maps by name, or a cohort."""
    if order.split and not order.derivatives:
        raise UsageError("--split: is of the people in --from-derivatives; give that too, or leave both out")
    if order.derivatives and not order.label_maps:
        return {}, load_cohort(order.derivatives, order.split, order.seed)
    if order.label_maps and not order.derivatives:
        return {path.name: path for path in label_maps(order.label_maps)}, None
    raise UsageError("--label-maps and --from-derivatives: pairs come from one of the two; give exactly one")
