"""What less work in ANTs costs: SyN by how well people come to lie on each other, motion by what is left.

Usage, with a folder of label maps and one that holds the datasets `bids_real` and `bids_single`::

    python -m benchmarks.registration --label-maps MAPS --scans SCANS registration.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Cost, Row, cost, run, spread
from pds_bids.core.config import PrepConfig
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE, MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.evaluation.metrics import clustered_bootstrap
from pds_bids.prep import engine, motion
from pds_bids.prep.atlas import template
from pds_bids.prep.conversion import Matrix, from_ants, grid_image, to_ants
from pds_bids.prep.diffusion import choose_shell
from pds_bids.prep.engine import SYN, Stage, estimate_linear, estimate_warp
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.moving import moved
from pds_bids.prep.orientation import canonical
from pds_bids.prep.quality import warp_quality
from pds_bids.prep.resampling import coarsen
from pds_bids.prep.series import open_series
from pds_bids.simulation.anatomy import FINE_GRID, Structure

BEFORE = replace(SYN, iterations=(60, 40, 4))
DOUBLE = "60, 60, 0 iterations, step 0.1, double precision"
SCHEDULES: Mapping[str, Stage | None] = {
    "affine alone": None,
    "40, 20, 0 iterations, step 0.2": replace(SYN, transform="SyN[0.2,3,0]", iterations=(40, 20, 0)),
    "60, 40, 0 iterations, step 0.15": replace(SYN, transform="SyN[0.15,3,0]", iterations=(60, 40, 0)),
    "60, 40, 0 iterations, step 0.1": replace(SYN, iterations=(60, 40, 0)),
    "60, 60, 0 iterations, step 0.1": SYN,
    DOUBLE: SYN,
    "60, 40, 4 iterations, step 0.1": BEFORE,
}
"""At 8, 4 and 2 mm; iterations and step of the second are those of antspyx, the last one's were ours."""

SCORED = tuple(s for s in Structure if s.name not in ("AIR", "SOFT", "LESION", "CHOROID"))

SERIES: Mapping[str, str] = {
    "BOLD": "bids_real/sub-01/func/*_bold.nii.gz",
    "DWI": "bids_single/sub-d03/dwi/*_dwi.nii.gz",
}

BEFORE_STOP = replace(motion.RIGID, iterations=(20,), threshold=1e-6, window=10)
STOPS: Mapping[str, Stage] = {
    "20 iterations, 1e-6 over 10": BEFORE_STOP,
    "12 iterations, 1e-6 over 10": replace(BEFORE_STOP, iterations=(12,)),
    "40 iterations, 1e-4 over 8": motion.RIGID,
}
"""The first were ours; means are compared with theirs."""

PATIENT = replace(motion.RIGID, iterations=(100,), threshold=1e-7, window=20)
MOVES_MM = (0.2, 1.0, 3.0)


@dataclass(frozen=True)
class Warped:
    """One person's source carried to the atlas by one schedule."""

    taken: Cost
    structures: NDArray[np.uint8]
    jacobian_min: float


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Both tables."""
    import torch

    torch.set_num_threads(1)
    return {
        "Warp to the atlas": warps(arguments.label_maps, arguments.people),
        "Motion": motions(arguments.scans, arguments.rounds),
    }


def warps(label_maps: Path, n: int) -> list[Row]:
    """Each schedule on `n` simulated people, from BOLD and from DWI."""
    from pds_bids.app.anatomies import aligned_structures
    from pds_bids.app.anatomies import label_maps as maps_of

    every = maps_of(label_maps)
    people = [aligned_structures(path, 1) for path in every[:: max(1, len(every) // n)][:n]]
    found: dict[tuple[str, Modality], list[Warped]] = {}
    for seed, structures in enumerate(people):
        for modality, source, truth in sources(structures, seed):
            for name, stage in SCHEDULES.items():
                with in_double_precision() if name == DOUBLE else nullcontext():
                    found.setdefault((name, modality), []).append(warped(source, truth, stage))
            sys.stderr.write(f"person {seed + 1}/{len(people)}, {modality.value}\n")
    dice = {name: np.mean([agreement(found[name, m]) for m in Modality], axis=0) for name in SCHEDULES}
    before = next(name for name, stage in SCHEDULES.items() if stage == BEFORE)
    rows = []
    for name in SCHEDULES:
        own = [one for m in Modality for one in found[name, m]]
        row: Row = {"what": name, "cpu_s": spread([one.taken.cpu_s for one in own])}
        row["dice"] = with_interval(dice[name])
        more = dice[name] - dice[before]
        row["more_than_last"] = with_interval(more)
        row["people_with_less"] = int((more < 0).sum())
        row["smallest_determinant"] = round(min(one.jacobian_min for one in own), 2)
        rows.append(row)
    return rows


def sources(structures: NDArray[np.uint8], seed: int) -> list[tuple[Modality, Volume, Volume]]:
    """A person's masked scans on the model grid, with what is where in them.

    Scanners differ in all but what displaces the image: the truth lies where it is seen.
    """
    import torch

    from pds_bids.simulation.body import body_of, grown
    from pds_bids.simulation.pairs import scanned
    from pds_bids.simulation.protocol import Acquisition, random_acquisition

    def in_place(modality: Modality, drawn: torch.Generator) -> Acquisition:
        return replace(random_acquisition(modality, drawn), shift_mm=0.0, rigid_mm=0.0, rigid_deg=0.0)

    generator = torch.Generator().manual_seed(seed)
    body = body_of(*grown(torch.from_numpy(structures), generator, 3.0, None))
    pair = scanned(body, generator, in_place)
    truth = Volume(pair.structures.numpy().astype(np.float32), FINE_GRID.affine, MODEL_SPACE)
    return [
        (m, Volume((pair.sources[m] * pair.masks[m]).numpy(), MODEL_GRID.affine, MODEL_SPACE), truth)
        for m in Modality
    ]


@contextmanager
def in_double_precision() -> Iterator[None]:
    """Let ANTs compute with 64 bits instead of 32."""
    import ants

    def registration(arguments: Sequence[object], *rest: object) -> Any:
        words = list(arguments)
        words[words.index("--float") + 1] = "0"
        return found(words, *rest)

    found = ants.registration
    with (
        patch.object(ants, "registration", registration),
        patch.object(engine, "to_ants", lambda volume: to_ants(volume).clone("double")),
    ):
        yield


def warped(source: Volume, truth: Volume, stage: Stage | None) -> Warped:
    """SyN by the source; what it does to the truth."""
    import ants

    if stage is None:
        return Warped(Cost(0.0, 0.0), truth.data.astype(np.uint8), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        answer: list[Path] = []
        prefix = Path(folder, "to_atlas")
        taken = cost(
            lambda: answer.extend(estimate_warp(template(), source, [stage], prefix, PrepConfig(threads=1)))
        )
        moved = ants.apply_transforms(
            grid_image(FINE_GRID), to_ants(truth), [str(answer[0])], "nearestNeighbor"
        )
        determinant = warp_quality(answer[0])["jacobian_min"]
    return Warped(taken, from_ants(moved, ATLAS_SPACE).data.astype(np.uint8), determinant)


def agreement(people: Sequence[Warped]) -> NDArray[np.float64]:
    """(N,) mean Dice coefficient of a person's structures with what most of the others have there."""
    present = np.stack([[one.structures == code for code in SCORED] for one in people])
    votes = present.sum(0)
    scores = []
    for own in present:
        others = votes - own
        most = np.where(others.max(0) > 0, others.argmax(0), -1)
        shared = [
            2 * (mask & (most == i)).sum() / (mask.sum() + (most == i).sum()) for i, mask in enumerate(own)
        ]
        scores.append(np.mean(shared))
    return np.array(scores)


def with_interval(values: NDArray[np.float64]) -> list[float]:
    """Mean over people and its 95 % interval."""
    return [
        round(value, 4) for value in (values.mean(), *clustered_bootstrap(values, np.arange(len(values))))
    ]


def motions(scans: Path, rounds: int) -> list[Row]:
    """Each way to stop on real series, and on volumes of them that were moved by a known amount."""
    rows = []
    for kind, pattern in SERIES.items():
        volumes = volumes_of(next(scans.glob(pattern)))
        still = [np.eye(4)] * len(volumes)
        brain = brain_mask(moved_mean(volumes, still)).data > 0
        before = moved_mean(volumes, found(volumes, BEFORE_STOP)[1])
        rows.append({"what": f"{kind}, not corrected", "left_percent": left_percent(volumes, still, brain)})
        for name, stage in STOPS.items():
            taken, positions = zip(*(found(volumes, stage) for _ in range(rounds)), strict=True)
            row: Row = {"what": f"{kind}, {name}", "cpu_s": spread([one.cpu_s for one in taken])}
            row["left_percent"] = left_percent(volumes, positions[0], brain)
            change = np.abs(moved_mean(volumes, positions[0]).data - before.data)[brain]
            percent = 100 * change / np.median(before.data[brain])
            row["mean_differs_percent"] = round(float(percent.mean()), 2)
            row["at_most_percent_in_99_of_100"] = round(float(np.percentile(percent, 99)), 2)
            errors = known_errors(volumes, stage)
            rows.append(row | {f"off_after_{mm:g}_mm": round(error, 2) for mm, error in errors.items()})
    return rows


def volumes_of(path: Path) -> list[Volume]:
    """The volumes of a series that the app takes the mean of: of a diffusion series, one shell."""
    series, table = open_series(path), path.with_name(path.name.replace(".nii.gz", ".bval"))
    members = choose_shell(np.loadtxt(table))[1] if table.exists() else range(2, series.n_volumes)
    return [canonical(volume) for volume in series.volumes(motion.evenly_spaced(members))]


def moved_mean(volumes: Sequence[Volume], positions: Sequence[Matrix]) -> Volume:
    """Mean of the volumes once they are moved."""
    return volumes[0].like(np.mean([one.data for one in map(moved, volumes, positions)], axis=0))


def found(volumes: Sequence[Volume], stage: Stage) -> tuple[Cost, list[Matrix]]:
    """Positions relative to the first volume, estimated as the app does, and what that took."""
    answer: list[Matrix] = []
    taken = cost(lambda: answer.extend(motion.positions(volumes, 0, PrepConfig(threads=1), stage)))
    return taken, answer


def left_percent(volumes: Sequence[Volume], positions: Sequence[Matrix], brain: NDArray[np.bool_]) -> float:
    """Standard deviation over the volumes in the brain, once they are moved, in percent of the mean."""
    lying = [volume.data[brain] for volume in map(moved, volumes, positions)]
    return round(float(100 * np.mean(np.std(lying, axis=0)) / np.mean(lying)), 3)


def known_errors(volumes: Sequence[Volume], stage: Stage, n: int = 5) -> dict[float, float]:
    """Mean displacement, mm, between where a volume is found that was moved and where it then is."""
    fixed, moving = coarsen(volumes[0], motion.ESTIMATION_MM), volumes[len(volumes) // 2]
    centre = centre_mm(fixed)
    here = position(fixed, moving, PATIENT)
    generator = np.random.default_rng(0)
    errors: dict[float, Any] = {mm: [] for mm in MOVES_MM}
    for mm in MOVES_MM * n:
        move = random_move(centre, mm, generator)
        there = position(fixed, moved(moving, move), stage) @ move
        errors[mm].append(motion.rms_displacement_mm(there @ np.linalg.inv(here), centre))
    return {mm: float(np.mean(values)) for mm, values in errors.items()}


def centre_mm(volume: Volume) -> NDArray[np.float64]:
    """(3,) middle of the field of view, RAS mm."""
    centre: NDArray[np.float64] = (volume.affine @ [*(np.array(volume.data.shape) / 2), 1])[:3]
    return centre


def random_move(centre: NDArray[np.float64], mm: float, generator: np.random.Generator) -> Matrix:
    """(4, 4) a turn about `centre` and a shift, which displace a head by about so many mm."""
    from scipy.spatial.transform import Rotation

    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(generator.normal(size=3) * mm / 100).as_matrix()
    move[:3, 3] = centre - move[:3, :3] @ centre + generator.normal(size=3) * mm / 2
    return move


def position(fixed: Volume, moving: Volume, stage: Stage) -> Matrix:
    """(4, 4) world of one volume -> world of the other, from where both lie."""
    own = coarsen(moving, motion.ESTIMATION_MM)
    return estimate_linear(fixed, own, [stage], PrepConfig(threads=1), start=np.eye(4))


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label-maps", type=Path, required=True, help="segmentations of whole heads")
    parser.add_argument("--scans", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--people", type=int, default=8, help="how many of the label maps")
    run("registration", "Less work in ANTs", measure, parser)


if __name__ == "__main__":
    main()
