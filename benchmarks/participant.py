"""A whole participant, and what of it is spent inside ANTs: the rest is what this program adds.

Usage, with a folder that holds the datasets `bids_real` and `bids_single`::

    python -m benchmarks.participant docs/results/performance_participant.json --scans SCANS --rounds 2
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.measure import Cost, Row, cost, probe_cost, run, spread

CASES: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "BOLD with T1w": ("bids_real/sub-01", ("anat", "func"), ()),
    "BOLD, no T1w": ("bids_real/sub-01", ("func",), ()),
    "BOLD, no T1w, --low-mem": ("bids_real/sub-01", ("func",), ("--low-mem",)),
    "DWI, no T1w": ("bids_single/sub-d03", ("dwi",), ()),
}
"""Subject, the data types that are shown (the other modality is missing), and options."""


def participant(bids: str, account: str, *options: str) -> Cost:
    """One participant by the command line, in this process; `account` receives what ANTs took."""
    import torch

    from pds_bids.cli.main import command

    torch.set_num_threads(1)
    arguments = [bids, str(Path(account).with_suffix("")), "participant", "--omp-nthreads", "1", *options]
    with counted_ants() as calls, redirect_stdout(sys.stderr):
        whole = cost(lambda: command.main(arguments, standalone_mode=False))
    told = {
        name: {
            "calls": len(costs),
            "cpu_s": sum(c.cpu_s for c in costs),
            "wall_s": sum(c.wall_s for c in costs),
        }
        for name, costs in calls.items()
    }
    Path(account).write_text(json.dumps(told), encoding="utf-8")
    return whole


PROBES = {"participant": participant}


@contextmanager
def counted_ants() -> Iterator[dict[str, list[Cost]]]:
    """Note the cost of every call into ANTs, under what it does."""
    import ants

    calls: dict[str, list[Cost]] = defaultdict(list)

    def counting(function: Callable[..., Any], name_of: Callable[..., str]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            answer: list[Any] = []
            calls[name_of(*given)].append(cost(lambda: answer.append(function(*given, **named))))
            return answer[0]

        return call

    def library(name: str) -> Callable[..., Any]:
        return counting(found(name), lambda *_: "composite transforms")

    found = ants.internal.get_lib_fn
    counted = {
        "registration": counting(ants.registration, registration_name),
        "apply_transforms": counting(ants.apply_transforms, lambda *_: "resampling"),
        "n4_bias_field_correction": counting(ants.n4_bias_field_correction, lambda *_: "N4"),
    }
    with ExitStack() as patches:
        for name, function in counted.items():
            patches.enter_context(patch.object(ants, name, function))
        patches.enter_context(patch.object(ants.internal, "get_lib_fn", library))
        yield calls


def registration_name(arguments: Sequence[object], *_: object) -> str:
    """The transforms of a call of antsRegistration, and the iterations of the first."""
    words = [str(argument) for argument in arguments]
    pairs = list(pairwise(words))
    kinds = [value.partition("[")[0] for option, value in pairs if option == "--transform"]
    first = next(value for option, value in pairs if option == "--convergence")
    motion = first.startswith("[20,")
    return "motion" if motion else ", ".join(kinds)


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Every case in every round; ANTs and the rest are parts of one run."""
    whole: list[Row] = []
    parts: list[Row] = []
    for case in arguments.cases:
        subject, datatypes, options = CASES[case]
        runs = [one_run(arguments.scans / subject, datatypes, *options) for _ in range(arguments.rounds)]
        for total, inside in runs:
            sys.stderr.write(f"{case}: {total} {inside}\n")
        whole.append(summary(case, runs))
        _, first = runs[0]
        parts += [
            {"what": case, "in ANTs": name, "calls": told["calls"], "cpu_s": round(told["cpu_s"], 2)}
            for name, told in first.items()
        ]
    return {"Whole participants": whole, "What ANTs does": parts}


def one_run(
    subject: Path, datatypes: Sequence[str], *options: str
) -> tuple[Cost, Mapping[str, Mapping[str, float]]]:
    """Cost of a participant with these data types alone, and what ANTs took of it."""
    with tempfile.TemporaryDirectory() as name:
        bids, account = Path(name, "bids"), Path(name, "out.json")
        (bids / subject.name).mkdir(parents=True)
        description = {"Name": "benchmark", "BIDSVersion": "1.10.0"}
        (bids / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
        for datatype in datatypes:
            (bids / subject.name / datatype).symlink_to(subject.resolve() / datatype)
        total = probe_cost("participant", "participant", bids, account, "-w", Path(name, "work"), *options)
        return total, json.loads(account.read_text(encoding="utf-8"))


def summary(case: str, runs: Sequence[tuple[Cost, Mapping[str, Mapping[str, float]]]]) -> Row:
    """A row: the whole in seconds, and as a multiple of what was spent inside ANTs."""
    row: Row = {"what": case, "cpu_s": spread([total.cpu_s for total, _ in runs])}
    for measured in ("wall_s", "cpu_s"):
        inside = [sum(told[measured] for told in calls.values()) for _, calls in runs]
        ratios = [getattr(total, measured) / ants for (total, _), ants in zip(runs, inside, strict=True)]
        row[f"times_ants_{measured.removesuffix('_s')}"] = spread(ratios)
    row["peak_mb"] = round(max(total.peak_mb for total, _ in runs))
    return row


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    run("participant", "Whole participants", measure, parser)


if __name__ == "__main__":
    main()
