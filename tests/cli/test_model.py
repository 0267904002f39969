"""`pds-model`: each subcommand hands its options to one workflow."""

from __future__ import annotations

import pytest

from pds_bids.app.evaluation import Plan
from pds_bids.app.panel import Origin
from pds_bids.app.simulation import Study
from pds_bids.app.trainingorder import Order
from pds_bids.cli import model
from pds_bids.core.errors import UsageError


def test_demo(pds_model_command, workflows, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "default_threads", lambda nprocs: 3)

    assert pds_model_command("demo", tmp_path / "demo").code == 0
    assert pds_model_command("demo", tmp_path / "demo", "--seed", 9, "--omp-nthreads", 2).code == 0
    assert workflows.demo.run.calls == [(tmp_path / "demo", 0, 3), (tmp_path / "demo", 9, 2)]


def test_info_prints_the_card_of_the_bundled_model_or_another(pds_model_command, workflows):
    workflows.modelcard.text.answer = "trained on"

    assert pds_model_command("info") == (0, "trained on\n", "")
    assert pds_model_command("info", "mine.safetensors").code == 0
    assert workflows.modelcard.text.calls == [("base",), ("mine.safetensors",)]


def test_train(pds_model_command, workflows, tmp_path):
    options = (
        "--label-maps",
        tmp_path,
        "--out",
        tmp_path / "m.safetensors",
        "--max-minutes",
        1.5,
        "--device",
        "cpu",
    )

    assert pds_model_command("train", "tiny", *options, "--seed", 4).code == 0
    assert pds_model_command("train", "tiny", *options[:4]).code == 0
    assert pds_model_command("train", "tiny", *options[:4], "--restart", "--tensorboard", tmp_path).code == 0
    cohort = ("--from-derivatives", tmp_path, "--split", tmp_path / "split.tsv")
    assert pds_model_command("train", "tiny", *cohort, *options[2:4]).code == 0
    files = (tmp_path, tmp_path / "m.safetensors")
    assert workflows.training.run.calls == [
        (Order("tiny", *files, 1.5, "cpu", 4),),
        (Order("tiny", *files),),
        (Order("tiny", *files, restart=True, tensorboard=tmp_path),),
        (Order("tiny", None, files[1], derivatives=tmp_path, split=tmp_path / "split.tsv"),),
    ]


def test_evaluate(pds_model_command, workflows, tmp_path):
    options = ("--label-maps", tmp_path, "--out", tmp_path / "t.tsv")
    rivals = ("--compare", "U-Net:estimate=unet.safetensors", "--compare", "PDM + TR=tr.safetensors")
    choice = ("--model", "tiny", "--n-subjects", 2, "--n-fit", 5, "--methods", "estimate", "refined")

    assert pds_model_command("evaluate", *options).code == 0
    assert pds_model_command("evaluate", *choice, *options, *rivals, "--no-baselines", "--seed", 3).code == 0
    default = Plan()
    other = Plan("tiny", (rivals[1], rivals[3]), ("estimate", "refined"), False, 2, 5, 3)
    cohort = ("--from-derivatives", tmp_path, "--split", tmp_path / "s.tsv", "--work", tmp_path / "w")
    assert pds_model_command("evaluate", *cohort, *options[2:]).code == 0
    table = tmp_path / "t.tsv"
    assert workflows.evaluation.run.calls == [
        (default, Origin(tmp_path), table, "auto", None),
        (other, Origin(tmp_path), table, "auto", None),
        (default, Origin(None, tmp_path, tmp_path / "s.tsv"), table, "auto", tmp_path / "w"),
    ]


def test_simulate(pds_model_command, workflows, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "available_cpus", lambda: 5)
    options = (
        "--n-subjects",
        3,
        "--sites",
        "ppmi",
        "hospital",
        "--groups",
        "nc,ad",
        "--ages",
        20,
        30,
        "--no-t1w",
    )

    assert pds_model_command("simulate", tmp_path / "a").code == 0
    assert pds_model_command("simulate", *options, "--missing", 0, "--nprocs", 2, tmp_path / "b").code == 0
    default = Study(12, ("oasis", "adni"), ("nc", "mci", "ad"), missing=0.5)
    other = Study(3, ("ppmi", "hospital"), ("nc", "ad"), ages=(20, 30))
    assert workflows.simulation.run.calls == [
        (tmp_path / "a", default, None, True, 5, "auto"),
        (tmp_path / "b", other, None, False, 2, "auto"),
    ]


@pytest.mark.parametrize(
    "args",
    [
        ("train", "tiny", "--label-maps", "absent", "--out", "m.safetensors"),
        ("train", "tiny", "--label-maps", ".", "--out", "m.safetensors", "--max-minutes", 0),
        ("train", "tiny", "--label-maps", "."),
        ("evaluate", "--label-maps", "."),
        ("demo",),
        ("simulate",),
        ("simulate", ""),
        ("simulate", "out", "--sites"),
        ("simulate", "out", "--missing", 1.5),
        ("no-such-command",),
        (),
    ],
)
def test_usage_errors_end_with_2(pds_model_command, args):
    assert pds_model_command(*args).code == 2


def test_an_error_becomes_one_line_and_its_exit_code(pds_model_command, workflows):
    workflows.modelcard.text.answer = UsageError("no model called x; see `pds-model info`")

    assert pds_model_command("info", "x") == (
        2,
        "",
        "pds-model: error: no model called x; see `pds-model info`\n",
    )


def test_report(pds_model_command, workflows, tmp_path):
    results = [tmp_path / name for name in ("b.json", "a.json")]
    for path in results:
        path.write_text("{}")

    assert pds_model_command("report", *results, "--out", tmp_path / "page.html").code == 0
    assert pds_model_command("report", "--out", tmp_path / "page.html").code == 2
    assert pds_model_command("report", tmp_path / "none.json", "--out", tmp_path / "page.html").code == 2
    assert workflows.evaluationpage.run.calls == [(tuple(results), tmp_path / "page.html")]
