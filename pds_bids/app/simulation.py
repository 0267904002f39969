"""`pds-model simulate`: a study that was never scanned, as a BIDS dataset with the truth beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.anatomies import aligned_structures, label_maps, template_anatomy
from pds_bids.app.studyfolder import claim_folder, remove_unfinished, write_study_files
from pds_bids.app.visitfiles import VisitFiles
from pds_bids.app.workers import workers
from pds_bids.core.errors import PdsError
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.simulation.cohort import Visit


@dataclass(frozen=True)
class Study:
    """What is to be simulated; the fields are those of `plan_cohort`."""

    n_subjects: int
    sites: tuple[str, ...]
    groups: tuple[str, ...]
    sessions: int = 1
    missing: float = 0.0
    ages: tuple[float, float] = (60.0, 90.0)
    label_noise: float = 0.0
    seed: int = 0

    def visits(self) -> list[Visit]:
        """The plan.

        Raises
        ------
        UsageError
            If there is no such site or group, or a number is out of range.
        """
        from pds_bids.simulation.cohort import plan_cohort

        return plan_cohort(
            self.n_subjects,
            self.sites,
            n_sessions=self.sessions,
            missing=self.missing,
            groups=self.groups,
            seed=self.seed,
            ages=self.ages,
            label_noise=self.label_noise,
        )


def run(
    out: Path, study: Study, label_maps_dir: Path | None, *, t1w: bool, processes: int, device: str
) -> int:
    """Simulate a study into `out`.

    Parameters
    ----------
    label_maps_dir
        FreeSurfer-style anatomies that subjects take in turn; None for the ICBM template.

    Returns
    -------
    int
        0.
    """
    from pds_bids.models.device import resolve_device

    maps = [] if label_maps_dir is None else label_maps(label_maps_dir, at_least=1)
    visits = study.visits()
    simulate(out, visits, maps, t1w=t1w, processes=processes, device=resolve_device(device))
    print(f"{len(visits)} visits of {study.n_subjects} subjects: {out}")
    return 0


def simulate(
    out: Path,
    visits: Sequence[Visit],
    maps: Sequence[Path] = (),
    *,
    t1w: bool = True,
    processes: int = 1,
    device: str = "cpu",
) -> None:
    """Write every visit that is not there yet; what is written does not depend on `processes`.

    Parameters
    ----------
    out
        Folder of the dataset: new, empty, or that of the same study.
    maps
        Label maps; the ICBM template where there are none.
    t1w
        Whether a T1w image is taken as well.

    Raises
    ------
    CannotWriteError
        If the folder holds anything else.
    TemporaryError
        If a worker was killed: the same call resumes.
    PdsError
        If some heads have no room for their changes; all other visits are written.
    """
    claim_folder(out, visits, [path.name for path in maps], t1w=t1w)
    remove_unfinished(out)
    write_study_files(out, visits)
    number = {subject: k for k, subject in enumerate(sorted({visit.subject for visit in visits}))}
    to_do = [visit for visit in visits if not VisitFiles(out, visit).finished]
    if not to_do:
        return
    with workers(processes) as pool:
        used = maps[: len(number)]
        anatomies = list(pool.map(aligned_structures, used, [1] * len(used))) or [template_anatomy()]
        jobs = {}
        for visit in to_do:
            anatomy = anatomies[number[visit.subject] % len(anatomies)]
            jobs[pool.submit(_scan, out, visit, anatomy, t1w, device)] = VisitFiles(out, visit).name
        _await(jobs)


def _await(jobs: Mapping[Future[None], str]) -> None:
    """Tell of each visit as it is finished; one head that cannot be made does not stop the others."""
    from pds_bids.simulation.atrophy import VolumesNotReached

    impossible = []
    for done, job in enumerate(as_completed(jobs), 1):
        try:
            job.result()
        except VolumesNotReached as error:
            impossible.append(f"{jobs[job]}: {error}")
        else:
            print(f"{jobs[job]} ({done} of {len(jobs)})", flush=True)
    if impossible:
        raise PdsError(
            f"{len(impossible)} of {len(jobs)} visits were not simulated, the others are written "
            f"({'; '.join(impossible)}); choose another --seed or narrower --ages in a new folder"
        )


def _scan(out: Path, visit: Visit, anatomy: NDArray[np.uint8], t1w: bool, device: str) -> None:
    """Simulate and write one visit."""
    import torch

    from pds_bids.simulation.head import build_head
    from pds_bids.simulation.scanner import head_scale, random_pose
    from pds_bids.simulation.series import ACQUIRE, acquire_t1w
    from pds_bids.simulation.sites import SITES

    def generator(*purpose: str) -> torch.Generator:
        return torch.Generator(device).manual_seed(derived_seed(visit.seed, *purpose))

    torch.set_num_threads(1)  # sums in another order would change the last bit
    session = visit.session or ""
    site = SITES[visit.site]
    head = build_head(torch.from_numpy(anatomy).to(device), visit.person, visit.years, visit.seed)
    pose = random_pose(generator(session, "pose"), head_scale(generator("scale")))
    files = VisitFiles(out, visit)
    for modality, protocol in site.protocols.items():
        scan = ACQUIRE[modality](head, protocol, pose, generator(session, modality))
        files.write_series(modality, protocol, scan)
    if t1w:
        files.write_t1w(site.t1w, acquire_t1w(head, site, pose, generator(session, "T1w")))
    files.write_truth(head, pose)
