"""What each metric loses to a reference that lies a little elsewhere, and whether that changes the order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pds_bids.app.experiments.chapter import Answer, Measured, shown, text
from pds_bids.app.experiments.kept import Arrays
from pds_bids.app.experiments.volunteers import PLAIN, Volunteer
from pds_bids.app.measures import measured as metrics_of
from pds_bids.app.methods import MAIN, Case, Prediction, estimate, refined
from pds_bids.core.modality import Modality
from pds_bids.evaluation.comparison import interval
from pds_bids.evaluation.metrics import Array
from pds_bids.evaluation.misalignment import displaced, distortion, rotation, shift
from pds_bids.models.pdsmodel import PdsModel

Move = Callable[[NDArray[np.bool_], np.random.Generator], Array]
"""Brain mask to a displacement in mm, (3, X, Y, Z) or (3, 1, 1, 1)."""

TEMPLATE, ESTIMATE = "population template", "PDM, 1 step"

METHODS = (TEMPLATE, ESTIMATE, MAIN)

SHIFTS_MM = DISTORTIONS_MM = (0.5, 1.0, 2.0)
ROTATIONS_DEG = (1.0, 2.0)


def _shifted(mask: NDArray[np.bool_], random: np.random.Generator, *, mm: float) -> Array:
    return shift(mm, random)


def _turned(mask: NDArray[np.bool_], random: np.random.Generator, *, degrees: float) -> Array:
    return rotation(degrees, mask.shape, random)


def _distorted(mask: NDArray[np.bool_], random: np.random.Generator, *, mm: float) -> Array:
    return distortion(mm, mask, random)


MOVES: Mapping[str, Move] = {
    **{f"shift {mm:g} mm": partial(_shifted, mm=mm) for mm in SHIFTS_MM},
    **{f"rotation {degrees:g} deg": partial(_turned, degrees=degrees) for degrees in ROTATIONS_DEG},
    **{f"distortion {mm:g} mm": partial(_distorted, mm=mm) for mm in DISTORTIONS_MM},
}
"""Of the reference, by name."""

AS_IT_IS = "as it is"


def measure(volunteer: Volunteer) -> Arrays:
    """`values`: (M, W, A, Q) by direction, whereabouts, method and metric, and `names`, (Q,) of the metrics.

    Nothing of those who are not challenged.
    """
    if not volunteer.challenged:
        return {}
    values = []
    for target in range(len(Modality)):
        outputs = volunteer.outputs(PLAIN, target)
        template = Prediction(volunteer.model.templates[target].cpu().numpy())
        predictions = {TEMPLATE: template, ESTIMATE: estimate(outputs), MAIN: refined(outputs)}
        values.append(
            [[metrics_of(predictions[m], case) for m in METHODS] for case in _cases(outputs.case, volunteer)]
        )
    names = list(values[0][0][0])
    numbers = [[[list(found.values()) for found in methods] for methods in cases] for cases in values]
    return {"values": np.array(numbers), "names": np.array(names)}


def _cases(case: Case, volunteer: Volunteer) -> Iterator[Case]:
    """The case with its reference as it is, and in each of `MOVES`; source and mask stay where they are."""
    yield case
    for name, move in MOVES.items():
        moved = displaced(case.truth, move(case.mask, volunteer.random(name))) * case.mask
        images = case.batch.images.clone()
        images[0, case.target] = torch.from_numpy(moved).to(images) - 1
        yield replace(case, batch=case.batch._replace(images=images))


def answer(measured: Measured, model: PdsModel) -> Answer:
    """What each metric loses for the main method and the template, and by how much these differ."""
    names = measured.arrays["names"][0].tolist()
    tables: dict[str, list[dict[str, Any]]] = {}
    charts, findings = [], []
    for target, modality in enumerate(Modality):
        values = measured.arrays["values"][:, target]
        for method in (MAIN, TEMPLATE):
            own = values[:, :, METHODS.index(method)]
            tables[f"{modality.value}, {method}: a misaligned reference changes the metric by"] = [
                {"metric": name, AS_IT_IS: _cell(own[:, 0, q], measured)}
                | {m: _cell(own[:, w, q] - own[:, 0, q], measured) for w, m in enumerate(MOVES, start=1)}
                for q, name in enumerate(names)
                if _depends(own[..., q])
            ]
        rows = _order(values, names, measured)
        tables[f"{modality.value}: {MAIN} less {TEMPLATE}"] = rows
        findings += _findings(modality, rows)
        charts.append(_chart(modality, values[..., names.index("psnr_db")], measured))
    return Answer(findings, tables, charts)


def _depends(values_NW: Array) -> bool:
    """Whether a metric is known, and looks at the reference at all."""
    return bool((np.isfinite(values_NW) & (values_NW != values_NW[:, :1])).any())


def _cell(values: Array, measured: Measured) -> list[float] | None:
    return shown(interval(values, measured.anatomy, measured.seed), 4)


def _order(values_NWAQ: Array, names: Sequence[str], measured: Measured) -> list[dict[str, Any]]:
    """A row for each metric that both methods have."""
    gain = values_NWAQ[:, :, METHODS.index(MAIN)] - values_NWAQ[:, :, METHODS.index(TEMPLATE)]
    return [
        {"metric": name} | {at: _cell(gain[:, w, q], measured) for w, at in enumerate((AS_IT_IS, *MOVES))}
        for q, name in enumerate(names)
        if _depends(gain[..., q])
    ]


def _findings(modality: Modality, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    turned = [
        f"{row['metric']} ({move}: {text(row[AS_IT_IS], 3)} becomes {text(row[move], 3)})"
        for row in rows
        for move in MOVES
        if row[AS_IT_IS][0] * row[move][0] < 0
    ]
    psnr = next(row for row in rows if row["metric"] == "psnr_db")
    worst = min(MOVES, key=lambda move: float(psnr[move][0]))
    return [
        f"{modality.value}: the gain in PSNR of {MAIN} over the {TEMPLATE}, {text(psnr[AS_IT_IS])} dB, is "
        f"{text(psnr[worst])} dB with the reference least well placed ({worst}).",
        f"{modality.value}: the order of the two methods "
        + (f"turns round by {'; '.join(turned)}." if turned else "stays as it is, by every metric."),
    ]


def _chart(modality: Modality, psnr_NWA: Array, measured: Measured) -> dict[str, Any]:
    places = (AS_IT_IS, *MOVES)
    at = [0, *(places.index(f"shift {mm:g} mm") for mm in SHIFTS_MM)]
    series = {method: [_cell(psnr_NWA[:, w, a], measured) for w in at] for a, method in enumerate(METHODS)}
    return {
        "kind": "lines",
        "title": f"PSNR against a shifted reference, {modality.value}",
        "caption": "Inside the source's brain mask, the reference shifted in a random direction.",
        "data": {"x": [0.0, *SHIFTS_MM], "x_label": "shift (mm)", "y_label": "PSNR (dB)", "series": series},
    }
