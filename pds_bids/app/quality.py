"""Quality of a visit's sources in numbers: what each means, where it is kept, and which are unusual."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pds_bids.bids.writing import write_json
from pds_bids.core.modality import Modality
from pds_bids.prep.quality import LIMITS

OUTLYING_SD = 3.5
"""Robust standard deviations from the median beyond which a value is far off (Iglewicz and Hoaglin 1993)."""

LEAST_VISITS = 10
"""Of fewer visits nobody can tell what is usual."""


class Measure(NamedTuple):
    """One number about a source: heading, how it is written, and its meaning."""

    heading: str
    form: str
    meaning: str


MEASURES: Mapping[str, Measure] = {
    "dice": Measure(
        "Overlap of mask and template (Dice)", "{:.3f}", "Dice coefficient of brain mask and template mask"
    ),
    "coverage": Measure(
        "Template brain in the field of view", "{:.0%}", "Share of the template brain in the field of view"
    ),
    "jacobian_min": Measure(
        "Strongest shrinkage by the warp",
        "{:.2f}",
        "Jacobian determinant of SyN in the brain, 0.1 percentile",
    ),
    "jacobian_max": Measure(
        "Strongest stretch by the warp", "{:.2f}", "Jacobian determinant of SyN in the brain, 99.9 percentile"
    ),
    "max_displacement_mm": Measure(
        "Largest head displacement", "{:.2f} mm", "Largest displacement of the head between volumes, in mm"
    ),
    "snr": Measure("Signal to noise", "{:.1f}", "Median of the brain over the noise in it"),
    "outlier_score": Measure(
        "Unlikeness to the training scans",
        "{:.2f}",
        "How unlike the training scans the source is; 1 is usual",
    ),
    "outlier_limit": Measure(
        "Limit of the unlikeness", "{:.2f}", "The score that one calibration scan in twenty exceeds"
    ),
}
"""Each by its name among the facts of preprocessing and of synthesis."""

Qualities = Mapping[Modality, Mapping[str, float]]
"""Measures of each source of a visit."""


def measures(facts: Mapping[str, Any], **more: float) -> dict[str, float]:
    """The measures of one source, in the order of `MEASURES`.

    Parameters
    ----------
    facts
        Of its preprocessing.
    more
        Those of its synthesis, by name.
    """
    known = {**facts, **facts["alignment"], **more}
    return {name: round(float(known[name]), 4) for name in MEASURES if name in known}


def write_qualities(visit: Path, qualities: Qualities) -> Path:
    """Keep the measures of a visit, by its folder in OUTPUT_DIR, for the group level."""
    path = visit / "log" / "quality.json"
    write_json(path, {source.value: dict(values) for source, values in qualities.items()})
    return path


def column(source: Modality, name: str) -> str:
    """Such as `bold_dice`."""
    return f"{source.value}_{name}"


def values_of(visit: Path) -> dict[str, float]:
    """The measures of a visit by column; none where there are none, and a line where they cannot be read."""
    path = visit / "log" / "quality.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {
            column(source, name): float(kept[source.value][name])
            for source in Modality
            for name in MEASURES
            if name in kept.get(source.value, {})
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        print(f"{path}: cannot be read ({error!r}); run this participant again", file=sys.stderr)
        return {}


def columns(visits: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name and meaning of each column that any visit has a value for."""
    told = {
        column(source, name): f"{measure.meaning}: acquired {source.full_name}"
        for source in Modality
        for name, measure in MEASURES.items()
    }
    return {name: meaning for name, meaning in told.items() if any(name in values for values in visits)}


def flags(visits: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Of each visit the columns whose value is beyond its limits, or far from that of the other visits."""
    found: list[list[str]] = [[] for _ in visits]
    for source in Modality:
        for name in MEASURES:
            if name == "outlier_limit":
                continue
            held = [k for k, values in enumerate(visits) if column(source, name) in values]
            values = np.array([visits[k][column(source, name)] for k in held])
            tops = [visits[k].get(column(source, "outlier_limit"), np.inf) for k in held]
            low, high = LIMITS[name][:2] if name in LIMITS else (-np.inf, np.array(tops))
            for k in np.flatnonzero((values < low) | (values > high) | far_off(values)):
                found[held[k]].append(column(source, name))
    return found


def far_off(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(N,) which of some values are outliers among them.

    >>> far_off(np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.1, 0.9, 5.0])).nonzero()[0]
    array([9])
    """
    if len(values) < LEAST_VISITS:
        return np.zeros(len(values), bool)
    distance = np.abs(values - np.median(values))
    return np.asarray(distance > OUTLYING_SD * 1.4826 * max(float(np.median(distance)), 1e-9))
