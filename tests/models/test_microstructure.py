from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.errors import UsageError
from pds_bids.models.microstructure import (
    SLABS_PER_AXIS,
    MicrostructureLoss,
    MrConfig,
    Slab,
    draw_slabs,
    feature_distance,
    frozen,
    full_depth,
    load_microstructure,
    project,
    seen_tissues,
)
from pds_bids.models.refine import N_TISSUES, RefinerConfig, TissueRefiner

SIZE = 32
PROJECTIONS = ("slabs", "mean", "native3d")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss(projection: str, weight: float = 1.0) -> MicrostructureLoss:
    made = load_microstructure(MrConfig(projection, weight=weight))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def folded() -> Tensor:
    """(1, 1, 32, 32, 32): two intensities with a sharp and winding border, like folded cortex."""
    field = torch.randn((1, 1, 8, 8, 8), generator=seeded(1))
    field = F.interpolate(field, size=(SIZE, SIZE, SIZE), mode="trilinear")
    return torch.where(field > 0, 0.2, -0.3)


@pytest.fixture(scope="module")
def mask() -> Tensor:
    mask = torch.zeros(1, 1, SIZE, SIZE, SIZE)
    mask[..., 2:-2, 2:-2, 2:-2] = 1
    return mask


def no_tissues(volume: Tensor) -> tuple[Tensor, Tensor]:
    """The same tissues in both, so that images alone count."""
    same = torch.full((volume.shape[0], N_TISSUES, *(n // 2 for n in volume.shape[2:])), 1 / N_TISSUES)
    return same, same


def blurred(volume: Tensor) -> Tensor:
    return F.avg_pool3d(F.pad(volume, (1,) * 6, mode="replicate"), 3, stride=1)


@given(shape=st.tuples(*[st.integers(2, 40)] * 3), seed=st.integers(0, 99))
def test_slabs_lie_inside_and_follow_from_the_generator(shape, seed):
    slabs = draw_slabs(shape, seeded(seed))

    assert slabs == draw_slabs(shape, seeded(seed))
    assert [slab.axis for slab in slabs] == [axis for axis in range(3) for _ in range(SLABS_PER_AXIS)]
    for slab in slabs:
        depth = shape[slab.axis]
        assert slab.thickness in {1, min(3, depth), min(9, depth), depth}
        assert 0 <= slab.start <= depth - slab.thickness


def test_every_thickness_and_every_place_is_drawn():
    generator = seeded()
    drawn = {slab for _ in range(300) for slab in draw_slabs((12, 12, 12), generator) if slab.axis == 1}

    expected = {Slab(1, start, thick) for thick in (1, 3, 9, 12) for start in range(12 - thick + 1)}
    assert drawn == expected


@given(start=st.integers(0, 20), thickness=st.integers(1, 20))
def test_a_slab_in_blocks_touches_the_same_voxels(start, thickness):
    blocks = Slab(2, start, thickness).in_blocks()

    touched = {voxel // 2 for voxel in range(start, start + thickness)}
    assert touched == set(range(blocks.start, blocks.start + blocks.thickness))


def test_a_projection_is_the_mean_of_the_brain_by_hand():
    volume = torch.zeros(1, 1, 1, 2, 4)
    volume[0, 0, 0] = torch.tensor([[9.0, 1.0, 3.0, 9.0], [9.0, 5.0, 7.0, 9.0]])
    mask = torch.zeros_like(volume)
    mask[0, 0, 0, 0, 1:3] = 1

    image, share = project(volume, mask, Slab(axis=2, start=1, thickness=3))

    torch.testing.assert_close(image, torch.tensor([[[[2.0, 0.0]]]]))
    torch.testing.assert_close(share, torch.tensor([[[[2 / 3, 0.0]]]]))


@pytest.mark.parametrize("axis", range(3))
def test_full_depth_is_the_plain_mean(axis):
    volume = torch.randn((2, 1, 4, 5, 6), generator=seeded())

    image, _ = project(volume, torch.ones_like(volume), full_depth((4, 5, 6))[axis])

    torch.testing.assert_close(image, volume.mean(axis + 2))


def test_a_distance_is_relative_to_the_true_features_where_the_brain_is():
    true, share = torch.full((1, 2, 2, 2), 4.0), torch.zeros(1, 1, 4, 4)
    share[..., :2, :] = 1
    found = true.clone()
    found[..., 0, :] = 5.0  # seen
    found[..., 1, :] = 99.0  # not seen

    assert feature_distance([found], [true], share).item() == pytest.approx(1 / 4)
    assert feature_distance([1000 * found], [1000 * true], share).item() == pytest.approx(1 / 4)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_equal_volumes_are_at_no_distance(projection, folded, mask):
    assert loss(projection)((folded, folded), no_tissues(folded), mask, seeded()).item() == 0


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_blurred_is_worse_than_noisy_at_the_same_squared_error(projection, folded, mask):
    blurry = blurred(folded)
    rms = ((blurry - folded).square() * mask).sum().div(mask.sum()).sqrt()
    noisy = folded + rms * torch.randn(folded.shape, generator=seeded(2))

    far, near = (loss(projection)((x, folded), no_tissues(x), mask, seeded()) for x in (blurry, noisy))

    assert far > 1.3 * near


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_blurring_descends_to_sharpness(projection, folded, mask):
    """A small step against the gradient brings a blurred volume nearer: what the refiner is pulled to."""
    image = blurred(folded).requires_grad_()
    before = loss(projection)((image, folded), no_tissues(image), mask, seeded())
    before.backward()

    assert torch.isfinite(image.grad).all()
    assert (image.grad[mask == 0] == 0).all()
    step = 0.1 * image.grad / image.grad.norm()
    after = loss(projection)((image.detach() - step, folded), no_tissues(image), mask, seeded())
    assert after < before


def test_only_slabs_see_what_alternates_along_the_line_of_sight():
    """A checkerboard of 4 voxels has no contrast left in a mean over the full depth of any axis."""
    i, j, k = torch.meshgrid(*[torch.arange(SIZE) // 4] * 3, indexing="ij")
    board = 0.5 * (-1.0) ** (i + j + k)[None, None]
    flat, everywhere = torch.zeros_like(board), torch.ones_like(board)

    def distance(projection: str) -> float:
        return loss(projection)((flat, board), no_tissues(board), everywhere, seeded()).item()

    assert distance("mean") == 0
    assert distance("slabs") > 0.2
    assert distance("native3d") > 0.2


def test_slabs_come_from_the_generator_alone(folded, mask):
    pair = blurred(folded), folded
    compare = loss("slabs")

    once, again, other = (compare(pair, no_tissues(folded), mask, seeded(seed)) for seed in (5, 5, 6))

    assert once == again
    assert once != other


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_tissues_count_where_the_brain_is(projection, folded, mask):
    """Wrong by 1 in two of four classes is a mean of 1/2, half of the loss; outside it is nothing."""
    blocks = F.avg_pool3d(mask, 2)
    grey, white = torch.zeros(2, 1, N_TISSUES, *blocks.shape[2:])
    grey[:, 0], white[:, 1] = 1, 1
    outside = torch.where(blocks > 0, white, grey)

    def distance(tissues: Tensor) -> float:
        return loss(projection, weight=0.3)((folded, folded), (tissues, white), mask, seeded()).item()

    assert distance(grey) == pytest.approx(0.3 * 0.5 / 2, rel=1e-3)
    assert distance(outside) == 0


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_finite_without_any_brain(projection, folded):
    image = blurred(folded).requires_grad_()

    value = loss(projection)((image, folded), no_tissues(image), torch.zeros_like(folded), seeded())
    value.backward()

    assert value.item() == 0
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_autocast_changes_little(projection, folded, mask):
    pair = blurred(folded), folded
    exact = loss(projection)(pair, no_tissues(folded), mask, seeded())

    with torch.autocast("cpu", torch.bfloat16):
        found = loss(projection)(pair, no_tissues(folded), mask, seeded())

    torch.testing.assert_close(found, exact, rtol=0.01, atol=0)


@pytest.fixture
def refiner() -> TissueRefiner:
    torch.manual_seed(0)
    return TissueRefiner(RefinerConfig(channels=(4, 8), blocks=(1, 1), projector=4))


def test_the_projector_judges_and_does_not_learn_from_it(refiner):
    bands = torch.randn((2, 2, 8, 4, 4, 4), generator=seeded())
    found = bands[0].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        refiner.tissues(bands[1], torch.tensor([0, 1])).sum().backward()  # fills autocast's cache of weights
        refiner.zero_grad()
        tissues = seen_tissues(refiner, found, bands[1], torch.tensor([0, 1]))
    tissues[0][:, 0].sum().backward()

    for probabilities in tissues:
        torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 4, 4, 4))
    assert not tissues[1].requires_grad
    assert found.grad.abs().sum() > 0
    assert all(p.grad is None for p in refiner.parameters())
    assert all(p.requires_grad for p in refiner.parameters())


def test_what_was_fixed_before_stays_fixed(refiner):
    refiner.projector[0].requires_grad_(False)

    with frozen(refiner):
        assert not any(p.requires_grad for p in refiner.parameters())

    assert not refiner.projector[0].weight.requires_grad
    assert refiner.unet.head.weight.requires_grad


def test_off_is_the_default():
    assert load_microstructure(MrConfig()) is None


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"projection": "slab"}, "no 'slab'; choose from off, mean, slabs, native3d"),
        ({"projection": "native3d", "features": "vgg16.safetensors"}, "sees images only"),
    ],
)
def test_a_section_that_cannot_be_is_a_usage_error(section, fault):
    with pytest.raises(UsageError, match=fault):
        MrConfig(**section)


def test_a_wrong_file_of_weights_is_met_when_loading(tmp_path):
    config = MrConfig("slabs", str(tmp_path / "none.safetensors"))

    with pytest.raises(UsageError, match=r"none\.safetensors: not the weights of VGG16"):
        load_microstructure(config)


def test_any_extractor_will_do(folded, mask):
    """The protocol: a callable from images to maps; here one that sees nothing but the mean."""
    constant = MicrostructureLoss(MrConfig("slabs", weight=1.0), lambda images: [images.mean((2, 3), True)])
    image = folded.clone()
    image[..., : SIZE // 2] += 0.5

    assert constant((image, folded), no_tissues(folded), mask, seeded()) > 0
