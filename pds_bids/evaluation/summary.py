"""A comparison as a reader meets it: sentences, tables and charts from the scores of all subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pds_bids.core.modality import Modality
from pds_bids.evaluation.comparison import Interval, Score, interval, mean_or_nan

TABLES: Mapping[str, tuple[str, ...]] = {
    "How close": ("psnr_db", "ssim", "mae", "nmi", "sharpness", "psnr_whole_db", "brain_fraction"),
    "What the main method gains": (
        "main_gain_psnr_db",
        "main_p_psnr_db",
        "main_gain_sharpness",
        "main_p_sharpness",
    ),
    "Mean absolute error by tissue and region": (
        "mae",
        "mae_grey",
        "mae_white",
        "mae_csf",
        "mae_rois",
        "mae_limbic",
        "mae_subcortical",
        "mae_ventricular",
    ),
    "Coverage of the uncertainty": tuple(
        f"coverage_{level}{at}" for level in (50, 80, 90) for at in ("", "_grey", "_white", "_csf")
    ),
    "What the uncertainty is worth": (
        "crps",
        "crps_draws",
        "ause",
        "spread_skill_slope",
        "spread_skill_ratio",
    ),
}
"""Columns of each table; rows without any of them are left out."""

GROUP_METRICS = ("coverage_50", "coverage_80", "coverage_90", "psnr_db", "mae_rois")

Row = dict[str, Any]


def tables(rows: Sequence[Row], scores: Sequence[Score], seed: int) -> dict[str, list[Row]]:
    """`TABLES` of the rows that `compare` made, and one by diagnosis where any is known."""
    found = {
        title: [
            {name: row[name] for name in ("target", "method", "n", *columns)}
            for row in rows
            if any(row[name] is not None for name in columns)
        ]
        for title, columns in TABLES.items()
    }
    return {title: table for title, table in (found | _by_group(scores, seed)).items() if table}


def _by_group(scores: Sequence[Score], seed: int) -> dict[str, list[Row]]:
    told = [score for score in scores if not np.isnan(score.metrics["coverage_90"])]
    groups = sorted({score.group for score in told})
    if groups == ["unknown"]:
        return {}
    table = []
    for target, method in dict.fromkeys((score.target, score.method) for score in told):
        for group in groups:
            own = [s for s in told if (s.target, s.method, s.group) == (target, method, group)]
            anatomy = np.array([s.anatomy for s in own])
            values = {name: np.array([s.metrics[name] for s in own]) for name in GROUP_METRICS}
            intervals = {name: interval(v, anatomy, seed) for name, v in values.items()}
            table.append({"target": target, "method": method, "group": group, "n": len(own), **intervals})
    return {"By diagnosis": table}


def findings(rows: Sequence[Row], main: str) -> list[str]:
    """What the paired differences say, and what not: there is one where the interval excludes 0."""
    sentences = []
    for row in rows:
        name, n = Modality(row["target"]).full_name, row["n"]
        if row["method"] != main:
            sentences.append(f"{name}: {_gain(main, row['method'], row['main_gain_psnr_db'])} (n = {n}).")
        elif (covered := row["coverage_90"]) is not None:
            honest = "compatible with" if covered.low <= 0.9 <= covered.high else "not"
            sentences.append(
                f"{name}: the 90 % interval of {main} holds {100 * covered.mean:.1f} % of the errors "
                f"[{100 * covered.low:.1f}, {100 * covered.high:.1f}], {honest} what it promises (n = {n})."
            )
    return sentences


def _gain(main: str, rival: str, gain: Interval | None) -> str:
    if gain is None:
        return f"{main} and {rival} cannot be compared"
    size = f"{gain.mean:+.2f} dB [{gain.low:.2f}, {gain.high:.2f}]"
    if gain.low > 0 or gain.high < 0:
        return f"{main} is {'better' if gain.low > 0 else 'worse'} than {rival}, {size}"
    return f"no difference between {main} and {rival} is shown, {size}"


def charts(
    rows: Sequence[Row], scores: Sequence[Score], main: str, nominal: Sequence[float]
) -> list[dict[str, Any]]:
    """Gains, agreement by ROI, calibration and sparsification, of each direction.

    Parameters
    ----------
    nominal
        Probabilities at which the curve `covered` of each score was taken.
    """
    made = []
    for target in dict.fromkeys(score.target for score in scores):
        name = Modality(target).full_name
        curves = _mean_curves([score for score in scores if score.target == target])
        made.append(_forest([row for row in rows if row["target"] == target], main, name))
        made.append(_bland_altman(curves[main], main, name))
        unsure = {method: own for method, own in curves.items() if "covered" in own}
        if unsure:
            made += [_calibration(unsure, nominal, name), _sparsification(unsure, name)]
    return made


def _mean_curves(scores: Sequence[Score]) -> dict[str, dict[str, list[float]]]:
    """Of each method the mean over subjects, by the name of the curve."""
    by_method: dict[str, list[Score]] = {}
    for score in scores:
        by_method.setdefault(score.method, []).append(score)
    return {
        method: {name: mean_or_nan([s.curves[name] for s in own]).round(4).tolist() for name in own[0].curves}
        for method, own in by_method.items()
    }


def _chart(kind: str, title: str, caption: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "title": title, "caption": caption, "data": data}


def _forest(rows: Sequence[Row], main: str, name: str) -> dict[str, Any]:
    gains = {row["method"]: row["main_gain_psnr_db"] for row in rows if row["method"] != main}
    return _chart(
        "forest",
        f"What {main} gains, {name}",
        "Paired differences in PSNR, subject by subject, with 95 % intervals: right of 0 it is better.",
        x_label="gain in PSNR (dB)",
        reference=0,
        series={method: gain for method, gain in gains.items() if gain is not None},
    )


def _bland_altman(curves: Mapping[str, Sequence[float]], main: str, name: str) -> dict[str, Any]:
    truth, predicted = np.array(curves["roi_truth"]), np.array(curves["roi_predicted"])
    held = np.isfinite(truth)
    mean, difference = ((truth + predicted) / 2)[held], (predicted - truth)[held]
    points = {"mean": mean.round(4).tolist(), "difference": difference.round(4).tolist()}
    return _chart(
        "bland-altman",
        f"Agreement by ROI, {name}",
        "A point a ROI: means over subjects of what was synthesised and what was acquired, their mean and "
        "difference. A slope is a contrast that comes out too low.",
        series={main: points},
        unit="relative to the brain's median",
    )


def _calibration(
    curves: Mapping[str, Mapping[str, Sequence[float]]], nominal: Sequence[float], name: str
) -> dict[str, Any]:
    return _chart(
        "calibration",
        f"Calibration, {name}",
        "Share of the errors inside central intervals of the probability that they promise.",
        nominal=list(nominal),
        series={method: own["covered"] for method, own in curves.items()},
    )


def _sparsification(curves: Mapping[str, Mapping[str, Sequence[float]]], name: str) -> dict[str, Any]:
    n = len(next(iter(curves.values()))["by_sd"])
    return _chart(
        "sparsification",
        f"Sparsification, {name}",
        "Mean absolute error, over that of all voxels, once the least certain ones are taken away; at best "
        "the largest errors would go first.",
        fraction=(np.arange(n) / n).round(4).tolist(),
        series={method: own["by_sd"] for method, own in curves.items()},
        oracle={method: own["by_error"] for method, own in curves.items()},
    )
