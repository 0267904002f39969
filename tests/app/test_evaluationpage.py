"""From the JSON of an experiment to its page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pds_bids.app import evaluationpage
from pds_bids.app.experiments.setting import Result, Setting, write_result
from pds_bids.bids.writing import write_json
from pds_bids.core.errors import UsageError
from pds_bids.core.volume import MODEL_GRID

ABOUT: dict[str, Any] = {
    "created": "2026-01-31T12:00:00+00:00",
    "command": "pds-model experiment trust --out <b>",
    "label_maps": "maps",
    "weights_sha256": {"base": "00d137"},
    "rows": [{"not": "shown"}],
    "experiment": "trust",
    "title": "Can it be trusted?",
    "findings": ["No effect is shown."],
    "tables": {"Scores": [{"target": "bold", "psnr_db": [20.0, 19.0, 21.0], "own_key": 3}]},
    "charts": [
        {
            "kind": "forest",
            "title": "Gains",
            "caption": "Right of 0 it is better.",
            "data": {"x_label": "dB", "reference": 0, "series": {"ours": [1.0, 0.5, 1.5]}},
        }
    ],
}


def test_a_page_tells_what_the_json_tells(tmp_path: Path) -> None:
    evaluationpage.write(tmp_path / "trust.html", ABOUT)
    html = (tmp_path / "trust.html").read_text()
    for told in ("Can it be trusted?", "No effect is shown.", "PSNR (dB)", "own key", "[19.0, 21.0]"):
        assert told in html
    for told in ("SIMULATED", "--out &lt;b&gt;", "weights_sha256.base", "00d137", "Right of 0 it is better."):
        assert told in html
    assert "shown</dd>" not in html


@pytest.mark.parametrize(
    ("said", "subjects"),
    [
        ({"label_maps": "maps"}, "simulated"),
        ({"test_maps": ["a"], "subjects": {"test": 3}}, "simulated"),
        ({"label_maps": None, "derivatives": "out"}, "dataset"),
        ({"subjects": "real"}, "real"),
    ],
)
def test_whose_numbers_these_are(tmp_path: Path, said: dict[str, Any], subjects: str) -> None:
    about = {name: value for name, value in ABOUT.items() if name != "label_maps"} | said
    assert evaluationpage.part_of(about, tmp_path / "a.json").subjects == subjects


def test_experiments_are_joined_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("b.json", "a.json")]
    for path in paths:
        write_json(path, ABOUT | {"title": f"From {path.stem}"})
    assert evaluationpage.run(paths, tmp_path / "page.html") == 0
    html = (tmp_path / "page.html").read_text()
    assert 0 < html.index("From b") < html.index("From a")
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"


def test_images_lie_beside_the_json_and_are_synthetic_unless_acquired(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random(MODEL_GRID.shape).astype(np.float32)
    for name in ("true", "made"):
        np.save(tmp_path / f"{name}.npy", image)
    data = {"images": {"acquired": "true.npy", "synthesised": "made.npy"}, "acquired": ["acquired"]}
    about = ABOUT | {"charts": [{"kind": "slices", "title": "One", "caption": "", "data": data}]}
    (drawn,) = evaluationpage.charts_of(about, tmp_path / "a.json")
    assert drawn.svg.count(">SYNTHETIC<") == 7


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "cannot be read"),
        ("[]", "give the JSON of an experiment"),
        ('{"title": "a"}', "lacks experiment, findings, tables, charts"),
    ],
)
def test_what_no_experiment_wrote_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match=fault):
        evaluationpage.run([tmp_path / "a.json"], tmp_path / "page.html")


@pytest.mark.parametrize(
    "chart", [{"kind": "pie", "data": {}}, {"kind": "forest", "data": {"series": {"a": [1, 2]}}}]
)
def test_a_chart_that_cannot_be_drawn_is_told(tmp_path: Path, chart: dict[str, Any]) -> None:
    about = json.loads(json.dumps(ABOUT)) | {"charts": [{"title": "Round", "caption": "", **chart}]}
    with pytest.raises(UsageError, match=r"a\.json: the chart Round cannot be drawn"):
        evaluationpage.part_of(about, tmp_path / "a.json")


def test_every_experiment_leaves_a_page_beside_its_json(tmp_path: Path) -> None:
    setting = Setting(tmp_path / "trust.json", label_maps=tmp_path / "maps")
    result = Result(**{name: ABOUT[name] for name in evaluationpage.SHOWN})
    write_result(result, NamedChoice(3), setting, SimpleNamespace(sha256="00d137"))
    html = (tmp_path / "trust.html").read_text()
    assert evaluationpage.load(setting.out)["steps"] == 3
    for told in ("Can it be trusted?", "SIMULATED SUBJECTS", "00d137", "<dt>steps</dt> <dd>3</dd>"):
        assert told in html


@dataclass(frozen=True)
class NamedChoice:
    """What an experiment is asked beyond the setting."""

    steps: int
