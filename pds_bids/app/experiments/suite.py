"""`pds-model experiment all`: whatever is asked of a model, into one folder, and one page of it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pds_bids.app import evaluation, evaluationpage
from pds_bids.app.experiments import ablation, diagnosis, pattern, sites, temporal, trust
from pds_bids.app.experiments.setting import Setting
from pds_bids.app.experiments.sizes import FULL, QUICK
from pds_bids.app.panel import Origin

PAGE = "index.html"


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes
    ----------
    bids_dir
        Dataset with real series, for the experiment on them; None leaves it out.
    quick
        On few people and with few steps.
    """

    bids_dir: Path | None = None
    quick: bool = False

    @property
    def experiments(self) -> dict[str, Callable[[Setting], int]]:
        """By the name of the record that each writes, in order."""
        scored = evaluation.Plan(methods=("estimate", "no-t1w"), n_fit=3) if self.quick else evaluation.Plan()
        study = ablation.Plan("quick" if self.quick else "sampling")
        exchanged = pattern.Plan(seeds=1) if self.quick else pattern.Plan()
        adapted = sites.Plan(steps=2, n_fit=1) if self.quick else sites.Plan()
        trusted = trust.Plan(n_challenged=1) if self.quick else trust.Plan()
        found = {
            "evaluate": lambda setting: _evaluate(scored, setting),
            "ablate": lambda setting: ablation.run(study, setting),
            "diagnosis": lambda setting: diagnosis.run(diagnosis.Plan(), setting),
            "pattern": lambda setting: pattern.run(exchanged, setting),
            "sites": lambda setting: sites.run(adapted, setting),
            "trust": lambda setting: trust.run(trusted, setting),
        }
        if bids_dir := self.bids_dir:
            found["temporal"] = lambda setting: temporal.run(temporal.Plan(bids_dir), setting)
        return found


def run(plan: Plan, folder: Path, setting: Setting) -> int:
    """Run every experiment as its own command would, and join their pages.

    Parameters
    ----------
    folder
        Records and pages are written to it.
    setting
        Of each experiment, but for its `out` and number of people.
    """
    sizes, records = QUICK if plan.quick else FULL, []
    for name, experiment in plan.experiments.items():
        print(f"== {name}", flush=True)
        records.append(folder / f"{name}.json")
        n_subjects = sizes.get(name, setting.n_subjects)
        experiment(replace(setting, out=records[-1], n_subjects=n_subjects, work=setting.folder))
    return evaluationpage.run(records, folder / PAGE)


def _evaluate(plan: evaluation.Plan, setting: Setting) -> int:
    own = replace(plan, model=setting.model, n_subjects=setting.n_subjects, seed=setting.seed)
    table = setting.out.with_suffix(".tsv")
    return evaluation.run(own, Origin(setting.label_maps), table, setting.device, setting.folder)
