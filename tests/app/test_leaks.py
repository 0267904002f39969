"""Leak traps: each holds for the program, and snaps when the leak it is made for is built in.

Others stand beside what they guard: batches in tests/training/test_data.py, draws in test_methods.py, the
pattern in test_patterns.py, scores of training anatomies in test_methods.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pds_bids.app import cohort, reduction, scores, visit
from pds_bids.app.baselines import fitted_baselines, unfitted_baselines
from pds_bids.app.methods import (
    KINDS,
    Case,
    Contestant,
    Prediction,
    network,
)
from pds_bids.app.plan import VisitPlan
from pds_bids.app.scores import scoring_reference
from pds_bids.app.steps import Steps
from pds_bids.bids.inventory import Visit
from pds_bids.bids.pairs import Direction, PairFiles
from pds_bids.bids.sources import Series
from pds_bids.core.config import Config, PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.prep import source
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.registration import Alignment
from pds_bids.prep.source import Prepared
from pds_bids.training.data import Batch, make_batch

BRAIN = np.zeros(MODEL_GRID.shape, bool)
BRAIN[12:68, 12:84, 12:76] = True

SOURCE, TARGET = Modality

snaps = pytest.raises(AssertionError)


def image(seed: int, shift: int = 0, loudness: float = 1.0) -> NDArray[np.float32]:
    """Noise in a box that may be elsewhere, in arbitrary units."""
    noise = np.random.default_rng(seed).uniform(0.5, 1.5, MODEL_GRID.shape)
    return np.roll(loudness * noise * BRAIN, shift, axis=0).astype(np.float32)


# What a method predicts, and where it is scored, follows from everything but the target.


@dataclass
class One:
    """A single pair, of the same source whatever the target."""

    target: NDArray[np.float32]
    target_mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return 1

    def get(self, rows: list[int]) -> Any:
        from pds_bids.training.data import Sample

        both = np.stack([image(0), self.target])
        tissue = np.full((4, *(n // 2 for n in MODEL_GRID.shape)), 63, np.uint8)
        arrays = (np.stack([both, both]), np.stack([BRAIN, self.target_mask]), tissue, image(9))
        return Sample(*(np.stack([array] * len(rows)) for array in arrays))


def trap_of_predictions(contestant: Contestant) -> None:
    """Two targets that differ in values, place, loudness and mask."""
    pairs = (One(image(1), BRAIN), One(image(2, shift=3, loudness=7.0), np.roll(BRAIN, 3, axis=0)))
    one, other = (Case.of(pair, 0, list(Modality).index(TARGET)) for pair in pairs)
    assert not np.array_equal(one.truth, other.truth)
    np.testing.assert_array_equal(one.mask, other.mask)
    rows, others = contestant(one), contestant(other)
    for row, prediction in rows.items():
        np.testing.assert_array_equal(prediction.volume, others[row].volume)
        np.testing.assert_array_equal(prediction.sd, others[row].sd)


def small_model() -> PdsModel:
    torch.manual_seed(0)
    denoiser = DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=8, attention=False)
    made = PdsModel(ModelConfig(denoiser, RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4)))
    for weights in made.parameters():
        weights.data += 0.05 * torch.randn_like(weights)
    return made.eval()


def test_no_method_looks_at_the_target() -> None:
    model = small_model()
    training = One(image(5), BRAIN)

    trap_of_predictions(unfitted_baselines(model))
    trap_of_predictions(fitted_baselines(lambda: training))
    trap_of_predictions(network(model, {kind: kind for kind in KINDS if not kind.startswith("draw")}))


def masked_as_the_target(case: Case) -> Prediction:
    return Prediction(case.source_volume * (case.truth > 0))


def scaled_as_the_target(case: Case) -> Prediction:
    gain = case.truth[case.mask].mean() / case.source_volume[case.mask].mean()
    return Prediction(case.source_volume * gain)


def moved_onto_the_target(case: Case) -> Prediction:
    candidates = [np.roll(case.source_volume, shift, axis=0) for shift in range(5)]
    return Prediction(min(candidates, key=lambda moved: float(np.square(moved - case.truth).sum())))


@pytest.mark.parametrize("leak", [masked_as_the_target, scaled_as_the_target, moved_onto_the_target])
def test_a_method_that_does_is_caught(leak: Callable[[Case], Prediction]) -> None:
    with snaps:
        trap_of_predictions(lambda case: {"leak": leak(case)})


def test_a_score_inside_the_mask_of_the_target_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "mask", property(lambda case: case.truth > 0))
    with snaps:
        trap_of_predictions(unfitted_baselines(small_model()))


# What the app shows the networks of a visit follows from the source, also where both were acquired.


def volume(data: NDArray[Any], space: str = "native") -> Volume:
    return Volume(data.astype(np.float32), MODEL_GRID.affine, space)


def prepared_from(reduced: Reduced, *_: Any, **__: Any) -> Prepared:
    """Stands where `prepare` does, which takes its time: the image already lies where it should."""
    data = reduced.volume.data
    model, mask = volume(data, MODEL_SPACE), volume(data > 0, MODEL_SPACE)
    alignment = Alignment(reduced.volume.grid, np.eye(4))
    return Prepared(reduced.volume, volume(data > 0), model, mask, None, alignment, {"alignment": {}}, ())


@dataclass
class Onlooker:
    """Stands where `Synthesiser` does; it has seen enough before anything is made."""

    seen: list[NDArray[Any]] = field(default_factory=list)

    def synthesise(self, shown: Volume, mask: Volume, target: Modality, _: Any, seed: int, t1w: Any) -> None:
        self.seen += [shown.data, mask.data, np.array([target, seed, t1w], object)]
        raise ParticipantError("here", "seen enough", "nothing to do")


def shown_to_networks(
    folder: Path, acquired: dict[Modality, Volume], monkeypatch: pytest.MonkeyPatch
) -> Onlooker:
    """A visit with both modalities and `--evaluate`."""
    for modality, mean in acquired.items():
        reduced = Reduced(folder / modality.value, mean, {}, ())
        monkeypatch.setitem(reduction.REDUCE, modality, lambda *_, it=reduced: it)
    series = {m: Series(m, folder / m.value, 1, {}, {}) for m in Modality}
    who = Visit("01", None, frozenset(Modality), has_t1w=False)
    plan = VisitPlan(who, (TARGET,), series, {}, None, "")
    onlooker = Onlooker()
    ended = visit.run_visit(Config(folder, folder / "out", folder), plan, onlooker, "run", Steps("sub-01"))
    assert "seen enough" in ended.message
    assert len(onlooker.seen) == 3
    return onlooker


def trap_of_the_app(
    folder: Path, monkeypatch: pytest.MonkeyPatch, leak: Callable[[Volume], None] | None = None
) -> None:
    seen = []
    for target in (image(1), image(2, shift=3, loudness=7.0)):
        monkeypatch.setattr(visit, "prepare", prepared_from)
        acquired = {SOURCE: volume(image(0)), TARGET: volume(target)}
        if leak:
            leak(acquired[TARGET])
        seen.append(shown_to_networks(folder, acquired, monkeypatch).seen)
    for one, other in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, other)


def test_networks_see_nothing_of_an_acquired_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap_of_the_app(tmp_path, monkeypatch)


@pytest.mark.parametrize("what", ["mask", "scale", "registration"])
def test_an_app_that_shows_them_some_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def leak(target: Volume) -> None:
        def leaky(reduced: Reduced, *_: Any, **__: Any) -> Prepared:
            made = prepared_from(reduced)
            if what == "mask":
                return replace(
                    made, model_mask=made.model_mask.like(made.model_mask.data * (target.data > 0))
                )
            shift = round(np.argwhere(target.data > 0)[:, 0].mean() - np.argwhere(BRAIN)[:, 0].mean())
            return replace(made, model=made.model.like(np.roll(made.model.data, shift, axis=0)))

        if what == "scale":
            of_target = SimpleNamespace(fit=lambda _, mask: IntensityScale.fit(target, mask.like(BRAIN)))
            monkeypatch.setattr(visit, "IntensityScale", of_target)
        else:
            monkeypatch.setattr(visit, "prepare", leaky)

    with snaps:
        trap_of_the_app(tmp_path, monkeypatch, leak)


# Where the app scores follows from the source's mask and the target's field of view, not from what it shows.


def trap_of_the_scoring_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    air = 0.01  # a border of zeros is no field of view
    monkeypatch.setattr(scores, "brain_mask", lambda mean, _: mean.like(mean.data > 2 * air))
    monkeypatch.setattr(source, "align_rigid", lambda *_: np.eye(4))
    prepared = prepared_from(Reduced(Path("bold"), volume(image(0)), {}, ()))
    masks = []
    for target in (image(1), image(2, shift=3, loudness=7.0)):
        reference = scoring_reference(
            Reduced(Path("dwi"), volume(target + air), {}, ()), prepared, PrepConfig()
        )
        masks.append(reference.mask.data)
    np.testing.assert_array_equal(*masks)
    np.testing.assert_array_equal(masks[0] > 0, BRAIN)


def test_the_app_scores_where_the_source_is(monkeypatch: pytest.MonkeyPatch) -> None:
    trap_of_the_scoring_mask(monkeypatch)


def test_an_app_that_scores_where_the_target_is_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "align_reference", lambda mean, mask, *_: (mean, mask))
    with snaps:
        trap_of_the_scoring_mask(monkeypatch)


# What a cohort's pairs show the networks follows from the source, also where the target's field of view ends.


def shown_of_a_cohort(
    target: NDArray[np.float32], reach: NDArray[np.bool_], brain: str, monkeypatch: pytest.MonkeyPatch
) -> Batch:
    """A visit; `brain` is the file that is taken for the mask of the source."""
    images = {"source": image(0), "target": target, "t1w": image(9), "brain": BRAIN, "reach": reach}
    monkeypatch.setattr(cohort, "_read", lambda path: volume(images[path.name], MODEL_SPACE))
    names = ("source", "target", brain, "reach", "t1w")
    visit_files = PairFiles("01", None, {modality: Direction(*map(Path, names)) for modality in Modality})
    pairs = cohort.DerivativePairs((visit_files,), {})
    return make_batch(pairs.get([0]), [list(Modality).index(TARGET)], None)


def trap_of_the_cohort(monkeypatch: pytest.MonkeyPatch, brain: str) -> None:
    lower_half = BRAIN & (np.arange(BRAIN.shape[2]) < 40)
    one = shown_of_a_cohort(image(1), BRAIN, brain, monkeypatch)
    other = shown_of_a_cohort(image(2, loudness=7.0) * lower_half, lower_half, brain, monkeypatch)
    index = list(Modality).index(SOURCE)
    assert not torch.equal(one.images[:, 1 - index], other.images[:, 1 - index])
    for name, seen, unseen in (
        ("source", one.images[:, index], other.images[:, index]),
        ("mask", one.mask, other.mask),
        ("t1w", one.t1w, other.t1w),
    ):
        np.testing.assert_array_equal(seen, unseen, name)


def test_a_cohort_shows_all_of_a_source_whatever_the_target_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    trap_of_the_cohort(monkeypatch, "brain")


def test_a_cohort_masked_by_the_reach_of_the_target_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with snaps:
        trap_of_the_cohort(monkeypatch, "reach")


# Visits of one person stay on one side of the split.


def trap_of_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: Callable[[str, str], str]
) -> None:
    """Twelve people of three visits each; `label` names the subject of a visit."""
    everybody = [f"{k:02d}" for k in range(12)]
    visits = [PairFiles(label(person, session), session, {}) for person in everybody for session in "abc"]
    monkeypatch.setattr(cohort, "find_pairs", lambda _: visits)
    monkeypatch.setattr(cohort.DerivativePairs, "get", lambda *_: None)
    parts = cohort.load_cohort(tmp_path, None, seed=0).parts
    people = [{subject[:2] for subject in pairs.subjects} for pairs in parts.values()]
    assert sum(len(pairs) for pairs in parts.values()) == len(visits)
    assert all(people)
    assert sum(map(len, people)) == len(everybody)


def test_sessions_of_one_person_are_not_split_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap_of_sessions(tmp_path, monkeypatch, lambda person, _: person)


def test_a_split_by_visit_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with snaps:
        trap_of_sessions(tmp_path, monkeypatch, lambda person, session: person + session)
