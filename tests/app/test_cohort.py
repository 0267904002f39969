"""Training pairs read back from derivatives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pds_bids.app import evaluation
from pds_bids.app.cohort import load_cohort, people
from pds_bids.app.methods import MAIN
from pds_bids.app.panel import Origin, of_cohort
from pds_bids.app.trainingorder import Order, plan
from pds_bids.bids.derivatives import REFERENCE_DESC, context_desc, derivative_path
from pds_bids.bids.writing import write_volume
from pds_bids.core.errors import ParticipantError, UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.models.checkpoint import Checkpoint, write_checkpoint
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.training.data import Covariate, make_batch

pytestmark = pytest.mark.slow

LOUDNESS = {"source": 40_000.0, "target": 3.0, "t1w": 700.0}
"""Scanner units differ; float16 ends at 65,504."""


def brain(source: Modality) -> np.ndarray:
    """A box that tells by its size whose mask it is."""
    mask = np.zeros(MODEL_GRID.shape, bool)
    mask[20:60, 20:70, 20 : 60 + 4 * list(Modality).index(source)] = True
    return mask


def reached(source: Modality) -> np.ndarray:
    """What of it the field of view of the target shows."""
    mask = brain(source)
    mask[:, :, :28] = False
    return mask


def contrast(name: str) -> np.ndarray:
    """Of each image its own."""
    return np.random.default_rng(sum(map(ord, name))).gamma(4, size=MODEL_GRID.shape)


def write_visit(
    out: Path, subject: str, session: str | None, t1w: tuple[Modality, ...] = tuple(Modality)
) -> None:
    def write(datatype: str, suffix: str, desc: str, data: np.ndarray) -> None:
        path = derivative_path(
            out, subject, session, datatype,
            space=MODEL_SPACE, res="2", desc=desc, suffix=suffix, extension=".nii.gz",
        )  # fmt: skip
        write_volume(
            path, Volume(data.astype(np.float32), MODEL_GRID.affine, MODEL_SPACE), description="made"
        )

    for source in Modality:
        target, mask = source.other, brain(source)
        write(
            source.datatype, source.mean_suffix, "preproc", LOUDNESS["source"] * contrast(f"{source}") * mask
        )
        write(
            target.datatype,
            target.mean_suffix,
            REFERENCE_DESC,
            LOUDNESS["target"] * contrast(f"to {target}") * reached(source),
        )
        write(source.datatype, "mask", "brain", mask)
        write(target.datatype, "mask", REFERENCE_DESC, reached(source))
        if source in t1w:
            write("anat", "T1w", context_desc(source), LOUDNESS["t1w"] * contrast("t1w") * mask)


@pytest.fixture(scope="module")
def derivatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """01 in two sessions; 02 whose T1w was used for one modality alone; 03."""
    out = tmp_path_factory.mktemp("derivatives")
    write_visit(out, "01", "a")
    write_visit(out, "01", "b")
    write_visit(out, "02", None, t1w=(Modality.DWI,))
    write_visit(out, "03", None)
    (out / "participants.tsv").write_text(
        "participant_id\tage\tsex\tgroup\tsite\nsub-01\t71.5\tF\tAD\tB\nsub-03\t89+\tM\tCN\tA\n"
    )
    return out


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("split") / "split.tsv"
    path.write_text("participant_id\tsplit\nsub-01\ttrain\nsub-02\tcalibration\nsub-03\ttrain\n")
    return path


def test_sessions_stay_together_and_people_are_known(derivatives: Path, split: Path) -> None:
    parts = load_cohort(derivatives, split, seed=0).parts
    assert {part: pairs.subjects for part, pairs in parts.items()} == {
        "train": ("01", "01", "03"),
        "calibration": ("02",),
        "test": (),
    }
    who = parts["train"].get([1]).covariates[0]
    assert who.tolist() == [2, 71.5, 0, 1]
    assert np.isnan(parts["calibration"].get([0]).covariates).all()
    control = parts["train"].get([2]).covariates[0]
    assert np.isnan(control[Covariate.AGE])
    assert control[[Covariate.GROUP, Covariate.SEX, Covariate.SITE]].tolist() == [0, 1, 0]


@pytest.mark.parametrize("target", Modality)
def test_a_batch_shows_what_was_written(derivatives: Path, split: Path, target: Modality) -> None:
    parts = load_cohort(derivatives, split, seed=0).parts
    index, source = list(Modality).index(target), target.other
    batch = make_batch(parts["train"].get([0, 1]), [index] * 2, None)
    mask, reach = brain(source), reached(source)
    np.testing.assert_array_equal(batch.mask[1, 0].numpy() > 0, mask)
    np.testing.assert_array_equal(batch.known[1, 0].numpy() > 0, reach)

    def in_model_units(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return (values / np.median(values[mask])).clip(0, 2) * mask - 1

    for shown, name, where in (
        (batch.images[1, index], f"to {target}", reach),
        (batch.images[1, 1 - index], f"{source}", mask),
        (batch.t1w[1, 0], "t1w", mask),
    ):
        np.testing.assert_allclose(shown.numpy(), in_model_units(contrast(name), where), atol=3e-3)
    assert batch.has_t1w.all()
    assert not batch.tissue.any()


def test_a_t1w_that_served_one_modality_alone_is_no_context(derivatives: Path, split: Path) -> None:
    parts = load_cohort(derivatives, split, seed=0).parts
    assert not make_batch(parts["calibration"].get([0]), [0], None).has_t1w.any()


def test_a_drawn_split_is_written_beside_the_checkpoint(derivatives: Path, tmp_path: Path) -> None:
    cohort = load_cohort(derivatives, None, seed=4)
    parts = cohort.parts
    assert not list(tmp_path.iterdir())  # another training's split may lie there until this one is let in
    cohort.write_drawn_split(tmp_path / "mine.safetensors")
    given = load_cohort(derivatives, tmp_path / "mine.split.tsv", seed=5)
    again = given.parts
    given.write_drawn_split(tmp_path / "other.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.split.tsv"]
    assert {p: pairs.subjects for p, pairs in again.items()} == {
        p: pairs.subjects for p, pairs in parts.items()
    }


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--evaluate --output-spaces model"):
        load_cohort(tmp_path, None, 0)


@pytest.mark.parametrize("fault", ["cut off", "elsewhere", "empty"])
def test_a_broken_image_is_named_before_training(tmp_path: Path, fault: str) -> None:
    write_visit(tmp_path, "01", None)
    path = next(tmp_path.rglob("*_desc-preproc_trace.nii.gz"))
    if fault == "cut off":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        grid = MODEL_GRID.affine + (fault == "elsewhere")
        write_volume(path, Volume(np.zeros(MODEL_GRID.shape, np.float32), grid, MODEL_SPACE), description="")
    with pytest.raises(ParticipantError, match=path.name):
        load_cohort(tmp_path, split_of(tmp_path), 0)


def split_of(folder: Path) -> Path:
    write_visit(folder, "02", None, t1w=())
    write_visit(folder, "03", None, t1w=())
    path = folder / "split.tsv"
    path.write_text("participant_id\tsplit\nsub-01\ttrain\nsub-02\tcalibration\nsub-03\ttrain\n")
    return path


@pytest.mark.parametrize(
    ("column", "word", "group"),
    [
        ("group", "NC", 0), ("Diagnosis", "Healthy", 0), ("dx", "Control", 0), ("dx", "CN", 0),
        ("group", "mci", 1), ("dx", "Dementia", 2), ("diagnosis", "Alzheimer", 2),
        ("group", "PD", np.nan), ("group", "n/a", np.nan), ("treatment", "ad", np.nan),
    ],
)  # fmt: skip
def test_diagnoses_by_any_name(column: str, word: str, group: float) -> None:
    (who,) = people(
        [{"participant_id": "sub-01", column: word}, {"participant_id": "sub-9"}], ["01"]
    ).values()
    np.testing.assert_equal(float(who[Covariate.GROUP]), float(group))
    assert np.isnan(who[[Covariate.AGE, Covariate.SEX, Covariate.SITE]]).all()


def test_the_card_counts_people_and_names_nobody(derivatives: Path, split: Path, tmp_path: Path) -> None:
    order = Order("tiny", None, tmp_path / "mine.safetensors", derivatives=derivatives, split=split)
    about = plan(order, 1).about
    assert about["subjects"] == {"train": 2, "calibration": 1, "test": 0}
    assert "split" not in about
    assert "sub-0" not in json.dumps(about)
    other = tmp_path / "other.tsv"
    other.write_text("participant_id\tsplit\nsub-01\tcalibration\nsub-02\ttrain\nsub-03\ttrain\n")
    assert plan(replace(order, split=other), 1).about["cohort"] != about["cohort"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "give exactly one"),
        ({"label_maps": Path(), "derivatives": Path()}, "give exactly one"),
        ({"label_maps": Path(), "split": Path("split.tsv")}, "--split: is of the people"),
    ],
)
def test_pairs_come_from_one_place(tmp_path: Path, given: dict[str, Path], fault: str) -> None:
    order = Order("tiny", **{"label_maps": None, "out": tmp_path / "mine.safetensors", **given})
    with pytest.raises(UsageError, match=fault):
        plan(order, 1)


# A cohort that is tested on.


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    """Two who train, one who calibrates, and two who test, one of them twice."""
    out = tmp_path_factory.mktemp("tested")
    for subject in ("01", "02", "03", "05"):
        write_visit(out, subject, None)
    for session in ("a", "b"):
        write_visit(out, "04", session)
    (out / "participants.tsv").write_text("participant_id\tgroup\nsub-04\tAD\nsub-05\tCN\n")
    parts = {"01": "train", "02": "train", "03": "calibration", "04": "test", "05": "test"}
    lines = [f"sub-{subject}\t{part}\n" for subject, part in parts.items()]
    (out / "split.tsv").write_text("".join(["participant_id\tsplit\n", *lines]))
    return Origin(derivatives=out, split=out / "split.tsv")


def untrained(card: dict[str, Any] | None = None) -> Checkpoint:
    torch.manual_seed(0)
    denoiser = DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=8, attention=False)
    model = PdsModel(ModelConfig(denoiser, RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4)))
    return Checkpoint(model.eval(), card or {}, "0" * 64, "untrained")


def test_people_who_test_are_counted_once_however_often_they_came(tested: Origin) -> None:
    panel = of_cohort({"ours": untrained()}, tested.derivatives, tested.split, 0)

    assert tuple(panel.test.subject) == ("04", "04", "05")
    assert list(panel.test.anatomy) == [0, 0, 1]
    assert panel.training().subjects == ("01", "02")
    assert panel.about["trained_on_others"] == []


def test_a_model_that_names_a_test_subject_as_trained_on_is_refused(tested: Origin) -> None:
    for name in ("04", "sub-04"):
        seen = untrained({"split": {"train": [name]}})
        with pytest.raises(UsageError, match="ours: was trained"):
            of_cohort({"ours": seen}, tested.derivatives, tested.split, 0)


def test_a_model_of_another_cohort_is_told_of(tested: Origin, capsys: pytest.CaptureFixture[str]) -> None:
    known = of_cohort({}, tested.derivatives, tested.split, 0).about["cohort"]
    models = {"same": untrained({"cohort": known}), "other": untrained({"cohort": "elsewhere"})}

    about = of_cohort(models, tested.derivatives, tested.split, 0).about

    assert about["trained_on_others"] == ["other"]
    assert "other: was trained on another cohort" in capsys.readouterr().out


def test_somebody_has_to_be_tested(derivatives: Path, split: Path) -> None:
    with pytest.raises(UsageError, match="nobody is in the part test"):
        of_cohort({}, derivatives, split, 0)


def test_people_in_two_parts_are_refused(tested: Origin, tmp_path: Path) -> None:
    twice = tmp_path / "split.tsv"
    twice.write_text(tested.split.read_text() + "sub-04\ttrain\n")
    with pytest.raises(UsageError, match="sub-04 has two rows"):
        of_cohort({}, tested.derivatives, twice, 0)


@pytest.mark.parametrize("places", [{}, {"label_maps": Path(), "derivatives": Path()}])
def test_people_come_from_one_place(places: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="give exactly one"):
        Origin(**places)


def test_an_evaluation_on_a_cohort(tested: Origin, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "ours.safetensors", untrained().model, {})
    plan = evaluation.Plan(str(tmp_path / "ours.safetensors"), methods=(), n_fit=0)

    assert evaluation.run(plan, tested, tmp_path / "table.tsv", "cpu", tmp_path / "work") == 0

    about = json.loads((tmp_path / "table.json").read_text(), parse_constant=pytest.fail)
    assert [(row["method"], row["n"]) for row in about["rows"][:3]] == [
        ("flat brain", 2), ("population template", 2), (MAIN, 2)
    ]  # fmt: skip
    assert about["rows"][0]["mae_white"] is None
    assert {row["group"] for row in about["tables"]["By diagnosis"]} == {"ad", "nc"}
    assert str(tmp_path) not in json.dumps(about["tables"] | {"findings": about["findings"]})
    assert "<html" in (tmp_path / "table.html").read_text()
