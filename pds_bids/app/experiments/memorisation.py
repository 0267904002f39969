"""Whether outputs lie nearer to training scans than real scans of strangers do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.bank import simulated_samples
from pds_bids.app.experiments.chapter import Answer, Measured, shown, text
from pds_bids.app.experiments.kept import Arrays, kept
from pds_bids.app.experiments.volunteers import PLAIN, Volunteer, alone
from pds_bids.app.methods import Case, refined
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.evaluation.comparison import interval
from pds_bids.evaluation.memorisation import correlations, neighbours
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.data import PairBank, Sample, make_batch

BLOCK = 4
"""Voxels along an edge of what is compared: at 8 mm, little of a scan's private texture is left."""

Floats = NDArray[np.floating]


def deviation(
    volume: NDArray[np.floating], template: NDArray[np.floating], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(V,) means over blocks of `BLOCK` voxels of what differs from the template inside the mask."""
    away = np.where(mask, volume - template, 0)
    x, y, z = (n // BLOCK for n in away.shape)
    blocks: NDArray[np.float32] = away.reshape(x, BLOCK, y, BLOCK, z, BLOCK).mean(axis=(1, 3, 5))
    return blocks.ravel().astype(np.float32)


@dataclass(frozen=True)
class Memorisation:
    """The chapter, and what a model may have learnt by heart.

    Attributes
    ----------
    checkpoint
        The model; its card says what it was trained on.
    bank
        The pairs of its training, where they are still there; None simulates some of them again.
    structures
        Gives the (160, 192, 176) `Structure` codes of a training anatomy by its number.
    n_anatomies
        Training anatomies.
    folder
        Where deviations of training scans are kept.
    """

    checkpoint: Checkpoint
    bank: Path | None
    structures: Callable[[int], NDArray[np.uint8]]
    n_anatomies: int
    folder: Path

    def measure(self, volunteer: Volunteer) -> Arrays:
        """`coarse`: (M, 2, V) deviations of truth and output from the template."""
        coarse = []
        for target, template in enumerate(self._templates):
            outputs = volunteer.outputs(PLAIN, target)
            volumes = outputs.case.truth, refined(outputs).volume
            coarse.append([deviation(volume, template, outputs.case.mask) for volume in volumes])
        return {"coarse": np.array(coarse)}

    @property
    def _templates(self) -> NDArray[np.float32]:
        """(M, X, Y, Z)."""
        templates: NDArray[np.float32] = self.checkpoint.model.templates.cpu().numpy()
        return templates

    def training(self) -> NDArray[np.float32]:
        """(M, N, V) deviations of the targets of training."""
        if self.bank is not None:
            bank = PairBank.load(self.bank)
            rows = (bank.get([row]) for row in range(len(bank)))
            file = self.folder / f"training-{self.bank.name}-{len(bank)}.npz"
            return kept(file, partial(self._of, rows))["coarse"]
        files = {k: self.folder / f"training-{k:03d}.npz" for k in range(self.n_anatomies)}
        parts = [kept(file, partial(self._again, k))["coarse"] for k, file in files.items()]
        return np.concatenate(parts, axis=1)

    def _again(self, anatomy: int) -> Arrays:
        """The first head of an anatomy: that of the training, if it took its pairs from a bank in one go."""
        card = self.checkpoint.card
        data = card.get("preset", {}).get("data", {})
        start = anatomy * data.get("pairs_per_anatomy", 1)
        seed = derived_seed(card.get("seed", 0), "head", start)
        people, scans = data.get("people", True), data.get("per_head", 1)
        return self._of(map(alone, simulated_samples(self.structures(anatomy), seed, scans, people=people)))

    def _of(self, samples: Iterable[Sample]) -> Arrays:
        coarse = []
        for sample in samples:
            cases = (Case(make_batch(sample, [target], None), 0) for target in range(len(Modality)))
            coarse.append(
                [deviation(c.truth, t, c.mask) for c, t in zip(cases, self._templates, strict=True)]
            )
        return {"coarse": np.array(coarse).swapaxes(0, 1)}

    def answer(self, measured: Measured, model: PdsModel) -> Answer:
        """How near outputs and real scans of the same people lie to the training scans."""
        coarse, training = measured.arrays["coarse"], self.training()
        rows, findings = [], []
        for target, modality in enumerate(Modality):
            truth, made = (neighbours(coarse[:, target, k], training[target]) for k in range(2))
            own = np.diagonal(correlations(coarse[:, target, 1], coarse[:, target, 0]))

            def mean(values: Floats) -> list[float] | None:
                return shown(interval(values, measured.anatomy, measured.seed))

            row = {
                "target": modality.value,
                "training scans": training.shape[1],
                "output to its own truth": mean(own),
                "output to nearest training scan": mean(made.nearest),
                "truth to nearest training scan": mean(truth.nearest),
                "prominence of it, output": mean(made.prominence),
                "prominence of it, truth": mean(truth.prominence),
                "output less truth": mean(made.prominence - truth.prominence),
                "outputs nearer to training than to their truth": mean((made.nearest > own).astype(float)),
            }
            rows.append(row)
            findings.append(_finding(row))
        return Answer(findings, {"Correlation with training scans": rows}, [])


def _finding(row: Mapping[str, Any]) -> str:
    told = {name: text(value) for name, value in row.items() if isinstance(value, list)}
    verdict = "stands out more" if row["output less truth"][1] > 0 else "does not stand out more"
    return (
        f"{row['target']}: the training scan nearest to an output {verdict} among the others than that "
        f"nearest to the real scan (by {told['output less truth']} sd); outputs correlate with their own "
        f"truth by {told['output to its own truth']}, with the nearest training scan by "
        f"{told['output to nearest training scan']} (real scans: {told['truth to nearest training scan']})."
    )
