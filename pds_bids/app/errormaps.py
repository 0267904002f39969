"""Where the errors lie: the mean absolute error in every voxel over those who were scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pds_bids.app.baselines import TEMPLATE, unfitted_baselines
from pds_bids.app.experiments.kept import Arrays, kept
from pds_bids.app.methods import MAIN, MAIN_ROWS, Array, Case, Contestant, network
from pds_bids.app.provenance import fingerprint
from pds_bids.app.scoring import Subjects
from pds_bids.bids.naming import slug
from pds_bids.bids.writing import write_volume
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint

PERCENT = 100
"""Errors are in units of the brain's median; images hold whole percents of it."""

DARKEST, BRIGHTEST = 0.0, 60.0
"""Percents at the ends of the colour map, the same in every chart: charts can be compared."""

LEAST_SHARE = 0.5
"""Of the visits that have to reach a voxel, or it tells of few people and is left out."""


def write_error_maps(test: Subjects, checkpoint: Checkpoint, out: Path, folder: Path) -> list[dict[str, Any]]:
    """Write an image of the main method and one of the template for each direction; return a chart of each.

    Parameters
    ----------
    out
        Results beside which the images lie, in a folder of that name.
    folder
        Where the errors of each visit are kept.
    """
    charts = []
    for index, target in enumerate(Modality):
        images = {}
        for row, errors in _mean_errors(test, index, checkpoint, folder).items():
            images[row] = f"{out.stem}/errors-{target}-{slug(row)}.nii.gz"
            volume = Volume(
                np.minimum(PERCENT * errors, np.iinfo(np.uint8).max), MODEL_GRID.affine, MODEL_SPACE
            )
            told = f"mean absolute error in percent of the brain's median, {row}"
            write_volume(out.parent / images[row], volume, description=told, dtype=np.uint8)
        charts.append(_chart(target, images, len(test)))
    return charts


def _chart(target: Modality, images: Mapping[str, str], n: int) -> dict[str, Any]:
    return {
        "kind": "slices",
        "title": f"Where the errors lie, {target.full_name}",
        "caption": f"Mean absolute error over {n} visits, in percent of the brain's median intensity.",
        "data": {
            "images": dict(images),
            "quantity": "error, % of the brain's median",
            "window": [DARKEST, BRIGHTEST],
        },
    }


def _mean_errors(test: Subjects, target: int, checkpoint: Checkpoint, folder: Path) -> dict[str, Array]:
    """(X, Y, Z) of each row, 0 where too few visits reach."""
    contestants = unfitted_baselines(checkpoint.model), network(checkpoint.model, {MAIN: MAIN_ROWS[MAIN]})
    place = folder / f"errors-{fingerprint([checkpoint.sha256, MAIN_ROWS[MAIN]])}"
    total: dict[str, Array] = {row: np.zeros(MODEL_GRID.shape) for row in (TEMPLATE, MAIN)}
    reached = np.zeros(MODEL_GRID.shape)
    for errors in _errors(test, target, contestants, place):
        reached += errors["reached"]
        for row in total:
            total[row] += errors[row]
    enough = reached >= max(1, LEAST_SHARE * len(test))
    return {row: np.where(enough, errors / np.maximum(reached, 1), 0) for row, errors in total.items()}


def _errors(
    test: Subjects, target: int, contestants: tuple[Contestant, ...], place: Path
) -> Iterator[Arrays]:
    for row in range(len(test)):
        make = partial(_of_visit, test, row, target, contestants)
        yield kept(place / f"{row:04d}-{list(Modality)[target]}.npz", make)


def _of_visit(test: Subjects, row: int, target: int, contestants: tuple[Contestant, ...]) -> Arrays:
    case = Case.of(test.pairs, row, target)
    volumes = {name: p.volume for contestant in contestants for name, p in contestant(case).items()}
    errors = {name: np.abs(volumes[name] - case.truth) * case.mask for name in (TEMPLATE, MAIN)}
    return {"reached": case.mask} | {name: error.astype(np.float16) for name, error in errors.items()}
