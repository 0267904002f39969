from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pds_bids.app.experiments import features
from pds_bids.app.experiments.features import measured, real_subjects, roi_views
from pds_bids.app.methods import Case
from pds_bids.bids.pairs import PairFiles
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.training.data import PairBank


def test_measures_are_resumed_by_pair_and_direction(bank: PairBank, tmp_path: Path) -> None:
    seen: list[int] = []

    def measure(case: Case) -> dict[str, np.ndarray]:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(case.target)
        return {"target": np.array([case.target]), "mean": np.array(case.truth[case.mask].mean())}

    with pytest.raises(KeyboardInterrupt):
        measured(bank, measure, tmp_path / "m")
    seen.pop()
    found = measured(bank, measure, tmp_path / "m")

    assert seen == [0, 1, 1]
    assert found[Modality.DWI]["target"].tolist() == [[1], [1]]
    assert found[Modality.BOLD]["mean"].shape == (2,)


def test_views_are_roi_means_of_what_they_say(
    bank: PairBank, checkpoint: Checkpoint, pattern, tmp_path: Path
) -> None:
    views = roi_views(checkpoint.model, pattern.atlas)(Case.of(bank, 0, 1))

    np.testing.assert_allclose(views["source"] + views["target"], 2, atol=5e-3)
    np.testing.assert_allclose(views["template"], 0.9, atol=1e-6)
    assert ((views["synthetic"] >= 0) & (views["synthetic"] <= 2)).all()
    assert not np.allclose(views["synthetic"], views["target"], atol=0.01)


def test_what_is_synthesised_follows_from_nothing_of_the_target(
    bank: PairBank, checkpoint: Checkpoint, pattern
) -> None:
    case = Case.of(bank, 0, 1)
    images = case.batch.images.clone()
    images[:, 1] = 0.3
    measure = roi_views(checkpoint.model, pattern.atlas)

    first, second = (measure(c)["synthetic"] for c in (case, Case(case.batch._replace(images=images), 0)))

    np.testing.assert_array_equal(first, second)


def test_a_cohort_without_labels_names_the_option(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--label-column"):
        real_subjects(tmp_path, "diagnosis", checkpoint)


def test_whom_the_model_was_trained_on_is_left_out(
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tdiagnosis\n" + "".join(f"sub-{name}\tnc\n" for name in "abc")
    )
    visits = [PairFiles(name, None, {}) for name in "abc"]
    monkeypatch.setattr(features, "find_pairs", lambda _: visits)
    trained = replace(checkpoint, card={"split": {"train": ["sub-a"], "calibration": ["b"]}})

    subjects = real_subjects(tmp_path, "diagnosis", trained)

    assert [visit.subject for visit in subjects.pairs.visits] == ["c"]
    assert "left out 2 of 3" in capsys.readouterr().out
