from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pds_bids.core.config import SynthesisConfig
from pds_bids.core.errors import GridMismatch, PdsError, TemporaryError, UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.models.checkpoint import Checkpoint, load_checkpoint, write_checkpoint
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.device import resolve_device
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.synthesis.pipeline import Synthesiser, Wanted

pytestmark = pytest.mark.slow

POINT = SynthesisConfig(num_samples=0)
DRAWS = SynthesisConfig(num_samples=2, steps=2, seed=5)
TARGETS = pytest.mark.parametrize("target", Modality)


@pytest.fixture(scope="module")
def model() -> PdsModel:
    """Every layer random, as if trained on who knows what."""
    torch.manual_seed(0)
    model = PdsModel(
        ModelConfig(
            DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=4, attention=False),
            RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4),
        )
    )
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    model.scale_factor.copy_(torch.tensor([[1.5, 1.2, 1.0, 2.0], [0.5, 1.0, 0.7, 0.9]]))
    model.templates.copy_(torch.rand(model.templates.shape))
    return model.eval()


@pytest.fixture
def synthesiser(model) -> Synthesiser:
    card = {"version": "7", "training_data": "nobody"}
    return Synthesiser(Checkpoint(model, card, "c0ffee", "tiny"), "cpu")


def on_model_grid(data: np.ndarray) -> Volume:
    return Volume(data.astype(np.float32), MODEL_GRID.affine, MODEL_SPACE)


@pytest.fixture(scope="module")
def mask() -> Volume:
    x, y, z = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in MODEL_GRID.shape)]
    return on_model_grid(x**2 + y**2 + z**2 < 0.6)


@pytest.fixture(scope="module")
def source(mask) -> Volume:
    values = np.random.default_rng(0).uniform(-0.5, 0.5, MODEL_GRID.shape)
    return mask.like(np.where(mask.data > 0, values, -1))


@TARGETS
def test_the_missing_volume(synthesiser, source, mask, target):
    made = synthesiser.synthesise(source, mask, target, POINT, seed=0)

    inside = mask.data > 0
    for volume in (made.volume, made.sd):
        assert volume.grid.matches(MODEL_GRID)
        assert (volume.space, volume.data.dtype) == (MODEL_SPACE, np.float32)
        assert not volume.data[~inside].any()
        assert volume.data[inside].std() > 0
    assert made.volume.data.min() >= 0
    assert made.volume.data.max() <= 2
    assert (made.sd.data[inside] > 0).all()
    assert made.draws is None


@TARGETS
def test_the_record_says_how(synthesiser, source, mask, target):
    record = synthesiser.synthesise(source, mask, target, POINT, seed=99).record

    assert (record.source, record.target) == (target.other, target)
    assert (record.model, record.model_version, record.weights_sha256) == ("tiny", "7", "c0ffee")
    assert (record.training_data, record.device) == ("nobody", "cpu")
    assert (record.num_samples, record.steps, record.seed) == (0, None, 0)


def test_the_point_estimate_does_not_depend_on_the_seed_but_draws_do(synthesiser, source, mask):
    config = replace(DRAWS, num_samples=1)
    one, other, again = (synthesiser.synthesise(source, mask, Modality.DWI, config, s) for s in (1, 2, 1))

    np.testing.assert_array_equal(one.volume.data, other.volume.data)
    np.testing.assert_array_equal(one.sd.data, other.sd.data)
    drawn, changed, repeated = (made.draws.mean.data for made in (one, other, again))
    np.testing.assert_array_equal(drawn, repeated)
    assert not np.allclose(drawn, changed)


def test_draws_and_their_statistics(synthesiser, source, mask):
    made = synthesiser.synthesise(source, mask, Modality.BOLD, DRAWS, seed=1)

    first, second = (d.data for d in made.draws.volumes)
    assert not np.allclose(first, second)
    np.testing.assert_allclose(made.draws.mean.data, (first + second) / 2, atol=1e-6)
    np.testing.assert_allclose(made.draws.sd.data, np.abs(first - second) / 2**0.5, atol=1e-6)
    for volume in (*made.draws.volumes, made.draws.mean, made.draws.sd):
        assert not volume.data[mask.data == 0].any()
    assert (made.record.num_samples, made.record.steps, made.record.seed) == (2, 2, 5)


def test_one_draw_has_no_spread(synthesiser, source, mask):
    config = replace(DRAWS, num_samples=1, steps=1)
    made = synthesiser.synthesise(source, mask, Modality.BOLD, config, seed=1)

    assert made.draws.sd is None


@TARGETS
def test_the_source_matters(synthesiser, source, mask, target):
    other = source.like(np.where(mask.data > 0, -source.data, -1))

    one, two = (synthesiser.synthesise(s, mask, target, POINT, 0) for s in (source, other))

    assert np.abs(one.volume.data - two.volume.data).max() > 1e-3


def test_the_t1w_matters_and_is_on_record(synthesiser, source, mask):
    config = replace(DRAWS, num_samples=1)
    t1w = source.like(source.data[::-1].clip(-1, 0.4))

    without, one, two = (
        synthesiser.synthesise(source, mask, Modality.DWI, config, 0, seen) for seen in (None, t1w, source)
    )

    assert [made.record.t1w_context for made in (without, one, two)] == [False, True, True]
    for first, second in ((without, one), (one, two)):
        assert np.abs(first.volume.data - second.volume.data).max() > 1e-3
        assert np.abs(first.draws.mean.data - second.draws.mean.data).max() > 1e-3


def test_the_scale_is_calibrated_per_modality(synthesiser, source, mask):
    factors = synthesiser.model.scale_factor
    sd = synthesiser.synthesise(source, mask, Modality.BOLD, POINT, 0).sd.data
    factors[0] *= 2
    try:
        doubled = synthesiser.synthesise(source, mask, Modality.BOLD, POINT, 0).sd.data
    finally:
        factors[0] /= 2

    np.testing.assert_allclose(doubled, 2 * sd, rtol=1e-6)


@TARGETS
def test_the_score_is_that_of_the_source(synthesiser, source, mask, target):
    outlier, rows = synthesiser.model.outlier, torch.randn(60, synthesiser.model.outlier.centre.shape[1])
    k = list(Modality).index(target.other)
    outlier.fit(k, rows, rows)

    made, again, seeded = (synthesiser.synthesise(source, mask, target, POINT, seed) for seed in (0, 0, 1))

    assert made.outlier_score == again.outlier_score == seeded.outlier_score > 0
    assert made.outlier_limit == pytest.approx(outlier.limit[k].item())


@pytest.mark.parametrize("wrong", ["source", "mask", "t1w"])
def test_another_grid_is_refused(synthesiser, source, mask, wrong):
    given = {"source": source, "mask": mask, "t1w": source}
    elsewhere = MODEL_GRID.affine.copy()
    elsewhere[0, 3] += 2
    given[wrong] = replace(given[wrong], affine=elsewhere)

    with pytest.raises(GridMismatch):
        synthesiser.synthesise(**given, target=Modality.DWI, config=POINT, seed=0)


def test_values_that_are_not_finite_are_an_error(synthesiser, source, mask):
    broken = source.like(np.full(MODEL_GRID.shape, np.nan))

    with pytest.raises(PdsError, match="model tiny gave values that are not finite"):
        synthesiser.synthesise(broken, mask, Modality.DWI, POINT, 0)


def test_too_little_gpu_memory_is_temporary(synthesiser, source, mask, monkeypatch):
    def exhausted(*_args):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(synthesiser.model), "refined", exhausted)

    with pytest.raises(TemporaryError, match="--device cpu"):
        synthesiser.synthesise(source, mask, Modality.DWI, POINT, 0)


def test_templates_are_those_of_the_checkpoint(synthesiser):
    assert list(synthesiser.templates) == list(Modality)
    for template, stored in zip(synthesiser.templates.values(), synthesiser.model.templates, strict=True):
        assert template.grid.matches(MODEL_GRID)
        np.testing.assert_array_equal(template.data, stored.numpy())


def test_a_model_is_loaded_from_its_file(model, tmp_path, source, mask):
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, model, {"version": "7"})

    loaded = Synthesiser.load(SynthesisConfig(model=str(path), device="cpu"))

    made = loaded.synthesise(source, mask, Modality.DWI, POINT, 0)
    record = made.record
    assert (record.model, record.training_data) == ("mine", "unknown")
    assert record.weights_sha256 == loaded.checkpoint.sha256


def test_how_weights_lie_in_memory_changes_nothing(model, tmp_path, source, mask):
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, model, {})
    loaded = Synthesiser.load(SynthesisConfig(model=str(path), device="cpu"))
    plain = Synthesiser(load_checkpoint(str(path)), "cpu")

    volumes = [each.synthesise(source, mask, Modality.DWI, POINT, 0).volume.data for each in (loaded, plain)]

    stem = loaded.model.denoiser.unet.stem.weight
    assert stem.is_contiguous(memory_format=torch.channels_last_3d)
    assert np.ptp(volumes[1]) > 0
    np.testing.assert_allclose(*volumes, atol=1e-4)


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda")])
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, gpus, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)

    assert resolve_device("auto") == device


@pytest.mark.parametrize("driver", [True, False])
def test_a_gpu_that_torch_cannot_use_is_told_and_none_is_not(monkeypatch, tmp_path, caplog, driver):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("pds_bids.models.device.DRIVER", tmp_path / "nvidiactl")
    if driver:
        (tmp_path / "nvidiactl").touch()

    assert resolve_device("auto") == "cpu"
    assert ("using the CPU" in caplog.text) == driver


@pytest.mark.parametrize(("name", "gpus"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_an_absent_device_is_refused(monkeypatch, name, gpus):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)

    with pytest.raises(UsageError, match=f"--device {name}: torch sees {gpus} GPUs; use --device cpu"):
        resolve_device(name)


@pytest.mark.parametrize(("name", "gpus"), [("cpu", 0), ("cuda", 1), ("cuda:1", 2)])
def test_a_device_that_is_there_is_taken_at_its_word(monkeypatch, name, gpus):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)

    assert resolve_device(name) == name


def test_scans_synthesised_together_are_as_if_each_were_alone(synthesiser, source, mask):
    config = replace(DRAWS, num_samples=1)
    other = source.like(-source.data)
    wanted = [
        Wanted(source, mask, Modality.DWI, seed=1),
        Wanted(other, mask, Modality.BOLD, seed=2, t1w=source),
    ]

    together = synthesiser.synthesise_all(wanted, config)

    for one, made in zip(wanted, together, strict=True):
        [alone] = synthesiser.synthesise_all([one], config)
        pairs = [(made.volume, alone.volume), (made.sd, alone.sd), (made.draws.mean, alone.draws.mean)]
        for here, there in pairs:
            np.testing.assert_allclose(here.data, there.data, atol=1e-4)
        assert made.outlier_score == pytest.approx(alone.outlier_score, rel=1e-3)
        assert made.record == alone.record
