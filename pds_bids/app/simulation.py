"""`pds-model simulate`: a study that was never scanned, as a BIDS dataset with the truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.anatomies import aligned_structures, template_anatomy
from pds_bids.app.studyfiles import VisitFiles, claim_folder, write_study_files

if TYPE_CHECKING:
    from pds_bids.simulation.cohort import Visit


def run(
    out: Path,
    visits: Sequence[Visit],
    label_maps: Sequence[Path] = (),
    *,
    t1w: bool = True,
    processes: int = 1,
    device: str = "cpu",
) -> int:
    """Write every visit of a study that is not there yet; the files do not depend on `processes`.

    Parameters
    ----------
    out
        Folder of the dataset: new, empty, or that of the same study.
    visits
        As `plan_cohort` made them.
    label_maps
        FreeSurfer-style anatomies that subjects take in turn; the ICBM template where there are none.
    t1w
        Whether a T1w image is taken as well.

    Raises
    ------
    CannotWriteError
        If the folder holds anything else.
    """
    claim_folder(out, visits, [path.name for path in label_maps], t1w=t1w)
    write_study_files(out, visits)
    subjects = sorted({visit.subject for visit in visits})
    to_do = [v for v in visits if not VisitFiles(out, v).finished]
    with ProcessPoolExecutor(processes) as pool:
        anatomies = list(pool.map(aligned_structures, label_maps[: len(subjects)])) or [template_anatomy()]
        jobs = [
            pool.submit(_scan, out, v, anatomies[subjects.index(v.subject) % len(anatomies)], t1w, device)
            for v in to_do
        ]
        for n, job in enumerate(as_completed(jobs), 1):
            print(f"{job.result()} ({n} of {len(jobs)})", flush=True)
    print(f"{len(visits)} visits of {len(subjects)} subjects: {out}")
    return 0


def _scan(out: Path, visit: Visit, anatomy: NDArray[np.uint8], t1w: bool, device: str) -> str:
    """Simulate and write one visit; returns its name."""
    import torch

    from pds_bids.core.seeds import derived_seed
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
    return files.name
