"""What a checkpoint says about itself, as a page to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pds_bids.core.modality import Modality
from pds_bids.report.tables import simple_table

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint

LICENCE = "Apache-2.0, as pds-bids; THIRD_PARTY.rst names what the training images were made from"

PURPOSE = "Estimates the mean DWI volume of a brain from its mean BOLD volume, and the other way round."

LIMITS = (
    "Research only, never diagnosis: a synthesised volume was not acquired and proves no finding.",
    "Mean volumes of adult brains: no time series, no gradient directions, hence no connectivity or tracts.",
    "Intensities are relative to the brain's median and those of a reference protocol: no measurements.",
    "What a source does not show cannot be known of the target: lesions may be missing, or made up.",
    "What holds on simulated scans need not on real ones: errors are larger there, intervals too narrow.",
    "Intervals and limits hold the shares counted on few calibration anatomies; nothing guarantees them.",
    "Nobody has tested on real scans whether errors differ by sex, ancestry, age or scanner vendor.",
)

BLIND_SPOTS = (
    "A source above its limit brings a warning, as about 5 % of ordinary ones do. One below it may yet",
    "be bad: exchanged sides, lesions of a centimetre and moderate blur hardly change the score.",
)

SCORES = {
    "psnr_db": 2,
    "ssim": 3,
    "mae": 3,
    "sharpness": 2,
    "coverage_90": 3,
    "coverage_90_grey": 3,
    "coverage_90_white": 3,
    "coverage_90_csf": 3,
    "main_gain_psnr_db": 2,
}
"""Columns of the table of scores, where the evaluation has them, and their decimal places."""

TOLD_ELSEWHERE = (
    *("version", "training_data", "split", "subjects", "preset", "software", "intended_use"),
    *("intensity", "data_range", "calibration", "outlier_limits", "metrics"),
)
"""Entries of a card that a section of the page is about; the others are listed as they are."""


def text(model: str) -> str:
    """The model card of a bundled model or a file, in reStructuredText.

    Raises
    ------
    UsageError
        If there is no such model.
    """
    from pds_bids.models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model)
    card = checkpoint.card
    sections = {
        "File": _file(checkpoint),
        "Use": [PURPOSE, "", f"Intended use: {card.get('intended_use', 'not stated')}."],
        "Limits of use": [f"- {limit}" for limit in LIMITS],
        "Intensities": [f"Inputs and outputs are {card.get('intensity', 'of unknown scale')}."],
        "Training data": _data(card),
        "Recipe": list(_recipe(card)),
        "Scores": _scores(card.get("metrics", [])),
        "Uncertainty": _uncertainty(card.get("calibration", {})),
        "Unusual sources": _limits(card.get("outlier_limits", {})),
        "Software": [f"- {name} {version}" for name, version in card.get("software", {}).items()],
    }
    title = f"Model card: {checkpoint.name}"
    pages = [_titled(title, "=", []), *(_titled(name, "-", lines) for name, lines in sections.items())]
    return "\n".join(pages)


def _titled(title: str, underline: str, lines: Sequence[str]) -> str:
    return "\n".join([title, underline * len(title), "", *lines, *([""] if lines else [])])


def _file(checkpoint: Checkpoint) -> list[str]:
    from pds_bids.models.pdsmodel import count_parameters

    sizes = {name: count_parameters(network) for name, network in checkpoint.model.named_children()}
    networks = ", ".join(f"{name} {n:,}" for name, n in sizes.items() if n)
    return [
        f"- SHA-256: {checkpoint.sha256}",
        f"- Made by: pds-bids {checkpoint.card.get('version', 'unknown')}",
        f"- Learnt values: {networks}; stored in half precision (safetensors)",
        f"- Licence: {LICENCE}",
    ]


def _data(card: Mapping[str, Any]) -> list[str]:
    anatomies = {part: ", ".join(names) for part, names in card.get("split", {}).items()}
    people = {part: f"{n} people" for part, n in card.get("subjects", {}).items()}
    parts = [f"- {part}: {members}" for part, members in (anatomies | people).items()]
    return [f"{card.get('training_data', 'unknown')}.", "", "Split before training:", "", *parts]


def _recipe(card: Mapping[str, Any]) -> Iterator[str]:
    for name, value in card.items():
        if name not in TOLD_ELSEWHERE:
            yield f"- {name}: {'; '.join(map(str, value)) if isinstance(value, list) else value}"
    for table, values in _tables(card.get("preset", {})):
        yield f"- [{table}] " + ", ".join(f"{name} = {value}" for name, value in values.items())


def _tables(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Tables of a preset by their full name, outermost first."""
    for name, table in tables.items():
        if isinstance(table, Mapping):
            values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
            if values:
                yield f"{above}{name}", values
            yield from _tables(table, f"{above}{name}.")


def _scores(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return ["None are in this file; `pds-model evaluate` makes them."]
    columns = [name for name in SCORES if any(row.get(name) for row in rows)]
    table = [["target", "method", "n", *columns]]
    table += [
        [
            row["target"],
            row["method"],
            str(row["n"]),
            *(interval_text(row.get(c), SCORES[c]) for c in columns),
        ]
        for row in rows
    ]
    return [
        "On scans simulated from the test anatomies, inside the source's brain mask, with a data range of 2:",
        "mean [95 % interval; anatomies were resampled first, then subjects].",
        "",
        *simple_table(table),
    ]


def interval_text(value: Sequence[float] | None, digits: int) -> str:
    """`mean [low, high]`, or n/a."""
    if value is None:
        return "n/a"
    mean, low, high = (f"{number:.{digits}f}" for number in value)
    return f"{mean} [{low}, {high}]"


def _uncertainty(factors: Mapping[str, Mapping[str, float]]) -> list[str]:
    if not factors:
        return ["Not calibrated."]
    tissues = list(dict.fromkeys(tissue for by_tissue in factors.values() for tissue in by_tissue))
    rows = [[name, *(f"{by.get(t, float('nan')):.2f}" for t in tissues)] for name, by in factors.items()]
    return [
        "Each volume comes with the standard deviation of its error: the scale the refiner predicts, times",
        "these factors, mixed by the tissues seen in the source. On calibration subjects about 80 % of the",
        "errors are within 1.28 and 90 % within 1.64 standard deviations, in each tissue.",
        "",
        *simple_table([["target", *tissues], *rows]),
    ]


def _limits(limits: Mapping[str, float]) -> list[str]:
    if not limits:
        return ["This model has no score of them: nothing warns."]
    rows = [[Modality(name).full_name, f"{limit:.2f}"] for name, limit in limits.items()]
    return [*simple_table([["source", "limit"], *rows]), "", *BLIND_SPOTS]
