"""Runs on a Dask cluster: workers in this process with a stand-in for the work, and real ones, one killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pds_bids.app import cluster, participant, sharedgpu
from pds_bids.app.process import Result, record
from pds_bids.app.steps import Step
from pds_bids.core.config import Config, OutputConfig, PrepConfig, RunConfig, SynthesisConfig
from pds_bids.core.errors import CannotWriteError, TemporaryError, UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.synthesis.pipeline import Synthesiser

dask = pytest.importorskip("dask", reason="needs Dask: pip install 'pds-bids[hpc]'")
distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'pds-bids[hpc]'")

N_SUBJECTS = 6


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A dataset of names: nobody looks inside."""
    for k in range(N_SUBJECTS):
        bold = tmp_path / f"bids/sub-{k}/func/sub-{k}_task-rest_bold.nii.gz"
        bold.parent.mkdir(parents=True)
        bold.touch()
    (tmp_path / "bids/dataset_description.json").write_text('{"Name": "Names", "BIDSVersion": "1.10.0"}')
    return Config(tmp_path / "bids", tmp_path / "out", tmp_path / "work")


Cluster = Callable[..., str]


@pytest.fixture
def cluster_of() -> Iterator[Cluster]:
    """Starts workers in this process, each with its resources, and gives the scheduler's address."""
    started = []

    def start(*resources: dict[str, int], threads: int = 1) -> str:
        spec = {
            k: {"cls": distributed.Worker, "options": {"nthreads": threads, "resources": offered}}
            for k, offered in enumerate(resources)
        }
        scheduler = {
            "cls": distributed.Scheduler,
            "options": {"dashboard": False, "host": "127.0.0.1", "port": 0},
        }
        started.append(distributed.SpecCluster(spec, scheduler, silence_logs=False))
        return started[-1].scheduler_address

    yield start
    for one in started:
        one.close()


def on(config: Config, scheduler: str) -> Config:
    return replace(config, run=RunConfig(scheduler=scheduler))


def work(do: Callable[..., None] = lambda *given: None) -> Callable[..., Result]:
    """A stand-in for `process`: tells of a step, does something, and succeeds."""

    def process(config: Config, visit: Any, run_id: str, tell: Any, load: Any) -> Result:
        tell(Step(visit.label, f"working in {distributed.get_worker().address}", 0.5))
        do(visit)
        return record(config, visit, run_id, "complete", "done")

    return process


def test_every_visit_is_done_once_and_told_as_in_a_local_run(config, cluster_of, monkeypatch, capsys):
    done: list[str] = []
    monkeypatch.setattr(cluster, "process", work(lambda visit: done.append(visit.label)))

    code = participant.run(on(config, cluster_of({}, {})))

    assert code == 0
    assert sorted(done) == [f"sub-{k}" for k in range(N_SUBJECTS)]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("]")[0] for line in lines if "complete (" in line] == [
        f"[{k + 1}/{N_SUBJECTS}" for k in range(N_SUBJECTS)
    ]
    assert sum("working in" in line for line in lines) == N_SUBJECTS
    assert lines[-1] == f"{N_SUBJECTS} complete"


def test_no_task_is_named_after_a_participant(config, cluster_of, monkeypatch):
    keys: list[str] = []
    monkeypatch.setattr(
        cluster, "process", work(lambda visit: keys.append(distributed.get_worker().get_current_task()))
    )

    participant.run(on(config, cluster_of({})))

    assert len(set(keys)) == N_SUBJECTS
    assert [key for key in keys if "sub-" in key] == []


def test_a_process_does_one_visit_at_a_time(config, cluster_of, monkeypatch, caplog):
    under_way, most = threading.Semaphore(1), []

    def alone(visit: Any) -> None:
        most.append(under_way.acquire(blocking=False))
        time.sleep(0.05)
        under_way.release()

    monkeypatch.setattr(cluster, "process", work(alone))

    participant.run(on(config, cluster_of({}, threads=3)))

    assert most == [True] * N_SUBJECTS
    assert "--nthreads 1" in caplog.text


def test_visits_keep_to_the_workers_that_offer_cpus(config, cluster_of, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "process", work())

    participant.run(on(config, cluster_of({"GPU": 1}, {"CPU": 1})))

    places = {
        line.partition("working in ")[2].split()[0]
        for line in capsys.readouterr().out.splitlines()
        if "working in" in line
    }
    assert len(places) == 1


def test_what_would_go_wrong_for_all_ends_the_run_and_cancels_the_others(config, cluster_of, monkeypatch):
    begun: list[str] = []

    def fail(visit: Any) -> None:
        begun.append(visit.label)
        time.sleep(0.2)
        raise CannotWriteError("the disk is full")

    monkeypatch.setattr(cluster, "process", work(fail))

    with pytest.raises(CannotWriteError, match="the disk is full"):
        participant.run(on(config, cluster_of({})))
    assert len(begun) < N_SUBJECTS


def test_ctrl_c_cancels_what_has_not_begun(config, cluster_of, monkeypatch):
    begun: list[str] = []
    monkeypatch.setattr(cluster, "process", work(lambda visit: (begun.append(visit.label), time.sleep(0.2))))
    monkeypatch.setattr("pds_bids.app.crew.wait", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    address = cluster_of({})

    with pytest.raises(KeyboardInterrupt):
        participant.run(on(config, address))
    time.sleep(0.5)
    assert len(begun) < N_SUBJECTS


def test_a_visit_that_kills_its_workers_fails_alone(config, cluster_of, monkeypatch, capsys):
    def deadly(visit: Any) -> None:
        if visit.label == "sub-3":
            raise distributed.KilledWorker("task", SimpleNamespace(address="there"), 3)

    monkeypatch.setattr(cluster, "process", work(deadly))

    assert participant.run(on(config, cluster_of({}))) == 1
    said = capsys.readouterr()
    assert "sub-3: failed" in said.err
    assert "lack of memory" in said.err
    assert f"{N_SUBJECTS - 1} complete, 1 failed" in said.out
    assert list((config.output_dir / "sub-3/log").glob("*/status.json"))


def test_folders_must_be_shared(config, cluster_of, monkeypatch):
    address = cluster_of({})
    monkeypatch.setattr(cluster, "process", lambda *given: pytest.fail("ran"))
    monkeypatch.setattr(Path, "is_dir", lambda path: path != config.bids_dir)

    with pytest.raises(UsageError, match="all machines share"), cluster.cluster_crew(address) as crew:
        crew.submit(config, None, "run").result()


def test_workers_of_another_version_are_refused(config, cluster_of):
    arguments = (config, None, "run", "topic", "0.0.1")
    with cluster._connected(cluster_of({})) as client:
        job = client.submit(cluster._process, *arguments)
        with pytest.raises(UsageError, match="use one version"):
            job.result()


def test_nobody_there_is_one_line(config, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(TemporaryError, match="no scheduler answers"):
        participant.run(on(config, "tcp://127.0.0.1:9"))
    (tmp_path / "file.json").write_text("{}")
    with pytest.raises(UsageError, match="scheduler file"):
        participant.run(on(config, str(tmp_path / "file.json")))


def test_without_dask_it_says_what_to_install(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'pds-bids\[hpc\]'"):
        participant.run(on(config, "tcp://127.0.0.1:9"))


SOURCE = Volume(np.zeros(MODEL_GRID.shape, np.float32), MODEL_GRID.affine, MODEL_SPACE)
Made = tuple[str, str]


@pytest.fixture
def syntheses(monkeypatch) -> list[Made]:
    """Where syntheses were made, and on which device; nothing is synthesised."""
    made: list[Made] = []

    def synthesise_all(self: Synthesiser, wanted: Any, config: Any) -> Any:
        made.append((distributed.get_worker().name, self.device))
        return [SimpleNamespace(record="made")] * len(wanted)

    monkeypatch.setattr(Synthesiser, "synthesise_all", synthesise_all)
    sharedgpu._together.cache_clear()
    monkeypatch.setattr(
        sharedgpu, "load_synthesiser", lambda config: Synthesiser(SimpleNamespace(), config.device)
    )
    return made


def synthesise_on(client: Any, worker: int, device: str = "auto") -> Any:
    """Have a visit's synthesis made, as a task on one worker would."""
    given = (SOURCE, SOURCE, Modality.DWI, SynthesisConfig(device=device), 0)
    return client.submit(
        lambda: sharedgpu.load_shared(given[3]).synthesise(*given).record, workers=[worker], pure=False
    )


@pytest.mark.parametrize(
    ("offered", "device", "made_by"),
    [
        ([{}, {}], "auto", (0, "auto")),
        ([{}, {"GPU": 1}], "auto", (1, "auto")),
        ([{}, {"GPU": 1}], "cuda", (1, "cuda")),
        ([{}, {"GPU": 1}], "cpu", (0, "cpu")),
        ([{"GPU": 1}, {"GPU": 1}], "auto", (0, "auto")),
    ],
    ids=["nobody has a GPU", "another has", "another must", "the CPU is wanted", "its own"],
)
def test_one_gpu_serves_the_visits_of_others(cluster_of, syntheses, offered, device, made_by):
    with cluster._connected(cluster_of(*offered)) as client:
        assert synthesise_on(client, 0, device).result() == "made"
    assert syntheses == [made_by]


def test_a_visit_goes_on_by_itself_when_the_last_gpu_is_lost(cluster_of, syntheses, monkeypatch):
    monkeypatch.setattr(sharedgpu, "LOOK_S", 0.2)
    with cluster._connected(cluster_of({}, {"GPU": 1})) as client:
        busy = client.submit(time.sleep, 3, resources={"GPU": 1})
        job = synthesise_on(client, 0)
        time.sleep(0.5)
        assert not job.done()
        client.retire_workers(names=[1])
        assert job.result() == "made"
        busy.cancel()
    assert syntheses == [(0, "cpu")]


@pytest.mark.slow
def test_what_a_killed_worker_was_doing_is_done_by_another(raw, tmp_path, capsys):
    config = Config(
        raw,
        tmp_path / "out",
        tmp_path / "work",
        prep=PrepConfig(sloppy=True),
        output=OutputConfig(spaces=("native",)),
    )
    patient = dask.config.set({"distributed.scheduler.worker-ttl": None})  # however busy this machine is
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "host": "127.0.0.1"}
    with patient, distributed.LocalCluster(**how) as local:
        victim = local.workers[0].pid
        said, over = "", threading.Event()

        def kill_at_work() -> None:
            nonlocal said
            while said.count(": averaging ") < 2 and not over.wait(0.1):  # of two visits to do
                said += capsys.readouterr().out
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_at_work)
        killer.start()
        run = RunConfig(scheduler=local.scheduler_address, only="preproc")
        code = participant.run(replace(config, run=run))
        over.set()
        killer.join()

    assert code == 0
    said += capsys.readouterr().out
    assert said.count(": averaging ") == 3
    assert "2 complete, 1 nothing-missing" in said
    assert len(list(config.output_dir.glob("sub-*/log/complete.json"))) == 2
