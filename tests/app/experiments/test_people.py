from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pds_bids.app.experiments.kept import kept
from pds_bids.app.experiments.people import People
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation import pairs
from pds_bids.simulation.atrophy import VolumesNotReached
from pds_bids.simulation.pairs import Pair
from pds_bids.simulation.sites import SITES, Site
from pds_bids.training.data import GROUPS, Covariate


def test_arrays_are_made_once_and_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "below" / "x.npz"
    with pytest.raises(ZeroDivisionError):
        kept(path, lambda: {"a": np.array(1 // 0)})
    assert not path.exists()

    assert kept(path, lambda: {"a": np.arange(3), "b": np.array(2.5)})["b"] == 2.5
    again = kept(path, lambda: {"a": np.array(1 // 0)})

    assert again["a"].tolist() == [0, 1, 2]


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Who was scanned where; a scan is flat, and as bright as the number of its site plus one."""
    log: list[tuple[str, list[str]]] = []

    def simulate(structures, generator, n, *, person, sites: list[Site]) -> list[Pair]:
        names = [site.name for site in sites]
        log.append((person.group.value, names))
        if len(log) == 1:
            raise VolumesNotReached
        flat = torch.ones(MODEL_GRID.shape)
        mask = dict.fromkeys(Modality, flat > 0)
        tissue = torch.zeros(3, *MODEL_GRID.shape)
        images = [
            {
                m: flat.clone().index_fill_(0, torch.tensor([0]), 1.0 + list(SITES).index(name))
                for m in Modality
            }
            for name in names
        ]
        return [Pair(image, image, mask, flat, tissue, structures) for image in images]

    monkeypatch.setattr(pairs, "simulate_pairs", simulate)
    monkeypatch.setattr(
        "pds_bids.app.experiments.kept.aligned_structures",
        lambda path, threads: np.zeros((2, 2, 2), np.uint8),
    )
    return log


@pytest.fixture
def people(tmp_path: Path) -> People:
    maps = {}
    for name in ("a.nii.gz", "b.nii.gz"):
        maps[name] = tmp_path / name
        maps[name].write_bytes(b"labels of " + name.encode())
    return People(maps, 6, ("oasis", "hospital"), False, 3, tmp_path / "work")


def brightest(people: People, rows: list[int]) -> list[float]:
    return people.get(rows).images[:, 0, 0].max(axis=(1, 2, 3)).tolist()


def test_everybody_is_scanned_at_one_site_and_kept(people: People, scanned: list) -> None:
    at = [1.0 + list(SITES).index(visit.site) for visit in people.visits]

    assert brightest(people, [0, 1, 5]) == [at[0], at[1], at[5]]
    assert [group for group, _ in scanned[1:]] == [GROUPS[people.group[k]] for k in (0, 1, 5)]
    calls = len(scanned)  # the first variant of the first person had no room
    assert calls == 4

    fewer = replace(people, n_people=2)
    assert brightest(fewer, [1, 0]) == [at[1], at[0]]
    assert fewer.name == people.name
    assert len(scanned) == calls
    assert replace(people, seed=4).name != people.name


def test_groups_sites_and_anatomies_are_balanced(people: People) -> None:
    assert sorted(people.group.tolist()) == [0, 0, 1, 1, 2, 2]
    assert people.anatomy.tolist() == [0, 1, 0, 1, 0, 1]
    assert sorted(visit.site for visit in people.visits) == ["hospital"] * 3 + ["oasis"] * 3


def test_everybody_may_be_scanned_everywhere(people: People, scanned: list) -> None:
    everywhere = replace(people, everywhere=True)

    assert len(everywhere) == 12
    assert everywhere.person.tolist()[:5] == [0, 0, 1, 1, 2]
    assert brightest(everywhere, [2, 3]) == [1.0, 4.0]
    assert scanned[-1][1] == ["oasis", "hospital"]
    sample = everywhere.get([2, 3])
    assert sample.covariates[:, Covariate.SITE].tolist() == [0, 3]
    assert sample.covariates[0, Covariate.AGE] == sample.covariates[1, Covariate.AGE]
