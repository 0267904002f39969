"""Does a long run leak? Memory and open files of one process after each of many participants.

Usage::

    pds-model simulate SIMULATED --n-subjects 4 --missing 1 --no-t1w
    python benchmarks/memory.py SIMULATED OUT docs/results/memory.tsv --n-subjects 200

The participants are those simulated, in turn, cut to the first volumes and to every second voxel along each
axis, so that two hundred take minutes. The derivatives stay in OUT, for the group level.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import cycle, islice
from pathlib import Path

import nibabel as nb
import numpy as np

POLL_S = 0.2
ENDED = re.compile(r"^\[(\d+)/\d+\] ")
"""How the log tells that a participant is done."""


@dataclass(frozen=True)
class Sample:
    """The process when `done` participants were done.

    Attributes
    ----------
    rss_mb
        Resident memory then, MB.
    peak_mb
        Most of it since the participant before.
    open_files
        File descriptors.
    """

    done: int
    seconds: float
    rss_mb: float
    peak_mb: float
    open_files: int


def write_participants(simulated: Path, bids: Path, n_subjects: int, n_volumes: int) -> None:
    """A dataset of small copies under labels of their own."""
    bids.mkdir()
    description = {"Name": "Copies of simulated participants", "BIDSVersion": "1.10.0"}
    (bids / "dataset_description.json").write_text(json.dumps(description))
    people = sorted(simulated.glob("sub-*"))
    for number, person in enumerate(islice(cycle(people), n_subjects), start=1):
        name = f"sub-{number:03}"
        for file in person.rglob("*.*"):
            copy = bids / str(file.relative_to(simulated)).replace(person.name, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.name.endswith(".nii.gz"):
                nb.nifti1.load(file).slicer[::2, ::2, ::2, :n_volumes].to_filename(copy)
            elif file.suffix in (".bval", ".bvec"):
                np.savetxt(copy, np.loadtxt(file, ndmin=2)[:, :n_volumes], fmt="%g")
            else:
                copy.write_bytes(file.read_bytes())


def samples(command: list[str]) -> Iterator[Sample]:
    """One each time that the run says a participant is done.

    Raises
    ------
    CalledProcessError
        If the run fails.
    """
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        status, polled = Path(f"/proc/{process.pid}/status"), [0.0]

        def poll() -> None:
            while process.poll() is None:
                polled.append(rss_mb(status))
                time.sleep(POLL_S)

        threading.Thread(target=poll, daemon=True).start()
        assert process.stdout
        for line in process.stdout:
            sys.stdout.write(line)
            if found := ENDED.match(line):
                now, seconds = rss_mb(status), time.monotonic() - start
                open_files = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
                yield Sample(int(found[1]), seconds, now, max(polled), open_files)
                polled[:] = [now]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def rss_mb(status: Path) -> float:
    """VmRSS of proc(5), in MB; 0 once the process has ended."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", status.read_text())
    except OSError:
        return 0.0
    return float(found[1]) * 1.024e-3 if found else 0.0


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("simulated", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--n-subjects", type=int, default=200)
    parser.add_argument("--n-volumes", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, given.table.open("w") as table:
        bids = Path(folder, "bids")
        write_participants(given.simulated, bids, given.n_subjects, given.n_volumes)
        options = [
            "--preproc-only",
            "--sloppy",
            "--nprocs",
            "1",
            "--omp-nthreads",
            "1",
            "-w",
            f"{folder}/work",
        ]
        command = [sys.executable, "-m", "pds_bids", str(bids), str(given.out), "participant", *options]
        print("\t".join(field.name for field in fields(Sample)), file=table)
        for sample in samples(command):
            cells = (f"{value:.1f}" if isinstance(value, float) else str(value) for value in astuple(sample))
            print("\t".join(cells), file=table, flush=True)


if __name__ == "__main__":
    main()
