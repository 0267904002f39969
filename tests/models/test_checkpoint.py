from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pds_bids.core.errors import UsageError
from pds_bids.models.checkpoint import (
    FORMAT,
    annotate,
    file_sha256,
    load_checkpoint,
    resolve,
    round_as_stored,
    write_checkpoint,
)
from pds_bids.models.denoiser import N_CONTEXT
from pds_bids.models.pdsmodel import ModelConfig, PdsModel, count_parameters

BUNDLED = sorted(Path(str(files("pds_bids") / "weights")).glob("*.safetensors"))
MIB = 2**20


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "weights" / "tiny.safetensors"


@pytest.fixture
def written(path, model, awake) -> Path:
    write_checkpoint(path, awake(model), {"version": "1", "split": {"test": ["a"]}})
    return path


def test_what_was_written_is_read(written, model):
    checkpoint = load_checkpoint(str(written))

    state = checkpoint.model.state_dict()
    assert state.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert state[name].dtype == torch.float32
        stored = tensor if name.startswith("outlier.") else tensor.half().float()
        assert torch.equal(state[name], stored), name
    assert checkpoint.model.config == model.config
    assert checkpoint.card == {"version": "1", "split": {"test": ["a"]}}
    assert (checkpoint.name, checkpoint.sha256) == ("tiny", file_sha256(written))
    assert not checkpoint.model.training


def test_the_file_is_in_half_precision_and_says_what_it_is(written):
    with safe_open(written, framework="pt") as stream:
        names = [name for name in stream.keys() if not name.startswith("outlier.")]  # noqa: SIM118
        dtypes = {stream.get_tensor(name).dtype for name in names}
        metadata = stream.metadata()

    assert dtypes == {torch.float16}
    assert metadata["format"] == FORMAT
    assert ModelConfig.from_dict(json.loads(metadata["config"])).denoiser.channels == (4, 8)


def test_the_score_of_a_tiny_cohort_survives_the_file(path, model):
    random = torch.Generator().manual_seed(0)
    scans = 0.02 * torch.randn((5, sum(model.outlier.sizes)), generator=random)
    model.outlier.fit(0, scans[:2], scans[2:3])  # nearly singular: the whitening exceeds half precision
    write_checkpoint(path, model, {})

    which = torch.zeros(5, dtype=torch.long)
    assert model.outlier.whitening.abs().max() > torch.finfo(torch.float16).max
    assert torch.equal(load_checkpoint(str(path)).model.outlier(scans, which), model.outlier(scans, which))


def test_a_rounded_model_is_the_one_that_is_read_back(path, model, awake):
    awake(model)
    round_as_stored(model)
    write_checkpoint(path, model, {})

    state = load_checkpoint(str(path)).model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_writing_leaves_nothing_else_and_others_may_read_it(written):
    assert list(written.parent.iterdir()) == [written]
    assert written.stat().st_mode & 0o044 == 0o044


def test_a_failed_write_keeps_the_old_file(written, model):
    before = file_sha256(written)

    with pytest.raises(TypeError):
        write_checkpoint(written, model, {"not json": object()})

    assert file_sha256(written) == before


def test_an_unknown_key_of_a_preset_is_refused():
    with pytest.raises(TypeError, match="depth"):
        ModelConfig.from_dict({"denoiser": {"depth": 3}})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def garble(path: Path) -> None:
    path.write_bytes(b"not a checkpoint" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def with_metadata(**metadata: str):
    def rewrite(path: Path) -> None:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            kept = stream.metadata()
        save_file(tensors, path, metadata=kept | metadata)

    return rewrite


def without_weights(path: Path) -> None:
    with safe_open(path, framework="pt") as stream:
        metadata = stream.metadata()
    save_file({"weight": torch.zeros(2)}, path, metadata=metadata)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        garble,
        empty,
        without_weights,
        with_metadata(config="{"),
        with_metadata(config="[]"),
        with_metadata(config='{"denoiser": {"channels": [4, 9]}}'),
        with_metadata(card="{"),
        with_metadata(config='{"denoiser": {"channels": [4, 1000000000]}}'),
        with_metadata(config='{"denoiser": {"blocks": [1, 1000000000]}}'),
        with_metadata(config=json.dumps({"denoiser": {"channels": [4] * 2000}})),
    ],
    ids=[
        *("truncated", "garbled", "empty", "weights", "config", "list", "shapes", "card"),
        *("a terabyte", "endless", "deep"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(written, damage):
    damage(written)

    with pytest.raises(UsageError, match="damaged checkpoint") as caught:
        load_checkpoint(str(written))

    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_allocated_for_weights_that_are_not_there(written, monkeypatch):
    with_metadata(config='{"denoiser": {"channels": [1024, 1024, 1024], "blocks": [9, 9, 9]}}')(written)
    monkeypatch.setattr(PdsModel, "load_state_dict", lambda *_: pytest.fail("the network was built"))
    with pytest.raises(UsageError, match="weights of other shapes"):
        load_checkpoint(str(written))


def test_loading_a_model_does_not_import_a_compiler(written):
    script = f"""
import sys
from pds_bids.models.checkpoint import load_checkpoint
load_checkpoint({str(written)!r})
print(sorted({{"sympy", "torch._dynamo", "torch._inductor"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"  # it would take ten times as long as the rest


def test_a_file_too_large_is_not_opened(written, monkeypatch):
    monkeypatch.setattr("pds_bids.models.checkpoint.MAX_BYTES", 1000)
    with pytest.raises(UsageError, match="larger than"):
        load_checkpoint(str(written))


def test_a_foreign_file_is_told_from_a_damaged_one(path):
    path.parent.mkdir()
    save_file({"weight": torch.zeros(2)}, path)

    with pytest.raises(UsageError, match="not a pds-bids-1 checkpoint"):
        load_checkpoint(str(path))


def test_a_missing_file_is_told_with_what_there_is():
    with pytest.raises(UsageError, match=r"--model nothing: neither a bundled model .* nor a file") as caught:
        load_checkpoint("nothing")

    assert all(p.stem in str(caught.value) for p in BUNDLED)


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_nothing_is_ever_unpickled(path, tmp_path):
    mark = tmp_path / "executed"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Trap(mark)))

    with pytest.raises(UsageError, match="damaged checkpoint"):
        load_checkpoint(str(path))

    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # the trap itself works


def test_a_note_changes_the_card_and_nothing_else(written):
    before = load_checkpoint(str(written))

    annotate(written, metrics=[{"n": 3}])

    after = load_checkpoint(str(written))
    assert after.card == before.card | {"metrics": [{"n": 3}]}
    assert after.sha256 != before.sha256
    assert after.model.config == before.model.config
    old, new = before.model.state_dict(), after.model.state_dict()
    assert old.keys() == new.keys()
    assert all(torch.equal(tensor, new[name]) for name, tensor in old.items())


def test_a_path_is_its_own_name(written):
    assert resolve(str(written)) == written


def test_the_refiner_sends_no_gradient_to_the_denoiser(model, awake):
    awake(model)
    _, refined = model.refined(
        torch.randn(1, 2, 8, 4, 4, 4), torch.tensor([1]), torch.randn(1, N_CONTEXT, 4, 4, 4)
    )

    refined.bands_BKXYZ.square().sum().backward()

    assert all(p.grad is None for p in model.denoiser.parameters())
    assert any(p.grad is not None for p in model.refiner.parameters())


@pytest.mark.skipif(not BUNDLED, reason="no weights are bundled with this checkout")
class TestBundled:
    def test_they_are_small_together(self):
        assert sum(path.stat().st_size for path in BUNDLED) <= 16 * MIB

    @pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.stem)
    def test_each_loads_by_name_with_its_card(self, path):
        checkpoint = load_checkpoint(path.stem)

        split = checkpoint.card["split"]
        parts = [set(split[part]) for part in ("train", "calibration", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)), "the parts overlap"
        networks = checkpoint.model.denoiser, checkpoint.model.refiner
        assert sum(map(count_parameters, networks)) <= 7_500_000
        assert all(torch.isfinite(t).all() for t in checkpoint.model.state_dict().values())

    @pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.stem)
    def test_each_was_trained_and_calibrated(self, path):
        model = load_checkpoint(path.stem).model

        assert model.denoiser.unet.head.weight.any()
        assert model.refiner.unet.head.weight.any()
        assert (model.templates.amax((1, 2, 3)) > 0.5).all()
        assert (model.scale_factor > 0).all()


def test_a_checkpoint_without_wavelets_is_read_as_one(path, model, generator):
    plain = PdsModel(dataclasses.replace(model.config, wavelet=False))
    write_checkpoint(path, plain, {})

    read = load_checkpoint(str(path)).model

    images = torch.randn((1, 2, 4, 4, 4), generator=generator)
    bands = read.subbands.split(images)
    assert torch.equal(bands, plain.subbands.split(images))
    assert not torch.allclose(bands, model.subbands.split(images))
    torch.testing.assert_close(read.subbands.merge(bands), images)


def test_wavelets_are_on_or_off():
    with pytest.raises(TypeError, match="wavelet = 'db4'"):
        ModelConfig.from_dict({"wavelet": "db4"})


@pytest.mark.parametrize("wavelet", [True, False])
def test_what_is_written_can_be_loaded(tmp_path, wavelet):
    config = dataclasses.replace(load_checkpoint("base").model.config, wavelet=wavelet)
    write_checkpoint(tmp_path / "new.safetensors", PdsModel(config), {})

    assert load_checkpoint(str(tmp_path / "new.safetensors")).model.config == config
