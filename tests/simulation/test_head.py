from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, Structure
from pds_bids.simulation.disease import Condition, Person, condition, draw_person
from pds_bids.simulation.effects import Group, Measure, affected_regions
from pds_bids.simulation.head import (
    FIELD_PEAK_HZ,
    MAXIMAL_FA,
    SCALED,
    Head,
    aged_anatomy,
    build_head,
    build_tissue,
    regional_means,
    static_field,
    tissue_maps,
)
from pds_bids.simulation.physics import gre_signal, tissue_properties
from pds_bids.simulation.regions import Region

pytestmark = pytest.mark.slow

ELLIPSOIDS = [  # (x, y, z) centre and semi-axes in mm, mirrored
    (Structure.CSF, (9.0, -12.0, 16.0), (6.0, 26.0, 8.0)),
    (Structure.HIPPOCAMPUS, (27.0, -22.0, -16.0), (7.0, 16.0, 7.0)),
    (Structure.CALLOSUM, (0.0, -36.0, 14.0), (5.0, 6.0, 5.0)),
]


@pytest.fixture(scope="module")
def brain(phantom) -> Tensor:
    """The phantom with the structures that disease changes, about where they are."""
    mm = torch.stack(
        torch.meshgrid(
            *(torch.arange(n) + o for n, o in zip(FINE_SHAPE, FINE_ORIGIN_MM, strict=True)), indexing="ij"
        ),
        dim=-1,
    )
    mm[..., 0].abs_()
    anatomy = torch.where(phantom == Structure.CSF, int(Structure.WHITE), phantom).to(torch.uint8)
    for structure, centre, axes in ELLIPSOIDS:
        inside = ((mm - torch.tensor(centre)) / torch.tensor(axes)).norm(dim=-1) < 1
        anatomy[inside] = int(structure)
    return anatomy


@pytest.fixture(scope="module")
def patient() -> Person:
    return replace(draw_person(Group.AD, torch.Generator().manual_seed(1)), age=75.0)


@pytest.fixture(scope="module")
def head(brain, patient) -> Head:
    return build_head(brain, patient, years=0, seed=5)


def unchanged() -> Condition:
    """Nobody's condition: every factor one."""
    ones = {m.value: dict.fromkeys(affected_regions(m), 1.0) for m in Measure}
    return Condition(age=50, **ones)


def volumes(regions: Tensor) -> Tensor:
    return torch.bincount(regions.flatten(), minlength=len(Region)).double()


def test_regions_have_the_volumes_of_the_condition(brain, patient):
    """Against the same subject without disease: the hippocampus really loses what was asked for."""
    healthy = condition(replace(patient, group=Group.NC))
    diseased = condition(patient)

    before, after = (
        volumes(aged_anatomy(brain, today, torch.Generator().manual_seed(5))[1])
        for today in (healthy, diseased)
    )

    for region in (Region.HIPPOCAMPUS, Region.VENTRICLES):
        asked = diseased.volume[region] / healthy.volume[region]
        assert float(after[region] / before[region]) == pytest.approx(asked, rel=0.01)
    assert after[Region.HIPPOCAMPUS] < 0.9 * before[Region.HIPPOCAMPUS]


def test_structures_go_where_their_regions_go(head):
    in_hippocampus = head.structures[head.regions == Region.HIPPOCAMPUS]

    assert (in_hippocampus == Structure.HIPPOCAMPUS).all()
    assert (head.structures[head.regions == Region.VENTRICLES] == Structure.CSF).all()


def test_a_head_is_whole(head):
    assert head.structures.shape == head.regions.shape == FINE_SHAPE
    assert head.structures.dtype == head.regions.dtype == torch.uint8
    for field in fields(head.tissue):
        values = getattr(head.tissue, field.name)
        assert values.shape == FINE_SHAPE
        assert values.dtype == torch.float32
        assert values.isfinite().all()
    assert head.fibres.shape == (3, *MODEL_GRID.shape)
    assert head.field_hz.shape == MODEL_GRID.shape
    assert gre_signal(head.tissue, 3000, 30, 90).shape == FINE_SHAPE


def test_a_head_follows_from_its_seed_and_condition(head, brain, patient):
    same = build_head(brain, patient, years=0, seed=5)

    for name in ("structures", "regions", "fibres", "field_hz"):
        assert torch.equal(getattr(same, name), getattr(head, name))
    for field in fields(head.tissue):
        assert torch.equal(getattr(same.tissue, field.name), getattr(head.tissue, field.name))


def test_sessions_of_a_subject_share_one_anatomy(head, brain, patient):
    later, other = (build_tissue(brain, patient, years, seed)[0] for years, seed in ((3, 5), (0, 6)))

    moved, different = ((s != head.structures).float().mean() for s in (later, other))
    assert 0 < moved < 0.2 * different


def test_the_tissue_of_an_unchanged_head_is_the_table_with_one_deviation_per_structure(brain):
    regions = torch.full(FINE_SHAPE, int(Region.OTHER_WHITE), dtype=torch.uint8)
    table, deviating = tissue_properties(), tissue_properties(torch.Generator().manual_seed(2))

    maps = tissue_maps(brain, regions, unchanged(), torch.Generator().manual_seed(2))

    for structure in (Structure.CORTEX, Structure.WHITE, Structure.HIPPOCAMPUS):
        here = brain == structure
        for name in ("pd", "t1", "t2", "t2_star"):
            assert (getattr(maps, name)[here] == getattr(deviating, name)[structure]).all()
        for name in ("md", "fa"):
            assert (getattr(maps, name)[here] == getattr(table, name)[structure]).all()


def slabs(*parts: Region) -> Tensor:
    """(160, 192, 176) regions in slabs of equal thickness from left to right."""
    each = torch.tensor(parts, dtype=torch.uint8).repeat_interleave(FINE_SHAPE[0] // len(parts))
    return each[:, None, None].expand(FINE_SHAPE).contiguous()


@pytest.mark.parametrize("name", SCALED)
def test_a_condition_scales_its_regions(name):
    """Exactly in the mean, smoothly from one to the next, and fluid not at all."""
    white = torch.full(FINE_SHAPE, int(Structure.WHITE), dtype=torch.uint8)
    parts = (Region.OTHER_WHITE, Region.TEMPORAL, Region.VENTRICLES, Region.PARIETAL)
    regions = slabs(*parts)
    factors = {Region.TEMPORAL: 1.1, Region.PARIETAL: 0.9}
    before, after = (
        getattr(tissue_maps(white, regions, today, torch.Generator().manual_seed(0)), name)
        for today in (unchanged(), replace(unchanged(), **{name: factors}))
    )
    ratio = after / before

    for part in parts:
        assert float(ratio[regions == part].mean()) == pytest.approx(factors.get(part, 1.0), abs=1e-5)
    along_x = ratio[:, 90, 80]
    assert along_x[38:42].diff().abs().max() < 0.03  # of a difference of 0.1 across the border
    assert along_x[60] == pytest.approx(1.1, abs=0.01)
    assert (ratio[regions == Region.VENTRICLES] == 1).all()


def test_fa_stays_below_one():
    callosum = torch.full(FINE_SHAPE, int(Structure.CALLOSUM), dtype=torch.uint8)
    today = replace(unchanged(), fa={Region.SPLENIUM: 2.0})

    fa = tissue_maps(callosum, slabs(Region.SPLENIUM), today, torch.Generator().manual_seed(0)).fa

    assert (fa == MAXIMAL_FA).all()


def test_regional_means_are_those_of_the_maps(head):
    means = regional_means(head.regions, head.tissue)

    assert Region.NONE not in means
    assert sum(m.volume_ml for m in means.values()) == pytest.approx(int((head.regions > 0).sum()) / 1000)
    here = head.regions == Region.HIPPOCAMPUS
    measured = means[Region.HIPPOCAMPUS]
    assert measured.md == pytest.approx(float(head.tissue.md[here].mean()), rel=1e-4)
    assert measured.fa == pytest.approx(float(head.tissue.fa[here].mean()), rel=1e-4)
    assert measured.t2_star == pytest.approx(float(head.tissue.t2_star[here].mean()), rel=1e-4)


def test_regional_means_carry_the_factors_of_the_condition(head, patient):
    """Hippocampus: one structure, so that its mean is the table value times the factor."""
    table = tissue_properties()
    measured = regional_means(head.regions, head.tissue)[Region.HIPPOCAMPUS]

    today = condition(patient)
    assert measured.md / table.md[Structure.HIPPOCAMPUS] == pytest.approx(
        today.md[Region.HIPPOCAMPUS], rel=1e-4
    )
    assert measured.fa / table.fa[Structure.HIPPOCAMPUS] == pytest.approx(
        today.fa[Region.HIPPOCAMPUS], rel=1e-4
    )


def test_the_field_is_worst_beside_the_air_cavities_and_smooth():
    fields_hz = torch.stack([static_field(torch.Generator().manual_seed(s)) for s in range(12)])

    peaks = fields_hz.flatten(1).abs().max(1).values
    assert 0.6 * FIELD_PEAK_HZ < float(peaks.mean()) < 1.4 * FIELD_PEAK_HZ
    assert (peaks > 0.4 * FIELD_PEAK_HZ).all()
    sinus = fields_hz[:, 40, 75, 29].mean()  # x = 1, y = 38, z = -24 mm
    assert sinus > 0.5 * FIELD_PEAK_HZ
    assert fields_hz[..., 60:].abs().mean() < 0.1 * FIELD_PEAK_HZ
    assert all(fields_hz.diff(dim=axis).abs().max() < 20 for axis in (1, 2, 3))  # Hz per 2 mm
