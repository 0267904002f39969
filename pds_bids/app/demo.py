"""`pds-model demo`: a tiny simulated dataset, and the main job on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.anatomies import fine_grid
from pds_bids.core.config import Config, PrepConfig, SynthesisConfig
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import MODEL_GRID

ACQUIRED = {"01": tuple(Modality), "02": (Modality.BOLD,), "03": (Modality.DWI,)}
"""Who has what: one subject is complete, each of the others lacks one modality."""

BVALS = (0, *[1000] * 8)
SIDECARS: dict[Modality, dict[str, Any]] = {
    Modality.BOLD: {"TaskName": "rest", "RepetitionTime": 2.2, "EchoTime": 0.03, "FlipAngle": 90},
    Modality.DWI: {"RepetitionTime": 9.0, "EchoTime": 0.085},
}
N_BOLD, NOISE = 10, 0.02


def run(directory: Path, seed: int, threads: int) -> int:
    """Simulate `directory/bids`, run participant and group level into `directory/derivatives`.

    Returns
    -------
    int
        Exit code of the participant level.
    """
    from pds_bids.app import group, participant

    bids = directory / "bids"
    write_cohort(bids, seed)
    config = Config(
        bids_dir=bids,
        output_dir=directory / "derivatives",
        work_dir=directory / "work",
        prep=PrepConfig(threads=threads, seed=seed),
        synthesis=SynthesisConfig(seed=seed, threads=threads),
    )
    code = participant.run(config)
    group.run(config)
    for page in sorted(config.output_dir.glob("sub-*.html")):
        print(f"report: {page}", flush=True)
    return code


def write_cohort(bids: Path, seed: int) -> None:
    """A BIDS dataset of three simulated subjects, each a random variant of the ICBM anatomy."""
    from pds_bids.bids.writing import write_json, write_text

    write_json(
        bids / "dataset_description.json",
        {
            "Name": "pds-bids demo (simulated)",
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "License": "CC0",
        },
    )
    write_text(bids / "README.md", "Simulated subjects for a first try of pds-bids. No person was scanned.\n")
    write_text(bids / "participants.tsv", "participant_id\n" + "".join(f"sub-{s}\n" for s in ACQUIRED))
    anatomy = template_anatomy()
    for subject, modalities in ACQUIRED.items():
        _write_subject(bids, subject, modalities, anatomy, derived_seed(seed, "demo", subject))


def template_anatomy() -> NDArray[np.uint8]:
    """`Structure` codes of the ICBM template on the 1 mm lattice."""
    from pds_bids.prep.atlas import tissue_probabilities
    from pds_bids.simulation.icbm import structures_from_tissues

    gm, wm, brain = tissue_probabilities(fine_grid())
    return structures_from_tissues(gm.data, wm.data, brain.data > 0.5)


def _write_subject(
    bids: Path, subject: str, modalities: tuple[Modality, ...], anatomy: NDArray[np.uint8], seed: int
) -> None:
    import torch

    from pds_bids.bids.writing import write_json, write_series, write_text
    from pds_bids.simulation.pairs import simulate_pair
    from pds_bids.simulation.physics import spin_echo_signal, tissue_properties

    pair = simulate_pair(torch.from_numpy(anatomy), torch.Generator().manual_seed(seed))
    generator = np.random.default_rng(seed)
    b0 = torch.nn.functional.avg_pool3d(
        spin_echo_signal(tissue_properties(), 9000, 85)[pair.structures.long()][None], 2
    )[0].numpy()
    for modality in modalities:
        mean = pair.sources[modality].numpy()
        frames = {Modality.BOLD: [mean] * N_BOLD, Modality.DWI: [b0 * 6, *[mean] * (len(BVALS) - 1)]}[
            modality
        ]
        noisy = [f + NOISE * mean.mean() * generator.standard_normal(f.shape) for f in frames]
        task = "_task-rest" if modality is Modality.BOLD else ""
        stem = bids / f"sub-{subject}" / modality.datatype / f"sub-{subject}{task}_{modality.value}"
        data = (1000 * np.stack(noisy, axis=-1)).clip(0, 32000)
        write_series(
            stem.with_suffix(".nii.gz"),
            data.astype(np.int16),
            MODEL_GRID.affine,
            SIDECARS[modality]["RepetitionTime"],
        )
        write_json(stem.with_suffix(".json"), SIDECARS[modality])
        if modality is Modality.DWI:
            directions = generator.standard_normal((3, len(BVALS)))
            directions *= (np.array(BVALS) > 0) / np.linalg.norm(directions, axis=0)
            write_text(stem.with_suffix(".bval"), " ".join(map(str, BVALS)) + "\n")
            write_text(
                stem.with_suffix(".bvec"),
                "\n".join(" ".join(f"{v:.6f}" for v in row) for row in directions) + "\n",
            )
