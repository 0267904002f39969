"""Whether the score of unusual sources tells what it should, and leaves alone what it should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pds_bids.app.experiments.chapter import FEWEST, Answer, Measured, shown, text
from pds_bids.app.experiments.kept import Arrays
from pds_bids.app.experiments.volunteers import PLAIN, Volunteer, source_batch
from pds_bids.core.modality import Modality
from pds_bids.evaluation.comparison import interval
from pds_bids.evaluation.detection import auroc_interval
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.simulation.variants import VARIANTS
from pds_bids.training.data import Sample

Image = NDArray[np.float32]

Artefact = Callable[[Image, np.random.Generator], Image]
"""What becomes of an (X, Y, Z) source whose brain's median is 1."""

CHANCE = 0.5

YOUNG = "healthy, young"


def motion(image: Image, random: np.random.Generator) -> Image:
    """The head lies 8 mm and 6 mm elsewhere while two fifths of the phase-encoding steps are taken."""
    steps = random.random(image.shape[1]) < 0.4
    spectrum, moved = (np.fft.fftn(v, axes=(0, 1)) for v in (image, np.roll(image, (4, 3), (0, 2))))
    spectrum[:, steps] = moved[:, steps]
    return np.abs(np.fft.ifftn(spectrum, axes=(0, 1))).astype(np.float32)


def spike(image: Image, random: np.random.Generator) -> Image:
    """One sample of k-space far too large: stripes of 0.4 times the brain's median, everywhere."""
    frequency = random.uniform(0.06, 0.2, 3) * random.choice([-1, 1], 3)
    phase = 2 * np.pi * np.tensordot(frequency, np.indices(image.shape), 1)
    return np.abs(image + 0.4 * np.cos(phase)).astype(np.float32)


def surface_coil(image: Image, random: np.random.Generator) -> Image:
    """A receive field that falls to a tenth from the back of the grid to its front."""
    return (image * np.geomspace(3, 0.3, image.shape[1])[:, None]).astype(np.float32)


def half_field(image: Image, random: np.random.Generator) -> Image:
    """Nothing above the middle of the brain."""
    slices = np.flatnonzero(image.any(axis=(0, 1)))
    return np.where(np.arange(image.shape[2]) < np.median(slices), image, 0)


def mirrored(image: Image, random: np.random.Generator) -> Image:
    """Left and right exchanged."""
    return image[::-1]


ARTEFACTS: Mapping[str, Artefact] = {
    "motion": motion,
    "spike in k-space": spike,
    "strong bias field": surface_coil,
    "half the field of view": half_field,
    "left and right exchanged": mirrored,
}

WRONG = "the other modality"

CHALLENGES = (*(name for name in VARIANTS if name != PLAIN), *ARTEFACTS, WRONG)


def measure(volunteer: Volunteer) -> Arrays:
    """`scores`: (M, 1 + C) of the plain source and of each challenge; NaN where it was not met."""
    scores = np.full((len(Modality), 1 + len(CHALLENGES)), np.nan)
    plain = volunteer.samples[PLAIN]
    for source in range(len(Modality)):
        scores[source, 0] = _score(volunteer.model, plain, source)
        for c, name in enumerate(CHALLENGES if volunteer.challenged else (), start=1):
            sample = challenged(volunteer, name, source)
            if not np.array_equal(sample.images[0, 0, source], plain.images[0, 0, source]):
                scores[source, c] = _score(volunteer.model, sample, source)
    return {"scores": scores}


def challenged(volunteer: Volunteer, name: str, source: int) -> Sample:
    """A volunteer's scans under one of `CHALLENGES`; only the source of that modality is to be looked at."""
    if name in VARIANTS:
        return volunteer.samples[name]
    plain = volunteer.samples[PLAIN]
    images, masks = plain.images.copy(), plain.masks.copy()
    if name == WRONG:
        images, masks = images[:, :, ::-1], masks[:, ::-1]
    else:
        image, mask = images[0, 0, source].astype(np.float32), masks[0, source]
        spoiled = ARTEFACTS[name](np.where(mask, image, 0), volunteer.random(name))
        images[0, 0, source] = spoiled
        if name in ("half the field of view", "left and right exchanged"):
            masks[0, source] = ARTEFACTS[name](mask.astype(np.float32), volunteer.random(name)) > 0
    return plain._replace(images=np.ascontiguousarray(images), masks=np.ascontiguousarray(masks))


@torch.inference_mode()
def _score(model: PdsModel, sample: Sample, source: int) -> float:
    batch = source_batch(sample, source).to(model.templates.device)
    features = model.features(model.subbands.split(batch.images), batch.mask, 1 - batch.target)
    return float(model.outlier(features, 1 - batch.target))


def answer(measured: Measured, model: PdsModel) -> Answer:
    """A row for each challenge and source: how well it is told, and how often the app would warn."""
    scores, young = measured.arrays["scores"], measured.kind == YOUNG
    rows = []
    for source, modality in enumerate(Modality):
        limit = float(model.outlier.limit[source])
        plain = scores[:, source, 0]
        cases = {"none": plain, "none, young healthy people": np.where(young, plain, np.nan)}
        cases |= {name: scores[:, source, c] for c, name in enumerate(CHALLENGES, start=1)}
        usual = {
            "none": np.full(len(plain), np.nan),
            "none, young healthy people": np.where(young, np.nan, plain),
        }
        for name, values in cases.items():
            flagged = np.where(np.isnan(values), np.nan, values > limit)
            same_people = np.where(np.isnan(values), np.nan, plain)
            told = auroc_interval(usual.get(name, same_people), values, measured.anatomy, measured.seed)
            rows.append(
                {
                    "source": modality.value,
                    "unusual": name,
                    "n": int(np.isfinite(values).sum()),
                    "AUROC": shown(told),
                    "share above the limit": shown(interval(flagged, measured.anatomy, measured.seed)),
                }
            )
    return Answer(_findings(rows), {"What the score of unusual sources tells": rows}, _charts(rows))


def _findings(rows: list[dict[str, Any]]) -> list[str]:
    findings = []
    for modality in Modality:
        usual, young, *unusual = [row for row in rows if row["source"] == modality]
        above, of_young = (text(row["share above the limit"]) for row in (usual, young))
        findings.append(
            f"{modality.value} sources with nothing unusual: a share of {above} is above the limit; of young "
            f"healthy people's {of_young}, AUROC against the others {text(young['AUROC'])}."
        )
        judged: dict[str, list[str]] = {}
        for row in unusual:
            if row["AUROC"]:
                judged.setdefault(_verdict(row), []).append(f"{row['unusual']} ({row['AUROC'][0]:.2f})")
        findings += [
            f"{modality.value}: the score {verdict} (AUROC): {', '.join(told)}."
            for verdict, told in judged.items()
        ]
    return findings


def _verdict(row: Mapping[str, Any]) -> str:
    if row["n"] < FEWEST:
        return "was tried on too few people to say whether it tells"
    return "tells" if row["AUROC"][1] > CHANCE else "does not tell"


def _charts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "kind": "forest",
            "title": f"What the score of unusual sources tells, {modality.value}",
            "caption": "AUROC of sources with something unusual against those without; 0.5 is chance.",
            "data": {
                "x_label": "AUROC",
                "reference": CHANCE,
                "series": {r["unusual"]: r["AUROC"] for r in rows if r["source"] == modality and r["AUROC"]},
            },
        }
        for modality in Modality
    ]
