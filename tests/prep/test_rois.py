from __future__ import annotations

import socket

import numpy as np
import pytest

from pds_bids.app.anatomies import template_anatomy
from pds_bids.core.rois import RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.prep.atlas import template_mask
from pds_bids.prep.rois import roi_atlas
from pds_bids.simulation.anatomy import FINE_GRID, Structure


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked for")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_coordinates_come_with_nilearn(offline):
    atlas = roi_atlas.__wrapped__()

    assert len(atlas) == len(set(atlas.names)) == 160 + 300 + 13
    assert sum("hippocampus" in name for name in atlas.names) == 4
    assert sum("amygdala" in name for name in atlas.names) == 2
    assert set(atlas.radii_mm) == {4.0, 5.0}


def test_every_roi_is_in_the_brain_of_the_model_grid():
    atlas = roi_atlas()
    labels, brain = atlas.labels(MODEL_GRID), template_mask().data > 0

    size = np.bincount(labels.ravel(), minlength=len(atlas) + 1)[1:]
    inside = np.bincount(labels[brain], minlength=len(atlas) + 1)[1:]

    assert size.min() >= 20  # neighbours share what lies in both
    assert (inside / size).min() > 0.6
    assert 0.08 < (labels[brain] > 0).mean() < 0.15


def test_left_is_left():
    atlas = roi_atlas()
    left = [k for k, name in enumerate(atlas.names, 1) if "cortexL" in name]
    x = np.isin(atlas.labels(MODEL_GRID), left).nonzero()[0]

    assert (MODEL_GRID.affine[0, 0] * x + MODEL_GRID.affine[0, 3] < 5).all()


def test_ventricular_rois_lie_in_the_ventricles_of_the_template():
    atlas, fluid = roi_atlas(), template_anatomy() == Structure.CSF
    labels = atlas.labels(FINE_GRID)

    ventricular = [k for k, group in enumerate(atlas.groups, 1) if group is RoiGroup.VENTRICULAR]

    assert len(ventricular) == 13
    assert all(fluid[labels == k].mean() > 0.5 for k in ventricular)


def test_groups_go_by_name():
    atlas = roi_atlas()
    limbic = [n for n, group in zip(atlas.names, atlas.groups, strict=True) if group is RoiGroup.LIMBIC]

    assert len(limbic) == 4 + 2 + 4 - 2  # two of the medial temporal lobe are hippocampal
    assert all(any(part in name for part in ("hippocampus", "amygdala", "Medial")) for name in limbic)
    assert atlas.groups.count(RoiGroup.SUBCORTICAL) == 16 + 12 + 7
