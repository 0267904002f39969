from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import FINE_SHAPE, Structure
from pds_bids.simulation.gradients import gradient_directions
from pds_bids.simulation.head import Head
from pds_bids.simulation.physics import (
    TissueProperties,
    gre_signal,
    spin_echo_signal,
    tissue_properties,
    trace_signal,
)
from pds_bids.simulation.scanner import (
    Pose,
    head_scale,
    native_grid,
    random_pose,
    render,
    rigid,
)
from pds_bids.simulation.series import ACQUIRE, acquire_bold, acquire_dwi, acquire_t1w, diffusion_images
from pds_bids.simulation.sites import SITES

pytestmark = pytest.mark.slow

TABLE = tissue_properties()
OASIS = SITES["oasis"]
BOLD = replace(OASIS.protocols[Modality.BOLD], n_volumes=6)
DWI = replace(OASIS.protocols[Modality.DWI], n_volumes=7, n_b0=1)
QUIET = {"snr": 1e5, "bias_sd": 1e-6, "motion_mm": 0.0}
FIBRE = torch.tensor([0.6, 0.64, 0.48])
STRAIGHT = Pose(rigid(np.zeros(3), np.array([0.0, -17.0, 6.0])))


def head_of(structures: Tensor, field_hz: float = 0.0) -> Head:
    """Table properties, one fibre direction, a uniform field."""
    codes = structures.long()
    maps = (getattr(TABLE, name)[codes] for name in ("pd", "t1", "t2", "t2_star", "md", "fa"))
    fibres = FIBRE.view(3, 1, 1, 1).expand(3, *MODEL_GRID.shape)
    field = torch.full(MODEL_GRID.shape, field_hz)
    return Head(structures, torch.zeros_like(structures), TissueProperties(*maps), fibres, field)


@pytest.fixture(scope="module")
def head() -> Head:
    """A box of cortex that holds boxes of callosum, of white matter and of CSF."""
    structures = torch.zeros(FINE_SHAPE, dtype=torch.uint8)
    structures[20:140, 30:170, 30:150] = Structure.CORTEX
    structures[30:70, 40:90, 60:110] = Structure.CALLOSUM
    structures[90:130, 40:90, 60:110] = Structure.WHITE
    structures[30:70, 110:160, 60:110] = Structure.CSF
    return head_of(structures)


def inside(head: Head, structure: Structure, protocol, pose: Pose = STRAIGHT) -> Tensor:
    """Native voxels that lie wholly in a structure, by a margin."""
    pure = F.avg_pool3d((head.structures == structure)[None].float(), 2)
    for window in ((7, 1, 1), (1, 7, 1), (1, 1, 7)):
        pure = -F.max_pool3d(-pure, window, stride=1, padding=tuple(n // 2 for n in window))
    grid = native_grid(protocol.shape, protocol.voxel_mm, protocol.orientation, protocol.tilt_deg)
    return render(pure, MODEL_GRID, grid, pose.to_model)[0] > 0.999


def test_t1w_contrast(head, generator):
    scan = acquire_t1w(head, OASIS, STRAIGHT, generator)
    white, cortex, csf = (
        float(scan.data[inside(head, s, OASIS.t1w)].median())
        for s in (Structure.WHITE, Structure.CORTEX, Structure.CSF)
    )

    assert scan.data.shape == OASIS.t1w.shape
    assert white > cortex > csf > 0


def test_bold_contrast_and_unsteady_start(head, generator):
    protocol = replace(BOLD, **QUIET, inflow=1.0)
    scan = acquire_bold(head, protocol, STRAIGHT, generator)
    expected = gre_signal(TABLE, 1e3 * protocol.tr_s, 1e3 * protocol.te_s, protocol.flip_deg)

    def mean(structure: Structure, volumes: slice) -> float:
        return float(scan.data[inside(head, structure, protocol)][:, volumes].mean())

    for structure in (Structure.WHITE, Structure.CSF):
        ratio = mean(structure, slice(3, None)) / mean(Structure.CORTEX, slice(3, None))
        assert ratio == pytest.approx(float(expected[structure] / expected[Structure.CORTEX]), rel=0.03)
    assert mean(Structure.CSF, slice(0, 1)) > 1.5 * mean(Structure.CSF, slice(3, None))


def test_bold_becomes_steady(head, generator):
    """Fluid of long T1 at a low flip angle is slowest; late volumes are those of the equation."""
    protocol = replace(BOLD, **QUIET, inflow=1.0, flip_deg=50, tr_s=1.5)
    scan = acquire_bold(head, protocol, STRAIGHT, generator)
    expected = gre_signal(TABLE, 1e3 * protocol.tr_s, 1e3 * protocol.te_s, protocol.flip_deg)
    csf, cortex = (scan.data[inside(head, s, protocol)].mean(0) for s in (Structure.CSF, Structure.CORTEX))
    ratio = csf / cortex * float(expected[Structure.CORTEX] / expected[Structure.CSF])

    assert (ratio[:3] > 1.04).all()
    assert ratio[3:].numpy() == pytest.approx(np.ones(3), abs=0.03)


def test_bold_rests_and_moves(head, generator):
    still = acquire_bold(head, replace(BOLD, **QUIET, n_volumes=20), STRAIGHT, generator).data[..., 3:]
    grey = inside(head, Structure.CORTEX, BOLD)
    restless = (still.std(-1) / still.mean(-1))[grey].median()

    assert 0.003 < restless < 0.03

    moving = replace(BOLD, **{**QUIET, "motion_mm": 1.0}, n_volumes=20)
    moved = acquire_bold(head, moving, STRAIGHT, generator).data[..., 3:]
    edge = (still.mean(-1) > 0.3 * still.max()) & (still.mean(-1) < 0.5 * still.max())
    assert moved.std(-1)[edge].median() > 2 * still.std(-1)[edge].median()


def test_bold_loses_signal_where_the_field_is_steep(head, generator):
    slope = (
        torch.arange(MODEL_GRID.shape[2]) * 2.0 * 200 * 42.577e-3
    )  # 200 microtesla per metre along z, in Hz
    steep = replace(head, field_hz=slope.expand(MODEL_GRID.shape).contiguous())
    protocol = replace(BOLD, **QUIET, readout_s=0.0)
    means = [
        acquire_bold(h, protocol, STRAIGHT, torch.Generator().manual_seed(0))
        .data[inside(head, Structure.CORTEX, BOLD)]
        .mean()
        for h in (head, steep)
    ]
    x = 2.675e8 * 200e-6 * 4e-3 * 27e-3 / 2

    assert float(means[1] / means[0]) == pytest.approx(abs(np.sin(x) / x), rel=0.02)


def test_the_mean_over_directions_is_the_trace(head):
    unweighted = spin_echo_signal(head.tissue, 9000, 85)
    gradients = gradient_directions(32)
    images = diffusion_images(head, unweighted, STRAIGHT, gradients, np.full(32, 1000.0))
    mean = torch.stack(list(images)).mean(0)
    expected = trace_signal(TABLE, 9000, 85, 1000)

    for structure in (Structure.CALLOSUM, Structure.WHITE, Structure.CSF, Structure.CORTEX):
        pure = F.avg_pool3d((head.structures == structure)[None].float(), 2)[0] == 1
        assert float(mean[pure].mean()) == pytest.approx(float(expected[structure]), rel=0.01)


@pytest.mark.parametrize("orientation", ["LAS", "RAS", "LPS", "PSR"])
def test_bvecs_recover_the_fibre(orientation, head, generator):
    """Fit a tensor in native voxels and turn it into the scanner as FSL says."""
    protocol = replace(
        DWI,
        **QUIET,
        orientation=orientation,
        tilt_deg=12,
        n_volumes=13,
        shape=(72, 72, 72),
        voxel_mm=(3.0,) * 3,
    )
    pose = random_pose(generator, head_scale(generator))
    scan = acquire_dwi(head, protocol, pose, generator)
    signal = scan.data[inside(head, Structure.CALLOSUM, protocol, pose)].mean(0).double().numpy()
    assert scan.bvals is not None
    assert scan.bvecs is not None

    x, y, z = scan.bvecs[:, 1:]
    design = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    xx, yy, zz, xy, xz, yz = np.linalg.lstsq(design, -np.log(signal[1:] / signal[0]) / 1000, rcond=None)[0]
    values, vectors = np.linalg.eigh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    main = vectors[:, 2] * ([-1, 1, 1] if np.linalg.det(scan.affine) > 0 else [1, 1, 1])
    in_scanner = scan.affine[:3, :3] / 3.0 @ main
    truth = np.linalg.inv(pose.to_model[:3, :3]) @ FIBRE.double().numpy()

    assert abs(in_scanner @ truth) / np.linalg.norm(truth) > np.cos(np.radians(1))
    assert values.mean() == pytest.approx(float(TABLE.md[Structure.CALLOSUM]), rel=0.02)


def test_a_turning_head_sees_the_gradient_turn(head):
    """The image of a head turned by 90 degrees is that of the gradient turned back."""
    unweighted = spin_echo_signal(head.tissue, 9000, 85)
    turn = rigid(np.array([0.0, 0.0, 90.0]), np.zeros(3))
    gradient, b_value = np.array([[0.8, 0.6, 0.0]]), np.array([1000.0])
    turned = next(diffusion_images(head, unweighted, Pose(turn), gradient, b_value))
    straight = next(diffusion_images(head, unweighted, Pose(np.eye(4)), gradient @ turn[:3, :3].T, b_value))

    assert torch.allclose(turned, straight, atol=1e-6)


@pytest.mark.parametrize("modality", Modality)
def test_the_field_moves_each_modality_by_its_own_protocol(modality, head):
    protocol = replace(OASIS.protocols[modality], **QUIET, n_volumes=2, n_b0=1)
    scans = [
        ACQUIRE[modality](
            replace(head, field_hz=torch.full(MODEL_GRID.shape, hertz)),
            protocol,
            STRAIGHT,
            torch.Generator().manual_seed(0),
        ).data[..., 0].sum((0, 2))
        for hertz in (0.0, 60.0)
    ]  # fmt: skip
    voxels = torch.arange(protocol.shape[1])
    plain, moved = (float((voxels * profile).sum() / profile.sum()) for profile in scans)

    assert moved - plain == pytest.approx(60 * protocol.readout_s * protocol.phase_sign, abs=0.1)


@pytest.mark.parametrize("modality", Modality)
def test_a_seed_gives_the_same_series_again(modality, head):
    protocol = replace(OASIS.protocols[modality], n_volumes=3, n_b0=1)
    first, second = (
        ACQUIRE[modality](head, protocol, STRAIGHT, torch.Generator().manual_seed(7)) for _ in range(2)
    )

    assert first.data.shape == (*protocol.shape, 3)
    assert first.data.dtype == torch.float32
    assert torch.equal(first.data, second.data)
    assert (first.data >= 0).all()
