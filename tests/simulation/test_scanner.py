from __future__ import annotations

import nibabel as nb
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.physics import rician_mean
from pds_bids.simulation.scanner import (
    POINT_SPREAD,
    Pose,
    distortion,
    head_motion,
    head_scale,
    magnitude,
    native_grid,
    point_spread,
    random_pose,
    receive_field,
    render,
    rigid,
)

ORIENTATIONS = ["LAS", "RAS", "LPS", "PSR", "RPS", "ASR", "SRA"]
CENTRED = Pose(rigid(np.zeros(3), np.array([0.0, -17.0, 6.0])))
EPI = native_grid((64, 64, 36), (4.0, 4.0, 4.0), "LAS")


def blob(centre_mm: tuple[float, float, float], width_mm: float = 8.0) -> torch.Tensor:
    """(1, 80, 96, 88) Gaussian in model space."""
    axes = [
        torch.arange(n) * 2.0 + o for n, o in zip(MODEL_GRID.shape, MODEL_GRID.affine[:3, 3], strict=True)
    ]
    squares = [
        ((a - c) ** 2).view([-1 if i == k else 1 for k in range(3)])
        for i, (a, c) in enumerate(zip(axes, centre_mm, strict=True))
    ]
    return torch.exp(-0.5 * sum(squares) / width_mm**2)[None].float()


def centroid(image: torch.Tensor, affine: np.ndarray) -> np.ndarray:
    weights = image.double().numpy()
    where = np.stack(np.meshgrid(*(np.arange(n) for n in image.shape), indexing="ij"), axis=-1)
    return affine[:3, :3] @ ((where * weights[..., None]).sum((0, 1, 2)) / weights.sum()) + affine[:3, 3]


@given(st.sampled_from(ORIENTATIONS), st.floats(-30, 30))
def test_a_native_grid_is_oriented_and_centred(orientation, tilt):
    grid = native_grid((10, 11, 12), (2.0, 2.5, 3.0), orientation, tilt)

    assert nb.aff2axcodes(grid.affine) == tuple(orientation)
    assert grid.voxel_mm == pytest.approx([2.0, 2.5, 3.0])
    assert grid.affine @ [4.5, 5, 5.5, 1] == pytest.approx([0, 0, 0, 1], abs=1e-9)


def test_a_positive_tilt_lifts_the_nose():
    affine = native_grid((4, 4, 4), (1.0, 1.0, 1.0), "RAS", 10).affine

    assert affine[2, 1] == pytest.approx(np.sin(np.radians(10)))


def test_rendering_onto_the_lattice_itself_changes_nothing(generator):
    image = torch.rand((2, *MODEL_GRID.shape), generator=generator)

    assert torch.allclose(render(image, MODEL_GRID, MODEL_GRID, np.eye(4)), image, atol=1e-4)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_left_stays_left_in_every_orientation(orientation, generator):
    pose = random_pose(generator, head_scale(generator))
    marker = (-45.0, -5.0, 20.0)
    grid = native_grid((80, 80, 80), (3.0, 3.0, 3.0), orientation, tilt_deg=15)

    seen = centroid(render(blob(marker), MODEL_GRID, grid, pose.to_model)[0], grid.affine)

    assert seen[0] < -30
    assert seen == pytest.approx((np.linalg.inv(pose.to_model) @ [*marker, 1])[:3], abs=0.05)


def test_scale_belongs_to_the_subject_and_lying_to_the_session(generator):
    scale = head_scale(generator)
    poses = [random_pose(generator, scale).to_model[:3, :3] for _ in range(2)]

    assert ((scale >= 0.85) & (scale <= 1.15)).all()
    assert not np.allclose(*poses)
    for linear in poses:
        assert np.linalg.svd(linear, compute_uv=False) == pytest.approx(sorted(scale, reverse=True))


@pytest.mark.parametrize(("phase_axis", "seconds"), [(1, 0.04), (1, -0.04), (0, 0.04)])
def test_a_uniform_field_shifts_the_image_along_the_phase_axis(phase_axis, seconds):
    shift, pile_up = distortion(torch.full(MODEL_GRID.shape, 50.0), EPI, CENTRED, phase_axis, seconds)
    image = blob((0.0, -17.0, 6.0))
    plain = render(image, MODEL_GRID, EPI, CENTRED.to_model)[0]
    moved = render(image, MODEL_GRID, EPI, CENTRED.to_model, shift, phase_axis)[0]

    voxels = centroid(moved, np.eye(4)) - centroid(plain, np.eye(4))
    assert voxels == pytest.approx(np.eye(3)[phase_axis] * 50 * seconds, abs=0.02)
    assert torch.allclose(pile_up, torch.ones(()), atol=1e-4)


@pytest.mark.parametrize("seconds", [0.03, -0.03])
def test_distortion_moves_signal_but_loses_none(seconds):
    field = 80 * blob((0.0, 10.0, 6.0), width_mm=20)[0]
    image = blob((0.0, -17.0, 6.0), width_mm=25)
    shift, pile_up = distortion(field, EPI, CENTRED, 1, seconds)
    seen = render(image, MODEL_GRID, EPI, CENTRED.to_model, shift, 1)[0] * pile_up
    plain = render(image, MODEL_GRID, EPI, CENTRED.to_model)[0]

    assert shift.abs().max() > 1
    assert (seen - plain).abs().sum() > 0.05 * plain.sum()
    assert float(seen.sum()) == pytest.approx(float(plain.sum()), rel=0.01)


@pytest.mark.parametrize("seconds", [0.03, -0.03])
def test_signal_moves_by_the_field_where_it_comes_from_however_steep(seconds):
    field = 110 * blob((0.0, 10.0, 6.0), width_mm=12)
    shift, _ = distortion(field[0], EPI, CENTRED, 1, seconds)
    acting = render(field, MODEL_GRID, EPI, CENTRED.to_model, shift, 1, outside="border")[0]

    assert float((shift - seconds * acting).abs().max()) < 0.02  # voxels


@pytest.mark.parametrize("voxel_mm", [(4.0, 4.0, 4.0), (3.0, 3.0, 5.0)])
def test_the_point_spread_is_that_of_a_voxel(voxel_mm):
    grid = native_grid((64, 64, 36), voxel_mm, "LAS")
    width = 4.0
    seen = point_spread(blob((1.0, -16.0, 6.0), width), grid, CENTRED)[0]
    added = (POINT_SPREAD * np.array(voxel_mm)) ** 2 / (8 * np.log(2)) - 4.0 / 4

    for axis in range(3):
        profile = seen.sum([i for i in range(3) if i != axis]).double().numpy()
        mm = 2.0 * np.arange(len(profile))
        mean = (profile * mm).sum() / profile.sum()
        variance = (profile * (mm - mean) ** 2).sum() / profile.sum()
        assert variance - width**2 == pytest.approx(added[axis], rel=0.08)


@pytest.mark.parametrize("signal", [0.0, 1.0, 5.0])
def test_noise_is_rician(signal, generator):
    noisy = magnitude(torch.full((100_000,), signal), 1.0, generator)

    expected = float(rician_mean(torch.tensor(signal), torch.tensor(1.0)))
    assert float(noisy.mean()) == pytest.approx(expected, abs=0.01)


def test_the_receive_field_is_as_uneven_as_asked(generator):
    field = receive_field(EPI, 0.2, generator).log()
    middle = field[16:48, 16:48, 9:27]

    assert 0.1 < middle.std() < 0.25
    assert field[0, 0, 0] > middle.mean()


def test_a_head_moves_rigidly_and_slowly(generator):
    walks = np.stack([head_motion(30, 0.5, generator) for _ in range(100)])
    linear = walks[..., :3, :3]

    assert (walks[:, 0] == np.eye(4)).all()
    assert np.swapaxes(linear, -1, -2) @ linear == pytest.approx(np.broadcast_to(np.eye(3), linear.shape))
    # jerks add to the standard deviation of the walk: sqrt(0.95 + 0.05 * 16)
    assert walks[:, -1, :3, 3].std() == pytest.approx(0.5 * 1.32, rel=0.2)
