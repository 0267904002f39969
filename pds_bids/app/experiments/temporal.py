"""`pds-model experiment temporal`: what is synthesised from parts of a series; how many volumes do.

Every part is reduced by itself, and carried to model space by the registration of the whole. Of many volumes
the reduction takes at most `MAX_VOLUMES`, evenly spaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.kept import Arrays, kept
from pds_bids.app.experiments.setting import Result, Setting, write_result
from pds_bids.app.modelcard import interval_text
from pds_bids.app.provenance import fingerprint
from pds_bids.bids.inventory import inventory
from pds_bids.bids.sources import Series, select_series, select_t1w
from pds_bids.core.config import PrepConfig, Selection, SynthesisConfig
from pds_bids.core.errors import ParticipantError, UsageError
from pds_bids.core.modality import Modality

if TYPE_CHECKING:
    from pds_bids.prep.reduced import Reduced
    from pds_bids.prep.source import Prepared
    from pds_bids.synthesis.pipeline import Synthesiser

COUNTS = (5, 10, 20, 50, 100, 200)
"""Volumes at the beginning of a series."""

HALVES, INTERLEAVED = "first against second half", "odd against even volumes"

MEASURES = ("source_rms", "synthesised_rms", "source_correlation", "synthesised_correlation")
"""Of a comparison: root mean square difference in relative units, and correlation, both in the mask."""

Volumes = tuple[NDArray[np.floating], NDArray[np.floating]]
"""(X, Y, Z) source and what is synthesised from it, in relative units."""


@dataclass(frozen=True)
class Plan:
    """Whose series are taken apart: all of a BIDS dataset."""

    bids_dir: Path


def run(plan: Plan, setting: Setting) -> int:
    """Write how far apart what is synthesised from parts of a series lies.

    A series that cannot be used is told of and left out.

    Raises
    ------
    UsageError
        If none can be used.
    """
    from pds_bids.synthesis.pipeline import Synthesiser

    threads = len(os.sched_getaffinity(0))
    synthesiser = Synthesiser.load(SynthesisConfig(setting.model, device=setting.device, threads=threads))
    rows: list[dict[str, Any]] = []
    for visit in inventory(plan.bids_dir, Selection()):
        for modality in sorted(visit.acquired):
            try:
                series = select_series(plan.bids_dir, visit, modality)
                t1w = select_t1w(plan.bids_dir, visit)
                path = setting.folder / f"temporal-{_stamp(series, t1w, synthesiser)}.npz"
                found = kept(path, partial(_compared, series, t1w, synthesiser, threads))
            except ParticipantError as error:
                print(f"left out: {error}", flush=True)
                continue
            rows += _rows(visit.label, modality, found)
            print(f"{visit.label}: {modality.full_name}", flush=True)
    if not rows:
        raise UsageError(f"{plan.bids_dir}: no series can be used")
    means = list(_means(rows, setting.seed))
    result = Result(
        "temporal",
        "Does it matter which volumes of a series the synthesis starts from, and how many?",
        list(_findings(rows, means)),
        {"Means over series": means, "Every series": rows},
        list(_charts(rows)),
    )
    write_result(result, plan, setting, synthesiser.checkpoint)
    return 0


def _stamp(series: Series, t1w: Path | None, synthesiser: Synthesiser) -> str:
    files = [*series.files, *([t1w] if t1w else [])]
    stamps = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    what = fingerprint([stamps, synthesiser.checkpoint.sha256, COUNTS])
    return f"{series.path.name.partition('.')[0]}-{what}"


def _compared(series: Series, t1w: Path | None, synthesiser: Synthesiser, threads: int) -> Arrays:
    """Comparisons of one series: their names, how many volumes each is about, and (k, 4) `MEASURES`."""
    from pds_bids.app.reduction import reduce_series
    from pds_bids.prep.source import prepare

    config = PrepConfig(threads=threads)
    usable: list[int] = []

    def whole(volumes: list[int]) -> list[int]:
        usable[:] = volumes
        return volumes

    reduced = reduce_series(series, config, whole)
    prepared = prepare(reduced, t1w, Path(), config, warp=False)

    def made(volumes: list[int]) -> Volumes:
        part = reduce_series(series, config, lambda _: volumes)
        return _made(part, prepared, series.modality, synthesiser)

    half, everything = len(usable) // 2, _made(reduced, prepared, series.modality, synthesiser)
    compared = {
        HALVES: (half, made(usable[:half]), made(usable[half:])),
        INTERLEAVED: (half, made(usable[::2]), made(usable[1::2])),
    }
    compared |= {
        f"first {n} against all": (n, made(usable[:n]), everything) for n in COUNTS if n < len(usable)
    }
    mask = prepared.model_mask.data > 0
    return {
        "comparison": np.array(list(compared)),
        "n_volumes": np.array([n for n, *_ in compared.values()]),
        "measures": np.array([_difference(a, b, mask) for _, a, b in compared.values()]),
    }


def _made(reduced: Reduced, prepared: Prepared, modality: Modality, synthesiser: Synthesiser) -> Volumes:
    """A mean in the model space of the whole series, and what is synthesised from it."""
    from pds_bids.prep.intensity import IntensityScale
    from pds_bids.prep.orientation import canonical
    from pds_bids.prep.registration import to_model

    mask = prepared.model_mask
    moved = to_model(canonical(reduced.volume), prepared.alignment, "bspline")
    model = mask.like(moved.data.clip(0) * mask.data)
    scale = IntensityScale.fit(model, mask)
    t1w = IntensityScale.fit(prepared.t1w, mask).apply(prepared.t1w) if prepared.t1w else None
    synthesised = synthesiser.synthesise(
        scale.apply(model), mask, modality.other, SynthesisConfig(), seed=0, t1w=t1w
    )
    return scale.relative(model).data, synthesised.volume.data


def _difference(first: Volumes, second: Volumes, mask: NDArray[np.bool_]) -> tuple[float, ...]:
    """In the order of `MEASURES`."""
    inside = [(a[mask].astype(float), b[mask].astype(float)) for a, b in zip(first, second, strict=True)]
    rms = [float(np.sqrt(np.mean((a - b) ** 2))) for a, b in inside]
    return *rms, *(float(np.corrcoef(a, b)[0, 1]) for a, b in inside)


def _rows(visit: str, modality: Modality, found: Arrays) -> Iterator[dict[str, Any]]:
    columns = (found[name].tolist() for name in ("comparison", "n_volumes", "measures"))
    for comparison, n, measures in zip(*columns, strict=True):
        row = {"visit": visit, "source": modality.value, "comparison": comparison, "n_volumes": n}
        yield row | {name: round(value, 4) for name, value in zip(MEASURES, measures, strict=True)}


def _means(rows: Sequence[dict[str, Any]], seed: int) -> Iterator[dict[str, Any]]:
    """Per source and comparison, with intervals over visits."""
    from pds_bids.evaluation.comparison import interval

    for source, comparison in dict.fromkeys((row["source"], row["comparison"]) for row in rows):
        own = [row for row in rows if (row["source"], row["comparison"]) == (source, comparison)]
        columns = {name: np.array([row[name] for row in own]) for name in MEASURES}
        intervals = {name: interval(v, np.arange(len(own)), seed) for name, v in columns.items()}
        yield {"source": source, "comparison": comparison, "n": len(own)} | intervals


def _findings(rows: Sequence[dict[str, Any]], means: Sequence[dict[str, Any]]) -> Iterator[str]:
    """How repeatable the synthesis is, and the fewest volumes that are as good as all."""
    for modality in Modality:
        own = {row["comparison"]: row for row in means if row["source"] == modality.value}
        if not own:
            continue
        for comparison in (HALVES, INTERLEAVED):
            row = own[comparison]
            yield (
                f"{modality.full_name}, {comparison} (n = {row['n']}): the source differs by "
                f"{interval_text(row['source_rms'], 3)} RMS, what is synthesised from it by "
                f"{interval_text(row['synthesised_rms'], 3)}, correlation "
                f"{interval_text(row['synthesised_correlation'], 3)}."
            )
        yield _enough(modality, [row for row in rows if row["source"] == modality.value])


def _enough(modality: Modality, rows: Sequence[dict[str, Any]]) -> str:
    """From so many volumes synthesis comes, in every visit, as near to that from all as odd to even ones.

    An easy test for long series: the few are among all, odd and even ones share none.
    """
    rms = {(row["visit"], row["comparison"]): row["synthesised_rms"] for row in rows}
    for comparison in dict.fromkeys(row["comparison"] for row in rows):
        visits = [visit for visit, other in rms if other == comparison]
        near = [rms[visit, comparison] <= rms[visit, INTERLEAVED] for visit in visits]
        if comparison not in (HALVES, INTERLEAVED) and all(near):
            few = comparison.partition(" against")[0]
            return (
                f"{modality.full_name}: the {few} volumes are enough (n = {len(visits)}): in every visit, "
                f"what is made of them differs from that of all by no more than odd from even volumes."
            )
    return f"{modality.full_name}: no number of volumes came, in every visit, as near to all as odd to even."


def _charts(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for modality in Modality:
        first = [r for r in rows if r["source"] == modality.value and r["comparison"].endswith("against all")]
        counts = sorted({row["n_volumes"] for row in first})
        visits = dict.fromkeys(row["visit"] for row in first)
        if not counts:
            continue
        cells = {(row["visit"], row["n_volumes"]): row["synthesised_rms"] for row in first}
        yield {
            "kind": "lines",
            "title": f"How many volumes are enough: {modality.full_name}",
            "caption": "Difference of what is synthesised from the first volumes and from all of them.",
            "data": {
                "x": counts,
                "x_label": "volumes",
                "y_label": "RMS difference, relative units",
                "series": {visit: [cells.get((visit, n)) for n in counts] for visit in visits},
            },
        }
