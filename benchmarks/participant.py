"""Whole participants, and what of each is spent inside ANTs: the rest is what this program adds.

Usage, with a folder that holds the datasets `bids_real` and `bids_single`::

    python -m benchmarks.participant docs/results/performance_participant.json --scans SCANS --rounds 2
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.measure import Cost, Row, command_cost, cost, probe_cost, run, spread
from pds_bids.prep.motion import RIGID as MOTION
from pds_bids.prep.motion import evenly_spaced

CASES: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "BOLD with T1w": ("bids_real/sub-01", ("anat", "func"), ()),
    "BOLD, no T1w": ("bids_real/sub-01", ("func",), ()),
    "BOLD, no T1w, --low-mem": ("bids_real/sub-01", ("func",), ("--low-mem",)),
    "DWI, no T1w": ("bids_single/sub-d03", ("dwi",), ()),
}
"""Subject, the data types that are shown (the other modality is missing), and options."""

SUFFIXES = {"anat": "T1w", "func": "bold", "dwi": "dwi"}

MOTION_STOPS = [f"[{MOTION.iterations[0]},{MOTION.threshold:g},{MOTION.window}]"]
"""How a call of antsRegistration is told for one that finds motion."""


def participants(bids: str, account: str, *options: str) -> Cost:
    """A dataset by the command line, in this process, one participant after the other.

    `account` receives the seconds of processor time of each and of ANTs in them; those of the first begin
    with the process.
    """
    from pds_bids.app import crew
    from pds_bids.app import process as visits
    from pds_bids.cli.main import command

    arguments = [bids, str(Path(account).with_suffix("")), "participant", "--omp-nthreads", "1", *options]
    ends: list[tuple[float, dict[str, list[Cost]]]] = [(0.0, {})]
    calls: dict[str, list[Cost]] = defaultdict(list)
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))
        process, import_for_good = crew.process, visits.import_for_good

        def imported(*modules: str) -> None:
            import_for_good(*modules)
            if "ants" in modules and len(ends) == 1:  # once, and not before it is imported: that is a cost
                stack.enter_context(counted_ants(calls))

        def noted(*given: Any) -> Any:
            result = process(*given)
            ends.append((time.process_time(), {name: list(costs) for name, costs in calls.items()}))
            return result

        stack.enter_context(patch.object(visits, "import_for_good", imported))
        stack.enter_context(patch.object(crew, "process", noted))
        whole = cost(lambda: command.main(arguments, standalone_mode=False))
    told = [
        {
            "cpu_s": end - start,
            "ants": {name: spent(own[len(before.get(name, ())) :]) for name, own in after.items()},
        }
        for (start, before), (end, after) in pairwise(ends)
    ]
    Path(account).write_text(json.dumps(told), encoding="utf-8")
    return whole


def spent(calls: Sequence[Cost]) -> dict[str, float]:
    """Of some calls: how many, and their seconds of processor time."""
    return {"calls": len(calls), "cpu_s": sum(call.cpu_s for call in calls)}


def before(bids: str, account: str, *options: str) -> Cost:
    """As `participants`, but ANTs is asked for all that it was asked for before its work was cut."""
    from benchmarks.registration import BEFORE, BEFORE_STOP
    from pds_bids.prep import motion, registration

    with (
        patch.object(registration, "SYN", BEFORE),
        patch.object(motion, "positions", partial(motion.positions, stage=BEFORE_STOP)),
    ):
        return participants(bids, account, *options)


def presets(*images: str) -> Cost:
    """From a series to the atlas by antspyx as it comes: as many volumes as we take, one thread."""
    return cost(lambda: by_presets(*images))


def by_presets(series: str, t1w: str | None = None) -> object:
    """Motion, mean, bias field, registration and one resampling; the template is ours, of 2 mm."""
    import ants

    from pds_bids.prep.atlas import template
    from pds_bids.prep.conversion import to_ants

    def flat(image: Any) -> Any:
        even = ants.n4_bias_field_correction(image, mask=ants.get_mask(image))
        return even * ants.get_mask(even)

    image = ants.image_read(series)
    volumes = [ants.slice_image(image, 3, i) for i in evenly_spaced(range(image.shape[3]))]
    corrected = ants.motion_correction(ants.list_to_ndimage(image, volumes))["motion_corrected"]
    mean = flat(volumes[0].new_image_like(corrected.numpy().mean(-1)))
    fixed, way, moving = to_ants(template()), [], mean
    if t1w:
        moving = flat(ants.image_read(t1w))
        way = ants.registration(moving, mean, type_of_transform="Rigid")["fwdtransforms"]
    way = [*ants.registration(fixed, moving, type_of_transform="SyN")["fwdtransforms"], *way]
    return ants.apply_transforms(fixed, mean, way)


def move(series: str) -> Cost:
    """Moving one volume of a series by a cubic spline with ANTs, as it is done once its motion is known."""
    import ants

    volume = ants.slice_image(ants.image_read(series), 3, 0)
    nowhere = ants.create_ants_transform(transform_type="AffineTransform", dimension=3)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "nowhere.mat"))
        ants.write_transform(nowhere, path)
        return cost(lambda: [ants.apply_transforms(volume, volume, [path], "bSpline") for _ in range(8)], 8)


PROBES = {"participants": participants, "before": before, "presets": presets, "move": move}


@contextmanager
def counted_ants(calls: dict[str, list[Cost]]) -> Iterator[None]:
    """Note in `calls` the cost of every call into ANTs, under what it does."""
    import ants

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
        yield


def registration_name(arguments: Sequence[object], *_: object) -> str:
    """The transforms of a call of antsRegistration, or that it finds motion."""
    words = [str(argument) for argument in arguments]
    pairs = list(pairwise(words))
    kinds = [value.partition("[")[0] for option, value in pairs if option == "--transform"]
    stops = [value for option, value in pairs if option == "--convergence"]
    return "motion" if stops == MOTION_STOPS else ", ".join(kinds)


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Every case in every round, each time beside its rivals."""
    whole: list[Row] = []
    parts: list[Row] = []
    rivals: list[Row] = []
    for case in arguments.cases:
        rounds = [once(case, arguments.scans) for _ in range(arguments.rounds)]
        whole.append(summary(case, rounds))
        if CASES[case][2]:  # options change nothing of what ANTs is asked for
            continue
        parts += [
            {"what": case, "in ANTs": name, "calls": told["calls"], "cpu_s": round(told["cpu_s"], 2)}
            for name, told in rounds[0].accounts[0]["ants"].items()
        ]
        rival: Row = {"what": case, "cpu_s": spread([one.presets_s for one in rounds])}
        rival["times_ours"] = spread([one.presets_s / one.accounts[0]["cpu_s"] for one in rounds])
        rivals.append(rival)
    return {"Whole participants": whole, "What ANTs does": parts, "By the presets of ANTs": rivals}


Accounts = Sequence[Mapping[str, Any]]
"""Of the first and of the next one: `cpu_s`, and of every kind of call into ANTs `calls` and `cpu_s`."""


def calls_s(account: Mapping[str, Any]) -> float:
    """What the calls into ANTs take of a participant."""
    return sum(call["cpu_s"] for call in account["ants"].values())


@dataclass(frozen=True)
class Round:
    """One case, once: two participants, one after the other, and what rivals take.

    Attributes
    ----------
    peak_mb
        Of the process that does both.
    accounts
        What they took.
    before
        The same with ANTs as it was asked before its work was cut; nothing where options are given.
    presets_s, import_s, move_s
        Processor time of the same steps by ANTs' presets (0 where options are given), of a process that only
        imports ANTs, and of moving one volume by ANTs.
    """

    peak_mb: float
    accounts: Accounts
    before: Accounts
    presets_s: float
    import_s: float
    move_s: float

    def bare_s(self, which: int) -> float:
        """What ANTs alone would take for a participant: its calls, its import, and moving the volumes."""
        moved = self.accounts[which]["ants"]["motion"]["calls"]
        return calls_s(self.accounts[which]) + moved * self.move_s + (0 if which else self.import_s)


def once(case: str, scans: Path) -> Round:
    """A round of a case."""
    subject, datatypes, options = CASES[case]
    total, accounts = two("participants", scans / subject, datatypes, *options)
    images = [next((scans / subject / d).glob(f"*_{SUFFIXES[d]}.nii.gz")) for d in reversed(datatypes)]
    sys.stderr.write(f"{case}: {accounts}\n")
    return Round(
        total.peak_mb,
        accounts,
        [] if options else two("before", scans / subject, datatypes)[1],
        0.0 if options else probe_cost("participant", "presets", *images).cpu_s,
        command_cost([sys.executable, "-c", "import ants"]).cpu_s,
        probe_cost("participant", "move", images[0]).cpu_s,
    )


def two(probe: str, subject: Path, datatypes: Sequence[str], *options: str) -> tuple[Cost, Accounts]:
    """A participant with these data types alone, then once more: the whole, and the account of each."""
    with tempfile.TemporaryDirectory() as name:
        bids, account = Path(name, "bids"), Path(name, "out.json")
        description = {"Name": "benchmark", "BIDSVersion": "1.10.0"}
        for label in (subject.name, f"{subject.name}again"):
            for path in (path for datatype in datatypes for path in (subject / datatype).iterdir()):
                link = bids / label / path.parent.name / path.name.replace(subject.name, label)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
        (bids / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
        total = probe_cost("participant", probe, bids, account, "-w", Path(name, "work"), *options)
        return total, json.loads(account.read_text(encoding="utf-8"))


def summary(case: str, rounds: Sequence[Round]) -> Row:
    """A row: seconds, and multiples of what ANTs took, of the first participant and of the next."""
    row: Row = {"what": case}
    for which, name in enumerate(("first", "next")):
        took = [one.accounts[which]["cpu_s"] for one in rounds]
        floors = {
            "calls": [calls_s(one.accounts[which]) for one in rounds],
            "bare": [one.bare_s(which) for one in rounds],
            "before": [calls_s(one.before[which]) for one in rounds if one.before],
        }
        row[f"{name}_cpu_s"] = spread(took)
        for floor, seconds in floors.items():
            if seconds:
                row[f"{name}_times_{floor}"] = spread([t / s for t, s in zip(took, seconds, strict=True)])
    row["peak_mb"] = round(max(one.peak_mb for one in rounds))
    return row


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    run("participant", "Whole participants", measure, parser)


if __name__ == "__main__":
    main()
