"""`pds-model evaluate`: a checkpoint and its baselines on subjects simulated from held-out anatomies."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.anatomies import aligned_structures, label_maps
from pds_bids.app.bank import simulate_bank
from pds_bids.bids.writing import write_text
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint, PdsModel
    from pds_bids.training.data import PairBank

BASELINE = "population template"
PDS = "pds"
METRICS = {"psnr_db": 2, "ssim": 3, "mae": 3, "coverage_80": 3}
"""Columns of the table and their decimal places; coverage is that of the 80 % interval, for PDS alone."""


class Row(NamedTuple):
    """One method on one simulated subject in one direction."""

    target: str
    method: str
    anatomy: int
    psnr_db: float
    ssim: float
    mae: float
    coverage_80: float = float("nan")


def held_out(checkpoint: Checkpoint, folder: Path) -> dict[str, Path]:
    """Label maps that the checkpoint's card lists as test.

    Raises
    ------
    UsageError
        If the card names no split, or the folder lacks its test maps.
    """
    paths = {path.name: path for path in label_maps(folder)}
    test = checkpoint.card.get("split", {}).get("test", [])
    chosen = {name: paths[name] for name in test if name in paths}
    if not chosen:
        raise UsageError(
            f"--label-maps {folder}: holds none of the model's held-out maps ({', '.join(test) or 'none'})"
        )
    return chosen


def run(model: str, label_maps_dir: Path, out: Path, n_subjects: int, device: str, seed: int) -> int:
    """Write a table of means with 95 % confidence intervals, one row a method and direction.

    Parameters
    ----------
    n_subjects
        Simulated subjects, spread evenly over the held-out anatomies.
    out
        Tab-separated table; every subject's scores go beside it as `*_subjects.tsv`.
    """
    import torch

    from pds_bids.models.checkpoint import load_checkpoint
    from pds_bids.synthesis.pipeline import resolve_device

    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(model)
    checkpoint.model.to(resolve_device(device))
    maps = held_out(checkpoint, label_maps_dir)
    anatomies = {k: aligned_structures(path, threads) for k, path in enumerate(maps.values())}
    per_anatomy = -(-n_subjects // len(anatomies))
    with tempfile.TemporaryDirectory(prefix="pds-bids-evaluate-") as folder:
        bank = simulate_bank(anatomies, per_anatomy, Path(folder), derived_seed(seed, "evaluate"), threads)
        rows = list(_rows(checkpoint.model, bank))
    subjects = ["\t".join(Row._fields), *("\t".join(map(str, row)) for row in rows)]
    write_text(out.with_name(f"{out.stem}_subjects.tsv"), "\n".join(subjects) + "\n")
    table = summarise(rows, seed)
    write_text(out, table)
    print(table, end="")
    return 0


def _rows(model: PdsModel, bank: PairBank) -> Iterator[Row]:
    from pds_bids.evaluation.metrics import coverage, mae, psnr, ssim
    from pds_bids.training.data import make_batch
    from pds_bids.training.finish import predict

    templates = model.templates.cpu().numpy()
    for row in range(len(bank)):
        for index, target in enumerate(Modality):
            batch = make_batch(bank.get([row]), [index], None)
            on_device = batch.to(model.templates.device)
            estimate, refined, sd = (t[0, 0].cpu().numpy() for t in predict(model, on_device))
            images, mask = batch.images[0].numpy() + 1, batch.mask[0, 0].numpy() > 0
            candidates = {
                "flat brain": np.ones_like(images[index]),
                "copied source": images[1 - index],
                BASELINE: templates[index],
                "pds, denoiser alone": (estimate + 1).clip(0, 2),
                PDS: (refined + 1).clip(0, 2),
            }
            for method, volume in candidates.items():
                scores = (metric(volume, images[index], mask) for metric in (psnr, ssim, mae))
                made = Row(target.value, method, int(bank.anatomy[row]), *(round(s, 4) for s in scores))
                if method != PDS:
                    yield made
                    continue
                yield made._replace(coverage_80=round(coverage(volume - images[index], sd, mask, 0.8), 4))


def summarise(rows: list[Row], seed: int) -> str:
    """Tab-separated means with intervals; the last column is the PSNR gain over the population template.

    Anatomies are resampled first, then subjects, for few anatomies carry many subjects.
    """
    from pds_bids.evaluation.metrics import clustered_bootstrap

    def column(target: str, method: str, name: str) -> NDArray[np.float64]:
        return np.array([getattr(r, name) for r in rows if (r.target, r.method) == (target, method)])

    def cell(values: NDArray[np.float64], anatomy: NDArray[np.int64], digits: int) -> str:
        if np.isnan(values).any():
            return "n/a"
        low, high = clustered_bootstrap(values, anatomy, seed)
        return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"

    lines = ["\t".join(("target", "method", "n", *METRICS, "psnr_gain_over_template_db"))]
    for target, method in dict.fromkeys((r.target, r.method) for r in rows):
        anatomy = column(target, method, "anatomy").astype(np.int64)
        cells = [cell(column(target, method, m), anatomy, digits) for m, digits in METRICS.items()]
        gain = column(target, method, "psnr_db") - column(target, BASELINE, "psnr_db")
        lines.append("\t".join((target, method, str(len(anatomy)), *cells, cell(gain, anatomy, 2))))
    return "\n".join(lines) + "\n"
