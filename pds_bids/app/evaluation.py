"""`pds-model evaluate`: a checkpoint and its rivals on people that none of them has seen."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pds_bids.app import evaluationpage
from pds_bids.app.baselines import fitted_baselines, unfitted_baselines
from pds_bids.app.errormaps import write_error_maps
from pds_bids.app.experiments.setting import Result
from pds_bids.app.experiments.sizes import FULL
from pds_bids.app.measures import NOMINAL
from pds_bids.app.methods import KINDS, MAIN, MAIN_ROWS, Contestant, network
from pds_bids.app.panel import Origin, Panel, of_cohort, simulated
from pds_bids.app.provenance import fingerprint
from pds_bids.app.scoring import scored
from pds_bids.app.testbed import provenance
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.evaluation.comparison import Score
    from pds_bids.models.checkpoint import Checkpoint


class Rival(NamedTuple):
    """Another checkpoint, what of it is scored, and the name of its row."""

    row: str
    kind: str
    model: str

    @classmethod
    def parse(cls, text: str) -> Rival:
        """From `ROW[:KIND]=MODEL`; what the app would write is scored where no kind is named.

        Raises
        ------
        UsageError
            If it reads otherwise.

        Examples
        --------
        >>> Rival.parse("U-Net regression:estimate=unet.safetensors")
        Rival(row='U-Net regression', kind='estimate', model='unet.safetensors')
        """
        name, _, model = text.partition("=")
        row, _, kind = name.partition(":")
        rival = cls(row, kind or "refined", model)
        if not row or not model or rival.kind not in KINDS:
            raise UsageError(f"--compare {text}: not ROW[:KIND]=MODEL with a KIND of {', '.join(KINDS)}")
        return rival


@dataclass(frozen=True)
class Plan:
    """What is compared, on how many subjects.

    Attributes
    ----------
    model
        The main method: name of bundled weights, or a checkpoint.
    compare
        Other checkpoints, as `Rival.parse` reads them.
    methods
        Which of `KINDS` the main checkpoint is scored by; the refined estimate always is.
    baselines
        Whether what needs no network is scored, too.
    n_subjects
        Simulated subjects, spread evenly over the held-out anatomies; of a cohort all of the test part.
    n_fit
        Pairs simulated from training anatomies for the baselines that are fitted, of a cohort all of the
        training part; 0 leaves these out.
    """

    model: str = "base"
    compare: tuple[str, ...] = ()
    methods: tuple[str, ...] = tuple(KINDS)
    baselines: bool = True
    n_subjects: int = FULL["evaluate"]
    n_fit: int = 60
    seed: int = 0

    @property
    def rivals(self) -> list[Rival]:
        """What `compare` says."""
        return [Rival.parse(text) for text in self.compare]

    def check(self) -> None:
        """Meet a mistake before anything is simulated.

        Raises
        ------
        UsageError
            If there is no such kind, or two rows have the same name.
        """
        unknown = [kind for kind in self.methods if kind not in KINDS]
        if unknown:
            raise UsageError(f"--methods {' '.join(unknown)}: choose from {', '.join(KINDS)}")
        taken = set(MAIN_ROWS)
        for rival in self.rivals:
            if rival.row in taken:
                raise UsageError(f"--compare {rival.row}: there is such a row already; give it another name")
            taken.add(rival.row)


def run(plan: Plan, origin: Origin, out: Path, device: str, work: Path | None = None) -> int:
    """Write a table of means with 95 % confidence intervals, one row a method and direction.

    Parameters
    ----------
    out
        Tab-separated table; every subject's scores go beside it as `*_subjects.tsv`, all numbers with how
        they were made as `*.json`, what they say as `*.html`, and images of errors into a folder of its name.
    work
        Where people and scores are kept, so that a rerun makes only what is missing; None keeps nothing.

    Raises
    ------
    UsageError
        If the plan contradicts itself, a model has seen who tests it, or `out` is the name of its JSON.
    """
    import numpy as np
    import torch

    from pds_bids.evaluation.comparison import compare, means_table, one_a_subject, subjects_table
    from pds_bids.models.checkpoint import load_checkpoint
    from pds_bids.models.device import resolve_device

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if out.suffix == ".json":
        raise UsageError(f"--out {out}: the table and its {out.name} would be one file; call the table .tsv")
    plan.check()
    where = resolve_device(device)
    names = (plan.model, *(rival.model for rival in plan.rivals))
    checkpoints = {name: load_checkpoint(name) for name in names}
    for checkpoint in checkpoints.values():
        checkpoint.model.to(where)
    with _folder(work) as folder:
        panel = _panel(plan, origin, checkpoints, folder)
        place = folder / f"scores-{fingerprint([panel.name, plan.seed])}"
        visits = list(scored(panel.test, _contestants(plan, checkpoints, panel), plan.seed, place))
        maps = write_error_maps(panel.test, checkpoints[plan.model], out, place)
    scores = one_a_subject(visits)
    rows = compare(scores, MAIN, plan.seed)
    write_text(out.with_name(f"{out.stem}_subjects.tsv"), subjects_table(scores))
    write_text(out, table := means_table(rows))
    settings = asdict(plan) | panel.about | {"main": MAIN, "device": where}
    seconds = float(np.nansum([score.seconds for score in visits])) / len(panel.test)
    about = provenance(settings, checkpoints) | {"seconds_per_subject": round(seconds, 1)}
    about |= asdict(_result(rows, scores, maps, plan.seed)) | {"rows": rows}
    write_json(out.with_suffix(".json"), about)
    evaluationpage.write(out.with_suffix(".html"), about)
    print(table, end="")
    return 0


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    """`work`, or one that is gone afterwards."""
    if work:
        yield work
    else:
        with tempfile.TemporaryDirectory(prefix="pds-bids-evaluate-") as folder:
            yield Path(folder)


def _panel(plan: Plan, origin: Origin, checkpoints: Mapping[str, Checkpoint], folder: Path) -> Panel:
    if origin.derivatives:
        return of_cohort(checkpoints, origin.derivatives, origin.split, plan.seed)
    assert origin.label_maps is not None
    sizes, main = (plan.n_subjects, plan.n_fit), checkpoints[plan.model]
    return simulated(main, checkpoints, origin.label_maps, sizes, plan.seed, folder)


def _contestants(plan: Plan, checkpoints: Mapping[str, Checkpoint], panel: Panel) -> dict[str, Contestant]:
    """In the order of the table: baselines, rivals, and the main model with the main method last."""
    main = checkpoints[plan.model]
    found = {}
    if plan.baselines:
        found[f"unfitted-{main.sha256[:12]}"] = unfitted_baselines(main.model)
    if plan.baselines and plan.n_fit:
        found[f"fitted-{plan.n_fit}-{main.sha256[:12]}"] = fitted_baselines(panel.training)
    for rival in plan.rivals:
        checkpoint, rows = checkpoints[rival.model], {rival.row: rival.kind}
        found[f"rival-{fingerprint([checkpoint.sha256, rows])}"] = network(checkpoint.model, rows)
    rows = {row: kind for row, kind in MAIN_ROWS.items() if kind in plan.methods or row == MAIN}
    found[f"main-{fingerprint([main.sha256, rows])}"] = network(main.model, rows)
    return found


def _result(
    rows: Sequence[dict[str, Any]], scores: Sequence[Score], maps: list[dict[str, Any]], seed: int
) -> Result:
    from pds_bids.evaluation.summary import charts, findings, tables

    return Result(
        experiment="evaluate",
        title="How close synthesised volumes come to acquired ones",
        findings=findings(rows, MAIN),
        tables=tables(rows, scores, seed),
        charts=[*charts(rows, scores, MAIN, NOMINAL), *maps],
    )
