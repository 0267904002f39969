from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pds_bids.app import reduction
from pds_bids.app.experiments import temporal
from pds_bids.app.experiments.temporal import HALVES, INTERLEAVED, MEASURES
from pds_bids.bids.sources import Series
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.prep import source


def rows(by_count: dict[int, float]) -> list[dict]:
    """Two visits whose synthesised volumes differ by so much."""
    compared = {HALVES: (20, 0.3), INTERLEAVED: (20, 0.1)}
    compared |= {f"first {n} against all": (n, rms) for n, rms in by_count.items()}
    found = {
        "comparison": np.array(list(compared)),
        "n_volumes": np.array([n for n, _ in compared.values()]),
        "measures": np.array([[0.2, rms, 0.9, 0.95] for _, rms in compared.values()]),
    }
    return [r for visit in ("sub-01", "sub-02") for r in temporal._rows(visit, Modality.BOLD, found)]


def test_as_many_volumes_are_enough_as_come_as_near_as_odd_to_even_ones() -> None:
    three = rows({5: 0.2, 10: 0.09, 20: 0.05})
    means = list(temporal._means(three, seed=0))

    assert [row["n"] for row in means] == [2] * 5
    *repeatable, enough = temporal._findings(three, means)
    assert "the first 10 volumes are enough (n = 2)" in enough
    assert "by 0.300 [0.300, 0.300], correlation 0.950" in repeatable[0]
    assert "no number" in temporal._enough(Modality.BOLD, rows({5: 0.2}))


def test_few_volumes_are_held_against_odd_and_even_ones_of_the_same_visits() -> None:
    long, short = rows({5: 0.2})[:3], rows({})[2:]
    short = [row | {"synthesised_rms": 0.9} for row in short]

    assert "no number" in temporal._enough(Modality.BOLD, [*long, *short])


def test_a_line_a_visit() -> None:
    (chart,) = temporal._charts(rows({5: 0.2, 10: 0.09}))

    assert chart["data"]["x"] == [5, 10]
    assert chart["data"]["series"] == {"sub-01": [0.2, 0.09], "sub-02": [0.2, 0.09]}


def test_differences_are_counted_in_the_mask_only() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros((6, 6, 6), bool)
    mask[1:5, 1:5, 1:5] = True
    first = random.random(mask.shape)
    second = np.where(mask, first + 0.1, 9)

    found = dict(zip(MEASURES, temporal._difference((first, first), (second, first), mask), strict=True))

    np.testing.assert_allclose(found["source_rms"], 0.1)
    np.testing.assert_allclose(found["source_correlation"], 1)
    assert found["synthesised_rms"] == 0


def test_parts_of_a_series_that_drifts_are_held_against_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Volume k of twelve is an image plus k: parts differ by the difference of their mean k."""
    image = np.random.default_rng(0).normal(size=(4, 4, 4))
    prepared = SimpleNamespace(model_mask=Volume(np.ones(image.shape, np.float32), np.eye(4)))

    def volumes(chosen: list[int], *_: object) -> temporal.Volumes:
        return image + np.mean(chosen), image

    monkeypatch.setitem(reduction.REDUCE, Modality.DWI, lambda _, __, choose: choose(list(range(12))))
    monkeypatch.setattr(source, "prepare", lambda *_, **__: prepared)
    monkeypatch.setattr(temporal, "_made", volumes)

    found = temporal._compared(Series(Modality.DWI, Path("dwi"), 12, {}, {}), None, None, 1)

    assert found["comparison"].tolist() == [HALVES, INTERLEAVED, *(f"first {n} against all" for n in (5, 10))]
    assert found["n_volumes"].tolist() == [6, 6, 5, 10]
    apart = [6, 1, 5.5 - 2, 5.5 - 4.5]
    np.testing.assert_allclose(found["measures"], [[rms, 0, 1, 1] for rms in apart], atol=1e-12)
