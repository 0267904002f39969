"""`pds-model experiment trust`: what is measured of each person, and what is said of all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pds_bids.app.experiments import coverage, hallucination, misalignment, ood, trust
from pds_bids.app.experiments.chapter import Measured
from pds_bids.app.experiments.memorisation import Memorisation, deviation
from pds_bids.app.experiments.setting import Setting
from pds_bids.app.experiments.volunteers import KINDS, LESIONS, PLAIN, Volunteer, alone
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pattern import PatternValues
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.prep.rois import roi_atlas
from pds_bids.simulation.variants import VARIANTS
from pds_bids.training.data import Sample

pytestmark = pytest.mark.slow

MAPS = {f"{k}.nii.gz": Path(f"{k}.nii.gz") for k in range(2)}


@pytest.fixture(scope="module")
def model() -> PdsModel:
    """As small as can be, its weights random to the last layer; it knows a pattern, and its limit is 1."""
    torch.manual_seed(0)
    denoiser = DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=8, attention=False)
    made = PdsModel(ModelConfig(denoiser, RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4)))
    for weights in made.parameters():
        weights.data += 0.05 * torch.randn_like(weights)
    made.templates.fill_(0.9)
    made.outlier.whitening.copy_(torch.eye(made.outlier.whitening.shape[-1]))
    atlas, random = roi_atlas(), np.random.default_rng(0)
    d, rho = random.normal(size=(2, len(atlas))), np.zeros(len(atlas))
    made.know(PatternValues(atlas, d, rho, 40, 20, 20))
    return made.eval()


@cache
def drawn_sample(seed: int, lesion: bool = False) -> Sample:
    """Smooth noise in a ball; the target is 2 minus the source, which is brighter at the side of a lesion."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in MODEL_GRID.shape], indexing="ij", sparse=True)
    mask = np.sqrt(sum(axis**2 for axis in axes)) < 0.85
    source = (1 + 0.2 * random.standard_normal(mask.shape)).clip(0.2, 1.8) + 0.3 * lesion * (axes[0] > 0.4)
    images = np.stack([[source, source], [2 - source, 2 - source]]).astype(np.float16)
    tissue = np.full((4, *(n // 2 for n in MODEL_GRID.shape)), 63, np.uint8)
    return alone(Sample(images, np.stack([mask, mask]), tissue, images[0, 0]))


@pytest.fixture(scope="module", autouse=True)
def scans() -> Iterator[None]:
    """Nothing is simulated."""

    def samples(person: Volunteer) -> dict[str, Sample]:
        names = VARIANTS if person.challenged else (PLAIN, *person.lesions)
        return {name: drawn_sample(person.number, name in LESIONS) for name in names}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Volunteer, "samples", property(samples))
        yield


@pytest.fixture(scope="module")
def people(model: PdsModel) -> list[Volunteer]:
    """One of each kind, twice; one is challenged."""
    return [Volunteer(k, 2, 0, k == 0, lambda _: np.zeros(1, np.uint8), model) for k in range(8)]


def measured(chapter: Any, people: list[Volunteer]) -> Measured:
    return Measured.of(people, [chapter.measure(person) for person in people], seed=0)


def test_kinds_and_anatomies_are_crossed(people: list[Volunteer]) -> None:
    assert len({(person.kind, person.anatomy) for person in people}) == 2 * len(KINDS)
    assert [bool(person.lesions) for person in people[:4]] == [True, True, False, False]


def test_coverage_is_told_by_tissue_and_group(people: list[Volunteer]) -> None:
    found = measured(coverage, people[:2])
    shares = found.arrays["coverage"]
    assert shares.shape == (2, len(Modality), len(coverage.PLACES), len(coverage.LEVELS))
    assert (np.diff(shares[:, :, 0], axis=-1) > 0).all()  # wider intervals hold more
    tables = coverage.answer(found, people[0].model).tables
    assert [len(rows) for rows in tables.values()] == [10, 4]


@pytest.mark.parametrize("name", [*ood.ARTEFACTS, ood.WRONG])
def test_a_challenge_changes_the_source_and_leaves_the_volunteer(people: list[Volunteer], name: str) -> None:
    source = 1
    plain = people[0].samples[PLAIN]
    before = plain.images.copy()
    unusual = ood.challenged(people[0], name, source)
    if name != ood.WRONG:  # both modalities show the same here
        inside = np.where(plain.masks[0, source], before[0, 0, source], 0)
        assert not np.allclose(unusual.images[0, 0, source], inside, atol=0.02)
        np.testing.assert_array_equal(unusual.images[0, 0, 1 - source], before[0, 0, 1 - source])
    assert unusual.images[0, 0, source].min() >= 0
    np.testing.assert_array_equal(plain.images, before)


def test_only_those_who_are_challenged_and_what_changed_are_scored(
    people: list[Volunteer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ood, "CHALLENGES", ("b = 4000", LESIONS[0], "spike in k-space"))
    found = measured(ood, people[:2])
    scores = found.arrays["scores"]
    assert np.isfinite(scores[:, :, 0]).all()
    assert np.isnan(scores[1, :, 1:]).all()
    assert np.isfinite(scores[0, 0, 1:]).tolist() == [False, True, True]  # the first is the plain scan here
    (rows,) = ood.answer(found, people[0].model).tables.values()
    assert len(rows) == len(Modality) * (2 + 3)


def test_a_challenge_that_changes_nothing_is_not_told(people: list[Volunteer], model: PdsModel) -> None:
    scores = np.full((len(people), len(Modality), 1 + len(ood.CHALLENGES)), np.nan)
    scores[:, :, 0] = np.arange(len(people))[:, None]
    scores[-2:] = scores[-2:, :, :1]  # those who are challenged happen to score highest

    rows = ood.answer(Measured.of(people, [{"scores": own} for own in scores], 0), model).tables
    (told,) = rows.values()
    assert {row["AUROC"][0] for row in told if row["unusual"] in ood.CHALLENGES} == {0.5}


def roi_record(truth: float, drift: float, d: np.ndarray, sign: float) -> dict[str, Any]:
    """Somebody who has so much of the pattern, and an output that has so much more.

    Two people of opposite sign have a standard deviation of 0.1 between them.
    """
    sd, template = 0.1, np.ones_like(d)
    true = template + sign * sd / 2**0.5 + truth * d * sd
    means = [true, true + drift * d * sd, template]
    return {"rois": np.array([[means] * len(hallucination.CIRCUMSTANCES)] * len(Modality))}


def test_a_hallucinated_pattern_is_seen_and_a_faithful_one_is_not(
    people: list[Volunteer], model: PdsModel
) -> None:
    d = hallucination.known_pattern(model).d_MR[0]
    model.pattern = replace(hallucination.known_pattern(model), d_MR=np.stack([d, d]))
    ill = {"AD": 1.0, "MCI": 0.5}

    def drifts(kind: str, drift: float) -> list[float]:
        records = [
            roi_record(ill.get(p.kind, 0), drift * (p.kind == kind), d, 1 - 2 * p.anatomy) for p in people
        ]
        found = hallucination.answer(Measured.of(people, records, seed=0), model)
        rows = found.tables["Drift toward the pattern of the disease"]
        return [row["drift"][0] for row in rows if row["target"] == "bold" and row["people"] in KINDS]

    assert drifts("healthy", 0) == [0, 0, 0, 0]
    assert drifts("healthy", 0.8) == pytest.approx([0.8, 0, 0, 0])


def test_an_output_that_stays_does_not_move_because_its_truth_does(
    people: list[Volunteer], model: PdsModel
) -> None:
    d = hallucination.known_pattern(model).d_MR[0]
    records = [roi_record(0, 0, d, 1 - 2 * person.anatomy) for person in people]
    for record in records:
        record["rois"][:, 1:, hallucination.TRUTH] -= 0.1 * d
    found = hallucination.answer(Measured.of(people, records, seed=0), model)

    (row, _) = [r for r in found.tables["Drift toward the pattern of the disease"] if r["n"] == 8][:2]
    assert (row["output"][0], row["truth"][0], row["drift"][0]) == pytest.approx((0, -1, 1))
    assert not [sentence for sentence in found.findings if "adds" in sentence and "toward" in sentence]


def test_roi_means_are_of_the_circumstances_that_there_are(people: list[Volunteer]) -> None:
    healthy, ill = (hallucination.measure(person)["rois"] for person in (people[0], people[2]))
    shape = (len(Modality), len(hallucination.CIRCUMSTANCES), 3, len(roi_atlas()))
    assert healthy.shape == ill.shape == shape
    assert np.isfinite(healthy).any(axis=-1).all()
    assert np.isnan(ill[:, 1:]).all()
    assert (healthy[:, 0, hallucination.TRUTH] > healthy[:, 1, hallucination.TRUTH])[0].any()


def test_a_model_without_a_pattern_is_refused(model: PdsModel) -> None:
    with pytest.raises(UsageError, match="pattern"):
        hallucination.known_pattern(PdsModel(model.config))


def memorisation(model: PdsModel, folder: Path) -> Memorisation:
    checkpoint = Checkpoint(model, {}, "0" * 64, "small")
    return Memorisation(checkpoint, None, lambda _: np.zeros(1, np.uint8), 2, folder)


def test_a_model_that_copies_its_training_scans_is_caught(
    people: list[Volunteer], model: PdsModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    training = random.normal(size=(2, 30, 500)).astype(np.float32)
    truth = random.normal(size=(len(people), 2, 500)).astype(np.float32)
    monkeypatch.setattr(Memorisation, "training", lambda _: training)
    chapter = memorisation(model, tmp_path)

    def row_of(outputs: np.ndarray) -> dict[str, Any]:
        records = [{"coarse": np.stack([t, o], axis=1)} for t, o in zip(truth, outputs, strict=True)]
        return chapter.answer(Measured.of(people, records, 0), model).tables[
            "Correlation with training scans"
        ][0]

    honest = row_of(0.5 * truth + 0.1 * random.normal(size=truth.shape))
    copying = row_of(0.5 * truth + training[:, : len(people)].swapaxes(0, 1))
    assert honest["outputs nearer to training than to their truth"][0] == 0
    assert honest["output less truth"][1] <= 0.5
    assert copying["outputs nearer to training than to their truth"][0] == 1
    assert copying["output less truth"][1] > 1


def test_deviations_are_from_the_template_inside_the_mask() -> None:
    mask = np.zeros(MODEL_GRID.shape, bool)
    mask[:4, :4, :4] = True
    coarse = deviation(np.full(mask.shape, 1.5), np.ones(mask.shape), mask)
    assert coarse[0] == 0.5
    assert not coarse[1:].any()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One metric, two moves."""
    moves = {name: misalignment.MOVES[name] for name in ("shift 2 mm", "distortion 2 mm")}
    monkeypatch.setattr(misalignment, "MOVES", moves)
    monkeypatch.setattr(misalignment, "SHIFTS_MM", (2.0,))

    def one(prediction: Any, case: Any) -> dict[str, float]:
        error = (prediction.volume - case.truth)[case.mask]
        return {"psnr_db": float(-10 * np.log10(np.mean(error**2))), "share": float(case.mask.mean())}

    monkeypatch.setattr(misalignment, "metrics_of", one)


@pytest.mark.usefixtures("quick")
def test_a_misaligned_reference_costs_whoever_is_right(
    people: list[Volunteer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def perfect(outputs: Any) -> Any:
        made = replace(outputs.case).truth + 0.01
        return SimpleNamespace(volume=made, sd=None)

    monkeypatch.setattr(misalignment, "refined", perfect)
    monkeypatch.setattr(misalignment, "estimate", perfect)
    found = measured(misalignment, people[:2])  # the second is not challenged
    assert found.arrays["values"].shape == (1, len(Modality), 3, len(misalignment.METHODS), 2)
    tables = misalignment.answer(found, people[0].model).tables
    row, *others = tables["bold, PDM + TR + MR: a misaligned reference changes the metric by"]
    assert not others  # the share of the mask does not look at the reference
    assert row["shift 2 mm"][0] < -10


@pytest.mark.usefixtures("quick")
def test_what_was_measured_is_not_measured_again(
    model: PdsModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint(model, {"split": {"test": [*MAPS]}}, "0" * 64, "small")
    monkeypatch.setattr(Setting, "checkpoint", lambda _: checkpoint)
    monkeypatch.setattr(ood, "CHALLENGES", ("motion",))
    monkeypatch.setattr(trust, "maps_of", lambda *_: MAPS)
    training = np.random.default_rng(0).normal(size=(2, 5, 10560)).astype(np.float32)
    monkeypatch.setattr(Memorisation, "training", lambda _: training)
    told = Setting(tmp_path / "trust.json", tmp_path, "small", n_subjects=1)
    assert trust.run(trust.Plan(1), told) == 0
    first = json.loads(told.out.read_text())
    assert first["experiment"] == "trust"
    assert {"findings", "tables", "charts", "weights_sha256", "n_challenged"} <= first.keys()

    def again(*_: Any) -> None:
        raise AssertionError("measured again")

    for chapter in (coverage, ood, hallucination, misalignment, Memorisation):
        monkeypatch.setattr(chapter, "measure", again)
    trust.run(trust.Plan(1), told)
    again = json.loads(told.out.read_text())
    assert again["tables"] == first["tables"]
