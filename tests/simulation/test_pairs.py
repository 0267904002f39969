from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import FINE_SHAPE, Structure
from pds_bids.simulation.disease import draw_anybody
from pds_bids.simulation.field import field_map
from pds_bids.simulation.masks import closing
from pds_bids.simulation.pairs import Pair, repeated_targets, simulate_pairs
from pds_bids.simulation.smoothing import gaussian_blur

pytestmark = pytest.mark.slow


def simulated(phantom: torch.Tensor, seed: int, sd_mm: float = 3.0) -> Pair:
    return simulate_pairs(phantom, torch.Generator().manual_seed(seed), 1, sd_mm)[0]


@pytest.fixture(scope="module")
def pair(phantom) -> Pair:
    return simulated(phantom, 1)


@pytest.fixture(scope="module")
def still(phantom) -> Pair:
    """Of the phantom as it is."""
    return simulated(phantom, 2, sd_mm=0)


def block_share(structures: torch.Tensor, structure: Structure) -> torch.Tensor:
    """(X, Y, Z) share of each model voxel."""
    return torch.nn.functional.avg_pool3d((structures == structure).float()[None, None], 2)[0, 0]


def test_a_pair_follows_from_its_seed(phantom, pair, still):
    again = simulated(phantom, 1)

    for modality in Modality:
        assert torch.equal(again.targets[modality], pair.targets[modality])
        assert torch.equal(again.masks[modality], pair.masks[modality])
        assert not torch.allclose(still.targets[modality], pair.targets[modality])
    assert torch.equal(again.t1w, pair.t1w)
    assert torch.equal(again.structures, pair.structures)


def test_one_body_is_scanned_again_by_others(phantom, pair):
    first, second = simulate_pairs(phantom, torch.Generator().manual_seed(1), 2)

    assert torch.equal(first.structures, second.structures)
    for modality in Modality:
        assert torch.equal(first.sources[modality], pair.sources[modality])
        assert not torch.allclose(first.sources[modality], second.sources[modality])
        assert not torch.allclose(first.targets[modality], second.targets[modality])
    assert not torch.allclose(first.t1w, second.t1w)


def test_shapes(pair):
    assert set(pair.sources) == set(pair.targets) == set(pair.masks) == set(Modality)
    for modality in Modality:
        assert pair.targets[modality].shape == pair.masks[modality].shape == MODEL_GRID.shape
        assert (pair.targets[modality].dtype, pair.masks[modality].dtype) == (torch.float32, torch.bool)
    assert (pair.t1w.shape, pair.t1w.dtype) == (MODEL_GRID.shape, torch.float32)
    assert pair.tissue.shape == (3, *MODEL_GRID.shape)
    assert (pair.structures.shape, pair.structures.dtype) == (FINE_SHAPE, torch.uint8)


@pytest.mark.parametrize("modality", Modality)
def test_images_are_magnitudes_and_air_is_dark(pair, modality):
    image, mask = pair.targets[modality], pair.masks[modality]
    air = block_share(pair.structures, Structure.AIR)[None, None]
    far = -torch.nn.functional.max_pool3d(-air, 13, 1, 6)[0, 0] == 1  # over 12 mm from the head

    assert torch.isfinite(image).all()
    assert image.min() >= 0
    assert far.sum() > 10_000
    assert image[far].mean() < 0.4 * image[mask].median()  # the Rician floor of a weak shell


@pytest.mark.parametrize("modality", Modality)
def test_masks_hold_the_ventricles_and_hardly_any_air(pair, modality):
    mask = pair.masks[modality]
    ventricles, air = (block_share(pair.structures, s) == 1 for s in (Structure.CSF, Structure.AIR))

    assert ventricles.sum() > 500
    assert mask[ventricles].all()
    assert (mask & air).sum() < 0.01 * mask.sum()


def test_the_two_masks_differ_in_their_errors(pair):
    bold, dwi = (pair.masks[m] for m in Modality)

    overlap = 2 * (bold & dwi).sum() / (bold.sum() + dwi.sum())
    assert 0.8 < overlap < 1


def test_tissue_is_the_truth_of_the_anatomy(still, phantom):
    moved = still.structures != phantom
    assert set(still.structures[moved].tolist()) <= {int(Structure.SULCAL), int(Structure.CORTEX)}
    total = still.tissue.sum(0)
    assert total.max() <= 1
    assert still.tissue.flatten(1).amax(1).tolist() == [1.0, 1.0, 1.0]
    torch.testing.assert_close(still.tissue[1], block_share(phantom, Structure.WHITE))


def test_contrast_is_that_of_the_modality(still, phantom):
    """Cortex outshines white matter in BOLD; CSF is bright there and dark in the trace."""

    def mean(modality: Modality, structure: Structure) -> float:
        inside = block_share(phantom, structure) == 1
        return float(still.targets[modality][inside].mean())

    assert mean(Modality.BOLD, Structure.CSF) > mean(Modality.BOLD, Structure.WHITE)
    assert mean(Modality.DWI, Structure.CSF) < 0.7 * mean(Modality.DWI, Structure.WHITE)


def test_t1w_shows_white_matter_brightest_and_fluid_darkest(still):
    means = [
        float(still.t1w[block_share(still.structures, s) == 1].mean())
        for s in (Structure.WHITE, Structure.CORTEX, Structure.CSF)
    ]

    assert means == sorted(means, reverse=True)


def test_the_static_field_is_bad_near_the_cavities(generator):
    field = field_map(generator)
    z = MODEL_GRID.shape[2]

    assert field.shape == MODEL_GRID.shape
    assert 0 <= field.min() < 0.01
    assert 0.4 < field.max() < 2
    assert field[:, :, : z // 2].mean() > 10 * field[:, :, z // 2 :].mean()


@pytest.mark.parametrize("sigma", [(1.0, 0.5, 2.0), (0.0, 0.0, 1.2)])
def test_blur_agrees_with_scipy(sigma, generator):
    image = torch.rand((1, 2, 20, 18, 22), generator=generator)

    expected = [ndimage.gaussian_filter(c.numpy(), sigma, mode="nearest", truncate=3.0) for c in image[0]]

    for channel, blurred in zip(expected, gaussian_blur(image, sigma)[0], strict=True):
        torch.testing.assert_close(blurred, torch.from_numpy(channel), rtol=0, atol=1e-5)


def test_closing_agrees_with_scipy(generator):
    mask = torch.rand((14, 15, 16), generator=generator) < 0.05

    closed = closing(mask.float(), 2).bool()

    padded = ndimage.binary_closing(mask.numpy(), ndimage.generate_binary_structure(3, 3), iterations=2)
    inner = (slice(2, -2),) * 3
    assert torch.equal(closed[inner], torch.from_numpy(padded)[inner])
    assert (closed >= mask).all()
    assert closed.sum() > mask.sum()


def test_the_same_subject_scanned_again_differs_little(phantom):
    generator = torch.Generator().manual_seed(3)
    scans, brain = repeated_targets(phantom, generator, 2, draw_anybody(generator))
    inside = brain > 0.5

    for modality in Modality:
        first, again = (scan[modality][inside] for scan in scans)
        assert 0.5 < torch.corrcoef(torch.stack([first, again]))[0, 1] < 0.99
